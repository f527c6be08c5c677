//! Serving connections alone: those who are apart or in lag, and those who are answered.
//!
//! ```text
//!   one send:   rest of a frame │ outbox │ stream
//! ```

use super::{OUTBOX_FILL, OUTBOX_SENT_MAX, SERVED_MAX, Shard};
use crate::arena::Frame;
use crate::batch::{Outcome, Place};
use crate::connections::{Connection, Flags};
use crate::end::End;
use crate::flow::WireForm;
use crate::roster::Region;
use crate::stream::Position;
use ringcast_wire::{ConnectionKey, Reason, Wire};

/// What a send to one connection is made of, in bytes; what is behind is of its stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Serving {
    rest: u32,
    outbox: u32,
}

impl<Pass> Shard<Pass> {
    /// Serves those in the list, each once.
    pub(super) fn serve<W: Wire>(&mut self, wire: &mut W) -> bool {
        let mut left = self.listed.len().min(SERVED_MAX);
        let mut any = false;
        while left > 0 {
            while left > 0 && self.serving.room() > 0 {
                left -= 1;
                let Some(key) = self.listed.pop_front() else {
                    break;
                };
                self.compose(key);
            }
            any |= !self.serving.is_empty();
            self.send_served(wire);
        }
        any
    }

    /// Puts together what a connection is sent next, if anything.
    fn compose(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.open_mut(key) else {
            return;
        };
        connection.flags.clear(Flags::LISTED);
        let flags = connection.flags;
        if flags.has(Flags::BLOCKED) {
            return;
        }
        let index = key.index();
        let is_doomed = flags.has(Flags::DOOMED);
        let has_all = is_doomed || self.fill(index);
        let before = self.serving.len();
        match self.region(index) {
            Region::Lag if has_all && self.connections.at(index).outbox.is_empty() => {
                if !is_doomed {
                    self.rise(index);
                }
            }
            Region::Apart => self.compose_apart(index, has_all && !is_doomed),
            _ => self.compose_outbox(index, 0),
        }
        let is_held = self.connections.at(index).flags.has(Flags::HELD);
        if !has_all && !is_held && self.serving.len() == before {
            // It was looked through topics that it does not get, and not through all.
            self.list(key);
        }
    }

    /// Fills the outbox with what waits for room there. Returns whether nothing waits, and
    /// nothing keeps the connection where it is served.
    fn fill(&mut self, index: u32) -> bool {
        if self.connections.at(index).outbox.len() >= OUTBOX_FILL {
            return false;
        }
        let is_lagging = self.region(index) == Region::Lag;
        let is_queued = self.connections.at(index).flags.has(Flags::QUEUED);
        if is_queued && !self.fill_from_queue(index) {
            // Fast service may begin behind it.
            return is_lagging && !self.has_lag(index);
        }
        !is_lagging || self.fill_from_lag(index)
    }

    /// Gathers the outbox behind so many bytes of the same send.
    fn compose_outbox(&mut self, index: u32, rest: usize) {
        let connection = self.connections.at(index);
        let begin = self.serving.gathered() - rest;
        let mut outbox = 0;
        for chunk in self.outboxes.chunks(connection.outbox) {
            if outbox + chunk.len() > OUTBOX_SENT_MAX {
                break;
            }
            self.serving.gather(chunk);
            outbox += chunk.len();
        }
        let end = self.serving.gathered();
        if end > begin {
            let parts = Serving {
                rest: rest as u32,
                outbox: outbox as u32,
            };
            let place = Place::Gathered(begin..end);
            self.serving.add(connection.key, place, parts);
        }
    }

    /// What somebody apart is sent: first what it is in the middle of, then its outbox,
    /// then its stream, if it may have that.
    fn compose_apart(&mut self, index: u32, with_stream: bool) {
        let connection = self.connections.at(index);
        let (key, cursor) = (connection.key, connection.cursor);
        let is_outbox_empty = connection.outbox.is_empty();
        let head = self.flows.get(connection.cohort).stream.head();
        if is_outbox_empty && with_stream {
            if cursor < head {
                self.compose_stream(index);
            } else if !self.step(index) {
                self.list(key);
            }
            return;
        }
        let rest = self.rest_of_frame(index);
        let to = Position(cursor.0 + rest);
        if rest > OUTBOX_SENT_MAX as u64 {
            // From where it lies, and by itself.
            self.compose_piece(index, to);
            return;
        }
        let begin = self.serving.gathered();
        self.gather_stream(index, to);
        self.compose_outbox(index, self.serving.gathered() - begin);
    }

