//! The liberties that a sender of a valid packet has: all the ways in which its
//! bytes may differ from those that the encoder makes of the same packet.
//!
//! | liberty | who has it | packets |
//! |---|---|---|
//! | a length in more bytes than it needs | MQTT 3.1, 3.1.1 | all |
//! | a reason Success, or no properties, spelt out | MQTT 5 | PUBACK to PUBCOMP, DISCONNECT |
//! | flags in the first byte that are not used | MQTT 3.1 | all but PUBLISH |
//! | DUP at QoS 0, where it means nothing | MQTT 3.1 | PUBLISH |
//! | connect flags that are not used: the lowest, and a will's without a will | MQTT 3.1 | CONNECT |
//! | flags for a user name or password that is then missing | MQTT 3.1 | CONNECT |
//! | a first byte that is not used | MQTT 3.1 | CONNACK |
//! | upper bits beside the QoS that are not used | MQTT 3.1 | SUBSCRIBE |
//!
//! AUTH has none: without a method only its shortest form is valid.

use ringcast_codec::mqtt::{Connect, Kind, Packet, Version};

/// The bytes of a CONNECT that was decoded from `input`, without the liberties
/// that they take. Independent of the encoder: it only edits the input.
pub(super) fn connect(input: &[u8], connect: &Connect<'_>) -> Vec<u8> {
    let mut body = body(input, connect.version).to_vec();
    if connect.version == Version::V31 {
        let flags = &mut body[2 + "MQIsdp".len() + 1];
        *flags &= !1;
        if connect.will.is_none() {
            *flags &= !0b0011_1000;
        }
        if connect.user_name.is_none() {
            *flags &= !0b1000_0000;
        }
        if connect.password.is_none() {
            *flags &= !0b0100_0000;
        }
    }
    whole(input[0] & 0xF0, &body)
}

/// As [`connect`], for all other packets.
pub(super) fn packet(input: &[u8], packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut body = body(input, version).to_vec();
    let mut first = input[0];
    match packet.kind() {
        Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp if version == Version::V5 => {
            shorten(&mut body, 2);
        }
        Kind::Disconnect if version == Version::V5 => shorten(&mut body, 0),
        _ => {}
    }
    if version == Version::V31 {
        first = used_flags(first, packet.kind());
        clear_unused(&mut body, packet);
    }
    whole(first, &body)
}

/// The body of a packet, whose length MQTT 5 allows in the fewest bytes only.
fn body(packet: &[u8], version: Version) -> &[u8] {
    let length_bytes = packet[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let is_shortest = length_bytes == 1 || packet[length_bytes] != 0;
    assert!(is_shortest || version != Version::V5, "{packet:02X?}");
    &packet[1 + length_bytes..]
}

fn whole(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    while rest >= 0x80 {
        bytes.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend_from_slice(body);
    bytes
}

/// Drops "no properties", then "Success", from the end of a packet.
fn shorten(body: &mut Vec<u8>, reason_at: usize) {
    if body.len() == reason_at + 2 && body[reason_at + 1] == 0 {
        body.truncate(reason_at + 1);
    }
    if body.len() == reason_at + 1 && body[reason_at] == 0 {
        body.truncate(reason_at);
    }
}

fn used_flags(first: u8, kind: Kind) -> u8 {
    match kind {
        Kind::Publish if first & 0b0110 == 0 => first & !0b1000,
        Kind::Publish => first,
        Kind::Subscribe | Kind::Unsubscribe | Kind::Pubrel => first & 0xF0 | 0b0010,
        _ => first & 0xF0,
    }
}

/// Clears what MQTT 3.1 does not use in the body of a packet.
fn clear_unused(body: &mut [u8], packet: &Packet<'_>) {
    match packet {
        Packet::Connack(_) => body[0] = 0,
        Packet::Subscribe(_) => {
            let mut at = 2;
            while at < body.len() {
                at += 2 + usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
                body[at] &= 0b11;
                at += 1;
            }
        }
        _ => {}
    }
}
