//! Topic names, topic filters and shared subscriptions (section 4.7 of both
//! standards, section 4.8.2 of 5.0).
//!
//! [`TopicFilter::matches`] says what the standard says, one filter against one
//! topic. Finding the subscribers of a topic among a million is the shard's.

use super::text::{LENGTH_MAX, Text, holds_any};
use super::{Fault, Version};
use core::fmt;

/// A name to publish to: one character or more [MQTT-4.7.3-1], no U+0000
/// [MQTT-4.7.3-2], at most 65,535 bytes [MQTT-4.7.3-3], no wildcard
/// [MQTT-4.7.1-1], [MQTT-3.3.2-2].
///
/// Held as bytes: a topic is looked up, compared and copied as bytes for every
/// message, and read as characters only where people or rules look at it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a [u8]);

impl<'a> TopicName<'a> {
    /// Takes a name in.
    ///
    /// # Errors
    /// [`Fault::TopicEmpty`], [`Fault::TopicWildcard`], [`Fault::TextNul`] or
    /// [`Fault::FieldTooLong`].
    pub fn new(name: &'a str) -> Result<Self, Fault> {
        Self::from_bytes(name.as_bytes())
    }

    /// Takes the bytes of a name in.
    ///
    /// # Errors
    /// As [`Self::new`], and [`Fault::TextEncoding`] if they are not UTF-8.
    #[inline]
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, Fault> {
        if bytes.len() <= LENGTH_MAX && is_plain(bytes) {
            return Ok(Self(bytes));
        }
        Self::from_unusual_bytes(bytes)
    }

    /// The full check, for a name that is wrong, short or not ASCII.
    #[cold]
    fn from_unusual_bytes(bytes: &'a [u8]) -> Result<Self, Fault> {
        if bytes.is_empty() {
            return Err(Fault::TopicEmpty);
        }
        Text::from_bytes(bytes)?;
        if holds_any(bytes, is_wildcard) {
            return Err(Fault::TopicWildcard);
        }
        Ok(Self(bytes))
    }

    /// The name's bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The name; looks at all of it once more.
    pub fn as_str(self) -> &'a str {
        core::str::from_utf8(self.0).expect("was checked when it was made")
    }

    /// The name's levels, some of which may be empty: `/a` has two.
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        self.as_str().split('/')
    }
}

impl fmt::Debug for TopicName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(formatter)
    }
}

/// A pattern to subscribe to, with `#` and `+` only where they may stand
/// [MQTT-4.7.1-1], [MQTT-4.7.1-2].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter<'a>(&'a str);

/// A filter of the form `$share/{name}/{filter}`, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Share<'a> {
    /// Names the group of sessions among which each message is delivered once.
    pub name: &'a str,
    /// What the group subscribes to.
    pub filter: TopicFilter<'a>,
}

impl<'a> TopicFilter<'a> {
    /// Takes a filter in. One that begins with `$share/` is checked as a filter
    /// only: see [`Self::share`].
    ///
    /// # Errors
    /// [`Fault::FilterEmpty`], [`Fault::FilterWildcard`], [`Fault::TextNul`] or
    /// [`Fault::FieldTooLong`].
    pub fn new(filter: &'a str) -> Result<Self, Fault> {
        Self::from_text(Text::new(filter)?)
    }

    pub(super) fn from_text(text: Text<'a>) -> Result<Self, Fault> {
        let filter = text.as_str();
        if filter.is_empty() {
            return Err(Fault::FilterEmpty);
        }
        let bytes = filter.as_bytes();
        if holds_any(bytes, is_wildcard) && !wildcards_stand_alone(bytes) {
            return Err(Fault::FilterWildcard);
        }
        Ok(Self(filter))
    }

    /// A filter as a packet of `version` may carry it. In MQTT 5 what begins
    /// with `$share/` must be a shared subscription, and a wrong one makes the
    /// packet wrong. To MQTT 3 it is a filter like any other: whoever offers
    /// shared subscriptions there too refuses the single filter.
    pub(super) fn read(text: Text<'a>, version: Version) -> Result<Self, Fault> {
        let filter = Self::from_text(text)?;
        if version == Version::V5 {
            filter.share()?;
        }
        Ok(filter)
    }

    /// The shared subscription that this filter stands for, if it is one.
    ///
    /// # Errors
    /// [`Fault::SharedFilter`] when it begins with `$share` and the name is
    /// missing or empty [MQTT-4.8.2-1], holds a wildcard, or no filter follows
    /// [MQTT-4.8.2-2].
    pub fn share(self) -> Result<Option<Share<'a>>, Fault> {
        if self.0 == "$share" {
            return Err(Fault::SharedFilter);
        }
        let Some(inner) = self.0.strip_prefix("$share/") else {
            return Ok(None);
        };
        let (name, filter) = inner.split_once('/').ok_or(Fault::SharedFilter)?;
        if name.is_empty() || name.contains(['#', '+']) || filter.is_empty() {
            return Err(Fault::SharedFilter);
        }
        // Its wildcards stand where they may: the whole was checked, and the
        // rest of a filter after a slash is one.
        Ok(Some(Share {
            name,
            filter: Self(filter),
        }))
    }

    /// The filter.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The filter's levels, some of which may be empty.
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        self.0.split('/')
    }

    /// Whether it stands for more than the one topic of its name.
    pub fn has_wildcards(self) -> bool {
        self.0.contains(['#', '+'])
    }

    /// Whether the filter matches the topic, character by character and level
    /// by level [MQTT-4.7.3-4]. A filter that begins with a wildcard matches no
    /// topic that begins with `$` [MQTT-4.7.2-1]. Of a shared subscription, ask
    /// its inner filter.
    pub fn matches(self, topic: TopicName<'_>) -> bool {
        if topic.0.starts_with(b"$") && self.0.starts_with(['#', '+']) {
            return false;
        }
        let mut topic_levels = topic.levels();
        for level in self.levels() {
            match (level, topic_levels.next()) {
                // `a/#` matches `a` too (section 4.7.1.2).
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (filter, Some(name)) if filter == name => {}
                _ => return false,
            }
        }
        topic_levels.next().is_none()
    }
}

