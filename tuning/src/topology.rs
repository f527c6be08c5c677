//! What the host is: processors, memory, network cards, and what this process may
//! use of them. Only reads, needs no rights, and judges nothing.
//!
//! A file that isn't there leaves its field empty: containers hide some, kernels lack
//! some. Only without a list of processors there is nothing to say.

mod cgroup;
mod nic;
mod show;

pub use cgroup::Group;
pub(crate) use nic::NET;
pub use nic::{Interrupt, Nic};
pub(crate) use show::bytes;

use crate::cpus::CpuSet;
use crate::host::{Host, Refusal};
use serde::Serialize;
use std::collections::BTreeMap;

/// Where the kernel describes its processors.
pub(crate) const CPU: &str = "/sys/devices/system/cpu";
const NODE: &str = "/sys/devices/system/node";

/// What the host is.
#[derive(Debug, Clone, Serialize)]
pub struct Topology {
    /// The kernel's release, as `uname -r` prints it.
    pub kernel: String,
    /// The processor's model.
    pub model: String,
    /// The hypervisor that runs this machine, if one does.
    pub hypervisor: Option<String>,
    /// The container that this process is in, if it is in one that shows.
    pub container: Option<String>,
    /// All processors that are online.
    pub cpus: Vec<Cpu>,
    /// Those that an engine may run on that is started like this process. On a host
    /// these are the isolated ones, too: the kernel leaves them out of the affinity of
    /// everything that does not ask for them.
    pub allowed: CpuSet,
    /// Those that the scheduler leaves alone: `isolcpus=` and isolated partitions.
    pub isolated: CpuSet,
    /// Those whose tick stops while one thread runs; `None` where the kernel can't.
    pub nohz_full: Option<CpuSet>,
    /// Bytes of memory, all nodes together.
    pub memory_bytes: u64,
    /// Memory by node.
    pub nodes: Vec<Node>,
    /// Network cards, bonds included, without loopback.
    pub nics: Vec<Nic>,
    /// What the control groups above this process allow.
    pub group: Group,
}

/// One processor as the scheduler counts them: a hardware thread.
#[derive(Debug, Clone, Serialize)]
pub struct Cpu {
    /// Its number.
    pub cpu: usize,
    /// The socket it is on.
    pub package: usize,
    /// The memory node that is nearest.
    pub node: usize,
    /// The hardware threads of its core, itself included.
    pub siblings: CpuSet,
    /// Those it shares its last cache with, itself included.
    pub cache: CpuSet,
    /// Bytes of that cache; 0 where it is not told.
    pub cache_bytes: u64,
}

/// One memory node.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// Its number.
    pub node: usize,
    /// The processors nearest to it.
    pub cpus: CpuSet,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

impl Topology {
    /// Reads the host.
    ///
    /// # Errors
    /// The [`Refusal`] of the list of processors, without which there is no topology.
    pub fn read(host: &Host) -> Result<Self, Refusal> {
        let online = cpu_list(host, &format!("{CPU}/online"))?;
        let nodes = nodes(host, &online);
        let status = Status::read(host, "self");
        let partitions = cpu_list(host, "/sys/fs/cgroup/cpuset.cpus.isolated").unwrap_or_default();
        let at_boot = cpu_list(host, &format!("{CPU}/isolated")).unwrap_or_default();
        let isolated = at_boot.union(&partitions);
        let container = container(host);
        // A container has the cores that its set names, and no others.
        let asked_for = if container.is_some() {
            CpuSet::default()
        } else {
            isolated.clone()
        };
        let own = status.cpus.unwrap_or_else(|| online.clone());
        let mut cpus: Vec<_> = online
            .iter()
            .map(|cpu| Cpu::read(host, cpu, &nodes))
            .collect();
        cpus.sort_by_key(|cpu| cpu.cpu);
        Ok(Self {
            kernel: host.value("/proc/sys/kernel/osrelease").unwrap_or_default(),
            model: cpuinfo(host, "model name").unwrap_or_default(),
            hypervisor: hypervisor(host),
            container,
            cpus,
            allowed: own.union(&asked_for).common(&online),
            isolated,
            nohz_full: host
                .value(&format!("{CPU}/nohz_full"))
                .ok()
                // Before 6.1 a kernel that could but was not told to said "(null)".
                .map(|list| CpuSet::from_list(&list).unwrap_or_default()),
            memory_bytes: memory_total(&host.text("/proc/meminfo").unwrap_or_default()),
            nics: nic::read_all(host),
            group: Group::read(host),
            nodes,
        })
    }

