//! What is told of a run, while it goes on and after it.
//!
//! ```text
//!   Second ──► Progress      a terminal, or plain lines
//!          └─► Metrics       Prometheus
//!   Results ─► Table         standard output
//!           ├► write_files   JSON, CSV, .hgrm, HTML
//!           ├► Verdict       the exit code
//!           └► compare       beside another run's
//! ```
//!
//! Nothing here measures: all of it reads [results](crate::results), and any of them can
//! be made again from the JSON of a run.

pub mod compare;
mod csv;
mod figures;
mod hgrm;
mod html;
mod json;
mod metrics;
mod progress;
mod table;
mod units;
mod verdict;

pub use csv::Csv;
pub use hgrm::Hgrm;
pub use html::Html;
pub use json::{Json, ReadError, read};
pub use metrics::{BindError, Metrics, MetricsListener};
pub use progress::Progress;
pub use table::Table;
pub use verdict::Verdict;

use crate::results::{Latencies, Results};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The percentiles that are told, and their names.
const PERCENTILES: [(f64, &str); 6] = [
    (50.0, "p50"),
    (90.0, "p90"),
    (99.0, "p99"),
    (99.9, "p99.9"),
    (99.99, "p99.99"),
    (100.0, "max"),
];

impl Results {
    /// All kinds of latencies of which there are any, and their names.
    fn latencies(&self) -> Vec<(&'static str, &Latencies)> {
        let all = [
            ("response", Some(&self.response)),
            ("service", Some(&self.service)),
            ("connect", Some(&self.connect)),
            ("floor", self.floor.as_ref().map(|floor| &floor.response)),
        ];
        let there = all.into_iter().filter_map(|(name, of)| Some((name, of?)));
        there.filter(|(_, of)| !of.is_empty()).collect()
    }
}

/// A file that could not be written.
#[derive(Debug)]
pub struct WriteError {
    path: PathBuf,
    error: io::Error,
}

/// Writes all files of a run into a folder, which is made if it is not there:
/// `results.json`, `seconds.csv`, `response.hgrm`, `service.hgrm`, `report.html`.
///
/// # Errors
/// [`WriteError`] of the first one that can't be written.
pub fn write_files(folder: &Path, results: &Results) -> Result<(), WriteError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |error| WriteError { path, error }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let files: [(_, &dyn fmt::Display); 5] = [
        ("results.json", &Json(results)),
        ("seconds.csv", &Csv(results)),
        ("response.hgrm", &Hgrm(&results.response)),
        ("service.hgrm", &Hgrm(&results.service)),
        ("report.html", &Html(results)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text.to_string()).map_err(failed(&path))?;
    }
    Ok(())
}

impl fmt::Display for WriteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(formatter, "{path} can't be written: {}", self.error)
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
