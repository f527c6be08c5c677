//! Metrics: what the engine's parts count, in the text that Prometheus reads.
//!
//! ```text
//!   core loop ──store, relaxed──► atomics of its struct ◄──load, relaxed── Registry ─► text
//! ```
//!
//! Each struct of metrics is declared once, by [`metrics!`]: a field and its line in the
//! text are the same thing. It has one writer, which only ever loads and stores, so that
//! counting takes no locked instruction. There are no labels of clients or topics: the
//! number of lines depends on the settings alone.

mod cell;
mod declare;
mod door;
mod exposition;
mod histogram;
mod process;

pub(crate) use cell::{Counter, Gauge};
pub(crate) use declare::{MetricsSet, Reading, metrics};
pub(crate) use door::DoorMetrics;
pub(crate) use exposition::{Descriptor, Exposition, Kind, Unit};
pub(crate) use histogram::{BOUNDS_NANOS, Histogram};
pub(crate) use process::ProcessMetrics;

use crate::meters::{IngestMetrics, ShardMetrics};
use std::sync::Arc;

/// Whoever has something to tell.
pub(crate) trait Source: Send + Sync {
    /// Writes its families of metrics, each whole.
    fn write(&self, text: &mut Exposition);
}

/// All sources, in the order in which they are told.
#[derive(Default)]
pub(crate) struct Registry {
    sources: Vec<Box<dyn Source>>,
}

impl Registry {
    /// With what every process has: its version and what it takes.
    pub(crate) fn new() -> Self {
        let mut registry = Self::default();
        registry.add(BuildInfo);
        registry.add(ProcessMetrics::new());
        registry
    }

    /// Adds a source behind the others.
    pub(crate) fn add(&mut self, source: impl Source + 'static) {
        self.sources.push(Box::new(source));
    }

    /// Everything, in the text format 0.0.4.
    pub(crate) fn text(&self) -> String {
        let mut text = Exposition::default();
        for source in &self.sources {
            source.write(&mut text);
        }
        text.finish()
    }
}

/// The table of all metrics that stands in the book.
pub(crate) fn reference() -> String {
    let mut registry = Registry::new();
    registry.labelled::<ShardMetrics>("shard", 1);
    registry.single::<IngestMetrics>();
    registry.add(DoorMetrics(Arc::default()));
    exposition::table(&registry.text())
}

/// Which version this is.
struct BuildInfo;

impl Source for BuildInfo {
    fn write(&self, text: &mut Exposition) {
        text.family(&Descriptor {
            name: "build_info",
            help: "Always 1; its label is the version that runs.",
            kind: Kind::Gauge,
            unit: Unit::None,
        });
        text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    }
}

#[cfg(test)]
mod tests;
