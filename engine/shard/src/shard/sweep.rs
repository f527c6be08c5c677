//! Sweeping: the same bytes to all who are in step and stand at the same place.
//!
//! A sweep goes round a cohort's members, group by group, and sends each what there is of
//! the stream by then, cohorts taking turns. What arrives while it goes round is sent to
//! those whom it has not reached with what they get anyhow, and to the others when it comes
//! round again: so the more there is to do, the more each send carries. Who takes all of it
//! costs nothing but its submission: not even a look at its connection. Who does not goes
//! apart.

use super::Shard;
use crate::arena::{Frame, FrameNumber};
use crate::batch::Place;
use crate::cohorts::CohortId;
use crate::sessions::SessionId;
use crate::stream::Position;
use crate::window::to_runs;
use ringcast_wire::Wire;
use std::ops::Range;

/// Where the receiver of a sweep's send stood before, and whether there is something in it
/// that it acknowledges.
#[derive(Debug, Clone, Copy)]
pub(super) struct Swept {
    from: Position,
    is_acknowledged: bool,
}

impl<Pass> Shard<Pass> {
    /// Sweeps the cohorts that are dirty, up to the limit of a turn.
    pub(super) fn sweep<W: Wire>(&mut self, wire: &mut W) -> bool {
        let mut left = self.settings.turn_sends_max;
        let mut any = false;
        while left > 0 && self.flows.is_any_dirty() {
            self.fill_sweep(left);
            any |= !self.sweeping.is_empty();
            left -= self.sweeping.len().clamp(1, left);
            self.send_sweep(wire);
        }
        any
    }

    /// Fills a batch with the next of each cohort in turn.
    fn fill_sweep(&mut self, most: usize) {
        while self.sweep_room(most) > 0
            && let Some(cohort) = self.flows.next_dirty()
        {
            self.add_sweep(cohort, most);
            self.swept.push(cohort);
        }
    }

    fn sweep_room(&self, most: usize) -> usize {
        self.sweeping
            .room()
            .min(most - self.sweeping.len().min(most))
    }

    /// Adds the hindmost of a cohort, each of its members once at most.
    fn add_sweep(&mut self, cohort: CohortId, most: usize) {
        let mut left = self.flows.get(cohort).roster.stepping();
        while left > 0 && self.sweep_room(most) > 0 {
            let flow = self.flows.get(cohort);
            let from = flow.swept();
            if from == flow.stream.head() {
                return;
            }
            let arena = &self.arenas[flow.wire_form as usize];
            let end = flow.stream.sweep_end(from, &self.pieces, arena);
            let to = flow.roster.sweep_to(end);
            let place = self.place_of(cohort, from..to);
            let room = left.min(self.sweep_room(most));
            let flow = self.flows.get(cohort);
            let is_acknowledged = from < flow.acknowledged;
            let tag = Swept {
                from,
                is_acknowledged,
            };
            if is_acknowledged {
                self.add_acknowledged(cohort, from..to, room, &place);
            }
            let flow = self.flows.get(cohort);
            let members = flow.roster.next_to_sweep(room);
            let count = members.len();
            for key in members.iter().filter(|_| !is_acknowledged) {
                self.sweeping.add(*key, place.clone(), tag);
            }
            self.flows.get_mut(cohort).roster.swept(count, to);
            left -= count;
        }
    }

    /// The same for a stretch with something that they acknowledge: who may not be sent all
    /// of it is served alone.
    fn add_acknowledged(
        &mut self,
        cohort: CohortId,
        between: Range<Position>,
        room: usize,
        place: &Place,
    ) {
        let tag = Swept {
            from: between.start,
            is_acknowledged: true,
        };
        let mut begun = std::mem::take(&mut self.begun);
        self.frames_begun(cohort, between, &mut begun);
        begun.retain(|number| self.frame_of(cohort, *number).qos > 0);
        let last = begun.last();
        let last = last.map(|last| self.q_of(self.frame_of(cohort, *last)));
        for key in self.flows.get(cohort).roster.next_to_sweep(room) {
            let id = self.connections.at(key.index()).session;
            match last {
                Some(last) if !self.may_take_all(id, begun.len(), last) => {
                    self.held.push((*key, tag.from));
                }
                _ => self.sweeping.add(*key, place.clone(), tag),
            }
        }
        begun.clear();
        self.begun = begun;
        self.is_sweep_acknowledged = true;
    }

