//! Sessions: what outlives a connection, and for how long; what is sent again, and in what
//! order; how each side acknowledges. On one shard and on three, and the referee looks on.

mod support;

use ringcast_referee::Rule;
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread::sleep;
use std::time::Duration;
use support::client::{
    Client, Ending, Hello, Message, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, Version, acknowledge,
    packet, refuse,
};
use support::property;
use support::trial::{Trial, hold, let_time_pass};

/// Of a client whose messages are all taken up to now.
fn payloads(client: &mut Client, until: &str) -> Vec<String> {
    let messages = client.take_until(until.as_bytes());
    messages
        .iter()
        .map(|message| message.text().to_owned())
        .collect()
}

#[test]
fn subscriptions_and_messages_wait_for_who_returns() {
    let tried = [
        Rule::SessionKept,
        Rule::SessionPresent,
        Rule::Order,
        Rule::Qos,
    ];
    hold(&[], &tried, |trial| {
        let mut publisher = trial.connect(Version::V5, "publisher");
        for leaves in [Version::V31, Version::V311, Version::V5] {
            for returns in Version::ALL {
                let id = format!("{leaves:?} {returns:?}");
                let mut client = trial.return_as(leaves, &id);
                assert!(!client.session_present, "{id}: there was none");
                client.subscribe_at(2, "kept/#");
                client.subscribe_at(1, "kept/at most 1");
                client.leave();
                for qos in 0..3 {
                    publisher.publish_at(qos, "kept/a", format!("a{qos}").as_bytes());
                }
                publisher.publish_at(2, "kept/b", b"b2");
                publisher.publish_at(1, "other", b"not this");
                let mut client = trial.return_as(returns, &id);
                assert_eq!(client.session_present, returns != Version::V31, "{id}");
                publisher.publish_at(0, "kept/end", b"end");
                let messages = client.take_until(b"end");
                let mut got: Vec<_> = messages
                    .iter()
                    .map(|m| (m.text(), m.qos, m.dup, m.retain))
                    .collect();
                // What is at QoS 0 may be kept or not.
                got.retain(|message| message.1 > 0);
                let kept = [
                    ("a1", 1, false, false),
                    ("a2", 2, false, false),
                    ("b2", 2, false, false),
                ];
                assert_eq!(got, kept, "{id}");
                client.leave();
                // Nothing comes twice.
                let mut client = trial.return_as(returns, &id);
                publisher.publish_at(0, "kept/end", b"end");
                assert!(payloads(&mut client, "end").is_empty(), "{id}");
                client.leave();
                // A clean session drops it, at once and when it ends itself.
                let mut client = trial.connect(returns, &id);
                assert!(!client.session_present, "{id}");
                client.subscribe_at(1, "clean");
                publisher.publish_at(1, "kept/a", b"nobody has subscribed");
                publisher.publish_at(1, "clean", b"end");
                assert!(payloads(&mut client, "end").is_empty(), "{id}");
                client.leave();
                let mut client = trial.return_as(returns, &id);
                assert!(!client.session_present, "{id}");
                publisher.publish_at(1, "clean", b"nobody has subscribed");
                client.subscribe_at(1, "new");
                publisher.publish_at(1, "new", b"end");
                assert!(payloads(&mut client, "end").is_empty(), "{id}");
                trial.connect(returns, &id).leave();
            }
        }
    });
}

/// What is open: two messages at QoS 1 and two at QoS 2 of which nothing was said, two at
/// QoS 2 that were received, and one of each that is done with.
struct Open {
    unsaid: Vec<(String, u8, u16)>,
    received: Vec<u16>,
}

fn leave_open(client: &mut Client, publisher: &mut Client) -> Open {
    for number in 0..4 {
        for qos in [1, 2] {
            publisher.publish_at(qos, "open", format!("{qos} {number}").as_bytes());
        }
    }
    let messages: Vec<_> = (0..8).map(|_| client.message()).collect();
    let mut open = Open {
        unsaid: Vec::new(),
        received: Vec::new(),
    };
    for message in &messages {
        assert!(!message.dup, "it is new");
        match message.text() {
            "1 0" | "1 2" | "2 2" => client.acknowledge(message),
            "2 1" | "2 3" => {
                client.send(&acknowledge(PUBREC, message.id));
                client.await_acknowledgement(PUBREL, message.id);
                open.received.push(message.id);
            }
            text => open.unsaid.push((text.to_owned(), message.qos, message.id)),
        }
    }
    open
}

