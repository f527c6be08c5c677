//! Frames of the command protocol, both directions.
//!
//! ```text
//! ┌────────────┬─────────────┬─────────────┬──────────────┐
//! │ length u32 │ command u32 │ request u32 │ body         │   big-endian
//! └────────────┴─────────────┴─────────────┴──────────────┘
//!               ├──────────── length counts this ─────────┤
//! ```
//!
//! On TCP frames follow each other without gaps; in WebSocket binary messages
//! they may be cut and joined anyhow. So the reader is given what has arrived
//! and tells a whole frame from the beginning of one. The limit is applied to the
//! length as soon as it is there, before anything else of the frame is waited for.

use alloc::string::String;

use prost::Message as _;

use super::{CloseReason, ErrorCode};
use crate::{Progress, market::Channel, writer::Writer};

/// Bytes in front of a frame's body.
pub const COMMAND_HEADER_BYTES: usize = 12;

/// Bytes of the length itself, which it does not count.
const LENGTH_BYTES: usize = 4;

/// What a frame's command number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// 1001
    Login,
    /// 1002
    Heartbeat,
    /// 2001
    SubscribeSymbolThumb,
    /// 2002
    UnsubscribeSymbolThumb,
    /// 2003
    SubscribeExchange,
    /// 2004
    UnsubscribeExchange,
    /// 3001
    PushSymbolThumb,
    /// 3002
    PushExchangeTrade,
    /// 3003
    PushExchangeKline,
    /// 3004
    PushExchangeDepth,
    /// 3101
    PushOrder,
    /// 3102
    PushUserTrade,
}

impl Command {
    /// All there are.
    pub const ALL: [Self; 12] = [
        Self::Login,
        Self::Heartbeat,
        Self::SubscribeSymbolThumb,
        Self::UnsubscribeSymbolThumb,
        Self::SubscribeExchange,
        Self::UnsubscribeExchange,
        Self::PushSymbolThumb,
        Self::PushExchangeTrade,
        Self::PushExchangeKline,
        Self::PushExchangeDepth,
        Self::PushOrder,
        Self::PushUserTrade,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Login => 1001,
            Self::Heartbeat => 1002,
            Self::SubscribeSymbolThumb => 2001,
            Self::UnsubscribeSymbolThumb => 2002,
            Self::SubscribeExchange => 2003,
            Self::UnsubscribeExchange => 2004,
            Self::PushSymbolThumb => 3001,
            Self::PushExchangeTrade => 3002,
            Self::PushExchangeKline => 3003,
            Self::PushExchangeDepth => 3004,
            Self::PushOrder => 3101,
            Self::PushUserTrade => 3102,
        }
    }

    /// The command of a number, or none.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|command| command.number() == number)
    }

    /// The command that carries a channel's messages. There is none for
    /// [`Channel::Bbo`].
    #[must_use]
    pub fn push_of(channel: Channel) -> Option<Self> {
        match channel {
            Channel::Trade => Some(Self::PushExchangeTrade),
            Channel::Bbo => None,
            Channel::Depth | Channel::DepthTop(_) => Some(Self::PushExchangeDepth),
            Channel::Kline(_) => Some(Self::PushExchangeKline),
            Channel::Thumb => Some(Self::PushSymbolThumb),
        }
    }
}

/// What a peer's bytes have wrong about them. There is no way to find the next
/// frame after it, so the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandFault {
    /// The length leaves no room for command and request.
    TooShort,
    /// The length is over the limit.
    TooLong,
}

impl CommandFault {
    /// Why the connection is closed.
    #[must_use]
    pub fn close_reason(self) -> CloseReason {
        match self {
            Self::TooShort => CloseReason::BadRequest,
            Self::TooLong => CloseReason::TooBig,
        }
    }
}

/// What stands in front of a body, to be sent before a body that is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandHeader {
    /// A [`Command`]'s number, or one that a peer made up.
    pub command: u32,
    /// Chosen by the client and repeated in the response; 0 in a push.
    pub request: u32,
    /// The length of the body in bytes.
    pub body_len: u32,
}

