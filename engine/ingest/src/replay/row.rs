//! A row of a recording: one line of one of three forms, checked.
//!
//! What was checked stays text, for it is passed on as it came; a row says where in its line
//! the fields are.

use crate::refusal::Refusal;
use ringcast_codec::market::{BookKind, Decimal, Side};
use std::fmt;
use std::ops::Range;

/// The headers of the forms, in the order of [`Form`].
pub(crate) const HEADERS: [&str; 3] = [
    "ts_us,symbol,trade_id,side,price,qty",
    "ts_us,symbol,seq,bid_price,bid_qty,ask_price,ask_qty",
    "ts_us,symbol,kind,seq,side,price,qty",
];

/// The end of the century: what is later is not in microseconds.
const MICROS_MAX: u64 = 4_102_444_800_000_000;

/// The longest identifier of a trade, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 128;

/// What the rows of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Trades,
    Bbo,
    Depth,
}

/// Where in its line a field is.
pub(super) type Field = Range<usize>;

/// Where price and quantity are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LevelFields {
    pub(super) price: Field,
    pub(super) quantity: Field,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) micros: u64,
    pub(super) symbol: Field,
    pub(super) data: RowData,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowData {
    Trade {
        id: Field,
        side: Side,
        level: LevelFields,
    },
    Bbo {
        bid: LevelFields,
        ask: LevelFields,
    },
    Depth {
        kind: BookKind,
        update: Option<u64>,
        is_bid: bool,
        level: LevelFields,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineFault<'a> {
    pub(super) refusal: Refusal,
    /// The field, as its header calls it; the whole line if it has no name.
    column: &'static str,
    text: &'a [u8],
}

impl Form {
    pub(super) fn of_header(line: &[u8]) -> Option<Self> {
        let place = HEADERS
            .iter()
            .position(|header| header.as_bytes() == line)?;
        Some([Self::Trades, Self::Bbo, Self::Depth][place])
    }

    /// The row of a line.
    pub(super) fn parse(self, line: &[u8]) -> Result<Row, LineFault<'_>> {
        let Ok(line) = std::str::from_utf8(line) else {
            return Err(LineFault::of_line(Refusal::Encoding, line));
        };
        match self {
            Self::Trades => {
                let [micros, symbol, id, side, price, quantity] = fields(line)?;
                if id.len() > IDENTIFIER_BYTES_MAX {
                    return Err(fault(Refusal::Identifier, "trade_id", line, &id));
                }
                let side_of = Side::parse(&line[side.clone()]);
                let data = RowData::Trade {
                    id,
                    side: side_of.ok_or_else(|| fault(Refusal::Side, "side", line, &side))?,
                    level: level(line, ["price", "qty"], price, quantity)?,
                };
                row(line, &micros, symbol, data)
            }
            Self::Bbo => {
                let [
                    micros,
                    symbol,
                    sequence,
                    bid,
                    bid_quantity,
                    ask,
                    ask_quantity,
                ] = fields(line)?;
                number(line, &sequence)?;
                let data = RowData::Bbo {
                    bid: level(line, ["bid_price", "bid_qty"], bid, bid_quantity)?,
                    ask: level(line, ["ask_price", "ask_qty"], ask, ask_quantity)?,
                };
                row(line, &micros, symbol, data)
            }
            Self::Depth => {
                let [micros, symbol, kind, sequence, side, price, quantity] = fields(line)?;
                let data = RowData::Depth {
                    kind: match &line[kind.clone()] {
                        "snapshot" => BookKind::Snapshot,
                        "update" => BookKind::Update,
                        _ => return Err(fault(Refusal::BookKind, "kind", line, &kind)),
                    },
                    update: number(line, &sequence)?,
                    is_bid: match &line[side.clone()] {
                        "bid" => true,
                        "ask" => false,
                        _ => return Err(fault(Refusal::Side, "side", line, &side)),
                    },
                    level: level(line, ["price", "qty"], price, quantity)?,
                };
                row(line, &micros, symbol, data)
            }
        }
    }
}

/// The fields of a line that has just so many.
fn fields<const N: usize>(line: &str) -> Result<[Field; N], LineFault<'_>> {
    let mut at = 0;
    let mut parts = line.split(',').map(|part| {
        let field = at..at + part.len();
        at = field.end + 1;
        field
    });
    let fields: [Option<Field>; N] = std::array::from_fn(|_| parts.next());
    if fields.iter().any(Option::is_none) || parts.next().is_some() {
        return Err(LineFault::of_line(Refusal::Columns, line.as_bytes()));
    }
    Ok(fields.map(Option::unwrap_or_default))
}

