//! Sends being put together, and what became of them.
//!
//! A batch names at most one send for each connection. Their bytes lie in an arena, or are
//! gathered here: what lies apart, or differs between connections.

use crate::arena::{Arena, ArenaOffset};
use crate::flow::WireForm;
use arrayvec::ArrayVec;
use ringcast_wire::{ConnectionKey, Failure, Reason, Wire};
use std::ops::Range;

/// The most sends of a batch: as many as a lane submits in one system call.
pub(crate) const SENDS_MAX: usize = 256;

/// Bytes that can be gathered. A batch with less room than [`GATHER_BYTES_MAX`] is full.
const GATHERED_BYTES: usize = 2 * 1024 * 1024;

/// The most bytes that are gathered for one send.
pub(crate) const GATHER_BYTES_MAX: usize = 256 * 1024;

/// A batch of sends, each with what its sender wants to know afterwards.
pub(crate) struct Batch<Tag> {
    sends: Vec<(ConnectionKey, Place, Tag)>,
    gathered: Vec<u8>,
    failures: Vec<Failure>,
    outcomes: Vec<Outcome>,
}

/// Where the bytes of a send lie.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Arena(WireForm, Range<ArenaOffset>),
    Gathered(Range<usize>),
}

/// What became of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The bytes that the socket took.
    pub(crate) sent: usize,
    /// Why not all.
    pub(crate) failed: Option<Reason>,
}

impl<Tag: Copy> Batch<Tag> {
    pub(crate) fn new() -> Self {
        Self {
            sends: Vec::with_capacity(SENDS_MAX),
            gathered: Vec::with_capacity(GATHERED_BYTES),
            failures: Vec::with_capacity(SENDS_MAX),
            outcomes: Vec::with_capacity(SENDS_MAX),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sends.is_empty()
    }

    /// How many sends it has.
    pub(crate) fn len(&self) -> usize {
        self.sends.len()
    }

    /// How many more sends it takes.
    pub(crate) fn room(&self) -> usize {
        if self.gathered.len() + GATHER_BYTES_MAX > GATHERED_BYTES {
            return 0;
        }
        SENDS_MAX - self.sends.len()
    }

    pub(crate) fn add(&mut self, key: ConnectionKey, place: Place, tag: Tag) {
        self.sends.push((key, place, tag));
    }

    /// Gathers bytes behind those that were gathered since this place, all of which then
    /// are one send's.
    pub(crate) fn gather(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
    }

    /// Where the next gathered byte lies.
    pub(crate) fn gathered(&self) -> usize {
        self.gathered.len()
    }

    /// Sends all of them, and returns how many bytes sockets took.
    pub(crate) fn send<W: Wire>(
        &mut self,
        arenas: &[Arena; WireForm::COUNT],
        wire: &mut W,
    ) -> usize {
        let bytes = |place: &Place| match place {
            Place::Arena(form, range) => arenas[*form as usize].bytes(range.clone()),
            Place::Gathered(range) => &self.gathered[range.clone()],
        };
        let mut sends = ArrayVec::<_, SENDS_MAX>::new();
        // Not collected, which would move all of it.
        sends.extend(
            self.sends
                .iter()
                .map(|(key, place, _)| (*key, bytes(place))),
        );
        self.failures.clear();
        wire.send_each(&sends, &mut self.failures);
        self.outcomes.clear();
        self.outcomes.extend(sends.iter().map(|(_, bytes)| Outcome {
            sent: bytes.len(),
            failed: None,
        }));
        for failure in &self.failures {
            self.outcomes[failure.place as usize] = Outcome {
                sent: failure.sent as usize,
                failed: Some(failure.reason),
            };
        }
        self.outcomes.iter().map(|outcome| outcome.sent).sum()
    }

    /// How many of them the sockets did not take all of.
    pub(crate) fn failed(&self) -> usize {
        self.failures.len()
    }

    /// One of them after the other, with what became of it.
    pub(crate) fn outcome(&self, at: usize) -> Option<(ConnectionKey, Tag, Outcome)> {
        let (key, _, tag) = self.sends.get(at)?;
        Some((*key, *tag, self.outcomes[at]))
    }

    /// One of those that failed after the other.
    pub(crate) fn failure(&self, at: usize) -> Option<(ConnectionKey, Tag, Outcome)> {
        let failure = self.failures.get(at)?;
        self.outcome(failure.place as usize)
    }

    pub(crate) fn clear(&mut self) {
        self.sends.clear();
        self.gathered.clear();
        self.failures.clear();
    }
}
