//! What a message costs the shard, in instructions: counted by valgrind's callgrind, so it is
//! the same on every machine, busy or not.
//!
//! Only in release builds (`cargo test --release -p ringcast-shard --test instructions`): in
//! others the counts are of something else. Started without arguments it runs itself under
//! valgrind, once for each world and number of messages; the difference between few and many
//! messages is what they cost.

mod support;

use ringcast_codec::mqtt::{
    Acknowledge, Packet, PacketId, Properties, QoS, Subscribe, SubscriptionBlock,
    SubscriptionOptions, TopicFilter, Version,
};
use ringcast_ring::Message;
use ringcast_shard::{Limits, Settings};
use std::process::{Command, ExitCode};
use support::{Peer, World, connect, encoded, tiny};

/// What is counted: a world, and the most that a message may cost there. Compilers differ by
/// some percent.
const CASES: [(&str, u64); 9] = [
    ("one cohort", 5_000),
    ("one cohort, 10000 in lag", 5_000),
    ("1000 cohorts", 800_000),
    ("1000 cohorts, each in lag", 200_000),
    ("10000 filters of 100000 topics", 5_000),
    ("many topics", 5_000),
    (AT_MOST_ONCE, 5_000),
    (AT_LEAST_ONCE, 18_000),
    (ACKNOWLEDGED, 80_000),
];

/// A burst in each turn to one cohort: at QoS 0, at QoS 1 as long as nobody acknowledges
/// anything, and acknowledged, each burst with one send.
const AT_MOST_ONCE: &str = "64 at once to 100 members";
const AT_LEAST_ONCE: &str = "64 at once to 100 members, QoS 1";
const ACKNOWLEDGED: &str = "64 at once to 100 members, QoS 1, acknowledged";
const MEMBERS: u32 = 100;
const BURST: u32 = 64;

/// Messages before those that are counted, and so many more.
const BEFORE: u32 = 63 * BURST;
const COUNTED: u32 = 63 * BURST;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [case, messages] = &arguments[..]
        && let Ok(messages) = messages.parse()
    {
        run(case, messages);
        return ExitCode::SUCCESS;
    }
    if cfg!(debug_assertions) {
        println!("instructions are counted in release builds only: this run counts none");
        return ExitCode::SUCCESS;
    }
    let mut costs = Vec::new();
    for (case, most) in CASES {
        let cost = (count(case, BEFORE + COUNTED) - count(case, BEFORE)) / u64::from(COUNTED);
        println!("{case}: {cost} instructions a message");
        assert!(cost > 100, "{case}: it can't be so few");
        assert!(cost <= most, "{case}: more than {most}");
        costs.push(cost);
    }
    let (alone, beside) = (costs[0], costs[1]);
    let more = beside.saturating_sub(alone);
    println!("10000 in lag cost {more} instructions a message more");
    assert!(more < 500, "they cost something each");
    let of = |case| {
        let (_, cost) = CASES
            .iter()
            .zip(&costs)
            .find(|((name, _), _)| *name == case)?;
        Some(*cost as f64 / f64::from(MEMBERS))
    };
    let deliveries = [AT_MOST_ONCE, AT_LEAST_ONCE, ACKNOWLEDGED].map(of);
    let [plain, pushed, acknowledged] = deliveries.map(|cost| cost.expect("is a case"));
    println!(
        "a delivery costs {plain:.1} instructions at QoS 0, {:.1} more at QoS 1, {:.1} more to be \
         acknowledged",
        pushed - plain,
        acknowledged - pushed
    );
    println!("{} passed, 0 failed", CASES.len());
    ExitCode::SUCCESS
}

/// Instructions of a process that lives through that.
fn count(case: &str, messages: u32) -> u64 {
    let this = std::env::current_exe().expect("it runs");
    let counted = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args([case, &messages.to_string()])
        .output()
        .expect("valgrind is installed: apt-get install valgrind");
    let said = String::from_utf8_lossy(&counted.stderr);
    assert!(counted.status.success(), "{said}");
    let mut lines = said.lines();
    let counted = lines.find_map(|line| line.split_once("Collected : "));
    let (_, number) = counted.expect("callgrind counts");
    number.trim().parse().expect("a number")
}

