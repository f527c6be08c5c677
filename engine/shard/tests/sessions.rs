//! Clients at every quality of service against an oracle: they subscribe and publish, come
//! and go with and without a session, are killed at any moment, and acknowledge at once,
//! late or not at all.
//!
//! - At QoS 1 and 2 nothing is missing that a session must have; at QoS 1 nothing comes twice
//!   but with DUP after a reconnection, at QoS 2 nothing at all.
//! - New messages of a topic arrive in order, at each quality of service.
//! - What a client published at QoS 2 is distributed once, at QoS 1 at least once.
//! - The [referee](ringcast_referee) finds nothing wrong with what went over the wire.

mod support;

use ringcast_codec::mqtt::{
    Acknowledge, Connect, Delivery, Disconnect, FilterBlock, Packet, PacketId, Properties,
    Property, Publish, QoS, ReasonCode, Subscribe, SubscriptionBlock, SubscriptionOptions,
    TopicFilter, TopicName, Unsubscribe, Version,
};
use ringcast_referee::{Event, Referee, Scope, What};
use ringcast_ring::Message;
use ringcast_shard::{Counters, Settings};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use support::{Peer, Random, World, block, connect, encoded, packets, tiny};

const TOPICS: [&str; 5] = ["t/a", "t/b", "t/c/d", "conflate/e", "drop/f"];

const FILTERS: [&str; 7] = ["#", "t/#", "t/a", "t/+", "+/+/d", "conflate/e", "drop/f"];

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A message: its topic, quality of service, and the numbers that it got.
#[derive(Debug, Clone)]
struct Sent {
    topic: &'static str,
    qos: QoS,
    size: usize,
    sequences: Vec<u64>,
}

#[derive(Debug, Clone)]
struct Subscription {
    filter: &'static str,
    qos: QoS,
    granted: Option<u64>,
    taken_back: Option<u64>,
}

/// How a client acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Prompt,
    Late,
    Never,
}

/// A message of its own that a client has not seen through.
#[derive(Debug, Clone)]
struct Open {
    packet_id: u16,
    token: usize,
    qos: QoS,
    is_received: bool,
}

#[derive(Debug)]
struct Client {
    id: String,
    version: Version,
    peer: Option<Peer>,
    /// The connection that it left, and what was sent there was not looked at.
    left: Option<Peer>,
    rest: Vec<u8>,
    has_connack: bool,
    is_persistent: bool,
    manner: Manner,
    /// Whether its session had another connection before.
    reconnected: bool,
    subscriptions: Vec<Subscription>,
    requests: BTreeMap<u16, Vec<usize>>,
    next_id: u16,
    open: Vec<Open>,
    /// Acknowledgements that it has not sent.
    owes: VecDeque<(Packet<'static>, u16)>,
    /// Identifiers of messages at QoS 2 that it has received.
    received: BTreeSet<u16>,
    got: BTreeMap<usize, usize>,
    last_new: BTreeMap<(String, u8), u64>,
}

struct Story {
    world: World,
    random: Random,
    clients: Vec<Client>,
    sent: Vec<Sent>,
    steps: Vec<String>,
    trace: Vec<Event>,
    sessions_lost: u32,
    has_small_queues: bool,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut settings = Settings {
            turn_sends_max: [256, 1, 3][seed as usize % 3],
            ..tiny()
        };
        settings.limits.queue_messages = 100_000;
        settings.limits.queue_bytes = 1 << 24;
        settings.stored_bytes = 4 << 20;
        settings.limits.lag_bytes = [8 * 1024, 512][seed as usize % 2];
        settings.limits.inflight_max = [20, 1, 4, 400][seed as usize / 2 % 4];
        let has_small_queues = seed % 5 == 4;
        if has_small_queues {
            settings.limits.queue_messages = 30;
        }
        let mut story = Self {
            world: World::new(settings),
            random: Random(seed),
            clients: Vec::new(),
            sent: Vec::new(),
            steps: Vec::new(),
            trace: Vec::new(),
            sessions_lost: 0,
            has_small_queues,
        };
        for number in 0..6 {
            let version = [Version::V311, Version::V5][number % 2];
            story
                .clients
                .push(Client::new(format!("client {number}"), version));
        }
        story
    }

    fn note(&mut self, text: String) {
        self.steps.push(text);
    }

