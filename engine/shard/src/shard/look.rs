//! Looking after those who are apart: who is too far behind falls into lag, and what
//! nobody needs any more is forgotten.
//!
//! They are looked at when their cohort's stream has grown by a part of what they may be
//! behind, and when the arena is about to write over what one of them needs. So a record
//! costs nothing for each of them, and each of them costs a look or two on its way to lag.

use super::Shard;
use crate::cohorts::CohortId;
use crate::connections::Flags;
use crate::flow::{Oldest, WireForm};
use crate::stream::Position;

impl<Pass> Shard<Pass> {
    /// Looks at those of a cohort who are apart. Whoever takes bytes is served in this turn
    /// and falls into lag only if it has to.
    pub(super) fn look(&mut self, cohort: CohortId) {
        let head = self.flows.get(cohort).stream.head();
        let behind = head.0.saturating_sub(self.settings.limits.lag_bytes);
        self.look_before(cohort, Position(behind), Flags::WAITS);
    }

    /// Whoever of a cohort stands before this position, and has one of these flags, falls
    /// into lag.
    fn look_before(&mut self, cohort: CohortId, position: Position, flags: Flags) {
        let mut left = self.flows.get(cohort).roster.apart().len();
        let mut oldest = self.flows.get(cohort).stream.head();
        while left > 0 {
            left -= 1;
            // Who falls changes places with the last of those apart, who was looked at.
            let key = self.flows.get(cohort).roster.apart()[left];
            let connection = self.connections.at(key.index());
            let cursor = connection.cursor;
            if cursor < position && connection.flags.has(flags) {
                self.fall(key.index());
            } else {
                oldest = oldest.min(cursor);
            }
        }
        self.trim(cohort, oldest);
    }

    /// Forgets what is before the oldest cursor of those apart, and was swept.
    fn trim(&mut self, cohort: CohortId, oldest: Position) {
        let flow = self.flows.get_mut(cohort);
        let oldest = oldest.min(flow.swept());
        flow.looked = flow.stream.head();
        flow.stream.trim(oldest, &mut self.pieces);
    }

    /// Forgets what was swept, if nobody is apart who may need it.
    pub(super) fn trim_swept(&mut self, cohort: CohortId) {
        let flow = self.flows.get_mut(cohort);
        if flow.roster.apart().is_empty() {
            let swept = flow.swept();
            flow.stream.trim(swept, &mut self.pieces);
        }
    }

    /// Makes sure that nobody needs what a frame of so many bytes is written over. `false`
    /// if a sweep does.
    pub(super) fn make_clear(&mut self, form: WireForm, bytes: usize) -> bool {
        let laps = form as usize;
        while !self.laps[laps].is_clear(&self.arenas[laps], bytes) {
            match self.laps[laps].next_oldest(form, &mut self.flows) {
                Oldest::Flow(cohort) if !self.leave_lap(cohort, form) => return false,
                Oldest::Flow(_) | Oldest::LapGone => {}
                // What is left in the one lap, nobody holds: with a large frame and what
                // is skipped at the end of memory it is longer than its share.
                Oldest::Nothing => return true,
            }
        }
        true
    }

    /// Makes a flow let go of what lies in the oldest lap, which it has left, and puts it
    /// where the rest lies. `false` if a sweep needs it.
    fn leave_lap(&mut self, cohort: CohortId, form: WireForm) -> bool {
        if self.flows.get(cohort).wire_form != form {
            // It is another cohort than the one that was there.
            return true;
        }
        let form = form as usize;
        let (_, head) = self.arenas[form].head();
        let next_lap = self.laps[form].second().unwrap_or(head);
        let mut is_clear = true;
        while is_clear {
            let flow = self.flows.get(cohort);
            let oldest = flow.stream.oldest_piece(&self.pieces, &self.arenas[form]);
            match oldest {
                Some((end, first)) if first < next_lap => {
                    is_clear = flow.swept() >= end;
                    if is_clear {
                        self.look_before(cohort, end, Flags::ANY);
                    }
                }
                _ => break,
            }
        }
        let flow = self.flows.get_mut(cohort);
        self.laps[form].enter_again(cohort, flow, &self.pieces, &self.arenas[form]);
        is_clear
    }

    /// Makes whoever is apart let go of pieces, the oldest first. `false` if sweeps need
    /// all of them.
    pub(super) fn free_pieces(&mut self) -> bool {
        for form in WireForm::ALL {
            while self.pieces.free_pages() == 0 {
                match self.laps[form as usize].next_oldest(form, &mut self.flows) {
                    Oldest::Flow(cohort) if !self.leave_lap(cohort, form) => break,
                    Oldest::Flow(_) | Oldest::LapGone => {}
                    Oldest::Nothing => break,
                }
            }
        }
        self.pieces.free_pages() > 0
    }
}
