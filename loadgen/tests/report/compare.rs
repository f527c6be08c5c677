//! Two runs beside each other.

use crate::folder::Folder;
use crate::sample::{latencies, whole};
use ringcast_loadgen::report::Json;
use ringcast_loadgen::report::compare::{CompareError, Comparison, Threshold, compare};
use ringcast_loadgen::results::{Latencies, Results};
use std::fs;
use std::process::Command;

/// The whole run, with every response time so much longer.
fn slower(percent: u64) -> Results {
    let mut results = whole();
    let histogram = results.response.unpack();
    let mut slower = Vec::new();
    for step in histogram.iter_recorded() {
        let nanos = step.value_iterated_to() * (100 + percent) / 100;
        slower.extend((0..step.count_at_value()).map(|_| nanos));
    }
    results.response = latencies(slower);
    results
}

fn thresholds(texts: &[&str]) -> Vec<Threshold> {
    let parsed = texts.iter().map(|text| text.parse().expect("it is one"));
    parsed.collect()
}

fn compared(before: &Results, after: &Results, texts: &[&str]) -> Comparison {
    compare(before, after, &thresholds(texts)).expect("the figures are known")
}

#[test]
fn a_run_is_no_worse_than_itself() {
    let comparison = compared(&whole(), &whole(), &["0"]);
    assert!(!comparison.is_worse());
    assert_eq!(comparison.to_string(), include_str!("expected/same.txt"));
}

#[test]
fn beyond_the_threshold_is_worse_and_within_is_not() {
    let (before, after) = (whole(), slower(15));
    assert!(!compared(&before, &after, &["16"]).is_worse());
    assert!(
        !compared(&before, &after, &["1", "16"]).is_worse(),
        "the last one counts"
    );
    let comparison = compared(&before, &after, &[]);
    assert!(comparison.is_worse());
    assert_eq!(comparison.to_string(), include_str!("expected/slower.txt"));
    // The other way round it is better.
    assert!(!compared(&after, &before, &["0"]).is_worse());
}

#[test]
fn one_figure_may_have_a_threshold_of_its_own() {
    let (before, after) = (whole(), slower(15));
    let lenient = [
        "response_p50_nanos=20",
        "response_p90_nanos=20",
        "response_p99_nanos=20",
        "response_p99.9_nanos=20",
    ];
    assert!(!compared(&before, &after, &lenient).is_worse());
    assert!(compared(&before, &after, &lenient[1..]).is_worse());
    let one_strict = ["20", "response_p99_nanos=14"];
    assert!(compared(&before, &after, &one_strict).is_worse());
}

#[test]
fn the_service_time_is_judged_only_if_asked_for() {
    let (before, mut after) = (whole(), whole());
    after.service = slower(50).response;
    assert!(!compared(&before, &after, &[]).is_worse());
    assert!(compared(&before, &after, &["service_p99_nanos=10"]).is_worse());
}

#[test]
fn fewer_deliveries_and_more_memory_are_worse() {
    let before = whole();
    let mut after = whole();
    after.totals.delivered = after.totals.delivered * 8 / 10;
    assert!(compared(&before, &after, &[]).is_worse());
    assert!(!compared(&before, &after, &["21"]).is_worse());
    let mut after = whole();
    after.memory.as_mut().expect("it is told").kernel_bytes = Some(10_000_000);
    assert!(compared(&before, &after, &[]).is_worse());
    assert!(!compared(&after, &before, &["0"]).is_worse());
}

#[test]
fn chance_is_not_judged() {
    let (mut before, mut after) = (whole(), whole());
    before.response = latencies((0..30).map(|_| 100_000));
    after.response = latencies((0..30).map(|n| if n < 20 { 100_000 } else { 900_000 }));
    let comparison = compared(&before, &after, &[]);
    assert!(!comparison.is_worse(), "{comparison}");
    let text = comparison.to_string();
    let line = text
        .lines()
        .find(|line| line.starts_with("response_p99_nanos"));
    assert!(
        line.expect("it is told").ends_with("too little to judge"),
        "{text}"
    );
}

