//! One rule at a time: what clients are told, when they are closed, what the slow get.

mod support;

use ringcast_codec::market::{DeliveryClass, DeliveryClasses, SlowPolicy};
use ringcast_codec::mqtt::{
    Binary, Connect, Delivery, FilterBlock, Packet, PacketId, Properties, Property, Publish, QoS,
    ReasonCode, Subscribe, SubscriptionBlock, SubscriptionIdentifier, SubscriptionOptions, Text,
    TopicFilter, TopicName, Unsubscribe, Version, Will,
};
use ringcast_ring::Message;
use ringcast_shard::{End, Settings};
use ringcast_wire::Close;
use support::{Peer, Random, World, block, connect, encoded, packets, tiny};

fn told(world: &mut World, peer: Peer, version: Version) -> Vec<String> {
    let mut told = Vec::new();
    let bytes = world.wire.take(peer);
    let rest = packets(version, &bytes, |packet| {
        told.push(match packet {
            Packet::Publish(publish) => format!(
                "{} {}{}",
                publish.topic.unwrap().as_str(),
                String::from_utf8_lossy(publish.payload),
                if publish.retain { " retained" } else { "" }
            ),
            Packet::Connack(connack) => {
                format!("Connack {:?} {:?}", connack.reason, connack.properties)
            }
            Packet::Suback(suback) => {
                format!("Suback {:?}", suback.reasons.iter().collect::<Vec<_>>())
            }
            Packet::Disconnect(disconnect) => format!("Disconnect {:?}", disconnect.reason),
            other => format!("{:?}", other.kind()),
        });
    });
    assert!(rest.is_empty(), "whole packets");
    told
}

fn subscribe(filters: &[&str]) -> Vec<u8> {
    subscribe_as(Version::V5, filters)
}

fn subscribe_as(version: Version, filters: &[&str]) -> Vec<u8> {
    let mut block = SubscriptionBlock::new();
    for filter in filters {
        let filter = TopicFilter::new(filter).unwrap();
        block.push(filter, SubscriptionOptions::at_most(QoS::AtMostOnce));
    }
    let packet = Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(7).unwrap(),
        properties: Properties::EMPTY,
        subscriptions: block.subscriptions(),
    });
    encoded(version, &packet)
}

fn publish(topic: &str, payload: &[u8], retain: bool, qos: QoS) -> Vec<u8> {
    let packet_id = PacketId::new(9).unwrap();
    let packet = Packet::Publish(Publish {
        delivery: match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            _ => Delivery::AtLeastOnce {
                packet_id,
                dup: false,
            },
        },
        retain,
        topic: Some(TopicName::new(topic).unwrap()),
        properties: Properties::EMPTY,
        payload,
    });
    encoded(Version::V5, &packet)
}

/// A client of MQTT 5 that is subscribed, and has heard so.
fn client(world: &mut World, id: &str, filters: &[&str]) -> Peer {
    let peer = world.connect(&connect(Version::V5, id), &subscribe(filters));
    world.settle();
    let told = told(world, peer, Version::V5);
    assert!(told[1].starts_with("Suback [Success"), "{told:?}");
    peer
}

#[test]
fn connack_says_what_is_served_and_what_is_not() {
    let mut world = World::new(tiny());
    let expiry = block(Property::SessionExpiryInterval(u32::MAX));
    let own = Connect {
        properties: expiry.properties(),
        keep_alive: 0,
        ..connect(Version::V5, "")
    };
    let peer = world.connect(&own, b"");
    world.settle();
    let [connack] = &told(&mut world, peer, Version::V5)[..] else {
        panic!("one packet");
    };
    for promise in [
        "Success",
        "AssignedClientIdentifier(\"assigned\")",
        "SessionExpiryInterval(3600)",
        "ReceiveMaximum(1024)",
        "MaximumPacketSize(8192)",
        "TopicAliasMaximum(3)",
    ] {
        assert!(connack.contains(promise), "{promise} in {connack}");
    }
    for silent in ["MaximumQos", "RetainAvailable", "Available(false)"] {
        assert!(!connack.contains(silent), "{silent} in {connack}");
    }
    // A will goes where its client may publish.
    let will = Will {
        topic: TopicName::new("user/ann/order").unwrap(),
        payload: Binary::new(b"").unwrap(),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: Properties::EMPTY,
    };
    for version in [Version::V31, Version::V311, Version::V5] {
        let refused = Connect {
            will: Some(will),
            ..connect(version, "a")
        };
        let peer = world.connect(&refused, b"");
        world.settle();
        let told = told(&mut world, peer, version);
        assert!(told[0].contains("NotAuthorized"), "{told:?}");
        assert_eq!(world.wire.pipes[&peer].closed, Some(Close::Polite));
    }
}

#[test]
fn a_full_shard_says_so_and_serves_those_it_has() {
    let mut world = World::new(Settings {
        connections: 2,
        ..tiny()
    });
    let a = client(&mut world, "a", &["t"]);
    client(&mut world, "b", &["t"]);
    for id in ["c", "d"] {
        let peer = world.connect(&connect(Version::V5, id), b"");
        world.settle();
        assert!(told(&mut world, peer, Version::V5)[0].contains("QuotaExceeded"));
    }
    // Who is here already may come anew.
    client(&mut world, "b", &["t"]);
    world.feed("t", b"1", false);
    world.settle();
    assert_eq!(told(&mut world, a, Version::V5), ["t 1"]);
}

#[test]
fn another_user_does_not_get_a_client_identifier() {
    let mut world = World::new(tiny());
    let user = |name| Connect {
        user_name: Some(Text::new(name).unwrap()),
        ..connect(Version::V5, "desk")
    };
    let first = world.connect(&user("ann"), b"");
    world.settle();
    told(&mut world, first, Version::V5);
    let other = world.connect(&user("bob"), b"");
    world.settle();
    assert!(told(&mut world, other, Version::V5)[0].contains("NotAuthorized"));
    let again = world.connect(&user("ann"), b"");
    world.settle();
    assert!(told(&mut world, again, Version::V5)[0].contains("Success"));
    assert_eq!(
        told(&mut world, first, Version::V5),
        ["Disconnect SessionTakenOver"]
    );
}

