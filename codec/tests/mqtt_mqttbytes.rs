//! Differential tests against mqttbytes 0.6, an independent implementation of
//! MQTT 3.1.1 and 5: generated packets, whole and damaged, in both directions.

#[path = "mqtt_mqttbytes/neutral.rs"]
mod neutral;
#[path = "mqtt_mqttbytes/rules.rs"]
mod rules;
#[path = "mqtt_mqttbytes/specimens.rs"]
mod specimens;

use bytes::BytesMut;
use mqttbytes::{v4, v5};
use neutral::Lines;
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Connect, Decoder, Fault, PACKET_BYTES_MAX, Sender, TopicFilter, TopicName, Version,
};
use ringcast_codec_fuzz::choices::{Choices, mutate, seeded_bytes};
use ringcast_codec_fuzz::mqtt::generate::{
    Arena, damaged, encoded, encoded_connect, filter, topic,
};
use rules::{Case, RULES, Theirs, classify};
use std::collections::BTreeMap;
use std::panic::catch_unwind;

/// Packets generated per version, each read whole and damaged in several ways.
const PACKETS: u64 = 6_000;
const DAMAGED: usize = 4;

/// The versions that mqttbytes has.
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// A packet of theirs, of either version.
enum Packet {
    V4(v4::Packet),
    V5(Box<v5::Packet>),
}

impl Packet {
    fn lines(&self) -> Lines {
        match self {
            Self::V4(packet) => neutral::their_v4(packet),
            Self::V5(packet) => neutral::their_v5(packet),
        }
    }

    fn write(&self) -> BytesMut {
        let mut out = BytesMut::new();
        macro_rules! write {
            ($version:ident, $packet:expr, $disconnect:pat => $write:expr, [$($kind:ident),*]) => {
                match $packet {
                    $($version::Packet::$kind(packet) => packet.write(&mut out),)*
                    $version::Packet::PingReq => $version::PingReq.write(&mut out),
                    $version::Packet::PingResp => $version::PingResp.write(&mut out),
                    $disconnect => $write,
                }
            };
        }
        let written = match self {
            Self::V4(packet) => write!(v4, packet,
                v4::Packet::Disconnect => v4::Disconnect.write(&mut out),
                [Connect, ConnAck, Publish, PubAck, PubRec, PubRel, PubComp,
                 Subscribe, SubAck, Unsubscribe, UnsubAck]),
            Self::V5(packet) => write!(v5, packet.as_ref(),
                v5::Packet::Disconnect(disconnect) => disconnect.write(&mut out),
                [Connect, ConnAck, Publish, PubAck, PubRec, PubRel, PubComp,
                 Subscribe, SubAck, Unsubscribe, UnsubAck]),
        };
        written.expect("what they read can be written");
        out
    }
}

fn their_read(version: Version, bytes: &[u8]) -> Option<Result<Packet, mqttbytes::Error>> {
    catch_unwind(|| {
        let mut stream = BytesMut::from(bytes);
        match version {
            Version::V5 => {
                v5::read(&mut stream, PACKET_BYTES_MAX).map(|packet| Packet::V5(Box::new(packet)))
            }
            _ => v4::read(&mut stream, PACKET_BYTES_MAX).map(Packet::V4),
        }
    })
    .ok()
}

/// Reads as the first packet what looks like CONNECT, and as any other what
/// does not: whether it may come now is the session's question.
fn our_read(
    version: Version,
    sender: Sender,
    bytes: &[u8],
) -> (Version, Result<Progress<Lines>, Fault>) {
    if bytes.first().is_some_and(|first| first >> 4 == 1) {
        return match Connect::decode(bytes, PACKET_BYTES_MAX) {
            Ok(Progress::Done(connect, consumed)) => {
                let lines = neutral::our_connect(&connect);
                (connect.version, Ok(Progress::Done(lines, consumed)))
            }
            Ok(Progress::Partial { needed }) => (version, Ok(Progress::Partial { needed })),
            Err(fault) => (fault.version.unwrap_or(version), Err(fault.fault)),
        };
    }
    let decoder = Decoder {
        version,
        sender,
        packet_bytes_max: PACKET_BYTES_MAX,
    };
    let read = decoder
        .decode(bytes)
        .map(|progress| progress.map(|packet| neutral::our_packet(&packet, version)));
    (version, read)
}

/// How often each rule was needed.
type Counts = BTreeMap<&'static str, usize>;

