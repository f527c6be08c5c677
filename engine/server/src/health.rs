//! Whether the engine is well and may be sent clients, as its cores leave word of it.
//!
//! Cores only store: when they ended a turn, when the feed said something. Whoever asks
//! loads, compares with the time, and says what is wrong in sentences. All loads and stores
//! are relaxed: nothing else is read on the strength of them.

use crate::settings::Settings;
use nix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Instead of a time: the executor sleeps until it has something to do, or has not begun.
const ASLEEP: u64 = u64::MAX;

/// Nanoseconds of the clock that never jumps (`CLOCK_MONOTONIC`).
pub(crate) fn monotonic_nanos() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    let (seconds, nanos) = (time.tv_sec(), time.tv_nsec());
    u64::try_from(seconds).unwrap_or(0) * NANOS_PER_SECOND + u64::try_from(nanos).unwrap_or(0)
}

/// What an executor leaves word by. A cache line pair of its own: it is stored to in
/// every turn.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Pulse {
    name: String,
    turned_nanos: AtomicU64,
}

impl Pulse {
    /// A turn begins now, at this time of [`monotonic_nanos`].
    #[inline]
    pub(crate) fn turned(&self, now_nanos: u64) {
        self.turned_nanos.store(now_nanos, Relaxed);
    }

    /// It sleeps until it is woken; that takes as long as it takes.
    #[inline]
    pub(crate) fn sleeps(&self) {
        self.turned_nanos.store(ASLEEP, Relaxed);
    }
}

/// Where the engine is between start and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// It can't serve yet.
    Starting,
    /// It serves.
    Serving,
    /// It goes down.
    Draining,
}

/// What the feed's edge leaves word by.
#[derive(Debug)]
#[repr(align(128))]
struct FeedPulse {
    heard_nanos: AtomicU64,
    /// 0 or 1.
    failed: AtomicU8,
}

/// Everything that health is judged by.
#[derive(Debug)]
pub(crate) struct Health {
    pulses: Vec<Arc<Pulse>>,
    phase: AtomicU8,
    feed: FeedPulse,
    stall_nanos: AtomicU64,
    stale_nanos: AtomicU64,
}

impl Health {
    /// An engine that starts now, with executors of these names.
    pub(crate) fn new(executors: Vec<String>, settings: &Settings, now_nanos: u64) -> Self {
        let pulse = |name| {
            let turned_nanos = AtomicU64::new(ASLEEP);
            Arc::new(Pulse { name, turned_nanos })
        };
        let health = Self {
            pulses: executors.into_iter().map(pulse).collect(),
            phase: AtomicU8::new(Phase::Starting as u8),
            feed: FeedPulse {
                heard_nanos: AtomicU64::new(now_nanos),
                failed: AtomicU8::new(0),
            },
            stall_nanos: AtomicU64::new(0),
            stale_nanos: AtomicU64::new(0),
        };
        health.apply(settings);
        health
    }

    /// Judges by these settings from now on.
    pub(crate) fn apply(&self, settings: &Settings) {
        let stall_nanos = u64::from(settings.cores.stall_millis) * NANOS_PER_MILLI;
        self.stall_nanos.store(stall_nanos, Relaxed);
        let stale_nanos = u64::from(settings.feed.stale_seconds) * NANOS_PER_SECOND;
        self.stale_nanos.store(stale_nanos, Relaxed);
    }

    /// What the executor of that number, in the order of their names, leaves word by.
    pub(crate) fn pulse(&self, executor: usize) -> Arc<Pulse> {
        Arc::clone(&self.pulses[executor])
    }

    /// It is here now.
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// The feed brought something, at this time of [`monotonic_nanos`].
    #[inline]
    pub(crate) fn feed_heard(&self, now_nanos: u64) {
        self.feed.heard_nanos.store(now_nanos, Relaxed);
    }

    /// The feed is broken, or well again; why is in the log.
    pub(crate) fn set_feed_failed(&self, failed: bool) {
        self.feed.failed.store(failed.into(), Relaxed);
    }

