//! What comes out of a run: figures of several rounds, told as medians with their
//! spread and as ratios to a bare loop, for people as a table and for programs as JSON.
//!
//! A ratio is taken in each round, between figures that were measured one right after
//! the other, and of those the median: a machine whose speed drifts moves both.
//!
//! Not every ratio is a result. In a round in which others had a processor, or the probe was
//! late, the figures are of that, and the round does not count; if half of them don't, or the
//! probe is saturated, there is none.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Who others are told in ratios to: the first of these that did the same.
const BASELINES: [&str; 4] = ["io_uring", "relay", "accept()", "bare lanes"];

/// Which part of its time the probe worked.
pub(crate) const PROBE_BUSY: &str = "probe";

/// Which part of a processor the server used.
pub(crate) const SERVER_BUSY: &str = "server";

/// Which part of the time others had of a processor of ours.
pub(crate) const OTHERS: &str = "others";

/// Which part of its messages the probe published late.
pub(crate) const LATE: &str = "late";

/// A probe that is busier than this may be what was measured.
const BUSY_MAX: f64 = 0.95;

/// What may be late in a round, or others' time: well below the differences that are told
/// apart.
const DISTURBED_MAX: f64 = 0.05;

/// The same where that is all that such a figure tells.
const TAIL_DISTURBED_MAX: f64 = 0.01;

/// Those figures.
const TAILS: [&str; 4] = ["p99", "p99.9", "max", "mean"];

/// One number of one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figure {
    /// What was counted.
    pub(crate) name: &'static str,
    /// `ns`, `1/s`, `B`, `share` (of 1), or what else is counted.
    pub(crate) unit: &'static str,
    /// How much.
    pub(crate) value: f64,
}

impl Figure {
    /// So much of that.
    pub(crate) fn new(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, unit, value }
    }
}

/// What was done: the same for all who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct What {
    /// For people.
    pub(crate) what: String,
    /// For programs: subscribers, bytes, messages.
    pub(crate) parameters: BTreeMap<&'static str, u64>,
}

/// All figures of a run, round by round.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Vec<Recorded>);

#[derive(Debug)]
struct Recorded {
    what: What,
    who: String,
    /// Who else did the same and is compared with, instead of a baseline.
    beside: Option<String>,
    figures: Vec<(Figure, Vec<f64>)>,
}

impl Recorded {
    /// A figure, round by round.
    fn rounds(&self, name: &str) -> Option<&[f64]> {
        let is_it = |(figure, _): &&(Figure, Vec<f64>)| figure.name == name;
        Some(&self.figures.iter().find(is_it)?.1)
    }

    /// Whether a figure of a round is of who was measured.
    fn is_sound(&self, figure: &Figure, round: usize) -> bool {
        let most = if TAILS.contains(&figure.name) {
            TAIL_DISTURBED_MAX
        } else {
            DISTURBED_MAX
        };
        let share = |name| self.rounds(name).map_or(0.0, |rounds| rounds[round]);
        share(LATE) <= most && share(OTHERS) <= most
    }

    fn is_saturated(&self) -> bool {
        let busy = self.rounds(PROBE_BUSY).map(Spread::of);
        busy.is_some_and(|busy| busy.median > BUSY_MAX)
    }
}

impl Rounds {
    /// Adds what somebody did in one round.
    ///
    /// # Panics
    /// If it has other figures than in the round before.
    pub(crate) fn record(&mut self, what: &What, who: &str, figures: &[Figure]) {
        self.record_beside(what, who, None, figures);
    }

    /// The same, of somebody who is compared with this one instead of a baseline.
    ///
    /// # Panics
    /// If it has other figures than in the round before.
    pub(crate) fn record_beside(
        &mut self,
        what: &What,
        who: &str,
        beside: Option<&str>,
        figures: &[Figure],
    ) {
        let is_it = |row: &&mut Recorded| row.what == *what && row.who == who;
        if let Some(row) = self.0.iter_mut().find(is_it) {
            assert_eq!(row.figures.len(), figures.len(), "{} by {who}", what.what);
            for ((known, rounds), figure) in row.figures.iter_mut().zip(figures) {
                assert_eq!(known.name, figure.name, "{} by {who}", what.what);
                rounds.push(figure.value);
            }
            return;
        }
        let figures = figures.iter().map(|figure| (*figure, vec![figure.value]));
        let row = Recorded {
            what: what.clone(),
            who: who.to_owned(),
            beside: beside.map(str::to_owned),
            figures: figures.collect(),
        };
        // Behind the others who did the same.
        let after = self.0.iter().rposition(|row| row.what == *what);
        self.0.insert(after.map_or(self.0.len(), |at| at + 1), row);
    }

