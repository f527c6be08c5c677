//! The members of a cohort, by how they are served.
//!
//! ```text
//!   │ sent │ in step │ apart │ in lag │       one array, four regions
//! ```
//!
//! Who is *in step* stands where the last sweep ended; *sent* are those of them whom the
//! sweep that goes on has reached, and who stand where it will end. Who is *apart* has a
//! cursor of its own, and who is in *lag* is served message by message. A region is a
//! slice, so a sweep reads keys one behind the other. A member that joins, leaves or
//! changes its region moves at most one other of each region on its way: whoever keeps
//! members' seats is told where they are now.

use ringcast_wire::ConnectionKey;
use smallvec::SmallVec;
use std::ops::Range;

/// A cohort's members. Default is nobody; one or two need no memory of their own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roster {
    keys: SmallVec<[ConnectionKey; 2]>,
    /// Where those in step, apart and in lag begin.
    starts: [u32; 3],
}

/// How members are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Region {
    /// In step, and the sweep that goes on was there.
    Sent,
    /// In step.
    Step,
    /// With a cursor of its own.
    Apart,
    /// Message by message.
    Lag,
}

impl Roster {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    fn range(&self, region: Region) -> Range<usize> {
        let [step, apart, lag] = self.starts.map(|start| start as usize);
        match region {
            Region::Sent => 0..step,
            Region::Step => step..apart,
            Region::Apart => apart..lag,
            Region::Lag => lag..self.len(),
        }
    }

    /// Who is in a region.
    pub(crate) fn of(&self, region: Region) -> &[ConnectionKey] {
        &self.keys[self.range(region)]
    }

    pub(crate) fn region(&self, seat: u32) -> Region {
        let [step, apart, lag] = self.starts;
        match seat {
            seat if seat < step => Region::Sent,
            seat if seat < apart => Region::Step,
            seat if seat < lag => Region::Apart,
            _ => Region::Lag,
        }
    }

    /// A new member. `moved` is told its seat, and of others who changed theirs.
    pub(crate) fn join(
        &mut self,
        key: ConnectionKey,
        region: Region,
        mut moved: impl FnMut(ConnectionKey, u32),
    ) {
        let seat = self.keys.len() as u32;
        self.keys.push(key);
        moved(key, seat);
        self.shift(seat, region, moved);
    }

    /// The member with this seat is gone.
    pub(crate) fn leave(&mut self, seat: u32, mut moved: impl FnMut(ConnectionKey, u32)) {
        let seat = self.shift(seat, Region::Lag, &mut moved);
        self.keys.swap_remove(seat as usize);
        if let Some(&key) = self.keys.get(seat as usize) {
            moved(key, seat);
        }
    }

    /// Moves a member to a region, and returns its seat there.
    pub(crate) fn shift(
        &mut self,
        mut seat: u32,
        region: Region,
        mut moved: impl FnMut(ConnectionKey, u32),
    ) -> u32 {
        loop {
            let here = self.region(seat);
            let border = match here {
                here if here < region => {
                    self.starts[here as usize] -= 1;
                    self.starts[here as usize]
                }
                here if here > region => {
                    self.starts[here as usize - 1] += 1;
                    self.starts[here as usize - 1] - 1
                }
                _ => return seat,
            };
            if border != seat {
                self.keys.swap(seat as usize, border as usize);
                moved(self.keys[seat as usize], seat);
                moved(self.keys[border as usize], border);
            }
            seat = border;
        }
    }

    /// The sweep was at so many more of those in step.
    pub(crate) fn sent(&mut self, count: usize) {
        self.starts[0] += count as u32;
        debug_assert!(self.starts[0] <= self.starts[1]);
    }

    /// The sweep was at all who are in step: they are again where it ended.
    pub(crate) fn end_sweep(&mut self) {
        debug_assert!(self.of(Region::Step).is_empty());
        self.starts[0] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Region, Roster};
    use proptest::prelude::*;
    use ringcast_wire::ConnectionKey;
    use std::collections::BTreeMap;

    const REGIONS: [Region; 4] = [Region::Sent, Region::Step, Region::Apart, Region::Lag];

    proptest! {
        #[test]
        fn everybody_is_where_they_were_put(
            steps in prop::collection::vec((0..12_u32, 0..4_usize, 0..8_u8), 0..200),
        ) {
            let mut roster = Roster::default();
            let mut members: BTreeMap<ConnectionKey, (Region, u32)> = BTreeMap::new();
            for (who, region, kind) in steps {
                let key = ConnectionKey::first(who);
                let region = REGIONS[region];
                let seat = members.get(&key).map(|(_, seat)| *seat);
                let mut seats = Vec::new();
                let moved = |key, seat| seats.push((key, seat));
                match (seat, kind) {
                    (None, _) => {
                        roster.join(key, region, moved);
                        members.insert(key, (region, u32::MAX));
                    }
                    (Some(seat), 0) => {
                        members.remove(&key);
                        roster.leave(seat, moved);
                    }
                    (Some(_), 1) => {
                        let count = roster.of(Region::Step).len() / 2;
                        for key in &roster.of(Region::Step)[..count] {
                            members.get_mut(key).unwrap().0 = Region::Sent;
                        }
                        roster.sent(count);
                    }
                    (Some(_), 2) if roster.of(Region::Step).is_empty() => {
                        for key in roster.of(Region::Sent) {
                            members.get_mut(key).unwrap().0 = Region::Step;
                        }
                        roster.end_sweep();
                    }
                    (Some(seat), _) => {
                        roster.shift(seat, region, moved);
                        members.get_mut(&key).unwrap().0 = region;
                    }
                }
                for (key, seat) in seats {
                    if let Some(member) = members.get_mut(&key) {
                        member.1 = seat;
                    }
                }
                prop_assert_eq!(roster.len(), members.len());
                for (key, (region, seat)) in &members {
                    prop_assert_eq!(roster.region(*seat), *region);
                    prop_assert!(roster.of(*region).contains(key));
                    prop_assert_eq!(roster.keys[*seat as usize], *key);
                }
            }
        }
    }
}
