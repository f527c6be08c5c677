//! What Prometheus gets, and how.

use crate::sample::process;
use ringcast_loadgen::report::{Metrics, MetricsListener};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

fn metrics() -> Metrics {
    let metrics = Metrics::new(600);
    for mut second in process(0, &[0]).seconds {
        second.late = 2;
        second.wrong = 1;
        metrics.on_second(&second);
    }
    metrics
}

fn value(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("there is no {name} in\n{text}"));
    value.parse().expect("it is a number")
}

#[test]
fn seconds_are_summed_but_for_connections() {
    let text = metrics().text();
    let value = |name: &str| value(&text, &format!("ringcast_loadgen_{name}"));
    assert_eq!(value("connections"), 500.0);
    assert_eq!(value("connections_asked"), 600.0);
    assert_eq!(value("published_total"), 20.0);
    assert_eq!(value("delivered_total"), 20_000.0);
    assert_eq!(value("late_total"), 8.0);
    assert_eq!(value("wrong_total"), 4.0);
}

#[test]
fn response_times_are_in_the_buckets_they_belong_to() {
    let text = metrics().text();
    let value = |name: &str| value(&text, &format!("ringcast_loadgen_response_seconds{name}"));
    // From 100 µs to 1.1 ms in one second, and to 3.1 ms in another, evenly.
    assert_eq!(value("_bucket{le=\"0.00005\"}"), 0.0);
    let below_a_milli = value("_bucket{le=\"0.001\"}");
    let expected = 9_000.0 + 3_000.0;
    assert!((below_a_milli - expected).abs() < 20.0, "{below_a_milli}");
    assert_eq!(value("_bucket{le=\"0.005\"}"), 20_000.0);
    assert_eq!(value("_bucket{le=\"10\"}"), 20_000.0);
    assert_eq!(value("_bucket{le=\"+Inf\"}"), 20_000.0);
    assert_eq!(value("_count"), 20_000.0);
    let expected = 10_000.0 * (0.000_6 + 0.001_6);
    assert!((value("_sum") / expected - 1.0).abs() < 0.001);
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
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin
        .write_all(metrics().text().as_bytes())
        .expect("promtool reads");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
    assert!(output.status.success());
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let deadline = Some(Duration::from_secs(10));
    stream.set_read_timeout(deadline).expect("a socket has one");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("it answers and closes");
    answer
}

#[test]
fn the_listener_answers_until_it_is_dropped() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let metrics = Arc::new(metrics());
    let listener = MetricsListener::start(any, Arc::clone(&metrics)).expect("a port is free");
    let address = listener.address();
    let asked = |what: &str| ask(address, &format!("{what} HTTP/1.1\r\nHost: a\r\n\r\n"));

    let answer = asked("GET /metrics");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert_eq!(body, metrics.text());
    assert!(asked("GET /").starts_with("HTTP/1.1 404 "));
    let refused = asked("POST /metrics");
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
    assert!(refused.contains("allow: GET"), "{refused}");

    let error = MetricsListener::start(address, metrics).expect_err("the port is taken");
    assert!(
        error
            .to_string()
            .ends_with("take another port, or 0 for any that is free"),
        "{error}"
    );

    drop(listener);
    TcpStream::connect(address).expect_err("nobody listens any more");
}

#[test]
fn the_book_has_every_metric() {
    let text = metrics().text();
    let families = text.split("# HELP ").skip(1).map(|family| {
        let (help, rest) = family.split_once('\n').expect("a help is a line");
        let (name, help) = help.split_once(' ').expect("a name and a sentence");
        let kind = rest.split([' ', '\n']).nth(3).expect("a type has a kind");
        format!("| `{name}` | {kind} | {help} |")
    });
    let book = include_str!("../../../docs/loadgen-results.md");
    let rows = book
        .lines()
        .filter(|line| line.starts_with("| `ringcast_loadgen_"));
    assert_eq!(rows.collect::<Vec<_>>(), families.collect::<Vec<_>>());
}
