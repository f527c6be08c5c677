//! The network cards that clients come in by. Nothing here is applied: each row has
//! lines of shell, for `apply --output-script` to write down and an operator to read.

use super::{Fix, Item, Look, Severity, Situation, Step};
use crate::cpus::CpuSet;
use crate::host::Refusal;
use crate::topology::{NET, Nic, fields};

pub(super) const ITEMS: &[Item] = &[
    Item {
        name: "nic.queues",
        severity: Severity::Should,
        fix: Fix::Script,
        why: "one queue for each core that takes interrupts: fewer leave cores idle, more put several on one core",
        look: |s| each(s, queues),
    },
    Item {
        name: "nic.interrupts",
        severity: Severity::Should,
        fix: Fix::Script,
        why: "an interrupt on a core that pushes, or on its second thread, stops the push for as long as the packets take",
        look: |s| each(s, interrupts),
    },
    Item {
        name: "nic.xps",
        severity: Severity::Could,
        fix: Fix::Script,
        why: "without it a core sends through any queue, and shares its lock with others",
        look: |s| each(s, xps),
    },
    Item {
        name: "nic.rps",
        severity: Severity::Should,
        fix: Fix::Script,
        why: "software steering costs an interrupt between cores for every packet; it helps only where the card has fewer queues than there are cores for them",
        look: |s| each(s, rps),
    },
    Item {
        name: "nic.rfs",
        severity: Severity::Should,
        fix: Fix::Script,
        why: "steering packets to the core that reads moves the kernel's work onto cores that push; under a burst that lost packets",
        look: |s| {
            let path = "/proc/sys/net/core/rps_sock_flow_entries";
            match s.host.number::<u64>(path) {
                Ok(now) => {
                    Look::of(now, "0", now == 0).with([Step::Run(format!("echo 0 > {path}"))])
                }
                Err(refusal) => Look::refused(&refusal),
            }
        },
    },
    Item {
        name: "nic.coalescing",
        severity: Severity::Could,
        fix: Fix::Script,
        why: "the card waits before it interrupts: adaptively it waits longest when the burst comes",
        look: |s| each(s, coalescing),
    },
    Item {
        name: "nic.offloads",
        severity: Severity::Should,
        fix: Fix::Script,
        why: "the card cuts one send into packets (TSO), and the kernel joins the acknowledgements of many (GRO): without them each packet costs its own way through TCP",
        look: |s| each(s, offloads),
    },
    Item {
        name: "nic.rings",
        severity: Severity::Could,
        fix: Fix::Script,
        why: "the acknowledgements of one push to everybody come at once: what finds the ring full is lost and comes again 200 ms later",
        look: |s| each(s, rings),
    },
    Item {
        name: "nic.napi_defer_hard_irqs",
        severity: Severity::Could,
        fix: Fix::Script,
        why: "it puts interrupts off for those who poll the card themselves; the engine does not",
        look: |s| each(s, defer_hard_irqs),
    },
];

/// Fewest descriptors of a receive ring.
const RING_DESCRIPTORS_MIN: u64 = 1_024;
/// Longest that a card may wait before it interrupts.
const COALESCE_MICROS_MAX: u64 = 20;

/// Looks at every card of the plan and joins what was seen: all must be well.
fn each(situation: &Situation<'_>, look: fn(&Situation<'_>, &Nic) -> Look) -> Look {
    if let Some(container) = &situation.topology.container {
        return Look::NotHere(format!(
            "the host of this container ({container}) decides about network cards"
        ));
    }
    let nics: Vec<_> = situation
        .plan
        .nics
        .iter()
        .filter_map(|name| situation.topology.nic(name))
        .collect();
    let mut joined: Option<super::Seen> = None;
    let is_one = nics.len() == 1;
    for nic in nics {
        let mut seen = match look(situation, nic) {
            Look::Seen(seen) => seen,
            refused => return refused,
        };
        if !is_one {
            seen.current = format!("{}: {}", nic.name, seen.current);
        }
        joined = Some(match joined {
            None => seen,
            Some(mut all) => {
                all.current = format!("{}; {}", all.current, seen.current);
                all.is_well &= seen.is_well;
                all.steps.extend(seen.steps);
                all
            }
        });
    }
    joined.map_or_else(
        || Look::NotHere("there is no network card that is hardware".into()),
        Look::Seen,
    )
}

/// What `ethtool` says of a card, or why it says nothing.
fn ethtool(situation: &Situation<'_>, flag: &str, nic: &Nic) -> Result<String, Look> {
    situation
        .host
        .ethtool(flag, &nic.name)
        .map_err(|refusal| match &refusal {
            Refusal::Failed(_, words) if words.contains("not supported") => {
                Look::NotHere(format!("the driver of {} has no such setting", nic.name))
            }
            Refusal::Absent(_) => Look::Unseen(format!("{refusal}, and only that program tells")),
            _ => Look::Unseen(refusal.to_string()),
        })
}