    /// As much of its stream as one send takes, and as it may be sent.
    fn compose_stream(&mut self, index: u32) {
        let connection = self.connections.at(index);
        let (key, cursor) = (connection.key, connection.cursor);
        let flow = self.flows.get(connection.cohort);
        let arena = &self.arenas[flow.wire_form as usize];
        let to = cursor.0 + u64::from(arena.piece_bytes_max());
        let to = Position(flow.stream.head().0.min(to));
        let to = self.end_of_quota(index, to);
        if to == cursor {
            self.connections.at_mut(index).flags.set(Flags::HELD);
            return;
        }
        let fresh = self.end_of_fresh(index, to);
        if fresh > cursor {
            self.compose_piece(index, fresh);
            return;
        }
        self.renew(index, to);
        if self.connections.at(index).outbox.is_empty() {
            self.list(key);
        } else {
            self.compose_outbox(index, 0);
        }
    }

    /// How far in its stream a connection may be sent frames as they are, at most up to a
    /// position: up to the first that says that its message lives longer than it does.
    fn end_of_fresh(&self, index: u32, to: Position) -> Position {
        let connection = self.connections.at(index);
        let flow = self.flows.get(connection.cohort);
        if connection.cursor >= flow.dying {
            return to;
        }
        let now_micros = self.now.wall_micros();
        self.end_before(index, to, |frame| {
            is_stale(frame, flow.wire_form, now_micros)
        })
    }

    /// The stale frames that its stream goes on with, up to a position, move to a connection's
    /// outbox, encoded anew [MQTT-3.3.2-6]; whose messages have expired, they are left out.
    fn renew(&mut self, index: u32, to: Position) {
        let Connection {
            cohort, session, ..
        } = *self.connections.at(index);
        let form = self.flows.get(cohort).wire_form;
        let now_micros = self.now.wall_micros();
        let mut begun = std::mem::take(&mut self.begun);
        self.frames_begun(cohort, self.connections.at(index).cursor..to, &mut begun);
        for &number in &begun {
            let frame = *self.arenas[form as usize].frame(number);
            let is_full = self.connections.at(index).outbox.len() >= OUTBOX_FILL;
            if is_full || !is_stale(&frame, form, now_micros) {
                break;
            }
            let Some(delivery) = self.body_of(form as usize, number) else {
                self.counters.not_kept += 1;
                self.break_session(session);
                break;
            };
            self.connections.at_mut(index).cursor.0 += u64::from(frame.bytes);
            self.send_delivery(index, delivery);
        }
        begun.clear();
        self.begun = begun;
    }

    /// Its stream up to a position, from where it lies if that is one place.
    fn compose_piece(&mut self, index: u32, to: Position) {
        let connection = self.connections.at(index);
        let (key, cursor) = (connection.key, connection.cursor);
        let flow = self.flows.get(connection.cohort);
        let form = flow.wire_form;
        let arena = &self.arenas[form as usize];
        let mut stretches = flow.stream.stretches(cursor..to, &self.pieces, arena);
        let first = stretches.next();
        let is_one = stretches.next().is_none();
        drop(stretches);
        let place = match first {
            Some(first) if is_one => Place::Arena(form, first.range),
            _ => {
                let begin = self.serving.gathered();
                self.gather_stream(index, to);
                Place::Gathered(begin..self.serving.gathered())
            }
        };
        let parts = Serving { rest: 0, outbox: 0 };
        self.serving.add(key, place, parts);
    }

    /// How far in its stream a connection may be sent, at most up to a position: up to the
    /// first frame that has to wait for an acknowledgement.
    fn end_of_quota(&mut self, index: u32, to: Position) -> Position {
        let Connection {
            cohort,
            session,
            cursor,
            ..
        } = *self.connections.at(index);
        let flow = self.flows.get(cohort);
        if cursor >= flow.acknowledged {
            return to;
        }
        let window = &self.sessions.get(session).window;
        let mut room = window.room();
        self.end_before(index, to, |frame| {
            let is_acknowledged = frame.qos > 0;
            let has_to_wait = is_acknowledged && (room == 0 || !window.allows(self.q_of(frame)));
            room -= usize::from(is_acknowledged && !has_to_wait);
            has_to_wait
        })
    }

