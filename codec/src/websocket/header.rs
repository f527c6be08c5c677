//! Frame headers, both directions.
//!
//! Invariant: a fault shows at the first byte that makes it certain, and more
//! bytes do not change it.

use super::{CONTROL_BYTES_MAX, ControlKind, Fault, MaskingKey, Role};
use crate::Progress;
use crate::writer::Writer;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASK: u8 = 0x80;
/// In the 7-bit length: the next 2 bytes are the length.
const LENGTH_IN_2: u8 = 126;
/// In the 7-bit length: the next 8 bytes are the length.
const LENGTH_IN_8: u8 = 127;
/// The largest payload length that the 7 bits hold themselves.
const LENGTH_IN_7_BITS_MAX: u64 = 125;
const LENGTH_IN_2_MAX: u64 = u16::MAX as u64;
/// A length has 63 bits.
const LENGTH_MAX: u64 = u64::MAX >> 1;

/// How a message is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Arbitrary bytes.
    Binary,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The next part of the message under way.
    Continuation,
    /// A message, or the first part of one.
    Message(MessageKind),
    /// A control frame, which may stand between the parts of a message.
    Control(ControlKind),
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Message(MessageKind::Text),
            0x2 => Self::Message(MessageKind::Binary),
            0x8 => Self::Control(ControlKind::Close),
            0x9 => Self::Control(ControlKind::Ping),
            0xa => Self::Control(ControlKind::Pong),
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Message(MessageKind::Text) => 0x1,
            Self::Message(MessageKind::Binary) => 0x2,
            Self::Control(ControlKind::Close) => 0x8,
            Self::Control(ControlKind::Ping) => 0x9,
            Self::Control(ControlKind::Pong) => 0xa,
        }
    }
}

/// What stands in front of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether the message ends with this frame; always so for control frames.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The key of a client's frame; `None` in a server's.
    pub mask: Option<MaskingKey>,
    /// Bytes that follow the header, 0 to 2^63 - 1; at most 125 for control frames.
    pub payload_bytes: u64,
}

impl FrameHeader {
    /// Reads the header at the front of `input`, as it comes to an end in `role`.
    ///
    /// # Errors
    /// Every fault that a header shows on its own; the order of frames and the
    /// limits are the receiver's.
    pub fn decode(role: Role, input: &[u8]) -> Result<Progress<Self>, Fault> {
        let Some(&first) = input.first() else {
            return Ok(Progress::Partial { needed: 2 });
        };
        if first & RESERVED != 0 {
            return Err(Fault::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & OPCODE).ok_or(Fault::ReservedOpcode)?;
        let is_control = matches!(opcode, Opcode::Control(_));
        let fin = first & FIN != 0;
        if is_control && !fin {
            return Err(Fault::ControlFragmented);
        }

        let Some(&second) = input.get(1) else {
            return Ok(Progress::Partial { needed: 2 });
        };
        let is_masked = second & MASK != 0;
        match role {
            Role::Server if !is_masked => return Err(Fault::MaskMissing),
            Role::Client if is_masked => return Err(Fault::MaskPresent),
            Role::Server | Role::Client => {}
        }
        let length = second & !MASK;
        if is_control && usize::from(length) > CONTROL_BYTES_MAX {
            return Err(Fault::ControlTooLong);
        }

        let key_at = 2 + length_field_len(length);
        let end = if is_masked {
            key_at + size_of::<MaskingKey>()
        } else {
            key_at
        };
        let Some(payload_bytes) = decode_length(length, &input[2..])? else {
            return Ok(Progress::Partial { needed: end });
        };
        let mask = if is_masked {
            let Some(&key) = input[key_at..].first_chunk() else {
                return Ok(Progress::Partial { needed: end });
            };
            Some(MaskingKey::new(key))
        } else {
            None
        };
        Ok(Progress::Done(
            Self {
                fin,
                opcode,
                mask,
                payload_bytes,
            },
            end,
        ))
    }

    /// Bytes of the header.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        2 + length_field_len(self.length_code()) + self.mask.map_or(0, |_| size_of::<MaskingKey>())
    }

    /// Writes the header to the front of `out` and returns its length. The
    /// payload follows it, masked by [`MaskingKey::apply`] if there is a key.
    ///
    /// # Panics
    /// If `out` is shorter than [`encoded_len`](Self::encoded_len), or the
    /// payload longer than 2^63 - 1.
    pub fn encode(&self, out: &mut [u8]) -> usize {
        assert!(
            self.payload_bytes <= LENGTH_MAX,
            "payload length exceeds 63 bits"
        );
        let mut writer = Writer::new(out);
        writer.put_u8(if self.fin { FIN } else { 0 } | self.opcode.bits());
        let length = self.length_code();
        writer.put_u8(if self.mask.is_some() { MASK } else { 0 } | length);
        match length {
            LENGTH_IN_2 => writer.put_u16(self.payload_bytes as u16),
            LENGTH_IN_8 => writer.put(&self.payload_bytes.to_be_bytes()),
            _ => {}
        }
        if let Some(key) = self.mask {
            writer.put(&key.bytes());
        }
        writer.written()
    }

    /// The 7-bit length: the shortest form is the only legal one. `[RFC6455-5.2-9]`
    fn length_code(&self) -> u8 {
        if self.payload_bytes <= LENGTH_IN_7_BITS_MAX {
            self.payload_bytes as u8
        } else if self.payload_bytes <= LENGTH_IN_2_MAX {
            LENGTH_IN_2
        } else {
            LENGTH_IN_8
        }
    }
}

/// Bytes that the length takes beyond the 7 bits.
fn length_field_len(code: u8) -> usize {
    match code {
        LENGTH_IN_2 => size_of::<u16>(),
        LENGTH_IN_8 => size_of::<u64>(),
        _ => 0,
    }
}

/// The payload length, or `None` if its bytes are not all there. `rest` follows
/// the 7 bits.
fn decode_length(length: u8, rest: &[u8]) -> Result<Option<u64>, Fault> {
    let (length, minimum) = match length {
        LENGTH_IN_2 => {
            let Some(&bytes) = rest.first_chunk() else {
                return Ok(None);
            };
            (
                u64::from(u16::from_be_bytes(bytes)),
                LENGTH_IN_7_BITS_MAX + 1,
            )
        }
        LENGTH_IN_8 => {
            let Some(&bytes) = rest.first_chunk() else {
                return Ok(None);
            };
            (u64::from_be_bytes(bytes), LENGTH_IN_2_MAX + 1)
        }
        direct => (u64::from(direct), 0),
    };
    if length > LENGTH_MAX {
        return Err(Fault::LengthTopBit);
    }
    // No action of a receiver is laid down; a sender that breaks the rule may
    // break others, and one form of a header means one way to test it.
    if length < minimum {
        return Err(Fault::LengthNotMinimal);
    }
    Ok(Some(length))
}