/// In one segment, with other messages on their way.
#[test]
fn who_publishes_retained_and_subscribes_gets_it_once() {
    let mut world = World::new(tiny());
    for round in 0..200 {
        for _ in 0..round % 7 {
            world.feed("other", b"x", false);
        }
        let payload = round.to_string();
        let mut bytes = publish("own", payload.as_bytes(), true, QoS::AtMostOnce);
        bytes.extend(subscribe(&["own"]));
        let peer = world.connect(&connect(Version::V5, "desk"), &bytes);
        world.settle();
        let told = told(&mut world, peer, Version::V5);
        assert_eq!(
            told[1..],
            [
                "Suback [Success]".to_owned(),
                format!("own {payload} retained")
            ]
        );
    }
}

#[test]
fn silence_ends_a_connection_and_a_ping_does_not() {
    let mut world = World::new(tiny());
    let alive = Connect {
        keep_alive: 10,
        ..connect(Version::V5, "alive")
    };
    let silent = Connect {
        keep_alive: 10,
        ..connect(Version::V311, "silent")
    };
    let alive = world.connect(&alive, b"");
    let silent = world.connect(&silent, b"");
    world.settle();
    told(&mut world, alive, Version::V5);
    for _ in 0..13 {
        world.now.monotonic_nanos += 1_000_000_000;
        world.send(alive, Version::V5, &Packet::Pingreq);
        world.settle();
    }
    assert_eq!(
        world.wire.pipes[&silent].closed, None,
        "not before one and a half times"
    );
    world.now.monotonic_nanos += 3_000_000_000;
    world.settle();
    assert_eq!(world.wire.pipes[&silent].closed, Some(Close::Polite));
    assert_eq!(world.wire.pipes[&alive].closed, None);
    world.now.monotonic_nanos += 20_000_000_000;
    world.settle();
    let told = told(&mut world, alive, Version::V5);
    assert_eq!(told.last().unwrap(), "Disconnect KeepAliveTimeout");
    assert_eq!(world.shard.counters().ended[End::KeepAlive.number()], 2);
}

#[test]
fn a_newcomers_silence_begins_when_it_comes() {
    let mut world = World::new(tiny());
    world.settle();
    // No turn for a while: nobody is there, or the machine stood still.
    world.now.monotonic_nanos += 60_000_000_000;
    let connect = Connect {
        keep_alive: 10,
        ..connect(Version::V5, "a")
    };
    let peer = world.connect(&connect, b"");
    world.settle();
    assert_eq!(world.wire.pipes[&peer].closed, None);
    world.now.monotonic_nanos += 16_000_000_000;
    world.settle();
    assert_eq!(world.wire.pipes[&peer].closed, Some(Close::Polite));
}

#[test]
fn what_has_expired_on_its_way_is_delivered_to_nobody() {
    let mut world = World::new(tiny());
    let peers = [("a", "#"), ("b", "conflate/a")].map(|(id, filter)| {
        let peer = client(&mut world, id, &[filter]);
        assert!(told(&mut world, peer, Version::V5).is_empty());
        peer
    });
    for topic in ["queue/a", "conflate/a"] {
        world.feed_message(Message {
            topic: topic.as_bytes(),
            payload: b"old",
            retain: true,
            expires_micros: world.now.wall_nanos / 1_000 + 1_000_000,
            ..Message::default()
        });
    }
    world.now.wall_nanos += 2_000_000_000;
    world.settle();
    for peer in peers {
        assert_eq!(told(&mut world, peer, Version::V5), [""; 0]);
    }
}

/// Somebody who is subscribed to `queue/a` takes nothing until it is in lag, and then everything.
fn falls_and_gets_all(world: &mut World, peer: Peer) {
    world.wire.pipes.get_mut(&peer).unwrap().capacity = 0;
    let mut sent = 0;
    while world.shard.counters().lags == 0 {
        sent += 1;
        assert!(world.feed("queue/a", format!("{sent:0500}").as_bytes(), false));
        world.settle();
    }
    world.wire.pipes.get_mut(&peer).unwrap().capacity = usize::MAX;
    world.wire.take(peer);
    world.settle();
    let expected: Vec<_> = (1..=sent).map(|n| format!("queue/a {n:0500}")).collect();
    assert!(told(world, peer, Version::V5) == expected, "{sent} sent");
}

#[test]
fn who_falls_into_lag_for_a_message_does_not_lose_it() {
    let mut settings = tiny();
    // So that only the arena makes anybody fall, and that much later.
    settings.limits.lag_bytes = u64::MAX;
    settings.limits.queue_messages = 10_000;
    settings.limits.queue_bytes = 1 << 20;
    let mut world = World::new(settings);
    let peer = client(&mut world, "a", &["queue/a"]);
    falls_and_gets_all(&mut world, peer);
}

#[test]
fn the_refused_take_no_room_from_those_who_are_served() {
    let mut world = World::new(Settings {
        connections: 2,
        cohorts: 2,
        ..tiny()
    });
    let peers = ["a", "b"].map(|id| world.connect(&connect(Version::V5, id), b""));
    world.settle();
    world.wire.write(peers[0], &subscribe(&["queue/a"]));
    // Before the turn in which that takes effect, and each with another largest packet.
    for bytes in [100, 200, 300] {
        let own = block(Property::MaximumPacketSize(bytes));
        let refused = Connect {
            properties: own.properties(),
            ..connect(Version::V5, "c")
        };
        world.connect(&refused, b"");
    }
    world.settle();
    let told = told(&mut world, peers[0], Version::V5);
    assert_eq!(told.last().unwrap(), "Suback [Success]");
}

#[test]
fn frames_of_a_quarter_of_the_arena_lie_anywhere_in_it() {
    let mut world = World::new(tiny());
    let peer = client(&mut world, "a", &["#"]);
    let mut random = Random(1);
    for count in 0..200 {
        // The largest that the ring of this world takes are nearly a quarter of the arena.
        let bytes = *random.of(&[10, 300, 4_000, 16_200]);
        assert!(world.feed("queue/a", &vec![b'x'; bytes], false));
        world.settle();
        let told = told(&mut world, peer, Version::V5);
        assert_eq!(told.len(), 1, "message {count}");
        assert_eq!(told[0].len(), "queue/a ".len() + bytes);
    }
}

