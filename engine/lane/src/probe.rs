//! Whether this host has what lanes and executors need, asked before the first of
//! either: afterwards a lack shows as a bare error number, or as a panic in another
//! crate.
//!
//! ```text
//!   limits, sysctls, /proc  ──► Host  ──┐
//!                                       ├─► every lack, each one sentence
//!   a ring like a lane's    ──► Trial ──┘   or a Report for the log
//! ```
//!
//! What the kernel does to a real ring decides; sysctls and /proc only explain it, for
//! a security module or a container may forbid what they seem to allow. All that is
//! looked at is gathered first, and judged by a function without side effects.
//!
//! It does not see a seccomp filter that kills instead of answering with an error.

mod descriptors;
mod host;
mod memlock;
mod missing;
mod trial;

pub use descriptors::{Tables, lanes_for, raise_descriptor_limit};
pub use missing::{Call, Group, Missing};
pub(crate) use trial::ring_like_a_lanes;
pub use trial::while_charged;

use crate::Files;
use host::Host;
use memlock::Memlock;
use nix::errno::Errno;
use std::fmt;
use trial::{Lack, Trial};

/// What is going to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Shards, each with lanes of its own: 1 or more.
    pub shards: u32,
    /// Connections that a shard may have at one time: 1 or more.
    pub shard_connections_max: u32,
    /// Submission entries of a lane's ring: 1 to 32,768 (io_uring_setup(2)). The kernel
    /// rounds up to a power of two.
    pub submission_entries: u32,
    /// Completion entries of a lane's ring: not less than submission entries, at most
    /// 65,536. The kernel rounds up to a power of two.
    pub completion_entries: u32,
    /// glommio's executors; none for a program that has only lanes.
    pub executors: u32,
    /// Depth of the rings of an executor, as in `LocalExecutorBuilder::ring_depth`.
    pub executor_ring_entries: u32,
    /// Bytes that an executor registers, as in `LocalExecutorBuilder::io_memory`.
    pub executor_memory_bytes: u64,
}

/// What was found where nothing is missing: two lines for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The running kernel, as uname(2) has it.
    pub kernel: String,
    /// What connections are to it.
    pub files: Files,
    /// Lanes of one shard, and connections in each.
    pub tables: Tables,
    /// Lanes of all shards.
    pub lanes: u64,
    /// Bytes of locked memory that lanes and executors take.
    pub memlock_bytes: u64,
    /// Bytes of locked memory that this process may take; none if nobody counts them.
    pub memlock_limit_bytes: Option<u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, lanes, .. } = self;
        writeln!(
            formatter,
            "Linux {kernel}: io_uring has all that lanes need{}",
            match self.files {
                Files::Direct => "",
                Files::Plain => ", but each connection takes a descriptor (before 6.13)",
            }
        )?;
        write!(
            formatter,
            "{lanes} lanes of up to {} connections each; {} KiB of locked memory, ",
            self.tables.connections,
            self.memlock_bytes / 1024
        )?;
        match self.memlock_limit_bytes {
            Some(bytes) => write!(formatter, "{} KiB allowed", bytes / 1024),
            None => formatter.write_str("not limited"),
        }
    }
}

/// Looks whether the host has what is needed. Raises the limit of descriptors first
/// ([`raise_descriptor_limit`]), for the size of the lanes' tables follows from it.
///
/// Opens one ring like a lane's and closes it again. Blocks for up to five seconds
/// while the kernel has not given back what an earlier process had locked.
///
/// # Errors
/// All that is missing, in the order in which it should be mended. What cannot be seen
/// before something else is mended is not among it.
pub fn check(needs: &Needs) -> Result<Report, Vec<Missing>> {
    let host = Host::look().map_err(|missing| vec![missing])?;
    let expected = plan(needs, &host, Files::Direct);
    // Where the sum is too large already, waiting for a ring would not help.
    let patient = expected.memlock.suffices(&host);
    let connections = u64::from(expected.tables.connections).min(host.descriptors_max);
    let trial = host
        .kernel
        .is_served()
        .then(|| trial::run(needs, connections as u32, patient));
    let plan = match trial {
        Some(Trial::Done { files, .. }) => plan(needs, &host, files),
        _ => expected,
    };
    let missing = judge(needs, &host, &plan, trial.as_ref());
    if !missing.is_empty() {
        return Err(missing);
    }
    Ok(Report {
        kernel: host.kernel.release.clone(),
        files: plan.files,
        tables: plan.tables,
        lanes: u64::from(needs.shards) * u64::from(plan.tables.lanes),
        memlock_bytes: plan.memlock.charged_bytes,
        memlock_limit_bytes: host.memlock_limit_bytes(),
    })
}

