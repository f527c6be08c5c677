//! Making a failing run small: what it fails without is left out.
//!
//! First the steps behind the failure go, then whole kinds of faults and actions, then
//! single actions, in ever smaller groups. A run counts as failing still if it fails in
//! whatever way: a smaller failure is worth more than the same one.

use crate::kind::{Group, Kind};
use crate::run::{Outcome, Plan};
use std::collections::BTreeSet;

/// Runs that are tried at most.
const TRIES_MAX: u32 = 2_000;

/// The smallest plan that was found which fails too, and what comes of it. `run` runs a
/// plan.
#[must_use]
pub fn shrink(plan: &Plan, outcome: Outcome, run: impl FnMut(&Plan) -> Outcome) -> (Plan, Outcome) {
    let mut search = Search {
        best: plan.clone(),
        outcome,
        run,
        tries: 0,
    };
    search.cut();
    for kind in Kind::of(Group::Fault).chain(Kind::of(Group::Action)) {
        let mut plan = search.best.clone();
        if !plan.without.contains(&kind) {
            plan.without.push(kind);
            search.try_plan(plan);
        }
    }
    search.leave_out_actions();
    search.cut();
    (search.best, search.outcome)
}

struct Search<Run> {
    best: Plan,
    outcome: Outcome,
    run: Run,
    tries: u32,
}

impl<Run: FnMut(&Plan) -> Outcome> Search<Run> {
    /// Keeps a plan if it fails. Returns whether it does.
    fn try_plan(&mut self, plan: Plan) -> bool {
        if self.tries == TRIES_MAX {
            return false;
        }
        self.tries += 1;
        let outcome = (self.run)(&plan);
        let fails = outcome.failure.is_some();
        if fails {
            self.best = plan;
            self.outcome = outcome;
        }
        fails
    }

    /// Leaves out the steps that came after the failure.
    fn cut(&mut self) {
        let Some(failure) = &self.outcome.failure else {
            return;
        };
        let steps = failure.step.min(self.best.steps);
        self.try_plan(Plan {
            steps,
            ..self.best.clone()
        });
    }

    /// Leaves out groups of actions, each half as large as the last.
    fn leave_out_actions(&mut self) {
        let mut size = self.outcome.actions.next_power_of_two();
        while size > 0 {
            let mut first = 0;
            while first < self.outcome.actions {
                let group: BTreeSet<u64> = (first..first + size).collect();
                let mut plan = self.best.clone();
                plan.skipped.extend(&group);
                if plan.skipped.len() > self.best.skipped.len() {
                    self.try_plan(plan);
                }
                first += size;
            }
            size /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shrink;
    use crate::kind::{Counts, Kind};
    use crate::run::{Failure, Outcome, Plan};

    /// Fails at step 50 if two of 100 actions are done and clients can stall.
    fn run(plan: &Plan) -> Outcome {
        let does = |action| !plan.skipped.contains(&action);
        let fails = does(17) && does(93) && !plan.without.contains(&Kind::Stall);
        let failure = (fails && plan.steps >= 50).then(|| Failure {
            step: 50,
            what: String::new(),
            notes: Vec::new(),
        });
        Outcome {
            hash: 0,
            steps: plan.steps,
            actions: 100,
            counts: Counts::default(),
            failure,
        }
    }

    #[test]
    fn what_is_not_needed_is_left_out() {
        let plan = Plan::new(1, 3_000);
        let (small, outcome) = shrink(&plan, run(&plan), run);
        assert!(outcome.failure.is_some());
        assert_eq!(small.steps, 50);
        let done: Vec<u64> = (0..100)
            .filter(|action| !small.skipped.contains(action))
            .collect();
        assert_eq!(done, [17, 93]);
        assert!(!small.without.contains(&Kind::Stall));
        assert!(small.without.contains(&Kind::Reset));
    }
}