#[test]
fn what_is_conflated_is_marked_as_retained_if_it_is_and_that_is_asked_for() {
    let mut world = World::new(tiny());
    let mut filters = SubscriptionBlock::new();
    let options = SubscriptionOptions {
        retain_as_published: true,
        ..SubscriptionOptions::at_most(QoS::AtMostOnce)
    };
    filters.push(TopicFilter::new("conflate/a").unwrap(), options);
    let packet = Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(7).unwrap(),
        properties: Properties::EMPTY,
        subscriptions: filters.subscriptions(),
    });
    let behind = encoded(Version::V5, &packet);
    let peer = world.connect(&connect(Version::V5, "a"), &behind);
    world.settle();
    told(&mut world, peer, Version::V5);
    world.wire.pipes.get_mut(&peer).unwrap().capacity = 0;
    while world.shard.counters().lags == 0 {
        assert!(world.feed("conflate/a", &[b'x'; 900], true));
        world.settle();
    }
    assert!(world.feed("conflate/a", b"last", true));
    world.wire.pipes.get_mut(&peer).unwrap().capacity = usize::MAX;
    world.wire.take(peer);
    world.settle();
    let told = told(&mut world, peer, Version::V5);
    assert_eq!(told, ["conflate/a last retained"]);
}

/// For who is away a log keeps what is to be acknowledged; who falls into lag needs more of it.
#[test]
fn who_falls_into_lag_behind_one_who_is_away_loses_nothing() {
    let mut world = World::new(tiny());
    let expiry = block(Property::SessionExpiryInterval(3_600));
    let lasting = Connect {
        properties: expiry.properties(),
        ..connect(Version::V5, "away")
    };
    let away = world.connect(&lasting, &subscribe(&["queue/a"]));
    world.settle();
    world.wire.end(away);
    world.settle();
    let peer = client(&mut world, "here", &["queue/a"]);
    falls_and_gets_all(&mut world, peer);
    assert_eq!(world.shard.gauges().away, 1);
}

