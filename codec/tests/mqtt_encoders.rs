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
