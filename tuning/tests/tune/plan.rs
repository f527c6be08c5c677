//! Which core does what, on each machine.

use crate::machine::{Machine, amd_bond, amd_vm, container, intel_64, intel_64_tuned};
use ringcast_tune::cpus::CpuSet;
use ringcast_tune::plan::{Cores, Idle, Plan, PlanError, Target};
use ringcast_tune::topology::Topology;

fn set(list: &str) -> CpuSet {
    CpuSet::from_list(list).unwrap()
}

fn plan(machine: &Machine) -> Plan {
    Plan::make(&machine.topology(), &machine.target).expect("a plan")
}

/// What must hold of every plan, whatever the machine.
fn assert_sound(topology: &Topology, plan: &Plan) {
    let all = plan
        .quiet()
        .union(&plan.housekeeping)
        .union(&plan.interrupts);
    assert!(all.is_within(&topology.allowed), "only what is allowed");
    assert!(plan.busy().common(&plan.empty).is_empty());
    if topology.allowed.len() > 1 {
        assert!(
            plan.quiet().common(&plan.interrupts).is_empty(),
            "no interrupt where something pushes"
        );
        assert!(
            plan.quiet().common(&plan.housekeeping).is_empty(),
            "nothing else where something pushes"
        );
        assert!(
            !plan.housekeeping.is_empty(),
            "everything else runs somewhere"
        );
    }
    let mut shards = plan.cores.shards.clone();
    shards.dedup();
    assert_eq!(
        shards.len(),
        plan.cores.shards.len(),
        "a core for each shard"
    );
}

#[test]
fn a_million_connections_on_sixty_four_cores() {
    let machine = intel_64();
    let plan = plan(&machine);
    assert_sound(&machine.topology(), &plan);
    assert_eq!(
        plan.cores.ingest, 2,
        "the first core near the card that is not housekeeping"
    );
    assert_eq!(
        plan.interrupts,
        set("3-18"),
        "one core for each of the 16 queues, near the card"
    );
    assert_eq!(plan.cores.shards.len(), 40, "25,000 connections each");
    assert_eq!(
        plan.cores.shards.iter().copied().collect::<CpuSet>(),
        set("19-31,34-60")
    );
    assert_eq!(
        plan.empty,
        set("66,83-95,98-124"),
        "the second threads of all that push"
    );
    assert!(set("0-1,32-33,61-65").is_within(&plan.housekeeping));
    assert_eq!((plan.queues, plan.idle), (16, Idle::Spin));
    assert_eq!(plan.nics, ["ens1f0np0"]);
    assert!(plan.memory.is_enough());
    assert_eq!(plan.reasons.len(), 2, "{:?}", plan.reasons);
    assert!(
        plan.settings()
            .starts_with("[cores]\ningest = 2\nshards = [19, 20,")
    );
}

#[test]
fn the_plan_is_the_same_once_it_was_carried_out() {
    let (stock, tuned) = (plan(&intel_64()), plan(&intel_64_tuned()));
    assert_eq!(
        (stock.cores, stock.interrupts),
        (tuned.cores, tuned.interrupts)
    );
}

#[test]
fn as_many_shards_as_fit_stay_near_the_card() {
    let mut machine = intel_64();
    for (shards, far) in [(19, false), (20, true)] {
        machine.target.shards = Some(shards);
        let plan = plan(&machine);
        let is_far = plan
            .reasons
            .iter()
            .any(|reason| reason.contains("are not on node 0"));
        assert_eq!(is_far, far, "{shards} shards: {:?}", plan.reasons);
    }
}

#[test]
fn few_connections_take_few_cores() {
    let mut machine = intel_64();
    machine.target.connections = 10_000;
    let plan = plan(&machine);
    assert_sound(&machine.topology(), &plan);
    assert_eq!(
        (plan.cores.shards.as_slice(), &plan.interrupts),
        ([4].as_slice(), &set("3"))
    );
    assert_eq!(plan.queues, 1);
}

#[test]
fn the_card_decides_which_node_is_near() {
    let machine = intel_64();
    machine.file("/sys/devices/pci0000:00/0000:17:00.0/numa_node", 1);
    let plan = plan(&machine);
    assert_sound(&machine.topology(), &plan);
    assert_eq!((plan.cores.ingest, &plan.interrupts), (34, &set("35-50")));
}

#[test]
fn as_many_shards_as_asked_for_or_a_sentence() {
    let mut machine = intel_64();
    machine.target.shards = Some(58);
    let most = plan(&machine);
    assert_sound(&machine.topology(), &most);
    assert_eq!((most.cores.shards.len(), most.interrupts.len()), (58, 1));
    machine.target.shards = Some(59);
    let error = Plan::make(&machine.topology(), &machine.target).unwrap_err();
    assert_eq!(
        error,
        PlanError::TooManyShards {
            wanted: 59,
            most: 58
        }
    );
    assert_eq!(
        error.to_string(),
        "59 shards are more than this host has cores for: at most 58"
    );
    machine.target.shards = Some(0);
    assert_eq!(
        Plan::make(&machine.topology(), &machine.target).unwrap_err(),
        PlanError::NoShards
    );
}

