//! A session as a client knows it: what it subscribed to, and what it got.
//!
//! When a subscription begins and ends is known from both sides: not before it was asked
//! for, and not after it was answered. What lies between may be delivered, and need not.

use super::link::{Asked, What};
use super::log::{Log, Logged};
use super::shares::is_shared;
use crate::network::SocketId;
use crate::topics::TOPICS;
use ringcast_referee::packet::Request;
use ringcast_referee::topic;
use std::collections::{BTreeMap, BTreeSet};

/// One client's.
#[derive(Debug)]
pub struct Session {
    /// All it ever subscribed to.
    pub subscriptions: Vec<Subscription>,
    /// By topic and the QoS of delivery.
    pub readers: Vec<[Reader; 3]>,
    /// What was sent at QoS 1 or 2.
    pub sent: BTreeSet<u64>,
    /// What of that its client has not acknowledged, and the connection that it was last
    /// sent on.
    pub open: BTreeMap<u64, SocketId>,
    /// The packet identifiers that it was sent under.
    pub ids: BTreeMap<u16, u64>,
    /// The largest packet that each of its connections took.
    pub packet_bytes_max: usize,
    /// Nobody knows all that it is subscribed to.
    pub is_unknown: bool,
    /// What was asked for on connections that ended before it was answered.
    pub unanswered: Vec<Asked>,
}

/// A subscription, from the SUBACK that granted it.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// As it was asked for.
    pub request: Request,
    /// The QoS that was granted.
    pub qos: u8,
    /// Its identifier; 0 if it has none.
    pub identifier: u32,
    /// Messages up to this number are from before it.
    pub asked: u64,
    /// Messages after this number are its own.
    pub granted: u64,
    /// The same for one of this filter without a gap before it.
    pub held_since: u64,
    /// Messages up to this number are still its own.
    pub given_up: Option<u64>,
    /// Messages after this number are from after it.
    pub gone: Option<u64>,
    /// The topics whose retained messages it got.
    pub replayed: BTreeSet<usize>,
    /// Whether it gets retained messages.
    pub replays: bool,
}

/// What of a subscription makes the messages differ that it brings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The filter.
    pub filter: String,
    /// The QoS that was granted.
    pub qos: u8,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Its identifier.
    pub identifier: u32,
}

/// How far a client is in a topic.
#[derive(Debug, Default, Clone)]
pub struct Reader {
    /// The last message that it got as it came.
    pub last: u64,
    /// The last one with RETAIN that it got, one way or the other.
    pub retained_last: u64,
    /// What came with RETAIN, as it was published or as what is retained: nobody knows.
    pub unclear: BTreeSet<u64>,
    /// How many messages of the topic were looked at: they came, or need not.
    pub checked: usize,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            subscriptions: Vec::new(),
            readers: vec![Default::default(); TOPICS.len()],
            sent: BTreeSet::new(),
            open: BTreeMap::new(),
            ids: BTreeMap::new(),
            packet_bytes_max: usize::MAX,
            is_unknown: false,
            unanswered: Vec::new(),
        }
    }
}

impl Subscription {
    /// One that was asked for, with this identifier, when the log ended there, and not
    /// answered yet.
    #[must_use]
    pub fn asked_for(request: &Request, identifier: u32, asked: u64) -> Self {
        Self {
            request: request.clone(),
            qos: request.qos,
            identifier,
            asked,
            granted: u64::MAX,
            held_since: u64::MAX,
            given_up: None,
            gone: None,
            replayed: BTreeSet::new(),
            replays: true,
        }
    }

    fn matches(&self, message: &Logged, is_own: bool) -> bool {
        let name = TOPICS[message.draft.topic].name;
        let filter = &self.request.filter;
        // Whoever may have them has named them; and groups are looked at by themselves.
        let is_private = name.starts_with("user/");
        let is_hidden = is_shared(filter) || (is_private && !filter.starts_with("user/"));
        !is_hidden && topic::matches(filter, name) && !(is_own && self.request.no_local)
    }

    /// Whether a message can be delivered because of it.
    #[must_use]
    pub fn may_bring(&self, message: &Logged, is_own: bool) -> bool {
        self.matches(message, is_own)
            && message.sequence > self.asked
            && self.gone.is_none_or(|gone| message.sequence <= gone)
    }

    /// Whether a message has to be delivered because of it.
    #[must_use]
    pub fn must_bring(&self, message: &Logged, is_own: bool) -> bool {
        self.matches(message, is_own) && self.surely_holds(message.sequence)
    }

