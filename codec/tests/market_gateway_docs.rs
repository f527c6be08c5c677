//! What the book shows of messages, operations and errors is what the codec does.

use ringcast_codec::{
    gateway::{CloseReason, Command, ErrorCode, Operation, Reply},
    market::{Channel, Message},
};

const MESSAGES: &str = include_str!("../../docs/market-messages.md");
const PROTOCOLS: &str = include_str!("../../docs/gateway-protocols.md");

#[test]
fn messages_in_the_book_are_exact_and_show_every_channel() {
    let mut shown = Vec::new();
    for line in MESSAGES.lines().filter(|line| line.starts_with("{\"ch\"")) {
        let message =
            Message::decode(line.as_bytes()).unwrap_or_else(|fault| panic!("{fault:?}: {line}"));
        let mut out = vec![0; message.encoded_len()];
        message.encode(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), line);
        shown.push(
            message
                .channel()
                .as_str()
                .split('/')
                .next()
                .unwrap()
                .to_owned(),
        );
    }
    for channel in Channel::ALL {
        let name = channel.as_str().split('/').next().unwrap();
        assert!(
            shown.iter().any(|other| other == name),
            "{name} is not shown"
        );
        if let Channel::Kline(interval) = channel {
            assert!(MESSAGES.contains(&format!(" {}", interval.as_str())));
        }
    }
}

#[test]
fn operations_in_the_book_are_exact() {
    let mut shown = 0;
    for line in PROTOCOLS.lines().filter_map(|line| line.strip_prefix("→ ")) {
        let operation =
            Operation::decode(line.as_bytes()).unwrap_or_else(|fault| panic!("{fault:?}: {line}"));
        let mut out = vec![0; operation.encoded_len()];
        operation.encode(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), line);
        shown += 1;
    }
    assert_eq!(shown, 7);
}

#[test]
fn replies_in_the_book_are_exact() {
    let mut shown = 0;
    for line in PROTOCOLS.lines().filter_map(|line| line.strip_prefix("← ")) {
        let reply =
            Reply::decode(line.as_bytes()).unwrap_or_else(|fault| panic!("{fault:?}: {line}"));
        let mut out = vec![0; reply.encoded_len()];
        reply.encode(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), line);
        shown += 1;
    }
    assert_eq!(shown, 7, "one of each kind");
}

#[test]
fn the_book_lists_every_code() {
    let has_row = |begin: &str, end: &str| {
        PROTOCOLS
            .lines()
            .any(|line| line.starts_with(begin) && line.ends_with(end))
    };
    for code in ErrorCode::ALL {
        let begin = format!("| `{}` | {} |", code.as_str(), code.number());
        let end = format!("| {} |", code.close_reason().code());
        assert!(has_row(&begin, &end), "{begin} {end}");
    }
    for reason in [
        CloseReason::GoingAway,
        CloseReason::NotUtf8,
        CloseReason::TooBig,
        CloseReason::BadRequest,
        CloseReason::Auth,
        CloseReason::SlowConsumer,
        CloseReason::TooMany,
    ] {
        assert!(
            has_row(&format!("| {} |", reason.code()), " |"),
            "{reason:?}"
        );
    }
    for command in Command::ALL {
        let number = command.number().to_string();
        let listed = |line: &&str| {
            line.starts_with("| ") && line.split(" | ").next().unwrap().contains(&number)
        };
        assert!(PROTOCOLS.lines().any(|line| listed(&line)), "{command:?}");
    }
}