/// What is going to be opened on this host.
struct Plan {
    files: Files,
    tables: Tables,
    memlock: Memlock,
}

fn plan(needs: &Needs, host: &Host, files: Files) -> Plan {
    // Where descriptors are too few, the rest is judged as if that were mended.
    let descriptors_max = host.descriptors_max.max(descriptors::needed(needs, files));
    let tables = lanes_for(needs.shard_connections_max, files, descriptors_max);
    let memlock = Memlock::of(needs, tables, host);
    Plan {
        files,
        tables,
        memlock,
    }
}

/// What is missing, from what was seen. Without a trial the kernel is too old for one.
fn judge(needs: &Needs, host: &Host, plan: &Plan, trial: Option<&Trial>) -> Vec<Missing> {
    let memlock = &plan.memlock;
    let mut missing = match trial {
        None => vec![Missing::KernelTooOld {
            running: host.kernel.release.clone(),
        }],
        Some(Trial::Refused { call, errno }) => {
            refused(host, memlock, *call, *errno).into_iter().collect()
        }
        Some(Trial::Done { lacks, .. }) => lacks.iter().map(|lack| lacking(host, *lack)).collect(),
    };
    if !memlock.suffices(host) {
        missing.push(Missing::MemlockTooSmall {
            needed_bytes: memlock.needed_bytes(host),
            limit_bytes: host.memlock_max_bytes,
        });
    }
    let needed = descriptors::needed(needs, plan.files);
    let limit = host.descriptors_max;
    if limit < needed {
        missing.push(match plan.files {
            Files::Direct => Missing::DescriptorsTooFew { needed, limit },
            Files::Plain => Missing::DescriptorsTooFewForConnections {
                needed,
                limit,
                running: host.kernel.release.clone(),
            },
        });
    }
    missing
}

fn lacking(host: &Host, lack: Lack) -> Missing {
    let running = host.kernel.release.clone();
    match lack {
        Lack::Flag(flag) => Missing::Flag { flag, running },
        Lack::Feature(feature) => Missing::Feature { feature, running },
        Lack::Operation(operation) => Missing::Operation { operation, running },
    }
}

/// Why the kernel refused a call. None where the sum of locked memory says it already.
fn refused(host: &Host, memlock: &Memlock, call: Call, errno: Errno) -> Option<Missing> {
    let denied = matches!(errno, Errno::EPERM | Errno::EACCES);
    Some(match errno {
        // The kernel looks at the sysctls only when a ring is set up.
        _ if denied && call == Call::Setup && host.io_uring_disabled >= 2 => Missing::Disabled,
        _ if denied && call == Call::Setup && !host.may_open_rings() => Missing::Restricted {
            group: host.io_uring_group.clone(),
            own: host.groups.first().copied().unwrap_or_default(),
        },
        Errno::ENOSYS if !host.seccomp => Missing::NotBuilt,
        Errno::ENOSYS => Missing::Filtered { call },
        _ if denied && host.seccomp => Missing::Filtered { call },
        _ if denied => Missing::Denied { call, errno },
        Errno::ENOMEM if !memlock.suffices(host) => return None,
        Errno::ENOMEM => match host.memlock_limit_bytes() {
            Some(limit_bytes) if memlock.counts_rings && call == Call::Setup => {
                Missing::MemlockTaken {
                    needed_bytes: memlock.needed_bytes(host),
                    limit_bytes,
                }
            }
            _ => Missing::Memory { call },
        },
        _ => Missing::Refused { call, errno },
    })
}

#[cfg(test)]
mod tests;