#[test]
fn what_is_open_is_sent_again_in_its_order() {
    let tried = [
        Rule::DupSet,
        Rule::DupOnlyAgain,
        Rule::ResendSame,
        Rule::ResendOrder,
        Rule::PubrelAfterPubrec,
        Rule::PublishAfterPubrel,
        Rule::IdentifierFree,
    ];
    hold(&[], &tried, |trial| {
        let mut publisher = trial.connect(Version::V311, "publisher");
        for version in Version::ALL {
            let id = format!("{version:?}");
            let mut client = trial.return_as(version, &id);
            client.subscribe_at(2, "open");
            let open = leave_open(&mut client, &mut publisher);
            // Nothing is sent again while the connection lasts.
            client.ping();
            for ends in ["closed", "taken over"] {
                let old = std::mem::replace(&mut client, {
                    let hello = Hello::lasting(version, &id);
                    let mut client = Client::open(trial.address, version);
                    if ends == "closed" {
                        trial.server.wait_for_metric("ringcast_connections", 2);
                    }
                    client.send(&hello.packet());
                    client.await_connack().expect("it is let in");
                    client
                });
                drop(old);
                let mut unsaid = Vec::new();
                let mut received = Vec::new();
                while unsaid.len() + received.len() < open.unsaid.len() + open.received.len() {
                    match client.packet().expect("it is open") {
                        (PUBREL, body) => received.push(u16::from_be_bytes([body[0], body[1]])),
                        (first, body) => {
                            let message = client.decode(first, &body);
                            assert!(message.dup, "it is sent again");
                            unsaid.push((message.text().to_owned(), message.qos, message.id));
                        }
                    }
                }
                assert_eq!(unsaid, open.unsaid, "{version:?} {ends}");
                assert_eq!(received, open.received, "{version:?} {ends}");
                publisher.publish_at(0, "open", b"nothing more");
                assert_eq!(client.message().text(), "nothing more");
            }
            for id in &open.received {
                client.send(&acknowledge(PUBCOMP, *id));
            }
            for (_, qos, id) in &open.unsaid {
                match qos {
                    1 => client.send(&acknowledge(PUBACK, *id)),
                    _ => {
                        client.send(&acknowledge(PUBREC, *id));
                        client.await_acknowledgement(PUBREL, *id);
                        client.send(&acknowledge(PUBCOMP, *id));
                    }
                }
            }
            // All is done with.
            client.leave();
            let mut client = trial.return_as(version, &id);
            publisher.publish_at(0, "open", b"nothing");
            assert_eq!(client.message().text(), "nothing");
            client.leave();
            trial.connect(version, &id).leave();
        }
    });
}

/// Nothing of it is forgotten: whoever listens for long enough has all of it.
#[test]
fn all_that_is_open_is_sent_again() {
    hold(&[], &[Rule::ResendAll], |trial| {
        let mut publisher = trial.connect(Version::V311, "publisher");
        let mut clients = Version::ALL.map(|version| {
            let id = format!("{version:?}");
            let mut client = trial.return_as(version, &id);
            client.subscribe_at(2, "open");
            leave_open(&mut client, &mut publisher);
            client.unsubscribe("open");
            drop(client);
            trial.server.wait_for_metric("ringcast_sessions_away", 1);
            let mut client = trial.return_as(version, &id);
            (0..5).for_each(|_| drop(client.packet().expect("it comes again")));
            client
        });
        let_time_pass();
        clients.iter_mut().for_each(Client::ping);
    });
}

/// A refusal is an acknowledgement, too: what was refused never comes again.
#[test]
fn what_was_refused_is_not_sent_again() {
    let tried = [Rule::SessionKept, Rule::IdentifierFree];
    hold(&[], &tried, |trial| {
        let mut publisher = trial.connect(Version::V311, "publisher");
        let mut client = trial.return_as(Version::V5, "refuses");
        client.subscribe_at(2, "t");
        for (qos, first) in [(1, PUBACK), (2, PUBREC)] {
            publisher.publish_at(qos, "t", b"refused");
            let message = client.message();
            client.send(&refuse(first, message.id, 0x97));
        }
        client.ping();
        drop(client);
        let mut client = trial.return_as(Version::V5, "refuses");
        assert!(client.session_present);
        publisher.publish_at(0, "t", b"nothing more");
        assert_eq!(client.message().text(), "nothing more");
    });
}

