//! Shared subscriptions: groups of sessions of which one gets each message (section 4.8.2).
//!
//! Members are sessions of all shards, and every shard knows all of them: they come, go and
//! change with records of the ring, so each shard sees the same group at the same message,
//! and chooses the same member. The one whose home that is delivers. What there is room for
//! is the same everywhere too: so groups have their filters to themselves.
//!
//! ```text
//!   group ─► ready │ busy │ away       the first that is not empty, one after the other
//! ```

use crate::filters::{FilterId, Filters};
use ringcast_codec::mqtt::TopicFilter;
use slab::Slab;
use smallvec::SmallVec;

/// All groups.
pub(crate) struct Shares {
    filters: Filters,
    groups: Slab<Group>,
    /// How many were ever founded.
    founded: u32,
    /// By the number of their filter.
    of_filter: Vec<SmallVec<[GroupId; 1]>>,
    members: usize,
}

/// Names a group; another one with its name later has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct GroupId {
    place: u32,
    epoch: u32,
}

/// A group: a name and a filter.
#[derive(Debug)]
struct Group {
    epoch: u32,
    name: Box<str>,
    filter: FilterId,
    text: Box<str>,
    /// Messages that it got.
    count: u64,
    /// By their standing.
    members: [Vec<Member>; Standing::COUNT],
}

/// A session in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) who: Who,
    /// At most this, 0 to 2.
    pub(crate) qos: u8,
}

/// A session of any shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Who {
    pub(crate) home: u16,
    pub(crate) session: u32,
    pub(crate) epoch: u32,
}

/// Whether a member is to get messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Standing {
    /// It takes what it gets.
    #[default]
    Ready,
    /// Much waits for it already.
    Busy,
    /// Its client is not there.
    Away,
}

/// A change of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is a member from now on, with this standing, or changes what it asked for.
    Join { qos: u8, standing: Standing },
    /// It is none any more.
    Leave,
}

impl Standing {
    const COUNT: usize = 3;

    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        [Self::Ready, Self::Busy, Self::Away]
            .into_iter()
            .find(|standing| *standing as u8 == number)
    }
}

impl Shares {
    /// With these filters.
    pub(crate) fn new(filters: Filters) -> Self {
        Self {
            filters,
            groups: Slab::new(),
            founded: 0,
            of_filter: Vec::new(),
            members: 0,
        }
    }

    /// How many members all groups have.
    pub(crate) fn members(&self) -> usize {
        self.members
    }

    /// The groups that get a message on this topic, whose hash this is, each once.
    pub(crate) fn of_topic(&self, hash: u64, topic: &[u8], groups: &mut Vec<GroupId>) {
        let mut meet = |filter| groups.extend_from_slice(self.of_filter(filter));
        let exact = self.filters.exact(hash, topic);
        exact.into_iter().for_each(&mut meet);
        self.filters.wildcards(topic, &mut meet);
    }

