//! The members of a cohort, by how they are served.
//!
//! ```text
//!   │ group 0 │ group 1 │ … │ apart │ in lag │       one array
//!               ▲ next
//! ```
//!
//! Who is *in step* stands where a sweep left it, with all others of its *group*; who is
//! *apart* has a cursor of its own, and who is in *lag* is served message by message. Sweeps
//! go through the groups in the order of the array, again and again, and send each member
//! what there is by then: whoever was sent something moves to the group before the next one
//! by a change of the border between them. So the next group is the one that is furthest
//! behind, and the one before it the furthest ahead.
//!
//! A group is a slice, so a sweep reads keys one behind the other. A member that joins,
//! leaves or is moved moves at most one other of each region on its way: whoever keeps
//! members' seats is told where they are now.

use crate::stream::Position;
use ringcast_wire::ConnectionKey;
use smallvec::SmallVec;
use std::ops::Range;

/// A cohort's members. Default is nobody; one or two need no memory of their own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roster {
    keys: SmallVec<[ConnectionKey; 2]>,
    groups: SmallVec<[Group; 1]>,
    /// The group that is swept next; below the number of groups if there is one.
    next: u32,
    apart: u32,
}

/// Members who stand at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    position: Position,
    count: u32,
}

/// How a member is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Region {
    /// By sweeps; it stands here.
    Step(Position),
    /// With a cursor of its own.
    Apart,
    /// Message by message.
    Lag,
}

/// With so many groups, sweeps send no further than the foremost one is, so that there is
/// one more at most.
const GROUPS_MAX: usize = 8;

impl Roster {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many are in step.
    pub(crate) fn stepping(&self) -> usize {
        self.groups.iter().map(|group| group.count as usize).sum()
    }

    /// Who is apart.
    pub(crate) fn apart(&self) -> &[ConnectionKey] {
        let start = self.stepping();
        &self.keys[start..start + self.apart as usize]
    }

    /// Who is in lag.
    pub(crate) fn lagging(&self) -> &[ConnectionKey] {
        &self.keys[self.stepping() + self.apart as usize..]
    }

    /// Where the hindmost of those in step stand.
    pub(crate) fn hindmost(&self) -> Option<Position> {
        self.groups
            .get(self.next as usize)
            .map(|group| group.position)
    }

    /// The place of the foremost group, if there is one.
    fn foremost(&self) -> Option<usize> {
        let before = (self.next as usize).checked_sub(1);
        before.or(self.groups.len().checked_sub(1))
    }

    /// Regions by number: the groups, then those apart, then those in lag.
    fn range(&self, region: usize) -> Range<usize> {
        let counts = self.groups.iter().map(|group| group.count as usize);
        let mut counts = counts.chain([self.apart as usize]);
        let start = counts.by_ref().take(region).sum();
        start..counts.next().map_or(self.len(), |count| start + count)
    }

    fn number(&self, seat: u32) -> usize {
        let mut end = 0;
        let groups = self.groups.iter().map(|group| group.count);
        let mut ends = groups.chain([self.apart]).map(|count| {
            end += count;
            end
        });
        let found = ends.position(|end| seat < end);
        found.unwrap_or(self.groups.len() + 1)
    }

    pub(crate) fn region(&self, seat: u32) -> Region {
        let number = self.number(seat);
        match self.groups.get(number) {
            Some(group) => Region::Step(group.position),
            None if number == self.groups.len() => Region::Apart,
            None => Region::Lag,
        }
    }

    /// Whether a seat is this member's.
    pub(crate) fn is_at(&self, seat: u32, key: ConnectionKey) -> bool {
        self.keys.get(seat as usize) == Some(&key)
    }

    fn add_to_count(&mut self, region: usize, change: i32) {
        let groups = self.groups.len();
        let count = match self.groups.get_mut(region) {
            Some(group) => &mut group.count,
            None if region == groups => &mut self.apart,
            None => return,
        };
        *count = count.wrapping_add_signed(change);
    }

