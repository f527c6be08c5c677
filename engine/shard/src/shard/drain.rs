//! Draining: the shard is going down, and its clients leave in order.
//!
//! Clients are closed at a rate that their other servers can take, each when it has got
//! what is queued for it; who does not take it is closed when time is over.

use super::Shard;
use crate::connections::{Flags, State};
use crate::end::End;
use crate::roster::Region;

/// How it goes on.
pub(super) struct Drain {
    began_nanos: u64,
    ends_nanos: u64,
    per_second: u64,
    doomed: u64,
    /// The next index to look at.
    at: u32,
}

impl Drain {
    /// How long nothing can change by itself.
    pub(super) fn pause_nanos(&self) -> u64 {
        1_000_000_000 / self.per_second.clamp(1, 1_000)
    }
}

/// Connections that are looked at in one turn.
const LOOKED_MAX: u32 = 4_096;

impl<Pass> Shard<Pass> {
    /// Serves no newcomer any more, and closes so many clients a second, all of them
    /// before these seconds are over.
    pub fn drain(&mut self, per_second: u64, seconds: u64) {
        let began_nanos = self.now.monotonic_nanos;
        self.drain.get_or_insert(Drain {
            began_nanos,
            ends_nanos: began_nanos + seconds * 1_000_000_000,
            per_second: per_second.max(1),
            doomed: 0,
            at: 0,
        });
    }

    /// Whether nobody is left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drain.is_some() && (0..self.connections.end()).all(|index| self.is_free(index))
    }

    fn is_free(&self, index: u32) -> bool {
        self.connections.at(index).state == State::Free
    }

    pub(super) fn drain_some(&mut self) {
        let Some(mut drain) = self.drain.take() else {
            return;
        };
        let now = self.now.monotonic_nanos;
        let is_over = now >= drain.ends_nanos;
        let elapsed = now - drain.began_nanos;
        let due = (u128::from(elapsed) * u128::from(drain.per_second) / 1_000_000_000) as u64 + 1;
        let end = self.connections.end();
        for _ in 0..end.min(LOOKED_MAX) {
            if drain.doomed >= due && !is_over {
                break;
            }
            drain.at = if drain.at + 1 < end { drain.at + 1 } else { 0 };
            let connection = self.connections.at(drain.at);
            if connection.state == State::Open && (is_over || self.has_all(drain.at)) {
                self.doom(connection.key, End::Drained);
                drain.doomed += 1;
            }
        }
        self.drain = Some(drain);
    }

    /// Whether a client has got all that is queued for it.
    fn has_all(&self, index: u32) -> bool {
        let connection = self.connections.at(index);
        connection.outbox.is_empty()
            && !connection.flags.has(Flags::QUEUED)
            && self.region(index) != Region::Lag
            && self.backlog(index) == 0
    }
}
