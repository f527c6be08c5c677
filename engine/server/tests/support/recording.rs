//! The bundled recording, read by other means than the engine's: gzip and a loop over lines.
//! And what a client got of it, compared field by field.

use super::listener::Got;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// All that is to come on one topic: time and data of each message, in order.
pub(crate) type Topic = Vec<(u64, Value)>;

/// All that is to come, by topic.
pub(crate) struct Recording {
    pub(crate) topics: BTreeMap<String, Topic>,
}

impl Recording {
    /// The one that is part of the binary.
    pub(crate) fn bundled() -> Self {
        let mut topics = BTreeMap::new();
        for (channel, file) in [("bbo", "bbo"), ("trade", "trades")] {
            let rows = rows(&format!("binance-spot_20250325_BTC-ETH-SOL.{file}.csv.gz"));
            for row in rows.lines().skip(1) {
                let field: Vec<&str> = row.split(',').collect();
                let data = match channel {
                    "bbo" => {
                        json!({"bp": field[3], "bq": field[4], "ap": field[5], "aq": field[6]})
                    }
                    _ => json!({"id": field[2], "side": field[3], "p": field[4], "q": field[5]}),
                };
                let micros = field[0].parse().expect("a time");
                let topic = format!("market/{}/{channel}", field[1]);
                let topic: &mut Topic = topics.entry(topic).or_default();
                topic.push((micros, data));
            }
        }
        Self { topics }
    }

    /// Those topics that a client with this filter has to get.
    pub(crate) fn matching(&self, filter: &str) -> BTreeMap<&str, &Topic> {
        let matches = |topic: &str| {
            let mut levels = topic.split('/');
            for wanted in filter.split('/') {
                match (wanted, levels.next()) {
                    ("#", _) => return true,
                    ("+", Some(_)) => {}
                    (wanted, level) if level == Some(wanted) => {}
                    _ => return false,
                }
            }
            levels.next().is_none()
        };
        let topics = self.topics.iter();
        let topics = topics.filter(|(topic, _)| matches(topic));
        topics.map(|(topic, rows)| (topic.as_str(), rows)).collect()
    }
}

fn rows(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../ingest/recordings/binance-2025-03-25")
        .join(file);
    let output = Command::new("gzip").arg("-dc").arg(folder).output();
    let output = output.expect("gzip is there");
    assert!(output.status.success(), "{file} is whole");
    String::from_utf8(output.stdout).expect("a text")
}

/// What one client has to get, and how far it is.
pub(crate) struct Follower<'a> {
    who: &'a str,
    topics: BTreeMap<&'a str, &'a Topic>,
    /// By topic, the number of the message that has to come next.
    next: BTreeMap<&'a str, usize>,
    /// Messages that came as they were published, none of them retained.
    pub(crate) live: usize,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(who: &'a str, recording: &'a Recording, filter: &str) -> Self {
        let topics = recording.matching(filter);
        assert!(!topics.is_empty(), "{filter} matches something");
        Self {
            who,
            topics,
            next: BTreeMap::new(),
            live: 0,
        }
    }

    /// Whether it has the last message of each topic.
    pub(crate) fn has_all(&self) -> bool {
        let mut topics = self.topics.iter();
        topics.all(|(topic, rows)| self.next.get(topic) == Some(&(rows.len() + 1)))
    }

    /// The client got that.
    ///
    /// # Panics
    /// It is not what comes next.
    pub(crate) fn take(&mut self, got: &Got) {
        let who = self.who;
        let Some((&topic, rows)) = self.topics.get_key_value(got.topic.as_str()) else {
            panic!("{who}: {got:?} is on no topic of it");
        };
        let mut body: Map<String, Value> =
            serde_json::from_str(&got.payload).unwrap_or_else(|error| panic!("{error}: {got:?}"));
        let sequence = body["seq"].as_u64().expect("a number");
        let place = usize::try_from(sequence).expect("there are not so many");
        let is_first = !self.next.contains_key(topic);
        if let Some(next) = self.next.insert(topic, place + 1) {
            assert_eq!(place, next, "{who}: a gap, or one twice: {got:?}");
        }
        // The quote that was the last one comes at once, for its class retains it; unless
        // another one comes before it can be sent, and then that comes as any other.
        let may_be_retained = is_first && topic.ends_with("/bbo");
        assert!(!got.retain || may_be_retained, "{who}: {got:?}");
        self.live += usize::from(!got.retain);
        let (micros, data) = &rows[place - 1];
        let mut levels = topic.split('/').skip(1);
        for (field, expected) in [
            ("s", Value::from(levels.next())),
            ("ch", Value::from(levels.next())),
            ("seq", Value::from(sequence)),
            ("prev", Value::from(sequence - 1)),
            ("ts", Value::from(*micros)),
        ] {
            assert_eq!(
                body.remove(field),
                Some(expected),
                "{who}: {field} of {got:?}"
            );
        }
        assert_eq!(body.remove("data").as_ref(), Some(data), "{who}: {got:?}");
        // Only the engine knows when it took it in.
        let taken_in = body.remove("ti").and_then(|micros| micros.as_u64());
        assert!(taken_in > Some(*micros), "{who}: ti of {got:?}");
        assert_eq!(
            body,
            Map::new(),
            "{who}: more than there should be: {got:?}"
        );
    }
}