    fn step(&mut self) {
        let at = self.random.below(self.clients.len());
        let is_here = self.clients[at].peer.is_some();
        // What is to be sent again goes first.
        let is_known = is_here && self.clients[at].has_connack;
        match self.random.below(100) {
            0..=7 if !is_here => self.connect(at),
            0..=1 => self.connect(at),
            8..=16 if is_known => self.subscribe(at),
            17..=19 if is_known => self.unsubscribe(at),
            20..=45 => self.feed(),
            46..=55 if is_known => self.publish(at),
            56..=58 if is_here => self.leave(at),
            59..=62 if is_here => self.stall(at),
            63..=66 if is_here => self.go_on(at),
            67..=74 => self.acknowledge(at),
            _ => self.turn(),
        }
    }

    fn write(&mut self, at: usize, packet: &Packet<'_>) {
        let client = &self.clients[at];
        let Some(peer) = client.peer else { return };
        let bytes = encoded(client.version, packet);
        self.world.wire.write(peer, &bytes);
        self.see(peer, What::ToServer(bytes));
    }

    fn see(&mut self, peer: Peer, what: What) {
        self.trace.push(Event {
            at_nanos: self.world.now.monotonic_nanos,
            connection: peer.into(),
            what,
        });
    }

    fn connect(&mut self, at: usize) {
        self.take(at);
        let is_new = self.random.below(3) == 0;
        let manner =
            *self
                .random
                .of(&[Manner::Prompt, Manner::Prompt, Manner::Late, Manner::Never]);
        let window = *self.random.of(&[None, None, Some(1), Some(3)]);
        let client = &mut self.clients[at];
        let id = client.id.clone();
        let mut properties = block(Property::SessionExpiryInterval(if is_new {
            0
        } else {
            600
        }));
        if let Some(window) = window {
            properties.push(Property::ReceiveMaximum(window));
        }
        let is_v5 = client.version == Version::V5;
        // MQTT 5 may end a session with its connection and still go on with the one before.
        let clean_start = is_new && (!is_v5 || self.random.below(2) == 0);
        let connect = Connect {
            clean_start,
            properties: match is_v5 {
                true => properties.properties(),
                false => Properties::EMPTY,
            },
            ..connect(client.version, &id)
        };
        let mut bytes = vec![0; connect.encoded_len().unwrap()];
        connect.encode(&mut bytes).unwrap();
        let before = client.peer.take();
        client.reconnected = true;
        client.manner = manner;
        let had_connack = std::mem::take(&mut client.has_connack);
        client.owes.clear();
        client.requests.clear();
        let goes_on = std::mem::replace(&mut client.is_persistent, !is_new);
        if clean_start || !goes_on {
            client.forget();
        }
        let peer = self.world.connect(&connect, b"");
        self.clients[at].peer = Some(peer);
        if let Some(before) = before {
            self.look_back(at, before, had_connack);
        }
        if let Some(left) = self.clients[at].left.take() {
            self.look_back(at, left, had_connack);
        }
        self.see(peer, What::Opened);
        self.see(peer, What::ToServer(bytes));
        self.world.wire.read_bytes_max = *self.random.of(&[1, 3, 20, 64 * 1024]);
        self.note(format!(
            "{peer}: {id} connects, clean {clean_start}, new {is_new}, {manner:?}, {window:?}"
        ));
    }

    /// What was sent on a connection that is over, and that its client did not see. If its
    /// session was lost when that began, no later CONNACK will say so.
    fn look_back(&mut self, at: usize, peer: Peer, had_connack: bool) {
        let bytes = self.world.wire.take(peer);
        let client = &mut self.clients[at];
        let mut all = std::mem::take(&mut client.rest);
        all.extend(&bytes);
        let mut kept = had_connack || !self.has_small_queues;
        packets(client.version, &all, |packet| {
            if let Packet::Connack(connack) = packet {
                kept = connack.session_present;
            }
        });
        if !kept {
            client.forget();
        }
        if !bytes.is_empty() {
            self.see(peer, What::ToClient(bytes));
        }
        self.see(peer, What::Reset);
    }

