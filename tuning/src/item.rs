//! The table of everything that is checked: one row per item, one function per row
//! that looks at it. Nothing here changes anything.
//!
//! A row says how it looks, why it matters and who may mend it. What it wants follows
//! from the [`Situation`]: the host, what is wanted of it, and the plan for both.

mod cpu;
mod kernel;
mod limits;
mod memory;
mod network;
mod nic;
mod sysctl;

pub(crate) use limits::{descriptors, locked_bytes};
pub(crate) use sysctl::chosen;

use crate::host::{Host, Refusal};
use crate::plan::{Cores, Plan, PlanError, Target};
use crate::topology::{Status, Topology};
use serde::Serialize;
use std::fmt;

/// All items, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Item> {
    [
        kernel::ITEMS,
        limits::ITEMS,
        cpu::ITEMS,
        memory::ITEMS,
        network::ITEMS,
        nic::ITEMS,
    ]
    .into_iter()
    .flatten()
}

/// The item of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Item> {
    all().find(|item| item.name == name)
}

/// One row of the table.
pub struct Item {
    /// Its name: the sysctl's, or one that says where it belongs.
    pub name: &'static str,
    /// What it costs to leave it.
    pub severity: Severity,
    /// Who may mend it.
    pub fix: Fix,
    /// Why it matters to this engine, a sentence.
    pub why: &'static str,
    look: fn(&Situation<'_>) -> Look,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What it costs to leave an item as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The last few percent.
    Could,
    /// Latency or throughput suffer clearly.
    Should,
    /// The engine does not start, or cannot reach the target.
    Must,
}

/// Who may mend an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fix {
    /// `ringcast-tune apply`, and `revert` takes it back.
    Apply,
    /// A script that the operator reads and runs: network cards and their interrupts.
    Script,
    /// The kernel's command line; it takes a reboot.
    Boot,
    /// The engine's unit file.
    Unit,
    /// The operator alone: what to do, a sentence.
    Operator(&'static str),
}

/// What an item looks like on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It means nothing on this host: why.
    NotHere(String),
    /// It could not be seen: why.
    Unseen(String),
    /// It was seen.
    Seen(Seen),
}

/// What was seen of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How it stands.
    pub current: String,
    /// How it should stand.
    pub wanted: String,
    /// Whether that is the same.
    pub is_well: bool,
    /// What brings it there, and keeps it there if it is.
    pub steps: Vec<Step>,
}

/// One step to mend an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A file of the kernel takes a value.
    Write {
        /// The file.
        path: String,
        /// What is written, with its newline.
        value: String,
    },
    /// A file that the kernel changes along with those after it: kept and put back, but
    /// not written.
    Affects(String),
    /// A line of shell.
    Run(String),
    /// A word on the kernel's command line.
    Boot(String),
}

impl Step {
    fn write(path: impl Into<String>, value: impl fmt::Display) -> Self {
        Self::Write {
            path: path.into(),
            value: format!("{value}\n"),
        }
    }
}

/// What an item is judged in.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The host.
    pub host: &'a Host,
    /// What it is.
    pub topology: &'a Topology,
    /// What is wanted of it.
    pub target: &'a Target,
    /// Who does what on it.
    pub plan: Plan,
    /// The process whose limits count: a number, or `self`.
    pub process: String,
}

impl<'a> Situation<'a> {
    /// Plans the host, and judges the limits of this process.
    ///
    /// # Errors
    /// [`PlanError`] of [`Plan::make`].
    pub fn new(
        host: &'a Host,
        topology: &'a Topology,
        target: &'a Target,
    ) -> Result<Self, PlanError> {
        let plan = Plan::make(topology, target)?;
        Ok(Self {
            host,
            topology,
            target,
            plan,
            process: "self".to_owned(),
        })
    }

    /// The same for an engine whose cores were set by hand.
    ///
    /// # Errors
    /// [`PlanError`] of [`Plan::of_cores`].
    pub fn on_cores(
        host: &'a Host,
        topology: &'a Topology,
        target: &'a Target,
        cores: &Cores,
    ) -> Result<Self, PlanError> {
        let plan = Plan::of_cores(topology, target, cores)?;
        Ok(Self {
            host,
            topology,
            target,
            plan,
            process: "self".to_owned(),
        })
    }

    fn status(&self) -> Status {
        Status::read(self.host, &self.process)
    }

    /// Connections of one shard.
    fn connections_per_shard(&self) -> u64 {
        self.target
            .connections
            .div_ceil(self.plan.cores.shards.len().max(1) as u64)
    }
}

impl Item {
    /// Looks at the host. Reads only.
    #[must_use]
    pub fn look(&self, situation: &Situation<'_>) -> Look {
        (self.look)(situation)
    }
}

impl Look {
    fn of(current: impl fmt::Display, wanted: impl fmt::Display, is_well: bool) -> Self {
        let (current, wanted) = (current.to_string(), wanted.to_string());
        Self::Seen(Seen {
            current,
            wanted,
            is_well,
            steps: Vec::new(),
        })
    }

    fn with(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        if let Self::Seen(seen) = &mut self {
            seen.steps.extend(steps);
        }
        self
    }

    /// A setting that a container or an old kernel doesn't show means nothing there;
    /// any other refusal hides something that is there.
    fn refused(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Absent(_) => Self::NotHere(format!(
                "{refusal}: this kernel, or this container, has no such setting"
            )),
            _ => Self::Unseen(refusal.to_string()),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Could => "could",
            Self::Should => "should",
            Self::Must => "must",
        })
    }
}
