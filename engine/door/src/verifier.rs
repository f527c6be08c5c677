//! Asks who a newcomer is without holding up the event loop.
//!
//! A password hash takes tens of milliseconds and megabytes by design, so only a few
//! run at once, on threads that may block, and only so many newcomers wait for theirs.

use crate::authenticate::{Authenticate, Claim, Denial, Verdict};
use crate::limits::Limits;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

#[derive(Debug)]
pub(crate) struct Verifier {
    /// Places to run and to wait.
    places: Semaphore,
    /// Places to run.
    running: Arc<Semaphore>,
}

/// Too many wait already.
#[derive(Debug)]
pub(crate) struct Busy;

impl Verifier {
    pub(crate) fn new(limits: &Limits) -> Self {
        let running = limits.verifications_max.get() as usize;
        let waiting = limits.verifications_waiting_max as usize;
        Self {
            places: Semaphore::new(running + waiting),
            running: Arc::new(Semaphore::new(running)),
        }
    }

    /// Judges a claim, when it is its turn.
    pub(crate) async fn verify(
        &self,
        authenticate: &Arc<dyn Authenticate>,
        claim: &Arc<Claim>,
    ) -> Result<Verdict, Busy> {
        if !authenticate.is_costly() {
            return Ok(authenticate.authenticate(claim));
        }
        let _place = self.places.try_acquire().map_err(|_| Busy)?;
        let running = Arc::clone(&self.running).acquire_owned();
        let running = running.await.expect("is never closed");
        let (authenticate, claim) = (Arc::clone(authenticate), Arc::clone(claim));
        let verification = spawn_blocking(move || {
            let verdict = authenticate.authenticate(&claim);
            // Held until here, so that a verification counts until it ends, even if
            // nobody waits for it any more.
            drop(running);
            verdict
        });
        // One that panicked has printed that, and says nothing of the claim.
        Ok(verification
            .await
            .unwrap_or(Verdict::Denied(Denial::Unavailable)))
    }
}