    fn subscribe(&mut self, at: usize) {
        let mut subscriptions = SubscriptionBlock::new();
        let mut about = Vec::new();
        for _ in 0..=self.random.below(2) {
            let filter = *self.random.of(&FILTERS);
            let qos = *self.random.of(&QOS);
            if about
                .iter()
                .any(|place: &usize| self.clients[at].subscriptions[*place].filter == filter)
            {
                continue;
            }
            subscriptions.push(
                TopicFilter::new(filter).unwrap(),
                SubscriptionOptions::at_most(qos),
            );
            let now = self.world.sequence;
            let client = &mut self.clients[at];
            // What replaces one takes it back, as far as the promise is concerned.
            for before in &mut client.subscriptions {
                if before.filter == filter {
                    before.taken_back.get_or_insert(now);
                }
            }
            about.push(client.subscriptions.len());
            client.subscriptions.push(Subscription {
                filter,
                qos,
                granted: None,
                taken_back: None,
            });
        }
        let packet_id = self.clients[at].request(about);
        let packet = Packet::Subscribe(Subscribe {
            packet_id,
            properties: Properties::EMPTY,
            subscriptions: subscriptions.subscriptions(),
        });
        self.write(at, &packet);
        let peer = self.clients[at].peer;
        self.note(format!(
            "{peer:?}: subscribes {:?}",
            subscriptions.subscriptions()
        ));
    }