    /// What is wrong with the process, a sentence each; somebody who sees something here
    /// restarts it.
    pub(crate) fn ills(&self, now_nanos: u64) -> Vec<String> {
        let stall_nanos = self.stall_nanos.load(Relaxed);
        let stalled = self.pulses.iter().filter_map(|pulse| {
            let turned_nanos = pulse.turned_nanos.load(Relaxed);
            let age_nanos = match turned_nanos {
                ASLEEP => 0,
                turned_nanos => now_nanos.saturating_sub(turned_nanos),
            };
            (age_nanos > stall_nanos).then(|| {
                format!(
                    "{} has been in one turn for {} ms; allowed are {} ms",
                    pulse.name,
                    age_nanos / NANOS_PER_MILLI,
                    stall_nanos / NANOS_PER_MILLI
                )
            })
        });
        stalled.collect()
    }

    /// Why no client should be sent here, a sentence each.
    pub(crate) fn hindrances(&self, now_nanos: u64) -> Vec<String> {
        let mut hindrances = self.ills(now_nanos);
        let phase = self.phase.load(Relaxed);
        if phase == Phase::Starting as u8 {
            hindrances.push("it is starting".into());
        }
        if phase == Phase::Draining as u8 {
            hindrances.push("it is draining".into());
        }
        if self.feed.failed.load(Relaxed) != 0 {
            hindrances.push("the feed has failed".into());
        }
        let stale_nanos = self.stale_nanos.load(Relaxed);
        let silent_nanos = now_nanos.saturating_sub(self.feed.heard_nanos.load(Relaxed));
        if stale_nanos > 0 && silent_nanos > stale_nanos {
            hindrances.push(format!(
                "the feed has been silent for {} s; allowed are {} s",
                silent_nanos / NANOS_PER_SECOND,
                stale_nanos / NANOS_PER_SECOND
            ));
        }
        hindrances
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    const START: u64 = 100 * NANOS_PER_SECOND;

    fn health(assignments: &[&str]) -> Health {
        let assignments: Vec<_> = assignments.iter().map(|&text| text.to_owned()).collect();
        let settings = Sources::default().after(&assignments).load().unwrap();
        let names = vec!["CPU 1 (ingest)".into(), "CPU 2 (shard 0)".into()];
        Health::new(names, &settings, START)
    }

    #[test]
    fn an_executor_that_stays_in_a_turn_is_named() {
        let health = health(&["cores.stall_millis=50"]);
        let later = START + 1_000 * NANOS_PER_SECOND;
        assert!(health.ills(later).is_empty(), "none has begun");
        health.pulse(0).turned(later);
        health.pulse(1).turned(later - 51 * NANOS_PER_MILLI);
        assert_eq!(
            health.ills(later),
            ["CPU 2 (shard 0) has been in one turn for 51 ms; allowed are 50 ms"]
        );
        health.pulse(1).sleeps();
        assert!(health.ills(later).is_empty());
        assert!(health.ills(later - 5).is_empty(), "it turned meanwhile");
    }

    #[test]
    fn readiness_follows_phase_and_feed() {
        let health = health(&["feed.kind=synthetic", "feed.stale_seconds=10"]);
        assert_eq!(health.hindrances(START), ["it is starting"]);
        health.set_phase(Phase::Serving);
        let silent = START + 11 * NANOS_PER_SECOND;
        assert!(health.hindrances(START + 10 * NANOS_PER_SECOND).is_empty());
        assert_eq!(
            health.hindrances(silent),
            ["the feed has been silent for 11 s; allowed are 10 s"]
        );
        health.feed_heard(silent);
        assert!(health.hindrances(silent).is_empty());
        health.set_feed_failed(true);
        health.set_phase(Phase::Draining);
        assert_eq!(
            health.hindrances(silent),
            ["it is draining", "the feed has failed"]
        );
        assert!(
            health.ills(silent).is_empty(),
            "that is no reason to restart"
        );
    }

    #[test]
    fn without_a_bound_a_feed_may_be_silent() {
        let health = health(&[]);
        health.set_phase(Phase::Serving);
        assert!(health.hindrances(u64::MAX - 1).is_empty());
    }
}
