//! Topic names, topic filters and shared subscriptions (section 4.7 of both
//! standards, section 4.8.2 of 5.0).
//!
//! [`TopicFilter::matches`] says what the standard says, one filter against one
//! topic. Finding the subscribers of a topic among a million is the shard's.

use super::text::{Text, holds_any};
use super::{Fault, Version};
use core::fmt;

/// A name to publish to: one character or more [MQTT-4.7.3-1], no U+0000
/// [MQTT-4.7.3-2], at most 65,535 bytes [MQTT-4.7.3-3], no wildcard
/// [MQTT-4.7.1-1], [MQTT-3.3.2-2].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a str);

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
    pub(super) fn from_bytes(bytes: &'a [u8]) -> Result<Self, Fault> {
        if bytes.is_empty() {
            return Err(Fault::TopicEmpty);
        }
        let name = Text::from_bytes(bytes)?.as_str();
        if holds_any(bytes, |byte| byte == b'#' || byte == b'+') {
            return Err(Fault::TopicWildcard);
        }
        Ok(Self(name))
    }

    /// The name.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The name's levels, some of which may be empty: `/a` has two.
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        self.0.split('/')
    }
}

impl fmt::Debug for TopicName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
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
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            let wildcard = level.contains(['#', '+']);
            let last = levels.peek().is_none();
            if wildcard && !(level == "+" || level == "#" && last) {
                return Err(Fault::FilterWildcard);
            }
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
        if topic.0.starts_with('$') && self.0.starts_with(['#', '+']) {
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
