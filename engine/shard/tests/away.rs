//! Very many sessions whose clients are away, each with a few messages that all of them
//! get: what that costs in memory, and in work.

mod support;

use ringcast_codec::mqtt::{
    Connect, Packet, PacketId, Properties, QoS, Subscribe, SubscriptionBlock, SubscriptionOptions,
    TopicFilter, Version,
};
use ringcast_ring::Message;
use ringcast_shard::Settings;
use support::{World, connect, encoded, packets, tiny};

const SESSIONS: u32 = if cfg!(debug_assertions) {
    20_000
} else {
    200_000
};

/// Connected at once, on their way.
const AT_ONCE: u32 = 500;

/// Messages while they are away.
const MESSAGES: u64 = 5;

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).expect("the second number");
    pages.parse::<usize>().expect("a number") * 4096
}

fn lasting(id: &str) -> Connect<'_> {
    Connect {
        clean_start: false,
        ..connect(Version::V311, id)
    }
}

#[test]
fn a_message_for_all_who_are_away_is_stored_and_appended_once() {
    let mut settings = Settings {
        connections: AT_ONCE,
        sessions: SESSIONS + 10,
        cohorts: 1_000,
        outbox_bytes: 16 << 20,
        ..tiny()
    };
    settings.limits.queue_messages = 10_000;
    let mut world = World::new(settings);
    let mut block = SubscriptionBlock::new();
    let options = SubscriptionOptions::at_most(QoS::AtLeastOnce);
    block.push(TopicFilter::new("t/#").expect("is one"), options);
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(1).expect("not zero"),
        properties: Properties::EMPTY,
        subscriptions: block.subscriptions(),
    });
    let subscribe = encoded(Version::V311, &subscribe);
    let before = resident_bytes();
    for first in (0..SESSIONS).step_by(AT_ONCE as usize) {
        let peers: Vec<_> = (first..first + AT_ONCE)
            .map(|number| world.connect(&lasting(&format!("desk {number}")), &subscribe))
            .collect();
        while world.bare_turn() {}
        for peer in &peers {
            world.wire.end(*peer);
        }
        while world.bare_turn() {}
        for peer in peers {
            world.wire.pipes.remove(&peer);
        }
    }
    let each = (resident_bytes() - before) / SESSIONS as usize;
    let gauges = world.shard.gauges();
    assert_eq!((gauges.away, gauges.connections), (SESSIONS.into(), 0));
    let appends = world.shard.counters().appends;
    for number in 0..MESSAGES {
        let payload = number.to_string();
        let fed = world.feed_message(Message {
            topic: b"t/a",
            payload: payload.as_bytes(),
            qos: 1,
            ..Message::default()
        });
        assert!(fed);
        world.bare_turn();
    }
    let gauges = world.shard.gauges();
    assert_eq!(gauges.stored, MESSAGES, "each once");
    assert_eq!(gauges.deliveries, MESSAGES);
    assert_eq!(
        world.shard.counters().appends,
        appends,
        "nothing is encoded"
    );
    eprintln!("{SESSIONS} sessions away: {each} bytes each");
    assert!(each < 384, "{each} bytes");
    // Whoever comes back finds all of it.
    for number in [0, SESSIONS / 2, SESSIONS - 1] {
        let peer = world.connect(&lasting(&format!("desk {number}")), b"");
        world.settle_turns(4);
        let bytes = world.wire.take(peer);
        let mut got = Vec::new();
        packets(Version::V311, &bytes, |packet| match packet {
            Packet::Connack(connack) => assert!(connack.session_present),
            Packet::Publish(publish) => got.push(publish.payload.to_vec()),
            other => panic!("{other:?}"),
        });
        let all: Vec<_> = (0..MESSAGES)
            .map(|number| number.to_string().into_bytes())
            .collect();
        assert_eq!(got, all);
    }
}
