//! A quick run of `push` without the engine: the relay, and Mosquitto where it is
//! installed. What it says, never how fast it was. That it succeeds means that every
//! delivery was there and in order: anything else is an error of the probe.

use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn push(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringcast-benches"))
        .arg("push")
        .args(arguments)
        .output()
        .expect("the program can be started")
}

/// The figures of each row of a run, by what was done and by whom.
fn rows(name: &str, arguments: &[&str]) -> BTreeMap<(String, String), BTreeMap<String, f64>> {
    let file = env::temp_dir().join(format!("ringcast-push-{name}-{}.json", std::process::id()));
    let mut all = vec!["--quick", "--rounds", "1", "--without-engine"];
    all.extend(["--json", file.to_str().expect("a plain path")]);
    all.extend(arguments);
    let output = push(&all);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}{table}");
    let json = fs::read_to_string(&file).expect("was written");
    fs::remove_file(&file).expect("is there");
    let report: Value = serde_json::from_str(&json).expect("is JSON");
    let rows = report["rows"].as_array().expect("is a list").iter();
    rows.map(|row| {
        let (what, who) = (text(&row["what"]), text(&row["who"]));
        assert!(table.contains(&what), "{what} is not in {table}");
        (
            (what, who),
            figures(row["figures"].as_array().expect("a list")),
        )
    })
    .collect()
}

fn figures(figures: &[Value]) -> BTreeMap<String, f64> {
    let figure = |figure: &Value| {
        let median = figure["median"].as_f64().expect("is a number");
        let is_positive = median > 0.0 || !["ns", "1/s"].contains(&&*text(&figure["unit"]));
        assert!(median.is_finite() && is_positive, "{figure}");
        (text(&figure["name"]), median)
    };
    figures.iter().map(figure).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("is text").to_owned()
}

/// Where Debian puts it.
fn is_mosquitto_there() -> bool {
    let places = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
    places.iter().any(|place| Path::new(place).exists())
}

#[test]
fn the_relay_does_all_that_it_can() {
    let rows = rows("relay", &[]);
    let whats = |who: &str| {
        let of = |((what, by), _): (&(String, String), _)| (by == who).then(|| what.clone());
        Vec::from_iter(rows.iter().filter_map(of))
    };
    assert_eq!(
        whats("io_uring"),
        ["128 B to each of 100", "128 B to each of 500"]
    );
    // Two fan-outs; four throughputs each of one topic and of many; two of lists; three
    // latencies; one each where others stall, lag and churn, alone.
    assert_eq!(whats("relay").len(), 2 + 4 + 4 + 2 + 3 + 3, "{rows:#?}");
    let lists = "300 lists, 5 of 1000 topics, 64 outstanding, 128 B";
    let lists = &rows[&(lists.to_owned(), "relay".to_owned())];
    assert!(lists["deliveries"] > 0.0 && lists["server's time"] > 0.0);
    let crowd = "messages to 2000 who have just come".to_owned();
    let crowd = &rows[&(crowd, "bare lanes".to_owned())];
    assert!(crowd["taken"] > 0.0 && crowd["first to last"] > 0.0);
}

/// A broker with queues and policies of its own: the probe's checks hold for it, too.
#[test]
fn mosquitto_bears_those_who_acknowledge_stall_lag_and_churn() {
    if !is_mosquitto_there() {
        println!("skipped: mosquitto is not installed (apt-get install mosquitto)");
        return;
    }
    let only = "acknowledged,watch-lists,latency,stalled,laggards,memory,storm";
    let rows = rows("mosquitto", &["--beside", "mosquitto", "--only", only]);
    let of = |who: &str| {
        let mut rows = rows.iter().filter(|((_, by), _)| by == who);
        rows.next().unwrap_or_else(|| panic!("{who}: {rows:#?}")).1
    };
    assert_eq!(of("mosquitto, 5 stall")["connected"], 5.0);
    assert_eq!(of("mosquitto, 100 lag")["connected"], 100.0);
    assert!(of("mosquitto, 16 churn")["cycles"] > 0.0);
    for qos in ["mosquitto, QoS 0", "mosquitto, QoS 1"] {
        assert!(of(qos)["deliveries"] > 0.0 && of(qos)["server's time"] > 0.0);
    }
    let idle = "2000 idle with 5 of 1000 topics".to_owned();
    assert!(rows[&(idle, "mosquitto".to_owned())]["each"] > 0.0);
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_to_do() {
    let refused = |arguments: &[&str], sentence: &str| {
        let output = push(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(sentence), "{errors}");
    };
    let nowhere = [
        "--quick",
        "--only",
        "latency",
        "--engine",
        "/nowhere/ringcast",
    ];
    refused(&nowhere, "cargo build --release -p ringcast");
    let other = ["--quick", "--only", "latency", "--engine", "/bin/false"];
    refused(&other, "/bin/false did not begin to serve: it said nothing");
    refused(&["--only", "everything"], "watch-lists");
    refused(&["--beside", "nobody"], "mosquitto, redis");
}
