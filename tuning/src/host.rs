//! The host as files: whatever this crate knows, it reads through a [`Host`], and
//! whatever it changes, it writes through it.
//!
//! A host hangs at a folder: `/` for the one that the program runs on, any other for
//! a copy of its `/proc` and `/sys`, such as an operator collected elsewhere. Paths
//! are absolute and mean the same in both.
//!
//! Some settings of network cards have no file: `ethtool` tells them. A copy brings
//! what it printed, as files below `/ethtool`.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A host, seen through the files below its root.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

/// Why a file of the host could not be read or written, as a sentence says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such file: the kernel lacks the feature, or this namespace hides it.
    Absent(String),
    /// It is there, but not for this user.
    Denied(String),
    /// The whole tree is mounted read-only, as containers do.
    ReadOnly(String),
    /// The kernel said no; the text is its error.
    Failed(String, String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(path) => write!(f, "there is no {path} here"),
            Self::Denied(path) => write!(f, "{path} is only for root"),
            Self::ReadOnly(path) => write!(f, "{path} is on a file system mounted read-only"),
            Self::Failed(path, error) => write!(f, "{path}: {error}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    fn of(path: &str, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Self::Absent(path),
            ErrorKind::PermissionDenied => Self::Denied(path),
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(path),
            _ => Self::Failed(path, error.to_string()),
        }
    }
}

impl Host {
    /// The host whose files are below `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether this is the machine that the program runs on.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where `path` lies for the program.
    #[must_use]
    pub fn place(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`Refusal`], also where it exists but reading fails, as for settings that a
    /// device doesn't have.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, Refusal> {
        fs::read(self.place(path)).map_err(|error| Refusal::of(path, &error))
    }

    /// The text of a file, as it is.
    ///
    /// # Errors
    /// [`Refusal`]; a file that is no text counts as failed.
    pub fn text(&self, path: &str) -> Result<String, Refusal> {
        String::from_utf8(self.bytes(path)?)
            .map_err(|_| Refusal::Failed(path.to_owned(), "is no text".to_owned()))
    }

    /// The text of a file without the space around it.
    ///
    /// # Errors
    /// [`Refusal`], as for [`Host::text`].
    pub fn value(&self, path: &str) -> Result<String, Refusal> {
        Ok(self.text(path)?.trim().to_owned())
    }

    /// A file that holds one number.
    ///
    /// # Errors
    /// [`Refusal`], also where it is no number.
    pub fn number<N: std::str::FromStr>(&self, path: &str) -> Result<N, Refusal> {
        let value = self.value(path)?;
        let wrong = |_| Refusal::Failed(path.to_owned(), format!("'{value}' is no number"));
        value.parse().map_err(wrong)
    }

    /// Whether there is such a file or folder.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.place(path).exists()
    }

    /// The names in a folder, numbers in their order; none where there is no folder.
    #[must_use]
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.place(path))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_by_key(|name| {
            let digits = name
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(name.len());
            let (word, number) = name.split_at(digits);
            (word.to_owned(), number.parse::<u64>().ok(), name.clone())
        });
        names
    }

    /// The name of what a link leads to.
    #[must_use]
    pub fn link_name(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.place(path)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// Whether a link leads through a folder of that name.
    #[must_use]
    pub fn link_passes(&self, path: &str, folder: &str) -> bool {
        fs::read_link(self.place(path))
            .is_ok_and(|target| target.components().any(|part| part.as_os_str() == folder))
    }

    /// Whether a file can be opened for writing. Changes nothing.
    ///
    /// # Errors
    /// [`Refusal`] that a write would meet as well.
    pub fn check_writable(&self, path: &str) -> Result<(), Refusal> {
        let opened = OpenOptions::new().write(true).open(self.place(path));
        opened.map(drop).map_err(|error| Refusal::of(path, &error))
    }

    /// Writes a setting with a single call, as the files of the kernel demand.
    ///
    /// # Errors
    /// [`Refusal`], also where the kernel takes no such value.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Refusal> {
        let file = OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(self.place(path));
        let written = file.and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| Refusal::of(path, &error))
    }

    /// What `ethtool FLAG NIC` prints. Of a copied host nothing is run: the file
    /// `/ethtool/FLAG-NIC`, without the dash of the flag, is what it printed there.
    ///
    /// # Errors
    /// [`Refusal::Absent`] where it is not installed or was not copied,
    /// [`Refusal::Failed`] with its own words where the card lacks what was asked for.
    pub fn ethtool(&self, flag: &str, nic: &str) -> Result<String, Refusal> {
        if !self.is_this_machine() {
            return self.text(&format!("/ethtool/{}-{nic}", flag.trim_start_matches('-')));
        }
        let name = format!("ethtool {flag} {nic}");
        let output = Command::new("ethtool")
            .args([flag, nic])
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| match error.kind() {
                // Folders of PATH that this user may not look into say "denied".
                ErrorKind::NotFound | ErrorKind::PermissionDenied => {
                    Refusal::Absent("ethtool".to_owned())
                }
                _ => Refusal::Failed(name.clone(), error.to_string()),
            })?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let words = String::from_utf8_lossy(&output.stderr)
                .trim()
                .replace('\n', "; ");
            Err(Refusal::Failed(name, words))
        }
    }
}