/// A frame of MQTT 3 has no properties, so what is made of it would have lost them.
#[test]
fn at_qos_0_nothing_waits_for_who_comes_back_with_another_version() {
    let mut world = World::new(tiny());
    let lasting = |version, id| Connect {
        clean_start: false,
        ..connect(version, id)
    };
    let properties = block(Property::ContentType(Text::new("text").unwrap()));
    let feed = |world: &mut World, payload: &[u8]| {
        assert!(world.feed_message(Message {
            topic: b"queue/a",
            properties: properties.properties().as_bytes(),
            payload,
            ..Message::default()
        }));
        world.settle();
    };
    // Two, so that it leaves a cohort that goes on.
    let [peer, _] = ["a", "b"].map(|id| {
        let subscribe = subscribe_as(Version::V311, &["queue/a"]);
        world.connect(&lasting(Version::V311, id), &subscribe)
    });
    world.settle();
    world.wire.pipes.get_mut(&peer).unwrap().capacity = 0;
    feed(&mut world, b"blocked");
    world.wire.end(peer);
    world.settle();
    feed(&mut world, b"away");
    let back = world.connect(&lasting(Version::V5, "a"), b"");
    world.settle();
    feed(&mut world, b"back");
    let mut got = Vec::new();
    let bytes = world.wire.take(back);
    packets(Version::V5, &bytes, |packet| match packet {
        Packet::Connack(connack) => assert!(connack.session_present),
        Packet::Publish(publish) => {
            let content_type = publish.properties.content_type();
            got.push((publish.payload.to_vec(), content_type.is_some()));
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(got, [(b"back".to_vec(), true)]);
}

/// A frame of MQTT 3 says nothing of identifiers, but who was sent it may come back with MQTT 5.
#[test]
fn who_spoke_mqtt_3_meanwhile_gets_the_identifiers_that_are_its_own() {
    let mut world = World::new(tiny());
    let expiry = block(Property::SessionExpiryInterval(3_600));
    let lasting = |version, id| Connect {
        clean_start: false,
        properties: match version {
            Version::V5 => expiry.properties(),
            _ => Properties::EMPTY,
        },
        ..connect(version, id)
    };
    let mut subscriptions = SubscriptionBlock::new();
    let options = SubscriptionOptions::at_most(QoS::AtLeastOnce);
    subscriptions.push(TopicFilter::new("queue/a").unwrap(), options);
    let known = [None, Some(100), None, Some(200)];
    let mut peers = Vec::new();
    for (id, identifier) in ["a", "b", "c", "d"].into_iter().zip(known) {
        let identifier = identifier.and_then(SubscriptionIdentifier::new);
        let properties = identifier.map(|one| block(Property::SubscriptionIdentifier(one)));
        let packet = Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(1).unwrap(),
            properties: properties
                .as_ref()
                .map_or(Properties::EMPTY, |block| block.properties()),
            subscriptions: subscriptions.subscriptions(),
        });
        let subscribe = encoded(Version::V5, &packet);
        world.connect(&lasting(Version::V5, id), &subscribe);
        world.settle();
        peers.push(world.connect(&lasting(Version::V311, id), b""));
        world.settle();
    }
    assert!(world.feed_message(Message {
        topic: b"queue/a",
        qos: 1,
        ..Message::default()
    }));
    world.settle();
    peers.into_iter().for_each(|peer| world.wire.end(peer));
    world.settle();
    let got = ["a", "b", "c", "d"].map(|id| {
        let back = world.connect(&lasting(Version::V5, id), b"");
        world.settle();
        let bytes = world.wire.take(back);
        let mut got = Vec::new();
        packets(Version::V5, &bytes, |packet| {
            if let Packet::Publish(publish) = packet {
                let mut identifiers = publish.properties.subscription_identifiers();
                got.push(identifiers.next().map(SubscriptionIdentifier::get));
            }
        });
        got
    });
    assert_eq!(got, known.map(|identifier| vec![identifier]));
}

/// Who is not too slow loses nothing, however long its shard stood still.
#[test]
fn what_is_late_is_encoded_anew_and_nobody_falls_into_lag() {
    for version in [Version::V311, Version::V5] {
        let mut world = World::new(tiny());
        let filters = ["conflate/a", "strict/a"];
        let peer = world.connect(&connect(version, "a"), &subscribe_as(version, &filters));
        world.settle();
        told(&mut world, peer, version);
        world.wire.pipes.get_mut(&peer).unwrap().capacity = 0;
        for (payload, lives) in [("1", 100), ("2", 0), ("3", 1), ("4", 100), ("5", 0)] {
            for topic in filters {
                let now_micros = world.now.wall_nanos / 1_000;
                world.feed_message(Message {
                    topic: topic.as_bytes(),
                    payload: payload.as_bytes(),
                    expires_micros: if lives > 0 {
                        now_micros + lives * 1_000_000
                    } else {
                        0
                    },
                    ..Message::default()
                });
            }
        }
        world.settle();
        world.now.wall_nanos += 3_000_000_000;
        world.wire.pipes.get_mut(&peer).unwrap().capacity = usize::MAX;
        world.wire.take(peer);
        world.settle();
        let mut got = Vec::new();
        let bytes = world.wire.take(peer);
        packets(version, &bytes, |packet| {
            let Packet::Publish(publish) = packet else {
                panic!("{packet:?}");
            };
            let lives = publish.properties.message_expiry_interval();
            got.push((publish.payload[0], lives));
        });
        let lives = (version == Version::V5).then_some(97);
        let expected = [(b'1', lives), (b'2', None), (b'4', lives), (b'5', None)];
        let expected: Vec<_> = expected.into_iter().flat_map(|one| [one, one]).collect();
        assert_eq!(got, expected);
        assert_eq!(world.shard.counters().lags, 0);
    }
}

/// There may always be something that the shard sends up itself.
#[test]
fn who_joins_a_group_waits_for_no_more_than_that() {
    let mut settings = tiny();
    settings.limits.queue_messages = 0;
    let mut world = World::new(settings);
    client(&mut world, "full", &["$share/g/t"]);
    let peer = world.connect(&connect(Version::V5, "a"), &subscribe(&["$share/g/other"]));
    let mut heard = Vec::new();
    for _ in 0..10 {
        // It goes up again for another member, and there is none with room.
        assert!(world.feed("t", b"1", false));
        world.sequence_uplink();
        world.turn();
        heard.extend(told(&mut world, peer, Version::V5));
    }
    assert!(heard[1].starts_with("Suback [Success"), "{heard:?}");
}

#[test]
fn who_comes_back_is_too_slow_for_what_others_were_too_slow_for() {
    let mut world = World::new(tiny());
    let expiry = block(Property::SessionExpiryInterval(3_600));
    let lasting = |id| Connect {
        properties: expiry.properties(),
        ..connect(Version::V5, id)
    };
    let filters = ["strict/a", "queue/a"];
    let away = world.connect(&lasting("away"), &subscribe(&filters));
    world.settle();
    world.wire.end(away);
    world.settle();
    let slow = client(&mut world, "slow", &filters);
    world.wire.pipes.get_mut(&slow).unwrap().capacity = 0;
    while world.shard.counters().lags == 0 {
        assert!(world.feed("queue/a", &[b'x'; 500], false));
        world.settle();
    }
    assert!(world.feed("strict/a", b"1", false));
    world.settle();
    assert!(world.wire.pipes[&slow].closed.is_some());
    let back = world.connect(
        &Connect {
            clean_start: false,
            ..lasting("away")
        },
        b"",
    );
    world.wire.pipes.get_mut(&back).unwrap().capacity = 0;
    world.turn();
    assert!(world.feed("strict/a", b"2", false));
    world.settle();
    assert!(world.wire.pipes[&back].closed.is_some());
    assert_eq!(world.shard.counters().ended[End::TooSlow.number()], 2);
}

#[test]
fn who_is_back_in_step_while_a_message_waits_for_room_gets_it_once() {
    let mut world = World::new(Settings {
        turn_sends_max: 1,
        ..tiny()
    });
    let mut random = Random(1);
    let quick = ["a", "b", "c", "d", "e", "f"].map(|id| client(&mut world, id, &["#"]));
    let slow = client(&mut world, "slow", &["#"]);
    let (mut bytes, mut got) = (Vec::new(), Vec::<u32>::new());
    for number in 0..2_000 {
        if random.below(3) > 0 {
            let payload = format!("{number:015000}");
            world.feed("conflate/a", payload.as_bytes(), false);
        }
        for _ in 0..random.below(6) {
            world.turn();
        }
        let capacity = *random.of(&[0, 0, usize::MAX]);
        world.wire.pipes.get_mut(&slow).unwrap().capacity = capacity;
        if capacity > 0 {
            bytes.extend(world.wire.take(slow));
            bytes = packets(Version::V5, &bytes, |packet| {
                let Packet::Publish(publish) = packet else {
                    panic!("{packet:?}");
                };
                let text = std::str::from_utf8(publish.payload).unwrap();
                got.push(text.parse().unwrap());
            });
        }
        for peer in quick {
            world.wire.take(peer);
        }
    }
    let counters = world.shard.counters();
    assert!(counters.lags > 10 && counters.routing_paused > 10);
    assert!(got.is_sorted_by(|one, next| one < next), "{got:?}");
}

#[test]
fn who_falls_into_lag_and_finds_no_room_is_closed() {
    let mut world = World::new(Settings {
        stored_bytes: 4 * 1024,
        ..tiny()
    });
    let peer = client(&mut world, "a", &["queue/a"]);
    world.wire.pipes.get_mut(&peer).unwrap().capacity = 0;
    while world.shard.counters().lags == 0 {
        assert!(world.feed("queue/a", &[b'x'; 3_000], false));
        world.settle();
    }
    assert!(world.wire.pipes[&peer].closed.is_some());
    assert_eq!(world.shard.counters().ended[End::TooSlow.number()], 1);
}

#[test]
fn who_can_not_be_sent_connack_is_sent_nothing() {
    let mut world = World::new(Settings {
        outbox_bytes: 1_016,
        ..tiny()
    });
    // Two pages, each with what somebody who takes nothing is to be told. The last takes over
    // from itself, too.
    let peers = ["a", "b", "c", "c"].map(|id| world.connect(&connect(Version::V5, id), b""));
    for peer in &peers[..2] {
        world.wire.pipes.get_mut(peer).unwrap().capacity = 0;
    }
    world.settle();
    for peer in &peers[2..] {
        let pipe = &world.wire.pipes[peer];
        assert!(pipe.closed.is_some() && pipe.to_client.is_empty());
    }
    world.wire.pipes.get_mut(&peers[0]).unwrap().capacity = usize::MAX;
    world.wire.take(peers[0]);
    world.settle();
    assert!(told(&mut world, peers[0], Version::V5)[0].starts_with("Connack Success"));
}

#[test]
fn who_can_not_be_unsubscribed_nor_told_so_is_closed() {
    for version in [Version::V311, Version::V5] {
        let mut world = World::new(Settings {
            connections: 4,
            sessions: 4,
            cohorts: 1,
            ..tiny()
        });
        // Two share a set, and the others have what room there is for sets.
        let sets: [&[&str]; 4] = [&["a", "b"], &["a", "b"], &["c"], &["d"]];
        let peers = ["w", "x", "y", "z"]
            .into_iter()
            .zip(sets)
            .map(|(id, set)| world.connect(&connect(version, id), &subscribe_as(version, set)));
        let peers: Vec<_> = peers.collect();
        world.settle();
        let mut filters = FilterBlock::new();
        filters.push(TopicFilter::new("a").unwrap());
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::new(8).unwrap(),
            properties: Properties::EMPTY,
            filters: filters.filters(),
        });
        world.send(peers[0], version, &packet);
        world.settle();
        let is_closed = world.wire.pipes[&peers[0]].closed.is_some();
        assert_eq!(is_closed, version == Version::V311);
    }
}

