//! A quick run of the whole program: what it says, never how fast it was.

use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::{Command, Output};

fn benches(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringcast-benches"))
        .args(arguments)
        .output()
        .expect("the program can be started")
}

/// That it succeeds means that every delivery was there and in order: anything else is
/// an error of the probe.
#[test]
fn a_quick_run_has_every_row_in_table_and_json() {
    let file = env::temp_dir().join(format!("ringcast-limits-{}.json", std::process::id()));
    let path = file.to_str().expect("a plain path");
    let output = benches(&["limits", "--quick", "--json", path]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}{table}");
    let json = fs::read_to_string(&file).expect("was written");
    fs::remove_file(&file).expect("is there");
    let report: Value = serde_json::from_str(&json).expect("is JSON");

    let environment = &report["environment"];
    for key in ["kernel", "processor", "congestion_control", "load_average"] {
        assert_ne!(environment[key].as_str(), Some(""), "{key}");
    }
    assert_ne!(
        environment["processor_of_server"],
        environment["processor_of_probe"]
    );
    assert_eq!(environment["command_line"][1], "limits");
    assert!(environment["sysctls"]["net/ipv4/tcp_wmem"].is_string());

    let rows = report["rows"].as_array().expect("is a list");
    let mut names: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for row in rows {
        let (what, who) = (text(&row["what"]), text(&row["who"]));
        assert!(table.contains(what), "{what} is not in {table}");
        let figures = row["figures"].as_array().expect("is a list");
        for figure in figures {
            check_figure(figure, 2);
        }
        let names = names.entry((what, who)).or_default();
        names.extend(figures.iter().map(|figure| text(&figure["name"])));
        check_percentiles(figures);
    }
    assert_eq!(names, expected_rows());
}

fn text(value: &Value) -> &str {
    value.as_str().expect("is text")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("is a number")
}

/// So many rounds, and three numbers that follow from them.
fn check_figure(figure: &Value, rounds: usize) {
    let values: Vec<_> = figure["rounds"]
        .as_array()
        .expect("is a list")
        .iter()
        .map(number)
        .collect();
    assert_eq!(values.len(), rounds, "{figure}");
    assert!(values.iter().all(|value| value.is_finite()), "{figure}");
    match text(&figure["unit"]) {
        "share" => assert!(values.iter().all(|value| *value >= 0.0), "{figure}"),
        "ns" | "1/s" | "messages" => assert!(values.iter().all(|value| *value > 0.0), "{figure}"),
        unit => panic!("unknown unit {unit}"),
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    assert_eq!(
        (number(&figure["min"]), number(&figure["max"])),
        (least, most)
    );
    assert!(
        (least..=most).contains(&number(&figure["median"])),
        "{figure}"
    );
}

/// What fewer exceed is not shorter.
fn check_percentiles(figures: &[Value]) {
    const NAMES: [&str; 4] = ["p50", "p99", "p99.9", "max"];
    let times: Vec<_> = figures
        .iter()
        .filter(|figure| NAMES.contains(&text(&figure["name"])))
        .map(|figure| number(&figure["median"]))
        .collect();
    assert!(times.is_sorted(), "{figures:?}");
}

/// All that a run without other servers does, and the figures of it.
fn expected_rows() -> BTreeMap<(&'static str, &'static str), Vec<&'static str>> {
    const SEND: &[&str] = &["per send", "frames", "first to last"];
    const ONE: &[&str] = &[
        "first to last",
        "publish to last",
        "probe",
        "server",
        "others",
    ];
    const TIMES: &[&str] = &["p50", "p99"];
    const RATE: &[&str] = &["deliveries", "each read", "probe", "server", "others"];
    const LATENCY: &[&str] = &[
        "p50",
        "p99",
        "p99.9",
        "max",
        "each read",
        "probe",
        "server",
        "others",
        "late",
    ];
    let machine = [
        ("128 B to each of 1000", "io_uring", SEND),
        ("128 B to each of 1000", "lane", SEND),
        ("128 B to each of 1000", "send()", SEND),
        ("128 B to each of 10000", "io_uring", SEND),
        ("128 B to each of 10000", "lane", SEND),
        ("128 B to each of 10000", "send()", SEND),
        ("16 × 128 B to each of 1000, in one send", "io_uring", SEND),
        ("64 × 128 B to each of 1000, in one send", "io_uring", SEND),
        ("64 × 128 B to each of 1000, in one send", "lane", SEND),
        ("256 × 128 B to each of 1000, in one send", "io_uring", SEND),
        ("from core to core", "ring", TIMES),
        ("waking a sleeper", "eventfd", TIMES),
        ("there and back over TCP", "spinning", TIMES),
        ("there and back over TCP", "blocking", TIMES),
    ];
    let servers = [
        ("128 B to each of 1000", ONE),
        ("128 B to each of 10000", ONE),
        ("1000 subscribers, 64 outstanding, 128 B", RATE),
        ("1000 subscribers, 128 outstanding, 128 B", RATE),
        ("1000 subscribers, 512 outstanding, 128 B", RATE),
        ("1000 subscribers, 64 outstanding, 1024 B", RATE),
        ("1 subscriber, 1000 a second, 128 B", LATENCY),
        ("100 subscribers, 500 a second, 128 B", LATENCY),
        ("1000 subscribers, 50 a second, 128 B", LATENCY),
    ];
    let relays = servers
        .into_iter()
        .flat_map(|(what, figures)| ["relay", "relay, parked"].map(|who| (what, who, figures)));
    machine
        .into_iter()
        .chain(relays)
        .map(|(what, who, figures)| ((what, who), figures.to_vec()))
        .collect()
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_to_do() {
    let refused = |arguments: &[&str], sentence: &str| {
        let output = benches(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(sentence), "{errors}");
    };
    refused(&["limits", "--cores", "0", "0"], "two different processors");
    refused(&["limits", "--rounds", "0"], "--rounds");
    refused(&["probe"], "--mqtt");
    // Nobody listens at port 1 of loopback, unless a very old service does.
    let nobody = ["probe", "--quick", "--bare", "127.0.0.1:1"];
    refused(&nobody, "127.0.0.1:1 does not run, or does not answer");
}
