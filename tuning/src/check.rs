//! `check`: every item of the table, looked at and put into words.

use crate::item::{self, Fix, Item, Look, Seen, Severity, Situation};
use serde::Serialize;
use std::fmt;

/// How an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Well,
    /// Not as it should be.
    Off,
    /// It means nothing on this host.
    NotHere,
    /// It could not be seen.
    Unseen,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The item's name.
    pub item: &'static str,
    /// How it stands.
    pub state: State,
    /// What it costs to leave it.
    pub severity: Severity,
    /// How it is; why it could not be seen or means nothing, where that is so.
    pub current: String,
    /// How it should be.
    pub wanted: String,
    /// Why it matters.
    pub why: &'static str,
    /// How to mend it; empty where there is nothing to mend.
    pub fix: String,
}

/// The whole table.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// In the order of the items.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Looks at every item. Reads only.
    #[must_use]
    pub fn of(situation: &Situation<'_>) -> Self {
        Self {
            findings: item::all()
                .map(|item| Finding::of(item, situation))
                .collect(),
        }
    }

    /// Whether anything is off that should not be left so.
    #[must_use]
    pub fn is_well(&self) -> bool {
        !self
            .findings
            .iter()
            .any(|finding| finding.state == State::Off && finding.severity > Severity::Could)
    }

    /// The finding of that item.
    #[must_use]
    pub fn finding(&self, item: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.item == item)
    }

    fn count(&self, state: State) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.state == state)
            .count()
    }
}

impl Finding {
    fn of(item: &'static Item, situation: &Situation<'_>) -> Self {
        let look = item.look(situation);
        let (state, current, wanted, fix) = match look {
            Look::Seen(seen) if seen.is_well => {
                (State::Well, seen.current, seen.wanted, String::new())
            }
            Look::Seen(seen) => {
                let fix = how(item, &seen);
                (State::Off, seen.current, seen.wanted, fix)
            }
            Look::NotHere(why) => (State::NotHere, why, String::new(), String::new()),
            Look::Unseen(why) => (State::Unseen, why, String::new(), String::new()),
        };
        Self {
            item: item.name,
            state,
            severity: item.severity,
            current,
            wanted,
            why: item.why,
            fix,
        }
    }
}

/// How to mend it, as a command or a sentence.
pub(crate) fn how(item: &Item, seen: &Seen) -> String {
    let boot = seen.steps.iter().filter_map(|step| match step {
        item::Step::Boot(word) => Some(word.as_str()),
        _ => None,
    });
    match item.fix {
        Fix::Apply => format!("ringcast-tune apply {}", item.name),
        Fix::Script => "ringcast-tune apply --output-script FILE, read it, run it".to_owned(),
        Fix::Boot => format!(
            "on the kernel's command line: {}; `ringcast-tune unit` writes it all",
            boot.collect::<Vec<_>>().join(" ")
        ),
        Fix::Unit => "in the engine's unit file: `ringcast-tune unit` writes one".to_owned(),
        Fix::Operator(sentence) => sentence.to_owned(),
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Well => "well",
            Self::Off => "OFF",
            Self::NotHere => "not here",
            Self::Unseen => "unseen",
        })
    }
}

impl fmt::Display for Report {
    /// The table; below it why each item that is off matters, and how to mend it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .findings
            .iter()
            .map(|finding| finding.item.len())
            .max()
            .unwrap_or(0);
        for finding in &self.findings {
            let severity = finding.severity.to_string();
            write!(
                f,
                "{:<width$}  {:<8}  {severity:<6}  {}",
                finding.item, finding.state, finding.current
            )?;
            match finding.state {
                State::Off => writeln!(f, "  → {}", finding.wanted)?,
                _ => writeln!(f)?,
            }
        }
        for finding in self
            .findings
            .iter()
            .filter(|finding| finding.state == State::Off)
        {
            writeln!(
                f,
                "\n{}: {} → {}",
                finding.item, finding.current, finding.wanted
            )?;
            writeln!(f, "  why: {}", finding.why)?;
            writeln!(f, "  fix: {}", finding.fix)?;
        }
        writeln!(
            f,
            "\n{} well, {} off, {} unseen, {} not here",
            self.count(State::Well),
            self.count(State::Off),
            self.count(State::Unseen),
            self.count(State::NotHere)
        )
    }
}
