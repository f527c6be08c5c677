//! Results in a file, for programs and for [comparisons](super::compare). It says which
//! version of the format it has, and holds the run's figures once more where programs
//! without HdrHistogram find them.

use super::Verdict;
use super::figures::figures;
use crate::results::Results;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the file says it is.
const FORMAT: &str = "ringcast-loadgen results";

/// Counts up when a field changes its meaning or goes; a new one changes nothing.
const VERSION: u32 = 1;

/// Results as JSON.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a>(pub &'a Results);

/// Results that can't be had from a file.
#[derive(Debug)]
pub struct ReadError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Unreadable(io::Error),
    /// No JSON, or another one than that of results.
    NoResults,
    /// Written by a later generator, or by one whose format is known no more.
    Version(u32),
    /// The format is right, the content is not.
    Broken(serde_json::Error),
}

#[derive(Serialize)]
struct File<'a> {
    format: &'static str,
    version: u32,
    summary: Summary,
    #[serde(flatten)]
    results: &'a Results,
}

/// What can be computed from the rest.
#[derive(Serialize)]
struct Summary {
    violations: Vec<String>,
    doubts: Vec<String>,
    figures: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { violations, doubts } = Verdict::of(self.0);
        let figures = figures(self.0).into_iter();
        let file = File {
            format: FORMAT,
            version: VERSION,
            summary: Summary {
                violations,
                doubts,
                figures: figures.map(|figure| (figure.name, figure.value)).collect(),
            },
            results: self.0,
        };
        let text = serde_json::to_string_pretty(&file).expect("all keys are names");
        writeln!(formatter, "{text}")
    }
}

/// Reads results back that [`Json`] wrote.
///
/// # Errors
/// [`ReadError`], whose sentence names the file and what is wrong with it.
pub fn read(path: &Path) -> Result<Results, ReadError> {
    let failed = |why| ReadError {
        path: path.to_owned(),
        why,
    };
    let text = fs::read(path).map_err(|error| failed(Why::Unreadable(error)))?;
    parse(&text).map_err(failed)
}

fn parse(text: &[u8]) -> Result<Results, Why> {
    let head: Head = serde_json::from_slice(text).map_err(|_| Why::NoResults)?;
    if head.format != FORMAT {
        return Err(Why::NoResults);
    }
    if head.version != VERSION {
        return Err(Why::Version(head.version));
    }
    serde_json::from_slice(text).map_err(Why::Broken)
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::Unreadable(error) => write!(formatter, "{path} can't be read: {error}"),
            Why::NoResults => write!(
                formatter,
                "{path} holds no results: it has to be a results.json of ringcast-loadgen"
            ),
            Why::Version(version) => write!(
                formatter,
                "{path} has version {version} of the format, this program reads version {VERSION}: use the program that wrote it, or run again"
            ),
            Why::Broken(error) => write!(formatter, "{path} is damaged: {error}"),
        }
    }
}

impl std::error::Error for ReadError {}
