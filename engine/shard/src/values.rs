//! The last value of each topic, and the topics in the order in which they changed.
//!
//! ```text
//!   oldest ─ market/B/bbo ─ market/A/bbo ─ … ─ market/C/bbo ─ newest
//! ```
//!
//! A topic may have two: the retained message, which new subscribers get, and the last
//! one of all, which clients get that were too slow for those before. For most topics both
//! are the same, and kept once.

use crate::store::StoredId;
use crate::topics::TopicId;

/// The values of all topics of a shard.
pub(crate) struct Values {
    /// By the topic's number.
    values: Vec<Value>,
    newest: u32,
    oldest: u32,
    /// How many have a retained message.
    retained: usize,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    /// The sequence number of the last message that changed it.
    sequence: u64,
    last: Option<StoredId>,
    retained: Option<StoredId>,
    older: u32,
    newer: u32,
}

const NONE: u32 = u32::MAX;

const VACANT: Value = Value {
    sequence: 0,
    last: None,
    retained: None,
    older: NONE,
    newer: NONE,
};

impl Values {
    /// For so many topics.
    pub(crate) fn new(topics: usize) -> Self {
        Self {
            values: Vec::with_capacity(topics),
            newest: NONE,
            oldest: NONE,
            retained: 0,
        }
    }

    fn get(&self, topic: TopicId) -> &Value {
        self.values.get(topic.0 as usize).unwrap_or(&VACANT)
    }

    fn get_mut(&mut self, topic: TopicId) -> &mut Value {
        let at = topic.0 as usize;
        if at >= self.values.len() {
            self.values.resize(at + 1, VACANT);
        }
        &mut self.values[at]
    }

    /// The last message, if it is kept.
    pub(crate) fn last(&self, topic: TopicId) -> Option<StoredId> {
        self.get(topic).last
    }

    /// The retained message, if there is one.
    pub(crate) fn retained(&self, topic: TopicId) -> Option<StoredId> {
        self.get(topic).retained
    }

    /// The sequence number of its last change; 0 if it has no last value.
    pub(crate) fn changed(&self, topic: TopicId) -> u64 {
        self.get(topic).sequence
    }

    /// Whether anything of the topic is kept.
    pub(crate) fn is_kept(&self, topic: TopicId) -> bool {
        let value = self.get(topic);
        value.last.is_some() || value.retained.is_some()
    }

    /// How many topics have a retained message.
    pub(crate) fn retained_count(&self) -> usize {
        self.retained
    }

    /// Topics have numbers below this.
    pub(crate) fn end(&self) -> u32 {
        self.values.len() as u32
    }

    /// Replaces the last message, which makes the topic the newest, or forgets it.
    /// Returns the one before, which has a user less now.
    pub(crate) fn set_last(
        &mut self,
        topic: TopicId,
        last: Option<(StoredId, u64)>,
    ) -> Option<StoredId> {
        self.unlink(topic);
        let value = self.get_mut(topic);
        let before = value.last;
        value.last = last.map(|(id, _)| id);
        value.sequence = last.map_or(0, |(_, sequence)| sequence);
        if last.is_some() {
            self.link(topic);
        }
        before
    }

    /// Replaces the retained message, or forgets it. Returns the one before, which has a
    /// user less now.
    pub(crate) fn set_retained(
        &mut self,
        topic: TopicId,
        retained: Option<StoredId>,
    ) -> Option<StoredId> {
        let value = self.get_mut(topic);
        let before = std::mem::replace(&mut value.retained, retained);
        self.retained += usize::from(retained.is_some());
        self.retained -= usize::from(before.is_some());
        before
    }

    /// The topic that changed last.
    pub(crate) fn newest(&self) -> Option<TopicId> {
        some(self.newest)
    }

    /// The topic that changed last before this one did.
    pub(crate) fn older(&self, topic: TopicId) -> Option<TopicId> {
        some(self.get(topic).older)
    }