    /// All rounds in numbers.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |recorded: &Recorded| Row {
            what: recorded.what.clone(),
            who: recorded.who.clone(),
            figures: recorded
                .figures
                .iter()
                .map(|(figure, rounds)| Summary {
                    name: figure.name,
                    unit: figure.unit,
                    spread: Spread::of(rounds),
                    rounds: rounds.clone(),
                    ratio: self.ratio(recorded, figure, rounds),
                })
                .collect(),
        };
        self.0.iter().map(row).collect()
    }

    fn ratio(&self, own: &Recorded, figure: &Figure, rounds: &[f64]) -> Option<Ratio> {
        // Others may well be nothing, and nothing is no measure.
        if !["ns", "1/s"].contains(&figure.unit) {
            return None;
        }
        let baselines = own.beside.as_deref().into_iter().chain(BASELINES);
        let (baseline, same) = baselines.into_iter().find_map(|name| {
            let is_it = |row: &&Recorded| row.what == own.what && row.who == name;
            let row = self.0.iter().find(is_it)?;
            Some((row, row.rounds(figure.name)?))
        })?;
        if baseline.who == own.who {
            return None;
        }
        let pairs = rounds.iter().zip(same).enumerate();
        let sound: Vec<_> = pairs
            .filter(|&(round, _)| own.is_sound(figure, round) && baseline.is_sound(figure, round))
            .map(|(_, (own, base))| own / base)
            .collect();
        let is_saturated = own.is_saturated() || baseline.is_saturated();
        Some(Ratio {
            of: baseline.who.clone(),
            sound_rounds: sound.len(),
            outcome: if is_saturated {
                Outcome::NoResult(Flaw::Saturated)
            } else if 2 * sound.len() <= rounds.len() {
                Outcome::NoResult(Flaw::Disturbed)
            } else {
                Outcome::Result(Spread::of(&sound))
            },
        })
    }
}

/// What somebody did, and how it went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) what: What,
    /// Which loop or server.
    pub(crate) who: String,
    pub(crate) figures: Vec<Summary>,
}

/// A figure over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    #[serde(flatten)]
    pub(crate) spread: Spread,
    pub(crate) rounds: Vec<f64>,
    /// Beside the bare loop that did the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<Ratio>,
}

/// A figure divided by that of a baseline, round by round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Ratio {
    pub(crate) of: String,
    /// How many rounds count.
    pub(crate) sound_rounds: usize,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// What a ratio comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    /// Over the rounds that count.
    Result(Spread),
    /// It would be one of something else.
    NoResult(Flaw),
}

/// Why a ratio is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "no_result", rename_all = "lowercase")]
pub(crate) enum Flaw {
    /// The probe could do no more, of one of the two at least.
    Saturated,
    /// In half of the rounds the probe was late, or others had a processor.
    Disturbed,
}

impl Ratio {
    /// For people; `rounds` is how many there were.
    fn told(&self, rounds: usize) -> String {
        let Self {
            of, sound_rounds, ..
        } = self;
        let counting = if *sound_rounds == rounds {
            String::new()
        } else {
            format!(", {sound_rounds} of {rounds} rounds count")
        };
        match self.outcome {
            Outcome::Result(Spread { median, min, max }) => {
                format!("{median:.2} × {of} ({min:.2} … {max:.2}){counting}")
            }
            Outcome::NoResult(Flaw::Saturated) => "no result: the probe is saturated".to_owned(),
            Outcome::NoResult(Flaw::Disturbed) => format!("no result: disturbed{counting}"),
        }
    }
}

/// Several rounds in three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of an even number the median is the mean of the two in the middle.
    ///
    /// # Panics
    /// Of none.
    fn of(rounds: &[f64]) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        } else {
            sorted[middle]
        };
        Self {
            median,
            min: sorted[0],
            max: sorted[sorted.len() - 1],
        }
    }
}

