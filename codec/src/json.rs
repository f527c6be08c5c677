//! Writing JSON without allocating, into memory or into a mere count of bytes.
//!
//! Not a serialiser: the encoders of [`market`](crate::market) and
//! [`gateway`](crate::gateway) spell out their texts and use this for what
//! varies. One function writes each text; run against a [`Length`] it gives
//! `encoded_len`, run against a [`Writer`] it encodes, so the two cannot differ.
//! Reading is left to `serde_json`.

use alloc::borrow::Cow;
use core::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::writer::Writer;

/// What a JSON text is written to.
pub(crate) trait Output {
    /// Takes bytes that are JSON already.
    fn raw(&mut self, bytes: &[u8]);

    /// A string with its quotes, of text that needs no escaping.
    fn plain(&mut self, text: &str) {
        self.raw(b"\"");
        self.raw(text.as_bytes());
        self.raw(b"\"");
    }

    /// A string with its quotes, escaped as RFC 8259 section 7 demands and not
    /// more: quote, backslash and the control characters, in their short forms
    /// where there is one.
    fn text(&mut self, text: &str) {
        self.raw(b"\"");
        let bytes = text.as_bytes();
        let mut written = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.raw(&bytes[written..at]);
            written = at + 1;
            match byte {
                b'"' => self.raw(b"\\\""),
                b'\\' => self.raw(b"\\\\"),
                b'\n' => self.raw(b"\\n"),
                b'\r' => self.raw(b"\\r"),
                b'\t' => self.raw(b"\\t"),
                0x08 => self.raw(b"\\b"),
                0x0C => self.raw(b"\\f"),
                _ => {
                    let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                    self.raw(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
                }
            }
        }
        self.raw(&bytes[written..]);
        self.raw(b"\"");
    }

    fn integer(&mut self, value: u64) {
        self.raw(itoa::Buffer::new().format(value).as_bytes());
    }
}

impl Output for Writer<'_> {
    #[inline]
    fn raw(&mut self, bytes: &[u8]) {
        self.put(bytes);
    }
}

/// Counts what would be written.
#[derive(Debug, Default)]
pub(crate) struct Length(pub(crate) usize);

impl Output for Length {
    #[inline]
    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// A string as it is read: borrowed, unless it had escapes.
#[derive(Debug, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Something that is written as an object. The structs that serde derives also
/// take an array of their fields' values, which none of our protocols means.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Reads one object, which must be all of the input.
pub(crate) fn object<'a, T: Deserialize<'a>>(input: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice::<Object<T>>(input).map(|object| object.0)
}

/// For a field that may be absent but not `null`, which serde takes for absent.
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec};

    use super::*;

    #[test]
    fn every_character_survives_a_json_reader() {
        let text: String = (0..0x300_u32).filter_map(char::from_u32).collect();
        let mut length = Length::default();
        length.text(&text);
        let mut out = vec![0; length.0];
        Writer::new(&mut out).text(&text);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        assert_eq!(
            out,
            serde_json::to_vec(&text).unwrap(),
            "the same escapes as others choose"
        );
    }
}
