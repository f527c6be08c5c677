//! The memory that a target takes: a sum with a comment per term.
//!
//! What the engine reserves by its own settings (ring, arenas, pools) appears with an
//! allowance; `ringcast serve --check` prints it exactly.

use crate::plan::Target;
use crate::topology::{Topology, bytes};
use serde::Serialize;

/// Bytes of state per connection with five subscriptions, at most.
const CONNECTION_BYTES: u64 = 600;
/// Arenas, scratch buffers and pools of one shard.
const SHARD_BYTES: u64 = 256 << 20;
/// The ring that all shards read.
const RING_BYTES: u64 = 256 << 20;
/// What an executor registers with the kernel.
const EXECUTOR_BYTES: u64 = 10 << 20;
/// Kernel memory of an idle connection, measured at a million.
const SOCKET_BYTES: u64 = 4_300;
/// What one small frame takes in a send buffer until it is acknowledged.
const FRAME_BYTES: u64 = 1_280;
/// One connection in so many takes its data too slowly.
const STALLED_ONE_IN: u64 = 20;
/// What such a one holds with TCP_NOTSENT_LOWAT at 16 KiB.
const STALLED_BYTES: u64 = 66 << 10;

/// What a target takes, and what there is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Memory {
    /// The terms of the sum.
    pub terms: Vec<Term>,
    /// Their sum.
    pub bytes: u64,
    /// What the host or the control group has.
    pub available_bytes: u64,
}

/// One term of the sum.
#[derive(Debug, Clone, Serialize)]
pub struct Term {
    /// What for.
    pub what: String,
    /// How much.
    pub bytes: u64,
    /// Whether it is the kernel's; it counts against the control group all the same.
    pub is_kernel: bool,
}

/// Bytes that TCP holds in send buffers at the target, at worst.
pub(crate) fn tcp_bytes(connections: u64) -> u64 {
    connections * FRAME_BYTES + connections / STALLED_ONE_IN * STALLED_BYTES
}

impl Memory {
    pub(super) fn needed(topology: &Topology, target: &Target, shards: usize) -> Self {
        let (connections, shards) = (target.connections, shards as u64);
        let term = |what: &str, bytes, is_kernel| Term {
            what: what.to_owned(),
            bytes,
            is_kernel,
        };
        let terms = vec![
            term(
                "connections and sessions, 600 bytes each",
                connections * CONNECTION_BYTES,
                false,
            ),
            term(
                "arenas, buffers and pools, 256 MiB a shard",
                shards * SHARD_BYTES,
                false,
            ),
            term("the ring", RING_BYTES, false),
            term(
                "executors, 10 MiB each",
                (shards + 1) * EXECUTOR_BYTES,
                true,
            ),
            term(
                "idle sockets, 4,300 bytes each",
                connections * SOCKET_BYTES,
                true,
            ),
            term(
                "a frame on its way to each, 1,280 bytes",
                connections * FRAME_BYTES,
                true,
            ),
            term(
                "one in 20 stalled with 66 KiB",
                connections / STALLED_ONE_IN * STALLED_BYTES,
                true,
            ),
        ];
        let sum = terms.iter().map(|term| term.bytes).sum();
        Self {
            terms,
            bytes: sum,
            available_bytes: topology.memory_bytes_max(),
        }
    }

    /// Whether there is enough, with an eighth left for everybody else.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.bytes <= self.available_bytes - self.available_bytes / 8
    }

    pub(super) fn complaint(&self) -> Option<String> {
        let (needed, there) = (bytes(self.bytes), bytes(self.available_bytes));
        (!self.is_enough()).then(|| {
            format!("it takes {needed}, and of {there} an eighth is everybody else's: give it more memory, or fewer connections")
        })
    }
}
