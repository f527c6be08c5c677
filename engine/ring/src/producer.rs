//! The one writer of a ring.

use crate::Consumer;
use crate::layout::{self, CONSUMERS_MAX, Kind, NO_CONSUMER, POSITION_MAX, RECORD_HEAD_BYTES};
use crate::memory::{Access, MemoryError};
use crate::protocol;
use crate::ring::{Position, Ring};
use crate::sleep::Waker;
use nix::fcntl::SealFlag;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Writes records, and publishes them one or many at a time.
///
/// ```
/// use ringcast_ring::{Kind, Producer, Waiting};
///
/// let mut producer = Producer::create("example", 4096)?;
/// let mut consumer = producer.consumer(Waiting::Spins).expect("60 places are free");
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
    /// The furthest that was ever claimed: what was abandoned may be half written,
    /// and taps have to know.
    claimed_max: Position,
    published: Position,
    /// The least of the consumers' cursors when they were last looked at.
    gate: Position,
    /// Whom it waits for. A cursor in any other place says nothing: whoever wrote it
    /// there was not given the place, or had it from an earlier producer.
    readers: Vec<Option<Reader>>,
    /// The places that have a reader, one bit for each.
    taken: u64,
    /// The places whose reader may park: while there is none, nobody has to be looked
    /// for after publishing.
    parking: u64,
    /// The places that a reader of another process has or had. It may write there
    /// though it was removed, so no consumer that reads in place ever gets one.
    lent: u64,
}

/// A consumer, as its producer knows it.
#[derive(Debug)]
enum Reader {
    /// In this process; it frees its place by being dropped. Without a bell if it never
    /// parks.
    Inside(Option<Arc<Waker>>),
    /// In another one.
    Outside(Waker),
}

impl Reader {
    fn wake(&self) {
        match self {
            Self::Inside(Some(waker)) => waker.wake(),
            Self::Inside(None) => (),
            Self::Outside(waker) => waker.wake(),
        }
    }
}

/// What a consumer does while there is nothing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// It looks again and again. A ring all of whose consumers do costs its producer
    /// the least.
    Spins,
    /// It may park. Then each publish has to be seen by everybody before the producer
    /// goes on, so that it sees who sleeps: tens of nanoseconds, for one record as for
    /// a thousand.
    Parks,
}

/// A bit for each place.
const PLACES: u64 = (1 << CONSUMERS_MAX) - 1;

