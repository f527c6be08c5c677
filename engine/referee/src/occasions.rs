//! Occasions of many processes: each writes a small file into one folder, and
//! [`merge`] adds them up. So a run of all tests can tell which rules it never tried.
//!
//! A file has a line `rule count` for each rule that had an occasion.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::report::Report;
use crate::rule::Rule;

/// The folder that tests write to, if the variable `RINGCAST_OCCASIONS` names one.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("RINGCAST_OCCASIONS").map(PathBuf::from)
}

/// Writes the occasions of a report into a new file of `folder`.
///
/// # Errors
/// Those of the file system.
pub fn keep(report: &Report, folder: &Path) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let text: String = Rule::ALL
        .iter()
        .map(|rule| (rule, report.occasions(*rule)))
        .filter(|(_, count)| *count > 0)
        .map(|(rule, count)| format!("{rule} {count}\n"))
        .collect();
    let process = std::process::id();
    loop {
        // A process of an earlier run may have had our number: its file stays.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{process}-{number}.occasions"));
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(mut file) => return file.write_all(text.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Why a folder's files can not be added up.
#[derive(Debug)]
pub enum OccasionsError {
    /// One could not be read.
    Io(PathBuf, io::Error),
    /// A line is not a rule and a number.
    Line(PathBuf, String),
}

impl fmt::Display for OccasionsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OccasionsError::Io(path, _) => write!(out, "{} could not be read", path.display()),
            OccasionsError::Line(path, line) => {
                write!(out, "{}: {line:?} is not `rule count`", path.display())
            }
        }
    }
}

impl std::error::Error for OccasionsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OccasionsError::Io(_, source) => Some(source),
            OccasionsError::Line(..) => None,
        }
    }
}

/// The sum of all `.occasions` files of a folder.
///
/// # Errors
/// A file that can't be read, or is not what [`keep`] writes.
pub fn merge(folder: &Path) -> Result<Report, OccasionsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| OccasionsError::Io(path, error)
    };
    let mut sum = Report::default();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "occasions")
        {
            continue;
        }
        for line in fs::read_to_string(&path).map_err(failed(&path))?.lines() {
            let parsed = line
                .split_once(' ')
                .and_then(|(name, count)| Some((Rule::named(name)?, count.parse().ok()?)));
            let (rule, count) =
                parsed.ok_or_else(|| OccasionsError::Line(path.clone(), line.to_owned()))?;
            sum.add_occasions(rule, count);
        }
    }
    Ok(sum)
}
