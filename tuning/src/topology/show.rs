//! The topology as a person reads it.

use super::Topology;
use crate::cpus::CpuSet;
use std::collections::BTreeMap;
use std::fmt;

/// Bytes with the largest unit that leaves at least one of it.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let step = (0..units.len() - 1)
        .take_while(|step| bytes >> (10 * (step + 1)) > 0)
        .count();
    #[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let value = bytes as f64 / (1_u64 << (10 * step)) as f64;
    let decimals = usize::from(step > 0 && value < 100.0);
    format!("{value:.decimals$} {}", units[step])
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sockets: CpuSet = self.cpus.iter().map(|cpu| cpu.package).collect();
        let cores: CpuSet = self
            .cpus
            .iter()
            .filter_map(|cpu| cpu.siblings.iter().next())
            .collect();
        let online: CpuSet = self.cpus.iter().map(|cpu| cpu.cpu).collect();
        let nohz_full = self.nohz_full.as_ref();
        writeln!(f, "kernel      {}", self.kernel)?;
        writeln!(f, "processor   {}", self.model)?;
        if let Some(hypervisor) = &self.hypervisor {
            writeln!(f, "machine     virtual, hypervisor {hypervisor}")?;
        }
        if let Some(container) = &self.container {
            writeln!(f, "container   {container}")?;
        }
        let threads = self
            .cpus
            .iter()
            .map(|cpu| cpu.siblings.len())
            .max()
            .unwrap_or(1);
        writeln!(
            f,
            "cpus        {online}: {} sockets, {} cores, up to {threads} threads each",
            sockets.len(),
            cores.len()
        )?;
        writeln!(f, "allowed     {}", self.allowed)?;
        writeln!(f, "isolated    {}", self.isolated)?;
        writeln!(
            f,
            "nohz_full   {}",
            nohz_full.map_or("not in this kernel".to_owned(), CpuSet::to_string)
        )?;
        writeln!(f, "memory      {}", bytes(self.memory_bytes))?;
        for node in &self.nodes {
            writeln!(
                f,
                "node {:<6} {}: cpus {}",
                node.node,
                bytes(node.memory_bytes),
                node.cpus
            )?;
        }
        let mut caches = BTreeMap::new();
        for cpu in self.cpus.iter().filter(|cpu| cpu.cache_bytes > 0) {
            caches.insert(cpu.cache.clone(), cpu.cache_bytes);
        }
        for (cpus, size) in caches {
            writeln!(f, "last cache  {}: cpus {cpus}", bytes(size))?;
        }
        let memory = self
            .group
            .memory_bytes_max
            .map_or("no limit".to_owned(), bytes);
        let cpus = self
            .group
            .cpus_max
            .map_or("no quota".to_owned(), |cpus| format!("{cpus} cpus"));
        writeln!(
            f,
            "group       {}: memory {memory}, time {cpus}",
            self.group.path
        )?;
        for nic in &self.nics {
            let driver = nic.driver.as_deref().unwrap_or("software");
            let up = if nic.is_up { "up" } else { "down" };
            write!(f, "nic         {}: {driver}, {up}", nic.name)?;
            if let Some(megabits) = nic.megabits {
                write!(f, ", {megabits} Mbit/s")?;
            }
            if let Some(node) = nic.node {
                write!(f, ", node {node}")?;
            }
            write!(
                f,
                ", queues {} in {} out",
                nic.receive_queues, nic.transmit_queues
            )?;
            if !nic.members.is_empty() {
                write!(f, ", bond of {}", nic.members.join(", "))?;
            }
            writeln!(f)?;
            for interrupt in &nic.interrupts {
                writeln!(
                    f,
                    "  irq {:<5} {} on cpus {}",
                    interrupt.irq, interrupt.name, interrupt.cpus
                )?;
            }
        }
        Ok(())
    }
}
