//! What no peer can make us send, because only a defect of ours would: encoders
//! panic instead of writing it.

use ringcast_codec::mqtt::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn panics(packet: &Packet<'_>, version: Version) -> bool {
    let encode = || packet.encode(version, &mut [0; 64]);
    catch_unwind(AssertUnwindSafe(encode)).is_err()
}

fn connack(session_present: bool, reason: ReasonCode) -> Packet<'static> {
    Packet::Connack(Connack {
        session_present,
        reason,
        properties: Properties::EMPTY,
    })
}

#[test]
fn a_refusal_claims_no_session_and_has_a_code() {
    for version in [Version::V31, Version::V311, Version::V5] {
        assert!(!panics(&connack(true, ReasonCode::Success), version));
        assert!(!panics(&connack(false, ReasonCode::NotAuthorized), version));
        assert!(panics(&connack(true, ReasonCode::NotAuthorized), version));
    }
    let malformed = connack(false, ReasonCode::MalformedPacket);
    assert!(panics(&malformed, Version::V311));
    assert!(!panics(&malformed, Version::V5));
    assert!(panics(
        &connack(false, ReasonCode::SessionTakenOver),
        Version::V5
    ));
}

#[test]
fn reasons_stand_only_in_their_packets() {
    let packet_id = PacketId::new(1).unwrap();
    let mut acknowledge = Acknowledge::success(packet_id);
    acknowledge.reason = ReasonCode::PacketIdentifierNotFound;
    assert!(!panics(&Packet::Pubrel(acknowledge), Version::V5));
    assert!(panics(&Packet::Puback(acknowledge), Version::V5));
    let disconnect = |reason| {
        let properties = Properties::EMPTY;
        Packet::Disconnect(Disconnect { reason, properties })
    };
    assert!(!panics(
        &disconnect(ReasonCode::SessionTakenOver),
        Version::V5
    ));
    assert!(panics(&disconnect(ReasonCode::Banned), Version::V5));
    let properties = Properties::EMPTY;
    let reason = ReasonCode::ContinueAuthentication;
    let auth = Packet::Auth(Auth { reason, properties });
    assert!(!panics(&auth, Version::V5));
    assert!(panics(&auth, Version::V311));
}

#[test]
fn lists_are_not_empty_and_mqtt_31_does_not_refuse() {
    let packet_id = PacketId::new(1).unwrap();
    let properties = Properties::EMPTY;
    let (subscriptions, filters) = (SubscriptionBlock::new(), FilterBlock::new());
    let subscriptions = subscriptions.subscriptions();
    let filters = filters.filters();
    let subscribe = Subscribe {
        packet_id,
        properties,
        subscriptions,
    };
    let unsubscribe = Unsubscribe {
        packet_id,
        properties,
        filters,
    };
    let unsuback = Unsuback {
        packet_id,
        properties,
        reasons: None,
    };
    assert!(panics(&Packet::Subscribe(subscribe), Version::V311));
    assert!(panics(&Packet::Unsubscribe(unsubscribe), Version::V311));
    assert!(!panics(&Packet::Unsuback(unsuback), Version::V311));
    assert!(panics(&Packet::Unsuback(unsuback), Version::V5));
    let reasons = ReasonCodes::new(&[0x80], Kind::Suback).unwrap();
    let suback = Packet::Suback(Suback {
        packet_id,
        properties,
        reasons,
    });
    assert!(!panics(&suback, Version::V311));
    assert!(panics(&suback, Version::V31));
}

#[test]
fn only_mqtt_5_has_aliases_for_topics() {
    let publish = Packet::Publish(Publish {
        delivery: Delivery::AtMostOnce,
        retain: false,
        topic: None,
        properties: Properties::EMPTY,
        payload: b"",
    });
    assert!(panics(&publish, Version::V311));
    assert!(!panics(&publish, Version::V5));
}

