//! JSON replies, server to client. What is not a reply is a market message: a
//! reply begins with `{"op":`, a message with `{"ch":`.
//!
//! The reader is for clients and tests and as strict as that of the operations.

use alloc::{borrow::Cow, vec::Vec};

use serde::Deserialize;

use super::{
    Epoch, ErrorCode, Id, OperationFault, Refusal, Subscription,
    fields::{Arguments, RawSubscription, write_arguments, write_target},
    operation::write_head,
};
use crate::{
    json::{Length, Output, Text, object},
    market::{Channel, Symbol},
    writer::Writer,
};

/// What the server says about a request. Each carries the request's `id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Subscribed to everything asked for. The last values follow, then what comes.
    Subscribed {
        /// The request's.
        id: Option<Id<'a>>,
        /// The log that sequences count in.
        epoch: Epoch<'a>,
    },
    /// Unsubscribed from everything asked for.
    Unsubscribed {
        /// The request's.
        id: Option<Id<'a>>,
    },
    /// The answer to a ping.
    Pong {
        /// The request's.
        id: Option<Id<'a>>,
    },
    /// The client is known now.
    LoggedIn {
        /// The request's.
        id: Option<Id<'a>>,
    },
    /// What the connection is subscribed to, in the form in which a subscribe
    /// operation takes it.
    List {
        /// The request's.
        id: Option<Id<'a>>,
        /// At most [`ARGUMENTS_MAX`](super::ARGUMENTS_MAX); more take several replies.
        subscriptions: Vec<Subscription<'a>>,
    },
    /// The place that a subscription asked for is gone: a snapshot follows
    /// instead of what was missed.
    Resync {
        /// The request's.
        id: Option<Id<'a>>,
        /// The log that sequences count in.
        epoch: Epoch<'a>,
        /// What is taken up anew.
        channel: Channel,
        /// Of which market.
        symbol: Symbol,
    },
    /// Nothing was done.
    Error {
        /// The request's, where it could be read.
        id: Option<Id<'a>>,
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        message: Cow<'a, str>,
    },
}

/// What the client is told about an operation that is refused.
impl<'a> From<Refusal<'a>> for Reply<'a> {
    fn from(refusal: Refusal<'a>) -> Self {
        let Refusal { id, fault } = refusal;
        Self::Error {
            id,
            code: fault.code(),
            message: Cow::Borrowed(fault.message()),
        }
    }
}

/// Why a text is not a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyFault {
    /// Not JSON in UTF-8.
    Json,
    /// JSON, but fields are missing, unknown, repeated, of another type, or belong
    /// to another reply.
    Shape,
    /// `op` names no reply.
    Unknown,
    /// `code` is no error code.
    Code,
    /// `epoch` is none.
    Epoch,
    /// A channel, symbol or other part of a subscription is none.
    Subscription(OperationFault),
}

impl From<serde_json::Error> for ReplyFault {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() {
            Self::Shape
        } else {
            Self::Json
        }
    }
}

impl From<OperationFault> for ReplyFault {
    fn from(fault: OperationFault) -> Self {
        Self::Subscription(fault)
    }
}

impl<'a> Reply<'a> {
    /// Reads one reply, which must be all of the input.
    ///
    /// # Errors
    /// The input is not a reply; what is wrong first.
    pub fn decode(input: &'a [u8]) -> Result<Self, ReplyFault> {
        let mut raw: RawReply<'_> = object(input)?;
        let id = raw.id.take();
        let reply = match (&*raw.op.0, raw.ok.take()) {
            ("subscribe", Some(true)) => Self::Subscribed {
                id,
                epoch: raw.epoch()?,
            },
            ("unsubscribe", Some(true)) => Self::Unsubscribed { id },
            ("pong", None) => Self::Pong { id },
            ("login", Some(true)) => Self::LoggedIn { id },
            ("list", Some(true)) => Self::List {
                id,
                subscriptions: raw.arguments()?,
            },
            ("resync", None) => {
                let epoch = raw.epoch()?;
                let target = raw.target()?;
                let symbol = target.symbol.ok_or(OperationFault::SymbolMissing)?;
                Self::Resync {
                    id,
                    epoch,
                    channel: target.channel,
                    symbol,
                }
            }
            ("error", None) => {
                let code = raw.code.take().ok_or(ReplyFault::Shape)?;
                let code = ErrorCode::parse(&code.0).ok_or(ReplyFault::Code)?;
                let message = raw.message.take().ok_or(ReplyFault::Shape)?.0;
                Self::Error { id, code, message }
            }
            ("subscribe" | "unsubscribe" | "pong" | "login" | "list" | "resync" | "error", _) => {
                return Err(ReplyFault::Shape);
            }
            _ => return Err(ReplyFault::Unknown),
        };
        if raw.is_used_up() {
            Ok(reply)
        } else {
            Err(ReplyFault::Shape)
        }
    }

