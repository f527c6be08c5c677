//! What can be known of the host without opening a ring. Reads, and judges nothing.

use super::{Call, Group, Missing, raise_descriptor_limit};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::utsname::uname;
use nix::unistd::{self, SysconfVar, sysconf};
use std::fs;
use std::path::Path;

/// The oldest kernel with IORING_SETUP_DEFER_TASKRUN.
const KERNEL_MIN: (u32, u32) = (6, 1);

/// The first kernel that counts a ring's memory as locked (since 5.12; see `memlock`).
const KERNEL_COUNTS_RINGS: (u32, u32) = (6, 14);

/// Bits of capabilities(7), as in linux/capability.h.
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;

/// The inode of the first user namespace, in every kernel: PROC_USER_INIT_INO.
const USER_NAMESPACE_FIRST: &str = "user:[4026531837]";

/// The value of `Seccomp:` in /proc/self/status under a filter (proc(5)).
const SECCOMP_FILTER: u64 = 2;

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kernel {
    /// As uname(2) has it.
    pub(super) release: String,
    /// Major and minor, where the release begins with such.
    version: Option<(u32, u32)>,
}

impl Kernel {
    pub(super) fn new(release: &str) -> Self {
        let digits = |text: &str| {
            let end = text.find(|letter: char| !letter.is_ascii_digit());
            text[..end.unwrap_or(text.len())].parse().ok()
        };
        let version = release
            .split_once('.')
            .and_then(|(major, rest)| Some((digits(major)?, digits(rest)?)));
        Self {
            release: release.to_owned(),
            version,
        }
    }

    /// Whether lanes can run on it. One that hides its version is given the chance.
    pub(super) fn is_served(&self) -> bool {
        self.version.is_none_or(|version| version >= KERNEL_MIN)
    }

    /// Whether it counts the memory of rings as locked.
    pub(super) fn counts_rings(&self) -> bool {
        self.version
            .is_none_or(|version| version >= KERNEL_COUNTS_RINGS)
    }
}

/// All that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) kernel: Kernel,
    pub(super) page_bytes: u64,
    /// The sysctl kernel.io_uring_disabled, 0 where there is none (before Linux 6.6).
    pub(super) io_uring_disabled: u8,
    /// The sysctl kernel.io_uring_group, if it names one.
    pub(super) io_uring_group: Option<Group>,
    /// The groups of this process, the effective one first.
    pub(super) groups: Vec<u32>,
    /// Whether a seccomp filter is at work.
    pub(super) seccomp: bool,
    /// Capabilities that count outside of containers, a bit each.
    pub(super) capabilities: u64,
    /// The soft limit RLIMIT_MEMLOCK, all ones for none.
    pub(super) memlock_max_bytes: u64,
    /// The limit RLIMIT_NOFILE, soft and hard.
    pub(super) descriptors_max: u64,
}

impl Host {
    /// Looks, having raised the limit of descriptors.
    pub(super) fn look() -> Result<Self, Missing> {
        let refused = |call| move |errno| Missing::Refused { call, errno };
        let name = uname().map_err(refused(Call::Uname))?;
        let page_bytes = sysconf(SysconfVar::PAGE_SIZE).map_err(refused(Call::ReadLimits))?;
        let (memlock_max_bytes, _) =
            getrlimit(Resource::RLIMIT_MEMLOCK).map_err(refused(Call::ReadLimits))?;
        let mut groups = vec![unistd::getegid().as_raw()];
        let others = unistd::getgroups().map_err(refused(Call::ReadGroups))?;
        groups.extend(others.iter().map(|group| group.as_raw()));
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let user_namespace = fs::read_link("/proc/self/ns/user").unwrap_or_default();
        Ok(Self {
            kernel: Kernel::new(&name.release().to_string_lossy()),
            page_bytes: page_bytes.map_or(4096, |bytes| bytes as u64),
            io_uring_disabled: sysctl("io_uring_disabled").unwrap_or(0),
            // "-1" is no group.
            io_uring_group: sysctl("io_uring_group").map(group_of),
            groups,
            seccomp: field(&status, "Seccomp:", 10) == Some(SECCOMP_FILTER),
            capabilities: capabilities(&status, &user_namespace),
            memlock_max_bytes,
            descriptors_max: raise_descriptor_limit()?,
        })
    }

