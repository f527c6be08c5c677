//! CONNECT and CONNACK, and what ends a connection: who comes in, who is told why not, who
//! takes whose place. On one shard and on three, and the referee looks on.

mod support;

use ringcast_referee::Rule;
use std::fs;
use std::io::Write;
use support::client::{
    Client, Ending, Hello, Publish, Version, Will, acknowledge, packet, publish, subscribe,
    unsubscribe,
};
use support::property;
use support::trial::hold;
use support::{temporary, wait_until};

/// What a connection was closed with by a server that knows the client's version.
fn told(version: Version, reason: u8) -> Ending {
    match version {
        Version::V5 => Ending::Told(reason),
        Version::V31 | Version::V311 => Ending::Closed,
    }
}

/// Nobody has published anything to topics that this client has subscribed to but this.
fn only_gets(client: &mut Client, other: &mut Client, topic: &str) {
    other.publish_at(1, topic, b"only this");
    assert_eq!(client.take().text(), "only this");
}

#[test]
fn nothing_but_connect_comes_first() {
    let first = [
        publish(Version::V311, "a", b"x", true),
        acknowledge(0x40, 1),
        acknowledge(0x50, 1),
        acknowledge(0x62, 1),
        acknowledge(0x70, 1),
        subscribe(Version::V311, 1, &[("a", 0)], &[]),
        unsubscribe(Version::V311, 1, &["a"]),
        vec![0xC0, 0],
        vec![0xE0, 0],
        vec![0xF0, 0],
        vec![0x20, 2, 0, 0],
    ];
    hold(&[], &[Rule::FaultCloses], |trial| {
        for bytes in &first {
            let mut client = Client::open(trial.address, Version::V311);
            client.send(bytes);
            // Nothing of what follows counts.
            let late = Hello::new(Version::V311, "late").packet();
            let _ = client.stream.write_all(&late);
            let (messages, ending) = client.end();
            assert_eq!(messages, 0, "{bytes:?}");
            assert!(
                matches!(ending, Ending::Closed | Ending::Reset),
                "{bytes:?}"
            );
        }
    });
}

#[test]
fn a_second_connect_ends_the_connection() {
    let tried = [Rule::FaultCloses, Rule::WillEarly, Rule::ConnackOnce];
    hold(&[], &tried, |trial| {
        let mut watcher = trial.connect(Version::V5, "watcher");
        watcher.subscribe_at(1, "will/+");
        for version in Version::ALL {
            let hello = Hello {
                will: Some(Will::new("will/twice", b"said it twice")),
                ..Hello::new(version, "twice")
            };
            let mut client = trial.greet(&hello);
            client.send(&hello.packet());
            assert_eq!(client.end(), (0, told(version, 0x82)), "{version:?}");
            assert_eq!(watcher.take().text(), "said it twice");
        }
    });
}

#[test]
fn versions_that_are_not_served_are_told_so() {
    hold(&[], &[], |trial| {
        for (level, connack) in [
            (0, &b"\0\x01"[..]),
            (2, b"\0\x01"),
            (3, b"\0\x01"),
            (6, b"\0\x84\0"),
            (0x7F, b"\0\x84\0"),
            (0xFF, b"\0\x84\0"),
        ] {
            let mut hello = Hello::new(Version::V311, "a").packet();
            hello[8] = level;
            let mut client = Client::open(trial.address, Version::V311);
            client.send(&hello);
            client.send(&subscribe(Version::V311, 1, &[("a", 0)], &[]));
            assert_eq!(client.packet(), Ok((0x20, connack.to_vec())), "{level}");
            assert_eq!(client.end(), (0, Ending::Closed), "{level}");
        }
    });
}

#[test]
fn identifiers_of_the_named_characters_are_taken() {
    hold(&[], &[Rule::ConnackFirst], |trial| {
        let longest = "0123456789abcdefghijklm";
        for version in Version::ALL {
            for id in ["A", "z", "9", longest, "NOPQRSTUVWXYZnopqrstuvw"] {
                assert!(!trial.connect(version, id).session_present);
            }
        }
    });
}