    /// A new member, in lag. `moved` is told its seat.
    pub(crate) fn join(&mut self, key: ConnectionKey, mut moved: impl FnMut(ConnectionKey, u32)) {
        moved(key, self.len() as u32);
        self.keys.push(key);
    }

    /// The member with this seat is gone. `moved` is told of others who changed theirs.
    pub(crate) fn leave(&mut self, seat: u32, mut moved: impl FnMut(ConnectionKey, u32)) {
        let seat = self.shift(seat, self.groups.len() + 1, &mut moved);
        self.keys.swap_remove(seat as usize);
        if let Some(&key) = self.keys.get(seat as usize) {
            moved(key, seat);
        }
        self.drop_empty_groups();
    }

    /// A member is apart from now on.
    pub(crate) fn set_apart(&mut self, seat: u32, moved: impl FnMut(ConnectionKey, u32)) {
        self.shift(seat, self.groups.len(), moved);
        self.drop_empty_groups();
    }

    /// A member is in lag from now on.
    pub(crate) fn set_lagging(&mut self, seat: u32, moved: impl FnMut(ConnectionKey, u32)) {
        self.shift(seat, self.groups.len() + 1, moved);
        self.drop_empty_groups();
    }

    /// A member that is not in step stands at the head of the stream, and is in step from
    /// now on. `false` if there are too many groups for another.
    #[must_use]
    pub(crate) fn step(
        &mut self,
        seat: u32,
        head: Position,
        moved: impl FnMut(ConnectionKey, u32),
    ) -> bool {
        let foremost = self.foremost();
        let place = match foremost.filter(|place| self.groups[*place].position == head) {
            Some(place) => place,
            None if self.groups.len() >= GROUPS_MAX => return false,
            None => {
                let place = foremost.map_or(0, |place| place + 1);
                self.groups.insert(
                    place,
                    Group {
                        position: head,
                        count: 0,
                    },
                );
                // Groups before the next one were swept in this round.
                self.next += u32::from(self.next as usize >= place && self.next > 0);
                place
            }
        };
        self.shift(seat, place, moved);
        true
    }

    /// Moves a member to a region, and returns its seat there. Each of the regions on the
    /// way moves by one place.
    fn shift(
        &mut self,
        mut seat: u32,
        to: usize,
        mut moved: impl FnMut(ConnectionKey, u32),
    ) -> u32 {
        let mut here = self.number(seat);
        while here != to {
            let range = self.range(here);
            // The border that it crosses, and where it is behind that.
            let (next, border) = match here < to {
                true => (here + 1, range.end - 1),
                false => (here - 1, range.start),
            };
            let border = border as u32;
            if border != seat {
                self.keys.swap(seat as usize, border as usize);
                moved(self.keys[seat as usize], seat);
                moved(self.keys[border as usize], border);
            }
            self.add_to_count(here, -1);
            self.add_to_count(next, 1);
            seat = border;
            here = next;
        }
        seat
    }

    fn drop_empty_groups(&mut self) {
        while let Some(place) = self.groups.iter().position(|group| group.count == 0) {
            self.groups.remove(place);
            self.next -= u32::from((self.next as usize) > place);
        }
        if self.next as usize >= self.groups.len() {
            self.next = 0;
        }
    }

    /// Who is swept next: those of the hindmost group, at most so many.
    pub(crate) fn next_to_sweep(&self, most: usize) -> &[ConnectionKey] {
        if self.groups.is_empty() {
            return &[];
        }
        let range = self.range(self.next as usize);
        let end = range.end.min(range.start + most);
        &self.keys[range.start..end]
    }

    /// How far the hindmost are sent, where one send would reach this position: not less
    /// far than the foremost are, so that they stay in order, and with too many groups no
    /// further.
    pub(crate) fn sweep_to(&self, end: Position) -> Position {
        let Some(foremost) = self.foremost().map(|place| self.groups[place].position) else {
            return end;
        };
        match self.groups.len() >= GROUPS_MAX && self.next > 0 {
            true => foremost,
            false => end.max(foremost),
        }
    }