    /// The position of the first frame that begins in a connection's stream, before another
    /// position, and is the one looked for; else that other position.
    fn end_before(
        &self,
        index: u32,
        to: Position,
        mut is_it: impl FnMut(&Frame) -> bool,
    ) -> Position {
        let Connection { cohort, cursor, .. } = *self.connections.at(index);
        let flow = self.flows.get(cohort);
        let arena = &self.arenas[flow.wire_form as usize];
        for stretch in flow.stream.stretches(cursor..to, &self.pieces, arena) {
            for (_, frame) in stretch.frames(arena) {
                if frame.at >= stretch.range.start && is_it(frame) {
                    let before = frame.at.0 - stretch.range.start.0;
                    return Position(stretch.position.0 + before);
                }
            }
        }
        to
    }

    fn gather_stream(&mut self, index: u32, to: Position) {
        let connection = self.connections.at(index);
        let flow = self.flows.get(connection.cohort);
        let arena = &self.arenas[flow.wire_form as usize];
        let between = connection.cursor..to;
        for stretch in flow.stream.stretches(between, &self.pieces, arena) {
            self.serving.gather(arena.bytes(stretch.range));
        }
    }

    fn send_served<W: Wire>(&mut self, wire: &mut W) {
        let bytes = self.serving.send(&self.arenas, wire);
        self.counters.sent_bytes += bytes as u64;
        self.counters.blocked += self.serving.failed() as u64;
        let mut at = 0;
        while let Some((key, parts, outcome)) = self.serving.outcome(at) {
            self.after_serving(key, parts, outcome);
            at += 1;
        }
        self.counters.sends += at as u64;
        self.serving.clear();
    }

    fn after_serving(&mut self, key: ConnectionKey, parts: Serving, outcome: Outcome) {
        let index = key.index();
        let region = self.region(index);
        let rest = outcome.sent.min(parts.rest as usize);
        let outbox = (outcome.sent - rest).min(parts.outbox as usize);
        let stream = outcome.sent - outbox;
        let connection = self.connections.at_mut(index);
        self.outboxes.discard(&mut connection.outbox, outbox);
        if connection.flags.has(Flags::CONGESTED) && connection.outbox.len() <= OUTBOX_FILL {
            connection.flags.clear(Flags::CONGESTED);
            self.park(key);
        }
        let connection = self.connections.at_mut(index);
        if region == Region::Apart {
            let from = connection.cursor;
            connection.cursor.0 += stream as u64;
            self.note_served(index, from);
        }
        match outcome.failed {
            None => self.list_if_more(index),
            Some(reason) => {
                if let Region::Step(position) = region {
                    self.set_apart(index, position);
                }
                self.on_send_failed(key, reason);
            }
        }
    }

    /// Remembers what a connection was sent of its stream since it stood at a position.
    fn note_served(&mut self, index: u32, from: Position) {
        let Connection {
            cohort,
            session,
            cursor,
            ..
        } = *self.connections.at(index);
        let flow = self.flows.get(cohort);
        let form = flow.wire_form as usize;
        if from >= flow.acknowledged {
            return;
        }
        let mut begun = std::mem::take(&mut self.begun);
        self.frames_begun(cohort, from..cursor, &mut begun);
        for &number in &begun {
            if self.arenas[form].frame(number).qos > 0 {
                self.take_off_shared(session, form, number);
            }
        }
        begun.clear();
        self.begun = begun;
    }

    pub(super) fn on_send_failed(&mut self, key: ConnectionKey, reason: Reason) {
        self.on_blocked(key.index());
        if let Reason::Broken(_) = reason {
            self.doom(key, End::Lost);
        }
    }

    /// Whoever took all that it was sent is served again if there is more, and is in step
    /// if there is not.
    fn list_if_more(&mut self, index: u32) {
        let connection = self.connections.at(index);
        let key = connection.key;
        let waits = !connection.outbox.is_empty() || connection.flags.has(Flags::QUEUED);
        let flow = self.flows.get(connection.cohort);
        let is_done = match flow.roster.region(connection.seat) {
            Region::Step(_) => !waits,
            Region::Apart => !waits && connection.cursor == flow.stream.head() && self.step(index),
            Region::Lag => false,
        };
        if !is_done {
            self.list(key);
        }
    }
}

/// Whether a frame says that its message lives longer than it does, or need not be sent at all
/// [MQTT-3.3.2-5]. MQTT 3 has no word for how long.
fn is_stale(frame: &Frame, form: WireForm, now_micros: u64) -> bool {
    let age_micros = now_micros.saturating_sub(frame.ingest_micros);
    let is_late = form == WireForm::Mqtt5 && age_micros > 1_000_000;
    frame.expires_micros > 0 && (is_late || frame.expires_micros <= now_micros)
}