#[test]
fn faults_are_named() {
    let long_topic = "a/".repeat(8) + "a";
    let mut malformed = publish("t", b"", false, QoS::AtMostOnce);
    malformed[0] |= 0b0110;
    for (bytes, reason) in [
        (
            publish("t", &[0; 9_000], false, QoS::AtMostOnce),
            ReasonCode::PacketTooLarge,
        ),
        (
            publish(&long_topic, b"", false, QoS::AtMostOnce),
            ReasonCode::TopicNameInvalid,
        ),
        (malformed, ReasonCode::MalformedPacket),
        (b"\xF0\0".to_vec(), ReasonCode::ProtocolError),
        (b"\x10\0".to_vec(), ReasonCode::ProtocolError),
        // A topic alias that is larger than allowed.
        (
            b"\x30\x07\0\x01t\x03\x23\0\x04".to_vec(),
            ReasonCode::TopicAliasInvalid,
        ),
        (
            b"\xE0\x07\0\x05\x11\0\0\0\x05".to_vec(),
            ReasonCode::ProtocolError,
        ),
    ] {
        let mut world = World::new(tiny());
        let peer = client(&mut world, "a", &["t"]);
        world.wire.write(peer, &bytes);
        world.settle();
        let expected = format!("Disconnect {reason:?}");
        assert_eq!(told(&mut world, peer, Version::V5), [expected]);
        assert_eq!(world.wire.pipes[&peer].closed, Some(Close::Polite));
    }
}

#[test]
fn topics_of_others_are_refused() {
    let mut settings = tiny();
    settings.limits.clients_publish_market = false;
    let mut world = World::new(settings);
    let filters = [
        "#",
        "user/ann/order/X",
        "user/#",
        "$share/g/t",
        "a/b/c/d/e/f/g/h/i",
    ];
    let peer = world.connect(&connect(Version::V5, "b"), &subscribe(&filters));
    world.settle();
    assert_eq!(
        told(&mut world, peer, Version::V5)[1],
        "Suback [Success, NotAuthorized, NotAuthorized, Success, TopicFilterInvalid]"
    );
    for topic in ["$SYS/x", "user/ann/order/X", "market/X/trade"] {
        world
            .wire
            .write(peer, &publish(topic, b"", false, QoS::AtMostOnce));
    }
    world.feed("user/ann/order/X", b"secret", true);
    world
        .wire
        .write(peer, &publish("own", b"1", false, QoS::AtMostOnce));
    world.settle();
    assert_eq!(told(&mut world, peer, Version::V5), ["own 1"]);
    assert_eq!(world.shard.counters().publishes_refused, 3);
    // MQTT 3.1 has no way to refuse.
    let peer = world.connect(
        &connect(Version::V31, "c"),
        &subscribe_as(Version::V31, &["user/#"]),
    );
    world.settle();
    assert_eq!(world.wire.pipes[&peer].closed, Some(Close::Polite));
}

#[test]
fn no_client_gets_a_packet_larger_than_it_takes() {
    let mut world = World::new(tiny());
    let size = block(Property::MaximumPacketSize(100));
    let small = Connect {
        properties: size.properties(),
        ..connect(Version::V5, "small")
    };
    let small = world.connect(&small, &subscribe(&["t"]));
    let large = client(&mut world, "large", &["t"]);
    world.settle();
    told(&mut world, small, Version::V5);
    world.feed("t", &[b'x'; 100], true);
    world.feed("t", b"y", false);
    world.settle();
    assert_eq!(told(&mut world, small, Version::V5), ["t y"]);
    assert_eq!(told(&mut world, large, Version::V5).len(), 2);
    // Nor as a retained message.
    world.wire.write(small, &subscribe(&["t"]));
    world.settle();
    assert_eq!(told(&mut world, small, Version::V5), ["Suback [Success]"]);
}

