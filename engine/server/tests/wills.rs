//! Wills: when they are published, and when never. On one shard and on three, and the
//! referee looks on.
//!
//! That a will does not come is shown by what comes instead: the client returns and
//! publishes, and what it publishes then would stand behind its will.

mod support;

use ringcast_referee::Rule;
use socket2::SockRef;
use std::time::Duration;
use support::client::{Client, Hello, Publish, Version, Will, packet};
use support::property;
use support::trial::{Trial, hold, let_time_pass};

/// A client with a will on `will/{id}` that says `lost`.
fn with_will<'a>(version: Version, id: &'a str, will: Will<'a>) -> Hello<'a> {
    Hello {
        will: Some(will),
        ..Hello::new(version, id)
    }
}

/// One whose will says who it is, and waits; as its session does.
fn delayed<'a>(id: &'a str, delay: &'a [u8], expiry: &'a [u8]) -> Hello<'a> {
    let will = Will {
        properties: delay,
        ..Will::new("will/t", id.as_bytes())
    };
    Hello {
        clean: false,
        properties: expiry,
        ..with_will(Version::V5, id, will)
    }
}

fn watcher(trial: &Trial) -> Client {
    let mut watcher = trial.connect(Version::V5, "watcher");
    watcher.subscribe_at(2, "will/#");
    watcher
}

/// That client publishes, and its will has not come before.
fn no_will_before(trial: &Trial, watcher: &mut Client, version: Version, id: &str) {
    let mut client = trial.connect(version, id);
    client.publish_at(1, "will/instead", id.as_bytes());
    assert_eq!(watcher.take().text(), id, "no will");
    client.leave();
}

#[test]
fn a_will_is_published_however_the_connection_is_lost() {
    let tried = [Rule::WillDue, Rule::WillEarly, Rule::Published, Rule::Once];
    hold(&[], &tried, |trial| {
        let mut watcher = watcher(trial);
        for version in Version::ALL {
            for (way, qos, lasts) in [
                ("closed", 0, false),
                ("closed", 1, true),
                ("reset", 1, false),
                ("fault", 2, true),
                ("half", 1, false),
                ("silent", 1, false),
                ("silent", 2, true),
            ] {
                let id = format!("{version:?} {way}");
                let will = Will {
                    qos,
                    ..Will::new("will/t", id.as_bytes())
                };
                let hello = match lasts {
                    true => Hello::lasting(version, &id),
                    false => Hello::new(version, &id),
                };
                let mut client = trial.greet(&Hello {
                    keep_alive: u16::from(way == "silent"),
                    will: Some(will),
                    ..hello
                });
                match way {
                    "closed" => drop(client),
                    "reset" => {
                        let socket = SockRef::from(&client.stream);
                        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
                        drop(client);
                    }
                    "fault" => {
                        client.send(&[0xC1, 0xFF, 0xFF, 0xFF, 0xFF]);
                        client.end();
                    }
                    "half" => {
                        client.send(&[0xC0]);
                        drop(client);
                    }
                    _ => drop(client.end()),
                }
                let message = watcher.take();
                assert_eq!(
                    (message.text(), message.qos, message.retain),
                    (&*id, qos, false)
                );
                // It was published once, and there is none without one.
                no_will_before(trial, &mut watcher, version, &id);
                drop(trial.connect(version, &id));
                no_will_before(trial, &mut watcher, version, &id);
            }
        }
        let_time_pass();
        watcher.ping();
    });
}

#[test]
fn a_goodbye_drops_the_will() {
    hold(&[], &[Rule::WillEarly], |trial| {
        let mut watcher = watcher(trial);
        for version in Version::ALL {
            for properties in [&[][..], &property::four(property::WILL_DELAY, 1)] {
                let properties = if version == Version::V5 {
                    properties
                } else {
                    &[]
                };
                let will = Will {
                    properties,
                    ..Will::new("will/t", b"not after a goodbye")
                };
                trial.greet(&with_will(version, "polite", will)).leave();
                no_will_before(trial, &mut watcher, version, "polite");
            }
        }
        // A goodbye may leave the will, or be another reason altogether.
        for reason in [0x04, 0x80, 0x81, 0x97] {
            let will = Will::new("will/t", b"with its will");
            let mut client = trial.greet(&with_will(Version::V5, "polite", will));
            client.send(&packet(0xE0, &[reason]));
            client.end();
            assert_eq!(watcher.take().text(), "with its will");
        }
    });
}

