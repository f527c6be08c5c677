//! Fixed headers and the ends of packets, in all three versions: every type with
//! every flags from both senders, every packet cut at every byte, every packet
//! with a byte too many.
//!
//! The tables are those of the standards, written down again from them.

#[path = "support/mqtt.rs"]
mod support;
use ReasonCode::{MalformedPacket, ProtocolError};
use support::*;

/// The fifteen types, with the version that brought each and who sends it:
/// table 2.1 of 3.1.1 and 5.0, section 2.1 of 3.1.
const KINDS: [(u8, Kind, Version, &[Sender]); 15] = [
    (1, Kind::Connect, V31, &[Client]),
    (2, Kind::Connack, V31, &[Server]),
    (3, Kind::Publish, V31, &[Client, Server]),
    (4, Kind::Puback, V31, &[Client, Server]),
    (5, Kind::Pubrec, V31, &[Client, Server]),
    (6, Kind::Pubrel, V31, &[Client, Server]),
    (7, Kind::Pubcomp, V31, &[Client, Server]),
    (8, Kind::Subscribe, V31, &[Client]),
    (9, Kind::Suback, V31, &[Server]),
    (10, Kind::Unsubscribe, V31, &[Client]),
    (11, Kind::Unsuback, V31, &[Server]),
    (12, Kind::Pingreq, V31, &[Client]),
    (13, Kind::Pingresp, V31, &[Server]),
    (14, Kind::Disconnect, V31, &[Client]),
    (15, Kind::Auth, V5, &[Client, Server]),
];

/// A body that goes with the type, so that only the header can be wrong.
fn body(number: u8, flags: u8, version: Version) -> Vec<u8> {
    let v5 = version == V5;
    match number {
        1 => connect(version, 2, &field("c"))[2..].to_vec(),
        2 if v5 => vec![0, 0, 0],
        2 => vec![0, 0],
        3 => publish(version, flags, b"a")[2..].to_vec(),
        8 => subscribe(version, b"a", 0)[2..].to_vec(),
        9 if v5 => vec![0, 7, 0, 1],
        9 => vec![0, 7, 1],
        10 => unsubscribe(version, b"a")[2..].to_vec(),
        11 if v5 => vec![0, 7, 0, 0],
        4..=7 | 11 => vec![0, 7],
        _ => vec![],
    }
}

/// What the standard says of a first byte, as a fault and its reason.
fn verdict(number: u8, flags: u8, version: Version, sender: Sender) -> Option<(Fault, ReasonCode)> {
    let Some((_, kind, since, senders)) = KINDS.iter().find(|kind| kind.0 == number) else {
        return Some((Fault::PacketTypeReserved(number), MalformedPacket));
    };
    if version < *since {
        return Some((Fault::PacketTypeReserved(number), MalformedPacket));
    }
    // Section 3.14 of 5.0: there the server says goodbye, too.
    let goodbye = *kind == Kind::Disconnect && version == V5;
    if !senders.contains(&sender) && !goodbye {
        return Some((Fault::WrongDirection(*kind), ProtocolError));
    }
    let (dup, qos) = (flags >> 3 == 1, flags >> 1 & 3);
    let right = match number {
        3 if qos == 3 => return Some((Fault::QosReserved, MalformedPacket)),
        3 if dup && qos == 0 && version != V31 => return Some((Fault::DupAtQos0, MalformedPacket)),
        3 => true,
        // 3.1 has QoS 1 there, a meaning for DUP and none for RETAIN.
        6 | 8 | 10 if version == V31 => qos == 1,
        6 | 8 | 10 => flags == 0b0010,
        _ if version == V31 => true,
        _ => flags == 0,
    };
    match (right, number) {
        (false, _) => Some((Fault::FlagsReserved(*kind), MalformedPacket)),
        // Whoever reads with a version has had the connection's CONNECT.
        (true, 1) => Some((Fault::SecondConnect, ProtocolError)),
        (true, _) => None,
    }
}

