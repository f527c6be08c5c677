//! Messages of a recording on their way from the reader's thread to the ingest core.
//!
//! A chunk holds the texts of many messages behind one another, and goes back and forth, so
//! that neither side allocates for a message.

use crate::refusal::Refusals;
use ringcast_codec::market::{BookKind, Decimal, Level, Side, Symbol};

/// Messages in a chunk, after which it is sent.
const ENTRIES_MAX: usize = 512;

/// Bytes of texts in a chunk, after which it is sent. One message of many levels may be
/// larger.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Messages, in order.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) entries: Vec<Entry>,
    text: String,
    levels: Vec<LevelText>,
    /// Symbols that come for the first time; they are numbered in this order.
    pub(super) symbols: Vec<Symbol>,
    /// How often the recording has been read to its end before.
    pub(super) pass: u64,
    pub(super) refused: Refusals,
    pub(super) reports: Vec<String>,
    /// Behind this chunk there is none.
    pub(super) end: Option<End>,
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Failed(String),
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) symbol: u32,
    pub(super) micros: u64,
    pub(super) what: What,
    /// The first of its levels in the chunk: bids, then asks.
    first_level: u32,
    pub(super) bids: u32,
    asks: u32,
}

/// What it is, apart from levels.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// Price and quantity are its one bid.
    Trade {
        side: Side,
        id: Option<Text>,
    },
    /// One bid and one ask.
    Bbo,
    Depth {
        kind: BookKind,
        update: Option<u64>,
    },
}

/// A text in a chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    at: u32,
    bytes: u32,
}

/// A price and, right behind it, a quantity.
#[derive(Debug, Clone, Copy)]
pub(super) struct LevelText {
    at: u32,
    price_bytes: u8,
    quantity_bytes: u8,
}

impl Chunk {
    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.text.clear();
        self.levels.clear();
        self.symbols.clear();
        self.reports.clear();
        self.refused = Refusals::default();
        self.end = None;
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX || self.text.len() >= TEXT_BYTES_MAX
    }

    pub(super) fn push_text(&mut self, text: &str) -> Text {
        let at = self.at();
        self.text.push_str(text);
        Text {
            at,
            bytes: text.len() as u32,
        }
    }

    /// Appends a message whose levels were given as their texts.
    pub(super) fn push<'t>(
        &mut self,
        symbol: u32,
        micros: u64,
        what: What,
        bids: impl Iterator<Item = [&'t str; 2]>,
        asks: impl Iterator<Item = [&'t str; 2]>,
    ) {
        let first_level = self.levels.len() as u32;
        let bids = self.push_levels(bids);
        let asks = self.push_levels(asks);
        self.entries.push(Entry {
            symbol,
            micros,
            what,
            first_level,
            bids,
            asks,
        });
    }

    fn push_levels<'t>(&mut self, levels: impl Iterator<Item = [&'t str; 2]>) -> u32 {
        let before = self.levels.len();
        for [price, quantity] in levels {
            let short = |text: &str| u8::try_from(text.len()).expect("a decimal is short");
            self.levels.push(LevelText {
                at: self.at(),
                price_bytes: short(price),
                quantity_bytes: short(quantity),
            });
            self.text.push_str(price);
            self.text.push_str(quantity);
        }
        (self.levels.len() - before) as u32
    }

    /// Where the next text begins. A chunk is sent long before that needs more bits.
    fn at(&self) -> u32 {
        u32::try_from(self.text.len()).expect("a chunk is bounded")
    }

    pub(super) fn text(&self, text: Text) -> &str {
        let at = text.at as usize;
        &self.text[at..at + text.bytes as usize]
    }

    /// The levels of a message, bids first.
    pub(super) fn levels(&self, entry: &Entry) -> impl Iterator<Item = Level<'_>> {
        let first = entry.first_level as usize;
        let levels = &self.levels[first..][..(entry.bids + entry.asks) as usize];
        levels.iter().map(|level| {
            let middle = level.at as usize + usize::from(level.price_bytes);
            let end = middle + usize::from(level.quantity_bytes);
            Level {
                price: decimal(&self.text[level.at as usize..middle]),
                quantity: decimal(&self.text[middle..end]),
            }
        })
    }
}

fn decimal(text: &str) -> Decimal<'_> {
    Decimal::parse(text).expect("was checked with its row")
}
