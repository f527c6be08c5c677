//! MQTT 5: the normative statements that the bytes of one packet decide, numbered
//! and not, but those of headers, properties and reason codes, which have test
//! programs of their own. The identifiers are those of the OASIS Standard of
//! 7 March 2019; `MQTT5-…-U1` stands for what that numbers not.

#[path = "support/rules.rs"]
mod rules;
#[path = "support/mqtt.rs"]
mod support;
use ReasonCode::{MalformedPacket, ProtocolError};
use rules::*;
use support::*;

/// [MQTT-1.5.4-1], MQTT5-1.5.4-U1, and as what each string is: [MQTT-3.1.3-4],
/// [MQTT-3.1.3-11], [MQTT-3.1.3-12], [MQTT-3.3.2-1], [MQTT-3.8.3-1],
/// [MQTT-3.10.3-1].
#[test]
fn strings_are_utf8() {
    for with in STRINGS {
        string_is_utf8(V5, with);
    }
}

/// [MQTT-1.5.4-2], [MQTT-4.7.3-2]
#[test]
fn strings_hold_no_nul() {
    for with in STRINGS {
        string_holds_no_nul(V5, with);
    }
}

/// [MQTT-1.5.4-3]
#[test]
fn a_byte_order_mark_stays_where_it_is() {
    byte_order_mark_stays(V5);
}

/// MQTT5-2.2.1-U1
#[test]
fn packet_identifier_0_is_refused() {
    packet_identifier_is_not_zero(V5);
}

/// [MQTT-2.2.1-2]
#[test]
fn a_publish_at_qos_0_has_no_identifier() {
    qos_0_has_no_identifier(V5);
}

/// [MQTT-3.1.2-1]; a version that is not served gets its answer [MQTT-3.1.2-2].
#[test]
fn a_wrong_protocol_name_is_refused() {
    for name in ["", "MQT", "MQTTX", "mqtt", "MQIsdP"] {
        let rest = [5, 2, 0, 0, 0, 0, 1, b'c'];
        let bytes = packet(0x10, &[&field(name)[..], &rest].concat());
        connect_refused(&bytes, Fault::ProtocolName, Answer::Close);
    }
    let unsupported = ReasonCode::UnsupportedProtocolVersion;
    assert_eq!(Fault::ProtocolName.reason(), unsupported);
    let bytes = packet(0x10, b"\0\x04MQTT\x06\x02\0\0\0\0\x01c");
    let answer = Answer::Connack(V5, unsupported);
    connect_refused(&bytes, Fault::ProtocolLevel(6), answer);
    assert_eq!(connects(&connect(V5, 2, &field("c"))).version, V5);
}

/// [MQTT-3.1.2-3], MQTT5-3.1.2.3-U1
#[test]
fn the_reserved_connect_flag_is_refused() {
    every_connect_flags(V5, |flags| flags & 1 != 0);
}

/// [MQTT-3.1.2-9], [MQTT-3.1.2-11], [MQTT-3.1.2-12], [MQTT-3.1.2-13]
#[test]
fn will_flags_go_with_a_will() {
    every_connect_flags(V5, |flags| flags & 1 == 0);
    flag_and_field_go_together(V5, 0b0000_0100);
}

/// [MQTT-3.1.2-16], [MQTT-3.1.2-17]
#[test]
fn the_user_name_goes_with_its_flag() {
    flag_and_field_go_together(V5, 0b1000_0000);
}

/// [MQTT-3.1.2-18], [MQTT-3.1.2-19]
#[test]
fn the_password_goes_with_its_flag() {
    flag_and_field_go_together(V5, 0b0100_0000);
}

/// MQTT5-3.1.2.9-U1
#[test]
fn a_password_needs_no_user_name() {
    let bytes = connect(V5, 0b0100_0010, &[field("c"), field("pass")].concat());
    let it = connects(&bytes);
    assert_eq!(it.password.unwrap().as_bytes(), b"pass");
    assert_eq!(it.user_name, None);
}

