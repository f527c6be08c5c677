//! The same bytes before this codec and before tungstenite. The two may differ
//! only in the ways of `docs/conformance/differences-tungstenite.md`, each named here.

#[path = "websocket/traffic.rs"]
pub mod traffic;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use ringcast_codec::websocket::{Fault, MessageKind, Role, Rules};
use ringcast_codec_fuzz::websocket::{self as body, Seen};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use tungstenite::protocol::{self, CloseFrame, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message, error::ProtocolError};

const FRAME_BYTES_MAX: u32 = 66_000;
/// The same, so that a message that came in fragments can be sent in one frame.
const MESSAGE_BYTES_MAX: u32 = FRAME_BYTES_MAX;

/// How a connection stands after its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Closed,
    /// Failed with this close code.
    Failed(u16),
}

/// Whole messages and control frames, as both tell them.
type Story = (Vec<Message>, End);

fn ours(role: Role, input: &[u8]) -> (Story, Option<Fault>) {
    let rules = Rules {
        role,
        frame_bytes_max: FRAME_BYTES_MAX,
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
    let (mut messages, mut end, mut fault) = (Vec::new(), End::Open, None);
    let mut message = Vec::new();
    for seen in body::observe(&rules, [input]) {
        match seen {
            Seen::Data(kind, bytes, fin) => {
                message.extend(bytes);
                if fin {
                    let bytes = std::mem::take(&mut message);
                    messages.push(match kind {
                        MessageKind::Text => {
                            Message::text(String::from_utf8(bytes).expect("UTF-8"))
                        }
                        MessageKind::Binary => Message::binary(bytes),
                    });
                }
            }
            Seen::Ping(payload) => messages.push(Message::Ping(payload.into())),
            Seen::Pong(payload) => messages.push(Message::Pong(payload.into())),
            Seen::Close(close) => {
                messages.push(Message::Close(close.map(|(code, reason)| CloseFrame {
                    code: code.get().into(),
                    reason: reason.into(),
                })));
                end = End::Closed;
            }
            Seen::Fault(found) => {
                end = End::Failed(found.close_code().get());
                fault = Some(found);
            }
        }
    }
    ((messages, end), fault)
}

/// A transport in memory.
struct Memory<'i> {
    input: &'i [u8],
    output: Vec<u8>,
}

impl Read for Memory<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.input.read(out)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn their_socket(role: Role, input: &[u8]) -> WebSocket<Memory<'_>> {
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_frame_size(Some(FRAME_BYTES_MAX as usize))
        .max_message_size(Some(MESSAGE_BYTES_MAX as usize));
    let memory = Memory {
        input,
        output: Vec::new(),
    };
    WebSocket::from_raw_socket(memory, role, Some(config))
}

fn theirs(role: Role, input: &[u8]) -> Story {
    let mut socket = their_socket(role, input);
    let mut messages = Vec::new();
    loop {
        let end = match socket.read() {
            Ok(message) => {
                let is_close = message.is_close();
                messages.push(message);
                if !is_close {
                    continue;
                }
                End::Closed
            }
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => End::Open,
            Err(Error::Protocol(_)) => End::Failed(1002),
            Err(Error::Utf8(_)) => End::Failed(1007),
            Err(Error::Capacity(_)) => End::Failed(1009),
            Err(error) => panic!("not an outcome of reading: {error}"),
        };
        return (messages, end);
    }
}

fn is_1014(message: &Message) -> bool {
    matches!(message, Message::Close(Some(close)) if u16::from(close.code) == 1014)
}

/// The known difference that explains how the two stories differ, if one does.
fn difference(
    role: Role,
    input: &[u8],
    fault: Option<Fault>,
    ours: &Story,
    theirs: &Story,
) -> Option<&'static str> {
    let (our_messages, our_end) = ours;
    let (their_messages, their_end) = theirs;
    let replaced = Message::Close(Some(CloseFrame {
        code: 1002.into(),
        reason: "Protocol violation".into(),
    }));
    let their_last_is_replaced = their_messages.last() == Some(&replaced);
    let before_last = &their_messages[..their_messages.len().saturating_sub(1)];
    if fault == Some(Fault::LengthNotMinimal) {
        return their_messages
            .starts_with(our_messages)
            .then_some("shortest length");
    }
    if fault == Some(Fault::CloseCodeForbidden) {
        let is_replaced = their_last_is_replaced && before_last == our_messages;
        // A reason that is not UTF-8 stops them before they look at the code.
        let is_bad_twice = *their_end == End::Failed(1007) && their_messages == our_messages;
        return (is_replaced || is_bad_twice).then_some("forbidden close code");
    }
    if let Some((last, before)) = our_messages.split_last()
        && is_1014(last)
    {
        return (their_last_is_replaced && before_last == before).then_some("code 1014");
    }
    if our_messages != their_messages {
        return None;
    }
    match (our_end, their_end) {
        (End::Failed(1002 | 1007), End::Failed(1009)) => Some("size before form"),
        (End::Failed(_), End::Open) => {
            // They judge a frame when it is complete: complete it.
            let completed = [input, &vec![0; 2 * FRAME_BYTES_MAX as usize]].concat();
            let (messages, end) = self::theirs(role, &completed);
            let fails_too =
                messages == *our_messages && (end == *our_end || end == End::Failed(1009));
            fails_too.then_some("whole frame first")
        }
        _ => None,
    }
}

