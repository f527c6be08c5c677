//! Decoding PUBLISH and the acknowledgements allocates nothing.

use ringcast_allocations::{Counting, allocations};
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{Decoder, Kind, PACKET_BYTES_MAX, Sender};
use ringcast_codec_fuzz::choices::{Choices, seeded_bytes};
use ringcast_codec_fuzz::mqtt::generate::{Arena, VERSIONS, encoded};
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_count_sees_allocations() {
    let count = allocations(|| drop(black_box(vec![0_u8; 10])));
    assert_eq!(count, 1);
}

#[test]
fn decoding_publish_and_acknowledgements_allocates_nothing() {
    let kinds = [
        Kind::Publish,
        Kind::Puback,
        Kind::Pubrec,
        Kind::Pubrel,
        Kind::Pubcomp,
    ];
    for version in VERSIONS {
        for sender in [Sender::Client, Sender::Server] {
            let decoder = Decoder {
                version,
                sender,
                packet_bytes_max: PACKET_BYTES_MAX,
            };
            for (seed, kind) in (0..200).zip(kinds.into_iter().cycle()) {
                let decisions = seeded_bytes(seed, 200);
                let mut arena = Arena::default();
                let packet = arena.packet_of(&mut Choices::new(&decisions), kind, version, sender);
                let bytes = encoded(&packet, version);
                let mut decoded = None;
                let count = allocations(|| decoded = Some(decoder.decode(black_box(&bytes))));
                assert_eq!(decoded, Some(Ok(Progress::Done(packet, bytes.len()))));
                assert_eq!(count, 0, "{packet:?}");
            }
        }
    }
}
