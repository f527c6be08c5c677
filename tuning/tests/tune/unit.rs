//! The files that keep a host as it should be.

use crate::machine::{Machine, amd_vm, intel_64, intel_64_tuned};
use ringcast_tune::unit::units;

fn text(machine: &Machine, name: &str) -> String {
    let units = machine.judge(units);
    units
        .into_iter()
        .find(|unit| unit.name == name)
        .expect("there is such a file")
        .text
}

#[track_caller]
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            text.lines().any(|there| there == *line),
            "no '{line}' in:\n{text}"
        );
    }
}

#[test]
fn the_service_has_the_cores_and_limits_of_the_plan() {
    let machine = intel_64();
    let plan = machine.judge(|situation| situation.plan.clone());
    let text = text(&machine, "ringcast.service");
    let cpus = format!("CPUAffinity={}", plan.busy().union(&plan.housekeeping));
    let most = format!("MemoryMax={}", plan.memory.bytes * 5 / 4);
    // 41 executors of 1 MiB, two lanes for each of 40 shards, twice.
    let locked = format!("LimitMEMLOCK={}", 2 * ((41 << 20) + 80 * (136 << 10)));
    assert_lines(
        &text,
        &[
            &cpus,
            &most,
            &locked,
            "LimitNOFILE=29096",
            "MemorySwapMax=0",
        ],
    );
}

#[test]
fn settings_go_where_they_are_set_at_boot() {
    let machine = intel_64();
    let sysctls = text(&machine, "90-ringcast.conf");
    assert_lines(
        &sysctls,
        &[
            "net.core.somaxconn = 62500",
            "vm.stat_interval = 10",
            "net.ipv4.tcp_rmem = 4096 131072 6291456",
        ],
    );
    assert!(!sysctls.contains("/sys/"), "{sysctls}");
    let others = text(&machine, "ringcast-tmpfiles.conf");
    assert_lines(
        &others,
        &[
            "w /sys/kernel/mm/transparent_hugepage/enabled - - - - madvise",
            "w /sys/devices/system/cpu/cpu19/cpufreq/scaling_governor - - - - performance",
        ],
    );
}

#[test]
fn what_is_well_already_stays_written_down() {
    let sysctls = text(&intel_64_tuned(), "90-ringcast.conf");
    assert_lines(
        &sysctls,
        &["net.core.somaxconn = 65535", "vm.stat_interval = 10"],
    );
}

#[test]
fn the_command_line_says_whether_to_reboot() {
    let machine = intel_64();
    let quiet = machine.judge(|situation| situation.plan.quiet());
    let words = format!(
        "isolcpus=domain,managed_irq,{quiet} nohz_full={quiet} rcu_nocbs={quiet} thash_entries=524288"
    );
    let now = text(&machine, "ringcast-cmdline");
    assert_lines(&now, &[&words]);
    let reboot = format!("# rcu_nocbs={quiet}: not so now: a reboot is needed");
    assert_lines(&now, &[&reboot]);
    assert!(!now.contains("# thash_entries"), "it holds already:\n{now}");
    let tuned = text(&intel_64_tuned(), "ringcast-cmdline");
    assert_lines(
        &tuned,
        &[&words, "# All of it holds already: no reboot is needed."],
    );
}

#[test]
fn a_kernel_without_a_feature_is_not_asked_for_it() {
    assert!(!text(&amd_vm(), "ringcast-cmdline").contains("nohz_full"));
}
