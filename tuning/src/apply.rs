//! `apply` and `revert`: changes what can be undone, and undoes it.
//!
//! An item is changed as a whole or not at all. Before its first file is touched every
//! file of it was read and could be opened for writing; afterwards it is looked at
//! again, and if it is not well then, its files are put back.

use crate::check::how;
use crate::host::{Host, Refusal};
use crate::item::{Fix, Item, Look, Situation, Step, chosen};
use crate::journal::{Entry, Journal, JournalError};
use std::fmt;

/// One file and what it would read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub path: String,
    /// What it reads.
    pub from: String,
    /// What is written; none to a file that the kernel changes along with the others.
    pub to: Option<String>,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// These files were changed.
    Changed(Vec<Change>),
    /// It was as it should be.
    Well,
    /// It means nothing here: why.
    NotHere(String),
    /// Nothing of it was changed: why.
    Refused(String),
    /// It was changed, did not come out well, and was put back: why.
    PutBack(String),
    /// It was changed, did not come out well, and could not all be put back: why. The
    /// journal keeps it for `revert`.
    Stuck(String),
}

impl Outcome {
    /// Whether something that should be changed was not.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::PutBack(_) | Self::Stuck(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(changes) => write!(
                f,
                "changed: {}",
                changes
                    .iter()
                    .map(Change::to_string)
                    .collect::<Vec<_>>()
                    .join("; ")
            ),
            Self::Well => f.write_str("well already"),
            Self::NotHere(why) => write!(f, "not here: {why}"),
            Self::Refused(why) => write!(f, "not changed: {why}"),
            Self::PutBack(why) => write!(f, "put back: {why}"),
            Self::Stuck(why) => write!(f, "CHANGED AND STUCK: {why}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| text.trim().replace('\t', " ");
        match &self.to {
            Some(to) => write!(f, "{} {} → {}", self.path, shown(&self.from), shown(to)),
            None => write!(f, "{} {} goes along", self.path, shown(&self.from)),
        }
    }
}

/// The changes that an item needs, without making any.
///
/// # Errors
/// The [`Outcome`] instead, where there is nothing to change or not all of it could be.
pub fn changes(item: &Item, situation: &Situation<'_>) -> Result<Vec<Change>, Outcome> {
    let seen = match item.look(situation) {
        Look::NotHere(why) => return Err(Outcome::NotHere(why)),
        Look::Unseen(why) => return Err(Outcome::Refused(why)),
        Look::Seen(seen) if seen.is_well => return Err(Outcome::Well),
        Look::Seen(seen) => seen,
    };
    if item.fix != Fix::Apply {
        return Err(Outcome::Refused(how(item, &seen)));
    }
    let mut changes = Vec::new();
    for step in &seen.steps {
        let (path, to) = match step {
            Step::Write { path, value } => (path, Some(value)),
            Step::Affects(path) => (path, None),
            Step::Run(_) | Step::Boot(_) => continue,
        };
        let from = situation.host.text(path).map_err(refused)?;
        if to.is_none_or(|to| from.trim() != to.trim()) {
            situation.host.check_writable(path).map_err(refused)?;
            changes.push(Change {
                path: path.clone(),
                from,
                to: to.cloned(),
            });
        }
    }
    Ok(changes)
}

#[allow(clippy::needless_pass_by_value, reason = "a function for map_err")]
fn refused(refusal: Refusal) -> Outcome {
    Outcome::Refused(refusal.to_string())
}

/// One item on its way, a step at a time: what a kill between two steps leaves behind
/// is what stopping between two calls leaves.
#[derive(Debug)]
pub struct Applying<'a> {
    item: &'static Item,
    situation: &'a Situation<'a>,
    changes: Vec<Change>,
    awaits: Awaits,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    /// The originals go to disk.
    Record,
    /// The change of that number is written.
    Write(usize),
    /// What the files became goes to disk.
    Note,
    /// The item is looked at again.
    Look,
}

impl<'a> Applying<'a> {
    /// Begins an item. Changes nothing.
    ///
    /// # Errors
    /// The [`Outcome`], where there is nothing to do.
    pub fn begin(item: &'static Item, situation: &'a Situation<'a>) -> Result<Self, Outcome> {
        let changes = changes(item, situation)?;
        Ok(Self {
            item,
            situation,
            changes,
            awaits: Awaits::Record,
        })
    }

    /// Takes the next step. Gives the outcome after the last.
    ///
    /// # Errors
    /// [`JournalError`] where the journal can't be written. It has the originals of
    /// all that was touched.
    pub fn advance(&mut self, journal: &mut Journal) -> Result<Option<Outcome>, JournalError> {
        let host = self.situation.host;
        match self.awaits {
            Awaits::Record => {
                let entries: Vec<_> = self
                    .changes
                    .iter()
                    .map(|change| self.entry(change, journal))
                    .collect();
                journal.put(entries)?;
                self.awaits = Awaits::Write(0);
            }
            Awaits::Write(at) => match self.changes.get(at) {
                Some(change) => {
                    if let Some(to) = &change.to
                        && let Err(refusal) = host.write(&change.path, to.as_bytes())
                    {
                        return self.put_back(journal, &refusal.to_string()).map(Some);
                    }
                    self.awaits = Awaits::Write(at + 1);
                }
                None => self.awaits = Awaits::Note,
            },
            Awaits::Note => {
                let became = |entry: &Entry| Entry {
                    became: host.text(&entry.path).ok(),
                    ..entry.clone()
                };
                let entries: Vec<_> = self
                    .changes
                    .iter()
                    .filter_map(|change| journal.entry(&change.path))
                    .map(became)
                    .collect();
                journal.put(entries)?;
                self.awaits = Awaits::Look;
            }
            Awaits::Look => return self.finish(journal).map(Some),
        }
        Ok(None)
    }

