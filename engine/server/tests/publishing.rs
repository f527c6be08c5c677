//! What clients publish, and what of it arrives: properties, aliases, order, and what was
//! published and subscribed in one breath. On one shard and on three, and the referee looks
//! on.

mod support;

use ringcast_referee::Rule;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use support::client::{
    Client, Ending, Hello, PINGRESP, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, SUBACK, Version,
    acknowledge, publish, subscribe,
};
use support::property;
use support::trial::hold;

/// What a message says besides its topic and payload, in the order in which it is sent.
fn described() -> Vec<Vec<u8>> {
    vec![
        property::byte(property::PAYLOAD_FORMAT, 1),
        property::bytes(property::CONTENT_TYPE, "t\u{e4}xt/plain".as_bytes()),
        property::bytes(property::RESPONSE_TOPIC, b"answers/1"),
        property::bytes(property::CORRELATION_DATA, &[0, 0xFF, 7]),
        property::user("b", "1"),
        property::user("a", "2"),
        property::user("b", "1"),
        property::user("a", "\u{1F600}"),
        property::user("", ""),
    ]
}

#[test]
fn what_describes_a_message_arrives_with_it() {
    hold(&[], &[Rule::Unchanged, Rule::Published], |trial| {
        let mut publisher = trial.connect(Version::V5, "publisher");
        let mut live = trial.connect(Version::V5, "live");
        let mut old = trial.connect(Version::V311, "old");
        let mut away = trial.return_as(Version::V5, "away");
        for client in [&mut live, &mut old, &mut away] {
            client.subscribe_at(2, "t/#");
        }
        away.leave();
        let all = described();
        let none: Vec<u8> = Vec::new();
        let zero = property::byte(property::PAYLOAD_FORMAT, 0);
        let mut sets = vec![all.concat(), none, zero];
        sets.extend(all);
        for (number, properties) in sets.iter().enumerate() {
            let topic = format!("t/{number}");
            let payload = format!("number {number}");
            publisher.hand_over(&Publish {
                retain: true,
                properties,
                ..Publish::new(2, 1, &topic, payload.as_bytes())
            });
        }
        let mut away = trial.return_as(Version::V5, "away");
        let mut later = trial.connect(Version::V5, "later");
        later.subscribe_at(2, "t/#");
        let mut own = Vec::new();
        for client in [&mut live, &mut away, &mut later] {
            let mut messages: Vec<_> = sets.iter().map(|_| client.take()).collect();
            messages.sort_by_key(|message| message.topic[2..].parse::<usize>().expect("a number"));
            own.push(messages);
        }
        for messages in &own {
            for (number, (message, properties)) in messages.iter().zip(&sets).enumerate() {
                assert_eq!(message.text(), format!("number {number}"));
                let mut length = Vec::new();
                property::variable(&mut length, properties.len());
                let expected = property::read(&[&length[..], properties].concat()).0;
                let sorted = |properties: &property::Properties| {
                    let mut all = properties.0.clone();
                    // The order of user properties alone means something.
                    all.sort_by_key(|(identifier, _)| *identifier);
                    all
                };
                assert_eq!(sorted(&message.properties), sorted(&expected));
            }
        }
        for number in 0..sets.len() {
            assert_eq!(old.take().text(), format!("number {number}"));
        }
    });
}

/// Retain Handling 2.
const NO_RETAINED: u8 = 0x20;