/// [MQTT-3.1.3-1], with the will's properties before its topic.
#[test]
fn connect_fields_come_in_order() {
    let payload = [
        &field("1")[..],
        b"\x05\x18\0\0\0\x09",
        &["2", "3", "4", "5"].map(field).concat(),
    ];
    let bytes = connect(V5, 0b1111_0110, &payload.concat());
    let it = connects(&bytes);
    let will = it.will.unwrap();
    assert_eq!(it.client_id.as_str(), "1");
    assert_eq!(will.properties.will_delay_interval(), Some(9));
    assert_eq!(
        (will.topic.as_str(), will.payload.as_bytes()),
        ("2", &b"3"[..])
    );
    assert_eq!(it.user_name.unwrap().as_str(), "4");
    assert_eq!(it.password.unwrap().as_bytes(), b"5");
}

/// [MQTT-3.1.3-3]; an empty one is legal, [MQTT-3.1.3-6], with any Clean Start.
#[test]
fn the_client_identifier_is_never_left_out() {
    let malformed = Answer::Connack(V5, MalformedPacket);
    let bytes = connect(V5, 2, &[]);
    connect_refused(&bytes, Fault::Truncated, malformed);
    let bytes = connect(V5, 0b1000_0010, &field("user"));
    connect_refused(&bytes, Fault::Truncated, malformed);
    for clean_start in [0, 2] {
        assert!(
            connects(&connect(V5, clean_start, &field("")))
                .client_id
                .is_empty()
        );
    }
}

/// MQTT5-3.1.3.3-U1
#[test]
fn a_will_topic_is_a_topic_name() {
    for (topic, fault) in [("", Fault::TopicEmpty), ("a/+", Fault::TopicWildcard)] {
        refuses(
            V5,
            &WILL_TOPIC(V5, topic.as_bytes()),
            fault,
            MalformedPacket,
        );
    }
}

/// [MQTT-3.2.2-1]
#[test]
fn connack_has_one_flag() {
    for flags in 2..=u8::MAX {
        let fault = Fault::AcknowledgeFlagsReserved;
        refused(V5, Server, &[0x20, 3, flags, 0, 0], fault, MalformedPacket);
    }
}

/// [MQTT-3.2.2-6]
#[test]
fn a_refusal_has_no_session_present() {
    for reason in ReasonCode::ALL {
        let code = *reason as u8;
        if code == 0 {
            accepted(V5, Server, &[0x20, 3, 1, 0, 0]);
        } else if reason.may_stand_in(Kind::Connack) {
            accepted(V5, Server, &[0x20, 3, 0, code, 0]);
            let fault = Fault::SessionPresentOnRefusal;
            refused(V5, Server, &[0x20, 3, 1, code, 0], fault, ProtocolError);
        }
    }
}

/// [MQTT-3.3.1-2]
#[test]
fn dup_at_qos_0() {
    dup_at_qos_0_is_refused(V5);
}

/// [MQTT-4.3.1-1]
#[test]
fn qos_0_goes_out_without_dup() {
    qos_0_is_sent_without_dup(V5);
}

/// [MQTT-3.3.1-4], MQTT5-3.3.1.2-U1
#[test]
fn qos_3() {
    qos_3_is_refused(V5);
}

/// [MQTT-3.3.2-2], [MQTT-4.7.0-1]
#[test]
fn wildcards_in_a_topic_name() {
    topic_name_has_no_wildcards(V5);
}

/// MQTT5-3.3.2.1-U1
#[test]
fn an_empty_topic_needs_an_alias() {
    for flags in [0b0000, 0b0010] {
        let identifier: &[u8] = if flags == 0 { &[] } else { &[0, 7] };
        let alone = packet(0x30 | flags, &[&[0, 0], identifier, &[0]].concat());
        refused(V5, Client, &alone, Fault::TopicMissing, ProtocolError);
        let other = packet(0x30 | flags, &[&[0, 0], identifier, &[2, 1, 0]].concat());
        refused(V5, Server, &other, Fault::TopicMissing, ProtocolError);
        let alias = packet(
            0x30 | flags,
            &[&[0, 0], identifier, &[3, 35, 0, 9]].concat(),
        );
        let Packet::Publish(publish) = accepted(V5, Client, &alias) else {
            panic!("not a PUBLISH");
        };
        assert_eq!(
            (publish.topic, publish.properties.topic_alias()),
            (None, Some(9))
        );
    }
}