    /// The topic that changed first after this one did.
    pub(crate) fn newer(&self, topic: TopicId) -> Option<TopicId> {
        some(self.get(topic).newer)
    }

    fn link(&mut self, topic: TopicId) {
        let newest = std::mem::replace(&mut self.newest, topic.0);
        self.get_mut(topic).older = newest;
        match some(newest) {
            Some(newest) => self.get_mut(newest).newer = topic.0,
            None => self.oldest = topic.0,
        }
    }

    fn unlink(&mut self, topic: TopicId) {
        let Value {
            older, newer, last, ..
        } = *self.get(topic);
        if last.is_none() {
            return;
        }
        match some(older) {
            Some(older) => self.get_mut(older).newer = newer,
            None => self.oldest = newer,
        }
        match some(newer) {
            Some(newer) => self.get_mut(newer).older = older,
            None => self.newest = older,
        }
        let value = self.get_mut(topic);
        value.older = NONE;
        value.newer = NONE;
    }
}

fn some(topic: u32) -> Option<TopicId> {
    (topic != NONE).then_some(TopicId(topic))
}

#[cfg(test)]
mod tests {
    use super::Values;
    use crate::store::{About, Parts, Store, StoredId};
    use crate::topics::TopicId;
    use proptest::prelude::*;
    use std::iter::successors;

    fn stored(store: &mut Store) -> StoredId {
        let parts = Parts {
            topic: b"t",
            properties: b"",
            payload: b"",
        };
        store.keep(About::default(), parts).expect("there is room")
    }

    proptest! {
        #[test]
        fn topics_stand_in_the_order_of_their_changes(
            steps in prop::collection::vec((0..5_u32, 0..4_u8), 0..60),
        ) {
            let mut store = Store::new(100, 100_000);
            let mut values = Values::new(5);
            let mut order: Vec<(u32, StoredId, u64)> = Vec::new();
            let mut retained = [None; 5];
            for (sequence, (topic, kind)) in (1..).zip(steps) {
                let id = TopicId(topic);
                let before = order.iter().position(|one| one.0 == topic).map(|at| order.remove(at));
                match kind {
                    0 => {
                        prop_assert_eq!(values.set_last(id, None), before.map(|one| one.1));
                    }
                    1 => {
                        order.splice(0..0, before);
                        order.sort_by_key(|one| one.2);
                        let new = (sequence % 3 > 0).then(|| stored(&mut store));
                        let old = std::mem::replace(&mut retained[topic as usize], new);
                        prop_assert_eq!(values.set_retained(id, new), old);
                    }
                    _ => {
                        let new = stored(&mut store);
                        prop_assert_eq!(values.set_last(id, Some((new, sequence))), before.map(|one| one.1));
                        order.push((topic, new, sequence));
                    }
                }
                let forward: Vec<_> = order.iter().map(|one| one.0).collect();
                let oldest = (values.oldest != super::NONE).then_some(TopicId(values.oldest));
                let found: Vec<_> = successors(oldest, |topic| values.newer(*topic)).map(|topic| topic.0).collect();
                prop_assert_eq!(&found, &forward);
                let mut back: Vec<_> = successors(values.newest(), |topic| values.older(*topic)).map(|topic| topic.0).collect();
                back.reverse();
                prop_assert_eq!(back, forward);
                for topic in 0..5 {
                    let last = order.iter().find(|one| one.0 == topic);
                    let id = TopicId(topic);
                    prop_assert_eq!(values.last(id), last.map(|one| one.1));
                    prop_assert_eq!(values.changed(id), last.map_or(0, |one| one.2));
                    prop_assert_eq!(values.retained(id), retained[topic as usize]);
                    prop_assert_eq!(values.is_kept(id), last.is_some() || retained[topic as usize].is_some());
                }
                prop_assert_eq!(values.retained_count(), retained.iter().flatten().count());
            }
        }
    }
}