    /// Whether locked memory is not counted for this process.
    pub(super) fn may_lock_memory(&self) -> bool {
        self.has(CAP_IPC_LOCK)
    }

    /// The limit of locked memory in bytes, unless there is none for this process.
    pub(super) fn memlock_limit_bytes(&self) -> Option<u64> {
        let is_limited = !self.may_lock_memory() && self.memlock_max_bytes != u64::MAX;
        is_limited.then_some(self.memlock_max_bytes)
    }

    /// Whether the sysctls of io_uring leave it to this process.
    pub(super) fn may_open_rings(&self) -> bool {
        match self.io_uring_disabled {
            0 => true,
            1 => {
                let group = self.io_uring_group.as_ref();
                self.has(CAP_SYS_ADMIN)
                    || group.is_some_and(|group| self.groups.contains(&group.id))
            }
            _ => false,
        }
    }

    fn has(&self, capability: u32) -> bool {
        self.capabilities & (1 << capability) != 0
    }
}

/// A number from /proc/sys/kernel, if there is such a file and such a number in it.
fn sysctl<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok()?;
    text.trim().parse().ok()
}

fn group_of(id: u32) -> Group {
    let entry: Result<_, Errno> = unistd::Group::from_gid(id.into());
    let name = entry.ok().flatten().map(|group| group.name);
    Group { id, name }
}

/// Effective capabilities. In a user namespace of its own a process may have them all,
/// and none of them counts for io_uring: the kernel asks about the first namespace.
fn capabilities(status: &str, user_namespace: &Path) -> u64 {
    if user_namespace == Path::new(USER_NAMESPACE_FIRST) {
        field(status, "CapEff:", 16).unwrap_or(0)
    } else {
        0
    }
}

/// A number of /proc/self/status.
fn field(status: &str, name: &str, radix: u32) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(value.trim(), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_says_what_the_kernel_is_good_for() {
        let judged = |release| {
            let kernel = Kernel::new(release);
            (kernel.is_served(), kernel.counts_rings())
        };
        assert_eq!(judged("4.4.0"), (false, false));
        assert_eq!(judged("5.15.0-91-generic"), (false, false));
        assert_eq!(judged("6.0-rc3"), (false, false));
        assert_eq!(judged("6.1.0-13-amd64"), (true, false));
        assert_eq!(judged("6.1-custom"), (true, false));
        assert_eq!(judged("6.8.0"), (true, false));
        assert_eq!(judged("6.13.7"), (true, false));
        assert_eq!(judged("6.14.0"), (true, true));
        assert_eq!(judged("7.0"), (true, true));
        assert_eq!(judged("10.2.1"), (true, true));
        assert_eq!(judged("unnumbered"), (true, true), "left to the trial");
    }

    #[test]
    fn fields_of_the_status_are_found_by_their_whole_name() {
        let status = "Name:\tx\nCapEff:\t0000000000204000\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(field(status, "Seccomp:", 10), Some(2));
        assert_eq!(field(status, "CapEff:", 16), Some(1 << 14 | 1 << 21));
        assert_eq!(field(status, "CapBnd:", 16), None);
        assert_eq!(field("Seccomp:\tnone\n", "Seccomp:", 10), None);
    }

    #[test]
    fn capabilities_count_in_the_first_user_namespace_only() {
        let status = "CapEff:\t0000000000204000\n";
        let in_namespace = |link| capabilities(status, Path::new(link));
        assert_eq!(in_namespace("user:[4026531837]"), 1 << 14 | 1 << 21);
        assert_eq!(in_namespace("user:[4026532570]"), 0);
        assert_eq!(in_namespace(""), 0, "not to be read");
    }
}
