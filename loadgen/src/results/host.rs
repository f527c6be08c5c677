//! Where a run was made, and by which program: without that a figure means nothing.

use super::{Health, Process};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

/// Settings of the kernel that figures depend on, below `/proc/sys`.
const SYSCTLS: [&str; 24] = [
    "fs/nr_open",
    "kernel/io_uring_disabled",
    "net/core/busy_poll",
    "net/core/default_qdisc",
    "net/core/netdev_budget",
    "net/core/netdev_max_backlog",
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/core/somaxconn",
    "net/core/wmem_default",
    "net/core/wmem_max",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_local_reserved_ports",
    "net/ipv4/tcp_congestion_control",
    "net/ipv4/tcp_ehash_entries",
    "net/ipv4/tcp_max_syn_backlog",
    "net/ipv4/tcp_mem",
    "net/ipv4/tcp_notsent_lowat",
    "net/ipv4/tcp_rmem",
    "net/ipv4/tcp_syncookies",
    "net/ipv4/tcp_tw_reuse",
    "net/ipv4/tcp_wmem",
    "net/netfilter/nf_conntrack_max",
    "vm/swappiness",
];

/// A machine, as a run found it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name in its network.
    pub name: String,
    /// Name, release and architecture.
    pub kernel: String,
    /// The model.
    pub processor: String,
    /// How many of its processors the run might use.
    pub processors_allowed: u32,
    /// Who chooses the processors' frequency, each once; none where the machine does not
    /// say, as most virtual ones do not.
    pub governors: Vec<String>,
    /// All of it.
    pub memory_bytes: u64,
    /// Over the last minute before the run; more than a little spoils the figures.
    pub load_average: String,
    /// Descriptors that a process may have.
    pub descriptors_max: u64,
    /// Which processors handle what loop-back receives, as a mask; 0 is the sender's.
    pub loopback_steering: String,
    /// Settings of the kernel that figures depend on, as far as this kernel has them.
    pub sysctls: BTreeMap<String, String>,
}

impl Host {
    /// The one that this process runs on. What it does not say is left empty.
    pub fn look() -> Self {
        let processors = thread::available_parallelism();
        Self {
            name: host_name(),
            kernel: kernel(),
            processors_allowed: processors.map_or(0, |count| count.get() as u32),
            descriptors_max: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
            ..Self::look_below(Path::new("/"))
        }
    }

    /// What the files below `/proc` and `/sys` of this root say.
    fn look_below(root: &Path) -> Self {
        let read = |path: &str| read(&root.join(path));
        let load = read("proc/loadavg").unwrap_or_default();
        let sysctl =
            |name: &str| Some((name.replace('/', "."), read(&format!("proc/sys/{name}"))?));
        Self {
            processor: read("proc/cpuinfo")
                .and_then(|text| processor(&text))
                .unwrap_or_default(),
            governors: governors(&root.join("sys/devices/system/cpu")),
            memory_bytes: read("proc/meminfo")
                .and_then(|text| memory_bytes(&text))
                .unwrap_or(0),
            load_average: load.split(' ').next().unwrap_or_default().to_owned(),
            loopback_steering: read("sys/class/net/lo/queues/rx-0/rps_cpus").unwrap_or_default(),
            sysctls: SYSCTLS.into_iter().filter_map(sysctl).collect(),
            ..Self::default()
        }
    }
}

impl Process {
    /// This one, before it has done anything.
    pub fn look(number: u32) -> Self {
        Self {
            number,
            host: host_name(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: revision(),
            command_line: env::args().collect(),
            processors: Vec::new(),
            connections_opened: 0,
            delivered: 0,
            health: Health::default(),
        }
    }
}

fn host_name() -> String {
    uname().map_or(String::new(), |names| {
        names.nodename().to_string_lossy().into_owned()
    })
}

fn kernel() -> String {
    uname().map_or(String::new(), |names| {
        let parts = [names.sysname(), names.release(), names.machine()];
        parts.map(OsStr::to_string_lossy).join(" ")
    })
}

fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The first one's name; where the architecture has none, there is none.
fn processor(cpuinfo: &str) -> Option<String> {
    let names = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let mut models = names.filter(|(name, _)| name.trim() == "model name");
    models.next().map(|(_, model)| model.trim().to_owned())
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

fn governors(processors: &Path) -> Vec<String> {
    let folders = fs::read_dir(processors).into_iter().flatten().flatten();
    let governor = |folder: fs::DirEntry| read(&folder.path().join("cpufreq/scaling_governor"));
    let each_once: BTreeSet<String> = folders.filter_map(governor).collect();
    each_once.into_iter().collect()
}

/// That of the repository that this process runs in.
fn revision() -> Option<String> {
    let described = Command::new("git")
        .args([
            "describe",
            "--always",
            "--exclude=*",
            "--abbrev=12",
            "--dirty=+",
        ])
        .output()
        .ok()?;
    let text = String::from_utf8(described.stdout).ok()?;
    described.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_says_what_it_is() {
        let host = Host::look();
        assert!(host.kernel.starts_with("Linux "), "{host:?}");
        assert!(!host.name.is_empty(), "{host:?}");
        assert!(host.processors_allowed > 0, "{host:?}");
        assert!(host.memory_bytes > 1 << 20, "{host:?}");
        assert!(host.descriptors_max > 0, "{host:?}");
        assert!(host.load_average.parse::<f64>().is_ok(), "{host:?}");
        assert!(host.sysctls.contains_key("net.core.somaxconn"), "{host:?}");
    }

    #[test]
    fn what_files_say_is_told_and_what_is_missing_is_left_empty() {
        let name = format!("ringcast-loadgen-host-{}", std::process::id());
        let root = env::temp_dir().join(name);
        let cpus = "sys/devices/system/cpu";
        for (path, text) in [
            (
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\n",
            ),
            (
                "proc/meminfo",
                "MemTotal:       24684092 kB\nMemFree: 1 kB\n",
            ),
            ("proc/loadavg", "0.07 0.10 0.12 1/234 5678\n"),
            ("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n"),
            (
                &format!("{cpus}/cpu0/cpufreq/scaling_governor"),
                "powersave\n",
            ),
            (
                &format!("{cpus}/cpu1/cpufreq/scaling_governor"),
                "performance\n",
            ),
            (
                &format!("{cpus}/cpu2/cpufreq/scaling_governor"),
                "powersave\n",
            ),
        ] {
            let file = root.join(path);
            let folder = file.parent().expect("it lies in the root");
            fs::create_dir_all(folder).expect("the folder is ours");
            fs::write(file, text).expect("the folder is ours");
        }
        let host = Host::look_below(&root);
        fs::remove_dir_all(&root).expect("the folder is ours");
        let tcp_rmem = ("net.ipv4.tcp_rmem", "4096\t131072\t6291456");
        let expected = Host {
            processor: "AMD EPYC".to_owned(),
            governors: vec!["performance".to_owned(), "powersave".to_owned()],
            memory_bytes: 24_684_092 * 1_024,
            load_average: "0.07".to_owned(),
            sysctls: BTreeMap::from([(tcp_rmem.0.to_owned(), tcp_rmem.1.to_owned())]),
            ..Host::default()
        };
        assert_eq!(host, expected);
    }

    #[test]
    fn a_process_says_who_it_is() {
        let process = Process::look(3);
        assert_eq!(process.number, 3);
        assert_eq!(process.host, Host::look().name);
        assert_eq!(process.pid, std::process::id());
        assert_eq!(process.command_line.len(), env::args().count());
    }
}
