//! MQTT 3.1, by what its document of 2010 says otherwise than 3.1.1, and by what
//! both say of the bytes of one packet. That document numbers no statements; the
//! identifiers are ours, by its sections.

#[path = "support/rules.rs"]
mod rules;
#[path = "support/mqtt.rs"]
mod support;
use ReasonCode::{MalformedPacket, ProtocolError};
use rules::*;
use support::*;

/// MQTT31-2.1-1, -2.1-3: DUP marks a repeat where QoS is 1 or 2, and is ignored
/// where it is 0.
#[test]
fn dup_is_legal_on_what_may_be_repeated() {
    for flags in [0b1010, 0b1100] {
        let bytes = publish(V31, flags, b"a");
        let Packet::Publish(publish) = accepted(V31, Client, &bytes) else {
            panic!("not a PUBLISH");
        };
        assert!(publish.delivery.dup());
    }
    let at_qos_0 = publish(V31, 0b1000, b"a");
    let Ok(Packet::Publish(publish)) = decode(V31, Client, &at_qos_0) else {
        panic!("not a PUBLISH");
    };
    assert!(!publish.delivery.dup());
    for mut bytes in [
        packet(0x62, &[0, 7]),
        subscribe(V31, b"a", 1),
        unsubscribe(V31, b"a"),
    ] {
        let plain = decode(V31, Client, &bytes).map(|packet| packet.kind());
        bytes[0] |= 0b1000;
        assert_eq!(
            decode(V31, Client, &bytes).map(|packet| packet.kind()),
            plain
        );
    }
}

/// MQTT31-2.1-4
#[test]
fn qos_3() {
    qos_3_is_refused(V31);
}

/// MQTT31-2.1-9
#[test]
fn what_asks_for_an_answer_has_qos_1() {
    for mut bytes in [
        packet(0x62, &[0, 7]),
        subscribe(V31, b"a", 1),
        unsubscribe(V31, b"a"),
    ] {
        accepted(V31, Client, &bytes);
        let kind = decode(V31, Client, &bytes).unwrap().kind();
        for flags in [0b0000, 0b0100, 0b0110, 0b1000] {
            bytes[0] = bytes[0] & 0xF0 | flags;
            refused(
                V31,
                Client,
                &bytes,
                Fault::FlagsReserved(kind),
                MalformedPacket,
            );
        }
    }
}

/// MQTT31-2.2-1
#[test]
fn the_protocol_is_mqisdp_level_3() {
    let bytes = connect(V31, 2, &field("c"));
    assert_eq!(connects(&bytes).version, V31);
    for level in [0, 2, 4, 5] {
        let bytes = packet(
            0x10,
            &[b"\0\x06MQIsdp", &[level, 2, 0, 0, 0, 1, b'c'][..]].concat(),
        );
        let answer = Answer::Connack(V311, ReasonCode::UnsupportedProtocolVersion);
        connect_refused(&bytes, Fault::ProtocolLevel(level), answer);
    }
    // Whoever names MQTT does not speak level 3.
    let bytes = packet(0x10, b"\0\x04MQTT\x03\x02\0\0\0\x01c");
    let answer = Answer::Connack(V311, ReasonCode::UnsupportedProtocolVersion);
    connect_refused(&bytes, Fault::ProtocolLevel(3), answer);
}

/// MQTT31-2.2-2, and sent as 0 (MQTT31-2.6-1).
#[test]
fn the_lowest_connect_flag_is_ignored() {
    every_connect_flags(V31, |flags| flags & 1 == 1);
}

/// MQTT31-2.2-3
#[test]
fn will_flags_without_a_will_are_disregarded() {
    for flags in [
        0b0000_1010,
        0b0001_0010,
        0b0001_1010,
        0b0010_0010,
        0b0011_1010,
    ] {
        let bytes = connect(V31, flags, &field("c"));
        assert_eq!(first(&bytes).unwrap().will, None);
    }
    every_connect_flags(V31, |flags| flags & 4 == 0);
}