    /// The processor of that number, if it is online.
    #[must_use]
    pub fn cpu(&self, cpu: usize) -> Option<&Cpu> {
        self.cpus.iter().find(|other| other.cpu == cpu)
    }

    /// One more than the highest number of a processor: what masks are printed for.
    #[must_use]
    pub fn cpus_end(&self) -> usize {
        self.cpus.last().map_or(0, |cpu| cpu.cpu + 1)
    }

    /// The network card of that name.
    #[must_use]
    pub fn nic(&self, name: &str) -> Option<&Nic> {
        self.nics.iter().find(|nic| nic.name == name)
    }

    /// The bytes of memory that the engine could have: all of it, or the control
    /// group's limit.
    #[must_use]
    pub fn memory_bytes_max(&self) -> u64 {
        let group = self.group.memory_bytes_max.unwrap_or(u64::MAX);
        self.memory_bytes.min(group)
    }

    /// Who decides on hardware settings instead of this machine, in words; none where
    /// it decides itself.
    #[must_use]
    pub fn who_decides(&self) -> Option<String> {
        match (&self.container, &self.hypervisor) {
            (Some(container), _) => Some(format!("the host of this container ({container})")),
            (None, Some(hypervisor)) => Some(format!("the hypervisor ({hypervisor})")),
            (None, None) => None,
        }
    }
}

impl Cpu {
    fn read(host: &Host, cpu: usize, nodes: &[Node]) -> Self {
        let folder = format!("{CPU}/cpu{cpu}");
        let alone: CpuSet = [cpu].into_iter().collect();
        let list = |file: &str| cpu_list(host, &format!("{folder}/{file}"));
        // The caches are numbered from the first to the last.
        let last = host
            .names(&format!("{folder}/cache"))
            .into_iter()
            .rfind(|name| name.starts_with("index"));
        let cache = last.map(|index| format!("cache/{index}"));
        let size = cache
            .as_ref()
            .and_then(|cache| host.value(&format!("{folder}/{cache}/size")).ok());
        Self {
            cpu,
            package: host
                .number(&format!("{folder}/topology/physical_package_id"))
                .unwrap_or(0),
            node: nodes
                .iter()
                .find(|node| node.cpus.contains(cpu))
                .map_or(0, |node| node.node),
            siblings: list("topology/thread_siblings_list").unwrap_or_else(|_| alone.clone()),
            cache: cache
                .and_then(|cache| list(&format!("{cache}/shared_cpu_list")).ok())
                .unwrap_or(alone),
            cache_bytes: size.and_then(|size| kibibytes(&size)).unwrap_or(0),
        }
    }
}

/// What `/proc/PID/status` says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    pub(crate) cpus: Option<CpuSet>,
    /// 0 none, 1 strict, 2 a filter.
    pub(crate) seccomp: Option<u8>,
    capabilities: u64,
}

impl Status {
    /// Of a process: its number or `self`. Empty where it can't be read.
    pub(crate) fn read(host: &Host, process: &str) -> Self {
        let text = host
            .text(&format!("/proc/{process}/status"))
            .unwrap_or_default();
        let fields = fields(&text);
        let get = |name| fields.get(name).copied();
        Self {
            cpus: get("Cpus_allowed_list").and_then(|list| CpuSet::from_list(list).ok()),
            seccomp: get("Seccomp").and_then(|mode| mode.parse().ok()),
            capabilities: get("CapEff")
                .and_then(|bits| u64::from_str_radix(bits, 16).ok())
                .unwrap_or(0),
        }
    }

