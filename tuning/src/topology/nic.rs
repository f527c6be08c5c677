//! Network cards: queues, interrupts, where they are plugged in.

use crate::cpus::CpuSet;
use crate::host::Host;
use crate::topology::cpu_list;
use serde::Serialize;

/// Where the kernel lists network cards.
pub(crate) const NET: &str = "/sys/class/net";

/// One network card.
#[derive(Debug, Clone, Serialize)]
pub struct Nic {
    /// Its name, as `ip link` prints it.
    pub name: String,
    /// Its driver; none for cards that are only software.
    pub driver: Option<String>,
    /// The memory node of the slot it is in, where the firmware tells.
    pub node: Option<usize>,
    /// Megabits a second, where the driver tells.
    pub megabits: Option<u64>,
    /// Whether it has a link.
    pub is_up: bool,
    /// Whether it is software: a bridge, a tunnel, one end of a pair.
    pub is_virtual: bool,
    /// The cards that a bond is made of.
    pub members: Vec<String>,
    /// Queues that receive.
    pub receive_queues: usize,
    /// Queues that transmit.
    pub transmit_queues: usize,
    /// Its interrupts.
    pub interrupts: Vec<Interrupt>,
}

/// One interrupt of a network card.
#[derive(Debug, Clone, Serialize)]
pub struct Interrupt {
    /// Its number.
    pub irq: u32,
    /// What the driver calls it.
    pub name: String,
    /// The CPUs that it may go to.
    pub cpus: CpuSet,
}

/// All but loopback.
pub(super) fn read_all(host: &Host) -> Vec<Nic> {
    let interrupts = host.text("/proc/interrupts").unwrap_or_default();
    let names = host.names(NET).into_iter();
    names
        // Bonding keeps a file of its own here that is no card.
        .filter(|name| name != "lo" && host.has(&format!("{NET}/{name}/queues")))
        .map(|name| Nic::read(host, name, &interrupts))
        .collect()
}

impl Nic {
    fn read(host: &Host, name: String, interrupts: &str) -> Self {
        let folder = format!("{NET}/{name}");
        let queues = host.names(&format!("{folder}/queues"));
        let count = |kind: &str| {
            queues
                .iter()
                .filter(|queue| queue.starts_with(kind))
                .count()
        };
        let members = host
            .value(&format!("{folder}/bonding/slaves"))
            .unwrap_or_default();
        Self {
            driver: host.link_name(&format!("{folder}/device/driver")),
            // The firmware says -1 where it knows none.
            node: node(host, &folder),
            // Some drivers say -1, some refuse to be read without a link.
            megabits: host
                .number::<i64>(&format!("{folder}/speed"))
                .ok()
                .and_then(|speed| speed.try_into().ok()),
            is_up: host
                .value(&format!("{folder}/operstate"))
                .is_ok_and(|state| state == "up"),
            is_virtual: host.link_passes(&folder, "virtual"),
            members: members.split_whitespace().map(str::to_owned).collect(),
            receive_queues: count("rx-"),
            transmit_queues: count("tx-"),
            interrupts: irqs(host, &folder, interrupts),
            name,
        }
    }
}

/// A virtio card's device is not the slot but something in it.
fn slot_file(host: &Host, folder: &str, file: &str) -> Option<String> {
    [
        format!("{folder}/device/{file}"),
        format!("{folder}/device/../{file}"),
    ]
    .into_iter()
    .find(|path| host.has(path))
}

fn node(host: &Host, folder: &str) -> Option<usize> {
    let node: i64 = host.number(&slot_file(host, folder, "numa_node")?).ok()?;
    node.try_into().ok()
}

fn irqs(host: &Host, folder: &str, interrupts: &str) -> Vec<Interrupt> {
    let Some(listed) = slot_file(host, folder, "msi_irqs") else {
        return Vec::new();
    };
    let numbers = host
        .names(&listed)
        .into_iter()
        .filter_map(|name| name.parse().ok());
    numbers
        .map(|irq: u32| Interrupt {
            irq,
            name: interrupt_name(interrupts, irq).unwrap_or_default(),
            cpus: cpu_list(host, &format!("/proc/irq/{irq}/smp_affinity_list")).unwrap_or_default(),
        })
        .collect()
}

/// The last word of its line in `/proc/interrupts`.
fn interrupt_name(interrupts: &str, irq: u32) -> Option<String> {
    let line = interrupts.lines().find_map(|line| {
        let (number, rest) = line.trim_start().split_once(':')?;
        (number.parse() == Ok(irq)).then_some(rest)
    })?;
    line.split_whitespace().next_back().map(str::to_owned)
}
