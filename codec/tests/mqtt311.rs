//! MQTT 3.1.1: the normative statements that the bytes of one packet decide. The
//! identifiers are those of the OASIS Standard of 29 October 2014.

#[path = "support/rules.rs"]
mod rules;
#[path = "support/mqtt.rs"]
mod support;
use ReasonCode::{MalformedPacket, ProtocolError};
use rules::*;
use support::*;

/// [MQTT-1.5.3-1], and as what each string is: [MQTT-3.1.3-4], [MQTT-3.1.3-10],
/// [MQTT-3.1.3-11], [MQTT-3.3.2-1], [MQTT-3.8.3-1], [MQTT-3.10.3-1].
#[test]
fn strings_are_utf8() {
    for with in STRINGS {
        string_is_utf8(V311, with);
    }
}

/// [MQTT-1.5.3-2], [MQTT-4.7.3-2]
#[test]
fn strings_hold_no_nul() {
    for with in STRINGS {
        string_holds_no_nul(V311, with);
    }
}

/// [MQTT-1.5.3-3]
#[test]
fn a_byte_order_mark_stays_where_it_is() {
    byte_order_mark_stays(V311);
}

/// [MQTT-2.3.1-1]
#[test]
fn packet_identifier_0_is_refused() {
    packet_identifier_is_not_zero(V311);
}

/// [MQTT-2.3.1-5]
#[test]
fn a_publish_at_qos_0_has_no_identifier() {
    qos_0_has_no_identifier(V311);
}

/// [MQTT-3.1.2-1]; a level that is not served gets its answer [MQTT-3.1.2-2].
#[test]
fn a_wrong_protocol_name_is_refused() {
    for name in ["", "MQT", "MQTTX", "mqtt", "MQIsdP", "MQTT\u{0}"] {
        let rest = [4, 2, 0, 0, 0, 1, b'c'];
        let bytes = packet(0x10, &[&field(name)[..], &rest].concat());
        connect_refused(&bytes, Fault::ProtocolName, Answer::Close);
    }
    // Bridges begin with 0x83 or 0x84: level 3 or 4 and a mark of their own.
    for (level, version) in [
        (0, V311),
        (3, V311),
        (6, V5),
        (0x83, V311),
        (0x84, V311),
        (255, V5),
    ] {
        let bytes = packet(
            0x10,
            &[b"\0\x04MQTT", &[level, 2, 0, 0, 0, 1, b'c'][..]].concat(),
        );
        let answer = Answer::Connack(version, ReasonCode::UnsupportedProtocolVersion);
        connect_refused(&bytes, Fault::ProtocolLevel(level), answer);
    }
    assert_eq!(connects(&connect(V311, 2, &field("c"))).version, V311);
}

/// [MQTT-3.1.2-3]
#[test]
fn the_reserved_connect_flag_is_refused() {
    every_connect_flags(V311, |flags| flags & 1 != 0);
}

/// [MQTT-3.1.2-9], [MQTT-3.1.2-11], [MQTT-3.1.2-13], [MQTT-3.1.2-14],
/// [MQTT-3.1.2-15]
#[test]
fn will_flags_go_with_a_will() {
    every_connect_flags(V311, |flags| flags & 1 == 0);
    flag_and_field_go_together(V311, 0b0000_0100);
}

/// [MQTT-3.1.2-18], [MQTT-3.1.2-19]
#[test]
fn the_user_name_goes_with_its_flag() {
    flag_and_field_go_together(V311, 0b1000_0000);
}

/// [MQTT-3.1.2-20], [MQTT-3.1.2-21]
#[test]
fn the_password_goes_with_its_flag() {
    flag_and_field_go_together(V311, 0b0100_0000);
}

/// [MQTT-3.1.2-22]
#[test]
fn a_password_needs_a_user_name() {
    let bytes = connect(V311, 0b0100_0010, &[field("c"), field("pass")].concat());
    connect_refused(&bytes, Fault::PasswordWithoutUserName, Answer::Close);
}

