//! Which core does what: what the settings leave open, `ringcast-tune` plans, and what
//! comes out is told with its reasons.
//!
//! ```text
//!   [cores] of the settings ─┐
//!   Topology of the host ────┴─► Plan: executors, each pinned to a CPU with its roles
//!                                      housekeeping: threads on the CPUs that are left
//! ```
//!
//! It pins nothing itself.

use crate::settings::{Auto, Idle, Settings};
use ringcast_tune::cpus::CpuSet;
use ringcast_tune::host::{Host, Refusal};
use ringcast_tune::plan::{self as tune, Cores, PlanError, Target};
use ringcast_tune::start;
use ringcast_tune::topology::Topology;
use serde_json::json;
use std::fmt;

/// The most threads of housekeeping, where their number is left to the engine: they wait
/// for very much at once, and compute little.
const HOUSEKEEPING_THREADS_MAX: usize = 4;

/// Who does what on which CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// One for each CPU that has a role, that of ingest first.
    pub(crate) executors: Vec<Executor>,
    /// Everything that no client waits for.
    pub(crate) housekeeping: Housekeeping,
    /// Why it came out like this, a sentence each.
    pub(crate) reasons: Vec<String>,
    /// What of the host stands in the way, a sentence each with what mends it.
    pub(crate) warnings: Vec<String>,
}

/// A thread pinned to one CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Executor {
    /// The CPU's number.
    pub(crate) cpu: usize,
    /// Whether the ingest role is here.
    pub(crate) ingest: bool,
    /// The numbers of the shards that are here.
    pub(crate) shards: Vec<usize>,
    /// How it waits for something to do.
    pub(crate) idle: Idle,
}

/// Threads that are not pinned to one CPU each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Housekeeping {
    /// How many.
    pub(crate) threads: usize,
    /// Where they may run.
    pub(crate) cpus: CpuSet,
}

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum PlanFault {
    /// The settings name a CPU that there is not, or not for this process.
    NoSuchCpu {
        /// The key.
        key: &'static str,
        /// The CPU.
        cpu: usize,
        /// Those that it may use.
        allowed: CpuSet,
    },
    /// Nothing can be planned here.
    Tune(PlanError),
    /// The host does not show its processors.
    Host(Refusal),
}

impl fmt::Display for PlanFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchCpu { key, cpu, allowed } => write!(
                formatter,
                "{key} has CPU {cpu}, which this process may not use; allowed are {allowed}, or \
                 \"auto\""
            ),
            Self::Tune(error) => write!(formatter, "cores can't be planned: {error}"),
            Self::Host(refusal) => write!(formatter, "cores can't be planned: {refusal}"),
        }
    }
}

impl std::error::Error for PlanFault {}

impl Plan {
    /// The plan for this machine, with what of it stands in the way.
    ///
    /// # Errors
    /// [`PlanFault`], whose sentence says what is allowed.
    pub(crate) fn of_this_machine(settings: &Settings) -> Result<Self, PlanFault> {
        let host = Host::at("/");
        let topology = Topology::read(&host).map_err(PlanFault::Host)?;
        let mut plan = Self::make(settings, &topology)?;
        let (target, cores) = (target(settings), plan.cores());
        let warnings =
            start::warnings(&host, &topology, &target, &cores).map_err(PlanFault::Tune)?;
        plan.warnings = warnings.iter().map(ToString::to_string).collect();
        Ok(plan)
    }

