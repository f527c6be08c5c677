//! Topic filters, and which of them match a topic.
//!
//! A filter without wildcards is found by its hash, which is that of its topic. Those
//! with wildcards stand in a trie of levels, where the way down is found by hash, too.
//! A filter stays for as long as it has users.
//!
//! ```text
//!   market/BTCUSDT/trade     by its hash
//!   market/+/trade           root ─market─► ○ ─+─► ○ ─trade─► end
//!   market/#                                └► rest
//! ```

use crate::index::Index;
use crate::text::{Text, Texts};
use ringcast_codec::mqtt::TopicFilter;
use ringcast_ring::TopicHasher;
use slab::Slab;

/// All filters of a shard.
pub(crate) struct Filters {
    hasher: TopicHasher,
    filters: Slab<Filter>,
    /// Filters by the hash of their text.
    by_text: Index,
    levels: Slab<Level>,
    levels_max: usize,
    /// Levels by the hash of their parent and text.
    by_parent: Index,
    texts: Texts,
    wildcards_epoch: u32,
    /// The hashes of filters without wildcards that came or went.
    exact_changes: Vec<u64>,
}

/// Names a filter while it has users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FilterId(pub u32);

/// There is no room for another filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FiltersFull;

struct Filter {
    hash: u64,
    text: Text,
    users: u32,
    /// If it has wildcards: the level where it ends, and how.
    end: Option<(u32, End)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// With the level itself.
    There,
    /// With `#` behind it.
    Below,
}

/// A node of the trie: what filters have in common, up to a level.
struct Level {
    parent: u32,
    /// Nothing for the root, and for `+`.
    name: Option<(u64, Text)>,
    /// The level `+` below.
    any: Option<u32>,
    /// The filter that ends here.
    there: Option<FilterId>,
    /// The filter that ends here with `#`.
    below: Option<FilterId>,
    /// How many levels are below.
    children: u32,
}

const ROOT: u32 = 0;

impl Filters {
    /// Room for so many filters, with `levels` nodes for those that have wildcards, and
    /// so many pages of text.
    pub(crate) fn new(hasher: TopicHasher, filters: usize, levels: usize, pages: usize) -> Self {
        let mut filters_ = Self {
            hasher,
            filters: Slab::with_capacity(filters),
            by_text: Index::new(filters),
            levels: Slab::with_capacity(levels),
            levels_max: levels,
            by_parent: Index::new(levels),
            texts: Texts::new(pages),
            wildcards_epoch: 0,
            exact_changes: Vec::with_capacity(filters),
        };
        filters_.levels.insert(Level::below(ROOT, None));
        filters_
    }

    /// The filter, if it has users.
    pub(crate) fn find(&self, filter: TopicFilter<'_>) -> Option<FilterId> {
        let text = filter.as_str().as_bytes();
        self.find_text(self.hasher.topic(text), text)
    }

    fn find_text(&self, hash: u64, text: &[u8]) -> Option<FilterId> {
        let is_it = |id| self.texts.is(self.filter(FilterId(id)).text, text);
        self.by_text.find(hash, is_it).map(FilterId)
    }

    /// The hash of a topic, or of a filter as it is written.
    pub(crate) fn hash(&self, text: &[u8]) -> u64 {
        self.hasher.topic(text)
    }

    /// Whether a filter has wildcards.
    pub(crate) fn has_wildcards(&self, id: FilterId) -> bool {
        self.filter(id).end.is_some()
    }

    /// The hash of a filter without wildcards; its text goes into the buffer, which is
    /// emptied first.
    pub(crate) fn exact_text(&self, id: FilterId, buffer: &mut Vec<u8>) -> Option<u64> {
        let filter = self.filter(id);
        buffer.clear();
        if filter.end.is_some() {
            return None;
        }
        for piece in self.texts.pieces(filter.text) {
            buffer.extend_from_slice(piece);
        }
        Some(filter.hash)
    }

    /// Adds a user.
    pub(crate) fn acquire(&mut self, filter: TopicFilter<'_>) -> Result<FilterId, FiltersFull> {
        let text = filter.as_str().as_bytes();
        let hash = self.hasher.topic(text);
        if let Some(id) = self.find_text(hash, text) {
            self.filter_mut(id).users += 1;
            return Ok(id);
        }
        if self.by_text.is_full() {
            return Err(FiltersFull);
        }
        let kept = self.texts.keep(text).ok_or(FiltersFull)?;
        let end = match filter.has_wildcards().then(|| self.make_way(filter)) {
            Some(Err(full)) => {
                self.texts.forget(kept);
                return Err(full);
            }
            Some(Ok(end)) => Some(end),
            None => None,
        };
        let number = self.filters.insert(Filter {
            hash,
            text: kept,
            users: 1,
            end,
        });
        let id = FilterId(index(number));
        self.by_text.insert(hash, id.0);
        if let Some((level, end)) = end {
            *self.level_mut(level).end_mut(end) = Some(id);
        }
        self.changed(hash, end.is_some());
        Ok(id)
    }

