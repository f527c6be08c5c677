//! Many publishers and many subscribers on three shards, while others come and go: every
//! subscriber gets every message once, and those of one publisher on one topic in their
//! order. All of it goes through the referee's recorder.

mod support;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ringcast_referee::Rule;
use ringcast_referee::recorder::Recorder;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use support::client::{Client, Version};
use support::proof::assert_lawful;
use support::server::Server;
use support::wait_until;

const PUBLISHERS: usize = 6;
const SUBSCRIBERS: usize = 6;
const TOPICS: usize = 20;
const OTHERS: usize = 20;

/// How often each of the others comes and goes.
const ROUNDS: usize = 10;

/// Messages of each publisher at least.
const MESSAGES_MIN: u64 = 500;

/// How far each publisher is ahead of the slowest subscriber at most.
const AHEAD_MAX: u64 = 32;

const RULES: [Rule; 9] = [
    Rule::Form,
    Rule::Mqtt5Only,
    Rule::Answered,
    Rule::SubackCodes,
    Rule::Subscribed,
    Rule::Published,
    Rule::Unchanged,
    Rule::Order,
    Rule::Once,
];

/// What publishers look at.
struct Progress {
    /// Of each subscriber, how many messages of each publisher it has.
    got: [[AtomicU64; PUBLISHERS]; SUBSCRIBERS],
    /// Others that still come and go.
    others: AtomicUsize,
}

#[test]
fn order_and_completeness_while_others_come_and_go() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("Linux has it");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard one");
    let server = Server::start(&["cores.shards=[0, 0, 1]"]);
    let recorder = Recorder::start(server.mqtt).expect("a recorder");
    let address = recorder.address();
    let progress = Arc::new(Progress {
        got: Default::default(),
        others: AtomicUsize::new(OTHERS),
    });
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|place| subscribe(address, place, &progress))
        .collect();
    let others: Vec<_> = (0..OTHERS)
        .map(|place| come_and_go(address, place, &progress))
        .collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|place| publish(address, place, &progress))
        .collect();
    let mut published = Vec::new();
    for publisher in publishers {
        published.push(publisher.join().expect("the publisher is content"));
    }
    for other in others {
        other.join().expect("the other is content");
    }
    for subscriber in subscribers {
        assert_eq!(subscriber.join().expect("in order"), published);
    }
    server.wait_for_metric("ringcast_connections", 0);
    assert_eq!(server.metric("ringcast_lags_total"), 0);
    let all: u64 = published.iter().sum();
    server.wait_for_metric("ringcast_published_total", all + PUBLISHERS as u64);
    server.stop();
    assert_lawful(recorder, &[], &RULES);
}

/// How many messages it gets of each publisher, each of them in its place.
fn subscribe(server: SocketAddr, place: usize, progress: &Arc<Progress>) -> JoinHandle<Vec<u64>> {
    let version = [Version::V311, Version::V5][place % 2];
    let mut client = Client::connect(server, version, &format!("subscriber-{place}"));
    match place % 3 {
        0 => client.subscribe("order/#"),
        1 => client.subscribe("order/+"),
        _ => {
            client.subscribe("order/end");
            (0..TOPICS).for_each(|topic| client.subscribe(&format!("order/{topic}")));
        }
    }
    let progress = Arc::clone(progress);
    std::thread::spawn(move || {
        let mut next: BTreeMap<(String, usize), u64> = BTreeMap::new();
        let mut ended = 0;
        while ended < PUBLISHERS {
            let message = client.message();
            let text = String::from_utf8(message.payload).expect("a text");
            let (publisher, number) = text.split_once(' ').expect("two numbers");
            let publisher: usize = publisher.parse().expect("a number");
            if message.topic == "order/end" {
                ended += 1;
                continue;
            }
            let next = next.entry((message.topic, publisher)).or_default();
            assert_eq!(number, next.to_string(), "a gap, or one twice: {text}");
            *next += 1;
            progress.got[place][publisher].fetch_add(1, SeqCst);
        }
        client.disconnect();
        let got = progress.got[place].iter();
        got.map(|got| got.load(SeqCst)).collect()
    })
}

/// Publishes to all topics in turn, each of its messages with its number on that topic,
/// until there were enough and all others are done. Returns how many.
fn publish(server: SocketAddr, place: usize, progress: &Arc<Progress>) -> JoinHandle<u64> {
    let version = [Version::V5, Version::V311][place % 2];
    let mut client = Client::connect(server, version, &format!("publisher-{place}"));
    let progress = Arc::clone(progress);
    std::thread::spawn(move || {
        let mut published = 0;
        let mut next = [0_u64; TOPICS];
        while published < MESSAGES_MIN || progress.others.load(SeqCst) > 0 {
            wait_until("the slowest follows", || {
                let got = progress.got.iter().map(|got| got[place].load(SeqCst));
                published - got.min().unwrap_or(0) < AHEAD_MAX
            });
            // Each goes through the topics with another stride.
            let topic = (published as usize * [1, 3, 7, 9, 11, 13][place]) % TOPICS;
            let payload = format!("{place} {}", next[topic]);
            client.publish(&format!("order/{topic}"), payload.as_bytes(), false);
            next[topic] += 1;
            published += 1;
        }
        client.publish("order/end", format!("{place} 0").as_bytes(), false);
        client.ping();
        client.disconnect();
        published
    })
}

/// Comes, subscribes to this and that, gets some of it, and goes: with a word or without.
fn come_and_go(server: SocketAddr, place: usize, progress: &Arc<Progress>) -> JoinHandle<()> {
    let progress = Arc::clone(progress);
    std::thread::spawn(move || {
        let version = [Version::V311, Version::V5][place % 2];
        for round in 0..ROUNDS {
            let mut client = Client::connect(server, version, &format!("other-{place}"));
            let own = format!("order/{}", (place + round) % TOPICS);
            client.subscribe(&own);
            if round % 3 == 0 {
                client.subscribe("order/#");
            }
            client.message();
            client.unsubscribe(&own);
            if round % 3 == 1 {
                client.subscribe("order/+");
                client.message();
            }
            if round % 2 == 0 {
                client.disconnect();
            }
        }
        progress.others.fetch_sub(1, SeqCst);
    })
}
