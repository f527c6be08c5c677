//! What it costs to bring one record into the ring, in nanoseconds:
//! `cargo bench -p ringcast-ingest`.
//!
//! One thread writes an uplink, turns, and reads the ring, a turn's worth at a time; only the
//! turns are timed. Of several rounds the median and the extremes are printed.

use ringcast_codec::market::DeliveryClasses;
use ringcast_ingest::{
    Feed, Ingest, Now, Pace, RecordingSource, ReplaySettings, Sequencer, SyntheticSettings,
    TURN_RECORDS_MAX,
};
use ringcast_ring::{Consumer, Kind, Message, Producer, TopicHasher, Waiting};
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
const RECORDS_PER_ROUND: u64 = 200 * TURN_RECORDS_MAX;

fn main() {
    println!("{:<44} {:>8} {:>18}", "what", "ns", "(min … max)");
    for payload_bytes in [16, 128, 1024] {
        let name = format!("uplink, {payload_bytes} B of payload");
        print(&name, &mut Bench::uplink(payload_bytes));
    }
    let settings = SyntheticSettings {
        rate: 50_000_000.0,
        ..SyntheticSettings::default()
    };
    let feed = Feed::synthetic(&settings).expect("the settings are good");
    print("synthetic, 128 B of payload", &mut Bench::new(feed, None));
    let settings = ReplaySettings {
        files: RecordingSource::bundled(),
        pace: Pace::FlatOut,
        loops: true,
    };
    let feed = Feed::replay(&settings).expect("the recording is good");
    print(
        "replay of the bundled recording",
        &mut Bench::new(feed, None),
    );
}

struct Bench {
    ingest: Ingest,
    shard: Consumer,
    /// An uplink, and what is published there.
    uplink: Option<(Producer, Vec<u8>)>,
}

impl Bench {
    fn uplink(payload_bytes: usize) -> Self {
        let message = Message {
            topic: b"market/BTCUSDT/trade",
            client_id: b"desk-4",
            payload: &vec![7; payload_bytes],
            ..Message::default()
        };
        let mut body = vec![0; message.encoded_len()];
        message.encode(&mut body);
        let uplink = Producer::create("uplink", 1 << 20).expect("there is memory");
        Self::new(Feed::None, Some((uplink, body)))
    }

    fn new(feed: Feed, mut uplink: Option<(Producer, Vec<u8>)>) -> Self {
        let mut ring = Producer::create("ring", 1 << 20).expect("there is memory");
        let shard = ring.consumer(Waiting::Spins).expect("a place is free");
        let ends = uplink.iter_mut().map(|(uplink, _)| {
            let end = uplink.consumer(Waiting::Spins);
            end.expect("a place is free")
        });
        let ends = ends.collect();
        let hasher = TopicHasher::new((1, 2));
        let sequencer = Sequencer::new(ring, ends, hasher, DeliveryClasses::standard());
        Self {
            ingest: Ingest::new(feed, sequencer),
            shard,
            uplink,
        }
    }

    /// Nanoseconds a record.
    fn round(&mut self) -> f64 {
        let (mut records, mut time) = (0, Duration::ZERO);
        // An hour a turn, so that whatever has a rate is always behind it.
        let mut now = Now::default();
        while records < RECORDS_PER_ROUND {
            if let Some((uplink, body)) = &mut self.uplink {
                for _ in 0..TURN_RECORDS_MAX {
                    let room = uplink.claim(body.len(), Kind::MESSAGE);
                    room.expect("all was taken").copy_from_slice(body);
                }
                uplink.publish();
            }
            now.monotonic_nanos += 3_600_000_000_000;
            let before = Instant::now();
            let has_done = self.ingest.turn(now).expect("no shard lies");
            let took = before.elapsed();
            let mut batch = self.shard.poll().expect("the ring is sound");
            let mut read = 0;
            while let Some(record) = batch.next_record().expect("the ring is sound") {
                std::hint::black_box(record.body);
                read += 1;
            }
            // A turn that found nothing because a reader of files is slower tells nothing.
            if has_done {
                time += took;
                records += read;
            }
        }
        time.as_nanos() as f64 / records as f64
    }
}

fn print(name: &str, bench: &mut Bench) {
    bench.round();
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| bench.round()).collect();
    rounds.sort_by(f64::total_cmp);
    let (least, median, most) = (rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]);
    println!("{name:<44} {median:>8.1} ({least:>7.1} … {most:>7.1})");
}
