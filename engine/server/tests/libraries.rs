//! Clients that others wrote, and all that they do with a server: every pair of QoS,
//! retained messages, sessions, wills, shared subscriptions, thousands of topics, large
//! payloads. On one shard and on three, and the referee looks on.

mod support;

use ringcast_referee::Rule;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use support::client::Version;
use support::library::{Got, Library, Puppet};
use support::rumqttc::be_client;
use support::trial::{Trial, hold};

/// Not a test, unless the program was started as a client.
#[test]
fn client_with_rumqttc() {
    be_client();
}

/// What such traffic has to try.
const TRIED: [Rule; 12] = [
    Rule::Form,
    Rule::AckAsked,
    Rule::AckOrder,
    Rule::Answered,
    Rule::IdentifierFree,
    Rule::Qos,
    Rule::Order,
    Rule::Once,
    Rule::RetainFlag,
    Rule::SessionKept,
    Rule::SharedOnce,
    Rule::WillEarly,
];

#[test]
fn paho_in_python() {
    serves(Library::Paho);
}

#[test]
fn paho_in_java() {
    serves(Library::PahoJava);
}

#[test]
fn mqtt_js() {
    serves(Library::MqttJs);
}

#[test]
fn rumqttc() {
    serves(Library::Rumqttc);
}

fn message(topic: &str, qos: u8, retain: bool, payload: &str) -> Got {
    Got {
        topic: topic.to_owned(),
        qos,
        retain,
        payload: payload.to_owned(),
    }
}

/// Each version of a library against the engine.
fn serves(library: Library) {
    let is_there = Puppet::start(
        library,
        Version::V5,
        SocketAddr::from(([127, 0, 0, 1], 1)),
        "-",
    );
    if is_there.is_none() {
        return;
    }
    drop(is_there);
    hold(&[], &TRIED, |trial| {
        for version in library.versions() {
            let start = |id: &str| {
                Puppet::start(library, *version, trial.address, id).expect("it is there")
            };
            let mut publisher = start(&format!("{version:?}pub"));
            let mut subscriber = start(&format!("{version:?}sub"));
            publisher.connect(true);
            subscriber.connect(true);
            pairs_of_qos(&mut publisher, &mut subscriber);
            retained(&mut publisher, &mut subscriber);
            thousands_of_topics(&mut publisher, &mut subscriber);
            shared(&mut publisher, &mut subscriber);
            will(start("mortal"), &mut subscriber);
            subscriber.disconnect();
            sessions(*version, &mut publisher, &mut subscriber);
        }
    });
}

fn pairs_of_qos(publisher: &mut Puppet, subscriber: &mut Puppet) {
    for granted in 0..3 {
        subscriber.subscribe(granted, "qos/+");
        for published in 0..3 {
            publisher.publish(published, false, "qos/t", "x");
            let expected = message("qos/t", granted.min(published), false, "x");
            assert_eq!(subscriber.message(), expected);
        }
    }
}

fn retained(publisher: &mut Puppet, subscriber: &mut Puppet) {
    publisher.publish(1, true, "kept/a", "old");
    publisher.publish(2, true, "kept/a", "new");
    subscriber.subscribe(1, "kept/#");
    assert_eq!(subscriber.message(), message("kept/a", 1, true, "new"));
    // An empty payload takes it away; so many bytes as none.
    publisher.publish(1, true, "kept/a", "*0");
    assert_eq!(subscriber.message(), message("kept/a", 1, false, ""));
}

fn thousands_of_topics(publisher: &mut Puppet, subscriber: &mut Puppet) {
    const TOPICS: usize = 3_000;
    /// Not every library keeps to the Receive Maximum that it is told.
    const AT_ONCE: usize = 500;
    subscriber.subscribe(1, "many/#");
    let done = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            (0..TOPICS).all(|number| subscriber.message().topic == format!("many/{number}/t"))
        });
        for first in (0..TOPICS).step_by(AT_ONCE) {
            for number in first..first + AT_ONCE {
                publisher.tell(&format!("publish 1 0 many/{number}/t x"));
            }
            (0..AT_ONCE).for_each(|_| drop(publisher.wait_for("published")));
        }
        reader.join().expect("it reads")
    });
    assert!(done, "in order");
}

fn shared(publisher: &mut Puppet, subscriber: &mut Puppet) {
    publisher.subscribe(1, "$share/group/shared");
    subscriber.subscribe(1, "$share/group/shared");
    for number in 0..20 {
        publisher.publish(1, false, "shared", &number.to_string());
    }
    let mut got: Vec<u32> = [publisher, subscriber]
        .into_iter()
        .flat_map(|member| (0..10).map(|_| member.message()).collect::<Vec<_>>())
        .map(|message| message.payload.parse().expect("a number"))
        .collect();
    got.sort_unstable();
    assert!(
        got.into_iter().eq(0..20),
        "each goes to one of two, in turn"
    );
}

