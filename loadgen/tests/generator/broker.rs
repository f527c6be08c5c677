//! Beside mosquitto: valid figures of a small run, and a stall that shows.

use crate::support::mosquitto::{Mosquitto, find};
use crate::support::program::{run, start};
use crate::support::{Process, signal};
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn the_same_scenario_at_each_quality_of_service() {
    let broker = Mosquitto::start();
    for words in [
        "--qos 0",
        "--qos 1",
        "--qos 2",
        "--qos 1 --mqtt 3.1.1",
        "--payload 16",
        "--threads 2 --topics 6 --publishers 3",
    ] {
        let outcome = run(&format!(
            "run --quiet --target {} --subscribers 5 --rate 200 --duration 1s {words}",
            broker.address
        ));
        let results = outcome.right();
        assert_eq!(results.totals.published, 200, "{words}");
        assert_eq!(results.totals.delivered, 1_000, "{words}");
        assert_eq!(results.response.unpack().len(), 1_000, "{words}");
        let acknowledged = if words.contains("--qos 1") || words.contains("--qos 2") {
            200
        } else {
            0
        };
        assert_eq!(results.totals.acknowledged, acknowledged, "{words}");
        let has_service_times = !words.contains("--payload 16");
        assert_eq!(!results.service.is_empty(), has_service_times, "{words}");
    }
}

#[test]
fn presets_run_at_a_small_scale() {
    let broker = Mosquitto::start();
    for (preset, delivered) in [
        (
            "mqttbs/conn-tcp-1M-5K --scale 1/5000 --connect-rate 0 --hold 0s",
            0,
        ),
        ("mqttbs/fanout-5-1000-5-250K --scale 1/50", 100),
        ("mqttbs/p2p-50K-50K-50K-50K --scale 1/1000", 50),
        ("mqttbs/sharesub-50K-500-50K-50K --scale 1/100", 500),
        ("mqttbs/composite --scale 1/200 --connect-rate 0", 10),
        ("conn-1m --scale 1/10000 --hold 0s", 100),
    ] {
        let words = format!(
            "run {preset} --quiet --target {} --duration 1s",
            broker.address
        );
        let results = run(&words).right();
        assert_eq!(results.totals.delivered, delivered, "{preset}");
        assert_eq!(
            results.totals.connections_opened,
            results.totals.connections_asked
        );
    }
}

/// A tool that waits for one answer before it sends the next would see one slow message.
#[test]
fn a_server_that_stalls_shows_in_the_percentiles() {
    let broker = Mosquitto::start();
    let mut running = start(&format!(
        "run --target {} --rate 200 --duration 5s",
        broker.address
    ));
    running.wait_for("time 1 s");
    broker.stall(Duration::from_secs(2));
    let results = running.wait().right();
    let response = results.response.unpack();
    // What was meant to be sent in the first half of the stall waited for the second half:
    // 200 messages of 1,000.
    assert!(response.value_at_quantile(0.999) >= 1_000_000_000);
    assert!(response.value_at_quantile(0.85) >= 1_000_000_000);
    assert_eq!(results.totals.published, 1_000);
}