/// MQTT5-3.4.2.1-U1 and the same of PUBREC, PUBREL and PUBCOMP.
#[test]
fn an_acknowledgement_of_two_bytes_means_success() {
    for first in [0x40, 0x50, 0x62, 0x70] {
        // With all that may be left out, and without: the shorter one is sent.
        for body in [&[0, 7][..], &[0, 7, 0], &[0, 7, 0, 0]] {
            let bytes = packet(first, body);
            let packet = decode(V5, Client, &bytes).unwrap();
            let success = Acknowledge::success(PacketId::new(7).unwrap());
            let expected = match first {
                0x40 => Packet::Puback(success),
                0x50 => Packet::Pubrec(success),
                0x62 => Packet::Pubrel(success),
                _ => Packet::Pubcomp(success),
            };
            assert_eq!(packet, expected);
            assert_eq!(encoded(&packet, V5), [first, 2, 0, 7]);
        }
    }
}

/// MQTT5-3.4.2.2.1-U1 and the same of PUBREC, PUBREL and PUBCOMP.
#[test]
fn an_acknowledgement_of_three_bytes_has_no_properties() {
    for (first, code) in [(0x40, 0x10), (0x50, 0x83), (0x62, 0x92), (0x70, 0x92)] {
        accepted(V5, Client, &[first, 3, 0, 7, code]);
        let with_length = [first, 4, 0, 7, code, 0];
        let packet = decode(V5, Client, &with_length).unwrap();
        assert_eq!(encoded(&packet, V5), [first, 3, 0, 7, code]);
    }
}

/// [MQTT-3.8.3-2], MQTT5-3.8.3-U1
#[test]
fn a_subscribe_without_a_filter() {
    payload_has_a_filter(V5, 0x82);
}

/// [MQTT-3.8.3-5], MQTT5-3.8.3.1-U1, -3.8.3.1-U2; and what the options mean.
#[test]
fn every_subscription_options() {
    for options in 0..=u8::MAX {
        let bytes = subscribe(V5, b"a", options);
        let handling = options >> 4 & 3;
        let fault = match options {
            _ if options & 3 == 3 => Some((Fault::SubscriptionQosReserved, ProtocolError)),
            0x40.. => Some((Fault::SubscriptionOptionsReserved, MalformedPacket)),
            _ if handling == 3 => Some((Fault::RetainHandlingReserved, ProtocolError)),
            _ => None,
        };
        if let Some((fault, reason)) = fault {
            refused(V5, Client, &bytes, fault, reason);
            continue;
        }
        let Packet::Subscribe(subscribe) = accepted(V5, Client, &bytes) else {
            panic!("not a SUBSCRIBE");
        };
        let (_, read) = subscribe.subscriptions.iter().next().unwrap();
        assert_eq!(read.qos as u8, options & 3);
        assert_eq!(read.no_local, options & 4 != 0);
        assert_eq!(read.retain_as_published, options & 8 != 0);
        let expected = [
            RetainHandling::Send,
            RetainHandling::SendIfNew,
            RetainHandling::DoNotSend,
        ];
        assert_eq!(read.retain_handling, expected[usize::from(handling)]);
    }
}

/// [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_is_refused() {
    let shared = b"$share/g/a";
    let bytes = subscribe(V5, shared, 0b0100);
    refused(V5, Client, &bytes, Fault::NoLocalOnShared, ProtocolError);
    accepted(V5, Client, &subscribe(V5, shared, 0b0000));
    accepted(V5, Client, &subscribe(V5, b"$shared/g/a", 0b0100));
    // Among several filters, too.
    let plain = [&field("a")[..], &[0b0100]].concat();
    let body = [&[0, 7, 0][..], &plain, &field(shared), &[0b0100]].concat();
    refused(
        V5,
        Client,
        &packet(0x82, &body),
        Fault::NoLocalOnShared,
        ProtocolError,
    );
}

