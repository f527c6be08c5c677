//! UTF-8 of a text message that arrives in pieces, cut anywhere.
//!
//! Invariant: a byte is refused as soon as no valid text can begin with what has
//! come, so the place of the refusal does not depend on the cuts.

use core::str;

/// The beginning of a character whose other bytes have not come yet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Utf8Tail {
    bytes: [u8; 4],
    have: u8,
}

impl Utf8Tail {
    /// Takes the next piece of the text; with `is_last` the text ends there, and
    /// may not end inside a character.
    ///
    /// # Errors
    /// How many bytes at the front of `piece` can stand in valid text; the next
    /// one, if any, cannot.
    pub(super) fn take(&mut self, piece: &[u8], is_last: bool) -> Result<(), usize> {
        let mut at = 0;
        loop {
            if self.have == 0 {
                at += valid_prefix(&piece[at..]);
            }
            let Some(&byte) = piece.get(at) else { break };
            if !self.push(byte) {
                return Err(at);
            }
            at += 1;
        }
        if is_last && self.have > 0 {
            Err(at.saturating_sub(1))
        } else {
            Ok(())
        }
    }

    fn push(&mut self, byte: u8) -> bool {
        let have = usize::from(self.have);
        self.bytes[have] = byte;
        match str::from_utf8(&self.bytes[..=have]) {
            Ok(_) => self.have = 0,
            Err(error) if error.error_len().is_none() => self.have += 1,
            Err(_) => return false,
        }
        true
    }
}

fn valid_prefix(bytes: &[u8]) -> usize {
    match str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) => error.valid_up_to(),
    }
}

#[cfg(test)]
mod tests {
    use super::Utf8Tail;

    #[test]
    fn a_refusal_names_the_first_byte_that_cannot_stand() {
        for (bytes, valid) in [
            (&b"abc\xff"[..], 3),
            (b"a\x80", 1),
            (b"\xc0\x80", 0),
            (b"\xe0\x80\x80", 1),
            (b"\xed\xa0\x80", 1),
            (b"\xf4\x90\x80\x80", 1),
            (b"\xf5\x80\x80\x80", 0),
            (b"\xe2\x82A", 2),
            (b"\xf0\x9f\x98\xf0", 3),
        ] {
            assert_eq!(
                Utf8Tail::default().take(bytes, false),
                Err(valid),
                "{bytes:x?}"
            );
        }
    }

    #[test]
    fn a_text_ends_with_a_whole_character() {
        for text in [
            &b""[..],
            b"z",
            b"\xce\xba",
            b"\xe1\xbd\xb9",
            b"\xf0\x9f\x98\x80",
        ] {
            for cut in 0..=text.len() {
                let mut tail = Utf8Tail::default();
                assert_eq!(tail.take(&text[..cut], false), Ok(()), "{text:x?} to {cut}");
                assert_eq!(
                    tail.take(&text[cut..], true),
                    Ok(()),
                    "{text:x?} from {cut}"
                );
            }
        }
        assert_eq!(Utf8Tail::default().take(b"a\xe1\xbd", true), Err(2));
        let mut tail = Utf8Tail::default();
        assert_eq!(tail.take(b"\xe1\xbd", false), Ok(()));
        assert_eq!(tail.take(b"", true), Err(0));
    }

    #[test]
    fn cuts_do_not_move_the_refusal() {
        for text in [
            &b"\xce\xba\xed\xa0\x80"[..],
            b"ab\xf4\x90",
            b"\xce\xba\xf0\x9f\x98",
        ] {
            let whole = Utf8Tail::default().take(text, true);
            assert!(whole.is_err());
            for cut in 0..text.len() {
                let mut tail = Utf8Tail::default();
                let front = tail.take(&text[..cut], false);
                let parts =
                    front.and_then(|()| tail.take(&text[cut..], true).map_err(|valid| cut + valid));
                assert_eq!(parts, whole, "{text:x?} cut at {cut}");
            }
        }
    }
}
