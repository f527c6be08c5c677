//! What the control groups above a process allow, of either version.

use crate::host::Host;
use serde::Serialize;

const MOUNT: &str = "/sys/fs/cgroup";
/// What version 1 shows where there is no limit: the largest number of pages.
const VERSION_1_UNLIMITED: u64 = 1 << 60;

/// The least that any group from this process up to the root allows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Group {
    /// The process's own group in version 2, or of the memory controller in version 1.
    pub path: String,
    /// The most bytes of memory, sockets' included; `None` without a limit.
    pub memory_bytes_max: Option<u64>,
    /// How many processors' time it may use; `None` without a quota.
    pub cpus_max: Option<f64>,
}

impl Group {
    /// Of this process. Everything is empty where no control group shows.
    pub(super) fn read(host: &Host) -> Self {
        let groups = host.text("/proc/self/cgroup").unwrap_or_default();
        let of_controller = |name: &str| {
            groups.lines().find_map(|line| {
                let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
                let found = if name.is_empty() {
                    controllers.is_empty()
                } else {
                    controllers.split(',').any(|one| one == name)
                };
                found.then(|| path.to_owned())
            })
        };
        let version_2 =
            of_controller("").filter(|_| host.has(&format!("{MOUNT}/cgroup.controllers")));
        match version_2 {
            Some(path) => Self {
                memory_bytes_max: upwards(MOUNT, &path, |folder| {
                    host.number(&format!("{folder}/memory.max")).ok()
                }),
                cpus_max: upwards(MOUNT, &path, |folder| quota_2(host, folder)),
                path,
            },
            None => {
                let memory = of_controller("memory").unwrap_or_default();
                let cpu = of_controller("cpu").unwrap_or_default();
                Self {
                    memory_bytes_max: upwards(&format!("{MOUNT}/memory"), &memory, |folder| {
                        let bytes: u64 = host
                            .number(&format!("{folder}/memory.limit_in_bytes"))
                            .ok()?;
                        (bytes < VERSION_1_UNLIMITED).then_some(bytes)
                    }),
                    cpus_max: upwards(&format!("{MOUNT}/cpu"), &cpu, |folder| {
                        quota_1(host, folder)
                    }),
                    path: memory,
                }
            }
        }
    }
}

/// The least of what the group at `path` and those above it say.
fn upwards<N: PartialOrd>(mount: &str, path: &str, of: impl Fn(&str) -> Option<N>) -> Option<N> {
    let mut path = path.trim_matches('/');
    let mut least = of(&format!("{mount}/{path}"));
    while !path.is_empty() {
        path = path.rsplit_once('/').map_or("", |(above, _)| above);
        let here = of(&format!("{mount}/{path}"));
        least = match (least, here) {
            (Some(a), Some(b)) => Some(if b < a { b } else { a }),
            (a, b) => a.or(b),
        };
    }
    least
}

/// `cpu.max` of version 2: `max 100000` or `400000 100000`, in microseconds.
fn quota_2(host: &Host, folder: &str) -> Option<f64> {
    let text = host.value(&format!("{folder}/cpu.max")).ok()?;
    let (quota, period) = text.split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

/// The two files of version 1; a quota below zero is none.
fn quota_1(host: &Host, folder: &str) -> Option<f64> {
    let quota: f64 = host.number(&format!("{folder}/cpu.cfs_quota_us")).ok()?;
    let period: f64 = host.number(&format!("{folder}/cpu.cfs_period_us")).ok()?;
    (quota > 0.0).then_some(quota / period)
}