    fn unsubscribe(&mut self, at: usize) {
        let filter = *self.random.of(&FILTERS);
        let now = self.world.sequence;
        let client = &mut self.clients[at];
        for one in &mut client.subscriptions {
            if one.filter == filter {
                one.taken_back.get_or_insert(now);
            }
        }
        let packet_id = client.request(Vec::new());
        let mut filters = FilterBlock::new();
        filters.push(TopicFilter::new(filter).unwrap());
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id,
            properties: Properties::EMPTY,
            filters: filters.filters(),
        });
        self.write(at, &packet);
        let peer = self.clients[at].peer;
        self.note(format!("{peer:?}: unsubscribes {filter}"));
    }

    fn message(&mut self) -> (usize, Vec<u8>) {
        let token = self.sent.len();
        let size = *self.random.of(&[0, 1, 30, 200]);
        self.sent.push(Sent {
            topic: self.random.of::<&str>(&TOPICS),
            qos: *self.random.of(&QOS),
            size,
            sequences: Vec::new(),
        });
        (token, payload(token, size))
    }

    fn feed(&mut self) {
        let most = *self.random.of(&[1, 1, 5, 30]);
        for _ in 0..=self.random.below(most) {
            self.sequence();
            let (token, payload) = self.message();
            let Sent { topic, qos, .. } = self.sent[token];
            let message = Message {
                topic: topic.as_bytes(),
                payload: &payload,
                qos: qos as u8,
                ..Message::default()
            };
            if self.world.feed_message(message) {
                self.sent[token].sequences.push(self.world.sequence);
            } else {
                self.turn();
            }
        }
        self.note(format!("messages up to {}", self.world.sequence));
    }

    fn publish(&mut self, at: usize) {
        let (token, payload) = self.message();
        let Sent { topic, qos, .. } = self.sent[token];
        let client = &mut self.clients[at];
        let packet_id = client.next_id();
        if qos != QoS::AtMostOnce {
            client.open.push(Open {
                packet_id: packet_id.get(),
                token,
                qos,
                is_received: false,
            });
        }
        let packet = Packet::Publish(published(topic, qos, packet_id, false, &payload));
        self.write(at, &packet);
        let peer = self.clients[at].peer;
        self.note(format!(
            "{peer:?}: publishes {token} on {topic} at {qos:?} as {packet_id:?}"
        ));
    }

    fn leave(&mut self, at: usize) {
        self.take(at);
        let Some(peer) = self.clients[at].peer else {
            return;
        };
        let says_goodbye = self.random.below(3) == 0;
        if says_goodbye {
            let goodbye = Packet::Disconnect(Disconnect {
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            });
            self.write(at, &goodbye);
        }
        self.world.wire.end(peer);
        let client = &mut self.clients[at];
        client.left = client.peer.take();
        client.owes.clear();
        if !client.is_persistent {
            client.forget();
        }
        self.note(format!("{peer}: leaves"));
    }

    fn stall(&mut self, at: usize) {
        let capacity = self.random.below(2_000);
        let Some(peer) = self.clients[at].peer else {
            return;
        };
        self.world.wire.pipes.get_mut(&peer).unwrap().capacity = capacity;
        self.note(format!("{peer}: takes {capacity} bytes"));
    }

    fn go_on(&mut self, at: usize) {
        let Some(peer) = self.clients[at].peer else {
            return;
        };
        self.world.wire.pipes.get_mut(&peer).unwrap().capacity = usize::MAX;
        self.take(at);
        self.note(format!("{peer}: takes what there is"));
    }

    /// Sends some of what a client owes.
    fn acknowledge(&mut self, at: usize) {
        let manner = self.clients[at].manner;
        let most = match manner {
            Manner::Prompt => usize::MAX,
            Manner::Late => self.random.below(4),
            Manner::Never => 0,
        };
        self.acknowledge_up_to(at, most);
    }

    fn acknowledge_up_to(&mut self, at: usize, most: usize) {
        for _ in 0..most {
            let Some((packet, received)) = self.clients[at].owes.pop_front() else {
                break;
            };
            if let Packet::Pubcomp(_) = packet {
                self.clients[at].received.remove(&received);
            }
            self.write(at, &packet);
        }
    }

    fn sequence(&mut self) {
        let before = self.world.sequence;
        self.world.sequence_uplink();
        for sequence in before + 1..=self.world.sequence {
            let token = self.world.shard_token(sequence);
            self.sent[token as usize].sequences.push(sequence);
        }
    }

    fn turn(&mut self) {
        for _ in 0..=self.random.below(4) {
            self.sequence();
            self.world.turn();
        }
        for at in 0..self.clients.len() {
            self.take(at);
            if self.clients[at].manner == Manner::Prompt {
                self.acknowledge_up_to(at, usize::MAX);
            }
        }
    }

    /// A client takes what there is, and looks at it.
    fn take(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let Some(peer) = client.peer else { return };
        let taken = self.world.wire.take(peer);
        let mut bytes = std::mem::take(&mut client.rest);
        bytes.extend(&taken);
        if !taken.is_empty() {
            self.see(peer, What::ToClient(taken));
        }
        let (sent, now) = (&self.sent, self.world.sequence);
        let client = &mut self.clients[at];
        let mut again = false;
        let mut lost = false;
        let rest = packets(client.version, &bytes, |packet| match packet {
            Packet::Connack(connack) => {
                assert_eq!(connack.reason, ReasonCode::Success);
                client.has_connack = true;
                let knew = client.had_session();
                if connack.session_present {
                    again = true;
                } else {
                    lost = knew;
                    client.forget();
                }
            }
            packet => client.on_packet(&packet, sent, now),
        });
        client.rest = rest;
        if lost {
            self.sessions_lost += 1;
            assert!(self.has_small_queues, "{peer}: its session is lost");
        }
        if again {
            self.send_again(at);
        }
        let is_closed = self.world.wire.pipes[&peer].closed.is_some();
        if is_closed {
            self.see(peer, What::ClosedByServer);
            let client = &mut self.clients[at];
            assert!(self.has_small_queues, "{peer}: closed");
            client.peer = None;
            client.rest.clear();
            client.owes.clear();
            if !client.is_persistent {
                client.forget();
            }
            self.note(format!("{peer}: was closed"));
        }
    }

    /// A client that found its session sends again what it has not seen through.
    fn send_again(&mut self, at: usize) {
        for open in self.clients[at].open.clone() {
            let packet_id = PacketId::new(open.packet_id).unwrap();
            if open.is_received {
                self.write(at, &Packet::Pubrel(Acknowledge::success(packet_id)));
            } else {
                let Sent { topic, size, .. } = self.sent[open.token];
                let payload = payload(open.token, size);
                let packet = published(topic, open.qos, packet_id, true, &payload);
                self.write(at, &Packet::Publish(packet));
            }
        }
    }

    /// Everybody comes, takes and acknowledges everything, until nothing comes any more.
    fn end(&mut self) {
        self.world.wire.read_bytes_max = 64 * 1024;
        for at in 0..self.clients.len() {
            if self.clients[at].peer.is_none() && self.clients[at].is_persistent {
                self.connect(at);
            }
            self.clients[at].manner = Manner::Prompt;
            if let Some(peer) = self.clients[at].peer {
                self.world.wire.pipes.get_mut(&peer).unwrap().capacity = usize::MAX;
            }
        }
        self.world.wire.read_bytes_max = 64 * 1024;
        let mut quiet = 0;
        for _ in 0..20_000 {
            let before = self.trace.len();
            self.turn();
            quiet = if self.trace.len() == before {
                quiet + 1
            } else {
                0
            };
            if quiet == 50 {
                break;
            }
        }
        assert_eq!(quiet, 50, "it never comes to rest");
        for client in &self.clients {
            client.check(&self.sent);
        }
        self.judge();
    }

    /// What the referee has to say.
    fn judge(&self) {
        let mut scope = Scope::whole();
        // The feed publishes, too.
        scope.own_topics = vec!["#".to_owned()];
        scope.all_publishers = false;
        if self.has_small_queues {
            scope.sessions_kept_secs = None;
        }
        let report = Referee::judge(scope, &self.trace);
        let violations: Vec<_> = report
            .violations()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }
}