#[test]
fn aliases_stand_for_topics_within_a_connection() {
    let settings = ["limits.topic_aliases_max=5"];
    hold(&settings, &[Rule::Published, Rule::Blame], |trial| {
        let mut reader = trial.connect(Version::V311, "reader");
        reader.subscribe_at(1, "#");
        let alias = |number| property::two(property::TOPIC_ALIAS, number);
        let said = |client: &mut Client, topic, number, qos, payload: &str| {
            let id = client.next_id();
            client.hand_over(&Publish {
                properties: &alias(number),
                ..Publish::new(qos, id, topic, payload.as_bytes())
            });
        };
        let mut client = trial.connect(Version::V5, "publisher");
        for (topic, number, payload) in [
            ("first", 1, "first 1"),
            ("last", 5, "last 1"),
            ("", 1, "first 2"),
            ("", 5, "last 2"),
            // Given to another topic.
            ("other", 1, "other 1"),
            ("", 1, "other 2"),
            ("", 5, "last 3"),
        ] {
            said(&mut client, topic, number, 1, payload);
            let message = reader.take();
            assert_eq!(message.text(), payload);
            assert!(payload.starts_with(&message.topic), "{message:?}");
        }
        let refused = |client: Option<Client>, topic, number, reason| {
            let mut client = client.unwrap_or_else(|| trial.connect(Version::V5, "publisher"));
            let publish = Publish {
                properties: &alias(number),
                ..Publish::new(0, 0, topic, b"x")
            };
            client.send(&publish.packet(Version::V5));
            assert_eq!(client.end(), (0, Ending::Told(reason)), "{topic} {number}");
        };
        refused(Some(client), "t", 6, 0x94);
        refused(None, "t", 0, 0x94);
        refused(None, "t", 0xFFFF, 0x94);
        // One of an earlier connection is unknown.
        refused(None, "", 1, 0x82);
        refused(None, "", 3, 0x82);
        reader.publish_at(1, "end", b"end");
        assert_eq!(reader.take().text(), "end");
    });
}

#[test]
fn the_engines_aliases_keep_to_what_the_client_allows() {
    let settings = ["limits.topic_aliases_max=5"];
    hold(&settings, &[Rule::TopicAlias, Rule::Published], |trial| {
        for allowed in [None, Some(0), Some(1), Some(3), Some(65_535)] {
            let properties = allowed.map(|most| property::two(property::TOPIC_ALIAS_MAXIMUM, most));
            let mut client = trial.greet(&Hello {
                properties: &properties.unwrap_or_default(),
                ..Hello::new(Version::V5, "alone")
            });
            // The same numbers go the other way.
            for round in 0..3 {
                for number in 1..=5_u16 {
                    let topic = format!("topic/that/is/long/{number}");
                    let alias = property::two(property::TOPIC_ALIAS, number);
                    if round == 0 {
                        client.subscribe_to(&[(&topic, 1 | NO_RETAINED)], &[]);
                    }
                    let topic = if round == 0 { &topic } else { "" };
                    let id = client.next_id();
                    client.hand_over(&Publish {
                        properties: &alias,
                        retain: round == 0,
                        ..Publish::new(1, id, topic, &number.to_be_bytes())
                    });
                    let message = client.take();
                    assert_eq!(message.payload, number.to_be_bytes());
                }
            }
            // Retained ones are encoded for one connection alone.
            client.subscribe_at(1, "topic/#");
            let mut aliases: BTreeMap<u32, String> = BTreeMap::new();
            for _ in 0..5 {
                let message = client.take();
                let alias = message.properties.number(property::TOPIC_ALIAS);
                assert!(alias.unwrap_or(1) <= allowed.unwrap_or(0).into() || alias.is_none());
                assert!(alias.is_none_or(|alias| alias > 0));
                let topic = match (&*message.topic, alias) {
                    ("", Some(alias)) => aliases[&alias].clone(),
                    (topic, alias) => {
                        alias.map(|alias| aliases.insert(alias, topic.to_owned()));
                        topic.to_owned()
                    }
                };
                let number = u16::from_be_bytes([message.payload[0], message.payload[1]]);
                assert_eq!(topic, format!("topic/that/is/long/{number}"));
            }
            client.leave();
        }
    });
}

/// A ping is answered in the midst of a stream, which loses nothing by it.
#[test]
fn pings_are_answered_in_a_stream_of_messages() {
    hold(&[], &[Rule::Answered, Rule::Order], |trial| {
        for version in Version::ALL {
            let mut client = trial.connect(version, "pings");
            let mut publisher = trial.connect(version, "publisher");
            client.subscribe("t");
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for number in 0..2_000 {
                        publisher.publish("t", number.to_string().as_bytes(), false);
                    }
                    publisher.ping();
                });
                (0..50).for_each(|_| client.ping());
                for number in 0..2_000_u64 {
                    assert_eq!(client.message().number(), number);
                }
            });
        }
    });
}

