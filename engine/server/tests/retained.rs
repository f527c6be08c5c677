//! Retained messages: what is kept, what replaces it, who gets it. On one shard and on
//! three, and the referee looks on.

mod support;

use ringcast_referee::Rule;
use support::client::{Client, Hello, Message, Publish, Version};
use support::trial::{Trial, hold};

fn retain(client: &mut Client, qos: u8, topic: &str, payload: &[u8]) {
    let publish = Publish {
        retain: true,
        ..Publish::new(qos, client.next_id(), topic, payload)
    };
    client.hand_over(&publish);
}

/// What a new client gets that subscribes to this, sorted by topic: topic, payload, QoS,
/// RETAIN.
fn found(trial: &Trial, version: Version, filter: &str) -> Vec<(String, String, u8, bool)> {
    let mut client = trial.connect(version, "finds");
    client.subscribe_at(2, filter);
    let mut found = until_end(&mut client);
    found.sort();
    client.leave();
    found
}

/// What has come to a client before a message of its own.
fn until_end(client: &mut Client) -> Vec<(String, String, u8, bool)> {
    client.subscribe_at(1, "end");
    client.publish_at(1, "end", b"end");
    let shown = |message: Message| {
        let text = message.text().to_owned();
        (message.topic, text, message.qos, message.retain)
    };
    client.take_until(b"end").into_iter().map(shown).collect()
}

fn message(topic: &str, payload: &str, qos: u8, retain: bool) -> (String, String, u8, bool) {
    (topic.to_owned(), payload.to_owned(), qos, retain)
}

#[test]
fn a_new_subscription_gets_the_newest_of_each_topic() {
    let tried = [Rule::RetainFlag, Rule::RetainedOrder, Rule::Once, Rule::Qos];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let mut publisher = trial.connect(version, "publisher");
            let mut live = trial.connect(version, "live");
            live.subscribe_at(2, "r/#");
            // The QoS is kept with the message, and any QoS replaces any other.
            for (topic, qos) in [("r/a", 2), ("r/b", 1), ("r/c", 0), ("r/a/b", 1)] {
                retain(&mut publisher, 2 - qos, topic, b"old");
                retain(&mut publisher, qos, topic, b"new");
            }
            // What is not retained changes nothing.
            publisher.publish_at(1, "r/a", b"live only");
            publisher.publish_at(1, "r/d", b"live only");
            // Who was subscribed got all of it as it came.
            live.publish_at(1, "r/end", b"end");
            let messages = live.take_until(b"end");
            assert_eq!(messages.len(), 10);
            assert!(messages.iter().all(|message| !message.retain));
            // Neither the session of its publisher nor that of its subscriber matters.
            publisher.leave();
            live.leave();
            let all = [
                message("r/a", "new", 2, true),
                message("r/a/b", "new", 1, true),
                message("r/b", "new", 1, true),
                message("r/c", "new", 0, true),
            ];
            for reader in Version::ALL {
                assert_eq!(found(trial, reader, "r/#"), all);
                assert_eq!(found(trial, reader, "r/a"), all[..1]);
                assert_eq!(found(trial, reader, "+/b"), all[2..3]);
            }
            // An empty one is delivered, and what was kept is gone.
            let mut live = trial.connect(version, "live");
            let mut publisher = trial.connect(version, "publisher");
            live.subscribe_at(1, "r/+");
            until_end(&mut live);
            for (topic, qos) in [("r/a", 0), ("r/b", 1), ("r/c", 2), ("r/e", 1)] {
                retain(&mut publisher, qos, topic, b"");
                let message = live.take();
                assert_eq!(
                    (&*message.topic, message.payload.len(), message.retain),
                    (topic, 0, false)
                );
            }
            assert_eq!(found(trial, version, "r/#"), all[1..2]);
            retain(&mut publisher, 1, "r/a/b", b"");
            assert_eq!(found(trial, version, "r/#"), []);
            live.leave();
            publisher.leave();
        }
    });
}

#[test]
fn the_same_subscription_again_brings_them_again() {
    let tried = [Rule::RetainFlag, Rule::Answered];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let mut client = trial.return_as(version, "again");
            retain(&mut client, 1, "r/a", b"kept");
            for qos in [0, 2, 1] {
                client.subscribe_at(qos, "r/+");
                assert_eq!(
                    until_end(&mut client),
                    [message("r/a", "kept", qos.min(1), true)]
                );
            }
            // Not because its client returned.
            client.ping();
            drop(client);
            let mut client = trial.return_as(version, "again");
            assert_eq!(until_end(&mut client), []);
            retain(&mut client, 1, "r/a", b"");
            client.leave();
            trial.connect(version, "again").leave();
        }
    });
}