/// The part of `ethtool`'s answer below a heading.
fn below<'a>(text: &'a str, heading: &str) -> &'a str {
    text.split_once(heading).map_or("", |(_, rest)| rest)
}

fn queues(situation: &Situation<'_>, nic: &Nic) -> Look {
    let wanted = situation.plan.queues;
    let look = Look::of(nic.receive_queues, wanted, nic.receive_queues == wanted);
    let most = ethtool(situation, "-l", nic).ok().and_then(|text| {
        let maximums = below(&text, "Pre-set maximums:")
            .split("Current hardware settings:")
            .next()?
            .to_owned();
        fields(&maximums).get("Combined")?.parse::<usize>().ok()
    });
    match most {
        Some(most) if most < 2 => Look::NotHere(format!("{} has a single queue", nic.name)),
        Some(most) => {
            let wanted = wanted.min(most);
            Look::of(nic.receive_queues, wanted, nic.receive_queues == wanted).with([Step::Run(
                format!("ethtool -L {} combined {wanted}", nic.name),
            )])
        }
        None if nic.receive_queues == 1 => {
            Look::NotHere(format!("{} shows a single queue", nic.name))
        }
        None => look.with([Step::Run(format!(
            "ethtool -L {} combined {wanted}",
            nic.name
        ))]),
    }
}

fn interrupts(situation: &Situation<'_>, nic: &Nic) -> Look {
    if nic.interrupts.is_empty() {
        return Look::NotHere(format!("{} has no interrupts of its own", nic.name));
    }
    let quiet = situation.plan.quiet();
    let wrong: Vec<_> = nic
        .interrupts
        .iter()
        .filter(|irq| !irq.cpus.common(&quiet).is_empty())
        .collect();
    let places: Vec<_> = situation.plan.interrupts.iter().collect();
    let steps = nic.interrupts.iter().enumerate().map(|(at, irq)| {
        let cpu = places.get(at % places.len().max(1)).copied().unwrap_or(0);
        Step::Run(format!(
            "echo {cpu} > /proc/irq/{}/smp_affinity_list   # {}",
            irq.irq, irq.name
        ))
    });
    let reached = wrong.iter().fold(CpuSet::default(), |set, irq| {
        set.union(&irq.cpus.common(&quiet))
    });
    let current = match wrong.len() {
        0 => format!("{} interrupts elsewhere", nic.interrupts.len()),
        some => format!("{some} of {} may go to {reached}", nic.interrupts.len()),
    };
    let wanted = format!("all on {}", situation.plan.interrupts);
    Look::of(current, wanted, wrong.is_empty()).with(steps)
}

/// Core `n` of the engine sends through queue `n`, counted round.
fn xps(situation: &Situation<'_>, nic: &Nic) -> Look {
    if nic.transmit_queues < 2 {
        return Look::NotHere(format!("{} has a single queue", nic.name));
    }
    let busy: Vec<_> = situation.plan.busy().iter().collect();
    let mut served = CpuSet::default();
    let mut steps = Vec::new();
    for queue in 0..nic.transmit_queues {
        let path = format!("{NET}/{}/queues/tx-{queue}/xps_cpus", nic.name);
        match situation
            .host
            .value(&path)
            .map(|mask| CpuSet::from_mask(&mask))
        {
            Ok(Ok(cpus)) => served = served.union(&cpus),
            Ok(Err(error)) => return Look::Unseen(error.to_string()),
            Err(Refusal::Absent(_)) => {
                return Look::NotHere(format!("{} does not let its queues be chosen", nic.name));
            }
            Err(refusal) => return Look::Unseen(refusal.to_string()),
        }
        let cpus: CpuSet = busy
            .iter()
            .enumerate()
            .filter(|(at, _)| at % nic.transmit_queues == queue)
            .map(|(_, cpu)| *cpu)
            .collect();
        let mask = cpus.to_mask(situation.topology.cpus_end());
        steps.push(Step::Run(format!("echo {mask} > {path}   # CPUs {cpus}")));
    }
    let busy = situation.plan.busy();
    Look::of(
        format!("queues chosen for {}", served.common(&busy)),
        format!("for {busy}"),
        busy.is_within(&served),
    )
    .with(steps)
}

