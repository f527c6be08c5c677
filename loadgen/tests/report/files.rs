//! The files of a run: JSON that is read back, seconds, histograms.

use crate::folder::Folder;
use crate::sample::{latencies, search, whole};
use ringcast_loadgen::report::{Csv, Hgrm, Json, read, write_files};
use std::fs;

#[test]
fn results_are_read_back_as_they_were_written() {
    let folder = Folder::new("round-trip");
    let mut results = whole();
    results.search = Some(search());
    // No short decimal fraction.
    results.search.as_mut().expect("it is there").steps[0].achieved = 1_000.0 / 3.0;
    // A folder in a folder that is not there either.
    let inner = folder.0.join("inner");
    write_files(&inner, &results).expect("the folder is ours");
    let again = read(&inner.join("results.json")).expect("it was just written");
    assert_eq!(again, results);

    let text = |name: &str| fs::read_to_string(inner.join(name)).expect("it was just written");
    assert_eq!(text("results.json"), Json(&results).to_string());
    assert_eq!(text("seconds.csv"), Csv(&results).to_string());
    assert_eq!(text("response.hgrm"), Hgrm(&results.response).to_string());
    assert_eq!(text("service.hgrm"), Hgrm(&results.service).to_string());
    assert!(text("report.html").starts_with("<!DOCTYPE html>"));
}

#[test]
fn json_tells_the_figures_to_programs_that_know_no_histograms() {
    let json: serde_json::Value =
        serde_json::from_str(&Json(&whole()).to_string()).expect("it is JSON");
    assert_eq!(json["format"], "ringcast-loadgen results");
    assert_eq!(json["version"], 1);
    let summary = &json["summary"];
    let expected: serde_json::Value =
        serde_json::from_str(include_str!("expected/summary.json")).expect("it is JSON");
    assert_eq!(*summary, expected, "{summary:#}");
}

#[test]
fn what_is_no_results_is_refused_with_a_sentence() {
    let folder = Folder::new("refused");
    let path = folder.0.join("a.json");
    let refused = |text: &str| {
        fs::write(&path, text).expect("the folder is ours");
        let error = read(&path).expect_err("these are no results");
        error
            .to_string()
            .replace(&format!("{} ", path.display()), "")
    };
    let no_results = "holds no results: it has to be a results.json of ringcast-loadgen";
    assert_eq!(refused("no JSON"), no_results);
    assert_eq!(refused(r#"{"format":"other","version":1}"#), no_results);
    assert_eq!(
        refused(r#"{"format":"ringcast-loadgen results","version":2}"#),
        "has version 2 of the format, this program reads version 1: use the program that wrote it, or run again"
    );
    let whole = Json(&whole()).to_string();
    let cut = &whole[..whole.len() / 2];
    assert_eq!(refused(cut), no_results);
    let spoilt = whole.replacen("HISTFA", "AAAAAA", 1);
    let error = refused(&spoilt);
    assert!(
        error.starts_with("is damaged: a histogram is not in the format HDR V2 at line"),
        "{error}"
    );
    let error = read(&folder.0.join("absent.json")).expect_err("it is not there");
    assert!(
        error
            .to_string()
            .contains("absent.json can't be read: No such file"),
        "{error}"
    );
}

#[test]
fn a_folder_that_can_not_be_made_is_named() {
    let error = write_files("/proc/nowhere".as_ref(), &whole()).expect_err("it can't be made");
    assert!(
        error
            .to_string()
            .starts_with("/proc/nowhere can't be written: "),
        "{error}"
    );
}

#[test]
fn seconds_to_the_letter() {
    let mut results = whole();
    results.seconds[3].late = 4;
    results.seconds[3].wrong = 5;
    assert_eq!(
        Csv(&results).to_string(),
        include_str!("expected/seconds.csv")
    );
}

#[test]
fn a_histogram_to_the_letter() {
    let latencies = latencies((1..=1_000).map(|n| n * 12_345));
    assert_eq!(
        Hgrm(&latencies).to_string(),
        include_str!("expected/histogram.hgrm")
    );
}
