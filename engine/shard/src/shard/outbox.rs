//! Outboxes: what is sent to one connection alone, before anything of its stream.
//!
//! An outbox holds bytes of whole packets, but for its first, which may be the rest of a
//! frame that the socket took half of. Answers go there, retained messages, what a
//! connection had not been sent when it left a cohort, and all that it gets in lag. While
//! messages are in it, its connection is apart, so that the stream waits.

use super::Shard;
use super::queue::awaits;
use crate::arena::{Arena, Frame, FrameNumber};
use crate::cohorts::CohortId;
use crate::connections::{Connection, Flags};
use crate::deliveries::{DeliveryId, How};
use crate::end::End;
use crate::flow::{Flow, WireForm};
use crate::roster::Region;
use crate::sessions::SessionId;
use crate::store::{About, Parts, StoredId};
use crate::stream::{Pieces, Position};
use crate::window::{Flight, shared_id};
use ringcast_codec::market::as_conflated;
use ringcast_codec::mqtt::{Packet, PacketId, Property, PublishFrame, QoS, SubscriptionIdentifier};
use ringcast_wire::ConnectionKey;
use smallvec::SmallVec;
use std::ops::Range;

impl<Pass> Shard<Pass> {
    /// Answers a client. The answer is small, but for SUBACK.
    pub(super) fn reply(&mut self, key: ConnectionKey, packet: &Packet<'_>) {
        let version = self.connections.at(key.index()).version;
        let bytes = packet.encoded_len(version).expect("answers are not long");
        self.frame.clear();
        self.frame.resize(bytes, 0);
        packet
            .encode(version, &mut self.frame)
            .expect("its length could be told");
        self.post(key.index());
    }

    /// Puts what was encoded into an outbox, unless its connection is about to be closed: what
    /// is missing there already may not be followed by anything.
    pub(super) fn post(&mut self, index: u32) {
        let connection = self.connections.at_mut(index);
        let key = connection.key;
        if connection.flags.has(Flags::DOOMED) {
            return;
        }
        if self.outboxes.extend(&mut connection.outbox, &self.frame) {
            self.list(key);
        } else {
            self.doom(key, End::Quota);
        }
    }

    /// Encodes a stored message for one connection into its outbox. At QoS 1 and 2 there
    /// has to be [quota](Self::has_quota) for it; `delivery` is it, if it is one already.
    pub(super) fn send_stored(
        &mut self,
        index: u32,
        message: StoredId,
        how: &How,
        delivery: Option<DeliveryId>,
    ) {
        if !self.encode_alone(index, message, how, false) {
            return;
        }
        let id = self.connections.at(index).session;
        let session = self.sessions.get_mut(id);
        if how.qos > 0 {
            let packet_id = session.window.next_own(&self.flights);
            let is_kept = session.is_persistent() || how.group.is_some();
            let kept = match delivery {
                Some(delivery) if is_kept => Some(self.deliveries.share(delivery)),
                None if is_kept => self.keep(message, how.clone()),
                _ => None,
            };
            if is_kept && kept.is_none() {
                self.counters.not_kept += 1;
                self.break_session(id);
                return;
            }
            self.take_off(index, packet_id, how.qos, kept);
            self.set_packet_id(packet_id);
        }
        self.post(index);
    }

    /// Sends a message again that its client did not acknowledge on another connection.
    pub(super) fn send_again(&mut self, index: u32, delivery: DeliveryId, packet_id: PacketId) {
        let message = self.deliveries.message(delivery);
        let how = self.deliveries.how(delivery).clone();
        if self.encode_alone(index, message, &how, true) {
            self.set_packet_id(packet_id);
            self.post(index);
        } else {
            // [MQTT-3.1.2-25]: as if it had been sent, and its client had got it.
            let id = self.connections.at(index).session;
            let found = self.sessions.get(id).window.find(packet_id, &self.flights);
            let (place, flight) = found.expect("it is in flight");
            self.land(id, place, flight);
            self.release(delivery);
        }
    }