/// MQTT31-2.2-4, -2.2-5
#[test]
fn a_will_has_a_qos_a_topic_and_a_message() {
    every_connect_flags(V31, |flags| flags & 4 != 0);
    flag_and_field_go_together(V31, 0b0000_0100);
    let reserved = connect(V31, 0b0001_1110, &flagged_payload(V31, 4));
    connect_refused(&reserved, Fault::QosReserved, Answer::Close);
}

/// MQTT31-2.2-7
#[test]
fn a_password_needs_a_user_name() {
    let bytes = connect(V31, 0b0100_0010, &[field("c"), field("pass")].concat());
    connect_refused(&bytes, Fault::PasswordWithoutUserName, Answer::Close);
}

/// MQTT31-2.2-10: characters, not bytes.
#[test]
fn a_topic_name_has_at_most_32767_characters() {
    for good in ["x".repeat(32_767), "ä".repeat(32_767)] {
        accepted(V31, Client, &publish(V31, 0, good.as_bytes()));
    }
    let longer = publish(V31, 0, "x".repeat(32_768).as_bytes());
    refused(V31, Client, &longer, Fault::FieldTooLong, MalformedPacket);
    accepted(V311, Client, &longer);
}

/// MQTT31-2.4-1
#[test]
fn message_identifier_0_is_refused() {
    packet_identifier_is_not_zero(V31);
}

/// MQTT31-2.4-3
#[test]
fn a_publish_at_qos_0_has_no_identifier() {
    qos_0_has_no_identifier(V31);
}

/// MQTT31-2.5-1
#[test]
fn the_length_of_a_string_is_in_bytes() {
    let bytes = connect(V31, 2, b"\0\x04\xC3\xA4\xC3\xB6");
    assert_eq!(connects(&bytes).client_id.as_str(), "äö");
    let in_characters = connect(V31, 2, b"\0\x02\xC3\xA4\xC3\xB6");
    connect_refused(&in_characters, Fault::TrailingBytes, Answer::Close);
    for with in STRINGS {
        string_is_utf8(V31, with);
    }
}

/// MQTT31-2.6-1, of options too.
#[test]
fn unused_bits_are_sent_as_0() {
    let connack = Packet::Connack(Connack {
        session_present: true,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    });
    assert_eq!(encoded(&connack, V31), [0x20, 2, 0, 0]);
    let bytes = subscribe(V31, b"a", 0b1111_1101);
    let packet = decode(V31, Client, &bytes).unwrap();
    assert_eq!(encoded(&packet, V31), subscribe(V31, b"a", 1));
}

/// MQTT31-3.1-1: characters, not bytes.
#[test]
fn a_client_identifier_has_1_to_23_characters() {
    for good in ["c".into(), "x".repeat(23), "ä".repeat(23)] {
        let bytes = connect(V31, 0, &field(&good));
        assert_eq!(connects(&bytes).client_id.as_str(), good);
    }
    for (clean, wrong) in [(2, String::new()), (0, String::new()), (2, "x".repeat(24))] {
        let bytes = connect(V31, clean, &field(wrong));
        let answer = Answer::Connack(V31, ReasonCode::ClientIdentifierNotValid);
        connect_refused(&bytes, Fault::ClientId, answer);
    }
}

/// MQTT31-3.1-2
#[test]
fn connect_fields_come_in_order() {
    let payload = ["1", "2", "3", "4", "5"].map(field).concat();
    let bytes = connect(V31, 0b1111_0110, &payload);
    let it = connects(&bytes);
    let will = it.will.unwrap();
    assert_eq!(it.client_id.as_str(), "1");
    assert_eq!(
        (will.topic.as_str(), will.payload.as_bytes()),
        ("2", &b"3"[..])
    );
    assert_eq!(it.user_name.unwrap().as_str(), "4");
    assert_eq!(it.password.unwrap().as_bytes(), b"5");
}

