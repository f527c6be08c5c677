//! Where everything lies in the shared memory: the contract with readers and
//! writers in other processes and languages.
//!
//! ```text
//!      0 ┌──────────────────────────────────────────────┐
//!        │ magic │ version │ header bytes │ capacity    │  written once
//!    128 ├──────────────────────────────────────────────┤
//!        │ claimed │ published │ epoch                  │  the producer's
//!    256 ├──────────────────────────────────────────────┤
//!        │ committed                                    │  whoever makes durable
//!    384 ├──────────────────────────────────────────────┤
//!        │ sleepers                                     │  one bit per consumer
//!    512 ├──────────────────────────────────────────────┤
//!        │ consumer 0: cursor                           │  each its own 128 bytes
//!    640 │ consumer 1: cursor                           │
//!        │ …                                            │
//!   8192 ├──────────────────────────────────────────────┤
//!        │ data: records, each at a multiple of 8       │  capacity bytes
//!        └──────────────────────────────────────────────┘
//! ```
//!
//! All numbers are little-endian. Positions count bytes of data from the first
//! record ever written and never wrap: at 10 GB/s that takes 58 years, and a ring that
//! claims to be half so old is not believed. A position
//! lies in the data at `position % capacity`; the capacity is a power of two.
//!
//! A record is a head of 8 bytes (bytes of the body, `u32`; kind, `u16`; zero,
//! `u16`), the body, and up to 7 bytes that say nothing. It takes at most a quarter of
//! the capacity and never crosses the end of the data: where one does not fit, padding
//! fills the rest, a record of kind 0 that ends where the data end.

#[cfg(target_endian = "big")]
compile_error!("the layout is little-endian and is used in place");

/// The first eight bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"RINGCAST");

/// The version of the layout that this crate reads and writes.
pub const VERSION: u32 = 1;

/// Bytes before the data.
pub const HEADER_BYTES: usize = 8192;

/// Consumers that a ring has places for.
pub const CONSUMERS_MAX: usize = 60;

/// Bytes of a record's head.
pub const RECORD_HEAD_BYTES: usize = 8;

/// Every record begins at a multiple of it.
pub const ALIGNMENT: usize = 8;

/// The smallest and the largest capacity, in bytes.
pub const CAPACITY_MIN: usize = 4096;
/// See [`CAPACITY_MIN`].
pub const CAPACITY_MAX: usize = 1 << 33;

/// No position is past it: adding a ring's capacity to one never overflows.
pub const POSITION_MAX: u64 = 1 << 63;

/// The cursor in a place that no consumer has.
pub const NO_CONSUMER: u64 = u64::MAX;

/// Bytes between what different cores write: two cache lines, because processors
/// fetch them in pairs.
const APART: usize = 128;

pub(crate) const MAGIC_AT: usize = 0;
pub(crate) const VERSION_AT: usize = 8;
pub(crate) const CAPACITY_AT: usize = 16;
pub(crate) const CLAIMED_AT: usize = APART;
pub(crate) const PUBLISHED_AT: usize = APART + 8;
pub(crate) const EPOCH_AT: usize = APART + 16;
pub(crate) const COMMITTED_AT: usize = 2 * APART;
pub(crate) const SLEEPERS_AT: usize = 3 * APART;

/// Where the cursor of a consumer lies.
pub(crate) const fn cursor_at(consumer: usize) -> usize {
    assert!(consumer < CONSUMERS_MAX);
    (4 + consumer) * APART
}

const _: () = assert!(cursor_at(CONSUMERS_MAX - 1) + APART == HEADER_BYTES);

/// The kind of a record. All but padding are the writer's to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u16);

impl Kind {
    /// Fills the data up to its end; no reader is shown one.
    pub const PADDING: Self = Self(0);
    /// A message, as [`crate::Message`] has it.
    pub const MESSAGE: Self = Self(1);
    /// A change of a shared subscription, from one shard to all.
    pub const MEMBERSHIP: Self = Self(2);
    /// A message that the chosen member of a shared subscription could not get.
    pub const REDIRECT: Self = Self(3);
}

/// Version and header size in one word, as they lie at [`VERSION_AT`].
pub(crate) const VERSION_WORD: u64 = VERSION as u64 | (HEADER_BYTES as u64) << 32;

/// Whether a record can begin there.
pub(crate) const fn is_aligned(position: u64) -> bool {
    position.is_multiple_of(ALIGNMENT as u64)
}

/// Bytes that a record with such a body takes.
pub(crate) const fn record_bytes(body: usize) -> usize {
    (RECORD_HEAD_BYTES + body).next_multiple_of(ALIGNMENT)
}

/// The most that a record takes, with its head: a quarter, so that a full ring has
/// room again before all of it was read.
pub(crate) const fn record_bytes_max(capacity: u64) -> u64 {
    capacity / 4
}

/// A record's head as one word.
pub(crate) const fn head(body: u32, kind: Kind) -> u64 {
    body as u64 | (kind.0 as u64) << 32
}

/// The body's bytes and the kind that a head names.
pub(crate) const fn parse_head(word: u64) -> (usize, Kind) {
    ((word & 0xFFFF_FFFF) as usize, Kind((word >> 32) as u16))
}
