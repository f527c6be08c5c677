//! The topics that messages came on, and the filters that match each.
//!
//! To match a topic with all filters takes as many steps as it has levels, times those
//! of wildcards. It is done once: a topic that is known keeps what was found until a
//! filter with wildcards comes or goes, or the one filter that is the topic's own text.
//!
//! When there is no room for another, one that nothing needs makes room; if none is
//! found in a few steps, the new one is not kept.

use crate::bag::{Bag, Bags};
use crate::filters::{FilterId, Filters};
use crate::index::Index;
use crate::text::{Text, Texts};
use ringcast_codec::market::{DeliveryClasses, SlowPolicy};
use ringcast_codec::mqtt::TopicName;
use slab::Slab;

/// All topics that are known to a shard.
pub(crate) struct Topics {
    topics: Slab<Topic>,
    by_hash: Index,
    texts: Texts,
    found: Bags<FilterId, 3>,
    classes: DeliveryClasses,
    /// Where the last search for one that nothing needs ended.
    hand: usize,
}

/// Names a topic while it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TopicId(pub u32);

struct Topic {
    hash: u64,
    text: Text,
    exact: Option<FilterId>,
    wildcards: Bag,
    /// That of the filters when both were found; none before, and if there was no room
    /// to keep them.
    epoch: Option<u32>,
    /// Something of the shard's hangs on it.
    pinned: bool,
    /// What clients lose that are too slow for it.
    slow: SlowPolicy,
}

/// How many topics are looked at for one that nothing needs.
const SEARCH_MAX: usize = 8;

impl Topics {
    /// Room for so many, with so many pages of text.
    pub(crate) fn new(
        most: usize,
        text_pages: usize,
        found_pages: usize,
        classes: DeliveryClasses,
    ) -> Self {
        Self {
            topics: Slab::with_capacity(most),
            by_hash: Index::new(most),
            texts: Texts::new(text_pages),
            found: Bags::new(found_pages),
            classes,
            hand: 0,
        }
    }

    /// The topic, if it is known.
    pub(crate) fn find(&self, hash: u64, topic: &[u8]) -> Option<TopicId> {
        let is_it = |number| {
            let known = &self.topics[number as usize];
            known.hash == hash && self.texts.is(known.text, topic)
        };
        self.by_hash.find(hash, is_it).map(TopicId)
    }

    /// The topic, which is known from now on if there is room.
    pub(crate) fn find_or_learn(&mut self, hash: u64, topic: &[u8]) -> Option<TopicId> {
        if let Some(id) = self.find(hash, topic) {
            return Some(id);
        }
        if self.by_hash.is_full() {
            self.forget_one();
        }
        if self.by_hash.is_full() {
            return None;
        }
        let text = match self.texts.keep(topic) {
            Some(text) => text,
            None => {
                self.forget_one();
                self.texts.keep(topic)?
            }
        };
        let number = self.topics.insert(Topic {
            hash,
            text,
            exact: None,
            wildcards: Bag::default(),
            epoch: None,
            pinned: false,
            slow: self.slow_anew(topic),
        });
        let number = u32::try_from(number).expect("fewer than 2^32 topics");
        self.by_hash.insert(hash, number);
        Some(TopicId(number))
    }

    /// What clients lose that are too slow for a topic that is known.
    pub(crate) fn slow(&self, id: TopicId) -> SlowPolicy {
        self.topics[id.0 as usize].slow
    }

    /// The same for one that need not be known.
    pub(crate) fn slow_anew(&self, topic: &[u8]) -> SlowPolicy {
        let topic = TopicName::from_bytes(topic).expect("was checked when it was published");
        self.classes.of(topic).slow
    }

    /// Keeps a topic known, or lets it be forgotten.
    pub(crate) fn pin(&mut self, id: TopicId, pinned: bool) {
        self.topics[id.0 as usize].pinned = pinned;
    }

    /// A filter without wildcards came or went whose text has this hash.
    pub(crate) fn on_exact_change(&mut self, hash: u64) {
        let topics = &mut self.topics;
        self.by_hash.find(hash, |number| {
            topics[number as usize].epoch = None;
            false
        });
    }

    /// All filters that match a known topic, each once.
    pub(crate) fn filters_of(
        &mut self,
        id: TopicId,
        topic: &[u8],
        filters: &Filters,
        mut found: impl FnMut(FilterId),
    ) {
        let epoch = Some(filters.wildcards_epoch());
        if self.topics[id.0 as usize].epoch != epoch {
            self.match_anew(id, topic, filters);
        }
        let known = &self.topics[id.0 as usize];
        known.exact.into_iter().for_each(&mut found);
        if known.epoch == epoch {
            self.found
                .iter(known.wildcards)
                .for_each(|(_, id)| found(*id));
        } else {
            filters.wildcards(topic, &mut found);
        }
    }

    fn match_anew(&mut self, id: TopicId, topic: &[u8], filters: &Filters) {
        let known = &mut self.topics[id.0 as usize];
        known.exact = filters.exact(known.hash, topic);
        self.found.clear(&mut known.wildcards);
        let mut all_kept = true;
        filters.wildcards(topic, &mut |filter| {
            all_kept &= self.found.push(&mut known.wildcards, filter).is_some();
        });
        known.epoch = all_kept.then(|| filters.wildcards_epoch());
    }

    /// Makes room, if a topic that nothing needs is near.
    fn forget_one(&mut self) {
        for _ in 0..SEARCH_MAX {
            self.hand = (self.hand + 1) % self.by_hash.most();
            let unneeded = self
                .topics
                .get(self.hand)
                .is_some_and(|topic| !topic.pinned);
            if unneeded {
                let mut topic = self.topics.remove(self.hand);
                let number = u32::try_from(self.hand).expect("fewer than 2^32 topics");
                self.by_hash.remove(topic.hash, number);
                self.texts.forget(topic.text);
                self.found.clear(&mut topic.wildcards);
                return;
            }
        }
    }
}
