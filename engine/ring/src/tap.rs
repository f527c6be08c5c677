//! A reader of a ring that another process writes.
//!
//! It copies each record out and believes nothing that it reads: whatever the other
//! side does to the memory, a record is right, or the reader is told that it was
//! lapped or that the ring is no ring any more.

use crate::layout::{self, CONSUMERS_MAX, Kind};
use crate::memory::{Access, MemoryError};
use crate::protocol;
use crate::ring::{Corrupt, Place, Position, Ring};
use crate::sleep::Waker;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;

/// Reads records from outside. Unless it was given a place among the consumers, no
/// producer waits for it, and one that falls a whole ring behind is lapped.
#[derive(Debug)]
pub struct Tap {
    ring: Ring,
    cursor: Position,
    epoch: u64,
    /// The place, if the producer waits for it, and the bell that it rings.
    place: Option<(usize, Waker)>,
}

/// What a tap was told instead of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapError {
    /// The producer was a whole ring ahead: what lay between is lost. The tap goes
    /// on with what is published next.
    Lapped {
        /// The first position that was not read.
        from: Position,
        /// Where it goes on.
        to: Position,
    },
    /// The ring has another producer than before. No record is lost by that, but a
    /// place is: nobody waits for this reader, until it is given the ring again.
    NewEpoch(u64),
    /// The memory does not hold what a ring would.
    Corrupt(Corrupt),
}

impl fmt::Display for TapError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lapped { from, to } => {
                write!(
                    formatter,
                    "lapped: {} bytes of records are lost",
                    to.0 - from.0
                )
            }
            Self::NewEpoch(epoch) => {
                write!(formatter, "the ring has a new producer, its {epoch}th")
            }
            Self::Corrupt(corrupt) => corrupt.fmt(formatter),
        }
    }
}

impl std::error::Error for TapError {}

impl Tap {
    /// Maps a ring for reading, beginning with what is published next.
    ///
    /// # Errors
    /// If the memory can be cut by whoever made it, or holds no ring.
    pub fn open(file: OwnedFd) -> Result<Self, MemoryError> {
        Self::new(Ring::open(file, Access::ReadOnly)?, None)
    }

    /// Maps a ring whose producer gave this process a place among its consumers: it
    /// is waited for.
    pub(crate) fn open_at(file: OwnedFd, place: usize, waker: Waker) -> Result<Self, MemoryError> {
        if place >= CONSUMERS_MAX {
            return Err(MemoryError::Corrupt);
        }
        let ring = Ring::open(file, Access::ReadWrite)?;
        let cursor = protocol::gate(ring.cursor(place));
        let mut tap = Self::new(ring, Some((place, waker)))?;
        let behind = tap.cursor.0.checked_sub(cursor);
        if !layout::is_aligned(cursor) || behind.is_none_or(|behind| behind > tap.ring.capacity()) {
            return Err(MemoryError::Corrupt);
        }
        tap.cursor = Position(cursor);
        Ok(tap)
    }

    fn new(ring: Ring, place: Option<(usize, Waker)>) -> Result<Self, MemoryError> {
        let epoch = ring.epoch().load(Relaxed);
        let cursor = Position(protocol::published(ring.published()));
        if !layout::is_aligned(cursor.0) {
            return Err(MemoryError::Corrupt);
        }
        Ok(Self {
            ring,
            cursor,
            epoch,
            place,
        })
    }

    /// Copies the body of the next record into `body`, which it empties first.
    /// `None`: nothing new is published.
    ///
    /// # Errors
    /// [`TapError`]; after all but [`TapError::Corrupt`], it can be called again.
    pub fn read(&mut self, body: &mut Vec<u8>) -> Result<Option<(Position, Kind)>, TapError> {
        loop {
            let position = self.cursor;
            let published = protocol::published(self.ring.published());
            // After `published`: a new producer bumps the epoch before it publishes,
            // so none of its records is read before its epoch was told.
            self.check_epoch()?;
            let Some(place) = self.next_place(published)? else {
                return Ok(None);
            };
            body.clear();
            if place.kind != Kind::PADDING {
                self.ring
                    .memory()
                    .copy_racy(place.body_at, place.body_bytes, body);
            }
            self.check_not_lapped()?;
            self.cursor = place.next;
            if place.kind != Kind::PADDING {
                return Ok(Some((position, place.kind)));
            }
        }
    }

    /// Lets the producer write over what was read so far, if it waits for this tap.
    pub fn release(&self) {
        // In a new epoch the place is not this reader's any more.
        if let Some((place, _)) = self.place
            && self.is_epoch_current()
        {
            protocol::release(self.ring.cursor(place), self.cursor.0);
        }
    }

    /// Everything before it was read.
    pub fn cursor(&self) -> Position {
        self.cursor
    }

    /// Says that it sleeps, if it has a place and nothing is there to be read, so
    /// that the next publish rings the bell. Returns the bell to wait for, if it is
    /// to wait.
    pub fn park(&self) -> Option<&Waker> {
        let (place, waker) = self.place.as_ref()?;
        let nothing = || {
            protocol::published(self.ring.published()) == self.cursor.0 && self.is_epoch_current()
        };
        protocol::fall_asleep(self.ring.sleepers(), 1 << place, nothing).then_some(waker)
    }

    /// Says that it is awake; after every wait that [`Self::park`] allowed.
    pub fn unpark(&self) {
        if let Some((place, _)) = self.place {
            protocol::stay_awake(self.ring.sleepers(), 1 << place);
        }
    }

    fn is_epoch_current(&self) -> bool {
        self.ring.epoch().load(Relaxed) == self.epoch
    }

    fn check_epoch(&mut self) -> Result<(), TapError> {
        if self.is_epoch_current() {
            return Ok(());
        }
        self.epoch = self.ring.epoch().load(Relaxed);
        self.place = None;
        Err(TapError::NewEpoch(self.epoch))
    }

    /// Where the next record lies, as far as the memory can be believed.
    fn next_place(&mut self, published: u64) -> Result<Option<Place>, TapError> {
        if published.saturating_sub(self.cursor.0) > self.ring.capacity() {
            return Err(self.lapped(published));
        }
        let end = self
            .ring
            .end_from(self.cursor, published)
            .map_err(TapError::Corrupt)?;
        if end == self.cursor {
            return Ok(None);
        }
        match self.ring.place(self.cursor, end) {
            Ok(place) => Ok(Some(place)),
            Err(corrupt) => {
                // Nonsense is to be expected where the producer was writing.
                self.check_not_lapped()?;
                Err(TapError::Corrupt(corrupt))
            }
        }
    }

    fn check_not_lapped(&mut self) -> Result<(), TapError> {
        let claimed = protocol::claimed_after_copy(self.ring.claimed());
        if claimed.saturating_sub(self.cursor.0) > self.ring.capacity() {
            return Err(self.lapped(protocol::published(self.ring.published())));
        }
        Ok(())
    }

    fn lapped(&mut self, published: u64) -> TapError {
        let from = self.cursor;
        if !layout::is_aligned(published) {
            return TapError::Corrupt(Corrupt { at: from });
        }
        self.cursor = Position(published.max(from.0));
        TapError::Lapped {
            from,
            to: self.cursor,
        }
    }
}
