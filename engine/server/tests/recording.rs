//! The bundled recording as clients of all kinds see it: mosquitto_sub, paho-mqtt and
//! mqtt.js, each in MQTT 3.1.1 and 5, get exactly what the files hold, from their first
//! message on to the last, with one shard and with three. Two of them go through the
//! referee's recorder, and the engine breaks no rule.

mod support;

use ringcast_referee::Rule;
use ringcast_referee::recorder::Recorder;
use support::client::Version;
use support::listener::{Library, Listener};
use support::proof::assert_lawful;
use support::recording::{Follower, Recording};
use support::server::Server;
use support::wait_until;

/// The rules that such traffic has to try.
const TRIED: [Rule; 10] = [
    Rule::Form,
    Rule::Mqtt5Only,
    Rule::ReasonCode,
    Rule::ConnackFirst,
    Rule::ConnackOnce,
    Rule::SessionPresent,
    Rule::Answered,
    Rule::SubackCodes,
    Rule::Subscribed,
    Rule::Qos,
];

#[test]
fn one_shard_brings_all_of_it_to_clients_of_all_kinds() {
    follow(&["cores.shards=[0]"], 1);
}

#[test]
fn three_shards_bring_all_of_it_to_clients_of_all_kinds() {
    follow(&["cores.shards=[0, 0, 1]"], 3);
}

fn follow(cores: &[&str], shards: u64) {
    let recording = Recording::bundled();
    let replay = [
        "feed.kind=replay",
        "feed.files=[\"bundled\"]",
        "feed.loop=false",
        "feed.speed=40",
        // Whoever falls behind for a moment must not get last values only.
        "memory.arena_bytes=67108864",
        "slow.lag_bytes=33554432",
    ];
    let server = Server::start(&[&replay[..], cores].concat());
    // From here on a quote of each symbol is retained in each shard.
    wait_until("all quotes are retained", || {
        server.metric("ringcast_retained_messages") == 3 * shards
    });
    let recorder = Recorder::start(server.mqtt).expect("a recorder");
    let listeners = start_listeners(&server, &recorder);
    for listener in &listeners {
        let (_, filter) = listener.name.rsplit_once(' ').expect("its filter is last");
        let mut follower = Follower::new(&listener.name, &recording, filter);
        while !follower.has_all() {
            let got = listener.message();
            follower.take(&got.unwrap_or_else(|| panic!("{} ended", listener.name)));
        }
        assert!(follower.live > 1_000, "{} came in time", listener.name);
    }
    server.wait_for_metric("ringcast_ingest_feed_messages_total", 50_000);
    assert_eq!(server.metric("ringcast_lags_total"), 0);
    assert_eq!(server.metric("ringcast_ingest_feed_refused_total"), 0);
    for mut listener in listeners {
        listener.leave();
        assert_eq!(listener.message(), None, "{}", listener.name);
    }
    server.wait_for_metric("ringcast_connections", 0);
    assert_lawful(recorder, &["market/#"], &TRIED);
    server.stop();
}

/// All at once. They are followed one after the other; until then, pipes and the engine
/// hold what has come.
fn start_listeners(server: &Server, recorder: &Recorder) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for version in [Version::V311, Version::V5] {
        let mut start = |library, filter, address| {
            listeners.extend(Listener::start(library, version, address, filter));
        };
        let (direct, recorded) = (server.mqtt, recorder.address());
        let of_mosquitto = match version {
            Version::V31 | Version::V311 => recorded,
            Version::V5 => direct,
        };
        start(Library::Mosquitto, "market/BTCUSDT/#", of_mosquitto);
        start(Library::Mosquitto, "market/+/trade", direct);
        start(Library::MqttJs, "market/#", direct);
        let of_paho = match version {
            Version::V31 | Version::V311 => direct,
            Version::V5 => recorded,
        };
        start(Library::Paho, "market/ETHUSDT/#", of_paho);
        start(Library::Paho, "market/+/bbo", direct);
    }
    listeners
}
