//! All that was published: what clients and feed wrote, and the one order that the
//! sequencer gave it.

use crate::network::SocketId;
use crate::topics::TOPICS;
use std::collections::BTreeMap;

/// A message as its publisher wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The connection that published it; none for the feed.
    pub from: Option<SocketId>,
    /// The client's identifier, which the server may have given it meanwhile: it is known when
    /// the message is in the log. Empty for the feed.
    pub client_id: String,
    /// Its number among all topics.
    pub topic: usize,
    /// What it says.
    pub payload: Vec<u8>,
    /// 0 to 2.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// The properties that reach subscribers, encoded.
    pub block: Vec<u8>,
    /// Message Expiry Interval, in seconds.
    pub lives: Option<u32>,
    /// Whether the server may drop it: its publisher may not publish there.
    pub may_be_refused: bool,
}

/// A message that has its number.
#[derive(Debug, Clone)]
pub struct Logged {
    /// As it was written.
    pub draft: Draft,
    /// Its number, from 1.
    pub sequence: u64,
    /// When it is to be forgotten, in µs since 1970; 0 if never.
    pub expires_micros: u64,
    /// When the ingest core took it.
    pub ingest_micros: u64,
}

/// All of them, in their order.
#[derive(Debug)]
pub struct Log {
    messages: Vec<Logged>,
    /// The numbers of the messages of each topic.
    by_topic: Vec<Vec<u64>>,
    /// Those of them that are to be retained, or end that.
    retained: Vec<Vec<u64>>,
    by_content: BTreeMap<(usize, Vec<u8>), u64>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            by_topic: vec![Vec::new(); TOPICS.len()],
            retained: vec![Vec::new(); TOPICS.len()],
            by_content: BTreeMap::new(),
        }
    }
}

impl Log {
    /// The next message.
    pub fn append(&mut self, message: Logged) {
        let Draft {
            topic,
            payload,
            retain,
            ..
        } = &message.draft;
        let sequence = message.sequence;
        self.by_topic[*topic].push(sequence);
        if *retain {
            self.retained[*topic].push(sequence);
        }
        let content = (*topic, payload.clone());
        self.by_content.insert(content, sequence);
        self.messages.push(message);
    }

    /// The number of the last message; 0 before the first.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.messages.len() as u64
    }

    /// The message of this number.
    #[must_use]
    pub fn at(&self, sequence: u64) -> &Logged {
        &self.messages[sequence as usize - 1]
    }

    /// The numbers of a topic's messages.
    #[must_use]
    pub fn of_topic(&self, topic: usize) -> &[u64] {
        &self.by_topic[topic]
    }

    /// The message that says this: no two say the same on one topic.
    #[must_use]
    pub fn saying(&self, topic: usize, payload: &[u8]) -> Option<u64> {
        self.by_content.get(&(topic, payload.to_vec())).copied()
    }

    /// The last message that was to be retained, up to this number.
    #[must_use]
    pub fn retained_at(&self, topic: usize, sequence: u64) -> Option<u64> {
        let numbers = &self.retained[topic];
        let after = numbers.partition_point(|number| *number <= sequence);
        numbers[..after].last().copied()
    }
}