    /// The plan for any machine.
    ///
    /// # Errors
    /// [`PlanFault`], whose sentence says what is allowed.
    pub(crate) fn make(settings: &Settings, topology: &Topology) -> Result<Self, PlanFault> {
        check_cpus(settings, topology)?;
        let mut reasons = Vec::new();
        let (cores, housekeeping) = divide(settings, topology, &mut reasons)?;
        let mut executors = executors(&cores);
        for executor in &mut executors {
            let (automatic, why) = idle(executor, &cores, &housekeeping, topology);
            executor.idle = settings.cores.idle.or(automatic);
            let why = match settings.cores.idle {
                Auto::Auto => why,
                Auto::Set(_) => "as cores.idle says",
            };
            let wait = match executor.idle {
                Idle::Spin => "spins",
                Idle::Adaptive => "looks for work for a while before it sleeps",
                Idle::Park => "sleeps when it has nothing to do",
            };
            let (cpu, roles) = (executor.cpu, executor.roles());
            reasons.push(format!("CPU {cpu} has {roles} and {wait}: {why}"));
        }
        let automatic = housekeeping.len().clamp(1, HOUSEKEEPING_THREADS_MAX);
        let threads = settings.cores.housekeeping.or(automatic);
        reasons.push(format!(
            "housekeeping has CPUs {housekeeping} and threads: {threads}"
        ));
        Ok(Self {
            executors,
            housekeeping: Housekeeping {
                threads,
                cpus: housekeeping,
            },
            reasons,
            warnings: Vec::new(),
        })
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        let shards = |executor: &Executor| executor.shards.len();
        self.executors.iter().map(shards).sum()
    }

    /// The CPU of ingest, and those of the shards in the order of their numbers.
    fn cores(&self) -> Cores {
        let ingest = self.executors.iter().find(|executor| executor.ingest);
        let mut shards: Vec<_> = self
            .executors
            .iter()
            .flat_map(|executor| executor.shards.iter().map(|shard| (*shard, executor.cpu)))
            .collect();
        shards.sort_unstable();
        Cores {
            ingest: ingest.map_or(0, |executor| executor.cpu),
            shards: shards.into_iter().map(|(_, cpu)| cpu).collect(),
        }
    }

    /// What the admin listener tells.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let executor = |executor: &Executor| {
            json!({
                "cpu": executor.cpu,
                "ingest": executor.ingest,
                "shards": executor.shards,
                "idle": match executor.idle {
                    Idle::Spin => "spin",
                    Idle::Adaptive => "adaptive",
                    Idle::Park => "park",
                },
            })
        };
        let housekeeping: Vec<_> = self.housekeeping.cpus.iter().collect();
        json!({
            "executors": self.executors.iter().map(executor).collect::<Vec<_>>(),
            "housekeeping": { "threads": self.housekeeping.threads, "cpus": housekeeping },
            "reasons": self.reasons,
            "warnings": self.warnings,
        })
    }
}

