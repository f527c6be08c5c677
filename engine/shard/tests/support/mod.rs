//! A shard in a world of its own: sockets that are queues of bytes, a sequencer that is a
//! loop, and a clock that the test moves.

#![allow(dead_code, reason = "each test uses its part")]

use ringcast_codec::Progress;
use ringcast_codec::market::{DeliveryClass, DeliveryClasses, SlowPolicy};
use ringcast_codec::mqtt::{
    Connect, Decoder, Packet, Properties, Property, PropertyBlock, Sender, Text, Version,
};
use ringcast_ring::{Consumer, Kind, Message, Producer, TopicHasher, Waiting};
use ringcast_shard::{Io, Limits, Now, Settings, Shard};
use ringcast_wire::{Close, ConnectionKey, Event, Failure, Newcomer, Reason, Received, Wire};
use std::collections::{BTreeMap, VecDeque};

/// The other end of a connection, as a number.
pub(crate) type Peer = u32;

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    key: Option<ConnectionKey>,
    to_shard: VecDeque<u8>,
    pub(crate) to_client: Vec<u8>,
    /// How many bytes the socket holds before it is blocked.
    pub(crate) capacity: usize,
    is_blocked: bool,
    pub(crate) closed: Option<Close>,
    pub(crate) is_ended: bool,
}

/// Sockets that are queues.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) pipes: BTreeMap<Peer, Pipe>,
    by_index: BTreeMap<u32, Peer>,
    events: VecDeque<Event>,
    /// The most bytes of one read.
    pub(crate) read_bytes_max: usize,
    /// If so, what is sent is gone at once, except to connections with an index below
    /// this, who take nothing.
    pub(crate) takers_from: Option<u32>,
}

impl Queues {
    fn pipe(&mut self, key: ConnectionKey) -> &mut Pipe {
        let peer = self.by_index[&key.index()];
        let pipe = self.pipes.get_mut(&peer).expect("it was adopted");
        assert_eq!(pipe.key, Some(key), "an earlier connection's key");
        assert_eq!(pipe.closed, None, "it was closed");
        pipe
    }

    /// A client sends.
    pub(crate) fn write(&mut self, peer: Peer, bytes: &[u8]) {
        let pipe = self.pipes.get_mut(&peer).expect("it is there");
        pipe.to_shard.extend(bytes);
        if let Some(key) = pipe.key
            && pipe.closed.is_none()
        {
            self.events.push_back(Event::Readable(key));
        }
    }

    /// A client ends its connection.
    pub(crate) fn end(&mut self, peer: Peer) {
        let pipe = self.pipes.get_mut(&peer).expect("it is there");
        pipe.is_ended = true;
        self.write(peer, &[]);
    }

    /// A client takes what there is.
    pub(crate) fn take(&mut self, peer: Peer) -> Vec<u8> {
        let pipe = self.pipes.get_mut(&peer).expect("it is there");
        if std::mem::take(&mut pipe.is_blocked)
            && pipe.closed.is_none()
            && let Some(key) = pipe.key
        {
            self.events.push_back(Event::Writable(key));
        }
        std::mem::take(&mut pipe.to_client)
    }
}

impl Wire for Queues {
    type Socket = Peer;

    fn adopt(&mut self, key: ConnectionKey, peer: Peer) -> std::io::Result<()> {
        let pipe = self.pipes.get_mut(&peer).expect("it is there");
        pipe.key = Some(key);
        self.by_index.insert(key.index(), peer);
        self.events.push_back(Event::Readable(key));
        Ok(())
    }

    fn reap(&mut self, events: &mut Vec<Event>, most: usize) {
        let count = self.events.len().min(most);
        events.extend(self.events.drain(..count));
    }

    fn receive(&mut self, from: &[ConnectionKey], got: &mut Received) {
        got.begin(from);
        let most = self.read_bytes_max;
        for (place, key) in from.iter().enumerate() {
            let pipe = self.pipe(*key);
            let buffer = got.buffers().nth(place).expect("one for each");
            let count = pipe.to_shard.len().min(most).min(buffer.len());
            if count == 0 && !pipe.is_ended {
                continue;
            }
            let bytes: Vec<u8> = pipe.to_shard.drain(..count).collect();
            let more = !pipe.to_shard.is_empty() || pipe.is_ended;
            buffer[..count].copy_from_slice(&bytes);
            got.arrived(place, count, more);
        }
    }

    fn send_same(&mut self, to: &[ConnectionKey], bytes: &[u8], failed: &mut Vec<Failure>) {
        let sends: Vec<_> = to.iter().map(|key| (*key, bytes)).collect();
        self.send_each(&sends, failed);
    }

