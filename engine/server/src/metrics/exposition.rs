//! The text format 0.0.4 of Prometheus: a family is its help, its type, and its samples.
//!
//! Names are made here: the prefix, the base unit and `_total` come from the descriptor.

use super::histogram::{BOUNDS_NANOS, Histogram};
use std::fmt::Write;

/// Before every name but those that all processes share.
const PREFIX: &str = "ringcast_";
/// Before those.
const PREFIX_OF_PROCESSES: &str = "process_";

const NANOS_PER_SECOND: f64 = 1e9;

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

/// In what it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Counted.
    None,
    /// Bytes.
    Bytes,
    /// Told in seconds, and kept in nanoseconds.
    Nanos,
}

/// A family without its samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptor {
    /// Without prefix, unit and `_total`.
    pub(crate) name: &'static str,
    /// A sentence.
    pub(crate) help: &'static str,
    /// What it is.
    pub(crate) kind: Kind,
    /// In what it is measured.
    pub(crate) unit: Unit,
}

impl Descriptor {
    /// The name in the text.
    pub(crate) fn full_name(&self) -> String {
        let prefix = match self.name.starts_with(PREFIX_OF_PROCESSES) {
            true => "",
            false => PREFIX,
        };
        let unit = match self.unit {
            Unit::None => "",
            Unit::Bytes => "_bytes",
            Unit::Nanos => "_seconds",
        };
        let total = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{prefix}{}{unit}{total}", self.name)
    }
}

/// The text, while it is written.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
    name: String,
    nanos: bool,
}

impl Exposition {
    /// Begins a family; its samples follow.
    pub(crate) fn family(&mut self, descriptor: &Descriptor) {
        self.name = descriptor.full_name();
        self.nanos = descriptor.unit == Unit::Nanos;
        let kind = match descriptor.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let (name, help) = (&self.name, descriptor.help);
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family, as it is told.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line("", labels, None, value);
    }

    /// A number as it is kept: nanoseconds become seconds.
    pub(crate) fn number(&mut self, labels: &[(&str, &str)], value: u64) {
        let value = match self.nanos {
            true => seconds(value),
            false => float(value),
        };
        self.sample(labels, value);
    }

    /// All lines of a histogram.
    pub(crate) fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let counts = histogram.counts();
        let mut sum = 0;
        for (bound, count) in BOUNDS_NANOS.iter().zip(counts) {
            sum += count;
            self.line(
                "_bucket",
                labels,
                Some(&seconds(*bound).to_string()),
                float(sum),
            );
        }
        sum += counts[BOUNDS_NANOS.len()];
        self.line("_bucket", labels, Some("+Inf"), float(sum));
        self.line("_sum", labels, None, seconds(histogram.sum_nanos()));
        self.line("_count", labels, None, float(sum));
    }

    /// All that was written.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// Values of labels are names and numbers of our own: none has to be escaped.
    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: f64) {
        let (text, name) = (&mut self.text, &self.name);
        let _ = write!(text, "{name}{suffix}");
        let labels = labels
            .iter()
            .copied()
            .chain(bound.map(|bound| ("le", bound)));
        let mut before = '{';
        for (label, of) in labels {
            let _ = write!(text, "{before}{label}=\"{of}\"");
            before = ',';
        }
        let end = if before == ',' { "}" } else { "" };
        let _ = writeln!(text, "{end} {value}");
    }
}

/// The families of such a text as a table in Markdown, with the labels of each.
pub(crate) fn table(text: &str) -> String {
    let mut table = "| metric | type | labels | |\n|---|---|---|---|\n".to_owned();
    for family in text.split("# HELP ").skip(1) {
        let (head, samples) = family.split_once('\n').unwrap_or((family, ""));
        let (name, help) = head.split_once(' ').unwrap_or((head, ""));
        let (kind, samples) = samples.split_once('\n').unwrap_or((samples, ""));
        let kind = kind.rsplit(' ').next().unwrap_or("");
        let labels = labels(samples.lines().next().unwrap_or(""));
        let _ = writeln!(table, "| `{name}` | {kind} | {labels} | {help} |");
    }
    table
}

/// The names of a sample's labels but for that of a histogram's bounds.
fn labels(sample: &str) -> String {
    let inside = sample
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let labels = inside.map_or("", |(inside, _)| inside).split(',');
    let names = labels
        .filter_map(|label| label.split_once('='))
        .map(|(name, _)| name);
    let names: Vec<_> = names
        .filter(|name| *name != "le")
        .map(|name| format!("`{name}`"))
        .collect();
    names.join(", ")
}

#[allow(
    clippy::cast_precision_loss,
    reason = "Prometheus has nothing but floats; past 2^53 the last digits go"
)]
fn float(value: u64) -> f64 {
    value as f64
}

fn seconds(nanos: u64) -> f64 {
    float(nanos) / NANOS_PER_SECOND
}
