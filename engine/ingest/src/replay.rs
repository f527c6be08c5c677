//! A recording, published again at its own pace, faster, or as fast as it goes.
//!
//! ```text
//!   files ─► lines ─► rows ─► messages of a file ─► by time ─► chunks ─┊─► turn ─► ring
//!                                                        a thread of its own
//! ```
//!
//! The thread reads, decompresses, checks, and waits for the disk; a turn takes what is
//! there. Between them go [`CHUNKS_MAX`] chunks at most. Invariants: per channel and symbol
//! `seq` counts from 1 without gaps and `prev` is the one before; times never run backwards;
//! what is refused changes nothing about the rest.

mod chunk;
mod file;
mod lines;
mod recording;
mod row;
mod symbols;

pub(crate) use lines::trouble;
pub(crate) use row::HEADERS;

use crate::error::FeedError;
use crate::feed::{LOOK_AGAIN_NANOS, Phase, Visit};
use crate::refusal::{Refusal, Told};
use crate::sequencer::{Draft, FeedTopic, Sequencer, Stop, Taken};
use crate::settings::{Pace, ReplaySettings};
use chunk::{Chunk, End, Entry, What};
use recording::{Outlet, Recording};
use ringcast_codec::market::{
    Bbo, Book, Channel, Data, Level, LevelList, Link, Message, Symbol, TOPIC_BYTES_MAX, Topic,
    Trade, UpdateIds,
};
use ringcast_codec::mqtt::{QoS, TopicName};
use ringcast_ring::ClaimError;
use std::borrow::Cow;
use std::thread::{self, Thread};

/// Chunks between the reader's thread and a turn. Each has at most 512 messages and 256 KiB
/// of text, and one message more; so they take a few MiB.
const CHUNKS_MAX: usize = 8;

const FILES_MAX: usize = 1024;
const TIMES: std::ops::RangeInclusive<f64> = 0.001..=1_000_000.0;

/// Symbols of a recording.
const SYMBOLS_MAX: usize = 65_536;

/// Levels of a depth message.
const LEVELS_MAX: usize = 65_536;

/// A recording that is published.
#[derive(Debug)]
pub struct Replay {
    chunks: rtrb::Consumer<Chunk>,
    spare: rtrb::Producer<Chunk>,
    /// Dropped after the chunks' end: then the thread sees that nobody takes them.
    reader: Reader,
    pace: Pace,
    chunk: Chunk,
    /// The entry of the chunk that is next.
    next: usize,
    symbols: Vec<SymbolTopics>,
    /// What levels are gathered in; empty in between.
    levels: Vec<Level<'static>>,
    /// When the first message was due, and its source time.
    start: Option<(u64, u64)>,
    looked_nanos: u64,
    end: Option<End>,
    told: Told,
}

/// The topics of a symbol, each from its first message on.
#[derive(Debug)]
struct SymbolTopics {
    symbol: Symbol,
    trade: Option<Line>,
    bbo: Option<Line>,
    depth: Option<Line>,
}

/// A topic, and the `seq` of its last message.
#[derive(Debug)]
struct Line {
    topic: FeedTopic,
    sequence: u64,
}

/// The thread that reads. It ends by itself when nobody takes its chunks; nobody waits for
/// that, since it may be waiting for a disk.
#[derive(Debug)]
struct Reader(Thread);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.unpark();
    }
}

