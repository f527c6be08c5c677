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
//!
//! What a send brought is one run as long as it is not acknowledged, if nothing of it is sent
//! again: so who gets much at once takes no more memory for that, nor of the caches, than who
//! gets little.

use crate::deliveries::DeliveryId;
use crate::fifo::{Fifo, Fifos};
use ringcast_codec::mqtt::PacketId;

/// A message in flight, or a run of some: eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flight {
    pub(crate) packet_id: u16,
    pub(crate) awaits: Awaits,
    /// So many more have the identifiers that follow, all shared ones, and are alike: at QoS 1,
    /// and never sent again.
    more: u8,
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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    flights: Fifo,
    /// The `q` of the first that has one of the shared identifiers, or [`NO_SHARED`].
    oldest: u64,
    /// How many there are.
    len: u16,
    /// How many were sent on this connection: those at the front.
    sent: u16,
    /// How many may be.
    quota: u16,
    next_own: u16,
}

/// No number of a message.
const NO_SHARED: u64 = u64::MAX;

impl Default for Window {
    fn default() -> Self {
        Self {
            flights: Fifo::default(),
            oldest: NO_SHARED,
            len: 0,
            sent: 0,
            quota: 0,
            next_own: 0,
        }
    }
}

impl Flight {
    /// A message.
    pub(crate) fn new(packet_id: PacketId, awaits: Awaits, delivery: Option<DeliveryId>) -> Self {
        Self {
            packet_id: packet_id.get(),
            awaits,
            more: 0,
            delivery,
        }
    }

    /// Without what it would be sent again with.
    pub(crate) fn bare(self) -> Self {
        Self {
            delivery: None,
            ..self
        }
    }

    /// How many messages it is.
    fn count(self) -> u16 {
        1 + u16::from(self.more)
    }

    /// Whether one of its messages has this identifier.
    fn has(self, packet_id: PacketId) -> bool {
        (self.packet_id..=self.packet_id + u16::from(self.more)).contains(&packet_id.get())
    }

    /// Its message with this identifier.
    fn one(self, packet_id: PacketId) -> Self {
        Self {
            packet_id: packet_id.get(),
            more: 0,
            ..self
        }
    }
}

