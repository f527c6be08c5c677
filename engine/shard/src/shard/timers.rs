//! Timers: who is silent for too long, who takes nothing for too long, and who is away for
//! too long.
//!
//! Whatever a client does only notes the time. Its entry in the wheel looks at the notes
//! when it comes round, and is set anew.

use super::Shard;
use crate::connections::Flags;
use crate::end::End;
use crate::sessions::SessionId;

/// Seconds for which a client may take nothing of what it is sent alone.
const STALLED_SECONDS_MAX: u32 = 30;

/// Entries that are looked at in one turn.
const DUE_MAX: usize = 256;

impl<Pass> Shard<Pass> {
    /// Looks at those whose time may have come.
    pub(super) fn tick(&mut self) {
        let now = self.now.seconds();
        for _ in 0..DUE_MAX {
            let Some(number) = self.wheel.next_due(now.into()) else {
                return;
            };
            let id = SessionId(number);
            match self.sessions.get(id).connection() {
                None => self.age(id),
                Some(index) => match self.overdue(index) {
                    Some(end) => self.doom(self.connections.at(index).key, end),
                    None => self.arm(id),
                },
            }
        }
    }

    /// Why a client's time is over, if it is.
    fn overdue(&mut self, index: u32) -> Option<End> {
        let now = self.now.seconds();
        let connection = self.connections.at(index);
        let flags = connection.flags;
        let owes = !connection.outbox.is_empty() || flags.is_paused();
        let blocked_for = now.saturating_sub(connection.blocked_since);
        if flags.has(Flags::BLOCKED) && owes && blocked_for >= STALLED_SECONDS_MAX {
            return Some(End::TooSlow);
        }
        let client = self.connections.client_mut(index);
        if flags.is_paused() {
            // Its input is not read: nobody can say that it is silent.
            client.last_in = now;
        }
        let silence = now.saturating_sub(client.last_in);
        // Whole seconds, of which neither the first nor the last need be whole.
        (client.silence_max > 0 && silence > client.silence_max).then_some(End::KeepAlive)
    }

    /// Sets a session's entry for when it is to be looked at next.
    pub(super) fn arm(&mut self, id: SessionId) {
        let now = self.now.seconds();
        let next = match self.sessions.get(id).connection() {
            None => self.age_next(id).max(now + 1),
            Some(index) => {
                let client = self.connections.client(index);
                let silence_ends = match client.silence_max {
                    0 => u32::MAX,
                    most => client.last_in.saturating_add(most + 1),
                };
                silence_ends.clamp(now + 1, now + STALLED_SECONDS_MAX)
            }
        };
        self.wheel.set(id.0, next.into());
    }
}