#[test]
fn who_has_no_identifier_gets_one_or_is_refused() {
    let tried = [Rule::AssignedIdentifier, Rule::SilentAfterEnd];
    hold(&[], &tried, |trial| {
        // Each is somebody else.
        let mut first = trial.connect(Version::V311, "");
        let mut second = trial.connect(Version::V311, "");
        for client in [&mut first, &mut second] {
            client.subscribe("all");
        }
        second.publish("all", b"x", false);
        assert_eq!(first.message().text(), "x");
        assert_eq!(second.message().text(), "x");
        // MQTT 5 tells which, and it is as good as any other.
        let expiry = property::four(property::SESSION_EXPIRY, 100);
        let hello = Hello {
            properties: &expiry,
            ..Hello::new(Version::V5, "")
        };
        let mut client = trial.greet(&hello);
        let id = client
            .connack
            .text(property::ASSIGNED_IDENTIFIER)
            .expect("it is told");
        assert_ne!(
            trial
                .greet(&hello)
                .connack
                .text(property::ASSIGNED_IDENTIFIER),
            None
        );
        client.subscribe_at(1, "mine");
        drop(client);
        let hello = Hello {
            id: &id,
            clean: false,
            ..hello
        };
        let mut client = trial.greet(&hello);
        assert!(
            client.session_present,
            "it is found by its assigned identifier"
        );
        assert_eq!(client.connack.one(property::ASSIGNED_IDENTIFIER), None);
        only_gets(&mut client, &mut second, "mine");
        // To be found again without an identifier is not possible, but in MQTT 5 to be told one.
        for hello in [
            Hello::new(Version::V31, ""),
            Hello::lasting(Version::V31, ""),
            Hello::lasting(Version::V311, ""),
            Hello::new(Version::V31, "longer than 23 characters"),
        ] {
            assert_eq!(trial.refusal(&hello), 2, "{hello:?}");
        }
        let hello = Hello::lasting(Version::V5, "");
        assert!(
            trial
                .greet(&hello)
                .connack
                .one(property::ASSIGNED_IDENTIFIER)
                .is_some()
        );
    });
}

#[test]
fn a_wrong_connect_ends_the_connection() {
    let reserved = |version| {
        let mut bytes = Hello::new(version, "a").packet();
        bytes[9] |= 1;
        bytes
    };
    let surplus = |version| {
        let mut bytes = Hello::new(version, "a").packet();
        bytes[1] += 1;
        bytes.push(0);
        bytes
    };
    let cut = |version| {
        let mut bytes = Hello::new(version, "abc").packet();
        bytes[1] -= 1;
        bytes.pop();
        bytes
    };
    let flags = |version| {
        let mut bytes = Hello::new(version, "a").packet();
        bytes[0] |= 4;
        bytes
    };
    hold(&[], &[Rule::FaultCloses], |trial| {
        for version in [Version::V311, Version::V5] {
            for bytes in [
                reserved(version),
                surplus(version),
                cut(version),
                flags(version),
            ] {
                let mut client = Client::open(trial.address, version);
                client.send(&bytes);
                if version == Version::V5 {
                    let reason = client.await_connack().expect_err("it is not let in");
                    assert!(matches!(reason, 0x81 | 0x82), "{reason:#x}");
                }
                let (messages, ending) = client.end();
                assert_eq!(messages, 0);
                assert!(
                    matches!(ending, Ending::Closed | Ending::Reset),
                    "{bytes:?}"
                );
            }
        }
    });
}

#[test]
fn a_new_connection_takes_the_place_of_the_old_one() {
    let tried = [
        Rule::Takeover,
        Rule::SessionKept,
        Rule::SessionPresent,
        Rule::WillEarly,
    ];
    hold(&[], &tried, |trial| {
        let mut other = trial.connect(Version::V311, "other");
        other.subscribe_at(1, "gone");
        for old in Version::ALL {
            for new in Version::ALL {
                let id = format!("{old:?} {new:?}");
                let mut first = trial.greet(&Hello {
                    will: Some(Will::new("gone", b"taken over")),
                    ..Hello::lasting(old, &id)
                });
                first.subscribe_at(1, "mine");
                let mut second = trial.return_as(new, &id);
                assert_eq!(second.session_present, new != Version::V31, "{id}");
                assert_eq!(first.end(), (0, told(old, 0x8E)), "{id}");
                assert_eq!(other.take().text(), "taken over");
                only_gets(&mut second, &mut other, "mine");
                // Who wants a session of its own finds nothing of it.
                let third = trial.connect(new, &id);
                assert!(!third.session_present);
                assert_eq!(second.end(), (0, told(new, 0x8E)), "{id}");
                // Another identifier is another session.
                assert!(!trial.return_as(new, &id[1..]).session_present);
                third.leave();
            }
        }
    });
}

