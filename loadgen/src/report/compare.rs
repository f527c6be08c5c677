//! Two runs beside each other: what got worse by more than may be.
//!
//! Judged are the percentiles of the response time, rates, and memory; the others are
//! told only, and so is a percentile that chance alone may have made.

use super::Verdict;
use super::figures::{Figure, Unit, figures};
use super::json::{self, ReadError};
use super::units::{Bytes, Nanos, PerSecond};
use crate::results::{Results, Run};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How much worse a figure may be, unless something else is said.
const ALLOWED_DEFAULT: f64 = 10.0;

/// Two files with results, and what may lie between them.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Results to compare with
    #[arg(value_name = "BEFORE.json")]
    before: PathBuf,
    /// Results that must not be worse
    #[arg(value_name = "AFTER.json")]
    after: PathBuf,
    /// How many per cent worse a figure may be, instead of 10, or one of them:
    /// `response_p99_nanos=25`; may be repeated
    #[arg(long, value_name = "[FIGURE=]PERCENT")]
    threshold: Vec<Threshold>,
}

/// How much worse something may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// Which figure; none: all that nothing else is said of.
    pub figure: Option<String>,
    /// Per cent.
    pub allowed: f64,
}

/// A threshold that can't be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThresholdError;

/// Why there is nothing to compare.
#[derive(Debug)]
pub enum CompareError {
    /// Results can't be had from a file.
    Read(ReadError),
    /// A threshold is for a figure that the run before does not have.
    FigureUnknown {
        /// How it is called.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
}

/// Two runs, figure by figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    notes: Vec<String>,
    rows: Vec<Row>,
    faults: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    name: String,
    unit: Unit,
    before: f64,
    after: f64,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    /// Not worse than may be.
    Within,
    /// Worse than may be.
    Worse {
        /// Per cent.
        allowed: f64,
    },
    /// Chance may have made it what it is.
    Chance,
    /// Told for the whole picture.
    NotJudged,
}

impl Arguments {
    /// Reads both files and compares them.
    ///
    /// # Errors
    /// [`CompareError`], whose sentence says what to do.
    pub fn compare(&self) -> Result<Comparison, CompareError> {
        let [before, after] = [&self.before, &self.after].map(|path| json::read(path));
        let before = before.map_err(CompareError::Read)?;
        let after = after.map_err(CompareError::Read)?;
        compare(&before, &after, &self.threshold)
    }
}

/// Compares two runs.
///
/// # Errors
/// [`CompareError::FigureUnknown`].
pub fn compare(
    before: &Results,
    after: &Results,
    thresholds: &[Threshold],
) -> Result<Comparison, CompareError> {
    let (figures_before, figures_after) = (figures(before), figures(after));
    let named = thresholds.iter().filter_map(|said| said.figure.as_deref());
    let named: Vec<&str> = named.collect();
    let is_known = |name: &str| figures_before.iter().any(|known| known.name == name);
    if let Some(name) = named.iter().find(|name| !is_known(name)) {
        return Err(CompareError::FigureUnknown {
            name: (*name).to_owned(),
            known: figures_before.into_iter().map(|known| known.name).collect(),
        });
    }
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    for before in &figures_before {
        match figures_after.iter().find(|after| after.name == before.name) {
            Some(after) => rows.push(Row::of(before, after, thresholds)),
            None if is_judged(before) || named.contains(&&*before.name) => {
                faults.push(format!("the run after has no {}", before.name));
            }
            None => {}
        }
    }
    let [verdict_before, verdict_after] = [before, after].map(Verdict::of);
    faults.extend(verdict_after.violations);
    let mut notes = differences(&before.run, &after.run);
    let told = [
        ("before", verdict_before.violations),
        ("before", verdict_before.doubts),
        ("after", verdict_after.doubts),
    ];
    for (when, sentences) in told {
        notes.extend(sentences.into_iter().map(|what| format!("{when}: {what}")));
    }
    Ok(Comparison {
        notes,
        rows,
        faults,
    })
}

/// Lines of the scenarios that only one of them has.
fn differences(before: &Run, after: &Run) -> Vec<String> {
    let only = |own: &Run, other: &Run, sign| {
        let lacks = |line: &&str| !other.scenario_toml.lines().any(|known| known == *line);
        let lines = own.scenario_toml.lines().filter(lacks);
        lines
            .map(|line| format!("the scenarios differ: {sign} {line}"))
            .collect()
    };
    let mut lines: Vec<String> = only(before, after, '-');
    lines.extend::<Vec<_>>(only(after, before, '+'));
    lines
}