#[test]
fn a_publisher_completes_what_it_began() {
    let tried = [Rule::AckAsked, Rule::AckOrder, Rule::Once, Rule::Answered];
    hold(&[], &tried, |trial| {
        let mut subscriber = trial.connect(Version::V311, "subscriber");
        subscriber.subscribe_at(2, "t");
        for version in Version::ALL {
            let mut client = trial.return_as(version, "publisher");
            let first = Publish::new(2, 7, "t", b"once");
            let again = Publish { dup: true, ..first };
            // Repeats are received, and go nowhere: on this connection and the next.
            for publish in [&first, &again, &again] {
                client.send(&publish.packet(version));
                assert_eq!(client.await_acknowledgement(PUBREC, 7), 0);
            }
            drop(client);
            let mut client = trial.return_as(version, "publisher");
            client.send(&again.packet(version));
            assert_eq!(client.await_acknowledgement(PUBREC, 7), 0);
            // The same number in the other direction, and at QoS 1, is another.
            client.send(&acknowledge(PUBREL, 7));
            assert_eq!(client.await_acknowledgement(PUBCOMP, 7), 0);
            // Released twice: it is not known any more.
            client.send(&acknowledge(PUBREL, 7));
            let unknown = if version == Version::V5 { 0x92 } else { 0 };
            assert_eq!(client.await_acknowledgement(PUBCOMP, 7), unknown);
            // From now on it is a new message, whatever DUP says.
            let anew = Publish {
                payload: b"anew",
                ..again
            };
            client.hand_over(&anew);
            for (payload, dup) in [(&b"one"[..], false), (b"two", false), (b"three", true)] {
                let publish = Publish {
                    dup,
                    ..Publish::new(1, 7, "t", payload)
                };
                assert_eq!(client.hand_over(&publish), 0);
            }
            client.publish_at(1, "t", b"end");
            let messages = subscriber.take_until(b"end");
            assert!(
                messages.iter().all(|message| !message.dup),
                "DUP is not passed on"
            );
            let texts: Vec<_> = messages.iter().map(Message::text).collect();
            // Order is promised at each QoS for itself.
            let at = |qos: u8| {
                let own = messages
                    .iter()
                    .zip(&texts)
                    .filter(move |(m, _)| m.qos == qos);
                own.map(|(_, text)| *text).collect::<Vec<_>>()
            };
            assert_eq!(at(2), ["once", "anew"], "{version:?}");
            assert_eq!(at(1), ["one", "two", "three"], "{version:?}");
            trial.connect(version, "publisher").leave();
        }
    });
}

#[test]
fn acknowledgements_come_in_order_and_by_qos() {
    let tried = [Rule::AckOrder, Rule::AckAsked, Rule::Answered];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let mut client = trial.connect(version, "publisher");
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            // Some of them may not be published.
            for id in (1..=300).rev() {
                let topic = if id % 7 == 0 { "$SYS/not allowed" } else { "t" };
                let refused = version == Version::V5 && id % 7 == 0;
                let qos = (id % 3) as u8;
                bytes.extend(Publish::new(qos, id, topic, b"x").packet(version));
                let reason = if refused { 0x87 } else { 0 };
                match qos {
                    0 => {}
                    1 => expected.push((PUBACK, id, reason)),
                    _ => expected.push((PUBREC, id, reason)),
                }
            }
            client.send(&bytes);
            for (first, id, reason) in &expected {
                assert_eq!(client.await_acknowledgement(*first, *id), *reason, "{id}");
            }
            let received: Vec<_> = expected
                .iter()
                .filter(|(f, _, r)| (*f, *r) == (PUBREC, 0))
                .collect();
            let releases = received.iter().map(|(_, id, _)| acknowledge(PUBREL, *id));
            client.send(&releases.collect::<Vec<_>>().concat());
            for (_, id, _) in received {
                assert_eq!(client.await_acknowledgement(PUBCOMP, *id), 0);
            }
            client.leave();
        }
    });
}

