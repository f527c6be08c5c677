//! Which core does what, and how much memory it takes: a pure function of what the
//! host is and what is wanted of it.
//!
//! ```text
//!   near the network card                                 the other node
//!   ├ housekeeping ┼ ingest ┼ interrupts ┼ shards ─────── ┼ shards ┼ housekeeping ┤
//! ```
//!
//! A role takes whole cores. The second hardware thread of a core that pushes stays
//! empty, for it would take half of what the first one has.

mod memory;
mod show;

pub(crate) use memory::tcp_bytes;
pub use memory::{Memory, Term};

use crate::cpus::CpuSet;
use crate::topology::{Nic, Topology};
use serde::Serialize;
use std::fmt;

/// Connections that one shard serves where the number of shards is left open. A frame
/// to each of so many cold sockets takes a core about 0.2 s.
pub const CONNECTIONS_PER_SHARD: u64 = 25_000;
/// Cores per core of housekeeping.
const CORES_PER_HOUSEKEEPING: usize = 16;
/// From so many cores on, interrupts have cores of their own.
const CORES_FOR_INTERRUPTS: usize = 8;

/// What is wanted of the host.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// Connections at the same time.
    pub connections: u64,
    /// Shards; `None` takes as many as the connections need and the host has.
    pub shards: Option<usize>,
    /// The network card that clients come in by; `None` takes the fastest that is up.
    pub nic: Option<String>,
    /// Whether clients come from the internet, and not from the same network.
    pub wide_area: bool,
    /// The ports that the engine listens on.
    pub ports: Vec<u16>,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            connections: 10_000,
            shards: None,
            nic: None,
            wide_area: false,
            ports: vec![1883, 8083, 9883],
        }
    }
}

/// The cores as the engine's settings name them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cores {
    /// The core that sequences.
    pub ingest: usize,
    /// The cores that push.
    pub shards: Vec<usize>,
}

/// How a core waits for something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// It never stops looking.
    Spin,
    /// It looks for a while, then sleeps.
    Adaptive,
    /// It sleeps at once.
    Park,
}

/// Who does what on which core.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The `[cores]` of the engine.
    pub cores: Cores,
    /// How they wait.
    pub idle: Idle,
    /// Second threads of the engine's cores: nothing runs there.
    pub empty: CpuSet,
    /// Where the interrupts of the network card go.
    pub interrupts: CpuSet,
    /// Where everything else goes: the system, the door, the admin listener.
    pub housekeeping: CpuSet,
    /// The cards that clients come in by: one, or the members of a bond.
    pub nics: Vec<String>,
    /// Queues that each of those cards should have.
    pub queues: usize,
    /// What it takes.
    pub memory: Memory,
    /// Why it came out like this, a sentence each.
    pub reasons: Vec<String>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// No such network card; these are there.
    NoSuchNic(String, Vec<String>),
    /// The process may use no CPU that is online.
    NoCpu,
    /// More shards than there are cores for.
    TooManyShards {
        /// Asked for.
        wanted: usize,
        /// Possible here.
        most: usize,
    },
    /// None at all were asked for.
    NoShards,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchNic(name, there) if there.is_empty() => {
                write!(f, "there is no network card {name}, nor any other")
            }
            Self::NoSuchNic(name, there) => {
                write!(
                    f,
                    "there is no network card {name}; there are: {}",
                    there.join(", ")
                )
            }
            Self::NoCpu => f.write_str("this process may use no CPU that is online"),
            Self::TooManyShards { wanted, most } => {
                write!(
                    f,
                    "{wanted} shards are more than this host has cores for: at most {most}"
                )
            }
            Self::NoShards => f.write_str("there must be one shard at least"),
        }
    }
}

impl std::error::Error for PlanError {}

/// A core: its first thread works, the others stay empty or help.
#[derive(Debug, Clone)]
struct Core {
    node: usize,
    threads: CpuSet,
    first: usize,
}

/// How many whole cores each role gets.
#[derive(Debug, Default)]
struct Shares {
    housekeeping: usize,
    interrupts: usize,
    shards: usize,
}