/// Whether a name is what nearly all are: eight bytes or more of ASCII, without
/// NUL and wildcards. Looks at eight at a time, the last eight perhaps twice.
#[inline]
fn is_plain(name: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // `#` and `+` differ in one bit, which is set in both first.
    const WILDCARDS: u64 = u64::from_ne_bytes([b'#' | b'+'; 8]);
    const WILDCARD_BIT: u64 = u64::from_ne_bytes([b'#' ^ b'+'; 8]);
    // Not zero if a byte is, and only then.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let unusual = |bytes: &[u8; 8]| {
        let word = u64::from_ne_bytes(*bytes);
        word & HIGHS | zeros(word) | zeros((word | WILDCARD_BIT) ^ WILDCARDS)
    };
    name.last_chunk().is_some_and(|tail| {
        let (words, _) = name.as_chunks();
        words
            .iter()
            .fold(unusual(tail), |found, word| found | unusual(word))
            == 0
    })
}

fn is_wildcard(byte: u8) -> bool {
    byte == b'#' || byte == b'+'
}

/// Whether each wildcard fills a level of its own, and `#` the last one. A slash
/// byte is a slash: UTF-8 has none inside other characters.
fn wildcards_stand_alone(filter: &[u8]) -> bool {
    filter.iter().enumerate().all(|(at, &byte)| {
        let begins = at == 0 || filter[at - 1] == b'/';
        match (byte, filter.get(at + 1)) {
            (b'#', next) => begins && next.is_none(),
            (b'+', next) => begins && next.is_none_or(|&next| next == b'/'),
            _ => true,
        }
    })
}

impl fmt::Debug for TopicFilter<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_only_where_they_may() {
        for filter in [
            "#", "+", "a/#", "+/+", "/+", "a/+/b", "+/a/#", "/", "a//b", "$SYS/#",
        ] {
            assert_eq!(TopicFilter::new(filter).unwrap().as_str(), filter);
        }
        for filter in [
            "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "++", "a/#+",
        ] {
            assert_eq!(
                TopicFilter::new(filter),
                Err(Fault::FilterWildcard),
                "{filter}"
            );
        }
        assert_eq!(TopicFilter::new(""), Err(Fault::FilterEmpty));
        assert_eq!(TopicName::new("a/+"), Err(Fault::TopicWildcard));
        assert_eq!(TopicName::new("a#"), Err(Fault::TopicWildcard));
        assert_eq!(TopicName::new(""), Err(Fault::TopicEmpty));
    }

    /// Whichever way it is looked at, word by word or byte by byte.
    #[test]
    fn one_wrong_byte_spoils_a_name_of_any_length() {
        let good = *b"abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLM\x7F\x01\"*,\x22";
        for length in 1..=good.len() {
            let name = &good[..length];
            assert_eq!(TopicName::from_bytes(name).unwrap().as_bytes(), name);
            for at in 0..length {
                for (wrong, fault) in [
                    (0, Fault::TextNul),
                    (b'#', Fault::TopicWildcard),
                    (b'+', Fault::TopicWildcard),
                    (0x80, Fault::TextEncoding),
                    (0xFF, Fault::TextEncoding),
                ] {
                    let mut name = good;
                    name[at] = wrong;
                    assert_eq!(TopicName::from_bytes(&name[..length]), Err(fault));
                }
            }
        }
    }

    /// The examples of section 4.7, and some between them.
    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/ranking",
                true,
            ),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/wimbledon",
                true,
            ),
            ("sport/#", "sport", true),
            ("sport/#", "sports", false),
            ("#", "a/b/c", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("a", "A", false),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("ä/+", "ä/ö", true),
        ] {
            let matched = TopicFilter::new(filter)
                .unwrap()
                .matches(TopicName::new(topic).unwrap());
            assert_eq!(matched, expected, "{filter} against {topic}");
        }
    }

    #[test]
    fn shared_filters_come_apart() {
        let share = |filter| TopicFilter::new(filter).unwrap().share();
        let expected = Share {
            name: "group",
            filter: TopicFilter::new("a/+/#").unwrap(),
        };
        assert_eq!(share("$share/group/a/+/#"), Ok(Some(expected)));
        assert_eq!(
            share("$share/group//").unwrap().unwrap().filter.as_str(),
            "/"
        );
        assert_eq!(share("$shared/group/a"), Ok(None));
        assert_eq!(share("a/$share/group"), Ok(None));
        for wrong in [
            "$share",
            "$share/",
            "$share/group",
            "$share/group/",
            "$share//a",
            "$share/+/a",
        ] {
            assert_eq!(share(wrong), Err(Fault::SharedFilter), "{wrong}");
        }
    }
}
