//! The command protocol: requests, responses, and streams cut anywhere.

use std::borrow::Cow;

use proptest::prelude::*;
use ringcast_codec::{
    Progress,
    gateway::{
        ChannelSet, CloseReason, Command, CommandFault, CommandFrame, CommandHeader, ErrorCode,
        Exchange, Request, RequestFault as Fault, SimpleResponse,
    },
    market::{Channel, Interval, Levels, Symbol, SymbolFault},
};

fn frame(command: Command, body: &str) -> CommandFrame<'_> {
    CommandFrame {
        command: command.number(),
        request: 5,
        body: body.as_bytes(),
    }
}

fn encoded_body(request: &Request<'_>) -> String {
    let mut body = vec![0; request.body_len()];
    assert_eq!(request.encode_body(&mut body), body.len());
    String::from_utf8(body).unwrap()
}

#[test]
fn requests_look_like_this() {
    let symbol = Symbol::parse("BTCUSDT").unwrap();
    let channels: ChannelSet = [
        Channel::Kline(Interval::Second1),
        Channel::DepthTop(Levels::Five),
    ]
    .into_iter()
    .collect();
    let exchange = Exchange {
        symbol,
        user: Some(Cow::Borrowed("al\"ice")),
        channels,
    };
    let exchange_body = r#"{"symbol":"BTCUSDT","uid":"al\"ice","channels":["depth/5","kline/1s"]}"#;
    for (body, request) in [
        (
            r#"{"token":"t\\"}"#,
            Request::Login {
                token: Cow::Borrowed("t\\"),
            },
        ),
        ("{}", Request::Heartbeat),
        ("{}", Request::SubscribeSymbolThumb(None)),
        (
            r#"{"symbol":"BTCUSDT"}"#,
            Request::SubscribeSymbolThumb(Some(symbol)),
        ),
        (
            r#"{"symbol":"BTCUSDT"}"#,
            Request::UnsubscribeSymbolThumb(Some(symbol)),
        ),
        (exchange_body, Request::SubscribeExchange(exchange.clone())),
        (exchange_body, Request::UnsubscribeExchange(exchange)),
    ] {
        assert_eq!(encoded_body(&request), body);
        assert_eq!(
            Request::decode(&frame(request.command(), body)),
            Ok(request)
        );
    }
}

#[test]
fn other_spellings_of_the_same() {
    let decode = |command, body| Request::decode(&frame(command, body)).unwrap();
    assert_eq!(decode(Command::Heartbeat, ""), Request::Heartbeat);
    assert_eq!(
        decode(Command::SubscribeSymbolThumb, ""),
        Request::SubscribeSymbolThumb(None)
    );
    for body in [
        r#"{"symbol":"btc/usdt"}"#,
        r#"{"symbol":"BTC-USDT","uid":null,"channels":null}"#,
        r#"{"channels":["kline","trade","depth","trade"],"symbol":"BTCUSDT"}"#,
    ] {
        let canonical = r#"{"symbol":"BTCUSDT","channels":["trade","depth","kline/1m"]}"#;
        assert_eq!(
            encoded_body(&decode(Command::SubscribeExchange, body)),
            canonical
        );
    }
}

