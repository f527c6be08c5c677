//! Parts of a run become the run.

use crate::sample::{process, search, whole};
use ringcast_loadgen::results::{EarlyEnd, MergeError, Process, Results};
use serde_json::Value;

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

/// Where counters are, and those of them that two processes have in common: the others add
/// up.
const COUNTERS: [(&str, &[&str]); 5] = [
    (
        "/totals",
        &["connect_nanos", "elapsed_nanos", "publishing_nanos"],
    ),
    ("/seconds/1", &[]),
    ("/correctness", &[]),
    ("/memory", &["kernel_bytes", "server_bytes"]),
    ("/floor", &["payload_bytes"]),
];

/// The counters of a part get these numbers, one after the other.
fn count_from(results: &Results, pointer: &str, first: u64) -> Results {
    let mut json = serde_json::to_value(results).expect("results are JSON");
    for (at, counter) in counters(&mut json, pointer).enumerate() {
        *counter.1 = (first + at as u64).into();
    }
    serde_json::from_value(json).expect("a number is as good as another")
}

fn counters<'a>(
    json: &'a mut Value,
    pointer: &str,
) -> impl Iterator<Item = (&'a String, &'a mut Value)> {
    let object = json.pointer_mut(pointer).and_then(Value::as_object_mut);
    let fields = object.expect("there is such an object").iter_mut();
    fields.filter(|(_, value)| value.is_number())
}

#[test]
fn no_counter_is_forgotten() {
    for (pointer, in_common) in COUNTERS {
        let [one, other] = [0, 1].map(|number| Results {
            floor: whole().floor,
            memory: whole().memory,
            ..process(number, &[u64::from(number)])
        });
        let mut merged = count_from(&one, pointer, 100);
        merged
            .merge(&count_from(&other, pointer, 1_000))
            .expect("they are of one run");
        let mut json = serde_json::to_value(merged).expect("results are JSON");
        for (at, (name, value)) in counters(&mut json, pointer).enumerate() {
            let (one, other) = (100.0 + at as f64, 1_000.0 + at as f64);
            let expected = match in_common.contains(&&**name) {
                true => other,
                false => one + other,
            };
            assert_eq!(value.as_f64(), Some(expected), "{pointer}/{name}");
        }
    }
}

#[test]
fn no_counter_of_health_is_forgotten() {
    let mut results = process(0, &[0]);
    results
        .merge(&process(1, &[1]))
        .expect("they are of one run");
    let pointers = ["/processes/0/health", "/processes/1/health"];
    let results = count_from(&results, pointers[0], 100);
    let results = count_from(&results, pointers[1], 1_000);
    let mut json = serde_json::json!({ "all": results.health() });
    for (at, (name, value)) in counters(&mut json, "/all").enumerate() {
        let (one, other) = (100 + at as u64, 1_000 + at as u64);
        let expected = match &**name {
            "late_after_nanos" => other,
            _ => one + other,
        };
        assert_eq!(value.as_u64(), Some(expected), "{name}");
    }
}
