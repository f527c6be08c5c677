//! What a run takes of the machine's memory.

use crate::results::{Memory, Results};
use std::cell::Cell;

/// Below so many connections what one takes is lost in the noise.
const CONNECTIONS_MIN: u64 = 1_000;

/// What there was before the first connection, and with all of them.
#[derive(Debug, Default)]
pub(crate) struct Look {
    server_pid: Option<u32>,
    before: Used,
    with_all: Cell<Used>,
}

/// Bytes that are in use, where that is known.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    /// Resident, of the server's process.
    server: Option<u64>,
    /// What the kernel keeps sockets and everything around them in. What all of the machine
    /// has less of would count other programs as well.
    slab: Option<u64>,
}

impl Used {
    fn now(server_pid: Option<u32>) -> Self {
        Self {
            server: server_pid.and_then(|pid| kib(&format!("/proc/{pid}/status"), "VmRSS:")),
            slab: kib("/proc/meminfo", "Slab:"),
        }
    }
}

impl Look {
    pub(crate) fn before(server_pid: Option<u32>) -> Self {
        Self {
            server_pid,
            before: Used::now(server_pid),
            with_all: Cell::default(),
        }
    }

    pub(crate) fn again(&self) {
        self.with_all.set(Used::now(self.server_pid));
    }

    /// Adds what is not the generator's own.
    pub(crate) fn fill_in(&self, results: &mut Results) {
        let is_enough = |memory: &Memory| memory.connections >= CONNECTIONS_MIN;
        results.memory = results.memory.take().filter(is_enough);
        if let Some(memory) = &mut results.memory {
            let (before, with_all) = (self.before, self.with_all.get());
            memory.server_bytes = growth(before.server, with_all.server);
            memory.kernel_bytes = growth(before.slab, with_all.slab);
        }
    }
}

fn growth(before: Option<u64>, then: Option<u64>) -> Option<u64> {
    Some(then?.saturating_sub(before?))
}

/// A line of a file that is a size.
pub(crate) fn kib(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