/// Each publisher's order on each topic at each QoS, on every path that a message can take.
#[test]
fn order_holds_for_each_topic_and_qos() {
    const EACH: u32 = 400;
    hold(&[], &[Rule::Order, Rule::Once, Rule::AckOrder], |trial| {
        let mut clients: Vec<_> = Version::ALL
            .iter()
            .flat_map(|version| [(*version, 0), (*version, 1), (*version, 2)])
            .map(|(version, qos)| {
                let mut client = trial.connect(version, &format!("{version:?} {qos}"));
                client.subscribe_at(qos, "order/#");
                client
            })
            .collect();
        std::thread::scope(|scope| {
            for (place, version) in Version::ALL.into_iter().enumerate() {
                scope.spawn(move || {
                    let mut client = trial.connect(version, &format!("publisher {place}"));
                    for number in 0..EACH {
                        let qos = (number % 3) as u8;
                        let topic = format!("order/{}", number % 2);
                        client.publish_at(qos, &topic, format!("{place} {number}").as_bytes());
                    }
                });
            }
            for client in &mut clients {
                scope.spawn(move || {
                    let mut last = BTreeMap::new();
                    for _ in 0..3 * EACH {
                        let message = client.take();
                        let (place, number) = message.text().split_once(' ').expect("two");
                        let number: u32 = number.parse().expect("a number");
                        let stream = (place.to_owned(), number % 6);
                        let before = last.insert(stream, number);
                        assert_eq!(number, before.map_or(number % 6, |before| before + 6));
                    }
                });
            }
        });
    });
}

/// A retained message and the subscription to it in one segment, while all shards are busy:
/// who publishes it finds it, once.
#[test]
fn who_publishes_and_subscribes_at_once_finds_its_own_message() {
    const CLIENTS: usize = 4;
    const ROUNDS: usize = 1_250;
    hold(&["limits.topics=200000"], &[Rule::RetainFlag], |trial| {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let load = scope.spawn(|| full_load(trial.server.mqtt, &is_over));
            let own: Vec<_> = (0..CLIENTS)
                .map(|place| scope.spawn(move || at_once(trial.address, place, ROUNDS)))
                .collect();
            for own in own {
                own.join().expect("it finds its own");
            }
            is_over.store(true, SeqCst);
            load.join().expect("the load");
        });
    });
}

/// Messages without end to somebody who takes them, as fast as they go. They are not on
/// trial: a recorder would be the limit.
fn full_load(server: std::net::SocketAddr, is_over: &AtomicBool) {
    let mut takes = Client::connect(server, Version::V5, "takes the load");
    takes.subscribe("load/#");
    let mut makes = Client::connect(server, Version::V311, "makes the load");
    let many = publish(Version::V311, "load/t", &[b'x'; 64], false).repeat(500);
    while !is_over.load(SeqCst) {
        makes.send(&many);
        (0..500).for_each(|_| drop(takes.message()));
    }
}

fn at_once(server: std::net::SocketAddr, place: usize, rounds: usize) {
    let version = Version::ALL[place % 3];
    let mut client = Client::connect(server, version, &format!("at once {place}"));
    for round in 0..rounds {
        let topic = format!("own/{place}/{}", round % 50);
        let payload = round.to_string();
        let qos = (round % 3) as u8;
        let published = Publish {
            retain: true,
            ..Publish::new(qos, 1, &topic, payload.as_bytes())
        };
        let bytes = [
            published.packet(version),
            subscribe(version, 2, &[(&topic, qos)], &[]),
            vec![0xC0, 0],
        ];
        client.send(&bytes.concat());
        // SUBACK, PINGRESP, what acknowledges the message, and the message itself.
        let mut left = 3 + qos;
        let mut found = None;
        while left > 0 {
            left -= 1;
            match client.packet().expect("it is open") {
                (PUBREC, _) => client.send(&acknowledge(PUBREL, 1)),
                (PUBACK | PUBCOMP | SUBACK | PINGRESP, _) => {}
                (first, body) => {
                    let message = client.decode(first, &body);
                    let is_its = (message.text(), message.retain) == (&payload, true);
                    assert!(is_its && found.is_none(), "{message:?}");
                    found = Some(message);
                }
            }
        }
        client.acknowledge(&found.expect("it came"));
        client.unsubscribe(&topic);
    }
    client.leave();
}
