//! Messages that flow while something else happens: a publisher that numbers them, and
//! subscribers each of which has to get all of them, in order. The publisher is at most a
//! few messages ahead of the slowest, so that nobody is ever too slow.

use super::client::{Client, Version};
use super::wait_until;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;

const TOPIC: &str = "traffic/numbers";

/// How far ahead the publisher is at most.
const AHEAD_MAX: u64 = 64;

/// Who subscribes, so that all shards have somebody as a rule.
const SUBSCRIBERS: usize = 4;

/// Messages that flow until [`Self::finish`].
pub(crate) struct Traffic {
    is_over: Arc<AtomicBool>,
    got: Arc<[AtomicU64]>,
    publisher: JoinHandle<u64>,
    subscribers: Vec<JoinHandle<()>>,
}

impl Traffic {
    pub(crate) fn start(server: SocketAddr) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let got: Arc<[AtomicU64]> = (0..SUBSCRIBERS).map(|_| AtomicU64::new(0)).collect();
        let subscribe = |place: usize| {
            let version = [Version::V311, Version::V5][place % 2];
            let mut client = Client::connect(server, version, &format!("traffic-{place}"));
            client.subscribe(TOPIC);
            let got = Arc::clone(&got);
            std::thread::spawn(move || {
                for expected in 0.. {
                    let message = client.message();
                    if message.payload == b"end" {
                        return client.disconnect();
                    }
                    assert_eq!(message.number(), expected, "in order, each once");
                    got[place].store(expected + 1, SeqCst);
                }
            })
        };
        let subscribers = (0..SUBSCRIBERS).map(subscribe).collect();
        let publisher = {
            let (is_over, got) = (Arc::clone(&is_over), Arc::clone(&got));
            std::thread::spawn(move || publish(server, &is_over, &got))
        };
        Self {
            is_over,
            got,
            publisher,
            subscribers,
        }
    }

    /// What the slowest has.
    pub(crate) fn count(&self) -> u64 {
        slowest(&self.got)
    }

    /// Until some more have come: whatever happened, it has not stopped.
    pub(crate) fn goes_on(&self) {
        let wanted = self.count() + 2 * AHEAD_MAX;
        wait_until("messages still come", || self.count() >= wanted);
    }

    /// Everybody has got everything.
    pub(crate) fn finish(self) -> u64 {
        self.is_over.store(true, SeqCst);
        let published = self.publisher.join().expect("the publisher is content");
        for subscriber in self.subscribers {
            subscriber.join().expect("the subscriber is content");
        }
        assert_eq!(slowest(&self.got), published);
        published
    }
}

fn slowest(got: &[AtomicU64]) -> u64 {
    got.iter().map(|got| got.load(SeqCst)).min().unwrap_or(0)
}

fn publish(server: SocketAddr, is_over: &AtomicBool, got: &[AtomicU64]) -> u64 {
    let mut client = Client::connect(server, Version::V5, "traffic");
    let mut number = 0;
    while !is_over.load(SeqCst) {
        wait_until("the slowest follows", || number - slowest(got) < AHEAD_MAX);
        client.publish(TOPIC, number.to_string().as_bytes(), false);
        number += 1;
    }
    client.publish(TOPIC, b"end", false);
    client.ping();
    client.disconnect();
    number
}
