//! Parts of a run become the run.

use crate::sample::{process, search};
use ringcast_loadgen::results::{EarlyEnd, MergeError, Process};

#[test]
fn two_parts_are_what_one_process_would_have_counted() {
    let whole = process(0, &[0, 1]);
    for (first, second) in [(0, 1), (1, 0)] {
        let part = |share: u64| process(share as u32, &[share]);
        let mut merged = part(first);
        merged.merge(&part(second)).expect("they are of one run");

        let numbers: Vec<_> = merged
            .processes
            .iter()
            .map(|process| process.number)
            .collect();
        assert_eq!(numbers, [0, 1]);
        assert_eq!(merged.health(), whole.health());
        merged.processes.clone_from(&whole.processes);
        assert_eq!(merged, whole);
    }
}

#[test]
fn steps_of_a_search_pass_if_they_passed_everywhere() {
    let (mut one, mut other) = (process(0, &[0]), process(1, &[1]));
    one.search = Some(search());
    let mut failed = search();
    failed.steps[0].passed = false;
    other.search = Some(failed);
    one.merge(&other).expect("they are of one run");
    let steps = one.search.expect("both have one").steps;
    let told: Vec<_> = steps.iter().map(|step| (step.rate, step.passed)).collect();
    assert_eq!(told, [(2_000.0, false), (8_000.0, false), (4_000.0, true)]);
    assert_eq!(steps[0].response.unpack().len(), 2);
}

#[test]
fn a_part_that_ended_early_is_told_in_the_order_of_time() {
    let end = |process, at_nanos| EarlyEnd {
        process: Some(process),
        at_nanos,
        why: "the server closed all connections".to_owned(),
    };
    let (mut one, mut other) = (process(0, &[0]), process(1, &[1]));
    one.early_ends.push(end(0, 9));
    other.early_ends.push(end(1, 8));
    // It saw a second less than the other.
    other.seconds.truncate(3);
    one.merge(&other).expect("they are of one run");
    assert_eq!(one.early_ends, [end(1, 8), end(0, 9)]);
    let connections: Vec<_> = one
        .seconds
        .iter()
        .map(|second| second.connections)
        .collect();
    assert_eq!(connections, [1_000, 1_000, 1_000, 500]);
}

#[test]
fn other_runs_and_the_same_part_twice_are_refused() {
    let own = process(0, &[0]);
    let mut merged = own.clone();
    let mut other = process(1, &[1]);
    other.run.id = "other".to_owned();
    let error = merged.merge(&other).expect_err("it is another run");
    assert!(matches!(error, MergeError::OtherRun { .. }), "{error}");
    let error = merged.merge(&own).expect_err("it is the same part");
    assert_eq!(error, MergeError::SameProcess(0));
    assert_eq!(merged, own);

    // The same number twice within what comes would be as wrong.
    let twice = Process {
        pid: 1,
        ..own.processes[0].clone()
    };
    other.run.id.clone_from(&own.run.id);
    other.processes.push(twice);
    assert_eq!(merged.merge(&other), Err(MergeError::SameProcess(0)));
    assert_eq!(merged, own);
}
