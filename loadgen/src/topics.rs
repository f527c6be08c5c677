//! Topics by number, and which streams of messages there are.
//!
//! A *stream* is what one publisher publishes in one topic: its messages have sequences
//! and an order. Where there are more topics than publishers each topic has one
//! publisher, and streams are counted as topics; else each publisher has one topic, and
//! they are counted as publishers. The one is a multiple of the other.
//!
//! ```text
//!  6 topics, 2 publishers             2 topics, 6 publishers
//!  stream     0 1 2 3 4 5             stream     0 1 2 3 4 5
//!  topic      0 1 2 3 4 5             topic      0 1 0 1 0 1
//!  publisher  0 1 0 1 0 1             publisher  0 1 2 3 4 5
//! ```

use std::collections::HashMap;

/// What stands in a name for the number of its topic.
pub(crate) const NUMBER: &str = "{topic}";

/// The names of all topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Names {
    /// A text around the number.
    Numbered { before: String, behind: String },
    /// Each its own.
    Listed(Listed),
}

/// Names in the order of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Listed {
    /// The number of this name, which is added if it is new.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.len();
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    pub(crate) fn len(&self) -> u32 {
        self.names.len() as u32
    }
}

impl Names {
    /// From a text with [`NUMBER`] in it; one without is the name of a single topic.
    pub(crate) fn from_text(text: &str) -> Self {
        match text.split_once(NUMBER) {
            Some((before, behind)) => Self::Numbered {
                before: before.to_owned(),
                behind: behind.to_owned(),
            },
            None => {
                let mut listed = Listed::default();
                listed.number(text);
                Self::Listed(listed)
            }
        }
    }

    pub(crate) fn name(&self, topic: u32) -> String {
        match self {
            Self::Numbered { before, behind } => format!("{before}{topic}{behind}"),
            Self::Listed(listed) => listed.names[topic as usize].clone(),
        }
    }

    /// Which topic has this name.
    #[inline]
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        match self {
            Self::Numbered { before, behind } => {
                let number = name.strip_prefix(&**before)?.strip_suffix(&**behind)?;
                decimal(number.as_bytes())
            }
            Self::Listed(listed) => listed.numbers.get(name).copied(),
        }
    }

    /// Whether the topic has this name.
    #[inline]
    pub(crate) fn has_name(&self, topic: u32, name: &str) -> bool {
        match self {
            Self::Numbered { .. } => self.number(name) == Some(topic),
            Self::Listed(listed) => listed
                .names
                .get(topic as usize)
                .is_some_and(|own| own == name),
        }
    }

    /// A filter for all of them; none if only a wildcard inside a level could be one.
    pub(crate) fn filter(&self) -> Option<String> {
        match self {
            Self::Numbered { before, behind } => {
                let is_level = (before.is_empty() || before.ends_with('/'))
                    && (behind.is_empty() || behind.starts_with('/'));
                is_level.then(|| format!("{before}+{behind}"))
            }
            Self::Listed(listed) => {
                let (first, others) = listed.names.split_first()?;
                if others.is_empty() {
                    return Some(first.clone());
                }
                let level = first.split_inclusive('/').next()?;
                let is_common = others.iter().all(|name| name.starts_with(level));
                Some(if is_common {
                    format!("{level}#")
                } else {
                    "#".to_owned()
                })
            }
        }
    }
}

/// A number without signs, spaces and leading zeros.
#[inline]
fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 || digits[0] == b'0' && digits.len() > 1 {
        return None;
    }
    let mut number = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u32::from(digit - b'0');
    }
    Some(number)
}

/// Who publishes in which topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Streams {
    pub(crate) topics: u32,
    pub(crate) publishers: u32,
}

impl Streams {
    pub(crate) fn count(self) -> u32 {
        self.topics.max(self.publishers)
    }

    pub(crate) fn topic(self, stream: u32) -> u32 {
        stream % self.topics
    }

    pub(crate) fn publisher(self, stream: u32) -> u32 {
        stream % self.publishers
    }

    /// How many publish in one topic.
    pub(crate) fn in_topic(self) -> u32 {
        self.count() / self.topics
    }