impl Client {
    fn new(id: String, version: Version) -> Self {
        Self {
            id,
            version,
            peer: None,
            left: None,
            rest: Vec::new(),
            has_connack: false,
            is_persistent: false,
            manner: Manner::Prompt,
            reconnected: false,
            subscriptions: Vec::new(),
            requests: BTreeMap::new(),
            next_id: 1,
            open: Vec::new(),
            owes: VecDeque::new(),
            received: BTreeSet::new(),
            got: BTreeMap::new(),
            last_new: BTreeMap::new(),
        }
    }

    /// Its session is over.
    fn forget(&mut self) {
        self.subscriptions.clear();
        self.open.clear();
        self.received.clear();
        self.got.clear();
        self.last_new.clear();
        self.reconnected = false;
    }

    /// Whether there was anything that the server must have kept.
    fn had_session(&self) -> bool {
        self.subscriptions.iter().any(|one| one.granted.is_some())
    }

    fn next_id(&mut self) -> PacketId {
        loop {
            let id = self.next_id;
            self.next_id = id % 500 + 1;
            let is_used = self.open.iter().any(|open| open.packet_id == id)
                || self.requests.contains_key(&id);
            if !is_used {
                return PacketId::new(id).unwrap();
            }
        }
    }

    fn request(&mut self, about: Vec<usize>) -> PacketId {
        let id = self.next_id();
        self.requests.insert(id.get(), about);
        id
    }

