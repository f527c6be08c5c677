//! The header and the data of one ring, with their meaning; shared by producer,
//! consumers and taps.

use crate::layout::{
    self, CAPACITY_AT, CAPACITY_MAX, CAPACITY_MIN, CLAIMED_AT, COMMITTED_AT, CONSUMERS_MAX,
    EPOCH_AT, HEADER_BYTES, Kind, MAGIC, MAGIC_AT, NO_CONSUMER, PUBLISHED_AT, RECORD_HEAD_BYTES,
    SLEEPERS_AT, VERSION_AT, VERSION_WORD, cursor_at,
};
use crate::memory::{Access, Memory, MemoryError};
use nix::fcntl::Flock;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A place in the log of records, in bytes from its beginning. Never wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// The memory does not hold what a ring would: another process wrote nonsense, or
/// it is defective. Nothing more can be read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt {
    /// Where it was noticed.
    pub at: Position,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the ring holds no record at position {}",
            self.at.0
        )
    }
}

impl std::error::Error for Corrupt {}

/// A record's place: its kind, where its body lies in memory, where the next is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) body_at: usize,
    pub(crate) body_bytes: usize,
    pub(crate) next: Position,
}

/// One ring's memory.
#[derive(Debug)]
pub(crate) struct Ring {
    memory: Memory,
    capacity: u64,
    /// Held while a producer, or a consumer that reads in place, is alive.
    lock: Option<Flock<OwnedFd>>,
}

impl Ring {
    pub(crate) fn create(name: &str, capacity: usize) -> Result<Self, MemoryError> {
        let allowed = CAPACITY_MIN..=CAPACITY_MAX;
        if !capacity.is_power_of_two() || !allowed.contains(&capacity) {
            return Err(MemoryError::Capacity(capacity));
        }
        let memory = Memory::create(name, HEADER_BYTES + capacity)?;
        let lock = Some(memory.lock()?);
        memory.word(VERSION_AT).store(VERSION_WORD, Relaxed);
        memory.word(CAPACITY_AT).store(capacity as u64, Relaxed);
        memory.word(EPOCH_AT).store(1, Relaxed);
        for consumer in 0..CONSUMERS_MAX {
            memory.word(cursor_at(consumer)).store(NO_CONSUMER, Relaxed);
        }
        // Last: whoever sees it sees the rest.
        memory.word(MAGIC_AT).store(MAGIC, Release);
        Ok(Self {
            memory,
            capacity: capacity as u64,
            lock,
        })
    }

    pub(crate) fn open(file: OwnedFd, access: Access) -> Result<Self, MemoryError> {
        let memory = Memory::open(file, access)?;
        if memory.bytes() < HEADER_BYTES + CAPACITY_MIN
            || memory.word(MAGIC_AT).load(Acquire) != MAGIC
            || memory.word(VERSION_AT).load(Relaxed) != VERSION_WORD
        {
            return Err(MemoryError::NotARing);
        }
        // Taken once: what the header says later changes nothing.
        let capacity = memory.word(CAPACITY_AT).load(Relaxed);
        if !capacity.is_power_of_two() || capacity != (memory.bytes() - HEADER_BYTES) as u64 {
            return Err(MemoryError::Corrupt);
        }
        Ok(Self {
            memory,
            capacity,
            lock: None,
        })
    }

    /// Makes this process the one that writes.
    pub(crate) fn lock(&mut self) -> Result<(), MemoryError> {
        self.lock = Some(self.memory.lock()?);
        Ok(())
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(crate) fn claimed(&self) -> &AtomicU64 {
        self.memory.word(CLAIMED_AT)
    }

    pub(crate) fn published(&self) -> &AtomicU64 {
        self.memory.word(PUBLISHED_AT)
    }

    pub(crate) fn committed(&self) -> &AtomicU64 {
        self.memory.word(COMMITTED_AT)
    }

    pub(crate) fn epoch(&self) -> &AtomicU64 {
        self.memory.word(EPOCH_AT)
    }

    pub(crate) fn sleepers(&self) -> &AtomicU64 {
        self.memory.word(SLEEPERS_AT)
    }

    pub(crate) fn cursor(&self, consumer: usize) -> &AtomicU64 {
        self.memory.word(cursor_at(consumer))
    }

    /// Where a position lies in memory.
    #[inline]
    pub(crate) fn offset(&self, position: Position) -> usize {
        HEADER_BYTES + (position.0 & (self.capacity - 1)) as usize
    }

    /// Bytes of data from a position to where they end and begin anew.
    #[inline]
    pub(crate) fn until_wrap(&self, position: Position) -> u64 {
        self.capacity - (position.0 & (self.capacity - 1))
    }

    /// `published`, as the end of what may be read from `position` on.
    ///
    /// # Errors
    /// If it cannot be that: before this one, further ahead than the ring holds, or
    /// inside a record.
    #[inline]
    pub(crate) fn end_from(&self, position: Position, published: u64) -> Result<Position, Corrupt> {
        match published.checked_sub(position.0) {
            Some(ahead) if ahead <= self.capacity && layout::is_aligned(published) => {
                Ok(Position(published))
            }
            _ => Err(Corrupt { at: position }),
        }
    }

    /// The record at a position, which must lie before `end`.
    ///
    /// # Errors
    /// If what stands there cannot be a record: it would end past `end` or past
    /// the end of the data, is too large, or is padding that fills nothing up. So
    /// behind padding there is never more padding.
    #[inline]
    pub(crate) fn place(&self, position: Position, end: Position) -> Result<Place, Corrupt> {
        let at = self.offset(position);
        let (body_bytes, kind) = layout::parse_head(self.memory.word(at).load(Relaxed));
        let bytes = layout::record_bytes(body_bytes) as u64;
        let until_wrap = self.until_wrap(position);
        if bytes > until_wrap
            || bytes > end.0 - position.0
            || bytes > layout::record_bytes_max(self.capacity)
            || (kind == Kind::PADDING && bytes != until_wrap)
        {
            return Err(Corrupt { at: position });
        }
        Ok(Place {
            kind,
            body_at: at + RECORD_HEAD_BYTES,
            body_bytes,
            next: Position(position.0 + bytes),
        })
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}
