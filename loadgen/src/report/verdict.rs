//! Whether a run may be believed, and whether the server passed it.

use super::units::{Count, Nanos, Share};
use crate::results::Results;

/// A generator that sent a smaller part of what was due has not made the load.
const ACHIEVED_MIN: f64 = 0.99;

/// More late sends than this part of all, and the load had another shape than asked for.
const LATE_MAX: f64 = 0.01;

/// Threads that are busier than this may be what was measured.
const BUSY_MAX: f64 = 0.95;

/// What is to be said against a run; nothing at best.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong with what arrived, or kept the run from its end: sentences, and what
    /// was counted that must not be.
    pub violations: Vec<String>,
    /// Why the figures may be the generator's own rather than the server's.
    pub doubts: Vec<String>,
}

impl Verdict {
    /// Of a run.
    pub fn of(results: &Results) -> Self {
        Self {
            violations: violations(results),
            doubts: doubts(results),
        }
    }
}

fn violations(results: &Results) -> Vec<String> {
    let (totals, correctness) = (&results.totals, &results.correctness);
    let counts = [
        (totals.connections_refused, "connections refused"),
        (totals.connections_failed, "connections without a CONNACK"),
        (totals.connections_lost, "connections lost"),
        (
            totals.pings.saturating_sub(totals.pings_answered),
            "pings not answered in time",
        ),
        (correctness.missing, "deliveries missing"),
        (correctness.duplicate, "deliveries that came twice"),
        (correctness.reordered, "deliveries out of order"),
        (correctness.corrupt, "deliveries corrupt"),
        (correctness.stale, "deliveries stale"),
    ];
    let ends = results.early_ends.iter().map(|end| end.why.clone());
    let counts = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{what}: {}", Count(count)));
    ends.chain(counts).collect()
}

fn doubts(results: &Results) -> Vec<String> {
    let health = results.health();
    let mut doubts = Vec::new();
    if health.achieved_share() < ACHIEVED_MIN {
        doubts.push(format!(
            "the generator sent only {} of what was due",
            Share(health.achieved_share())
        ));
    }
    if health.late_share() > LATE_MAX {
        doubts.push(format!(
            "{} of the publishes were sent late by more than {}",
            Share(health.late_share()),
            Nanos(health.late_after_nanos)
        ));
    }
    let slip = health.timer_slip.unpack().value_at_quantile(0.99);
    if slip > health.late_after_nanos && !health.timer_slip.is_empty() {
        doubts.push(format!(
            "of the generator's timers 1 in 100 fired late by {} or more",
            Nanos(slip)
        ));
    }
    // Each by itself: one thread that is saturated hides among idle ones.
    for process in &results.processes {
        let busy = process.health.busy_share();
        if busy > BUSY_MAX {
            doubts.push(format!(
                "process {} was busy for {} of its time",
                process.number,
                Share(busy)
            ));
        }
    }
    doubts
}