#[test]
fn a_rate_within_a_moment_is_not_judged() {
    let connected_within = |millis: u64| {
        let mut results = whole();
        results.totals.connect_nanos = millis * 1_000_000;
        results
    };
    let [before, after] = [250, 900].map(connected_within);
    assert!(!compared(&before, &after, &[]).is_worse());
    let [before, after] = [2_500, 9_000].map(connected_within);
    assert!(compared(&before, &after, &[]).is_worse());
}

#[test]
fn a_run_after_that_is_wrong_or_measured_less_is_worse() {
    let before = whole();
    let mut wrong = whole();
    wrong.correctness.missing = 1;
    let comparison = compared(&before, &wrong, &[]);
    assert!(comparison.is_worse());
    assert!(
        comparison
            .to_string()
            .ends_with("\nWRONG: deliveries missing: 1\n")
    );
    // What was wrong before is no fault of the run after.
    let comparison = compared(&wrong, &before, &[]);
    assert!(!comparison.is_worse());
    assert!(
        comparison
            .to_string()
            .starts_with("before: deliveries missing: 1\n")
    );

    let mut less = whole();
    less.memory = None;
    let comparison = compared(&before, &less, &[]);
    assert!(comparison.is_worse());
    let fault = "WRONG: the run after has no kernel_per_connection_bytes\n";
    assert!(comparison.to_string().ends_with(fault), "{comparison}");

    // What is told only may be missing, unless a threshold names it.
    let mut less = whole();
    less.service = Latencies::default();
    assert!(!compared(&before, &less, &[]).is_worse());
    let comparison = compared(&before, &less, &["service_p99_nanos=5"]);
    let fault = "\nWRONG: the run after has no service_p99_nanos\n";
    assert!(comparison.to_string().ends_with(fault), "{comparison}");
}

#[test]
fn what_differs_in_the_scenarios_is_told() {
    let (before, mut after) = (whole(), whole());
    after.run.scenario_toml = after.run.scenario_toml.replace("1000\nsub", "2000\nsub");
    let text = compared(&before, &after, &[]).to_string();
    let notes: Vec<_> = text.lines().take(2).collect();
    let expected = [
        "the scenarios differ: - rate = 1000",
        "the scenarios differ: + rate = 2000",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn thresholds_that_can_not_be_are_refused() {
    for text in ["", "a", "-1", "nan", "inf", "response_p99_nanos=", "=x"] {
        assert!(text.parse::<Threshold>().is_err(), "{text}");
    }
    let error = compare(&whole(), &whole(), &thresholds(&["respons_p99=5"]));
    let error = error.expect_err("there is no such figure");
    assert!(matches!(error, CompareError::FigureUnknown { .. }));
    let sentence = error.to_string();
    assert!(
        sentence.contains("for respons_p99, which is no figure of the run before"),
        "{sentence}"
    );
    assert!(sentence.contains("response_p99_nanos, "), "{sentence}");
}

#[test]
fn the_exit_code_tells_worse_from_impossible() {
    let folder = Folder::new("compare");
    let file = |name: &str, results: &Results| {
        let path = folder.0.join(name);
        fs::write(&path, Json(results).to_string()).expect("the folder is ours");
        path.display().to_string()
    };
    let [before, after] = [file("a.json", &whole()), file("b.json", &slower(15))];
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ringcast-loadgen"))
            .arg("compare")
            .args(arguments)
            .output()
            .expect("the program starts");
        let said =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        (output.status.code(), said)
    };
    let (code, [told, _]) = run(&[&before, &after, "--threshold", "16"]);
    assert_eq!(code, Some(0), "{told}");
    let (code, [told, _]) = run(&[&before, &after]);
    assert_eq!(code, Some(1));
    assert_eq!(told, include_str!("expected/slower.txt"));
    let (code, [_, error]) = run(&[&before, "nowhere.json"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("nowhere.json can't be read"), "{error}");
    let (code, [_, error]) = run(&[&before, &after, "--threshold", "p99=5"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("there is a threshold for p99"), "{error}");
    let (code, [_, error]) = run(&[&before, &after, "--threshold", "much"]);
    assert_eq!(code, Some(2));
    assert!(
        error.contains("it has to be a number of per cent"),
        "{error}"
    );
}