    /// Adds a user to a filter that has some.
    pub(crate) fn share(&mut self, id: FilterId) {
        self.filter_mut(id).users += 1;
    }

    /// Takes a user away; the filter goes with the last one.
    pub(crate) fn release(&mut self, id: FilterId) {
        let filter = self.filter_mut(id);
        filter.users -= 1;
        if filter.users > 0 {
            return;
        }
        let filter = self.filters.remove(id.0 as usize);
        self.by_text.remove(filter.hash, id.0);
        self.texts.forget(filter.text);
        if let Some((level, end)) = filter.end {
            *self.level_mut(level).end_mut(end) = None;
            self.prune(level);
        }
        self.changed(filter.hash, filter.end.is_some());
    }

    fn changed(&mut self, hash: u64, has_wildcards: bool) {
        if has_wildcards {
            self.wildcards_epoch = self.wildcards_epoch.wrapping_add(1);
        } else {
            self.exact_changes.push(hash);
        }
    }

    /// The next topic, by its hash, for which a filter without wildcards came or went
    /// since this was asked.
    pub(crate) fn next_exact_change(&mut self) -> Option<u64> {
        self.exact_changes.pop()
    }

    /// What was found for a topic among filters with wildcards stays valid until this
    /// changes. A filter without them touches only its own topic.
    pub(crate) fn wildcards_epoch(&self) -> u32 {
        self.wildcards_epoch
    }

    /// The filter that is this topic, by its hash.
    pub(crate) fn exact(&self, hash: u64, topic: &[u8]) -> Option<FilterId> {
        // No filter with wildcards is the text of a topic.
        self.find_text(hash, topic)
    }

    /// All filters with wildcards that match a topic, each once.
    pub(crate) fn wildcards(&self, topic: &[u8], found: &mut impl FnMut(FilterId)) {
        let root = self.level(ROOT);
        if topic.first() == Some(&b'$') {
            // Wildcards in the first level match no such topic [MQTT-4.7.2-1].
            let (name, rest) = split(topic);
            if let Some(child) = self.child(ROOT, name) {
                self.walk(child, rest, found);
            }
        } else if root.children > 0 || root.below.is_some() {
            self.walk(ROOT, Some(topic), found);
        }
    }

    fn walk(&self, at: u32, rest: Option<&[u8]>, found: &mut impl FnMut(FilterId)) {
        let level = self.level(at);
        // `a/#` matches `a` too (section 4.7.1.2).
        if let Some(id) = level.below {
            found(id);
        }
        let Some(rest) = rest else {
            if let Some(id) = level.there {
                found(id);
            }
            return;
        };
        let (name, rest) = split(rest);
        if let Some(child) = self.child(at, name) {
            self.walk(child, rest, found);
        }
        if let Some(child) = level.any {
            self.walk(child, rest, found);
        }
    }

    fn child(&self, parent: u32, name: &[u8]) -> Option<u32> {
        let hash = self.hasher.level(parent, name);
        self.by_parent.find(hash, |number| {
            let level = self.level(number);
            let is_it = |(_, text)| self.texts.is(text, name);
            level.parent == parent && level.name.is_some_and(is_it)
        })
    }

    /// The levels that lead to a filter's end; makes those that are missing.
    fn make_way(&mut self, filter: TopicFilter<'_>) -> Result<(u32, End), FiltersFull> {
        let mut at = ROOT;
        for name in filter.levels() {
            let next = match name {
                "#" => return Ok((at, End::Below)),
                "+" => self.level(at).any,
                name => self.child(at, name.as_bytes()),
            };
            at = match next.or_else(|| self.make_level(at, name)) {
                Some(next) => next,
                None => {
                    self.prune(at);
                    return Err(FiltersFull);
                }
            };
        }
        Ok((at, End::There))
    }

    fn make_level(&mut self, parent: u32, name: &str) -> Option<u32> {
        if self.levels.len() == self.levels_max {
            return None;
        }
        let name = match name {
            "+" => None,
            name => {
                let hash = self.hasher.level(parent, name.as_bytes());
                Some((hash, self.texts.keep(name.as_bytes())?))
            }
        };
        let number = index(self.levels.insert(Level::below(parent, name)));
        match name {
            Some((hash, _)) => self.by_parent.insert(hash, number),
            None => self.level_mut(parent).any = Some(number),
        }
        self.level_mut(parent).children += 1;
        Some(number)
    }

    /// Removes a level that nothing needs, and those above that were there for it.
    fn prune(&mut self, mut at: u32) {
        while at != ROOT && self.level(at).is_idle() {
            let level = self.levels.remove(at as usize);
            let parent = self.level_mut(level.parent);
            parent.children -= 1;
            match level.name {
                None => parent.any = None,
                Some((hash, text)) => {
                    self.by_parent.remove(hash, at);
                    self.texts.forget(text);
                }
            }
            at = level.parent;
        }
    }

    fn filter(&self, id: FilterId) -> &Filter {
        &self.filters[id.0 as usize]
    }

    fn filter_mut(&mut self, id: FilterId) -> &mut Filter {
        &mut self.filters[id.0 as usize]
    }

