//! What ingest has seen, for metrics to read.

use crate::refusal::{Refusal, Refusals};

/// Counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that clients published, put into the ring.
    pub uplink_messages: u64,
    /// Records of other kinds that shards sent, put into the ring.
    pub uplink_controls: u64,
    /// Bytes of the bodies of both.
    pub uplink_bytes: u64,
    /// Messages of the feed, put into the ring.
    pub feed_messages: u64,
    /// Bytes of their payloads.
    pub feed_bytes: u64,
    /// Messages of a feed with a pace of its own that were published more than a millisecond
    /// after they were due.
    pub feed_late: u64,
    /// How often a recording began anew.
    pub feed_loops: u64,
    /// Producers that came and gave their ring.
    pub feed_producers: u64,
    /// How often a producer was a whole ring ahead.
    pub feed_laps: u64,
    /// Bytes of its records that were missed by that.
    pub feed_lapped_bytes: u64,
    /// Turns that stopped because the ring had no room.
    pub backpressure_turns: u64,
    /// Reports that found no place among those that were not taken yet.
    pub reports_dropped: u64,
    pub(crate) refused: Refusals,
}

impl Counters {
    /// Lines and records that were refused for this reason.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused.of(refusal)
    }

    /// Lines and records that were refused.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.total()
    }
}