/// A session that ends with its connection is not found by who takes over.
#[test]
fn a_momentary_session_is_not_taken_over() {
    let tried = [Rule::Takeover, Rule::SessionPresent];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let first = trial.connect(version, "momentary");
            let second = trial.return_as(version, "momentary");
            assert!(!second.session_present);
            assert_eq!(first.end(), (0, told(version, 0x8E)));
            trial.connect(version, "momentary").leave();
        }
    });
}

#[test]
fn what_follows_connect_at_once_waits_for_connack() {
    let tried = [Rule::ConnackFirst, Rule::SilentAfterEnd, Rule::Answered];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            let follows = |hello: &Hello<'_>| {
                let mut bytes = hello.packet();
                bytes.extend(subscribe(version, 7, &[("own", 1)], &[]));
                bytes.extend(Publish::new(1, 8, "own", b"mine").packet(version));
                bytes.extend(publish(version, "left", b"behind", true));
                bytes
            };
            let mut client = Client::open(trial.address, version);
            client.send(&follows(&Hello::new(version, "at once")));
            assert_eq!(client.await_connack(), Ok(()));
            assert_eq!(client.await_codes(0x90, 7), [1]);
            client.await_acknowledgement(0x40, 8);
            assert_eq!(client.take().text(), "mine");
            client.publish_at(1, "left", b"");
            client.publish("left", b"", true);
            client.leave();
            // Who is refused has said nothing.
            let mut hello = Hello::lasting(version, "");
            let method = property::bytes(property::AUTHENTICATION_METHOD, b"SCRAM");
            if version == Version::V5 {
                hello.properties = &method;
            }
            let mut client = Client::open(trial.address, version);
            client.send(&follows(&hello));
            assert!(client.await_connack().is_err());
            assert_eq!(client.end(), (0, Ending::Closed));
            let mut reader = trial.connect(version, "reader");
            reader.subscribe_at(1, "left");
            reader.publish_at(1, "left", b"only this");
            assert_eq!(reader.take().text(), "only this");
            reader.leave();
        }
    });
}

#[test]
fn connack_promises_what_is_kept() {
    let settings = [
        "limits.keep_alive_seconds_max=100",
        "limits.session_expiry_seconds_max=50",
        "limits.topic_aliases_max=3",
        "limits.packet_bytes_max=10000",
    ];
    let tried = [Rule::ResponseInformation, Rule::Authentication];
    hold(&settings, &tried, |trial| {
        let asked = [
            property::four(property::SESSION_EXPIRY, u32::MAX),
            property::byte(property::RESPONSE_INFORMATION_WANTED, 0),
            property::byte(property::PROBLEM_INFORMATION, 0),
        ];
        let client = trial.greet(&Hello {
            properties: &asked.concat(),
            keep_alive: 200,
            ..Hello::new(Version::V5, "asks for more")
        });
        let told = |identifier| client.connack.number(identifier);
        assert_eq!(told(property::SERVER_KEEP_ALIVE), Some(100));
        assert_eq!(told(property::SESSION_EXPIRY), Some(50));
        assert_eq!(told(property::TOPIC_ALIAS_MAXIMUM), Some(3));
        assert_eq!(told(property::MAXIMUM_PACKET_SIZE), Some(10_000));
        assert_eq!(told(property::RECEIVE_MAXIMUM), Some(1_024));
        for absent in [
            property::RESPONSE_INFORMATION,
            property::SERVER_REFERENCE,
            property::AUTHENTICATION_METHOD,
            property::REASON_STRING,
        ] {
            assert_eq!(client.connack.one(absent), None, "{absent:#x}");
        }
        // Who asks for less is not told, for that is what it gets.
        let expiry = property::four(property::SESSION_EXPIRY, 20);
        let client = trial.greet(&Hello {
            properties: &expiry,
            keep_alive: 30,
            ..Hello::new(Version::V5, "asks for less")
        });
        assert_eq!(client.connack.one(property::SERVER_KEEP_ALIVE), None);
        assert_eq!(client.connack.one(property::SESSION_EXPIRY), None);
    });
}

#[test]
fn without_aliases_there_are_none() {
    hold(&["limits.topic_aliases_max=0"], &[Rule::Blame], |trial| {
        let mut client = trial.connect(Version::V5, "alias");
        assert_eq!(client.connack.one(property::TOPIC_ALIAS_MAXIMUM), None);
        let alias = property::two(property::TOPIC_ALIAS, 1);
        let publish = Publish {
            properties: &alias,
            ..Publish::new(0, 0, "a", b"x")
        };
        client.send(&publish.packet(Version::V5));
        assert_eq!(client.end(), (0, Ending::Told(0x94)));
    });
}

