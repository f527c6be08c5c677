//! The one writer of a ring.

use crate::Consumer;
use crate::layout::{self, CONSUMERS_MAX, Kind, NO_CONSUMER, RECORD_HEAD_BYTES};
use crate::memory::{Access, MemoryError};
use crate::protocol;
use crate::ring::{Position, Ring};
use crate::sleep::Waker;
use nix::fcntl::SealFlag;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Writes records, and publishes them one or many at a time.
///
/// ```
/// use ringcast_ring::{Kind, Producer};
///
/// let mut producer = Producer::create("example", 4096)?;
/// let mut consumer = producer.consumer().expect("60 places are free");
/// producer.claim(5, Kind(7))?.copy_from_slice(b"hello");
/// producer.publish();
/// let mut batch = consumer.poll()?;
/// let record = batch.next_record()?.expect("one was published");
/// assert_eq!((record.kind, record.body), (Kind(7), &b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Producer {
    ring: Arc<Ring>,
    /// Past the last record written; what is before `published` may be read.
    claimed: Position,
    published: Position,
    /// The least of the consumers' cursors when they were last looked at.
    gate: Position,
    wakers: Vec<Option<Waker>>,
}

/// Why a record could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimError {
    /// A consumer still needs the room: try again later.
    Full,
    /// No record of so many bytes fits: see [`Producer::record_bytes_max`].
    TooLarge,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full => "a consumer of the ring still needs the room",
            Self::TooLarge => "a record may have at most a quarter of the ring",
        })
    }
}

impl std::error::Error for ClaimError {}

impl Producer {
    /// Makes a ring with so many bytes of data, a power of two; the kernel shows
    /// its memory under this name in /proc.
    ///
    /// # Errors
    /// If there is not enough memory, or the capacity is none.
    pub fn create(name: &str, capacity: usize) -> Result<Self, MemoryError> {
        Ok(Self::new(Arc::new(Ring::create(name, capacity)?)))
    }

    /// Takes over a ring whose producer is gone. What it had published stays; what
    /// it had only begun is written over. Readers see a new epoch.
    ///
    /// # Errors
    /// If the memory holds no ring that can be trusted.
    pub fn take_over(file: OwnedFd) -> Result<Self, MemoryError> {
        let ring = Arc::new(Ring::open(file, Access::ReadWrite)?);
        let published = protocol::published(ring.published());
        if !published.is_multiple_of(layout::ALIGNMENT as u64) {
            return Err(MemoryError::Corrupt);
        }
        ring.epoch().fetch_add(1, Relaxed);
        Ok(Self::new(ring))
    }

    fn new(ring: Arc<Ring>) -> Self {
        let published = Position(protocol::published(ring.published()));
        // The gate opens when the cursors are first looked at.
        let gate = Position(published.0.saturating_sub(ring.capacity()));
        let wakers = (0..CONSUMERS_MAX).map(|_| None).collect();
        Self {
            ring,
            claimed: published,
            published,
            gate,
            wakers,
        }
    }

    /// Forbids everybody, for ever, to map the ring for writing anew: its memory
    /// can then be given to taps, which cannot harm it. Consumers of other
    /// processes, which must write their cursor, have to be there before.
    ///
    /// # Errors
    /// If the kernel does not know such seals (before Linux 5.1).
    pub fn seal_for_taps(&self) -> Result<(), MemoryError> {
        self.ring.memory().seal(SealFlag::F_SEAL_FUTURE_WRITE)
    }

    /// A consumer that begins with what is published next, and that the producer
    /// waits for from now on. `None` if all places are taken.
    pub fn consumer(&mut self) -> Option<Consumer> {
        let (place, waker) = self.add_consumer()?;
        Some(Consumer::new(
            Arc::clone(&self.ring),
            place,
            self.published,
            waker,
        ))
    }

    /// A place for a consumer in another process, and what wakes it.
    pub(crate) fn add_consumer(&mut self) -> Option<(usize, Waker)> {
        let free = |&place: &usize| self.ring.cursor(place).load(Relaxed) == NO_CONSUMER;
        let place = (0..CONSUMERS_MAX).find(free)?;
        let waker = Waker::new().ok()?;
        self.ring.cursor(place).store(self.published.0, Relaxed);
        self.wakers[place] = Some(waker.try_clone().ok()?);
        Some((place, waker))
    }

    /// No longer waits for a consumer that is gone.
    pub fn remove_consumer(&mut self, place: usize) {
        self.ring.cursor(place).store(NO_CONSUMER, Relaxed);
        self.wakers[place] = None;
        protocol::stay_awake(self.ring.sleepers(), 1 << place);
    }

