//! Everything that must have happened in a run of many seeds, and how often it did.
//!
//! A fault that is never injected and a change that never comes prove nothing, so each has
//! a count, and [`Counts::never`] names those that are still zero.

use std::fmt;

macro_rules! kinds {
    ($($variant:ident $group:ident $name:literal)*) => {
        /// Something that happens.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $name] $variant,)*
        }

        impl Kind {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, as the command line and reports have it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it belongs to.
            #[must_use]
            pub const fn group(self) -> Group {
                match self { $(Self::$variant => Group::$group),* }
            }
        }
    };
}

/// What a kind belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The world is unkind.
    Fault,
    /// Somebody does something.
    Action,
    /// How somebody is served changes, or why somebody is served no more.
    Change,
}

kinds! {
    ShortSend Fault "short-send"
    WouldBlock Fault "would-block"
    SplitRead Fault "split-read"
    EmptyRead Fault "empty-read"
    HiddenInput Fault "hidden-input"
    LateEvent Fault "late-event"
    ReorderedEvents Fault "reordered-events"
    StaleEvent Fault "stale-event"
    InputLost Fault "input-lost"
    TableFull Fault "table-full"
    DoorFull Fault "door-full"
    LateTurn Fault "late-turn"
    StalledShard Fault "stalled-shard"
    UplinkFull Fault "uplink-full"
    RingFull Fault "ring-full"
    TapLapped Fault "tap-lapped"
    ProducerDied Fault "producer-died"

    Connect Action "connect"
    Subscribe Action "subscribe"
    Unsubscribe Action "unsubscribe"
    Publish Action "publish"
    Ping Action "ping"
    Stall Action "stall"
    GoOn Action "go-on"
    Leave Action "leave"
    HalfClose Action "half-close"
    Reset Action "reset"
    Die Action "die"
    Odd Action "odd"
    Garbage Action "garbage"
    Settings Action "settings"
    Drain Action "drain"
    Feed Action "feed"

    CohortKept Change "cohort-taken-along"
    CohortJoined Change "cohort-joined"
    CohortFounded Change "cohort-founded"
    CohortOwn Change "cohort-of-its-own"
    Apart Change "apart"
    Lag Change "lag"
    LagOver Change "lag-over"
    RoutingPaused Change "routing-paused"
    Replay Change "retained-replayed"
    Conflated Change "conflated"
    Logged Change "delivered-in-lag"
    Dropped Change "dropped"
    Oversize Change "oversize"
    Expired Change "expired"
    Will Change "will-published"
    WillCalledOff Change "will-called-off"
    Resumed Change "session-resumed"
    Again Change "sent-again"
    Shared Change "shared"
    Redirected Change "redirected"
    TakenOver Change "taken-over"
    KeepAlive Change "keep-alive-over"
    TooSlow Change "too-slow"
    Quota Change "quota"
    Refused Change "refused"
    SubscriptionRefused Change "subscription-refused"
    PublishRefused Change "publish-refused"
    Faulted Change "closed-for-a-fault"
    Drained Change "drained"
}

impl Kind {
    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// All of one group.
    pub fn of(group: Group) -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(move |kind| kind.group() == group)
    }
}

/// How often each kind happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts([u64; Kind::ALL.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Kind::ALL.len()])
    }
}

impl Counts {
    /// It happened.
    pub fn count(&mut self, kind: Kind) {
        self.add(kind, 1);
    }

    /// It happened so many times.
    pub fn add(&mut self, kind: Kind, times: u64) {
        self.0[kind as usize] += times;
    }

    /// It had happened so many times by now.
    pub fn set(&mut self, kind: Kind, times: u64) {
        self.0[kind as usize] = times;
    }

    /// How often it did.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: &Self) {
        for (count, other) in self.0.iter_mut().zip(other.0) {
            *count += other;
        }
    }

    /// What never happened.
    #[must_use]
    pub fn never(&self) -> Vec<Kind> {
        let all = Kind::ALL.iter().copied();
        all.filter(|kind| self.of(*kind) == 0).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in [Group::Fault, Group::Action, Group::Change] {
            write!(out, "{group:?}s:")?;
            for kind in Kind::of(group) {
                write!(out, " {} {}", kind.name(), self.of(kind))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}
