//! What the request commands ask for: their JSON bodies.
//!
//! ```text
//! LOGIN                       {"token":"…"}
//! HEARTBEAT                   {}
//! (UN)SUBSCRIBE_SYMBOL_THUMB  {"symbol":"BTCUSDT"}        without: of all
//! (UN)SUBSCRIBE_EXCHANGE      {"symbol":"BTCUSDT","uid":"alice","channels":["trade","kline/1m"]}
//! ```
//!
//! An empty body is `{}`. Fields that are not known are faults, as in the
//! operations.

use alloc::{borrow::Cow, vec::Vec};

use serde::Deserialize;

use super::{ChannelSet, Command, CommandFrame, ErrorCode};
use crate::{
    json::{Length, Output, Text, object},
    market::{Channel, Interval, Symbol, SymbolFault},
    writer::Writer,
};

/// A request of the command protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// To be known.
    Login {
        /// What proves it.
        token: Cow<'a, str>,
    },
    /// To hear that the server is there.
    Heartbeat,
    /// To get the rolling ticker of one symbol, or of all.
    SubscribeSymbolThumb(Option<Symbol>),
    /// To get it no longer.
    UnsubscribeSymbolThumb(Option<Symbol>),
    /// To get channels of a symbol.
    SubscribeExchange(Exchange<'a>),
    /// To get them no longer.
    UnsubscribeExchange(Exchange<'a>),
}

/// Channels of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange<'a> {
    /// The market.
    pub symbol: Symbol,
    /// With it the user's orders and trades in that market belong to it too.
    pub user: Option<Cow<'a, str>>,
    /// The public channels, each of which has a push command.
    pub channels: ChannelSet,
}

impl Exchange<'_> {
    /// What is meant where no channels are named: trades, candles of one minute
    /// and changes of the order book.
    #[must_use]
    pub fn default_channels() -> ChannelSet {
        let kline = Channel::Kline(Interval::default());
        [Channel::Trade, kline, Channel::Depth]
            .into_iter()
            .collect()
    }
}

/// Why a frame is not a request. It can be answered, and the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFault {
    /// The command's number names no request.
    Unknown,
    /// The body is not JSON in UTF-8.
    Json,
    /// The body is JSON, but fields are missing, unknown, repeated or of another type.
    Shape,
    /// `symbol` is none.
    Symbol(SymbolFault),
    /// `channels` has something that is no channel, or has no push command.
    Channel,
}

impl RequestFault {
    /// What the client is told in one number.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Unknown => ErrorCode::UnknownOperation,
            Self::Json => ErrorCode::BadJson,
            Self::Shape => ErrorCode::BadRequest,
            Self::Symbol(_) => ErrorCode::BadSymbol,
            Self::Channel => ErrorCode::UnknownChannel,
        }
    }
}

impl From<serde_json::Error> for RequestFault {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() {
            Self::Shape
        } else {
            Self::Json
        }
    }
}

impl<'a> Request<'a> {
    /// Reads the request that a frame carries.
    ///
    /// # Errors
    /// The client's fault.
    pub fn decode(frame: &CommandFrame<'a>) -> Result<Self, RequestFault> {
        let command = Command::from_number(frame.command).ok_or(RequestFault::Unknown)?;
        let body = if frame.body.is_empty() {
            b"{}"
        } else {
            frame.body
        };
        match command {
            Command::Login => Ok(Self::Login {
                token: login(body)?,
            }),
            Command::Heartbeat => {
                heartbeat(body)?;
                Ok(Self::Heartbeat)
            }
            Command::SubscribeSymbolThumb => Ok(Self::SubscribeSymbolThumb(thumb(body)?)),
            Command::UnsubscribeSymbolThumb => Ok(Self::UnsubscribeSymbolThumb(thumb(body)?)),
            Command::SubscribeExchange => Ok(Self::SubscribeExchange(exchange(body)?)),
            Command::UnsubscribeExchange => Ok(Self::UnsubscribeExchange(exchange(body)?)),
            Command::PushSymbolThumb
            | Command::PushExchangeTrade
            | Command::PushExchangeKline
            | Command::PushExchangeDepth
            | Command::PushOrder
            | Command::PushUserTrade => Err(RequestFault::Unknown),
        }
    }