    /// The largest body of a record, in bytes: with its head a quarter of the
    /// ring, so that a full ring has room again before all of it was read.
    pub fn record_bytes_max(&self) -> usize {
        self.ring.capacity() as usize / 4 - RECORD_HEAD_BYTES
    }

    /// Room for the body of the next record, to be filled before
    /// [`Self::publish`] or [`Self::abandon`]. It holds what an old record left.
    ///
    /// # Errors
    /// [`ClaimError`], and nothing is changed.
    ///
    /// # Panics
    /// For [`Kind::PADDING`].
    #[inline]
    pub fn claim(&mut self, body_bytes: usize, kind: Kind) -> Result<&mut [u8], ClaimError> {
        assert_ne!(kind, Kind::PADDING, "padding is the ring's own");
        if body_bytes > self.record_bytes_max() {
            return Err(ClaimError::TooLarge);
        }
        let bytes = layout::record_bytes(body_bytes) as u64;
        let until_wrap = self.ring.until_wrap(self.claimed);
        let padding = if bytes > until_wrap { until_wrap } else { 0 };
        let end = Position(self.claimed.0 + padding + bytes);
        if end.0 - self.gate.0 > self.ring.capacity() {
            self.gate = self.least_cursor();
            if end.0 - self.gate.0 > self.ring.capacity() {
                return Err(ClaimError::Full);
            }
        }
        protocol::claim(self.ring.claimed(), end.0);
        if padding > 0 {
            self.write_head(padding as usize - RECORD_HEAD_BYTES, Kind::PADDING);
            self.claimed.0 += padding;
        }
        self.write_head(body_bytes, kind);
        let body_at = self.ring.offset(self.claimed) + RECORD_HEAD_BYTES;
        self.claimed = end;
        // SAFETY: no other reference of this process is there: consumers only look
        // at what is published, this is not and, after publishing, is handed out
        // again only once every cursor is past it (SYNC: gate); the slice borrows
        // `self`, so this process has no second one. Other processes read it as
        // atomic words, and believe them only when published and not claimed anew.
        Ok(unsafe { self.ring.memory().slice_mut(body_at, body_bytes) })
    }

    /// Makes all records that were claimed readable, at once, and wakes who sleeps.
    #[inline]
    pub fn publish(&mut self) {
        if self.published == self.claimed {
            return;
        }
        self.published = self.claimed;
        protocol::publish(self.ring.published(), self.published.0);
        let mut to_wake = protocol::to_wake(self.ring.sleepers());
        while to_wake != 0 {
            let place = to_wake.trailing_zeros() as usize;
            to_wake &= to_wake - 1;
            if let Some(Some(waker)) = self.wakers.get(place) {
                waker.wake();
            }
        }
    }

    /// Forgets all records that were claimed and not published.
    pub fn abandon(&mut self) {
        self.claimed = self.published;
    }

    /// The end of what readers may read.
    pub fn published(&self) -> Position {
        self.published
    }

    /// The position up to which records are durable; moved by whoever makes them so.
    pub fn commit(&self, position: Position) {
        protocol::publish(self.ring.committed(), position.0);
    }

    /// Bytes that consumers have not released.
    pub fn backlog(&self) -> u64 {
        self.published.0 - self.least_cursor().0
    }

    /// Whether a place has a consumer, and how many bytes it is behind.
    pub fn lag(&self, place: usize) -> Option<u64> {
        let cursor = protocol::gate(self.ring.cursor(place));
        (cursor != NO_CONSUMER).then(|| self.published.0.saturating_sub(cursor))
    }

    #[inline]
    fn write_head(&self, body_bytes: usize, kind: Kind) {
        let head: &AtomicU64 = self.ring.memory().word(self.ring.offset(self.claimed));
        let body_bytes = u32::try_from(body_bytes).expect("a quarter of the largest capacity");
        head.store(layout::head(body_bytes, kind), Relaxed);
    }

    /// The least cursor; a cursor that is not between what the ring still holds
    /// and what is published is a lie, and holds nothing up.
    fn least_cursor(&self) -> Position {
        let oldest = self.published.0.saturating_sub(self.ring.capacity());
        let cursors = (0..CONSUMERS_MAX).map(|place| protocol::gate(self.ring.cursor(place)));
        let honest = cursors.filter(|cursor| (oldest..=self.published.0).contains(cursor));
        Position(honest.min().unwrap_or(self.published.0))
    }
}

impl AsFd for Producer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}