#[test]
fn subscription_identifiers_and_retain_as_published_make_frames_of_their_own() {
    let mut world = World::new(tiny());
    let block_of = |identifier: u32, filters: &[&str], retain_as_published| {
        let mut subscriptions = SubscriptionBlock::new();
        for filter in filters {
            let options = SubscriptionOptions {
                retain_as_published,
                ..SubscriptionOptions::at_most(QoS::AtMostOnce)
            };
            subscriptions.push(TopicFilter::new(filter).unwrap(), options);
        }
        let identifier = SubscriptionIdentifier::new(identifier).unwrap();
        let properties = block(Property::SubscriptionIdentifier(identifier));
        let packet = Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(1).unwrap(),
            properties: properties.properties(),
            subscriptions: subscriptions.subscriptions(),
        });
        encoded(Version::V5, &packet)
    };
    let mut first = block_of(5, &["a/+"], false);
    first.extend(block_of(3, &["a/b"], true));
    let second = block_of(5, &["#"], false);
    let peers = [
        world.connect(&connect(Version::V5, "1"), &first),
        world.connect(&connect(Version::V5, "2"), &second),
        world.connect(&connect(Version::V5, "3"), &subscribe(&["#"])),
    ];
    world.settle();
    peers.iter().for_each(|peer| _ = world.wire.take(*peer));
    world.feed("a/b", b"1", true);
    world.settle();
    let mut got = Vec::new();
    for peer in peers {
        let bytes = world.wire.take(peer);
        packets(Version::V5, &bytes, |packet| {
            let Packet::Publish(publish) = packet else {
                panic!("{packet:?}")
            };
            let identifiers: Vec<_> = publish
                .properties
                .subscription_identifiers()
                .map(SubscriptionIdentifier::get)
                .collect();
            got.push((identifiers, publish.retain));
        });
    }
    assert_eq!(got, [(vec![3, 5], true), (vec![5], false), (vec![], false)]);
    assert_eq!(world.shard.counters().frames, 3);
}

#[test]
fn equal_members_share_one_frame_and_one_append() {
    let mut world = World::new(tiny());
    let peers: Vec<_> = (0..20)
        .map(|n| client(&mut world, &n.to_string(), &["t", "u"]))
        .collect();
    world.feed("t", b"1", false);
    world.settle();
    let counters = *world.shard.counters();
    assert_eq!(
        (counters.frames, counters.appends, counters.deliveries),
        (1, 1, 20)
    );
    for peer in peers {
        assert_eq!(told(&mut world, peer, Version::V5), ["t 1"]);
    }
}

/// All that the class of a topic promises to a client that takes nothing for a while.
#[test]
fn each_policy_does_what_it_says() {
    for (topic, expected) in [
        ("queue/a", "all"),
        ("conflate/a", "newest"),
        ("drop/a", "some"),
        ("strict/a", "end"),
    ] {
        let mut world = World::new(tiny());
        let healthy = client(&mut world, "healthy", &["#"]);
        let slow = client(&mut world, "slow", &["#"]);
        world.wire.pipes.get_mut(&slow).unwrap().capacity = 1_000;
        let mut healthy_got = 0;
        for number in 0..300 {
            let payload = format!("{number:>100}");
            assert!(world.feed(topic, payload.as_bytes(), false));
            world.settle();
            healthy_got += told(&mut world, healthy, Version::V5).len();
        }
        assert_eq!(healthy_got, 300, "who is healthy gets all");
        world.wire.pipes.get_mut(&slow).unwrap().capacity = usize::MAX;
        let mut got = String::new();
        let mut bytes = Vec::new();
        loop {
            let more = world.wire.take(slow);
            if more.is_empty() {
                break;
            }
            bytes.extend(more);
            world.settle();
        }
        let mut numbers = Vec::new();
        let rest = packets(Version::V5, &bytes, |packet| match packet {
            Packet::Publish(publish) => {
                let text = std::str::from_utf8(publish.payload).unwrap();
                numbers.push(text.trim().parse::<u32>().unwrap());
            }
            other => got = format!("{other:?}"),
        });
        assert!(numbers.is_sorted_by(|a, b| a < b), "in order, each once");
        match expected {
            "all" => assert_eq!(numbers.len(), 300),
            "newest" => {
                assert!(numbers.len() < 150, "{}", numbers.len());
                assert_eq!(numbers.last(), Some(&299));
            }
            "some" => {
                assert!(numbers.len() < 150, "{}", numbers.len());
                assert_eq!(world.shard.counters().drops + numbers.len() as u64, 300);
                world.feed(topic, b"300", false);
                world.settle();
                assert_eq!(
                    told(&mut world, slow, Version::V5),
                    [format!("{topic} 300")]
                );
            }
            _ => {
                assert!(numbers.len() < 150, "{}", numbers.len());
                // Closed in the middle of a frame: without a word.
                assert_eq!(world.wire.pipes[&slow].closed, Some(Close::Abrupt));
                assert!(!rest.is_empty() || got.contains("QuotaExceeded"));
                assert_eq!(world.shard.counters().ended[End::TooSlow.number()], 1);
            }
        }
        assert_eq!(world.shard.gauges().lagging, 0);
        if expected != "some" {
            assert_eq!(world.shard.counters().drops, 0);
        }
    }
}

#[test]
fn a_queue_that_is_full_ends_those_who_need_it() {
    let mut world = World::new(tiny());
    let slow: Vec<_> = (0..5)
        .map(|n| client(&mut world, &n.to_string(), &["queue/#"]))
        .collect();
    for (place, peer) in slow.iter().enumerate() {
        world.wire.pipes.get_mut(peer).unwrap().capacity = place * 500;
    }
    for number in 0..1_000 {
        assert!(world.feed("queue/a", format!("{number:>100}").as_bytes(), false));
        world.settle();
    }
    assert_eq!(world.shard.counters().ended[End::TooSlow.number()], 5);
    // What the arena still holds frames of, not what was published.
    assert!(world.shard.gauges().stored < 200);
}

