//! What a thread has counted since it told last.

use crate::results::{Latencies, Message, Subscriber, Totals};
use hdrhistogram::Histogram;
use std::collections::HashMap;

/// The longest time that is told apart from longer ones: an hour.
const NANOS_MAX: u64 = 3_600_000_000_000;

/// Counts and times since the last one.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Of the times only the publishing and connecting are filled in.
    pub(crate) totals: Totals,
    pub(crate) checked: Checked,
    pub(crate) due: u64,
    pub(crate) sent: u64,
    pub(crate) late: u64,
    pub(crate) thread_nanos: u64,
    pub(crate) busy_nanos: u64,
    /// Connections that are open now.
    pub(crate) open: u64,
    /// When the first publish was due, and the last thing was sent or came.
    pub(crate) active: Option<(u64, u64)>,
    /// When the first connection began, and the last was accepted that came for the first
    /// time.
    pub(crate) connecting: Option<(u64, u64)>,
    pub(crate) response: Histogram<u64>,
    pub(crate) service: Histogram<u64>,
    pub(crate) connect: Histogram<u64>,
    pub(crate) slip: Histogram<u64>,
}

/// What was found right and wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Checked {
    pub(crate) subscribers: u64,
    pub(crate) due: u64,
    /// Less by those that came late after all: since the last tally it may be below 0.
    pub(crate) missing: i64,
    pub(crate) duplicate: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) stale: u64,
    pub(crate) conflated: i64,
    /// Of a shared subscription, how many came and which: see [`share_of`].
    pub(crate) shared: u64,
    pub(crate) shared_sum: u64,
}

/// What a thread tells when all is over.
#[derive(Debug, Default)]
pub(crate) struct Last {
    pub(crate) slowest: Option<Subscriber>,
    pub(crate) fastest: Option<Subscriber>,
    pub(crate) messages: Vec<Message>,
}

/// Messages by stream and sequence, while they are few.
pub(crate) type Messages = HashMap<(u32, u32), Message>;

/// A histogram of nanoseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(NANOS_MAX, 3).expect("the bounds are sound")
}

/// What a message adds to the sum of its group: as good as each set of messages has its own.
pub(crate) fn share_of(stream: u32, sequence: u32) -> u64 {
    crate::chance::Chance::new(u64::from(stream) << 32 | u64::from(sequence)).next()
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            totals: Totals::default(),
            checked: Checked::default(),
            due: 0,
            sent: 0,
            late: 0,
            thread_nanos: 0,
            busy_nanos: 0,
            open: 0,
            active: None,
            connecting: None,
            response: histogram(),
            service: histogram(),
            connect: histogram(),
            slip: histogram(),
        }
    }

    /// Something of the load was due, sent or came.
    pub(crate) fn is_active(&mut self, nanos: u64) {
        widen(&mut self.active, nanos);
    }

    /// A first connection began, or was accepted.
    pub(crate) fn is_connecting(&mut self, nanos: u64) {
        widen(&mut self.connecting, nanos);
    }

    /// Takes in another's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.checked.add(&other.checked);
        self.due += other.due;
        self.sent += other.sent;
        self.late += other.late;
        self.thread_nanos += other.thread_nanos;
        self.busy_nanos += other.busy_nanos;
        self.open += other.open;
        for (own, other) in [
            (&mut self.active, other.active),
            (&mut self.connecting, other.connecting),
        ] {
            for nanos in other.into_iter().flat_map(<[u64; 2]>::from) {
                widen(own, nanos);
            }
        }
        for (own, other) in [
            (&mut self.response, &other.response),
            (&mut self.service, &other.service),
            (&mut self.connect, &other.connect),
            (&mut self.slip, &other.slip),
        ] {
            own.add(other).expect("both have the same bounds");
        }
    }

    pub(crate) fn packed_response(&self) -> Latencies {
        Latencies::pack(&self.response)
    }
}

fn widen(range: &mut Option<(u64, u64)>, nanos: u64) {
    let (first, last) = range.unwrap_or((nanos, nanos));
    *range = Some((first.min(nanos), last.max(nanos)));
}

impl Checked {
    pub(crate) fn add(&mut self, other: &Self) {
        self.subscribers += other.subscribers;
        self.due += other.due;
        self.missing += other.missing;
        self.duplicate += other.duplicate;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.stale += other.stale;
        self.conflated += other.conflated;
        self.shared += other.shared;
        self.shared_sum = self.shared_sum.wrapping_add(other.shared_sum);
    }

    /// How many were found wrong.
    pub(crate) fn wrong(&self) -> u64 {
        let missing = u64::try_from(self.missing).unwrap_or(0);
        missing + self.duplicate + self.reordered + self.corrupt + self.stale
    }
}
