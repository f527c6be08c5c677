//! What a client asks for, and the small things that requests and replies name.

use alloc::borrow::Cow;
use core::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::market::{Channel, Symbol};

/// The longest text that a request may have for its `id`, in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// The longest name of a log, in bytes.
pub const EPOCH_BYTES_MAX: usize = 64;

/// The client's own name for a request, given back with the reply: a whole
/// number from 0, or a text of at most [`ID_BYTES_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id<'a> {
    /// A number. JavaScript is exact up to 2⁵³.
    Number(u64),
    /// A text.
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Id<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl Visitor {
            fn bounded<E: de::Error>(text: Cow<'_, str>) -> Result<Id<'_>, E> {
                if text.len() > ID_BYTES_MAX {
                    return Err(E::custom("the id is too long"));
                }
                Ok(Id::Text(text))
            }
        }

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Id<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number or a text")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id<'de>, E> {
                Ok(Id::Number(number))
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Id<'de>, E> {
                Self::bounded(Cow::Borrowed(text))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id<'de>, E> {
                Self::bounded(Cow::Owned(text.into()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Names the log that sequences count in: 1 to [`EPOCH_BYTES_MAX`] letters,
/// digits, `-`, `_`, `.` and `:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch<'a>(&'a str);

impl<'a> Epoch<'a> {
    /// The epoch of a text, or none.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let good = (1..=EPOCH_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
        good.then_some(Self(text))
    }

    /// The text. Needs no escaping.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// Where a client wants to go on: after this message of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume<'a> {
    /// The log that the sequence counts in.
    pub epoch: Epoch<'a>,
    /// The last message that the client has.
    pub sequence: u64,
}

/// How often a client wants to hear of a topic at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Every message.
    Raw,
    /// The newest, ten times a second.
    Millis100,
    /// The newest, once a second.
    Second1,
}

impl Tier {
    /// `raw`, `100ms` or `1s`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Millis100 => "100ms",
            Self::Second1 => "1s",
        }
    }

    /// The tier of a text, or none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Raw, Self::Millis100, Self::Second1]
            .into_iter()
            .find(|tier| tier.as_str() == text)
    }
}

/// One channel of one symbol, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// What to hear of.
    pub channel: Channel,
    /// Of which market; none means all, and only [`Channel::Thumb`] has that.
    pub symbol: Option<Symbol>,
    /// How often; none leaves it to the topic's delivery class.
    pub tier: Option<Tier>,
    /// Where to go on; none starts with the last value.
    pub from: Option<Resume<'a>>,
}
