//! The machines, a function each: what they are and what is off about them.

use super::{CHOICES, Machine, Processors};
use ringcast_tune::cpus::CpuSet;
use ringcast_tune::plan::Target;

/// Two Intel sockets of 32 cores with two threads, a card of 16 queues beside the
/// first, as Ubuntu sets it up; a million connections are wanted.
pub(crate) fn intel_64() -> Machine {
    let mut machine = Machine::new("intel-64");
    let processors = Processors {
        sockets: 2,
        cores: 32,
        threads: 2,
    };
    machine.stock(
        "6.8.0-45-generic",
        "Intel(R) Xeon(R) Gold 6430",
        false,
        processors,
        527_957_016,
    );
    machine.sysctls(&[("kernel.io_uring_disabled", "0")]);
    machine.file("/sys/devices/system/cpu/intel_pstate/no_turbo", 0);
    machine.file("/sys/devices/system/cpu/nohz_full", "");
    let frequency = [
        ("scaling_governor", "powersave"),
        ("scaling_available_governors", "performance powersave"),
        ("energy_performance_preference", "balance_performance"),
    ];
    machine.power(
        128,
        &frequency,
        &[("POLL", 0), ("C1", 1), ("C1E", 2), ("C6", 190)],
    );
    machine.card("ens1f0np0", "0000:17:00.0", "mlx5_core", 0, 16, 100);
    machine.file("/proc/812/comm", "irqbalance");
    machine.target.connections = 1_000_000;
    machine
}

/// The same after everything was done that `check`, `unit` and the script ask for.
pub(crate) fn intel_64_tuned() -> Machine {
    let machine = intel_64();
    machine.sysctls(&[
        ("kernel.osrelease", "6.12.48-generic"),
        ("kernel.nmi_watchdog", "0"),
        ("kernel.numa_balancing", "0"),
        ("net.core.rmem_max", "4194304"),
        ("net.core.somaxconn", "65535"),
        ("net.ipv4.ip_local_reserved_ports", "1883,8083,9883"),
        ("net.ipv4.tcp_max_syn_backlog", "65535"),
        ("net.ipv4.tcp_mem", "1000000\t2000000\t4000000"),
        ("net.ipv4.tcp_slow_start_after_idle", "0"),
        ("vm.stat_interval", "10"),
    ]);
    let plan = machine.judge(|situation| situation.plan.clone());
    let quiet = plan.quiet();
    let others = plan.housekeeping.union(&plan.interrupts);
    // Nothing gets onto an isolated core that does not ask for it.
    machine.status(&others, 0);
    machine.file("/sys/devices/system/cpu/isolated", &quiet);
    machine.file("/sys/devices/system/cpu/nohz_full", &quiet);
    machine.file(
        "/sys/devices/virtual/workqueue/cpumask",
        others.to_mask(128),
    );
    machine.file(
        "/sys/devices/virtual/workqueue/writeback/cpumask",
        others.to_mask(128),
    );
    machine.file(CHOICES[0].0, "always [madvise] never");
    machine.file(CHOICES[2].0, "always [within_size] advise never deny force");
    for cpu in 0..128 {
        let folder = format!("/sys/devices/system/cpu/cpu{cpu}");
        machine.file(&format!("{folder}/cpufreq/scaling_governor"), "performance");
        machine.file(
            &format!("{folder}/cpufreq/energy_performance_preference"),
            "performance",
        );
        machine.file(&format!("{folder}/cpuidle/state3/disable"), 1);
    }
    machine.file("/proc/812/comm", "rsyslogd");
    let limits = machine.read("/proc/self/limits").replace(
        "8388608              8388608 ",
        "unlimited            unlimited ",
    );
    machine.raw("/proc/self/limits", limits.as_bytes());
    let places: Vec<_> = plan.interrupts.iter().collect();
    let busy: Vec<_> = plan.busy().iter().collect();
    for (at, irq) in (100..=116).enumerate() {
        machine.file(
            &format!("/proc/irq/{irq}/smp_affinity_list"),
            places[at % places.len()],
        );
    }
    for queue in 0..16 {
        let own: CpuSet = busy.iter().skip(queue).step_by(16).copied().collect();
        machine.file(
            &format!(
                "/sys/devices/pci0000:00/0000:17:00.0/net/ens1f0np0/queues/tx-{queue}/xps_cpus"
            ),
            own.to_mask(128),
        );
    }
    for (file, from, to) in [
        ("c", "Adaptive RX: on  TX: on", "Adaptive RX: off  TX: off"),
        ("g", "RX:			512", "RX:			8192"),
        (
            "k",
            "generic-receive-offload: off",
            "generic-receive-offload: on",
        ),
    ] {
        let path = format!("/ethtool/{file}-ens1f0np0");
        let text = machine.read(&path);
        assert!(text.contains(from), "{path}");
        machine.raw(&path, text.replace(from, to).as_bytes());
    }
    machine
}