/// More members than a turn sends to, and an arena that they fill again and again.
#[test]
fn routing_waits_for_sweeps() {
    let mut world = World::new(Settings {
        connections: 3_000,
        cohorts: 3_000,
        outbox_bytes: 8 << 20,
        input_bytes: 8 << 20,
        ..tiny()
    });
    let peers: Vec<_> = (0..3_000)
        .map(|n| {
            world.connect(
                &connect(Version::V311, &n.to_string()),
                &subscribe_as(Version::V311, &["t"]),
            )
        })
        .collect();
    world.settle();
    peers.iter().for_each(|peer| _ = world.wire.take(*peer));
    let mut sent = 0;
    while sent < 400 {
        if world.feed("t", &[b'x'; 1_000], false) {
            sent += 1;
        } else {
            world.turn();
        }
    }
    world.settle();
    assert!(
        world.shard.counters().routing_paused > 0,
        "{:?}",
        world.shard.counters()
    );
    for peer in peers {
        let mut got = 0;
        let bytes = world.wire.take(peer);
        packets(Version::V311, &bytes, |_| got += 1);
        assert_eq!(got, 400);
    }
}

/// A record with more cohorts than a turn appends to, some of which leave meanwhile.
#[test]
fn a_record_goes_on_in_the_next_turn() {
    let count = 10_000;
    let mut world = World::new(Settings {
        connections: count + 1,
        cohorts: count as usize,
        outbox_bytes: 8 << 20,
        input_bytes: 8 << 20,
        filters: 2 * count as usize,
        subscriptions: 3 * count as usize,
        ..tiny()
    });
    let peers: Vec<_> = (0..count)
        .map(|n| {
            let own = format!("own/{n}");
            let bytes = subscribe(&["t", &own]);
            world.connect(&connect(Version::V5, &n.to_string()), &bytes)
        })
        .collect();
    world.settle();
    peers.iter().for_each(|peer| _ = world.wire.take(*peer));
    world.feed("t", b"1", false);
    world.turn();
    assert!(
        world.shard.counters().appends < count.into(),
        "it is not done"
    );
    for peer in &peers[..50] {
        world.wire.end(*peer);
    }
    let late = world.connect(&connect(Version::V5, "late"), &subscribe(&["t"]));
    world.settle();
    for peer in &peers[50..] {
        assert_eq!(told(&mut world, *peer, Version::V5), ["t 1"]);
    }
    assert_eq!(
        told(&mut world, late, Version::V5).len(),
        2,
        "CONNACK and SUBACK only"
    );
}

#[test]
fn ten_thousand_filters_in_one_packet() {
    let count = 10_000;
    let mut settings = tiny();
    settings.filters = count + 10;
    settings.subscriptions = 2 * count;
    settings.limits.packet_bytes_max = 1 << 20;
    settings.limits.subscriptions_per_connection = count as u32;
    settings.input_bytes = 1 << 20;
    let mut world = World::new(settings);
    let filters: Vec<_> = (0..=count).map(|n| format!("topic/{n}")).collect();
    let filters: Vec<_> = filters.iter().map(String::as_str).collect();
    let peer = world.connect(&connect(Version::V5, "a"), &subscribe(&filters));
    let other = client(&mut world, "b", &["topic/5"]);
    world.settle();
    let told_first = told(&mut world, peer, Version::V5);
    let reasons = &told_first[1];
    assert_eq!(reasons.matches("Success").count(), count);
    assert!(
        reasons.ends_with("QuotaExceeded]"),
        "one more than it may have"
    );
    world.feed("topic/5", b"1", false);
    world.feed("topic/9999", b"2", false);
    world.feed("topic/10000", b"3", false);
    world.settle();
    assert_eq!(
        told(&mut world, peer, Version::V5),
        ["topic/5 1", "topic/9999 2"]
    );
    assert_eq!(told(&mut world, other, Version::V5), ["topic/5 1"]);
}

#[test]
fn a_drain_lets_all_go_in_order_and_closes_the_rest_in_time() {
    let mut world = World::new(tiny());
    let peers: Vec<_> = (0..10)
        .map(|n| client(&mut world, &n.to_string(), &["t"]))
        .collect();
    let stuck = peers[4];
    world.wire.pipes.get_mut(&stuck).unwrap().capacity = 3;
    world.feed("t", b"1", false);
    world.settle();
    world.shard.drain(2, 10);
    world.turn();
    let closed = |world: &World| {
        let closed = peers
            .iter()
            .filter(|peer| world.wire.pipes[peer].closed.is_some());
        closed.count()
    };
    assert!(closed(&world) <= 2);
    for _ in 0..6 {
        world.now.monotonic_nanos += 1_000_000_000;
        world.settle_turns(20);
    }
    assert_eq!(
        closed(&world),
        9,
        "all but the one that did not take what was sent"
    );
    for peer in peers.iter().filter(|peer| **peer != stuck) {
        let told = told(&mut world, *peer, Version::V5);
        assert_eq!(told, ["t 1", "Disconnect ServerShuttingDown"]);
    }
    let newcomer = world.connect(&connect(Version::V5, "new"), b"");
    world.settle_turns(20);
    assert!(told(&mut world, newcomer, Version::V5)[0].contains("ServerUnavailable"));
    world.now.monotonic_nanos += 5_000_000_000;
    world.settle_turns(20);
    assert_eq!(world.wire.pipes[&stuck].closed, Some(Close::Abrupt));
    assert!(world.shard.is_drained());
}

/// A client that answers nothing, pings without end and takes no answers.
#[test]
fn who_takes_no_answers_gets_no_more_and_is_closed() {
    let mut world = World::new(tiny());
    let peer = client(&mut world, "a", &["nothing"]);
    world.wire.pipes.get_mut(&peer).unwrap().capacity = 10;
    world.wire.write(peer, &b"\xC0\0".repeat(100_000));
    world.settle_turns(50);
    let kept = world.shard.gauges().input_bytes;
    assert!(kept <= 64 * 1024, "{kept}");
    world.now.monotonic_nanos += 31_000_000_000;
    world.settle_turns(50);
    assert_eq!(world.shard.counters().ended[End::TooSlow.number()], 1);
    assert_eq!(world.shard.gauges().input_bytes, 0);
}

