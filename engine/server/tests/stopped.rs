//! Processes that are stopped: a tap, and subscribers of each kind of topic. Nobody else
//! notices; who was stopped gets what its topics promise.

mod support;

use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use support::client::{Client, Version};
use support::listener::{Library, Listener};
use support::server::{Server, ringcast};
use support::traffic::Traffic;
use support::{freeze, signal, temporary, wait_until};

/// `ringcast tap`, and what it says on each of its outputs.
struct Tap {
    process: Child,
    out: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Tap {
    fn start(socket: &str) -> Self {
        let mut process = ringcast(&["tap", socket])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary is there");
        let out = collect(process.stdout.take().expect("a pipe"));
        let errors = collect(process.stderr.take().expect("a pipe"));
        Self {
            process,
            out,
            errors,
        }
    }

    /// Until another message came out of it.
    fn goes_on(&self) {
        let before = self.out.lock().expect("no panic").len();
        wait_until("the tap prints", || {
            self.out.lock().expect("no panic").len() > before
        });
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn collect(output: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            collected.lock().expect("no panic").push(line);
        }
    });
    lines
}

/// The sequence of a line of the tap: `POSITION #SEQUENCE TOPIC …`.
fn sequence(line: &str) -> u64 {
    let (_, rest) = line.split_once('#').expect("a message");
    let (sequence, _) = rest.split_once(' ').expect("and its topic");
    sequence.parse().expect("a number")
}

#[test]
fn a_tap_that_is_stopped_is_lapped_and_nobody_waits_for_it() {
    let socket = temporary("tap.sock");
    let path = socket.to_str().expect("a text");
    let ring_bytes = 1 << 16;
    let server = Server::start(&[
        "limits.packet_bytes_max=16384",
        &format!("memory.ring_bytes={ring_bytes}"),
        &format!("ring.socket=\"{path}\""),
    ]);
    let traffic = Traffic::start(server.mqtt);
    let tap = Tap::start(path);
    tap.goes_on();
    freeze(&tap.process);
    let written = || server.metric("ringcast_ingest_published_record_bytes_total");
    let wanted = written() + 4 * ring_bytes;
    wait_until("four rings were written", || written() >= wanted);
    traffic.goes_on();
    assert_eq!(server.get("/healthz").0, 200);
    signal(&tap.process, Signal::SIGCONT);
    wait_until("the tap says so", || {
        let errors = tap.errors.lock().expect("no panic");
        errors.iter().any(|line| line.contains("lapped: "))
    });
    tap.goes_on();
    traffic.finish();
    // What it printed is in order; where it was lapped there is a gap, and only there.
    let lines = tap.out.lock().expect("no panic").clone();
    let sequences: Vec<_> = lines.iter().map(|line| sequence(line)).collect();
    let gaps = sequences.windows(2).filter(|pair| pair[1] != pair[0] + 1);
    let gaps = gaps.inspect(|pair| assert!(pair[1] > pair[0], "{pair:?}"));
    let laps = tap.errors.lock().expect("no panic").len();
    assert!((1..=laps).contains(&gaps.count()), "{laps} laps");
    server.stop();
    assert!(!socket.exists(), "the socket is gone with the engine");
}

const TOPICS: usize = 10;

/// A publisher, and a subscriber that follows it, so that only those are too slow who are
/// meant to be.
struct Pair {
    publisher: Client,
    healthy: Client,
    number: usize,
}

impl Pair {
    fn new(server: &Server, filter: &str) -> Self {
        let publisher = Client::connect(server.mqtt, Version::V5, "publisher");
        let mut healthy = Client::connect(server.mqtt, Version::V311, "healthy");
        healthy.subscribe(filter);
        Self {
            publisher,
            healthy,
            number: 0,
        }
    }

    /// A message for each topic, which the healthy one gets.
    fn publish_round(&mut self, root: &str) {
        for topic in 0..TOPICS {
            let payload = format!("{} {}", self.number, "x".repeat(2_000));
            let topic = format!("{root}/{topic}");
            self.publisher.publish(&topic, payload.as_bytes(), false);
        }
        for _ in 0..TOPICS {
            assert_eq!(self.healthy.message().number(), self.number as u64);
        }
        self.number += 1;
    }
}

