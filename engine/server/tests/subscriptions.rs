//! SUBSCRIBE and UNSUBSCRIBE: what is granted, what it brings, how subscriptions meet, and
//! when they end. On one shard and on three, and the referee looks on.

mod support;

use ringcast_referee::Rule;
use std::collections::BTreeMap;
use std::fs;
use support::client::{
    Client, Hello, Message, PUBACK, PUBCOMP, PUBREC, PUBREL, SUBACK, UNSUBACK, Version,
    acknowledge, refuse, subscribe, unsubscribe,
};
use support::handler::{Handler, be_handler};
use support::property;
use support::trial::{hold, hold_beside};
use support::{temporary, wait_until};

const NO_LOCAL: u8 = 0x04;

/// Topics of all messages that come to a client before one of its own.
fn topics(client: &mut Client) -> Vec<String> {
    until_end(client)
        .into_iter()
        .map(|message| message.topic)
        .collect()
}

fn until_end(client: &mut Client) -> Vec<Message> {
    client.subscribe_at(1, "its/end");
    client.publish_at(1, "its/end", b"its end");
    let messages = client.take_until(b"its end");
    client.unsubscribe("its/end");
    messages
}

#[test]
fn each_request_has_one_answer_with_its_identifier() {
    let tried = [Rule::AckAsked, Rule::Answered, Rule::SubackCodes];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let mut client = trial.connect(version, "asks");
            let many: Vec<_> = (0..200)
                .map(|number| (format!("many/{number}"), number % 3))
                .collect();
            let many: Vec<_> = many.iter().map(|(filter, qos)| (&**filter, *qos)).collect();
            let bytes = [
                subscribe(version, 0xFFFF, &[("a", 1)], &[]),
                unsubscribe(version, 1, &["a", "b", "a"]),
                subscribe(version, 0x0100, &many, &[]),
                subscribe(version, 7, &[("b", 0)], &[]),
                unsubscribe(version, 7, &["nobody has subscribed to this"]),
            ];
            client.send(&bytes.concat());
            let is_5 = version == Version::V5;
            let codes = |codes: &[u8]| if is_5 { codes.to_vec() } else { vec![] };
            assert_eq!(client.await_codes(SUBACK, 0xFFFF), [1]);
            assert_eq!(client.await_codes(UNSUBACK, 1), codes(&[0, 0x11, 0x11]));
            let granted: Vec<_> = many.iter().map(|(_, qos)| *qos).collect();
            assert_eq!(client.await_codes(SUBACK, 0x0100), granted);
            assert_eq!(client.await_codes(SUBACK, 7), [0]);
            assert_eq!(client.await_codes(UNSUBACK, 7), codes(&[0x11]));
            // Each of them is a subscription of its own, and can be taken back with others.
            client.publish_at(2, "many/1", b"x");
            client.publish_at(2, "many/2", b"x");
            assert_eq!((client.take().qos, client.take().qos), (1, 2));
            let all: Vec<_> = many.iter().map(|(filter, _)| *filter).collect();
            assert_eq!(client.unsubscribe_from(&all), codes(&[0; 200]));
            client.publish_at(1, "many/1", b"x");
            assert!(topics(&mut client).is_empty());
            client.leave();
        }
    });
}

#[test]
fn what_is_not_granted_has_its_code_among_the_others() {
    hold(&[], &[Rule::SubackCodes, Rule::ReasonCode], |trial| {
        let deep = "a/".repeat(200);
        let filters = [
            ("a", 2),
            ("user/eve/#", 1),
            ("b", 0),
            (&deep, 2),
            ("c/+", 1),
        ];
        let codes = [
            (Version::V311, [2, 0x80, 0, 0x80, 1]),
            (Version::V5, [2, 0x87, 0, 0x8F, 1]),
        ];
        for (version, codes) in codes {
            let mut client = trial.connect(version, "asks");
            assert_eq!(client.subscribe_to(&filters, &[]), codes);
            client.publish_at(1, "c/d", b"x");
            assert_eq!(topics(&mut client), ["c/d"]);
            client.leave();
        }
        // MQTT 3.1 can not say so: it is told by the end of the connection.
        let mut client = trial.connect(Version::V31, "asks");
        client.send(&subscribe(Version::V31, 1, &filters, &[]));
        assert_eq!(client.end().0, 0);
    });
}

