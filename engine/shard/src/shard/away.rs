//! Sessions that outlive their connections: left alone, found again, or over.
//!
//! Who is away is a member of its cohort without a seat. What it must not lose stands in
//! the cohort's log, once for all who are away, and in its own queue what nobody else gets.

use super::Shard;
use super::upward::Upward;
use crate::cohorts::{CohortId, CohortsFull, Form};
use crate::connections::Lag;
use crate::flow::WireForm;
use crate::sessions::{Queued, SessionId};
use crate::shares::Standing;
use ringcast_wire::ConnectionKey;

impl<Pass> Shard<Pass> {
    /// The index of a client's connection, if it is connected.
    pub(super) fn connection_of(&self, client_id: &[u8]) -> Option<u32> {
        let session = self.sessions.of_client(client_id)?;
        self.sessions.get(session).connection()
    }

    /// For how long a session outlives its connection from now on.
    pub(super) fn set_expiry(&mut self, id: SessionId, seconds: u32) {
        let session = self.sessions.get_mut(id);
        let change = i32::from(seconds > 0) - i32::from(session.is_persistent());
        session.expiry_seconds = seconds;
        let flow = self.flows.get_mut(session.cohort);
        flow.persistent = flow.persistent.wrapping_add_signed(change);
    }

    /// A connection ends, and its session does not.
    pub(super) fn leave_alone(&mut self, index: u32) {
        let id = self.connections.at(index).session;
        let cohort = self.connections.at(index).cohort;
        if self.session(index).lag.is_none() {
            let before = self.sequence_before(cohort, self.position(index));
            self.enter_log_behind(id, cohort, before);
        }
        self.leave_roster(index);
        self.flows.get_mut(cohort).away += 1;
        let now = self.now.seconds();
        let session = self.sessions.get_mut(id);
        session.set_connection(None);
        session.away_since = now;
        self.sessions.count_away(1);
        self.drop_momentary(id);
        self.trim_swept(cohort);
        self.set_standing(id, Standing::Away);
        self.arm(id);
    }

    /// Somebody's place in its cohort's log is behind this message.
    pub(super) fn enter_log_behind(&mut self, id: SessionId, cohort: CohortId, before: u64) {
        let log = match self.flows.get(cohort).log {
            Some(log) => log,
            None => self.begin_log(cohort),
        };
        let flow = self.flows.get_mut(cohort);
        flow.gave_up = false;
        if before < flow.lost_to {
            self.break_session(id);
        }
        let log_at = self.logs.after(log, before, &self.deliveries, &self.store);
        let lag = self.lags.insert(Lag {
            changed_to: before,
            at_topic: None,
            log_at,
            dropped: self.flows.get(cohort).dropped,
            away_to: 0,
        });
        self.sessions.get_mut(id).lag = Some(lag as u32);
    }

    /// What is not kept for who is away leaves its queue: QoS 0.
    fn drop_momentary(&mut self, id: SessionId) {
        for _ in 0..self.sessions.get(id).queue.len() {
            let Some(queued) = self.pop_queued(id) else {
                return;
            };
            let is_kept = match queued {
                Queued::Message(delivery) => self.deliveries.how(delivery).qos > 0,
                Queued::Retained(cursor) => self.cursor(cursor).is_acknowledged(),
            };
            match is_kept {
                true => self.push_queued(id, queued),
                false => self.drop_queued(queued),
            }
        }
    }

    /// Whether nothing is gone that the client of a session which is away must get.
    pub(super) fn is_whole(&self, id: SessionId) -> bool {
        let session = self.sessions.get(id);
        let log = self.flows.get(session.cohort).log;
        let has_all = match (session.lag, log) {
            (Some(lag), Some(log)) => self.lags[lag as usize].log_at >= self.logs.first(log),
            _ => true,
        };
        has_all && !session.is_broken
    }

    /// The client of a session which is away takes frames of this form. Returns the cohort
    /// where the session is now; it is still away.
    pub(super) fn come_back_as(
        &mut self,
        id: SessionId,
        form: Form,
    ) -> Result<CohortId, CohortsFull> {
        let from = self.sessions.get(id).cohort;
        let to = self.routes.change_form(from, form)?;
        if let Some(lag) = self.sessions.get(id).lag {
            // Of what is at QoS 0 nothing waits for who is away.
            self.lags[lag as usize].away_to = self.routing.sequence;
        }
        let wire_form = WireForm::ALL[usize::from(form.wire_form)];
        if to == from {
            self.flows.set_form(to, wire_form, form.packet_bytes_max);
            return Ok(to);
        }
        self.queue_log(id);
        self.remove_lag(id);
        let is_persistent = u32::from(self.sessions.get(id).is_persistent());
        let flow = self.flows.get_mut(from);
        flow.away -= 1;
        flow.persistent -= is_persistent;
        self.end_log_if_unneeded(from);
        self.found_unless_there(to, form);
        let flow = self.flows.get_mut(to);
        flow.away += 1;
        flow.persistent += is_persistent;
        self.sessions.get_mut(id).cohort = to;
        Ok(to)
    }