/// [MQTT-3.1.3-1]
#[test]
fn connect_fields_come_in_order() {
    let payload = ["1", "2", "3", "4", "5"].map(field).concat();
    let bytes = connect(V311, 0b1111_0110, &payload);
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

/// [MQTT-3.1.3-3]
#[test]
fn the_client_identifier_is_never_left_out() {
    let bytes = connect(V311, 2, &[]);
    connect_refused(&bytes, Fault::Truncated, Answer::Close);
    let bytes = connect(V311, 0b1000_0010, &field("user"));
    connect_refused(&bytes, Fault::Truncated, Answer::Close);
}

/// [MQTT-3.1.3-7]; a refused one gets its answer [MQTT-3.1.3-8].
#[test]
fn an_empty_client_identifier_needs_a_clean_session() {
    assert!(connects(&connect(V311, 2, &field(""))).client_id.is_empty());
    let answer = Answer::Connack(V311, ReasonCode::ClientIdentifierNotValid);
    connect_refused(&connect(V311, 0, &field("")), Fault::ClientId, answer);
    // Longer ones and other characters are up to the server.
    for client_id in ["x".repeat(24), "x".repeat(65_535), "ä b/#".into()] {
        connects(&connect(V311, 0, &field(client_id)));
    }
}

/// [MQTT-3.2.2-4]
#[test]
fn a_refusal_has_no_session_present() {
    for code in 0..=u8::MAX {
        let plain = [0x20, 2, 0, code];
        let present = [0x20, 2, 1, code];
        match code {
            0 => {
                accepted(V311, Server, &plain);
                accepted(V311, Server, &present);
            }
            1..=5 => {
                accepted(V311, Server, &plain);
                let fault = Fault::SessionPresentOnRefusal;
                refused(V311, Server, &present, fault, ProtocolError);
            }
            _ => refused(
                V311,
                Server,
                &plain,
                Fault::ReasonCode(code),
                MalformedPacket,
            ),
        }
    }
}

/// Section 3.2.2.1: bits 7 to 1 are 0.
#[test]
fn connack_has_one_flag() {
    for flags in 2..=u8::MAX {
        let fault = Fault::AcknowledgeFlagsReserved;
        refused(V311, Server, &[0x20, 2, flags, 0], fault, MalformedPacket);
    }
}

/// [MQTT-3.3.1-2]
#[test]
fn dup_at_qos_0() {
    dup_at_qos_0_is_refused(V311);
}

/// [MQTT-4.3.1-1]
#[test]
fn qos_0_goes_out_without_dup() {
    qos_0_is_sent_without_dup(V311);
}

/// [MQTT-3.3.1-4]
#[test]
fn qos_3() {
    qos_3_is_refused(V311);
}

/// [MQTT-3.3.2-2], [MQTT-4.7.1-1]
#[test]
fn wildcards_in_a_topic_name() {
    topic_name_has_no_wildcards(V311);
}

/// [MQTT-3.8.3-3]
#[test]
fn a_subscribe_without_a_filter() {
    payload_has_a_filter(V311, 0x82);
}

/// [MQTT-3.8.3-4]
#[test]
fn only_qos_0_to_2_can_be_requested() {
    for options in 0..=u8::MAX {
        let bytes = subscribe(V311, b"a", options);
        match options {
            0..=2 => {
                accepted(V311, Client, &bytes);
            }
            _ if options & 3 == 3 => {
                let fault = Fault::SubscriptionQosReserved;
                refused(V311, Client, &bytes, fault, ProtocolError);
            }
            _ => {
                let fault = Fault::SubscriptionOptionsReserved;
                refused(V311, Client, &bytes, fault, MalformedPacket);
            }
        }
    }
}

/// [MQTT-3.9.3-2], read and sent.
#[test]
fn suback_has_four_codes() {
    for code in 0..=u8::MAX {
        let bytes = [0x90, 4, 0, 7, 0, code];
        match code {
            0 | 1 | 2 | 0x80 => {
                accepted(V311, Server, &bytes);
            }
            _ => refused(
                V311,
                Server,
                &bytes,
                Fault::ReasonCode(code),
                MalformedPacket,
            ),
        }
    }
    refused(
        V311,
        Server,
        &[0x90, 2, 0, 7],
        Fault::NoReasonCodes,
        ProtocolError,
    );
    let codes = [
        0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
    ];
    let suback = Packet::Suback(Suback {
        packet_id: PacketId::new(7).unwrap(),
        properties: Properties::EMPTY,
        reasons: ReasonCodes::new(&codes, Kind::Suback).unwrap(),
    });
    let sent = [
        0x90, 14, 0, 7, 0, 1, 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    ];
    assert_eq!(encoded(&suback, V311), sent);
}

/// [MQTT-3.10.3-1]
#[test]
fn filters_stand_one_behind_the_other() {
    filters_are_read_in_order(V311);
}

/// [MQTT-3.8.3-1], [MQTT-3.10.3-1]
#[test]
fn filters_are_checked_to_the_last() {
    every_filter_is_checked(V311);
}

/// [MQTT-3.10.3-2]
#[test]
fn an_unsubscribe_without_a_filter() {
    payload_has_a_filter(V311, 0xA2);
}

/// [MQTT-4.7.1-2]
#[test]
fn number_sign_in_filters() {
    number_sign_is_last_and_alone(V311);
}

/// [MQTT-4.7.1-3]
#[test]
fn plus_sign_in_filters() {
    plus_sign_fills_a_level(V311);
}

/// [MQTT-4.7.3-1]
#[test]
fn empty_topics() {
    topics_are_not_empty(V311);
}

/// [MQTT-4.7.3-3]
#[test]
fn longest_topics() {
    topics_take_65535_bytes(V311);
}

/// `$share` came with MQTT 5: here it is a filter like any other.
#[test]
fn shared_subscriptions_are_plain_filters() {
    for filter in [
        "$share/g/a",
        "$share/g",
        "$share//a",
        "$share/+/a",
        "$share",
    ] {
        accepted(V311, Client, &subscribe(V311, filter.as_bytes(), 1));
        accepted(V311, Client, &unsubscribe(V311, filter.as_bytes()));
    }
}

/// The properties and reasons of MQTT 5 are not sent to those who speak 3.1.1.
#[test]
fn nothing_of_mqtt_5_is_sent() {
    let properties = Properties::new(b"\x1F\0\x02no", PropertyOwner::Acknowledge).unwrap();
    let packet_id = PacketId::new(7).unwrap();
    let reason = ReasonCode::QuotaExceeded;
    let puback = Packet::Puback(Acknowledge {
        packet_id,
        reason,
        properties,
    });
    assert_eq!(encoded(&puback, V311), [0x40, 2, 0, 7]);
    let disconnect = Packet::Disconnect(Disconnect { reason, properties });
    assert_eq!(encoded(&disconnect, V311), [0xE0, 0]);
    let reasons = Some(ReasonCodes::new(&[0x11], Kind::Unsuback).unwrap());
    let unsuback = Packet::Unsuback(Unsuback {
        packet_id,
        properties,
        reasons,
    });
    assert_eq!(encoded(&unsuback, V311), [0xB0, 2, 0, 7]);
    let mut block = SubscriptionBlock::new();
    let options = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    block.push(TopicFilter::new("a").unwrap(), options);
    let subscriptions = block.subscriptions();
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id,
        properties,
        subscriptions,
    });
    assert_eq!(encoded(&subscribe, V311), [0x82, 6, 0, 7, 0, 1, b'a', 1]);
}