#[test]
fn every_pair_of_qos_is_delivered_at_the_lower() {
    let tried = [Rule::Qos, Rule::AckAsked, Rule::Order];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            for granted in 0..3 {
                let mut client = trial.connect(version, "subscriber");
                let mut publisher = trial.connect(version, "publisher");
                client.subscribe_at(granted, "t");
                for published in 0..3 {
                    publisher.publish_at(published, "t", b"x");
                    let message = client.take();
                    assert_eq!(message.qos, granted.min(published));
                }
                // All is acknowledged: nothing more comes, to neither.
                publisher.ping();
                client.ping();
                client.leave();
                publisher.leave();
            }
        }
    });
}

#[test]
fn overlapping_subscriptions_bring_one_copy_at_the_highest_qos() {
    let tried = [
        Rule::Qos,
        Rule::Once,
        Rule::SubscriptionIdentifier,
        Rule::Subscribed,
    ];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let mut client = trial.connect(version, "overlaps");
            // Whichever of them has it.
            for turn in 0..3 {
                for (filter, place) in ["a/b", "a/+", "#"].into_iter().zip(0..) {
                    client.subscribe_at((place + turn) % 3, filter);
                }
                client.publish_at(2, "a/b", b"all");
                client.publish_at(2, "c", b"one");
                // At different QoS they may change places.
                let mut got = [client.take(), client.take()];
                got.sort_by(|one, other| one.topic.cmp(&other.topic));
                assert_eq!([got[0].qos, got[1].qos], [2, (2 + turn) % 3]);
            }
            assert!(topics(&mut client).is_empty());
            client.leave();
        }
        let mut client = trial.connect(Version::V5, "identified");
        for (filter, identifier) in [("a/b", 1), ("a/+", 0), ("#", 268_435_455), ("+/b", 200)] {
            let own = match identifier {
                0 => vec![],
                _ => property::subscription_identifier(identifier),
            };
            assert_eq!(client.subscribe_to(&[(filter, 1)], &own), [1]);
        }
        for (topic, expected) in [
            ("a/b", &[1, 200, 268_435_455][..]),
            ("a/c", &[268_435_455]),
            ("c/b", &[200, 268_435_455]),
        ] {
            for qos in 0..3 {
                client.publish_at(qos, topic, b"x");
                assert_eq!(
                    client.take().properties.subscriptions(),
                    expected,
                    "{topic}"
                );
            }
        }
        // The copy of a shared subscription is its own, with its own identifier.
        let own = property::subscription_identifier(77);
        assert_eq!(client.subscribe_to(&[("$share/group/a/c", 1)], &own), [1]);
        client.publish_at(1, "a/c", b"x");
        let mut identifiers = [client.take(), client.take()].map(|m| m.properties.subscriptions());
        identifiers.sort();
        assert_eq!(identifiers, [vec![77], vec![268_435_455]]);
    });
}

#[test]
fn the_same_filter_again_replaces_the_subscription() {
    let tried = [
        Rule::Qos,
        Rule::Once,
        Rule::Order,
        Rule::SubscriptionIdentifier,
    ];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let mut client = trial.connect(version, "replaces");
            let mut publisher = trial.connect(Version::V5, "publisher");
            client.subscribe_at(1, "t/+");
            // A stream that goes on meanwhile: nothing of it is lost or comes twice.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for number in 0..300_u16 {
                        publisher.publish_at(1, "t/1", number.to_string().as_bytes());
                    }
                });
                for qos in [2, 1].into_iter().cycle().take(40) {
                    client.subscribe_at(qos, "t/+");
                }
            });
            for number in 0..300 {
                assert_eq!(client.take().text(), number.to_string());
            }
            if version == Version::V5 {
                // Each option and the identifier are those of the last.
                let own = property::subscription_identifier(5);
                assert_eq!(client.subscribe_to(&[("t/+", 2)], &own), [2]);
                publisher.publish_at(2, "t/1", b"x");
                let message = client.take();
                assert_eq!(
                    (message.qos, message.properties.subscriptions()),
                    (2, vec![5])
                );
                let own = property::subscription_identifier(6);
                assert_eq!(client.subscribe_to(&[("t/+", NO_LOCAL)], &own), [0]);
                publisher.publish_at(2, "t/1", b"x");
                let message = client.take();
                assert_eq!(
                    (message.qos, message.properties.subscriptions()),
                    (0, vec![6])
                );
                client.publish_at(1, "t/1", b"own");
                assert!(topics(&mut client).is_empty());
            }
            client.leave();
        }
    });
}

