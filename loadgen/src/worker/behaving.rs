//! What personas do at times of their own: read later, read little, reset, come again.

use crate::chance::Chance;
use crate::crowd::{Crowd, State};
use crate::quantity::Span;
use crate::scenario::Behaviour;
use ringcast_wire::ConnectionKey;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// What is to be done later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Later {
    Read,
    Reset,
    ComeAgain,
}

/// What is to be done when.
#[derive(Debug)]
pub(super) struct Timers {
    due: BinaryHeap<Reverse<(u64, ConnectionKey, Later)>>,
    /// Until when clients who read slowly have read enough.
    sated: HashMap<u32, u64>,
    chance: Chance,
}

/// Who was thrown out comes again after this.
const AGAIN_AFTER: Span = Span::from_secs(1);

impl Timers {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            due: BinaryHeap::new(),
            sated: HashMap::new(),
            chance: Chance::new(seed),
        }
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    /// What is due by now.
    pub(super) fn take_due(&mut self, now: u64) -> Option<(ConnectionKey, Later)> {
        let Reverse((at, key, later)) = *self.due.peek()?;
        if at > now {
            return None;
        }
        self.due.pop();
        Some((key, later))
    }

    fn at(&mut self, at: u64, key: ConnectionKey, later: Later) {
        self.due.push(Reverse((at, key, later)));
    }

    pub(super) fn come_again(&mut self, key: ConnectionKey, now: u64) {
        self.at(now + AGAIN_AFTER.nanos(), key, Later::ComeAgain);
    }

    /// A connection has begun: perhaps it is going to be reset.
    pub(super) fn on_connected(&mut self, crowd: &Crowd, index: u32, now: u64) {
        if let Some(Behaviour::Weak { reset_every, .. }) = crowd.behaviour(index)
            && !reset_every.is_zero()
        {
            // At any time equally likely, so often on average.
            let wait = -(1.0 - self.chance.fraction()).ln() * reset_every.nanos() as f64;
            self.at(now + wait as u64, crowd.client(index).key, Later::Reset);
        }
    }

    /// There is something to be read: whether that is to happen now. Else it does later,
    /// or never.
    pub(super) fn may_read(&mut self, crowd: &Crowd, index: u32, now: u64) -> bool {
        let client = crowd.client(index);
        if client.state != State::Ready {
            return true;
        }
        let at = match crowd.behaviour(index) {
            None | Some(Behaviour::HalfOpen | Behaviour::Garbage) => return true,
            Some(Behaviour::Stalled) => return false,
            Some(Behaviour::Slow { .. }) => match self.sated.get(&index) {
                Some(&until) if until > now => until,
                _ => return true,
            },
            Some(&Behaviour::Weak {
                delay,
                jitter,
                stall_every,
                stall_for,
                ..
            }) => {
                let jitter = (self.chance.fraction() * jitter.nanos() as f64) as u64;
                let at = now + delay.nanos() + jitter;
                match at.checked_rem(stall_every.nanos()) {
                    Some(into) if into < stall_for.nanos() => at - into + stall_for.nanos(),
                    _ => at,
                }
            }
        };
        self.at(at, client.key, Later::Read);
        false
    }

    /// So much was read: who reads slowly has enough for a while. Whether it may go on
    /// with what is left.
    pub(super) fn may_go_on(
        &mut self,
        crowd: &Crowd,
        index: u32,
        bytes: usize,
        more: bool,
        now: u64,
    ) -> bool {
        match crowd.behaviour(index) {
            Some(&Behaviour::Slow { bytes_per_second })
                if crowd.client(index).state == State::Ready =>
            {
                let rest = bytes as u64 * 1_000_000_000 / u64::from(bytes_per_second.max(1));
                self.sated.insert(index, now + rest);
                if more {
                    self.at(now + rest, crowd.client(index).key, Later::Read);
                }
                false
            }
            _ => more,
        }
    }
}
