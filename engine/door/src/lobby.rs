//! Where newcomers sit from whom the door still waits for something.
//!
//! They sit in the order in which their time runs out, which for those whose CONNECT is
//! awaited is the order in which they came. Whoever is first is closed when its time is
//! up, or before that, to make room, when a newcomer comes and there is no place, or no
//! descriptor, for it. So those who connect and say nothing, or a byte now and then, keep
//! nobody out. A rule that spared those who sent something would spare whoever sends one
//! byte.
//!
//! Nobody has to go who only had no time to speak:
//!
//! - While the lobby holds half of all places, the first has seen as many come after it,
//!   and who speaks at once has left before that.
//! - While it holds fewer, it is not those who sit here that the others wait for, but
//!   verifications or homes. Then only those go who sit here for longer than a client
//!   needs, or were refused.
//!
//! To close is to abort the task that serves the newcomer, which drops all it holds.

use crate::counters::Counters;
use crate::limits::Limits;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// A seat in the lobby: when the time of who sits there is up, and a number that makes
/// it unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat(Instant, u64);

/// What a newcomer in the lobby is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The rest of its CONNECT.
    Connect,
    /// Its end: it was refused.
    End,
}

/// Longer than a client needs that wants to speak: its CONNECT has come, with one packet
/// lost on the way.
const SPARED_FOR: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Lobby {
    newcomers_max: usize,
    connect_time_max: Duration,
    seats: Mutex<Seats>,
    /// Someone sat down in front of all others.
    first_changed: Notify,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Seats {
    taken: BTreeMap<Seat, (AbortHandle, Awaited)>,
    next_number: u64,
    /// Nobody may sit down any more.
    is_closed: bool,
}

impl Lobby {
    pub(crate) fn new(limits: &Limits, counters: Arc<Counters>) -> Self {
        Self {
            newcomers_max: limits.newcomers_max.get() as usize,
            connect_time_max: limits.connect_time_max(),
            seats: Mutex::default(),
            first_changed: Notify::new(),
            counters,
        }
    }

    /// Seats the newcomer whose task `begin` starts, until that time.
    pub(crate) fn sit(
        &self,
        until: Instant,
        awaited: Awaited,
        begin: impl FnOnce(Seat) -> AbortHandle,
    ) -> Seat {
        let mut seats = self.lock();
        let seat = Seat(until, seats.next_number);
        seats.next_number += 1;
        // Under the lock: the task may leave its seat only after it has it.
        let task = begin(seat);
        if seats.is_closed {
            task.abort();
            return seat;
        }
        seats.taken.insert(seat, (task, awaited));
        let is_first = seats
            .taken
            .first_key_value()
            .is_some_and(|(first, _)| *first == seat);
        drop(seats);
        if is_first {
            self.first_changed.notify_one();
        }
        seat
    }

    /// Leaves the seat, and gives back the task that has it. `None` if it was closed
    /// already: it will notice at its next await.
    pub(crate) fn rise(&self, seat: Seat) -> Option<AbortHandle> {
        self.lock().taken.remove(&seat).map(|(task, _)| task)
    }

    /// Closes whoever is first, to make room, if it may have to go.
    pub(crate) fn make_room(&self) {
        let mut seats = self.lock();
        let is_crowded = seats.taken.len() * 2 >= self.newcomers_max;
        let had_time = Instant::now() + self.connect_time_max.saturating_sub(SPARED_FOR);
        if let Some(first) = seats.taken.first_entry()
            && (is_crowded || first.key().0 <= had_time)
        {
            let (task, awaited) = first.remove();
            if awaited == Awaited::Connect {
                Counters::add(&self.counters.displaced);
            }
            task.abort();
        }
    }

    /// Closes all, and whoever sits down from now on.
    pub(crate) fn close(&self) {
        let mut seats = self.lock();
        seats.is_closed = true;
        for (task, awaited) in std::mem::take(&mut seats.taken).into_values() {
            if awaited == Awaited::Connect {
                Counters::add(&self.counters.left);
            }
            task.abort();
        }
    }

    /// Closes each newcomer when its time is up. Never returns.
    pub(crate) async fn watch(&self) {
        loop {
            let first = self.lock().taken.first_key_value().map(|(seat, _)| *seat);
            match first {
                None => self.first_changed.notified().await,
                Some(Seat(until, _)) => tokio::select! {
                    () = sleep_until(until) => self.close_late(Instant::now()),
                    () = self.first_changed.notified() => {}
                },
            }
        }
    }

    fn close_late(&self, now: Instant) {
        let mut seats = self.lock();
        while let Some(first) = seats.taken.first_entry()
            && first.key().0 <= now
        {
            let (task, awaited) = first.remove();
            if awaited == Awaited::Connect {
                Counters::add(&self.counters.timed_out);
            }
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
