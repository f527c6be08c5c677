//! After the start a turn allocates nothing: not for what clients publish, not for a feed.

mod support;

use ringcast_allocations::{Counting, allocations};
use ringcast_ingest::{Feed, RecordingSource, SyntheticSettings};
use ringcast_ring::{Kind, Message};
use support::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Turns until so many records were read, without looking at them.
fn run(engine: &mut Engine, records: usize) {
    let mut read = 0;
    while read < records {
        engine.turn(1_000_000_000);
        let mut batch = engine.shard.poll().expect("the ring is sound");
        while batch.next_record().expect("the ring is sound").is_some() {
            read += 1;
        }
    }
}

#[test]
fn a_recording_costs_no_allocation_for_a_message() {
    const T: u64 = 1_700_000_000_000_000;
    let depth: String = (0..30_000)
        .map(|row| format!("{},A,update,,bid,{row}.5,1\n", T + row / 40))
        .collect();
    let depth = format!("ts_us,symbol,kind,seq,side,price,qty\n{depth}");
    let mut files = RecordingSource::bundled();
    files.push(bytes_source("depth", depth));
    let mut engine = Engine::new(Feed::replay(&flat_out(files)).unwrap(), 0, 1 << 20);
    // All topics have come by then, and the widest message.
    run(&mut engine, 5_000);
    assert_eq!(allocations(|| run(&mut engine, 40_000)), 0);
}

#[test]
fn nor_do_made_up_messages_and_uplinks() {
    let feed = Feed::synthetic(&SyntheticSettings {
        rate: 1_000_000.0,
        ..SyntheticSettings::default()
    });
    let mut engine = Engine::new(feed.unwrap(), 1, 1 << 20);
    let message = Message {
        topic: b"desk/notes",
        payload: &[7; 128],
        ..Message::default()
    };
    engine.turn(0);
    let count = allocations(|| {
        for _ in 0..100 {
            for _ in 0..100 {
                let room = engine.uplinks[0].claim(message.encoded_len(), Kind::MESSAGE);
                message.encode(room.expect("was read"));
            }
            engine.uplinks[0].publish();
            run(&mut engine, 200);
        }
    });
    assert_eq!(count, 0);
    assert_eq!(engine.ingest.counters().uplink_messages, 10_000);
}

/// The counter counts, or the tests above would prove nothing.
#[test]
fn an_allocation_is_counted() {
    assert!(allocations(|| drop(Box::new(1))) > 0);
}
