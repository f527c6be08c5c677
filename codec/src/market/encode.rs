//! A message's JSON text. Allocates nothing.
//!
//! The order of the fields and the absence of white space are part of the
//! contract inside the engine ([`as_conflated`](super::as_conflated) relies on
//! them); to clients it is JSON, where order means nothing.

use super::{Bbo, Book, BookKind, Data, Decimal, Kline, Level, Link, Message, Thumb, Trade};
use crate::{
    json::{Length, Output},
    writer::Writer,
};

impl Message<'_> {
    /// Bytes that [`encode`](Self::encode) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut length = Length::default();
        write(self, &mut length);
        length.0
    }

    /// Writes the message's text and returns its length in bytes.
    ///
    /// # Panics
    /// `out` is shorter than [`encoded_len`](Self::encoded_len), or a top-of-book
    /// snapshot has more levels than its channel allows.
    pub fn encode(&self, out: &mut [u8]) -> usize {
        let mut writer = Writer::new(out);
        write(self, &mut writer);
        writer.written()
    }
}

fn write(message: &Message<'_>, out: &mut impl Output) {
    out.raw(b"{\"ch\":");
    out.plain(message.channel().as_str());
    out.raw(b",\"s\":");
    out.plain(message.symbol.as_str());
    out.raw(b",\"seq\":");
    out.integer(message.sequence);
    match message.link {
        Link::After(previous) => {
            out.raw(b",\"prev\":");
            out.integer(previous);
        }
        Link::Conflated => out.raw(b",\"conflated\":true"),
        Link::Snapshot => out.raw(b",\"snapshot\":true"),
    }
    out.raw(b",\"ts\":");
    out.integer(message.source_micros);
    out.raw(b",\"ti\":");
    out.integer(message.ingest_micros);
    out.raw(b",\"data\":{");
    match &message.data {
        Data::Trade(trade) => write_trade(trade, out),
        Data::Bbo(bbo) => write_bbo(bbo, out),
        Data::Depth(kind, book) => write_book(*kind, book, out),
        Data::DepthTop(levels, book) => {
            assert!(
                book.bids.len().max(book.asks.len()) <= levels.count(),
                "too many levels"
            );
            write_book(BookKind::Snapshot, book, out);
        }
        Data::Kline(_, kline) => write_kline(kline, out),
        Data::Thumb(thumb) => write_thumb(thumb, out),
    }
    out.raw(b"}}");
}

fn write_trade(trade: &Trade<'_>, out: &mut impl Output) {
    if let Some(id) = &trade.id {
        out.raw(b"\"id\":");
        out.text(id);
        out.raw(b",");
    }
    write_decimals([("p", trade.price), ("q", trade.quantity)], out);
    out.raw(b",\"side\":");
    out.plain(trade.side.as_str());
}

fn write_bbo(bbo: &Bbo<'_>, out: &mut impl Output) {
    let Bbo { bid, ask } = bbo;
    let fields = [
        ("bp", bid.price),
        ("bq", bid.quantity),
        ("ap", ask.price),
        ("aq", ask.quantity),
    ];
    write_decimals(fields, out);
}

fn write_book(kind: BookKind, book: &Book<'_>, out: &mut impl Output) {
    if kind == BookKind::Snapshot {
        out.raw(b"\"type\":\"snapshot\",");
    }
    if let Some(ids) = book.ids {
        out.raw(b"\"U\":");
        out.integer(ids.first);
        out.raw(b",\"u\":");
        out.integer(ids.last);
        out.raw(b",");
    }
    out.raw(b"\"b\":[");
    write_levels(&book.bids, out);
    out.raw(b"],\"a\":[");
    write_levels(&book.asks, out);
    out.raw(b"]");
    if let Some(checksum) = book.checksum {
        out.raw(b",\"crc\":");
        out.integer(u64::from(checksum));
    }
}

fn write_levels(levels: &[Level<'_>], out: &mut impl Output) {
    let mut separator: &[u8] = b"[";
    for level in levels {
        out.raw(separator);
        out.plain(level.price.text());
        out.raw(b",");
        out.plain(level.quantity.text());
        out.raw(b"]");
        separator = b",[";
    }
}

fn write_kline(kline: &Kline<'_>, out: &mut impl Output) {
    out.raw(b"\"t0\":");
    out.integer(kline.open_micros);
    out.raw(b",\"t1\":");
    out.integer(kline.close_micros);
    out.raw(b",");
    let fields = [
        ("o", kline.open),
        ("h", kline.high),
        ("l", kline.low),
        ("c", kline.close),
        ("v", kline.volume),
        ("qv", kline.quote_volume),
    ];
    write_decimals(fields, out);
    out.raw(b",\"n\":");
    out.integer(kline.trades);
    out.raw(b",\"x\":");
    out.raw(if kline.closed { b"true" } else { b"false" });
    if kline.partial {
        out.raw(b",\"partial\":true");
    }
}

fn write_thumb(thumb: &Thumb<'_>, out: &mut impl Output) {
    let fields = [
        ("o", thumb.open),
        ("h", thumb.high),
        ("l", thumb.low),
        ("c", thumb.close),
        ("v", thumb.volume),
        ("qv", thumb.quote_volume),
        ("chg", thumb.change),
        ("chgp", thumb.change_percent),
    ];
    write_decimals(fields, out);
}

/// Fields of an object, separated by commas.
fn write_decimals<const N: usize>(fields: [(&str, Decimal<'_>); N], out: &mut impl Output) {
    for (place, (name, decimal)) in fields.into_iter().enumerate() {
        if place > 0 {
            out.raw(b",");
        }
        out.plain(name);
        out.raw(b":");
        out.plain(decimal.text());
    }
}
