//! What the door has seen, for metrics to read.

use crate::refusal::Refusal;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the door was opened.
///
/// When no newcomer is there, `accepted` is the sum of `handed_over`, `timed_out`,
/// `displaced`, `left` and all refusals. All loads and stores are relaxed: a reader sees
/// each count at some recent time, not all at the same.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Newcomers that went to their home shard.
    pub handed_over: AtomicU64,
    /// Newcomers closed because their CONNECT was not whole in time.
    pub timed_out: AtomicU64,
    /// Newcomers closed while their CONNECT was not whole, to make room for others.
    pub displaced: AtomicU64,
    /// Newcomers that left, or whose connection broke, before they were handed over or
    /// refused.
    pub left: AtomicU64,
    /// Connections that were gone before they could be accepted.
    pub aborted: AtomicU64,
    /// Times that accepting failed for want of something: see [`Trouble`](crate::Trouble).
    pub accept_failed: AtomicU64,
    /// Newcomers there now.
    pub newcomers: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Counters {
    /// Newcomers refused for that reason.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn add_refused(&self, refusal: Refusal) {
        Self::add(&self.refused[refusal as usize]);
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
