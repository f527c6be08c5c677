//! The encoder of PUBLISH for subscribers.

use super::generate::Arena;
use crate::choices::Choices;
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Decoder, Delivery, FrameLayout, PACKET_BYTES_MAX, Packet, PacketId, Property, Publish,
    PublishFrame, QoS, Sender, Version,
};

/// What memory behind the frame holds, and must hold afterwards.
const UNTOUCHED: u8 = 0xA5;

/// Any frame: its layout is exact, its receiver reads what was put in, and each
/// setter changes what it is there for and nothing else.
pub fn publish_frame(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut arena = Arena::default();
    let (frame, packet_id) = arena.publish_frame(&mut choices);
    let layout = frame.layout().expect("no oversize is generated");
    let mut bytes = vec![UNTOUCHED; layout.len + 8];
    frame.encode(&layout, packet_id, &mut bytes);
    assert_eq!(bytes.split_off(layout.len), [UNTOUCHED; 8]);
    check_layout(&frame, &layout, &bytes);
    check_received(&frame, frame.message_expiry, packet_id, false, &bytes);

    let mut head = vec![UNTOUCHED; layout.payload_at + 1];
    frame.encode_head(&layout, packet_id, &mut head);
    assert_eq!(head.pop(), Some(UNTOUCHED));
    assert_eq!(head, bytes[..layout.payload_at]);

    let mut expiry = frame.message_expiry;
    if layout.message_expiry_at.is_some() {
        let seconds = choices.four_bytes();
        layout.set_message_expiry(&mut bytes, seconds);
        expiry = Some(seconds);
        check_received(&frame, expiry, packet_id, false, &bytes);
    }
    if layout.packet_id_at.is_some() {
        let other = PacketId::new(choices.two_bytes().max(1)).expect("not zero");
        layout.set_packet_id(&mut bytes, other);
        check_received(&frame, expiry, Some(other), false, &bytes);
        layout.set_dup(&mut bytes);
        check_received(&frame, expiry, Some(other), true, &bytes);
    }
}

fn check_layout(frame: &PublishFrame<'_>, layout: &FrameLayout, bytes: &[u8]) {
    assert_eq!(&bytes[layout.payload_at..], frame.payload);
    assert_eq!(layout.packet_id_at.is_some(), frame.qos != QoS::AtMostOnce);
    let dies = frame.version == Version::V5 && frame.message_expiry.is_some();
    assert_eq!(layout.message_expiry_at.is_some(), dies);
}

fn check_received(
    frame: &PublishFrame<'_>,
    message_expiry: Option<u32>,
    packet_id: Option<PacketId>,
    dup: bool,
    bytes: &[u8],
) {
    let client = Decoder {
        version: frame.version,
        sender: Sender::Server,
        packet_bytes_max: PACKET_BYTES_MAX,
    };
    let publish = match client.decode(bytes) {
        Ok(Progress::Done(Packet::Publish(publish), consumed)) if consumed == bytes.len() => {
            publish
        }
        other => panic!("{frame:?} is received as {other:?}"),
    };
    let delivery = match (frame.qos, packet_id) {
        (QoS::AtMostOnce, None) => Delivery::AtMostOnce,
        (QoS::AtLeastOnce, Some(packet_id)) => Delivery::AtLeastOnce { packet_id, dup },
        (QoS::ExactlyOnce, Some(packet_id)) => Delivery::ExactlyOnce { packet_id, dup },
        (qos, packet_id) => panic!("{qos:?} with {packet_id:?}"),
    };
    let expected = Publish {
        delivery,
        retain: frame.retain,
        topic: frame.topic,
        properties: publish.properties,
        payload: frame.payload,
    };
    assert_eq!(publish, expected);
    let properties: Vec<_> = match frame.version {
        Version::V31 | Version::V311 => Vec::new(),
        Version::V5 => message_expiry
            .map(Property::MessageExpiryInterval)
            .into_iter()
            .chain(
                frame
                    .subscription_identifiers
                    .iter()
                    .map(|&identifier| Property::SubscriptionIdentifier(identifier)),
            )
            .chain(frame.properties.iter())
            .collect(),
    };
    assert!(publish.properties.iter().eq(properties));
}
