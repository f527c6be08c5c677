//! The keyed hash of topics that a sequenced message carries.
//!
//! The sequencer computes a topic's hash once for all shards, with the key of this
//! process. The key is random, so that nobody can choose topics that collide.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Hashes with the key of this process: SipHash-1-3.
#[derive(Debug, Clone, Copy)]
pub struct TopicHasher {
    key: (u64, u64),
}

impl TopicHasher {
    /// With this key, which should be random.
    #[must_use]
    pub const fn new(key: (u64, u64)) -> Self {
        Self { key }
    }

    /// The hash of a topic, or of a filter as it is written: a filter without wildcards
    /// has the hash of the topic that it stands for.
    #[must_use]
    pub fn topic(&self, topic: &[u8]) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(topic);
        hasher.finish()
    }

    /// The hash of a level below a node of a trie of topic levels.
    #[must_use]
    pub fn level(&self, parent: u32, level: &[u8]) -> u64 {
        let mut hasher = self.hasher();
        hasher.write_u32(parent);
        hasher.write(level);
        hasher.finish()
    }

    fn hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}
