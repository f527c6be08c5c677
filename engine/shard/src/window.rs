//! What a session has in flight: messages at QoS 1 and 2 that its client has not
//! acknowledged, in the order in which they were first sent (sections 4.3, 4.6 and 4.9).
//!
//! ```text
//!   │ sent on this connection │ to be sent again │
//!     ◄──── counts for the quota
//! ```
//!
//! Packet identifiers come from two halves. Frames that a cohort shares have the same for
//! every receiver, `1 + q mod 32767`, where `q` counts the shard's messages that needed one;
//! all else takes the next free one from 32768 on. An identifier is in use until it is
//! acknowledged, whatever connection that happens on; so a member waits before a frame whose
//! identifier its oldest unacknowledged one may have.

use crate::deliveries::DeliveryId;
use crate::fifo::{Fifo, Fifos};
use ringcast_codec::mqtt::PacketId;

/// A message in flight: eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flight {
    pub(crate) packet_id: u16,
    pub(crate) awaits: Awaits,
    /// To be sent again on another connection, where that may be; released with PUBREC.
    pub(crate) delivery: Option<DeliveryId>,
}

/// The packet that a flight waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Awaits {
    /// At QoS 1.
    #[default]
    Puback,
    /// At QoS 2, after PUBLISH.
    Pubrec,
    /// At QoS 2, after PUBREL.
    Pubcomp,
}

/// The flights of all sessions.
pub(crate) type Flights = Fifos<Flight, 7>;

/// One session's.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    flights: Fifo,
    /// The `q` of the first that has one of the shared identifiers.
    oldest: u64,
    /// How many have one.
    shared: u16,
    /// How many were sent on this connection: those at the front.
    sent: u16,
    /// How many may be.
    quota: u16,
    next_own: u16,
}

impl Flight {
    /// Without what it would be sent again with.
    pub(crate) fn bare(self) -> Self {
        Self {
            delivery: None,
            ..self
        }
    }
}

/// How many identifiers each half has; the shared ones begin with 1, the others behind.
const SHARED_IDS: u16 = 32_767;
const OWN_IDS: u16 = 32_768;
const FIRST_OWN_ID: u16 = 32_768;

/// The identifier of the shard's message with this number among those that needed one.
pub(crate) fn shared_id(q: u64) -> PacketId {
    let id = 1 + q % u64::from(SHARED_IDS);
    PacketId::new(id as u16).expect("from 1 on")
}

impl Window {
    /// Another connection: at most so many may be in flight on it.
    pub(crate) fn on_connected(&mut self, quota: u16) {
        self.sent = 0;
        self.quota = quota;
    }

    pub(crate) fn len(&self) -> usize {
        self.flights.len()
    }

    /// How many more may be sent for the first time.
    pub(crate) fn room(&self) -> usize {
        match self.is_resending() {
            true => 0,
            false => usize::from(self.quota.saturating_sub(self.sent)),
        }
    }

    /// Whether some were not sent again yet.
    pub(crate) fn is_resending(&self) -> bool {
        usize::from(self.sent) < self.len()
    }

    /// Whether the identifier of the message with this number is free, as far as shared
    /// ones are concerned.
    pub(crate) fn allows(&self, q: u64) -> bool {
        self.shared == 0 || q - self.oldest < SHARED_IDS.into()
    }

    /// The next to be sent again, if the quota allows; it counts as sent then.
    pub(crate) fn next_resent(&mut self, flights: &Flights) -> Option<Flight> {
        if !self.is_resending() || self.sent >= self.quota {
            return None;
        }
        let flight = flights.iter(self.flights).nth(self.sent.into()).copied();
        self.sent += 1;
        flight
    }

    /// Frames with shared identifiers were begun, the first of which has this number. `false`
    /// if there is no memory for all of them.
    #[must_use]
    pub(crate) fn push_shared(&mut self, q: u64, run: &[Flight], flights: &mut Flights) -> bool {
        debug_assert!(self.allows(q) && !self.is_resending());
        if self.shared == 0 {
            self.oldest = q;
        }
        let pushed = flights.extend(&mut self.flights, run);
        if pushed {
            self.shared += run.len() as u16;
            self.sent += run.len() as u16;
        }
        pushed
    }

    /// A frame with an identifier of [its own](Self::next_own) was begun. `false` if there
    /// is no memory.
    #[must_use]
    pub(crate) fn push(&mut self, flight: Flight, flights: &mut Flights) -> bool {
        let pushed = flights.push(&mut self.flights, flight);
        self.sent += u16::from(pushed);
        pushed
    }

    /// An identifier that nothing of the session has, for something nobody else gets.
    pub(crate) fn next_own(&mut self, flights: &Flights) -> PacketId {
        loop {
            let id = FIRST_OWN_ID + self.next_own;
            self.next_own = (self.next_own + 1) % OWN_IDS;
            // There are more of them than a quota allows.
            if flights
                .iter(self.flights)
                .all(|flight| flight.packet_id != id)
            {
                return PacketId::new(id).expect("not zero");
            }
        }
    }

    /// The flight with this identifier, and its place.
    pub(crate) fn find(&self, packet_id: PacketId, flights: &Flights) -> Option<(usize, Flight)> {
        let mut all = flights.iter(self.flights).copied().enumerate();
        all.find(|(_, flight)| flight.packet_id == packet_id.get())
    }

