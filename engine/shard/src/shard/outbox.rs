//! Outboxes: what is sent to one connection alone, before anything of its stream.
//!
//! An outbox holds bytes of whole packets, but for its first, which may be the rest of a
//! frame that the socket took half of. Answers go there, retained messages, what a
//! connection had not been sent when it left a cohort, and all that it gets in lag. While
//! messages are in it, its connection is apart, so that the stream waits.

use super::{BACKLOG_MAX, Shard};
use crate::arena::Arena;
use crate::connections::Flags;
use crate::end::End;
use crate::flow::{Flow, WireForm};
use crate::roster::Region;
use crate::store::{About, Parts};
use crate::stream::{Pieces, Position};
use ringcast_codec::mqtt::{Packet, PublishFrame, QoS, SubscriptionIdentifier};
use ringcast_wire::ConnectionKey;

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

    /// Puts what was encoded into an outbox.
    fn post(&mut self, index: u32) {
        let connection = self.connections.at_mut(index);
        let key = connection.key;
        if self.outboxes.extend(&mut connection.outbox, &self.frame) {
            self.list(key);
        } else {
            self.doom(key, End::Quota);
        }
    }

    /// Encodes a message for one connection into its outbox.
    pub(super) fn deliver_alone(
        &mut self,
        index: u32,
        about: About,
        parts: Parts<'_>,
        retain: bool,
        identifiers: impl Iterator<Item = u32>,
    ) {
        let identifiers: smallvec::SmallVec<[_; 8]> = identifiers
            .filter_map(SubscriptionIdentifier::new)
            .collect();
        let frame = PublishFrame {
            version: self.connections.at(index).version,
            qos: QoS::AtMostOnce,
            retain,
            topic: Some(parts.topic()),
            message_expiry: super::route::seconds_left(
                about.expires_micros,
                self.now.wall_micros(),
            ),
            subscription_identifiers: &identifiers,
            properties: parts.properties(),
            payload: parts.payload,
        };
        let bytes_max = self.connections.client(index).packet_bytes_max as usize;
        let layout = frame.layout().ok().filter(|layout| layout.len <= bytes_max);
        let Some(layout) = layout else {
            // [MQTT-3.1.2-25]: it is as if it had been sent.
            self.counters.oversize += 1;
            return;
        };
        self.frame.clear();
        self.frame.resize(layout.len, 0);
        frame.encode(&layout, None, &mut self.frame);
        self.post(index);
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
    fn position(&self, index: u32) -> Position {
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

    /// Moves all that a connection was not sent of its stream into its outbox: it is
    /// apart then, at the stream's head. Closes it if there is no room.
    pub(super) fn take_backlog(&mut self, index: u32) {
        debug_assert!(self.backlog(index) <= BACKLOG_MAX);
        let from = self.position(index);
        let region = self.region(index);
        if region == Region::Lag {
            return;
        }
        let is_begun = region == Region::Apart && self.rest_of_frame(index) > 0;
        let head = self
            .flows
            .get(self.connections.at(index).cohort)
            .stream
            .head();
        if !self.move_to_outbox(index, from..head, is_begun) {
            let key = self.connections.at(index).key;
            self.doom(key, End::Quota);
        }
        self.set_apart(index, head);
    }

    /// Copies bytes of its stream into a connection's outbox: before what is there if it
    /// was sent the beginning of the first frame, else behind it.
    fn move_to_outbox(
        &mut self,
        index: u32,
        between: std::ops::Range<Position>,
        is_begun: bool,
    ) -> bool {
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
