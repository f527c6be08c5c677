//! What the kernel does with pages behind a program's back, and its clock.

use super::sysctl::{choice, exactly, file_exactly};
use super::{Fix, Item, Look, Severity, Situation, Step};

const THP: &str = "/sys/kernel/mm/transparent_hugepage";
const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0";
/// Clocks that are read without a system call.
const FAST_CLOCKS: &[&str] = &[
    "tsc",
    "kvm-clock",
    "hyperv_clocksource_tsc_page",
    "arch_sys_counter",
];

pub(super) const ITEMS: &[Item] = &[
    Item {
        name: "memory.thp",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "with 'always' the kernel gathers and splits huge pages of any program, and stalls it for milliseconds while it does",
        look: |s| choice(s, &format!("{THP}/enabled"), &["madvise", "never"]),
    },
    Item {
        name: "memory.thp_defrag",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "with 'always' a page fault waits until memory is compacted",
        look: |s| {
            choice(
                s,
                &format!("{THP}/defrag"),
                &["madvise", "defer+madvise", "defer", "never"],
            )
        },
    },
    Item {
        name: "memory.ksm",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "merging equal pages reads all memory again and again, and a merged page costs a fault when it is written",
        look: |s| file_exactly(s, "/sys/kernel/mm/ksm/run", "0"),
    },
    Item {
        name: "kernel.numa_balancing",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "it unmaps pages to see who uses them: every shard faults on them, though it is pinned beside its memory already",
        look: |s| match s.topology.nodes.len() {
            0 | 1 => Look::NotHere("there is only one memory node".into()),
            _ => exactly(s, "kernel.numa_balancing", "0"),
        },
    },
    Item {
        name: "vm.swappiness",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "a page of the engine on disk stalls a whole shard",
        look: swappiness,
    },
    Item {
        name: "memory.thp_shmem",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "the ring is shared memory that is allocated at once: in huge pages, if the kernel gives it some, it spares every shard address lookups",
        look: |s| {
            choice(
                s,
                &format!("{THP}/shmem_enabled"),
                &["within_size", "always"],
            )
        },
    },
    Item {
        name: "clocksource",
        severity: Severity::Should,
        fix: Fix::Operator(
            "find out why the kernel distrusts the TSC (dmesg | grep -i -e tsc -e clocksource); if it need not, boot with clocksource=tsc tsc=reliable",
        ),
        why: "each turn reads the clock: 20 ns with the TSC, a microsecond and a system call with others",
        look: |s| match s.host.value(&format!("{CLOCK}/current_clocksource")) {
            Ok(clock) => Look::of(
                &clock,
                "tsc, or another that needs no system call",
                FAST_CLOCKS.contains(&clock.as_str()),
            ),
            Err(refusal) => Look::refused(&refusal),
        },
    },
];

fn swappiness(situation: &Situation<'_>) -> Look {
    let swaps = situation.host.text("/proc/swaps").unwrap_or_default();
    if swaps.lines().count() < 2 {
        return Look::NotHere("there is no swap".into());
    }
    let path = "/proc/sys/vm/swappiness";
    match situation.host.number::<u64>(path) {
        Ok(now) => Look::of(now, "≤ 10", now <= 10).with([Step::write(path, now.min(10))]),
        Err(refusal) => Look::refused(&refusal),
    }
}