#[test]
fn four_cpus_of_a_virtual_machine() {
    let machine = amd_vm();
    let plan = plan(&machine);
    assert_sound(&machine.topology(), &plan);
    assert_eq!(
        (plan.cores.ingest, plan.cores.shards.as_slice()),
        (1, [2].as_slice())
    );
    assert_eq!(
        (&plan.interrupts, &plan.housekeeping),
        (&set("0"), &set("3"))
    );
}

#[test]
fn where_cores_are_short_interrupts_get_a_quarter() {
    let mut machine = intel_64();
    machine.target.connections = 5_000_000;
    let plan = plan(&machine);
    // 64 cores, 4 of them for housekeeping and one for ingest.
    assert_eq!((plan.interrupts.len(), plan.cores.shards.len()), (14, 45));
    assert!(
        plan.reasons
            .iter()
            .any(|reason| reason.contains("200 shards")),
        "{:?}",
        plan.reasons
    );
}

#[test]
fn a_quota_pays_for_some_of_the_cores() {
    let mut machine = container();
    machine.status(&set("0-31"), 0);
    machine.target.connections = 200_000;
    let plan = plan(&machine);
    assert_eq!(
        (plan.cores.ingest, plan.cores.shards.as_slice()),
        (1, [2].as_slice())
    );
    assert_eq!(plan.interrupts, set("0,16"));
}

#[test]
fn an_eighth_of_the_memory_is_everybody_elses() {
    let mut machine = container();
    for (connections, is_enough) in [(700_000, true), (780_000, false)] {
        machine.target.connections = connections;
        let memory = plan(&machine).memory;
        assert!(memory.bytes < 8 << 30);
        assert_eq!(memory.is_enough(), is_enough, "{} bytes", memory.bytes);
    }
}

#[test]
fn a_quota_parks_and_bounds() {
    let machine = container();
    let plan = plan(&machine);
    assert_sound(&machine.topology(), &plan);
    // CPUs 4, 20 and 5, 21 are two cores.
    assert_eq!(
        (plan.cores.ingest, plan.cores.shards.as_slice()),
        (5, [5].as_slice())
    );
    assert_eq!((plan.idle, &plan.empty), (Idle::Park, &set("21")));
    assert!(
        plan.reasons.iter().any(|reason| reason.contains("quota")),
        "{:?}",
        plan.reasons
    );
}

#[test]
fn too_little_memory_is_said() {
    let mut machine = container();
    machine.target.connections = 1_000_000;
    let plan = plan(&machine);
    assert!(!plan.memory.is_enough());
    assert!(
        plan.reasons
            .iter()
            .any(|reason| reason.contains("more memory")),
        "{:?}",
        plan.reasons
    );
}

#[test]
fn the_members_of_a_bond_are_planned_alike() {
    let machine = amd_bond();
    let plan = plan(&machine);
    assert_sound(&machine.topology(), &plan);
    assert_eq!(plan.nics, ["enp1s0f0", "enp1s0f1"]);
    assert_eq!(
        (plan.cores.shards.len(), plan.interrupts.len(), plan.queues),
        (10, 4, 4)
    );
}

#[test]
fn one_cpu_does_everything_and_sleeps() {
    let machine = amd_vm();
    machine.status(&set("2"), 0);
    let plan = plan(&machine);
    assert_eq!(
        (plan.cores.ingest, plan.cores.shards.as_slice(), plan.idle),
        (2, [2].as_slice(), Idle::Park)
    );
    assert_eq!(
        (&plan.housekeeping, &plan.interrupts),
        (&set("2"), &set("2"))
    );
}

#[test]
fn two_threads_of_one_core_are_shared_out() {
    let machine = container();
    machine.status(&set("4,20"), 0);
    let plan = plan(&machine);
    assert_eq!(
        (plan.cores.ingest, &plan.interrupts, &plan.housekeeping),
        (20, &set("4"), &set("4"))
    );
}

#[test]
fn no_such_card_and_no_cpu_are_sentences() {
    let mut machine = intel_64();
    machine.target.nic = Some("eth7".into());
    let error = Plan::make(&machine.topology(), &machine.target).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no network card eth7; there are: ens1f0np0"
    );
    machine.target = Target::default();
    machine.status(&set("200"), 0);
    assert_eq!(
        Plan::make(&machine.topology(), &machine.target).unwrap_err(),
        PlanError::NoCpu
    );
}

#[test]
fn cores_set_by_hand_are_taken_as_they_are() {
    let machine = intel_64();
    let cores = Cores {
        ingest: 8,
        shards: vec![9, 10],
    };
    let plan = Plan::of_cores(&machine.topology(), &machine.target, &cores).unwrap();
    assert_sound(&machine.topology(), &plan);
    assert_eq!((&plan.cores, &plan.empty), (&cores, &set("72-74")));
}

#[test]
fn every_number_of_cores_gives_a_sound_plan() {
    let mut machine = intel_64();
    let mut topology = machine.topology();
    for cpus in 1..=128 {
        topology.allowed = (0..cpus).collect();
        for connections in [1, 100_000, 5_000_000] {
            machine.target.connections = connections;
            assert_sound(&topology, &Plan::make(&topology, &machine.target).unwrap());
        }
    }
}