    fn of_filter(&self, filter: FilterId) -> &[GroupId] {
        let groups = self.of_filter.get(filter.0 as usize);
        groups.map_or(&[], |groups| groups)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The group with this name and filter, if it has members.
    pub(crate) fn find(&self, name: &str, filter: TopicFilter<'_>) -> Option<GroupId> {
        let filter = self.filters.find(filter)?;
        let mut groups = self.of_filter(filter).iter().copied();
        groups.find(|group| &*self.groups[group.place as usize].name == name)
    }

    /// The name and the filter of a group, if it has members.
    pub(crate) fn text(&self, id: GroupId) -> Option<(&str, &str)> {
        let group = self.groups.get(id.place as usize)?;
        (group.epoch == id.epoch).then_some((&*group.name, &*group.text))
    }

    /// Makes a change. `None` if there is no room for another filter; else the group, if it
    /// still has members.
    pub(crate) fn change(
        &mut self,
        (name, filter): (&str, TopicFilter<'_>),
        who: Who,
        change: Change,
    ) -> Option<Option<GroupId>> {
        match (self.find(name, filter), change) {
            (None, Change::Leave) => Some(None),
            (Some(group), Change::Leave) => Some(self.leave(group, who)),
            (found, Change::Join { qos, standing }) => {
                let group = match found {
                    Some(group) => group,
                    None => self.found(name, filter)?,
                };
                self.remove(group, who);
                let members = &mut self.groups[group.place as usize].members;
                members[standing as usize].push(Member { who, qos });
                self.members += 1;
                Some(Some(group))
            }
        }
    }

    fn found(&mut self, name: &str, text: TopicFilter<'_>) -> Option<GroupId> {
        let filter = self.filters.acquire(text).ok()?;
        // Nothing is kept by topic.
        while self.filters.next_exact_change().is_some() {}
        self.founded = self.founded.wrapping_add(1);
        let epoch = self.founded;
        let number = self.groups.insert(Group {
            epoch,
            name: name.into(),
            filter,
            text: text.as_str().into(),
            count: 0,
            members: Default::default(),
        });
        let place = u32::try_from(number).expect("fewer than 2^32 groups");
        let group = GroupId { place, epoch };
        let at = filter.0 as usize;
        if at >= self.of_filter.len() {
            self.of_filter.resize_with(at + 1, SmallVec::new);
        }
        self.of_filter[at].push(group);
        Some(group)
    }

    fn leave(&mut self, id: GroupId, who: Who) -> Option<GroupId> {
        self.remove(id, who);
        let group = &self.groups[id.place as usize];
        if group.members.iter().any(|members| !members.is_empty()) {
            return Some(id);
        }
        let filter = group.filter;
        self.of_filter[filter.0 as usize].retain(|group| *group != id);
        self.groups.remove(id.place as usize);
        self.filters.release(filter);
        while self.filters.next_exact_change().is_some() {}
        None
    }

    fn remove(&mut self, group: GroupId, who: Who) {
        for members in &mut self.groups[group.place as usize].members {
            if let Some(place) = members.iter().position(|member| member.who == who) {
                members.remove(place);
                self.members -= 1;
            }
        }
    }

    /// Who of a group gets its next message.
    pub(crate) fn next(&mut self, group: GroupId) -> Member {
        let group = &mut self.groups[group.place as usize];
        let members = group.members.iter().find(|members| !members.is_empty());
        let members = members.expect("a group has members");
        let member = members[(group.count % members.len() as u64) as usize];
        group.count += 1;
        member
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Member, Shares, Standing, Who};
    use crate::filters::Filters;
    use ringcast_codec::mqtt::TopicFilter;
    use ringcast_ring::TopicHasher;

    fn who(session: u32) -> Who {
        Who {
            home: (session % 3) as u16,
            session,
            epoch: 1,
        }
    }

    /// A group of some.
    struct Fixture(Shares);

    impl Fixture {
        fn new() -> Self {
            Self(Shares::new(Filters::new(
                TopicHasher::new((1, 2)),
                4,
                20,
                20,
            )))
        }

        fn change(&mut self, session: u32, change: Change) {
            let changed = self.0.change(("g", filter()), who(session), change);
            changed.expect("there is room");
        }

        fn join(&mut self, session: u32, standing: Standing) {
            self.change(session, Change::Join { qos: 1, standing });
        }

        fn next(&mut self, times: usize) -> Vec<u32> {
            let group = self.0.find("g", filter()).expect("is there");
            let next = (0..times).map(|_| self.0.next(group).who.session);
            next.collect()
        }
    }

    fn filter() -> TopicFilter<'static> {
        TopicFilter::new("a/+").expect("is one")
    }

    #[test]
    fn those_who_are_ready_take_turns() {
        let mut group = Fixture::new();
        for session in 0..3 {
            group.join(session, Standing::Ready);
        }
        assert_eq!(group.next(6), [0, 1, 2, 0, 1, 2]);
        group.join(1, Standing::Busy);
        let next = group.next(100);
        assert_eq!(next.iter().filter(|one| **one == 0).count(), 50);
        assert!(!next.contains(&1));
    }

    #[test]
    fn who_is_away_gets_what_nobody_else_can() {
        let mut group = Fixture::new();
        group.join(7, Standing::Away);
        assert_eq!(group.next(2), [7, 7]);
        group.join(8, Standing::Busy);
        assert_eq!(group.next(2), [8, 8]);
        group.change(8, Change::Leave);
        assert_eq!(group.next(1), [7]);
    }

    #[test]
    fn a_group_goes_with_its_last_member() {
        let hasher = TopicHasher::new((1, 2));
        let mut group = Fixture::new();
        group.join(1, Standing::Ready);
        group.join(1, Standing::Ready);
        assert_eq!(group.0.members(), 1, "it is a member once");
        let mut found = Vec::new();
        group.0.of_topic(hasher.topic(b"a/b"), b"a/b", &mut found);
        group.0.of_topic(hasher.topic(b"b"), b"b", &mut found);
        let id = group.0.find("g", filter()).expect("is there");
        assert_eq!(found, [id]);
        assert_eq!(group.0.text(id), Some(("g", "a/+")));
        assert_eq!(
            group.0.next(id),
            Member {
                who: who(1),
                qos: 1
            }
        );
        group.change(2, Change::Leave);
        group.change(1, Change::Leave);
        assert!(group.0.is_empty() && group.0.text(id).is_none());
        group.join(1, Standing::Ready);
        assert_eq!(group.0.text(id), None, "it is another one");
    }
}