/// A virtual machine with four CPUs of AMD, one memory node, a paravirtual card with a
/// single queue, swap, and an old kernel.
pub(crate) fn amd_vm() -> Machine {
    let machine = Machine::new("amd-vm");
    let processors = Processors {
        sockets: 1,
        cores: 4,
        threads: 1,
    };
    machine.stock(
        "6.1.0-27-amd64",
        "AMD EPYC 9R14",
        true,
        processors,
        16_078_512,
    );
    machine.file("/sys/class/dmi/id/sys_vendor", "Amazon EC2");
    machine.file(
        "/sys/devices/system/clocksource/clocksource0/current_clocksource",
        "kvm-clock",
    );
    machine.file(
        "/proc/swaps",
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/vda2 partition\t8388604\t0\t-2",
    );
    machine.sysctls(&[
        ("kernel.nmi_watchdog", "0"),
        ("net.ipv4.ip_local_port_range", "1024\t65535"),
    ]);
    machine.sysctls(&[
        (
            "net.ipv4.tcp_available_congestion_control",
            "reno cubic bbr",
        ),
        ("net.ipv4.tcp_congestion_control", "bbr"),
        ("net.ipv4.ip_local_reserved_ports", "9000-9010"),
    ]);
    // The card of a virtual machine is a device within a slot.
    let slot = "/sys/devices/pci0000:00/0000:00:03.0";
    machine.link(
        "/sys/class/net/eth0",
        "../../devices/pci0000:00/0000:00:03.0/virtio2/net/eth0",
    );
    machine.link(
        &format!("{slot}/virtio2/net/eth0/device"),
        "../../../virtio2",
    );
    machine.link(
        &format!("{slot}/virtio2/driver"),
        "../../../../bus/virtio/drivers/virtio_net",
    );
    machine.file(&format!("{slot}/numa_node"), -1);
    machine.card_files(&format!("{slot}/virtio2/net/eth0"), 1);
    machine.file(&format!("{slot}/virtio2/net/eth0/speed"), -1);
    machine.interrupts("virtio2", slot, 1, 37);
    machine
}

/// A container on a large host: four CPUs of it, a quota of three, eight gigabytes, a
/// filter for system calls, and only its own network's settings.
pub(crate) fn container() -> Machine {
    let machine = Machine::new("container");
    let processors = Processors {
        sockets: 1,
        cores: 16,
        threads: 2,
    };
    machine.stock(
        "6.6.51",
        "Intel(R) Xeon(R) Platinum 8375C",
        false,
        processors,
        131_072_000,
    );
    machine.status(&CpuSet::from_list("4-5,20-21").unwrap(), 2);
    machine.file("/.dockerenv", "");
    machine.link("/proc/self/ns/pid", "pid:[4026532777]");
    machine.file("/proc/self/cgroup", "0::/");
    machine.file("/sys/fs/cgroup/memory.max", 8_589_934_592_u64);
    machine.file("/sys/fs/cgroup/cpu.max", "300000 100000");
    machine.sysctls(&[("kernel.io_uring_disabled", "2")]);
    for hidden in [
        "core/rmem_max",
        "core/wmem_max",
        "core/busy_poll",
        "core/busy_read",
        "core/rps_sock_flow_entries",
        "ipv4/tcp_mem",
    ] {
        machine.remove(&format!("/proc/sys/net/{hidden}"));
    }
    machine.link("/sys/class/net/eth0", "../../devices/virtual/net/eth0");
    machine.card_files("/sys/devices/virtual/net/eth0", 1);
    machine
}

/// One socket of AMD with two threads a core, two cards of eight queues in a bond,
/// swap, a firewall that tracks connections, everything else stock.
pub(crate) fn amd_bond() -> Machine {
    let mut machine = Machine::new("amd-bond");
    let processors = Processors {
        sockets: 1,
        cores: 16,
        threads: 2,
    };
    machine.stock(
        "6.6.90",
        "AMD EPYC 9124 16-Core Processor",
        false,
        processors,
        131_072_000,
    );
    machine.sysctls(&[
        ("kernel.io_uring_disabled", "1"),
        ("net.netfilter.nf_conntrack_max", "262144"),
    ]);
    machine.file("/sys/devices/system/cpu/cpufreq/boost", 0);
    let frequency = [
        ("scaling_governor", "schedutil"),
        (
            "scaling_available_governors",
            "conservative ondemand userspace powersave performance schedutil",
        ),
    ];
    machine.power(32, &frequency, &[("POLL", 0), ("C1", 1), ("C2", 18)]);
    machine.card("enp1s0f0", "0000:01:00.0", "ice", 0, 8, 60);
    machine.card("enp1s0f1", "0000:01:00.1", "ice", 0, 8, 80);
    machine.link("/sys/class/net/bond0", "../../devices/virtual/net/bond0");
    machine.card_files("/sys/devices/virtual/net/bond0", 16);
    machine.file(
        "/sys/devices/virtual/net/bond0/bonding/slaves",
        "enp1s0f0 enp1s0f1",
    );
    machine.file("/sys/class/net/bonding_masters", "bond0");
    machine.file(
        "/proc/swaps",
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/swap.img file\t8388604\t0\t-2",
    );
    machine.target = Target {
        connections: 250_000,
        nic: Some("bond0".into()),
        ..Target::default()
    };
    machine
}