fn rps(situation: &Situation<'_>, nic: &Nic) -> Look {
    let wanted = if nic.receive_queues < situation.plan.queues.min(situation.plan.interrupts.len())
    {
        situation.plan.interrupts.clone()
    } else {
        CpuSet::default()
    };
    let mut there = CpuSet::default();
    let mut is_well = true;
    let mut steps = Vec::new();
    for queue in 0..nic.receive_queues {
        let path = format!("{NET}/{}/queues/rx-{queue}/rps_cpus", nic.name);
        match situation
            .host
            .value(&path)
            .map(|mask| CpuSet::from_mask(&mask))
        {
            Ok(Ok(cpus)) => {
                is_well &= cpus == wanted;
                there = there.union(&cpus);
            }
            Ok(Err(error)) => return Look::Unseen(error.to_string()),
            Err(refusal) => return Look::refused(&refusal),
        }
        steps.push(Step::Run(format!(
            "echo {} > {path}",
            wanted.to_mask(situation.topology.cpus_end())
        )));
    }
    let spell = |set: &CpuSet| {
        if set.is_empty() {
            "off".to_owned()
        } else {
            format!("to {set}")
        }
    };
    Look::of(spell(&there), spell(&wanted), is_well).with(steps)
}

fn coalescing(situation: &Situation<'_>, nic: &Nic) -> Look {
    let text = match ethtool(situation, "-c", nic) {
        Ok(text) => text,
        Err(look) => return look,
    };
    let fields = fields(&text);
    // "Adaptive RX: on  TX: off" is a line with two values.
    let adaptive = fields.get("Adaptive RX").copied().unwrap_or("n/a");
    let adapts = adaptive.starts_with("on");
    let micros = fields
        .get("rx-usecs")
        .and_then(|value| value.parse::<u64>().ok());
    let Some(micros) = micros else {
        return Look::NotHere(format!(
            "the driver of {} does not tell how long it waits",
            nic.name
        ));
    };
    let current = format!("{micros} µs{}", if adapts { ", adaptive" } else { "" });
    Look::of(
        current,
        format!("≤ {COALESCE_MICROS_MAX} µs, not adaptive"),
        micros <= COALESCE_MICROS_MAX && !adapts,
    )
    .with([Step::Run(format!(
        "ethtool -C {} adaptive-rx off rx-usecs {}",
        nic.name,
        micros.min(COALESCE_MICROS_MAX)
    ))])
}

fn offloads(situation: &Situation<'_>, nic: &Nic) -> Look {
    let text = match ethtool(situation, "-k", nic) {
        Ok(text) => text,
        Err(look) => return look,
    };
    let fields = fields(&text);
    let names = [
        ("tcp-segmentation-offload", "tso"),
        ("generic-segmentation-offload", "gso"),
        ("generic-receive-offload", "gro"),
    ];
    let off: Vec<_> = names
        .iter()
        .filter(|(name, _)| {
            fields
                .get(name)
                .is_some_and(|value| value.starts_with("off") && !value.contains("fixed"))
        })
        .collect();
    let current = if off.is_empty() {
        "on".to_owned()
    } else {
        format!(
            "off: {}",
            off.iter()
                .map(|(_, short)| *short)
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    let steps = off
        .iter()
        .map(|(_, short)| Step::Run(format!("ethtool -K {} {short} on", nic.name)));
    Look::of(current, "tso, gso and gro on", off.is_empty()).with(steps.collect::<Vec<_>>())
}

fn rings(situation: &Situation<'_>, nic: &Nic) -> Look {
    let text = match ethtool(situation, "-g", nic) {
        Ok(text) => text,
        Err(look) => return look,
    };
    let receive = |part: &str| {
        fields(part)
            .get("RX")
            .and_then(|value| value.parse::<u64>().ok())
    };
    let (maximums, current) = text
        .split_once("Current hardware settings:")
        .unwrap_or(("", ""));
    let (Some(most), Some(now)) = (receive(maximums), receive(current)) else {
        return Look::NotHere(format!(
            "the driver of {} does not tell the size of its rings",
            nic.name
        ));
    };
    let wanted = RING_DESCRIPTORS_MIN.min(most);
    Look::of(now, format!("≥ {wanted}"), now >= wanted).with([Step::Run(format!(
        "ethtool -G {} rx {}",
        nic.name,
        wanted.max(now)
    ))])
}

fn defer_hard_irqs(situation: &Situation<'_>, nic: &Nic) -> Look {
    let path = format!("{NET}/{}/napi_defer_hard_irqs", nic.name);
    match situation.host.number::<u64>(&path) {
        Ok(now) => Look::of(now, "0", now == 0).with([Step::Run(format!("echo 0 > {path}"))]),
        Err(refusal) => Look::refused(&refusal),
    }
}