/// The rows for people: a line for each figure, and one for who was how busy.
pub(crate) struct Table<'a>(pub(crate) &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["what", "who", "figure", "median (min … max)", "ratio"];
        let [what, who, figure, spread, ratio] = heads;
        line(formatter, [what, who, figure, spread, ratio])?;
        let mut previous = "";
        for row in self.0 {
            let is_same = row.what.what == previous;
            previous = &row.what.what;
            let mut what = if is_same { "" } else { previous };
            let mut who = &*row.who;
            let (shares, figures): (Vec<_>, Vec<_>) = row
                .figures
                .iter()
                .partition(|summary| summary.unit == "share");
            for summary in figures {
                let spread = readable(summary.unit, summary.spread);
                let ratio = summary.ratio.as_ref();
                let ratio = ratio.map_or(String::new(), |ratio| ratio.told(summary.rounds.len()));
                line(formatter, [what, who, summary.name, &spread, &ratio])?;
                (what, who) = ("", "");
            }
            if !shares.is_empty() {
                line(formatter, ["", "", "busy", &busy(&shares), ""])?;
            }
        }
        Ok(())
    }
}

fn line(
    formatter: &mut fmt::Formatter<'_>,
    [what, who, figure, spread, ratio]: [&str; 5],
) -> fmt::Result {
    let line = format!("{what:<50} {who:<20} {figure:<15} {spread:<37} {ratio}");
    writeln!(formatter, "{}", line.trim_end())
}

