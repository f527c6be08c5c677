//! The form of frames, clause by clause: what a header may look like, how it is
//! written, and the examples of RFC 6455, section 5.7.

use ringcast_codec::Progress;
use ringcast_codec::websocket::{
    Close, CloseCode, Control, ControlKind, Fault, FrameHeader, HEADER_BYTES_MAX, MaskingKey,
    MessageKind, Opcode, Role, Rules, SERVER_HEADER_BYTES_MAX,
};
use ringcast_codec_fuzz::websocket::{self as body, Seen};

const KEY: MaskingKey = MaskingKey::new([0x37, 0xfa, 0x21, 0x3d]);
const TEXT: Opcode = Opcode::Message(MessageKind::Text);
const BINARY: Opcode = Opcode::Message(MessageKind::Binary);
const OPCODES: [(u8, Opcode); 6] = [
    (0x0, Opcode::Continuation),
    (0x1, TEXT),
    (0x2, BINARY),
    (0x8, Opcode::Control(ControlKind::Close)),
    (0x9, Opcode::Control(ControlKind::Ping)),
    (0xa, Opcode::Control(ControlKind::Pong)),
];

fn read(role: Role, bytes: &[u8]) -> Vec<Seen> {
    let rules = Rules {
        role,
        frame_bytes_max: 100_000,
        message_bytes_max: 100_000,
    };
    body::observe(&rules, [bytes])
}

fn text(payload: &str, fin: bool) -> Seen {
    Seen::Data(MessageKind::Text, payload.into(), fin)
}

fn written(fin: bool, opcode: Opcode, mask: Option<MaskingKey>, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        fin,
        opcode,
        mask,
        payload_bytes: payload.len() as u64,
    };
    let mut frame = vec![0; header.encoded_len()];
    assert_eq!(header.encode(&mut frame), frame.len());
    let payload_at = frame.len();
    frame.extend_from_slice(payload);
    if let Some(key) = mask {
        key.apply(&mut frame[payload_at..]);
    }
    frame
}

fn controls() -> [Control<'static>; 4] {
    let close = Close {
        code: CloseCode::NORMAL,
        reason: "bye",
    };
    [
        Control::Close(None),
        Control::Close(Some(close)),
        Control::Ping(b"Hello"),
        Control::Pong(b"Hello"),
    ]
}

fn written_control(control: Control<'_>, mask: Option<MaskingKey>) -> Vec<u8> {
    let mut frame = vec![0; control.encoded_len(mask)];
    assert_eq!(control.encode(mask, &mut frame), frame.len());
    frame
}

#[test]
fn example_unmasked_text() {
    let frame = b"\x81\x05\x48\x65\x6c\x6c\x6f";
    assert_eq!(read(Role::Client, frame), [text("Hello", true)]);
    assert_eq!(written(true, TEXT, None, b"Hello"), frame);
}

#[test]
fn example_masked_text() {
    let frame = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(read(Role::Server, frame), [text("Hello", true)]);
    assert_eq!(written(true, TEXT, Some(KEY), b"Hello"), frame);
}

#[test]
fn example_two_fragments() {
    let frames = b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f";
    assert_eq!(read(Role::Client, frames), [text("Hello", true)]);
    let parts = [
        written(false, TEXT, None, b"Hel"),
        written(true, Opcode::Continuation, None, b"lo"),
    ];
    assert_eq!(parts.concat(), frames);
}

#[test]
fn example_ping_and_its_pong() {
    let ping = b"\x89\x05\x48\x65\x6c\x6c\x6f";
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(read(Role::Client, ping), [Seen::Ping(b"Hello".into())]);
    assert_eq!(read(Role::Server, pong), [Seen::Pong(b"Hello".into())]);
    assert_eq!(written_control(Control::Ping(b"Hello"), None), ping);
    assert_eq!(written_control(Control::Pong(b"Hello"), Some(KEY)), pong);
}

