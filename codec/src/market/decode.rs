//! Reading a message back: for clients and tests, which want to know whether it
//! is exactly right.
//!
//! Stricter than a client of somebody else's should be: unknown, missing,
//! repeated and `null` fields are faults, as are numbers where text belongs and
//! symbols that are not normalised. Order of fields and white space are free.
//! Decimals are borrowed from the input.

use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Bbo, Book, BookKind, Channel, Data, Decimal, DecimalFault, Kline, Level, LevelList, Levels,
    Link, Message, Side, Symbol, SymbolFault, Thumb, Trade, UpdateIds,
};
use crate::json::{Text, object, present};

/// Why a text is not a market message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFault {
    /// It is not JSON in UTF-8, or a level goes on where it should end.
    Json,
    /// It is JSON, but fields are missing, unknown, repeated or of another type.
    Shape,
    /// `ch` is no channel.
    Channel,
    /// `s` is no normalised symbol.
    Symbol(SymbolFault),
    /// Not exactly one of `prev`, `conflated` and `snapshot`.
    Link,
    /// A price, quantity or other decimal is none.
    Decimal(DecimalFault),
    /// `side` is neither `buy` nor `sell`.
    Side,
    /// `type` is not `snapshot`, or is missing in a top-of-book snapshot.
    BookKind,
    /// Only one of `U` and `u`.
    UpdateIds,
    /// A top-of-book snapshot has more levels than its channel allows.
    TooManyLevels,
}

impl From<serde_json::Error> for MessageFault {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() {
            Self::Shape
        } else {
            Self::Json
        }
    }
}

impl From<SymbolFault> for MessageFault {
    fn from(fault: SymbolFault) -> Self {
        Self::Symbol(fault)
    }
}

impl From<DecimalFault> for MessageFault {
    fn from(fault: DecimalFault) -> Self {
        Self::Decimal(fault)
    }
}

