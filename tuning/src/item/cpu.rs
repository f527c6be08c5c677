//! Processors: how fast and how awake they are, and who else runs on those that push.

use super::sysctl::{at_least, exactly};
use super::{Fix, Item, Look, Severity, Situation, Step};
use crate::cpus::CpuSet;
use crate::host::Refusal;
use crate::topology::CPU;

/// A core that takes longer to wake than this is not let sleep so deeply.
const WAKE_MICROS_MAX: u64 = 10;
const WORKQUEUES: &str = "/sys/devices/virtual/workqueue";

pub(super) const ITEMS: &[Item] = &[
    Item {
        name: "cpu.governor",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "a core that was quiet runs slowly when the burst comes",
        look: |s| frequency(s, "scaling_governor", Some("energy_performance_preference")),
    },
    Item {
        name: "cpu.energy_preference",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "the processor itself holds back its clock to save energy, whatever the governor says",
        look: |s| frequency(s, "energy_performance_preference", None),
    },
    Item {
        name: "cpu.turbo",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "single cores run a fifth to a half faster with it, and pushing is bound by single cores",
        look: turbo,
    },
    Item {
        name: "cpu.idle_states",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "a core that parks falls into states from which it takes up to hundreds of microseconds to wake",
        look: idle_states,
    },
    Item {
        name: "cpu.dma_latency",
        severity: Severity::Could,
        fix: Fix::Operator(
            "a program must hold /dev/cpu_dma_latency open, such as tuned with its profile network-latency; `apply cpu.idle_states` does the same for the engine's cores only",
        ),
        why: "the wish of all programs together for how fast cores must wake",
        look: dma_latency,
    },
    Item {
        name: "cpu.siblings",
        severity: Severity::Should,
        fix: Fix::Boot,
        why: "what runs on the second thread of a core takes half of what a shard has, at any moment",
        look: siblings,
    },
    Item {
        name: "cpu.isolated",
        severity: Severity::Should,
        fix: Fix::Boot,
        why: "the scheduler puts any thread on a core that pushes: each visit is a pause of milliseconds for all its clients",
        look: |s| covers(s, "isolcpus=domain,managed_irq", Some(&s.topology.isolated)),
    },
    Item {
        name: "cpu.nohz_full",
        severity: Severity::Could,
        fix: Fix::Boot,
        why: "the timer tick interrupts a spinning core 100 to 1,000 times a second for some microseconds",
        look: |s| match &s.topology.nohz_full {
            Some(there) => covers(s, "nohz_full", Some(there)),
            None => Look::NotHere("this kernel was built without it (CONFIG_NO_HZ_FULL)".into()),
        },
    },
    Item {
        name: "cpu.rcu_nocbs",
        severity: Severity::Could,
        fix: Fix::Boot,
        why: "the kernel's deferred frees run on the core that caused them, unless they are sent elsewhere",
        look: rcu_nocbs,
    },
    Item {
        name: "cpu.workqueues",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "work that the kernel may do anywhere it would also do on a core that pushes",
        look: |s| workqueue(s, "cpumask"),
    },
    Item {
        name: "cpu.writeback",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "writing pages to disk is such work, with a mask of its own",
        look: |s| workqueue(s, "writeback/cpumask"),
    },
    Item {
        name: "kernel.timer_migration",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "timers that were started on a core that pushes move to one that does not",
        look: |s| exactly(s, "kernel.timer_migration", "1"),
    },
    Item {
        name: "vm.stat_interval",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "so many seconds apart every core folds its counters of memory, also those that push",
        look: |s| at_least(s, "vm.stat_interval", &[10]),
    },
    Item {
        name: "kernel.nmi_watchdog",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "it interrupts every core to see whether it hangs, and takes a counter of the processor",
        look: |s| exactly(s, "kernel.nmi_watchdog", "0"),
    },
    Item {
        name: "kernel.sched_rt_runtime_us",
        severity: Severity::Could,
        fix: Fix::Operator("set it back to 950000, unless somebody lowered it on purpose"),
        why: "the engine needs no real-time priority; a lower share would stop the kernel's own real-time threads in the middle of their work",
        look: |s| match s.host.number::<i64>("/proc/sys/kernel/sched_rt_runtime_us") {
            Ok(now) => Look::of(now, "≥ 950000, or -1", now == -1 || now >= 950_000),
            Err(refusal) => Look::refused(&refusal),
        },
    },
    Item {
        name: "irqbalance",
        severity: Severity::Should,
        fix: Fix::Operator(
            "systemctl disable --now irqbalance, or name the engine's cores in IRQBALANCE_BANNED_CPULIST of /etc/default/irqbalance",
        ),
        why: "it moves interrupts every ten seconds, to cores that push as well",
        look: irqbalance,
    },
];

