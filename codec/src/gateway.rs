//! The gateway's own protocols: JSON operations over WebSocket, and the command
//! protocol with its integers.
//!
//! ```text
//! client → Operation (JSON)   → server        /ws
//! client ← Reply (JSON), market messages
//! client → CommandFrame with Request          /cmd and a TCP port of its own
//! client ← CommandFrame with SimpleResponse, or with a market message
//! ```
//!
//! Both speak of the same faults ([`ErrorCode`]) and close for the same reasons
//! ([`CloseReason`]). Not in here: WebSocket framing, and who may do what.

mod channel_set;
mod command;
mod error;
mod fields;
mod operation;

mod reply;
mod request;
mod subscription;

pub use channel_set::ChannelSet;
pub use command::{
    COMMAND_HEADER_BYTES, Command, CommandFault, CommandFrame, CommandHeader, ResponseFault,
    SimpleResponse,
};
pub use error::{CloseReason, ErrorCode};
pub use operation::{
    ARGUMENTS_MAX, Action, OPERATION_BYTES_MAX, Operation, OperationFault, Refusal,
};
pub use reply::{Reply, ReplyFault};
pub use request::{Exchange, Request, RequestFault};
pub use subscription::{EPOCH_BYTES_MAX, Epoch, ID_BYTES_MAX, Id, Resume, Subscription, Tier};
