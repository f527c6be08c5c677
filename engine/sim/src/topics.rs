//! The topics and filters of the simulated world, and what is promised of each topic.

use ringcast_codec::market::{DeliveryClass, DeliveryClasses, SlowPolicy};

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// As it stands on the wire.
    pub name: &'static str,
    /// Who publishes there.
    pub publisher: Publisher,
    /// What those who are too slow lose.
    pub policy: Policy,
    /// Whether its messages are those of a market, in JSON.
    pub is_market: bool,
}

/// Who publishes on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publisher {
    /// The feed.
    Feed,
    /// Clients, who may or may not be allowed to.
    Clients,
}

/// What those who are too slow lose of a topic, at QoS 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing, or their connection.
    All,
    /// All but the newest.
    Latest,
    /// What they are too slow for.
    Part,
}

const fn topic(name: &'static str, publisher: Publisher, policy: Policy) -> Topic {
    Topic {
        name,
        publisher,
        policy,
        is_market: false,
    }
}

const fn market(name: &'static str, publisher: Publisher, policy: Policy) -> Topic {
    Topic {
        is_market: true,
        ..topic(name, publisher, policy)
    }
}

use Policy::{All, Latest, Part};
use Publisher::{Clients, Feed};

/// All there are; their places are their numbers.
pub static TOPICS: [Topic; 27] = [
    topic("free/a", Clients, All),
    topic("free/b", Clients, All),
    topic("free/a/b", Clients, All),
    topic("free/\u{fc}/b", Clients, All),
    topic("/", Clients, All),
    topic("other", Clients, All),
    topic("newest/a", Clients, Latest),
    topic("newest/b", Clients, Latest),
    topic("some/a", Clients, Part),
    topic("strict/a", Clients, All),
    market("market/C/bbo", Clients, Latest),
    topic("user/alice/note", Clients, All),
    topic("$SYS/forged", Clients, All),
    market("market/A/bbo", Feed, Latest),
    market("market/B/bbo", Feed, Latest),
    market("market/A/trade", Feed, All),
    market("market/A/depth", Feed, All),
    market("market/A/kline/1m", Feed, Latest),
    topic("feed/a", Feed, All),
    topic("feed/b", Feed, All),
    topic("feed/some", Feed, Part),
    topic("feed/newest", Feed, Latest),
    topic("feed/strict", Feed, All),
    topic("user/alice/order/A", Feed, All),
    topic("$SYS/ringcast/up", Feed, All),
    topic("$jobs/a", Feed, All),
    topic("$jobs/b", Feed, All),
];

impl Topic {
    /// The highest QoS of what the feed brings here, and whether it is retained.
    #[must_use]
    pub fn feed_class(&self) -> (u8, bool) {
        match self.name.rsplit('/').next() {
            Some("bbo") => (0, true),
            Some("trade") => (1, false),
            Some("depth") => (0, false),
            Some("1m") => (1, true),
            _ => (2, false),
        }
    }
}

/// Filters of topics on which the feed publishes.
pub const FEED_FILTERS: [&str; 6] = [
    "market/#",
    "feed/#",
    "user/+/order/+",
    "$SYS/#",
    "$jobs/#",
    "nobody/#",
];

/// What clients subscribe to.
pub const FILTERS: [&str; 30] = [
    "#",
    "+/a",
    "+/+",
    "+/+/b",
    "free/#",
    "free/a",
    "free/a/#",
    "free/+",
    "free/b",
    "/",
    "other",
    "other/#",
    "newest/#",
    "newest/a",
    "newest/+",
    "some/#",
    "strict/a",
    "market/#",
    "market/+/bbo",
    "market/A/bbo",
    "market/A/+",
    "market/A/trade",
    "feed/#",
    "feed/newest",
    "$SYS/#",
    "nothing/here",
    "$share/one/$jobs/#",
    "$share/one/$jobs/a",
    "$share/two/$jobs/+",
    "$share/two/$jobs/b",
];

/// What clients ask for in vain, or on the condition that it is theirs.
pub const FILTERS_REFUSED: [&str; 3] = [
    "user/alice/#",
    "user/+/note",
    "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t",
];

/// Whether groups share what comes there, and nobody gets it otherwise.
#[must_use]
pub fn is_shared(topic: usize) -> bool {
    TOPICS[topic].name.starts_with("$jobs/")
}

/// The number of a topic.
#[must_use]
pub fn number(name: &str) -> Option<usize> {
    TOPICS.iter().position(|topic| topic.name == name)
}

/// The delivery classes that make the engine keep what [`Policy`] says.
///
/// # Panics
/// Never: they are filters.
#[must_use]
pub fn classes() -> DeliveryClasses {
    let class = |filter: &'static str, slow| DeliveryClass {
        filter: filter.into(),
        slow,
        ..DeliveryClass::OTHER
    };
    let mut classes = vec![
        class("newest/#", SlowPolicy::Conflate),
        class("feed/newest", SlowPolicy::Conflate),
        class("some/#", SlowPolicy::Drop),
        class("feed/some", SlowPolicy::Drop),
        class("strict/#", SlowPolicy::Disconnect),
        class("feed/strict", SlowPolicy::Disconnect),
    ];
    classes.extend(DeliveryClasses::standard().iter().cloned());
    DeliveryClasses::new(classes).expect("they are filters")
}

#[cfg(test)]
mod tests {
    use super::{Policy, Publisher, TOPICS, classes};
    use ringcast_codec::market::SlowPolicy;
    use ringcast_codec::mqtt::TopicName;
    use ringcast_referee::topic::matches;

    #[test]
    fn the_classes_keep_what_the_topics_promise() {
        for topic in &TOPICS {
            let slow = classes().of(TopicName::new(topic.name).unwrap()).slow;
            let policy = match slow {
                SlowPolicy::Queue | SlowPolicy::Resync | SlowPolicy::Disconnect => Policy::All,
                SlowPolicy::Conflate => Policy::Latest,
                SlowPolicy::Drop => Policy::Part,
            };
            assert_eq!(topic.policy, policy, "{}", topic.name);
        }
    }

    #[test]
    fn the_feeds_topics_are_known_to_be_its_own() {
        for topic in &TOPICS {
            let is_own = super::FEED_FILTERS
                .iter()
                .any(|filter| matches(filter, topic.name));
            assert!(is_own || topic.publisher == Publisher::Clients);
        }
    }
}
