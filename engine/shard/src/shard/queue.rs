//! What waits in a session to be sent to it alone: redeliveries, what it had not been sent
//! when it left a cohort, retained messages, and what only it gets.
//!
//! ```text
//!   resend what is in flight │ queue │ log and last values, or stream
//! ```
//!
//! Messages are taken from it when the outbox has room and, at QoS 1 and 2, when the quota
//! allows. It outlives the connection, but for what is at QoS 0.

use super::{OUTBOX_FILL, Shard};
use crate::connections::Flags;
use crate::deliveries::{DeliveryId, How};
use crate::end::End;
use crate::sessions::{Queued, SessionId};
use crate::store::StoredId;
use crate::window::{Awaits, Flight};
use ringcast_codec::mqtt::{Acknowledge, Packet, PacketId};
use ringcast_ring::Message;

impl<Pass> Shard<Pass> {
    /// Puts a delivery into a session's queue, which is one more user of it. If there is no
    /// room, the session is not whole any more.
    pub(super) fn enqueue(&mut self, id: SessionId, delivery: DeliveryId) {
        if self.has_queue_room(id) {
            self.deliveries.share(delivery);
            self.push_queued(id, Queued::Message(delivery));
        } else {
            self.break_session(id);
        }
    }

    /// The message being routed, as a delivery with one user; `None` if there is no room.
    pub(super) fn keep_message(&mut self, message: &Message<'_>, how: How) -> Option<DeliveryId> {
        let stored = self.stored(message)?;
        let kept = self.keep(stored, how);
        self.counters.not_kept += u64::from(kept.is_none());
        kept
    }

    /// The message being routed goes to one session alone.
    pub(super) fn deliver_to(&mut self, id: SessionId, message: &Message<'_>, how: How) {
        let must_have = how.qos > 0;
        match self.keep_message(message, how) {
            Some(delivery) => self.give(id, delivery),
            None if must_have => self.break_session(id),
            None => {}
        }
    }

    /// A delivery goes to a session, which is its only user from now on.
    pub(super) fn give(&mut self, id: SessionId, delivery: DeliveryId) {
        self.enqueue(id, delivery);
        self.release(delivery);
    }

    /// Whether another message may wait for a session.
    pub(super) fn has_queue_room(&self, id: SessionId) -> bool {
        let session = self.sessions.get(id);
        let limits = &self.settings.limits;
        session.queue.len() < limits.queue_messages
            && (session.queued_bytes as usize) < limits.queue_bytes
            && self.queues.free_pages() > 0
    }

    /// A message is gone that a session must get: it ends, now or with its connection, and
    /// its client is told by that.
    pub(super) fn break_session(&mut self, id: SessionId) {
        let session = self.sessions.get_mut(id);
        session.is_broken = true;
        match session.connection() {
            Some(index) => self.doom(self.connections.at(index).key, End::TooSlow),
            None => self.broken.push(id),
        }
    }

    /// Sessions that are away and not whole are over.
    pub(super) fn end_broken(&mut self) {
        while let Some(id) = self.broken.pop() {
            let session = self.sessions.try_get(id);
            if session.is_some_and(|session| session.is_broken && session.connection().is_none()) {
                self.counters.sessions_broken += 1;
                self.end_session(id);
            }
        }
    }

    pub(super) fn push_queued(&mut self, id: SessionId, queued: Queued) {
        let session = self.sessions.get_mut(id);
        if !self.queues.push(&mut session.queue, Some(queued)) {
            self.drop_queued(queued);
            self.break_session(id);
            return;
        }
        let bytes = self.queued_bytes(queued);
        let session = self.sessions.get_mut(id);
        session.queued_bytes += bytes;
        if let Some(index) = session.connection() {
            self.connections.at_mut(index).flags.set(Flags::QUEUED);
            self.be_apart(index);
            self.list(self.connections.at(index).key);
        }
    }

    /// Whoever is in step has to wait with its stream for what is sent to it alone.
    pub(super) fn be_apart(&mut self, index: u32) {
        if let crate::roster::Region::Step(position) = self.region(index) {
            self.set_apart(index, position);
        }
    }

    pub(super) fn pop_queued(&mut self, id: SessionId) -> Option<Queued> {
        let queued = self.queues.pop(&mut self.sessions.get_mut(id).queue)?;
        let queued = queued.expect("only what is something is put there");
        let bytes = self.queued_bytes(queued);
        self.sessions.get_mut(id).queued_bytes -= bytes;
        Some(queued)
    }

    fn queued_bytes(&self, queued: Queued) -> u32 {
        match queued {
            Queued::Message(id) => self.store.bytes(self.deliveries.message(id)) as u32,
            Queued::Retained(_) => 0,
        }
    }

    /// What was in a queue is not needed there any more.
    pub(super) fn drop_queued(&mut self, queued: Queued) {
        match queued {
            Queued::Message(delivery) => self.release(delivery),
            Queued::Retained(cursor) => self.drop_cursor(cursor),
        }
    }

    /// A delivery has one user less.
    pub(super) fn release(&mut self, delivery: DeliveryId) {
        self.deliveries.release(delivery, &mut self.store);
    }

    /// A delivery of a stored message; `None` if there is no room.
    pub(super) fn keep(&mut self, message: StoredId, how: How) -> Option<DeliveryId> {
        self.deliveries.keep(message, how, &mut self.store)
    }