/// MQTT31-3.1-4
#[test]
fn user_name_and_password_may_be_missing_at_the_end() {
    let bytes = connect(V31, 0b1100_0010, &field("c"));
    let it = first(&bytes).unwrap();
    assert_eq!((it.user_name, it.password), (None, None));
    let bytes = connect(V31, 0b1100_0010, &[field("c"), field("user")].concat());
    let it = first(&bytes).unwrap();
    assert_eq!(
        (it.user_name.unwrap().as_str(), it.password),
        ("user", None)
    );
    // Half of one is no missing one.
    let bytes = connect(V31, 0b1100_0010, &[&field("c")[..], &[0]].concat());
    connect_refused(&bytes, Fault::Truncated, Answer::Close);
}

/// MQTT31-3.2-1
#[test]
fn connack_says_nothing_of_a_session() {
    for byte in 0..=u8::MAX {
        for code in 0..=5 {
            let bytes = [0x20, 2, byte, code];
            let Ok(Packet::Connack(connack)) = decode(V31, Server, &bytes) else {
                panic!("not a CONNACK");
            };
            assert!(!connack.session_present);
            assert_eq!(encoded(&Packet::Connack(connack), V31), [0x20, 2, 0, code]);
        }
    }
}

/// MQTT31-3.2-2
#[test]
fn connack_has_six_codes() {
    for code in 6..=u8::MAX {
        let bytes = [0x20, 2, 0, code];
        refused(
            V31,
            Server,
            &bytes,
            Fault::ReasonCode(code),
            MalformedPacket,
        );
    }
}

/// MQTT31-3.3-1
#[test]
fn wildcards_in_a_topic_name() {
    topic_name_has_no_wildcards(V31);
}

/// MQTT31-3.3-2
#[test]
fn a_payload_may_be_empty() {
    for flags in [0b0000, 0b0011, 0b0101] {
        let identifier: &[u8] = if flags & 6 == 0 { &[] } else { &[0, 7] };
        let bytes = packet(0x30 | flags, &[b"\0\x01a", identifier].concat());
        let Packet::Publish(publish) = accepted(V31, Client, &bytes) else {
            panic!("not a PUBLISH");
        };
        assert_eq!(publish.payload, b"");
    }
}

/// MQTT31-3.8-1, -3.8-2
#[test]
fn the_upper_bits_of_a_requested_qos_are_ignored() {
    for options in 0..=u8::MAX {
        let bytes = subscribe(V31, b"a", options);
        if options & 3 == 3 {
            let fault = Fault::SubscriptionQosReserved;
            refused(V31, Client, &bytes, fault, ProtocolError);
            continue;
        }
        let Ok(Packet::Subscribe(subscribe)) = decode(V31, Client, &bytes) else {
            panic!("not a SUBSCRIBE");
        };
        let (_, read) = subscribe.subscriptions.iter().next().unwrap();
        let qos = QoS::from_bits(options & 3).unwrap();
        assert_eq!(read, SubscriptionOptions::at_most(qos));
    }
}

/// MQTT31-3.9-1
#[test]
fn suback_can_not_refuse() {
    for code in 0..=u8::MAX {
        let bytes = [0x90, 3, 0, 7, code];
        if code <= 2 {
            accepted(V31, Server, &bytes);
        } else {
            refused(
                V31,
                Server,
                &bytes,
                Fault::ReasonCode(code),
                MalformedPacket,
            );
        }
    }
}

/// MQTT31-A-1
#[test]
fn number_sign_in_filters() {
    number_sign_is_last_and_alone(V31);
}

/// MQTT31-A-2
#[test]
fn plus_sign_in_filters() {
    plus_sign_fills_a_level(V31);
}

/// MQTT31-A-3
#[test]
fn empty_topics() {
    topics_are_not_empty(V31);
}

/// MQTT31-A-4
#[test]
fn strings_hold_no_nul() {
    for with in STRINGS {
        string_holds_no_nul(V31, with);
    }
}