#[test]
fn only_the_equal_filter_is_taken_back() {
    let tried = [Rule::Subscribed, Rule::SubackCodes];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let mut client = trial.connect(version, "takes back");
            for filter in ["a/+", "a/#", "a/b", "A/b", "a/b/"] {
                client.subscribe_at(1, filter);
            }
            for (filter, left) in [
                ("#", 1),
                ("+/b", 1),
                ("a", 1),
                ("a/b", 1),
                ("a/#", 1),
                ("a/+", 0),
            ] {
                client.unsubscribe(filter);
                client.publish_at(1, "a/b", b"x");
                assert_eq!(topics(&mut client).len(), left, "{filter}");
            }
            client.publish_at(1, "A/b", b"x");
            client.publish_at(1, "a/b/", b"x");
            assert_eq!(topics(&mut client), ["A/b", "a/b/"]);
            client.leave();
        }
    });
}

#[test]
fn deliveries_that_have_begun_outlive_their_subscription() {
    let tried = [Rule::Subscribed, Rule::PubrelAfterPubrec];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let mut client = trial.return_as(version, "completes");
            client.subscribe_at(2, "t");
            client.publish_at(1, "t", b"one");
            client.publish_at(2, "t", b"two");
            let mut messages = [client.message(), client.message()];
            messages.sort_by_key(|message| message.qos);
            client.unsubscribe("t");
            client.publish_at(2, "t", b"not this");
            let [one, two] = messages;
            client.send(&acknowledge(PUBREC, two.id));
            client.await_acknowledgement(PUBREL, two.id);
            drop(client);
            // They are sent again though nobody is subscribed.
            let mut client = trial.return_as(version, "completes");
            let again = client.message();
            assert_eq!((again.id, again.text(), again.dup), (one.id, "one", true));
            client.send(&acknowledge(PUBACK, one.id));
            client.await_acknowledgement(PUBREL, two.id);
            client.send(&acknowledge(PUBCOMP, two.id));
            assert!(topics(&mut client).is_empty());
            client.leave();
            trial.connect(version, "completes").leave();
        }
    });
}

#[test]
fn no_local_keeps_a_clients_own_messages_from_it() {
    let tried = [Rule::NoLocal, Rule::SessionKept];
    hold(&[], &tried, |trial| {
        let mut other = trial.connect(Version::V5, "other");
        let mut client = trial.return_as(Version::V5, "no local");
        let retained = |client: &mut Client, payload: &[u8]| {
            client.publish("t", payload, true);
            client.ping();
        };
        retained(&mut client, b"own");
        assert_eq!(client.subscribe_to(&[("t", 1 | NO_LOCAL)], &[]), [1]);
        for qos in 0..3 {
            client.publish_at(qos, "t", b"own");
            other.publish_at(qos, "t", b"other's");
            assert_eq!(client.take().text(), "other's");
        }
        // Nor on another connection of the same client.
        client.publish_at(1, "t", b"own");
        client.ping();
        drop(client);
        let mut client = trial.return_as(Version::V5, "no local");
        client.publish_at(1, "t", b"own");
        assert!(topics(&mut client).is_empty());
        // Another subscription that matches brings it.
        client.subscribe_at(0, "#");
        client.publish_at(1, "t", b"own");
        assert_eq!(client.take().text(), "own");
        retained(&mut other, b"");
    });
}

#[test]
fn wildcards_find_nothing_that_begins_with_a_dollar() {
    hold(&["sys.seconds=1"], &[Rule::Subscribed], |trial| {
        // The engine speaks there itself.
        let mut knows = trial.connect(Version::V5, "knows");
        knows.subscribe("$SYS/#");
        for version in [Version::V311, Version::V5] {
            let mut client = trial.connect(version, "wild");
            // There are retained messages, and then others.
            knows.message();
            client.subscribe_at(1, "#");
            client.subscribe_at(1, "+/ringcast/#");
            client.subscribe_at(1, "$share/group/#");
            client.subscribe_at(1, "$share/group/+/ringcast/#");
            (0..50).for_each(|_| drop(knows.message()));
            client.publish_at(0, "a", b"x");
            client.publish_at(1, "end", b"end");
            let mut found: Vec<_> = (0..4).map(|_| client.take().topic).collect();
            found.sort();
            assert_eq!(found, ["a", "a", "end", "end"]);
            client.leave();
        }
    });
}

