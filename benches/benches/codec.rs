//! The codec beside mqttbytes: `cargo bench -p ringcast-benches --bench codec`.
//!
//! Both read the same bytes, each from the buffer that it is made for: ours from
//! a slice, theirs from a `BytesMut`, which is filled off the clock.

use bytes::{Buf, BytesMut};
use mqttbytes::{v4, v5};
use ringcast_benches::{Batch, Comparison, Program};
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Acknowledge, Connect, Decoder, Delivery, Frame, Kind, PACKET_BYTES_MAX, Packet, PacketId,
    Properties, Property, PropertyBlock, Publish, PublishFrame, QoS, Sender, Subscribe,
    SubscriptionBlock, SubscriptionOptions, Text, TopicFilter, TopicName, Version,
};
use ringcast_codec::websocket::MaskingKey;
use std::hint::black_box;

/// Packets in a stream.
const STREAM: usize = 64;

const TOPIC: &str = "market/BTCUSDT/trade";

fn main() {
    println!("{}", Comparison::HEADER);
    for comparison in [frame_stream(), decode_stream()] {
        println!("{comparison}");
    }
    for (name, version, packet) in packets() {
        println!("{}", decode(name, version, &packet));
    }
    for comparison in encode() {
        println!("{comparison}");
    }
    println!("{}", unmask());
}

fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len(version).expect("is small")];
    packet.encode(version, &mut bytes).expect("is small");
    bytes
}

fn topic() -> TopicName<'static> {
    TopicName::new(TOPIC).expect("has no wildcard")
}

fn packet_id() -> PacketId {
    PacketId::new(4711).expect("is not zero")
}

fn text(text: &str) -> Text<'_> {
    Text::new(text).expect("is short")
}

fn publish<'a>(delivery: Delivery, properties: Properties<'a>, payload: &'a [u8]) -> Packet<'a> {
    Packet::Publish(Publish {
        delivery,
        retain: false,
        topic: Some(topic()),
        properties,
        payload,
    })
}

/// Packets as they come every day, encoded.
fn packets() -> Vec<(&'static str, Version, Vec<u8>)> {
    let payload = [b'x'; 128];
    let at_least_once = Delivery::AtLeastOnce {
        packet_id: packet_id(),
        dup: false,
    };
    let mut properties = PropertyBlock::new();
    properties
        .push(Property::PayloadFormatIndicator(true))
        .push(Property::MessageExpiryInterval(60))
        .push(Property::UserProperty(text("source"), text("binance")));
    let mut subscriptions = SubscriptionBlock::new();
    for filter in ["market/+/trade", "market/BTCUSDT/#", "user/desk7/order/+"] {
        let filter = TopicFilter::new(filter).expect("is right");
        subscriptions.push(filter, SubscriptionOptions::at_most(QoS::AtLeastOnce));
    }
    let plain = publish(Delivery::AtMostOnce, Properties::EMPTY, &payload);
    let rich = publish(at_least_once, properties.properties(), &payload);
    let puback = Packet::Puback(Acknowledge::success(packet_id()));
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: packet_id(),
        properties: Properties::EMPTY,
        subscriptions: subscriptions.subscriptions(),
    });
    let mut packets = Vec::new();
    for (name, version, packet) in [
        ("decode PUBLISH 128 B, QoS 0, 3.1.1", Version::V311, plain),
        ("decode PUBLISH 128 B, QoS 0, 5", Version::V5, plain),
        (
            "decode PUBLISH 128 B, QoS 1, properties, 5",
            Version::V5,
            rich,
        ),
        ("decode PUBACK, 3.1.1", Version::V311, puback),
        ("decode PUBACK, 5", Version::V5, puback),
        (
            "decode SUBSCRIBE of 3 filters, 3.1.1",
            Version::V311,
            subscribe,
        ),
        ("decode SUBSCRIBE of 3 filters, 5", Version::V5, subscribe),
        ("decode PINGREQ, 3.1.1", Version::V311, Packet::Pingreq),
    ] {
        packets.push((name, version, encoded(&packet, version)));
    }
    for (name, version) in [
        ("decode CONNECT, 3.1.1", Version::V311),
        ("decode CONNECT, 5", Version::V5),
    ] {
        let connect = Connect {
            version,
            clean_start: true,
            keep_alive: 30,
            client_id: text("desk-7-pricing"),
            will: None,
            user_name: Some(text("desk7")),
            password: None,
            properties: Properties::EMPTY,
        };
        let mut bytes = vec![0; connect.encoded_len().expect("is small")];
        connect.encode(&mut bytes).expect("is small");
        packets.push((name, version, bytes));
    }
    packets
}

/// Ours: the packets of a buffer one after another, each given to `handle`.
fn read_stream<'a>(mut rest: &'a [u8], mut handle: impl FnMut(Frame<'a>)) {
    while let Ok(Progress::Done(frame, consumed)) = Frame::cut(rest, PACKET_BYTES_MAX) {
        handle(frame);
        rest = &rest[consumed..];
    }
    assert!(rest.is_empty(), "the stream ends with a packet");
}

fn stream() -> Vec<u8> {
    let plain = publish(Delivery::AtMostOnce, Properties::EMPTY, &[b'x'; 128]);
    encoded(&plain, Version::V311).repeat(STREAM)
}

