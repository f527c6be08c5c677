//! Measuring without and with, on machines made of files: what is "measured" is a file.

use crate::machine::{Machine, amd_vm, intel_64_tuned};
use ringcast_tune::journal::Journal;
use ringcast_tune::probe::{ProbeError, Quantiles, Round};
use ringcast_tune::prove::{Comparison, ProveError, Rounds, Verdict, alternate};

const PATH: &str = "/proc/sys/vm/swappiness";

/// A round in which everything takes as long as the machine likes to swap.
fn measure(machine: &Machine) -> Result<Round, ProbeError> {
    let time: u64 = machine.read(PATH).trim().parse().unwrap();
    let times = Quantiles {
        count: 1,
        p50: time,
        p99: time,
        p9999: time,
        worst: time,
    };
    Ok(Round {
        cores: Vec::new(),
        wake: times,
        loopback: times,
    })
}

fn prove(
    machine: &Machine,
    keep: bool,
    measure: impl FnMut() -> Result<Round, ProbeError>,
) -> Result<(Rounds, Rounds), ProveError> {
    let mut journal = Journal::open(&machine.state()).unwrap();
    machine.judge(|situation| alternate(situation, &mut journal, 3, keep, measure))
}

#[test]
fn each_round_measures_both_states_and_the_host_is_left_as_found() {
    let machine = amd_vm();
    let found = machine.snapshot();
    let (before, after) = prove(&machine, false, || measure(&machine)).unwrap();
    let times = |rounds: &Rounds| {
        rounds
            .rounds
            .iter()
            .map(|round| round.wake.p50)
            .collect::<Vec<_>>()
    };
    assert_eq!((times(&before), times(&after)), (vec![60; 3], vec![10; 3]));
    let comparison = Comparison::of(&before, &after);
    assert!(
        comparison
            .rows
            .iter()
            .all(|row| row.verdict == Verdict::Better),
        "{comparison}"
    );
    machine.settle();
    assert!(machine.snapshot() == found);
}

#[test]
fn kept_if_asked_for() {
    let machine = amd_vm();
    prove(&machine, true, || measure(&machine)).unwrap();
    assert_eq!(machine.read(PATH), "10\n");
    assert!(machine.state().exists(), "revert can still undo it");
}

#[test]
fn a_probe_that_fails_leaves_the_host_as_found() {
    let machine = amd_vm();
    let found = machine.snapshot();
    for fails_at in 1..=6 {
        let mut rounds = 0;
        let outcome = prove(&machine, true, || {
            rounds += 1;
            if rounds == fails_at {
                return Err(ProbeError::NoSuchCore(7, nix::Error::EINVAL));
            }
            measure(&machine)
        });
        assert!(matches!(outcome, Err(ProveError::Probe(_))));
        machine.settle();
        assert!(machine.snapshot() == found, "at measurement {fails_at}");
    }
}

#[test]
fn nothing_to_change_and_applied_already_are_sentences() {
    let machine = intel_64_tuned();
    let outcome = prove(&machine, false, || measure(&machine));
    assert!(matches!(outcome, Err(ProveError::NothingChanged)));
    let machine = amd_vm();
    prove(&machine, true, || measure(&machine)).unwrap();
    let outcome = prove(&machine, false, || measure(&machine));
    assert!(matches!(outcome, Err(ProveError::AppliedAlready)));
}