#[test]
fn topics_are_compared_byte_by_byte() {
    hold(&[], &[Rule::Subscribed], |trial| {
        let names = [
            "caf\u{e9}",
            "cafe\u{301}",
            "CAF\u{c9}",
            "caf\u{e9} ",
            "/caf\u{e9}",
            "caf\u{e9}/",
            "\u{fb01}",
            "fi",
            "\u{feff}fi",
            "\u{378}",
            "\u{10ffff}",
            "\u{1}",
            "a b",
            "Accounts",
            "ACCOUNTS",
        ];
        for version in Version::ALL {
            let mut publisher = trial.connect(version, "publisher");
            let mut clients = Vec::new();
            for (number, name) in names.iter().enumerate() {
                let mut client = trial.connect(version, &format!("reader {number}"));
                client.subscribe_at(1, name);
                clients.push(client);
            }
            for name in names {
                publisher.publish_at(1, name, name.as_bytes());
            }
            for (client, name) in clients.iter_mut().zip(names) {
                assert_eq!(topics(client), [name]);
            }
        }
    });
}

/// A shared message goes to one member of its group, at what that member was granted.
#[test]
fn a_group_shares_its_messages() {
    let tried = [Rule::SharedOnce, Rule::Qos, Rule::Subscribed];
    hold(&[], &tried, |trial| {
        const MESSAGES: usize = 240;
        let mut members: Vec<_> = (0..6)
            .map(|number| {
                let version = Version::ALL[number % 3];
                let mut member = trial.connect(version, &format!("member {number}"));
                let granted = (number % 3) as u8;
                member.subscribe_at(granted, "$share/group/t/+");
                (member, granted)
            })
            .collect();
        // Another group, and the plain filter, are other subscriptions.
        let mut both = trial.connect(Version::V5, "both");
        both.subscribe_at(2, "$share/other/t/+");
        both.subscribe_at(1, "t/+");
        let mut publisher = trial.connect(Version::V5, "publisher");
        for number in 0..MESSAGES {
            publisher.publish_at(2, "t/1", number.to_string().as_bytes());
        }
        let mut got: BTreeMap<usize, usize> = BTreeMap::new();
        for (member, granted) in &mut members {
            member.publish_at(1, "end", b"");
            let mut own = 0;
            // Each of six gets its turn.
            while own < MESSAGES / 6 {
                let message = member.take();
                assert_eq!(message.qos, *granted);
                *got.entry(message.text().parse().expect("a number"))
                    .or_default() += 1;
                own += 1;
            }
        }
        assert!(
            got.len() == MESSAGES && got.values().all(|count| *count == 1),
            "{got:?}"
        );
        let mut copies: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for _ in 0..2 * MESSAGES {
            let message = both.take();
            copies
                .entry(message.text().to_owned())
                .or_default()
                .push(message.qos);
        }
        for qos in copies.values_mut() {
            qos.sort_unstable();
            assert_eq!(*qos, [1, 2]);
        }
    });
}

/// What a member of a group has begun at QoS 2 stays with it; what it refuses is gone.
#[test]
fn a_member_keeps_what_it_has_begun() {
    let tried = [Rule::SharedOnce, Rule::ResendSame];
    hold(&[], &tried, |trial| {
        let mut publisher = trial.connect(Version::V5, "publisher");
        let mut first = trial.return_as(Version::V5, "first");
        first.subscribe_at(2, "$share/group/t");
        publisher.publish_at(2, "t", b"begun");
        let begun = first.message();
        let mut second = trial.connect(Version::V5, "second");
        second.subscribe_at(2, "$share/group/t");
        // Cut off, and not given to the other.
        first.ping();
        drop(first);
        trial.server.wait_for_metric("ringcast_sessions_away", 1);
        assert!(topics(&mut second).is_empty());
        let mut first = trial.return_as(Version::V5, "first");
        let again = first.message();
        assert_eq!(
            (again.id, again.text(), again.dup),
            (begun.id, "begun", true)
        );
        first.acknowledge(&again);
        first.ping();
    });
}

