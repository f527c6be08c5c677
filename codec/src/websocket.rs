//! WebSocket framing (RFC 6455) for both roles: frames out of bytes, bytes out
//! of frames.
//!
//! ```text
//!  byte 0                     byte 1
//! +-----+------+---------+   +------+---------+------------+---------+---------+
//! | FIN | RSV  | opcode  |   | MASK | length  | 0, 2 or 8  | 0 or 4  | payload |
//! | 1   | 3    | 4 bits  |   | 1    | 7 bits  | bytes more | key     |         |
//! +-----+------+---------+   +------+---------+------------+---------+---------+
//! ```
//!
//! A [`Receiver`] takes what the transport brings, split anywhere, and yields
//! [`Event`]s; a [`FrameHeader`] is what goes in front of a payload; a
//! [`Control`] frame is encoded whole. A server's header does not depend on the
//! connection, so one encoded frame serves all subscribers.
//!
//! This is not the opening handshake, and no extension is negotiated: a reserved
//! bit is a fault. Nor does it remember what was sent: who answers a Close, and
//! when the connection ends, is the session's business.
//!
//! Invariants: nothing is buffered but an incomplete header, an incomplete
//! control payload and an incomplete character; a size limit is applied when the
//! header is read; and the events, adjacent pieces of data joined, do not depend
//! on how the input was split.

mod close;
mod control;
mod fault;
mod header;
mod mask;
mod receiver;
mod utf8;

pub use close::{Close, CloseCode};
pub use control::{Control, ControlKind};
pub use fault::Fault;
pub use header::{FrameHeader, MessageKind, Opcode};
pub use mask::MaskingKey;
pub use receiver::{Event, HeldControl, Receiver, Rules};

/// Which end of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The peer masks its frames, we do not.
    Server,
    /// We mask our frames, the peer does not.
    Client,
}

/// Bytes of the largest frame header: a client's, with an 8-byte length.
pub const HEADER_BYTES_MAX: usize = 14;

/// Bytes of the largest header that a server sends: no masking key.
pub const SERVER_HEADER_BYTES_MAX: usize = 10;

/// Bytes of the largest control payload. `[RFC6455-5.5-2]`
pub const CONTROL_BYTES_MAX: usize = 125;