    /// Fills the outbox of a connection with what waits in its session. Returns whether
    /// nothing waits there any more.
    pub(super) fn fill_from_queue(&mut self, index: u32) -> bool {
        let id = self.connections.at(index).session;
        if !self.resend(index) {
            return false;
        }
        while let Some(&Some(queued)) = self.queues.front(self.sessions.get(id).queue) {
            if self.connections.at(index).outbox.len() >= OUTBOX_FILL {
                return false;
            }
            match queued {
                Queued::Message(delivery) => {
                    if !self.has_quota(index, self.deliveries.how(delivery).qos) {
                        return false;
                    }
                    self.pop_queued(id);
                    self.send_delivery(index, delivery);
                    self.release(delivery);
                }
                Queued::Retained(cursor) => {
                    if !self.fill_from_retained(index, cursor) {
                        return false;
                    }
                    self.pop_queued(id);
                    self.drop_cursor(cursor);
                }
            }
        }
        self.connections.at_mut(index).flags.clear(Flags::QUEUED);
        self.look_at_backlog(id);
        true
    }

    /// Whether a message at this quality of service may be sent now. If not, it waits for
    /// an acknowledgement.
    pub(super) fn has_quota(&mut self, index: u32, qos: u8) -> bool {
        let has = qos == 0 || self.session(index).window.room() > 0;
        if !has {
            self.connections.at_mut(index).flags.set(Flags::HELD);
        }
        has
    }

    /// Sends again what was in flight when the last connection ended [MQTT-4.4.0-1],
    /// [MQTT3-4.4.0-1]. Returns whether all of it is sent.
    fn resend(&mut self, index: u32) -> bool {
        let id = self.connections.at(index).session;
        while self.sessions.get(id).window.is_resending() {
            if self.connections.at(index).outbox.len() >= OUTBOX_FILL {
                return false;
            }
            let window = &mut self.sessions.get_mut(id).window;
            let Some(flight) = window.next_resent(&self.flights) else {
                self.connections.at_mut(index).flags.set(Flags::HELD);
                return false;
            };
            let packet_id = PacketId::new(flight.packet_id).expect("identifiers are not zero");
            match (flight.awaits, flight.delivery) {
                (Awaits::Pubcomp, _) => {
                    let key = self.connections.at(index).key;
                    self.reply(key, &Packet::Pubrel(Acknowledge::success(packet_id)));
                }
                (_, Some(delivery)) => self.send_again(index, delivery, packet_id),
                (_, None) => unreachable!("what is to be sent again is kept"),
            }
        }
        true
    }

    /// Sends a delivery for the first time. Its message may have died meanwhile.
    pub(super) fn send_delivery(&mut self, index: u32, delivery: DeliveryId) {
        let message = self.deliveries.message(delivery);
        let expires = self.store.about(message).expires_micros;
        if expires > 0 && expires <= self.now.wall_micros() {
            // [MQTT-3.3.2-5]
            return;
        }
        let how = self.deliveries.how(delivery).clone();
        self.send_stored(index, message, &how, Some(delivery));
    }

    /// A frame with an identifier of its session's own is on its way.
    pub(super) fn take_off(
        &mut self,
        index: u32,
        packet_id: PacketId,
        qos: u8,
        delivery: Option<DeliveryId>,
    ) {
        let id = self.connections.at(index).session;
        let delivery = delivery.map(|delivery| self.deliveries.share(delivery));
        let flight = Flight::new(packet_id, awaits(qos), delivery);
        let window = &mut self.sessions.get_mut(id).window;
        if !window.push(flight, &mut self.flights) {
            self.fail_flight(id, flight);
        }
    }

    /// What was in flight is over.
    pub(super) fn land(&mut self, id: SessionId, place: usize, flight: Flight) {
        let window = &mut self.sessions.get_mut(id).window;
        if !window.remove(place, flight, &mut self.flights) {
            self.break_session(id);
        }
    }

    /// There is no memory to remember what is in flight.
    pub(super) fn fail_flight(&mut self, id: SessionId, flight: Flight) {
        if let Some(delivery) = flight.delivery {
            self.release(delivery);
        }
        self.break_session(id);
    }

    /// What is left of a cohort's log for somebody moves to its queue.
    pub(super) fn queue_log(&mut self, id: SessionId) {
        let session = self.sessions.get(id);
        let (cohort, lag) = (session.cohort, session.lag);
        let Some((lag, log)) = lag.zip(self.flows.get(cohort).log) else {
            return;
        };
        loop {
            let at = self.lags[lag as usize].log_at;
            let Some(delivery) = self.logs.from(log, at).next() else {
                return;
            };
            let is_its = self.is_for(lag, delivery);
            self.lags[lag as usize].log_at.0 += 1;
            if is_its {
                self.deliveries.share(delivery);
                self.push_queued(id, Queued::Message(delivery));
            }
        }
    }

    /// Whether a message of the log is for somebody with this place there: of what came
    /// while it was away only what is kept for who is away.
    pub(super) fn is_for(&self, lag: u32, delivery: DeliveryId) -> bool {
        let about = self.store.about(self.deliveries.message(delivery));
        self.deliveries.how(delivery).qos > 0 || about.sequence > self.lags[lag as usize].away_to
    }
}

/// What a message at this quality of service waits for first.
pub(super) fn awaits(qos: u8) -> Awaits {
    match qos {
        2 => Awaits::Pubrec,
        _ => Awaits::Puback,
    }
}