impl Plan {
    /// Plans the host for a target.
    ///
    /// # Errors
    /// [`PlanError`], whose sentence is for the operator.
    pub fn make(topology: &Topology, target: &Target) -> Result<Self, PlanError> {
        let mut reasons = Vec::new();
        let nics = nics(topology, target, &mut reasons)?;
        let near = nics.iter().find_map(|nic| nic.node).unwrap_or(0);
        let cores = cores(topology, near, &mut reasons);
        let queues = nics.iter().map(|nic| nic.receive_queues).max().unwrap_or(0);
        let mut plan = match cores.len() {
            0 => return Err(PlanError::NoCpu),
            1 | 2 => Self::of_small_host(&cores, target, &mut reasons)?,
            _ => {
                let shares = Shares::of(cores.len(), queues, target, &mut reasons)?;
                Self::of_shares(&cores, near, &shares, &mut reasons)
            }
        };
        if let Some(cpus) = topology.group.cpus_max {
            plan.idle = Idle::Park;
            reasons.push(format!(
                "a quota of {cpus} CPUs holds for this control group: idle cores park, for spinning would use it up"
            ));
        }
        // What the engine does not use is everybody's.
        let used = plan.quiet().union(&plan.interrupts);
        plan.housekeeping = topology.allowed.minus(&used);
        if plan.housekeeping.is_empty() {
            plan.housekeeping = plan.interrupts.clone();
        }
        plan.queues = plan.interrupts_first(&cores).len().min(queues.max(1));
        plan.nics = nics.iter().map(|nic| nic.name.clone()).collect();
        plan.memory = Memory::needed(topology, target, plan.cores.shards.len());
        reasons.extend(plan.memory.complaint());
        plan.reasons = reasons;
        Ok(plan)
    }

    /// The plan that an engine follows whose cores were set by hand: everything else is
    /// housekeeping, interrupts too.
    ///
    /// # Errors
    /// [`PlanError`] as for [`Plan::make`], but never for too many shards.
    pub fn of_cores(
        topology: &Topology,
        target: &Target,
        cores: &Cores,
    ) -> Result<Self, PlanError> {
        let nics = nics(topology, target, &mut Vec::new())?;
        let mut plan = Self::with(cores.clone(), Idle::Spin);
        plan.empty = siblings(topology, &plan.busy());
        plan.housekeeping = topology.allowed.minus(&plan.quiet());
        if plan.housekeeping.is_empty() {
            plan.housekeeping = topology.allowed.clone();
        }
        plan.interrupts = plan.housekeeping.clone();
        plan.queues = plan.interrupts.len();
        plan.nics = nics.iter().map(|nic| nic.name.clone()).collect();
        plan.memory = Memory::needed(topology, target, plan.cores.shards.len());
        Ok(plan)
    }

    fn with(cores: Cores, idle: Idle) -> Self {
        Self {
            cores,
            idle,
            empty: CpuSet::default(),
            interrupts: CpuSet::default(),
            housekeeping: CpuSet::default(),
            nics: Vec::new(),
            queues: 0,
            memory: Memory::default(),
            reasons: Vec::new(),
        }
    }

    /// One or two cores: the engine has the last, and ingest and shard share it.
    fn of_small_host(
        cores: &[Core],
        target: &Target,
        reasons: &mut Vec<String>,
    ) -> Result<Self, PlanError> {
        match target.shards {
            Some(0) => return Err(PlanError::NoShards),
            Some(wanted @ 2..) => return Err(PlanError::TooManyShards { wanted, most: 1 }),
            None | Some(1) => {}
        }
        let (first, last) = (&cores[0], &cores[cores.len() - 1]);
        // A single core with two threads gives the engine the second one.
        let cpu = if cores.len() == 1 {
            last.threads.iter().last().unwrap_or(last.first)
        } else {
            last.first
        };
        let is_alone = cores.len() == 1 && first.threads.len() == 1;
        let mut plan = Self::with(
            Cores {
                ingest: cpu,
                shards: vec![cpu],
            },
            Idle::Adaptive,
        );
        if cores.len() == 2 {
            plan.empty = last.threads.minus(&plan.busy());
        }
        plan.interrupts = first.threads.minus(&plan.busy());
        if is_alone {
            plan.idle = Idle::Park;
            plan.interrupts = first.threads.clone();
            reasons.push("there is one CPU: everything shares it, and the engine sleeps when it has nothing to do".into());
        } else {
            reasons.push(format!(
                "there are few cores: ingest and one shard share CPU {cpu}, everything else runs beside them"
            ));
        }
        Ok(plan)
    }

