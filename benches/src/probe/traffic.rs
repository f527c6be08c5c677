//! What is published to whom in a run: the topic of each message, and what each
//! subscriber wants. Both sides of the probe know it, so each delivery can be foretold.

use super::draw::{Draws, Popularity};

/// The most topics that a run can have: their names have so many digits.
const TOPICS_MAX: u32 = 10_000;

/// Messages after which the topics that were drawn come again in the same order.
const DRAWN: usize = 1 << 16;

/// The seeds of what is drawn: the same lists and the same order in every run, so that
/// all servers have the same work.
const LISTS_SEED: u64 = 0x0057_A7C4;
const ORDER_SEED: u64 = 0x71C4;

/// What the subscribers of a workload want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// All of them the only topic that there is, by its name.
    Topic,
    /// All of them all topics, by one wildcard; messages go to each topic in turn.
    Wildcard {
        /// How many there are.
        topics: u32,
    },
    /// Each of them a list of its own, drawn by Zipf's law, by names; messages are drawn
    /// by the same law, so the topics that most want are those of most messages.
    WatchLists {
        /// How many there are.
        topics: u32,
        /// How many are on each list.
        each: usize,
    },
}

impl Interest {
    /// How many topics there are.
    pub(crate) fn topics(self) -> u32 {
        match self {
            Self::Topic => 1,
            Self::Wildcard { topics } | Self::WatchLists { topics, .. } => topics,
        }
    }

    /// How many filters each subscriber has.
    pub(crate) fn filters(self) -> usize {
        match self {
            Self::Topic | Self::Wildcard { .. } => 1,
            Self::WatchLists { each, .. } => each,
        }
    }

    /// Whether subscribers want a topic by its name.
    pub(crate) fn is_by_name(self) -> bool {
        !matches!(self, Self::Wildcard { .. })
    }
}

/// How a topic is called; all names are equally long.
pub(crate) fn topic_name(topic: u32) -> String {
    assert!(topic < TOPICS_MAX, "its number has more digits");
    format!("bench/{topic:04}")
}

/// What one subscriber wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    /// All topics.
    All,
    /// These topics, ascending.
    Topics(&'a [u32]),
}

/// What goes to whom.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// The topic of each message, and again from the first after the last.
    order: Vec<u32>,
    /// For each subscriber what it wants; if all want all, none.
    lists: Vec<Vec<u32>>,
    is_by_name: bool,
    /// How many subscribers want each topic, if they do not want all.
    wanted_by: Vec<usize>,
}

impl Traffic {
    /// That of an interest of so many subscribers.
    pub(crate) fn new(interest: Interest, subscribers: usize) -> Self {
        let topics = interest.topics();
        let popularity = Popularity::zipf(topics);
        let (order, lists) = match interest {
            Interest::Topic | Interest::Wildcard { .. } => ((0..topics).collect(), Vec::new()),
            Interest::WatchLists { each, .. } => {
                let mut draws = Draws::new(ORDER_SEED);
                let order = (0..DRAWN).map(|_| popularity.draw(&mut draws)).collect();
                let mut draws = Draws::new(LISTS_SEED);
                let list = |_| popularity.draw_different(&mut draws, each);
                (order, (0..subscribers).map(list).collect())
            }
        };
        let mut wanted_by = vec![0; topics as usize];
        for topic in lists.iter().flatten() {
            wanted_by[*topic as usize] += 1;
        }
        Self {
            order,
            lists,
            is_by_name: interest.is_by_name(),
            wanted_by,
        }
    }

    /// How many topics there are.
    pub(crate) fn topics(&self) -> usize {
        self.wanted_by.len()
    }

    /// The topic of a message.
    pub(crate) fn topic(&self, sequence: u64) -> u32 {
        self.order[(sequence % self.order.len() as u64) as usize]
    }

    /// What a subscriber wants.
    pub(crate) fn wanted(&self, subscriber: usize) -> Wanted<'_> {
        match self.lists.get(subscriber) {
            Some(list) => Wanted::Topics(list),
            None if self.is_by_name => Wanted::Topics(&[0]),
            None => Wanted::All,
        }
    }

    /// Whether everybody gets everything.
    pub(crate) fn is_same_for_all(&self) -> bool {
        self.lists.is_empty()
    }

    /// How many get a message of this topic, if so many subscribers read.
    pub(crate) fn recipients(&self, topic: u32, reading: usize) -> usize {
        if self.is_same_for_all() {
            reading
        } else {
            self.wanted_by[topic as usize]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_has_its_turn_and_everybody_wants_it() {
        let traffic = Traffic::new(Interest::Wildcard { topics: 3 }, 5);
        let topics: Vec<_> = (0..7).map(|sequence| traffic.topic(sequence)).collect();
        assert_eq!(topics, [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(traffic.wanted(4), Wanted::All);
        assert_eq!(traffic.recipients(2, 5), 5);
        let one = Traffic::new(Interest::Topic, 5);
        assert_eq!((one.topic(9), one.wanted(4)), (0, Wanted::Topics(&[0])));
    }

    #[test]
    fn who_wants_a_topic_is_who_has_it_on_the_list() {
        let interest = Interest::WatchLists {
            topics: 50,
            each: 5,
        };
        let traffic = Traffic::new(interest, 200);
        for topic in 0..50 {
            let has_it = |subscriber: &usize| match traffic.wanted(*subscriber) {
                Wanted::Topics(list) => list.contains(&topic),
                Wanted::All => panic!("each has a list of its own"),
            };
            let wanted_by = (0..200).filter(has_it).count();
            assert_eq!(traffic.recipients(topic, 200), wanted_by);
        }
        // The first topic is on most lists and in most messages.
        let others = (1..50).map(|topic| traffic.recipients(topic, 200));
        assert!(others.max() < Some(traffic.recipients(0, 200)));
        let of_first = (0..1_000).filter(|sequence| traffic.topic(*sequence) == 0);
        assert!(of_first.count() > 150);
        assert_eq!(traffic.topic(3), traffic.topic(3 + DRAWN as u64));
    }

    #[test]
    fn names_are_equally_long() {
        assert_eq!(topic_name(7), "bench/0007");
        assert_eq!(topic_name(9_999), "bench/9999");
    }
}