/// [MQTT-3.10.3-1], [MQTT-3.8.3-1]: each of the filters.
#[test]
fn filters_stand_one_behind_the_other() {
    filters_are_read_in_order(V5);
}

/// [MQTT-3.8.3-1], [MQTT-3.10.3-1]
#[test]
fn filters_are_checked_to_the_last() {
    every_filter_is_checked(V5);
}

/// [MQTT-3.10.3-2], MQTT5-3.10.3-U1
#[test]
fn an_unsubscribe_without_a_filter() {
    payload_has_a_filter(V5, 0xA2);
}

/// [MQTT-3.9.3-2], [MQTT-3.11.3-2]: there is at least one code.
#[test]
fn suback_and_unsuback_answer_something() {
    for first in [0x90, 0xB0] {
        refused(
            V5,
            Server,
            &[first, 3, 0, 7, 0],
            Fault::NoReasonCodes,
            ProtocolError,
        );
    }
}

/// MQTT5-3.14.2.1-U1, -3.14.2.2.1-U1
#[test]
fn a_disconnect_may_leave_out_what_it_does_not_say() {
    let normal = Packet::Disconnect(Disconnect {
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    });
    for sender in [Client, Server] {
        for body in [&[][..], &[0], &[0, 0]] {
            let bytes = packet(0xE0, body);
            assert_eq!(decode(V5, sender, &bytes), Ok(normal));
        }
        accepted(V5, sender, &[0xE0, 0]);
        accepted(V5, sender, &[0xE0, 1, 0x82]);
    }
}

/// [MQTT-4.7.1-1]
#[test]
fn number_sign_in_filters() {
    number_sign_is_last_and_alone(V5);
}

/// [MQTT-4.7.1-2]
#[test]
fn plus_sign_in_filters() {
    plus_sign_fills_a_level(V5);
}

/// [MQTT-4.7.3-1]
#[test]
fn empty_topics() {
    topics_are_not_empty(V5);
}

/// [MQTT-4.7.3-3]
#[test]
fn longest_topics() {
    topics_take_65535_bytes(V5);
}

/// [MQTT-4.8.2-1], [MQTT-4.8.2-2]
#[test]
fn shared_subscriptions_have_a_name_and_a_filter() {
    for (whole, name, filter) in [
        ("$share/g/a", "g", "a"),
        ("$share/g//a", "g", "/a"),
        ("$share/g/#", "g", "#"),
        ("$share/g/+/$share/b", "g", "+/$share/b"),
        ("$share/$x/ /", "$x", " /"),
    ] {
        let bytes = subscribe(V5, whole.as_bytes(), 0);
        let Packet::Subscribe(subscribe) = accepted(V5, Client, &bytes) else {
            panic!("not a SUBSCRIBE");
        };
        let (read, _) = subscribe.subscriptions.iter().next().unwrap();
        let share = read.share().unwrap().expect("shared");
        assert_eq!((share.name, share.filter.as_str()), (name, filter));
        accepted(V5, Client, &unsubscribe(V5, whole.as_bytes()));
    }
    for wrong in [
        "$share/",
        "$share//a",
        "$share//",
        "$share/g",
        "$share/g/",
        "$share/+/a",
        "$share/#",
    ] {
        let fault = Fault::SharedFilter;
        refused(
            V5,
            Client,
            &subscribe(V5, wrong.as_bytes(), 0),
            fault,
            MalformedPacket,
        );
        refused(
            V5,
            Client,
            &unsubscribe(V5, wrong.as_bytes()),
            fault,
            MalformedPacket,
        );
    }
    for wrong in ["$share/a+/b", "$share/a#/b", "$share/#/b", "$share/g/a#"] {
        let fault = Fault::FilterWildcard;
        refused(
            V5,
            Client,
            &subscribe(V5, wrong.as_bytes(), 0),
            fault,
            MalformedPacket,
        );
    }
    for plain in ["$shared/g", "$SHARE/g", "$share1//a", "a/$share/g"] {
        accepted(V5, Client, &subscribe(V5, plain.as_bytes(), 0));
    }
}