    /// The command that the request's frame has.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Self::Login { .. } => Command::Login,
            Self::Heartbeat => Command::Heartbeat,
            Self::SubscribeSymbolThumb(_) => Command::SubscribeSymbolThumb,
            Self::UnsubscribeSymbolThumb(_) => Command::UnsubscribeSymbolThumb,
            Self::SubscribeExchange(_) => Command::SubscribeExchange,
            Self::UnsubscribeExchange(_) => Command::UnsubscribeExchange,
        }
    }

    /// Bytes that [`encode_body`](Self::encode_body) writes.
    #[must_use]
    pub fn body_len(&self) -> usize {
        let mut length = Length::default();
        self.write(&mut length);
        length.0
    }

    /// Writes the body of the request's frame and returns its length in bytes.
    ///
    /// # Panics
    /// `out` is shorter than [`body_len`](Self::body_len).
    pub fn encode_body(&self, out: &mut [u8]) -> usize {
        let mut writer = Writer::new(out);
        self.write(&mut writer);
        writer.written()
    }

    fn write(&self, out: &mut impl Output) {
        out.raw(b"{");
        match self {
            Self::Login { token } => {
                out.raw(b"\"token\":");
                out.text(token);
            }
            Self::Heartbeat
            | Self::SubscribeSymbolThumb(None)
            | Self::UnsubscribeSymbolThumb(None) => {}
            Self::SubscribeSymbolThumb(Some(symbol))
            | Self::UnsubscribeSymbolThumb(Some(symbol)) => {
                write_symbol(*symbol, out);
            }
            Self::SubscribeExchange(exchange) | Self::UnsubscribeExchange(exchange) => {
                write_exchange(exchange, out);
            }
        }
        out.raw(b"}");
    }
}

fn write_symbol(symbol: Symbol, out: &mut impl Output) {
    out.raw(b"\"symbol\":");
    out.plain(symbol.as_str());
}

fn write_exchange(exchange: &Exchange<'_>, out: &mut impl Output) {
    write_symbol(exchange.symbol, out);
    if let Some(user) = &exchange.user {
        out.raw(b",\"uid\":");
        out.text(user);
    }
    out.raw(b",\"channels\":[");
    for (place, channel) in exchange.channels.iter().enumerate() {
        if place > 0 {
            out.raw(b",");
        }
        out.plain(channel.as_str());
    }
    out.raw(b"]");
}

fn login(body: &[u8]) -> Result<Cow<'_, str>, RequestFault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw<'a> {
        #[serde(borrow)]
        token: Text<'a>,
    }
    Ok(object::<Raw<'_>>(body)?.token.0)
}

fn heartbeat(body: &[u8]) -> Result<(), RequestFault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw {}
    object::<Raw>(body)?;
    Ok(())
}

fn thumb(body: &[u8]) -> Result<Option<Symbol>, RequestFault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw<'a> {
        #[serde(borrow)]
        symbol: Option<Text<'a>>,
    }
    let raw: Raw<'_> = object(body)?;
    let symbol = raw.symbol.map(|text| Symbol::normalise(&text.0));
    symbol.transpose().map_err(RequestFault::Symbol)
}

fn exchange(body: &[u8]) -> Result<Exchange<'_>, RequestFault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw<'a> {
        #[serde(borrow)]
        symbol: Text<'a>,
        #[serde(borrow)]
        uid: Option<Text<'a>>,
        #[serde(borrow)]
        channels: Option<Vec<Text<'a>>>,
    }
    let raw: Raw<'_> = object(body)?;
    let channels = match raw.channels {
        None => Exchange::default_channels(),
        Some(names) => names
            .iter()
            .map(|name| pushed_channel(&name.0))
            .collect::<Result<_, _>>()?,
    };
    Ok(Exchange {
        symbol: Symbol::normalise(&raw.symbol.0).map_err(RequestFault::Symbol)?,
        user: raw.uid.map(|text| text.0),
        channels,
    })
}

fn pushed_channel(name: &str) -> Result<Channel, RequestFault> {
    let channel = match name {
        "kline" => Some(Channel::Kline(Interval::default())),
        _ => Channel::parse(name),
    };
    channel
        .filter(|&channel| Command::push_of(channel).is_some())
        .ok_or(RequestFault::Channel)
}
