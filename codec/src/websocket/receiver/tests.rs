//! Every state meets every frame, and what a connection costs in memory.

use super::{Event, HeldControl, Receiver, Rules};
use crate::websocket::{Control, Fault, MessageKind, Role};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const RULES: Rules = Rules {
    role: Role::Client,
    frame_bytes_max: 1000,
    message_bytes_max: 1000,
};

/// A line that tells what one read brought: events, and the fault if it ended so.
fn read(receiver: &mut Receiver, bytes: &[u8]) -> String {
    let mut input = Vec::from(bytes);
    let (mut at, mut story) = (0, String::new());
    loop {
        match receiver.receive(&RULES, &mut input[at..], &mut HeldControl::default()) {
            Ok(Some((Event::Data { kind, bytes, fin }, taken))) => {
                at += taken;
                story += &format!("{kind:?} {}{} ", bytes.len(), if fin { " fin" } else { "" });
            }
            Ok(Some((Event::Control(control), taken))) => {
                at += taken;
                story += &format!("{control:?} ");
            }
            Ok(None) => return String::from(story.trim_end()),
            Err(fault) => return story + &format!("{fault:?}"),
        }
    }
}

#[test]
fn every_state_meets_every_frame() {
    let frames: [(&str, &[u8]); 9] = [
        ("text, more to come", b"\x01\x01a"),
        ("text, final", b"\x81\x01a"),
        ("binary, more to come", b"\x02\x01a"),
        ("binary, final", b"\x82\x01a"),
        ("continuation, more to come", b"\x00\x01a"),
        ("continuation, final", b"\x80\x01a"),
        ("Ping", b"\x89\x00"),
        ("Pong", b"\x8a\x00"),
        ("Close", b"\x88\x00"),
    ];
    let states: [(&str, &[u8], [&str; 9]); 5] = [
        (
            "no message",
            b"",
            [
                "Text 1",
                "Text 1 fin",
                "Binary 1",
                "Binary 1 fin",
                "ContinuationUnexpected",
                "ContinuationUnexpected",
                "Ping([])",
                "Pong([])",
                "Close(None)",
            ],
        ),
        (
            "text under way",
            b"\x01\x00",
            [
                "ContinuationMissing",
                "ContinuationMissing",
                "ContinuationMissing",
                "ContinuationMissing",
                "Text 1",
                "Text 1 fin",
                "Ping([])",
                "Pong([])",
                "Close(None)",
            ],
        ),
        (
            "binary under way",
            b"\x02\x00",
            [
                "ContinuationMissing",
                "ContinuationMissing",
                "ContinuationMissing",
                "ContinuationMissing",
                "Binary 1",
                "Binary 1 fin",
                "Ping([])",
                "Pong([])",
                "Close(None)",
            ],
        ),
        ("after Close", b"\x88\x00", [""; 9]),
        ("after a fault", b"\x00\x00", ["ContinuationUnexpected"; 9]),
    ];
    for (state, opening, outcomes) in states {
        for ((frame, bytes), outcome) in frames.into_iter().zip(outcomes) {
            let mut receiver = Receiver::new();
            read(&mut receiver, opening);
            assert_eq!(read(&mut receiver, bytes), outcome, "{state} meets {frame}");
        }
    }
}

#[test]
fn inside_a_payload_every_byte_is_payload() {
    let mut receiver = Receiver::new();
    assert_eq!(read(&mut receiver, b"\x82\x03"), "");
    assert_eq!(read(&mut receiver, b"\x88"), "Binary 1");
    assert_eq!(read(&mut receiver, b"\x00\x88"), "Binary 2 fin");
    assert_eq!(read(&mut receiver, b"\x88\x00"), "Close(None)");
}

#[test]
fn held_memory_is_needed_only_inside_a_control_payload() {
    let mut receiver = Receiver::new();
    let mut held = HeldControl::default();
    for (bytes, is_inside) in [
        (&mut b"\x89\x02"[..1].to_vec(), false),
        (&mut b"\x02a".to_vec(), true),
    ] {
        assert_eq!(receiver.receive(&RULES, bytes, &mut held), Ok(None));
        assert_eq!(receiver.is_inside_control(), is_inside);
    }
    let expected = Event::Control(Control::Ping(b"ab"));
    assert_eq!(
        receiver.receive(&RULES, &mut [b'b'], &mut held),
        Ok(Some((expected, 1)))
    );
    assert!(!receiver.is_inside_control());
}

#[test]
fn a_connection_costs_half_a_cache_line() {
    assert_eq!(size_of::<Receiver>(), 28);
    assert_eq!(size_of::<Fault>(), 1);
    assert_eq!(size_of::<Option<MessageKind>>(), 1);
}