impl Executor {
    /// Its roles in words: `ingest, shard 0`.
    pub(crate) fn roles(&self) -> String {
        let ingest = self.ingest.then(|| "ingest".to_owned());
        let shards = self.shards.iter().map(|shard| format!("shard {shard}"));
        ingest
            .into_iter()
            .chain(shards)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn role_count(&self) -> usize {
        usize::from(self.ingest) + self.shards.len()
    }
}

fn check_cpus(settings: &Settings, topology: &Topology) -> Result<(), PlanFault> {
    let ingest = settings.cores.ingest.chosen().copied();
    let ingest = ingest.into_iter().map(|cpu| ("cores.ingest", cpu));
    let shards = settings.cores.shards.chosen().into_iter().flatten();
    let shards = shards.map(|cpu| ("cores.shards", *cpu));
    for (key, cpu) in ingest.chain(shards) {
        if !topology.allowed.contains(cpu) {
            return Err(PlanFault::NoSuchCpu {
                key,
                cpu,
                allowed: topology.allowed.clone(),
            });
        }
    }
    Ok(())
}

fn target(settings: &Settings) -> Target {
    let mqtt = settings.listen.mqtt.iter().map(|listener| listener.address);
    Target {
        connections: settings.limits.connections.into(),
        ports: mqtt
            .chain(settings.listen.admin)
            .map(|address| address.port())
            .filter(|port| *port != 0)
            .collect(),
        ..Target::default()
    }
}

/// The cores with what was chosen for them, and the CPUs of housekeeping.
fn divide(
    settings: &Settings,
    topology: &Topology,
    reasons: &mut Vec<String>,
) -> Result<(Cores, CpuSet), PlanFault> {
    let target = target(settings);
    let (ingest, shards) = (&settings.cores.ingest, &settings.cores.shards);
    let planned = tune::Plan::make(topology, &target).map_err(PlanFault::Tune)?;
    let cores = match (ingest.chosen(), shards.chosen()) {
        (None, None) => {
            let housekeeping = housekeeping(topology, &planned);
            reasons.extend(planned.reasons);
            return Ok((planned.cores, housekeeping));
        }
        (Some(&ingest), Some(shards)) => Cores {
            ingest,
            shards: shards.clone(),
        },
        (Some(&ingest), None) => {
            let taken = threads_of(topology, &[ingest].into_iter().collect());
            let free = planned.cores.shards.iter().chain([&planned.cores.ingest]);
            let mut free: Vec<_> = free.copied().filter(|cpu| !taken.contains(*cpu)).collect();
            free.dedup();
            free.truncate(planned.cores.shards.len());
            Cores {
                ingest,
                shards: if free.is_empty() { vec![ingest] } else { free },
            }
        }
        (None, Some(shards)) => {
            let taken = threads_of(topology, &shards.iter().copied().collect());
            let free = topology.allowed.minus(&taken);
            // The last CPU that is free is for housekeeping.
            let ingest = match free.len() {
                0 | 1 => shards[0],
                _ if free.contains(planned.cores.ingest) => planned.cores.ingest,
                _ => free.iter().last().unwrap_or(shards[0]),
            };
            Cores {
                ingest,
                shards: shards.clone(),
            }
        }
    };
    let around = tune::Plan::of_cores(topology, &target, &cores).map_err(PlanFault::Tune)?;
    Ok((cores, around.housekeeping))
}

/// Where a plan's housekeeping may run: beside interrupts, too, where no core is kept for
/// these, which shows by their being on the first CPU.
fn housekeeping(topology: &Topology, planned: &tune::Plan) -> CpuSet {
    let first = topology.allowed.iter().next();
    let own = planned.housekeeping.clone();
    match first.is_some_and(|first| planned.interrupts.contains(first)) {
        true => own.union(&planned.interrupts.minus(&planned.busy())),
        false => own,
    }
}

/// All hardware threads of the cores of these CPUs.
fn threads_of(topology: &Topology, cpus: &CpuSet) -> CpuSet {
    let siblings = cpus.iter().filter_map(|cpu| topology.cpu(cpu));
    siblings.fold(cpus.clone(), |set, cpu| set.union(&cpu.siblings))
}

/// One for each CPU, that of ingest first, without a way to wait yet.
fn executors(cores: &Cores) -> Vec<Executor> {
    let mut executors = vec![Executor {
        cpu: cores.ingest,
        ingest: true,
        shards: Vec::new(),
        idle: Idle::Park,
    }];
    for (shard, &cpu) in cores.shards.iter().enumerate() {
        match executors.iter_mut().find(|executor| executor.cpu == cpu) {
            Some(executor) => executor.shards.push(shard),
            None => executors.push(Executor {
                cpu,
                ingest: false,
                shards: vec![shard],
                idle: Idle::Park,
            }),
        }
    }
    executors
}

/// How an executor waits where that is left to the engine, and why: it spins only if
/// nothing else wants its core.
fn idle(
    executor: &Executor,
    cores: &Cores,
    housekeeping: &CpuSet,
    topology: &Topology,
) -> (Idle, &'static str) {
    if topology.group.cpus_max.is_some() {
        return (
            Idle::Park,
            "spinning would use up the quota of its control group",
        );
    }
    if topology.allowed.len() == 1 {
        return (Idle::Park, "everything shares the only CPU");
    }
    if executor.role_count() > 1 {
        return (Idle::Adaptive, "its roles share it");
    }
    if housekeeping.contains(executor.cpu) {
        return (
            Idle::Adaptive,
            "no CPU is left for housekeeping, which shares it",
        );
    }
    let threads = threads_of(topology, &[executor.cpu].into_iter().collect());
    let busy = cores.shards.iter().chain([&cores.ingest]);
    if busy
        .into_iter()
        .any(|cpu| *cpu != executor.cpu && threads.contains(*cpu))
    {
        return (
            Idle::Adaptive,
            "the second thread of its core has a role, too",
        );
    }
    (Idle::Spin, "nothing else shares it")
}

#[cfg(test)]
mod tests;