fn row<'a>(
    line: &'a str,
    micros: &Field,
    symbol: Field,
    data: RowData,
) -> Result<Row, LineFault<'a>> {
    let text = &line[micros.clone()];
    let Ok(micros @ 1..=MICROS_MAX) = text.parse() else {
        return Err(fault(Refusal::Time, "ts_us", line, micros));
    };
    Ok(Row {
        micros,
        symbol,
        data,
    })
}

fn level<'a>(
    line: &'a str,
    columns: [&'static str; 2],
    price: Field,
    quantity: Field,
) -> Result<LevelFields, LineFault<'a>> {
    for (column, field) in columns.into_iter().zip([&price, &quantity]) {
        if Decimal::parse(&line[field.clone()]).is_err() {
            return Err(fault(Refusal::Decimal, column, line, field));
        }
    }
    Ok(LevelFields { price, quantity })
}

/// The number of the source's own count, if it has one.
fn number<'a>(line: &'a str, field: &Field) -> Result<Option<u64>, LineFault<'a>> {
    if field.is_empty() {
        return Ok(None);
    }
    let number = line[field.clone()].parse();
    number
        .map(Some)
        .map_err(|_| fault(Refusal::Identifier, "seq", line, field))
}

fn fault<'a>(
    refusal: Refusal,
    column: &'static str,
    line: &'a str,
    field: &Field,
) -> LineFault<'a> {
    LineFault {
        refusal,
        column,
        text: &line.as_bytes()[field.clone()],
    }
}

impl<'a> LineFault<'a> {
    pub(super) fn of_line(refusal: Refusal, line: &'a [u8]) -> Self {
        Self {
            refusal,
            column: "",
            text: line,
        }
    }

    pub(super) fn of_symbol(refusal: Refusal, text: &'a str) -> Self {
        Self {
            refusal,
            column: "symbol",
            text: text.as_bytes(),
        }
    }
}

/// The most of a line that is told.
const EXCERPT_BYTES_MAX: usize = 80;

/// Bytes for people, in quotes.
pub(super) struct Excerpt<'a>(pub(super) &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = &self.0[..self.0.len().min(EXCERPT_BYTES_MAX)];
        let rest = if told.len() < self.0.len() { "…" } else { "" };
        write!(formatter, "\"{}{rest}\"", told.escape_ascii())
    }
}