/// Reads the same bytes with both.
///
/// # Panics
/// On a disagreement that no rule covers.
fn compare(
    version: Version,
    sender: Sender,
    bytes: &[u8],
    counts: &mut Counts,
) -> Option<&'static str> {
    let (our_version, ours) = our_read(version, sender, bytes);
    let theirs = match their_read(version, bytes) {
        Some(Ok(packet)) => Theirs::Packet(packet.lines()),
        Some(Err(error)) => Theirs::Refused(error),
        None => Theirs::Panicked,
    };
    let case = Case {
        version,
        sender,
        bytes,
        our_version,
        ours,
        theirs,
    };
    if case.agrees() {
        return None;
    }
    let rule = classify(&case);
    let rule = rule.unwrap_or_else(|| panic!("no rule covers {case:02X?}"));
    *counts.entry(rule).or_default() += 1;
    Some(rule)
}

fn sender(seed: u64) -> Sender {
    match seed % 2 {
        0 => Sender::Client,
        _ => Sender::Server,
    }
}

/// A generated packet, CONNECT among them.
fn generated(choices: &mut Choices<'_>, version: Version, seed: u64) -> Vec<u8> {
    let mut arena = Arena::default();
    match seed % 8 {
        0 => encoded_connect(&arena.connect(choices, version)),
        _ => encoded(&arena.packet(choices, version, sender(seed)), version),
    }
}

#[test]
fn both_read_the_same_but_for_known_differences() {
    let mut counts = Counts::new();
    for version in VERSIONS {
        for seed in 0..PACKETS {
            let decisions = seeded_bytes(seed, 600);
            let mut choices = Choices::new(&decisions);
            let whole = generated(&mut choices, version, seed);
            compare(version, sender(seed), &whole, &mut counts);
            let (_, ours) = our_read(version, sender(seed), &whole);
            let done = matches!(ours, Ok(Progress::Done(_, consumed)) if consumed == whole.len());
            assert!(done, "{whole:02X?} is {ours:?}");
            for _ in 0..DAMAGED {
                let damaged = damaged(&mut choices, whole.clone());
                if !damaged.is_empty() {
                    compare(version, sender(seed), &damaged, &mut counts);
                }
            }
        }
    }
    for (name, version, sender, bytes) in specimens::SPECIMENS {
        let rule = compare(*version, *sender, bytes, &mut counts);
        assert_eq!(rule, Some(*name), "{bytes:02X?}");
    }
    println!("{counts:#?}");
    for rule in RULES {
        let specimens = specimens::SPECIMENS.iter();
        assert_eq!(specimens.filter(|(name, ..)| *name == rule.name).count(), 1);
        assert!(counts.contains_key(rule.name), "{}", rule.name);
    }
}

/// What they write of a packet that they read is what we then read, but for two
/// packets that they write wrong.
#[test]
fn we_read_what_they_write() {
    let mut counts = Counts::new();
    for version in VERSIONS {
        for seed in 0..PACKETS {
            let decisions = seeded_bytes(seed, 600);
            let whole = generated(&mut Choices::new(&decisions), version, seed);
            let Some(Ok(packet)) = their_read(version, &whole) else {
                continue;
            };
            let written = packet.write();
            let (_, ours) = our_read(version, sender(seed), &written);
            let lines = packet.lines();
            if ours == Ok(Progress::Done(lines.clone(), written.len())) {
                *counts.entry("same").or_default() += 1;
                continue;
            }
            let rule = write_rule(&packet, &ours, &written)
                .unwrap_or_else(|| panic!("{lines:?} is written {written:02X?} and read {ours:?}"));
            *counts.entry(rule).or_default() += 1;
        }
    }
    println!("{counts:#?}");
    assert_eq!(counts.len(), 3);
    assert!(counts["same"] > 10_000);
}

/// The way in which they are known to write a packet that we refuse.
fn write_rule(
    packet: &Packet,
    ours: &Result<Progress<Lines>, Fault>,
    written: &[u8],
) -> Option<&'static str> {
    let fault = ours.as_ref().err()?;
    match packet {
        Packet::V5(packet) => match packet.as_ref() {
            v5::Packet::ConnAck(connack) => {
                (connack.properties.is_none() && written.len() == 4 && *fault == Fault::Truncated)
                    .then_some("connack-without-property-length")
            }
            _ => None,
        },
        Packet::V4(v4::Packet::Connect(connect)) => {
            let login = connect.login.as_ref()?;
            (login.username.is_empty() && *fault == Fault::PasswordWithoutUserName)
                .then_some("login-without-user-name")
        }
        Packet::V4(_) => None,
    }
}