#[test]
fn silence_ends_the_connection_and_sends_the_will() {
    let settings = ["limits.keep_alive_seconds_max=1"];
    hold(
        &settings,
        &[Rule::KeepAlive, Rule::WillEarly, Rule::Blame],
        |trial| {
            let mut watcher = trial.greet(&Hello {
                keep_alive: 0,
                ..Hello::new(Version::V311, "watcher")
            });
            watcher.subscribe_at(1, "silent");
            for version in Version::ALL {
                let id = format!("{version:?}");
                // In MQTT 5 the server's counts, before that the client's own.
                let keep_alive = if version == Version::V5 { 0 } else { 1 };
                let client = trial.greet(&Hello {
                    keep_alive,
                    will: Some(Will::new("silent", id.as_bytes())),
                    ..Hello::new(version, &id)
                });
                assert_eq!(client.end(), (0, told(version, 0x8D)));
                assert_eq!(watcher.take().text(), id);
            }
            // Whose keep-alive is 0 may be silent.
            watcher.ping();
        },
    );
}

#[test]
fn only_its_user_finds_a_session() {
    let users = temporary("users");
    let line = |name: &str, password: &str| {
        let line = ringcast_door::user_line(name, password.as_bytes());
        line.expect("a name and a password") + "\n"
    };
    fs::write(&users, line("ann", "secret") + &line("bob", "builder")).expect("a file");
    let setting = format!("auth.users=\"{}\"", users.display());
    hold(&[&setting], &[Rule::SessionKept], |trial| {
        for (version, wrong, not_allowed) in [(Version::V311, 4, 5), (Version::V5, 0x86, 0x87)] {
            let of = |user, password| Hello {
                user: Some((user, password)),
                ..Hello::lasting(version, "session")
            };
            assert_eq!(trial.refusal(&of("ann", "guess")), wrong);
            let anns = trial.greet(&of("ann", "secret"));
            assert_eq!(trial.refusal(&of("bob", "builder")), not_allowed);
            drop(anns);
            assert_eq!(trial.refusal(&of("bob", "builder")), not_allowed);
            let anns = trial.greet(&of("ann", "secret"));
            assert!(anns.session_present);
            anns.leave();
            trial
                .greet(&Hello {
                    clean: true,
                    properties: &[],
                    ..of("ann", "secret")
                })
                .leave();
        }
    });
    fs::remove_file(users).expect("it is there");
}

#[test]
fn no_authentication_method_is_offered() {
    hold(&[], &[Rule::Authentication], |trial| {
        let method = property::bytes(property::AUTHENTICATION_METHOD, b"SCRAM");
        let hello = Hello {
            properties: &method,
            ..Hello::new(Version::V5, "a")
        };
        assert_eq!(trial.refusal(&hello), 0x8C);
        for auth in [
            vec![0xF0, 0],
            vec![0xF0, 2, 0x18, 0],
            packet(0xF0, &[&[0x19, 8][..], &method].concat()),
        ] {
            let mut client = trial.connect(Version::V5, "a");
            client.send(&auth);
            assert_eq!(client.end(), (0, Ending::Told(0x82)), "{auth:?}");
        }
    });
}

