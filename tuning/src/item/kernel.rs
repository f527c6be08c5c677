//! The kernel itself, and io_uring in it.

use super::{Fix, Item, Look, Severity, Situation};

pub(super) const ITEMS: &[Item] = &[
    Item {
        name: "kernel",
        severity: Severity::Must,
        fix: Fix::Operator("boot a kernel of 6.1 or later; distributions keep several"),
        why: "the lanes rest on what io_uring has since 6.1: deferred task work, a single issuer, sends without completions, direct descriptors",
        look: |s| {
            let release = &s.topology.kernel;
            match Version::parse(release) {
                Some(version) => Look::of(release, "≥ 6.1", version >= Version(6, 1, 0)),
                None => Look::Unseen(format!("'{release}' is no kernel version")),
            }
        },
    },
    Item {
        name: "kernel.known_bad",
        severity: Severity::Should,
        fix: Fix::Operator(
            "boot a release in which it is mended; a distribution's kernel of the same number may have it mended already",
        ),
        why: "some releases of the kernel have a fault that this engine would meet",
        look: known_bad,
    },
    Item {
        name: "kernel.io_uring_disabled",
        severity: Severity::Must,
        fix: Fix::Operator(
            "sysctl -w kernel.io_uring_disabled=0, if your rules for security allow it; with 1, put the engine's user into the group of kernel.io_uring_group",
        ),
        why: "without io_uring the engine does not start",
        look: io_uring,
    },
    Item {
        name: "seccomp",
        severity: Severity::Must,
        fix: Fix::Operator(
            "allow io_uring_setup, io_uring_enter and io_uring_register in the filter: for Docker --security-opt seccomp=FILE, for Kubernetes a localhost profile",
        ),
        why: "the default filters of container engines forbid io_uring, and the engine does not start",
        look: |s| {
            match s.status().seccomp {
            Some(0) => Look::of("none", "none, or one that allows io_uring", true),
            Some(1) => Look::of("strict", "none, or one that allows io_uring", false),
            Some(2) => Look::Unseen("there is a filter; whether it lets io_uring through shows when the engine starts, or with `ringcast serve --check`".into()),
            _ => Look::NotHere("this kernel has no seccomp".into()),
        }
        },
    },
];

/// A kernel's version: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl Version {
    /// The numbers in front: `6.8.0-1026-aws` is 6.8.0, `6.12-rc3` is 6.12.0.
    fn parse(release: &str) -> Option<Self> {
        let numbers = release
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .next()?;
        let mut numbers = numbers.split('.').map(str::parse);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Self(
            major,
            minor,
            numbers.next().and_then(Result::ok).unwrap_or(0),
        ))
    }
}

/// A fault from one release up to, not including, another.
struct Fault {
    from: Version,
    until: Version,
    what: &'static str,
    source: &'static str,
}

/// Faults that concern what the engine does, each with where it was told.
const FAULTS: &[Fault] = &[
    Fault {
        from: Version(6, 4, 0),
        until: Version(6, 6, 5),
        what: "whoever may use io_uring may become root (CVE-2024-0582)",
        source: "oss-security, 2024-04-24",
    },
    Fault {
        from: Version(6, 14, 4),
        until: Version(6, 14, 7),
        what: "threads that contend for a lock fall asleep for good, the door's too",
        source: "tokio-rs/tokio issue 7335: seen in 6.14.4 to 6.14.6",
    },
    Fault {
        from: Version(6, 15, 4),
        until: Version(6, 15, 5),
        what: "a read of an eventfd through io_uring waits for more than came, so parked cores wake late",
        source: "ghostty-org/ghostty issue 7724 and pull request 7731",
    },
    Fault {
        from: Version(6, 1, 0),
        until: Version(6, 6, 86),
        what: "io_uring reports ENOMEM more often than memory is short",
        source: "scylladb/seastar issue 2728: mended in 6.6.86, 6.12.21, 6.13.9 and 6.14",
    },
    Fault {
        from: Version(6, 7, 0),
        until: Version(6, 12, 21),
        what: "io_uring reports ENOMEM more often than memory is short",
        source: "scylladb/seastar issue 2728: mended in 6.6.86, 6.12.21, 6.13.9 and 6.14",
    },
    Fault {
        from: Version(6, 13, 0),
        until: Version(6, 13, 9),
        what: "io_uring reports ENOMEM more often than memory is short",
        source: "scylladb/seastar issue 2728: mended in 6.6.86, 6.12.21, 6.13.9 and 6.14",
    },
];

fn known_bad(situation: &Situation<'_>) -> Look {
    let release = &situation.topology.kernel;
    let Some(version) = Version::parse(release) else {
        return Look::Unseen(format!("'{release}' is no kernel version"));
    };
    let faults: Vec<_> = FAULTS
        .iter()
        .filter(|fault| (fault.from..fault.until).contains(&version))
        .map(|fault| format!("{} ({})", fault.what, fault.source))
        .collect();
    let current = if faults.is_empty() {
        "none known".to_owned()
    } else {
        faults.join("; ")
    };
    Look::of(current, "none known", faults.is_empty())
}

fn io_uring(situation: &Situation<'_>) -> Look {
    let path = "/proc/sys/kernel/io_uring_disabled";
    if !situation.host.has(path) {
        return Look::NotHere(
            "this kernel cannot switch io_uring off: the setting came with 6.6".into(),
        );
    }
    match situation.host.number::<u8>(path) {
        Ok(0) => Look::of("0: for everybody", "0", true),
        Ok(1) => Look::of(
            "1: for one group",
            "0, or the group's",
            situation.status().may_administer(),
        ),
        Ok(_) => Look::of("2: for nobody", "0", false),
        Err(refusal) => Look::refused(&refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_releases() {
        assert_eq!(Version::parse("6.18.44-fc-v657"), Some(Version(6, 18, 44)));
        assert_eq!(Version::parse("6.8.0-1026-aws"), Some(Version(6, 8, 0)));
        assert_eq!(Version::parse("6.12-rc3"), Some(Version(6, 12, 0)));
        assert_eq!(Version::parse("6.1.0+"), Some(Version(6, 1, 0)));
        assert_eq!(Version::parse("linux"), None);
        assert_eq!(Version::parse("6"), None);
    }

    #[test]
    fn each_fault_ends_after_it_begins_and_names_its_source() {
        for fault in FAULTS {
            assert!(fault.from < fault.until, "{}", fault.what);
            assert!(!fault.source.is_empty(), "{}", fault.what);
        }
    }
}