/// Whoever refuses a message at QoS 2 has not received it: its identifier is free.
#[test]
fn a_refused_identifier_is_free() {
    let users_topic = "user/ann/order";
    hold(&[], &[Rule::AckAsked], |trial| {
        let mut subscriber = trial.connect(Version::V5, "subscriber");
        subscriber.subscribe_at(2, "t");
        let mut client = trial.connect(Version::V5, "publisher");
        assert_eq!(
            client.hand_over(&Publish::new(2, 9, users_topic, b"x")),
            0x87
        );
        assert_eq!(client.hand_over(&Publish::new(2, 9, "t", b"new")), 0);
        assert_eq!(subscriber.take().text(), "new");
    });
}

/// Before MQTT 5 nobody is told that a message was not allowed.
#[test]
fn what_may_not_be_published_reaches_nobody() {
    hold(&[], &[Rule::AckAsked], |trial| {
        let mut subscriber = trial.connect(Version::V5, "subscriber");
        subscriber.subscribe_at(2, "#");
        subscriber.subscribe_at(2, "$mine/#");
        for version in [Version::V31, Version::V311] {
            let mut client = trial.connect(version, "publisher");
            for topic in ["$mine/a", "user/ann/order"] {
                for qos in 0..3 {
                    client.publish_at(qos, topic, b"not allowed");
                }
            }
            client.publish_at(1, "t", b"allowed");
            assert_eq!(subscriber.take().text(), "allowed");
        }
    });
}

#[test]
fn no_more_is_open_than_the_client_receives() {
    let tried = [Rule::ReceiveMaximum, Rule::IdentifierFree, Rule::Order];
    hold(&[], &tried, |trial| {
        let mut publisher = trial.connect(Version::V311, "publisher");
        for maximum in [1, 2, 5_u16] {
            let properties = [
                property::two(property::RECEIVE_MAXIMUM, maximum),
                property::four(property::SESSION_EXPIRY, 100),
            ];
            let properties = properties.concat();
            let hello = Hello {
                clean: false,
                properties: &properties,
                ..Hello::new(Version::V5, "narrow")
            };
            let mut client = trial.greet(&hello);
            client.subscribe_at(2, "t");
            for number in 0..30_u8 {
                publisher.publish_at(1 + number % 2, "t", &[b'a' + number]);
            }
            let open: Vec<_> = (0..maximum).map(|_| client.message()).collect();
            // Everything else goes on: nothing but messages waits.
            client.subscribe_at(1, "u");
            client.publish_at(2, "u", b"own");
            client.ping();
            // A connection that returns begins anew.
            drop(client);
            let mut client = trial.greet(&hello);
            let again: Vec<_> = (0..maximum).map(|_| client.message()).collect();
            for (one, other) in open.iter().zip(&again) {
                assert_eq!(
                    (one.id, one.text(), true),
                    (other.id, other.text(), other.dup)
                );
            }
            // Each way to be done with one lets one more come.
            let mut open = std::collections::VecDeque::from(again);
            let mut left = 31 - open.len();
            let mut got: Vec<_> = open
                .iter()
                .map(|message| message.text().to_owned())
                .collect();
            while let Some(message) = open.pop_front() {
                match (message.qos, left % 4) {
                    (2, 0) => client.send(&refuse(PUBREC, message.id, 0x80)),
                    (1, 1) => client.send(&refuse(PUBACK, message.id, 0x80)),
                    _ => client.acknowledge(&message),
                }
                if left > 0 {
                    let message = client.message();
                    assert!(!message.dup);
                    got.push(message.text().to_owned());
                    open.push_back(message);
                    left -= 1;
                }
            }
            let expected = (0..30_u8).map(|number| char::from(b'a' + number).to_string());
            let expected: Vec<_> = expected.chain(["own".to_owned()]).collect();
            got.sort();
            let mut sorted = expected.clone();
            sorted.sort();
            assert_eq!(got, sorted);
            client.leave();
            trial.connect(Version::V5, "narrow").leave();
        }
    });
}

#[test]
fn a_publisher_keeps_to_the_announced_receive_maximum() {
    hold(&[], &[Rule::Blame], |trial| {
        let mut client = trial.connect(Version::V5, "publisher");
        let most = client
            .connack
            .number(property::RECEIVE_MAXIMUM)
            .expect("it is told");
        let most = u16::try_from(most).expect("it is small");
        for id in 1..=most {
            client.send(&Publish::new(2, id, "t", b"x").packet(Version::V5));
            client.await_acknowledgement(PUBREC, id);
        }
        client.send(&Publish::new(2, most + 1, "t", b"x").packet(Version::V5));
        assert_eq!(client.end(), (0, Ending::Told(0x93)));
    });
}