#[test]
fn faults_have_codes() {
    use Command::{Heartbeat, Login, PushOrder, SubscribeExchange, SubscribeSymbolThumb};
    for (command, body, fault, code) in [
        (Login, "", Fault::Shape, ErrorCode::BadRequest),
        (Login, r#"["t"]"#, Fault::Shape, ErrorCode::BadRequest),
        (Login, "{", Fault::Json, ErrorCode::BadJson),
        (Heartbeat, r#"{"a":1}"#, Fault::Shape, ErrorCode::BadRequest),
        (Heartbeat, "[]", Fault::Shape, ErrorCode::BadRequest),
        (
            SubscribeSymbolThumb,
            r#"{"symbol":"#,
            Fault::Json,
            ErrorCode::BadJson,
        ),
        (
            SubscribeSymbolThumb,
            r#"{"symbol":""}"#,
            Fault::Symbol(SymbolFault::Empty),
            ErrorCode::BadSymbol,
        ),
        (
            SubscribeSymbolThumb,
            r#"{"symbols":"A"}"#,
            Fault::Shape,
            ErrorCode::BadRequest,
        ),
        (SubscribeExchange, "{}", Fault::Shape, ErrorCode::BadRequest),
        (
            SubscribeExchange,
            r#"{"symbol":"A","channels":["bbo"]}"#,
            Fault::Channel,
            ErrorCode::UnknownChannel,
        ),
        (
            SubscribeExchange,
            r#"{"symbol":"A","channels":["x"]}"#,
            Fault::Channel,
            ErrorCode::UnknownChannel,
        ),
        (PushOrder, "{}", Fault::Unknown, ErrorCode::UnknownOperation),
    ] {
        assert_eq!(
            Request::decode(&frame(command, body)),
            Err(fault),
            "{command:?} {body}"
        );
        assert_eq!(fault.code(), code);
    }
    let unknown = CommandFrame {
        command: 4000,
        request: 1,
        body: b"",
    };
    assert_eq!(Request::decode(&unknown), Err(Fault::Unknown));
    assert_eq!(
        CommandFault::TooShort.close_reason(),
        CloseReason::BadRequest
    );
    assert_eq!(CommandFault::TooLong.close_reason(), CloseReason::TooBig);
}

#[test]
fn each_channel_has_its_push_command() {
    let numbers: Vec<_> = Channel::ALL
        .into_iter()
        .map(|channel| {
            (
                channel.as_str().split('/').next().unwrap(),
                Command::push_of(channel),
            )
        })
        .collect();
    for (name, command) in numbers {
        let number = match name {
            "thumb" => Some(3001),
            "trade" => Some(3002),
            "kline" => Some(3003),
            "depth" => Some(3004),
            _ => None,
        };
        assert_eq!(command.map(Command::number), number, "{name}");
    }
}

#[test]
fn a_push_is_a_header_before_shared_bytes() {
    let body = br#"{"ch":"trade"}"#;
    let command = Command::PushExchangeTrade.number();
    let header = CommandHeader {
        command,
        request: 0,
        body_len: 14,
    }
    .encode();
    let bytes = [&header[..], body].concat();
    let frame = CommandFrame {
        command,
        request: 0,
        body,
    };
    assert_eq!(
        CommandFrame::decode(&bytes, 14),
        Ok(Progress::Done(frame, bytes.len()))
    );
}

#[test]
fn refusals_carry_the_number() {
    let response = SimpleResponse::refused(ErrorCode::Forbidden, "not yours");
    assert_eq!((response.code, &*response.message), (16, "not yours"));
    assert_eq!(SimpleResponse::done().code, 0);
}

/// A frame's command, request and body.
type OwnedFrame = (u32, u32, Vec<u8>);

/// What a reader makes of a stream that arrives in these pieces.
fn read(pieces: &[&[u8]], limit: usize) -> (Vec<OwnedFrame>, usize, Option<CommandFault>) {
    let (mut frames, mut held) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            match CommandFrame::decode(&held, limit) {
                Ok(Progress::Done(frame, consumed)) => {
                    frames.push((frame.command, frame.request, frame.body.to_vec()));
                    held.drain(..consumed);
                }
                Ok(Progress::Partial { needed }) => {
                    assert!(needed > held.len());
                    break;
                }
                Err(fault) => return (frames, 0, Some(fault)),
            }
        }
    }
    (frames, held.len(), None)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(
        frames in prop::collection::vec((any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        rest in prop::collection::vec(any::<u8>(), 0..12),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut stream = Vec::new();
        for (command, request, body) in &frames {
            let frame = CommandFrame { command: *command, request: *request, body };
            let mut out = vec![0; frame.encoded_len()];
            prop_assert_eq!(frame.encode(&mut out), out.len());
            stream.extend(out);
        }
        stream.extend(&rest);
        let whole = read(&[&stream], 39);
        prop_assert_eq!(&whole.0[..frames.len()], &frames[..]);

        let mut places: Vec<_> = cuts.drain(..).map(|cut| cut.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let pieces: Vec<_> = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(read(&pieces, 39), whole);
    }
}