/// A member that refuses a message has decided for its group.
#[test]
fn what_a_member_refuses_goes_to_no_other() {
    hold(&[], &[Rule::SharedOnce], |trial| {
        let mut publisher = trial.connect(Version::V311, "publisher");
        let mut members = ["first", "second", "third"].map(|id| {
            let mut member = trial.connect(Version::V5, id);
            member.subscribe_at(2, "$share/group/t");
            member
        });
        for (qos, refusal) in [(1, PUBACK), (2, PUBREC)] {
            for _ in 0..6 {
                publisher.publish_at(qos, "t", b"refused");
            }
            for member in &mut members {
                for _ in 0..2 {
                    let message = member.message();
                    member.send(&refuse(refusal, message.id, 0x80));
                }
            }
            for member in &mut members {
                assert!(topics(member).is_empty());
            }
        }
    });
}

/// Ends with its session: nobody else gets it.
#[test]
fn what_a_member_has_begun_ends_with_its_session() {
    hold(&[], &[Rule::SharedOnce], |trial| {
        let mut publisher = trial.connect(Version::V5, "publisher");
        let mut first = trial.connect(Version::V5, "first");
        first.subscribe_at(2, "$share/group/t");
        publisher.publish_at(2, "t", b"begun");
        assert_eq!(first.message().text(), "begun");
        let mut second = trial.connect(Version::V5, "second");
        second.subscribe_at(2, "$share/group/t");
        drop(first);
        wait_until("the first has gone", || {
            publisher.publish_at(1, "t", b"for the second");
            second.stream.set_nonblocking(true).expect("a socket");
            let came = second.stream.peek(&mut [0]).is_ok();
            second.stream.set_nonblocking(false).expect("a socket");
            came
        });
        let messages = until_end(&mut second);
        assert!(
            messages
                .iter()
                .all(|message| message.text() == "for the second")
        );
    });
}

/// Not a test, unless the program was started as a feed handler.
#[test]
fn handler_of_another_process() {
    be_handler();
}

fn user<'a>(name: &'a str, version: Version, id: &'a str) -> Hello<'a> {
    Hello {
        user: Some((name, name)),
        ..Hello::new(version, id)
    }
}

/// A user's topics reach nobody else, however others subscribe.
#[test]
fn a_users_topics_are_its_own() {
    let (users, socket) = (temporary("users"), temporary("feed"));
    let line = |name: &str| ringcast_door::user_line(name, name.as_bytes()).expect("a name") + "\n";
    fs::write(&users, line("ann") + &line("bob")).expect("a file");
    let settings = [
        &*format!("auth.users=\"{}\"", users.display()),
        "feed.kind=shm",
        &*format!("feed.socket=\"{}\"", socket.display()),
    ];
    let tried = [Rule::Private, Rule::Subscribed];
    hold_beside(&["user/#"], &settings, &tried, |trial| {
        let mut feed = Handler::start("handler_of_another_process", &socket);
        for version in [Version::V311, Version::V5] {
            let mut anns = [1, 2].map(|number| {
                let mut client = trial.greet(&user("ann", version, &format!("ann {number}")));
                client.subscribe_at(1, "user/ann/#");
                client
            });
            let mut bob = trial.greet(&user("bob", version, "bob"));
            let refused = if version == Version::V5 { 0x87 } else { 0x80 };
            let filters = [
                ("user/ann/order", 1),
                ("user/#", 1),
                ("user/+/order", 1),
                ("$share/group/user/ann/#", 1),
                ("#", 1),
                ("+/ann/#", 1),
                ("$share/group/#", 1),
                ("user/bob/+", 1),
            ];
            let codes = bob.subscribe_to(&filters, &[]);
            assert_eq!(codes, [refused, refused, refused, refused, 1, 1, 1, 1]);
            feed.tell("say user/ann/order hers");
            feed.tell("say user/bob/order his");
            for ann in &mut anns {
                assert_eq!(ann.take().text(), "hers");
            }
            assert_eq!(bob.take().text(), "his");
            anns.into_iter().for_each(Client::leave);
            bob.leave();
        }
    });
    fs::remove_file(users).expect("it is there");
}
