//! What an engine says at its start.

use crate::machine::{Machine, amd_vm, container, intel_64, intel_64_tuned};
use ringcast_tune::cpus::CpuSet;
use ringcast_tune::plan::Cores;
use ringcast_tune::start::{Warning, mismatches, warnings};

fn warned(machine: &Machine, cores: &Cores) -> Vec<Warning> {
    warnings(&machine.host(), &machine.topology(), &machine.target, cores).unwrap()
}

#[test]
fn silent_when_all_is_well() {
    let machine = intel_64_tuned();
    let cores = machine.judge(|situation| situation.plan.cores.clone());
    assert_eq!(warned(&machine, &cores), []);
}

#[test]
fn each_warning_has_what_mends_it() {
    let machine = amd_vm();
    let warnings = warned(
        &machine,
        &Cores {
            ingest: 1,
            shards: vec![2],
        },
    );
    let starts = [
        "kernel.known_bad is",
        "cpu.isolated is -, and should be 1-2",
        "memory.thp is always",
        "net.ipv4.tcp_congestion_control is bbr",
        "nic.interrupts is 2 of 2 may go to 1-2",
    ];
    assert_eq!(warnings.len(), starts.len(), "{warnings:#?}");
    for (warning, start) in warnings.iter().zip(starts) {
        assert!(warning.what.starts_with(start), "{warning}");
        assert!(!warning.fix.is_empty());
    }
    assert_eq!(
        warnings[3].fix,
        "ringcast-tune apply net.ipv4.tcp_congestion_control"
    );
}

#[test]
fn a_core_whose_second_thread_is_open_to_all() {
    let machine = intel_64_tuned();
    // 20 and its sibling 84 are isolated, 63 and 127 are not.
    let warnings = warned(
        &machine,
        &Cores {
            ingest: 2,
            shards: vec![20, 63],
        },
    );
    assert!(
        warnings.iter().any(|warning| warning
            .what
            .starts_with("cpu.siblings is anybody may use 127")),
        "{warnings:#?}"
    );
}

#[test]
fn cores_that_are_not_what_the_host_has() {
    let machine = container();
    let cores = Cores {
        ingest: 4,
        shards: vec![5, 5, 6, 99],
    };
    let whats: Vec<_> = mismatches(&machine.topology(), &cores)
        .into_iter()
        .map(|warning| warning.what)
        .collect();
    assert_eq!(
        whats,
        [
            "there is no CPU 99 on this host, which has 0-31",
            "this process may not use CPU 6, but only 4-5,20-21",
            "two shards share CPU 5: each waits while the other works",
            "the control group pays for 3 CPUs, and the settings use 4",
        ]
    );
    machine.status(&CpuSet::from_list("4-6").unwrap(), 0);
    let paid_for = Cores {
        ingest: 4,
        shards: vec![5, 6],
    };
    assert_eq!(mismatches(&machine.topology(), &paid_for), []);
    let fits = Cores {
        ingest: 4,
        shards: vec![4, 5],
    };
    assert_eq!(mismatches(&machine.topology(), &fits), []);
    assert_eq!(
        mismatches(&intel_64().topology(), &cores)[0].what,
        "two shards share CPU 5: each waits while the other works"
    );
}