    /// A client has received the message at this place, at QoS 2: it is not needed again.
    pub(crate) fn on_received(
        &mut self,
        place: usize,
        flights: &mut Flights,
    ) -> Option<DeliveryId> {
        let flight = flights.get_mut(self.flights, place);
        flight.awaits = Awaits::Pubcomp;
        flight.delivery.take()
    }

    /// The flight at this place is over, and its identifier free.
    pub(crate) fn remove(&mut self, place: usize, flights: &mut Flights) -> Flight {
        let flight = flights.remove(&mut self.flights, place);
        self.sent -= u16::from(place < self.sent.into());
        if flight.packet_id <= SHARED_IDS {
            self.shared -= 1;
            self.find_oldest(flights);
        }
        flight
    }

    /// All of them, from the first on.
    #[cfg(test)]
    pub(crate) fn iter(&self, flights: &Flights) -> impl Iterator<Item = Flight> {
        flights.iter(self.flights).copied()
    }

    /// Forgets the first.
    pub(crate) fn pop(&mut self, flights: &mut Flights) -> Option<Flight> {
        (self.len() > 0).then(|| self.remove(0, flights))
    }

    /// The first that is left with a shared identifier may be another one now, not as far
    /// behind as there are such identifiers.
    fn find_oldest(&mut self, flights: &Flights) {
        let ids = flights.iter(self.flights).map(|flight| flight.packet_id);
        if let Some(first) = ids.into_iter().find(|id| *id <= SHARED_IDS) {
            let ids = u64::from(SHARED_IDS);
            let behind = (u64::from(first) - 1 + ids - self.oldest % ids) % ids;
            self.oldest += behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Awaits, Flight, Flights, OWN_IDS, SHARED_IDS, Window, shared_id};
    use proptest::prelude::*;
    use ringcast_codec::mqtt::PacketId;

    proptest! {
        /// Identifiers in use differ, however the two halves come round, and no more are sent
        /// on a connection than its quota allows.
        #[test]
        fn no_identifier_is_used_twice(
            steps in prop::collection::vec((0..8_u8, 0..20_u64, any::<u16>()), 0..300),
            q in (0..4 * u64::from(SHARED_IDS)),
            next_own in 0..OWN_IDS,
        ) {
            let mut q = q;
            let mut flights = Flights::new(20);
            let mut window = Window { next_own, ..Window::default() };
            window.on_connected(9);
            // Their identifiers, and the number of those that have a shared one.
            let mut model: Vec<(u16, Option<u64>)> = Vec::new();
            let mut sent = 0;
            let mut quota = 9;
            for (kind, few, pick) in steps {
                let flight = |id: PacketId| Flight { packet_id: id.get(), ..Flight::default() };
                prop_assert_eq!(window.room(), if sent < model.len() { 0 } else { quota - sent.min(quota) });
                match kind {
                    0..3 => {
                        q += if few == 0 { u64::from(pick) } else { few };
                        let oldest = model.iter().find_map(|(_, q)| *q);
                        let is_free = oldest.is_none_or(|oldest| q - oldest < SHARED_IDS.into());
                        prop_assert_eq!(window.allows(q), is_free);
                        if window.room() > 0 && is_free {
                            let id = shared_id(q);
                            prop_assert!(model.iter().all(|(used, _)| *used != id.get()));
                            prop_assert!(window.push_shared(q, &[flight(id)], &mut flights));
                            model.push((id.get(), Some(q)));
                            sent += 1;
                        }
                    }
                    3 if window.room() > 0 => {
                        let id = window.next_own(&flights);
                        prop_assert!(id.get() > SHARED_IDS);
                        prop_assert!(model.iter().all(|(used, _)| *used != id.get()));
                        prop_assert!(window.push(flight(id), &mut flights));
                        model.push((id.get(), None));
                        sent += 1;
                    }
                    4 => {
                        quota = usize::from(pick) % 5 + 5;
                        window.on_connected(quota as u16);
                        sent = 0;
                    }
                    5 => {
                        let expected = (sent < model.len() && sent < quota).then(|| model[sent].0);
                        let next = window.next_resent(&flights);
                        prop_assert_eq!(next.map(|flight| flight.packet_id), expected);
                        sent += usize::from(expected.is_some());
                    }
                    _ if !model.is_empty() => {
                        let at = usize::from(pick) % model.len();
                        let id = PacketId::new(model[at].0).expect("not zero");
                        let (place, found) = window.find(id, &flights).expect("it is there");
                        prop_assert_eq!((place, found.packet_id), (at, id.get()));
                        if few % 2 == 0 {
                            window.on_received(place, &mut flights);
                            let (_, found) = window.find(id, &flights).expect("it is there");
                            prop_assert_eq!(found.awaits, Awaits::Pubcomp);
                        } else {
                            window.remove(place, &mut flights);
                            model.remove(at);
                            sent -= usize::from(at < sent);
                            prop_assert_eq!(window.find(id, &flights), None);
                        }
                    }
                    _ => {}
                }
                let ids: Vec<_> = window.iter(&flights).map(|flight| flight.packet_id).collect();
                prop_assert_eq!(ids, model.iter().map(|(id, _)| *id).collect::<Vec<_>>());
            }
        }
    }
}