fn will(mut mortal: Puppet, subscriber: &mut Puppet) {
    subscriber.subscribe(2, "last/will");
    mortal.connect_with_will("last/will", "killed");
    mortal.kill();
    assert_eq!(
        subscriber.message(),
        message("last/will", 1, false, "killed")
    );
}

fn sessions(version: Version, publisher: &mut Puppet, subscriber: &mut Puppet) {
    assert!(!subscriber.connect(false));
    subscriber.subscribe(2, "queued/#");
    leave(subscriber);
    for round in 0..3 {
        for qos in [1, 2] {
            publisher.publish(
                qos,
                false,
                "queued/t",
                &format!("{round} {qos}").replace(' ', "-"),
            );
        }
        assert_eq!(subscriber.connect(false), version != Version::V31);
        for qos in [1, 2] {
            let expected = message("queued/t", qos, false, &format!("{round}-{qos}"));
            assert_eq!(subscriber.message(), expected);
        }
        leave(subscriber);
    }
    subscriber.connect(true);
}

/// Leaves with nothing open: not every library can go on with that in another connection.
fn leave(subscriber: &mut Puppet) {
    subscriber.publish(1, false, "leaves", "x");
    subscriber.disconnect();
}

/// mosquitto's programs do one thing each.
#[test]
fn mosquitto() {
    let tried = [
        Rule::Qos,
        Rule::RetainFlag,
        Rule::SessionKept,
        Rule::AckAsked,
    ];
    hold(&[], &tried, |trial| {
        for version in ["mqttv31", "mqttv311", "mqttv5"] {
            for qos in ["0", "1", "2"] {
                let id = format!("{version}{qos}");
                let topic = format!("m/{id}");
                let subscribe = ["-t", &topic, "-q", qos, "-i", &id, "-c"];
                let expiry: &[&str] = match version {
                    "mqttv5" => &["-x", "600"],
                    _ => &[],
                };
                // A session, a message that is kept for it, and one that is retained.
                run(
                    trial,
                    "mosquitto_sub",
                    version,
                    &[&subscribe[..], expiry, &["-E"]].concat(),
                );
                run(
                    trial,
                    "mosquitto_pub",
                    version,
                    &["-t", &topic, "-q", qos, "-m", "kept"],
                );
                let retained = format!("r/{id}");
                run(
                    trial,
                    "mosquitto_pub",
                    version,
                    &["-t", &retained, "-q", qos, "-m", "it", "-r"],
                );
                let filter = ["-t", &retained, "-q", "2", "-C", "1", "-F", "%t %q %r %p"];
                let out = run(trial, "mosquitto_sub", version, &filter);
                assert_eq!(out, format!("{retained} {qos} 1 it\n"));
                run(
                    trial,
                    "mosquitto_pub",
                    version,
                    &["-t", &retained, "-n", "-r", "-q", "1"],
                );
                if qos != "0" {
                    let more = [&["-C", "1", "-F", "%t %q %r %p"], expiry].concat();
                    let out = run(
                        trial,
                        "mosquitto_sub",
                        version,
                        &[&subscribe[..], &more].concat(),
                    );
                    assert_eq!(out, format!("{topic} {qos} 0 kept\n"));
                }
            }
        }
    });
}

fn run(trial: &Trial, program: &str, version: &str, arguments: &[&str]) -> String {
    let (host, port) = (
        trial.address.ip().to_string(),
        trial.address.port().to_string(),
    );
    let output = Command::new(program)
        .args(["-h", &host, "-p", &port, "-V", version])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: ./test tools installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("a text")
}

/// From one library to another, past what settings allow by themselves.
#[test]
fn large_payloads() {
    let settings = [
        "limits.packet_bytes_max=20000000",
        "memory.ring_bytes=134217728",
        "memory.uplink_bytes=134217728",
        "memory.arena_bytes=134217728",
        "memory.input_bytes=134217728",
        "memory.private_bytes=134217728",
        "memory.queue_bytes=134217728",
        "slow.lag_bytes=60000000",
        "slow.queue_bytes=120000000",
    ];
    hold(&settings, &[Rule::Published, Rule::Unchanged], |trial| {
        let start = |library: Library, id: &str| {
            let mut puppet = Puppet::start(library, Version::V5, trial.address, id)?;
            puppet.connect(true);
            Some(puppet)
        };
        let mut all: Vec<_> = Library::ALL
            .into_iter()
            .filter_map(|library| start(library, &format!("{library:?}")))
            .collect();
        for puppet in &mut all {
            puppet.subscribe(2, "large/t");
        }
        for qos in 0..3 {
            for place in 0..all.len() {
                let bytes = 10_000_000 + 1_000_000 * place;
                all[place].publish(qos, false, "large/t", &format!("*{bytes}"));
                for puppet in &mut all {
                    let expected = message("large/t", qos, false, &format!("*{bytes}"));
                    assert_eq!(puppet.message(), expected);
                }
            }
        }
    });
}
