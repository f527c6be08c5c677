//! What all newcomers of a door share: places, bans, homes.

use crate::addresses::Addresses;
use crate::bans::Bans;
use crate::counters::Counters;
use crate::home::{Home, Homes};
use crate::limits::Limits;
use crate::lobby::Lobby;
use crate::verifier::Verifier;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use tokio::time::timeout;

#[derive(Debug)]
pub(crate) struct Hall {
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) addresses: Addresses,
    pub(crate) lobby: Lobby,
    pub(crate) verifier: Verifier,
    pub(crate) homes: Homes,
    pub(crate) is_draining: AtomicBool,
    bans: RwLock<Bans>,
    /// One permit per place for a newcomer.
    places: Arc<Semaphore>,
    /// A newcomer has left.
    left: Arc<Notify>,
}

/// A newcomer's place, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    counters: Arc<Counters>,
    left: Arc<Notify>,
}

/// How long to wait at most for what is wanting before it is looked at again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

impl Hall {
    pub(crate) fn new(limits: Limits, homes: Vec<Home>) -> Self {
        let counters = Arc::new(Counters::default());
        Self {
            addresses: Addresses::new(&limits),
            lobby: Lobby::new(&limits, Arc::clone(&counters)),
            verifier: Verifier::new(&limits),
            homes: Homes::new(homes),
            is_draining: AtomicBool::new(false),
            bans: RwLock::default(),
            places: Arc::new(Semaphore::new(limits.newcomers_max.get() as usize)),
            left: Arc::default(),
            limits,
            counters,
        }
    }

    /// A place for one more newcomer. Waits while there is none, and lets the lobby make
    /// room if it has someone who may go.
    pub(crate) async fn place(&self) -> Place {
        if self.places.available_permits() == 0 {
            // Whose CONNECT has come by now, or who has left, shall notice before anyone
            // has to go.
            yield_now().await;
        }
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
                break permit;
            }
            self.lobby.make_room();
            let permit = Arc::clone(&self.places).acquire_owned();
            if let Ok(permit) = timeout(RETRY_AFTER, permit).await {
                break permit.expect("is never closed");
            }
        };
        Counters::add(&self.counters.accepted);
        Counters::add(&self.counters.newcomers);
        Place {
            _permit: permit,
            counters: Arc::clone(&self.counters),
            left: Arc::clone(&self.left),
        }
    }

    /// Waits until a newcomer has left and given back what it held, or a little, for what
    /// is wanting may be freed by others. For somebody who waits, the lobby makes room if
    /// it has someone who may go.
    pub(crate) async fn regain(&self, somebody_waits: bool) {
        let mut left = pin!(self.left.notified());
        // Before anyone can leave.
        left.as_mut().enable();
        if somebody_waits {
            self.lobby.make_room();
        }
        // Too late is as good: it is tried again in either case.
        let _ = timeout(RETRY_AFTER, left).await;
    }

    /// Waits until no newcomer is there.
    pub(crate) async fn empty(&self) {
        let all = self.places.acquire_many(self.limits.newcomers_max.get());
        drop(all.await.expect("is never closed"));
    }

    pub(crate) fn set_bans(&self, bans: Bans) {
        *self.bans.write().unwrap_or_else(PoisonError::into_inner) = bans;
    }

    pub(crate) fn is_banned(&self, test: impl FnOnce(&Bans) -> bool) -> bool {
        test(&self.bans.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counters.newcomers.fetch_sub(1, Ordering::Relaxed);
        self.left.notify_waiters();
    }
}
