//! From the transport's bytes to events, one connection's state.
//!
//! The states are named for what they await:
//!
//! ```text
//! FrameHeader -- data frame -----> DataPayload ----- last byte ----> FrameHeader
//!             -- control frame --> ControlPayload -- Ping, Pong ---> FrameHeader
//!                                                 -- Close --------> NothingAfterClose
//! any of them -- fault ----------------------------------------> NothingAfterFault
//! ```
//!
//! Invariant: what is yielded and when a fault shows depend on the bytes alone,
//! not on how they were split.

use super::utf8::Utf8Tail;
use super::{CONTROL_BYTES_MAX, Control, ControlKind, Fault, FrameHeader, HEADER_BYTES_MAX};
use super::{MaskingKey, MessageKind, Opcode, Role};
use crate::Progress;

/// What all connections of one listener have in common. A connection keeps to
/// the rules that it began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Which end we are.
    pub role: Role,
    /// Payload bytes of the largest data frame that is taken.
    pub frame_bytes_max: u32,
    /// Payload bytes of the largest message that is taken, over all its frames.
    pub message_bytes_max: u32,
}

/// What the peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next bytes of a message.
    Data {
        /// How the whole message is to be read.
        kind: MessageKind,
        /// A piece of any length, empty only at the end of a message. Text may
        /// be cut inside a character, and is valid so far.
        bytes: &'a [u8],
        /// Whether the message ends with this piece.
        fin: bool,
    },
    /// A whole control frame; it may come between the pieces of a message.
    Control(Control<'a>),
}

/// Memory for a control payload that arrives in several reads. Its content is
/// of use only while [`Receiver::is_inside_control`]; at other times receivers
/// can share one.
#[derive(Debug, Clone)]
pub struct HeldControl([u8; CONTROL_BYTES_MAX]);

impl Default for HeldControl {
    fn default() -> Self {
        Self([0; CONTROL_BYTES_MAX])
    }
}

/// What one connection's receiver remembers between reads.
#[derive(Debug, Clone)]
pub struct Receiver {
    awaits: Awaits,
    message: Option<Message>,
}

#[derive(Debug, Clone, Copy)]
enum Awaits {
    FrameHeader {
        bytes: [u8; HEADER_BYTES_MAX],
        have: u8,
    },
    DataPayload {
        left: u32,
        is_last: bool,
        mask: Option<MaskingKey>,
    },
    ControlPayload {
        kind: ControlKind,
        length: u8,
        have: u8,
        mask: Option<MaskingKey>,
    },
    NothingAfterClose,
    NothingAfterFault(Fault),
}

impl Awaits {
    const NEXT_FRAME: Self = Self::FrameHeader {
        bytes: [0; HEADER_BYTES_MAX],
        have: 0,
    };
}

/// A message under way.
#[derive(Debug, Clone, Copy)]
struct Message {
    kind: MessageKind,
    /// Payload bytes that its frame headers have announced so far.
    bytes: u32,
    text: Utf8Tail,
}

impl Default for Receiver {
    fn default() -> Self {
        Self {
            awaits: Awaits::NEXT_FRAME,
            message: None,
        }
    }
}

impl Receiver {
    /// At the beginning of a connection, after the opening handshake.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a control payload has arrived in part, so that the same
    /// [`HeldControl`] must come with the next call.
    #[must_use]
    pub fn is_inside_control(&self) -> bool {
        matches!(self.awaits, Awaits::ControlPayload { have: 1.., .. })
    }