/// An acknowledgement of nothing: answered where there is an answer, and otherwise nothing.
#[test]
fn unknown_acknowledgements_do_no_harm() {
    hold(&[], &[Rule::AckAsked, Rule::PubrelAfterPubrec], |trial| {
        for version in Version::ALL {
            let mut client = trial.connect(version, "confused");
            let unknown = if version == Version::V5 { 0x92 } else { 0 };
            client.send(&acknowledge(PUBACK, 5));
            client.send(&acknowledge(PUBCOMP, 5));
            client.send(&acknowledge(PUBREC, 5));
            assert_eq!(client.await_acknowledgement(PUBREL, 5), unknown);
            client.send(&acknowledge(PUBREL, 5));
            assert_eq!(client.await_acknowledgement(PUBCOMP, 5), unknown);
            client.ping();
            client.leave();
        }
    });
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    let tried = [Rule::SessionPresent];
    hold(&["limits.session_expiry_seconds_max=2"], &tried, |trial| {
        let mut publisher = trial.connect(Version::V311, "publisher");
        // For ever is as long as the engine's own limit, which CONNACK tells.
        for (expired, version) in (1..).zip([Version::V311, Version::V5]) {
            let id = format!("{version:?}");
            let mut client = trial.return_as(version, &id);
            if version == Version::V5 {
                assert_eq!(client.connack.number(property::SESSION_EXPIRY), Some(2));
            }
            client.subscribe_at(1, "t");
            drop(client);
            let mut client = trial.return_as(version, &id);
            assert!(client.session_present, "its time is not over");
            publisher.publish_at(1, "t", b"x");
            assert_eq!(client.take().text(), "x");
            drop(client);
            trial
                .server
                .wait_for_metric("ringcast_sessions_expired_total", expired);
            let mut client = trial.return_as(version, &id);
            assert!(!client.session_present, "its time is over");
            publisher.publish_at(1, "t", b"nobody has subscribed");
            client.subscribe_at(1, "u");
            publisher.publish_at(1, "u", b"end");
            assert!(payloads(&mut client, "end").is_empty());
            trial.connect(version, &id).leave();
        }
        // Without an expiry a session ends with its connection.
        let client = trial.greet(&Hello {
            clean: false,
            ..Hello::new(Version::V5, "momentary")
        });
        drop(client);
        assert!(!trial.return_as(Version::V5, "momentary").session_present);
    });
}

/// However long it lasts and whatever becomes of it: a session is there while its
/// connection is.
#[test]
fn a_session_lasts_as_long_as_its_connection() {
    hold(
        &["limits.session_expiry_seconds_max=1"],
        &[Rule::Subscribed],
        |trial| {
            let mut publisher = trial.connect(Version::V311, "publisher");
            let mut lasting = trial.return_as(Version::V5, "lasting");
            let mut momentary = trial.connect(Version::V5, "momentary");
            lasting.subscribe_at(1, "t");
            momentary.subscribe_at(1, "t");
            // As long as it takes others to expire one after the other.
            for expired in 1..=3 {
                drop(trial.return_as(Version::V5, "expires"));
                let server = &trial.server;
                server.wait_for_metric("ringcast_sessions_expired_total", expired);
            }
            publisher.publish_at(1, "t", b"x");
            assert_eq!(lasting.take().text(), "x");
            assert_eq!(momentary.take().text(), "x");
        },
    );
}