    fn on_packet(&mut self, packet: &Packet<'_>, sent: &[Sent], now: u64) {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, sent),
            Packet::Suback(suback) => {
                let about = self
                    .requests
                    .remove(&suback.packet_id.get())
                    .expect("it asked");
                for (at, reason) in about.into_iter().zip(suback.reasons.iter()) {
                    assert_eq!(reason as u8, self.subscriptions[at].qos as u8);
                    self.subscriptions[at].granted = Some(now);
                }
            }
            Packet::Unsuback(unsuback) => {
                self.requests
                    .remove(&unsuback.packet_id.get())
                    .expect("it asked");
            }
            Packet::Puback(ack) => {
                let open = self.close(ack.packet_id);
                assert_eq!(open.qos, QoS::AtLeastOnce);
                assert!(
                    !sent[open.token].sequences.is_empty(),
                    "answered before it is there"
                );
            }
            Packet::Pubrec(ack) => {
                let id = ack.packet_id.get();
                let open = self.open.iter_mut().find(|open| open.packet_id == id);
                let open = open.expect("it is open");
                assert_eq!(open.qos, QoS::ExactlyOnce);
                assert!(
                    !sent[open.token].sequences.is_empty(),
                    "answered before it is there"
                );
                open.is_received = true;
                let pubrel = Packet::Pubrel(Acknowledge::success(ack.packet_id));
                self.owes.push_back((pubrel, 0));
            }
            Packet::Pubcomp(ack) => {
                let open = self.close(ack.packet_id);
                assert!(open.is_received);
            }
            Packet::Pubrel(ack) => {
                let pubcomp = Packet::Pubcomp(Acknowledge::success(ack.packet_id));
                self.owes.push_back((pubcomp, ack.packet_id.get()));
            }
            Packet::Disconnect(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn close(&mut self, packet_id: PacketId) -> Open {
        let open = self.open.iter();
        let place = open
            .into_iter()
            .position(|open| open.packet_id == packet_id.get());
        self.open.remove(place.expect("it is open"))
    }

    fn on_publish(&mut self, publish: &Publish<'_>, sent: &[Sent]) {
        let topic = publish.topic.expect("no alias was given").as_str();
        let text = std::str::from_utf8(publish.payload).unwrap();
        let token: usize = text.split(':').next().unwrap().parse().unwrap();
        let message = &sent[token];
        assert_eq!(message.topic, topic);
        let qos = publish.delivery.qos();
        assert!(qos <= message.qos, "no higher than it was published");
        let dup = publish.delivery.dup();
        match publish.delivery {
            Delivery::AtMostOnce => {}
            Delivery::AtLeastOnce { packet_id, .. } => {
                let puback = Packet::Puback(Acknowledge::success(packet_id));
                self.owes.push_back((puback, 0));
            }
            Delivery::ExactlyOnce { packet_id, .. } => {
                let pubrec = Packet::Pubrec(Acknowledge::success(packet_id));
                self.owes.push_back((pubrec, 0));
                if !self.received.insert(packet_id.get()) {
                    assert!(dup && self.reconnected, "{token} comes again");
                    return;
                }
            }
        }
        let before = self.got.get(&token).copied().unwrap_or(0);
        if dup && before > 0 && qos == QoS::AtLeastOnce {
            assert!(self.reconnected, "{token} comes again");
            return;
        }
        assert!(
            before < message.sequences.len(),
            "{}: {token} came before: {publish:?}",
            self.id
        );
        self.got.insert(token, before + 1);
        if let [sequence] = message.sequences[..] {
            let last = self.last_new.entry((topic.into(), qos as u8)).or_default();
            assert!(sequence > *last, "{}: {token} comes behind {last}", self.id);
            *last = sequence;
        }
    }

    /// At the end: nothing is missing that must not be.
    fn check(&self, sent: &[Sent]) {
        if self.peer.is_none() {
            return;
        }
        assert!(self.requests.is_empty(), "{self:?} got no answer");
        assert!(self.open.is_empty(), "{self:?} got no answer");
        assert!(self.owes.is_empty());
        for (token, message) in sent.iter().enumerate() {
            if message.qos == QoS::ExactlyOnce {
                assert!(
                    message.sequences.len() <= 1,
                    "{token} was distributed twice"
                );
            }
            let Some(&sequence) = message.sequences.last() else {
                continue;
            };
            let name = TopicName::new(message.topic).unwrap();
            let must = self.subscriptions.iter().any(|one| {
                TopicFilter::new(one.filter).unwrap().matches(name)
                    && one.qos.min(message.qos) != QoS::AtMostOnce
                    && one.granted.is_some_and(|granted| sequence > granted)
                    && one.taken_back.is_none_or(|taken| sequence <= taken)
            });
            assert!(
                !must || self.got.contains_key(&token),
                "{} misses {token} {message:?}: {:?}",
                self.id,
                self.subscriptions
            );
        }
    }
}

fn payload(token: usize, size: usize) -> Vec<u8> {
    format!("{token}:{:size$}", "").into_bytes()
}

fn published<'a>(
    topic: &'a str,
    qos: QoS,
    packet_id: PacketId,
    dup: bool,
    payload: &'a [u8],
) -> Publish<'a> {
    Publish {
        delivery: match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce { packet_id, dup },
            QoS::ExactlyOnce => Delivery::ExactlyOnce { packet_id, dup },
        },
        retain: false,
        topic: Some(TopicName::new(topic).unwrap()),
        properties: Properties::EMPTY,
        payload,
    }
}

fn run(seed: u64, steps: usize) -> (Counters, u32) {
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
        (*story.world.shard.counters(), story.sessions_lost)
    });
    outcome.unwrap_or_else(|_| panic!("seed {seed} failed"))
}

/// Of one story.
const STEPS: usize = 400;

/// The stories of 200 seeds. In the environment, `SEED=N` tells one of them alone, and
/// `SEEDS=FROM..TO` others, as many as one has time for.
#[test]
fn what_is_acknowledged_is_neither_lost_nor_doubled() {
    if let Ok(seed) = std::env::var("SEED") {
        run(seed.parse().unwrap(), STEPS);
        return;
    }
    let seeds = std::env::var("SEEDS").unwrap_or("0..200".into());
    let (from, to) = seeds.split_once("..").expect("FROM..TO");
    eprintln!("seeds {seeds}");
    let mut sums = [0; 4];
    for seed in from.parse().unwrap()..to.parse().unwrap() {
        let (counters, lost) = run(seed, STEPS);
        let Counters {
            lags,
            resumed,
            acknowledged,
            ..
        } = counters;
        for (sum, count) in sums
            .iter_mut()
            .zip([lags, resumed, acknowledged, lost.into()])
        {
            *sum += count;
        }
    }
    let [lags, resumed, acknowledged, lost] = sums;
    eprintln!("lags {lags}, resumed {resumed}, acknowledged {acknowledged}, lost {lost}");
    assert!(lags > 100 && resumed > 1_000 && acknowledged > 10_000 && lost > 10);
}
