//! A subscription's JSON fields, on their way to and from [`Subscription`].
//!
//! ```text
//! "channel":"kline","symbol":"BTCUSDT","interval":"1s","tier":"raw","from":{"epoch":"e","seq":1}
//! ```
//!
//! `null` stands for an absent field, since many JSON libraries write it so. A
//! field that is not known is a fault: a misspelt `interval` must not silently
//! mean one minute.

use alloc::vec::Vec;
use core::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};

use super::{ARGUMENTS_MAX, Epoch, OperationFault, Resume, Subscription, Tier};
use crate::{
    json::{Object, Output, Text},
    market::{Channel, Interval, Levels, Symbol},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSubscription<'a> {
    #[serde(borrow)]
    pub(super) channel: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) symbol: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) interval: Option<Text<'a>>,
    pub(super) levels: Option<u64>,
    #[serde(borrow)]
    pub(super) tier: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) from: Option<Object<RawResume<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawResume<'a> {
    /// Borrowed only: an epoch has nothing to escape.
    epoch: &'a str,
    seq: u64,
}

impl<'a> RawSubscription<'a> {
    /// Whether none of the fields is there.
    pub(super) fn is_empty(&self) -> bool {
        self.channel.is_none()
            && self.symbol.is_none()
            && self.interval.is_none()
            && self.levels.is_none()
            && self.tier.is_none()
            && self.from.is_none()
    }

    pub(super) fn check(&self) -> Result<Subscription<'a>, OperationFault> {
        let channel = self.channel()?;
        let symbol = match &self.symbol {
            None if channel == Channel::Thumb => None,
            None => return Err(OperationFault::SymbolMissing),
            Some(text) => Some(Symbol::normalise(&text.0).map_err(OperationFault::Symbol)?),
        };
        let tier = match &self.tier {
            None => None,
            Some(text) => Some(Tier::parse(&text.0).ok_or(OperationFault::Tier)?),
        };
        let from = match &self.from {
            None => None,
            // Each symbol has its own sequence, so one can't be the place in all.
            Some(_) if symbol.is_none() => return Err(OperationFault::From),
            Some(Object(raw)) => Some(Resume {
                epoch: Epoch::parse(raw.epoch).ok_or(OperationFault::From)?,
                sequence: raw.seq,
            }),
        };
        Ok(Subscription {
            channel,
            symbol,
            tier,
            from,
        })
    }

    fn channel(&self) -> Result<Channel, OperationFault> {
        let name = self
            .channel
            .as_ref()
            .ok_or(OperationFault::ChannelMissing)?;
        let channel = match &*name.0 {
            "kline" => {
                let interval = match &self.interval {
                    None => Interval::default(),
                    Some(text) => Interval::parse(&text.0).ok_or(OperationFault::Interval)?,
                };
                Channel::Kline(interval)
            }
            "depth" => match self.levels {
                None => Channel::Depth,
                Some(count) => {
                    Channel::DepthTop(Levels::from_count(count).ok_or(OperationFault::Levels)?)
                }
            },
            "trade" => Channel::Trade,
            "bbo" => Channel::Bbo,
            "thumb" => Channel::Thumb,
            _ => return Err(OperationFault::ChannelUnknown),
        };
        if self.interval.is_some() && !matches!(channel, Channel::Kline(_)) {
            return Err(OperationFault::Interval);
        }
        if self.levels.is_some() && !matches!(channel, Channel::DepthTop(_)) {
            return Err(OperationFault::Levels);
        }
        Ok(channel)
    }
}

/// Writes a subscription's fields, without braces.
pub(super) fn write_subscription(subscription: &Subscription<'_>, out: &mut impl Output) {
    write_target(subscription.channel, subscription.symbol, out);
    if let Some(tier) = subscription.tier {
        out.raw(b",\"tier\":");
        out.plain(tier.as_str());
    }
    if let Some(from) = subscription.from {
        out.raw(b",\"from\":{\"epoch\":");
        out.plain(from.epoch.as_str());
        out.raw(b",\"seq\":");
        out.integer(from.sequence);
        out.raw(b"}");
    }
}

/// Writes the fields that say which channel of which symbol.
pub(super) fn write_target(channel: Channel, symbol: Option<Symbol>, out: &mut impl Output) {
    let name = channel.as_str();
    out.raw(b"\"channel\":");
    out.plain(name.split_once('/').map_or(name, |(name, _)| name));
    if let Some(symbol) = symbol {
        out.raw(b",\"symbol\":");
        out.plain(symbol.as_str());
    }
    match channel {
        Channel::Kline(interval) => {
            out.raw(b",\"interval\":");
            out.plain(interval.as_str());
        }
        Channel::DepthTop(levels) => {
            out.raw(b",\"levels\":");
            out.integer(levels.count() as u64);
        }
        Channel::Trade | Channel::Bbo | Channel::Depth | Channel::Thumb => {}
    }
}

/// Writes subscriptions as an array of objects.
pub(super) fn write_arguments(subscriptions: &[Subscription<'_>], out: &mut impl Output) {
    out.raw(b"[");
    for (place, subscription) in subscriptions.iter().enumerate() {
        out.raw(if place == 0 { b"{" } else { b",{" });
        write_subscription(subscription, out);
        out.raw(b"}");
    }
    out.raw(b"]");
}

/// The first [`ARGUMENTS_MAX`] + 1 elements of an array. One too many is enough to
/// know; the others are read over, so that a short text can't make a long list.
#[derive(Debug)]
pub(super) struct Arguments<'a>(pub(super) Vec<RawSubscription<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Arguments<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Arguments<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array of subscriptions")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut array: A,
            ) -> Result<Self::Value, A::Error> {
                let mut arguments = Vec::new();
                while arguments.len() <= ARGUMENTS_MAX {
                    match array.next_element()? {
                        Some(Object(argument)) => arguments.push(argument),
                        None => return Ok(Arguments(arguments)),
                    }
                }
                while array.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Arguments(arguments))
            }
        }

        deserializer.deserialize_seq(Visitor)
    }
}
