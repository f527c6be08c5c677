//! Messages that are made up: how many, when, about what, and what they say.

mod support;

use ringcast_ingest::{Feed, Phase, Refusal, STAMP_BYTES, Spread, SyntheticSettings};
use std::collections::BTreeSet;
use support::*;

/// Number and intended time of a payload.
fn stamp(record: &Copied) -> (u64, u64) {
    let payload = record.message().payload;
    let word = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
    assert!(payload[STAMP_BYTES..].iter().all(|&byte| byte == 0x5A));
    (word(0), word(8))
}

fn engine(settings: &SyntheticSettings, capacity: usize) -> Engine {
    Engine::new(Feed::synthetic(settings).unwrap(), 0, capacity)
}

#[test]
fn messages_come_when_they_are_due_and_say_so() {
    let settings = SyntheticSettings {
        // One in 400 ms.
        rate: 2.5,
        symbols: 3,
        payload_bytes: 20,
        ..SyntheticSettings::default()
    };
    let mut engine = engine(&settings, 1 << 16);
    let start = 5_000_000_000;
    let mut records = Vec::new();
    for (now, expected) in [
        (start, 1),
        (start + 399_999_999, 1),
        (start + 400_000_000, 2),
        (start + 1_999_999_999, 5),
        (start + 2_000_000_000, 6),
    ] {
        engine.turn(now);
        records.append(&mut engine.read());
        assert_eq!(records.len(), expected, "at {now}");
        let next = start + 400_000_000 * expected as u64;
        assert_eq!(engine.ingest.next_due(), Some(next));
    }
    for (number, record) in (0..).zip(&records) {
        let due = start + number * 400_000_000;
        assert_eq!(stamp(record), (number, due));
        let message = record.message();
        assert_eq!(message.payload.len(), 20);
        assert_eq!(message.source_micros, WALL_MICROS + due / 1_000);
        assert_eq!((message.qos, message.retain), (0, false));
    }
    // Those of 0.8, 1.2 and 1.6 s came at 1.999…
    let counters = engine.ingest.counters();
    assert_eq!((counters.feed_late, counters.feed_bytes), (3, 6 * 20));
    let state = engine.ingest.feed_state();
    assert_eq!(state.phase, Phase::Running);
    assert_eq!(state.last_record_nanos, Some(start + 2_000_000_000));
}

/// Behind its rate, it catches up and says when each message should have come.
#[test]
fn a_full_ring_loses_nothing_and_the_seed_decides() {
    let run = |seed, capacity| {
        let settings = SyntheticSettings {
            rate: 1_000_000.0,
            symbols: 50,
            spread: Spread::Zipf(1.0),
            seed,
            ..SyntheticSettings::default()
        };
        let mut engine = engine(&settings, capacity);
        let mut records = Vec::new();
        while records.len() < 5_000 {
            engine.turn(if records.is_empty() { 0 } else { 4_999_000 });
            records.append(&mut engine.read_some(64));
        }
        engine.turn(4_999_000);
        assert!(engine.read().is_empty(), "no more is due");
        let numbers: Vec<_> = records.iter().map(stamp).collect();
        let expected: Vec<_> = (0..5_000).map(|number| (number, number * 1_000)).collect();
        assert_eq!(numbers, expected);
        let topics: Vec<_> = records
            .iter()
            .map(|record| record.topic().to_owned())
            .collect();
        (topics, engine.ingest.counters().backpressure_turns)
    };
    let (topics, waited) = run(1, 4096);
    assert!(waited > 100);
    let distinct: BTreeSet<_> = topics.iter().collect();
    assert_eq!(distinct.len(), 50);
    assert!(distinct.contains(&"market/SYM49/trade".to_owned()));
    let (again, waited) = run(1, 1 << 20);
    assert_eq!((&again, waited), (&topics, 0));
    assert_ne!(run(2, 1 << 20).0, topics);
}

#[test]
fn payloads_that_the_ring_can_not_hold_are_counted() {
    let settings = SyntheticSettings {
        payload_bytes: 1_000,
        ..SyntheticSettings::default()
    };
    let mut engine = engine(&settings, 4096);
    engine.turn(0);
    engine.turn(10_000_000);
    assert!(engine.read().is_empty());
    assert_eq!(engine.ingest.counters().refused(Refusal::TooLarge), 11);
    assert_eq!(engine.ingest.take_reports().len(), 1);
}
