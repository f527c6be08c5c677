//! The plan as a person reads it, and the settings that the engine takes.

use super::{Idle, Plan};
use crate::topology::bytes;
use std::fmt;

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spin => "spin",
            Self::Adaptive => "adaptive",
            Self::Park => "park",
        })
    }
}

impl Plan {
    /// The `[cores]` section of the engine's settings.
    #[must_use]
    pub fn settings(&self) -> String {
        let shards: Vec<_> = self.cores.shards.iter().map(usize::to_string).collect();
        format!(
            "[cores]\ningest = {}\nshards = [{}]\nidle = \"{}\"\n",
            self.cores.ingest,
            shards.join(", "),
            self.idle
        )
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards = self
            .busy()
            .minus(&[self.cores.ingest].into_iter().collect());
        writeln!(f, "# housekeeping  {}", self.housekeeping)?;
        writeln!(f, "# interrupts    {}", self.interrupts)?;
        if !self.nics.is_empty() {
            writeln!(
                f,
                "# network       {}, {} queues each",
                self.nics.join(", "),
                self.queues
            )?;
        }
        writeln!(f, "# ingest        {}", self.cores.ingest)?;
        let shared = if shards.is_empty() {
            " (shares the executor of ingest)"
        } else {
            ""
        };
        let list = if shards.is_empty() {
            self.busy()
        } else {
            shards
        };
        writeln!(
            f,
            "# shards        {list}: {}{shared}",
            self.cores.shards.len()
        )?;
        writeln!(f, "# left empty    {}", self.empty)?;
        writeln!(
            f,
            "# memory        {} of {}:",
            bytes(self.memory.bytes),
            bytes(self.memory.available_bytes)
        )?;
        for term in &self.memory.terms {
            let whose = if term.is_kernel { "kernel" } else { "engine" };
            writeln!(f, "#   {whose} {:>10}  {}", bytes(term.bytes), term.what)?;
        }
        for reason in &self.reasons {
            writeln!(f, "# note: {reason}")?;
        }
        f.write_str(&self.settings())
    }
}
