//! What the control group allows: a ring that the kernel's memory controller
//! would not bear is refused beforehand, instead of killed in the middle.

use std::fs;
use std::path::Path;

/// Bytes that this process's control group (v2) may still take, if it has a limit.
pub(crate) fn memory_left() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    memory_left_in(Path::new("/sys/fs/cgroup"), &groups)
}

/// The least that the group and those above it have left: each bounds all below.
fn memory_left_in(root: &Path, groups: &str) -> Option<u64> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    root.join(own)
        .ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(|group| {
            let number = |file| {
                fs::read_to_string(group.join(file))
                    .ok()?
                    .trim()
                    .parse::<u64>()
                    .ok()
            };
            // Without a limit `memory.max` says "max", which is no number.
            Some(number("memory.max")?.saturating_sub(number("memory.current")?))
        })
        .min()
}
