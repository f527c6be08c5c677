//! JSON operations and replies: what they look like, that they come back, that
//! what is wrong is refused under its name.

use std::borrow::Cow;

use proptest::prelude::*;
use ringcast_codec::{
    gateway::{
        ARGUMENTS_MAX, Action, CloseReason, Epoch, ErrorCode, Id, OPERATION_BYTES_MAX, Operation,
        OperationFault as Fault, Reply, ReplyFault, Resume, Subscription, Tier,
    },
    market::{Channel, Interval, Levels, Symbol, SymbolFault},
};

fn encoded(operation: &Operation<'_>) -> String {
    let mut out = vec![0; operation.encoded_len()];
    assert_eq!(operation.encode(&mut out), out.len());
    String::from_utf8(out).unwrap()
}

fn encoded_reply(reply: &Reply<'_>) -> String {
    let mut out = vec![0; reply.encoded_len()];
    assert_eq!(reply.encode(&mut out), out.len());
    String::from_utf8(out).unwrap()
}

fn on(channel: Channel, symbol: &str) -> Subscription<'static> {
    Subscription {
        channel,
        symbol: Some(Symbol::parse(symbol).unwrap()),
        tier: None,
        from: None,
    }
}

#[test]
fn operations_look_like_this() {
    let number = |number| Some(Id::Number(number));
    let from = Some(Resume {
        epoch: Epoch::parse("e-1").unwrap(),
        sequence: 1030,
    });
    for (text, id, action) in [
        (
            r#"{"op":"subscribe","id":1,"channel":"kline","symbol":"BTCUSDT","interval":"1s"}"#,
            number(1),
            Action::Subscribe(vec![on(Channel::Kline(Interval::Second1), "BTCUSDT")]),
        ),
        (
            r#"{"op":"subscribe","id":2,"args":[{"channel":"trade","symbol":"ETHUSDT"},{"channel":"depth","symbol":"ETHUSDT","levels":10}]}"#,
            number(2),
            Action::Subscribe(vec![
                on(Channel::Trade, "ETHUSDT"),
                on(Channel::DepthTop(Levels::Ten), "ETHUSDT"),
            ]),
        ),
        (
            r#"{"op":"subscribe","id":3,"channel":"trade","symbol":"BTCUSDT","tier":"100ms","from":{"epoch":"e-1","seq":1030}}"#,
            number(3),
            Action::Subscribe(vec![Subscription {
                tier: Some(Tier::Millis100),
                from,
                ..on(Channel::Trade, "BTCUSDT")
            }]),
        ),
        (
            r#"{"op":"unsubscribe","channel":"thumb"}"#,
            None,
            Action::Unsubscribe(vec![Subscription {
                channel: Channel::Thumb,
                symbol: None,
                tier: None,
                from: None,
            }]),
        ),
        (r#"{"op":"ping","id":9}"#, number(9), Action::Ping),
        (
            r#"{"op":"login","id":"a\"1","token":"t"}"#,
            Some(Id::Text(Cow::Borrowed("a\"1"))),
            Action::Login {
                token: Cow::Borrowed("t"),
            },
        ),
        (r#"{"op":"list"}"#, None, Action::List),
    ] {
        let operation = Operation { id, action };
        assert_eq!(encoded(&operation), text);
        assert_eq!(Operation::decode(text.as_bytes()), Ok(operation));
    }
}

#[test]
fn other_spellings_of_the_same() {
    let canonical = r#"{"op":"subscribe","channel":"kline","symbol":"BTCUSDT","interval":"1m"}"#;
    for text in [
        r#"{"op":"subscribe","channel":"kline","symbol":"BTCUSDT"}"#,
        r#"{"op":"subscribe","channel":"kline","symbol":"btc-usdt","interval":null,"id":null}"#,
        r#" { "symbol" : "BTC\/USDT" , "channel":"k\u006cine", "op":"subscribe" } "#,
        r#"{"op":"subscribe","args":[{"channel":"kline","symbol":"BTC/USDT"}]}"#,
    ] {
        let operation = Operation::decode(text.as_bytes()).unwrap();
        assert_eq!(encoded(&operation), canonical, "{text}");
    }
    let text = r#"{"op":"unsubscribe","channel":"bbo","symbol":"A","tier":"1s","from":{"epoch":"e","seq":1}}"#;
    let operation = Operation::decode(text.as_bytes()).unwrap();
    assert_eq!(
        encoded(&operation),
        r#"{"op":"unsubscribe","channel":"bbo","symbol":"A"}"#
    );
}

#[test]
fn faults_have_names() {
    let subscribe = |fields: &str| format!(r#"{{"op":"subscribe","id":7,{fields}}}"#);
    for (text, fault, code) in [
        (
            subscribe(r#""channel":"trades","symbol":"A""#),
            Fault::ChannelUnknown,
            "unknown_channel",
        ),
        (
            subscribe(r#""channel":"kline/1s","symbol":"A""#),
            Fault::ChannelUnknown,
            "unknown_channel",
        ),
        (
            subscribe(r#""symbol":"A""#),
            Fault::ChannelMissing,
            "bad_request",
        ),
        (
            subscribe(r#""args":[]"#),
            Fault::ChannelMissing,
            "bad_request",
        ),
        (
            subscribe(r#""args":[{}]"#),
            Fault::ChannelMissing,
            "bad_request",
        ),
        (
            subscribe(r#""channel":"trade""#),
            Fault::SymbolMissing,
            "bad_symbol",
        ),
        (
            subscribe(r#""channel":"trade","symbol":"A+""#),
            Fault::Symbol(SymbolFault::Byte(b'+')),
            "bad_symbol",
        ),
        (
            subscribe(r#""channel":"thumb","symbol":"""#),
            Fault::Symbol(SymbolFault::Empty),
            "bad_symbol",
        ),
        (
            subscribe(r#""channel":"kline","symbol":"A","interval":"2m""#),
            Fault::Interval,
            "bad_interval",
        ),
        (
            subscribe(r#""channel":"trade","symbol":"A","interval":"1m""#),
            Fault::Interval,
            "bad_interval",
        ),
        (
            subscribe(r#""channel":"depth","symbol":"A","levels":7"#),
            Fault::Levels,
            "bad_levels",
        ),
        (
            subscribe(r#""channel":"bbo","symbol":"A","levels":5"#),
            Fault::Levels,
            "bad_levels",
        ),
        (
            subscribe(r#""channel":"bbo","symbol":"A","tier":"2s""#),
            Fault::Tier,
            "bad_tier",
        ),
        (
            subscribe(r#""channel":"bbo","symbol":"A","from":{"epoch":"","seq":1}"#),
            Fault::From,
            "bad_from",
        ),
        (
            subscribe(r#""channel":"thumb","from":{"epoch":"e","seq":1}"#),
            Fault::From,
            "bad_from",
        ),
        (
            subscribe(r#""channel":"bbo","args":[{"channel":"bbo","symbol":"A"}]"#),
            Fault::ArgumentsTwice,
            "bad_request",
        ),
        (
            subscribe(r#""args":[{"channel":"bbo","symbol":"A"},{"channel":"x"}]"#),
            Fault::ChannelUnknown,
            "unknown_channel",
        ),
        (
            subscribe(r#""channel":"kline","symbol":"A","intervall":"1s""#),
            Fault::Shape,
            "bad_request",
        ),
        (
            subscribe(r#""channel":"bbo","symbol":1"#),
            Fault::Shape,
            "bad_request",
        ),
        (
            subscribe(r#""channel":"bbo","channel":"bbo","symbol":"A""#),
            Fault::Shape,
            "bad_request",
        ),
        (
            subscribe(r#""args":[["bbo","A",null,null,null,null]]"#),
            Fault::Shape,
            "bad_request",
        ),
        (
            subscribe(r#""args":[{"args":[]}]"#),
            Fault::Shape,
            "bad_request",
        ),
        (
            subscribe(r#""channel":"bbo","symbol":"A","from":["e",1]"#),
            Fault::Shape,
            "bad_request",
        ),
        (
            r#"{"op":"subscribed","id":7}"#.into(),
            Fault::Unknown,
            "unknown_op",
        ),
        (
            r#"{"op":"login","id":7}"#.into(),
            Fault::TokenMissing,
            "bad_request",
        ),
        (r#"{"id":7}"#.into(), Fault::Shape, "bad_request"),
    ] {
        let refusal = Operation::decode(text.as_bytes()).unwrap_err();
        assert_eq!(
            (refusal.fault, refusal.id),
            (fault, Some(Id::Number(7))),
            "{text}"
        );
        assert_eq!(refusal.fault.code().as_str(), code);
        assert_eq!(refusal.fault.code().close_reason(), CloseReason::BadRequest);
    }
    for text in [
        "",
        "{",
        "{\"op\":\"ping\"",
        "{\"op\":\"ping\"}x",
        "{\"op\":'ping'}",
        "{\"op\":\"ping\",}",
    ] {
        let refusal = Operation::decode(text.as_bytes()).unwrap_err();
        assert_eq!((refusal.fault, refusal.id), (Fault::Json, None), "{text}");
        assert_eq!(refusal.fault.code(), ErrorCode::BadJson);
    }
    for text in [
        "null",
        "[]",
        "5",
        "[\"ping\",null,null,null,null,null,null,null,null,null]",
    ] {
        assert_eq!(
            Operation::decode(text.as_bytes()).unwrap_err().fault,
            Fault::Shape,
            "{text}"
        );
    }
}

#[test]
fn an_id_is_a_small_number_or_text() {
    for id in [
        "0",
        "18446744073709551615",
        "\"\"",
        &format!("\"{}\"", "x".repeat(64)),
    ] {
        let text = format!(r#"{{"op":"ping","id":{id}}}"#);
        assert_eq!(encoded(&Operation::decode(text.as_bytes()).unwrap()), text);
    }
    for id in [
        "-1",
        "1.0",
        "1e3",
        "true",
        "[1]",
        "{}",
        &format!("\"{}\"", "x".repeat(65)),
    ] {
        let text = format!(r#"{{"op":"ping","id":{id}}}"#);
        let refusal = Operation::decode(text.as_bytes()).unwrap_err();
        assert_eq!((refusal.fault, refusal.id), (Fault::Shape, None), "{text}");
    }
}

#[test]
fn requests_are_bounded() {
    let list = |count: usize| {
        let args = vec![r#"{"channel":"bbo","symbol":"A"}"#; count].join(",");
        format!(r#"{{"op":"subscribe","id":1,"args":[{args}]}}"#)
    };
    assert!(Operation::decode(list(ARGUMENTS_MAX).as_bytes()).is_ok());
    for count in [ARGUMENTS_MAX + 1, ARGUMENTS_MAX + 2, 2 * ARGUMENTS_MAX] {
        let text = list(count);
        let refusal = Operation::decode(text.as_bytes()).unwrap_err();
        assert_eq!(
            (refusal.fault, refusal.id),
            (Fault::TooManyArguments, Some(Id::Number(1)))
        );
    }

    let login = |length: usize| {
        let around = r#"{"op":"login","token":""}"#.len();
        format!(
            r#"{{"op":"login","token":"{}"}}"#,
            "x".repeat(length - around)
        )
    };
    assert!(Operation::decode(login(OPERATION_BYTES_MAX).as_bytes()).is_ok());
    let text = login(OPERATION_BYTES_MAX + 1);
    let fault = Operation::decode(text.as_bytes()).unwrap_err().fault;
    assert_eq!(
        (fault, fault.code().close_reason().code()),
        (Fault::TooLong, 1009)
    );

    for open in ["[", "{\"a\":", "{\"args\":[", "{\"op\":\"ping\",\"id\":["] {
        let text = open.repeat(OPERATION_BYTES_MAX / open.len());
        assert!(Operation::decode(text.as_bytes()).is_err(), "{open}");
    }
}

#[test]
fn replies_look_like_this() {
    let id = Some(Id::Number(3));
    let epoch = Epoch::parse("e-1").unwrap();
    for (text, reply) in [
        (
            r#"{"op":"subscribe","id":3,"ok":true,"epoch":"e-1"}"#,
            Reply::Subscribed {
                id: id.clone(),
                epoch,
            },
        ),
        (
            r#"{"op":"unsubscribe","ok":true}"#,
            Reply::Unsubscribed { id: None },
        ),
        (r#"{"op":"pong","id":3}"#, Reply::Pong { id: id.clone() }),
        (
            r#"{"op":"login","id":3,"ok":true}"#,
            Reply::LoggedIn { id: id.clone() },
        ),
        (
            r#"{"op":"list","id":3,"ok":true,"args":[]}"#,
            Reply::List {
                id: id.clone(),
                subscriptions: vec![],
            },
        ),
        (
            r#"{"op":"list","ok":true,"args":[{"channel":"depth","symbol":"A"},{"channel":"thumb","tier":"1s"}]}"#,
            Reply::List {
                id: None,
                subscriptions: vec![
                    on(Channel::Depth, "A"),
                    Subscription {
                        channel: Channel::Thumb,
                        symbol: None,
                        tier: Some(Tier::Second1),
                        from: None,
                    },
                ],
            },
        ),
        (
            r#"{"op":"resync","id":3,"epoch":"e-1","channel":"kline","symbol":"A","interval":"4h"}"#,
            Reply::Resync {
                id: id.clone(),
                epoch,
                channel: Channel::Kline(Interval::Hour4),
                symbol: Symbol::parse("A").unwrap(),
            },
        ),
        (
            r#"{"op":"error","id":3,"code":"unknown_channel","message":"no \"x\""}"#,
            Reply::Error {
                id,
                code: ErrorCode::UnknownChannel,
                message: Cow::Borrowed("no \"x\""),
            },
        ),
    ] {
        assert_eq!(encoded_reply(&reply), text);
        assert_eq!(Reply::decode(text.as_bytes()), Ok(reply));
    }
}

#[test]
fn what_is_not_quite_a_reply_is_refused() {
    for (text, fault) in [
        ("{", ReplyFault::Json),
        (r#"{"ch":"trade"}"#, ReplyFault::Shape),
        (r#"{"op":"ping"}"#, ReplyFault::Unknown),
        (
            r#"{"op":"subscribe","ok":false,"epoch":"e"}"#,
            ReplyFault::Shape,
        ),
        (r#"{"op":"subscribe","ok":true}"#, ReplyFault::Shape),
        (
            r#"{"op":"subscribe","ok":true,"epoch":" "}"#,
            ReplyFault::Epoch,
        ),
        (r#"{"op":"pong","ok":true}"#, ReplyFault::Shape),
        (r#"{"op":"pong","epoch":"e"}"#, ReplyFault::Shape),
        (
            r#"{"op":"unsubscribe","ok":true,"levels":5}"#,
            ReplyFault::Shape,
        ),
        (r#"{"op":"list","ok":true}"#, ReplyFault::Shape),
        (
            r#"{"op":"list","ok":true,"args":[{"channel":"x"}]}"#,
            ReplyFault::Subscription(Fault::ChannelUnknown),
        ),
        (
            r#"{"op":"resync","epoch":"e","channel":"thumb"}"#,
            ReplyFault::Subscription(Fault::SymbolMissing),
        ),
        (
            r#"{"op":"error","code":"bad","message":""}"#,
            ReplyFault::Code,
        ),
        (r#"{"op":"error","code":"bad_json"}"#, ReplyFault::Shape),
    ] {
        assert_eq!(Reply::decode(text.as_bytes()), Err(fault), "{text}");
    }
    let args = vec![r#"{"channel":"thumb"}"#; ARGUMENTS_MAX + 1].join(",");
    let text = format!(r#"{{"op":"list","ok":true,"args":[{args}]}}"#);
    let fault = ReplyFault::Subscription(Fault::TooManyArguments);
    assert_eq!(Reply::decode(text.as_bytes()), Err(fault));
}

#[test]
fn each_code_closes_with_its_reason() {
    let closes = |code: ErrorCode| code.close_reason().code();
    for code in ErrorCode::ALL {
        let expected = match code.as_str() {
            "too_long" => 1009,
            "login_failed" | "forbidden" => 4001,
            "too_many_subscriptions" | "too_many_messages" | "too_many_connections" => 4029,
            _ => 4000,
        };
        assert_eq!(closes(code), expected, "{code:?}");
    }
    let others = [
        CloseReason::GoingAway,
        CloseReason::NotUtf8,
        CloseReason::SlowConsumer,
    ];
    assert_eq!(others.map(CloseReason::code), [1001, 1007, 4008]);
}

fn subscription() -> impl Strategy<Value = Subscription<'static>> {
    let tiers = [
        None,
        Some(Tier::Raw),
        Some(Tier::Millis100),
        Some(Tier::Second1),
    ];
    let from = prop::option::of(any::<u64>());
    let symbol = "[A-Z0-9_.:]{1,31}";
    let parts = (
        prop::sample::select(Channel::ALL.to_vec()),
        symbol,
        any::<bool>(),
        prop::sample::select(tiers.to_vec()),
        from,
    );
    parts.prop_map(|(channel, symbol, all, tier, from)| {
        let symbol = (!all || channel != Channel::Thumb).then(|| Symbol::parse(&symbol).unwrap());
        let epoch = Epoch::parse("2026-11:a_b.c").unwrap();
        let from = from
            .filter(|_| symbol.is_some())
            .map(|sequence| Resume { epoch, sequence });
        Subscription {
            channel,
            symbol,
            tier,
            from,
        }
    })
}

fn id() -> impl Strategy<Value = Option<Id<'static>>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|number| Some(Id::Number(number))),
        "\\PC{0,16}|[\\x00-\\x7f]{0,64}".prop_map(|text| Some(Id::Text(Cow::Owned(text)))),
    ]
}

proptest! {
    #[test]
    fn every_operation_comes_back(
        id in id(),
        list in prop::collection::vec(subscription(), 1..5),
        token in any::<String>(),
        kind in 0..5_u8,
    ) {
        let action = match kind {
            0 => Action::Subscribe(list),
            1 => {
                let bare = |entry: &Subscription<'static>| Subscription { tier: None, from: None, ..*entry };
                Action::Unsubscribe(list.iter().map(bare).collect())
            }
            2 => Action::Ping,
            3 => Action::Login { token: Cow::Owned(token) },
            _ => Action::List,
        };
        let operation = Operation { id, action };
        let text = encoded(&operation);
        prop_assert_eq!(Operation::decode(text.as_bytes()), Ok(operation));
    }

    #[test]
    fn every_reply_comes_back(
        id in id(),
        list in prop::collection::vec(subscription(), 0..5),
        message in any::<String>(),
        code in prop::sample::select(ErrorCode::ALL.to_vec()),
        one in subscription(),
        kind in 0..7_u8,
    ) {
        let epoch = Epoch::parse("e").unwrap();
        let reply = match kind {
            0 => Reply::Subscribed { id, epoch },
            1 => Reply::Unsubscribed { id },
            2 => Reply::Pong { id },
            3 => Reply::LoggedIn { id },
            4 => Reply::List { id, subscriptions: list },
            5 => Reply::Resync { id, epoch, channel: one.channel, symbol: one.symbol.unwrap_or(Symbol::parse("A").unwrap()) },
            _ => Reply::Error { id, code, message: Cow::Owned(message) },
        };
        let text = encoded_reply(&reply);
        prop_assert_eq!(Reply::decode(text.as_bytes()), Ok(reply));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(input in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Operation::decode(&input).is_err());
        prop_assert!(Reply::decode(&input).is_err());
    }
}
