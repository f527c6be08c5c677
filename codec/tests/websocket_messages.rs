//! What frames make together, clause by clause: messages and their fragments,
//! control frames, text, limits, and the way a connection ends.

use ringcast_codec::websocket::{
    Close, CloseCode, Control, Event, Fault, HeldControl, MessageKind, Receiver, Role, Rules,
};
use ringcast_codec_fuzz::websocket::{self as body, Seen};

const RULES: Rules = Rules {
    role: Role::Client,
    frame_bytes_max: 300,
    message_bytes_max: 500,
};

fn read(frames: &[&[u8]]) -> Vec<Seen> {
    body::observe(&RULES, [&frames.concat()[..]])
}

fn text(payload: impl AsRef<[u8]>, fin: bool) -> Seen {
    Seen::Data(MessageKind::Text, payload.as_ref().into(), fin)
}

fn binary(payload: impl AsRef<[u8]>, fin: bool) -> Seen {
    Seen::Data(MessageKind::Binary, payload.as_ref().into(), fin)
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    [
        &[0x88, 2 + reason.len() as u8],
        &code.to_be_bytes()[..],
        reason,
    ]
    .concat()
}

/// A data frame of 126 zeros or more.
fn sized(first: u8, length: u16) -> Vec<u8> {
    let mut frame = [&[first, 126], &length.to_be_bytes()[..]].concat();
    frame.resize(frame.len() + usize::from(length), 0);
    frame
}

#[test]
fn a_final_frame_is_a_whole_message() {
    assert_eq!(
        read(&[b"\x81\x01a", b"\x82\x01b"]),
        [text("a", true), binary("b", true)]
    );
}

#[test]
fn fragments_are_joined_in_order_up_to_the_final_one() {
    let frames: [&[u8]; 4] = [b"\x01\x01a", b"\x00\x02bc", b"\x00\x01d", b"\x80\x01e"];
    assert_eq!(read(&frames), [text("abcde", true)]);
    assert_eq!(read(&frames[..3]), [text("abcd", false)]);
}

#[test]
fn the_frame_after_a_final_one_begins_a_message() {
    let frames: [&[u8]; 4] = [b"\x01\x01a", b"\x80\x01b", b"\x02\x01c", b"\x80\x01d"];
    assert_eq!(read(&frames), [text("ab", true), binary("cd", true)]);
}

#[test]
fn fragments_have_the_type_of_the_first() {
    assert_eq!(
        read(&[b"\x02\x01\xff", b"\x80\x01\xff"]),
        [binary(b"\xff\xff", true)]
    );
    let fault = Seen::Fault(Fault::TextNotUtf8);
    assert_eq!(
        read(&[b"\x01\x01a", b"\x80\x01\xff"]),
        [text("a", false), fault]
    );
}

#[test]
fn a_continuation_needs_a_message() {
    let fault = Seen::Fault(Fault::ContinuationUnexpected);
    assert_eq!(read(&[b"\x80\x00"]), std::slice::from_ref(&fault));
    assert_eq!(read(&[b"\x81\x01a", b"\x00\x00"]), [text("a", true), fault]);
}

#[test]
fn messages_are_not_interleaved() {
    for second in [b"\x01\x01b", b"\x81\x01b", b"\x02\x01b", b"\x82\x01b"] {
        let fault = Seen::Fault(Fault::ContinuationMissing);
        assert_eq!(read(&[b"\x01\x01a", second]), [text("a", false), fault]);
    }
}

#[test]
fn control_frames_between_fragments_leave_the_message_intact() {
    let frames: [&[u8]; 5] = [
        b"\x01\x01\xe2",
        b"\x89\x01p",
        b"\x00\x01\x82",
        b"\x8a\x01q",
        b"\x80\x02\xacz",
    ];
    let seen = [
        text(b"\xe2", false),
        Seen::Ping(b"p".into()),
        text(b"\x82", false),
        Seen::Pong(b"q".into()),
        text(b"\xacz", true),
    ];
    assert_eq!(read(&frames), seen);
}

#[test]
fn a_control_frame_is_not_fragmented() {
    for frame in [b"\x08\x00", b"\x09\x00", b"\x0a\x00"] {
        assert_eq!(read(&[frame]), [Seen::Fault(Fault::ControlFragmented)]);
    }
}

#[test]
fn a_control_frame_holds_125_bytes() {
    let payload = [b'p'; 125];
    assert_eq!(read(&[b"\x89\x7d", &payload]), [Seen::Ping(payload.into())]);
    for first in [0x88, 0x89, 0x8a] {
        for length in [126, 127] {
            assert_eq!(
                read(&[&[first, length]]),
                [Seen::Fault(Fault::ControlTooLong)]
            );
        }
    }
}

