//! Who acts next, and when: virtual time moves only here.

use crate::random::{Random, Ratio};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Somebody who acts again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// The ingest core has a turn.
    Ingest,
    /// This shard has a turn.
    Shard(usize),
    /// The door looks at newcomers.
    Door,
    /// Clients take what has arrived, and send what they had no room for.
    Clients,
    /// A client, the feed or the operator does something.
    Workload,
    /// This reader of the ring from outside reads.
    Tap(usize),
    /// The feed handler with a ring of its own writes, or dies.
    Handler,
}

/// The parties, by the time of their next act.
#[derive(Debug)]
pub struct Schedule {
    now_nanos: u64,
    acts: BinaryHeap<Reverse<(u64, u64, Party)>>,
    random: Random,
    paces: Vec<u64>,
    pace: u64,
    late: Ratio,
    late_paces_max: u64,
}

impl Schedule {
    /// All of these, in any order, from now on.
    #[must_use]
    pub fn new(
        seed: u64,
        now_nanos: u64,
        paces: &[u64],
        late: (Ratio, u64),
        parties: &[Party],
    ) -> Self {
        let mut schedule = Self {
            now_nanos,
            acts: BinaryHeap::new(),
            random: Random::new(seed, "schedule", 0),
            paces: paces.to_vec(),
            pace: paces[0],
            late: late.0,
            late_paces_max: late.1,
        };
        for party in parties {
            schedule.again(*party);
        }
        schedule
    }

    /// What time it is.
    #[must_use]
    pub fn now_nanos(&self) -> u64 {
        self.now_nanos
    }

    /// Who acts next; it is the time of that act.
    ///
    /// # Panics
    /// If nobody does: each has to be told to act [`again`](Self::again).
    pub fn next_party(&mut self) -> Party {
        if self.random.once_in(200) {
            self.change_pace();
        }
        let Reverse((at, _, party)) = self.acts.pop().expect("somebody acts");
        self.now_nanos = self.now_nanos.max(at);
        party
    }

    /// It acts again, some time later. Returns how many paces late it will be.
    pub fn again(&mut self, party: Party) -> u64 {
        let usual = self.random.between(1, 16);
        let late = match self.random.happens(self.late) {
            true => self.random.between(1, self.late_paces_max) * 16,
            false => 0,
        };
        let at = self.now_nanos + (usual + late) * self.pace / 16;
        let draw = self.random.word();
        self.acts.push(Reverse((at, draw, party)));
        late / 16
    }

    /// Time passes faster or slower. Nobody who was to act then waits any longer than it
    /// would now.
    fn change_pace(&mut self) {
        self.pace = *self.random.of(&self.paces);
        let latest = self.now_nanos + (self.late_paces_max + 1) * self.pace;
        let acts = std::mem::take(&mut self.acts).into_iter();
        let sooner = acts.map(|Reverse((at, draw, party))| Reverse((at.min(latest), draw, party)));
        self.acts = sooner.collect();
    }

    /// So much time passes, and nobody acts.
    pub fn pass(&mut self, nanos: u64) {
        self.now_nanos += nanos;
    }

    /// How much time one pace is now, in ns.
    #[must_use]
    pub fn pace_nanos(&self) -> u64 {
        self.pace
    }
}