/// Puts messages in flight, without what they would be sent again with, into as few runs as
/// they are.
pub(crate) fn to_runs(flights: &[Flight], runs: &mut Vec<Flight>) {
    runs.clear();
    for flight in flights {
        let last = runs.last_mut().filter(|last| {
            let is_next = last.packet_id + last.count() == flight.packet_id;
            is_next
                && last.more < u8::MAX
                && (last.awaits, flight.awaits) == (Awaits::Puback, Awaits::Puback)
        });
        match last {
            Some(last) => last.more += 1,
            None => runs.push(flight.bare()),
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
        debug_assert!(self.len() == self.flights.len(), "what lasts is in no runs");
        self.sent = 0;
        self.quota = quota;
    }

    pub(crate) fn len(&self) -> usize {
        self.len.into()
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
        self.sent < self.len
    }

    /// Whether the identifier of the message with this number is free, as far as shared
    /// ones are concerned.
    pub(crate) fn allows(&self, q: u64) -> bool {
        self.oldest == NO_SHARED || q - self.oldest < SHARED_IDS.into()
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
        let pushed = flights.extend(&mut self.flights, run);
        if pushed {
            if self.oldest == NO_SHARED {
                self.oldest = q;
            }
            let count: u16 = run.iter().map(|flight| flight.count()).sum();
            self.len += count;
            self.sent += count;
        }
        pushed
    }

    /// A frame with an identifier of [its own](Self::next_own) was begun. `false` if there
    /// is no memory.
    #[must_use]
    pub(crate) fn push(&mut self, flight: Flight, flights: &mut Flights) -> bool {
        let pushed = flights.push(&mut self.flights, flight);
        self.len += u16::from(pushed);
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

    /// The flight with this identifier, and the place where it or its run is.
    pub(crate) fn find(&self, packet_id: PacketId, flights: &Flights) -> Option<(usize, Flight)> {
        let mut all = flights.iter(self.flights).copied().enumerate();
        let (place, found) = all.find(|(_, flight)| flight.has(packet_id))?;
        Some((place, found.one(packet_id)))
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

    /// The flight that was [found](Self::find) at this place is over, and its identifier free.
    /// `false` if there is no memory for what is left of its run.
    #[must_use]
    pub(crate) fn remove(&mut self, place: usize, flight: Flight, flights: &mut Flights) -> bool {
        if !self.cut(place, flight, flights) {
            return false;
        }
        // Who has runs has nothing to send again.
        self.sent -= u16::from(place < self.sent.into());
        self.len -= 1;
        if flight.packet_id <= SHARED_IDS {
            self.find_oldest(flights);
        }
        true
    }

    /// Takes a flight out of what is at this place.
    fn cut(&mut self, place: usize, flight: Flight, flights: &mut Flights) -> bool {
        let run = flights.get_mut(self.flights, place);
        let (before, behind) = (
            flight.packet_id - run.packet_id,
            run.packet_id + u16::from(run.more) - flight.packet_id,
        );
        match (before, behind) {
            (0, 0) => {
                flights.remove(&mut self.flights, place);
            }
            (0, _) => {
                run.packet_id += 1;
                run.more -= 1;
            }
            (_, 0) => run.more -= 1,
            _ => {
                let rest = Flight {
                    packet_id: flight.packet_id + 1,
                    more: behind as u8 - 1,
                    ..flight
                };
                if !flights.insert(&mut self.flights, place + 1, rest) {
                    return false;
                }
                flights.get_mut(self.flights, place).more = before as u8 - 1;
            }
        }
        true
    }

    /// All of them, from the first on.
    #[cfg(test)]
    pub(crate) fn iter(&self, flights: &Flights) -> impl Iterator<Item = Flight> {
        let all = flights.iter(self.flights).copied();
        all.flat_map(|run| {
            let ids = run.packet_id..=run.packet_id + u16::from(run.more);
            ids.map(move |id| run.one(PacketId::new(id).expect("not zero")))
        })
    }

    /// Forgets the first, and all that is in a run with it.
    pub(crate) fn pop(&mut self, flights: &mut Flights) -> Option<Flight> {
        let first = flights.pop(&mut self.flights)?;
        let count = first.count();
        self.len -= count;
        self.sent = self.sent.saturating_sub(count);
        if first.packet_id <= SHARED_IDS {
            self.find_oldest(flights);
        }
        Some(first)
    }

    /// The first that is left with a shared identifier may be another one now, not as far
    /// behind as there are such identifiers.
    fn find_oldest(&mut self, flights: &Flights) {
        let mut ids = flights.iter(self.flights).map(|flight| flight.packet_id);
        let Some(first) = ids.find(|id| *id <= SHARED_IDS) else {
            self.oldest = NO_SHARED;
            return;
        };
        let ids = u64::from(SHARED_IDS);
        let behind = (u64::from(first) - 1 + ids - self.oldest % ids) % ids;
        self.oldest += behind;
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Awaits, Flight, Flights, NO_SHARED, OWN_IDS, SHARED_IDS, Window, shared_id, to_runs,
    };
    use proptest::prelude::*;
    use ringcast_codec::mqtt::PacketId;

    proptest! {
        /// Identifiers in use differ, however the two halves come round, and no more are sent
        /// on a connection than its quota allows.
        #[test]
        fn no_identifier_is_used_twice(
            lasts in any::<bool>(),
            steps in prop::collection::vec((0..8_u8, 0..20_u64, any::<u16>()), 0..300),
            q in (0..4 * u64::from(SHARED_IDS)),
            next_own in prop_oneof![0..OWN_IDS, OWN_IDS - 3..OWN_IDS],
        ) {
            let mut q = q;
            let mut flights = Flights::new(40);
            let mut window = Window { next_own, ..Window::default() };
            window.on_connected(30);
            // Their identifiers, and the number of those that have a shared one.
            let mut model: Vec<(u16, Option<u64>)> = Vec::new();
            let mut sent = 0;
            let mut quota = 30;
            let flight = |id: PacketId| Flight::new(id, Awaits::Puback, None);
            for (kind, few, pick) in steps {
                prop_assert_eq!(window.room(), if sent < model.len() { 0 } else { quota - sent.min(quota) });
                match kind {
                    0..3 => {
                        q += if few == 0 { u64::from(pick) } else { few };
                        let oldest = model.iter().find_map(|(_, q)| *q);
                        let is_free = |q: u64| oldest.is_none_or(|oldest| q - oldest < SHARED_IDS.into());
                        prop_assert_eq!(window.allows(q), is_free(q));
                        let most = window.room().min(usize::from(pick) % 9 + 1) as u64;
                        let run: Vec<u64> = (q..q + most).take_while(|q| is_free(*q)).collect();
                        if !run.is_empty() {
                            let ids: Vec<_> = run.iter().map(|q| shared_id(*q)).collect();
                            let is_used = |id: &PacketId| model.iter().any(|(used, _)| *used == id.get());
                            prop_assert!(!ids.iter().any(is_used));
                            let pushed: Vec<_> = ids.into_iter().map(flight).collect();
                            let mut runs = Vec::new();
                            to_runs(&pushed, &mut runs);
                            let pushed = if lasts { &pushed } else { &runs };
                            prop_assert!(window.push_shared(q, pushed, &mut flights));
                            model.extend(run.iter().map(|q| (shared_id(*q).get(), Some(*q))));
                            sent += run.len();
                            q += run.len() as u64 - 1;
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
                    4 if lasts => {
                        quota = usize::from(pick) % 25 + 5;
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
                        prop_assert_eq!(found.packet_id, id.get());
                        if lasts && few % 2 == 0 {
                            window.on_received(place, &mut flights);
                            let (_, found) = window.find(id, &flights).expect("it is there");
                            prop_assert_eq!(found.awaits, Awaits::Pubcomp);
                        } else {
                            prop_assert!(window.remove(place, found, &mut flights));
                            model.remove(at);
                            sent -= usize::from(at < sent);
                            prop_assert_eq!(window.find(id, &flights), None);
                        }
                    }
                    _ => {}
                }
                let ids: Vec<_> = window.iter(&flights).map(|flight| flight.packet_id).collect();
                prop_assert_eq!(window.len(), model.len());
                prop_assert_eq!(ids, model.iter().map(|(id, _)| *id).collect::<Vec<_>>());
            }
            while window.pop(&mut flights).is_some() {}
            prop_assert_eq!((window.len(), window.oldest, window.is_resending()), (0, NO_SHARED, false));
        }
    }

    #[test]
    fn what_one_send_brought_is_one_run() {
        let ids = [7, 8, 9, 11, 12].map(|id| PacketId::new(id).unwrap());
        let flights = ids.map(|id| Flight::new(id, Awaits::Puback, None));
        let mut runs = Vec::new();
        to_runs(&flights, &mut runs);
        assert_eq!(
            runs.iter().map(|run| run.count()).collect::<Vec<_>>(),
            [3, 2]
        );
        // At QoS 2 each goes on by itself.
        let flights = flights.map(|flight| Flight {
            awaits: Awaits::Pubrec,
            ..flight
        });
        to_runs(&flights, &mut runs);
        assert_eq!(runs, flights);
    }

    /// A client that acknowledges in an order of its own is served as long as there is memory.
    #[test]
    fn a_run_without_memory_is_not_cut() {
        let ids = [1, 2, 3].map(|id| PacketId::new(id).unwrap());
        let mut flights = Flights::new(1);
        let mut window = Window::default();
        window.on_connected(30);
        let mut runs = Vec::new();
        to_runs(
            &ids.map(|id| Flight::new(id, Awaits::Puback, None)),
            &mut runs,
        );
        assert!(window.push_shared(0, &runs, &mut flights));
        for id in 32_768..32_774 {
            let id = PacketId::new(id).unwrap();
            assert!(window.push(Flight::new(id, Awaits::Puback, None), &mut flights));
        }
        let (place, found) = window.find(ids[1], &flights).unwrap();
        assert!(!window.remove(place, found, &mut flights));
        assert_eq!(window.len(), window.iter(&flights).count());
        assert!(ids.iter().all(|id| window.find(*id, &flights).is_some()));
    }
}
