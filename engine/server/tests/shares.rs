//! A shared subscription with members on three shards, while messages flow: who is there
//! gets an even share, and who joins, leaves, stalls or dies costs nobody a message.

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, scope};
use std::time::{Duration, Instant};
use support::client::{Client, Hello, PUBACK, Publish, Version};
use support::server::Server;
use support::wait_until;

const MEMBERS: usize = 6;
const PUBLISHERS: u64 = 4;

/// Messages a second, of all publishers together.
const RATE: u32 = 10_500;

/// Messages of one publisher that may wait to be acknowledged.
const WINDOW: usize = 256;

/// Messages while only equal members are there, and while others come and go.
const QUIET: u64 = 6_000;
const STORMY: u64 = 20_000;

const SHARED: &str = "$share/desks/orders/+";

/// Who acknowledged which message, and how many were given to who did not.
#[derive(Default)]
struct Ledger {
    acknowledged: Mutex<BTreeMap<u64, Vec<usize>>>,
    lost: AtomicU64,
}

impl Ledger {
    fn note(&self, number: u64, member: usize) {
        let mut acknowledged = self.acknowledged.lock().expect("nobody panics with it");
        acknowledged.entry(number).or_default().push(member);
    }

    fn count(&self) -> u64 {
        self.acknowledged
            .lock()
            .expect("nobody panics with it")
            .len() as u64
    }
}

/// Takes and acknowledges until it is told to end on a topic of its own.
fn serve(address: SocketAddr, member: usize, ledger: &Ledger) {
    let version = [Version::V311, Version::V5][member % 2];
    let mut client = Client::connect(address, version, &format!("member {member}"));
    client.subscribe_at(1, SHARED);
    client.subscribe_at(1, &format!("end/{member}"));
    loop {
        let message = client.take();
        if message.topic.starts_with("end/") {
            return;
        }
        ledger.note(message.number(), member);
    }
}

/// Connects, takes some without a word, and is gone; again and again.
fn die(address: SocketAddr, ledger: &Ledger, over: &AtomicBool) {
    for round in 0.. {
        if over.load(SeqCst) {
            return;
        }
        let mut client = Client::connect(address, Version::V5, &format!("mortal {round}"));
        client.subscribe_at(1, SHARED);
        for _ in 0..round % 20 {
            if over.load(SeqCst) {
                break;
            }
            client.message();
            ledger.lost.fetch_add(1, SeqCst);
        }
    }
}

/// Connects, takes and acknowledges some, takes its subscription back and leaves.
fn leave(address: SocketAddr, ledger: &Ledger, over: &AtomicBool) {
    for round in 0.. {
        if over.load(SeqCst) {
            return;
        }
        let mut client = Client::connect(address, Version::V311, &format!("guest {round}"));
        client.subscribe_at(1, SHARED);
        for _ in 0..round % 20 {
            if over.load(SeqCst) {
                break;
            }
            ledger.note(client.take().number(), MEMBERS);
        }
        client.unsubscribe(SHARED);
        client.disconnect();
    }
}

/// Messages with these numbers, from several publishers, all together so many a second or as
/// many as go. Returns when all are acknowledged.
fn publish(address: SocketAddr, numbers: Range<u64>) {
    let began = Instant::now();
    let publish = |place| {
        let id = format!("publisher {place}");
        let mut client = Client::connect(address, Version::V5, &id);
        let mut waiting = VecDeque::new();
        for number in numbers
            .clone()
            .filter(|number| number % PUBLISHERS == place)
        {
            let due = Duration::from_secs(number - numbers.start) / RATE;
            thread::sleep(due.saturating_sub(began.elapsed()));
            if waiting.len() == WINDOW {
                await_first(&mut client, &mut waiting);
            }
            let topic = format!("orders/{}", number % 7);
            let body = number.to_string();
            let publish = Publish::new(1, client.next_id(), &topic, body.as_bytes());
            client.send(&publish.packet(Version::V5));
            waiting.push_back(publish.id);
        }
        while !waiting.is_empty() {
            await_first(&mut client, &mut waiting);
        }
    };
    scope(|scope| {
        for place in 0..PUBLISHERS {
            scope.spawn(move || publish(place));
        }
    });
    let messages = numbers.end - numbers.start;
    let rate = messages as f64 / began.elapsed().as_secs_f64();
    eprintln!("{messages} messages, {rate:.0} a second");
}

fn await_first(client: &mut Client, waiting: &mut VecDeque<u16>) {
    let first = waiting.pop_front().expect("one waits");
    client.await_acknowledgement(PUBACK, first);
}

#[test]
fn each_message_goes_to_one_member_whoever_comes_and_goes() {
    let server = Server::start(&["cores.shards=[0, 0, 1]"]);
    let address = server.mqtt;
    let ledger = Ledger::default();
    let over = AtomicBool::new(false);
    scope(|scope| {
        let ledger = &ledger;
        for member in 0..MEMBERS {
            scope.spawn(move || serve(address, member, ledger));
        }
        let members = || server.metric("ringcast_share_members");
        // Each of three shards knows them all.
        wait_until("all are members", || members() == 3 * MEMBERS as u64);
        publish(address, 0..QUIET);
        wait_until("all are acknowledged", || ledger.count() == QUIET);
        let mut shares = [0; MEMBERS];
        for (number, members) in ledger.acknowledged.lock().expect("no panic").iter() {
            assert_eq!(members.len(), 1, "{number} went to {members:?}");
            shares[members[0]] += 1;
        }
        let even = QUIET / MEMBERS as u64;
        for share in shares {
            assert!(even.abs_diff(share) * 100 <= even, "{shares:?}");
        }

        let mut stalled = Client::let_in(address, &Hello::new(Version::V5, "stalled"));
        stalled.subscribe_at(1, SHARED);
        let mortal = scope.spawn(|| die(address, ledger, &over));
        let guest = scope.spawn(|| leave(address, ledger, &over));
        publish(address, QUIET..QUIET + STORMY);
        over.store(true, SeqCst);
        // Who waits for one more message gets one.
        let mut last = Client::connect(address, Version::V5, "last");
        let mut number = QUIET + STORMY;
        while !mortal.is_finished() || !guest.is_finished() {
            last.publish_at(1, "orders/0", number.to_string().as_bytes());
            number += 1;
        }
        // What the one that stalls had been given goes to others when it is gone.
        drop(stalled);
        wait_until("all are acknowledged", || ledger.count() == number);
        for member in 0..MEMBERS {
            last.publish_at(1, &format!("end/{member}"), b"end");
        }
    });
    for (number, members) in ledger.acknowledged.lock().expect("no panic").iter() {
        assert_eq!(members.len(), 1, "{number} went to {members:?}");
    }
    let lost = ledger.lost.load(SeqCst);
    assert!(lost > 100, "only {lost} went to somebody who died");
}
