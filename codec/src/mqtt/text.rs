//! UTF-8 strings and binary data, each with two bytes of length before it
//! (3.1.1 section 1.5.3, 5.0 sections 1.5.4 and 1.5.6).

use super::Fault;
use core::fmt;
use core::ops::Deref;

/// The most bytes that a two-byte length can announce.
pub(super) const LENGTH_MAX: usize = u16::MAX as usize;

/// A string as MQTT has it: well-formed UTF-8, which holds no surrogate
/// [MQTT-1.5.4-1], no U+0000 [MQTT-1.5.4-2], at most 65,535 bytes. U+FEFF is a
/// character like any other [MQTT-1.5.4-3].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Takes a string in.
    ///
    /// # Errors
    /// [`Fault::TextNul`] if it holds U+0000, [`Fault::FieldTooLong`] past
    /// 65,535 bytes.
    #[inline]
    pub fn new(text: &'a str) -> Result<Self, Fault> {
        if text.len() > LENGTH_MAX {
            return Err(Fault::FieldTooLong);
        }
        if holds_any(text.as_bytes(), |byte| byte == 0) {
            return Err(Fault::TextNul);
        }
        Ok(Self(text))
    }

    /// Takes the bytes of a string in.
    ///
    /// # Errors
    /// As [`Self::new`], and [`Fault::TextEncoding`] if they are not UTF-8.
    #[inline]
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, Fault> {
        Self::new(core::str::from_utf8(bytes).map_err(|_| Fault::TextEncoding)?)
    }

    /// The string.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.0
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Bytes of any meaning, at most 65,535 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Binary<'a>(&'a [u8]);

impl<'a> Binary<'a> {
    /// Takes bytes in.
    ///
    /// # Errors
    /// [`Fault::FieldTooLong`] past 65,535 bytes.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        if bytes.len() > LENGTH_MAX {
            return Err(Fault::FieldTooLong);
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl Deref for Binary<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

/// Whether any byte is unwanted. Looks at all of them, without a branch for
/// each: strings are short, nearly always clean, and this becomes vector code.
#[inline]
pub(super) fn holds_any(bytes: &[u8], unwanted: impl Fn(u8) -> bool) -> bool {
    bytes
        .iter()
        .fold(false, |found, &byte| found | unwanted(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn text_is_utf8_without_nul() {
        assert_eq!(
            Text::from_bytes(b"A\xF0\xAA\x9B\x94").unwrap().as_str(),
            "A\u{2A6D4}"
        );
        assert_eq!(
            Text::from_bytes(b"\xEF\xBB\xBFa").unwrap().as_str(),
            "\u{FEFF}a"
        );
        assert_eq!(Text::from_bytes(b"\xED\xA0\x80"), Err(Fault::TextEncoding));
        assert_eq!(Text::from_bytes(b"\xC0\x80"), Err(Fault::TextEncoding));
        assert_eq!(Text::from_bytes(b"abc\0"), Err(Fault::TextNul));
    }

    #[test]
    fn fields_end_at_65535_bytes() {
        let long = vec![b'x'; 65_536];
        assert!(Text::from_bytes(&long[1..]).is_ok());
        assert_eq!(Text::from_bytes(&long), Err(Fault::FieldTooLong));
        assert!(Binary::new(&long[1..]).is_ok());
        assert_eq!(Binary::new(&long), Err(Fault::FieldTooLong));
    }
}
