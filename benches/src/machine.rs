//! What the machine can do with nothing around it: each loop alone, in its own file.

pub(crate) mod fan_out;
pub(crate) mod ping_pong;
pub(crate) mod ring_hop;
pub(crate) mod sender;
pub(crate) mod wake;

use ringcast_benches::Core;

/// The two processors of a run: who serves, and who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    /// Where what is measured runs.
    pub(crate) server: Core,
    /// Where the probe runs.
    pub(crate) probe: Core,
}
