//! How each item is judged on each machine.

use crate::machine::{Machine, amd_bond, amd_vm, container, intel_64, intel_64_tuned};
use ringcast_tune::check::{Finding, Report, State};

fn check(machine: &Machine) -> Report {
    machine.judge(Report::of)
}

fn those(report: &Report, state: State) -> Vec<&str> {
    report
        .findings
        .iter()
        .filter(|finding| finding.state == state)
        .map(|finding| finding.item)
        .collect()
}

fn finding(machine: &Machine, item: &str) -> Finding {
    check(machine)
        .finding(item)
        .unwrap_or_else(|| panic!("there is an item {item}"))
        .clone()
}

#[test]
fn a_stock_machine_with_sixty_four_cores() {
    let report = check(&intel_64());
    assert_eq!(
        those(&report, State::Off),
        [
            "kernel.known_bad",
            "limit.memlock",
            "cpu.governor",
            "cpu.energy_preference",
            "cpu.idle_states",
            "cpu.dma_latency",
            "cpu.siblings",
            "cpu.isolated",
            "cpu.nohz_full",
            "cpu.rcu_nocbs",
            "cpu.workqueues",
            "cpu.writeback",
            "vm.stat_interval",
            "kernel.nmi_watchdog",
            "irqbalance",
            "memory.thp",
            "kernel.numa_balancing",
            "memory.thp_shmem",
            "net.core.somaxconn",
            "net.ipv4.tcp_max_syn_backlog",
            "net.ipv4.tcp_mem",
            "net.core.rmem_max",
            "net.ipv4.tcp_slow_start_after_idle",
            "nic.interrupts",
            "nic.xps",
            "nic.coalescing",
            "nic.offloads",
            "nic.rings",
        ]
    );
    assert_eq!(those(&report, State::Unseen), Vec::<&str>::new());
    assert_eq!(
        those(&report, State::NotHere),
        ["vm.swappiness", "net.netfilter.nf_conntrack_max"]
    );
    assert!(!report.is_well());
}

#[test]
fn a_tuned_machine_is_silent() {
    let report = check(&intel_64_tuned());
    assert_eq!(those(&report, State::Off), Vec::<&str>::new());
    assert_eq!(those(&report, State::Unseen), Vec::<&str>::new());
    assert!(report.is_well());
}

#[test]
fn a_virtual_machine() {
    let report = check(&amd_vm());
    assert_eq!(
        those(&report, State::Off),
        [
            "kernel.known_bad",
            "cpu.isolated",
            "cpu.rcu_nocbs",
            "cpu.workqueues",
            "cpu.writeback",
            "vm.stat_interval",
            "memory.thp",
            "vm.swappiness",
            "memory.thp_shmem",
            "net.core.rmem_max",
            "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.tcp_slow_start_after_idle",
            "net.ipv4.tcp_congestion_control",
            "nic.interrupts",
        ]
    );
    let governor = report.finding("cpu.governor").unwrap();
    assert_eq!(
        (governor.state, governor.current.as_str()),
        (
            State::NotHere,
            "the hypervisor (Amazon EC2) decides how fast cores run"
        )
    );
    assert_eq!(
        those(&report, State::Unseen),
        ["nic.coalescing", "nic.offloads", "nic.rings"]
    );
    let rings = report.finding("nic.rings").unwrap();
    assert!(rings.current.contains("ethtool"), "{}", rings.current);
}

#[test]
fn a_container_says_what_is_not_its_own() {
    let report = check(&container());
    assert_eq!(
        those(&report, State::Off),
        [
            "kernel.known_bad",
            "kernel.io_uring_disabled",
            "cpu.workqueues",
            "cpu.writeback",
            "vm.stat_interval",
            "kernel.nmi_watchdog",
            "memory.thp",
            "memory.thp_shmem",
            "net.ipv4.tcp_slow_start_after_idle"
        ]
    );
    assert_eq!(those(&report, State::Unseen), ["seccomp"]);
    for item in [
        "cpu.isolated",
        "nic.interrupts",
        "irqbalance",
        "cpu.governor",
    ] {
        let finding = report.finding(item).unwrap();
        assert_eq!(finding.state, State::NotHere, "{item}");
        assert!(
            finding.current.contains("container (docker)"),
            "{item}: {}",
            finding.current
        );
    }
    let hidden = report.finding("net.core.rmem_max").unwrap();
    assert_eq!(hidden.state, State::NotHere);
    assert!(
        hidden.current.contains("/proc/sys/net/core/rmem_max"),
        "{}",
        hidden.current
    );
}

