//! The state file: what every changed file of the kernel held before.
//!
//! The entries of an item are on disk, whole, before the first of its files is touched;
//! what the files became is noted after the last. So at any moment, also one at which
//! the program is killed, the journal knows every file that may differ from how it was
//! found. It is replaced by renaming, never written in place.

use crate::host::Host;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Where the journal lies unless the operator says otherwise.
pub const STATE: &str = "/var/lib/ringcast-tune/state.json";
const VERSION: u32 = 1;

/// One file that was changed, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The item that it belongs to.
    pub item: String,
    /// The file.
    pub path: String,
    /// What it read before, byte for byte.
    pub original: String,
    /// What is written to bring that back: the chosen word of a choice, else the same.
    pub back: String,
    /// What it read after the change; none until that is known.
    pub became: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    version: u32,
    entries: Vec<Entry>,
}

/// The open journal; nobody else has it open.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    entries: Vec<Entry>,
    _lock: Flock<File>,
}

/// Why there is no journal to work with.
#[derive(Debug)]
pub enum JournalError {
    /// Another program holds it.
    Busy(PathBuf),
    /// It can't be read or written.
    Io(PathBuf, io::Error),
    /// It is none, or one of another version.
    Unreadable(PathBuf, String),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(path) => write!(
                f,
                "another ringcast-tune is at work with {}",
                path.display()
            ),
            Self::Io(path, error) => write!(f, "the state file {}: {error}", path.display()),
            Self::Unreadable(path, error) => {
                write!(
                    f,
                    "the state file {} cannot be understood ({error}); nothing was changed",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for JournalError {}

impl Journal {
    /// Opens the journal at `path`, which need not exist yet, and keeps others out.
    ///
    /// # Errors
    /// [`JournalError`]; nothing was changed.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |error| JournalError::Io(path.to_owned(), error);
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(path.with_extension("lock")).map_err(failed)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|_| JournalError::Busy(path.to_owned()))?;
        Ok(Self {
            entries: read(path)?,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where the journal of a host lies by default.
    #[must_use]
    pub fn place(host: &Host) -> PathBuf {
        host.place(STATE)
    }

    /// What was changed, in that order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a file.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// Puts entries in, each in place of one for the same file, and saves once.
    pub(crate) fn put(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<(), JournalError> {
        for entry in entries {
            match self
                .entries
                .iter_mut()
                .find(|other| other.path == entry.path)
            {
                Some(other) => *other = entry,
                None => self.entries.push(entry),
            }
        }
        self.save()
    }

    /// Takes the entries of files out that are as they were, and saves once.
    pub(crate) fn remove(&mut self, paths: &[String]) -> Result<(), JournalError> {
        self.entries.retain(|entry| !paths.contains(&entry.path));
        self.save()
    }

    /// Without entries there is no file, so that a host is left as it was found.
    fn save(&self) -> Result<(), JournalError> {
        self.replace()
            .map_err(|error| JournalError::Io(self.path.clone(), error))
    }

    fn replace(&self) -> io::Result<()> {
        if self.entries.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let content = Content {
            version: VERSION,
            entries: self.entries.clone(),
        };
        let mut text = serde_json::to_string_pretty(&content)?;
        text.push('\n');
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        // The new name must survive a power cut as well.
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn read(path: &Path) -> Result<Vec<Entry>, JournalError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JournalError::Io(path.to_owned(), error)),
    };
    let unreadable = |why: String| JournalError::Unreadable(path.to_owned(), why);
    let content: Content =
        serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if content.version != VERSION {
        return Err(unreadable(format!(
            "version {}, this program writes {VERSION}",
            content.version
        )));
    }
    Ok(content.entries)
}
