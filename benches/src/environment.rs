//! Where a run was made: without it a figure means nothing.

use crate::error::Error;
use crate::machine::Cores;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::utsname::uname;
use ringcast_benches::Core;
use serde::Serialize;
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::process::Command;

/// Settings of the kernel that the figures depend on, below `/proc/sys`.
const SYSCTLS: [&str; 13] = [
    "kernel/io_uring_disabled",
    "net/core/busy_poll",
    "net/core/default_qdisc",
    "net/core/netdev_max_backlog",
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/core/somaxconn",
    "net/core/wmem_default",
    "net/core/wmem_max",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/tcp_notsent_lowat",
    "net/ipv4/tcp_rmem",
    "net/ipv4/tcp_wmem",
];

/// Descriptors beside one end of all connections: epoll, pipes, standard streams.
const DESCRIPTORS_BESIDE: u64 = 64;

/// A machine and how it was asked.
#[derive(Debug, Serialize)]
pub(crate) struct Environment {
    kernel: String,
    processor: String,
    processors_allowed: usize,
    processor_of_server: usize,
    processor_of_probe: usize,
    /// Over the last minute before the run; more than a little spoils the figures.
    load_average: String,
    congestion_control: String,
    /// What this kernel has of the settings that matter.
    sysctls: BTreeMap<&'static str, String>,
    descriptors_max: u64,
    /// Of the sources, if they are a repository; `+` stands for changes on top.
    revision: Option<String>,
    command_line: Vec<String>,
}

impl Environment {
    /// That of this process.
    pub(crate) fn look(cores: Cores) -> Self {
        let kernel = uname().map_or(String::new(), |name| {
            let parts = [name.sysname(), name.release(), name.machine()];
            parts.map(|part| part.to_string_lossy()).join(" ")
        });
        let sysctl = |name| Some((name, read(&format!("/proc/sys/{name}"))?));
        let load = read("/proc/loadavg").unwrap_or_default();
        Self {
            kernel,
            processor: processor().unwrap_or_default(),
            processors_allowed: Core::allowed().len(),
            processor_of_server: cores.server.0,
            processor_of_probe: cores.probe.0,
            load_average: load.split(' ').next().unwrap_or_default().to_owned(),
            congestion_control: read("/proc/sys/net/ipv4/tcp_congestion_control")
                .unwrap_or_default(),
            sysctls: SYSCTLS.into_iter().filter_map(sysctl).collect(),
            descriptors_max: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
            revision: revision(),
            command_line: env::args().collect(),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kernel, processor, ..
        } = self;
        writeln!(formatter, "{kernel}, {processor}")?;
        write!(
            formatter,
            "server on processor {}, probe on {}, of {}; {}, load {}, revision {}",
            self.processor_of_server,
            self.processor_of_probe,
            self.processors_allowed,
            self.congestion_control,
            self.load_average,
            self.revision.as_deref().unwrap_or("unknown"),
        )
    }
}

/// The processors to use: those asked for, or the first two that there are.
pub(crate) fn cores(asked: &[usize]) -> Result<Cores, Error> {
    let allowed = Core::allowed();
    let (server, probe) = match *asked {
        [server, probe] => (Core(server), Core(probe)),
        _ => Core::first_two().ok_or(Error::CoresTooFew {
            allowed: allowed.len(),
        })?,
    };
    if server == probe || ![server, probe].iter().all(|core| allowed.contains(core)) {
        return Err(Error::CoresWrong);
    }
    Ok(Cores { server, probe })
}

/// Lets this process and its children have one end of so many connections each.
pub(crate) fn make_room(connections: u64) -> Result<(), Error> {
    let needed = connections + DESCRIPTORS_BESIDE;
    let (soft, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(Error::system("the descriptor limit"))?;
    if hard < needed {
        let limit = hard;
        return Err(Error::DescriptorsTooFew { needed, limit });
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(needed), hard)
        .map_err(Error::system("raising the descriptor limit"))
}

fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn processor() -> Option<String> {
    let all = read("/proc/cpuinfo")?;
    let line = all.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn revision() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let revision = git(&["rev-parse", "--short=12", "HEAD"])?;
    let is_changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(revision + if is_changed { "+" } else { "" })
}