/// Isolation is told at boot: not inside a container, where somebody else boots.
fn covers(situation: &Situation<'_>, parameter: &str, there: Option<&CpuSet>) -> Look {
    if let Some(container) = &situation.topology.container {
        return Look::NotHere(format!(
            "the host of this container ({container}) decides which cores are isolated"
        ));
    }
    if situation.topology.cpus.len() < 2 {
        return Look::NotHere("the only CPU must do everything".into());
    }
    let wanted = situation.plan.quiet();
    let there = there.cloned().unwrap_or_default();
    let separator = if parameter.contains('=') { ',' } else { '=' };
    Look::of(&there, &wanted, wanted.is_within(&there)).with([Step::Boot(format!(
        "{parameter}{separator}{}",
        wanted.union(&there)
    ))])
}

/// A file of `cpufreq` on each core of the engine, which must say `performance`, and
/// another that some drivers change along with it.
fn frequency(situation: &Situation<'_>, file: &str, along: Option<&str>) -> Look {
    let host = situation.host;
    let mut seen = Vec::new();
    let mut steps = Vec::new();
    for cpu in situation.plan.busy().iter() {
        let folder = format!("{CPU}/cpu{cpu}/cpufreq");
        let path = format!("{folder}/{file}");
        let now = match host.value(&path) {
            Ok(now) => now,
            Err(Refusal::Absent(_)) => {
                let who = situation
                    .topology
                    .who_decides()
                    .unwrap_or_else(|| "the processor, without a driver in the kernel,".into());
                return Look::NotHere(format!("{who} decides how fast cores run"));
            }
            Err(refusal) => return Look::Unseen(refusal.to_string()),
        };
        let along = along.map(|file| format!("{folder}/{file}"));
        steps.extend(along.filter(|path| host.has(path)).map(Step::Affects));
        // A preference may be a number, of which 0 means the same.
        let is_well = matches!(now.as_str(), "performance" | "0");
        steps.push(Step::write(
            path,
            if is_well { &now } else { "performance" },
        ));
        seen.push((now, is_well));
    }
    let is_well = seen.iter().all(|(_, is_well)| *is_well);
    let mut values: Vec<_> = seen.into_iter().map(|(now, _)| now).collect();
    values.sort();
    values.dedup();
    Look::of(values.join(", "), "performance", is_well).with(steps)
}

/// Intel's driver says it the other way round.
fn turbo(situation: &Situation<'_>) -> Look {
    let (intel, others) = (
        format!("{CPU}/intel_pstate/no_turbo"),
        format!("{CPU}/cpufreq/boost"),
    );
    let (path, on) = if situation.host.has(&intel) {
        (intel, "0")
    } else {
        (others, "1")
    };
    match situation.host.value(&path) {
        Ok(now) => Look::of(if now == on { "on" } else { "off" }, "on", now == on)
            .with([Step::write(path, on)]),
        Err(Refusal::Absent(_)) => {
            let who = situation
                .topology
                .who_decides()
                .unwrap_or_else(|| "the firmware".into());
            Look::NotHere(format!("{who} decides"))
        }
        Err(refusal) => Look::refused(&refusal),
    }
}

/// The states of one core that take long to wake from: (folder, name, latency, switched off).
fn slow_states(
    situation: &Situation<'_>,
    cpu: usize,
) -> Result<Vec<(String, String, u64, bool)>, Refusal> {
    let folder = format!("{CPU}/cpu{cpu}/cpuidle");
    let mut slow = Vec::new();
    for state in situation
        .host
        .names(&folder)
        .iter()
        .filter(|name| name.starts_with("state"))
    {
        let state = format!("{folder}/{state}");
        let latency: u64 = situation.host.number(&format!("{state}/latency"))?;
        if latency > WAKE_MICROS_MAX {
            let name = situation.host.value(&format!("{state}/name"))?;
            let is_off = situation.host.value(&format!("{state}/disable"))? == "1";
            slow.push((state, name, latency, is_off));
        }
    }
    Ok(slow)
}

fn idle_states(situation: &Situation<'_>) -> Look {
    let mut on = Vec::new();
    let mut steps = Vec::new();
    for cpu in situation.plan.busy().iter() {
        if !situation.host.has(&format!("{CPU}/cpu{cpu}/cpuidle")) {
            let who = situation
                .topology
                .who_decides()
                .unwrap_or_else(|| "the firmware".into());
            return Look::NotHere(format!("{who} decides how deeply cores sleep"));
        }
        match slow_states(situation, cpu) {
            Ok(slow) => {
                for (state, name, latency, is_off) in slow {
                    steps.push(Step::write(format!("{state}/disable"), 1));
                    if !is_off {
                        on.push(format!("{name} ({latency} µs)"));
                    }
                }
            }
            Err(refusal) => return Look::Unseen(refusal.to_string()),
        }
    }
    on.sort();
    on.dedup();
    let current = if on.is_empty() {
        "none slower".to_owned()
    } else {
        on.join(", ")
    };
    Look::of(
        current,
        format!(
            "none slower than {WAKE_MICROS_MAX} µs on cores {}",
            situation.plan.busy()
        ),
        on.is_empty(),
    )
    .with(steps)
}

