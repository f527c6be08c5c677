//! Market messages: what they look like, that they come back, that what is not
//! quite one is refused.

use std::borrow::Cow;

use proptest::prelude::*;
use ringcast_codec::market::{
    Bbo, Book, BookKind, Channel, Data, Decimal, DecimalFault, Interval, Kline, Level, LevelList,
    Levels, Link, Message, MessageFault, Side, Symbol, SymbolFault, Thumb, Trade, UpdateIds,
    as_conflated, as_snapshot,
};

fn d(text: &str) -> Decimal<'_> {
    Decimal::parse(text).unwrap()
}

fn encoded(message: &Message<'_>) -> String {
    let mut out = vec![0; message.encoded_len()];
    assert_eq!(message.encode(&mut out), out.len());
    String::from_utf8(out).unwrap()
}

/// What each channel looks like, with and without what is optional.
const EXAMPLES: [&str; 9] = [
    r#"{"ch":"trade","s":"BTCUSDT","seq":1042,"prev":1041,"ts":1650000000123456,"ti":1650000000123901,"data":{"id":"123","p":"40000.10","q":"0.025","side":"buy"}}"#,
    r#"{"ch":"trade","s":"XMRUSD","seq":1,"prev":0,"ts":1618678142592855,"ti":1618678142592901,"data":{"p":"354.11000000","q":"0.89594024","side":"sell"}}"#,
    r#"{"ch":"bbo","s":"BTCUSDT","seq":7,"conflated":true,"ts":1,"ti":2,"data":{"bp":"87232.00000000","bq":"2.42385000","ap":"87232.01000000","aq":"2.64517000"}}"#,
    r#"{"ch":"depth","s":"ETHUSD_PERP","seq":8,"prev":7,"ts":1,"ti":2,"data":{"U":1007198635066,"u":1007198635066,"b":[["2682.17","159"],["2682.12","0"]],"a":[],"crc":4294967295}}"#,
    r#"{"ch":"depth","s":"ADAXBT","seq":9,"snapshot":true,"ts":1,"ti":2,"data":{"type":"snapshot","b":[["0.000022890","31.75709827"]],"a":[["0.0000229","1"],["0.0000230","2"]]}}"#,
    r#"{"ch":"depth/5","s":"BTCUSDT","seq":3,"prev":2,"ts":1,"ti":2,"data":{"type":"snapshot","U":5,"u":6,"b":[],"a":[["1","1"]],"crc":0}}"#,
    r#"{"ch":"kline/1m","s":"BTCUSDT","seq":4,"prev":3,"ts":1,"ti":2,"data":{"t0":1742944020000000,"t1":1742944080000000,"o":"87232.0","h":"87240.0","l":"87230.01","c":"87232.01","v":"1.20","qv":"104678.412","n":37,"x":false,"partial":true}}"#,
    r#"{"ch":"kline/1w","s":"BTCUSDT","seq":4,"prev":3,"ts":1,"ti":2,"data":{"t0":0,"t1":1,"o":"1","h":"1","l":"1","c":"1","v":"0","qv":"0","n":0,"x":true}}"#,
    r#"{"ch":"thumb","s":"BTCUSDT","seq":4,"prev":3,"ts":1,"ti":2,"data":{"o":"1","h":"2","l":"0.5","c":"0.75","v":"10","qv":"12.5","chg":"-0.25","chgp":"-25.00"}}"#,
];

#[test]
fn examples_come_back_byte_for_byte() {
    for example in EXAMPLES {
        let message = Message::decode(example.as_bytes()).unwrap();
        assert_eq!(encoded(&message), example);
    }
}

#[test]
fn fields_mean_what_they_say() {
    let expected = Message {
        symbol: Symbol::parse("BTCUSDT").unwrap(),
        sequence: 1042,
        link: Link::After(1041),
        source_micros: 1_650_000_000_123_456,
        ingest_micros: 1_650_000_000_123_901,
        data: Data::Trade(Trade {
            id: Some(Cow::Borrowed("123")),
            price: d("40000.10"),
            quantity: d("0.025"),
            side: Side::Buy,
        }),
    };
    assert_eq!(encoded(&expected), EXAMPLES[0]);
    let kline = Message {
        symbol: Symbol::parse("BTCUSDT").unwrap(),
        sequence: 4,
        link: Link::After(3),
        source_micros: 1,
        ingest_micros: 2,
        data: Data::Kline(
            Interval::Minute1,
            Kline {
                open_micros: 1_742_944_020_000_000,
                close_micros: 1_742_944_080_000_000,
                open: d("87232.0"),
                high: d("87240.0"),
                low: d("87230.01"),
                close: d("87232.01"),
                volume: d("1.20"),
                quote_volume: d("104678.412"),
                trades: 37,
                closed: false,
                partial: true,
            },
        ),
    };
    assert_eq!(encoded(&kline), EXAMPLES[6]);
    for (example, message) in [(EXAMPLES[0], expected), (EXAMPLES[6], kline)] {
        assert_eq!(Message::decode(example.as_bytes()), Ok(message));
    }
}

