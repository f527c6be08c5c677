//! What the MQTT conformance tests share: packets put together byte by byte,
//! without the encoder, and the ways of looking at what the codec makes of them.
//!
//! Nothing in here is taken from the codec's own tables.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) use ringcast_codec::Progress;
pub(crate) use ringcast_codec::mqtt::Sender::{Client, Server};
pub(crate) use ringcast_codec::mqtt::Version::{V5, V31, V311};
pub(crate) use ringcast_codec::mqtt::*;

pub(crate) const VERSIONS: [Version; 3] = [V31, V311, V5];

/// A variable byte integer, as the pseudo code of section 2.2.3 (1.5.5) has it.
pub(crate) fn variable(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 128);
    }
}

/// A packet of that first byte, with the right Remaining Length.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first], &variable(body.len())[..], body].concat()
}

/// A string or binary field with its two bytes of length.
pub(crate) fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length, bytes].concat()
}

/// Properties with their length.
pub(crate) fn block(properties: &[u8]) -> Vec<u8> {
    [&variable(properties.len()), properties].concat()
}

/// The beginning of a CONNECT's body, up to and with Keep Alive 10.
pub(crate) fn connect_head(version: Version, flags: u8) -> Vec<u8> {
    let name_and_level: &[u8] = match version {
        V31 => b"\0\x06MQIsdp\x03",
        V311 => b"\0\x04MQTT\x04",
        V5 => b"\0\x04MQTT\x05",
    };
    [name_and_level, &[flags, 0, 10]].concat()
}

/// A whole CONNECT; in MQTT 5 without properties.
pub(crate) fn connect(version: Version, flags: u8, payload: &[u8]) -> Vec<u8> {
    let properties: &[u8] = if version == V5 { &[0] } else { &[] };
    let body = [&connect_head(version, flags)[..], properties, payload].concat();
    packet(0x10, &body)
}

/// A whole PUBLISH; in MQTT 5 without properties.
pub(crate) fn publish(version: Version, flags: u8, topic: &[u8]) -> Vec<u8> {
    let mut body = field(topic);
    if flags & 0b0110 != 0 {
        body.extend([0, 7]);
    }
    if version == V5 {
        body.push(0);
    }
    body.extend(b"payload");
    packet(0x30 | flags, &body)
}

/// A whole SUBSCRIBE with identifier 7; in MQTT 5 without properties.
pub(crate) fn subscribe(version: Version, filter: &[u8], options: u8) -> Vec<u8> {
    let properties: &[u8] = if version == V5 { &[0] } else { &[] };
    let body = [&[0, 7], properties, &field(filter), &[options]].concat();
    packet(0x82, &body)
}

/// A whole UNSUBSCRIBE with identifier 7; in MQTT 5 without properties.
pub(crate) fn unsubscribe(version: Version, filter: &[u8]) -> Vec<u8> {
    let properties: &[u8] = if version == V5 { &[0] } else { &[] };
    packet(0xA2, &[&[0, 7], properties, &field(filter)].concat())
}

/// Decodes bytes that must be one whole packet.
pub(crate) fn decode(version: Version, sender: Sender, bytes: &[u8]) -> Result<Packet<'_>, Fault> {
    let decoder = Decoder {
        version,
        sender,
        packet_bytes_max: PACKET_BYTES_MAX,
    };
    match decoder.decode(bytes)? {
        Progress::Done(packet, consumed) => {
            assert_eq!(consumed, bytes.len(), "{bytes:02x?}");
            Ok(packet)
        }
        Progress::Partial { needed } => panic!("{needed} bytes needed: {bytes:02x?}"),
    }
}

/// Decodes a packet that must be accepted, and checks that encoding it gives
/// the same bytes in the announced number.
pub(crate) fn accepted(version: Version, sender: Sender, bytes: &[u8]) -> Packet<'_> {
    let packet = decode(version, sender, bytes)
        .unwrap_or_else(|fault| panic!("{version:?} {sender:?} {bytes:02x?}: {fault}"));
    assert_eq!(encoded(&packet, version), bytes, "{packet:?}");
    packet
}

/// Encodes a CONNECT into exactly the announced number of bytes.
pub(crate) fn encoded_connect(connect: &Connect<'_>) -> Vec<u8> {
    let mut out = vec![0xEE; connect.encoded_len().unwrap()];
    assert_eq!(connect.encode(&mut out), Ok(out.len()));
    out
}

/// Encodes into exactly the announced number of bytes.
pub(crate) fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = vec![0xEE; packet.encoded_len(version).unwrap()];
    assert_eq!(packet.encode(version, &mut out), Ok(out.len()));
    out
}

/// Decodes a packet that must be refused for that fault; the connection closes,
/// in MQTT 5 with a DISCONNECT of that reason.
#[track_caller]
pub(crate) fn refused(
    version: Version,
    sender: Sender,
    bytes: &[u8],
    fault: Fault,
    reason: ReasonCode,
) {
    let found = decode(version, sender, bytes);
    assert_eq!(found, Err(fault), "{version:?} {sender:?} {bytes:02x?}");
    assert_eq!(fault.reason(), reason);
    let answer = match version {
        V31 | V311 => Answer::Close,
        V5 => Answer::Disconnect(reason),
    };
    assert_eq!(fault.answer(version), answer);
}

/// Decodes bytes that must be one whole CONNECT.
pub(crate) fn first(bytes: &[u8]) -> Result<Connect<'_>, ConnectFault> {
    match Connect::decode(bytes, PACKET_BYTES_MAX)? {
        Progress::Done(connect, consumed) => {
            assert_eq!(consumed, bytes.len(), "{bytes:02x?}");
            Ok(connect)
        }
        Progress::Partial { needed } => panic!("{needed} bytes needed: {bytes:02x?}"),
    }
}

/// Decodes a CONNECT that must be accepted, and checks that encoding it gives
/// the same bytes in the announced number.
#[track_caller]
pub(crate) fn connects(bytes: &[u8]) -> Connect<'_> {
    let connect = first(bytes).unwrap_or_else(|fault| panic!("{bytes:02x?}: {fault:?}"));
    assert_eq!(encoded_connect(&connect), bytes, "{connect:?}");
    connect
}

/// Decodes a CONNECT that must be refused for that fault, with that answer.
#[track_caller]
pub(crate) fn connect_refused(bytes: &[u8], fault: Fault, answer: Answer) {
    let found = first(bytes).expect_err("refused");
    assert_eq!(found.fault, fault, "{bytes:02x?}");
    assert_eq!(found.answer(), answer, "{bytes:02x?}");
}

/// As [`connect_refused`]; MQTT 3 closes, MQTT 5 sends CONNACK with that reason.
#[track_caller]
pub(crate) fn connect_broken(version: Version, bytes: &[u8], fault: Fault, reason: ReasonCode) {
    let answer = match version {
        V31 | V311 => Answer::Close,
        V5 => Answer::Connack(V5, reason),
    };
    connect_refused(bytes, fault, answer);
}
