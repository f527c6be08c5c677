//! What must come next at a subscriber: whatever else comes is a fault.

use super::form::Stamp;
use super::traffic::Wanted;
use crate::error::DeliveryFault;

/// What one subscriber has not got yet.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// All messages, in the one order in which they were published: no server that is
    /// measured here breaks it, and a whole read can be held against it at once.
    All {
        /// The sequence of the next one.
        next: u64,
    },
    /// The messages of some topics, ascending, each topic in its order. MQTT promises no order
    /// between topics ([MQTT-4.6.0-6] speaks of one), and none is asked for.
    Topics(Box<[Turn]>),
}

/// A topic that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    topic: u32,
    /// The number of the next one.
    next: u32,
}

impl Expected {
    /// All of them, before the first.
    pub(crate) const ALL: Self = Self::All { next: 0 };

    /// Before the first message.
    pub(crate) fn new(wanted: Wanted<'_>) -> Self {
        match wanted {
            Wanted::All => Self::ALL,
            Wanted::Topics(topics) => Self::Topics(
                topics
                    .iter()
                    .map(|&topic| Turn { topic, next: 0 })
                    .collect(),
            ),
        }
    }

    /// Takes a message, of which so many were published by now.
    #[inline]
    pub(crate) fn take(&mut self, stamp: Stamp, published: u64) -> Result<(), DeliveryFault> {
        let Stamp { sequence, .. } = stamp;
        if sequence >= published {
            return Err(DeliveryFault::NeverPublished { sequence });
        }
        if let Self::All { next } = self {
            if sequence != *next {
                return Err(DeliveryFault::Sequence {
                    expected: *next,
                    found: sequence,
                });
            }
            *next += 1;
            return Ok(());
        }
        let turn = self.turn(stamp)?;
        if stamp.number != turn.next {
            return Err(DeliveryFault::OfTopic {
                topic: stamp.topic,
                expected: turn.next,
                found: stamp.number,
            });
        }
        turn.next += 1;
        Ok(())
    }

    /// It does not read from here on, where so many of each topic were published. What it
    /// gets later is the newest of each topic perhaps, in whatever order of topics.
    pub(crate) fn stall(&mut self, numbers: &[u32]) {
        if let Self::All { .. } = self {
            let turns = (0..).zip(numbers);
            *self = Self::Topics(turns.map(|(topic, &next)| Turn { topic, next }).collect());
        }
    }

    /// Takes a message of one who stalled: any may be missing, but none of a topic may come
    /// again or late.
    pub(crate) fn skip_to(&mut self, stamp: Stamp, published: u64) -> Result<(), DeliveryFault> {
        let turn = self.turn(stamp)?;
        turn.next = stamp.number.max(turn.next);
        self.take(stamp, published)
    }

    fn turn(&mut self, stamp: Stamp) -> Result<&mut Turn, DeliveryFault> {
        let topic = stamp.topic;
        let Self::Topics(turns) = self else {
            unreachable!("all topics are one stream");
        };
        match turns.binary_search_by_key(&topic, |turn| turn.topic) {
            Ok(place) => Ok(&mut turns[place]),
            Err(_) => Err(DeliveryFault::Unwanted { topic }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(sequence: u64, topic: u32, number: u32) -> Stamp {
        Stamp {
            sequence,
            intended_nanos: 0,
            topic,
            number,
        }
    }

    #[test]
    fn a_list_is_gapless_in_each_of_its_topics_and_has_no_other() {
        let mut expected = Expected::new(Wanted::Topics(&[3, 7]));
        let mut take = |sequence, topic, number| expected.take(stamp(sequence, topic, number), 100);
        // Between topics any order is right.
        assert_eq!(take(5, 7, 0), Ok(()));
        assert_eq!(take(2, 3, 0), Ok(()));
        assert_eq!(take(6, 7, 1), Ok(()));
        let fault = |topic, expected, found| {
            Err(DeliveryFault::OfTopic {
                topic,
                expected,
                found,
            })
        };
        assert_eq!(take(6, 7, 1), fault(7, 2, 1), "repeated");
        assert_eq!(take(9, 7, 3), fault(7, 2, 3), "lost");
        assert_eq!(take(2, 3, 0), fault(3, 1, 0), "reordered");
        let sequence = 100;
        let never_published = Err(DeliveryFault::NeverPublished { sequence });
        assert_eq!(take(sequence, 3, 1), never_published);
        assert_eq!(take(1, 4, 0), Err(DeliveryFault::Unwanted { topic: 4 }));
        assert_eq!(take(8, 3, 1), Ok(()));
    }

    #[test]
    fn who_wants_all_gets_them_in_one_order() {
        let mut expected = Expected::new(Wanted::All);
        assert_eq!(expected.take(stamp(0, 5, 0), 2), Ok(()));
        let fault = |expected, found| Err(DeliveryFault::Sequence { expected, found });
        assert_eq!(expected.take(stamp(0, 5, 0), 2), fault(1, 0), "repeated");
        assert_eq!(expected.take(stamp(2, 5, 1), 9), fault(1, 2), "lost");
        assert_eq!(expected.take(stamp(1, 6, 0), 2), Ok(()));
        let sequence = 2;
        let never_published = Err(DeliveryFault::NeverPublished { sequence });
        assert_eq!(expected.take(stamp(sequence, 6, 1), 2), never_published);
    }

    #[test]
    fn who_stalled_may_miss_some_and_gets_none_of_a_topic_again() {
        let mut all = Expected::new(Wanted::All);
        assert_eq!(all.take(stamp(0, 0, 0), 9), Ok(()));
        all.stall(&[1, 0]);
        // The newest first, then another topic's.
        assert_eq!(all.skip_to(stamp(8, 1, 4), 9), Ok(()));
        assert_eq!(all.skip_to(stamp(6, 0, 3), 9), Ok(()));
        assert!(all.skip_to(stamp(6, 0, 3), 9).is_err(), "repeated");
        assert!(all.skip_to(stamp(2, 0, 1), 9).is_err(), "late");
        assert!(all.skip_to(stamp(8, 2, 4), 9).is_err(), "no such topic");
        let mut before = Expected::new(Wanted::All);
        before.stall(&[1, 0]);
        assert!(before.skip_to(stamp(0, 0, 0), 9).is_err(), "it had that");

        let mut listed = Expected::new(Wanted::Topics(&[3, 7]));
        listed.stall(&[]);
        assert_eq!(listed.skip_to(stamp(4, 7, 2), 9), Ok(()));
        assert_eq!(listed.skip_to(stamp(2, 3, 1), 9), Ok(()));
        assert!(listed.skip_to(stamp(4, 7, 2), 9).is_err(), "repeated");
    }
}
