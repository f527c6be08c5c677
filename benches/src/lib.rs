//! Paired measurement: two programs in turn, in one process, round by round.
//!
//! On a shared machine a time means little by itself: the speed drifts between
//! runs and within them. Two programs timed one right after the other drift
//! together, so what is reported is the ratio of each round, and of those the
//! median. Inputs are prepared outside the clock.

#![forbid(unsafe_code)]

mod cores;

pub use cores::Core;

use std::fmt;
use std::time::{Duration, Instant};

/// How many rounds a pair is measured for; odd, so that a median is one of them.
const ROUNDS: usize = 21;

/// The least time that one program runs in one round: long beside a clock read,
/// short beside the machine's drift.
const ROUND_TIME_MIN: Duration = Duration::from_millis(10);

/// How many inputs are prepared at once: few enough to be in the cache still when
/// they are worked on, as bytes that were just received are.
const INPUTS_AT_ONCE: usize = 64;

/// One program under measurement: prepares `count` inputs, then works through
/// them while the clock runs, and says how long that took.
pub trait Program {
    /// Handles `count` inputs and returns the time without preparation.
    fn run(&mut self, count: usize) -> Duration;
}

/// A program made of a preparation of one input and the work on it.
pub struct Batch<Prepare, Work> {
    /// Makes an input, off the clock.
    pub prepare: Prepare,
    /// What is measured.
    pub work: Work,
}

impl<Input, Prepare, Work> Program for Batch<Prepare, Work>
where
    Prepare: FnMut() -> Input,
    Work: FnMut(&mut Input),
{
    fn run(&mut self, count: usize) -> Duration {
        let mut total = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let chunk = left.min(INPUTS_AT_ONCE);
            let mut inputs: Vec<Input> = (0..chunk).map(|_| (self.prepare)()).collect();
            let begin = Instant::now();
            for input in &mut inputs {
                (self.work)(input);
            }
            total += begin.elapsed();
            left -= chunk;
        }
        total
    }
}

/// What two programs cost for the same work.
#[derive(Debug, Clone)]
pub struct Comparison {
    name: String,
    ours_nanos: f64,
    theirs_nanos: f64,
    /// Ascending; theirs over ours, so above 1 we are faster.
    ratios: Vec<f64>,
}

impl Comparison {
    /// Measures both, alternating. `units` is how many things one input holds:
    /// times are given for one of them.
    pub fn measure(
        name: &str,
        units: usize,
        ours: &mut dyn Program,
        theirs: &mut dyn Program,
    ) -> Self {
        let (ours_count, theirs_count) = (calibrate(ours), calibrate(theirs));
        let rounds: Vec<(f64, f64)> = (0..ROUNDS)
            .map(|round| {
                // Who begins changes from round to round: neither always finds
                // the caches as the other left them.
                let per_unit = |program: &mut dyn Program, count: usize| {
                    program.run(count).as_nanos() as f64 / (count * units) as f64
                };
                if round % 2 == 0 {
                    let ours = per_unit(ours, ours_count);
                    (ours, per_unit(theirs, theirs_count))
                } else {
                    let theirs = per_unit(theirs, theirs_count);
                    (per_unit(ours, ours_count), theirs)
                }
            })
            .collect();
        let median = |figures: &mut Vec<f64>| {
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        let mut ratios: Vec<f64> = rounds.iter().map(|(ours, theirs)| theirs / ours).collect();
        median(&mut ratios);
        Self {
            name: name.to_owned(),
            ours_nanos: median(&mut rounds.iter().map(|round| round.0).collect()),
            theirs_nanos: median(&mut rounds.iter().map(|round| round.1).collect()),
            ratios,
        }
    }

    /// The line above a table of comparisons.
    pub const HEADER: &'static str = "what                                         ours ns    theirs ns   theirs/ours (min … max)";
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, .., last] = self.ratios.as_slice() else {
            return Err(fmt::Error);
        };
        write!(
            formatter,
            "{:<42} {:>9.2} {:>12.2} {:>8.2} × ({first:.2} … {last:.2})",
            self.name,
            self.ours_nanos,
            self.theirs_nanos,
            self.ratios[self.ratios.len() / 2],
        )
    }
}

/// How many inputs fill a round: doubled until the clock says so.
fn calibrate(program: &mut dyn Program) -> usize {
    let mut count = 1;
    while program.run(count) < ROUND_TIME_MIN && count < 1 << 18 {
        count *= 2;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program whose clock is a number, so that nothing depends on the machine.
    struct Fixed(u64);

    impl Program for Fixed {
        fn run(&mut self, count: usize) -> Duration {
            Duration::from_nanos(self.0 * count as u64)
        }
    }

    #[test]
    fn a_ratio_above_one_means_that_ours_is_faster() {
        let comparison = Comparison::measure("twice", 2, &mut Fixed(1_000), &mut Fixed(2_000));
        assert_eq!(comparison.ours_nanos, 500.0);
        assert_eq!(comparison.theirs_nanos, 1_000.0);
        assert_eq!(comparison.ratios, vec![2.0; ROUNDS]);
        assert!(comparison.to_string().contains("2.00 × (2.00 … 2.00)"));
    }

    #[test]
    fn a_round_is_long_enough() {
        let count = calibrate(&mut Fixed(100_000));
        assert_eq!(count, 128);
    }
}