impl CommandHeader {
    /// The header's bytes.
    ///
    /// # Panics
    /// The body is within 8 bytes of 4 GiB.
    #[must_use]
    pub fn encode(&self) -> [u8; COMMAND_HEADER_BYTES] {
        let counted = u32::try_from(COMMAND_HEADER_BYTES - LENGTH_BYTES).expect("eight");
        let length = self
            .body_len
            .checked_add(counted)
            .expect("a body of less than 4 GiB");
        let mut bytes = [0; COMMAND_HEADER_BYTES];
        let mut writer = Writer::new(&mut bytes);
        writer.put_u32(length);
        writer.put_u32(self.command);
        writer.put_u32(self.request);
        bytes
    }
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandFrame<'a> {
    /// A [`Command`]'s number, or one that a peer made up: such a frame is whole
    /// and can be answered.
    pub command: u32,
    /// Chosen by the client and repeated in the response; 0 in a push.
    pub request: u32,
    /// JSON or protobuf, as the command has it.
    pub body: &'a [u8],
}

impl<'a> CommandFrame<'a> {
    /// Reads the frame at the beginning of the input. `body_bytes_max` is the most
    /// that a body may have: for a server what a JSON operation may have, for a
    /// client as much as it wants to take.
    ///
    /// # Errors
    /// The length is too small, or over the limit.
    pub fn decode(input: &'a [u8], body_bytes_max: usize) -> Result<Progress<Self>, CommandFault> {
        let Some((length, rest)) = input.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(Progress::Partial {
                needed: LENGTH_BYTES,
            });
        };
        let length = u32::from_be_bytes(*length) as usize;
        let body_len = length
            .checked_sub(COMMAND_HEADER_BYTES - LENGTH_BYTES)
            .ok_or(CommandFault::TooShort)?;
        if body_len > body_bytes_max {
            return Err(CommandFault::TooLong);
        }
        let frame_len = COMMAND_HEADER_BYTES + body_len;
        let Some(counted) = rest.get(..length) else {
            return Ok(Progress::Partial { needed: frame_len });
        };
        let (command, counted) = counted
            .split_first_chunk()
            .expect("four bytes, checked above");
        let (request, body) = counted
            .split_first_chunk()
            .expect("four more, checked above");
        let frame = Self {
            command: u32::from_be_bytes(*command),
            request: u32::from_be_bytes(*request),
            body,
        };
        Ok(Progress::Done(frame, frame_len))
    }

    /// Bytes that [`encode`](Self::encode) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        COMMAND_HEADER_BYTES + self.body.len()
    }

    /// Writes the frame and returns its length in bytes.
    ///
    /// # Panics
    /// `out` is shorter than [`encoded_len`](Self::encoded_len), or the body is
    /// within 8 bytes of 4 GiB or longer.
    pub fn encode(&self, out: &mut [u8]) -> usize {
        let body_len = u32::try_from(self.body.len()).expect("a body of less than 4 GiB");
        let header = CommandHeader {
            command: self.command,
            request: self.request,
            body_len,
        };
        let mut writer = Writer::new(out);
        writer.put(&header.encode());
        writer.put(self.body);
        writer.written()
    }
}

/// What a request is answered with: the body of a frame with the request's
/// command and number. The schema is shipped as `schema/simple_response.proto`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SimpleResponse {
    /// 0 is success, the others are [`ErrorCode::number`]s.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// A response's bytes are not a `SimpleResponse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseFault;

impl SimpleResponse {
    /// Success.
    #[must_use]
    pub fn done() -> Self {
        Self::default()
    }

    /// A refusal.
    #[must_use]
    pub fn refused(code: ErrorCode, message: &str) -> Self {
        Self {
            code: code.number(),
            message: message.into(),
        }
    }

    /// Reads a frame's body.
    ///
    /// # Errors
    /// It is not this message.
    pub fn decode_body(body: &[u8]) -> Result<Self, ResponseFault> {
        Self::decode(body).map_err(|_| ResponseFault)
    }

