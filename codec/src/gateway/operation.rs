//! JSON operations, client to server.
//!
//! ```text
//! {"op":"subscribe","id":1,"channel":"kline","symbol":"BTCUSDT","interval":"1s"}
//! {"op":"subscribe","id":2,"args":[{"channel":"trade","symbol":"ETHUSDT"},…]}
//! {"op":"ping","id":9}
//! ```
//!
//! Bounded before and while it is read: a text has at most
//! [`OPERATION_BYTES_MAX`] bytes and [`ARGUMENTS_MAX`] subscriptions, and since
//! fields that are not known are refused, nothing nests deeper than
//! `{"args":[{"from":{}}]}`. All or nothing: one bad subscription refuses the
//! whole request.

use alloc::{borrow::Cow, vec, vec::Vec};

use serde::Deserialize;

use super::{
    ErrorCode, Id, Subscription,
    fields::{Arguments, RawResume, RawSubscription, write_arguments, write_subscription},
};
use crate::{
    json::{Length, Object, Output, Text, object},
    market::SymbolFault,
    writer::Writer,
};

/// The longest operation, in bytes. Every allowed list of subscriptions fits
/// several times over; what needs the room is a login's token.
pub const OPERATION_BYTES_MAX: usize = 64 * 1024;

/// The most subscriptions in one operation.
pub const ARGUMENTS_MAX: usize = 256;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Given back with the reply.
    pub id: Option<Id<'a>>,
    /// What is to be done.
    pub action: Action<'a>,
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// To get messages. At least one subscription.
    Subscribe(Vec<Subscription<'a>>),
    /// To get them no longer. At least one subscription; `tier` and `from` are
    /// allowed and mean nothing, so that what subscribed also unsubscribes.
    Unsubscribe(Vec<Subscription<'a>>),
    /// To hear that the server is there.
    Ping,
    /// To be known.
    Login {
        /// What proves it.
        token: Cow<'a, str>,
    },
    /// To see its own subscriptions.
    List,
}

/// Why an operation is refused, and under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The request's, where it could be read.
    pub id: Option<Id<'a>>,
    /// What is wrong.
    pub fault: OperationFault,
}

/// What is wrong with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationFault {
    /// More than [`OPERATION_BYTES_MAX`] bytes.
    TooLong,
    /// Not JSON in UTF-8.
    Json,
    /// JSON, but fields are missing, unknown, repeated or of another type.
    Shape,
    /// `op` names nothing.
    Unknown,
    /// No subscription: neither `channel` nor a non-empty `args`.
    ChannelMissing,
    /// Subscriptions both in `args` and beside it.
    ArgumentsTwice,
    /// More than [`ARGUMENTS_MAX`] subscriptions.
    TooManyArguments,
    /// `channel` names nothing.
    ChannelUnknown,
    /// No `symbol` where one is needed.
    SymbolMissing,
    /// `symbol` is none.
    Symbol(SymbolFault),
    /// `interval` is none, or the channel is not `kline`.
    Interval,
    /// `levels` is not 5, 10 or 20, or the channel is not `depth`.
    Levels,
    /// `tier` is none.
    Tier,
    /// `from` names no log, or no single symbol.
    From,
    /// A login without `token`.
    TokenMissing,
}

impl OperationFault {
    /// What the client is told in one word.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::TooLong => ErrorCode::TooLong,
            Self::Json => ErrorCode::BadJson,
            Self::Shape | Self::ChannelMissing | Self::ArgumentsTwice | Self::TokenMissing => {
                ErrorCode::BadRequest
            }
            Self::Unknown => ErrorCode::UnknownOperation,
            Self::TooManyArguments => ErrorCode::TooManyArguments,
            Self::ChannelUnknown => ErrorCode::UnknownChannel,
            Self::SymbolMissing | Self::Symbol(_) => ErrorCode::BadSymbol,
            Self::Interval => ErrorCode::BadInterval,
            Self::Levels => ErrorCode::BadLevels,
            Self::Tier => ErrorCode::BadTier,
            Self::From => ErrorCode::BadFrom,
        }
    }

    /// What the client is told in a sentence.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::TooLong => "the request is too long",
            Self::Json => "the request is not JSON",
            Self::Shape => "a field is missing, unknown, repeated or of the wrong type",
            Self::Unknown => "op is one of subscribe, unsubscribe, ping, login, list",
            Self::ChannelMissing => "name a channel, or several subscriptions in args",
            Self::ArgumentsTwice => "subscriptions stand either in args or beside it",
            Self::TooManyArguments => "args has too many subscriptions for one request",
            Self::ChannelUnknown => "channel is one of trade, bbo, depth, kline, thumb",
            Self::SymbolMissing => "symbol may be left out for thumb only",
            Self::Symbol(SymbolFault::TooLong) => "the symbol is too long",
            Self::Symbol(_) => "a symbol has letters, digits, underscore, point and colon",
            Self::Interval => "interval is one of 1s 1m 3m 5m 15m 30m 1h 4h 1d 1w, for kline only",
            Self::Levels => "levels is one of 5, 10, 20, for depth only",
            Self::Tier => "tier is one of raw, 100ms, 1s",
            Self::From => "from needs a symbol, and the epoch that a subscribe reply named",
            Self::TokenMissing => "a login needs a token",
        }
    }
}

