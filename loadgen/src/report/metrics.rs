//! A run while it goes on, for Prometheus: `GET /metrics` on a listener of its own.
//!
//! It has a thread, which is pinned to nothing, and everything that a client may take of it
//! is bounded. Nobody is asked for a password: it is for loopback or for a network of its
//! own.

mod listener;

pub use listener::{BindError, MetricsListener};

use crate::results::Second;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

const NANOS_PER_SECOND: f64 = 1e9;

/// The upper bounds of all buckets of the response time but the last, in nanoseconds:
/// from a microsecond to ten seconds in steps of 1, 2, 5.
const BOUNDS_NANOS: [u64; 22] = bounds();

const fn bounds() -> [u64; 22] {
    let mut bounds = [0; 22];
    let (mut at, mut decade) = (0, 1_000);
    while at < bounds.len() {
        bounds[at] = decade * [1, 2, 5][at % 3];
        at += 1;
        if at % 3 == 0 {
            decade *= 10;
        }
    }
    bounds
}

/// What is counted so far.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    connections: u64,
    connections_asked: u64,
    published: u64,
    delivered: u64,
    late: u64,
    wrong: u64,
    /// Deliveries by response time; the last bucket holds those beyond all bounds.
    response: [u64; BOUNDS_NANOS.len() + 1],
    response_seconds: f64,
}

impl Metrics {
    /// Of a run with so many connections.
    pub fn new(connections_asked: u64) -> Self {
        Self(Mutex::new(Sums {
            connections_asked,
            ..Sums::default()
        }))
    }

    /// A second has ended.
    pub fn on_second(&self, second: &Second) {
        let response = second.response.unpack();
        let mut sums = self.sums();
        sums.connections = second.connections;
        sums.published += second.published;
        sums.delivered += second.delivered;
        sums.late += second.late;
        sums.wrong += second.wrong;
        for step in response.iter_recorded() {
            let nanos = step.value_iterated_to();
            let bucket = BOUNDS_NANOS.partition_point(|bound| *bound < nanos);
            sums.response[bucket] += step.count_at_value();
        }
        sums.response_seconds += response.mean() * response.len() as f64 / NANOS_PER_SECOND;
    }

    /// All of it in the text format 0.0.4.
    pub fn text(&self) -> String {
        let sums = self.sums();
        let mut text = Exposition::default();
        text.family(
            "build_info",
            "gauge",
            "Always 1; its label is the version that runs.",
        );
        let version = concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
        text.sample(version, 1.0);
        for (name, kind, help, value) in [
            (
                "connections",
                "gauge",
                "Connections that are open.",
                sums.connections,
            ),
            (
                "connections_asked",
                "gauge",
                "Connections that the scenario asks for.",
                sums.connections_asked,
            ),
            (
                "published_total",
                "counter",
                "Messages handed to the kernel.",
                sums.published,
            ),
            (
                "delivered_total",
                "counter",
                "Messages that subscribers got.",
                sums.delivered,
            ),
            (
                "late_total",
                "counter",
                "Publishes sent later than intended.",
                sums.late,
            ),
            (
                "wrong_total",
                "counter",
                "Deliveries found wrong.",
                sums.wrong,
            ),
        ] {
            text.family(name, kind, help);
            text.sample("", value as f64);
        }
        text.family(
            "response_seconds",
            "histogram",
            "From the intended time of a publish to a delivery of it.",
        );
        let mut count = 0;
        for (bound, in_bucket) in BOUNDS_NANOS.iter().zip(sums.response) {
            count += in_bucket;
            let bound = *bound as f64 / NANOS_PER_SECOND;
            text.sample(&format!("_bucket{{le=\"{bound}\"}}"), count as f64);
        }
        count += sums.response[BOUNDS_NANOS.len()];
        text.sample("_bucket{le=\"+Inf\"}", count as f64);
        text.sample("_sum", sums.response_seconds);
        text.sample("_count", count as f64);
        text.text
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text, while it is written: a family is its help, its type, and its samples.
#[derive(Debug, Default)]
struct Exposition {
    text: String,
    name: String,
}

impl Exposition {
    /// Begins a family; its samples follow.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.name = format!("ringcast_loadgen_{name}");
        let name = &self.name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family: what stands behind its name, and how much.
    fn sample(&mut self, suffix: &str, value: f64) {
        let name = &self.name;
        let _ = writeln!(self.text, "{name}{suffix} {value}");
    }
}