    fn frame_of(&self, cohort: CohortId, number: FrameNumber) -> &Frame {
        let form = self.flows.get(cohort).wire_form;
        self.arenas[form as usize].frame(number)
    }

    /// Whether a session may be sent so many frames that it acknowledges, the last of which
    /// has this number.
    fn may_take_all(&self, id: SessionId, count: usize, last: u64) -> bool {
        let window = &self.sessions.get(id).window;
        window.room() >= count && window.allows(last)
    }

    /// Where the bytes of a sweep lie, gathered if they lie apart.
    fn place_of(&mut self, cohort: CohortId, between: Range<Position>) -> Place {
        let flow = self.flows.get(cohort);
        let form = flow.wire_form;
        let arena = &self.arenas[form as usize];
        let mut stretches = flow.stream.stretches(between, &self.pieces, arena);
        let (first, second) = (stretches.next(), stretches.next());
        if let (Some(first), None) = (&first, &second) {
            return Place::Arena(form, first.range.clone());
        }
        let begin = self.sweeping.gathered();
        for stretch in first.into_iter().chain(second).chain(stretches) {
            self.sweeping.gather(arena.bytes(stretch.range));
        }
        Place::Gathered(begin..self.sweeping.gathered())
    }

    fn send_sweep<W: Wire>(&mut self, wire: &mut W) {
        let bytes = self.sweeping.send(&self.arenas, wire);
        self.counters.sent_bytes += bytes as u64;
        self.counters.sends += self.sweeping.len() as u64;
        self.counters.blocked += self.sweeping.failed() as u64;
        self.note_begun();
        let mut at = 0;
        while let Some((key, Swept { from, .. }, outcome)) = self.sweeping.failure(at) {
            at += 1;
            self.set_apart(key.index(), Position(from.0 + outcome.sent as u64));
            if let Some(reason) = outcome.failed {
                self.on_send_failed(key, reason);
            }
        }
        self.sweeping.clear();
        while let Some((key, from)) = self.held.pop() {
            self.set_apart(key.index(), from);
            self.list(key);
        }
        // Only now is it known who still needs what was swept.
        while let Some(cohort) = self.swept.pop() {
            self.trim_swept(cohort);
            if self.flows.get(cohort).is_behind() {
                self.flows.soil(cohort);
            }
        }
    }

    /// Remembers what receivers of the batch were sent that they acknowledge. Those of one
    /// cohort who stood at the same place got the same.
    fn note_begun(&mut self) {
        if !std::mem::take(&mut self.is_sweep_acknowledged) {
            return;
        }
        let mut begun = std::mem::take(&mut self.begun);
        let (mut run, mut bare) = std::mem::take(&mut self.runs);
        let mut of = None;
        let mut first = 0;
        for at in 0..self.sweeping.len() {
            let (key, tag, outcome) = self.sweeping.outcome(at).expect("so many are there");
            if !tag.is_acknowledged {
                continue;
            }
            let connection = self.connections.at(key.index());
            let (cohort, id) = (connection.cohort, connection.session);
            let between = tag.from..Position(tag.from.0 + outcome.sent as u64);
            if of != Some((cohort, between.clone())) {
                self.frames_begun(cohort, between.clone(), &mut begun);
                let frames = begun.iter().map(|number| self.frame_of(cohort, *number));
                let mut frames = frames.filter(|frame| frame.qos > 0).peekable();
                first = frames.peek().map_or(0, |frame| self.q_of(frame));
                run.clear();
                run.extend(frames.map(|frame| self.flight_of(frame)));
                to_runs(&run, &mut bare);
                of = Some((cohort, between));
            }
            if !run.is_empty() {
                self.take_off_run(id, first, &run, &bare);
            }
        }
        begun.clear();
        self.begun = begun;
        self.runs = (run, bare);
    }
}
