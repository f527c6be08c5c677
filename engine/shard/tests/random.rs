//! Clients of all kinds against an oracle: they come and go, subscribe and take back, publish,
//! stall and go on, at random. What each gets is held against what was published.
//!
//! - Nothing arrives that no subscription of the client's matches, or from before it was
//!   made, or from after it was taken back.
//! - Messages of a topic arrive in order, each once.
//! - Who was never slow gets everything. Who was gets what the class of the topic promises:
//!   all of `queue`, or an end; the newest of `conflate`; all of `strict`, or an end.

mod support;

use ringcast_codec::mqtt::{Delivery, QoS};
use ringcast_codec::mqtt::{
    Disconnect, FilterBlock, Packet, PacketId, Properties, Property, PropertyBlock, Publish,
    ReasonCode, RetainHandling, Subscribe, SubscriptionBlock, SubscriptionIdentifier,
    SubscriptionOptions, TopicFilter, TopicName, Unsubscribe, Version,
};
use ringcast_shard::Settings;
use std::collections::{BTreeMap, BTreeSet};
use support::{Peer, Random, World, block, connect, packets, tiny};

const TOPICS: [&str; 9] = [
    "queue/a",
    "queue/b",
    "queue/c/d",
    "conflate/a",
    "conflate/b",
    "conflate/c",
    "drop/a",
    "strict/a",
    "other",
];

const FILTERS: [&str; 14] = [
    "#",
    "queue/#",
    "queue/a",
    "queue/+",
    "conflate/#",
    "conflate/a",
    "conflate/b",
    "+/a",
    "+/+/d",
    "drop/#",
    "strict/#",
    "other",
    "conflate/+",
    "nothing/here",
];

/// A message, by the token in its payload.
#[derive(Debug, Clone)]
struct Sent {
    topic: &'static str,
    token: u64,
    retain: bool,
    publisher: Option<Peer>,
    /// Its number; none while it is on its way up.
    sequence: Option<u64>,
}

/// A subscription, and when it can have taken effect, by sequence numbers.
#[derive(Debug, Clone)]
struct Subscription {
    filter: &'static str,
    no_local: bool,
    retain_as_published: bool,
    identifier: u32,
    asked: u64,
    granted: Option<u64>,
    taken_back: Option<u64>,
    gone: Option<u64>,
}

#[derive(Debug)]
struct Client {
    peer: Peer,
    version: Version,
    id: String,
    rest: Vec<u8>,
    subscriptions: Vec<Subscription>,
    /// Requests that are not answered, by packet identifier: the subscriptions that they
    /// are about.
    requests: BTreeMap<u16, Vec<usize>>,
    next_id: u16,
    connected: bool,
    /// It was slow at least once.
    was_slow: bool,
    is_stalled: bool,
    ended: Option<ReasonCode>,
    last_seen: BTreeMap<String, u64>,
    got: BTreeSet<u64>,
    pings: u32,
}

struct Story {
    world: World,
    random: Random,
    clients: Vec<Client>,
    past: Vec<Client>,
    sent: Vec<Sent>,
    steps: Vec<String>,
}

impl Story {
    fn new(seed: u64) -> Self {
        Self {
            world: World::new(Settings {
                // So that sweeps stop in their middle.
                turn_sends_max: [256, 1, 3][seed as usize % 3],
                ..tiny()
            }),
            random: Random(seed),
            clients: Vec::new(),
            past: Vec::new(),
            sent: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=7 => self.connect(),
            8..=19 => self.subscribe(),
            20..=25 => self.unsubscribe(),
            26..=55 => self.feed(),
            56..=62 => self.publish(),
            63..=67 => self.stall(),
            68..=72 => self.go_on(),
            73..=74 => self.leave(),
            75..=77 => self.ping(),
            78..=82 => self.take_all(),
            _ => self.turn(),
        }
    }

    fn note(&mut self, text: String) {
        self.steps.push(text);
    }

    fn client(&mut self) -> Option<usize> {
        let count = self.clients.len();
        (count > 0).then(|| self.random.below(count))
    }