#[test]
fn a_bond_is_judged_by_its_members() {
    let report = check(&amd_bond());
    assert_eq!(
        those(&report, State::Off),
        [
            "kernel.io_uring_disabled",
            "limit.memlock",
            "cpu.governor",
            "cpu.turbo",
            "cpu.idle_states",
            "cpu.dma_latency",
            "cpu.siblings",
            "cpu.isolated",
            "cpu.rcu_nocbs",
            "cpu.workqueues",
            "cpu.writeback",
            "vm.stat_interval",
            "kernel.nmi_watchdog",
            "memory.thp",
            "vm.swappiness",
            "memory.thp_shmem",
            "net.core.somaxconn",
            "net.ipv4.tcp_max_syn_backlog",
            "net.core.rmem_max",
            "net.ipv4.tcp_slow_start_after_idle",
            "net.netfilter.nf_conntrack_max",
            "nic.queues",
            "nic.interrupts",
            "nic.xps",
            "nic.coalescing",
            "nic.offloads",
            "nic.rings",
        ]
    );
    assert_eq!(
        report.finding("nic.queues").unwrap().current,
        "enp1s0f0: 8; enp1s0f1: 8"
    );
    let numa = report.finding("kernel.numa_balancing").unwrap();
    assert_eq!(numa.state, State::NotHere, "one memory node");
}

/// An item on a machine after some files changed: how it stands.
#[track_caller]
fn assert_item(machine: &Machine, item: &str, files: &[(&str, &str)], state: State) {
    for (path, content) in files {
        machine.file(path, content);
    }
    let finding = finding(machine, item);
    assert_eq!(
        finding.state, state,
        "{item}: {} → {}",
        finding.current, finding.wanted
    );
}

#[test]
fn kernels_with_known_faults() {
    let machine = amd_vm();
    let release = "/proc/sys/kernel/osrelease";
    for (kernel, state) in [
        ("6.0.19", State::Well),
        ("6.1.115", State::Off),
        ("6.4.0", State::Off),
        ("6.6.85", State::Off),
        ("6.6.86", State::Well),
        ("6.12.20", State::Off),
        ("6.12.21-generic", State::Well),
        ("6.13.8", State::Off),
        ("6.14.3", State::Well),
        ("6.14.4", State::Off),
        ("6.14.7", State::Well),
        ("6.15.4", State::Off),
        ("6.15.5", State::Well),
        ("6.18.44-fc-v657", State::Well),
    ] {
        assert_item(&machine, "kernel.known_bad", &[(release, kernel)], state);
    }
    assert_item(&machine, "kernel", &[(release, "6.0.19")], State::Off);
    assert_item(&machine, "kernel", &[(release, "6.1.0")], State::Well);
    assert_item(&machine, "kernel", &[(release, "linux")], State::Unseen);
}

#[test]
fn io_uring_switched_off() {
    let machine = intel_64();
    let path = "/proc/sys/kernel/io_uring_disabled";
    assert_item(
        &machine,
        "kernel.io_uring_disabled",
        &[(path, "1")],
        State::Off,
    );
    let administrator = machine
        .read("/proc/self/status")
        .replace("CapEff:\t0000000000000000", "CapEff:\t0000000000200000");
    machine.raw("/proc/self/status", administrator.as_bytes());
    assert_item(
        &machine,
        "kernel.io_uring_disabled",
        &[(path, "1")],
        State::Well,
    );
    assert_item(
        &machine,
        "kernel.io_uring_disabled",
        &[(path, "2")],
        State::Off,
    );
    machine.remove(path);
    assert_item(&machine, "kernel.io_uring_disabled", &[], State::NotHere);
}

#[test]
fn locked_memory_is_not_counted_for_some() {
    let machine = intel_64();
    let status = machine
        .read("/proc/self/status")
        .replace("CapEff:\t0000000000000000", "CapEff:\t0000000000004000");
    machine.raw("/proc/self/status", status.as_bytes());
    assert_item(&machine, "limit.memlock", &[], State::Well);
}

