//! `prove`: the same measured before and after, several times, and whether the
//! difference is more than chance.

use crate::apply::{self, Undone};
use crate::item::{self, Fix, Situation};
use crate::journal::{Journal, JournalError};
use crate::probe::{ProbeError, Round, micros};
use serde::{Deserialize, Serialize};
use std::fmt;

/// With fewer rounds of each state chance alone would part them too often.
const ROUNDS_MIN: usize = 3;

/// The rounds of one state of the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    /// In the order of their measuring.
    pub rounds: Vec<Round>,
}

/// Two states of the host side by side.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// One row per figure.
    pub rows: Vec<Row>,
}

/// One figure in both states.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub figure: String,
    /// Its unit: nanoseconds or millionths.
    pub unit: &'static str,
    /// Before.
    pub before: Spread,
    /// After.
    pub after: Spread,
    /// What that says.
    pub verdict: Verdict,
}

/// A figure over all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The least.
    pub least: u64,
    /// The one in the middle; of two the lower.
    pub median: u64,
    /// The most.
    pub most: u64,
}

/// What the rounds say about a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every round after was less than every round before.
    Better,
    /// Every round after was more than every round before.
    Worse,
    /// The rounds overlap, or there are fewer than three of either.
    Same,
}

/// Why nothing was proved.
#[derive(Debug)]
pub enum ProveError {
    /// Some of it was applied before; what it was like without can't be measured.
    AppliedAlready,
    /// There was nothing to change.
    NothingChanged,
    /// Nothing could be measured; the host is as it was found.
    Probe(ProbeError),
    /// The journal failed, and `revert` has to put the rest back.
    Journal(JournalError),
    /// These files could not be put back; the journal keeps them for `revert`.
    NotPutBack(Vec<String>),
}

impl fmt::Display for ProveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AppliedAlready => f.write_str(
                "some of it is applied already: `revert` first, or compare with `prove --before`",
            ),
            Self::NothingChanged => {
                f.write_str("nothing could be changed, so there is nothing to prove")
            }
            Self::Probe(error) => error.fmt(f),
            Self::Journal(error) => error.fmt(f),
            Self::NotPutBack(files) => write!(f, "not put back: {}", files.join("; ")),
        }
    }
}

impl std::error::Error for ProveError {}

impl From<JournalError> for ProveError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// Measures without and with what `apply` does, in turn, so that what drifts hits both
/// alike. Leaves the host as it was found, or with `keep` as it was proved.
///
/// # Errors
/// [`ProveError`].
pub fn alternate(
    situation: &Situation<'_>,
    journal: &mut Journal,
    rounds: usize,
    keep: bool,
    mut measure: impl FnMut() -> Result<Round, ProbeError>,
) -> Result<(Rounds, Rounds), ProveError> {
    if !journal.entries().is_empty() {
        return Err(ProveError::AppliedAlready);
    }
    let (mut before, mut after) = (Rounds::default(), Rounds::default());
    for round in 1..=rounds {
        before.rounds.push(measure().map_err(ProveError::Probe)?);
        for item in item::all().filter(|item| item.fix == Fix::Apply) {
            // What can't be changed is the same in both states.
            apply::apply(item, situation, journal)?;
        }
        if journal.entries().is_empty() {
            return Err(ProveError::NothingChanged);
        }
        let measured = measure();
        if measured.is_err() || !keep || round < rounds {
            put_back(situation, journal)?;
        }
        after.rounds.push(measured.map_err(ProveError::Probe)?);
    }
    Ok((before, after))
}

fn put_back(situation: &Situation<'_>, journal: &mut Journal) -> Result<(), ProveError> {
    let undone = apply::revert(situation.host, journal, |_| true, false)?;
    let failed = undone
        .iter()
        .filter(|(_, undone)| Undone::is_failure(undone));
    let failed: Vec<_> = failed
        .map(|(entry, undone)| format!("{}: {undone}", entry.path))
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(ProveError::NotPutBack(failed))
    }
}

impl Spread {
    fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let (least, most) = (*values.first()?, *values.last()?);
        Some(Self {
            least,
            median: values[(values.len() - 1) / 2],
            most,
        })
    }
}

impl Comparison {
    /// Compares what both have: figures of cores that only one measured are left out.
    #[must_use]
    pub fn of(before: &Rounds, after: &Rounds) -> Self {
        let is_enough = before.rounds.len().min(after.rounds.len()) >= ROUNDS_MIN;
        let mut rows = Vec::new();
        for (figure, unit) in figures(before) {
            let spread = |rounds: &Rounds| {
                let values = rounds.rounds.iter().flat_map(values);
                Spread::of(
                    values
                        .filter(|(name, ..)| *name == figure)
                        .map(|(_, _, value)| value)
                        .collect(),
                )
            };
            if let (Some(before), Some(after)) = (spread(before), spread(after)) {
                rows.push(Row {
                    verdict: if is_enough {
                        verdict(before, after)
                    } else {
                        Verdict::Same
                    },
                    figure,
                    unit,
                    before,
                    after,
                });
            }
        }
        Self { rows }
    }
}

