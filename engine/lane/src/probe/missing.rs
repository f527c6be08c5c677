//! What can be missing, each said in one sentence: what is wrong, what that means here,
//! and what mends it. The sentences are for an operator who knows Linux and nothing of
//! this program, and stand alone in a log.

use nix::errno::Errno;
use std::fmt;

/// Something that the host does not give. Displayed, it says how to mend that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The kernel is older than the lanes' set-up flags.
    KernelTooOld {
        /// The running one, as uname(2) has it.
        running: String,
    },
    /// The kernel has no io_uring.
    NotBuilt,
    /// A sysctl forbids io_uring to all.
    Disabled,
    /// A sysctl forbids io_uring to this process.
    Restricted {
        /// The group to which it is allowed, if there is one.
        group: Option<Group>,
        /// The number of this process's own group.
        own: u32,
    },
    /// A seccomp filter forbids a call.
    Filtered {
        /// Which one.
        call: Call,
    },
    /// The kernel denies a call for another reason than sysctls and seccomp filters: a
    /// security module.
    Denied {
        /// Which one.
        call: Call,
        /// What it said.
        errno: Errno,
    },
    /// A set-up flag is not known to the kernel.
    Flag {
        /// Its name in io_uring_setup(2).
        flag: &'static str,
        /// The running kernel, as uname(2) has it.
        running: String,
    },
    /// A ring lacks a feature.
    Feature {
        /// Its name in io_uring_setup(2).
        feature: &'static str,
        /// The running kernel, as uname(2) has it.
        running: String,
    },
    /// A ring lacks an operation.
    Operation {
        /// Its name in io_uring_enter(2).
        operation: &'static str,
        /// The running kernel, as uname(2) has it.
        running: String,
    },
    /// The limit of locked memory is lower than what will be locked.
    MemlockTooSmall {
        /// What it must be at least, in bytes.
        needed_bytes: u64,
        /// What it is, in bytes.
        limit_bytes: u64,
    },
    /// The limit of locked memory would do, but other processes of the same user have
    /// taken of it.
    MemlockTaken {
        /// What will be locked, in bytes.
        needed_bytes: u64,
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// There is no memory, locked or not.
    Memory {
        /// For which call.
        call: Call,
    },
    /// The limit of descriptors is too low, though the soft one was raised to the hard
    /// one.
    DescriptorsTooFew {
        /// What it must be at least.
        needed: u64,
        /// What it is.
        limit: u64,
    },
    /// The same, where each connection takes one: see [`Files::Plain`](crate::Files).
    DescriptorsTooFewForConnections {
        /// What it must be at least.
        needed: u64,
        /// What it is.
        limit: u64,
        /// The kernel, as uname(2) has it.
        running: String,
    },
    /// The kernel refuses a call for a reason that has no sentence of its own.
    Refused {
        /// Which one.
        call: Call,
        /// What it said.
        errno: Errno,
    },
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub id: u32,
    /// Its name, if the host has one for it.
    pub name: Option<String>,
}

/// A system call that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// io_uring_setup(2).
    Setup,
    /// io_uring_register(2).
    Register,
    /// io_uring_enter(2).
    Enter,
    /// getrlimit(2), sysconf(3).
    ReadLimits,
    /// setrlimit(2).
    SetLimits,
    /// getgroups(2).
    ReadGroups,
    /// uname(2).
    Uname,
}

impl Call {
    /// What the manual calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Setup => "io_uring_setup",
            Self::Register => "io_uring_register",
            Self::Enter => "io_uring_enter",
            Self::ReadLimits => "getrlimit",
            Self::SetLimits => "setrlimit",
            Self::ReadGroups => "getgroups",
            Self::Uname => "uname",
        }
    }
}