impl Replay {
    pub(crate) fn open(settings: &ReplaySettings) -> Result<Self, FeedError> {
        check(settings)?;
        let recording = Recording::open(settings)?;
        let (to_turn, chunks) = rtrb::RingBuffer::new(CHUNKS_MAX);
        let (spare, from_turn) = rtrb::RingBuffer::new(CHUNKS_MAX);
        let outlet = Outlet {
            chunks: to_turn,
            spare: from_turn,
        };
        let thread = thread::Builder::new().name("ringcast-replay".into());
        let read = move || {
            // That nobody takes it any more is what ends an endless one.
            let _ = recording.run(outlet);
        };
        let handle = thread.spawn(read).map_err(FeedError::Thread)?;
        Ok(Self {
            chunks,
            spare,
            reader: Reader(handle.thread().clone()),
            pace: settings.pace,
            chunk: Chunk::default(),
            next: 0,
            symbols: Vec::new(),
            levels: Vec::new(),
            start: None,
            looked_nanos: 0,
            end: None,
            told: Told::default(),
        })
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> Taken {
        let mut taken = Taken::default();
        self.looked_nanos = visit.now.monotonic_nanos;
        loop {
            let Some(&entry) = self.chunk.entries.get(self.next) else {
                if self.take_chunk(visit) {
                    continue;
                }
                return taken;
            };
            self.start
                .get_or_insert((visit.now.monotonic_nanos, entry.micros));
            let due_nanos = self.due_nanos(&entry);
            if due_nanos.is_some_and(|due| due > visit.now.monotonic_nanos) {
                return taken;
            }
            if let Some(stop) = visit.stop(&taken) {
                taken.stop = stop;
                return taken;
            }
            match self.offer(&entry, visit) {
                (Ok(()), bytes) => {
                    taken.messages += 1;
                    taken.bytes += bytes as u64;
                    visit.counters.feed_bytes += bytes as u64;
                    if let Some(due_nanos) = due_nanos {
                        visit.count_late(due_nanos);
                    }
                }
                (Err(ClaimError::Full), _) => {
                    taken.stop = Stop::Full;
                    return taken;
                }
                (Err(ClaimError::TooLarge), bytes) => {
                    taken.refused += 1;
                    self.refuse(&entry, bytes, visit);
                }
            }
            self.next += 1;
        }
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        match self.chunk.entries.get(self.next) {
            Some(entry) => Some(self.due_nanos(entry).unwrap_or(0)),
            None if self.end.is_some() => None,
            // The reader rings no bell.
            None => Some(self.looked_nanos.saturating_add(LOOK_AGAIN_NANOS)),
        }
    }

    pub(crate) fn phase(&self) -> Phase<'_> {
        match &self.end {
            _ if self.next < self.chunk.entries.len() => Phase::Running,
            Some(End::Done) => Phase::Ended,
            Some(End::Failed(reason)) => Phase::Failed { reason },
            None if self.start.is_none() => Phase::Waiting,
            None => Phase::Running,
        }
    }

    /// When a message is due; nothing if as soon as possible.
    fn due_nanos(&self, entry: &Entry) -> Option<u64> {
        let Pace::Times(times) = self.pace else {
            return None;
        };
        let (start_nanos, first_micros) = self.start?;
        let micros = entry.micros.saturating_sub(first_micros);
        let nanos = micros as f64 * (1_000.0 / times);
        Some(start_nanos.saturating_add(nanos as u64))
    }

    /// Takes the next chunk, if there is one.
    fn take_chunk(&mut self, visit: &mut Visit<'_>) -> bool {
        if self.end.is_some() {
            return false;
        }
        // Asked before the chunks, for the last one may come in between.
        let is_reader_gone = self.chunks.is_abandoned();
        let Ok(chunk) = self.chunks.pop() else {
            if is_reader_gone {
                let reason = "the thread that reads the recording ended by a fault of its own";
                visit.reports.push(reason.to_owned());
                self.end = Some(End::Failed(reason.to_owned()));
            }
            return false;
        };
        let mut old = std::mem::replace(&mut self.chunk, chunk);
        self.next = 0;
        visit.counters.feed_loops += self.chunk.pass.saturating_sub(old.pass);
        visit.counters.refused.add_all(&self.chunk.refused);
        for report in self.chunk.reports.drain(..) {
            visit.reports.push(report);
        }
        self.symbols
            .extend(self.chunk.symbols.drain(..).map(SymbolTopics::new));
        self.end = self.chunk.end.take();
        old.clear();
        // There is always room: no more chunks exist than fit. If not, it is dropped.
        let _ = self.spare.push(old);
        self.reader.0.unpark();
        true
    }

    /// Offers a message, and returns the bytes of its payload.
    fn offer(&mut self, entry: &Entry, visit: &mut Visit<'_>) -> (Result<(), ClaimError>, usize) {
        let topics = &mut self.symbols[entry.symbol as usize];
        let symbol = topics.symbol;
        let (line, qos) = topics.line(&entry.what, visit.sequencer);
        let mut levels: Vec<Level<'_>> = std::mem::take(&mut self.levels);
        levels.extend(self.chunk.levels(entry));
        let message = Message {
            symbol,
            sequence: line.sequence + 1,
            link: Link::After(line.sequence),
            source_micros: entry.micros,
            ingest_micros: visit.now.wall_micros,
            data: data(entry, &self.chunk, &levels),
        };
        let draft = Draft {
            topic: &line.topic,
            qos,
            source_micros: entry.micros,
            ingest_micros: visit.now.wall_micros,
            expires_micros: 0,
            properties: &[],
        };
        let bytes = message.encoded_len();
        let offered = visit.sequencer.offer(&draft, bytes, |room| {
            message.encode(room);
        });
        line.sequence += u64::from(offered.is_ok());
        self.levels = emptied(levels);
        (offered, bytes)
    }

