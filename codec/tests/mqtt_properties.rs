//! What must hold of MQTT for every packet there can be, and for any bytes.
//!
//! Packets are generated from bytes, so that a failing one shrinks with them.

use proptest::prelude::*;
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{Connect, Decoder, Kind, PACKET_BYTES_MAX, Packet, Sender, Version};
use ringcast_codec_fuzz::choices::Choices;
use ringcast_codec_fuzz::mqtt::generate::{Arena, VERSIONS, encoded, encoded_connect};

/// What memory behind a packet holds, and must hold afterwards.
const UNTOUCHED: u8 = 0x5A;

const KINDS: [Kind; 14] = [
    Kind::Connack,
    Kind::Publish,
    Kind::Puback,
    Kind::Pubrec,
    Kind::Pubrel,
    Kind::Pubcomp,
    Kind::Subscribe,
    Kind::Suback,
    Kind::Unsubscribe,
    Kind::Unsuback,
    Kind::Pingreq,
    Kind::Pingresp,
    Kind::Disconnect,
    Kind::Auth,
];

const SENDERS: [Sender; 2] = [Sender::Client, Sender::Server];

/// Whether that end sends such packets: table 2-1 of each standard.
fn sends(sender: Sender, kind: Kind, version: Version) -> bool {
    match kind {
        Kind::Connect | Kind::Subscribe | Kind::Unsubscribe | Kind::Pingreq => {
            sender == Sender::Client
        }
        Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp => sender == Sender::Server,
        Kind::Disconnect => sender == Sender::Client || version == Version::V5,
        Kind::Auth => version == Version::V5,
        Kind::Publish | Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => true,
    }
}

fn decoder(version: Version, sender: Sender) -> Decoder {
    Decoder {
        version,
        sender,
        packet_bytes_max: PACKET_BYTES_MAX,
    }
}

fn decisions() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(VERSIONS.to_vec())
}

fn sender() -> impl Strategy<Value = Sender> {
    prop::sample::select(SENDERS.to_vec())
}