impl std::error::Error for Missing {}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KernelTooOld { running } => write!(
                formatter,
                "Linux {running} is too old, for lanes need deferred task work of io_uring, \
                 which came with 6.1: boot 6.1 or newer (Debian 12, Ubuntu 24.04, RHEL 10 or \
                 later have it)"
            ),
            Self::NotBuilt => formatter.write_str(
                "the kernel has no io_uring (io_uring_setup: ENOSYS, without a seccomp filter), \
                 and lanes run on nothing else: boot a kernel built with CONFIG_IO_URING=y, \
                 which `grep IO_URING /boot/config-$(uname -r)` shows, and leave sandboxes that \
                 imitate Linux, such as gVisor (docker run --runtime=runc)",
            ),
            Self::Disabled => formatter.write_str(
                "the sysctl kernel.io_uring_disabled = 2 forbids io_uring to every process, and \
                 lanes run on nothing else: `sysctl -w kernel.io_uring_disabled=0` as root on the \
                 host, and the line `kernel.io_uring_disabled = 0` in \
                 /etc/sysctl.d/60-ringcast.conf to keep it so",
            ),
            Self::Restricted { group, own } => restricted(formatter, group.as_ref(), *own),
            Self::Filtered { call } => write!(
                formatter,
                "a seccomp filter forbids {}, as the default profiles of containers do, and lanes \
                 run on nothing else: give `docker run` or `podman run` a profile that allows \
                 io_uring_setup, io_uring_enter and io_uring_register (--security-opt \
                 seccomp=FILE, or seccomp=unconfined), a Kubernetes container the same by \
                 securityContext.seccompProfile (type: Localhost, or Unconfined), a systemd unit \
                 the line SystemCallFilter=@aio",
                call.name()
            ),
            Self::Denied { call, errno } => write!(
                formatter,
                "a security module such as SELinux denies {} ({errno:?}), for neither a sysctl nor \
                 a seccomp filter does, and lanes run on nothing else: `ausearch -m AVC -ts recent` \
                 shows its message, and `ausearch -m AVC -ts recent | audit2allow -M ringcast && \
                 semodule -i ringcast.pp` as root allows it",
                call.name()
            ),
            Self::Flag { flag, running } => not_known(formatter, "set-up flag", flag, running),
            Self::Feature { feature, running } => not_known(formatter, "feature", feature, running),
            Self::Operation { operation, running } => {
                not_known(formatter, "operation", operation, running)
            }
            Self::MemlockTooSmall {
                needed_bytes,
                limit_bytes,
            } => memlock_too_small(formatter, *needed_bytes, *limit_bytes),
            Self::MemlockTaken {
                needed_bytes,
                limit_bytes,
            } => memlock_taken(formatter, *needed_bytes, *limit_bytes),
            Self::Memory { call } => write!(
                formatter,
                "the kernel has no memory left for {} (ENOMEM, and no limit of locked memory \
                 applies): free some, or raise the limit of the control group (systemd: \
                 MemoryMax=, `docker run --memory`, Kubernetes: resources.limits.memory)",
                call.name()
            ),
            Self::DescriptorsTooFew { needed, limit } => write!(
                formatter,
                "this process may have {limit} descriptors and needs {needed}, for a lane's table \
                 of connections is no larger than that: `ulimit -n {needed}` as root in the shell \
                 that starts it, LimitNOFILE={needed} in its systemd unit, or \
                 `docker run --ulimit nofile={needed}`"
            ),
            Self::DescriptorsTooFewForConnections {
                needed,
                limit,
                running,
            } => write!(
                formatter,
                "this process may have {limit} descriptors and needs {needed}, for on Linux \
                 {running} each connection takes one: boot 6.13 or newer, where none does, or \
                 `ulimit -n {needed}` as root in the shell that starts it, LimitNOFILE={needed} in \
                 its systemd unit, or `docker run --ulimit nofile={needed}`"
            ),
            Self::Refused { call, errno } => write!(
                formatter,
                "the kernel refuses {call} ({errno:?}: {}), without which nothing can start: what \
                 it means there is under ERRORS in `man {call}`",
                errno.desc(),
                call = call.name()
            ),
        }
    }
}

fn restricted(formatter: &mut fmt::Formatter<'_>, group: Option<&Group>, own: u32) -> fmt::Result {
    formatter.write_str(
        "the sysctl kernel.io_uring_disabled = 1 leaves io_uring to processes with CAP_SYS_ADMIN ",
    )?;
    match group {
        Some(group) => {
            let id = group.id;
            let name = group.name.clone().unwrap_or_else(|| id.to_string());
            write!(
                formatter,
                "or of the group {name} (kernel.io_uring_group = {id}), and this one is neither: \
                 `usermod -aG {name} USER` for the user that runs it, SupplementaryGroups={name} \
                 in its systemd unit, or `docker run --group-add {id}`"
            )
        }
        None => write!(
            formatter,
            "and, for kernel.io_uring_group is -1, to no group, and this one has not got it: \
             `sysctl -w kernel.io_uring_group={own}` as root on the host for the group that runs \
             it, or `sysctl -w kernel.io_uring_disabled=0` for all, and the same in \
             /etc/sysctl.d/60-ringcast.conf to keep it so"
        ),
    }
}

fn not_known(
    formatter: &mut fmt::Formatter<'_>,
    kind: &str,
    name: &str,
    running: &str,
) -> fmt::Result {
    write!(
        formatter,
        "io_uring of Linux {running} lacks the {kind} {name}, without which lanes cannot work, \
         though Linux 6.1 has it: boot a kernel 6.1 or newer as its distribution built it, and \
         leave sandboxes that imitate Linux"
    )
}

fn memlock_too_small(
    formatter: &mut fmt::Formatter<'_>,
    needed_bytes: u64,
    limit_bytes: u64,
) -> fmt::Result {
    write!(
        formatter,
        "this process may lock {} KiB of memory and its lanes and executors need {} KiB: ",
        limit_bytes / 1024,
        needed_bytes.div_ceil(1024),
    )?;
    raise_memlock(formatter, needed_bytes)
}

fn memlock_taken(
    formatter: &mut fmt::Formatter<'_>,
    needed_bytes: u64,
    limit_bytes: u64,
) -> fmt::Result {
    write!(
        formatter,
        "this process may lock {} KiB of memory and its lanes and executors need {} KiB, but other \
         processes of its user have taken so much that there is not enough for one lane: end them, \
         or ",
        limit_bytes / 1024,
        needed_bytes.div_ceil(1024),
    )?;
    raise_memlock(formatter, limit_bytes.saturating_add(needed_bytes))
}

/// What raises the limit of locked memory, to so many bytes.
fn raise_memlock(formatter: &mut fmt::Formatter<'_>, bytes: u64) -> fmt::Result {
    let kib = bytes.div_ceil(1024);
    write!(
        formatter,
        "`ulimit -l {kib}` as root in the shell that starts it, LimitMEMLOCK={kib}K in its systemd \
         unit, or `docker run --ulimit memlock={}`",
        kib * 1024
    )
}