#[test]
fn messages_expire_while_they_wait() {
    let tried = [Rule::Expiry, Rule::SessionKept];
    hold(&[], &tried, |trial| {
        let mut publisher = trial.connect(Version::V5, "publisher");
        let mut client = trial.return_as(Version::V5, "away");
        client.subscribe_at(2, "t/#");
        // Sent before it expires, and so it never does.
        let short = property::four(property::MESSAGE_EXPIRY, 1);
        let publish = Publish {
            properties: &short,
            ..Publish::new(2, 1, "t/sent", b"sent")
        };
        publisher.hand_over(&publish);
        let sent = client.message();
        assert_eq!(sent.text(), "sent");
        drop(client);
        trial.server.wait_for_metric("ringcast_sessions_away", 1);
        let long = property::four(property::MESSAGE_EXPIRY, 100);
        for (properties, payload) in [
            (&short[..], &b"short"[..]),
            (&long, b"long"),
            (&[], b"none"),
        ] {
            for (retain, topic) in [(false, "t/queued"), (true, "t/retained")] {
                let topic = format!("{topic}/{}", String::from_utf8_lossy(payload));
                let publish = Publish {
                    properties,
                    retain,
                    ..Publish::new(1, 2, &topic, payload)
                };
                publisher.hand_over(&publish);
            }
        }
        // Begun by its publisher, and not completed before it expires.
        let begun = Publish {
            properties: &short,
            ..Publish::new(2, 3, "t/begun", b"begun")
        };
        publisher.send(&begun.packet(Version::V5));
        publisher.await_acknowledgement(PUBREC, 3);
        sleep(Duration::from_millis(2_100));
        publisher.send(&acknowledge(PUBREL, 3));
        assert_eq!(publisher.await_acknowledgement(PUBCOMP, 3), 0);
        let mut client = trial.return_as(Version::V5, "away");
        assert!(client.session_present);
        let again = client.message();
        assert_eq!((again.id, again.text(), again.dup), (sent.id, "sent", true));
        client.acknowledge(&again);
        publisher.publish_at(1, "t/end", b"end");
        let mut messages = client.take_until(b"end");
        client.subscribe_at(2, "t/retained/#");
        publisher.publish_at(1, "t/retained/end", b"end");
        messages.extend(client.take_until(b"end"));
        let mut got = Vec::new();
        for message in &messages {
            let left = message.properties.number(property::MESSAGE_EXPIRY);
            match message.text() {
                "long" => assert!(
                    left.is_some_and(|left| (1..=98).contains(&left)),
                    "{left:?}"
                ),
                _ => assert_eq!(left, None, "{message:?}"),
            }
            got.push((message.topic.as_str(), message.text(), message.retain));
        }
        got.sort_unstable();
        assert_eq!(
            got,
            [
                ("t/queued/long", "long", false),
                ("t/queued/none", "none", false),
                ("t/retained/long", "long", false),
                ("t/retained/long", "long", true),
                ("t/retained/none", "none", false),
                ("t/retained/none", "none", true),
            ]
        );
    });
}

/// Both directions use the same numbers at the same time.
#[test]
fn identifiers_of_the_two_directions_are_independent() {
    let tried = [Rule::AckAsked, Rule::IdentifierFree];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let mut other = trial.connect(Version::V311, "other");
            let mut client = trial.connect(version, "both");
            client.subscribe_at(2, "in");
            other.subscribe_at(2, "out");
            other.publish_at(2, "in", b"x");
            let message = client.message();
            client.hand_over(&Publish::new(2, message.id, "out", b"y"));
            client.hand_over(&Publish::new(1, message.id, "out", b"z"));
            let mut got = [
                other.take().text().to_owned(),
                other.take().text().to_owned(),
            ];
            got.sort();
            assert_eq!(got, ["y", "z"]);
            client.acknowledge(&message);
            client.leave();
            other.leave();
        }
    });
}

/// A message that is too large for one of several is skipped for it, and takes no place.
#[test]
fn a_message_too_large_for_one_counts_as_delivered() {
    let tried = [Rule::Size, Rule::ReceiveMaximum, Rule::Order];
    hold(&[], &tried, |trial| {
        let hello = |id, bytes: u32| {
            let properties = [
                property::four(property::MAXIMUM_PACKET_SIZE, bytes),
                property::two(property::RECEIVE_MAXIMUM, 1),
            ];
            trial.greet(&Hello {
                properties: &properties.concat(),
                ..Hello::new(Version::V5, id)
            })
        };
        let mut small = hello("small", 100);
        let mut large = hello("large", 1_000);
        let mut publisher = trial.connect(Version::V311, "publisher");
        small.subscribe_at(2, "t");
        large.subscribe_at(2, "t");
        publisher.hand_over(&Publish {
            retain: true,
            ..Publish::new(1, 1, "retained", &[b'x'; 95])
        });
        for number in 0..20_u8 {
            let payload = [b'a' + number; 95];
            let payload = if number % 3 == 0 {
                &payload[..]
            } else {
                &payload[..10]
            };
            publisher.publish_at(number % 3, "t", payload);
        }
        publisher.publish_at(1, "t", b"end");
        let sizes = |client: &mut Client| {
            let messages = client.take_until(b"end");
            messages
                .iter()
                .filter(|message| message.payload.len() == 95)
                .count()
        };
        assert_eq!(sizes(&mut large), 7);
        assert_eq!(sizes(&mut small), 0);
        small.subscribe_at(1, "retained");
        publisher.publish_at(1, "retained", b"end");
        assert_eq!(sizes(&mut small), 0);
    });
}

