//! Bytes for people.

use std::fmt;

/// Text as it is but for control characters, the rest escaped: it stays on its line.
pub(crate) struct Readable<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Readable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut valid = chunk.valid();
            while let Some((end, character)) = valid
                .char_indices()
                .find(|(_, character)| character.is_control())
            {
                formatter.write_str(&valid[..end])?;
                write!(formatter, "{}", character.escape_default())?;
                valid = &valid[end + character.len_utf8()..];
            }
            formatter.write_str(valid)?;
            write!(formatter, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_readable_and_stay_on_their_line() {
        let readable = |bytes| Readable(bytes).to_string();
        assert_eq!(readable(b"{\"p\":\"40000.10\"}"), "{\"p\":\"40000.10\"}");
        assert_eq!(readable("ä\n\0".as_bytes()), "ä\\n\\u{0}");
        assert_eq!(readable(b"\xFFok\x1B[2J"), "\\xffok\\u{1b}[2J");
    }
}
