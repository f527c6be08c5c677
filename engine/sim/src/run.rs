//! A run of one seed, from its beginning to a verdict.

use crate::kind::{Counts, Kind};
use crate::options::Options;
use crate::world::World;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Which run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What everything is drawn from.
    pub seed: u64,
    /// Steps before the end begins.
    pub steps: u64,
    /// What is switched off.
    pub without: Vec<Kind>,
    /// Actions that are left out, by their number.
    pub skipped: BTreeSet<u64>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The hash of all that happened.
    pub hash: u64,
    /// Steps that it took.
    pub steps: u64,
    /// Actions that there were.
    pub actions: u64,
    /// What happened, how often.
    pub counts: Counts,
    /// What went wrong, if anything did.
    pub failure: Option<Failure>,
}

/// Something that went wrong.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The step; more than the plan's if it was at the end.
    pub step: u64,
    /// What it was.
    pub what: String,
    /// What was done last, oldest first.
    pub notes: Vec<String>,
}

impl Plan {
    /// All of a seed.
    #[must_use]
    pub fn new(seed: u64, steps: u64) -> Self {
        Self {
            seed,
            steps,
            without: Vec::new(),
            skipped: BTreeSet::new(),
        }
    }

    /// Runs it. A panic of the engine is a failure like others.
    #[must_use]
    pub fn run(&self) -> Outcome {
        let options = Options::draw(self.seed, self.steps, &self.without);
        let mut world = World::new(options, self.skipped.clone());
        let told = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..self.steps {
                world.step()?;
            }
            world.end()
        }));
        let what = match told {
            Ok(Ok(())) => None,
            Ok(Err(what)) => Some(what),
            Err(panic) => Some(format!("panic: {}", said(&*panic))),
        };
        let failure = what.map(|what| Failure {
            step: world.steps(),
            what,
            notes: world.notes(),
        });
        Outcome {
            hash: world.hash().value(),
            steps: world.steps(),
            actions: world.actions(),
            counts: world.counts(),
            failure,
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a word".to_owned())
}
