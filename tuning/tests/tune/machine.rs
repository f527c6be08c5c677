//! Machines as trees of `/proc` and `/sys`: the files that this crate reads, with the
//! kernel's own spelling, and no others.
//!
//! One thing a folder of plain files does not do: the kernel shows a choice as
//! `always [madvise] never` after `madvise` was written. [`Machine::settle`] does it.

mod hosts;

pub(crate) use hosts::{amd_bond, amd_vm, container, intel_64, intel_64_tuned};

use nix::sys::statvfs::statvfs;
use ringcast_tune::cpus::CpuSet;
use ringcast_tune::host::Host;
use ringcast_tune::item::Situation;
use ringcast_tune::plan::Target;
use ringcast_tune::topology::Topology;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const CHOICES: [(&str, &str); 3] = [
    (
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "always madvise never",
    ),
    (
        "/sys/kernel/mm/transparent_hugepage/defrag",
        "always defer defer+madvise madvise never",
    ),
    (
        "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
        "always within_size advise never deny force",
    ),
];

/// A machine's files, gone when dropped.
pub(crate) struct Machine {
    pub(crate) root: PathBuf,
    pub(crate) target: Target,
}

/// How the processors of a machine are laid out.
#[derive(Clone, Copy)]
pub(crate) struct Processors {
    pub(crate) sockets: usize,
    pub(crate) cores: usize,
    pub(crate) threads: usize,
}