impl fmt::Display for LineFault<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            refusal,
            column,
            text,
        } = self;
        let text = Excerpt(text);
        match refusal {
            Refusal::LineTooLong => write!(formatter, "is no row, it is too long: {text}"),
            Refusal::LineCut => write!(
                formatter,
                "is cut: it has no line end, so what is missing of it is not known: {text}"
            ),
            Refusal::Encoding => write!(formatter, "is no text: {text}"),
            Refusal::Columns => write!(
                formatter,
                "has another number of fields than the header: {text}"
            ),
            Refusal::Time => write!(
                formatter,
                "{column} {text} is no number of microseconds since 1970 and before 2100"
            ),
            Refusal::TimeBackwards => write!(formatter, "is earlier than the row before: {text}"),
            Refusal::TimeAhead => write!(
                formatter,
                "is more than a day later than the row before, and no row after it agrees: {text}"
            ),
            Refusal::Symbol => write!(
                formatter,
                "{column} {text} is none: expected 1 to 31 of letters, digits, _ . : and / -, \
                 the last two not counted"
            ),
            Refusal::SymbolTwice => write!(
                formatter,
                "{column} {text} comes out the same as another one of the recording"
            ),
            Refusal::SymbolsFull => write!(
                formatter,
                "{column} {text} is one too many: a recording may have {}",
                super::SYMBOLS_MAX
            ),
            Refusal::Side => write!(
                formatter,
                "{column} {text} is none: expected buy or sell, in depth bid or ask"
            ),
            Refusal::BookKind => write!(
                formatter,
                "{column} {text} is none: expected snapshot or update"
            ),
            Refusal::Identifier => write!(
                formatter,
                "{column} {text} can not be taken: expected nothing or a number, in trades \
                 any text of at most {IDENTIFIER_BYTES_MAX} bytes"
            ),
            Refusal::Decimal => write!(
                formatter,
                "{column} {text} is no decimal: expected digits, with a point or without, at \
                 most 38"
            ),
            Refusal::LevelsFull => write!(
                formatter,
                "is one level too many for its message, which may have {}: {text}",
                super::LEVELS_MAX
            ),
            // What is refused behind the recording, and not of its lines.
            Refusal::TooLarge
            | Refusal::RecordKind
            | Refusal::Record
            | Refusal::Topic
            | Refusal::TopicReserved
            | Refusal::Properties => formatter.write_str(refusal.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_each_form_are_read() {
        let line = b"1742944020847021,BTC/USDT,,sell,87232.0,0.00012";
        let row = Form::Trades.parse(line).unwrap();
        assert_eq!(row.micros, 1_742_944_020_847_021);
        assert_eq!(&line[row.symbol.clone()], b"BTC/USDT");
        let RowData::Trade { id, side, level } = row.data.clone() else {
            panic!("{row:?}");
        };
        assert_eq!((id.len(), side), (0, Side::Sell));
        assert_eq!(&line[level.quantity], b"0.00012");

        let line = b"1,A,,1,2,3.50,4";
        let RowData::Bbo { bid, ask } = Form::Bbo.parse(line).unwrap().data else {
            panic!("is a row of bbo");
        };
        assert_eq!(
            (&line[bid.price], &line[ask.price]),
            (&b"1"[..], &b"3.50"[..])
        );

        let row = Form::Depth.parse(b"2,A,update,77,ask,1,0").unwrap();
        let RowData::Depth {
            kind,
            update,
            is_bid,
            ..
        } = row.data
        else {
            panic!("{row:?}");
        };
        assert_eq!((kind, update, is_bid), (BookKind::Update, Some(77), false));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_field() {
        let long = "9".repeat(IDENTIFIER_BYTES_MAX + 1);
        let long = format!("1,A,{long},buy,1,1");
        let digits = format!("1,A,,buy,{},1", "9".repeat(39));
        for (form, line, refusal, told) in [
            (
                Form::Trades,
                &b"\xFF,A,,buy,1,1"[..],
                Refusal::Encoding,
                "\\xff",
            ),
            (Form::Trades, b"", Refusal::Columns, "\"\""),
            (Form::Trades, b"1,A,,buy,1", Refusal::Columns, "buy"),
            (Form::Trades, b"1,A,,buy,1,1,", Refusal::Columns, "buy"),
            (Form::Trades, b"x,A,,buy,1,1", Refusal::Time, "ts_us \"x\""),
            (Form::Trades, b",A,,buy,1,1", Refusal::Time, "ts_us"),
            (Form::Trades, b"0,A,,buy,1,1", Refusal::Time, "ts_us"),
            (Form::Trades, b"-1,A,,buy,1,1", Refusal::Time, "ts_us"),
            (
                Form::Trades,
                b"4102444800000001,A,,buy,1,1",
                Refusal::Time,
                "ts_us",
            ),
            (
                Form::Trades,
                b"99999999999999999999,A,,buy,1,1",
                Refusal::Time,
                "ts_us",
            ),
            (Form::Trades, b"1,A,,BUY,1,1", Refusal::Side, "side \"BUY\""),
            (Form::Trades, b"1,A,,bid,1,1", Refusal::Side, "side"),
            (
                Form::Trades,
                b"1,A,,buy,1e5,1",
                Refusal::Decimal,
                "price \"1e5\"",
            ),
            (Form::Trades, b"1,A,,buy,NaN,1", Refusal::Decimal, "price"),
            (
                Form::Trades,
                b"1,A,,buy,1, 1",
                Refusal::Decimal,
                "qty \" 1\"",
            ),
            (Form::Trades, b"1,A,,buy,,1", Refusal::Decimal, "price"),
            (
                Form::Trades,
                long.as_bytes(),
                Refusal::Identifier,
                "trade_id",
            ),
            (Form::Trades, digits.as_bytes(), Refusal::Decimal, "price"),
            (
                Form::Bbo,
                b"1,A,x,1,1,1,1",
                Refusal::Identifier,
                "seq \"x\"",
            ),
            (
                Form::Bbo,
                b"1,A,,1,1,1,1.",
                Refusal::Decimal,
                "ask_qty \"1.\"",
            ),
            (Form::Bbo, b"1,A,,1,1,1", Refusal::Columns, "1,A"),
            (
                Form::Depth,
                b"1,A,delta,,bid,1,1",
                Refusal::BookKind,
                "kind \"delta\"",
            ),
            (
                Form::Depth,
                b"1,A,update,-1,bid,1,1",
                Refusal::Identifier,
                "seq",
            ),
            (
                Form::Depth,
                b"1,A,update,,buy,1,1",
                Refusal::Side,
                "side \"buy\"",
            ),
        ] {
            let fault = form.parse(line).unwrap_err();
            assert_eq!(fault.refusal, refusal, "{}", line.escape_ascii());
            let sentence = fault.to_string();
            assert!(sentence.contains(told), "{sentence}");
        }
    }

    #[test]
    fn an_excerpt_is_short_and_stays_on_its_line() {
        assert_eq!(Excerpt(b"a\n\"\xFF").to_string(), r#""a\n\"\xff""#);
        let long = Excerpt(&[b'x'; EXCERPT_BYTES_MAX + 1]).to_string();
        assert_eq!(long, format!("\"{}…\"", "x".repeat(EXCERPT_BYTES_MAX)));
    }
}