fn compare(role: Role, input: &[u8]) -> Option<&'static str> {
    let (ours, fault) = ours(role, input);
    let theirs = theirs(role, input);
    if ours == theirs {
        return None;
    }
    let difference = difference(role, input, fault, &ours, &theirs);
    assert!(
        difference.is_some(),
        "{fault:?}\nours:   {ours:?}\ntheirs: {theirs:?}"
    );
    difference
}

/// Runs both over generated inputs and counts the differences met.
fn compare_all(
    cases: u32,
    role: Role,
    inputs: impl Strategy<Value = Vec<u8>>,
) -> BTreeMap<&'static str, u32> {
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(6455),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let met = std::cell::RefCell::new(BTreeMap::new());
    TestRunner::new(config)
        .run(&inputs, |input| {
            if let Some(name) = compare(role, &input) {
                *met.borrow_mut().entry(name).or_insert(0) += 1;
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    met.into_inner()
}

#[test]
fn nearly_legal_traffic() {
    for (role, masked) in [(Role::Server, true), (Role::Client, false)] {
        println!(
            "{role:?}: {:?}",
            compare_all(1000, role, traffic::traffic(masked))
        );
    }
}

#[test]
fn mutated_traffic() {
    for (role, masked) in [(Role::Server, true), (Role::Client, false)] {
        println!(
            "{role:?}: {:?}",
            compare_all(2000, role, traffic::mutated(masked))
        );
    }
}

#[test]
fn short_arbitrary_bytes() {
    for role in [Role::Server, Role::Client] {
        let inputs = proptest::collection::vec(any::<u8>(), 0..40);
        println!("{role:?}: {:?}", compare_all(1000, role, inputs));
    }
}

#[test]
fn each_known_difference_is_met() {
    for (input, name) in [
        (&b"\x82\x7e\x00\x01a"[..], "shortest length"),
        (b"\x88\x02\x03\xed", "forbidden close code"),
        (b"\x88\x03\x03\xed\xff", "forbidden close code"),
        (b"\x88\x02\x03\xf6", "code 1014"),
        (
            b"\x80\x7f\x00\x00\x00\x00\x00\x02\x00\x00",
            "size before form",
        ),
        (
            b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00",
            "size before form",
        ),
        (b"\x81\x05\xff", "whole frame first"),
    ] {
        assert_eq!(compare(Role::Client, input), Some(name), "{input:x?}");
    }
}

#[test]
fn what_one_writes_the_other_reads() {
    for (from, to, masked) in [
        (Role::Client, Role::Server, true),
        (Role::Server, Role::Client, false),
    ] {
        let config = ProptestConfig {
            cases: 300,
            rng_seed: RngSeed::Fixed(6455),
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let run = TestRunner::new(config).run(&traffic::traffic(masked), |input| {
            let ((messages, _), _) = ours(to, &input);
            let rules = Rules {
                role: to,
                frame_bytes_max: FRAME_BYTES_MAX,
                message_bytes_max: MESSAGE_BYTES_MAX,
            };
            let written = body::encode(from, &body::observe(&rules, [&input[..]]));
            let (read, _) = theirs(to, &written);
            if !messages.iter().any(is_1014) {
                prop_assert_eq!(&read, &messages, "ours, read by theirs");
            }

            let mut socket = their_socket(from, &[]);
            for message in &messages {
                socket.send(message.clone()).expect("memory takes all");
            }
            let ((read, _), _) = ours(to, &socket.get_ref().output);
            prop_assert_eq!(&read, &messages, "theirs, read by ours");
            Ok(())
        });
        run.unwrap_or_else(|failure| panic!("{failure}"));
    }
}
