//! Generated traffic: frames in a legal order with now and then a wrong one,
//! and the same with bytes changed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// A frame before it is put on the wire.
#[derive(Debug, Clone)]
struct Frame {
    opcode: u8,
    fin: bool,
    payload: Vec<u8>,
    key: [u8; 4],
    /// Keep an opcode that does not fit what came before.
    stray: bool,
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[ -~]{0,40}".prop_map(String::into_bytes),
        4 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => Just(b"\xe2\x82".to_vec()),
        1 => Just(b"\xac".to_vec()),
        1 => vec(any::<u8>(), 0..6),
    ]
}

fn close_body() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        4 => 1000u16..1016,
        1 => 3000u16..5000,
        1 => any::<u16>(),
    ];
    prop_oneof![
        1 => Just(Vec::new()),
        1 => vec(any::<u8>(), 0..3),
        6 => (code, text()).prop_map(|(code, reason)| [&code.to_be_bytes()[..], &reason].concat()),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let kind = prop_oneof![
        8 => (Just(1u8), text()),
        2 => (Just(1u8), (100..2000usize).prop_map(|length| vec![b'x'; length])),
        4 => (Just(2u8), vec(any::<u8>(), 0..300)),
        1 => (Just(2u8), (60_000..70_000usize).prop_map(|length| vec![7; length])),
        3 => (9u8..=10, vec(any::<u8>(), 0..=125)),
        1 => (Just(8u8), close_body()),
    ];
    (
        kind,
        any::<bool>(),
        any::<[u8; 4]>(),
        prop::bool::weighted(0.02),
    )
        .prop_map(|((opcode, payload), fin, key, stray)| Frame {
            opcode,
            fin,
            payload,
            key,
            stray,
        })
}

/// The frames as `masked` or unmasked bytes; what would not fit the frame before
/// becomes a continuation.
fn wire(frames: Vec<Frame>, masked: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut is_under_way = false;
    for Frame {
        opcode,
        fin,
        mut payload,
        key,
        stray,
    } in frames
    {
        let is_control = opcode >= 8;
        let fin = fin || (is_control && !stray);
        let opcode = if is_under_way && !is_control && !stray {
            0
        } else {
            opcode
        };
        if !is_control {
            is_under_way = !fin;
        }
        out.push(u8::from(fin) << 7 | opcode);
        let mask = u8::from(masked) << 7;
        match payload.len() {
            length @ ..126 => out.push(mask | length as u8),
            length @ ..0x1_0000 => {
                out.push(mask | 126);
                out.extend((length as u16).to_be_bytes());
            }
            length => {
                out.push(mask | 127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            out.extend(key);
            payload
                .iter_mut()
                .zip(key.iter().cycle())
                .for_each(|(byte, key)| *byte ^= key);
        }
        out.extend(payload);
    }
    out
}

/// What a client (`masked`) or a server sends, in nearly legal frames.
pub fn traffic(masked: bool) -> impl Strategy<Value = Vec<u8>> {
    vec(frame(), 0..10).prop_map(move |frames| wire(frames, masked))
}

/// The same with one or two bytes changed, most of them near the front, where headers are.
pub fn mutated(masked: bool) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), prop::bool::weighted(0.7), any::<u8>());
    (traffic(masked), vec(change, 1..3)).prop_map(|(mut bytes, changes)| {
        for (index, is_near, value) in changes {
            let reach = if is_near {
                bytes.len().min(16)
            } else {
                bytes.len()
            };
            if reach > 0 {
                bytes[index.index(reach)] ^= value;
            }
        }
        bytes
    })
}