#[test]
fn fragments_have_any_size() {
    let long = sized(0x00, 300);
    let frames: [&[u8]; 5] = [
        b"\x02\x00",
        b"\x00\x01\x00",
        b"\x00\x00",
        &long,
        b"\x80\x00",
    ];
    assert_eq!(read(&frames), [binary([0; 301], true)]);
}

#[test]
fn text_is_utf8_and_may_be_cut_inside_a_character() {
    let grin = "\u{1f600}".as_bytes();
    assert_eq!(
        read(&[b"\x01\x01", &grin[..1], b"\x80\x03", &grin[1..]]),
        [text(grin, true)]
    );
    for (bad, valid) in [
        (&b"\xff"[..], 0),
        (b"\xc0\x80", 0),
        (b"ab\xed\xa0\x80", 3),
        (b"ab\xe2\x82", 3),
    ] {
        let frame = [&[0x81, bad.len() as u8], bad].concat();
        let mut seen = vec![Seen::Fault(Fault::TextNotUtf8)];
        if valid > 0 {
            seen.insert(0, text(&bad[..valid], false));
        }
        assert_eq!(read(&[&frame]), seen, "{bad:x?}");
    }
    let fault = Seen::Fault(Fault::TextNotUtf8);
    assert_eq!(
        read(&[b"\x01\x01\xe2", b"\x80\x00"]),
        [text(b"\xe2", false), fault]
    );
}

#[test]
fn bad_text_is_refused_before_its_frame_is_complete() {
    assert_eq!(read(&[b"\x81\x64\xff"]), [Seen::Fault(Fault::TextNotUtf8)]);
}

#[test]
fn binary_is_any_bytes() {
    assert_eq!(
        read(&[b"\x82\x03\xff\x00\xc0"]),
        [binary(b"\xff\x00\xc0", true)]
    );
}

#[test]
fn a_ping_is_answered_with_its_own_bytes() {
    for payload in [&b""[..], b"p", &[0xff; 125]] {
        assert_eq!(
            Control::Ping(payload).answer(),
            Some(Control::Pong(payload))
        );
    }
}

#[test]
fn a_pong_comes_unasked_and_is_not_answered() {
    assert_eq!(
        read(&[b"\x8a\x01q", b"\x81\x00"]),
        [Seen::Pong(b"q".into()), text("", true)]
    );
    assert_eq!(Control::Pong(b"q").answer(), None);
}

#[test]
fn a_close_has_no_body_or_a_code_and_a_reason() {
    assert_eq!(read(&[b"\x88\x00"]), [Seen::Close(None)]);
    assert_eq!(
        read(&[b"\x88\x02\x03\xe8"]),
        [Seen::Close(Some((CloseCode::NORMAL, String::new())))]
    );
    let longest = "x".repeat(123);
    let seen = Seen::Close(Some((CloseCode::GOING_AWAY, longest.clone())));
    assert_eq!(read(&[&close(1001, longest.as_bytes())]), [seen]);
    assert_eq!(
        read(&[b"\x88\x01\x03"]),
        [Seen::Fault(Fault::CloseBodyTooShort)]
    );
}

#[test]
fn a_close_reason_is_utf8() {
    assert_eq!(
        read(&[&close(1000, b"\xc3")]),
        [Seen::Fault(Fault::CloseReasonNotUtf8)]
    );
    let seen = Seen::Close(Some((CloseCode::NORMAL, "\u{e9}".into())));
    assert_eq!(read(&[&close(1000, b"\xc3\xa9")]), [seen]);
}

/// Over all codes: what may travel, read and made.
fn travels(code: u16) -> bool {
    let read = read(&[&close(code, b"")]);
    match CloseCode::new(code) {
        Some(made) => {
            assert_eq!(made.get(), code);
            assert_eq!(read, [Seen::Close(Some((made, String::new())))]);
            true
        }
        None => {
            assert_eq!(read, [Seen::Fault(Fault::CloseCodeForbidden)]);
            false
        }
    }
}

#[test]
fn codes_that_only_report_never_travel() {
    assert!(![1004, 1005, 1006, 1015].into_iter().any(travels));
}

#[test]
fn codes_below_1000_and_above_4999_never_travel() {
    assert!(!(0..1000).chain(5000..=u16::MAX).any(travels));
}

#[test]
fn codes_of_the_protocol_travel_only_when_defined() {
    let travelling: Vec<u16> = (1000..3000).filter(|&code| travels(code)).collect();
    let defined = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
    ];
    assert_eq!(travelling, defined);
}

#[test]
fn codes_of_applications_travel() {
    assert!((3000..5000).all(travels));
}