fn every_first_byte(version: Version) {
    for sender in [Client, Server] {
        for first in 0..=u8::MAX {
            let (number, flags) = (first >> 4, first & 0x0F);
            let bytes = packet(first, &body(number, flags, version));
            match verdict(number, flags, version, sender) {
                Some((fault, reason)) => refused(version, sender, &bytes, fault, reason),
                None => {
                    let packet = decode(version, sender, &bytes).unwrap();
                    let kind = KINDS[usize::from(number) - 1].1;
                    assert_eq!(packet.kind(), kind);
                    // What is sent has the flags that the tables show.
                    let sent = encoded(&packet, version)[0];
                    let expected = match number {
                        3 if version == V31 && flags & 6 == 0 => first & !8,
                        3 => first,
                        6 | 8 | 10 => number << 4 | 2,
                        _ => number << 4,
                    };
                    assert_eq!(sent, expected, "{kind:?} {flags:04b}");
                }
            }
        }
    }
}

/// MQTT31-2.1-1, -3, -4, -5, -8, -9, -10.
#[test]
fn every_first_byte_of_mqtt_31() {
    every_first_byte(V31);
}

/// MQTT-2.2.2-1, -3.3.1-2, -3.3.1-4, -3.6.1-1, -3.8.1-1, -3.10.1-1, -3.14.1-1.
#[test]
fn every_first_byte_of_mqtt_311() {
    every_first_byte(V311);
}

/// MQTT-2.1.3-1, -3.3.1-2, -3.3.1-4, -3.6.1-1, -3.8.1-1, -3.10.1-1, -3.14.1-1,
/// -3.15.1-1; MQTT5-2.1.2-U1, -2.1.2-U2, -3.3.1.2-U1.
#[test]
fn every_first_byte_of_mqtt_5() {
    every_first_byte(V5);
}

/// The header of CONNECT, which is read before the version is known: reserved
/// flags are 0 [MQTT3-2.2.2-1], [MQTT-2.1.3-1], and not used in 3.1.
#[test]
fn connect_has_no_flags() {
    for version in VERSIONS {
        for flags in 0..16 {
            let bytes = packet(0x10 | flags, &body(1, 0, version));
            if flags == 0 || version == V31 {
                assert_eq!(first(&bytes).unwrap().version, version);
            } else {
                let fault = Fault::FlagsReserved(Kind::Connect);
                connect_broken(version, &bytes, fault, MalformedPacket);
            }
        }
    }
}

/// MQTT5-3.1.1-U1, -3.15.1-U1: from the first byte alone, whatever follows.
#[test]
fn a_first_packet_that_is_not_connect_is_refused_at_once() {
    for (number, kind, ..) in &KINDS[1..] {
        let fault = Fault::NotConnect(*kind);
        connect_refused(&[number << 4], fault, Answer::Close);
        assert_eq!(fault.reason(), ProtocolError);
    }
    connect_refused(&[0], Fault::PacketTypeReserved(0), Answer::Close);
    // Another protocol's first bytes: "G" looks like the beginning of a PUBACK.
    let http = Fault::NotConnect(Kind::Puback);
    connect_refused(b"GET / HTTP/1.1\r\n", http, Answer::Close);
}

