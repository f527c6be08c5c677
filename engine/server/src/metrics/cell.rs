//! One number with one writer: stored and loaded relaxed, never added to by a locked
//! instruction. A reader sees it at some recent time.

use super::exposition::Kind;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Only ever grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// Goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Counter {
    /// What its line says it is.
    pub(crate) const KIND: Kind = Kind::Counter;

    /// The count of a writer that keeps it itself.
    #[inline]
    pub(crate) fn set(&self, count: u64) {
        self.0.store(count, Relaxed);
    }

    /// The count.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Gauge {
    /// What its line says it is.
    pub(crate) const KIND: Kind = Kind::Gauge;

    /// As it is now.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// As it was set last.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
