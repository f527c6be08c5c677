//! A shard with a million messages at QoS 1 each second, whose subscribers are so far away
//! that their acknowledgements take 200 ms. The identifiers that frames share come round
//! within 33 ms: whoever has one in flight must not get it for another message.

mod support;

use ringcast_codec::mqtt::{
    Acknowledge, Packet, PacketId, Properties, QoS, Subscribe, SubscriptionBlock,
    SubscriptionOptions, TopicFilter, Version,
};
use ringcast_ring::Message;
use ringcast_shard::Settings;
use std::collections::{BTreeMap, VecDeque};
use support::{Peer, World, connect, encoded, packets, tiny};

/// Each gets one message of so many.
const SUBSCRIBERS: usize = 1_000;

/// As many as a turn routes, and how long that takes at a million a second.
const A_TURN: usize = 512;
const TURN_NANOS: u64 = A_TURN as u64 * 1_000;

const AWAY_NANOS: u64 = 200_000_000;

/// In debug builds fewer, but still several rounds of the identifiers.
const MESSAGES: usize = if cfg!(debug_assertions) {
    150_000
} else {
    1_000_000
};

#[derive(Debug, Default)]
struct Subscriber {
    peer: Peer,
    rest: Vec<u8>,
    /// What it has to acknowledge, and when that arrives.
    owes: VecDeque<(u64, PacketId)>,
    in_flight: BTreeMap<u16, u64>,
    next: u64,
}

impl Subscriber {
    fn take(&mut self, world: &mut World, shared_again: &mut u64) {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend(world.wire.take(self.peer));
        let now = world.now.monotonic_nanos;
        let rest = packets(Version::V5, &bytes, |packet| {
            let Packet::Publish(publish) = packet else {
                return;
            };
            let number: u64 = std::str::from_utf8(publish.payload)
                .expect("a text")
                .parse()
                .expect("a number");
            assert_eq!(
                number, self.next,
                "nothing is missing and nothing comes twice"
            );
            self.next += 1;
            let id = publish.delivery.packet_id().expect("it is acknowledged");
            let before = self.in_flight.insert(id.get(), number);
            assert_eq!(before, None, "{id:?} is in use");
            *shared_again += u64::from(id.get() < 32_768);
            self.owes.push_back((now + AWAY_NANOS, id));
        });
        self.rest = rest;
        let mut acks = Vec::new();
        while let Some((_, id)) = self.owes.front().copied().filter(|(due, _)| *due <= now) {
            self.owes.pop_front();
            self.in_flight.remove(&id.get());
            let ack = Packet::Puback(Acknowledge::success(id));
            acks.extend(encoded(Version::V5, &ack));
        }
        if !acks.is_empty() {
            world.wire.write(self.peer, &acks);
        }
    }
}

#[test]
fn identifiers_come_round_and_nothing_is_misattributed() {
    let mut settings = Settings {
        connections: SUBSCRIBERS as u32,
        cohorts: SUBSCRIBERS,
        filters: 2 * SUBSCRIBERS,
        subscriptions: 2 * SUBSCRIBERS,
        topics: 2 * SUBSCRIBERS,
        arena_bytes: 4 << 20,
        stored_bytes: 256 << 20,
        outbox_bytes: 64 << 20,
        flight_bytes: 64 << 20,
        input_bytes: 16 << 20,
        ..tiny()
    };
    settings.limits.inflight_max = 1_024;
    settings.limits.lag_bytes = 4 * 1024;
    settings.limits.queue_messages = 100_000;
    settings.limits.queue_bytes = 64 << 20;
    let mut world = World::new(settings);
    let topics: Vec<String> = (0..SUBSCRIBERS)
        .map(|number| format!("t/{number}"))
        .collect();
    let mut subscribers: Vec<_> = topics
        .iter()
        .map(|topic| {
            let mut block = SubscriptionBlock::new();
            let options = SubscriptionOptions::at_most(QoS::AtLeastOnce);
            block.push(TopicFilter::new(topic).expect("is one"), options);
            let packet = Packet::Subscribe(Subscribe {
                packet_id: PacketId::new(1).expect("not zero"),
                properties: Properties::EMPTY,
                subscriptions: block.subscriptions(),
            });
            let peer = world.connect(&connect(Version::V5, topic), &encoded(Version::V5, &packet));
            Subscriber {
                peer,
                ..Subscriber::default()
            }
        })
        .collect();
    while world.bare_turn() {}
    let mut shared = 0;
    let mut sent = 0;
    let mut quiet = 0;
    while quiet < 2 * AWAY_NANOS / TURN_NANOS {
        for _ in 0..A_TURN.min(MESSAGES - sent) {
            let payload = (sent / SUBSCRIBERS).to_string();
            let fed = world.feed_message(Message {
                topic: topics[sent % SUBSCRIBERS].as_bytes(),
                payload: payload.as_bytes(),
                qos: 1,
                ..Message::default()
            });
            assert!(fed, "the shard keeps up");
            sent += 1;
        }
        world.bare_turn();
        // It moved on by a millisecond.
        world.now.monotonic_nanos -= 1_000_000 - TURN_NANOS;
        world.now.wall_nanos -= 1_000_000 - TURN_NANOS;
        for subscriber in &mut subscribers {
            subscriber.take(&mut world, &mut shared);
        }
        let is_over = sent == MESSAGES
            && subscribers
                .iter()
                .all(|one| one.next as usize == MESSAGES / SUBSCRIBERS && one.owes.is_empty());
        quiet = if is_over { u64::MAX } else { 0 };
    }
    while world.bare_turn() {}
    let counters = world.shard.counters();
    assert_eq!(counters.acknowledgements_unknown, 0);
    assert_eq!(counters.acknowledged, MESSAGES as u64);
    eprintln!(
        "{MESSAGES} messages, {shared} with a shared identifier, {} in lag service, {} fell into lag",
        counters.lag_deliveries, counters.lags
    );
    assert!(shared > MESSAGES as u64 / 20, "some came by streams");
    assert!(
        counters.lag_deliveries > MESSAGES as u64 / 2,
        "and the rest one by one"
    );
}
