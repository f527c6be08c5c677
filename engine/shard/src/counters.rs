//! What a shard has seen and done: numbers for people, read between turns.

/// Counts since the shard was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Turns.
    pub turns: u64,
    /// Messages that were read from the ring.
    pub records: u64,
    /// Records of the ring that were no message, or whose parts are wrong.
    pub records_refused: u64,
    /// Frames that were encoded.
    pub frames: u64,
    /// Frames that were appended to cohorts' streams.
    pub appends: u64,
    /// Messages on their way to a client each, all together.
    pub deliveries: u64,
    /// Messages that clients in lag were sent one by one.
    pub lag_deliveries: u64,
    /// Sends that were submitted.
    pub sends: u64,
    /// Bytes that sockets took.
    pub sent_bytes: u64,
    /// Sends that a socket did not take all of.
    pub blocked: u64,
    /// Bytes that came.
    pub received_bytes: u64,
    /// Messages that clients published.
    pub published: u64,
    /// Messages that clients may not publish, which were dropped.
    pub publishes_refused: u64,
    /// Times that a publisher had to wait because the uplink was full.
    pub uplink_full: u64,
    /// Times that routing waited for sweeps, because they still need the memory.
    pub routing_paused: u64,
    /// Times that a client fell into lag.
    pub lags: u64,
    /// Messages that clients lost because they were too slow.
    pub drops: u64,
    /// Messages larger than a client takes.
    pub oversize: u64,
    /// Messages that could not be kept for want of memory.
    pub not_kept: u64,
    /// Messages that came to no member of a group, for each that was tried had no room, or the
    /// uplink has none for one so large.
    pub untaken: u64,
    /// Connections that were adopted.
    pub connected: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Connections that ended, by [`End`](crate::End).
    pub ended: [u64; crate::End::COUNT],
    /// Subscriptions that were granted.
    pub subscribed: u64,
    /// Subscriptions that were refused.
    pub subscriptions_refused: u64,
    /// Messages that clients acknowledged.
    pub acknowledged: u64,
    /// Sessions that went on when their clients came back.
    pub resumed: u64,
    /// Sessions whose time was over.
    pub sessions_expired: u64,
    /// Sessions that ended because a message could not be kept for them.
    pub sessions_broken: u64,
    /// Acknowledgements that nobody waits for.
    pub acknowledgements_unknown: u64,
    /// The longest turn, in ns.
    pub turn_nanos_max: u64,
}

/// How things stand now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gauges {
    /// Connections that are open.
    pub connections: u64,
    /// Sessions, of clients that are connected or away.
    pub sessions: u64,
    /// Sessions of clients that are away.
    pub away: u64,
    /// Clients in lag.
    pub lagging: u64,
    /// Deliveries of messages that are kept.
    pub deliveries: u64,
    /// Members of shared subscriptions, of all shards.
    pub share_members: u64,
    /// Retained messages.
    pub retained: u64,
    /// Messages that are kept, retained or for those in lag.
    pub stored: u64,
    /// Bytes of packets that are not whole.
    pub input_bytes: u64,
}

/// How long something took, in fixed classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durations {
    /// How many were not longer than each of the [`BOUNDS`](Self::BOUNDS), each counted
    /// once; the last are those that were longer than all.
    pub counts: [u64; Self::BOUNDS.len() + 1],
    /// All together, in ns.
    pub sum_nanos: u64,
}

impl Durations {
    /// The bounds of the classes, in ns: 1, 2 and 5 of each power of ten from 1 µs to 10 s.
    pub const BOUNDS: [u64; 22] = {
        let mut bounds = [0; 22];
        let mut at = 0;
        let mut ten = 1_000;
        while at < bounds.len() {
            bounds[at] = ten * [1, 2, 5][at % 3];
            at += 1;
            if at.is_multiple_of(3) {
                ten *= 10;
            }
        }
        bounds
    };

    /// So many of this length.
    pub(crate) fn record(&mut self, nanos: u64, times: u64) {
        let class = Self::BOUNDS.partition_point(|bound| *bound < nanos);
        self.counts[class] += times;
        self.sum_nanos += nanos * times;
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            counts: [0; Self::BOUNDS.len() + 1],
            sum_nanos: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Durations;

    #[test]
    fn each_duration_is_in_the_class_whose_bound_it_does_not_pass() {
        let mut durations = Durations::default();
        for (nanos, times) in [
            (0, 1),
            (1_000, 2),
            (1_001, 3),
            (5_000_000, 4),
            (u64::MAX / 8, 5),
        ] {
            durations.record(nanos, times);
        }
        assert_eq!(Durations::BOUNDS[..4], [1_000, 2_000, 5_000, 10_000]);
        assert_eq!(Durations::BOUNDS[21], 10_000_000_000);
        let class = |nanos| {
            Durations::BOUNDS
                .iter()
                .position(|bound| *bound == nanos)
                .unwrap()
        };
        assert_eq!(durations.counts[0], 3);
        assert_eq!(durations.counts[1], 3);
        assert_eq!(durations.counts[class(5_000_000)], 4);
        assert_eq!(durations.counts[22], 5);
        assert_eq!(durations.count(), 15);
    }
}
