//! What a run takes of the machine's memory.

use crate::results::{Memory, Results};
use std::cell::Cell;

/// Below so many connections what one takes is lost in the noise.
const CONNECTIONS_MIN: u64 = 1_000;

/// What was free before the first connection, and is then.
#[derive(Debug, Default)]
pub(crate) struct Look {
    server_pid: Option<u32>,
    available: Option<u64>,
    server: Option<u64>,
    /// The same with all connections.
    then: Cell<(Option<u64>, Option<u64>)>,
}

impl Look {
    pub(crate) fn before(server_pid: Option<u32>) -> Self {
        Self {
            server_pid,
            available: available_bytes(),
            server: server_pid.and_then(resident_bytes),
            then: Cell::default(),
        }
    }

    pub(crate) fn again(&self) {
        let server = self.server_pid.and_then(resident_bytes);
        self.then.set((available_bytes(), server));
    }

    /// What the machine has less of, and is neither the server's nor ours, is the kernel's.
    pub(crate) fn fill_in(&self, results: &mut Results) {
        let (available, server) = self.then.get();
        let is_enough = |memory: &Memory| memory.connections >= CONNECTIONS_MIN;
        results.memory = results.memory.take().filter(is_enough);
        let Some(memory) = &mut results.memory else {
            return;
        };
        let grown = |before: Option<u64>, then: Option<u64>| Some(then?.saturating_sub(before?));
        memory.server_bytes = grown(self.server, server);
        let less = grown(available, self.available);
        memory.kernel_bytes = less.map(|less| {
            less.saturating_sub(memory.generator_bytes + memory.server_bytes.unwrap_or(0))
        });
        if self.server_pid.is_none() {
            // The server's own would be among it.
            memory.kernel_bytes = None;
        }
    }
}

fn available_bytes() -> Option<u64> {
    kib("/proc/meminfo", "MemAvailable:")
}

fn resident_bytes(pid: u32) -> Option<u64> {
    kib(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// A line of a file that is a size.
pub(crate) fn kib(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