#[test]
fn the_limits_of_another_process() {
    let machine = intel_64();
    let limits = machine.read("/proc/self/limits").replace(
        "8388608              8388608 ",
        "unlimited            unlimited ",
    );
    machine.raw("/proc/4711/limits", limits.as_bytes());
    machine.raw(
        "/proc/4711/status",
        machine.read("/proc/self/status").as_bytes(),
    );
    let (host, topology) = (machine.host(), machine.topology());
    let mut situation =
        ringcast_tune::item::Situation::new(&host, &topology, &machine.target).unwrap();
    let state = |situation: &_| {
        Report::of(situation)
            .finding("limit.memlock")
            .unwrap()
            .state
    };
    assert_eq!(state(&situation), State::Off);
    situation.process = "4711".into();
    assert_eq!(state(&situation), State::Well);
    situation.process = "4712".into();
    assert_eq!(state(&situation), State::Unseen, "no such process");
}

#[test]
fn how_awake_cores_are() {
    let machine = intel_64();
    for cpu in machine.judge(|situation| situation.plan.busy()).iter() {
        machine.file(
            &format!("/sys/devices/system/cpu/cpu{cpu}/cpuidle/state3/disable"),
            1,
        );
    }
    assert_item(&machine, "cpu.idle_states", &[], State::Well);
    assert_item(&machine, "cpu.dma_latency", &[], State::NotHere);
    let machine = intel_64();
    machine.raw("/dev/cpu_dma_latency", &0_i32.to_ne_bytes());
    assert_item(&machine, "cpu.dma_latency", &[], State::Well);
    assert_item(
        &machine,
        "cpu.turbo",
        &[("/sys/devices/system/cpu/intel_pstate/no_turbo", "1")],
        State::Off,
    );
}

#[test]
fn isolation_must_cover_the_second_threads() {
    let machine = intel_64();
    let plan = machine.judge(|situation| situation.plan.clone());
    let isolated = "/sys/devices/system/cpu/isolated";
    assert_item(
        &machine,
        "cpu.isolated",
        &[(isolated, &plan.busy().to_string())],
        State::Off,
    );
    assert_item(&machine, "cpu.siblings", &[], State::Off);
    assert_item(
        &machine,
        "cpu.isolated",
        &[(isolated, &plan.quiet().to_string())],
        State::Well,
    );
    assert_item(&machine, "cpu.siblings", &[], State::Well);
    let command_line = format!("ro rcu_nocbs={} quiet", plan.quiet());
    assert_item(
        &machine,
        "cpu.rcu_nocbs",
        &[("/proc/cmdline", &command_line)],
        State::Well,
    );
    assert_item(
        &machine,
        "cpu.rcu_nocbs",
        &[("/proc/cmdline", "rcu_nocbs=all")],
        State::Well,
    );
    assert_item(
        &machine,
        "cpu.rcu_nocbs",
        &[("/proc/cmdline", "rcu_nocbs=1-2")],
        State::Off,
    );
}

#[test]
fn work_of_the_kernel_stays_off_second_threads_too() {
    let machine = intel_64();
    let empty = machine.judge(|situation| situation.plan.empty.clone());
    let mask = "/sys/devices/virtual/workqueue/cpumask";
    assert_item(
        &machine,
        "cpu.workqueues",
        &[(mask, &empty.to_mask(128))],
        State::Off,
    );
}

#[test]
fn sockets_get_half_of_the_memory_at_most() {
    let mut machine = amd_vm();
    machine.target.connections = 50_000_000;
    let pages = 16_078_512 / 4 / 2;
    let finding = finding(&machine, "net.ipv4.tcp_mem");
    assert_eq!(finding.wanted, format!("≥ {pages} {pages} {pages}"));
}

#[test]
fn every_member_of_a_bond_must_be_well() {
    let machine = amd_bond();
    assert_item(&machine, "nic.rps", &[], State::Well);
    let path = "/sys/class/net/enp1s0f1/queues/rx-3/rps_cpus";
    assert_item(&machine, "nic.rps", &[(path, "00000001")], State::Off);
}

