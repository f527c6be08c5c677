//! Where a run was made: without it a figure means nothing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A machine, as a run found it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name in its network.
    pub name: String,
    /// Name, release and architecture.
    pub kernel: String,
    /// The model.
    pub processor: String,
    /// Processors that the run might use.
    pub processors_allowed: u32,
    /// Who chooses the processors' frequency; several where they differ, none where the
    /// machine does not say.
    pub governors: Vec<String>,
    /// All of it.
    pub memory_bytes: u64,
    /// Over the last minute before the run; more than a little spoils the figures.
    pub load_average: String,
    /// Descriptors that a process may have.
    pub descriptors_max: u64,
    /// Settings of the kernel that figures depend on, as far as this kernel has them.
    pub sysctls: BTreeMap<String, String>,
}