impl<'a> Operation<'a> {
    /// Reads one operation, which must be all of the input: the payload of one
    /// WebSocket text message.
    ///
    /// # Errors
    /// The client's fault, with the request's `id` where it could be read.
    pub fn decode(input: &'a [u8]) -> Result<Self, Refusal<'a>> {
        if input.len() > OPERATION_BYTES_MAX {
            return Err(Refusal {
                id: None,
                fault: OperationFault::TooLong,
            });
        }
        match object::<RawOperation<'a>>(input) {
            Ok(mut raw) => {
                let id = raw.id.take();
                match raw.action() {
                    Ok(action) => Ok(Self { id, action }),
                    Err(fault) => Err(Refusal { id, fault }),
                }
            }
            Err(error) if error.is_data() => {
                let id = object::<OnlyId<'a>>(input).ok().and_then(|only| only.id);
                Err(Refusal {
                    id,
                    fault: OperationFault::Shape,
                })
            }
            Err(_) => Err(Refusal {
                id: None,
                fault: OperationFault::Json,
            }),
        }
    }

    /// Bytes that [`encode`](Self::encode) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut length = Length::default();
        self.write(&mut length);
        length.0
    }

    /// Writes the operation's text and returns its length in bytes.
    ///
    /// # Panics
    /// `out` is shorter than [`encoded_len`](Self::encoded_len).
    pub fn encode(&self, out: &mut [u8]) -> usize {
        let mut writer = Writer::new(out);
        self.write(&mut writer);
        writer.written()
    }

    fn write(&self, out: &mut impl Output) {
        let name = match &self.action {
            Action::Subscribe(_) => "subscribe",
            Action::Unsubscribe(_) => "unsubscribe",
            Action::Ping => "ping",
            Action::Login { .. } => "login",
            Action::List => "list",
        };
        write_head(name, self.id.as_ref(), out);
        match &self.action {
            Action::Subscribe(subscriptions) | Action::Unsubscribe(subscriptions) => {
                out.raw(b",");
                if let [subscription] = &subscriptions[..] {
                    write_subscription(subscription, out);
                } else {
                    out.raw(b"\"args\":");
                    write_arguments(subscriptions, out);
                }
            }
            Action::Login { token } => {
                out.raw(b",\"token\":");
                out.text(token);
            }
            Action::Ping | Action::List => {}
        }
        out.raw(b"}");
    }
}

/// Writes an object's beginning, as operations and replies have it in common.
pub(super) fn write_head(name: &str, id: Option<&Id<'_>>, out: &mut impl Output) {
    out.raw(b"{\"op\":");
    out.plain(name);
    if let Some(id) = id {
        out.raw(b",\"id\":");
        match id {
            Id::Number(number) => out.integer(*number),
            Id::Text(text) => out.text(text),
        }
    }
}

/// The fields that an operation can have. Those of one that mean nothing to
/// another are not looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperation<'a> {
    #[serde(borrow)]
    op: Text<'a>,
    #[serde(borrow)]
    id: Option<Id<'a>>,
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
    tier: Option<Text<'a>>,
    #[serde(borrow)]
    from: Option<Object<RawResume<'a>>>,
    #[serde(borrow)]
    token: Option<Text<'a>>,
}

/// What can still be read of an object that is not an operation.
#[derive(Deserialize)]
struct OnlyId<'a> {
    #[serde(borrow)]
    id: Option<Id<'a>>,
}

impl<'a> RawOperation<'a> {
    fn action(self) -> Result<Action<'a>, OperationFault> {
        match &*self.op.0 {
            "subscribe" => Ok(Action::Subscribe(self.subscriptions()?)),
            "unsubscribe" => {
                let mut subscriptions = self.subscriptions()?;
                for subscription in &mut subscriptions {
                    *subscription = Subscription {
                        tier: None,
                        from: None,
                        ..*subscription
                    };
                }
                Ok(Action::Unsubscribe(subscriptions))
            }
            "ping" => Ok(Action::Ping),
            "list" => Ok(Action::List),
            "login" => {
                let token = self.token.ok_or(OperationFault::TokenMissing)?.0;
                Ok(Action::Login { token })
            }
            _ => Err(OperationFault::Unknown),
        }
    }

    fn subscriptions(self) -> Result<Vec<Subscription<'a>>, OperationFault> {
        let Self {
            channel,
            symbol,
            interval,
            levels,
            tier,
            from,
            ..
        } = self;
        let beside = RawSubscription {
            channel,
            symbol,
            interval,
            levels,
            tier,
            from,
        };
        match self.args {
            None => Ok(vec![beside.check()?]),
            Some(_) if !beside.is_empty() => Err(OperationFault::ArgumentsTwice),
            Some(Arguments(args)) if args.is_empty() => Err(OperationFault::ChannelMissing),
            Some(Arguments(args)) if args.len() > ARGUMENTS_MAX => {
                Err(OperationFault::TooManyArguments)
            }
            Some(Arguments(args)) => args.iter().map(RawSubscription::check).collect(),
        }
    }
}
