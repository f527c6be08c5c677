//! Delivery classes: how messages of a topic are delivered, and what a client that is too
//! slow for them loses.
//!
//! A list of classes is a setting. The first whose filter matches a topic is the topic's;
//! what none matches is [`DeliveryClass::OTHER`].

use crate::mqtt::{Fault, QoS, TopicFilter, TopicName};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// How messages of some topics are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryClass {
    /// Which topics; checked when it is put into [`DeliveryClasses`].
    pub filter: Cow<'static, str>,
    /// The highest quality of service of what the feed brings. What clients publish is
    /// what they say.
    pub qos_max: QoS,
    /// Whether what the feed brings is kept as the topic's last value.
    pub retain: bool,
    /// What happens to clients that are too slow.
    pub slow: SlowPolicy,
}

/// What a client loses that can not take messages as fast as they come. At QoS 1 and 2 it
/// loses nothing: all but [`Self::Disconnect`] act as [`Self::Queue`] there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlowPolicy {
    /// Nothing, until its queue is full: then its connection.
    Queue,
    /// All but the last value of each topic.
    Conflate,
    /// Increments, which one full snapshot replaces; where a topic has none, as
    /// [`Self::Disconnect`].
    Resync,
    /// What came while it was too slow.
    Drop,
    /// Its connection, at once.
    Disconnect,
}

impl SlowPolicy {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Queue,
        Self::Conflate,
        Self::Resync,
        Self::Drop,
        Self::Disconnect,
    ];

    /// Its name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Conflate => "conflate",
            Self::Resync => "resync",
            Self::Drop => "drop",
            Self::Disconnect => "disconnect",
        }
    }

    /// The policy of a name, or none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == text)
    }
}

impl DeliveryClass {
    /// That of topics which no class of the list matches.
    pub const OTHER: Self = Self {
        filter: Cow::Borrowed("#"),
        qos_max: QoS::ExactlyOnce,
        retain: false,
        slow: SlowPolicy::Queue,
    };
}

/// The classes of all topics, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryClasses(Box<[DeliveryClass]>);

impl DeliveryClasses {
    /// # Errors
    /// The fault of the first filter that is none, with its place.
    pub fn new(classes: Vec<DeliveryClass>) -> Result<Self, (usize, Fault)> {
        for (place, class) in classes.iter().enumerate() {
            TopicFilter::new(&class.filter).map_err(|fault| (place, fault))?;
        }
        Ok(Self(classes.into()))
    }

    /// Those of market data and of users' own orders and trades.
    #[must_use]
    pub fn standard() -> Self {
        use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
        use SlowPolicy::{Conflate, Queue, Resync};
        let class = |filter, qos_max, retain, slow| DeliveryClass {
            filter: Cow::Borrowed(filter),
            qos_max,
            retain,
            slow,
        };
        Self(Box::new([
            class("market/+/trade", AtLeastOnce, false, Queue),
            class("market/+/bbo", AtMostOnce, true, Conflate),
            class("market/+/depth", AtMostOnce, false, Resync),
            class("market/+/depth/+", AtMostOnce, true, Conflate),
            class("market/+/kline/+", AtLeastOnce, true, Conflate),
            class("market/+/thumb", AtMostOnce, true, Conflate),
            class("user/+/order/+", ExactlyOnce, false, Queue),
            class("user/+/trade/+", ExactlyOnce, false, Queue),
        ]))
    }

    /// The class of a topic. It tries one filter after the other: whoever asks often
    /// remembers the answer.
    #[must_use]
    pub fn of(&self, topic: TopicName<'_>) -> &DeliveryClass {
        let matches = |class: &&DeliveryClass| {
            TopicFilter::new(&class.filter).is_ok_and(|filter| filter.matches(topic))
        };
        self.0.iter().find(matches).unwrap_or(&DeliveryClass::OTHER)
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &DeliveryClass> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Channel, Symbol, TOPIC_BYTES_MAX, Topic};
    use alloc::vec;

    fn slow(classes: &DeliveryClasses, topic: &str) -> SlowPolicy {
        classes.of(TopicName::new(topic).unwrap()).slow
    }

    #[test]
    fn every_channel_has_its_class() {
        let classes = DeliveryClasses::standard();
        for channel in Channel::ALL {
            let symbol = Symbol::parse("BTCUSDT").unwrap();
            let mut topic = [0; TOPIC_BYTES_MAX];
            let written = Topic { symbol, channel }.encode(&mut topic);
            let class = classes.of(TopicName::from_bytes(&topic[..written]).unwrap());
            let (retain, slow) = match channel {
                Channel::Trade => (false, SlowPolicy::Queue),
                Channel::Depth => (false, SlowPolicy::Resync),
                _ => (true, SlowPolicy::Conflate),
            };
            assert_eq!((class.retain, class.slow), (retain, slow), "{channel:?}");
        }
        assert_eq!(slow(&classes, "user/a/order/BTCUSDT"), SlowPolicy::Queue);
        assert_eq!(
            classes.of(TopicName::new("desk/notes").unwrap()),
            &DeliveryClass::OTHER
        );
    }

    #[test]
    fn the_first_class_that_matches_wins_and_filters_are_checked() {
        let class = |filter: &'static str, slow| DeliveryClass {
            filter: filter.into(),
            slow,
            ..DeliveryClass::OTHER
        };
        let list = vec![
            class("a/b", SlowPolicy::Drop),
            class("a/+", SlowPolicy::Disconnect),
            class("#", SlowPolicy::Conflate),
        ];
        let classes = DeliveryClasses::new(list).unwrap();
        assert_eq!(slow(&classes, "a/b"), SlowPolicy::Drop);
        assert_eq!(slow(&classes, "a/c"), SlowPolicy::Disconnect);
        assert_eq!(slow(&classes, "b"), SlowPolicy::Conflate);
        let wrong = vec![
            class("a", SlowPolicy::Drop),
            class("a/#/b", SlowPolicy::Drop),
        ];
        assert_eq!(DeliveryClasses::new(wrong), Err((1, Fault::FilterWildcard)));
        for policy in SlowPolicy::ALL {
            assert_eq!(SlowPolicy::parse(policy.as_str()), Some(policy));
        }
        assert_eq!(SlowPolicy::parse("Queue"), None);
    }
}
