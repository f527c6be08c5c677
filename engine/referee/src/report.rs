//! What the referee has to say: how often each rule had its occasion, and who broke it.

use std::collections::BTreeMap;
use std::fmt;

use crate::packet::Packet;
use crate::rule::Rule;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// On which connection.
    pub connection: u64,
    /// When its last byte was seen.
    pub at_nanos: u64,
    /// Where the packet begins among the bytes from server to client; for what should
    /// have come and did not, their number.
    pub offset: u64,
    /// The packet in a few words, or what was awaited.
    pub packet: String,
    /// Why it is wrong.
    pub because: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}: connection {}, byte {}, {:.6} s: {}: {}",
            self.rule,
            self.connection,
            self.offset,
            self.at_nanos as f64 / 1e9,
            self.packet,
            self.because
        )
    }
}

/// The verdict on a trace, or on several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    occasions: BTreeMap<Rule, u64>,
    violations: Vec<Violation>,
}

impl Report {
    /// How often the rule could have been broken.
    pub fn occasions(&self, rule: Rule) -> u64 {
        self.occasions.get(&rule).copied().unwrap_or(0)
    }

    /// Who broke what, in the order of conviction.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Those of `rules` that never had their occasion: nothing was proved about them.
    pub fn without_occasion(&self, rules: &[Rule]) -> Vec<Rule> {
        rules
            .iter()
            .copied()
            .filter(|rule| self.occasions(*rule) == 0)
            .collect()
    }

    /// Adds what another report says.
    pub fn merge(&mut self, other: Report) {
        for (rule, count) in other.occasions {
            self.add_occasions(rule, count);
        }
        self.violations.extend(other.violations);
    }

    pub(crate) fn add_occasions(&mut self, rule: Rule, count: u64) {
        *self.occasions.entry(rule).or_default() += count;
    }

    pub(crate) fn convict(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// An occasion of `rule`, and a violation unless `innocent`.
    pub(crate) fn judge(
        &mut self,
        rule: Rule,
        site: &Site<'_>,
        innocent: bool,
        because: impl FnOnce() -> String,
    ) {
        self.add_occasions(rule, 1);
        if !innocent {
            self.convict(site.violation(rule, because()));
        }
    }
}

/// The table of all rules, then the violations, a line each.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:<24} {:>10} {:>10}",
            "rule", "occasions", "violations"
        )?;
        for rule in Rule::ALL {
            let violations = self.violations.iter().filter(|found| found.rule == *rule);
            writeln!(
                out,
                "{rule:<24} {:>10} {:>10}",
                self.occasions(*rule),
                violations.count()
            )?;
        }
        for violation in &self.violations {
            writeln!(out, "{violation}")?;
        }
        Ok(())
    }
}

/// Where the referee is looking.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub connection: u64,
    pub at_nanos: u64,
    pub offset: u64,
    pub packet: Option<&'a Packet>,
    /// Said instead where there is no packet.
    pub instead: &'a str,
}

impl Site<'_> {
    pub(crate) fn violation(&self, rule: Rule, because: String) -> Violation {
        Violation {
            rule,
            connection: self.connection,
            at_nanos: self.at_nanos,
            offset: self.offset,
            packet: match self.packet {
                Some(packet) => packet.summary(),
                None => self.instead.to_owned(),
            },
            because,
        }
    }
}