    fn connect(&mut self) {
        let id = format!("client {}", self.random.below(12));
        if let Some(at) = self.clients.iter().position(|client| client.id == id) {
            // A takeover: the old one gets no more.
            let client = self.clients.remove(at);
            self.past.push(client);
        }
        let version = *self.random.of(&[Version::V31, Version::V311, Version::V5]);
        let peer = self.world.connect(&connect(version, &id), b"");
        self.note(format!("{peer}: {id} connects with {version:?}"));
        self.world.wire.read_bytes_max = *self.random.of(&[1, 3, 20, 64 * 1024]);
        self.clients.push(Client {
            peer,
            version,
            id,
            rest: Vec::new(),
            subscriptions: Vec::new(),
            requests: BTreeMap::new(),
            next_id: 1,
            connected: false,
            was_slow: false,
            is_stalled: false,
            ended: None,
            last_seen: BTreeMap::new(),
            got: BTreeSet::new(),
            pings: 0,
        });
    }

    fn subscribe(&mut self) {
        let Some(at) = self.client() else { return };
        let mut subscriptions = SubscriptionBlock::new();
        let mut about = Vec::new();
        let is_v5 = self.clients[at].version == Version::V5;
        let identifier = if is_v5 {
            self.random.below(4) as u32
        } else {
            0
        };
        for _ in 0..=self.random.below(3) {
            let filter = *self.random.of(&FILTERS);
            if about
                .iter()
                .any(|at_: &usize| self.clients[at].subscriptions[*at_].filter == filter)
            {
                continue;
            }
            let options = SubscriptionOptions {
                qos: QoS::AtMostOnce,
                no_local: is_v5 && self.random.below(4) == 0,
                retain_as_published: is_v5 && self.random.below(2) == 0,
                retain_handling: match self.random.below(4) {
                    0 if is_v5 => RetainHandling::DoNotSend,
                    1 if is_v5 => RetainHandling::SendIfNew,
                    _ => RetainHandling::Send,
                },
            };
            subscriptions.push(TopicFilter::new(filter).unwrap(), options);
            about.push(self.clients[at].subscriptions.len());
            self.clients[at].subscriptions.push(Subscription {
                filter,
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                identifier,
                asked: self.world.sequence,
                granted: None,
                taken_back: None,
                gone: None,
            });
        }
        let properties = match SubscriptionIdentifier::new(identifier) {
            Some(identifier) => block(Property::SubscriptionIdentifier(identifier)),
            None => PropertyBlock::new(),
        };
        let client = &mut self.clients[at];
        let packet_id = client.request(about);
        let text = format!(
            "{}: subscribes {:?}",
            client.peer,
            subscriptions.subscriptions()
        );
        let packet = Packet::Subscribe(Subscribe {
            packet_id,
            properties: properties.properties(),
            subscriptions: subscriptions.subscriptions(),
        });
        self.world.send(client.peer, client.version, &packet);
        self.note(text);
    }

