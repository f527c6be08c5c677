//! What a client gets that stops reading, by the policy of its topics: within 512 KiB of
//! stalling the engine treats it as the policy says, and when it reads again it gets what
//! the policy leaves it. Others get everything.

mod support;

use std::sync::mpsc;
use std::thread;
use support::client::{Client, Ending, Version};
use support::server::Server;

/// A message's payload: its number, and filling.
const PAYLOAD_BYTES: usize = 1_000;

/// Messages that are published while a client reads nothing: 512 KiB of them.
const STALLED: usize = 512 * 1024 / PAYLOAD_BYTES;

/// Messages that follow when it reads again.
const AFTER: usize = 20;

struct Stage {
    server: Server,
    publisher: Client,
    healthy: Client,
    stalled: Client,
    number: usize,
}

impl Stage {
    fn new(policy: &str) -> Self {
        let class = format!("class=[{{filter=\"t/#\", slow=\"{policy}\"}}]");
        let server = Server::start(&[&class]);
        let publisher = Client::connect(server.mqtt, Version::V5, "publisher");
        let mut healthy = Client::connect(server.mqtt, Version::V311, "healthy");
        healthy.subscribe("t/+");
        let mut stalled = Client::connect(server.mqtt, Version::V5, "stalled");
        stalled.subscribe("t/#");
        Self {
            server,
            publisher,
            healthy,
            stalled,
            number: 0,
        }
    }

    /// So many messages, each on its way to the healthy one before the next.
    fn publish(&mut self, count: usize) {
        for _ in 0..count {
            let payload = format!("{:0>PAYLOAD_BYTES$}", self.number);
            self.publisher.publish("t/1", payload.as_bytes(), false);
            assert_eq!(self.healthy.message().number(), self.number as u64);
            self.number += 1;
        }
    }

    /// All numbers that the stalled one gets, up to the last that was published.
    fn read_all(&mut self) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.last() != Some(&(self.number as u64 - 1)) {
            numbers.push(self.stalled.message().number());
        }
        assert!(numbers.is_sorted_by(|a, b| a < b), "in order, each once");
        numbers
    }
}

#[test]
fn a_queue_keeps_everything() {
    let mut stage = Stage::new("queue");
    stage.publish(STALLED);
    stage
        .server
        .wait_for_metric("ringcast_lagging_connections", 1);
    stage.publish(AFTER);
    assert_eq!(stage.read_all().len(), STALLED + AFTER);
    stage
        .server
        .wait_for_metric("ringcast_lagging_connections", 0);
    stage.server.stop();
}

#[test]
fn a_conflated_client_ends_on_the_newest() {
    let mut stage = Stage::new("conflate");
    stage.publish(STALLED);
    stage
        .server
        .wait_for_metric("ringcast_lagging_connections", 1);
    let numbers = stage.read_all();
    assert!(numbers.len() < STALLED, "{} of {STALLED}", numbers.len());
    stage
        .server
        .wait_for_metric("ringcast_lagging_connections", 0);
    stage.publish(AFTER);
    assert_eq!(stage.read_all().len(), AFTER);
    stage.server.stop();
}

#[test]
fn a_dropping_client_goes_on_with_the_newest() {
    let mut stage = Stage::new("drop");
    stage.publish(STALLED);
    stage
        .server
        .wait_for_metric("ringcast_lagging_connections", 1);
    let (teller, hearer) = mpsc::channel();
    let mut stalled = stage.stalled;
    let reader = thread::spawn(move || {
        while let Ok(message) = stalled.try_message() {
            teller.send(message.number()).expect("somebody hears");
        }
    });
    stage
        .server
        .wait_for_metric("ringcast_lagging_connections", 0);
    for number in STALLED..STALLED + AFTER {
        let payload = format!("{number:0>PAYLOAD_BYTES$}");
        stage.publisher.publish("t/1", payload.as_bytes(), false);
    }
    let mut numbers = Vec::new();
    while numbers.last() != Some(&((STALLED + AFTER) as u64 - 1)) {
        numbers.push(hearer.recv().expect("it is connected"));
    }
    // What was on its way to it when it stalled, and what came after.
    let before = numbers.len() - AFTER;
    assert!(before < STALLED, "{before} of {STALLED}");
    let expected = (0..before).chain(STALLED..STALLED + AFTER);
    assert!(numbers.into_iter().eq(expected.map(|number| number as u64)));
    let dropped = (STALLED - before) as u64;
    stage
        .server
        .wait_for_metric("ringcast_drops_total", dropped);
    stage.server.stop();
    reader.join().expect("it read");
}

#[test]
fn others_are_closed() {
    for policy in ["disconnect", "resync"] {
        let mut stage = Stage::new(policy);
        stage.publish(STALLED);
        stage
            .server
            .wait_for_metric("ringcast_ended_too_slow_total", 1);
        let (messages, ending) = stage.stalled.end();
        assert!(messages < STALLED, "{messages} of {STALLED}");
        // In the middle of a frame nothing can be said.
        assert!(
            ending == Ending::Told(0x97) || ending == Ending::Closed,
            "{ending:?}"
        );
        stage.server.stop();
    }
}
