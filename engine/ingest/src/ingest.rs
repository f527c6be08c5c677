//! The ingest core's turn: uplinks and the feed, each its share.
//!
//! Sources are visited in turn, a few records each, until the turn has had enough, all are
//! dry, or the ring is full. The next turn begins with the next source; but a source whose
//! first record found no room goes first, so that others with smaller records do not take
//! the room from it for ever.

use crate::counters::Counters;
use crate::error::IngestError;
use crate::feed::{Feed, FeedState, Visit};
use crate::reports::Reports;
use crate::sequencer::{Limit, Sequencer, Stop, Taken};

/// The most records that a turn puts into the ring or refuses.
pub const TURN_RECORDS_MAX: u64 = 512;

/// Bytes of records after which a turn ends.
pub const TURN_BYTES_MAX: u64 = 1 << 20;

/// The most records that one source has until the next one has its turn.
const VISIT_RECORDS_MAX: u64 = 64;

/// The time of a turn, taken once by whoever runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Of a clock that never goes back, in nanoseconds.
    pub monotonic_nanos: u64,
    /// µs since 1970, UTC.
    pub wall_micros: u64,
}

/// Everything between what brings messages and the ring.
#[derive(Debug)]
pub struct Ingest {
    feed: Feed,
    sequencer: Sequencer,
    counters: Counters,
    reports: Reports,
    /// The source that the next turn begins with: an uplink, or behind them the feed.
    first: usize,
    /// When the feed last brought something.
    last_record_nanos: Option<u64>,
}

impl Ingest {
    /// Takes the feed's messages and those of the sequencer's uplinks.
    #[must_use]
    pub fn new(feed: Feed, sequencer: Sequencer) -> Self {
        Self {
            feed,
            sequencer,
            counters: Counters::default(),
            reports: Reports::default(),
            first: 0,
            last_record_nanos: None,
        }
    }

    /// Puts at most [`TURN_RECORDS_MAX`] records into the ring, and returns whether anything
    /// was done. Waits for nothing.
    ///
    /// # Errors
    /// [`IngestError`]: the engine has to stop.
    pub fn turn(&mut self, now: Now) -> Result<bool, IngestError> {
        let outcome = self.visit_all(now);
        // Also what came before an error: it has left its uplink.
        self.sequencer.publish();
        outcome
    }

    fn visit_all(&mut self, now: Now) -> Result<bool, IngestError> {
        let sources = self.sequencer.uplinks() + 1;
        let mut left = Limit {
            records: TURN_RECORDS_MAX,
            bytes: TURN_BYTES_MAX,
        };
        let (mut source, mut dry) = (self.first, 0);
        self.first = (self.first + 1) % sources;
        while dry < sources && left.records > 0 && left.bytes > 0 {
            let taken = self.visit(source, left, now)?;
            left.records -= taken.records();
            left.bytes = left.bytes.saturating_sub(taken.bytes);
            match taken.stop {
                Stop::Dry => dry += 1,
                Stop::Enough => dry = 0,
                Stop::Full => {
                    self.counters.backpressure_turns += 1;
                    self.first = (source + usize::from(taken.has_written())) % sources;
                    break;
                }
            }
            source = (source + 1) % sources;
        }
        Ok(left.records < TURN_RECORDS_MAX)
    }

    /// One source's share.
    fn visit(&mut self, source: usize, left: Limit, now: Now) -> Result<Taken, IngestError> {
        let limit = Limit {
            records: left.records.min(VISIT_RECORDS_MAX),
            ..left
        };
        let counters = &mut self.counters;
        let taken;
        if source < self.sequencer.uplinks() {
            taken = self.sequencer.take_uplink(source, limit, now.wall_micros)?;
            counters.uplink_messages += taken.messages;
            counters.uplink_controls += taken.controls;
            counters.uplink_bytes += taken.bytes;
        } else {
            taken = self.feed.visit(&mut Visit {
                sequencer: &mut self.sequencer,
                counters,
                reports: &mut self.reports,
                limit,
                now,
            });
            counters.feed_messages += taken.messages;
            counters.reports_dropped = self.reports.dropped();
            if taken.messages > 0 {
                self.last_record_nanos = Some(now.monotonic_nanos);
            }
        }
        if taken.has_written() {
            self.sequencer.publish();
        }
        Ok(taken)
    }

    /// When the feed has to be looked at next though nothing rings for it, in nanoseconds of
    /// the clock that turns are given; it may be past. `None`: what there is comes by
    /// uplinks.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.feed.next_due()
    }

    /// What was seen so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How the feed is, and when it last brought something.
    #[must_use]
    pub fn feed_state(&self) -> FeedState<'_> {
        FeedState {
            phase: self.feed.phase(),
            last_record_nanos: self.last_record_nanos,
        }
    }

    /// Sentences for the log about what went wrong since they were last taken. Each kind of
    /// trouble is told once for each file or producer; how often it came is in the counters.
    pub fn take_reports(&mut self) -> Vec<String> {
        self.reports.take()
    }

    /// The ring and its uplinks.
    pub fn sequencer(&mut self) -> &mut Sequencer {
        &mut self.sequencer
    }
}