    /// Takes bytes from the front of `input` up to the next event, and returns it
    /// with their number; `None` when all were taken and no event is complete.
    /// Payload is unmasked in place. After a Close everything is taken and
    /// thrown away. `[RFC6455-7.1.1-1]`
    ///
    /// # Errors
    /// The peer's fault, again at each further call; what it leaves in `input`
    /// is of no use.
    pub fn receive<'a>(
        &mut self,
        rules: &Rules,
        input: &'a mut [u8],
        held: &'a mut HeldControl,
    ) -> Result<Option<(Event<'a>, usize)>, Fault> {
        self.advance(rules, input, held).inspect_err(|&fault| {
            self.awaits = Awaits::NothingAfterFault(fault);
        })
    }

    fn advance<'a>(
        &mut self,
        rules: &Rules,
        input: &'a mut [u8],
        held: &'a mut HeldControl,
    ) -> Result<Option<(Event<'a>, usize)>, Fault> {
        let mut at = 0;
        while let Awaits::FrameHeader { bytes, have } = self.awaits {
            let Some(header) = self.take_header(rules.role, bytes, have, input, &mut at)? else {
                return Ok(None);
            };
            self.awaits = self.begin_frame(rules, header)?;
        }
        let payload = &mut input[at..];
        let event = match self.awaits {
            Awaits::DataPayload {
                left,
                is_last,
                mask,
            } => self.take_data(left, is_last, mask, payload)?,
            Awaits::ControlPayload {
                kind,
                length,
                have,
                mask,
            } => self.take_control(kind, length, have, mask, payload, held)?,
            Awaits::NothingAfterFault(fault) => return Err(fault),
            Awaits::NothingAfterClose | Awaits::FrameHeader { .. } => None,
        };
        Ok(event.map(|(event, taken)| (event, at + taken)))
    }

    /// Completes the header of which `have` bytes came before, or keeps what there is.
    fn take_header(
        &mut self,
        role: Role,
        mut bytes: [u8; HEADER_BYTES_MAX],
        have: u8,
        input: &[u8],
        at: &mut usize,
    ) -> Result<Option<FrameHeader>, Fault> {
        let input = &input[*at..];
        let kept = usize::from(have);
        let end = HEADER_BYTES_MAX.min(kept + input.len());
        let found = if kept == 0 {
            FrameHeader::decode(role, input)?
        } else {
            bytes[kept..end].copy_from_slice(&input[..end - kept]);
            FrameHeader::decode(role, &bytes[..end])?
        };
        match found {
            Progress::Done(header, length) => {
                *at += length - kept;
                Ok(Some(header))
            }
            Progress::Partial { .. } => {
                bytes[kept..end].copy_from_slice(&input[..end - kept]);
                let have = end as u8;
                self.awaits = Awaits::FrameHeader { bytes, have };
                Ok(None)
            }
        }
    }

    /// What follows `header`, the one place where a frame meets what came before it.
    fn begin_frame(&mut self, rules: &Rules, header: FrameHeader) -> Result<Awaits, Fault> {
        let FrameHeader {
            fin,
            opcode,
            mask,
            payload_bytes,
        } = header;
        let mut message = match (opcode, self.message) {
            // [RFC6455-5.4-9]: the message under way stays as it is.
            (Opcode::Control(kind), _) => {
                return Ok(Awaits::ControlPayload {
                    kind,
                    length: payload_bytes as u8,
                    have: 0,
                    mask,
                });
            }
            (Opcode::Message(kind), None) => Message {
                kind,
                bytes: 0,
                text: Utf8Tail::default(),
            },
            (Opcode::Continuation, Some(message)) => message,
            (Opcode::Continuation, None) => return Err(Fault::ContinuationUnexpected),
            (Opcode::Message(_), Some(_)) => return Err(Fault::ContinuationMissing),
        };
        if payload_bytes > u64::from(rules.frame_bytes_max) {
            return Err(Fault::FrameTooBig);
        }
        if u64::from(message.bytes) + payload_bytes > u64::from(rules.message_bytes_max) {
            return Err(Fault::MessageTooBig);
        }
        let left = payload_bytes as u32;
        message.bytes += left;
        self.message = Some(message);
        Ok(if left == 0 && !fin {
            Awaits::NEXT_FRAME
        } else {
            Awaits::DataPayload {
                left,
                is_last: fin,
                mask,
            }
        })
    }

    /// The next piece of a data payload; the message ends with the last byte of
    /// its last frame.
    fn take_data<'a>(
        &mut self,
        left: u32,
        is_last: bool,
        mask: Option<MaskingKey>,
        payload: &'a mut [u8],
    ) -> Result<Option<(Event<'a>, usize)>, Fault> {
        let wanted = left as usize;
        let taken = wanted.min(payload.len());
        if taken == 0 && wanted > 0 {
            return Ok(None);
        }
        let piece = &mut payload[..taken];
        if let Some(key) = mask {
            key.apply(piece);
        }
        let fin = is_last && taken == wanted;
        let message = self
            .message
            .as_mut()
            .expect("a data payload belongs to a message");
        let kind = message.kind;
        if kind == MessageKind::Text
            && let Err(valid) = message.text.take(piece, fin)
        {
            if valid == 0 {
                return Err(Fault::TextNotUtf8);
            }
            // What is valid goes out first, as it would had it come alone.
            self.awaits = Awaits::NothingAfterFault(Fault::TextNotUtf8);
            return Ok(Some((
                Event::Data {
                    kind,
                    bytes: &piece[..valid],
                    fin: false,
                },
                valid,
            )));
        }
        if fin {
            self.message = None;
        }
        self.awaits = if taken == wanted {
            Awaits::NEXT_FRAME
        } else {
            let mask = mask.map(|key| key.after(taken));
            Awaits::DataPayload {
                left: left - taken as u32,
                is_last,
                mask,
            }
        };
        Ok(Some((
            Event::Data {
                kind,
                bytes: piece,
                fin,
            },
            taken,
        )))
    }

    /// A control payload, out of `payload` alone if it is all there, else by way of `held`.
    fn take_control<'a>(
        &mut self,
        kind: ControlKind,
        length: u8,
        have: u8,
        mask: Option<MaskingKey>,
        payload: &'a mut [u8],
        held: &'a mut HeldControl,
    ) -> Result<Option<(Event<'a>, usize)>, Fault> {
        let (kept, whole) = (usize::from(have), usize::from(length));
        let taken = (whole - kept).min(payload.len());
        let piece = &mut payload[..taken];
        if let Some(key) = mask {
            key.after(kept).apply(piece);
        }
        let end = kept + taken;
        let payload = if taken == whole {
            piece
        } else {
            held.0[kept..end].copy_from_slice(piece);
            &mut held.0[..end]
        };
        if end < whole {
            self.awaits = Awaits::ControlPayload {
                kind,
                length,
                have: end as u8,
                mask,
            };
            return Ok(None);
        }
        let control = Control::decode(kind, payload)?;
        self.awaits = match kind {
            ControlKind::Close => Awaits::NothingAfterClose,
            ControlKind::Ping | ControlKind::Pong => Awaits::NEXT_FRAME,
        };
        Ok(Some((Event::Control(control), taken)))
    }
}

#[cfg(test)]
mod tests;