    fn unsubscribe(&mut self) {
        let Some(at) = self.client() else { return };
        let filter = *self.random.of(&FILTERS);
        let client = &mut self.clients[at];
        let now = self.world.sequence;
        let mut about = Vec::new();
        for (place, subscription) in client.subscriptions.iter_mut().enumerate() {
            if subscription.filter == filter && subscription.taken_back.is_none() {
                subscription.taken_back = Some(now);
                about.push(place);
            }
        }
        let packet_id = client.request(about);
        let mut filters = FilterBlock::new();
        filters.push(TopicFilter::new(filter).unwrap());
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id,
            properties: Properties::EMPTY,
            filters: filters.filters(),
        });
        self.world.send(client.peer, client.version, &packet);
        let text = format!("{}: unsubscribes {filter}", client.peer);
        self.note(text);
    }

    fn message(&mut self, publisher: Option<Peer>) -> (usize, Vec<u8>) {
        let token = self.sent.len() as u64;
        let size = *self.random.of(&[0, 1, 30, 200, 900]);
        let payload = format!("{token}:{:size$}", "").into_bytes();
        let topic = *self.random.of(&TOPICS);
        let retain = topic.starts_with("conflate") || self.random.below(8) == 0;
        self.sent.push(Sent {
            topic,
            token,
            retain,
            publisher,
            sequence: None,
        });
        (token as usize, payload)
    }

    fn feed(&mut self) {
        let most = *self.random.of(&[1, 1, 5, 60]);
        let count = 1 + self.random.below(most);
        for _ in 0..count {
            self.sequence();
            let (at, payload) = self.message(None);
            let Sent { topic, retain, .. } = self.sent[at];
            if self.world.feed(topic, &payload, retain) {
                self.sent[at].sequence = Some(self.world.sequence);
            } else {
                self.sent.pop();
                self.turn();
            }
        }
        self.note(format!(
            "{count} messages, the last is {}",
            self.world.sequence
        ));
    }

    fn publish(&mut self) {
        let Some(at) = self.client() else { return };
        let (peer, version) = (self.clients[at].peer, self.clients[at].version);
        let (token, payload) = self.message(Some(peer));
        let Sent { topic, retain, .. } = self.sent[token];
        let packet = Packet::Publish(Publish {
            delivery: Delivery::AtMostOnce,
            retain,
            topic: Some(TopicName::new(topic).unwrap()),
            properties: Properties::EMPTY,
            payload: &payload,
        });
        self.world.send(peer, version, &packet);
        self.note(format!("{peer}: publishes {token} on {topic}"));
    }

    fn stall(&mut self) {
        let Some(at) = self.client() else { return };
        let capacity = self.random.below(3_000);
        let client = &mut self.clients[at];
        client.is_stalled = true;
        client.was_slow = true;
        let peer = client.peer;
        self.world.wire.pipes.get_mut(&peer).unwrap().capacity = capacity;
        self.note(format!("{peer}: takes {capacity} bytes"));
    }

    fn go_on(&mut self) {
        let Some(at) = self.client() else { return };
        let peer = self.clients[at].peer;
        if self.random.below(2) == 0 {
            self.clients[at].is_stalled = false;
            self.world.wire.pipes.get_mut(&peer).unwrap().capacity = usize::MAX;
        }
        self.take(at);
        self.note(format!("{peer}: takes what there is"));
    }

    fn leave(&mut self) {
        let Some(at) = self.client() else { return };
        let client = self.clients.remove(at);
        self.note(format!("{}: leaves", client.peer));
        if self.random.below(2) == 0 {
            let goodbye = Packet::Disconnect(Disconnect {
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            });
            self.world.send(client.peer, client.version, &goodbye);
        } else {
            self.world.wire.end(client.peer);
        }
        self.past.push(client);
    }

    fn ping(&mut self) {
        let Some(at) = self.client() else { return };
        let client = &mut self.clients[at];
        client.pings += 1;
        self.world
            .send(client.peer, client.version, &Packet::Pingreq);
    }

    /// Sequences what clients published, and notes its numbers.
    fn sequence(&mut self) {
        let before = self.world.sequence;
        self.world.sequence_uplink();
        for sequence in before + 1..=self.world.sequence {
            let at = self.world.shard_token(sequence);
            self.sent[at as usize].sequence = Some(sequence);
        }
    }

    fn turn(&mut self) {
        for _ in 0..=self.random.below(4) {
            self.sequence();
            self.world.turn();
        }
        // What was answered by now counts from now on.
        for at in 0..self.clients.len() {
            if !self.clients[at].is_stalled {
                self.take(at);
            }
        }
    }

    fn take_all(&mut self) {
        for at in 0..self.clients.len() {
            self.take(at);
        }
    }

    /// A client takes what there is, and looks at it.
    fn take(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let mut bytes = std::mem::take(&mut client.rest);
        bytes.extend(self.world.wire.take(client.peer));
        let version = client.version;
        let sent = &self.sent;
        let now = self.world.sequence;
        let rest = packets(version, &bytes, |packet| {
            client.on_packet(&packet, sent, now);
        });
        client.rest = rest;
    }

    /// Everybody takes everything, until nothing comes any more.
    fn end(&mut self) {
        self.world.wire.read_bytes_max = 64 * 1024;
        for client in &mut self.clients {
            client.is_stalled = false;
            self.world
                .wire
                .pipes
                .get_mut(&client.peer)
                .unwrap()
                .capacity = usize::MAX;
        }
        for _ in 0..1_000 {
            self.sequence();
            let busy = self.world.turn();
            let before: usize = self.clients.iter().map(|client| client.got.len()).sum();
            self.take_all();
            let after: usize = self.clients.iter().map(|client| client.got.len()).sum();
            if !busy && before == after {
                for client in &self.clients {
                    let pipe = &self.world.wire.pipes[&client.peer];
                    client.check(&self.sent, pipe.closed.is_some());
                }
                return;
            }
        }
        let counters = self.world.shard.counters();
        panic!("it never comes to rest: {counters:?}");
    }
}