fn run(case: &str, messages: u32) {
    let mut world = World::new(Settings {
        connections: 12_000,
        cohorts: 12_000,
        filters: 20_000,
        subscriptions: 40_000,
        topics: 120_000,
        arena_bytes: 4 << 20,
        flight_bytes: 16 << 20,
        outbox_bytes: 16 << 20,
        input_bytes: 16 << 20,
        limits: Limits {
            inflight_max: 16_384,
            ..tiny().limits
        },
        ..tiny()
    });
    world.wire.takers_from = Some(0);
    let mut topics = vec!["conflate/a".to_owned()];
    match case {
        AT_MOST_ONCE | AT_LEAST_ONCE | ACKNOWLEDGED => {
            return run_bursts(&mut world, case, messages);
        }
        "one cohort" => join(&mut world, 10, |_| vec!["conflate/#".into()]),
        "one cohort, 10000 in lag" => {
            join(&mut world, 10_000, |_| vec!["conflate/#".into()]);
            fall(&mut world, 10_000);
            join(&mut world, 10, |_| vec!["conflate/#".into()]);
        }
        "1000 cohorts" | "1000 cohorts, each in lag" => {
            join(&mut world, 1_000, |number| {
                vec!["conflate/a".into(), format!("own/{number}")]
            });
            if case.ends_with("lag") {
                fall(&mut world, 1_000);
            }
        }
        "10000 filters of 100000 topics" => {
            let filters = |_| (0..10_000).map(|number| format!("t/{number}")).collect();
            join(&mut world, 1, filters);
            join(&mut world, 1, |_| vec!["t/+".into()]);
            topics = (0..100_000).map(|number| format!("t/{number}")).collect();
        }
        "many topics" => {
            join(&mut world, 10, |_| vec!["t/#".into()]);
            topics = (0..1_000).map(|number| format!("t/{number}")).collect();
        }
        other => panic!("there is no {other}"),
    }
    // Each topic once, so that it is known.
    let known = topics.len();
    push(&mut world, &topics, known as u32);
    push(&mut world, &topics, messages);
}

/// Messages in bursts to one cohort.
fn run_bursts(world: &mut World, case: &str, messages: u32) {
    let qos = match case {
        AT_MOST_ONCE => QoS::AtMostOnce,
        _ => QoS::AtLeastOnce,
    };
    let peers = join_at(world, MEMBERS, qos, |_| vec!["conflate/#".into()]);
    let message = Message {
        topic: b"conflate/a",
        payload: &[b'x'; 128],
        qos: qos as u8,
        ..Message::default()
    };
    let mut pubacks = Vec::new();
    for number in 1..=messages {
        assert!(world.feed_message(message), "the shard keeps up");
        pubacks.extend(puback(number));
        if !number.is_multiple_of(BURST) {
            continue;
        }
        while world.bare_turn() {}
        if case == ACKNOWLEDGED {
            for &peer in &peers {
                world.wire.write(peer, &pubacks);
            }
            while world.bare_turn() {}
        }
        pubacks.clear();
    }
    let acknowledged = match case {
        ACKNOWLEDGED => messages * MEMBERS,
        _ => 0,
    };
    assert_eq!(world.shard.counters().acknowledged, u64::from(acknowledged));
}

/// The PUBACK of the message with this number, counted from 1, of those that the shard has
/// identified.
fn puback(number: u32) -> Vec<u8> {
    let packet_id = PacketId::new((1 + number % 32_767) as u16).expect("is not zero");
    encoded(
        Version::V5,
        &Packet::Puback(Acknowledge::success(packet_id)),
    )
}

/// So many clients, each with its filters.
fn join(world: &mut World, count: u32, filters: impl Fn(u32) -> Vec<String>) {
    join_at(world, count, QoS::AtMostOnce, filters);
}

/// The same, who get what they get at this QoS at most.
fn join_at(
    world: &mut World,
    count: u32,
    qos: QoS,
    filters: impl Fn(u32) -> Vec<String>,
) -> Vec<Peer> {
    let mut peers = Vec::new();
    for number in 0..count {
        let mut block = SubscriptionBlock::new();
        for filter in filters(number) {
            let filter = TopicFilter::new(&filter).expect("is one");
            block.push(filter, SubscriptionOptions::at_most(qos));
        }
        let packet = Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(1).expect("is not zero"),
            properties: Properties::EMPTY,
            subscriptions: block.subscriptions(),
        });
        let version = Version::V5;
        let id = format!("client {count} {number}");
        peers.push(world.connect(&connect(version, &id), &encoded(version, &packet)));
        if number % 64 == 63 {
            while world.bare_turn() {}
        }
    }
    while world.bare_turn() {}
    peers
}

/// All who are there fall into lag.
fn fall(world: &mut World, count: u64) {
    world.wire.takers_from = Some(u32::MAX);
    while world.shard.gauges().lagging < count {
        push(world, &["conflate/a".to_owned()], 100);
    }
    // Who was blocked stays so.
    world.wire.takers_from = Some(0);
}

fn push(world: &mut World, topics: &[String], messages: u32) {
    let payload = [b'x'; 128];
    for topic in topics.iter().cycle().take(messages as usize) {
        assert!(world.feed(topic, &payload, false), "the shard keeps up");
        world.bare_turn();
    }
    while world.bare_turn() {}
}