fn dma_latency(situation: &Situation<'_>) -> Look {
    let cores = situation.plan.busy();
    let deep = cores
        .iter()
        .any(|cpu| slow_states(situation, cpu).is_ok_and(|slow| slow.iter().any(|state| !state.3)));
    if !deep {
        return Look::NotHere("no core of the engine has a slow idle state left on".into());
    }
    match situation.host.bytes("/dev/cpu_dma_latency") {
        // The file holds four bytes in the machine's order.
        Ok(bytes) => match bytes.get(..4).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => {
                let micros = i32::from_ne_bytes(bytes);
                let is_well = u64::try_from(micros).is_ok_and(|micros| micros <= WAKE_MICROS_MAX);
                Look::of(
                    format!("{micros} µs"),
                    format!("≤ {WAKE_MICROS_MAX} µs"),
                    is_well,
                )
            }
            None => Look::Unseen("/dev/cpu_dma_latency holds no number".into()),
        },
        Err(refusal) => Look::refused(&refusal),
    }
}

fn siblings(situation: &Situation<'_>) -> Look {
    let cores = situation.plan.busy();
    let shared = cores
        .iter()
        .filter_map(|cpu| situation.topology.cpu(cpu))
        .any(|cpu| cpu.siblings.len() > 1);
    if !shared {
        return Look::NotHere("no core of the engine has a second thread".into());
    }
    let siblings = &situation.plan.empty;
    let both: CpuSet = cores
        .iter()
        .filter_map(|cpu| situation.topology.cpu(cpu))
        .filter(|cpu| cpu.siblings.common(&cores).len() > 1)
        .map(|cpu| cpu.cpu)
        .collect();
    if !both.is_empty() {
        return Look::of(
            format!("CPUs {both} are threads of the same cores"),
            "one role to a core",
            false,
        );
    }
    covers(
        situation,
        "isolcpus=domain,managed_irq",
        Some(&situation.topology.isolated),
    )
    .map_seen(|seen| {
        let open = siblings.minus(&situation.topology.isolated);
        seen.is_well = open.is_empty();
        seen.current = if open.is_empty() {
            "empty".into()
        } else {
            format!("anybody may use {open}")
        };
        seen.wanted = format!("{siblings} left empty");
    })
}

fn rcu_nocbs(situation: &Situation<'_>) -> Look {
    let line = situation.host.value("/proc/cmdline").unwrap_or_default();
    let lists = line.split_whitespace().filter_map(|word| {
        let list = word.strip_prefix("rcu_nocbs=")?;
        if list == "all" {
            Some(situation.topology.cpus.iter().map(|cpu| cpu.cpu).collect())
        } else {
            CpuSet::from_list(list).ok()
        }
    });
    // nohz_full brings it along.
    let tickless = situation.topology.nohz_full.clone().unwrap_or_default();
    let there = lists.fold(tickless, |set, list| set.union(&list));
    covers(situation, "rcu_nocbs", Some(&there))
}

fn workqueue(situation: &Situation<'_>, file: &str) -> Look {
    let path = format!("{WORKQUEUES}/{file}");
    let wanted = situation
        .plan
        .housekeeping
        .union(&situation.plan.interrupts)
        .minus(&situation.plan.quiet());
    if wanted.is_empty() {
        return Look::NotHere("the only CPU must do everything".into());
    }
    let now = situation.host.value(&path).and_then(|mask| {
        CpuSet::from_mask(&mask).map_err(|error| Refusal::Failed(path.clone(), error.to_string()))
    });
    match now {
        Ok(now) => {
            let is_well = now.common(&situation.plan.quiet()).is_empty();
            let keep = if is_well { &now } else { &wanted };
            let mask = keep.to_mask(situation.topology.cpus_end());
            Look::of(&now, format!("none of {}", situation.plan.quiet()), is_well)
                .with([Step::write(path, mask)])
        }
        Err(refusal) => Look::refused(&refusal),
    }
}

fn irqbalance(situation: &Situation<'_>) -> Look {
    if let Some(container) = &situation.topology.container {
        return Look::NotHere(format!(
            "the processes of the host do not show in this container ({container})"
        ));
    }
    let processes = situation
        .host
        .names("/proc")
        .into_iter()
        .filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
    let runs = processes
        .filter_map(|process| situation.host.value(&format!("/proc/{process}/comm")).ok())
        .any(|name| name == "irqbalance");
    if !runs {
        return Look::of("not running", "not running, or kept away", true);
    }
    let defaults = situation
        .host
        .text("/etc/default/irqbalance")
        .unwrap_or_default();
    let banned = defaults
        .lines()
        .find_map(|line| line.trim().strip_prefix("IRQBALANCE_BANNED_CPULIST="));
    let banned = banned
        .and_then(|list| CpuSet::from_list(list.trim_matches('"')).ok())
        .unwrap_or_default();
    Look::of(
        format!("running, kept away from {banned}"),
        format!("kept away from {}", situation.plan.quiet()),
        situation.plan.quiet().is_within(&banned),
    )
}

impl Look {
    fn map_seen(mut self, change: impl FnOnce(&mut super::Seen)) -> Self {
        if let Self::Seen(seen) = &mut self {
            change(seen);
        }
        self
    }
}
