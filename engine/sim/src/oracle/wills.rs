//! Which wills come, and which do not (section 3.1.2.5, [MQTT-3.1.3-9]).

use super::link::{Goodbye, Link, State};
use super::{Oracle, Seen, Verdict};
use crate::kind::Kind;

/// A server counts whole seconds, of which neither the first nor the last need be whole, and
/// has to come to it.
const LATE_NANOS: u64 = 3_000_000_000;

impl Oracle {
    /// A connection is closed: who was not let in, or of whose goodbye the server knows, has no
    /// will. It does not know of one that it has read behind what it had no time for when
    /// something else ended the connection.
    pub(super) fn on_end_of(&self, link: &mut Link, seen: Seen) {
        let causes = link.causes;
        let may_have_ended_before = causes.taken_over
            || causes.silent
            || causes.fault
            || causes.untold
            || link.is_slow(seen)
            || self.bounds.has_short_queues
            || self.bounds.is_tight
            || self.bounds.is_draining;
        if causes.refused || (link.goodbye == Goodbye::Read && !may_have_ended_before) {
            link.will = None;
        }
    }

    /// A session goes on: a will that was not due before does not come any more, and has not
    /// come.
    pub(super) fn call_off_wills(&mut self, link: &Link, seen: Seen) -> Verdict {
        for before in &self.by_client[&link.client_id] {
            let Some(before) = self.links.get_mut(before) else {
                continue;
            };
            let is_early = before.will_delay_nanos > 0
                && seen.now_nanos < before.closed_nanos + before.will_delay_nanos;
            let is_its = before.is_closed
                && before.state != State::Connecting
                && before.session == link.session;
            if !is_early || !is_its || !std::mem::take(&mut before.asks.will) {
                continue;
            }
            // Otherwise nobody knows whose session this is.
            if !link.is_unknown {
                if before.will.take().is_none() && before.goodbye == Goodbye::Unsaid {
                    return Err(format!("the will of {before} came before it was due"));
                }
                self.counts.count(Kind::WillCalledOff);
            }
        }
        Ok(())
    }

    /// At the end: who ended without a goodbye has had its will, if it was due.
    pub(super) fn has_had_its_will(&self, link: &Link, now_nanos: u64) -> Verdict {
        let due_nanos = link.closed_nanos + link.will_delay_nanos;
        let is_due = link.is_closed
            && link.state != State::Connecting
            && link.goodbye == Goodbye::Unsaid
            && now_nanos >= due_nanos + LATE_NANOS
            // Its session may have gone on, without a word about it.
            && (link.will_delay_nanos == 0 || !link.is_followed);
        match is_due && link.will.is_some() && !self.bounds.is_draining {
            true => Err("its will never came".to_owned()),
            false => Ok(()),
        }
    }
}