#[test]
fn irqbalance_may_run_if_it_keeps_away() {
    let machine = intel_64();
    let quiet = machine.judge(|situation| situation.plan.quiet());
    let line = format!("# comment\nIRQBALANCE_BANNED_CPULIST=\"{quiet}\"");
    assert_item(
        &machine,
        "irqbalance",
        &[("/etc/default/irqbalance", &line)],
        State::Well,
    );
    assert_item(
        &machine,
        "irqbalance",
        &[("/etc/default/irqbalance", "IRQBALANCE_BANNED_CPULIST=1")],
        State::Off,
    );
}

#[test]
fn clocks_and_congestion_control() {
    let machine = amd_vm();
    let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    assert_item(&machine, "clocksource", &[(clock, "hpet")], State::Off);
    assert_item(&machine, "clocksource", &[(clock, "tsc")], State::Well);
    let congestion = "net.ipv4.tcp_congestion_control";
    let path = "/proc/sys/net/ipv4/tcp_congestion_control";
    assert_item(&machine, congestion, &[(path, "bbr2")], State::Off);
    let mut machine = machine;
    machine.target.wide_area = true;
    assert_item(&machine, congestion, &[], State::Well);
}

#[test]
fn ports_in_danger_are_reserved_beside_those_that_are() {
    let machine = amd_vm();
    let finding = finding(&machine, "net.ipv4.ip_local_reserved_ports");
    assert_eq!(finding.wanted, "9000-9010,1883,8083,9883");
    let reserved = "/proc/sys/net/ipv4/ip_local_reserved_ports";
    assert_item(
        &machine,
        "net.ipv4.ip_local_reserved_ports",
        &[(reserved, "1000-9999")],
        State::Well,
    );
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    assert_item(
        &machine,
        "net.ipv4.ip_local_reserved_ports",
        &[(reserved, ""), (range, "32768\t60999")],
        State::Well,
    );
}

#[test]
fn interrupts_on_a_core_that_pushes() {
    let machine = intel_64_tuned();
    let shard = machine.judge(|situation| situation.plan.cores.shards[0]);
    let sibling = machine.judge(|situation| situation.plan.empty.iter().next().unwrap());
    for cpu in [shard, sibling] {
        assert_item(
            &machine,
            "nic.interrupts",
            &[("/proc/irq/105/smp_affinity_list", &cpu.to_string())],
            State::Off,
        );
    }
    assert_item(
        &machine,
        "nic.interrupts",
        &[("/proc/irq/105/smp_affinity_list", "0-1")],
        State::Well,
    );
}

#[test]
fn what_a_driver_does_not_tell_is_not_asked_for() {
    let machine = intel_64();
    let features = "Features for ens1f0np0:\ntcp-segmentation-offload: off [fixed]\ngeneric-receive-offload: on";
    assert_item(
        &machine,
        "nic.offloads",
        &[("/ethtool/k-ens1f0np0", features)],
        State::Well,
    );
    machine.raw("/ethtool/g-ens1f0np0", b"Ring parameters for ens1f0np0:\nPre-set maximums:\nRX:\t\tn/a\nCurrent hardware settings:\nRX:\t\tn/a\n");
    assert_item(&machine, "nic.rings", &[], State::NotHere);
    machine.raw(
        "/ethtool/l-ens1f0np0",
        b"Pre-set maximums:\nCombined:\t1\nCurrent hardware settings:\nCombined:\t1\n",
    );
    assert_item(&machine, "nic.queues", &[], State::NotHere);
}

#[test]
fn without_any_files_nothing_panics_and_everything_has_a_reason() {
    let machine = amd_vm();
    for folder in [
        "proc/sys",
        "sys/class",
        "sys/kernel",
        "sys/devices/virtual",
        "proc/irq",
        "sys/fs",
    ] {
        std::fs::remove_dir_all(machine.root.join(folder)).unwrap();
    }
    let report = check(&machine);
    for finding in &report.findings {
        assert!(!finding.current.is_empty(), "{}", finding.item);
    }
    assert_eq!(report.finding("memory.thp").unwrap().state, State::NotHere);
}

#[test]
fn what_is_off_says_why_and_how() {
    for machine in [intel_64(), amd_vm(), amd_bond(), container()] {
        for finding in check(&machine)
            .findings
            .iter()
            .filter(|finding| finding.state == State::Off)
        {
            assert!(
                !finding.wanted.is_empty() && !finding.why.is_empty() && !finding.fix.is_empty(),
                "{finding:?}"
            );
        }
    }
}