    /// The stream of this publisher in this topic, if there is one.
    #[inline]
    pub(crate) fn find(self, publisher: u32, topic: u32) -> Option<u32> {
        if publisher >= self.publishers || topic >= self.topics {
            return None;
        }
        let stream = if self.topics >= self.publishers {
            topic
        } else {
            publisher
        };
        let (own_topic, own_publisher) = match self.topics >= self.publishers {
            true => (topic, topic % self.publishers),
            false => (publisher % self.topics, publisher),
        };
        (own_topic == topic && own_publisher == publisher).then_some(stream)
    }

    /// All streams of a topic: the first, and each so many further.
    pub(crate) fn of_topic(self, topic: u32) -> impl Iterator<Item = u32> {
        (topic..self.count()).step_by(self.topics as usize)
    }

    /// The place of a stream among those of its topic.
    #[inline]
    pub(crate) fn place_in_topic(self, stream: u32) -> u32 {
        stream / self.topics
    }
}

/// The topics that a subscriber is subscribed to: so many from one on, round their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) of: u32,
}

impl Wanted {
    /// The place of a topic among them.
    #[inline]
    pub(crate) fn place(self, topic: u32) -> Option<u32> {
        let place = match topic.checked_sub(self.first) {
            Some(place) => place,
            None => topic + self.of - self.first,
        };
        (topic < self.of && place < self.count).then_some(place)
    }

    pub(crate) fn topics(self) -> impl Iterator<Item = u32> {
        (0..self.count).map(move |place| (self.first + place) % self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_topics_and_no_others() {
        let names = Names::from_text("load/{topic}/x");
        assert_eq!(names.name(12), "load/12/x");
        assert_eq!(names.number("load/12/x"), Some(12));
        for other in [
            "load/012/x",
            "load//x",
            "load/1a/x",
            "load/12",
            "loa/12/x",
            "load/+1/x",
        ] {
            assert_eq!(names.number(other), None, "{other}");
        }
        assert!(names.has_name(12, "load/12/x") && !names.has_name(1, "load/12/x"));
        assert_eq!(names.filter().as_deref(), Some("load/+/x"));
        assert_eq!(Names::from_text("load-{topic}").filter(), None);
    }

    #[test]
    fn listed_names_have_the_filter_of_their_first_level() {
        let mut listed = Listed::default();
        let numbers =
            ["market/B/trade", "market/E/bbo", "market/B/trade"].map(|name| listed.number(name));
        assert_eq!((numbers, listed.len()), ([0, 1, 0], 2));
        let names = Names::Listed(listed);
        assert_eq!(names.filter().as_deref(), Some("market/#"));
        assert!(names.has_name(1, "market/E/bbo"));
        assert_eq!(Names::from_text("tick").filter().as_deref(), Some("tick"));
    }

    #[test]
    fn each_stream_is_found_by_its_publisher_and_topic() {
        for (topics, publishers) in [(6, 2), (2, 6), (4, 4), (1, 1)] {
            let streams = Streams { topics, publishers };
            let mut found = 0;
            for publisher in 0..publishers + 1 {
                for topic in 0..topics + 1 {
                    let Some(stream) = streams.find(publisher, topic) else {
                        continue;
                    };
                    found += 1;
                    assert_eq!(
                        (streams.publisher(stream), streams.topic(stream)),
                        (publisher, topic)
                    );
                    let place = streams.place_in_topic(stream) as usize;
                    assert_eq!(streams.of_topic(topic).nth(place), Some(stream));
                    assert_eq!(streams.of_topic(topic).count() as u32, streams.in_topic());
                }
            }
            assert_eq!(found, streams.count());
        }
    }

    #[test]
    fn what_is_wanted_goes_round() {
        let wanted = Wanted {
            first: 3,
            count: 3,
            of: 5,
        };
        assert_eq!(Vec::from_iter(wanted.topics()), [3, 4, 0]);
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|topic| wanted.place(topic)),
            [Some(2), None, None, Some(0), Some(1), None]
        );
    }
}
