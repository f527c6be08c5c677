//! What is asked of a server.

use super::dialect::Dialect;
use super::traffic::Interest;
use crate::report::What;
use std::collections::BTreeMap;

/// Who subscribes to what, and how messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workload {
    /// How many subscribers there are that read.
    pub(crate) subscribers: usize,
    /// How many there are beside them that never read.
    pub(crate) laggards: usize,
    /// What all of them want.
    pub(crate) interest: Interest,
    /// Whether all goes at QoS 1, from the publisher to the subscribers.
    pub(crate) is_acknowledged: bool,
    /// Bytes of each message, without the protocol's head.
    pub(crate) payload_bytes: usize,
    /// How messages follow each other.
    pub(crate) pace: Pace,
}

/// How messages follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Each is published when all subscribers have the one before.
    OneByOne,
    /// As many as go, while at most so many are not yet with all subscribers.
    Outstanding(u64),
    /// So many each second, whatever happens: a late one counts from when it was due.
    PerSecond(u64),
}

impl Workload {
    /// Subscribers that all read.
    pub(crate) const fn new(
        subscribers: usize,
        interest: Interest,
        payload_bytes: usize,
        pace: Pace,
    ) -> Self {
        Self {
            subscribers,
            laggards: 0,
            interest,
            is_acknowledged: false,
            payload_bytes,
            pace,
        }
    }

    /// How many connections a server has with it, the publisher's included.
    pub(crate) fn connections(&self) -> usize {
        self.subscribers + self.laggards + 1
    }

    /// How a server that speaks this is spoken to.
    pub(crate) fn dialect(&self, spoken: Dialect) -> Dialect {
        match self.is_acknowledged {
            true => spoken.acknowledged(),
            false => spoken,
        }
    }

    /// How it is told, whoever lags beside it, and whether or not it is acknowledged.
    pub(crate) fn what(&self) -> What {
        let Self {
            subscribers,
            payload_bytes,
            ..
        } = *self;
        let plural = if subscribers == 1 { "" } else { "s" };
        let (who, topics) = match self.interest {
            Interest::Topic => (format!("{subscribers} subscriber{plural}"), None),
            Interest::Wildcard { topics: 1 } => (format!("{subscribers} of a wildcard"), Some(1)),
            Interest::Wildcard { topics } => {
                let who = format!("{subscribers} of a wildcard, {topics} topics");
                (who, Some(topics))
            }
            Interest::WatchLists { topics, each } => {
                let who = format!("{subscribers} lists, {each} of {topics} topics");
                (who, Some(topics))
            }
        };
        let (how, parameter) = match self.pace {
            Pace::OneByOne => ("one by one".to_owned(), None),
            Pace::Outstanding(window) => (
                format!("{window} outstanding"),
                Some(("outstanding", window)),
            ),
            Pace::PerSecond(rate) => (format!("{rate} a second"), Some(("per_second", rate))),
        };
        let mut parameters = BTreeMap::from([
            ("subscribers", subscribers as u64),
            ("payload_bytes", payload_bytes as u64),
        ]);
        parameters.extend(parameter);
        parameters.extend(topics.map(|topics| ("topics", topics.into())));
        What {
            what: format!("{who}, {how}, {payload_bytes} B"),
            parameters,
        }
    }
}