    fn send_each(&mut self, sends: &[(ConnectionKey, &[u8])], failed: &mut Vec<Failure>) {
        if let Some(takers_from) = self.takers_from {
            let keys = sends.iter().map(|(key, _)| *key).enumerate();
            failed.extend(
                keys.filter(|(_, key)| key.index() < takers_from)
                    .map(|(place, key)| Failure {
                        key,
                        place: place as u32,
                        sent: 0,
                        reason: Reason::Blocked,
                    }),
            );
            return;
        }
        let mut named = std::collections::BTreeSet::new();
        for (place, (key, bytes)) in sends.iter().enumerate() {
            assert!(named.insert(*key), "each is named once");
            let pipe = self.pipe(*key);
            let room = pipe.capacity.saturating_sub(pipe.to_client.len());
            let sent = bytes.len().min(room);
            pipe.to_client.extend(&bytes[..sent]);
            if sent < bytes.len() {
                pipe.is_blocked = true;
                failed.push(Failure {
                    key: *key,
                    place: place as u32,
                    sent: sent as u32,
                    reason: Reason::Blocked,
                });
            }
        }
    }

    fn close(&mut self, key: ConnectionKey, how: Close) {
        self.pipe(key).closed = Some(how);
        self.events.push_back(Event::Gone(key));
    }
}

/// A shard with all that it needs.
pub(crate) struct World {
    pub(crate) shard: Shard<Peer>,
    pub(crate) wire: Queues,
    pub(crate) now: Now,
    ring: Producer,
    ring_end: Consumer,
    uplink: Producer,
    uplink_end: Consumer,
    hasher: TopicHasher,
    pub(crate) sequence: u64,
    /// The numbers with which the payloads of clients' messages begin, by sequence number.
    tokens: BTreeMap<u64, u64>,
    peers: Peer,
}

