//! Sweeping: the same bytes to all who are in step.
//!
//! A sweep fixes one range of a cohort's stream and sends it to each member, cohorts taking
//! turns. Who takes all of it costs nothing but its submission: not even a look at its
//! connection. Who does not goes apart.

use super::Shard;
use crate::batch::{GATHER_BYTES_MAX, Place, SENDS_MAX};
use crate::cohorts::CohortId;
use crate::roster::Region;
use crate::stream::Position;
use ringcast_wire::Wire;

/// Sends of one turn.
const SWEPT_MAX: usize = 256;

/// Where the receiver of a sweep's send stood before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Swept {
    from: Position,
}

impl<Pass> Shard<Pass> {
    /// Sweeps the cohorts that are dirty, up to the limit of a turn.
    pub(super) fn sweep<W: Wire>(&mut self, wire: &mut W) -> bool {
        let mut left = SWEPT_MAX;
        let mut any = false;
        while left >= SENDS_MAX && self.flows.is_any_dirty() {
            self.fill_sweep();
            any |= !self.sweeping.is_empty();
            left -= SENDS_MAX;
            self.send_sweep(wire);
        }
        any
    }

    /// Fills a batch with the next of each cohort in turn.
    fn fill_sweep(&mut self) {
        while self.sweeping.room() > 0
            && let Some(cohort) = self.flows.next_dirty()
        {
            if !self.add_sweep(cohort) {
                // Again in the next batch, when others had their turn.
                self.to_sweep.push(cohort);
            }
        }
    }

    /// Adds those of a cohort whom its sweep has not reached. Returns whether it is done:
    /// all that was routed is on its way to all.
    fn add_sweep(&mut self, cohort: CohortId) -> bool {
        let flow = self.flows.get_mut(cohort);
        if !flow.is_sweeping() {
            if !flow.has_steppers() || flow.swept == flow.stream.head() {
                return true;
            }
            flow.end = flow.stream.sweep_end(flow.swept, &self.pieces);
        }
        let from = flow.swept;
        let between = flow.swept..flow.end;
        let Some(place) = self.place_of(cohort, between) else {
            return true;
        };
        let flow = self.flows.get_mut(cohort);
        let members = flow.roster.of(Region::Step);
        let count = members.len().min(self.sweeping.room());
        for key in &members[..count] {
            self.sweeping.add(*key, place.clone(), Swept { from });
        }
        flow.roster.sent(count);
        if !flow.roster.of(Region::Step).is_empty() {
            return false;
        }
        flow.roster.end_sweep();
        flow.swept = flow.end;
        self.swept.push(cohort);
        flow.swept == flow.stream.head()
    }

    /// Where the bytes of a sweep lie, gathered if they lie apart.
    fn place_of(&mut self, cohort: CohortId, between: std::ops::Range<Position>) -> Option<Place> {
        let flow = self.flows.get(cohort);
        let arena = &self.arenas[flow.wire_form as usize];
        let mut stretches = flow.stream.stretches(between, &self.pieces, arena);
        let first = stretches.next()?;
        let Some(second) = stretches.next() else {
            return Some(Place::Arena(flow.wire_form, first.range));
        };
        let begin = self.sweeping.gathered();
        for stretch in [first, second].into_iter().chain(stretches) {
            self.sweeping.gather(arena.bytes(stretch.range));
        }
        let end = self.sweeping.gathered();
        debug_assert!(
            end - begin <= GATHER_BYTES_MAX,
            "a sweep of pieces is bounded"
        );
        Some(Place::Gathered(begin..end))
    }

    fn send_sweep<W: Wire>(&mut self, wire: &mut W) {
        let bytes = self.sweeping.send(&self.arenas, wire);
        self.counters.sent_bytes += bytes as u64;
        self.counters.sends += self.sweeping.len() as u64;
        self.counters.blocked += self.sweeping.failed() as u64;
        let mut at = 0;
        while let Some((key, Swept { from }, outcome)) = self.sweeping.failure(at) {
            at += 1;
            let connection = self.connections.at_mut(key.index());
            connection.cursor = Position(from.0 + outcome.sent as u64);
            self.go_apart(key.index());
            if let Some(reason) = outcome.failed {
                self.on_send_failed(key, reason);
            }
        }
        self.sweeping.clear();
        // Only now is it known who still needs what was swept.
        while let Some(cohort) = self.swept.pop() {
            self.trim_swept(cohort);
        }
        while let Some(cohort) = self.to_sweep.pop() {
            self.flows.soil(cohort);
        }
    }
}