/// Recorded trades look like this: `ts_us,symbol,trade_id,side,price,qty`.
const TRADE_ROWS: &str = "\
1742944020847021,BTCUSDT,4744868157,sell,87232.0,0.00012
1742944021489517,SOLUSDT,1169618299,buy,143.54,0.428
1723161254087896,BTCUSDT,3735683259,sell,61837.63000000,0.02000000
1723161257506125,ETHUSD_PERP,805376266,buy,2682.18,1
1618677817129516,SKL-BTC,280232,buy,0.00001305,985
1652459225507260,BTC-USDT,338476307,buy,30236,0.0002
1652459225507075,BTC-USD-220527,7849,buy,30218.8,1
1618678145948901,SC/EUR,,sell,0.042990,15979.71727919
1641343699529292,ethusd,216000477,buy,3805.44,0.07920000";

#[test]
fn rows_of_several_venues_encode_as_they_stand() {
    for row in TRADE_ROWS.lines() {
        let fields: Vec<_> = row.split(',').collect();
        let [ts, symbol, id, side, price, quantity] = fields[..] else {
            panic!("{row}")
        };
        let message = Message {
            symbol: Symbol::normalise(symbol).unwrap(),
            sequence: 1,
            link: Link::After(0),
            source_micros: ts.parse().unwrap(),
            ingest_micros: 2,
            data: Data::Trade(Trade {
                id: (!id.is_empty()).then_some(Cow::Borrowed(id)),
                price: d(price),
                quantity: d(quantity),
                side: Side::parse(side).unwrap(),
            }),
        };
        let symbol = symbol.replace(['/', '-'], "").to_uppercase();
        let id = if id.is_empty() {
            String::new()
        } else {
            format!("\"id\":\"{id}\",")
        };
        let expected = format!(
            "{{\"ch\":\"trade\",\"s\":\"{symbol}\",\"seq\":1,\"prev\":0,\"ts\":{ts},\"ti\":2,\
             \"data\":{{{id}\"p\":\"{price}\",\"q\":\"{quantity}\",\"side\":\"{side}\"}}}}"
        );
        assert_eq!(encoded(&message), expected);
        assert_eq!(Message::decode(expected.as_bytes()), Ok(message));
    }
}

#[test]
fn order_and_white_space_are_free() {
    let text = "\n{ \"data\": {\"side\":\"sell\", \"q\":\"1\",\"p\":\"2\"} , \"ti\":1,\"ts\":0,\
                \"snapshot\":true,\"conflated\":false,\"seq\":5,\"s\":\"A\",\"ch\":\"trade\" } ";
    let canonical = r#"{"ch":"trade","s":"A","seq":5,"snapshot":true,"ts":0,"ti":1,"data":{"p":"2","q":"1","side":"sell"}}"#;
    assert_eq!(
        encoded(&Message::decode(text.as_bytes()).unwrap()),
        canonical
    );
}