/// Section 2.2.3 of 3.1.1, 1.5.5 of 5: four bytes announce 268,435,455 at most.
#[test]
fn the_largest_packet_is_as_long_as_a_length_can_say() {
    assert_eq!(PACKET_BYTES_MAX, 268_435_460);
    // Never written to, so it takes no memory.
    let payload = vec![0; 268_435_455];
    let length = |payload| {
        let publish = Packet::Publish(Publish {
            delivery: Delivery::AtMostOnce,
            retain: false,
            topic: Some(TopicName::new("t").unwrap()),
            properties: Properties::EMPTY,
            payload,
        });
        publish.encoded_len(Version::V311)
    };
    let topic_bytes = 3;
    assert_eq!(length(&payload[topic_bytes..]), Ok(PACKET_BYTES_MAX));
    assert_eq!(length(&payload[topic_bytes - 1..]), Err(Oversize));
    assert_eq!(
        Oversize.to_string(),
        "a packet of MQTT has at most 268435460 bytes"
    );
}

#[test]
fn a_fault_says_what_is_wrong() {
    for (fault, sentence) in [
        (
            Fault::FlagsReserved(Kind::Pubrel),
            "Pubrel has other fixed header flags",
        ),
        (Fault::ProtocolLevel(6), "protocol level 6 is not served"),
        (Fault::PropertyRepeated(33), "property 33 stands here twice"),
        (Fault::ReasonCode(0x8B), "code 0x8b may not stand here"),
    ] {
        assert_eq!(fault.to_string(), sentence);
    }
}

#[test]
fn a_layout_names_the_places_that_may_change() {
    let mut properties = PropertyBlock::new();
    properties.push(Property::PayloadFormatIndicator(true));
    let frame = |version, qos, message_expiry| PublishFrame {
        version,
        qos,
        retain: false,
        topic: Some(TopicName::new("a/b").unwrap()),
        message_expiry,
        subscription_identifiers: &[],
        properties: properties.properties(),
        payload: b"payload",
    };
    let places = |version, qos, expiry| {
        let layout = frame(version, qos, expiry).layout().unwrap();
        (
            layout.packet_id_at,
            layout.message_expiry_at,
            layout.payload_at,
        )
    };
    use QoS::{AtLeastOnce, AtMostOnce};
    assert_eq!(places(Version::V311, AtMostOnce, Some(60)), (None, None, 7));
    assert_eq!(
        places(Version::V311, AtLeastOnce, Some(60)),
        (Some(7), None, 9)
    );
    assert_eq!(places(Version::V5, AtMostOnce, None), (None, None, 10));
    assert_eq!(
        places(Version::V5, AtLeastOnce, Some(60)),
        (Some(7), Some(11), 17)
    );

    let frame = frame(Version::V5, AtLeastOnce, Some(60));
    let layout = frame.layout().unwrap();
    let mut out = vec![0; layout.len];
    frame.encode(&layout, Some(PacketId::new(1).unwrap()), &mut out);
    layout.set_packet_id(&mut out, PacketId::new(0x0203).unwrap());
    layout.set_message_expiry(&mut out, 0x0405_0607);
    layout.set_dup(&mut out);
    let expected = b"\x3A\x16\0\x03a/b\x02\x03\x07\x02\x04\x05\x06\x07\x01\x01payload";
    assert_eq!(out, expected);
}

#[test]
fn lists_hold_what_was_put_into_them() {
    let filter = |text| TopicFilter::new(text).unwrap();
    let at_most = SubscriptionOptions::at_most;
    let mut filters = FilterBlock::new();
    filters.push(filter("a/+")).push(filter("b"));
    let read: Vec<_> = filters.filters().iter().collect();
    assert_eq!(read, [filter("a/+"), filter("b")]);
    assert_eq!(format!("{:?}", filters.filters()), r#"["a/+", "b"]"#);

    let (mut one, mut other) = (SubscriptionBlock::new(), SubscriptionBlock::new());
    one.push(filter("a/+"), at_most(QoS::AtLeastOnce));
    other.push(filter("a/+"), at_most(QoS::AtLeastOnce));
    assert_eq!(one.subscriptions(), other.subscriptions());
    assert!(format!("{:?}", one.subscriptions()).starts_with(r#"[("a/+", "#));
    other.push(filter("b"), at_most(QoS::AtMostOnce));
    assert_ne!(one.subscriptions(), other.subscriptions());

    assert!(filter("a/+").has_wildcards() && filter("#").has_wildcards());
    assert!(!filter("a/b").has_wildcards());
    assert_eq!(format!("{:?}", TopicName::new("a/b").unwrap()), r#""a/b""#);
    assert_eq!(format!("{:?}", Text::new("ä").unwrap()), r#""ä""#);
}
