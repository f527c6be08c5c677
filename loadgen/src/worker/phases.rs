//! How far a thread is: what it waits for, and what it does when that has come.

use super::{
    COMMANDS_EVERY_NANOS, Command, GOODBYE_NANOS_MAX, GOODBYES_MAX, LOOK_EVERY_NANOS, PINGS_MAX,
    Phase, SECOND, Told, Worker,
};
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;

impl Worker {
    /// Does what it is told.
    pub(super) fn obey(&mut self, now: u64) -> bool {
        if now - self.commanded_at < COMMANDS_EVERY_NANOS {
            return false;
        }
        self.commanded_at = now;
        let command = match self.commands.try_recv() {
            Ok(command) => command,
            Err(TryRecvError::Empty) => return false,
            // Nobody waits for what this does any more.
            Err(TryRecvError::Disconnected) => match self.phase {
                Phase::Goodbyes { .. } => return false,
                _ => Command::Finish,
            },
        };
        match command {
            Command::Start { at, rate } => {
                self.tell_tally();
                self.crowd.start(at, rate);
                self.churner.1 = 0;
                let ends = at + self.crowd.plan().scenario.load.duration.nanos();
                self.phase = Phase::Load {
                    begins: at,
                    ends,
                    is_stormed: false,
                };
            }
            Command::Settle(published) => {
                self.phase = Phase::Outstanding {
                    published,
                    since: now,
                    looked_at: 0,
                };
            }
            Command::Finish => {
                self.crowd.stop();
                self.phase = Phase::Goodbyes {
                    next: 0,
                    since: now,
                };
            }
        }
        true
    }

    /// Sees whether what this waits for has come; true if there is more to do at once.
    pub(super) fn advance(&mut self, now: u64) -> bool {
        match &mut self.phase {
            Phase::Connections => {
                let all_have_begun = self.next_client == self.crowd.count();
                if all_have_begun && self.crowd.underway() == 0 {
                    self.phase = Phase::Commands;
                    self.tell_tally();
                    self.tell(Told::Connected);
                }
                false
            }
            Phase::Commands | Phase::Over => false,
            Phase::Load { .. } => self.advance_load(now),
            Phase::Outstanding { .. } => self.advance_outstanding(now),
            Phase::Goodbyes { next, since } => {
                let since = *since;
                let has_more = self.crowd.end(*next, GOODBYES_MAX);
                *next += GOODBYES_MAX;
                let is_late = now - since > GOODBYE_NANOS_MAX;
                if !has_more && (self.crowd.are_all_away() || is_late) {
                    self.phase = Phase::Over;
                }
                has_more
            }
        }
    }

    fn advance_load(&mut self, now: u64) -> bool {
        let Phase::Load {
            begins,
            ends,
            is_stormed,
        } = &mut self.phase
        else {
            return false;
        };
        if now < *begins {
            return false;
        }
        let scenario = &self.crowd.plan().scenario;
        if let Some(storm) = &scenario.storm
            && !*is_stormed
            && now >= *begins + storm.at.nanos()
        {
            *is_stormed = true;
            let part = storm.part;
            self.crowd.storm(part);
            return true;
        }
        let ends = *ends;
        let begins = *begins;
        if let Some(churn) = &scenario.churn
            && now < ends
        {
            let due = (now - begins) as f64 / 1e9 * churn.rate * self.crowd.churn_share();
            let count = (due as u64).saturating_sub(self.churner.1).min(PINGS_MAX);
            if count > 0 {
                self.churner.0 = self.crowd.churn(self.churner.0, count as u32);
                self.churner.1 += count;
            }
        }
        let patience = self.crowd.plan().scenario.load.drain.nanos();
        let is_given_up = now > ends + patience;
        if now >= ends && (self.crowd.is_published() || is_given_up) {
            self.crowd.give_up_held();
            self.phase = Phase::Commands;
            self.tell(Told::Published(self.crowd.published()));
        }
        false
    }

    fn advance_outstanding(&mut self, now: u64) -> bool {
        let Phase::Outstanding {
            published,
            since,
            looked_at,
        } = &mut self.phase
        else {
            return false;
        };
        // With very many clients a look takes long, and while messages come there is seldom
        // need of one; but a stranger's may come for ever. What came in this very turn came
        // after its beginning.
        let silent = now.saturating_sub(self.crowd.came_at().max(*since));
        let looks_every = match silent < LOOK_EVERY_NANOS {
            true => SECOND,
            false => LOOK_EVERY_NANOS,
        };
        if now - *looked_at < looks_every {
            return false;
        }
        *looked_at = now;
        let patience = self.crowd.plan().scenario.load.drain.nanos();
        let is_over = match self.crowd.plan().is_shared() {
            // Who shares can't know what the others got.
            true => silent > patience.min(SECOND),
            false => {
                silent > patience
                    || !self.crowd.has_returning() && self.crowd.outstanding(published) == 0
            }
        };
        if is_over {
            let published = Arc::clone(published);
            self.crowd.settle(&published);
            self.phase = Phase::Commands;
            self.tell_tally();
            self.tell(Told::Settled);
        }
        false
    }
}
