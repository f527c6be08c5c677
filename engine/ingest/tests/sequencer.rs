//! Uplinks and the ring: everything comes out, once, in order, numbered.

mod support;

use proptest::prelude::*;
use ringcast_ingest::{Feed, IngestError, Limit, Stop, SyntheticSettings, TURN_RECORDS_MAX};
use ringcast_ring::{Kind, Message, Publisher};
use std::collections::VecDeque;
use support::*;

/// A record as a shard puts it into its uplink.
fn publish(uplink: &mut ringcast_ring::Producer, kind: Kind, body: &[u8]) -> bool {
    let Ok(room) = uplink.claim(body.len(), kind) else {
        return false;
    };
    room.copy_from_slice(body);
    uplink.publish();
    true
}

fn message(home: u16, number: u32, payload_bytes: usize) -> Vec<u8> {
    let topic = format!("desk/{home}/{number}");
    let payload = vec![number as u8; payload_bytes];
    let message = Message {
        source_micros: 7,
        expires_micros: 9,
        publisher: Publisher {
            session: 1,
            generation: 2,
            home,
            packet_id: number as u16,
        },
        qos: 2,
        retain: number.is_multiple_of(2),
        topic: topic.as_bytes(),
        client_id: b"client",
        properties: b"\x01\x01",
        payload: &payload,
        ..Message::default()
    };
    let mut body = vec![0; message.encoded_len()];
    message.encode(&mut body);
    body
}

/// What a record has to be in the ring.
fn sequenced(kind: Kind, body: &[u8], sequence: &mut u64, ingest_micros: u64) -> Copied {
    let mut body = body.to_vec();
    if kind == Kind::MESSAGE {
        *sequence += 1;
        let topic_hash = {
            let message = Message::decode(&body).unwrap();
            HASHER.topic(message.topic)
        };
        // The three words that the layout gives to the sequencer.
        body[0..8].copy_from_slice(&sequence.to_le_bytes());
        body[8..16].copy_from_slice(&topic_hash.to_le_bytes());
        body[24..32].copy_from_slice(&ingest_micros.to_le_bytes());
    }
    Copied { kind, body }
}

#[test]
fn only_what_the_sequencer_knows_is_changed_and_controls_pass() {
    let mut engine = Engine::new(Feed::None, 1, 1 << 16);
    let records = [
        (Kind::MESSAGE, message(0, 1, 100)),
        (Kind(7), b"a control record".to_vec()),
        (Kind(7), Vec::new()),
        (Kind::MESSAGE, message(0, 2, 0)),
    ];
    for (kind, body) in &records {
        assert!(publish(&mut engine.uplinks[0], *kind, body));
    }
    assert!(engine.turn(5_000));
    let mut sequence = 0;
    let expected: Vec<_> = records
        .iter()
        .map(|(kind, body)| sequenced(*kind, body, &mut sequence, WALL_MICROS + 5))
        .collect();
    assert_eq!(engine.read(), expected);
    let counters = engine.ingest.counters();
    assert_eq!((counters.uplink_messages, counters.uplink_controls), (2, 2));
    assert_eq!(engine.ingest.sequencer().sequence(), 2);
    assert!(!engine.turn(6_000), "nothing is left");
    assert_eq!(engine.ingest.next_due(), None);
}

#[test]
fn a_turn_is_bounded_and_uplinks_and_feed_each_get_their_share() {
    let settings = SyntheticSettings {
        rate: 50_000_000.0,
        ..SyntheticSettings::default()
    };
    let feed = Feed::synthetic(&settings).unwrap();
    let mut engine = Engine::with_uplinks(feed, 3, 1 << 20, 1 << 20);
    engine.turn(0);
    engine.read();
    for home in 0..3 {
        for number in 0..2_000 {
            let uplink = &mut engine.uplinks[usize::from(home)];
            assert!(publish(uplink, Kind::MESSAGE, &message(home, number, 10)));
        }
    }
    for _ in 0..5 {
        let before = engine.ingest.counters().clone();
        assert!(engine.turn(1_000_000_000));
        let after = engine.ingest.counters();
        assert_eq!(
            after.feed_messages - before.feed_messages,
            TURN_RECORDS_MAX / 4
        );
        let mut of_home = [0; 3];
        let records = engine.read();
        assert_eq!(records.len() as u64, TURN_RECORDS_MAX);
        for record in records.iter().map(Copied::message) {
            if record.topic.starts_with(b"desk/") {
                of_home[usize::from(record.publisher.home)] += 1;
            }
        }
        assert_eq!(of_home, [TURN_RECORDS_MAX / 4; 3]);
    }
}

/// More sources than have their share in one turn: each comes to it in one of the next.
#[test]
fn the_last_of_many_uplinks_has_its_share() {
    let mut engine = Engine::with_uplinks(Feed::None, 20, 1 << 20, 1 << 20);
    for home in 0..20 {
        for number in 0..700 {
            let uplink = &mut engine.uplinks[usize::from(home)];
            assert!(publish(uplink, Kind::MESSAGE, &message(home, number, 8)));
        }
    }
    let mut of_home = [0; 20];
    for _ in 0..21 {
        engine.turn(0);
        for record in engine.read() {
            of_home[usize::from(record.message().publisher.home)] += 1;
        }
    }
    // 21 turns of 512 records are 537 for each of 20.
    assert!(
        of_home.iter().all(|count| (448..=640).contains(count)),
        "{of_home:?}"
    );
}