#[test]
fn a_will_waits_for_its_delay_and_not_for_who_returns() {
    let tried = [Rule::WillEarly];
    hold(&[], &tried, |trial| {
        let mut watcher = watcher(trial);
        let delay = |seconds| property::four(property::WILL_DELAY, seconds);
        let expiry = |seconds| property::four(property::SESSION_EXPIRY, seconds);
        let (long, short) = (delay(100), delay(1));
        let lasting = expiry(100);
        // Who returns in time takes it back, whether its connection was seen to end or not.
        let first = trial.greet(&delayed("returns", &long, &lasting));
        drop(first);
        let second = trial.greet(&delayed("returns", &long, &lasting));
        assert!(second.session_present);
        let third = trial.return_as(Version::V5, "returns");
        assert!(third.session_present);
        drop(second);
        drop(third);
        let mut fourth = trial.return_as(Version::V5, "returns");
        fourth.publish_at(1, "will/instead", b"returned");
        assert_eq!(watcher.take().text(), "returned");
        // Who does not return in time does not.
        let hello = delayed("does not", &short, &lasting);
        drop(trial.greet(&hello));
        assert_eq!(watcher.take().text(), "does not");
        let mut client = trial.return_as(Version::V5, "does not");
        assert!(client.session_present);
        client.publish_at(1, "will/instead", b"once");
        assert_eq!(watcher.take().text(), "once");
        // The session ends before the delay does: with its time, with its connection, and by
        // a new one.
        let momentary = expiry(1);
        for (id, expiry) in [("ends", &momentary[..]), ("momentary", &[])] {
            drop(trial.greet(&delayed(id, &long, expiry)));
            assert_eq!(watcher.take().text(), id);
        }
        let mut first = trial.greet(&delayed("cleaned", &long, &lasting));
        first.ping();
        let second = trial.connect(Version::V5, "cleaned");
        assert!(!second.session_present);
        assert_eq!(watcher.take().text(), "cleaned");
    });
}

#[test]
fn who_returns_has_the_will_of_its_new_connection() {
    hold(&[], &[Rule::Published], |trial| {
        let mut watcher = watcher(trial);
        for version in Version::ALL {
            let id = format!("{version:?}");
            for text in ["first", "second"] {
                let will = Will::new("will/t", text.as_bytes());
                drop(trial.greet(&Hello {
                    will: Some(will),
                    ..Hello::lasting(version, &id)
                }));
                assert_eq!(watcher.take().text(), text);
            }
        }
    });
}

#[test]
fn a_will_is_retained_if_it_says_so() {
    let tried = [Rule::RetainFlag, Rule::WillEarly];
    hold(&[], &tried, |trial| {
        let mut watcher = watcher(trial);
        for version in Version::ALL {
            for retain in [true, false] {
                let topic = format!("will/{version:?}/{retain}");
                let will = Will {
                    retain,
                    ..Will::new(&topic, b"lost")
                };
                drop(trial.greet(&with_will(version, "retained", will)));
                let message = watcher.take();
                assert_eq!((message.text(), message.retain), ("lost", false));
                let mut later = trial.connect(version, "later");
                later.subscribe_at(1, &topic);
                later.publish_at(1, &topic, b"live");
                let first = later.take();
                let expected = if retain {
                    ("lost", true)
                } else {
                    ("live", false)
                };
                assert_eq!((first.text(), first.retain), expected);
                assert_eq!(watcher.take().text(), "live");
                later.leave();
            }
        }
    });
}

#[test]
fn what_describes_a_will_arrives_with_it() {
    hold(&[], &[Rule::Unchanged, Rule::WillEarly], |trial| {
        let mut watcher = watcher(trial);
        let described = [
            property::byte(property::PAYLOAD_FORMAT, 1),
            property::bytes(property::CONTENT_TYPE, b"text/plain"),
            property::bytes(property::RESPONSE_TOPIC, b"answers"),
            property::bytes(property::CORRELATION_DATA, &[0, 255, 1]),
            property::user("b", "1"),
            property::user("a", "2"),
            property::user("b", "1"),
            property::user("", ""),
        ]
        .concat();
        let will = Will {
            qos: 2,
            properties: &described,
            ..Will::new("will/t", b"described")
        };
        drop(trial.greet(&with_will(Version::V5, "describes", will)));
        let message = watcher.take();
        assert_eq!(message.text(), "described");
        let mut length = Vec::new();
        property::variable(&mut length, described.len());
        let expected = property::read(&[length, described].concat()).0;
        assert_eq!(
            message.properties.all(property::USER_PROPERTY),
            expected.all(property::USER_PROPERTY)
        );
        for identifier in [
            property::PAYLOAD_FORMAT,
            property::CONTENT_TYPE,
            property::RESPONSE_TOPIC,
            property::CORRELATION_DATA,
        ] {
            assert_eq!(message.properties.one(identifier), expected.one(identifier));
        }
    });
}

/// What its client may not publish, its will may not either: it is told at once.
#[test]
fn a_will_that_is_not_allowed_is_refused_at_connect() {
    hold(&[], &[Rule::SilentAfterEnd], |trial| {
        for (version, reason) in [(Version::V311, 5), (Version::V5, 0x87)] {
            for topic in ["$SYS/mine", "user/ann/order"] {
                let will = Will::new(topic, b"x");
                assert_eq!(
                    trial.refusal(&with_will(version, "a", will)),
                    reason,
                    "{topic}"
                );
            }
        }
        let mut client = trial.connect(Version::V5, "a");
        client.hand_over(&Publish::new(0, 0, "t", b"x"));
    });
}
