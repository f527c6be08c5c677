//! The WebSocket receiver's properties over arbitrary input, for both roles: no
//! panic, the same story however the input is split, and events that, encoded
//! again, are read as the same events.

use ringcast_codec::websocket::{
    Close, CloseCode, Control, Event, Fault, FrameHeader, HeldControl, MaskingKey, MessageKind,
    Opcode, Receiver, Role, Rules,
};

/// What a receiver told, with adjacent pieces of a message joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Bytes of one message, up to its end or a control frame.
    Data(MessageKind, Vec<u8>, bool),
    /// A Close with its code and reason.
    Close(Option<(CloseCode, String)>),
    /// A Ping with its payload.
    Ping(Vec<u8>),
    /// A Pong with its payload.
    Pong(Vec<u8>),
    /// The peer's fault, always last.
    Fault(Fault),
}

/// All that a receiver tells about an input that arrives in `pieces`.
pub fn observe<'i>(rules: &Rules, pieces: impl IntoIterator<Item = &'i [u8]>) -> Vec<Seen> {
    let mut receiver = Receiver::new();
    let mut held = HeldControl::default();
    let mut story = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            match receiver.receive(rules, &mut piece[at..], &mut held) {
                Ok(Some((event, taken))) => {
                    at += taken;
                    tell(&mut story, event);
                }
                Ok(None) => break,
                Err(fault) => {
                    let again = receiver.receive(rules, &mut piece[at..], &mut held);
                    assert_eq!(again, Err(fault), "a fault stays");
                    story.push(Seen::Fault(fault));
                    return story;
                }
            }
        }
    }
    story
}

fn tell(story: &mut Vec<Seen>, event: Event<'_>) {
    match event {
        Event::Data { kind, bytes, fin } => {
            assert!(fin || !bytes.is_empty(), "an empty piece tells nothing");
            if let Some(Seen::Data(_, joined, joined_fin @ false)) = story.last_mut() {
                joined.extend_from_slice(bytes);
                *joined_fin = fin;
            } else {
                story.push(Seen::Data(kind, bytes.to_vec(), fin));
            }
        }
        Event::Control(Control::Close(close)) => story.push(Seen::Close(
            close.map(|Close { code, reason }| (code, reason.to_owned())),
        )),
        Event::Control(Control::Ping(payload)) => story.push(Seen::Ping(payload.to_vec())),
        Event::Control(Control::Pong(payload)) => story.push(Seen::Pong(payload.to_vec())),
    }
}

/// The story as frames that `from` sends, up to a fault.
pub fn encode(from: Role, story: &[Seen]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut is_under_way = false;
    for (index, seen) in story.iter().enumerate() {
        let mask = mask(from, index);
        let control = match seen {
            Seen::Data(kind, bytes, fin) => {
                let opcode = if is_under_way {
                    Opcode::Continuation
                } else {
                    Opcode::Message(*kind)
                };
                is_under_way = !fin;
                let header = FrameHeader {
                    fin: *fin,
                    opcode,
                    mask,
                    payload_bytes: bytes.len() as u64,
                };
                let start = out.len();
                out.resize(start + header.encoded_len(), 0);
                assert_eq!(
                    header.encode(&mut out[start..]),
                    out.len() - start,
                    "exact size"
                );
                let start = out.len();
                out.extend_from_slice(bytes);
                if let Some(key) = mask {
                    key.apply(&mut out[start..]);
                }
                continue;
            }
            Seen::Close(close) => Control::Close(close.as_ref().map(|(code, reason)| Close {
                code: *code,
                reason,
            })),
            Seen::Ping(payload) => Control::Ping(payload),
            Seen::Pong(payload) => Control::Pong(payload),
            Seen::Fault(_) => break,
        };
        let start = out.len();
        out.resize(start + control.encoded_len(mask), 0);
        assert_eq!(
            control.encode(mask, &mut out[start..]),
            out.len() - start,
            "exact size"
        );
    }
    out
}

/// A key per frame for a client, none for a server.
fn mask(from: Role, index: usize) -> Option<MaskingKey> {
    let bytes = (index as u32).wrapping_mul(0x9e37_79b9).to_be_bytes();
    (from == Role::Client).then_some(MaskingKey::new(bytes))
}

/// Pieces of 0 to 15 bytes, their lengths drawn from the input itself.
fn uneven(input: &[u8]) -> Vec<&[u8]> {
    let mut state = input.iter().fold(1u32, |state, &byte| {
        (state ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let mut rest = input;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        let (piece, after) = rest.split_at(rest.len().min((state >> 28) as usize));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn check(role: Role, peer: Role, input: &[u8]) {
    let rules = Rules {
        role,
        frame_bytes_max: 3000,
        message_bytes_max: 4000,
    };
    let story = observe(&rules, [input]);
    assert_eq!(observe(&rules, input.chunks(1)), story, "byte by byte");
    assert_eq!(observe(&rules, uneven(input)), story, "in uneven pieces");

    // Frames that were joined may exceed the limit of one.
    let rules = Rules {
        frame_bytes_max: u32::MAX,
        ..rules
    };
    let mut told = story;
    if let Some(Seen::Fault(_)) = told.last() {
        told.pop();
    }
    let again = encode(peer, &told);
    assert_eq!(observe(&rules, [&again[..]]), told, "encoded again");
}

/// Bytes of a client, as a server reads them.
pub fn websocket_server(input: &[u8]) {
    check(Role::Server, Role::Client, input);
}

/// Bytes of a server, as a client reads them.
pub fn websocket_client(input: &[u8]) {
    check(Role::Client, Role::Server, input);
}
