//! A market message as values: what [`encode`](Message::encode) writes and
//! [`decode`](Message::decode) reads.
//!
//! The names of the fields on the wire are short; here they are spelt out, and
//! each says its own. Times are microseconds since 1970, UTC. Decimals are the
//! feed's text.

use alloc::borrow::Cow;

use super::{Channel, Decimal, Interval, LevelList, Levels, Side, Symbol};

/// One message about one symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// `s`
    pub symbol: Symbol,
    /// `seq`, counted per channel and symbol, without gaps.
    pub sequence: u64,
    /// `prev`, `conflated` or `snapshot`.
    pub link: Link,
    /// `ts`: when it happened at the source.
    pub source_micros: u64,
    /// `ti`: when the engine took it in.
    pub ingest_micros: u64,
    /// `ch` and `data`.
    pub data: Data<'a>,
}

impl Message<'_> {
    /// `ch`: the channel that the data belongs to.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match &self.data {
            Data::Trade(_) => Channel::Trade,
            Data::Bbo(_) => Channel::Bbo,
            Data::Depth(..) => Channel::Depth,
            Data::DepthTop(levels, _) => Channel::DepthTop(*levels),
            Data::Kline(interval, _) => Channel::Kline(*interval),
            Data::Thumb(_) => Channel::Thumb,
        }
    }
}

/// What a client had before this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The message with this sequence: `prev`.
    After(u64),
    /// Anything older: messages in between were left out for this client.
    /// `"conflated":true`
    Conflated,
    /// Nothing: the last value, sent because the client has just subscribed or
    /// lost its place. `"snapshot":true`
    Snapshot,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data<'a> {
    /// One trade.
    Trade(Trade<'a>),
    /// The best bid and offer.
    Bbo(Bbo<'a>),
    /// A change of the order book, or the whole of it.
    Depth(BookKind, Book<'a>),
    /// The best levels of the book; at most that many of each side.
    DepthTop(Levels, Book<'a>),
    /// A candle.
    Kline(Interval, Kline<'a>),
    /// The last 24 hours.
    Thumb(Thumb<'a>),
}

/// One trade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade<'a> {
    /// `id`: the venue's text, if it has one.
    pub id: Option<Cow<'a, str>>,
    /// `p`
    pub price: Decimal<'a>,
    /// `q`
    pub quantity: Decimal<'a>,
    /// `side`: the taker's.
    pub side: Side,
}

/// The best bid and offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bbo<'a> {
    /// `bp`, `bq`
    pub bid: Level<'a>,
    /// `ap`, `aq`
    pub ask: Level<'a>,
}

/// A price and what there is of it. On the wire of the books: `["price","qty"]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level<'a> {
    /// The price.
    pub price: Decimal<'a>,
    /// The quantity. In a change, zero removes the level.
    pub quantity: Decimal<'a>,
}

/// Whether a book message changes what the client has or replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookKind {
    /// Levels that changed.
    Update,
    /// All levels. `"type":"snapshot"`
    Snapshot,
}

/// Levels of an order book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book<'a> {
    /// `U`, `u`: the source's own numbering, if it has one.
    pub ids: Option<UpdateIds>,
    /// `b`: bids, in snapshots from the highest down.
    pub bids: LevelList<'a>,
    /// `a`: asks, in snapshots from the lowest up.
    pub asks: LevelList<'a>,
    /// `crc`: [`book_checksum`](super::book_checksum) of the book after this
    /// message, where it is known.
    pub checksum: Option<u32>,
}

/// The source's identifiers of the changes that a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateIds {
    /// `U`
    pub first: u64,
    /// `u`
    pub last: u64,
}

/// A candle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kline<'a> {
    /// `t0`: where the interval begins.
    pub open_micros: u64,
    /// `t1`: where it ends and the next one begins.
    pub close_micros: u64,
    /// `o`
    pub open: Decimal<'a>,
    /// `h`
    pub high: Decimal<'a>,
    /// `l`
    pub low: Decimal<'a>,
    /// `c`
    pub close: Decimal<'a>,
    /// `v`: in the base asset.
    pub volume: Decimal<'a>,
    /// `qv`: in the quote asset.
    pub quote_volume: Decimal<'a>,
    /// `n`: trades.
    pub trades: u64,
    /// `x`: the interval is over.
    pub closed: bool,
    /// `"partial":true`: its beginning was not seen.
    pub partial: bool,
}

/// The rolling ticker over the last 86,400 whole seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumb<'a> {
    /// `o`
    pub open: Decimal<'a>,
    /// `h`
    pub high: Decimal<'a>,
    /// `l`
    pub low: Decimal<'a>,
    /// `c`
    pub close: Decimal<'a>,
    /// `v`: in the base asset.
    pub volume: Decimal<'a>,
    /// `qv`: in the quote asset.
    pub quote_volume: Decimal<'a>,
    /// `chg`: close minus open.
    pub change: Decimal<'a>,
    /// `chgp`: the change in percent of open.
    pub change_percent: Decimal<'a>,
}
