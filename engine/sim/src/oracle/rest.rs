//! What must have come by the end, and what is missing before that.

use super::link::Link;
use super::log::Logged;
use super::session::Session;
use super::{Oracle, Seen, Verdict};
use crate::network::SocketId;
use crate::topics::{Policy, TOPICS};
use std::collections::BTreeSet;

/// At the end, when all that could happen has happened.
impl Oracle {
    /// Nothing is missing that must not be.
    ///
    /// # Errors
    /// What is.
    pub fn at_rest(&self, seen: impl Fn(usize) -> Seen) -> Verdict {
        for link in self.links.values() {
            if link.causes.fault && !link.is_closed {
                return Err(format!("{link}: its fault has no consequence"));
            }
            if let Some(shard) = link.shard {
                self.has_had_its_will(link, seen(shard).now_nanos)
                    .map_err(|what| format!("{link}: {what}"))?;
            }
            if !link.is_served() || link.is_unknown {
                continue;
            }
            let name = link;
            if !link.requests.is_empty() || link.pings > 0 || !link.unacknowledged.is_empty() {
                let (requests, own) = (&link.requests, &link.unacknowledged);
                return Err(format!("{name}: {requests:?} or {own:?} without an answer"));
            }
            if !link.rest.is_empty() {
                return Err(format!("{name}: half a packet"));
            }
            if link.is_any_on_its_way(link.drafts.len()) {
                return Err(format!("{name}: what it published is lost"));
            }
            let seen = seen(link.shard.expect("it is served"));
            self.nothing_is_missing(link, seen)
                .map_err(|what| format!("{name}: {what}"))?;
        }
        let shards = self.links.values().filter_map(|link| link.shard);
        let seen: Vec<_> = shards
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(seen)
            .collect();
        let has_forgotten = seen.iter().any(|seen| seen.has_forgotten);
        match seen.first() {
            Some(_) if !has_forgotten => {
                self.shares_at_rest(seen.iter().map(|seen| seen.untaken).sum())
            }
            _ => Ok(()),
        }
    }

    fn nothing_is_missing(&self, link: &Link, seen: Seen) -> Verdict {
        let session = &self.sessions[link.session];
        for (number, topic) in TOPICS.iter().enumerate() {
            let numbers = self.log.of_topic(number);
            let readers = &session.readers[number];
            for (qos, reader) in (0..).zip(readers) {
                let left = &numbers[reader.checked..];
                if let Some(missing) = self.missing(link, session, left, qos, seen) {
                    let name = topic.name;
                    return Err(format!(
                        "message {missing} on {name} is missing at QoS {qos}"
                    ));
                }
            }
            let is_due = |sequence: &&u64| {
                let message = self.log.at(**sequence);
                let held = session.subscriptions.iter();
                let mut held = held.filter(|one| one.given_up.is_none());
                let is_own = self.is_own(link, message);
                **sequence > link.connected
                    && held.any(|one| one.must_bring(message, is_own))
                    && session.must_get(message, is_own) == Some(0)
            };
            // The last value is what it is, also for whom it is too large or too old.
            let can_come =
                |sequence: &&u64| self.is_deliverable(link, self.log.at(**sequence), seen);
            let last = readers
                .iter()
                .map(|reader| reader.last.max(reader.retained_last));
            let last = last.max().unwrap_or(0);
            if topic.policy == Policy::Latest
                && !seen.has_forgotten
                && let Some(newest) = numbers.iter().rev().take_while(can_come).find(is_due)
                && *newest > last
            {
                return Err(format!(
                    "message {newest}, the newest on {}, never came after {last}",
                    topic.name
                ));
            }
        }
        let is_due = |(sequence, socket): &(&u64, &SocketId)| {
            let message = self.log.at(**sequence);
            **socket != link.socket
                && message.expires_micros == 0
                && self.is_deliverable(link, message, seen)
        };
        if let Some((sequence, _)) = session.open.iter().find(is_due) {
            return Err(format!("message {sequence} was not sent again"));
        }
        if seen.has_forgotten {
            return Ok(());
        }
        let held = session
            .subscriptions
            .iter()
            .filter(|one| one.given_up.is_none());
        for subscription in held {
            for sequence in session.retained_due(&self.log, subscription) {
                let message = self.log.at(sequence);
                let is_own = self.is_own(link, message);
                let readers = session.readers[message.draft.topic].iter();
                let is_there = readers.map(|reader| reader.retained_last).max() >= Some(sequence)
                    || subscription.granted < link.connected
                    || (link.is_resumed && subscription.granted == link.connected)
                    || session.is_unanswered(&subscription.request.filter)
                    || (is_own && subscription.request.no_local)
                    || self.log.retained_at(message.draft.topic, u64::MAX) > Some(sequence)
                    || !self.is_deliverable(link, message, seen);
                if !is_there {
                    return Err(format!(
                        "the retained message {sequence} never came to {subscription:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The first of these messages that had to come at this QoS, if one of them did.
    pub(super) fn missing(
        &self,
        link: &Link,
        session: &Session,
        numbers: &[u64],
        qos: u8,
        seen: Seen,
    ) -> Option<u64> {
        numbers.iter().copied().find(|sequence| {
            let message = self.log.at(*sequence);
            let topic = message.draft.topic;
            // At QoS 1 and 2 all classes are alike, and nothing is lost with a connection.
            let may_miss = qos == 0
                && (*sequence <= link.connected
                    || TOPICS[topic].policy != Policy::All && link.is_slow(seen)
                    // Without room a private message at QoS 0 is not kept for anybody.
                    || TOPICS[topic].name.starts_with("user/") && self.was_starved(link, *sequence));
            let is_unclear = session.readers[topic]
                .iter()
                .any(|reader| reader.unclear.contains(sequence));
            // By which subscription it came, and at which QoS, nobody can tell while the answer
            // waits.
            let mut unanswered = link.requests.iter().chain(&session.unanswered);
            let is_changing = unanswered
                .any(|asked| asked.at < *sequence && asked.what.is_about(TOPICS[topic].name));
            !may_miss
                && !is_changing
                && !is_unclear
                && session.must_get(message, self.is_own(link, message)) == Some(qos)
                && self.is_deliverable(link, message, seen)
        })
    }

    /// Whether a connection's shard had no memory for messages when it read one.
    fn was_starved(&self, link: &Link, sequence: u64) -> bool {
        let mut starved = self.starved.iter();
        starved.any(|(shard, read)| link.shard == Some(*shard) && read.contains(&sequence))
    }

    /// Whether a client published a message itself.
    pub(super) fn is_own(&self, link: &Link, message: &Logged) -> bool {
        let is_named = message.draft.client_id == link.client_id;
        message.draft.from == Some(link.socket) || (message.draft.from.is_some() && is_named)
    }

    /// Whether a message can be delivered to a client at all: it is not private, not too
    /// large and not too old.
    pub(super) fn is_deliverable(&self, link: &Link, message: &Logged, seen: Seen) -> bool {
        let topic = TOPICS[message.draft.topic].name;
        let size =
            7 + 11 + 5 * 8 + topic.len() + message.draft.block.len() + message.draft.payload.len();
        // What was too large for an earlier connection is as if it had been sent on it.
        size <= self.sessions[link.session].packet_bytes_max
            && (message.expires_micros == 0 || message.expires_micros > seen.wall_micros)
    }
}