    /// Somebody who is away has a place in its cohort's log.
    pub(super) fn keep_place(&mut self, id: SessionId) {
        let session = self.sessions.get(id);
        if session.lag.is_none() {
            let (cohort, sequence) = (session.cohort, self.routing.sequence);
            self.enter_log_behind(id, cohort, sequence);
        }
    }

    /// Makes a cohort without members ready for some.
    pub(super) fn found_unless_there(&mut self, cohort: CohortId, form: Form) {
        if !self.flows.has_members(cohort) {
            let wire_form = WireForm::ALL[usize::from(form.wire_form)];
            self.flows.found(cohort, wire_form, form.packet_bytes_max);
        }
    }

    /// A session that was away has a connection again, with a seat.
    pub(super) fn on_back(&mut self, id: SessionId) {
        let cohort = self.sessions.get(id).cohort;
        let flow = self.flows.get_mut(cohort);
        flow.away -= 1;
        // It is in lag now, and not too slow for anything yet.
        flow.gave_up = false;
        self.sessions.count_away(-1);
        let sequence = self.routing.sequence;
        if let Some(lag) = self.sessions.get(id).lag {
            let dropped = self.flows.get(cohort).dropped;
            let lag = &mut self.lags[lag as usize];
            (lag.changed_to, lag.at_topic) = (sequence, None);
            lag.dropped = dropped;
        }
        self.set_standing(id, Standing::Ready);
    }

    /// A session's will is not to be published.
    pub(super) fn drop_will(&mut self, id: SessionId) {
        if let Some(will) = self.sessions.get_mut(id).take_will() {
            self.input_bytes -= will.bytes();
        }
    }

    /// A session is over: it is away, or its connection is being closed.
    pub(super) fn end_session(&mut self, id: SessionId) {
        self.publish_will(id);
        self.leave_shares(id);
        self.leave_private(id);
        let is_away = self.sessions.get(id).connection().is_none();
        self.remove_lag(id);
        self.return_flights(id);
        while let Some(queued) = self.pop_queued(id) {
            self.redirect_queued(queued);
            self.drop_queued(queued);
        }
        let session = self.sessions.get(id);
        let (cohort, is_persistent) = (session.cohort, session.is_persistent());
        let flow = self.flows.get_mut(cohort);
        flow.away -= u32::from(is_away);
        flow.persistent -= u32::from(is_persistent);
        self.sessions.count_away(-isize::from(is_away));
        self.end_log_if_unneeded(cohort);
        self.routes.leave(cohort);
        self.wheel.remove(id.0);
        self.sessions.end(id);
    }

    /// What a session has in flight is nobody's, but for what another member of a shared
    /// subscription may still get.
    fn return_flights(&mut self, id: SessionId) {
        while let Some(flight) = self.sessions.get_mut(id).window.pop(&mut self.flights) {
            if let Some(delivery) = flight.delivery {
                if flight.awaits == crate::window::Awaits::Puback {
                    self.redirect(delivery);
                }
                self.release(delivery);
            }
        }
    }

    /// The will of a session is published as soon as there is room (section 3.1.2.5).
    pub(super) fn publish_will(&mut self, id: SessionId) {
        let session = self.sessions.get_mut(id);
        let Some(will) = session.take_will() else {
            return;
        };
        self.input_bytes -= will.bytes();
        let client_id = session.client_id.clone();
        self.upward.push_back(Upward::Will { will, client_id });
    }

    /// A connection ended without a goodbye: its client's will is due, now or later.
    pub(super) fn on_will_due(&mut self, key: ConnectionKey) {
        let id = self.connections.at(key.index()).session;
        let session = self.sessions.get(id);
        if session.will().is_some_and(|will| will.delay_seconds == 0) {
            self.publish_will(id);
        }
    }

    /// What the time does to a session that is away.
    pub(super) fn age(&mut self, id: SessionId) {
        let session = self.sessions.get(id);
        // Whole seconds, of which neither the first nor the last need be whole.
        let away_for = self.now.seconds() - session.away_since;
        let will = session.will();
        if session.expiry_seconds != u32::MAX && away_for > session.expiry_seconds {
            self.counters.sessions_expired += 1;
            self.end_session(id);
            return;
        }
        if will.is_some_and(|will| away_for > will.delay_seconds) {
            self.publish_will(id);
        }
        self.arm(id);
    }

    /// When a session that is away is to be looked at next, in seconds.
    pub(super) fn age_next(&self, id: SessionId) -> u32 {
        let session = self.sessions.get(id);
        let delay = session.will().map_or(u32::MAX, |will| will.delay_seconds);
        session
            .away_since
            .saturating_add(session.expiry_seconds.min(delay))
            .saturating_add(1)
    }
}