impl<'a> Message<'a> {
    /// Reads one message, which must be all of the input.
    ///
    /// # Errors
    /// The input is not a message; what is wrong first.
    pub fn decode(input: &'a [u8]) -> Result<Self, MessageFault> {
        let raw: RawMessage<'_> = object(input)?;
        let link = match (raw.prev, raw.conflated, raw.snapshot) {
            (Some(previous), false, false) => Link::After(previous),
            (None, true, false) => Link::Conflated,
            (None, false, true) => Link::Snapshot,
            _ => return Err(MessageFault::Link),
        };
        let data = raw.data.get();
        let data = match Channel::parse(&raw.ch.0).ok_or(MessageFault::Channel)? {
            Channel::Trade => Data::Trade(trade(data)?),
            Channel::Bbo => Data::Bbo(bbo(data)?),
            Channel::Depth => {
                let (kind, book) = book(data)?;
                Data::Depth(kind, book)
            }
            Channel::DepthTop(levels) => Data::DepthTop(levels, top(levels, data)?),
            Channel::Kline(interval) => Data::Kline(interval, kline(data)?),
            Channel::Thumb => Data::Thumb(thumb(data)?),
        };
        Ok(Self {
            symbol: Symbol::parse(&raw.s.0)?,
            sequence: raw.seq,
            link,
            source_micros: raw.ts,
            ingest_micros: raw.ti,
            data,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMessage<'a> {
    #[serde(borrow)]
    ch: Text<'a>,
    #[serde(borrow)]
    s: Text<'a>,
    seq: u64,
    #[serde(default, deserialize_with = "present")]
    prev: Option<u64>,
    #[serde(default)]
    conflated: bool,
    #[serde(default)]
    snapshot: bool,
    ts: u64,
    ti: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn trade(data: &str) -> Result<Trade<'_>, MessageFault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw<'a> {
        #[serde(default, borrow, deserialize_with = "present")]
        id: Option<Text<'a>>,
        p: &'a str,
        q: &'a str,
        side: &'a str,
    }
    let raw: Raw<'_> = object(data.as_bytes())?;
    Ok(Trade {
        id: raw.id.map(|text| text.0),
        price: Decimal::parse(raw.p)?,
        quantity: Decimal::parse(raw.q)?,
        side: Side::parse(raw.side).ok_or(MessageFault::Side)?,
    })
}

fn bbo(data: &str) -> Result<Bbo<'_>, MessageFault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw<'a> {
        bp: &'a str,
        bq: &'a str,
        ap: &'a str,
        aq: &'a str,
    }
    let raw: Raw<'_> = object(data.as_bytes())?;
    Ok(Bbo {
        bid: level((raw.bp, raw.bq))?,
        ask: level((raw.ap, raw.aq))?,
    })
}

fn book(data: &str) -> Result<(BookKind, Book<'_>), MessageFault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw<'a> {
        #[serde(rename = "type", default, borrow, deserialize_with = "present")]
        kind: Option<&'a str>,
        #[serde(rename = "U", default, deserialize_with = "present")]
        first: Option<u64>,
        #[serde(rename = "u", default, deserialize_with = "present")]
        last: Option<u64>,
        #[serde(borrow)]
        b: Vec<(&'a str, &'a str)>,
        #[serde(borrow)]
        a: Vec<(&'a str, &'a str)>,
        #[serde(default, deserialize_with = "present")]
        crc: Option<u32>,
    }
    let raw: Raw<'_> = object(data.as_bytes())?;
    let kind = match raw.kind {
        None => BookKind::Update,
        Some("snapshot") => BookKind::Snapshot,
        Some(_) => return Err(MessageFault::BookKind),
    };
    let ids = match (raw.first, raw.last) {
        (None, None) => None,
        (Some(first), Some(last)) => Some(UpdateIds { first, last }),
        _ => return Err(MessageFault::UpdateIds),
    };
    Ok((
        kind,
        Book {
            ids,
            bids: levels(raw.b)?,
            asks: levels(raw.a)?,
            checksum: raw.crc,
        },
    ))
}

fn top(levels: Levels, data: &str) -> Result<Book<'_>, MessageFault> {
    match book(data)? {
        (BookKind::Update, _) => Err(MessageFault::BookKind),
        (BookKind::Snapshot, book) if book.bids.len().max(book.asks.len()) > levels.count() => {
            Err(MessageFault::TooManyLevels)
        }
        (BookKind::Snapshot, book) => Ok(book),
    }
}

fn levels<'a>(raw: Vec<(&'a str, &'a str)>) -> Result<LevelList<'a>, MessageFault> {
    raw.into_iter()
        .map(level)
        .collect::<Result<_, _>>()
        .map(LevelList::Owned)
}

fn level<'a>((price, quantity): (&'a str, &'a str)) -> Result<Level<'a>, MessageFault> {
    Ok(Level {
        price: Decimal::parse(price)?,
        quantity: Decimal::parse(quantity)?,
    })
}

fn kline(data: &str) -> Result<Kline<'_>, MessageFault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw<'a> {
        t0: u64,
        t1: u64,
        o: &'a str,
        h: &'a str,
        l: &'a str,
        c: &'a str,
        v: &'a str,
        qv: &'a str,
        n: u64,
        x: bool,
        #[serde(default)]
        partial: bool,
    }
    let raw: Raw<'_> = object(data.as_bytes())?;
    Ok(Kline {
        open_micros: raw.t0,
        close_micros: raw.t1,
        open: Decimal::parse(raw.o)?,
        high: Decimal::parse(raw.h)?,
        low: Decimal::parse(raw.l)?,
        close: Decimal::parse(raw.c)?,
        volume: Decimal::parse(raw.v)?,
        quote_volume: Decimal::parse(raw.qv)?,
        trades: raw.n,
        closed: raw.x,
        partial: raw.partial,
    })
}

fn thumb(data: &str) -> Result<Thumb<'_>, MessageFault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw<'a> {
        o: &'a str,
        h: &'a str,
        l: &'a str,
        c: &'a str,
        v: &'a str,
        qv: &'a str,
        chg: &'a str,
        chgp: &'a str,
    }
    let raw: Raw<'_> = object(data.as_bytes())?;
    Ok(Thumb {
        open: Decimal::parse(raw.o)?,
        high: Decimal::parse(raw.h)?,
        low: Decimal::parse(raw.l)?,
        close: Decimal::parse(raw.c)?,
        volume: Decimal::parse(raw.v)?,
        quote_volume: Decimal::parse(raw.qv)?,
        change: Decimal::parse(raw.chg)?,
        change_percent: Decimal::parse(raw.chgp)?,
    })
}