#[test]
fn what_is_not_quite_a_message_is_refused() {
    use MessageFault as Fault;
    let (trade, book, top, kline) = (EXAMPLES[0], EXAMPLES[3], EXAMPLES[5], EXAMPLES[6]);
    for (example, from, to, fault) in [
        (trade, "{\"ch", "[\"ch", Fault::Shape),
        (trade, "}}", "}", Fault::Json),
        (trade, "}}", "}}}", Fault::Json),
        (trade, "buy", "b\u{1}y", Fault::Json),
        (trade, ":1042", ":\"1042\"", Fault::Shape),
        (trade, ":1042", ":1042.0", Fault::Shape),
        (trade, ":1042", ":-1", Fault::Shape),
        (trade, ":1042", ":18446744073709551616", Fault::Shape),
        (trade, "\"seq\":1042,", "", Fault::Shape),
        (
            trade,
            "\"seq\":1042",
            "\"seq\":1042,\"seq\":1042",
            Fault::Shape,
        ),
        (trade, "\"seq\"", "\"extra\":1,\"seq\"", Fault::Shape),
        (trade, ":1041", ":null", Fault::Shape),
        (trade, "\"123\"", "null", Fault::Shape),
        (trade, "\"123\"", "123", Fault::Shape),
        (trade, "\"40000.10\"", "40000.10", Fault::Shape),
        (
            trade,
            r#"{"id":"123","p":"40000.10","q":"0.025","side":"buy"}"#,
            r#"["123","1","1","buy"]"#,
            Fault::Shape,
        ),
        (trade, "\"side\"", "\"taker\"", Fault::Shape),
        (trade, "\"trade\"", "\"trades\"", Fault::Channel),
        (
            trade,
            "BTCUSDT",
            "BTC-USDT",
            Fault::Symbol(SymbolFault::NotNormalised),
        ),
        (
            trade,
            "BTCUSDT",
            "BTC USDT",
            Fault::Symbol(SymbolFault::Byte(b' ')),
        ),
        (trade, "\"prev\":1041,", "", Fault::Link),
        (
            trade,
            "\"prev\"",
            "\"conflated\":true,\"prev\"",
            Fault::Link,
        ),
        (
            trade,
            "\"prev\":1041",
            "\"conflated\":true,\"snapshot\":true",
            Fault::Link,
        ),
        (
            trade,
            "40000.10",
            "4e4",
            Fault::Decimal(DecimalFault::Grammar),
        ),
        (trade, "buy", "bid", Fault::Side),
        (book, "\"U\":1007198635066,", "", Fault::UpdateIds),
        (book, "\"U\"", "\"type\":\"update\",\"U\"", Fault::BookKind),
        (book, ",\"159\"]", "]", Fault::Shape),
        (book, ",\"159\"]", ",\"159\",\"1\"]", Fault::Json),
        (book, "4294967295", "4294967296", Fault::Shape),
        (top, "\"type\":\"snapshot\",", "", Fault::BookKind),
        (
            top,
            "[[\"1\",\"1\"]]",
            r#"[["1","1"],["2","1"],["3","1"],["4","1"],["5","1"],["6","1"]]"#,
            Fault::TooManyLevels,
        ),
        (kline, "\"x\":false", "\"x\":0", Fault::Shape),
        (kline, "\"n\":37", "\"n\":\"37\"", Fault::Shape),
    ] {
        assert!(example.contains(from), "{from}");
        let text = example.replacen(from, to, 1);
        assert_eq!(Message::decode(text.as_bytes()), Err(fault), "{text}");
    }
    let mut bytes = EXAMPLES[0].replace("123\"", "\u{e9}\"").into_bytes();
    let place = bytes.iter().position(|&byte| byte == 0xC3).unwrap();
    bytes.remove(place);
    assert_eq!(Message::decode(&bytes), Err(Fault::Json), "not UTF-8");
}

#[test]
#[should_panic(expected = "too many levels")]
fn top_of_book_never_exceeds_its_channel() {
    let level = Level {
        price: d("1"),
        quantity: d("1"),
    };
    let book = Book {
        ids: None,
        bids: LevelList::Owned(vec![level; 6]),
        asks: LevelList::Borrowed(&[]),
        checksum: None,
    };
    let example = Message::decode(EXAMPLES[0].as_bytes()).unwrap();
    let _ = Message {
        data: Data::DepthTop(Levels::Five, book),
        ..example
    }
    .encoded_len();
}

#[test]
fn only_what_was_encoded_here_can_be_marked() {
    for example in EXAMPLES {
        for (parts, link) in [
            (as_conflated(example.as_bytes()), Link::Conflated),
            (as_snapshot(example.as_bytes()), Link::Snapshot),
        ] {
            let marked = parts.unwrap().concat();
            let expected = Message {
                link,
                ..Message::decode(example.as_bytes()).unwrap()
            };
            assert_eq!(String::from_utf8(marked).unwrap(), encoded(&expected));
        }
    }
    for (from, to) in [
        ("{\"ch\"", "{ \"ch\""),
        ("\"s\":", "\"t\":"),
        ("\"seq\":1042", "\"seq\": 1042"),
        ("\"prev\":1041,", ""),
        (",\"ts\"", ",\"x\":1,\"ts\""),
    ] {
        let text = EXAMPLES[0].replacen(from, to, 1);
        assert_ne!(text, EXAMPLES[0]);
        assert_eq!(as_conflated(text.as_bytes()), None, "{text}");
    }
    assert_eq!(as_snapshot(b""), None);
}