    fn of_shares(cores: &[Core], near: usize, shares: &Shares, reasons: &mut Vec<String>) -> Self {
        let housekeeping = housekeeping(cores, shares.housekeeping);
        let mut rest = cores
            .iter()
            .filter(|core| !housekeeping.contains(core.first));
        let mut take = |count: usize| rest.by_ref().take(count).collect::<Vec<_>>();
        let ingest = take(1)[0];
        let interrupts = take(shares.interrupts);
        let shards = take(shares.shards);
        let far = shards.iter().filter(|core| core.node != near).count();
        if far > 0 {
            reasons.push(format!(
                "{far} of {} shards are not on node {near}, where the network card is: its cores do not suffice",
                shards.len()
            ));
        }
        let plan_cores = Cores {
            ingest: ingest.first,
            shards: shards.iter().map(|core| core.first).collect(),
        };
        let mut plan = Self::with(plan_cores, Idle::Spin);
        let busy = plan.busy();
        for core in shards.iter().chain([&ingest]) {
            plan.empty = plan.empty.union(&core.threads.minus(&busy));
        }
        plan.interrupts = if interrupts.is_empty() {
            reasons.push("there are few cores: interrupts share those of housekeeping".into());
            let all = cores
                .iter()
                .filter(|core| housekeeping.contains(core.first));
            all.fold(CpuSet::default(), |set, core| set.union(&core.threads))
        } else {
            interrupts.iter().map(|core| core.first).collect()
        };
        if !plan.empty.is_empty() {
            reasons.push(format!(
                "CPUs {} stay empty: they share a core with one that pushes",
                plan.empty
            ));
        }
        plan
    }

    /// The CPUs that the engine works on.
    #[must_use]
    pub fn busy(&self) -> CpuSet {
        self.cores
            .shards
            .iter()
            .copied()
            .chain([self.cores.ingest])
            .collect()
    }

    /// The CPUs that nothing else may touch: those it works on and their siblings.
    #[must_use]
    pub fn quiet(&self) -> CpuSet {
        self.busy().union(&self.empty)
    }

    /// One thread of each core that takes interrupts: the second adds no queue.
    fn interrupts_first(&self, cores: &[Core]) -> CpuSet {
        let firsts: CpuSet = cores.iter().map(|core| core.first).collect();
        let own = self.interrupts.common(&firsts);
        if own.is_empty() {
            self.interrupts.clone()
        } else {
            own
        }
    }
}

impl Shares {
    /// Divides three cores or more.
    fn of(
        cores: usize,
        queues: usize,
        target: &Target,
        reasons: &mut Vec<String>,
    ) -> Result<Self, PlanError> {
        let housekeeping = cores.div_ceil(CORES_PER_HOUSEKEEPING);
        let rest = cores - housekeeping - 1;
        let has_own = cores >= CORES_FOR_INTERRUPTS && queues > 0;
        let interrupts_least = usize::from(has_own);
        let most = rest - interrupts_least;
        let by_connections = target.connections.div_ceil(CONNECTIONS_PER_SHARD).max(1);
        let by_connections = usize::try_from(by_connections).unwrap_or(usize::MAX);
        let wanted = match target.shards {
            Some(0) => return Err(PlanError::NoShards),
            Some(wanted) if wanted > most => return Err(PlanError::TooManyShards { wanted, most }),
            Some(wanted) => wanted,
            None => by_connections,
        };
        // A core for every two shards, but no more than queues, for they would idle; where
        // that is too much, a quarter of what there is.
        let interrupts_most = if has_own {
            wanted.div_ceil(2).min(queues)
        } else {
            0
        };
        let mut interrupts = interrupts_most.min((rest / 4).max(1));
        if target.shards.is_some() {
            interrupts = interrupts.min(rest - wanted);
        }
        let shards = wanted.min(rest - interrupts);
        let interrupts = interrupts_most.min(rest - shards);
        if shards < by_connections {
            reasons.push(format!(
                "{} connections would keep {by_connections} shards busy at {CONNECTIONS_PER_SHARD} each; there are {shards}",
                target.connections
            ));
        }
        Ok(Self {
            housekeeping,
            interrupts,
            shards,
        })
    }
}