#[test]
fn a_close_is_answered_with_its_code() {
    let code = CloseCode::new(4008).expect("a private code");
    let received = Control::Close(Some(Close {
        code,
        reason: "slow",
    }));
    assert_eq!(
        received.answer(),
        Some(Control::Close(Some(Close { code, reason: "" })))
    );
    assert_eq!(Control::Close(None).answer(), Some(Control::Close(None)));
}

#[test]
fn nothing_is_taken_after_a_close() {
    let frames: [&[u8]; 3] = [b"\x88\x00", b"\x81\x01a", b"\xff\xff"];
    assert_eq!(read(&frames), [Seen::Close(None)]);
    assert_eq!(body::observe(&RULES, frames), [Seen::Close(None)]);
}

#[test]
fn nothing_is_taken_after_a_fault() {
    let mut receiver = Receiver::new();
    let mut held = HeldControl::default();
    let fault = Err(Fault::ContinuationUnexpected);
    for frame in [b"\x80\x00", b"\x88\x00", b"\x89\x00"] {
        assert_eq!(
            receiver.receive(&RULES, &mut frame.to_vec(), &mut held),
            fault
        );
    }
}

#[test]
fn a_frame_too_big_is_refused_by_its_header() {
    assert_eq!(read(&[&sized(0x82, 300)]), [binary([0; 300], true)]);
    let fault = Seen::Fault(Fault::FrameTooBig);
    assert_eq!(
        read(&[&sized(0x82, 301)[..4]]),
        std::slice::from_ref(&fault)
    );
    assert_eq!(
        read(&[b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"]),
        [fault]
    );
}

#[test]
fn a_message_too_big_is_refused_by_the_header_that_makes_it_so() {
    let (first, second) = (sized(0x02, 200), sized(0x00, 150));
    let whole = read(&[&first, &second, &sized(0x80, 150)]);
    assert_eq!(whole, [binary([0; 500], true)]);
    let fault = Seen::Fault(Fault::MessageTooBig);
    let cut = read(&[&first, &second, &sized(0x80, 151)[..4]]);
    assert_eq!(cut, [binary([0; 350], false), fault]);
}

#[test]
fn each_message_has_the_whole_limit_and_control_frames_need_none() {
    let two = [sized(0x82, 300), sized(0x82, 300)];
    assert_eq!(
        read(&[&two[0], &two[1]]),
        [binary([0; 300], true), binary([0; 300], true)]
    );
    let rules = Rules {
        frame_bytes_max: 0,
        message_bytes_max: 0,
        ..RULES
    };
    assert_eq!(
        body::observe(&rules, [&b"\x89\x01p"[..]]),
        [Seen::Ping(b"p".into())]
    );
}

#[test]
fn every_fault_has_its_code() {
    for (fault, code) in [
        (Fault::ReservedBits, 1002),
        (Fault::ReservedOpcode, 1002),
        (Fault::ControlFragmented, 1002),
        (Fault::ControlTooLong, 1002),
        (Fault::MaskMissing, 1002),
        (Fault::MaskPresent, 1002),
        (Fault::LengthNotMinimal, 1002),
        (Fault::LengthTopBit, 1002),
        (Fault::ContinuationUnexpected, 1002),
        (Fault::ContinuationMissing, 1002),
        (Fault::CloseBodyTooShort, 1002),
        (Fault::CloseCodeForbidden, 1002),
        (Fault::TextNotUtf8, 1007),
        (Fault::CloseReasonNotUtf8, 1007),
        (Fault::FrameTooBig, 1009),
        (Fault::MessageTooBig, 1009),
    ] {
        assert_eq!(fault.close_code().get(), code, "{fault:?}");
    }
}

#[test]
fn events_do_not_depend_on_the_cuts() {
    let frames: [&[u8]; 6] = [
        b"\x01\x04ab\xe2\x82",
        b"\x89\x03pin",
        b"\x80\x02\xacc",
        &sized(0x82, 300),
        b"\x82\x00",
        &close(1000, b"bye"),
    ];
    let bytes = frames.concat();
    let whole = body::observe(&RULES, [&bytes[..]]);
    assert_eq!(whole.len(), 6);
    for cut in 0..=bytes.len() {
        assert_eq!(
            body::observe(&RULES, [&bytes[..cut], &bytes[cut..]]),
            whole,
            "cut at {cut}"
        );
    }
}

#[test]
fn data_is_yielded_as_it_comes() {
    let mut receiver = Receiver::new();
    let mut held = HeldControl::default();
    let event = Event::Data {
        kind: MessageKind::Text,
        bytes: b"ab",
        fin: false,
    };
    let mut input = *b"\x81\x05ab";
    assert_eq!(
        receiver.receive(&RULES, &mut input, &mut held),
        Ok(Some((event, 4)))
    );
    assert_eq!(receiver.receive(&RULES, &mut [], &mut held), Ok(None));
}
