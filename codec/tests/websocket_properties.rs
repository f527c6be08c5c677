//! Properties of WebSocket framing over arbitrary bytes and generated traffic;
//! the bodies are those of the fuzz targets. The seed is fixed, so that a run
//! finds what the last one found.

#[path = "websocket/traffic.rs"]
pub mod traffic;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use ringcast_codec::Progress;
use ringcast_codec::websocket::{
    Close, CloseCode, Control, ControlKind, FrameHeader, HEADER_BYTES_MAX, MaskingKey, MessageKind,
    Opcode, Role,
};
use ringcast_codec_fuzz::websocket as body;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(6455),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn header(role: Role) -> impl Strategy<Value = FrameHeader> {
    let data = prop_oneof![
        Just(Opcode::Continuation),
        Just(Opcode::Message(MessageKind::Text)),
        Just(Opcode::Message(MessageKind::Binary)),
    ];
    let control = prop_oneof![
        Just(ControlKind::Close),
        Just(ControlKind::Ping),
        Just(ControlKind::Pong)
    ];
    let length = prop_oneof![0..130u64, 65_530..65_540u64, 0..=u64::MAX >> 1];
    let shape = prop_oneof![
        (data, any::<bool>(), length),
        (control.prop_map(Opcode::Control), Just(true), 0..=125u64),
    ];
    (shape, any::<[u8; 4]>()).prop_map(move |((opcode, fin, payload_bytes), key)| FrameHeader {
        fin,
        opcode,
        mask: (role == Role::Client).then_some(MaskingKey::new(key)),
        payload_bytes,
    })
}

fn check_header(reader: Role, header: FrameHeader) {
    let mut out = [0; HEADER_BYTES_MAX];
    let length = header.encode(&mut out);
    assert_eq!(length, header.encoded_len());
    assert_eq!(
        FrameHeader::decode(reader, &out[..length]),
        Ok(Progress::Done(header, length))
    );
    for cut in 0..length {
        let Ok(Progress::Partial { needed }) = FrameHeader::decode(reader, &out[..cut]) else {
            panic!("{header:?} is not partial at {cut}");
        };
        assert!(
            (cut + 1..=length).contains(&needed),
            "{header:?} needs {needed} at {cut}"
        );
    }
}

fn check_control(mask: Option<MaskingKey>, control: Control<'_>) {
    let (from, reader) = if mask.is_some() {
        (Role::Client, Role::Server)
    } else {
        (Role::Server, Role::Client)
    };
    let mut out = vec![0; control.encoded_len(mask)];
    assert_eq!(control.encode(mask, &mut out), out.len());
    let rules = ringcast_codec::websocket::Rules {
        role: reader,
        frame_bytes_max: 0,
        message_bytes_max: 0,
    };
    let story = body::observe(&rules, [&out[..]]);
    assert_eq!(story.len(), 1);
    assert_eq!(
        body::observe(&rules, [&body::encode(from, &story)[..]]),
        story
    );
}

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn arbitrary_bytes_meet_a_server(input in vec(any::<u8>(), 0..400)) {
        body::websocket_server(&input);
    }

    #[test]
    fn arbitrary_bytes_meet_a_client(input in vec(any::<u8>(), 0..400)) {
        body::websocket_client(&input);
    }

    #[test]
    fn a_header_is_read_as_it_was_written(
        from_client in header(Role::Client),
        from_server in header(Role::Server),
    ) {
        check_header(Role::Server, from_client);
        check_header(Role::Client, from_server);
    }

    /// A fault shows at the first byte that makes it certain, and stays.
    #[test]
    fn more_bytes_do_not_change_a_header_fault(input in vec(any::<u8>(), 0..16)) {
        for role in [Role::Server, Role::Client] {
            let mut found = None;
            for end in 0..=input.len() {
                let now = FrameHeader::decode(role, &input[..end]);
                if let Some(found) = found {
                    prop_assert_eq!(now, found);
                } else if !matches!(now, Ok(Progress::Partial { .. })) {
                    found = Some(now);
                }
            }
        }
    }

    #[test]
    fn a_control_frame_is_read_as_it_was_written(
        payload in vec(any::<u8>(), 0..=125),
        reason in "\\PC{0,30}",
        code in prop_oneof![1000u16..=1003, 1007u16..=1014, 3000u16..=4999],
        key in prop::option::of(any::<[u8; 4]>()),
    ) {
        let mask = key.map(MaskingKey::new);
        let code = CloseCode::new(code).expect("a code that may travel");
        check_control(mask, Control::Ping(&payload));
        check_control(mask, Control::Pong(&payload));
        check_control(mask, Control::Close(None));
        check_control(mask, Control::Close(Some(Close { code, reason: &reason })));
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn traffic_meets_a_server(input in prop_oneof![traffic::traffic(true), traffic::mutated(true)]) {
        body::websocket_server(&input);
    }

    #[test]
    fn traffic_meets_a_client(input in prop_oneof![traffic::traffic(false), traffic::mutated(false)]) {
        body::websocket_client(&input);
    }
}