/// A mosquitto_sub that is subscribed.
fn mosquitto_sub(server: &Server, filter: &str) -> Listener {
    let subscribed = server.metric("ringcast_subscribed_total");
    let listener = Listener::start(Library::Mosquitto, Version::V5, server.mqtt, filter);
    server.wait_for_metric("ringcast_subscribed_total", subscribed + 1);
    listener.expect("mosquitto has to be there")
}

fn number(payload: &str) -> usize {
    let (number, _) = payload.split_once(' ').expect("a number and padding");
    number.parse().expect("a number")
}

#[test]
fn a_subscriber_that_is_stopped_gets_the_newest_of_what_may_be_conflated() {
    let class = "class=[{filter=\"values/#\", slow=\"conflate\"}]";
    let server = Server::start(&[class, "slow.lag_bytes=65536"]);
    let listener = mosquitto_sub(&server, "values/#");
    let mut pair = Pair::new(&server, "values/#");
    pair.publish_round("values");
    freeze(&listener.process);
    wait_until("it lags", || {
        pair.publish_round("values");
        server.metric("ringcast_lagging_connections") == 1
    });
    for _ in 0..200 {
        pair.publish_round("values");
    }
    let last = pair.number - 1;
    signal(&listener.process, Signal::SIGCONT);
    let mut newest: BTreeMap<String, usize> = BTreeMap::new();
    let mut messages = 0;
    while newest.len() < TOPICS || newest.values().any(|&number| number < last) {
        let got = listener.message().expect("it is connected");
        let number = number(&got.payload);
        if let Some(before) = newest.insert(got.topic, number) {
            assert!(number > before, "{number} after {before}");
        }
        messages += 1;
    }
    assert!(
        messages < pair.number * TOPICS,
        "{messages}: some were left out"
    );
    server.wait_for_metric("ringcast_lagging_connections", 0);
    // It follows again.
    pair.publish_round("values");
    for _ in 0..TOPICS {
        assert_eq!(
            number(&listener.message().expect("it is connected").payload),
            last + 1
        );
    }
    assert_eq!(server.metric("ringcast_ended_too_slow_total"), 0);
    drop(listener);
    server.stop();
}

#[test]
fn a_subscriber_that_is_stopped_is_closed_when_its_queue_is_full() {
    let server = Server::start(&["slow.queue_messages=500", "slow.lag_bytes=65536"]);
    let listener = mosquitto_sub(&server, "orders/#");
    let mut pair = Pair::new(&server, "orders/#");
    pair.publish_round("orders");
    freeze(&listener.process);
    wait_until("it was too slow", || {
        pair.publish_round("orders");
        server.metric("ringcast_ended_too_slow_total") == 1
    });
    let missed = pair.number;
    // The queue's 500, and what sockets and streams hold; not all that there is memory for.
    let sent = missed * TOPICS;
    assert!((500..4_000).contains(&sent), "{sent} messages");
    pair.publish_round("orders");
    server.wait_for_metric("ringcast_connections", 2);
    let subscribed = server.metric("ringcast_subscribed_total");
    signal(&listener.process, Signal::SIGCONT);
    // It gets what the kernel had for it, sees the end, and comes back by itself.
    server.wait_for_metric("ringcast_subscribed_total", subscribed + 1);
    pair.publish_round("orders");
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    while next.values().filter(|&&next| next == pair.number).count() < TOPICS {
        let got = listener.message().expect("it is connected");
        let number = number(&got.payload);
        let next = next.entry(got.topic).or_insert(0);
        let is_back = number == pair.number - 1;
        assert!(
            number == *next || is_back,
            "{number}: a gap, but for the end"
        );
        assert!(*next < missed, "what was too much never comes");
        *next = number + 1;
    }
    drop(listener);
    server.stop();
}