/// One packet of each type with all it can have, and the lengths at which its
/// body could end as well.
fn packets(version: Version) -> Vec<(Sender, Vec<u8>, Vec<usize>)> {
    let v5 = version == V5;
    let properties = |properties: &[u8]| if v5 { block(properties) } else { vec![] };
    let reason = b"\x1F\0\x02no";
    let acknowledge = |reason_code: u8| match v5 {
        true => [&[0, 7, reason_code][..], &block(reason)].concat(),
        false => vec![0, 7],
    };
    // Nothing or only the reason may follow the identifier.
    let acknowledge_ends: &[usize] = if v5 { &[2, 3] } else { &[] };
    let will = [properties(b"\x18\0\0\0\x09"), field("will"), field("gone")].concat();
    let connect_body = [
        connect_head(version, 0b1110_1110),
        properties(b"\x21\0\x09"),
        field("client"),
        will,
        field("user"),
        field("pass"),
    ]
    .concat();
    let connect_ends = match version {
        // The user name and the password may be missing in 3.1.
        V31 => vec![connect_body.len() - 12, connect_body.len() - 6],
        _ => vec![],
    };
    let publish_head = [&field("a/b")[..], &[0, 7], &properties(b"\x02\0\0\0\x09")].concat();
    let publish_ends = (publish_head.len()..publish_head.len() + 7).collect();
    let codes = [&[0, 7][..], &properties(reason), &[0, 1]].concat();
    let subscriptions = [&properties(b"\x0B\x09")[..], &field("a"), &[1]].concat();
    let filters = [&properties(b"\x26\0\0\0\0")[..], &field("a")].concat();
    let mut packets = vec![
        (Client, 0x10, connect_body, connect_ends),
        (
            Server,
            0x20,
            [&[0, 0][..], &properties(reason)].concat(),
            vec![],
        ),
        (
            Client,
            0x32,
            [&publish_head[..], b"payload"].concat(),
            publish_ends,
        ),
        (Client, 0x40, acknowledge(0x10), acknowledge_ends.to_vec()),
        (Client, 0x50, acknowledge(0x10), acknowledge_ends.to_vec()),
        (Client, 0x62, acknowledge(0x92), acknowledge_ends.to_vec()),
        (Client, 0x70, acknowledge(0x92), acknowledge_ends.to_vec()),
        (
            Client,
            0x82,
            [&[0, 7][..], &subscriptions, &field("b"), &[2]].concat(),
            vec![2 + subscriptions.len()],
        ),
        (Server, 0x90, codes.clone(), vec![codes.len() - 1]),
        (
            Client,
            0xA2,
            [&[0, 7][..], &filters, &field("b")].concat(),
            vec![2 + filters.len()],
        ),
        (Client, 0xC0, vec![], vec![]),
        (Server, 0xD0, vec![], vec![]),
    ];
    if v5 {
        let unsuback = [&[0, 7][..], &properties(reason), &[0, 0x11]].concat();
        let ends = vec![unsuback.len() - 1];
        packets.push((Server, 0xB0, unsuback, ends));
        let disconnect = [&[0x04][..], &block(reason)].concat();
        packets.push((Client, 0xE0, disconnect, vec![0, 1]));
        let auth = [&[0x18][..], &block(b"\x15\0\x01m\x16\0\x01d")].concat();
        packets.push((Client, 0xF0, auth, vec![0]));
    } else {
        packets.push((Server, 0xB0, vec![0, 7], vec![]));
        packets.push((Client, 0xE0, vec![], vec![]));
    }
    packets
        .into_iter()
        .map(|(sender, first, body, ends)| (sender, packet(first, &body), ends))
        .collect()
}

/// Decodes any packet, CONNECT too, and encodes it again.
fn sent_again(version: Version, sender: Sender, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    if bytes[0] >> 4 == 1 {
        let connect = first(bytes).map_err(|fault| fault.fault)?;
        return Ok(encoded_connect(&connect));
    }
    decode(version, sender, bytes).map(|packet| encoded(&packet, version))
}

/// MQTT31-2.1-11 and the wholeness of every packet: what has not all come yet is
/// neither taken nor refused.
#[test]
fn a_packet_that_has_not_all_come_is_partial() {
    for version in VERSIONS {
        for (sender, bytes, _) in packets(version) {
            sent_again(version, sender, &bytes).unwrap();
            for end in 0..bytes.len() {
                let partial = &bytes[..end];
                let needed = match (
                    bytes[0] >> 4,
                    Decoder {
                        version,
                        sender,
                        packet_bytes_max: 500,
                    },
                ) {
                    (1, _) => match Connect::decode(partial, 500).unwrap() {
                        Progress::Partial { needed } => needed,
                        done => panic!("{done:?} from {partial:02x?}"),
                    },
                    (_, decoder) => match decoder.decode(partial).unwrap() {
                        Progress::Partial { needed } => needed,
                        done => panic!("{done:?} from {partial:02x?}"),
                    },
                };
                assert!(
                    needed > end && needed <= bytes.len(),
                    "{needed} of {bytes:02x?}"
                );
            }
        }
    }
}

