//! The classes of topics that a producer publishes to, remembered in memory that does not
//! grow: a topic has one place, which the next one with the same place takes over.

use crate::sequencer::{FeedTopic, Sequencer};
use ringcast_codec::mqtt::TopicName;

/// Topics that are remembered at most.
const PLACES: usize = 4096;

/// A longer topic is looked up anew each time, so that what is remembered stays below
/// [`PLACES`] times this.
const NAME_BYTES_MAX: usize = 256;

/// Remembers topics.
#[derive(Debug)]
pub(super) struct Topics {
    places: Box<[Option<FeedTopic>]>,
    /// A topic that is not remembered.
    unusual: Option<FeedTopic>,
}

impl Topics {
    pub(super) fn new() -> Self {
        Self {
            places: vec![None; PLACES].into(),
            unusual: None,
        }
    }

    /// What there is to know about a topic.
    pub(super) fn of(&mut self, name: TopicName<'_>, sequencer: &Sequencer) -> &FeedTopic {
        if name.as_bytes().len() > NAME_BYTES_MAX {
            return self.unusual.insert(sequencer.topic(name));
        }
        let hash = sequencer.hash(name);
        let place = &mut self.places[hash as usize % PLACES];
        match place {
            Some(topic) if topic.is(name, hash) => (),
            _ => *place = Some(sequencer.topic(name)),
        }
        place.get_or_insert_with(|| sequencer.topic(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringcast_codec::market::DeliveryClasses;
    use ringcast_ring::{Producer, TopicHasher};

    #[test]
    fn a_topic_is_the_same_remembered_or_not() {
        let ring = Producer::create("topics", 4096).unwrap();
        let hasher = TopicHasher::new((1, 2));
        let sequencer = Sequencer::new(ring, Vec::new(), hasher, DeliveryClasses::standard());
        let mut topics = Topics::new();
        // Twice as many as there are places, so that they push one another out.
        let short = (0..2 * PLACES).map(|number| format!("market/S{number}/bbo"));
        let long = (0..3).map(|number| "x".repeat(NAME_BYTES_MAX + number));
        for name in short.chain(long) {
            let name = TopicName::new(&name).unwrap();
            for _ in 0..2 {
                assert_eq!(topics.of(name, &sequencer), &sequencer.topic(name));
            }
        }
        let remembered = topics.places.iter().flatten().count();
        assert!((PLACES / 2..=PLACES).contains(&remembered));
    }
}
