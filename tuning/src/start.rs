//! What the engine asks at its start: whether its cores are what it thinks they are,
//! and what of the host matters most for them. Each answer is a sentence with the
//! command that mends it; a host that is well gets none.

use crate::check::how;
use crate::cpus::CpuSet;
use crate::host::Host;
use crate::item::{self, Look, Situation};
use crate::plan::{Cores, PlanError, Target};
use crate::topology::Topology;
use std::fmt;

/// The items that an engine warns of. The rest is for `check`.
const ITEMS: &[&str] = &[
    "kernel.known_bad",
    "limit.memlock",
    "limit.nofile",
    "cpu.governor",
    "cpu.siblings",
    "cpu.isolated",
    "memory.thp",
    "clocksource",
    "net.core.somaxconn",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_congestion_control",
    "net.netfilter.nf_conntrack_max",
    "nic.interrupts",
];

/// Something that an engine should not be started with, told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What is wrong, a sentence without its full stop.
    pub what: String,
    /// What mends it: a command, or what to do.
    pub fix: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.fix)
    }
}

/// The warnings for an engine on these cores. Reads only, needs no rights, and takes
/// some milliseconds.
///
/// # Errors
/// [`PlanError`] where the target names a network card that is not there.
pub fn warnings(
    host: &Host,
    topology: &Topology,
    target: &Target,
    cores: &Cores,
) -> Result<Vec<Warning>, PlanError> {
    let mut warnings = mismatches(topology, cores);
    let situation = Situation::on_cores(host, topology, target, cores)?;
    for item in ITEMS.iter().filter_map(|name| item::named(name)) {
        if let Look::Seen(seen) = item.look(&situation)
            && !seen.is_well
        {
            let what = format!(
                "{} is {}, and should be {}: {}",
                item.name, seen.current, seen.wanted, item.why
            );
            warnings.push(Warning {
                what,
                fix: how(item, &seen),
            });
        }
    }
    Ok(warnings)
}

/// Where the cores of the settings are not what the host has.
#[must_use]
pub fn mismatches(topology: &Topology, cores: &Cores) -> Vec<Warning> {
    let plan = "`ringcast-tune plan` prints cores that fit".to_owned();
    let all: CpuSet = cores.shards.iter().copied().chain([cores.ingest]).collect();
    let online: CpuSet = topology.cpus.iter().map(|cpu| cpu.cpu).collect();
    let mut whats = Vec::new();
    let missing = all.minus(&online);
    if !missing.is_empty() {
        whats.push(format!(
            "there is no CPU {missing} on this host, which has {online}"
        ));
    }
    let forbidden = all.common(&online).minus(&topology.allowed);
    if !forbidden.is_empty() {
        whats.push(format!(
            "this process may not use CPU {forbidden}, but only {}",
            topology.allowed
        ));
    }
    for (at, shard) in cores.shards.iter().enumerate() {
        if cores.shards[..at].contains(shard) {
            whats.push(format!(
                "two shards share CPU {shard}: each waits while the other works"
            ));
        }
    }
    if let Some(cpus) = topology.group.cpus_max {
        #[allow(
            clippy::cast_precision_loss,
            reason = "a host has fewer CPUs than a float counts exactly"
        )]
        if all.len() as f64 > cpus {
            whats.push(format!(
                "the control group pays for {cpus} CPUs, and the settings use {}",
                all.len()
            ));
        }
    }
    whats
        .into_iter()
        .map(|what| Warning {
            what,
            fix: plan.clone(),
        })
        .collect()
}