    /// Bytes that [`encode_frame`](Self::encode_frame) writes.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        COMMAND_HEADER_BYTES + self.encoded_len()
    }

    /// Writes the frame that answers `request` and returns its length in bytes.
    ///
    /// # Panics
    /// `out` is shorter than [`frame_len`](Self::frame_len).
    pub fn encode_frame(&self, request: &CommandFrame<'_>, out: &mut [u8]) -> usize {
        let body_len = u32::try_from(self.encoded_len()).expect("a short text");
        let CommandFrame {
            command, request, ..
        } = *request;
        let header = CommandHeader {
            command,
            request,
            body_len,
        };
        let (head, mut body) = out.split_at_mut(COMMAND_HEADER_BYTES);
        head.copy_from_slice(&header.encode());
        self.encode(&mut body).expect("the caller has made room");
        self.frame_len()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn numbers_come_back() {
        for command in Command::ALL {
            assert_eq!(Command::from_number(command.number()), Some(command));
        }
        for number in [0, 1000, 1003, 2005, 3000, 3005, 3100, 3103, u32::MAX] {
            assert_eq!(Command::from_number(number), None);
        }
    }

    #[test]
    fn layout() {
        let frame = CommandFrame {
            command: 2001,
            request: 0x0102_0304,
            body: b"{}",
        };
        let mut out = [0; 14];
        assert_eq!(frame.encode(&mut out), frame.encoded_len());
        assert_eq!(&out, b"\0\0\0\x0A\0\0\x07\xD1\x01\x02\x03\x04{}");
        assert_eq!(CommandFrame::decode(&out, 2), Ok(Progress::Done(frame, 14)));
    }

    #[test]
    fn length_is_judged_as_soon_as_it_is_there() {
        let decode = |length: u32, max| CommandFrame::decode(&length.to_be_bytes(), max).err();
        assert_eq!(decode(7, 100), Some(CommandFault::TooShort));
        assert_eq!(decode(8, 0), None);
        assert_eq!(decode(9, 0), Some(CommandFault::TooLong));
        assert_eq!(decode(u32::MAX, 100), Some(CommandFault::TooLong));
        assert_eq!(
            CommandFrame::decode(&[0, 0, 0], 0),
            Ok(Progress::Partial { needed: 4 })
        );
        let length = 18_u32.to_be_bytes();
        assert_eq!(
            CommandFrame::decode(&length, 10),
            Ok(Progress::Partial { needed: 22 })
        );
    }

    /// Written out by hand from the schema: a field is its number times 8 plus its
    /// wire type (varint 0, length-delimited 2); what has its default is left out;
    /// a negative int32 is a ten-byte varint.
    #[test]
    fn responses_follow_the_schema() {
        let response = |code, message: &str| SimpleResponse {
            code,
            message: message.into(),
        };
        for (response, bytes) in [
            (SimpleResponse::done(), &b""[..]),
            (response(5, ""), b"\x08\x05"),
            (response(0, "ok"), b"\x12\x02ok"),
            (response(300, "no"), b"\x08\xAC\x02\x12\x02no"),
            (
                response(-1, ""),
                b"\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
            ),
        ] {
            let request = CommandFrame {
                command: 1002,
                request: 7,
                body: b"",
            };
            let mut out = vec![0; response.frame_len()];
            assert_eq!(response.encode_frame(&request, &mut out), out.len());
            let Ok(Progress::Done(frame, _)) = CommandFrame::decode(&out, 100) else {
                panic!("a whole frame")
            };
            assert_eq!((frame.command, frame.request, frame.body), (1002, 7, bytes));
            assert_eq!(SimpleResponse::decode_body(bytes), Ok(response));
        }
        assert_eq!(
            SimpleResponse::decode_body(b"\x12\x05no"),
            Err(ResponseFault)
        );
        assert_eq!(
            SimpleResponse::decode_body(b"\x12\x01\xFF"),
            Err(ResponseFault),
            "not UTF-8"
        );
    }
}