/// The first cores of each node in turn, so that each has some near its memory.
fn housekeeping(cores: &[Core], count: usize) -> CpuSet {
    let nodes: CpuSet = cores.iter().map(|core| core.node).collect();
    let mut by_node: Vec<_> = nodes
        .iter()
        .map(|node| {
            let mut firsts: Vec<_> = cores
                .iter()
                .filter(|core| core.node == node)
                .map(|core| core.first)
                .collect();
            firsts.sort_unstable();
            firsts.into_iter()
        })
        .collect();
    let mut chosen = Vec::new();
    while chosen.len() < count {
        for node in &mut by_node {
            chosen.extend(node.next());
        }
    }
    chosen.truncate(count);
    chosen.into_iter().collect()
}

/// The cores that may be used, those on the near node first.
fn cores(topology: &Topology, near: usize, reasons: &mut Vec<String>) -> Vec<Core> {
    let mut cores: Vec<Core> = Vec::new();
    let usable = topology
        .cpus
        .iter()
        .filter(|cpu| topology.allowed.contains(cpu.cpu));
    for cpu in usable {
        let threads = cpu.siblings.common(&topology.allowed);
        if threads.iter().next() == Some(cpu.cpu) {
            cores.push(Core {
                node: cpu.node,
                first: cpu.cpu,
                threads,
            });
        }
    }
    cores.sort_by_key(|core| (core.node != near, core.node, core.first));
    if let Some(quota) = topology.group.cpus_max {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a quota is a small positive number"
        )]
        let affordable = (quota as usize).max(1);
        if affordable < cores.len() {
            reasons.push(format!(
                "of {} cores the quota pays for {affordable}",
                cores.len()
            ));
            cores.truncate(affordable);
        }
    }
    cores
}

/// All threads beside `busy` on the same cores.
fn siblings(topology: &Topology, busy: &CpuSet) -> CpuSet {
    let cores = busy.iter().filter_map(|cpu| topology.cpu(cpu));
    cores
        .fold(CpuSet::default(), |set, cpu| set.union(&cpu.siblings))
        .minus(busy)
}

/// The cards that clients come in by.
fn nics<'a>(
    topology: &'a Topology,
    target: &Target,
    reasons: &mut Vec<String>,
) -> Result<Vec<&'a Nic>, PlanError> {
    let chosen = match &target.nic {
        Some(name) => {
            let there = || topology.nics.iter().map(|nic| nic.name.clone()).collect();
            Some(
                topology
                    .nic(name)
                    .ok_or_else(|| PlanError::NoSuchNic(name.clone(), there()))?,
            )
        }
        None => {
            let mut candidates: Vec<_> = topology
                .nics
                .iter()
                .filter(|nic| !nic.members.is_empty() || !nic.is_virtual)
                .collect();
            candidates.sort_by_key(|nic| {
                (
                    !nic.is_up,
                    nic.members.is_empty(),
                    std::cmp::Reverse(nic.megabits),
                )
            });
            candidates.first().copied()
        }
    };
    let Some(nic) = chosen else {
        reasons.push(
            "there is no network card that is hardware: no core is kept for its interrupts".into(),
        );
        return Ok(Vec::new());
    };
    let members: Vec<_> = nic
        .members
        .iter()
        .filter_map(|name| topology.nic(name))
        .collect();
    Ok(if members.is_empty() {
        vec![nic]
    } else {
        members
    })
}