    /// Puts an identifier into the frame that was encoded last.
    fn set_packet_id(&mut self, packet_id: PacketId) {
        let at = self.packet_id_at;
        self.frame[at..at + 2].copy_from_slice(&packet_id.get().to_be_bytes());
    }

    /// Encodes a message for one connection, all but its identifier. `false` if the client
    /// does not take so large a packet.
    fn encode_alone(&mut self, index: u32, message: StoredId, how: &How, dup: bool) -> bool {
        let about = self.store.about(message);
        let mut buffer = std::mem::take(&mut self.message);
        let mut marked = std::mem::take(&mut self.marked);
        let mut parts = self.store.read(message, &mut buffer);
        if let Some(pieces) = as_conflated(parts.payload).filter(|_| how.is_conflated) {
            marked.clear();
            pieces
                .iter()
                .for_each(|piece| marked.extend_from_slice(piece));
            parts.payload = &marked;
        }
        let encoded = self.encode_parts(index, about, parts, how, dup);
        self.message = buffer;
        self.marked = marked;
        encoded
    }

    /// See [`Self::encode_alone`].
    fn encode_parts(
        &mut self,
        index: u32,
        about: About,
        parts: Parts<'_>,
        how: &How,
        dup: bool,
    ) -> bool {
        let version = self.connections.at(index).version;
        let identifiers = how.identifiers.iter().copied();
        let identifiers: SmallVec<[_; 8]> = identifiers
            .filter_map(SubscriptionIdentifier::new)
            .collect();
        let now_micros = self.now.wall_micros();
        let mut frame = PublishFrame {
            version,
            qos: QoS::from_bits(how.qos).expect("it is one"),
            retain: how.retain,
            topic: Some(parts.topic()),
            message_expiry: super::route::seconds_left(about.expires_micros, now_micros),
            subscription_identifiers: &identifiers,
            properties: parts.properties(),
            payload: parts.payload,
        };
        let mut properties = std::mem::take(&mut self.properties);
        let alias = self.own_alias(index, parts.topic);
        if let Some((alias, is_known)) = alias {
            properties.clear();
            properties.push(Property::TopicAlias(alias));
            properties.push_forwarded(frame.properties);
            frame.properties = properties.properties();
            if is_known {
                frame.topic = None;
            }
        }
        let bytes_max = self.connections.client(index).packet_bytes_max as usize;
        let layout = frame.layout().ok().filter(|layout| layout.len <= bytes_max);
        if let Some(layout) = &layout {
            self.frame.clear();
            self.frame.resize(layout.len, 0);
            let packet_id = (how.qos > 0).then(|| shared_id(0));
            frame.encode(layout, packet_id, &mut self.frame);
            if dup {
                // [MQTT-3.3.1-1]
                layout.set_dup(&mut self.frame);
            }
            self.packet_id_at = layout.packet_id_at.unwrap_or(0);
            if let Some((alias, false)) = alias {
                self.learn_own_alias(index, alias, parts.topic);
            }
        } else {
            // [MQTT-3.1.2-25]: it is as if it had been sent.
            self.counters.oversize += 1;
        }
        self.properties = properties;
        layout.is_some()
    }

    /// The alias that stands for a topic to a client, or is to from now on, and whether it
    /// does already (section 3.3.2.3.4). First come, first served, and for good.
    fn own_alias(&self, index: u32, topic: &[u8]) -> Option<(u16, bool)> {
        let client = self.connections.client(index);
        let most = client
            .aliases_max
            .min(self.settings.limits.topic_aliases_max);
        if most == 0 {
            return None;
        }
        let known = client
            .talk
            .as_ref()
            .map_or(&[][..], |talk| &talk.own_aliases);
        match known.iter().position(|known| **known == *topic) {
            Some(place) => Some((place as u16 + 1, true)),
            None if known.len() < most.into() => Some((known.len() as u16 + 1, false)),
            None => None,
        }
    }

    fn learn_own_alias(&mut self, index: u32, alias: u16, topic: &[u8]) {
        let known = &mut self.connections.talk_mut(index).own_aliases;
        debug_assert_eq!(known.len() + 1, usize::from(alias));
        known.push(topic.into());
    }