impl Client {
    fn request(&mut self, about: Vec<usize>) -> PacketId {
        let id = self.next_id;
        self.next_id += 1;
        self.requests.insert(id, about);
        PacketId::new(id).unwrap()
    }

    fn on_packet(&mut self, packet: &Packet<'_>, sent: &[Sent], now: u64) {
        assert!(self.ended.is_none(), "nothing comes behind DISCONNECT");
        if !self.connected {
            let Packet::Connack(connack) = packet else {
                panic!("{packet:?} before CONNACK");
            };
            self.connected = true;
            if connack.reason.is_error() {
                self.ended = Some(connack.reason);
            }
            return;
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, sent, now),
            Packet::Suback(suback) => {
                let about = self
                    .requests
                    .remove(&suback.packet_id.get())
                    .expect("asked");
                for (at, reason) in about.into_iter().zip(suback.reasons.iter()) {
                    assert_eq!(reason, ReasonCode::Success);
                    self.subscriptions[at].granted = Some(now);
                    // One that it replaces is gone.
                    let filter = self.subscriptions[at].filter;
                    for before in &mut self.subscriptions[..at] {
                        if before.filter == filter {
                            before.taken_back.get_or_insert(before.asked);
                            before.gone.get_or_insert(now);
                        }
                    }
                }
            }
            Packet::Unsuback(unsuback) => {
                for at in self
                    .requests
                    .remove(&unsuback.packet_id.get())
                    .expect("asked")
                {
                    self.subscriptions[at].gone.get_or_insert(now);
                }
            }
            Packet::Pingresp => self.pings = self.pings.checked_sub(1).expect("it asked"),
            Packet::Disconnect(disconnect) => self.ended = Some(disconnect.reason),
            other => panic!("{other:?}"),
        }
    }

    fn on_publish(&mut self, publish: &Publish<'_>, sent: &[Sent], now: u64) {
        let topic = publish.topic.expect("no alias was given").as_str();
        let text = std::str::from_utf8(publish.payload).unwrap();
        let token: usize = text.split(':').next().unwrap().parse().unwrap();
        let message = &sent[token];
        assert_eq!((message.token, message.topic), (token as u64, topic));
        let sequence = message.sequence.expect("it was sequenced");
        let name = TopicName::new(topic).unwrap();
        let may: Vec<_> = self
            .subscriptions
            .iter()
            .filter(|one| TopicFilter::new(one.filter).unwrap().matches(name))
            .filter(|one| {
                one.gone
                    .is_none_or(|gone| sequence <= gone || publish.retain)
            })
            .collect();
        assert!(!may.is_empty(), "nobody asked for {message:?}");
        let identifiers: Vec<_> = publish.properties.subscription_identifiers().collect();
        for identifier in &identifiers {
            assert!(may.iter().any(|one| one.identifier == identifier.get()));
        }
        let last = self.last_seen.get(topic).copied().unwrap_or(0);
        let is_retained = publish.retain && !may.iter().any(|one| one.retain_as_published);
        // A message with RETAIN is a retained one, or was published so and is wanted so.
        assert!(!publish.retain || message.retain);
        if is_retained || (publish.retain && sequence <= last) {
            // Of topics whose messages are all retained it is the newest.
            let is_newest = sequence >= last || !topic.starts_with("conflate");
            assert!(sequence <= now && is_newest, "{last} before {message:?}");
        } else {
            let is_new = may.iter().any(|one| sequence > one.asked) || publish.retain;
            assert!(is_new, "{message:?} is older than {may:?}");
            assert!(sequence > last, "{last} before {message:?}");
            let is_own = message.publisher == Some(self.peer);
            assert!(
                !is_own || may.iter().any(|one| !one.no_local),
                "No Local: {message:?}"
            );
            self.got.insert(sequence);
        }
        self.last_seen.insert(topic.to_owned(), sequence.max(last));
    }

    /// At the end: nothing is missing that must not be.
    fn check(&self, sent: &[Sent], is_closed: bool) {
        if is_closed {
            assert!(self.was_slow, "{self:?} was closed");
            return;
        }
        assert!(self.requests.is_empty(), "{self:?} got no answer");
        assert_eq!(self.pings, 0);
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        for message in sent.iter().filter(|message| message.sequence.is_some()) {
            let sequence = message.sequence.unwrap();
            let name = TopicName::new(message.topic).unwrap();
            let is_own = message.publisher == Some(self.peer);
            let must = self.subscriptions.iter().any(|one| {
                TopicFilter::new(one.filter).unwrap().matches(name)
                    && one.granted.is_some_and(|granted| sequence > granted)
                    && one.taken_back.is_none_or(|taken| sequence <= taken)
                    && !(is_own && one.no_local)
            });
            if !must {
                continue;
            }
            newest.insert(message.topic, sequence);
            let may_miss = self.was_slow
                && (message.topic.starts_with("conflate") || message.topic.starts_with("drop"));
            assert!(
                may_miss
                    || self.got.contains(&sequence)
                    || self.last_seen.get(message.topic) == Some(&sequence),
                "{} misses {message:?}: {:?}",
                self.peer,
                self.subscriptions
            );
        }
        for (topic, sequence) in newest {
            if topic.starts_with("conflate") {
                assert!(
                    self.last_seen
                        .get(topic)
                        .is_some_and(|seen| *seen >= sequence),
                    "{} does not have the newest of {topic}, {sequence}: {:?}",
                    self.peer,
                    self.last_seen
                );
            }
        }
    }
}

