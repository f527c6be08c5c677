//! What the tests of ingest share: an engine around a feed, and another reader of recordings,
//! which knows nothing of the one that it checks.

#![allow(dead_code, reason = "each test program uses a part of it")]

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use ringcast_codec::market::DeliveryClasses;
use ringcast_ingest::{Feed, Ingest, Now, Pace, Phase, RecordingSource, ReplaySettings, Sequencer};
use ringcast_ring::{Consumer, Kind, Message, Producer, TopicHasher, Waiting};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

pub(crate) const HASHER: TopicHasher = TopicHasher::new((0x1234, 0x5678));

/// The wall clock when the monotonic one is 0.
pub(crate) const WALL_MICROS: u64 = 1_800_000_000_000_000;

/// An ingest core, the shard that reads its ring, and the shards' ends of its uplinks.
pub(crate) struct Engine {
    pub(crate) ingest: Ingest,
    pub(crate) shard: Consumer,
    pub(crate) uplinks: Vec<Producer>,
}

/// A record of the ring, copied out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) kind: Kind,
    pub(crate) body: Vec<u8>,
}

impl Copied {
    pub(crate) fn message(&self) -> Message<'_> {
        assert_eq!(self.kind, Kind::MESSAGE);
        Message::decode(&self.body).expect("the ring holds what the sequencer wrote")
    }

    pub(crate) fn topic(&self) -> &str {
        std::str::from_utf8(self.message().topic).expect("a topic is text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.message().payload).expect("a market message is JSON")
    }
}

pub(crate) fn now(monotonic_nanos: u64) -> Now {
    Now {
        monotonic_nanos,
        wall_micros: WALL_MICROS + monotonic_nanos / 1_000,
    }
}

impl Engine {
    pub(crate) fn new(feed: Feed, uplinks: usize, capacity: usize) -> Self {
        Self::with_uplinks(feed, uplinks, capacity, 1 << 16)
    }

    pub(crate) fn with_uplinks(
        feed: Feed,
        uplinks: usize,
        capacity: usize,
        uplink_capacity: usize,
    ) -> Self {
        let mut ring = Producer::create("ring", capacity).expect("there is memory");
        let shard = ring.consumer(Waiting::Spins).expect("a place is free");
        let mut uplinks: Vec<_> = (0..uplinks)
            .map(|_| Producer::create("uplink", uplink_capacity).expect("there is memory"))
            .collect();
        let ends = uplinks
            .iter_mut()
            .map(|uplink| uplink.consumer(Waiting::Spins).expect("a place is free"))
            .collect();
        let sequencer = Sequencer::new(ring, ends, HASHER, DeliveryClasses::standard());
        Self {
            ingest: Ingest::new(feed, sequencer),
            shard,
            uplinks,
        }
    }

    /// A turn that may not fail.
    pub(crate) fn turn(&mut self, monotonic_nanos: u64) -> bool {
        self.ingest
            .turn(now(monotonic_nanos))
            .expect("no shard lies")
    }

    /// All that the shard can read now.
    pub(crate) fn read(&mut self) -> Vec<Copied> {
        self.read_some(usize::MAX)
    }

    pub(crate) fn read_some(&mut self, most: usize) -> Vec<Copied> {
        let mut records = Vec::new();
        let mut batch = self.shard.poll().expect("the ring is sound");
        while records.len() < most
            && let Some(record) = batch.next_record().expect("the ring is sound")
        {
            records.push(Copied {
                kind: record.kind,
                body: record.body.to_vec(),
            });
        }
        records
    }

    /// Turns at one time until there is nothing left that is due, the reader's thread has had
    /// time for all of that, and returns what the shard got.
    pub(crate) fn run_until(
        &mut self,
        monotonic_nanos: u64,
        mut is_enough: impl FnMut(&Ingest, &[Copied]) -> bool,
    ) -> Vec<Copied> {
        let mut records = Vec::new();
        while !is_enough(&self.ingest, &records) {
            if !self.turn(monotonic_nanos) {
                std::thread::yield_now();
            }
            records.append(&mut self.read());
        }
        records
    }

    /// Turns until the feed has ended or failed.
    pub(crate) fn run_to_end(&mut self) -> Vec<Copied> {
        self.run_until(0, |ingest, _| is_over(ingest))
    }
}

pub(crate) fn is_over(ingest: &Ingest) -> bool {
    matches!(
        ingest.feed_state().phase,
        Phase::Ended | Phase::Failed { .. }
    )
}

pub(crate) fn bytes_source(name: &str, bytes: impl Into<Vec<u8>>) -> RecordingSource {
    RecordingSource::Bytes {
        name: name.into(),
        bytes: bytes.into().leak(),
    }
}