    #[cold]
    fn refuse(&mut self, entry: &Entry, bytes: usize, visit: &mut Visit<'_>) {
        visit.counters.refused.add(Refusal::TooLarge);
        if self.told.is_new(Refusal::TooLarge) {
            visit.reports.push(format!(
                "a message of {bytes} bytes about {} was left out: a record of the ring has at \
                 most {} with topic and head",
                self.symbols[entry.symbol as usize].symbol,
                visit.sequencer.record_bytes_max(),
            ));
        }
    }
}

fn check(settings: &ReplaySettings) -> Result<(), FeedError> {
    if !(1..=FILES_MAX).contains(&settings.files.len()) {
        return Err(FeedError::Setting {
            key: "files",
            value: format!("a list of {}", settings.files.len()),
            allowed: "1 to 1024 files",
        });
    }
    match settings.pace {
        Pace::Times(times) if !TIMES.contains(&times) => Err(FeedError::Setting {
            key: "speed",
            value: times.to_string(),
            allowed: "0.001 to 1000000 times the original, or as fast as it goes",
        }),
        _ => Ok(()),
    }
}

impl SymbolTopics {
    fn new(symbol: Symbol) -> Self {
        Self {
            symbol,
            trade: None,
            bbo: None,
            depth: None,
        }
    }

    /// Where such a message goes, and the quality of service that the feed wants for it.
    fn line(&mut self, what: &What, sequencer: &Sequencer) -> (&mut Line, QoS) {
        let symbol = self.symbol;
        let (line, channel, qos) = match what {
            What::Trade { .. } => (&mut self.trade, Channel::Trade, QoS::AtLeastOnce),
            What::Bbo => (&mut self.bbo, Channel::Bbo, QoS::AtMostOnce),
            What::Depth { .. } => (&mut self.depth, Channel::Depth, QoS::AtMostOnce),
        };
        let line = line.get_or_insert_with(|| {
            let mut name = [0; TOPIC_BYTES_MAX];
            let bytes = Topic { symbol, channel }.encode(&mut name);
            let name = TopicName::from_bytes(&name[..bytes]);
            Line {
                topic: sequencer.topic(name.expect("a topic of market data is one")),
                sequence: 0,
            }
        });
        (line, qos)
    }
}

/// What a message says, out of the chunk and the levels, which are bids and then asks.
fn data<'a>(entry: &Entry, chunk: &'a Chunk, levels: &'a [Level<'a>]) -> Data<'a> {
    match (entry.what, levels) {
        (What::Trade { side, id }, [level, ..]) => Data::Trade(Trade {
            id: id.map(|id| Cow::Borrowed(chunk.text(id))),
            price: level.price,
            quantity: level.quantity,
            side,
        }),
        (What::Bbo, &[bid, ask, ..]) => Data::Bbo(Bbo { bid, ask }),
        (What::Depth { kind, update }, levels) => {
            let (bids, asks) = levels.split_at(entry.bids as usize);
            let book = Book {
                ids: update.map(|update| UpdateIds {
                    first: update,
                    last: update,
                }),
                bids: LevelList::Borrowed(bids),
                asks: LevelList::Borrowed(asks),
                checksum: None,
            };
            Data::Depth(kind, book)
        }
        (What::Trade { .. } | What::Bbo, _) => unreachable!("has its levels from its row"),
    }
}

/// The same memory, for levels that live longer or less long.
fn emptied<'a>(mut levels: Vec<Level<'_>>) -> Vec<Level<'a>> {
    levels.clear();
    // Collected in place, since there is nothing to move; the test of allocations relies on
    // it, nothing else does.
    levels
        .into_iter()
        .map(|_| -> Level<'a> { unreachable!("is empty") })
        .collect()
}