/// Several packets behind each other, and where each of them ends.
fn stream(decisions: &[u8], version: Version, sender: Sender) -> (Vec<u8>, Vec<usize>) {
    let mut choices = Choices::new(decisions);
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..2 + choices.below(4) {
        let mut arena = Arena::default();
        bytes.extend(encoded(
            &arena.packet(&mut choices, version, sender),
            version,
        ));
        ends.push(bytes.len());
    }
    (bytes, ends)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_packet_is_read_as_it_was_written(decisions in decisions()) {
        for version in VERSIONS {
            for sender in SENDERS {
                for kind in KINDS {
                    if !sends(sender, kind, version) {
                        continue;
                    }
                    let mut arena = Arena::default();
                    let mut choices = Choices::new(&decisions);
                    let packet = arena.packet_of(&mut choices, kind, version, sender);
                    prop_assert_eq!(packet.kind(), kind);
                    let bytes = encoded(&packet, version);
                    let read = decoder(version, sender).decode(&bytes);
                    prop_assert_eq!(read, Ok(Progress::Done(packet, bytes.len())));
                }
            }
        }
    }

    #[test]
    fn connect_is_read_as_it_was_written(decisions in decisions(), version in version()) {
        let mut arena = Arena::default();
        let connect = arena.connect(&mut Choices::new(&decisions), version);
        let bytes = encoded_connect(&connect);
        let read = Connect::decode(&bytes, PACKET_BYTES_MAX);
        prop_assert_eq!(read, Ok(Progress::Done(connect, bytes.len())));
    }

    #[test]
    fn a_packet_takes_just_the_bytes_it_announces(
        decisions in decisions(), version in version(), sender in sender(),
    ) {
        let mut arena = Arena::default();
        let packet = arena.packet(&mut Choices::new(&decisions), version, sender);
        let len = packet.encoded_len(version).unwrap();
        let mut out = vec![UNTOUCHED; len + 16];
        prop_assert_eq!(packet.encode(version, &mut out), Ok(len));
        prop_assert_eq!(&out[len..], &[UNTOUCHED; 16]);
        // The fixed header, read by hand, announces the same.
        let mut announced = 0;
        let mut at = 1;
        loop {
            announced |= usize::from(out[at] & 0x7F) << (7 * (at - 1));
            at += 1;
            if out[at - 1] < 0x80 {
                break;
            }
        }
        prop_assert_eq!(at + announced, len);
    }

    #[test]
    fn the_beginning_of_a_packet_is_partial(
        decisions in decisions(), version in version(), sender in sender(), cut in any::<prop::sample::Index>(),
    ) {
        let mut arena = Arena::default();
        let packet = arena.packet(&mut Choices::new(&decisions), version, sender);
        let bytes = encoded(&packet, version);
        let cut = cut.index(bytes.len());
        match decoder(version, sender).decode(&bytes[..cut]) {
            Ok(Progress::Partial { needed }) => {
                prop_assert!(cut < needed && needed <= bytes.len());
            }
            other => prop_assert!(false, "{:?} in {} of {} bytes", other, cut, bytes.len()),
        }
    }

    #[test]
    fn any_split_of_a_stream_gives_the_same_packets(
        decisions in decisions(), version in version(), sender in sender(),
        chunks in prop::collection::vec(1_usize..90, 1..20),
    ) {
        let (bytes, ends) = stream(&decisions, version, sender);
        let decoder = decoder(version, sender);
        let mut begin = 0;
        let mut packets = Vec::new();
        for &end in &ends {
            match decoder.decode(&bytes[begin..]) {
                Ok(Progress::Done(packet, consumed)) if begin + consumed == end => {
                    packets.push(packet);
                }
                other => prop_assert!(false, "{:?} where a packet ends at {}", other, end),
            }
            begin = end;
        }
        let mut chunks = chunks.iter().cycle();
        let (mut came, mut at, mut seen) = (0, 0, 0);
        while came < bytes.len() {
            came = (came + chunks.next().unwrap()).min(bytes.len());
            while let Progress::Done(packet, consumed) = decoder.decode(&bytes[at..came]).unwrap() {
                prop_assert_eq!(packet, packets[seen]);
                at += consumed;
                seen += 1;
            }
        }
        prop_assert_eq!((seen, at), (packets.len(), bytes.len()));
    }

    #[test]
    fn any_bytes_are_a_packet_or_partial_or_a_fault(
        bytes in prop::collection::vec(any::<u8>(), 0..200), version in version(), sender in sender(),
    ) {
        let lengths = match decoder(version, sender).decode(&bytes) {
            Ok(Progress::Done(_, consumed)) => consumed <= bytes.len(),
            Ok(Progress::Partial { needed }) => needed > bytes.len(),
            Err(fault) => fault.reason().is_error(),
        };
        prop_assert!(lengths);
        let connect = match Connect::decode(&bytes, PACKET_BYTES_MAX) {
            Ok(Progress::Done(_, consumed)) => consumed <= bytes.len(),
            Ok(Progress::Partial { needed }) => needed > bytes.len(),
            Err(fault) => fault.fault.reason().is_error(),
        };
        prop_assert!(connect);
    }

    #[test]
    fn frames_for_subscribers_are_exact(decisions in decisions()) {
        ringcast_codec_fuzz::mqtt::publish_frame(&decisions);
    }
}

/// The generators reach what the properties above are about.
#[test]
fn every_kind_of_packet_and_property_is_generated() {
    let mut kinds = std::collections::BTreeSet::new();
    let mut properties = std::collections::BTreeSet::new();
    for seed in 0..3_000 {
        let bytes = ringcast_codec_fuzz::choices::seeded_bytes(seed, 200);
        let mut choices = Choices::new(&bytes);
        let mut arena = Arena::default();
        let connect = arena.connect(&mut choices, Version::V5);
        properties.extend(connect.properties.iter().map(|property| property.id()));
        if let Some(will) = connect.will {
            properties.extend(will.properties.iter().map(|property| property.id()));
        }
        for sender in SENDERS {
            let packet = arena.packet(&mut choices, Version::V5, sender);
            kinds.insert(packet.kind());
            let block = match &packet {
                Packet::Connack(connack) => connack.properties,
                Packet::Publish(publish) => publish.properties,
                _ => continue,
            };
            properties.extend(block.iter().map(|property| property.id()));
        }
    }
    assert_eq!(kinds.len(), KINDS.len());
    assert_eq!(
        properties.len(),
        ringcast_codec::mqtt::Property::TABLE.len()
    );
}
