//! What there is to subscribe to about a symbol, in the texts that topics and
//! messages use.

/// A kind of message about a symbol, with its own sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Every trade.
    Trade,
    /// Best bid and offer.
    Bbo,
    /// Changes of the order book, and whole books in between.
    Depth,
    /// The best levels of the order book, each message complete.
    DepthTop(Levels),
    /// Candles.
    Kline(Interval),
    /// The rolling ticker of the last 24 hours.
    Thumb,
}

impl Channel {
    /// All there are.
    pub const ALL: [Self; 17] = [
        Self::Trade,
        Self::Bbo,
        Self::Depth,
        Self::DepthTop(Levels::Five),
        Self::DepthTop(Levels::Ten),
        Self::DepthTop(Levels::Twenty),
        Self::Kline(Interval::Second1),
        Self::Kline(Interval::Minute1),
        Self::Kline(Interval::Minute3),
        Self::Kline(Interval::Minute5),
        Self::Kline(Interval::Minute15),
        Self::Kline(Interval::Minute30),
        Self::Kline(Interval::Hour1),
        Self::Kline(Interval::Hour4),
        Self::Kline(Interval::Day1),
        Self::Kline(Interval::Week1),
        Self::Thumb,
    ];

    /// The channel's text: what follows the symbol in a topic, and `ch` in a
    /// message. Needs no escaping.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Bbo => "bbo",
            Self::Depth => "depth",
            Self::DepthTop(Levels::Five) => "depth/5",
            Self::DepthTop(Levels::Ten) => "depth/10",
            Self::DepthTop(Levels::Twenty) => "depth/20",
            Self::Kline(Interval::Second1) => "kline/1s",
            Self::Kline(Interval::Minute1) => "kline/1m",
            Self::Kline(Interval::Minute3) => "kline/3m",
            Self::Kline(Interval::Minute5) => "kline/5m",
            Self::Kline(Interval::Minute15) => "kline/15m",
            Self::Kline(Interval::Minute30) => "kline/30m",
            Self::Kline(Interval::Hour1) => "kline/1h",
            Self::Kline(Interval::Hour4) => "kline/4h",
            Self::Kline(Interval::Day1) => "kline/1d",
            Self::Kline(Interval::Week1) => "kline/1w",
            Self::Thumb => "thumb",
        }
    }

    /// The channel of a text, or none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.as_str() == text)
    }
}

/// The length of a candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Interval {
    /// `1s`
    Second1,
    /// `1m`, what is meant where none is said.
    #[default]
    Minute1,
    /// `3m`
    Minute3,
    /// `5m`
    Minute5,
    /// `15m`
    Minute15,
    /// `30m`
    Minute30,
    /// `1h`
    Hour1,
    /// `4h`
    Hour4,
    /// `1d`, from midnight UTC
    Day1,
    /// `1w`, from Monday midnight UTC
    Week1,
}

impl Interval {
    /// The interval's text, `1s` to `1w`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        &Channel::Kline(self).as_str()["kline/".len()..]
    }

    /// The interval of a text, or none. `M` and other spellings are not known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Channel::ALL.into_iter().find_map(|channel| match channel {
            Channel::Kline(interval) if interval.as_str() == text => Some(interval),
            _ => None,
        })
    }

    /// The interval's length in seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        match self {
            Self::Second1 => 1,
            Self::Minute1 => 60,
            Self::Minute3 => 180,
            Self::Minute5 => 300,
            Self::Minute15 => 900,
            Self::Minute30 => 1_800,
            Self::Hour1 => 3_600,
            Self::Hour4 => 14_400,
            Self::Day1 => 86_400,
            Self::Week1 => 604_800,
        }
    }
}

/// How many of the best levels of each side a top-of-book snapshot has at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Levels {
    /// 5 of each side.
    Five,
    /// 10 of each side.
    Ten,
    /// 20 of each side.
    Twenty,
}

impl Levels {
    /// The levels of a number, or none.
    #[must_use]
    pub fn from_count(count: u64) -> Option<Self> {
        match count {
            5 => Some(Self::Five),
            10 => Some(Self::Ten),
            20 => Some(Self::Twenty),
            _ => None,
        }
    }

    /// The number of levels of each side.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Five => 5,
            Self::Ten => 10,
            Self::Twenty => 20,
        }
    }
}

/// Who took: the side of the order that met a resting one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The taker bought.
    Buy,
    /// The taker sold.
    Sell,
}

impl Side {
    /// `buy` or `sell`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }

    /// The side of a text, or none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "buy" => Some(Self::Buy),
            "sell" => Some(Self::Sell),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec::Vec};

    use super::*;

    #[test]
    fn texts_of_channels_come_back() {
        for channel in Channel::ALL {
            assert_eq!(Channel::parse(channel.as_str()), Some(channel));
            if let Channel::DepthTop(levels) = channel {
                assert_eq!(Levels::from_count(levels.count() as u64), Some(levels));
                assert_eq!(channel.as_str(), format!("depth/{}", levels.count()));
            }
        }
        for text in [
            "", "kline", "kline/", "kline/2m", "kline/1M", "depth/0", "depth/05", "Trade", "trade/",
        ] {
            assert_eq!(Channel::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn seconds_agree_with_the_text() {
        let mut seen = Vec::new();
        for channel in Channel::ALL {
            let Channel::Kline(interval) = channel else {
                continue;
            };
            let (count, unit) = interval.as_str().split_at(interval.as_str().len() - 1);
            let unit = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                "w" => 604_800,
                other => panic!("unit {other}"),
            };
            assert_eq!(interval.seconds(), count.parse::<u32>().unwrap() * unit);
            assert_eq!(Interval::parse(interval.as_str()), Some(interval));
            seen.push(interval.as_str());
        }
        assert_eq!(
            seen,
            ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "4h", "1d", "1w"]
        );
        assert_eq!(Interval::parse("2h"), None);
    }
}
