//! What the control group allows: a ring that the kernel's memory controller
//! would not bear is refused beforehand, instead of killed in the middle.

use std::fs;
use std::path::Path;

/// Bytes that this process's control group (v2) may still take, if it has a limit.
/// Version 1 is not looked at.
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
        .filter_map(memory_left_of)
        .min()
}

/// What one group has left. Cached files count as left, for the kernel drops them
/// before it refuses: a group that runs for long has nearly all of its memory full of
/// them.
fn memory_left_of(group: &Path) -> Option<u64> {
    let read = |file| fs::read_to_string(group.join(file)).ok();
    // Without a limit `memory.max` says "max", which is no number.
    let max: u64 = read("memory.max")?.trim().parse().ok()?;
    let current: u64 = read("memory.current")?.trim().parse().ok()?;
    let statistics = read("memory.stat").unwrap_or_default();
    let cached: u64 = statistics
        .lines()
        .filter_map(|line| {
            let (name, bytes) = line.split_once(' ')?;
            let is_cached = matches!(name, "active_file" | "inactive_file");
            is_cached.then(|| bytes.parse::<u64>().ok())?
        })
        .sum();
    Some(max.saturating_sub(current.saturating_sub(cached)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of groups in a folder of its own, gone when dropped.
    struct Tree(std::path::PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let folder = format!("ringcast-cgroup-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(folder);
            fs::create_dir_all(&root).expect("the folder for temporary files is writable");
            Self(root)
        }

        fn group(self, path: &str, files: &[(&str, &str)]) -> Self {
            let group = self.0.join(path);
            fs::create_dir_all(&group).unwrap();
            for (file, content) in files {
                fs::write(group.join(file), content).unwrap();
            }
            self
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_tightest_group_on_the_way_up_counts() {
        let tree = Tree::new("nested")
            .group("", &[("memory.max", "1000\n"), ("memory.current", "10\n")])
            .group("a", &[("memory.max", "500\n"), ("memory.current", "400\n")])
            .group("a/b", &[("memory.max", "max\n"), ("memory.current", "9\n")])
            .group("c", &[("memory.max", "7\n"), ("memory.current", "9\n")]);
        let left = |groups| memory_left_in(&tree.0, groups);
        assert_eq!(left("0::/a/b\n"), Some(100));
        assert_eq!(left("0::/a\n"), Some(100));
        assert_eq!(left("0::/\n"), Some(990));
        assert_eq!(left("0::/c\n"), Some(0), "over its limit");
        assert_eq!(left("0::/not/there\n"), Some(990));
        assert_eq!(
            left("0::/../elsewhere\n"),
            Some(990),
            "beyond the namespace"
        );
    }

    #[test]
    fn cached_files_are_as_good_as_free() {
        let statistics = "anon 5\nactive_file 300\ninactive_file 90\nshmem 6\n";
        let tree = Tree::new("cached").group(
            "a",
            &[
                ("memory.max", "500\n"),
                ("memory.current", "500\n"),
                ("memory.stat", statistics),
            ],
        );
        assert_eq!(memory_left_in(&tree.0, "0::/a\n"), Some(390));
    }

    #[test]
    fn no_limit_or_version_1_says_nothing() {
        let tree = Tree::new("unlimited")
            .group("a", &[("memory.max", "max\n"), ("memory.current", "1\n")])
            .group("v1", &[("memory.limit_in_bytes", "100\n")]);
        assert_eq!(memory_left_in(&tree.0, "0::/a\n"), None);
        let version_1 = "5:memory:/v1\n4:cpu,cpuacct:/v1\n";
        assert_eq!(memory_left_in(&tree.0, version_1), None);
        let hybrid = "5:memory:/v1\n0::/v1\n";
        assert_eq!(memory_left_in(&tree.0, hybrid), None);
        assert_eq!(memory_left_in(&tree.0, ""), None);
    }
}