fn verdict(before: Spread, after: Spread) -> Verdict {
    if after.most < before.least {
        Verdict::Better
    } else if after.least > before.most {
        Verdict::Worse
    } else {
        Verdict::Same
    }
}

fn figures(rounds: &Rounds) -> Vec<(String, &'static str)> {
    let first = rounds.rounds.first().map(values).unwrap_or_default();
    first
        .into_iter()
        .map(|(figure, unit, _)| (figure, unit))
        .collect()
}

/// The figures of a round that are worth comparing.
fn values(round: &Round) -> Vec<(String, &'static str, u64)> {
    let mut values = Vec::new();
    for core in &round.cores {
        values.push((
            format!("CPU {} gap p99.99", core.cpu),
            "ns",
            core.gaps.p9999,
        ));
        values.push((format!("CPU {} gap worst", core.cpu), "ns", core.gaps.worst));
        values.push((format!("CPU {} time lost", core.cpu), "ppm", core.lost_ppm));
    }
    for (name, times) in [("wake-up", &round.wake), ("round trip", &round.loopback)] {
        values.push((format!("{name} p50"), "ns", times.p50));
        values.push((format!("{name} p99"), "ns", times.p99));
        values.push((format!("{name} worst"), "ns", times.worst));
    }
    values
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rounds.iter().try_for_each(|round| round.fmt(f))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::Same => "no difference",
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20}{:>26}{:>26}  median (least–most); µs, or millionths",
            "", "before", "after"
        )?;
        for row in &self.rows {
            let shown = |spread: Spread| {
                let [least, median, most] =
                    [spread.least, spread.median, spread.most].map(|value| {
                        if row.unit == "ns" {
                            micros(value)
                        } else {
                            value.to_string()
                        }
                    });
                format!("{median} ({least}–{most})")
            };
            writeln!(
                f,
                "{:<20}{:>26}{:>26}  {}",
                row.figure,
                shown(row.before),
                shown(row.after),
                row.verdict
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Core, Quantiles};

    fn round(scale: u64) -> Round {
        let times = Quantiles {
            count: 10,
            p50: scale,
            p99: 2 * scale,
            p9999: 3 * scale,
            worst: 4 * scale,
        };
        Round {
            cores: vec![Core {
                cpu: 1,
                gaps: times,
                longer: vec![1],
                lost_ppm: 100,
            }],
            wake: times,
            loopback: times,
        }
    }

    fn rounds(scales: &[u64]) -> Rounds {
        Rounds {
            rounds: scales.iter().map(|scale| round(*scale)).collect(),
        }
    }

    fn verdict_of(before: &[u64], after: &[u64]) -> Verdict {
        let comparison = Comparison::of(&rounds(before), &rounds(after));
        comparison
            .rows
            .iter()
            .find(|row| row.figure == "wake-up p50")
            .unwrap()
            .verdict
    }

    #[test]
    fn only_rounds_that_do_not_overlap_differ() {
        assert_eq!(verdict_of(&[50, 60, 55], &[20, 49, 30]), Verdict::Better);
        assert_eq!(verdict_of(&[50, 60, 55], &[20, 50, 30]), Verdict::Same);
        assert_eq!(verdict_of(&[50, 60, 55], &[61, 90, 70]), Verdict::Worse);
    }

    #[test]
    fn two_rounds_say_nothing() {
        assert_eq!(verdict_of(&[50, 60], &[1, 2, 3]), Verdict::Same);
    }

    #[test]
    fn what_did_not_change_is_the_same() {
        let comparison = Comparison::of(&rounds(&[50; 3]), &rounds(&[20; 3]));
        let lost = comparison
            .rows
            .iter()
            .find(|row| row.figure == "CPU 1 time lost")
            .unwrap();
        assert_eq!((lost.verdict, lost.before.median), (Verdict::Same, 100));
    }

    #[test]
    fn the_median_is_in_the_middle_and_no_rounds_have_none() {
        assert_eq!(
            Spread::of(vec![9, 1, 5, 7]),
            Some(Spread {
                least: 1,
                median: 5,
                most: 9
            })
        );
        assert_eq!(Spread::of(Vec::new()), None);
        assert!(Comparison::of(&rounds(&[]), &rounds(&[1])).rows.is_empty());
    }

    #[test]
    fn a_core_that_only_one_measured_is_left_out() {
        let mut after = rounds(&[50]);
        after.rounds[0].cores[0].cpu = 2;
        let comparison = Comparison::of(&rounds(&[50]), &after);
        assert!(
            comparison
                .rows
                .iter()
                .all(|row| !row.figure.starts_with("CPU")),
            "{comparison}"
        );
    }
}