/// Where packets begin and end, without a look inside.
fn frame_stream() -> Comparison {
    let stream = stream();
    let mut ours = Batch {
        prepare: || stream.clone(),
        work: |input: &mut Vec<u8>| {
            read_stream(input, |frame| {
                black_box(&frame);
            });
        },
    };
    let mut theirs = Batch {
        prepare: || BytesMut::from(&stream[..]),
        work: |input: &mut BytesMut| {
            while input.has_remaining() {
                let header = mqttbytes::check(input.iter(), PACKET_BYTES_MAX).expect("is whole");
                black_box(input.split_to(header.frame_length()).freeze());
            }
        },
    };
    Comparison::measure(
        "frame a stream of 64 PUBLISH",
        STREAM,
        &mut ours,
        &mut theirs,
    )
}

/// The same, decoded.
fn decode_stream() -> Comparison {
    let stream = stream();
    let mut ours = Batch {
        prepare: || stream.clone(),
        work: |input: &mut Vec<u8>| {
            read_stream(input, |frame| {
                let publish = Publish::decode(frame, Version::V311, Sender::Client);
                black_box(&publish.expect("is right"));
            });
        },
    };
    let mut theirs = Batch {
        prepare: || BytesMut::from(&stream[..]),
        work: |input: &mut BytesMut| {
            while input.has_remaining() {
                black_box(&v4::read(input, PACKET_BYTES_MAX).expect("is right"));
            }
        },
    };
    Comparison::measure(
        "decode a stream of 64 PUBLISH",
        STREAM,
        &mut ours,
        &mut theirs,
    )
}

fn decode(name: &str, version: Version, packet: &[u8]) -> Comparison {
    let decoder = Decoder {
        version,
        sender: Sender::Client,
        packet_bytes_max: PACKET_BYTES_MAX,
    };
    let kind = packet[0] >> 4;
    let mut ours = Batch {
        prepare: || packet.to_vec(),
        work: |input: &mut Vec<u8>| {
            let input = black_box(input.as_slice());
            if kind == Kind::Publish as u8 {
                let frame = Frame::cut(input, PACKET_BYTES_MAX).expect("is right");
                let decode = |frame| Publish::decode(frame, version, Sender::Client);
                black_box(&frame.map(decode));
            } else if kind == Kind::Connect as u8 {
                black_box(&Connect::decode(input, PACKET_BYTES_MAX).expect("is right"));
            } else {
                black_box(&decoder.decode(input).expect("is right"));
            }
        },
    };
    let mut v4 = Batch {
        prepare: || BytesMut::from(packet),
        work: |input: &mut BytesMut| {
            black_box(&v4::read(input, PACKET_BYTES_MAX).expect("is right"));
        },
    };
    let mut v5 = Batch {
        prepare: || BytesMut::from(packet),
        work: |input: &mut BytesMut| {
            black_box(&v5::read(input, PACKET_BYTES_MAX).expect("is right"));
        },
    };
    let theirs: &mut dyn Program = if version == Version::V5 {
        &mut v5
    } else {
        &mut v4
    };
    Comparison::measure(name, 1, &mut ours, theirs)
}

/// A message to subscribers, and the acknowledgement of one.
fn encode() -> Vec<Comparison> {
    let payload = [b'x'; 128];
    let frame = PublishFrame {
        version: Version::V311,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Some(topic()),
        message_expiry: None,
        subscription_identifiers: &[],
        properties: Properties::EMPTY,
        payload: &payload,
    };
    let mut theirs_publish = v4::Publish::new(TOPIC, mqttbytes::QoS::AtLeastOnce, payload);
    theirs_publish.pkid = 4711;
    let mut out = [0; 256];
    let mut ours = Batch {
        prepare: || (),
        work: |(): &mut ()| {
            let frame = black_box(&frame);
            let layout = frame.layout().expect("is small");
            frame.encode(&layout, Some(packet_id()), &mut out);
            black_box(&mut out);
        },
    };
    // A buffer with room for all of a round, so that it never grows on the clock.
    let room = |bytes: usize| move || BytesMut::with_capacity(bytes);
    let mut theirs = Batch {
        prepare: room(256),
        work: |buffer: &mut BytesMut| {
            black_box(black_box(&theirs_publish).write(buffer).expect("is right"));
        },
    };
    let publish = Comparison::measure(
        "encode PUBLISH 128 B, QoS 1, 3.1.1",
        1,
        &mut ours,
        &mut theirs,
    );

    let mut out = [0; 16];
    let puback = Packet::Puback(Acknowledge::success(packet_id()));
    let mut ours = Batch {
        prepare: || (),
        work: |(): &mut ()| {
            black_box(
                black_box(&puback)
                    .encode(Version::V311, &mut out)
                    .expect("is small"),
            );
            black_box(&mut out);
        },
    };
    let theirs_puback = v4::PubAck::new(4711);
    let mut theirs = Batch {
        prepare: room(16),
        work: |buffer: &mut BytesMut| {
            black_box(black_box(&theirs_puback).write(buffer).expect("is right"));
        },
    };
    let puback = Comparison::measure("encode PUBACK, 3.1.1", 1, &mut ours, &mut theirs);
    vec![publish, puback]
}

/// Unmasking in place beside a copy of as many bytes, the least that could be done
/// with them.
fn unmask() -> Comparison {
    const BYTES: usize = 4096;
    let key = MaskingKey::new([0x37, 0xFA, 0x21, 0x3D]);
    let mut payload = [0; BYTES];
    let (source, mut target) = ([1; BYTES], [0; BYTES]);
    let mut ours = Batch {
        prepare: || (),
        work: |(): &mut ()| black_box(key).apply(black_box(&mut payload)),
    };
    let mut theirs = Batch {
        prepare: || (),
        work: |(): &mut ()| black_box(&mut target).copy_from_slice(black_box(&source)),
    };
    Comparison::measure("unmask 4 KiB, theirs: memcpy", 1, &mut ours, &mut theirs)
}