    /// The first original counts, unless somebody else changed the file since.
    fn entry(&self, change: &Change, journal: &Journal) -> Entry {
        let kept = journal.entry(&change.path).filter(|entry| {
            entry.became.is_none() || entry.became.as_deref() == Some(&change.from)
        });
        match kept {
            Some(entry) => Entry {
                became: None,
                ..entry.clone()
            },
            None => Entry {
                item: self.item.name.to_owned(),
                path: change.path.clone(),
                original: change.from.clone(),
                back: chosen(&change.from)
                    .map_or_else(|| change.from.clone(), |word| format!("{word}\n")),
                became: None,
            },
        }
    }

    fn finish(&mut self, journal: &mut Journal) -> Result<Outcome, JournalError> {
        match self.item.look(self.situation) {
            Look::Seen(seen) if seen.is_well => {
                Ok(Outcome::Changed(std::mem::take(&mut self.changes)))
            }
            Look::Seen(seen) => {
                self.put_back(journal, &format!("the kernel made {} of it", seen.current))
            }
            Look::NotHere(why) | Look::Unseen(why) => self.put_back(journal, &why),
        }
    }

    fn put_back(&self, journal: &mut Journal, why: &str) -> Result<Outcome, JournalError> {
        let is_ours = |entry: &Entry| self.changes.iter().any(|change| change.path == entry.path);
        let stuck: Vec<_> = revert(self.situation.host, journal, is_ours, true)?
            .into_iter()
            .filter(|(_, undone)| undone.is_failure())
            .map(|(entry, undone)| format!("{}: {undone}", entry.path))
            .collect();
        Ok(if stuck.is_empty() {
            Outcome::PutBack(why.to_owned())
        } else {
            Outcome::Stuck(format!("{why}; {}", stuck.join("; ")))
        })
    }
}

/// Applies one item.
///
/// # Errors
/// [`JournalError`], as for [`Applying::advance`].
pub fn apply(
    item: &'static Item,
    situation: &Situation<'_>,
    journal: &mut Journal,
) -> Result<Outcome, JournalError> {
    let mut applying = match Applying::begin(item, situation) {
        Ok(applying) => applying,
        Err(outcome) => return Ok(outcome),
    };
    loop {
        if let Some(outcome) = applying.advance(journal)? {
            return Ok(outcome);
        }
    }
}

/// What became of an entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undone {
    /// It reads as before.
    Back,
    /// It did so already.
    Unchanged,
    /// There is no such file any more.
    Gone,
    /// Somebody else changed it since; left alone.
    Foreign {
        /// What it reads.
        now: String,
    },
    /// It could not be put back: why. The journal keeps it.
    Stuck(String),
}

impl Undone {
    /// Whether the file differs from how it was found.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Foreign { .. } | Self::Stuck(_))
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Back => f.write_str("back as it was"),
            Self::Unchanged => f.write_str("as it was already"),
            Self::Gone => f.write_str("no longer there"),
            Self::Foreign { now } => {
                write!(
                    f,
                    "somebody else made it '{}' since: left alone; `revert --force` puts it back",
                    now.trim()
                )
            }
            Self::Stuck(why) => write!(f, "not put back: {why}"),
        }
    }
}

/// Undoes the entries that `which` chooses, the last change first: an earlier one may
/// have made it possible. With `force` also where somebody else changed a file since.
///
/// The journal forgets what is back only after all of it is; a kill in between finds
/// some files back already, and the next revert goes on.
///
/// # Errors
/// [`JournalError`] where the journal can't be written.
pub fn revert(
    host: &Host,
    journal: &mut Journal,
    which: impl Fn(&Entry) -> bool,
    force: bool,
) -> Result<Vec<(Entry, Undone)>, JournalError> {
    let chosen: Vec<_> = journal
        .entries()
        .iter()
        .rev()
        .filter(|entry| which(entry))
        .cloned()
        .collect();
    let undo = |entry: Entry| {
        let undone = undo(host, &entry, force);
        (entry, undone)
    };
    let undone: Vec<_> = chosen.into_iter().map(undo).collect();
    let back: Vec<_> = undone
        .iter()
        .filter(|(_, undone)| !undone.is_failure())
        .map(|(entry, _)| entry.path.clone())
        .collect();
    journal.remove(&back)?;
    Ok(undone)
}

fn undo(host: &Host, entry: &Entry, force: bool) -> Undone {
    match host.text(&entry.path) {
        Err(Refusal::Absent(_)) => Undone::Gone,
        Err(refusal) => Undone::Stuck(refusal.to_string()),
        Ok(now) if now == entry.original => Undone::Unchanged,
        Ok(now) if !force && entry.became.as_ref().is_some_and(|became| *became != now) => {
            Undone::Foreign { now }
        }
        Ok(_) => match host.write(&entry.path, entry.back.as_bytes()) {
            Err(refusal) => Undone::Stuck(refusal.to_string()),
            Ok(()) => reads_as_before(host, entry),
        },
    }
}

/// A choice shows its word among others; whoever wrote it needs the word only.
fn reads_as_before(host: &Host, entry: &Entry) -> Undone {
    match host.text(&entry.path) {
        Ok(now) if now == entry.original || now == entry.back => Undone::Back,
        Ok(now) => Undone::Stuck(format!(
            "it reads '{}' instead of '{}'",
            now.trim(),
            entry.original.trim()
        )),
        Err(refusal) => Undone::Stuck(refusal.to_string()),
    }
}