pub(crate) fn flat_out(files: Vec<RecordingSource>) -> ReplaySettings {
    ReplaySettings {
        files,
        pace: Pace::FlatOut,
        loops: false,
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// A message as a recording has it, by this reader.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    pub(crate) micros: u64,
    pub(crate) topic: String,
    pub(crate) data: Value,
}

/// All messages of files in the order in which they are to come: sorted by time, those of the
/// same time as the files stand. The whole of it in memory, line by line, as no program that
/// has to be fast would.
pub(crate) fn expected(files: &[(&str, Vec<u8>)]) -> Vec<Expected> {
    let mut all = Vec::new();
    for (name, bytes) in files {
        let mut text = String::new();
        if bytes.starts_with(&[0x1F, 0x8B]) {
            let mut decoder = MultiGzDecoder::new(&bytes[..]);
            decoder.read_to_string(&mut text).expect("is gzip");
        } else {
            text = String::from_utf8(bytes.clone()).expect("is text");
        }
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').collect())
            .collect();
        if name.contains("trades") {
            all.extend(rows.iter().map(|row| trade(row)));
        } else if name.contains("bbo") {
            all.extend(rows.iter().map(|row| bbo(row)));
        } else {
            let runs = rows.chunk_by(|one, other| one[..4] == other[..4]);
            all.extend(runs.map(depth));
        }
    }
    // Stable: what is of the same time stays as it stands.
    all.sort_by_key(|message| message.micros);
    all
}

fn expect(row: &[&str], channel: &str, data: Value) -> Expected {
    let symbol = row[1].replace(['/', '-'], "").to_uppercase();
    Expected {
        micros: row[0].parse().expect("a time"),
        topic: format!("market/{symbol}/{channel}"),
        data,
    }
}

fn trade(row: &[&str]) -> Expected {
    let mut data = json!({"p": row[4], "q": row[5], "side": row[3]});
    if !row[2].is_empty() {
        data["id"] = json!(row[2]);
    }
    expect(row, "trade", data)
}

fn bbo(row: &[&str]) -> Expected {
    let data = json!({"bp": row[3], "bq": row[4], "ap": row[5], "aq": row[6]});
    expect(row, "bbo", data)
}

fn depth(rows: &[Vec<&str>]) -> Expected {
    let side = |side| -> Vec<Value> {
        let of_side = rows.iter().filter(|row| row[4] == side);
        of_side.map(|row| json!([row[5], row[6]])).collect()
    };
    let mut data = json!({"b": side("bid"), "a": side("ask")});
    let first = &rows[0];
    if first[2] == "snapshot" {
        data["type"] = json!("snapshot");
    }
    if !first[3].is_empty() {
        let update: u64 = first[3].parse().expect("a number");
        (data["U"], data["u"]) = (json!(update), json!(update));
    }
    expect(first, "depth", data)
}

/// Checks that records are just these messages, in this order, with gapless sequences.
pub(crate) fn assert_same(records: &[Copied], expected: &[Expected]) {
    assert_eq!(records.len(), expected.len());
    let mut sequences = BTreeMap::new();
    for (number, (record, expected)) in (1..).zip(records.iter().zip(expected)) {
        let message = record.message();
        let topic = record.topic();
        assert_eq!(message.sequence, number);
        assert_eq!(topic, expected.topic);
        assert_eq!(message.topic_hash, HASHER.topic(message.topic));
        assert_eq!(message.source_micros, expected.micros);
        let sequence: &mut u64 = sequences.entry(topic.to_owned()).or_default();
        let channel = topic.rsplit('/').next().expect("has levels");
        let symbol = topic.split('/').nth(1).expect("has levels");
        let whole = json!({
            "ch": channel,
            "s": symbol,
            "seq": *sequence + 1,
            "prev": *sequence,
            "ts": expected.micros,
            "ti": message.ingest_micros,
            "data": expected.data,
        });
        assert_eq!(record.json(), whole);
        *sequence += 1;
        let (qos, retain) = match channel {
            "trade" => (1, false),
            "bbo" => (0, true),
            _ => (0, false),
        };
        assert_eq!((message.qos, message.retain), (qos, retain), "{topic}");
    }
}

/// Files on disk, and what is in them.
pub(crate) fn read_files(paths: &[PathBuf]) -> Vec<(&str, Vec<u8>)> {
    let name = |path: &'_ PathBuf| -> String { path.display().to_string() };
    paths
        .iter()
        .map(|path| {
            let name: &str = name(path).leak();
            (name, std::fs::read(path).expect("the recording is there"))
        })
        .collect()
}

/// The folder of recordings that are not part of the project; says so if there is none.
pub(crate) fn recordings(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("RINGCAST_RECORDINGS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("{test}: skipped, RINGCAST_RECORDINGS names no folder of recordings");
    }
    folder
}

/// The recordings of a folder whose names begin so, in the order of their names.
pub(crate) fn recordings_of(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("can be read").path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(prefix) && name.ends_with(".csv.gz"))
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has {prefix}*", folder.display());
    paths
}