/// Who is to be closed because there is no room for something gets nothing that stands behind it.
#[test]
fn nothing_follows_what_there_was_no_room_for() {
    let mut world = World::new(Settings {
        outbox_bytes: 4 * 1024,
        ..tiny()
    });
    for (topic, payload) in [
        ("t/1", &b"small"[..]),
        ("t/2", &[0; 6_000]),
        ("t/3", b"small"),
    ] {
        world.feed_message(Message {
            topic: topic.as_bytes(),
            payload,
            retain: true,
            ..Message::default()
        });
    }
    world.settle();
    let peer = world.connect(&connect(Version::V5, "a"), &subscribe(&["t/#"]));
    world.settle();
    assert_eq!(world.shard.counters().ended[End::Quota.number()], 1);
    let told = told(&mut world, peer, Version::V5);
    assert!(!told.iter().any(|one| one.contains("t/3")), "{told:?}");
}

#[test]
fn messages_that_expire_count_down_and_are_not_sent_when_they_have() {
    let mut world = World::new(tiny());
    let peer = client(&mut world, "a", &["t"]);
    let expires_micros = world.now.wall_nanos / 1000 + 5_000_000;
    world.feed_message(Message {
        topic: b"t",
        payload: b"1",
        retain: true,
        expires_micros,
        ..Default::default()
    });
    world.settle();
    let expiry = |world: &mut World, bytes: &[u8]| {
        world.wire.write(peer, bytes);
        world.settle();
        let bytes = world.wire.take(peer);
        let mut found = None;
        packets(Version::V5, &bytes, |packet| {
            if let Packet::Publish(publish) = packet {
                found = publish.properties.message_expiry_interval();
            }
        });
        found
    };
    assert_eq!(expiry(&mut world, b""), Some(5));
    world.now.wall_nanos += 3_000_000_000;
    assert_eq!(expiry(&mut world, &subscribe(&["t"])), Some(2));
    world.now.wall_nanos += 3_000_000_000;
    assert_eq!(expiry(&mut world, &subscribe(&["t"])), None);
}

#[test]
fn conflated_market_messages_say_so() {
    let classes = vec![DeliveryClass {
        filter: "market/#".into(),
        slow: SlowPolicy::Conflate,
        ..DeliveryClass::OTHER
    }];
    let mut world = World::new(Settings {
        classes: DeliveryClasses::new(classes).unwrap(),
        ..tiny()
    });
    let slow = client(&mut world, "slow", &["market/X/bbo"]);
    world.wire.pipes.get_mut(&slow).unwrap().capacity = 0;
    for number in 1..200 {
        let before = number - 1;
        let body = format!(
            "{{\"ch\":\"bbo\",\"s\":\"X\",\"seq\":{number},\"prev\":{before},\"ts\":1,\"ti\":1,\"data\":{{\"bp\":\"1\",\"bq\":\"1\",\"ap\":\"2\",\"aq\":\"1\"}}}}"
        );
        world.feed("market/X/bbo", body.as_bytes(), false);
        world.settle();
    }
    world.wire.pipes.get_mut(&slow).unwrap().capacity = usize::MAX;
    world.wire.take(slow);
    world.settle();
    let told = told(&mut world, slow, Version::V5);
    let last = told.last().unwrap();
    assert!(
        last.contains("\"seq\":199,\"conflated\":true,\"ts\":1"),
        "{last}"
    );
}

#[test]
fn who_waits_to_publish_goes_up_before_what_comes_later() {
    let of = |number: u8| {
        let mut payload = vec![b'x'; 7_000];
        payload[..2].copy_from_slice(&[b'0' + number, b':']);
        publish("t", &payload, false, QoS::AtMostOnce)
    };
    let mut world = World::new(tiny());
    let [first, patient, later] =
        ["first", "patient", "later"].map(|id| world.connect(&connect(Version::V5, id), b""));
    let mut fit = 0;
    while world.shard.counters().uplink_full == 0 {
        world.wire.write(first, &of(1));
        world.turn();
        fit += 1;
    }
    world.wire.write(patient, &of(2));
    world.turn();
    world.sequence_uplink();
    world.wire.write(later, &of(3).repeat(fit));
    let before = world.sequence;
    // Turns until the ring has room for all of that.
    for _ in 0..10 {
        world.turn();
    }
    world.sequence_uplink();
    let went_up = [1, 2, 3].map(|place| world.shard_token(before + place));
    assert_eq!(went_up, [1, 2, 3]);
}

/// A frame of MQTT 3 does not say the properties, and there was no room to store them.
#[test]
fn what_could_not_be_stored_with_its_properties_never_comes_without_them() {
    let mut settings = tiny();
    settings.stored_bytes = 4_096;
    let mut world = World::new(settings);
    let expiry = block(Property::SessionExpiryInterval(3_600));
    let lasting = |version| Connect {
        clean_start: false,
        properties: match version {
            Version::V5 => expiry.properties(),
            _ => Properties::EMPTY,
        },
        ..connect(version, "lasting")
    };
    let mut subscriptions = SubscriptionBlock::new();
    let options = SubscriptionOptions::at_most(QoS::AtLeastOnce);
    subscriptions.push(TopicFilter::new("queue/a").unwrap(), options);
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(1).unwrap(),
        properties: Properties::EMPTY,
        subscriptions: subscriptions.subscriptions(),
    });
    world.connect(&lasting(Version::V5), &encoded(Version::V5, &subscribe));
    world.settle();
    let old = world.connect(&lasting(Version::V311), b"");
    world.settle();
    world.wire.pipes.get_mut(&old).unwrap().capacity = 0;
    assert!(world.feed("queue/a", b"blocks it", false));
    assert!(world.feed("retained", &[b'x'; 3_900], true));
    world.settle();
    let content = block(Property::ContentType(Text::new("text").unwrap()));
    assert!(world.feed_message(Message {
        topic: b"queue/a",
        qos: 1,
        properties: content.properties().as_bytes(),
        payload: &[b'x'; 500],
        ..Message::default()
    }));
    world.settle();
    assert!(world.shard.counters().not_kept > 0, "there was no room");
    assert!(world.feed("retained", b"", true));
    world.settle();
    world.wire.end(old);
    world.settle();
    let back = world.connect(&lasting(Version::V5), b"");
    world.settle();
    let mut got = Vec::new();
    packets(Version::V5, &world.wire.take(back), |packet| {
        got.push(match packet {
            Packet::Connack(connack) => connack.session_present,
            other => panic!("{other:?}"),
        });
    });
    assert_eq!(got, [false]);
}
