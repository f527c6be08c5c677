//! The whole text, and what Prometheus's own tool says of it.

use super::*;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

metrics! {
    /// As a shard would count.
    struct TestMetrics {
        turns: Counter = "test_turns", None, "Turns made.";
        sent_bytes: Counter = "test_sent", Bytes, "Bytes sent.";
        connections: Gauge = "test_connections", None, "Connections there are.";
        busy_nanos: Counter = "test_busy", Nanos, "Time not spent waiting.";
        turn_nanos: Histogram = "test_turn", Nanos, "How long a turn took.";
    }
}

fn registry() -> (Registry, Vec<Arc<TestMetrics>>) {
    let mut registry = Registry::new();
    registry.add(DoorMetrics(Arc::default()));
    let sets = registry.labelled("shard", 2);
    (registry, sets)
}

#[test]
fn a_family_is_whole_with_a_sample_for_each_set() {
    let (registry, sets) = registry();
    sets[0].turns.set(3);
    sets[1].turns.set(4);
    sets[1].busy_nanos.set(1_500_000_000);
    sets[0].connections.set(7);
    let mut counts = [0; BOUNDS_NANOS.len() + 1];
    counts[1] = 2;
    counts[22] = 1;
    sets[0].turn_nanos.set(&counts, 20_000_003_000);
    let text = registry.text();
    for lines in [
        "# HELP ringcast_test_turns_total Turns made.\n\
         # TYPE ringcast_test_turns_total counter\n\
         ringcast_test_turns_total{shard=\"0\"} 3\n\
         ringcast_test_turns_total{shard=\"1\"} 4\n",
        "ringcast_test_sent_bytes_total{shard=\"1\"} 0\n",
        "# TYPE ringcast_test_connections gauge\nringcast_test_connections{shard=\"0\"} 7\n",
        "ringcast_test_busy_seconds_total{shard=\"1\"} 1.5\n",
        "# TYPE ringcast_test_turn_seconds histogram\n\
         ringcast_test_turn_seconds_bucket{shard=\"0\",le=\"0.000001\"} 0\n\
         ringcast_test_turn_seconds_bucket{shard=\"0\",le=\"0.000002\"} 2\n",
        "ringcast_test_turn_seconds_bucket{shard=\"0\",le=\"10\"} 2\n\
         ringcast_test_turn_seconds_bucket{shard=\"0\",le=\"+Inf\"} 3\n\
         ringcast_test_turn_seconds_sum{shard=\"0\"} 20.000003\n\
         ringcast_test_turn_seconds_count{shard=\"0\"} 3\n",
        "ringcast_build_info{version=\"0.1.0\"} 1\n",
        "ringcast_door_refused_total{reason=\"server_busy\"} 0\n",
        "# TYPE process_open_fds gauge\n",
    ] {
        assert!(text.contains(lines), "{lines}\nis not in\n{text}");
    }
}

#[test]
fn what_a_process_takes_is_told() {
    let text = Registry::new().text();
    for name in [
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_threads",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value: f64 = line
            .unwrap_or_else(|| panic!("{name} is told"))
            .trim()
            .parse()
            .unwrap();
        assert!(value > 0.0, "{name} {value}");
    }
    assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
}

#[test]
fn the_table_has_a_row_for_each_family() {
    let (registry, _sets) = registry();
    let text = registry.text();
    let table = exposition::table(&text);
    assert_eq!(table.lines().count(), 2 + text.matches("# TYPE ").count());
    let row = "| `ringcast_test_turn_seconds` | histogram | `shard` | How long a turn took. |\n";
    assert!(table.contains(row), "{table}");
    let row =
        "| `ringcast_door_refused_total` | counter | `reason` | Newcomers refused, by reason. |\n";
    assert!(table.contains(row), "{table}");
}

#[test]
fn writers_do_not_share_cache_lines() {
    assert_eq!(align_of::<TestMetrics>(), 128);
}

/// `promtool` of the Debian package prometheus, where it is installed.
#[test]
fn prometheus_finds_nothing_to_say() {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("skipped: there is no promtool");
        return;
    };
    let text = registry().0.text();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        (said(&output.stdout), said(&output.stderr)),
        (String::new(), String::new())
    );
    assert!(output.status.success());
}