    /// Bytes that [`encode`](Self::encode) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut length = Length::default();
        self.write(&mut length);
        length.0
    }

    /// Writes the reply's text and returns its length in bytes.
    ///
    /// # Panics
    /// `out` is shorter than [`encoded_len`](Self::encoded_len).
    pub fn encode(&self, out: &mut [u8]) -> usize {
        let mut writer = Writer::new(out);
        self.write(&mut writer);
        writer.written()
    }

    fn write(&self, out: &mut impl Output) {
        match self {
            Self::Subscribed { id, epoch } => {
                write_head("subscribe", id.as_ref(), out);
                out.raw(b",\"ok\":true,\"epoch\":");
                out.plain(epoch.as_str());
            }
            Self::Unsubscribed { id } => {
                write_head("unsubscribe", id.as_ref(), out);
                out.raw(b",\"ok\":true");
            }
            Self::Pong { id } => write_head("pong", id.as_ref(), out),
            Self::LoggedIn { id } => {
                write_head("login", id.as_ref(), out);
                out.raw(b",\"ok\":true");
            }
            Self::List { id, subscriptions } => {
                write_head("list", id.as_ref(), out);
                out.raw(b",\"ok\":true,\"args\":");
                write_arguments(subscriptions, out);
            }
            Self::Resync {
                id,
                epoch,
                channel,
                symbol,
            } => {
                write_head("resync", id.as_ref(), out);
                out.raw(b",\"epoch\":");
                out.plain(epoch.as_str());
                out.raw(b",");
                write_target(*channel, Some(*symbol), out);
            }
            Self::Error { id, code, message } => {
                write_head("error", id.as_ref(), out);
                out.raw(b",\"code\":");
                out.plain(code.as_str());
                out.raw(b",\"message\":");
                out.text(message);
            }
        }
        out.raw(b"}");
    }
}

/// The fields that a reply can have; the reader takes out those that it wants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReply<'a> {
    #[serde(borrow)]
    op: Text<'a>,
    #[serde(borrow)]
    id: Option<Id<'a>>,
    ok: Option<bool>,
    #[serde(borrow)]
    epoch: Option<&'a str>,
    #[serde(borrow)]
    args: Option<Arguments<'a>>,
    #[serde(borrow)]
    channel: Option<Text<'a>>,
    #[serde(borrow)]
    symbol: Option<Text<'a>>,
    #[serde(borrow)]
    interval: Option<Text<'a>>,
    levels: Option<u64>,
    #[serde(borrow)]
    code: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
}

impl<'a> RawReply<'a> {
    fn epoch(&mut self) -> Result<Epoch<'a>, ReplyFault> {
        Epoch::parse(self.epoch.take().ok_or(ReplyFault::Shape)?).ok_or(ReplyFault::Epoch)
    }

    fn arguments(&mut self) -> Result<Vec<Subscription<'a>>, ReplyFault> {
        let Arguments(args) = self.args.take().ok_or(ReplyFault::Shape)?;
        if args.len() > super::ARGUMENTS_MAX {
            return Err(OperationFault::TooManyArguments.into());
        }
        let checked: Result<_, _> = args.iter().map(RawSubscription::check).collect();
        Ok(checked?)
    }

    fn target(&mut self) -> Result<Subscription<'a>, ReplyFault> {
        let raw = RawSubscription {
            channel: self.channel.take(),
            symbol: self.symbol.take(),
            interval: self.interval.take(),
            levels: self.levels.take(),
            tier: None,
            from: None,
        };
        Ok(raw.check()?)
    }

    fn is_used_up(&self) -> bool {
        self.epoch.is_none()
            && self.args.is_none()
            && self.channel.is_none()
            && self.symbol.is_none()
            && self.interval.is_none()
            && self.levels.is_none()
            && self.code.is_none()
            && self.message.is_none()
    }
}