/// No reason string, no user property: nothing that a small client could not take.
#[test]
fn answers_fit_into_the_smallest_packets() {
    let tried = [Rule::Size, Rule::ProblemInformation];
    hold(&[], &tried, |trial| {
        let properties = [
            property::four(property::MAXIMUM_PACKET_SIZE, 24),
            property::byte(property::PROBLEM_INFORMATION, 0),
        ];
        let mut client = trial.greet(&Hello {
            properties: &properties.concat(),
            ..Hello::new(Version::V5, "small")
        });
        let deep = "a/".repeat(200);
        let codes = client.subscribe_to(&[("a", 2), ("user/b", 1), (&deep, 0)], &[]);
        assert_eq!(codes, [2, 0x87, 0x8F]);
        assert_eq!(client.unsubscribe_from(&["a", "b"]), [0, 0x11]);
        assert_eq!(client.hand_over(&Publish::new(1, 1, "$x", b"")), 0x87);
        assert_eq!(client.hand_over(&Publish::new(2, 1, "$x", b"")), 0x87);
        client.send(&acknowledge(PUBREC, 9));
        assert_eq!(client.await_acknowledgement(PUBREL, 9), 0x92);
        client.send(&acknowledge(PUBREL, 9));
        assert_eq!(client.await_acknowledgement(PUBCOMP, 9), 0x92);
        client.send(&packet(0xF0, &[]));
        assert_eq!(client.end(), (0, Ending::Told(0x82)));
    });
}

/// A crowd of sessions whose clients come, are cut off and return, while messages flow.
#[test]
fn order_and_completeness_over_many_connections() {
    let tried = [
        Rule::Order,
        Rule::Once,
        Rule::ResendOrder,
        Rule::SessionKept,
    ];
    hold(&[], &tried, |trial| {
        let subscribed = Barrier::new(7);
        std::thread::scope(|scope| {
            for place in 0..6 {
                let subscribed = &subscribed;
                scope.spawn(move || returns_often(trial, place, subscribed));
            }
            let mut publisher = trial.connect(Version::V5, "publisher");
            subscribed.wait();
            for number in 0..600_u16 {
                publisher.publish_at(1 + (number % 2) as u8, "t", number.to_string().as_bytes());
            }
            publisher.publish_at(1, "t", b"600");
            publisher.publish_at(2, "t", b"601");
        });
    });
}

/// Each message once, in order at each QoS, whatever happens to the connection.
fn returns_often(trial: &Trial, place: usize, subscribed: &Barrier) {
    let version = Version::ALL[place % 3];
    let own_id = format!("returns {place}");
    let mut client = trial.return_as(version, &own_id);
    client.subscribe_at(2, "t");
    subscribed.wait();
    let mut last = [None; 2];
    let mut taken = 0;
    // Of QoS 2, what was received and not released yet.
    let mut received = BTreeSet::new();
    while last != [Some(600), Some(601)] {
        let (first, body) = client.packet().expect("it is open");
        if first == PUBREL {
            let id = u16::from_be_bytes([body[0], body[1]]);
            received.remove(&id);
            client.send(&acknowledge(PUBCOMP, id));
            continue;
        }
        let message = client.decode(first, &body);
        let (qos, id) = (message.qos, message.id);
        client.send(&acknowledge(if qos == 1 { PUBACK } else { PUBREC }, id));
        let number: u32 = message.text().parse().expect("a number");
        let last = &mut last[usize::from(qos) - 1];
        let expected = last.map_or(u32::from(qos) - 1, |last| last + 2);
        // What was acknowledged in vain comes again: at QoS 2 it is known by its identifier.
        let is_again = match qos {
            1 => message.dup && number < expected,
            _ => !received.insert(id),
        };
        if !is_again {
            assert_eq!(number, expected, "{own_id}: {message:?}");
            *last = Some(number);
        }
        taken += 1;
        if taken % (20 + place) == 0 {
            client = trial.return_as(version, &own_id);
        }
    }
}
