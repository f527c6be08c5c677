//! Plans for hosts of many sizes, made up.

use super::*;
use crate::settings::Sources;
use clap::Parser;
use ringcast_tune::topology::{Cpu, Group, Node};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    sources: Sources,
}

fn settings(assignments: &[&str]) -> Settings {
    let arguments = assignments
        .iter()
        .flat_map(|assignment| ["--set", assignment]);
    let line = Line::parse_from(["test"].into_iter().chain(arguments));
    line.sources.load().unwrap()
}

/// So many cores of one thread, or of two where the second half of the numbers are the
/// second threads.
fn host(cpus: usize, threads: usize) -> Topology {
    let cores = cpus / threads;
    let all: CpuSet = (0..cpus).collect();
    let cpu = |cpu| Cpu {
        cpu,
        package: 0,
        node: 0,
        siblings: (0..threads)
            .map(|thread| cpu % cores + thread * cores)
            .collect(),
        cache: all.clone(),
        cache_bytes: 1 << 25,
    };
    Topology {
        kernel: "6.18.0".into(),
        model: String::new(),
        hypervisor: None,
        container: None,
        cpus: (0..cpus).map(cpu).collect(),
        allowed: all.clone(),
        isolated: CpuSet::default(),
        nohz_full: None,
        memory_bytes: 1 << 40,
        nodes: vec![Node {
            node: 0,
            cpus: all,
            memory_bytes: 1 << 40,
        }],
        nics: Vec::new(),
        group: Group::default(),
    }
}

fn with_quota(mut topology: Topology, cpus: f64) -> Topology {
    topology.group.cpus_max = Some(cpus);
    topology
}