    /// How far into a frame a connection is that is apart: the bytes of the rest.
    pub(super) fn rest_of_frame(&self, index: u32) -> u64 {
        let connection = self.connections.at(index);
        let flow = self.flows.get(connection.cohort);
        let arena = &self.arenas[flow.wire_form as usize];
        rest_of_frame(flow, connection.cursor, &self.pieces, arena)
    }

    /// Bytes of its stream that a connection was not sent.
    pub(super) fn backlog(&self, index: u32) -> u64 {
        let flow = self.flows.get(self.connections.at(index).cohort);
        flow.stream.head().0 - self.position(index).0
    }

    /// Where a connection stands in its stream; who is in lag stands at its head.
    pub(super) fn position(&self, index: u32) -> Position {
        let connection = self.connections.at(index);
        let flow = self.flows.get(connection.cohort);
        match flow.roster.region(connection.seat) {
            Region::Step(position) => position,
            Region::Apart => connection.cursor,
            Region::Lag => flow.stream.head(),
        }
    }

    /// Moves the rest of the frame that a connection which is apart was sent half of into
    /// its outbox. `false` if there is no room.
    pub(super) fn finish_frame(&mut self, index: u32) -> bool {
        let rest = self.rest_of_frame(index);
        let from = self.connections.at(index).cursor;
        self.move_to_outbox(index, from..Position(from.0 + rest), true)
    }

    /// Moves all that a connection was not sent of its stream into its outbox, and what may
    /// not be sent yet into its queue: it is apart then, at the stream's head. Closes it if
    /// there is no room.
    pub(super) fn take_backlog(&mut self, index: u32) {
        let from = self.position(index);
        let region = self.region(index);
        if region == Region::Lag {
            return;
        }
        let rest = match region {
            Region::Apart => self.rest_of_frame(index),
            _ => 0,
        };
        let connection = self.connections.at(index);
        let flow = self.flows.get(connection.cohort);
        let head = flow.stream.head();
        let one_by_one = connection.flags.has(Flags::QUEUED) || from < flow.acknowledged;
        let end = match one_by_one {
            true => Position(from.0 + rest),
            false => head,
        };
        if !self.move_to_outbox(index, from..end, rest > 0) {
            let key = self.connections.at(index).key;
            self.doom(key, End::Quota);
        }
        if one_by_one {
            self.take_frames(index, end);
        }
        self.set_apart(index, head);
    }

    /// Moves the frames of its stream from a position on: into the outbox as long as they may
    /// be sent now, then into the queue.
    fn take_frames(&mut self, index: u32, from: Position) {
        let Connection {
            cohort, session, ..
        } = *self.connections.at(index);
        let flow = self.flows.get(cohort);
        let form = flow.wire_form as usize;
        let head = flow.stream.head();
        let mut begun = std::mem::take(&mut self.begun);
        self.frames_begun(cohort, from..head, &mut begun);
        for &number in &begun {
            let frame = *self.arenas[form].frame(number);
            let q = self.q_of(&frame);
            let may_go = !self.connections.at(index).flags.has(Flags::QUEUED)
                && (frame.qos == 0 || self.may_take_off(session, q));
            if may_go {
                self.frame.clear();
                let bytes = self.arenas[form].bytes(frame.at..frame.end());
                self.frame.extend_from_slice(bytes);
                self.post(index);
                if frame.qos > 0 {
                    self.take_off_shared(session, form, number);
                }
            } else {
                self.queue_frame(session, form, number);
            }
        }
        begun.clear();
        self.begun = begun;
    }

    /// The message of a frame waits in a session's queue from now on.
    pub(super) fn queue_frame(&mut self, session: SessionId, form: usize, number: FrameNumber) {
        if let Some(delivery) = self.body_of(form, number) {
            self.enqueue(session, delivery);
        } else {
            self.counters.not_kept += 1;
            self.break_session(session);
        }
    }

