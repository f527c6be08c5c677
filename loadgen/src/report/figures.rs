//! The figures that a run is known by: one number each, under the name that JSON and
//! comparisons have for it.

use super::PERCENTILES;
use crate::results::{Latencies, Results, Totals};

const NANOS_PER_SECOND: f64 = 1e9;

/// A percentile is a figure only if so many samples lie beyond it: of fewer, chance says
/// what it is.
const SAMPLES_BEYOND_MIN: f64 = 10.0;

/// And so is a rate only over a second or more.
const RATE_NANOS_MIN: u64 = 1_000_000_000;

/// One number of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) unit: Unit,
    pub(super) value: f64,
    /// Whether chance alone may have made it what it is.
    pub(super) is_chance: bool,
}

/// What a figure counts, and so which way it is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// The fewer the better.
    Nanos,
    /// The fewer the better.
    Bytes,
    /// The more the better.
    PerSecond,
}

/// All that the run has; what it did not do has no figure.
pub(super) fn figures(results: &Results) -> Vec<Figure> {
    let totals = &results.totals;
    let mut figures = Vec::new();
    for (name, latencies) in results.latencies() {
        percentiles(&mut figures, name, latencies);
    }
    let (publishing, connecting) = (totals.publishing_nanos, totals.connect_nanos);
    for (name, rate, nanos) in [
        ("published", totals.published_per_second(), publishing),
        ("delivered", totals.delivered_per_second(), publishing),
        ("connects", totals.connects_per_second(), connecting),
    ] {
        if rate > 0.0 {
            figures.push(Figure {
                is_chance: nanos < RATE_NANOS_MIN,
                ..figure(format!("{name}_per_second"), Unit::PerSecond, rate)
            });
        }
    }
    if let Some(memory) = &results.memory {
        let each = |bytes: u64| bytes as f64 / memory.connections.max(1) as f64;
        for (whose, bytes) in [
            ("generator", Some(memory.generator_bytes)),
            ("server", memory.server_bytes),
            ("kernel", memory.kernel_bytes),
        ] {
            if let Some(bytes) = bytes {
                let name = format!("{whose}_per_connection_bytes");
                figures.push(figure(name, Unit::Bytes, each(bytes)));
            }
        }
    }
    figures
}

fn percentiles(figures: &mut Vec<Figure>, of: &str, latencies: &Latencies) {
    let histogram = latencies.unpack();
    for (percentile, name) in PERCENTILES {
        let value = histogram.value_at_percentile(percentile) as f64;
        let beyond = histogram.len() as f64 * (1.0 - percentile / 100.0);
        figures.push(Figure {
            is_chance: beyond < SAMPLES_BEYOND_MIN,
            ..figure(format!("{of}_{name}_nanos"), Unit::Nanos, value)
        });
    }
}

fn figure(name: String, unit: Unit, value: f64) -> Figure {
    Figure {
        name,
        unit,
        value,
        is_chance: false,
    }
}

impl Totals {
    pub(super) fn published_per_second(&self) -> f64 {
        per_second(self.published, self.publishing_nanos)
    }

    pub(super) fn delivered_per_second(&self) -> f64 {
        per_second(self.delivered, self.publishing_nanos)
    }

    pub(super) fn connects_per_second(&self) -> f64 {
        per_second(self.connections_opened, self.connect_nanos)
    }
}

/// Nothing per second if there was no time.
pub(super) fn per_second(count: u64, nanos: u64) -> f64 {
    match nanos {
        0 => 0.0,
        nanos => count as f64 * NANOS_PER_SECOND / nanos as f64,
    }
}
