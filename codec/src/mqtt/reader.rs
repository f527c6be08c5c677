//! A cursor over the body of one whole packet.
//!
//! The packet is complete, so running out of bytes is the sender's fault
//! ([`Fault::Truncated`]): its fields do not fit the length it announced.

use super::text::{Binary, Text};
use super::{Fault, PacketId};

#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that has not been read yet.
    #[inline]
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The end of a packet, which must be where its last field ends.
    #[inline]
    pub(super) fn finish(self) -> Result<(), Fault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Fault::TrailingBytes)
        }
    }

    #[inline]
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<PacketId, Fault> {
        PacketId::new(self.u16()?)
    }

    /// A variable byte integer inside a packet, which only MQTT 5 has.
    #[inline]
    pub(super) fn variable_byte_integer(&mut self) -> Result<u32, Fault> {
        let integer = VariableByteInteger::read(self.rest)?.ok_or(Fault::Truncated)?;
        if !integer.shortest {
            return Err(Fault::VariableByteInteger);
        }
        self.rest = &self.rest[integer.bytes..];
        Ok(integer.value)
    }

    /// Two bytes of length and as many bytes, not looked at.
    #[inline]
    pub(super) fn length_prefixed(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.u16()?;
        self.bytes(length.into())
    }

    #[inline]
    pub(super) fn binary(&mut self) -> Result<Binary<'a>, Fault> {
        self.length_prefixed().and_then(Binary::new)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<Text<'a>, Fault> {
        self.length_prefixed().and_then(Text::from_bytes)
    }
}

/// The integer of one to four bytes that MQTT 3 calls Remaining Length and
/// MQTT 5 a Variable Byte Integer (3.1.1 section 2.2.3, 5.0 section 1.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VariableByteInteger {
    /// 0 to 268,435,455.
    pub(super) value: u32,
    /// How many bytes it took, 1 to 4.
    pub(super) bytes: usize,
    /// Whether fewer bytes could not have said it [MQTT-1.5.5-1].
    pub(super) shortest: bool,
}

impl VariableByteInteger {
    /// The largest value that four bytes can say.
    pub(super) const MAX: u32 = 268_435_455;

    /// Reads one from the front; `None` when the input ends inside it.
    ///
    /// # Errors
    /// [`Fault::VariableByteInteger`] when a fourth byte asks for a fifth.
    #[inline]
    pub(super) fn read(input: &[u8]) -> Result<Option<Self>, Fault> {
        let last = |byte: u8| byte & 0x80 == 0;
        let bits = |byte: u8, place: u32| u32::from(byte & 0x7F) << (7 * place);
        let (value, bytes, highest) = match *input {
            [a, ..] if last(a) => {
                return Ok(Some(Self {
                    value: a.into(),
                    bytes: 1,
                    shortest: true,
                }));
            }
            [a, b, ..] if last(b) => (bits(a, 0) | bits(b, 1), 2, b),
            [a, b, c, ..] if last(c) => (bits(a, 0) | bits(b, 1) | bits(c, 2), 3, c),
            [a, b, c, d, ..] if last(d) => {
                (bits(a, 0) | bits(b, 1) | bits(c, 2) | bits(d, 3), 4, d)
            }
            [_, _, _, _, ..] => return Err(Fault::VariableByteInteger),
            _ => return Ok(None),
        };
        Ok(Some(Self {
            value,
            bytes,
            shortest: highest != 0,
        }))
    }

    /// Bytes that the shortest encoding of `value` takes.
    #[inline]
    pub(super) fn len(value: usize) -> usize {
        match value {
            0..0x80 => 1,
            0x80..0x4000 => 2,
            0x4000..0x20_0000 => 3,
            _ => 4,
        }
    }
}

impl crate::writer::Writer<'_> {
    /// The shortest encoding of `value`, at most [`VariableByteInteger::MAX`].
    #[inline]
    pub(super) fn put_variable_byte_integer(&mut self, value: usize) {
        debug_assert!(value <= VariableByteInteger::MAX as usize);
        let mut rest = value;
        while rest >= 0x80 {
            self.put_u8((rest & 0x7F) as u8 | 0x80);
            rest >>= 7;
        }
        self.put_u8(rest as u8);
    }

    /// Two bytes of length, then the bytes, at most 65,535 of them.
    #[inline]
    pub(super) fn put_length_prefixed(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= usize::from(u16::MAX));
        self.put_u16(bytes.len() as u16);
        self.put(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::Writer;

    /// The table of section 1.5.5: the edges of each length.
    #[test]
    fn variable_byte_integers_at_their_edges() {
        for (value, expected) in [
            (0, &[0x00][..]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            let mut out = [0; 4];
            let mut writer = Writer::new(&mut out);
            writer.put_variable_byte_integer(value);
            assert_eq!(writer.written(), VariableByteInteger::len(value));
            let bytes = writer.written();
            assert_eq!(&out[..bytes], expected);
            let read = VariableByteInteger {
                value: value as u32,
                bytes,
                shortest: true,
            };
            assert_eq!(VariableByteInteger::read(expected), Ok(Some(read)));
            assert_eq!(VariableByteInteger::read(&expected[..bytes - 1]), Ok(None));
        }
    }

    #[test]
    fn variable_byte_integers_that_are_too_long() {
        for (input, value) in [(&[0x80, 0x00][..], 0), (&[0x81, 0x80, 0x00], 1)] {
            let long = VariableByteInteger {
                value,
                bytes: input.len(),
                shortest: false,
            };
            assert_eq!(VariableByteInteger::read(input), Ok(Some(long)));
            assert_eq!(
                Reader::new(input).variable_byte_integer(),
                Err(Fault::VariableByteInteger)
            );
        }
        assert_eq!(
            VariableByteInteger::read(&[0xFF, 0xFF, 0xFF, 0x80, 0x01]),
            Err(Fault::VariableByteInteger)
        );
    }
}