    /// The frames of a stream that begin between two positions.
    pub(super) fn frames_begun(
        &self,
        cohort: CohortId,
        between: Range<Position>,
        begun: &mut Vec<FrameNumber>,
    ) {
        begun.clear();
        let flow = self.flows.get(cohort);
        let arena = &self.arenas[flow.wire_form as usize];
        for stretch in flow.stream.stretches(between, &self.pieces, arena) {
            let begins = stretch
                .frames(arena)
                .filter(|(_, frame)| frame.at >= stretch.range.start);
            begun.extend(begins.map(|(number, _)| number));
        }
    }

    /// The number of a frame's message among those of the shard that needed an identifier.
    pub(super) fn q_of(&self, frame: &Frame) -> u64 {
        let newest = self.routing.identified;
        newest - u64::from((newest as u32).wrapping_sub(frame.q))
    }

    /// Whether a session may be sent the frame with this number.
    pub(super) fn may_take_off(&self, id: SessionId, q: u64) -> bool {
        let window = &self.sessions.get(id).window;
        window.room() > 0 && window.allows(q)
    }

    /// A session was sent a frame that others have too, or the beginning of it.
    pub(super) fn take_off_shared(&mut self, id: SessionId, form: usize, number: FrameNumber) {
        let frame = self.arenas[form].frame(number);
        let (q, flight) = (self.q_of(frame), self.flight_of(frame));
        self.take_off_run(id, q, &[flight], &[flight.bare()]);
    }

    /// What is noted of a frame of a stream for who acknowledges it.
    pub(super) fn flight_of(&self, frame: &Frame) -> Flight {
        let packet_id = shared_id(self.q_of(frame));
        Flight::new(
            packet_id,
            awaits(frame.qos),
            DeliveryId::from_body(frame.body),
        )
    }

    /// A session was sent these, the first of which has this number: with what they may be
    /// sent again with, which has one user more then, or bare, if it does not last.
    pub(super) fn take_off_run(&mut self, id: SessionId, q: u64, run: &[Flight], bare: &[Flight]) {
        let session = self.sessions.get_mut(id);
        let is_persistent = session.is_persistent();
        let flights = if is_persistent { run } else { bare };
        let is_whole = !is_persistent || run.iter().all(|flight| flight.delivery.is_some());
        if !is_whole || !session.window.push_shared(q, flights, &mut self.flights) {
            self.break_session(id);
            return;
        }
        for delivery in flights.iter().filter_map(|flight| flight.delivery) {
            self.deliveries.share(delivery);
        }
    }

    /// Copies bytes of its stream into a connection's outbox: before what is there if it
    /// was sent the beginning of the first frame, else behind it.
    fn move_to_outbox(&mut self, index: u32, between: Range<Position>, is_begun: bool) -> bool {
        let connection = self.connections.at_mut(index);
        let flow = self.flows.get(connection.cohort);
        let arena = &self.arenas[flow.wire_form as usize];
        self.frame.clear();
        for stretch in flow.stream.stretches(between, &self.pieces, arena) {
            self.frame.extend_from_slice(arena.bytes(stretch.range));
        }
        if is_begun {
            for chunk in self.outboxes.chunks(connection.outbox) {
                self.frame.extend_from_slice(chunk);
            }
            let behind = connection.outbox.len();
            self.outboxes.discard(&mut connection.outbox, behind);
        }
        self.outboxes.extend(&mut connection.outbox, &self.frame)
    }

    /// Whether what is sent next to a connection begins a packet.
    pub(super) fn is_between_packets(&self, index: u32) -> bool {
        let connection = self.connections.at(index);
        !connection.flags.has(Flags::BLOCKED)
            && connection.outbox.is_empty()
            && (self.region(index) != Region::Apart || self.rest_of_frame(index) == 0)
    }
}

/// How many bytes of the frame at a position are not before it; none if it begins there.
fn rest_of_frame(flow: &Flow, at: Position, pieces: &Pieces, arena: &Arena) -> u64 {
    match flow.stream.frame_at(at, pieces, arena) {
        Some((number, begin)) if begin < at => {
            begin.0 + u64::from(arena.frame(number).bytes) - at.0
        }
        _ => 0,
    }
}

const _: () = assert!(WireForm::COUNT == 2, "each version has its arena");
