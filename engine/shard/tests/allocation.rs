//! After the start, routing, sweeping and what becomes of the slow allocate nothing.

mod support;

use ringcast_allocations::{Counting, allocations};
use ringcast_codec::mqtt::{
    Packet, PacketId, Properties, QoS, Subscribe, SubscriptionBlock, SubscriptionOptions,
    TopicFilter, Version,
};
use ringcast_shard::Settings;
use support::{World, connect, encoded, tiny};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CLIENTS: u32 = 300;

/// Clients of which some share everything, some share with few, and some are alone.
fn world() -> World {
    let mut world = World::new(Settings {
        connections: CLIENTS,
        cohorts: CLIENTS as usize,
        filters: 2_000,
        subscriptions: 4_000,
        outbox_bytes: 8 << 20,
        ..tiny()
    });
    for number in 0..CLIENTS {
        let version = [Version::V311, Version::V5][number as usize % 2];
        let own = format!("own/{number}");
        let few = format!("queue/few/{}", number % 10);
        let filters: &[&str] = match number % 3 {
            0 => &["queue/#"],
            1 => &[few.as_str(), "drop/+"],
            _ => &["conflate/#", own.as_str(), "+/few/3"],
        };
        let mut block = SubscriptionBlock::new();
        for filter in filters {
            let filter = TopicFilter::new(filter).expect("is one");
            block.push(filter, SubscriptionOptions::at_most(QoS::AtMostOnce));
        }
        let packet = Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(1).expect("is not zero"),
            properties: Properties::EMPTY,
            subscriptions: block.subscriptions(),
        });
        let id = format!("client {number}");
        world.connect(&connect(version, &id), &encoded(version, &packet));
    }
    world.settle();
    world
}

/// Messages on topics that are known, and on some that are not, until the arena has come
/// round several times.
fn push(world: &mut World, messages: u32) {
    let payload = [b'x'; 200];
    for number in 0..messages {
        let topic = match number % 8 {
            0 => "queue/few/3",
            1 => "queue/few/4",
            2 => "conflate/a",
            3 => "conflate/b",
            4 => "drop/a",
            5 => "own/5",
            6 => "queue/other",
            _ => ["new/1", "new/2", "new/3"][number as usize / 8 % 3],
        };
        assert!(world.feed(topic, &payload, number % 16 == 2));
        world.bare_turn();
    }
}

#[test]
fn a_message_costs_no_allocation() {
    let mut world = world();
    world.wire.takers_from = Some(0);
    push(&mut world, 200);
    let before = world.shard.counters().deliveries;
    assert_eq!(allocations(|| push(&mut world, 5_000)), 0);
    assert!(world.shard.counters().deliveries - before > 100_000);
}

/// They go apart and fall into lag, the others go on.
#[test]
fn those_who_take_nothing_cost_no_allocation_for_a_message() {
    let mut world = world();
    world.wire.takers_from = Some(30);
    push(&mut world, 2_000);
    assert!(
        world.shard.counters().lags >= 20,
        "{:?}",
        world.shard.counters()
    );
    assert_eq!(allocations(|| push(&mut world, 1_000)), 0);
}