/// Small in everything, so that all limits are met.
pub(crate) fn tiny() -> Settings {
    let class = |filter: &'static str, slow| DeliveryClass {
        filter: filter.into(),
        slow,
        ..DeliveryClass::OTHER
    };
    Settings {
        home: 3,
        connections: 24,
        sessions: 40,
        cohorts: 40,
        filters: 64,
        subscriptions: 400,
        share_filters: 16,
        topics: 40,
        arena_bytes: 64 * 1024,
        stored_bytes: 256 * 1024,
        outbox_bytes: 512 * 1024,
        flight_bytes: 64 * 1024,
        input_bytes: 64 * 1024,
        turn_sends_max: 256,
        limits: Limits {
            packet_bytes_max: 8 * 1024,
            subscriptions_per_connection: 100,
            topic_levels_max: 8,
            keep_alive_seconds_max: 0,
            clients_publish_market: true,
            lag_bytes: 8 * 1024,
            queue_messages: 400,
            queue_bytes: 64 * 1024,
            inflight_max: 20,
            session_expiry_seconds_max: 3_600,
            topic_aliases_max: 3,
            share_members_max: 100,
        },
        classes: DeliveryClasses::new(vec![
            class("conflate/#", SlowPolicy::Conflate),
            class("drop/#", SlowPolicy::Drop),
            class("strict/#", SlowPolicy::Disconnect),
        ])
        .expect("they are filters"),
        hasher: TopicHasher::new((1, 2)),
        key: (3, 4),
    }
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        let now = Now {
            monotonic_nanos: 5_000_000_000,
            wall_nanos: 1_700_000_000_000_000_000,
        };
        let mut ring = Producer::create("world ring", 1 << 16).expect("there is memory");
        let mut uplink = Producer::create("world uplink", 1 << 16).expect("there is memory");
        Self {
            hasher: settings.hasher,
            ring_end: ring.consumer(Waiting::Spins).expect("a place is free"),
            uplink_end: uplink.consumer(Waiting::Spins).expect("a place is free"),
            shard: Shard::new(settings, now),
            wire: Queues {
                read_bytes_max: 64 * 1024,
                ..Queues::default()
            },
            now,
            ring,
            uplink,
            sequence: 0,
            tokens: BTreeMap::new(),
            peers: 0,
        }
    }

    /// One turn, a millisecond later.
    pub(crate) fn turn(&mut self) -> bool {
        let busy = self.bare_turn();
        self.shard.invariants();
        busy
    }

    /// The same without a look at everything.
    pub(crate) fn bare_turn(&mut self) -> bool {
        self.now.monotonic_nanos += 1_000_000;
        self.now.wall_nanos += 1_000_000;
        let mut io = Io {
            wire: &mut self.wire,
            ring: &mut self.ring_end,
            uplink: &mut self.uplink,
        };
        self.shard.turn(self.now, &mut io).expect("the ring is one")
    }

    /// Turns, and the sequencer's, until nothing moves.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            let sequenced = self.sequence_uplink();
            if !self.turn() && !sequenced {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// So many turns, whether anything moves or not.
    pub(crate) fn settle_turns(&mut self, turns: u32) {
        for _ in 0..turns {
            self.sequence_uplink();
            self.turn();
        }
    }

    /// What clients published gets its numbers and goes to the ring.
    pub(crate) fn sequence_uplink(&mut self) -> bool {
        let mut batch = self.uplink_end.poll().expect("the uplink is one");
        let mut any = false;
        while let Some(record) = batch.next_record().expect("the uplink is one") {
            any = true;
            if record.kind != Kind::MESSAGE {
                let body = self.ring.claim(record.body.len(), record.kind);
                body.expect("the shard keeps up")
                    .copy_from_slice(record.body);
                continue;
            }
            let message = Message::decode(record.body).expect("a message");
            self.sequence += 1;
            let message = Message {
                sequence: self.sequence,
                topic_hash: self.hasher.topic(message.topic),
                ingest_micros: self.now.wall_nanos / 1000,
                ..message
            };
            let body = self.ring.claim(message.encoded_len(), Kind::MESSAGE);
            message.encode(body.expect("the shard keeps up"));
            let text = String::from_utf8_lossy(message.payload);
            let token = text.split(':').next().and_then(|token| token.parse().ok());
            self.tokens.insert(self.sequence, token.unwrap_or(u64::MAX));
        }
        self.ring.publish();
        any
    }

    /// The number with which a client's message began.
    pub(crate) fn shard_token(&self, sequence: u64) -> u64 {
        self.tokens[&sequence]
    }

    /// A message of the feed; `false` if the ring is full.
    pub(crate) fn feed(&mut self, topic: &str, payload: &[u8], retain: bool) -> bool {
        self.feed_message(Message {
            topic: topic.as_bytes(),
            payload,
            retain,
            ..Message::default()
        })
    }

    pub(crate) fn feed_message(&mut self, message: Message<'_>) -> bool {
        let message = Message {
            sequence: self.sequence + 1,
            topic_hash: self.hasher.topic(message.topic),
            ingest_micros: self.now.wall_nanos / 1000,
            ..message
        };
        let Ok(body) = self.ring.claim(message.encoded_len(), Kind::MESSAGE) else {
            return false;
        };
        message.encode(body);
        self.ring.publish();
        self.sequence += 1;
        true
    }

    /// A newcomer, as the door hands it over, with this behind its CONNECT.
    pub(crate) fn connect(&mut self, connect: &Connect<'_>, behind: &[u8]) -> Peer {
        self.peers += 1;
        let peer = self.peers;
        let pipe = Pipe {
            capacity: usize::MAX,
            ..Pipe::default()
        };
        self.wire.pipes.insert(peer, pipe);
        let mut received = vec![0; connect.encoded_len().expect("is short")];
        connect.encode(&mut received).expect("is short");
        received.extend(behind);
        let newcomer = Newcomer {
            socket: peer,
            peer: "127.0.0.1:1".parse().expect("an address"),
            user: connect.user_name.map(|name| name.as_str().into()),
            received: received.into(),
            assigned_client_id: connect.client_id.is_empty().then(|| "assigned".into()),
        };
        let mut io = Io {
            wire: &mut self.wire,
            ring: &mut self.ring_end,
            uplink: &mut self.uplink,
        };
        let adopted = self.shard.adopt(newcomer, peer, &mut io);
        adopted.expect("there is room to answer");
        peer
    }

    /// A client sends a packet.
    pub(crate) fn send(&mut self, peer: Peer, version: Version, packet: &Packet<'_>) {
        let bytes = encoded(version, packet);
        self.wire.write(peer, &bytes);
    }
}

pub(crate) fn encoded(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len(version).expect("is short")];
    packet.encode(version, &mut bytes).expect("is short");
    bytes
}

pub(crate) fn connect(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        version,
        clean_start: true,
        keep_alive: 0,
        client_id: Text::new(client_id).expect("is text"),
        will: None,
        user_name: None,
        password: None,
        properties: Properties::EMPTY,
    }
}

/// Properties of one.
pub(crate) fn block(property: Property<'_>) -> PropertyBlock {
    let mut block = PropertyBlock::new();
    block.push(property);
    block
}

/// Cuts packets out of what a server sent, each told to `each`. Returns the rest.
pub(crate) fn packets(version: Version, bytes: &[u8], mut each: impl FnMut(Packet<'_>)) -> Vec<u8> {
    let decoder = Decoder {
        version,
        sender: Sender::Server,
        packet_bytes_max: 1 << 24,
    };
    let mut rest = bytes;
    loop {
        match decoder.decode(rest).expect("a server's packet") {
            Progress::Done(packet, consumed) => {
                each(packet);
                rest = &rest[consumed..];
            }
            Progress::Partial { .. } => return rest.to_vec(),
        }
    }
}

/// Numbers as if at random, the same for each seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) % most as u64) as usize
    }

    pub(crate) fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}