    /// `CAP_IPC_LOCK`: locked memory is not counted (capability 14).
    pub(crate) fn may_lock_any_memory(&self) -> bool {
        self.capabilities & (1 << 14) != 0
    }

    /// `CAP_SYS_ADMIN`: `io_uring_disabled = 1` does not bind it (capability 21).
    pub(crate) fn may_administer(&self) -> bool {
        self.capabilities & (1 << 21) != 0
    }
}

/// The lines `name: value` of a file, by name.
pub(crate) fn fields(text: &str) -> BTreeMap<&str, &str> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect()
}

/// A file that holds a list of CPUs.
pub(crate) fn cpu_list(host: &Host, path: &str) -> Result<CpuSet, Refusal> {
    let list = host.value(path)?;
    CpuSet::from_list(&list).map_err(|error| Refusal::Failed(path.to_owned(), error.to_string()))
}

fn nodes(host: &Host, online: &CpuSet) -> Vec<Node> {
    let mut nodes: Vec<_> = cpu_list(host, &format!("{NODE}/online"))
        .unwrap_or_default()
        .iter()
        .map(|node| Node {
            node,
            cpus: cpu_list(host, &format!("{NODE}/node{node}/cpulist")).unwrap_or_default(),
            memory_bytes: memory_total(
                &host
                    .text(&format!("{NODE}/node{node}/meminfo"))
                    .unwrap_or_default(),
            ),
        })
        .collect();
    if nodes.is_empty() {
        // A kernel without NUMA: one node, all of the memory.
        let memory_bytes = memory_total(&host.text("/proc/meminfo").unwrap_or_default());
        nodes.push(Node {
            node: 0,
            cpus: online.clone(),
            memory_bytes,
        });
    }
    nodes
}

/// The bytes of `MemTotal`, with or without `Node 0` before it.
fn memory_total(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.split_once("MemTotal:"));
    line.and_then(|(_, size)| kibibytes(size.trim()))
        .unwrap_or(0)
}

/// `32768K` or `11364564 kB`, in bytes.
fn kibibytes(text: &str) -> Option<u64> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(digits.parse::<u64>().ok()? * 1024)
}

fn cpuinfo(host: &Host, field: &str) -> Option<String> {
    let text = host.text("/proc/cpuinfo").ok()?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(name, _)| name.trim() == field);
    values.next().map(|(_, value)| value.trim().to_owned())
}

fn hypervisor(host: &Host) -> Option<String> {
    let flags = cpuinfo(host, "flags").unwrap_or_default();
    let runs_in_one = flags.split(' ').any(|flag| flag == "hypervisor");
    let named = ["/sys/hypervisor/type", "/sys/class/dmi/id/sys_vendor"];
    let name = named.into_iter().find_map(|path| host.value(path).ok());
    runs_in_one.then(|| name.unwrap_or_else(|| "of unknown name".to_owned()))
}

/// The kinds of namespace that the kernel starts with, whose numbers never change
/// (include/linux/proc_ns.h).
const FIRST_NAMESPACES: [(&str, &str); 3] = [
    ("pid", "pid:[4026531836]"),
    ("ipc", "ipc:[4026531839]"),
    ("uts", "uts:[4026531838]"),
];

/// A container has namespaces of its own; a machine made from a container's image has
/// its marks, but not those.
fn container(host: &Host) -> Option<String> {
    let is_first = FIRST_NAMESPACES.iter().all(|(kind, first)| {
        host.link_name(&format!("/proc/self/ns/{kind}"))
            .is_none_or(|name| name == *first)
    });
    if is_first {
        return None;
    }
    let marks = [
        ("/.dockerenv", "docker"),
        ("/run/.containerenv", "podman"),
        ("/var/run/secrets/kubernetes.io", "kubernetes"),
    ];
    let mark = marks.into_iter().find(|(path, _)| host.has(path));
    let named = host.value("/run/systemd/container").ok();
    Some(named.unwrap_or_else(|| mark.map_or("of unknown kind", |(_, name)| name).to_owned()))
}