impl Machine {
    fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("ringcast-tune-{name}-{}-{number}", std::process::id());
        // Thousands of files with a line each: memory is the place for them, where there
        // is enough of it; containers have 64 MiB there.
        let memory = Path::new("/dev/shm");
        let is_large = statvfs(memory)
            .is_ok_and(|space| space.blocks_available() * space.fragment_size() > 1 << 30);
        let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let root = if is_large { memory } else { disk }.join(folder);
        fs::create_dir_all(&root).expect("the folder for test files is writable");
        Self {
            root,
            target: Target::default(),
        }
    }

    pub(crate) fn host(&self) -> Host {
        Host::at(&self.root)
    }

    pub(crate) fn topology(&self) -> Topology {
        Topology::read(&self.host()).expect("a machine has a list of processors")
    }

    /// Runs `judge` in this machine's situation.
    pub(crate) fn judge<R>(&self, judge: impl FnOnce(&Situation<'_>) -> R) -> R {
        let (host, topology) = (self.host(), self.topology());
        judge(&Situation::new(&host, &topology, &self.target).expect("the machine can be planned"))
    }

    /// The journal lies beside the machine's files, so that it is none of them.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.with_extension("state").join("state.json")
    }

    pub(crate) fn place(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file with this content and a newline.
    pub(crate) fn file(&self, path: &str, content: impl std::fmt::Display) -> &Self {
        self.raw(path, format!("{content}\n").as_bytes())
    }

    /// A file with exactly this content.
    pub(crate) fn raw(&self, path: &str, content: &[u8]) -> &Self {
        let place = self.place(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
        self
    }

    pub(crate) fn link(&self, path: &str, to: impl AsRef<Path>) -> &Self {
        let place = self.place(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&place);
        symlink(to, place).unwrap();
        self
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.place(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn remove(&self, path: &str) -> &Self {
        fs::remove_file(self.place(path)).unwrap();
        self
    }

    /// Every file and what it holds.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    files.insert(entry.path(), fs::read(entry.path()).unwrap());
                }
            }
        }
        files
    }

    /// Shows what was written to choices the way that the kernel does.
    pub(crate) fn settle(&self) {
        for (path, words) in CHOICES {
            let chosen = self.read(path);
            if !chosen.contains('[') {
                let shown: Vec<_> = words
                    .split(' ')
                    .map(|word| {
                        if word == chosen.trim() {
                            format!("[{word}]")
                        } else {
                            word.to_owned()
                        }
                    })
                    .collect();
                self.file(path, shown.join(" "));
            }
        }
    }

    /// Sysctls by name.
    pub(crate) fn sysctls(&self, settings: &[(&str, &str)]) -> &Self {
        for (name, value) in settings {
            self.file(&format!("/proc/sys/{}", name.replace('.', "/")), value);
        }
        self
    }

    /// What every machine has, as a kernel comes up without anybody's tuning.
    fn stock(
        &self,
        kernel: &str,
        model: &str,
        is_virtual: bool,
        processors: Processors,
        memory_kib: u64,
    ) -> &Self {
        let all = processors.sockets * processors.cores * processors.threads;
        let online: CpuSet = (0..all).collect();
        let flags = if is_virtual {
            "fpu vme de pse tsc msr hypervisor"
        } else {
            "fpu vme de pse tsc msr"
        };
        self.file(
            "/proc/cpuinfo",
            format!("processor\t: 0\nmodel name\t: {model}\nflags\t\t: {flags}"),
        );
        self.file(
            "/proc/meminfo",
            format!("MemTotal:       {memory_kib} kB\nMemFree:        {memory_kib} kB"),
        );
        self.file(
            "/proc/cmdline",
            "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet",
        );
        self.file(
            "/proc/swaps",
            "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority",
        );
        self.raw("/proc/self/limits", include_bytes!("../../fixtures/limits"));
        self.file("/proc/self/cgroup", "0::/system.slice/ssh.service");
        self.file("/proc/1/comm", "systemd");
        self.status(&online, 0);
        for (kind, number) in [
            ("pid", 4_026_531_836_u32),
            ("ipc", 4_026_531_839),
            ("uts", 4_026_531_838),
        ] {
            self.link(
                &format!("/proc/self/ns/{kind}"),
                format!("{kind}:[{number}]"),
            );
        }
        self.file(
            "/sys/fs/cgroup/cgroup.controllers",
            "cpuset cpu io memory hugetlb pids rdma misc",
        );
        self.processors(processors, memory_kib);
        self.file("/sys/devices/system/cpu/isolated", "");
        self.file(
            "/sys/devices/system/clocksource/clocksource0/current_clocksource",
            "tsc",
        );
        self.file(
            "/sys/devices/virtual/workqueue/cpumask",
            online.to_mask(all),
        );
        self.file(
            "/sys/devices/virtual/workqueue/writeback/cpumask",
            online.to_mask(all),
        );
        self.file(CHOICES[0].0, "[always] madvise never");
        self.file(CHOICES[1].0, "always defer defer+madvise [madvise] never");
        self.file(CHOICES[2].0, "always within_size advise [never] deny force");
        self.file("/sys/kernel/mm/ksm/run", "0");
        self.sysctls(&[("kernel.osrelease", kernel)]).sysctls(STOCK)
    }

    pub(crate) fn status(&self, allowed: &CpuSet, seccomp: u8) -> &Self {
        self.file(
            "/proc/self/status",
            format!("Name:\tringcast-tune\nCapEff:\t0000000000000000\nSeccomp:\t{seccomp}\nCpus_allowed_list:\t{allowed}"),
        )
    }

    fn processors(&self, processors: Processors, memory_kib: u64) {
        let Processors {
            sockets,
            cores,
            threads,
        } = processors;
        let physical = sockets * cores;
        let online: CpuSet = (0..physical * threads).collect();
        self.file("/sys/devices/system/cpu/online", &online);
        self.file(
            "/sys/devices/system/node/online",
            (0..sockets).collect::<CpuSet>(),
        );
        for socket in 0..sockets {
            let own: CpuSet = online
                .iter()
                .filter(|cpu| cpu % physical / cores == socket)
                .collect();
            let node = format!("/sys/devices/system/node/node{socket}");
            self.file(&format!("{node}/cpulist"), &own);
            let memory = memory_kib / sockets as u64;
            self.file(
                &format!("{node}/meminfo"),
                format!("Node {socket} MemTotal:       {memory} kB\nNode {socket} MemFree: 1 kB"),
            );
            for cpu in own.iter() {
                let folder = format!("/sys/devices/system/cpu/cpu{cpu}");
                let siblings: CpuSet = (0..threads)
                    .map(|thread| thread * physical + cpu % physical)
                    .collect();
                self.file(&format!("{folder}/topology/physical_package_id"), socket);
                self.file(
                    &format!("{folder}/topology/thread_siblings_list"),
                    &siblings,
                );
                for (index, size, shared) in [(0, "48K", &siblings), (3, "61440K", &own)] {
                    self.file(&format!("{folder}/cache/index{index}/size"), size);
                    self.file(
                        &format!("{folder}/cache/index{index}/shared_cpu_list"),
                        shared,
                    );
                }
            }
        }
    }

    /// Clocks and idle states of bare metal.
    fn power(&self, cpus: usize, files: &[(&str, &str)], states: &[(&str, u64)]) -> &Self {
        for cpu in 0..cpus {
            let folder = format!("/sys/devices/system/cpu/cpu{cpu}");
            for (file, value) in files {
                self.file(&format!("{folder}/cpufreq/{file}"), value);
            }
            for (number, (name, latency)) in states.iter().enumerate() {
                let state = format!("{folder}/cpuidle/state{number}");
                self.file(&format!("{state}/name"), name);
                self.file(&format!("{state}/latency"), latency);
                self.file(&format!("{state}/disable"), 0);
            }
        }
        self.raw("/dev/cpu_dma_latency", &2_000_000_000_i32.to_ne_bytes())
    }

    /// A card in a slot, one interrupt per queue and one beside them, spread by nobody.
    fn card(
        &self,
        name: &str,
        slot: &str,
        driver: &str,
        node: i32,
        queues: usize,
        irq: u32,
    ) -> &Self {
        let device = format!("/sys/devices/pci0000:00/{slot}");
        let net = format!("{device}/net/{name}");
        self.link(
            &format!("/sys/class/net/{name}"),
            format!("../../devices/pci0000:00/{slot}/net/{name}"),
        );
        self.link(&format!("{net}/device"), format!("../../../{slot}"));
        self.link(
            &format!("{device}/driver"),
            format!("../../../bus/pci/drivers/{driver}"),
        );
        self.file(&format!("{device}/numa_node"), node);
        self.card_files(&net, queues);
        self.interrupts(name, &device, queues, irq);
        for (flag, text) in [
            ("l", include_str!("../../fixtures/ethtool-l")),
            ("c", include_str!("../../fixtures/ethtool-c")),
            ("g", include_str!("../../fixtures/ethtool-g")),
            ("k", include_str!("../../fixtures/ethtool-k")),
        ] {
            let text = text
                .replace("NIC", name)
                .replace("QUEUES", &queues.to_string());
            self.raw(&format!("/ethtool/{flag}-{name}"), text.as_bytes());
        }
        self
    }

    fn card_files(&self, net: &str, queues: usize) {
        self.file(&format!("{net}/operstate"), "up");
        self.file(&format!("{net}/speed"), 100_000);
        self.file(&format!("{net}/napi_defer_hard_irqs"), 0);
        let none = CpuSet::default().to_mask(self.cpus());
        for queue in 0..queues {
            self.file(&format!("{net}/queues/rx-{queue}/rps_cpus"), &none);
            self.file(&format!("{net}/queues/tx-{queue}/xps_cpus"), &none);
        }
    }

    fn interrupts(&self, name: &str, device: &str, queues: usize, first: u32) {
        let cpus = self.cpus();
        let mut lines = fs::read_to_string(self.place("/proc/interrupts")).unwrap_or_else(|_| {
            format!(
                "{:11}{}\n",
                "",
                (0..cpus)
                    .map(|cpu| format!("CPU{cpu:<8}"))
                    .collect::<String>()
            )
        });
        for queue in 0..=queues {
            let irq = first + u32::try_from(queue).unwrap();
            let counts: String = (0..cpus).map(|_| format!("{:>11}", 0)).collect();
            let queue_name = if queue == 0 {
                format!("{name}-async")
            } else {
                format!("{name}-{}", queue - 1)
            };
            lines.push_str(&format!(
                "{irq:>4}:{counts}  PCI-MSIX-0000:00:00.0  {queue}-edge      {queue_name}\n"
            ));
            self.file(&format!("{device}/msi_irqs/{irq}"), "msix");
            self.file(
                &format!("/proc/irq/{irq}/smp_affinity_list"),
                (0..cpus).collect::<CpuSet>(),
            );
        }
        self.raw("/proc/interrupts", lines.as_bytes());
    }

    fn cpus(&self) -> usize {
        CpuSet::from_list(&self.read("/sys/devices/system/cpu/online"))
            .unwrap()
            .len()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
        let _ = fs::remove_dir_all(self.root.with_extension("state"));
    }
}