/// Texts to build a message from.
#[derive(Debug, Clone)]
struct Seed {
    channel: Channel,
    symbol: String,
    numbers: [u64; 6],
    decimals: Vec<String>,
    id: Option<String>,
    flags: [bool; 4],
    levels: (usize, usize),
}

fn seed() -> impl Strategy<Value = Seed> {
    let decimal = "-?([0-9]{1,19}|[0-9]{1,12}\\.[0-9]{1,10})";
    (
        prop::sample::select(Channel::ALL.to_vec()),
        "[A-Z0-9_.:]{1,31}",
        any::<[u64; 6]>(),
        prop::collection::vec(decimal, 8..=40),
        prop::option::of(any::<String>()),
        any::<[bool; 4]>(),
        (0_usize..6, 0_usize..6),
    )
        .prop_map(
            |(channel, symbol, numbers, decimals, id, flags, levels)| Seed {
                channel,
                symbol,
                numbers,
                decimals,
                id,
                flags,
                levels,
            },
        )
}

fn build(seed: &Seed) -> Message<'_> {
    let d = |place: usize| d(&seed.decimals[place % seed.decimals.len()]);
    let [
        sequence,
        previous,
        source_micros,
        ingest_micros,
        first,
        last,
    ] = seed.numbers;
    let link = match seed.flags {
        [true, ..] => Link::After(previous),
        [false, true, ..] => Link::Conflated,
        [false, false, ..] => Link::Snapshot,
    };
    let book = |count: (usize, usize)| {
        let levels = |from: usize, count: usize| -> Vec<_> {
            (0..count)
                .map(|n| Level {
                    price: d(from + 2 * n),
                    quantity: d(from + 2 * n + 1),
                })
                .collect()
        };
        Book {
            ids: seed.flags[2].then_some(UpdateIds { first, last }),
            bids: LevelList::Owned(levels(0, count.0)),
            asks: LevelList::Owned(levels(9, count.1)),
            checksum: seed.flags[3].then_some((previous >> 32) as u32),
        }
    };
    let data = match seed.channel {
        Channel::Trade => Data::Trade(Trade {
            id: seed.id.as_deref().map(Cow::Borrowed),
            price: d(0),
            quantity: d(1),
            side: if seed.flags[2] { Side::Buy } else { Side::Sell },
        }),
        Channel::Bbo => Data::Bbo(Bbo {
            bid: Level {
                price: d(0),
                quantity: d(1),
            },
            ask: Level {
                price: d(2),
                quantity: d(3),
            },
        }),
        Channel::Depth if seed.flags[1] => Data::Depth(BookKind::Snapshot, book(seed.levels)),
        Channel::Depth => Data::Depth(BookKind::Update, book(seed.levels)),
        Channel::DepthTop(levels) => {
            Data::DepthTop(levels, book((seed.levels.0.min(5), levels.count())))
        }
        Channel::Kline(interval) => Data::Kline(
            interval,
            Kline {
                open_micros: first,
                close_micros: last,
                open: d(0),
                high: d(1),
                low: d(2),
                close: d(3),
                volume: d(4),
                quote_volume: d(5),
                trades: previous,
                closed: seed.flags[2],
                partial: seed.flags[3],
            },
        ),
        Channel::Thumb => Data::Thumb(Thumb {
            open: d(0),
            high: d(1),
            low: d(2),
            close: d(3),
            volume: d(4),
            quote_volume: d(5),
            change: d(6),
            change_percent: d(7),
        }),
    };
    let symbol = Symbol::parse(&seed.symbol).unwrap();
    Message {
        symbol,
        sequence,
        link,
        source_micros,
        ingest_micros,
        data,
    }
}

proptest! {
    #[test]
    fn every_message_comes_back(seed in seed()) {
            let message = build(&seed);
        let text = encoded(&message);
        let again = Message::decode(text.as_bytes()).unwrap();
        prop_assert_eq!(&again, &message);
        prop_assert_eq!(again.channel(), seed.channel);
        prop_assert_eq!(encoded(&again), text);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(input in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Message::decode(&input).is_err());
    }
}