    /// Panics if the groups are not in the order of their positions, or one is empty.
    pub(crate) fn invariants(&self) {
        let (swept, behind) = self.groups.split_at(self.next as usize);
        let round = || behind.iter().chain(swept);
        assert!(round().is_sorted_by_key(|group| group.position), "{self:?}");
        assert!(round().all(|group| group.count > 0), "{self:?}");
    }

    /// So many of those who are swept next were sent everything up to this position.
    pub(crate) fn swept(&mut self, count: usize, to: Position) {
        let next = self.next as usize;
        let count = count as u32;
        self.groups[next].count -= count;
        match next.checked_sub(1).map(|before| &mut self.groups[before]) {
            Some(before) if before.position == to => before.count += count,
            _ => {
                let position = to;
                self.groups.insert(next, Group { position, count });
                self.next += 1;
            }
        }
        self.drop_empty_groups();
    }
}

#[cfg(test)]
mod tests {
    use super::{GROUPS_MAX, Region, Roster};
    use crate::stream::Position;
    use proptest::prelude::*;
    use ringcast_wire::ConnectionKey;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn everybody_is_where_they_were_put(
            steps in prop::collection::vec((0..12_u32, 0..10_u8), 0..300),
        ) {
            let mut roster = Roster::default();
            let mut head = 0;
            let mut members: BTreeMap<ConnectionKey, (Region, u32)> = BTreeMap::new();
            for (who, kind) in steps {
                let key = ConnectionKey::first(who);
                let member = members.get(&key).copied();
                let mut seats = Vec::new();
                let moved = |key, seat| seats.push((key, seat));
                match (member, kind) {
                    (_, 0 | 1) => head += 1,
                    (None, _) => {
                        roster.join(key, moved);
                        members.insert(key, (Region::Lag, u32::MAX));
                    }
                    (Some((_, seat)), 2) => {
                        members.remove(&key);
                        roster.leave(seat, moved);
                    }
                    (Some((_, seat)), 3) => {
                        roster.set_apart(seat, moved);
                        members.get_mut(&key).unwrap().0 = Region::Apart;
                    }
                    (Some((_, seat)), 4) => {
                        roster.set_lagging(seat, moved);
                        members.get_mut(&key).unwrap().0 = Region::Lag;
                    }
                    (Some((Region::Apart | Region::Lag, seat)), 5 | 6) => {
                        if roster.step(seat, Position(head), moved) {
                            members.get_mut(&key).unwrap().0 = Region::Step(Position(head));
                        } else {
                            prop_assert!(roster.groups.len() >= GROUPS_MAX);
                        }
                    }
                    (Some(_), _) => {
                        let most = who as usize % 4 + 1;
                        let hindmost = roster.hindmost();
                        let swept = roster.next_to_sweep(most).to_vec();
                        prop_assert_eq!(hindmost.is_some(), !swept.is_empty());
                        let end = hindmost.map_or(0, |at| head.min(at.0 + 3));
                        let to = roster.sweep_to(Position(end));
                        if hindmost.is_some_and(|position| position < to) {
                            for key in &swept {
                                prop_assert_eq!(Some(members[key].0), hindmost.map(Region::Step));
                                members.get_mut(key).unwrap().0 = Region::Step(to);
                            }
                            roster.swept(swept.len(), to);
                        }
                    }
                }
                for (key, seat) in seats {
                    if let Some(member) = members.get_mut(&key) {
                        member.1 = seat;
                    }
                }
                roster.invariants();
                prop_assert_eq!(roster.len(), members.len());
                prop_assert!(roster.groups.len() <= GROUPS_MAX + 1);
                let positions = members.values().filter_map(|(region, _)| match region {
                    Region::Step(position) => Some(*position),
                    _ => None,
                });
                prop_assert_eq!(roster.hindmost(), positions.min(), "the hindmost is next");
                for (key, (region, seat)) in &members {
                    prop_assert_eq!(roster.region(*seat), *region);
                    prop_assert_eq!(roster.keys[*seat as usize], *key);
                    prop_assert_eq!(roster.apart().contains(key), *region == Region::Apart);
                    prop_assert_eq!(roster.lagging().contains(key), *region == Region::Lag);
                }
            }
        }
    }
}