/// Sysctls as current kernels set them.
const STOCK: &[(&str, &str)] = &[
    ("fs.file-max", "9223372036854775807"),
    ("fs.nr_open", "1048576"),
    ("kernel.nmi_watchdog", "1"),
    ("kernel.numa_balancing", "1"),
    ("kernel.sched_rt_runtime_us", "950000"),
    ("kernel.timer_migration", "1"),
    ("net.core.busy_poll", "0"),
    ("net.core.busy_read", "0"),
    ("net.core.rmem_max", "212992"),
    ("net.core.rps_sock_flow_entries", "0"),
    ("net.core.somaxconn", "4096"),
    ("net.core.wmem_max", "212992"),
    ("net.ipv4.ip_local_port_range", "32768\t60999"),
    ("net.ipv4.ip_local_reserved_ports", ""),
    ("net.ipv4.tcp_allowed_congestion_control", "reno cubic"),
    ("net.ipv4.tcp_available_congestion_control", "reno cubic"),
    ("net.ipv4.tcp_congestion_control", "cubic"),
    ("net.ipv4.tcp_ehash_entries", "524288"),
    ("net.ipv4.tcp_max_syn_backlog", "4096"),
    ("net.ipv4.tcp_mem", "381630\t508842\t763260"),
    ("net.ipv4.tcp_notsent_lowat", "4294967295"),
    ("net.ipv4.tcp_rmem", "4096\t131072\t6291456"),
    ("net.ipv4.tcp_slow_start_after_idle", "1"),
    ("net.ipv4.tcp_wmem", "4096\t16384\t4194304"),
    ("vm.max_map_count", "65530"),
    ("vm.stat_interval", "1"),
    ("vm.swappiness", "60"),
];
