//! What the engine says about itself on `$SYS/ringcast/…`.

mod support;

use std::collections::BTreeMap;
use support::client::{Client, Version};
use support::server::Server;

#[test]
fn the_engine_tells_about_itself_again_and_again() {
    let server = Server::start(&["sys.seconds=1"]);
    let mut watcher = Client::connect(server.mqtt, Version::V5, "watcher");
    watcher.subscribe("$SYS/ringcast/#");
    let mut all = Client::connect(server.mqtt, Version::V5, "all");
    all.subscribe("#");
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Until the clients are counted, and time has gone on.
    loop {
        let message = watcher.message();
        let text = String::from_utf8(message.payload).expect("a word or a number");
        let name = message
            .topic
            .strip_prefix("$SYS/ringcast/")
            .expect("asked for");
        told.entry(name.to_owned()).or_default().push(text);
        let seconds: Vec<u64> = told.get("uptime_seconds").map_or(Vec::new(), |told| {
            told.iter()
                .map(|text| text.parse().expect("a number"))
                .collect()
        });
        assert!(seconds.is_sorted());
        let counts = told.get("connections");
        if seconds.len() > 2 && counts.is_some_and(|told| told.contains(&"2".to_owned())) {
            break;
        }
    }
    assert_eq!(told["version"][0], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["shards"][0], "2");
    for name in [
        "sessions",
        "sessions_away",
        "lagging_connections",
        "messages",
        "published",
    ] {
        let told = told[name][0].parse::<u64>();
        assert!(told.is_ok(), "{name}: {told:?}");
    }
    // Who asks for everything does not get what begins with a dollar [MQTT-4.7.2-1].
    all.publish("own", b"1", false);
    assert_eq!(all.message().topic, "own");
}
