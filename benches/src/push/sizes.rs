//! How large each part is: as DESIGN and issue ask, and small enough for a quick run.

use super::Part;

/// Descriptors of churners and scrapes, beside those of subscribers.
const DESCRIPTORS_BESIDE: u64 = 200;

/// All of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Subscribers of each fan-out.
    pub(super) fan_out: [usize; 2],
    /// Subscribers of a wildcard.
    pub(super) subscribers: usize,
    /// Topics, where there are many.
    pub(super) topics: u32,
    /// Subscribers with lists.
    pub(super) lists: usize,
    /// Subscribers, and messages a second.
    pub(super) latency: [(usize, u64); 3],
    pub(super) stalled: Stalled,
    pub(super) laggards: Laggards,
    pub(super) memory: Memory,
    pub(super) storm: Storm,
    /// Who connect as fast as they can.
    pub(super) crowd: u32,
}

/// Of `stalled`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stalled {
    pub(super) subscribers: usize,
    pub(super) per_second: u64,
    /// How many of them stop reading.
    pub(super) stalled: usize,
}

/// Of `laggards`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Laggards {
    pub(super) subscribers: usize,
    pub(super) laggards: usize,
    /// What is published before the clock begins: at full size more than all buffers of a
    /// laggard and the engine's patience hold, so that each of them lags by then.
    pub(super) fill_bytes: u64,
}

/// Of `memory`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// The engine is started for so many connections.
    pub(super) many: u32,
    /// And for so few; the difference is what counts.
    pub(super) few: u32,
    /// Other servers have so many at most: their descriptors are plain ones.
    pub(super) others_max: u32,
}

/// Of `storm`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storm {
    /// Subscribers that stay.
    pub(super) subscribers: usize,
    pub(super) topics: u32,
    pub(super) per_second: u64,
    /// How many come and go.
    pub(super) churners: usize,
}

impl Sizes {
    pub(super) const FULL: Self = Self {
        fan_out: [1_000, 10_000],
        subscribers: 1_000,
        topics: 1_000,
        lists: 10_000,
        latency: [(1, 1_000), (100, 500), (1_000, 50)],
        stalled: Stalled {
            subscribers: 1_000,
            per_second: 5_000,
            stalled: 20,
        },
        laggards: Laggards {
            subscribers: 100,
            laggards: 10_000,
            fill_bytes: 2 << 20,
        },
        memory: Memory {
            many: 100_000,
            few: 1_000,
            others_max: 10_000,
        },
        storm: Storm {
            subscribers: 100,
            topics: 8,
            per_second: 2_000,
            churners: 64,
        },
        crowd: 100_000,
    };

    pub(super) const QUICK: Self = Self {
        fan_out: [100, 500],
        subscribers: 100,
        topics: 1_000,
        lists: 300,
        latency: [(1, 1_000), (100, 500), (200, 50)],
        stalled: Stalled {
            subscribers: 50,
            per_second: 500,
            stalled: 5,
        },
        laggards: Laggards {
            subscribers: 20,
            laggards: 100,
            fill_bytes: 64 << 10,
        },
        memory: Memory {
            many: 2_000,
            few: 200,
            others_max: 2_000,
        },
        storm: Storm {
            subscribers: 20,
            topics: 8,
            per_second: 1_000,
            churners: 16,
        },
        crowd: 2_000,
    };

    /// Descriptors that a process needs for the largest of these parts.
    pub(super) fn descriptors_max(&self, parts: &[Part]) -> u64 {
        let of = |part: &Part| match part {
            Part::FanOut => self.fan_out[1],
            Part::Throughput | Part::Acknowledged | Part::Topics => self.subscribers,
            Part::WatchLists => self.lists,
            Part::Latency => self.latency.map(|(subscribers, _)| subscribers)[2],
            Part::Stalled => self.stalled.subscribers,
            Part::Laggards => self.laggards.subscribers + self.laggards.laggards,
            // The probe's own are in its rings, whose tables need not hold all.
            Part::Crowd => 0,
            Part::Memory => self.memory.others_max.min(self.memory.many) as usize,
            Part::Storm => self.storm.subscribers + self.storm.churners,
        };
        let most = parts.iter().map(of).max().unwrap_or(0);
        most as u64 + DESCRIPTORS_BESIDE
    }
}
