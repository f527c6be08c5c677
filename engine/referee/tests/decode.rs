//! The decoder, fault by fault: for each a packet that has it, and one that lacks only
//! that and is read.

mod support;

use ringcast_referee::decode::{self, Fault};
use ringcast_referee::packet::{Packet, Side, Value, Version, property};
use support::*;

fn decode(bytes: &[u8], version: Version, sender: Side) -> Result<Packet, Fault> {
    let (head, end) = decode::frame(bytes, Some(version))?.expect("all there");
    assert_eq!(end, bytes.len(), "one packet");
    decode::packet(bytes[0], &bytes[head..end], version, sender)
}

fn publish(properties: Vec<u8>) -> Vec<u8> {
    message(5, "t", "x").with(properties).bytes()
}

#[test]
fn each_fault_is_told() {
    use Fault as F;
    use Side::{Client, Server};
    use Version::{V5, V31, V311};
    let subscribe5 = |filter, options| subscribe(5, 1, &[(filter, options)], &[]);
    let connack5 = |properties: Vec<u8>| connack(5, false, 0, &properties);
    let mut reserved_connect = v4("a").bytes();
    reserved_connect[9] |= 1;
    let mut unknown_level = v4("a").bytes();
    unknown_level[8] = 6;
    for (fault, version, sender, bad, good) in [
        (F::Length, V5, Client, vec![0xc0, 0x80, 0], pingreq()),
        (
            F::Length,
            V311,
            Client,
            vec![0xc0, 0x80, 0x80, 0x80, 0x80],
            vec![0xc0, 0x80, 0],
        ),
        (F::Short, V311, Client, packet(0x40, &[0]), puback(1)),
        (
            F::Short,
            V311,
            Server,
            packet(0x90, &[0, 1]),
            suback(4, 1, &[0]),
        ),
        (
            F::Short,
            V5,
            Server,
            packet(0x30, &[0, 1, b't', 2, 1]),
            publish(vec![1, 1]),
        ),
        (F::Long, V311, Client, packet(0xc0, &[0]), pingreq()),
        (
            F::Flags,
            V311,
            Client,
            packet(0x80, &subscribe(4, 1, &[("t", 0)], &[])[2..]),
            subscribe(4, 1, &[("t", 0)], &[]),
        ),
        (F::Flags, V311, Client, packet(0x6a, &[0, 1]), pubrel(1)),
        (F::Type, V5, Server, pingreq(), pingresp()),
        (F::Type, V5, Client, pingresp(), pingreq()),
        (F::Type, V5, Client, packet(0, &[]), pingreq()),
        (F::Mqtt5Only, V311, Server, packet(0xf0, &[]), pingresp()),
        (
            F::Mqtt5Only,
            V311,
            Server,
            unsuback(5, 1, &[0]),
            unsuback(4, 1, &[]),
        ),
        (
            F::Text,
            V5,
            Server,
            packet(0x30, &[0, 1, 0xff, 0]),
            packet(0x30, &[0, 1, b't', 0]),
        ),
        (
            F::Text,
            V5,
            Server,
            message(5, "a\0", "x").bytes(),
            publish(vec![]),
        ),
        (
            F::Integer,
            V5,
            Server,
            packet(0x30, &[0, 1, b't', 0x80, 0]),
            publish(vec![]),
        ),
        (
            F::Qos,
            V311,
            Server,
            packet(0x36, &message(4, "t", "x").qos(1, 1).bytes()[2..]),
            message(4, "t", "x").qos(2, 1).bytes(),
        ),
        (
            F::Qos,
            V311,
            Server,
            message(4, "t", "x").dup().bytes(),
            message(4, "t", "x").qos(1, 1).dup().bytes(),
        ),
        (
            F::Identifier,
            V311,
            Server,
            message(4, "t", "x").qos(1, 0).bytes(),
            message(4, "t", "x").qos(1, 1).bytes(),
        ),
        (F::Identifier, V311, Client, puback(0), puback(1)),
        (
            F::Topic,
            V311,
            Server,
            message(4, "", "x").bytes(),
            message(4, "t", "x").bytes(),
        ),
        (
            F::Topic,
            V5,
            Server,
            message(5, "", "x").bytes(),
            message(5, "", "x").with(two(35, 1)).bytes(),
        ),
        (
            F::Topic,
            V311,
            Server,
            message(4, "a/+", "x").bytes(),
            message(4, "a/b", "x").bytes(),
        ),
        (
            F::Filter,
            V5,
            Client,
            subscribe(5, 1, &[], &[]),
            subscribe5("#", 0),
        ),
        (
            F::Filter,
            V5,
            Client,
            subscribe5("a#", 0),
            subscribe5("a/#", 0),
        ),
        (
            F::Filter,
            V5,
            Client,
            unsubscribe(5, 1, "$share/g"),
            unsubscribe(5, 1, "$share/g/t"),
        ),
        (
            F::Options,
            V5,
            Client,
            subscribe5("t", 3),
            subscribe5("t", 2),
        ),
        (
            F::Options,
            V5,
            Client,
            subscribe5("t", 0x30),
            subscribe5("t", 0x20),
        ),
        (
            F::Options,
            V5,
            Client,
            subscribe5("t", 0x40),
            subscribe5("t", 0x0c),
        ),
        (
            F::Options,
            V5,
            Client,
            subscribe5("$share/g/t", 4),
            subscribe5("$share/g/t", 8),
        ),
        (
            F::Options,
            V311,
            Client,
            subscribe(4, 1, &[("t", 4)], &[]),
            subscribe(4, 1, &[("t", 2)], &[]),
        ),
        (
            F::PropertyUnknown,
            V5,
            Server,
            publish(vec![4, 0]),
            publish(vec![1, 0]),
        ),
        (
            F::PropertyUnknown,
            V5,
            Client,
            publish(vec![11, 1]),
            publish(vec![]),
        ),
        (
            F::PropertyUnknown,
            V5,
            Server,
            packet(0xe0, &[&[0x8b, 5][..], &four(17, 1)].concat()),
            disconnect(0x8b),
        ),
        (
            F::PropertyTwice,
            V5,
            Server,
            publish(vec![1, 0, 1, 0]),
            publish(vec![11, 1, 11, 1]),
        ),
        (
            F::PropertyTwice,
            V5,
            Server,
            publish([four(2, 1), four(2, 1)].concat()),
            publish([pair("k", "v"), pair("k", "v")].concat()),
        ),
        (
            F::PropertyValue,
            V5,
            Server,
            publish(vec![1, 2]),
            publish(vec![1, 1]),
        ),
        (
            F::PropertyValue,
            V5,
            Server,
            publish(two(35, 0)),
            publish(two(35, 1)),
        ),
        (
            F::PropertyValue,
            V5,
            Server,
            publish(vec![11, 0]),
            publish(vec![11, 1]),
        ),
        (
            F::PropertyValue,
            V5,
            Server,
            publish(string(8, "a/#")),
            publish(string(8, "a/b")),
        ),
        (
            F::PropertyValue,
            V5,
            Server,
            connack5(two(33, 0)),
            connack5(two(33, 1)),
        ),
        (
            F::PropertyValue,
            V5,
            Server,
            connack5(four(39, 0)),
            connack5(four(39, 1)),
        ),
        (
            F::PropertyValue,
            V5,
            Server,
            connack5(vec![22, 0, 0]),
            connack5([string(21, "m"), vec![22, 0, 0]].concat()),
        ),
        (F::Protocol, V311, Client, unknown_level, v4("a").bytes()),
        (
            F::ConnectFlags,
            V311,
            Client,
            reserved_connect,
            v4("a").bytes(),
        ),
        (
            F::ConnackFlags,
            V311,
            Server,
            packet(0x20, &[2, 0]),
            packet(0x20, &[1, 0]),
        ),
    ] {
        assert_eq!(decode(&bad, version, sender), Err(fault), "{bad:02x?}");
        assert!(
            decode(&good, version, sender).is_ok(),
            "{fault:?}: {good:02x?}"
        );
    }
    // MQTT 3.1 is wider in some of these.
    assert!(decode(&packet(0x20, &[2, 0]), V31, Server).is_ok());
    assert!(decode(&packet(0x6a, &[0, 1]), V31, Client).is_ok());
}