/// Each fault ends the connection that it came in on, with its reason in MQTT 5, and no
/// other.
#[test]
fn a_fault_ends_its_connection_and_no_other() {
    let tried = [Rule::FaultCloses];
    let mut faults = vec![
        // Flags that these packets never have.
        (vec![0x43, 2, 0, 1], 0x81),
        (vec![0x53, 2, 0, 1], 0x81),
        (vec![0x60, 2, 0, 1], 0x81),
        (vec![0x73, 2, 0, 1], 0x81),
        (vec![0xC1, 0], 0x81),
        (vec![0xE1, 0], 0x81),
        (vec![0xB0, 2, 0, 1], 0x82),
        (vec![0x90, 3, 0, 1, 0], 0x82),
        (vec![0xD0, 0], 0x82),
        (vec![0x20, 2, 0, 0], 0x82),
        // QoS 3.
        (vec![0x36, 6, 0, 1, b'a', 0, 1, 0], 0x81),
        // Identifier 0.
        (Publish::new(1, 0, "a", b"").packet(Version::V311), 0x82),
        (vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], 0x81),
        (vec![0], 0x81),
    ];
    faults.extend([0x80, 0xA0].map(|first| (vec![first, 6, 0, 1, 0, 1, b'a', 0], 0x81)));
    hold(&[], &tried, |trial| {
        let mut bystander = trial.connect(Version::V311, "bystander");
        for version in Version::ALL {
            for (bytes, reason) in &faults {
                let mut bytes = bytes.clone();
                if version == Version::V5 && bytes[0] == 0x32 {
                    bytes = Publish::new(1, 0, "a", b"").packet(version);
                }
                // MQTT 3.1 has DUP and QoS in these.
                if version == Version::V31 && matches!(bytes[0], 0x43 | 0x53 | 0x73 | 0xC1 | 0xE1) {
                    continue;
                }
                let mut client = trial.connect(version, "faulty");
                client.send(&bytes);
                let (messages, ending) = client.end();
                assert_eq!(messages, 0);
                match (version, ending) {
                    (Version::V5, Ending::Told(told)) => assert_eq!(told, *reason, "{bytes:x?}"),
                    (Version::V5, other) => panic!("{bytes:x?}: {other:?}"),
                    (_, ending) => assert_eq!(ending, Ending::Closed, "{version:?} {bytes:x?}"),
                }
                bystander.ping();
            }
        }
    });
}

#[test]
fn too_large_a_packet_is_refused_at_its_head() {
    hold(&["limits.packet_bytes_max=1000"], &[Rule::Blame], |trial| {
        for version in Version::ALL {
            let mut client = trial.connect(version, "large");
            client.send(b"\x30\xE9\x07");
            assert_eq!(client.end(), (0, told(version, 0x95)));
        }
    });
}

/// Who is over a limit is closed; others are not.
#[test]
fn what_is_exhausted_ends_the_connection_concerned() {
    let settings = ["memory.input_bytes=65536", "limits.packet_bytes_max=60000"];
    hold(&settings, &[], |trial| {
        let mut bystander = trial.connect(Version::V311, "bystander");
        // Each shard has room for one packet that has not come whole, and there are at most
        // three.
        let packet = publish(Version::V5, "a", &[b'x'; 50_000], false);
        let (begin, end) = packet.split_at(packet.len() - 1);
        let half = |number| {
            let mut client = trial.connect(Version::V5, &format!("half {number}"));
            client.send(begin);
            client
        };
        let halves: Vec<_> = (0..8).map(half).collect();
        let ended = || trial.server.metric("ringcast_ended_quota_total");
        wait_until("there is no room", || ended() >= 5);
        bystander.ping();
        let mut served = 0;
        for mut client in halves {
            // It may be closed already.
            let _ = client.stream.write_all(&[end, &[0xC0, 0]].concat());
            match client.packet() {
                Ok((0xD0, _)) => served += 1,
                Ok((0xE0, body)) => assert_eq!(body[0], 0x97),
                other => panic!("{other:?}"),
            }
        }
        assert!((1..=3).contains(&served), "{served}");
        bystander.ping();
    });
}

/// DISCONNECT may change the expiry, but not make a session last that was to end.
#[test]
fn a_goodbye_closes_the_connection() {
    let tried = [Rule::SessionPresent, Rule::SessionKept];
    hold(&[], &tried, |trial| {
        for version in Version::ALL {
            trial.connect(version, "goodbye").leave();
        }
        let goodbye = |expiry: u32| {
            let properties = property::four(property::SESSION_EXPIRY, expiry);
            packet(0xE0, &[&[0, 5][..], &properties].concat())
        };
        let mut watcher = trial.connect(Version::V311, "watcher");
        watcher.subscribe_at(1, "will");
        let mut client = trial.greet(&Hello {
            will: Some(Will::new("will", b"no goodbye")),
            ..Hello::new(Version::V5, "changes")
        });
        client.send(&goodbye(10));
        assert_eq!(client.end(), (0, Ending::Told(0x82)));
        assert_eq!(watcher.take().text(), "no goodbye");
        let mut client = trial.return_as(Version::V5, "changes");
        client.send(&goodbye(20));
        assert_eq!(client.end(), (0, Ending::Closed));
        let mut client = trial.return_as(Version::V5, "changes");
        assert!(client.session_present);
        client.send(&goodbye(0));
        assert_eq!(client.end(), (0, Ending::Closed));
        assert!(!trial.return_as(Version::V5, "changes").session_present);
    });
}