impl Row {
    fn of(before: &Figure, after: &Figure, thresholds: &[Threshold]) -> Self {
        // What is said last counts.
        let said_of = |figure: Option<&str>| {
            let mut last_first = thresholds.iter().rev();
            last_first.find(|threshold| threshold.figure.as_deref() == figure)
        };
        let own = said_of(Some(&before.name));
        let allowed = own
            .or(said_of(None))
            .map_or(ALLOWED_DEFAULT, |said| said.allowed);
        let mut row = Self {
            name: before.name.clone(),
            unit: before.unit,
            before: before.value,
            after: after.value,
            outcome: Outcome::Within,
        };
        row.outcome = if own.is_none() && !is_judged(before) {
            Outcome::NotJudged
        } else if before.is_chance || after.is_chance {
            Outcome::Chance
        } else if row.worse_percent() > allowed {
            Outcome::Worse { allowed }
        } else {
            Outcome::Within
        };
        row
    }

    /// How much the run after has more; of nothing, endlessly more.
    fn change_percent(&self) -> f64 {
        match (self.before, self.after) {
            (before, after) if before == after => 0.0,
            (before, after) => (after / before - 1.0) * 100.0,
        }
    }

    fn worse_percent(&self) -> f64 {
        match self.unit {
            Unit::Nanos | Unit::Bytes => self.change_percent(),
            Unit::PerSecond => -self.change_percent(),
        }
    }

    fn readable(&self, value: f64) -> String {
        match self.unit {
            Unit::Nanos => Nanos(value as u64).to_string(),
            Unit::Bytes => Bytes(value).to_string(),
            Unit::PerSecond => PerSecond(value).to_string(),
        }
    }
}

/// What a user of the server feels, and what it costs.
fn is_judged(figure: &Figure) -> bool {
    figure.name.starts_with("response_") || figure.unit != Unit::Nanos
}

impl Comparison {
    /// Whether something is worse than may be, or wrong in the run after.
    pub fn is_worse(&self) -> bool {
        let mut outcomes = self.rows.iter().map(|row| row.outcome);
        let is_worse = |outcome| matches!(outcome, Outcome::Worse { .. });
        outcomes.any(is_worse) || !self.faults.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(formatter, "{note}")?;
        }
        let mut line = |columns: [&str; 4], outcome: &str| {
            let [name, before, after, change] = columns;
            let line = format!("{name:<32}{before:>12}{after:>12}{change:>11}  {outcome}");
            writeln!(formatter, "{}", line.trim_end())
        };
        line(["figure", "before", "after", "change"], "")?;
        for row in &self.rows {
            let change = format!("{:+.1} %", row.change_percent());
            let outcome = match row.outcome {
                Outcome::Within => "within".to_owned(),
                Outcome::Worse { allowed } => format!("WORSE by more than {allowed} %"),
                Outcome::Chance => "too little to judge".to_owned(),
                Outcome::NotJudged => String::new(),
            };
            let [before, after] = [row.before, row.after].map(|value| row.readable(value));
            line([&row.name, &before, &after, &change], &outcome)?;
        }
        for fault in &self.faults {
            writeln!(formatter, "WRONG: {fault}")?;
        }
        Ok(())
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let (figure, allowed) = match text.split_once('=') {
            Some((figure, allowed)) => (Some(figure.to_owned()), allowed),
            None => (None, text),
        };
        let allowed: f64 = allowed.parse().map_err(|_| ThresholdError)?;
        let is_possible = allowed.is_finite() && allowed >= 0.0;
        is_possible
            .then_some(Self { figure, allowed })
            .ok_or(ThresholdError)
    }
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "it has to be a number of per cent, 10, or that of a figure, response_p99_nanos=25",
        )
    }
}

impl std::error::Error for ThresholdError {}

impl fmt::Display for CompareError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(formatter),
            Self::FigureUnknown { name, known } => write!(
                formatter,
                "there is a threshold for {name}, which is no figure of the run before; there are: {}",
                known.join(", ")
            ),
        }
    }
}

impl std::error::Error for CompareError {}