fn run(seed: u64, steps: usize) -> ringcast_shard::Counters {
    let outcome = std::panic::catch_unwind(|| {
        let mut story = Story::new(seed);
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..steps {
                story.step();
            }
            story.end();
        }));
        if let Err(panic) = told {
            let last = story.steps.len().saturating_sub(60);
            eprintln!(
                "seed {seed}, the last steps:\n{}",
                story.steps[last..].join("\n")
            );
            std::panic::resume_unwind(panic);
        }
        *story.world.shard.counters()
    });
    outcome.unwrap_or_else(|_| panic!("seed {seed} failed"))
}

/// Of one story.
const STEPS: usize = 600;

/// The stories of these seeds; `SEED=N` in the environment tells one of them alone.
#[test]
fn everybody_gets_what_was_promised() {
    if let Ok(seed) = std::env::var("SEED") {
        run(seed.parse().unwrap(), STEPS);
        return;
    }
    let mut lags = 0;
    let mut paused = 0;
    let mut drops = 0;
    for seed in 0..300 {
        let counters = run(seed, STEPS);
        lags += counters.lags;
        paused += counters.routing_paused;
        drops += counters.drops;
    }
    assert!(
        lags > 100 && drops > 0,
        "{lags} {drops}: nobody was too slow"
    );
    eprintln!("lags {lags}, routing paused {paused}, drops {drops}");
}