    fn level(&self, number: u32) -> &Level {
        &self.levels[number as usize]
    }

    fn level_mut(&mut self, number: u32) -> &mut Level {
        &mut self.levels[number as usize]
    }
}

impl Level {
    fn below(parent: u32, name: Option<(u64, Text)>) -> Self {
        Self {
            parent,
            name,
            any: None,
            there: None,
            below: None,
            children: 0,
        }
    }

    fn end_mut(&mut self, end: End) -> &mut Option<FilterId> {
        match end {
            End::There => &mut self.there,
            End::Below => &mut self.below,
        }
    }

    fn is_idle(&self) -> bool {
        self.children == 0 && self.there.is_none() && self.below.is_none()
    }
}

/// The first level of a topic, and the rest if there is one.
fn split(topic: &[u8]) -> (&[u8], Option<&[u8]>) {
    match topic.iter().position(|&byte| byte == b'/') {
        Some(slash) => (&topic[..slash], Some(&topic[slash + 1..])),
        None => (topic, None),
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).expect("tables have fewer than 2^32 entries")
}

#[cfg(test)]
mod tests {
    use super::{FilterId, Filters, FiltersFull};
    use proptest::prelude::*;
    use ringcast_codec::mqtt::{TopicFilter, TopicName};
    use ringcast_ring::TopicHasher;
    use std::collections::HashMap;

    fn level() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "",
            "a",
            "b",
            "$a",
            "a level that needs two pages of text",
        ])
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec(level(), 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("no topic is empty", |topic| !topic.is_empty())
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![3 => level(), 1 => Just("+")];
        let rest = prop_oneof![Just(""), Just("#"), Just("/#")];
        (prop::collection::vec(level, 0..4), rest)
            .prop_map(|(levels, rest)| match (levels.is_empty(), rest) {
                (true, _) => "#".to_owned(),
                (false, "#") => format!("{}/#", levels.join("/")),
                (false, rest) => format!("{}{rest}", levels.join("/")),
            })
            .prop_filter("no filter is empty", |filter| !filter.is_empty())
    }

    /// With room for everything, or for so little that most additions are refused in
    /// the middle.
    fn check(
        steps: Vec<(String, u8)>,
        topics: &[String],
        mut filters: Filters,
        roomy: bool,
    ) -> Result<(), TestCaseError> {
        let hasher = filters.hasher;
        let pages = filters.texts.free_pages();
        let mut model: HashMap<String, (FilterId, u32)> = HashMap::new();
        for (text, kind) in steps {
            let filter = TopicFilter::new(&text).expect("it is one");
            let epoch = filters.wildcards_epoch();
            let known = model.contains_key(&text);
            if kind < 2 {
                match filters.acquire(filter) {
                    Ok(id) => model.entry(text.clone()).or_insert((id, 0)).1 += 1,
                    Err(FiltersFull) => prop_assert!(!roomy && !known),
                }
            } else if let Some((id, users)) = model.get_mut(&text) {
                filters.release(*id);
                *users -= 1;
                if *users == 0 {
                    model.remove(&text);
                }
            }
            let text = filter.as_str();
            let changed = known != model.contains_key(text) && filter.has_wildcards();
            prop_assert_eq!(filters.wildcards_epoch() != epoch, changed);
            prop_assert_eq!(filters.find(filter), model.get(text).map(|(id, _)| *id));
            for topic in topics {
                let name = TopicName::new(topic).expect("it is one");
                let mut found: Vec<_> = filters
                    .exact(hasher.topic(topic.as_bytes()), topic.as_bytes())
                    .into_iter()
                    .collect();
                filters.wildcards(topic.as_bytes(), &mut |id| found.push(id));
                found.sort();
                let mut expected: Vec<_> = model
                    .iter()
                    .filter(|(filter, _)| {
                        TopicFilter::new(filter).expect("it is one").matches(name)
                    })
                    .map(|(_, (id, _))| *id)
                    .collect();
                expected.sort();
                prop_assert_eq!(found, expected, "of {}", topic);
            }
        }
        for (id, users) in model.into_values() {
            (0..users).for_each(|_| filters.release(id));
        }
        prop_assert_eq!(filters.levels.len(), 1, "only the root is left");
        prop_assert_eq!(filters.texts.free_pages(), pages);
        Ok(())
    }

    proptest! {
        #[test]
        fn a_topic_finds_the_filters_that_match_it(
            steps in prop::collection::vec((filter(), 0..3_u8), 0..60),
            topics in prop::collection::vec(topic(), 1..8),
        ) {
            let hasher = TopicHasher::new((1, 2));
            check(steps, &topics, Filters::new(hasher, 100, 300, 1000), true)?;
        }

        #[test]
        fn what_has_no_room_leaves_no_trace(
            steps in prop::collection::vec((filter(), 0..3_u8), 0..60),
            topics in prop::collection::vec(topic(), 1..8),
        ) {
            let hasher = TopicHasher::new((1, 2));
            check(steps, &topics, Filters::new(hasher, 6, 8, 12), false)?;
        }
    }
}
