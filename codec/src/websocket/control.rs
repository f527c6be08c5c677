//! Control frames: Close, Ping and Pong, each whole in one frame.

use super::header::{FrameHeader, Opcode};
use super::{CONTROL_BYTES_MAX, Close, Fault, MaskingKey};
use crate::writer::Writer;

/// What a control frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKind {
    /// Ends the connection.
    Close,
    /// Asks for a Pong.
    Ping,
    /// Answers a Ping, or comes on its own.
    Pong,
}

/// A control frame, received or to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control<'a> {
    /// The peer's last frame, or ours.
    Close(Option<Close<'a>>),
    /// At most 125 bytes of the sender's choice.
    Ping(&'a [u8]),
    /// The bytes of the Ping that it answers, or any.
    Pong(&'a [u8]),
}

impl<'a> Control<'a> {
    pub(super) fn decode(kind: ControlKind, payload: &'a [u8]) -> Result<Self, Fault> {
        Ok(match kind {
            ControlKind::Close => Self::Close(Close::decode(payload)?),
            ControlKind::Ping => Self::Ping(payload),
            ControlKind::Pong => Self::Pong(payload),
        })
    }

    /// The frame that answers this one: a Pong with the Ping's bytes, a Close
    /// with the peer's code. A Close is not to be answered by an end that has
    /// sent its own. `[RFC6455-5.5.2-2]` `[RFC6455-5.5.3-1]` `[RFC6455-5.5.1-7]`
    #[must_use]
    pub fn answer(self) -> Option<Self> {
        match self {
            Self::Close(close) => Some(Self::Close(
                close.map(|Close { code, .. }| Close { code, reason: "" }),
            )),
            Self::Ping(payload) => Some(Self::Pong(payload)),
            Self::Pong(_) => None,
        }
    }

    /// Bytes of the whole frame, which a client masks with `mask`.
    #[must_use]
    pub fn encoded_len(&self, mask: Option<MaskingKey>) -> usize {
        self.header(mask).encoded_len() + self.payload_len()
    }

    /// Writes the whole frame to the front of `out` and returns its length.
    /// `mask` is `None` for a server and a fresh key for a client.
    ///
    /// # Panics
    /// If the payload exceeds 125 bytes (a reason 123), or `out` is shorter than
    /// [`encoded_len`](Self::encoded_len).
    pub fn encode(&self, mask: Option<MaskingKey>, out: &mut [u8]) -> usize {
        assert!(
            self.payload_len() <= CONTROL_BYTES_MAX,
            "control payload too long"
        );
        let payload_at = self.header(mask).encode(out);
        let mut writer = Writer::new(&mut out[payload_at..]);
        match self {
            Self::Close(None) => {}
            Self::Close(Some(Close { code, reason })) => {
                writer.put_u16(code.get());
                writer.put(reason.as_bytes());
            }
            Self::Ping(payload) | Self::Pong(payload) => writer.put(payload),
        }
        let end = payload_at + writer.written();
        if let Some(key) = mask {
            key.apply(&mut out[payload_at..end]);
        }
        end
    }

    fn header(&self, mask: Option<MaskingKey>) -> FrameHeader {
        let kind = match self {
            Self::Close(_) => ControlKind::Close,
            Self::Ping(_) => ControlKind::Ping,
            Self::Pong(_) => ControlKind::Pong,
        };
        FrameHeader {
            fin: true,
            opcode: Opcode::Control(kind),
            mask,
            payload_bytes: self.payload_len() as u64,
        }
    }

    fn payload_len(&self) -> usize {
        match self {
            Self::Close(None) => 0,
            Self::Close(Some(close)) => size_of::<u16>() + close.reason.len(),
            Self::Ping(payload) | Self::Pong(payload) => payload.len(),
        }
    }
}
