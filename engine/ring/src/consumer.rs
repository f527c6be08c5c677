//! A reader that the producer waits for: it misses nothing.

use crate::layout::{Kind, NO_CONSUMER};
use crate::protocol;
use crate::ring::{Corrupt, Position, Ring};
use crate::sleep::Waker;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Reads every record, in order, in place.
///
/// It reads memory that only the producer of its own process writes, and borrows
/// records from it. Dropping it gives its place back. Of a ring that another process
/// writes, read with [`crate::Tap`], which believes nothing.
#[derive(Debug)]
pub struct Consumer {
    ring: Arc<Ring>,
    place: usize,
    /// Everything before was released.
    cursor: Position,
    /// That of one that parks.
    waker: Option<Arc<Waker>>,
}

/// One record, where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub kind: Kind,
    /// What the producer wrote.
    pub body: &'a [u8],
}

/// What was published when a consumer looked. Dropping it releases what was taken
/// out of it; the rest comes again.
#[derive(Debug)]
pub struct Batch<'c> {
    consumer: &'c mut Consumer,
    next: Position,
    end: Position,
}

impl Consumer {
    pub(crate) fn new(
        ring: Arc<Ring>,
        place: usize,
        cursor: Position,
        waker: Option<Arc<Waker>>,
    ) -> Self {
        Self {
            ring,
            place,
            cursor,
            waker,
        }
    }

    /// All that is published and was not read yet, perhaps nothing.
    ///
    /// # Errors
    /// [`Corrupt`] if the header names a position that cannot be.
    #[inline]
    pub fn poll(&mut self) -> Result<Batch<'_>, Corrupt> {
        let published = protocol::published(self.ring.published());
        let end = self.ring.end_from(self.cursor, published)?;
        Ok(Batch {
            next: self.cursor,
            end,
            consumer: self,
        })
    }

    /// The position up to which records are durable.
    pub fn committed(&self) -> Position {
        Position(protocol::published(self.ring.committed()))
    }

    /// How often the ring had a new producer.
    pub fn epoch(&self) -> u64 {
        self.ring.epoch().load(Relaxed)
    }

    /// Everything before it was read and released.
    pub fn cursor(&self) -> Position {
        self.cursor
    }

    /// Which of the ring's places it has.
    pub fn place(&self) -> usize {
        self.place
    }

    /// Says that it sleeps, so that the next publish rings its bell, unless there is
    /// something to do: `idle` is asked once more after it was said, as everybody
    /// who could ring has to be. Returns whether to wait for [`Self::waker`].
    ///
    /// # Panics
    /// If it was made to spin: nothing would wake it.
    pub fn park(&self, idle: impl FnOnce() -> bool) -> bool {
        assert!(self.waker.is_some(), "it was made to spin");
        protocol::fall_asleep(self.ring.sleepers(), 1 << self.place, || {
            protocol::published(self.ring.published()) == self.cursor.0 && idle()
        })
    }

    /// Says that it is awake; after every wait that [`Self::park`] allowed.
    pub fn unpark(&self) {
        protocol::stay_awake(self.ring.sleepers(), 1 << self.place);
    }

    /// What rings when something was published to a parked consumer; nothing for one
    /// that was made to spin.
    pub fn waker(&self) -> Option<&Waker> {
        self.waker.as_deref()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.unpark();
        protocol::release(self.ring.cursor(self.place), NO_CONSUMER);
    }
}

impl Batch<'_> {
    /// The next record; `None` at the end of the batch.
    ///
    /// # Errors
    /// [`Corrupt`] if what stands there cannot be a record.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, Corrupt> {
        while self.next < self.end {
            let position = self.next;
            let place = self.consumer.ring.place(position, self.end)?;
            self.next = place.next;
            if place.kind == Kind::PADDING {
                continue;
            }
            // SAFETY: nobody writes there while the record is borrowed: it is
            // published (SYNC: publish), and the producer waits for this consumer's
            // cursor, which moves only when the batch, that the record borrows, is
            // gone (SYNC: gate). Other processes that mapped the memory for writing
            // got it as consumers, who are trusted to write their cursor and the
            // sleepers only (`Producer::offer_consumer`).
            let body = unsafe {
                self.consumer
                    .ring
                    .memory()
                    .slice(place.body_at, place.body_bytes)
            };
            return Ok(Some(Record {
                position,
                kind: place.kind,
                body,
            }));
        }
        Ok(None)
    }

    /// Bytes of records and heads that are left in it.
    pub fn bytes_left(&self) -> u64 {
        self.end.0 - self.next.0
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.next != self.consumer.cursor {
            self.consumer.cursor = self.next;
            protocol::release(self.consumer.ring.cursor(self.consumer.place), self.next.0);
        }
    }
}