#[test]
fn example_long_binary() {
    for (length, header) in [
        (256, &b"\x82\x7e\x01\x00"[..]),
        (65536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ] {
        let payload = vec![7; length];
        let frame = [header, &payload].concat();
        assert_eq!(written(true, BINARY, None, &payload), frame);
        assert_eq!(
            read(Role::Client, &frame),
            [Seen::Data(MessageKind::Binary, payload, true)]
        );
    }
}

#[test]
fn the_first_two_bytes_say_fin_opcode_mask_and_length() {
    for (bits, opcode) in OPCODES {
        for (fin, first) in [(true, 0x80 | bits), (false, bits)] {
            if !fin && bits >= 8 {
                continue;
            }
            let server = FrameHeader {
                fin,
                opcode,
                mask: None,
                payload_bytes: 5,
            };
            let client = FrameHeader {
                mask: Some(KEY),
                ..server
            };
            for (reader, header, bytes) in [
                (Role::Client, server, &[first, 5][..]),
                (Role::Server, client, &[first, 0x85, 0x37, 0xfa, 0x21, 0x3d]),
            ] {
                assert_eq!(
                    FrameHeader::decode(reader, bytes),
                    Ok(Progress::Done(header, bytes.len()))
                );
                let mut out = [0; HEADER_BYTES_MAX];
                let length = header.encode(&mut out);
                assert_eq!(&out[..length], bytes);
            }
        }
    }
}

#[test]
fn reserved_bits_are_refused_on_every_frame() {
    for reserved in [0x40, 0x20, 0x10, 0x70] {
        for (bits, _) in OPCODES {
            for fin in [0x80, 0] {
                let fault = Err(Fault::ReservedBits);
                assert_eq!(
                    FrameHeader::decode(Role::Client, &[fin | reserved | bits]),
                    fault
                );
                assert_eq!(
                    FrameHeader::decode(Role::Server, &[fin | reserved | bits]),
                    fault
                );
            }
        }
    }
    assert_eq!(
        read(Role::Client, b"\xc1\x00"),
        [Seen::Fault(Fault::ReservedBits)]
    );
}

#[test]
fn reserved_bits_are_never_sent() {
    for mask in [None, Some(KEY)] {
        for (_, opcode) in OPCODES {
            assert_eq!(written(true, opcode, mask, b"")[0] & 0x70, 0);
        }
        for control in controls() {
            assert_eq!(written_control(control, mask)[0] & 0x70, 0);
        }
    }
}

#[test]
fn unknown_opcodes_are_refused() {
    for bits in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        assert_eq!(
            read(Role::Client, &[0x80 | bits, 0]),
            [Seen::Fault(Fault::ReservedOpcode)]
        );
    }
}

#[test]
fn a_server_refuses_an_unmasked_frame() {
    for (bits, _) in OPCODES {
        assert_eq!(
            read(Role::Server, &[0x80 | bits, 0]),
            [Seen::Fault(Fault::MaskMissing)]
        );
    }
}

#[test]
fn a_client_refuses_a_masked_frame() {
    for (bits, _) in OPCODES {
        assert_eq!(
            read(Role::Client, &[0x80 | bits, 0x80]),
            [Seen::Fault(Fault::MaskPresent)]
        );
    }
}

#[test]
fn a_client_masks_every_frame() {
    for (_, opcode) in OPCODES {
        for length in [5, 300, 70_000] {
            let plain = vec![b'a'; length];
            let frame = written(true, opcode, Some(KEY), &plain);
            let header_bytes = frame.len() - length;
            assert_eq!(frame[1] & 0x80, 0x80);
            assert_eq!(frame[header_bytes - 4..header_bytes], KEY.bytes());
            assert_eq!(frame[header_bytes], b'a' ^ 0x37);
        }
    }
    for control in controls() {
        let (masked, plain) = (
            written_control(control, Some(KEY)),
            written_control(control, None),
        );
        assert_eq!(masked[1], plain[1] | 0x80);
        assert_eq!(masked[2..6], KEY.bytes());
        for (index, byte) in plain[2..].iter().enumerate() {
            assert_eq!(masked[6 + index], byte ^ KEY.bytes()[index % 4]);
        }
    }
}

