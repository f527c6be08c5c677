//! How long something took, counted in fixed buckets: from a microsecond to ten seconds
//! in steps of 1, 2, 5, and one for what takes longer.
//!
//! One writer; loads and stores are relaxed and no instruction is locked. The number of
//! all is the sum of the buckets, so what a reader sees always adds up.

use super::exposition::Kind;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The upper bounds of all buckets but the last, in nanoseconds, each bound in its bucket.
pub(crate) const BOUNDS_NANOS: [u64; 22] = ringcast_shard::Durations::BOUNDS;

/// A histogram of durations.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS_NANOS.len() + 1],
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// What its line says it is.
    pub(crate) const KIND: Kind = Kind::Histogram;

    /// The counts of a writer that keeps them itself, by bucket, and their sum.
    pub(crate) fn set(&self, counts: &[u64; BOUNDS_NANOS.len() + 1], sum_nanos: u64) {
        for (bucket, count) in self.buckets.iter().zip(counts) {
            bucket.store(*count, Relaxed);
        }
        self.sum_nanos.store(sum_nanos, Relaxed);
    }

    /// How many fell into each bucket, the last one for what took longer than all bounds.
    pub(crate) fn counts(&self) -> [u64; BOUNDS_NANOS.len() + 1] {
        std::array::from_fn(|bucket| self.buckets[bucket].load(Relaxed))
    }

    /// How long all took together.
    pub(crate) fn sum_nanos(&self) -> u64 {
        self.sum_nanos.load(Relaxed)
    }
}