/// What they write of a packet that only a caller can make.
#[test]
fn defects_of_their_writers() {
    // [MQTT-2.2.2-1]: no properties are a length of zero, which must be there.
    let mut out = BytesMut::new();
    let connack = v5::ConnAck::new(v5::ConnectReturnCode::Success, false);
    connack.write(&mut out).unwrap();
    assert_eq!(out, &[0x20, 2, 0, 0][..]);

    // Section 3.14.2.1: only Normal Disconnection may go without saying.
    let mut out = BytesMut::new();
    let disconnect = v5::Disconnect {
        reason_code: v5::DisconnectReasonCode::ServerBusy,
        properties: Some(v5::DisconnectProperties::new()),
    };
    disconnect.write(&mut out).unwrap();
    assert_eq!(out, &[0xE0, 0][..]);

    // CONNECT behind other bytes: the flags land in those, and are missing.
    let mut connect = v4::Connect::new("c");
    connect.set_login("user", "password");
    let mut alone = BytesMut::new();
    let returned = connect.write(&mut alone).unwrap();
    let mut behind = BytesMut::from(&[0; 64][..]);
    connect.write(&mut behind).unwrap();
    assert_eq!((alone[9], behind[9], behind[64 + 9]), (0xC2, 0xC2, 0x02));
    // And it returns the length without the fixed header, as no other does.
    assert_eq!(returned + 2, alone.len());
}

#[test]
fn defects_of_their_reader() {
    // A whole frame that they wait for is gone: no second look can find it.
    let mut stream = BytesMut::from(&[0x40, 4, 0, 1, 0, 0x80][..]);
    let waits = v5::read(&mut stream, 100);
    assert_eq!(waits, Err(mqttbytes::Error::InsufficientBytes(1)));
    assert!(stream.is_empty());

    // Section 3.1.2.11.4: Maximum Packet Size counts the fixed header; theirs doesn't.
    let mut stream = BytesMut::from(&[0x30, 5, 0, 1, b'a', b'x', b'y'][..]);
    assert!(v4::read(&mut stream, 5).is_ok());

    // No MQTT 3.1.
    let connect = b"\x10\x0F\0\x06MQIsdp\x03\x02\0\0\0\x01c";
    assert!(matches!(
        Connect::decode(connect, 100),
        Ok(Progress::Done(..))
    ));
    let read = v4::read(&mut BytesMut::from(&connect[..]), 100);
    assert_eq!(read, Err(mqttbytes::Error::InvalidProtocol));
}

/// Filters and matching.
#[test]
fn topics_and_filters() {
    let mut counts = Counts::new();
    for seed in 0..20_000 {
        let decisions = seeded_bytes(seed, 100);
        let mut choices = Choices::new(&decisions);
        let name = topic(&mut choices);
        let mut pattern = filter(&mut choices).into_bytes();
        if choices.once_in(3) {
            mutate(&mut choices, &mut pattern);
        }
        let Ok(pattern) = String::from_utf8(pattern) else {
            continue;
        };
        let valid = mqttbytes::valid_filter(&pattern);
        let rule = match (TopicFilter::new(&pattern), valid) {
            (Ok(_), true) | (Err(_), false) => "same validity",
            (Err(Fault::FilterWildcard), true) if pattern.contains('+') => "plus-inside-a-level",
            (Err(Fault::TextNul), true) => "nul-in-filter",
            other => panic!("{pattern:?}: {other:?}"),
        };
        *counts.entry(rule).or_default() += 1;
        let Ok(ours) = TopicFilter::new(&pattern) else {
            continue;
        };
        let ours = ours.matches(TopicName::new(&name).unwrap());
        let theirs = catch_unwind(|| mqttbytes::matches(&name, &pattern));
        let rule = match theirs {
            Ok(theirs) if theirs == ours => "same match",
            Ok(false) if name.starts_with('$') && pattern.starts_with('$') => {
                "dollar-never-matches"
            }
            Err(_) if name.chars().next().is_some_and(|first| !first.is_ascii()) => {
                "first-character-not-ascii"
            }
            other => panic!("{name:?} and {pattern:?}: {ours} and {other:?}"),
        };
        *counts.entry(rule).or_default() += 1;
    }
    println!("{counts:#?}");
    assert_eq!(counts.len(), 6);
    assert!(!mqttbytes::matches("$SYS/uptime", "$SYS/#"));
    assert!(mqttbytes::valid_topic("") && mqttbytes::valid_topic("a\0b"));
}

/// The page that tells people about the differences has each of them.
#[test]
fn every_difference_is_documented() {
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/conformance/differences-mqttbytes.md"
    );
    let page = std::fs::read_to_string(page).expect("the page is there");
    let others = [
        "connack-without-property-length",
        "login-without-user-name",
        "disconnect-loses-reason",
        "connect-flags-misplaced",
        "connect-length-returned",
        "limit-without-header",
        "no-mqtt-3.1",
        "plus-inside-a-level",
        "nul-in-filter",
        "dollar-never-matches",
        "first-character-not-ascii",
        "topic-unchecked",
    ];
    let names = RULES.iter().map(|rule| rule.name).chain(others);
    let mut rows = 0;
    for name in names {
        let row = format!("\n| `{name}` |");
        assert_eq!(page.matches(&row).count(), 1, "{name}");
        rows += 1;
    }
    assert_eq!(page.matches("\n| `").count(), rows, "a row without a test");
}