fn busy(shares: &[&Summary]) -> String {
    let each = shares.iter().map(|summary| {
        let percent = summary.spread.median * 100.0;
        match summary.name {
            // Little of them is much.
            LATE | OTHERS => format!("{} {percent:.1} %", summary.name),
            PROBE_BUSY if percent > BUSY_MAX * 100.0 => {
                format!("probe {percent:.0} % (saturated!)")
            }
            name => format!("{name} {percent:.0} %"),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}

/// All three numbers in the unit that suits the median.
fn readable(unit: &str, Spread { median, min, max }: Spread) -> String {
    let (divisor, unit) = match unit {
        "ns" if median >= 1e6 => (1e6, "ms"),
        "ns" if median >= 1e3 => (1e3, "µs"),
        "B" if median.abs() >= 1_048_576.0 => (1_048_576.0, "MiB"),
        "B" if median.abs() >= 102_400.0 => (1_024.0, "KiB"),
        "1/s" if median >= 1e6 => (1e6, "million/s"),
        "1/s" if median >= 1e3 => (1e3, "thousand/s"),
        unit => (1.0, unit),
    };
    let [median, min, max] = [median, min, max].map(|value| value / divisor);
    format!("{median:.2} {unit} ({min:.2} … {max:.2})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(name: &str) -> What {
        What {
            what: name.to_owned(),
            parameters: BTreeMap::from([("subscribers", 3)]),
        }
    }

    /// Relay and another server; the machine doubles its speed in the second round. The probe
    /// has so much to do.
    fn drifting(busy: f64) -> Rounds {
        let mut rounds = Rounds::default();
        for (relay, other) in [(1_000.0, 1_500.0), (500.0, 800.0), (1_000.0, 1_400.0)] {
            rounds.record(&what("a"), "other", &[Figure::new("p50", "ns", other)]);
            rounds.record(&what("b"), "other", &[Figure::new("p50", "ns", 1.0)]);
            let busy = Figure::new(PROBE_BUSY, "share", busy);
            rounds.record(
                &what("a"),
                "relay",
                &[Figure::new("p50", "ns", relay), busy],
            );
        }
        rounds
    }

    #[test]
    fn ratios_are_of_each_round_and_only_where_there_is_a_baseline() {
        let rows = drifting(0.9).rows();
        let names: Vec<_> = rows
            .iter()
            .map(|row| (&*row.what.what, &*row.who))
            .collect();
        assert_eq!(names, [("a", "other"), ("a", "relay"), ("b", "other")]);
        let other = &rows[0].figures[0];
        assert_eq!(other.spread.median, 1_400.0);
        assert_eq!((other.spread.min, other.spread.max), (800.0, 1_500.0));
        let ratio = other.ratio.as_ref().expect("the relay did the same");
        assert_eq!((&*ratio.of, ratio.sound_rounds), ("relay", 3));
        let [min, median, max] = [1.4, 1.5, 1.6];
        let spread = Spread { median, min, max };
        assert_eq!(ratio.outcome, Outcome::Result(spread));
        assert_eq!(rows[1].figures[0].ratio, None);
        assert_eq!(rows[2].figures[0].ratio, None);
    }

    #[test]
    fn the_table_has_a_line_for_each_figure() {
        let rows = drifting(0.9).rows();
        let table = Table(&rows).to_string();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[1].contains("1.40 µs (0.80 … 1.50)"), "{table}");
        assert!(lines[1].ends_with("1.50 × relay (1.40 … 1.60)"), "{table}");
        assert!(lines[3].ends_with("busy            probe 90 %"), "{table}");
        assert!(lines[4].starts_with("b "), "{table}");
    }

    #[test]
    fn what_a_saturated_probe_saw_is_no_result() {
        let rows = drifting(0.96).rows();
        let table = Table(&rows).to_string();
        let lines: Vec<_> = table.lines().collect();
        assert!(
            lines[1].ends_with("no result: the probe is saturated"),
            "{table}"
        );
        assert!(lines[3].ends_with("probe 96 % (saturated!)"), "{table}");
        let json = serde_json::to_value(&rows[0].figures[0].ratio).expect("has no odd keys");
        let expected =
            serde_json::json!({"of": "relay", "sound_rounds": 3, "no_result": "saturated"});
        assert_eq!(json, expected);
    }

    /// What others had of the time and which part was late in each round of the relay; the
    /// other server has four times its time in the first round, and twice in the rest.
    fn disturbed(figure: &'static str, others: [f64; 5], late: [f64; 5]) -> String {
        let mut rounds = Rounds::default();
        for round in 0..5 {
            let times = if round == 0 { 4.0 } else { 2.0 };
            rounds.record(&what("a"), "other", &[Figure::new(figure, "ns", times)]);
            let figures = [
                Figure::new(figure, "ns", 1.0),
                Figure::new(OTHERS, "share", others[round]),
                Figure::new(LATE, "share", late[round]),
            ];
            rounds.record(&what("a"), "relay", &figures);
        }
        let ratio = rounds.rows()[0].figures[0].ratio.clone();
        ratio.expect("the relay did the same").told(5)
    }

    #[test]
    fn disturbed_rounds_do_not_count() {
        let quiet = [0.0; 5];
        let all = "2.00 × relay (2.00 … 4.00)";
        assert_eq!(disturbed("p99", [0.01; 5], [0.01; 5]), all);
        assert_eq!(disturbed("p50", [0.05; 5], [0.05; 5]), all);
        let rest = "2.00 × relay (2.00 … 2.00), 4 of 5 rounds count";
        let little = [0.02, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(disturbed("p99", little, quiet), rest);
        assert_eq!(disturbed("p99", quiet, little), rest);
        assert_eq!(disturbed("p50", little, little), all);
        let much = [0.06, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(disturbed("deliveries", much, quiet), rest);
        let most = [0.02, 0.02, 0.02, 0.0, 0.0];
        let none = "no result: disturbed, 2 of 5 rounds count";
        assert_eq!(disturbed("p99", quiet, most), none);
    }

    #[test]
    fn who_is_told_beside_another_is_compared_with_that() {
        let mut rounds = Rounds::default();
        for (relay, alone, crowded) in [(100.0, 200.0, 250.0), (100.0, 100.0, 110.0)] {
            let p50 = |value| {
                [
                    Figure::new("p50", "ns", value),
                    Figure::new("sockets", "B", 0.0),
                ]
            };
            rounds.record(&what("a"), "relay", &p50(relay));
            rounds.record(&what("a"), "other", &p50(alone));
            rounds.record_beside(
                &what("a"),
                "other, 20 stalled",
                Some("other"),
                &p50(crowded),
            );
        }
        let rows = rounds.rows();
        let ratio = rows[2].figures[0]
            .ratio
            .as_ref()
            .expect("the other is there");
        assert_eq!(&*ratio.of, "other");
        let [median, min, max] = [1.175, 1.1, 1.25];
        let spread = Spread { median, min, max };
        assert_eq!(ratio.outcome, Outcome::Result(spread));
        assert_eq!(rows[2].figures[1].ratio, None, "a part of nothing");
        let of_other = rows[1].figures[0].ratio.as_ref();
        assert_eq!(of_other.map(|ratio| &*ratio.of), Some("relay"));
    }

    #[test]
    fn an_even_number_has_its_median_in_the_middle() {
        assert_eq!(Spread::of(&[4.0, 1.0, 3.0, 2.0]).median, 2.5);
        assert_eq!(Spread::of(&[4.0]).median, 4.0);
    }
}
