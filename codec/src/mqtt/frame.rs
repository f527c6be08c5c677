//! The fixed header: where one packet ends and the next begins (section 2.2 of
//! 3.1.1, 2.1 of 5.0).

use super::reader::VariableByteInteger;
use super::{Fault, Version};
use crate::Progress;

/// The largest packet that the encoding of its length allows, in bytes with the
/// fixed header.
pub const PACKET_BYTES_MAX: usize = VariableByteInteger::MAX as usize + 5;

/// The type of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the standard's own names")]
pub enum Kind {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    /// MQTT 5 only; reserved before.
    Auth = 15,
}

impl Kind {
    /// The kind whose number stands in the four high bits of a first byte.
    #[inline]
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::BY_NUMBER[usize::from(number & 0x0F)]
    }

    /// By number; 0 is reserved in every version.
    const BY_NUMBER: [Option<Self>; 16] = [
        None,
        Some(Self::Connect),
        Some(Self::Connack),
        Some(Self::Publish),
        Some(Self::Puback),
        Some(Self::Pubrec),
        Some(Self::Pubrel),
        Some(Self::Pubcomp),
        Some(Self::Subscribe),
        Some(Self::Suback),
        Some(Self::Unsubscribe),
        Some(Self::Unsuback),
        Some(Self::Pingreq),
        Some(Self::Pingresp),
        Some(Self::Disconnect),
        Some(Self::Auth),
    ];

    /// The first byte of a packet with the flags that its kind always has; those
    /// of PUBLISH say more and come on top.
    #[inline]
    pub(super) fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.flags()
    }

    /// The flags of every packet type but PUBLISH, whose own are not fixed
    /// [MQTT3-2.2.2-1], [MQTT-2.1.3-1].
    #[inline]
    fn flags(self) -> u8 {
        match self {
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }
}

/// One whole packet, cut out of a stream; its body has not been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// The four low bits of its first byte.
    pub flags: u8,
    /// Whether its length is encoded in the fewest bytes.
    pub(super) shortest: bool,
    /// All behind the fixed header.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Cuts the packet off that the input begins with. The limit, in bytes with
    /// the fixed header, is applied as soon as the fixed header is there.
    ///
    /// # Errors
    /// [`Fault::PacketTypeReserved`] for type 0, [`Fault::VariableByteInteger`]
    /// for a length of more than four bytes, [`Fault::PacketTooLarge`].
    #[inline]
    pub fn cut(input: &'a [u8], packet_bytes_max: usize) -> Result<Progress<Self>, Fault> {
        let Some((&first, after_first)) = input.split_first() else {
            return Ok(Progress::Partial { needed: 2 });
        };
        let Some(kind) = Kind::from_number(first >> 4) else {
            return Err(Fault::PacketTypeReserved(0));
        };
        let Some(length) = VariableByteInteger::read(after_first)? else {
            return Ok(Progress::Partial {
                needed: input.len() + 1,
            });
        };
        let header = 1 + length.bytes;
        let packet = header + length.value as usize;
        if packet > packet_bytes_max {
            return Err(Fault::PacketTooLarge);
        }
        match input.get(header..packet) {
            Some(body) => {
                let frame = Self {
                    kind,
                    flags: first & 0x0F,
                    shortest: length.shortest,
                    body,
                };
                Ok(Progress::Done(frame, packet))
            }
            None => Ok(Progress::Partial { needed: packet }),
        }
    }

    /// Checks what the fixed header of a packet other than PUBLISH holds, as
    /// soon as the version is known. MQTT 3.1 has no reserved flags: DUP is
    /// legal where QoS is 1, and the rest is "not used" (3.1 section 2.1).
    #[inline]
    pub(super) fn check_header(&self, version: Version) -> Result<(), Fault> {
        let expected = self.kind.flags();
        let flags = match (version, expected) {
            (Version::V31, 0) => 0,
            (Version::V31, _) => self.flags & 0b0110,
            _ => self.flags,
        };
        if flags != expected {
            return Err(Fault::FlagsReserved(self.kind));
        }
        self.check_length(version)
    }

    /// Only MQTT 5 asks for the shortest encoding [MQTT-1.5.5-1].
    #[inline]
    pub(super) fn check_length(&self, version: Version) -> Result<(), Fault> {
        if version == Version::V5 && !self.shortest {
            return Err(Fault::VariableByteInteger);
        }
        Ok(())
    }
}
