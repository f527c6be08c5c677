//! The topic of a channel of a symbol: `market/{symbol}/{channel}`.

use super::{Channel, SYMBOL_BYTES_MAX, Symbol};
use crate::writer::Writer;

const PREFIX: &str = "market/";

/// The longest topic that [`Topic::encode`] writes, in bytes.
pub const TOPIC_BYTES_MAX: usize = PREFIX.len() + SYMBOL_BYTES_MAX + "/kline/15m".len();

/// A topic of market data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The market.
    pub symbol: Symbol,
    /// What about it.
    pub channel: Channel,
}

impl Topic {
    /// The topic of a text, or none: any other topic is free for clients' own
    /// use. The symbol must be in its normalised form, since topics are compared
    /// byte by byte.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (symbol, channel) = text.strip_prefix(PREFIX)?.split_once('/')?;
        Some(Self {
            symbol: Symbol::parse(symbol).ok()?,
            channel: Channel::parse(channel)?,
        })
    }

    /// Bytes that [`encode`](Self::encode) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        PREFIX.len() + self.symbol.as_str().len() + 1 + self.channel.as_str().len()
    }

    /// Writes the topic's text and returns its length in bytes.
    ///
    /// # Panics
    /// `out` is shorter than [`encoded_len`](Self::encoded_len).
    pub fn encode(&self, out: &mut [u8]) -> usize {
        let mut writer = Writer::new(out);
        writer.put(PREFIX.as_bytes());
        writer.put(self.symbol.as_str().as_bytes());
        writer.put_u8(b'/');
        writer.put(self.channel.as_str().as_bytes());
        writer.written()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_fit() {
        for symbol in ["BTCUSDT", "ETHUSD_PERP", &"X".repeat(SYMBOL_BYTES_MAX)] {
            for channel in Channel::ALL {
                let topic = Topic {
                    symbol: Symbol::parse(symbol).unwrap(),
                    channel,
                };
                let mut out = [0; TOPIC_BYTES_MAX];
                let written = topic.encode(&mut out);
                assert_eq!(written, topic.encoded_len());
                let text = core::str::from_utf8(&out[..written]).unwrap();
                assert_eq!(text, ["market", symbol, channel.as_str()].join("/"));
                assert_eq!(Topic::parse(text), Some(topic));
            }
        }
    }

    #[test]
    fn other_topics_are_nobodys() {
        for text in [
            "",
            "market",
            "market/",
            "market/BTCUSDT",
            "market/BTCUSDT/",
            "market/btcusdt/trade",
            "market/BTC/USDT/trade",
            "market/BTCUSDT/trade/",
            "market/+/trade",
            "/market/BTCUSDT/trade",
            "user/BTCUSDT/trade",
        ] {
            assert_eq!(Topic::parse(text), None, "{text:?}");
        }
    }
}
