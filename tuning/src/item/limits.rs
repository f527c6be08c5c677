//! What the process and the whole system may hold: memory locked, files, threads.

use super::sysctl::at_least;
use super::{Fix, Item, Look, Severity, Situation};

/// What the rings of one executor may be charged: its own, and 512 KiB to start.
const EXECUTOR_LOCKED_BYTES: u64 = 1 << 20;
/// What one lane is charged at most, at 1,024 submissions and 4,096 completions.
const LANE_LOCKED_BYTES: u64 = 136 << 10;
/// Descriptors that are not clients: rings, listeners, feeds, newcomers at the door.
const OTHER_DESCRIPTORS: u64 = 4_096;
/// A lane with fewer direct descriptors makes too many lanes of one shard.
const LANE_CONNECTIONS_MIN: u64 = 20_000;
/// Files of everything else on the host.
const OTHER_FILES: u64 = 65_536;

pub(super) const ITEMS: &[Item] = &[
    Item {
        name: "limit.memlock",
        severity: Severity::Must,
        fix: Fix::Unit,
        why: "the rings of io_uring are charged as locked memory; where that runs out, a shard cannot open its lanes",
        look: |s| {
            if s.status().may_lock_any_memory() {
                return Look::of("not counted for this user", "enough", true);
            }
            limit(s, "Max locked memory", locked_bytes(s))
        },
    },
    Item {
        name: "limit.nofile",
        severity: Severity::Should,
        fix: Fix::Unit,
        why: "a lane cannot have more direct descriptors than the process may have descriptors; where that is small, a shard needs many lanes, and sends cost up to 15 % more",
        look: |s| limit(s, "Max open files", descriptors(s)),
    },
    Item {
        name: "limit.nproc",
        severity: Severity::Must,
        fix: Fix::Unit,
        why: "threads of the engine and of io_uring count against it",
        look: |s| limit(s, "Max processes", 1_024),
    },
    Item {
        name: "vm.max_map_count",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "each lane maps two areas, each executor some more",
        look: |s| at_least(s, "vm.max_map_count", &[65_530]),
    },
    Item {
        name: "fs.file-max",
        severity: Severity::Must,
        fix: Fix::Apply,
        why: "every connection is an open file to the kernel, also one without a descriptor",
        look: |s| at_least(s, "fs.file-max", &[s.target.connections + OTHER_FILES]),
    },
    Item {
        name: "fs.nr_open",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "no limit of open files may be above it",
        look: |s| at_least(s, "fs.nr_open", &[descriptors(s).max(1 << 20)]),
    },
];

/// Bytes that the rings of all executors are charged.
pub(crate) fn locked_bytes(situation: &Situation<'_>) -> u64 {
    let lanes = situation
        .connections_per_shard()
        .div_ceil(LANE_CONNECTIONS_MIN)
        .max(1);
    let shards = situation.plan.cores.shards.len() as u64;
    (shards + 1) * EXECUTOR_LOCKED_BYTES + shards * lanes * LANE_LOCKED_BYTES
}

/// Descriptors that one lane would like: all of its shard's connections.
pub(crate) fn descriptors(situation: &Situation<'_>) -> u64 {
    situation.connections_per_shard() + OTHER_DESCRIPTORS
}

/// A hard limit of `/proc/PID/limits`; the engine raises its soft one itself.
fn limit(situation: &Situation<'_>, name: &str, least: u64) -> Look {
    let path = format!("/proc/{}/limits", situation.process);
    let text = match situation.host.text(&path) {
        Ok(text) => text,
        Err(refusal) => return Look::Unseen(refusal.to_string()),
    };
    // Name, soft limit, hard limit, unit.
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let Some(hard) = line.and_then(|line| line.split_whitespace().nth(1)) else {
        return Look::Unseen(format!("{path} has no line '{name}'"));
    };
    let is_well = hard == "unlimited" || hard.parse::<u64>().is_ok_and(|hard| hard >= least);
    Look::of(hard, format!("≥ {least}"), is_well)
}