/// The places whose bits are set.
fn places(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        bits &= bits.checked_sub(1)?;
        Some(place)
    })
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
        let ring = Arc::new(Ring::create(name, capacity)?);
        Ok(Self::new(ring, Position(0)))
    }

    /// Takes over a ring whose producer is gone. What it had published stays; what
    /// it had only begun is written over. Readers see a new epoch, and none of them
    /// is waited for until it is given the ring again: its bell is gone.
    ///
    /// # Errors
    /// [`MemoryError::InUse`] while the other producer lives; otherwise if the memory
    /// holds no ring that can be trusted, or was sealed for taps.
    pub fn take_over(file: OwnedFd) -> Result<Self, MemoryError> {
        let mut ring = Ring::open(file, Access::ReadWrite)?;
        ring.lock()?;
        let published = protocol::published(ring.published());
        let claimed = ring.claimed().load(Relaxed);
        let ahead = claimed.checked_sub(published);
        if !layout::is_aligned(published)
            || published > POSITION_MAX
            || ahead.is_none_or(|ahead| ahead > ring.capacity())
        {
            return Err(MemoryError::Corrupt);
        }
        // Before anything of the new epoch is published: SYNC: publish.
        ring.epoch().fetch_add(1, Relaxed);
        let mut lent = 0;
        for place in 0..CONSUMERS_MAX {
            if ring.cursor(place).swap(NO_CONSUMER, Relaxed) != NO_CONSUMER {
                lent |= 1 << place;
            }
        }
        protocol::stay_awake(ring.sleepers(), u64::MAX);
        Ok(Self {
            claimed_max: Position(claimed),
            lent,
            ..Self::new(Arc::new(ring), Position(published))
        })
    }

    fn new(ring: Arc<Ring>, published: Position) -> Self {
        Self {
            ring,
            claimed: published,
            claimed_max: published,
            published,
            gate: published,
            readers: (0..CONSUMERS_MAX).map(|_| None).collect(),
            taken: 0,
            parking: 0,
            lent: 0,
        }
    }

    /// Forbids everybody, for ever, to map the ring for writing anew: its memory
    /// can then be given to taps, which cannot harm it. Consumers of other
    /// processes, which must write their cursor, have to be there before, and nobody
    /// can take the ring over later.
    ///
    /// # Errors
    /// If the kernel does not know such seals (before Linux 5.1).
    pub fn seal_for_taps(&self) -> Result<(), MemoryError> {
        self.ring.memory().seal(SealFlag::F_SEAL_FUTURE_WRITE)
    }

    /// A descriptor that does not allow to write.
    pub(crate) fn read_only(&self) -> Result<OwnedFd, MemoryError> {
        self.ring.memory().reopen_read_only()
    }

    /// A consumer that begins with what is published next, and that the producer
    /// waits for until it is dropped. `None` if all places are taken, or the process
    /// has no descriptor left for the bell of one that parks.
    pub fn consumer(&mut self, waiting: Waiting) -> Option<Consumer> {
        let place = places(self.free_places() & !self.lent).next()?;
        let waker = match waiting {
            Waiting::Spins => None,
            Waiting::Parks => Some(Arc::new(Waker::new().ok()?)),
        };
        self.take_place(place, Reader::Inside(waker.clone()));
        let ring = Arc::clone(&self.ring);
        Some(Consumer::new(ring, place, self.published, waker))
    }

    /// A place for a consumer in another process, and the descriptor of its bell,
    /// open until the place is given back.
    pub(crate) fn add_outside(&mut self) -> Option<(usize, RawFd)> {
        // The last one, to leave the first to those that read in place.
        let place = places(self.free_places()).last()?;
        let waker = Waker::new().ok()?;
        let bell = waker.as_fd().as_raw_fd();
        self.lent |= 1 << place;
        self.take_place(place, Reader::Outside(waker));
        Some((place, bell))
    }

    fn take_place(&mut self, place: usize, reader: Reader) {
        self.ring.cursor(place).store(self.published.0, Relaxed);
        if !matches!(reader, Reader::Inside(None)) {
            self.parking |= 1 << place;
        }
        self.readers[place] = Some(reader);
        self.taken |= 1 << place;
    }

    fn leave_place(&mut self, place: usize) {
        self.readers[place] = None;
        self.taken &= !(1 << place);
        self.parking &= !(1 << place);
    }

    /// The places that nobody has, those of dropped consumers among them.
    fn free_places(&mut self) -> u64 {
        for place in places(self.taken) {
            let is_inside = matches!(self.readers[place], Some(Reader::Inside(_)));
            if is_inside && protocol::gate(self.ring.cursor(place)) == NO_CONSUMER {
                self.leave_place(place);
            }
        }
        PLACES & !self.taken
    }

    /// No longer waits for a consumer of another process, which is gone: the place is
    /// the one that [`Self::offer_consumer`] returned.
    ///
    /// # Panics
    /// For the place of a [`Consumer`] of this process, which reads in place: it
    /// leaves by being dropped.
    pub fn remove_consumer(&mut self, place: usize) {
        assert!(
            !matches!(self.readers.get(place), Some(Some(Reader::Inside(_)))),
            "a consumer of this process leaves by being dropped"
        );
        if places(self.taken).any(|taken| taken == place) {
            self.leave_place(place);
            self.ring.cursor(place).store(NO_CONSUMER, Relaxed);
            protocol::stay_awake(self.ring.sleepers(), 1 << place);
        }
    }

    /// The largest body of a record, in bytes: with its head a quarter of the
    /// ring, so that a full ring has room again before all of it was read.
    pub fn record_bytes_max(&self) -> usize {
        layout::record_bytes_max(self.ring.capacity()) as usize - RECORD_HEAD_BYTES
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
        // Never backwards: what was claimed and abandoned may be written half, and a
        // tap that copied it must see that.
        if end > self.claimed_max {
            self.claimed_max = end;
            protocol::claim(self.ring.claimed(), end.0);
        }
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
        if self.parking == 0 {
            return;
        }
        for place in places(protocol::to_wake(self.ring.sleepers())) {
            if let Some(Some(reader)) = self.readers.get(place) {
                reader.wake();
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
        let place = places(self.taken).find(|taken| *taken == place)?;
        let cursor = protocol::gate(self.ring.cursor(place));
        (cursor != NO_CONSUMER).then(|| self.published.0.saturating_sub(cursor))
    }

    /// Panics if anything does not hold that must hold between any two calls; walks
    /// over all records that consumers still need.
    pub fn invariants(&self) {
        let capacity = self.ring.capacity();
        let least = self.least_cursor();
        for position in [
            least,
            self.gate,
            self.published,
            self.claimed,
            self.claimed_max,
        ] {
            assert!(layout::is_aligned(position.0));
        }
        assert!(self.gate <= least && least <= self.published);
        assert!(self.published <= self.claimed && self.claimed <= self.claimed_max);
        assert!(
            self.claimed.0 - least.0 <= capacity,
            "a record that is needed is lost"
        );
        assert_eq!(protocol::published(self.ring.published()), self.published.0);
        assert_eq!(self.ring.claimed().load(Relaxed), self.claimed_max.0);
        for place in 0..CONSUMERS_MAX {
            assert_eq!(self.taken >> place & 1 == 1, self.readers[place].is_some());
        }
        let mut position = least;
        while position < self.claimed {
            let end = if position < self.published {
                self.published
            } else {
                self.claimed
            };
            let place = self
                .ring
                .place(position, end)
                .expect("a record stands there");
            position = place.next;
        }
        assert_eq!(position, self.claimed);
    }

    #[inline]
    fn write_head(&self, body_bytes: usize, kind: Kind) {
        let head: &AtomicU64 = self.ring.memory().word(self.ring.offset(self.claimed));
        let body_bytes = u32::try_from(body_bytes).expect("a quarter of the largest capacity");
        head.store(layout::head(body_bytes, kind), Relaxed);
    }

    /// The least cursor; a cursor that is not between what the ring still holds
    /// and what is published is a lie, and holds nothing up. That of an honest consumer
    /// always is: it began at `published`, read no further, and nothing was claimed
    /// a whole ring ahead of it. That of a dropped one never is.
    fn least_cursor(&self) -> Position {
        let oldest = self.published.0.saturating_sub(self.ring.capacity());
        let cursors = places(self.taken).map(|place| protocol::gate(self.ring.cursor(place)));
        let honest = cursors.filter(|cursor| (oldest..=self.published.0).contains(cursor));
        Position(honest.min().unwrap_or(self.published.0))
    }
}

impl AsFd for Producer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}