#[test]
fn connect_is_read_in_each_version() {
    for version in [3, 4, 5] {
        let connect = Connect {
            version,
            keep_alive: 7,
            user: Some("ada"),
            ..v4("id").will("w", b"gone")
        };
        let Ok(Packet::Connect(read)) = decode(&connect.bytes(), Version::V311, Side::Client)
        else {
            panic!("no CONNECT");
        };
        let expected = [Version::V31, Version::V311, Version::V5][usize::from(version) - 3];
        assert_eq!(
            (read.version, read.keep_alive_secs, read.clean),
            (expected, 7, true)
        );
        assert_eq!(
            (read.client_id.as_str(), read.user.as_deref()),
            ("id", Some("ada"))
        );
        let will = read.will.expect("a will");
        assert_eq!(
            (will.topic.as_str(), &will.payload[..]),
            ("w", &b"gone"[..])
        );
    }
}

#[test]
fn a_publish_is_read_to_the_last_byte() {
    let bytes = message(5, "a/b", "body")
        .qos(2, 0x1234)
        .dup()
        .retain()
        .with(two(35, 9))
        .with(pair("k", "v"))
        .bytes();
    let Ok(Packet::Publish(read)) = decode(&bytes, Version::V5, Side::Server) else {
        panic!("no PUBLISH");
    };
    assert_eq!(
        (read.qos, read.dup, read.retain, read.packet_id),
        (2, true, true, 0x1234)
    );
    assert_eq!(
        (read.topic.as_str(), &read.payload[..]),
        ("a/b", &b"body"[..])
    );
    assert_eq!(read.properties.number(property::TOPIC_ALIAS), Some(9));
    let user = Value::Pair("k".into(), "v".into());
    assert_eq!(read.properties.0[1], (property::USER_PROPERTY, user));
}

/// A packet is asked for again until it is all there.
#[test]
fn a_part_is_not_a_fault() {
    let bytes = message(5, "t", vec![0; 200]).bytes();
    assert_eq!(decode::frame(&bytes[..1], None), Ok(None));
    assert_eq!(decode::frame(&bytes[..2], None), Ok(None));
    assert_eq!(decode::frame(&bytes[..3], None), Ok(Some((3, bytes.len()))));
}