#[test]
fn a_server_masks_no_frame() {
    for (_, opcode) in OPCODES {
        for length in [5, 300, 70_000] {
            let frame = written(true, opcode, None, &vec![b'a'; length]);
            assert_eq!(frame[1] & 0x80, 0);
            assert!(frame.len() - length <= SERVER_HEADER_BYTES_MAX);
            assert!(
                frame[frame.len() - length..]
                    .iter()
                    .all(|&byte| byte == b'a')
            );
        }
    }
    for control in controls() {
        assert_eq!(written_control(control, None)[1] & 0x80, 0);
    }
}

#[test]
fn a_length_takes_7_16_or_64_bits_in_network_order() {
    for (length, bytes) in [
        (0, &b"\x82\x00"[..]),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (0x1234, b"\x82\x7e\x12\x34"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (
            0x0123_4567_89ab_cdef,
            b"\x82\x7f\x01\x23\x45\x67\x89\xab\xcd\xef",
        ),
        (u64::MAX >> 1, b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"),
    ] {
        let header = FrameHeader {
            fin: true,
            opcode: BINARY,
            mask: None,
            payload_bytes: length,
        };
        let decoded = FrameHeader::decode(Role::Client, bytes);
        assert_eq!(decoded, Ok(Progress::Done(header, bytes.len())));
        let mut out = [0; SERVER_HEADER_BYTES_MAX];
        let written = header.encode(&mut out);
        assert_eq!(&out[..written], bytes);
    }
}

#[test]
fn the_top_bit_of_a_length_is_0() {
    let bytes = b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00";
    assert_eq!(
        FrameHeader::decode(Role::Client, bytes),
        Err(Fault::LengthTopBit)
    );
}

#[test]
fn a_length_not_in_its_shortest_form_is_refused() {
    for bytes in [
        &b"\x82\x7e\x00\x00"[..],
        b"\x82\x7e\x00\x7d",
        b"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x7d",
        b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff",
    ] {
        assert_eq!(
            FrameHeader::decode(Role::Client, bytes),
            Err(Fault::LengthNotMinimal),
            "{bytes:x?}"
        );
    }
}

#[test]
fn the_key_follows_the_length_and_is_not_counted() {
    for (bytes, payload_bytes) in [
        (&b"\x82\x85\x37\xfa\x21\x3d"[..], 5),
        (b"\x82\xfe\x01\x00\x37\xfa\x21\x3d", 256),
        (
            b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x37\xfa\x21\x3d",
            65_536,
        ),
    ] {
        let header = FrameHeader {
            fin: true,
            opcode: BINARY,
            mask: Some(KEY),
            payload_bytes,
        };
        assert_eq!(
            FrameHeader::decode(Role::Server, bytes),
            Ok(Progress::Done(header, bytes.len()))
        );
        assert_eq!(header.encoded_len(), bytes.len());
    }
    let two = [
        written(true, TEXT, Some(KEY), b"ab"),
        written(true, TEXT, Some(KEY), b"c"),
    ]
    .concat();
    assert_eq!(
        read(Role::Server, &two),
        [text("ab", true), text("c", true)]
    );
}

#[test]
fn every_frame_may_be_empty() {
    for (frames, seen) in [
        (&b"\x81\x00"[..], text("", true)),
        (b"\x01\x00\x00\x00\x80\x00", text("", true)),
        (
            b"\x82\x00",
            Seen::Data(MessageKind::Binary, Vec::new(), true),
        ),
        (b"\x88\x00", Seen::Close(None)),
        (b"\x89\x00", Seen::Ping(Vec::new())),
        (b"\x8a\x00", Seen::Pong(Vec::new())),
    ] {
        assert_eq!(read(Role::Client, frames), [seen]);
    }
}
