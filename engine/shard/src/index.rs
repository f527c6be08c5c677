//! From a hash to a number: a hash table that is reserved at start and never grows.
//!
//! It knows neither keys nor what the numbers mean; who looks something up says whether
//! a number is the one. Open addressing with linear probing; a removal moves back what
//! stood behind it, so there are no tombstones and no clearing up in the middle of a
//! turn. A slot is eight bytes, and at most three of four are taken.

/// A table of numbers by their hash.
pub(crate) struct Index {
    slots: Box<[Slot]>,
    len: usize,
    most: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    /// The high half of the hash: where the number would stand if it were alone.
    home: u32,
    number: u32,
}

const VACANT: u32 = u32::MAX;

impl Index {
    /// Room for so many numbers, of which none is `u32::MAX`.
    pub(crate) fn new(most: usize) -> Self {
        let slots = (most + most / 3 + 1).next_power_of_two();
        let vacant = Slot {
            home: 0,
            number: VACANT,
        };
        Self {
            slots: vec![vacant; slots].into(),
            len: 0,
            most,
        }
    }

    /// How many numbers it has room for.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == self.most
    }

    /// The number with this hash that is the one.
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let home = home(hash);
        let mut at = self.place(home);
        loop {
            let slot = self.slots[at];
            if slot.number == VACANT {
                return None;
            }
            if slot.home == home && is_it(slot.number) {
                return Some(slot.number);
            }
            at = self.behind(at);
        }
    }

    /// Adds a number, which is not there.
    ///
    /// # Panics
    /// If it is full.
    pub(crate) fn insert(&mut self, hash: u64, number: u32) {
        assert!(!self.is_full() && number != VACANT, "there is room");
        let home = home(hash);
        let mut at = self.place(home);
        while self.slots[at].number != VACANT {
            at = self.behind(at);
        }
        self.slots[at] = Slot { home, number };
        self.len += 1;
    }

    /// Removes a number, which is there.
    pub(crate) fn remove(&mut self, hash: u64, number: u32) {
        let mut hole = self.place(home(hash));
        while self.slots[hole].number != number {
            assert!(self.slots[hole].number != VACANT, "it is there");
            hole = self.behind(hole);
        }
        let mut at = hole;
        loop {
            at = self.behind(at);
            let slot = self.slots[at];
            if slot.number == VACANT {
                break;
            }
            // It may move back if the hole is between its home and where it stands.
            let mask = self.slots.len() - 1;
            let from_home = at.wrapping_sub(self.place(slot.home)) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole].number = VACANT;
        self.len -= 1;
    }

    fn place(&self, home: u32) -> usize {
        home as usize & (self.slots.len() - 1)
    }

    fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

const fn home(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::Index;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Hashes of a few values collide all the time, at the end of the table too.
        #[test]
        fn it_finds_what_a_map_finds(
            steps in prop::collection::vec((any::<bool>(), 0..24_u32), 0..300),
            spread in prop::sample::select(vec![0_u64, 1, 5, 0x1_0000_0001]),
        ) {
            let hash = |number: u32| u64::from(number / 3).wrapping_mul(spread).wrapping_neg() << 32;
            let mut index = Index::new(16);
            let mut model = HashMap::new();
            for (insert, number) in steps {
                if insert && !index.is_full() && !model.contains_key(&number) {
                    index.insert(hash(number), number);
                    model.insert(number, ());
                } else if !insert && model.remove(&number).is_some() {
                    index.remove(hash(number), number);
                }
                for number in 0..24 {
                    let found = index.find(hash(number), |it| it == number);
                    prop_assert_eq!(found, model.contains_key(&number).then_some(number));
                }
                prop_assert_eq!(index.is_full(), model.len() == 16);
            }
        }
    }
}