/// As much room as one record needs appears each turn: nobody is left out, and a large record
/// gets its room although others would take it.
#[test]
fn a_ring_that_is_always_full_starves_nobody() {
    let mut engine = Engine::new(Feed::None, 3, 4096);
    let large = message(2, 0, 800);
    for number in 0..300 {
        for home in 0..2 {
            let uplink = &mut engine.uplinks[usize::from(home)];
            assert!(publish(uplink, Kind::MESSAGE, &message(home, number, 8)));
        }
    }
    for _ in 0..20 {
        assert!(publish(&mut engine.uplinks[2], Kind::MESSAGE, &large));
    }
    let mut of_home = [0; 3];
    for _ in 0..400 {
        engine.turn(0);
        for record in engine.read_some(1) {
            of_home[usize::from(record.message().publisher.home)] += 1;
        }
    }
    assert!(engine.ingest.counters().backpressure_turns >= 390);
    let [first, second, third] = of_home;
    assert_eq!(third, 20, "{of_home:?}");
    assert!(i32::abs(first - second) <= 64, "{of_home:?}");
}

#[test]
fn what_no_shard_may_write_stops_the_engine_after_what_came_before() {
    let mut engine = Engine::with_uplinks(Feed::None, 2, 4096, 1 << 16);
    publish(&mut engine.uplinks[1], Kind::MESSAGE, &message(1, 1, 8));
    publish(&mut engine.uplinks[1], Kind::MESSAGE, b"no message");
    let error = engine.ingest.turn(now(0)).unwrap_err();
    assert!(matches!(error, IngestError::NoMessage { uplink: 1, .. }));
    assert!(error.to_string().contains("shard 1"), "{error}");
    assert_eq!(engine.read().len(), 1);

    let mut engine = Engine::with_uplinks(Feed::None, 1, 4096, 1 << 16);
    publish(&mut engine.uplinks[0], Kind(7), &[0; 1017]);
    let error = engine.ingest.turn(now(0)).unwrap_err();
    assert_eq!(
        error,
        IngestError::TooLarge {
            uplink: 0,
            bytes: 1017
        }
    );
}

#[test]
fn a_limit_in_bytes_is_reached_by_the_record_that_crosses_it() {
    let mut engine = Engine::new(Feed::None, 1, 1 << 16);
    for _ in 0..4 {
        publish(&mut engine.uplinks[0], Kind(7), &[0; 100]);
    }
    let limit = Limit {
        records: 10,
        bytes: 150,
    };
    let sequencer = engine.ingest.sequencer();
    let taken = sequencer.take_uplink(0, limit, 0).unwrap();
    assert_eq!((taken.controls, taken.stop), (2, Stop::Enough));
    let taken = sequencer.take_uplink(0, limit, 0).unwrap();
    assert_eq!((taken.controls, taken.stop), (2, Stop::Enough));
    let taken = sequencer.take_uplink(0, limit, 0).unwrap();
    assert_eq!((taken.controls, taken.stop), (0, Stop::Dry));
}

#[derive(Debug, Clone)]
enum Operation {
    Publish {
        uplink: usize,
        kind: u16,
        bytes: usize,
    },
    Turn,
    Read(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0..3_usize, 1..4_u16, 0..800_usize).prop_map(|(uplink, kind, bytes)| {
            Operation::Publish { uplink, kind, bytes }
        }),
        2 => Just(Operation::Turn),
        2 => (0..20_usize).prop_map(Operation::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each uplink is a list, and the ring a merge of them.
    #[test]
    fn the_ring_is_a_merge_of_the_uplinks(
        operations in prop::collection::vec(operation(), 1..300),
    ) {
        let mut engine = Engine::with_uplinks(Feed::None, 3, 4096, 4096);
        let mut waiting: [VecDeque<(Kind, Vec<u8>)>; 3] = Default::default();
        let mut sequence = 0;
        let mut number = 0;
        let check = |records: Vec<Copied>, waiting: &mut [VecDeque<(Kind, Vec<u8>)>; 3], sequence: &mut u64| {
            for record in records {
                // Every body says whose it is.
                let uplink = usize::from(match record.kind {
                    Kind::MESSAGE => record.message().publisher.home,
                    _ => u16::from(record.body[0]),
                });
                let (kind, body) = waiting[uplink].pop_front().expect("was published");
                assert_eq!(record, sequenced(kind, &body, sequence, WALL_MICROS));
            }
        };
        for operation in operations {
            match operation {
                Operation::Publish { uplink, kind, bytes } => {
                    number += 1;
                    let body = match Kind(kind) {
                        Kind::MESSAGE => message(uplink as u16, number, bytes),
                        _ => [&[uplink as u8], &number.to_le_bytes()[..], &vec![1; bytes]].concat(),
                    };
                    if publish(&mut engine.uplinks[uplink], Kind(kind), &body) {
                        waiting[uplink].push_back((Kind(kind), body));
                    }
                }
                Operation::Turn => {
                    engine.turn(0);
                }
                Operation::Read(most) => {
                    let records = engine.read_some(most);
                    check(records, &mut waiting, &mut sequence);
                }
            }
            engine.ingest.sequencer().producer().invariants();
        }
        while waiting.iter().any(|list| !list.is_empty()) {
            engine.turn(0);
            let records = engine.read();
            prop_assert!(!records.is_empty(), "nothing comes any more");
            check(records, &mut waiting, &mut sequence);
        }
        prop_assert!(!engine.turn(0));
    }
}