    /// Whether it is in force when a message with this number comes.
    #[must_use]
    pub fn surely_holds(&self, sequence: u64) -> bool {
        sequence > self.held_since && self.given_up.is_none_or(|last| sequence <= last)
    }

    /// Whether it is this one, and no other of its filter, that a message is delivered by.
    #[must_use]
    pub fn surely_brings(&self, message: &Logged, is_own: bool) -> bool {
        self.must_bring(message, is_own) && message.sequence > self.granted
    }
}

impl Session {
    /// The QoS at which a message has to be delivered, if it has to, and if that is known.
    #[must_use]
    pub fn must_get(&self, message: &Logged, is_own: bool) -> Option<u8> {
        let qos = |one: &Subscription| one.qos.min(message.draft.qos);
        let all = self.subscriptions.iter();
        let must = all.clone().filter(|one| {
            one.must_bring(message, is_own) && !self.is_unanswered(&one.request.filter)
        });
        let may = all
            .filter(|one| one.may_bring(message, is_own))
            .map(qos)
            .max();
        must.map(qos).max().filter(|must| may == Some(*must))
    }

    /// Whether nobody knows what became of the last request about a filter.
    #[must_use]
    pub fn is_unanswered(&self, filter: &str) -> bool {
        self.unanswered.iter().any(|asked| match &asked.what {
            What::Subscribe(requests, _) => requests.iter().any(|one| one.filter == filter),
            What::Unsubscribe(filters) => filters.iter().any(|one| one == filter),
        })
    }

    /// All that it is subscribed to, in an order that depends on nothing else.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let all = self.subscriptions.iter();
        let mut held: Vec<_> = all
            .filter(|one| one.given_up.is_none())
            .map(|one| Held {
                filter: one.request.filter.clone(),
                qos: one.qos,
                no_local: one.request.no_local,
                retain_as_published: one.request.retain_as_published,
                identifier: one.identifier,
            })
            .collect();
        held.sort();
        held
    }

    /// How many filters it is subscribed to.
    #[must_use]
    pub fn filters(&self) -> usize {
        let all = self.subscriptions.iter();
        all.filter(|one| one.given_up.is_none()).count()
    }

    /// A subscription is granted, after one of the same filter if there is any.
    pub fn grant(&mut self, mut subscription: Subscription) {
        let before = self.subscriptions.iter_mut().find(|one| {
            one.given_up.is_none() && one.request.filter == subscription.request.filter
        });
        let is_new = before.is_none();
        if let Some(before) = before {
            before.given_up = Some(subscription.asked);
            before.gone = Some(subscription.granted);
            let is_alike = before.request.no_local == subscription.request.no_local;
            if is_alike && before.qos == subscription.qos {
                subscription.held_since = before.held_since;
            }
        }
        subscription.replays = match subscription.request.retain_handling {
            0 => true,
            // It may have been given up by a request whose answer never came.
            1 => is_new || self.is_unanswered(&subscription.request.filter),
            _ => false,
        };
        self.subscriptions.push(subscription);
    }

    /// A subscription was given up when the log ended at `asked`, and it was answered when
    /// it had been read up to `gone`. Returns whether there was one.
    pub fn give_up(&mut self, filter: &str, asked: u64, gone: u64) -> bool {
        let held = self
            .subscriptions
            .iter_mut()
            .find(|one| one.given_up.is_none() && one.request.filter == filter);
        let Some(held) = held else {
            return false;
        };
        held.given_up = Some(asked);
        held.gone = Some(gone);
        true
    }

    /// The topics of which a subscription has to bring the retained message, if it is the
    /// same all the time that the subscription can have begun in.
    pub fn retained_due<'a>(
        &'a self,
        log: &'a Log,
        subscription: &'a Subscription,
    ) -> impl Iterator<Item = u64> + 'a {
        (0..TOPICS.len()).filter_map(|topic| {
            let then = log.retained_at(topic, subscription.asked)?;
            let is_same = log.retained_at(topic, subscription.granted) == Some(then);
            let message = log.at(then);
            let is_due = is_same
                && subscription.replays
                && topic::matches(&subscription.request.filter, TOPICS[topic].name)
                && !message.draft.payload.is_empty()
                && message.expires_micros == 0
                && !subscription.replayed.contains(&topic);
            is_due.then_some(then)
        })
    }
}
