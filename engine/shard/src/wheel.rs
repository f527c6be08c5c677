//! A timer wheel: one entry for each connection, a slot for each second.
//!
//! Setting and removing take one step. An entry further ahead than the wheel is long
//! stands in the last slot and is looked at again when it comes round; whoever looks
//! sets it anew.

/// Entries by the second in which they are due.
pub(crate) struct Wheel {
    slots: Box<[u32]>,
    /// The next second to be looked at.
    now: u64,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    next: u32,
    previous: u32,
    slot: u32,
}

const NONE: u32 = u32::MAX;

const VACANT: Entry = Entry {
    next: NONE,
    previous: NONE,
    slot: NONE,
};

const SLOTS: u64 = 256;

impl Wheel {
    /// For so many entries, at a time in seconds.
    pub(crate) fn new(entries: usize, now: u64) -> Self {
        Self {
            slots: vec![NONE; SLOTS as usize].into(),
            now,
            entries: Vec::with_capacity(entries),
        }
    }

    /// An entry is due in this second, or looked at before if that is far ahead.
    pub(crate) fn set(&mut self, entry: u32, due: u64) {
        self.remove(entry);
        if entry as usize >= self.entries.len() {
            self.entries.resize(entry as usize + 1, VACANT);
        }
        let due = due.clamp(self.now, self.now + SLOTS - 1);
        let slot = (due % SLOTS) as u32;
        let next = std::mem::replace(&mut self.slots[slot as usize], entry);
        if next != NONE {
            self.entries[next as usize].previous = entry;
        }
        self.entries[entry as usize] = Entry {
            next,
            previous: NONE,
            slot,
        };
    }

    /// An entry is due no more, if it was.
    pub(crate) fn remove(&mut self, entry: u32) {
        let Some(&Entry {
            next,
            previous,
            slot,
        }) = self.entries.get(entry as usize)
        else {
            return;
        };
        if slot == NONE {
            return;
        }
        match previous {
            NONE => self.slots[slot as usize] = next,
            previous => self.entries[previous as usize].next = next,
        }
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        self.entries[entry as usize] = VACANT;
    }

    /// An entry that is due at this time, in seconds: it is removed.
    pub(crate) fn next_due(&mut self, now: u64) -> Option<u32> {
        while self.now <= now {
            let entry = self.slots[(self.now % SLOTS) as usize];
            if entry != NONE {
                self.remove(entry);
                return Some(entry);
            }
            self.now += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Wheel;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Whoever looks too early sets its entry anew, as connections do.
        #[test]
        fn entries_are_due_in_their_second(
            steps in prop::collection::vec((0..6_u32, 0..5_u8, 0..700_u64), 0..200),
        ) {
            let mut now = 10_000;
            let mut wheel = Wheel::new(6, now);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (entry, kind, ahead) in steps {
                match kind {
                    0 => {
                        wheel.remove(entry);
                        model.remove(&entry);
                    }
                    1 => {
                        now += ahead;
                        while let Some(entry) = wheel.next_due(now) {
                            let due = model[&entry];
                            if due > now {
                                wheel.set(entry, due);
                            } else {
                                model.remove(&entry);
                            }
                        }
                        prop_assert!(model.values().all(|due| *due > now));
                    }
                    _ => {
                        wheel.set(entry, now + ahead + 1);
                        model.insert(entry, now + ahead + 1);
                    }
                }
            }
        }
    }
}