/// `CPU:roles:idle` of each executor, then threads and CPUs of housekeeping.
fn planned(topology: &Topology, assignments: &[&str]) -> String {
    let plan = Plan::make(&settings(assignments), topology).unwrap();
    let executors = plan.executors.iter().map(|executor| {
        let (cpu, roles, idle) = (executor.cpu, executor.roles(), executor.idle);
        format!("{cpu}:{roles}:{idle:?}")
    });
    let housekeeping = &plan.housekeeping;
    let rest = format!("{}x{}", housekeeping.threads, housekeeping.cpus);
    executors.chain([rest]).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_host_is_divided_by_its_size() {
    let many = &["limits.connections=400000"][..];
    let cases: [(Topology, &[&str], &str); 10] = [
        (host(1, 1), &[], "0:ingest, shard 0:Park 1x0"),
        (host(2, 1), &[], "1:ingest, shard 0:Adaptive 1x0"),
        (host(2, 2), &[], "1:ingest, shard 0:Adaptive 1x0"),
        (host(4, 1), &[], "1:ingest:Spin 2:shard 0:Spin 2x0,3"),
        (
            host(4, 1),
            many,
            "1:ingest:Spin 2:shard 0:Spin 3:shard 1:Spin 1x0",
        ),
        (host(4, 2), &[], "1:ingest, shard 0:Adaptive 2x0,2"),
        (host(16, 1), &[], "1:ingest:Spin 2:shard 0:Spin 4x0,3-15"),
        (
            host(16, 2),
            &[],
            "1:ingest:Spin 2:shard 0:Spin 4x0,3-8,11-15",
        ),
        (
            host(16, 1),
            many,
            "1:ingest:Spin 2:shard 0:Spin 3:shard 1:Spin 4:shard 2:Spin 5:shard 3:Spin \
             6:shard 4:Spin 7:shard 5:Spin 8:shard 6:Spin 9:shard 7:Spin 10:shard 8:Spin \
             11:shard 9:Spin 12:shard 10:Spin 13:shard 11:Spin 14:shard 12:Spin \
             15:shard 13:Spin 1x0",
        ),
        (
            host(64, 2),
            &["limits.connections=50000"],
            "2:ingest:Spin 3:shard 0:Spin 4:shard 1:Spin 4x0-1,5-33,37-63",
        ),
    ];
    for (topology, assignments, expected) in cases {
        let cpus = topology.cpus.len();
        assert_eq!(
            planned(&topology, assignments),
            expected,
            "{cpus} {assignments:?}"
        );
    }
}

#[test]
fn under_a_quota_nothing_spins() {
    let topology = with_quota(host(16, 1), 3.0);
    assert_eq!(
        planned(&topology, &[]),
        "1:ingest:Park 2:shard 0:Park 4x0,3-15"
    );
    let topology = with_quota(host(16, 1), 0.5);
    assert_eq!(planned(&topology, &[]), "0:ingest, shard 0:Park 4x1-15");
    assert_eq!(
        planned(&topology, &["cores.ingest=2", "cores.shards=[3]"]),
        "2:ingest:Park 3:shard 0:Park 4x0-1,4-15"
    );
}

#[test]
fn what_was_chosen_is_kept_and_the_rest_goes_around_it() {
    let cases: [(Topology, &[&str], &str); 12] = [
        (
            host(4, 1),
            &["cores.ingest=0", "cores.shards=[1, 2, 3]"],
            "0:ingest:Adaptive 1:shard 0:Adaptive 2:shard 1:Adaptive 3:shard 2:Adaptive 4x0-3",
        ),
        (
            host(4, 1),
            &["cores.ingest=3", "cores.shards=[3, 2]"],
            "3:ingest, shard 0:Adaptive 2:shard 1:Spin 2x0-1",
        ),
        (
            host(4, 1),
            &["cores.ingest=1", "cores.shards=[2, 2]"],
            "1:ingest:Spin 2:shard 0, shard 1:Adaptive 2x0,3",
        ),
        (
            host(4, 1),
            &["cores.ingest=2"],
            "2:ingest:Spin 1:shard 0:Spin 2x0,3",
        ),
        (
            host(4, 1),
            &["cores.shards=[1]"],
            "3:ingest:Spin 1:shard 0:Spin 2x0,2",
        ),
        (
            host(4, 1),
            &["cores.shards=[2]"],
            "1:ingest:Spin 2:shard 0:Spin 2x0,3",
        ),
        (
            host(4, 1),
            &["cores.shards=[1, 2, 3]"],
            "1:ingest, shard 0:Adaptive 2:shard 1:Spin 3:shard 2:Spin 1x0",
        ),
        (
            host(2, 1),
            &["cores.ingest=1"],
            "1:ingest, shard 0:Adaptive 1x0",
        ),
        (
            host(2, 1),
            &["cores.shards=[1]"],
            "1:ingest, shard 0:Adaptive 1x0",
        ),
        (
            host(8, 2),
            &["cores.ingest=1", "cores.shards=[5]"],
            "1:ingest:Adaptive 5:shard 0:Adaptive 4x0,2-4,6-7",
        ),
        (
            host(2, 1),
            &["cores.idle=spin", "cores.housekeeping=7"],
            "1:ingest, shard 0:Spin 7x0",
        ),
        (
            host(16, 1),
            &["cores.idle=park"],
            "1:ingest:Park 2:shard 0:Park 4x0,3-15",
        ),
    ];
    for (topology, assignments, expected) in cases {
        assert_eq!(planned(&topology, assignments), expected, "{assignments:?}");
    }
}

#[test]
fn a_cpu_that_is_not_there_is_refused() {
    let mut topology = host(4, 1);
    topology.allowed = CpuSet::from_list("0-2").unwrap();
    let refused = |assignments: &[&str]| {
        let fault = Plan::make(&settings(assignments), &topology).unwrap_err();
        fault.to_string()
    };
    assert_eq!(
        refused(&["cores.ingest=4"]),
        "cores.ingest has CPU 4, which this process may not use; allowed are 0-2, or \"auto\""
    );
    assert_eq!(
        refused(&["cores.shards=[1, 3]"]),
        "cores.shards has CPU 3, which this process may not use; allowed are 0-2, or \"auto\""
    );
}

#[test]
fn reasons_are_sentences_for_the_log() {
    let plan = Plan::make(&settings(&[]), &host(2, 1)).unwrap();
    assert_eq!(
        plan.reasons,
        [
            "there is no network card that is hardware: no core is kept for its interrupts",
            "there are few cores: ingest and one shard share CPU 1, everything else runs beside them",
            "CPU 1 has ingest, shard 0 and looks for work for a while before it sleeps: its roles \
             share it",
            "housekeeping has CPUs 0 and threads: 1",
        ]
    );
    let chosen = settings(&["cores.idle=spin"]);
    let plan = Plan::make(&chosen, &host(2, 1)).unwrap();
    assert_eq!(plan.shards(), 1);
    assert!(plan.reasons[2].ends_with("spins: as cores.idle says"));
    assert_eq!(
        plan.to_json()["executors"][0],
        json!({ "cpu": 1, "ingest": true, "shards": [0], "idle": "spin" })
    );
}

/// Whatever machine the tests run on.
#[test]
fn this_machine_can_be_planned() {
    let plan = Plan::of_this_machine(&settings(&[])).unwrap();
    assert!(plan.executors[0].ingest && plan.shards() >= 1, "{plan:?}");
    assert!(!plan.housekeeping.cpus.is_empty());
}
