//! What brings messages, whichever it is.

use crate::counters::Counters;
use crate::error::FeedError;
use crate::ingest::Now;
use crate::replay::Replay;
use crate::reports::Reports;
use crate::sequencer::{Limit, Sequencer, Stop, Taken};
use crate::settings::{FeedSettings, ReplaySettings, ShmSettings, SyntheticSettings};
use crate::shm::Shm;
use crate::synthetic::Synthetic;

/// A feed.
#[derive(Debug)]
pub enum Feed {
    /// None: all that there is comes from clients.
    None,
    /// A recording.
    Replay(Box<Replay>),
    /// Messages that are made up.
    Synthetic(Box<Synthetic>),
    /// The ring of a feed handler in another process.
    Shm(Box<Shm>),
}

/// How a feed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedState<'a> {
    /// What it is at.
    pub phase: Phase<'a>,
    /// When it last brought something, by the clock that turns are given. A feed that says
    /// nothing although it runs shows here.
    pub last_record_nanos: Option<u64>,
}

/// What a feed is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase<'a> {
    /// There is none.
    Off,
    /// Nothing is there yet: the first rows are being read, or no producer has come, or the
    /// last one is gone.
    Waiting,
    /// It brings messages, when there are some.
    Running,
    /// All that it had is in the ring.
    Ended,
    /// It brings nothing more. A producer that comes anew ends this.
    Failed {
        /// Why, as a sentence.
        reason: &'a str,
    },
}

/// What a feed has while it is visited.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) sequencer: &'a mut Sequencer,
    pub(crate) counters: &'a mut Counters,
    pub(crate) reports: &'a mut Reports,
    pub(crate) limit: Limit,
    pub(crate) now: Now,
}

/// How long to wait at most before looking again at what can not ring.
pub(crate) const LOOK_AGAIN_NANOS: u64 = 1_000_000;

/// Published so long after it was due, a message is late.
const LATE_NANOS: u64 = 1_000_000;

impl Feed {
    /// Opens the feed that the settings name.
    ///
    /// # Errors
    /// [`FeedError`], whose sentence names the setting or the file and what is expected.
    pub fn open(settings: &FeedSettings) -> Result<Self, FeedError> {
        match settings {
            FeedSettings::None => Ok(Self::None),
            FeedSettings::Replay(settings) => Self::replay(settings),
            FeedSettings::Synthetic(settings) => Self::synthetic(settings),
            FeedSettings::Shm(settings) => Self::shm(settings),
        }
    }

    /// A recording.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn replay(settings: &ReplaySettings) -> Result<Self, FeedError> {
        Ok(Self::Replay(Box::new(Replay::open(settings)?)))
    }

    /// Messages that are made up.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn synthetic(settings: &SyntheticSettings) -> Result<Self, FeedError> {
        Ok(Self::Synthetic(Box::new(Synthetic::new(settings)?)))
    }

    /// The ring of a feed handler in another process.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn shm(settings: &ShmSettings) -> Result<Self, FeedError> {
        Ok(Self::Shm(Box::new(Shm::listen(settings)?)))
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> Taken {
        match self {
            Self::None => Taken::default(),
            Self::Replay(replay) => replay.visit(visit),
            Self::Synthetic(synthetic) => synthetic.visit(visit),
            Self::Shm(shm) => shm.visit(visit),
        }
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Replay(replay) => replay.next_due(),
            Self::Synthetic(synthetic) => Some(synthetic.next_due()),
            Self::Shm(shm) => Some(shm.next_due()),
        }
    }

    pub(crate) fn phase(&self) -> Phase<'_> {
        match self {
            Self::None => Phase::Off,
            Self::Replay(replay) => replay.phase(),
            Self::Synthetic(_) => Phase::Running,
            Self::Shm(shm) => shm.phase(),
        }
    }
}

impl Visit<'_> {
    /// What stops a visit before the next message is looked at, if anything does.
    pub(crate) fn stop(&self, taken: &Taken) -> Option<Stop> {
        self.limit.is_reached(taken).then_some(Stop::Enough)
    }

    /// Counts a message that is published now and was due then.
    pub(crate) fn count_late(&mut self, due_nanos: u64) {
        if self.now.monotonic_nanos.saturating_sub(due_nanos) > LATE_NANOS {
            self.counters.feed_late += 1;
        }
    }
}
