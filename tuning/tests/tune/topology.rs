//! What is read of each machine.

use crate::machine::{amd_bond, amd_vm, container, intel_64};
use ringcast_tune::cpus::CpuSet;

fn set(list: &str) -> CpuSet {
    CpuSet::from_list(list).unwrap()
}

#[test]
fn two_sockets_with_two_threads_a_core() {
    let topology = intel_64().topology();
    assert_eq!(topology.cpus.len(), 128);
    let cpu = topology.cpu(95).unwrap();
    assert_eq!(
        (cpu.package, cpu.node, &cpu.siblings),
        (0, 0, &set("31,95"))
    );
    assert_eq!(
        (&cpu.cache, cpu.cache_bytes),
        (&set("0-31,64-95"), 60 << 20)
    );
    assert_eq!(topology.nodes[1].cpus, set("32-63,96-127"));
    assert_eq!(topology.nodes[1].memory_bytes, 527_957_016 / 2 * 1024);
    assert_eq!(topology.memory_bytes_max(), 527_957_016 * 1024);
    assert_eq!((topology.hypervisor, topology.container), (None, None));
    assert_eq!(topology.nohz_full, Some(set("")));
}

#[test]
fn a_card_with_sixteen_queues() {
    let topology = intel_64().topology();
    let nic = topology.nic("ens1f0np0").unwrap();
    assert_eq!(nic.driver.as_deref(), Some("mlx5_core"));
    assert_eq!(
        (nic.node, nic.megabits, nic.is_up, nic.is_virtual),
        (Some(0), Some(100_000), true, false)
    );
    assert_eq!(
        (
            nic.receive_queues,
            nic.transmit_queues,
            nic.interrupts.len()
        ),
        (16, 16, 17)
    );
    let interrupt = &nic.interrupts[3];
    assert_eq!(
        (interrupt.irq, interrupt.name.as_str(), &interrupt.cpus),
        (103, "ens1f0np0-2", &set("0-127"))
    );
}

#[test]
fn a_virtual_machine_and_the_card_in_its_slot() {
    let topology = amd_vm().topology();
    assert_eq!(topology.hypervisor.as_deref(), Some("Amazon EC2"));
    assert_eq!(topology.container, None, "it has the marks of none");
    let nic = topology.nic("eth0").unwrap();
    assert_eq!(
        (nic.node, nic.megabits),
        (None, None),
        "-1 is no node and no speed"
    );
    assert_eq!(
        nic.interrupts.iter().map(|irq| irq.irq).collect::<Vec<_>>(),
        [37, 38]
    );
}

#[test]
fn a_container_with_a_cpuset_a_quota_and_a_limit() {
    let topology = container().topology();
    assert_eq!(topology.container.as_deref(), Some("docker"));
    assert_eq!(topology.allowed, set("4-5,20-21"));
    assert_eq!(
        (topology.group.cpus_max, topology.group.memory_bytes_max),
        (Some(3.0), Some(8 << 30))
    );
    assert_eq!(topology.memory_bytes_max(), 8 << 30);
    assert!(topology.nic("eth0").unwrap().is_virtual);
}

#[test]
fn a_machine_made_from_an_image_is_no_container() {
    let machine = amd_vm();
    machine.file("/.dockerenv", "");
    assert_eq!(machine.topology().container, None);
}

#[test]
fn a_bond_has_members() {
    let topology = amd_bond().topology();
    assert_eq!(
        topology.nic("bond0").unwrap().members,
        ["enp1s0f0", "enp1s0f1"]
    );
    assert!(
        topology.nic("bonding_masters").is_none(),
        "a file beside the cards is none"
    );
}

#[test]
fn groups_of_version_1_and_the_tightest_on_the_way_up() {
    let machine = amd_vm();
    machine.remove("/sys/fs/cgroup/cgroup.controllers");
    machine.file("/proc/self/cgroup", "4:memory:/a/b\n1:cpu,cpuacct:/a\n0::/");
    machine.file(
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        9_223_372_036_854_771_712_u64,
    );
    assert_eq!(
        machine.topology().group.memory_bytes_max,
        None,
        "as many pages as there are"
    );
    machine.file("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", 1_000_000);
    machine.file("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", 2_000_000);
    machine.file("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", 150_000);
    machine.file("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", 100_000);
    machine.file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", -1);
    machine.file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", 100_000);
    let group = machine.topology().group;
    assert_eq!(
        (group.memory_bytes_max, group.cpus_max),
        (Some(1_000_000), Some(1.5))
    );
}

#[test]
fn a_partition_counts_as_isolated() {
    let machine = amd_vm();
    machine.file("/sys/devices/system/cpu/isolated", "1");
    machine.file("/sys/fs/cgroup/cpuset.cpus.isolated", "3");
    machine.status(&set("0,2"), 0);
    let topology = machine.topology();
    assert_eq!(topology.isolated, set("1,3"));
    assert_eq!(topology.allowed, set("0-3"), "an engine asks for them");
    machine.link("/proc/self/ns/pid", "pid:[4026532777]");
    assert_eq!(
        machine.topology().allowed,
        set("0,2"),
        "a container has those of its set"
    );
}