fn body_of(bytes: &[u8]) -> &[u8] {
    assert!(bytes[1] < 0x80, "one byte of Remaining Length");
    &bytes[2..]
}

/// MQTT5-2.1.4-U1, -1.5.6-U1, -1.5.7-U1.
#[test]
fn a_packet_that_ends_before_its_fields_do_is_refused() {
    for version in VERSIONS {
        for (sender, bytes, ends) in packets(version) {
            let body = body_of(&bytes);
            for end in 0..body.len() {
                let cut = packet(bytes[0], &body[..end]);
                let found = sent_again(version, sender, &cut);
                if ends.contains(&end) {
                    assert!(found.is_ok(), "{found:?} {cut:02x?}");
                    continue;
                }
                let fault = found.expect_err("refused");
                let told = match fault {
                    Fault::Truncated => MalformedPacket,
                    Fault::NoFilters if matches!(bytes[0], 0x82 | 0xA2) => ProtocolError,
                    Fault::NoReasonCodes if matches!(bytes[0], 0x90 | 0xB0) => ProtocolError,
                    Fault::AuthenticationMethodMissing if end == 1 => ProtocolError,
                    other => panic!("{other:?} {version:?} {cut:02x?}"),
                };
                assert_eq!(fault.reason(), told);
            }
        }
    }
}

/// MQTT5-2.1.4-U1, -3.12-U1, -3.13-U1, and what `Flag 0` rules say: no field
/// that nothing announces.
#[test]
fn a_packet_that_goes_on_after_its_last_field_is_refused() {
    for version in VERSIONS {
        for (sender, bytes, _) in packets(version) {
            let longer = packet(bytes[0], &[body_of(&bytes), &[0]].concat());
            let found = sent_again(version, sender, &longer);
            match bytes[0] >> 4 {
                // More payload, one more code.
                3 | 9 => assert!(found.is_ok(), "{longer:02x?}"),
                11 if version == V5 => assert!(found.is_ok(), "{longer:02x?}"),
                // The beginning of one more filter.
                8 | 10 => assert_eq!(found, Err(Fault::Truncated), "{longer:02x?}"),
                _ => assert_eq!(found, Err(Fault::TrailingBytes), "{longer:02x?}"),
            }
        }
    }
    assert_eq!(Fault::TrailingBytes.reason(), MalformedPacket);
}

/// Section 2.2.3 of 3.1.1, 1.5.5 of 5.0: MQTT31-2.1-11, MQTT5-1.5.5-U1.
#[test]
fn remaining_length_takes_at_most_four_bytes() {
    for version in VERSIONS {
        let decoder = |packet_bytes_max| Decoder {
            version,
            sender: Client,
            packet_bytes_max,
        };
        let five = [0xC0, 0x80, 0x80, 0x80, 0x80, 0x00];
        refused(
            version,
            Client,
            &five,
            Fault::VariableByteInteger,
            MalformedPacket,
        );
        let longest = [0x30, 0xFF, 0xFF, 0xFF, 0x7F];
        let partial = Progress::Partial {
            needed: 268_435_460,
        };
        assert_eq!(decoder(PACKET_BYTES_MAX).decode(&longest), Ok(partial));
        for length in [127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let topic = publish(version, 0, b"a");
            let head = topic[2..topic.len() - 7].to_vec();
            let payload = vec![1; length - head.len()];
            let bytes = packet(0x30, &[head, payload].concat());
            let Packet::Publish(publish) = accepted(version, Client, &bytes) else {
                panic!("not a PUBLISH");
            };
            assert_eq!(publish.payload.len(), length - (topic.len() - 9));
        }
    }
}

