//! The one clock of all figures, and how times are counted.
//!
//! `CLOCK_MONOTONIC` is the same in all processes of a machine, so a time that one
//! process wrote into a message can be taken from another one's.

use hdrhistogram::Histogram;
use nix::time::{ClockId, clock_gettime};

/// The longest time that is told apart from longer ones, in nanoseconds.
const NANOS_MAX: u64 = 60_000_000_000;

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now_nanos() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Times in nanoseconds, to three digits.
#[derive(Debug, Clone)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_max(NANOS_MAX, 3).expect("the bounds are sound"))
    }

    /// Counts one; what is over a minute counts as a minute.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// How many were counted.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time in nanoseconds that `percent` of all do not exceed.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        self.0.value_at_percentile(percent) as f64
    }

    /// The mean in nanoseconds.
    pub(crate) fn mean(&self) -> f64 {
        self.0.mean()
    }

    /// The longest, in nanoseconds.
    pub(crate) fn max(&self) -> f64 {
        self.0.max() as f64
    }
}