#[test]
fn retain_handling_says_when_they_come() {
    let tried = [Rule::RetainFlag, Rule::SessionKept];
    hold(&[], &tried, |trial| {
        let (send, if_new, never) = (0x01, 0x11, 0x21);
        let mut publisher = trial.connect(Version::V311, "publisher");
        retain(&mut publisher, 1, "r", b"kept");
        let kept = [message("r", "kept", 1, true)];
        let mut client = trial.return_as(Version::V5, "handles");
        let brings = |client: &mut Client, options| {
            assert_eq!(client.subscribe_to(&[("r", options)], &[]), [1]);
            until_end(client)
        };
        assert_eq!(brings(&mut client, never), []);
        assert_eq!(brings(&mut client, if_new), [], "it is not new");
        assert_eq!(brings(&mut client, send), kept);
        assert_eq!(brings(&mut client, send), kept);
        client.unsubscribe("r");
        assert_eq!(brings(&mut client, if_new), kept);
        assert_eq!(brings(&mut client, if_new), []);
        drop(client);
        let mut client = trial.return_as(Version::V5, "handles");
        assert_eq!(
            brings(&mut client, if_new),
            [],
            "it is the session's, and not new"
        );
        drop(client);
        let mut client = trial.greet(&Hello::new(Version::V5, "handles"));
        assert_eq!(brings(&mut client, if_new), kept, "another session");
    });
}

#[test]
fn retain_as_published_keeps_the_flag() {
    let tried = [Rule::RetainFlag];
    hold(&[], &tried, |trial| {
        let mut as_published = trial.connect(Version::V5, "as published");
        let mut cleared = trial.connect(Version::V5, "cleared");
        let mut publisher = trial.connect(Version::V311, "publisher");
        assert_eq!(as_published.subscribe_to(&[("t", 0x0A)], &[]), [2]);
        assert_eq!(cleared.subscribe_to(&[("t", 0x02)], &[]), [2]);
        // One with the flag and one without match the same message.
        let both = &[("t", 0x02), ("+", 0x0A)];
        let mut overlapping = trial.connect(Version::V5, "overlapping");
        assert_eq!(overlapping.subscribe_to(both, &[]), [2, 2]);
        for number in 0..30_u8 {
            let payload = [number];
            let publish = Publish {
                retain: number % 3 == 0,
                ..Publish::new(number % 2, publisher.next_id(), "t", &payload)
            };
            publisher.hand_over(&publish);
            for (client, keeps) in [
                (&mut as_published, true),
                (&mut cleared, false),
                (&mut overlapping, true),
            ] {
                let message = client.take();
                assert_eq!(message.payload, [number]);
                assert_eq!(message.retain, keeps && number % 3 == 0);
            }
        }
    });
}

#[test]
fn a_shared_subscription_brings_none() {
    hold(&[], &[Rule::SharedOnce], |trial| {
        for version in [Version::V311, Version::V5] {
            let mut client = trial.connect(version, "shares");
            retain(&mut client, 1, "r", b"kept");
            client.subscribe_at(1, "$share/group/r");
            assert_eq!(until_end(&mut client), []);
            client.publish_at(1, "r", b"live");
            assert_eq!(until_end(&mut client), [message("r", "live", 1, false)]);
            client.leave();
        }
    });
}

/// More than one send takes, and none of them twice or left out.
#[test]
fn thousands_of_them_come_once_each() {
    hold(&[], &[Rule::RetainFlag, Rule::Once], |trial| {
        let mut publisher = trial.connect(Version::V5, "publisher");
        for number in 0..3_000 {
            let topic = format!("many/{number}");
            publisher.publish(&topic, &vec![b'x'; 100 + number % 200], true);
        }
        publisher.ping();
        for (qos, version) in [(0, Version::V311), (1, Version::V5), (2, Version::V311)] {
            let mut client = trial.connect(version, "reader");
            client.subscribe_at(qos, "many/+");
            // At most its QoS, and each of them had 0.
            let mut topics: Vec<_> = (0..3_000).map(|_| client.take().topic).collect();
            topics.sort();
            topics.dedup();
            assert_eq!(topics.len(), 3_000);
            assert_eq!(until_end(&mut client), []);
            client.leave();
        }
    });
}