/// [MQTT-1.5.5-1], which 3.1.1 does not have.
#[test]
fn only_mqtt_5_asks_for_the_shortest_length() {
    for long in [
        &[0xC0, 0x80, 0x00][..],
        &[0xC0, 0x80, 0x80, 0x00],
        &[0xC0, 0x80, 0x80, 0x80, 0],
    ] {
        assert_eq!(decode(V31, Client, long), Ok(Packet::Pingreq));
        assert_eq!(decode(V311, Client, long), Ok(Packet::Pingreq));
        refused(
            V5,
            Client,
            long,
            Fault::VariableByteInteger,
            MalformedPacket,
        );
    }
    let publish = [0x30, 0x85, 0x00, 0, 1, b'a', 0, b'!'];
    refused(
        V5,
        Client,
        &publish,
        Fault::VariableByteInteger,
        MalformedPacket,
    );
    let body = &connect(V5, 2, &field("c"))[2..];
    let connect = [&[0x10, body.len() as u8 | 0x80, 0], body].concat();
    connect_broken(V5, &connect, Fault::VariableByteInteger, MalformedPacket);
    // A length inside the packet, too, and a property's own number.
    let long_block = packet(0x40, &[0, 7, 0, 0x80, 0]);
    refused(
        V5,
        Client,
        &long_block,
        Fault::VariableByteInteger,
        MalformedPacket,
    );
    let long_number = packet(0x82, &[0, 7, 3, 0x0B, 0x81, 0, 0, 1, b'a', 0]);
    refused(
        V5,
        Client,
        &long_number,
        Fault::VariableByteInteger,
        MalformedPacket,
    );
}

/// MQTT5-3.1.2.11.4-U3: the limit counts the whole packet, and is applied when
/// no more than the fixed header is there.
#[test]
fn a_packet_over_the_limit_is_refused_from_its_header() {
    for version in VERSIONS {
        let decoder = Decoder {
            version,
            sender: Client,
            packet_bytes_max: 200,
        };
        let at_limit = Progress::Partial { needed: 200 };
        assert_eq!(decoder.decode(&[0x30, 197, 1]), Ok(at_limit));
        assert_eq!(decoder.decode(&[0x30, 198, 1]), Err(Fault::PacketTooLarge));
    }
    assert_eq!(
        Fault::PacketTooLarge.answer(V5),
        Answer::Disconnect(ReasonCode::PacketTooLarge)
    );
    assert_eq!(Fault::PacketTooLarge.answer(V311), Answer::Close);
    let fault = Connect::decode(&[0x10, 198, 1], 200).unwrap_err();
    assert_eq!(
        (fault.fault, fault.answer()),
        (Fault::PacketTooLarge, Answer::Close)
    );
}

/// One packet after the other, whatever follows in the stream.
#[test]
fn a_packet_ends_where_its_length_says() {
    for version in VERSIONS {
        for (sender, bytes, _) in packets(version).into_iter().skip(1) {
            let stream = [&bytes[..], &bytes].concat();
            let decoder = Decoder {
                version,
                sender,
                packet_bytes_max: bytes.len(),
            };
            let Ok(Progress::Done(packet, consumed)) = decoder.decode(&stream) else {
                panic!("{stream:02x?}");
            };
            assert_eq!(consumed, bytes.len());
            assert_eq!(encoded(&packet, version), bytes);
        }
    }
}

/// Every byte of every packet changed to every other: what is still taken says
/// something that can be sent, and what is sent says the same.
#[test]
fn a_packet_with_a_byte_changed_is_refused_or_means_what_it_says() {
    for version in VERSIONS {
        for (sender, mut bytes, _) in packets(version) {
            // Behind the fixed header, so that the packet stays whole.
            for at in 2..bytes.len() {
                let right = bytes[at];
                for byte in 0..=u8::MAX {
                    bytes[at] = byte;
                    // CONNECT says by itself of which version it is.
                    if let Ok(sent) = sent_again(version, sender, &bytes) {
                        assert_eq!(sent_again(version, sender, &sent), Ok(sent.clone()));
                    }
                }
                bytes[at] = right;
            }
        }
    }
}