/// mosquitto_sub knows nothing of ours: what it counts is what there was.
#[test]
fn another_client_counts_the_same() {
    let broker = Mosquitto::start();
    let child = Command::new("stdbuf")
        .arg("-oL")
        .arg(find("mosquitto_sub"))
        .args([
            "-d",
            "-p",
            &broker.address.port().to_string(),
            "-t",
            "load/#",
            "-F",
            "%l",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("mosquitto_sub");
    let mut other = Process(child);
    let mut lines = BufReader::new(other.0.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    assert!(lines.any(|line| line.contains("SUBACK")));
    let words = format!(
        "run --quiet --target {} --rate 500 --duration 1s --payload 99",
        broker.address
    );
    let results = run(&words).right();
    signal(other.0.id(), Signal::SIGTERM);
    let sizes = lines.filter(|line| line == "99").count() as u64;
    assert_eq!(sizes, results.totals.published);
}

/// A subscriber in Python reads the same stamps by another clock. A stall gives both of them
/// something to agree about.
#[test]
fn another_client_measures_the_same() {
    let broker = Mosquitto::start();
    let folder = crate::support::folder();
    let start_file = folder.join("start");
    let child = Command::new("python3")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/generator/listener.py"
        ))
        .arg(broker.address.port().to_string())
        .arg(&start_file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut other = Process(child);
    let mut lines = BufReader::new(other.0.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    let mut running = start(&format!(
        "run --target {} --rate 200 --duration 4s",
        broker.address
    ));
    running.wait_for("time 1 s");
    broker.stall(Duration::from_secs(1));
    let results = running.wait().right();
    // Whole, as soon as it is there.
    let written = folder.join("written");
    std::fs::write(&written, results.run.started_unix_millis.to_string()).expect("a file");
    std::fs::rename(&written, &start_file).expect("a file");
    let mut others: Vec<i64> = lines.map(|line| line.parse().expect("a number")).collect();
    others.sort_unstable();
    let ours = results.response.unpack();
    assert_eq!(others.len() as u64, ours.len());
    for percent in [50, 80, 90, 100] {
        let theirs = others[(others.len() - 1) * percent / 100];
        let own = ours.value_at_percentile(percent as f64) as i64;
        // What two readers on busy processors may differ by; the stall is twenty times that.
        let off = (own - theirs).abs();
        assert!(off < 50_000_000, "p{percent}: {own} here, {theirs} there");
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn clients_come_and_go_under_load() {
    let broker = Mosquitto::start();
    let folder = crate::support::folder();
    let file = folder.join("scenario.toml");
    let text = format!(
        "target = {{ addresses = [\"{}\"] }}\n\
         subscribers = {{ count = 20 }}\n\
         load = {{ rate = 200.0, duration = \"2s\" }}\n\
         churn = {{ count = 10, rate = 20.0 }}\n\
         storm = {{ at = \"500ms\", part = 0.5 }}\n\
         [[personas]]\ncount = 3\nbehaviour = {{ kind = \"garbage\" }}\n\
         [[personas]]\ncount = 3\nbehaviour = {{ kind = \"half-open\" }}\n\
         [[personas]]\ncount = 3\nbehaviour = {{ kind = \"stalled\" }}\n\
         [[personas]]\ncount = 3\nbehaviour = {{ kind = \"slow\", bytes_per_second = 500 }}\n\
         [[personas]]\ncount = 3\nbehaviour = {{ kind = \"weak\", delay = \"20ms\", reset_every = \"1s\" }}\n",
        broker.address
    );
    std::fs::write(&file, text).expect("a file");
    let results = run(&format!("run {} --quiet", file.display())).right();
    // Half of the subscribers, and most of the churn.
    assert!(
        results.totals.connections_reopened >= 10 + 20,
        "{:?}",
        results.totals
    );
    assert_eq!(results.totals.connections_asked, 20 + 1 + 10 + 15);
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn a_search_ends_between_what_passes_and_what_does_not() {
    let broker = Mosquitto::start();
    // Nothing is that quick: the first rate fails, and so do all below.
    let words = format!(
        "search --quiet --target {} --duration 200ms --from 50 --to 100 --below 1ns",
        broker.address
    );
    let results = run(&words).results();
    let search = results.search.expect("it was one");
    assert!(search.steps.iter().all(|step| !step.passed));
    assert!(
        search
            .steps
            .windows(2)
            .all(|pair| pair[1].rate < pair[0].rate)
    );
    // Anything is that slow.
    let words = format!(
        "search --quiet --target {} --duration 200ms --from 50 --to 200 --below 1h",
        broker.address
    );
    let search = run(&words).right().search.expect("it was one");
    let rates: Vec<_> = search.steps.iter().map(|step| step.rate).collect();
    assert_eq!(rates, [50.0, 100.0, 200.0]);
    assert!(search.steps.iter().all(|step| step.passed));
}
