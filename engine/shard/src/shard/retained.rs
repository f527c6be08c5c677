//! Retained messages for a new subscription: a cursor over all topics, that moves on as the
//! socket takes bytes.
//!
//! It remembers which message was routed last when the subscription was made: of topics
//! that changed since, the stream has the change.

use super::private::reaches;
use super::{OUTBOX_FILL, Shard};
use crate::cohorts::Terms;
use crate::deliveries::How;
use crate::sessions::{CursorId, Queued};
use crate::store::StoredId;
use crate::topics::TopicId;
use ringcast_codec::mqtt::{TopicFilter, TopicName};

/// Cursors at once. Whoever finds no room waits with its SUBSCRIBE.
pub(super) const CURSORS_MAX: usize = 65_536;

/// Topics that are looked at for one connection in one turn.
const TOPICS_MAX: u32 = 1_024;

/// One subscription's.
pub(super) struct RetainedCursor {
    filter: Box<str>,
    terms: Terms,
    /// The next topic to look at.
    at: u32,
    /// Messages up to this one are older than the subscription.
    sequence: u64,
}

impl RetainedCursor {
    /// Whether what it finds may have to be acknowledged.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.terms.qos > 0
    }
}

impl<Pass> Shard<Pass> {
    /// Whether another subscription can get its retained messages.
    pub(super) fn has_retained_room(&self) -> bool {
        self.retained.len() < CURSORS_MAX
    }

    /// A connection, which is apart at the end of what was routed, gets the retained
    /// messages that match.
    pub(super) fn send_retained(&mut self, index: u32, filter: TopicFilter<'_>, terms: Terms) {
        if self.values.retained_count() == 0 {
            return;
        }
        let id = self.connections.at(index).session;
        if filter.has_wildcards() {
            let number = self.retained.insert(RetainedCursor {
                filter: filter.as_str().into(),
                terms,
                at: 0,
                sequence: self.routing.sequence,
            });
            let cursor = CursorId::new(number as u32 + 1).expect("not zero");
            self.push_queued(id, Queued::Retained(cursor));
            return;
        }
        // The one topic that it is, if it is known.
        let topic = self.routes.topic_named(filter.as_str().as_bytes());
        let Some(message) = topic.and_then(|topic| self.values.retained(topic)) else {
            return;
        };
        let Some(how) = self.how_retained(index, message, terms) else {
            return;
        };
        match self.keep(message, how) {
            Some(delivery) => {
                self.push_queued(id, Queued::Message(delivery));
            }
            None => {
                self.counters.not_kept += 1;
                self.break_session(id);
            }
        }
    }

    /// Fills the outbox with what a cursor finds. Returns whether it has found all.
    pub(super) fn fill_from_retained(&mut self, index: u32, id: CursorId) -> bool {
        for _ in 0..TOPICS_MAX {
            let RetainedCursor {
                at,
                sequence,
                terms,
                ..
            } = *self.cursor(id);
            if at >= self.values.end() {
                return true;
            }
            if self.connections.at(index).outbox.len() >= OUTBOX_FILL {
                return false;
            }
            if let Some(message) = self.values.retained(TopicId(at))
                && self.store.about(message).sequence <= sequence
                && self.matches_filter(id, message)
                && let Some(how) = self.how_retained(index, message, terms)
            {
                if !self.has_quota(index, how.qos) {
                    return false;
                }
                self.send_stored(index, message, &how, None);
            }
            self.cursor_mut(id).at += 1;
        }
        false
    }

    fn matches_filter(&mut self, id: CursorId, message: StoredId) -> bool {
        let cursor = &self.retained[id.get() as usize - 1];
        let parts = self.store.read(message, &mut self.message);
        let filter = TopicFilter::new(&cursor.filter).expect("was checked when it came");
        let topic = TopicName::from_bytes(parts.topic);
        topic.is_ok_and(|topic| reaches(filter, topic))
    }

    /// How a client gets a retained message by a new subscription, if it does.
    fn how_retained(&self, index: u32, message: StoredId, terms: Terms) -> Option<How> {
        let about = self.store.about(message);
        if terms.no_local && self.is_own(index, about) {
            // [MQTT-3.8.3-3]
            return None;
        }
        let is_over = about.expires_micros > 0 && about.expires_micros <= self.now.wall_micros();
        if is_over {
            // [MQTT-3.3.2-5]
            return None;
        }
        let identifier = Some(terms.identifier).filter(|identifier| *identifier > 0);
        Some(How {
            qos: about.qos.min(terms.qos),
            // [MQTT-3.3.1-8], [MQTT3-3.3.1-8]
            retain: true,
            identifiers: identifier.into_iter().collect(),
            ..How::default()
        })
    }

    /// A cursor is not needed any more.
    pub(super) fn drop_cursor(&mut self, id: CursorId) {
        self.retained.remove(id.get() as usize - 1);
    }

    pub(super) fn cursor(&self, id: CursorId) -> &RetainedCursor {
        &self.retained[id.get() as usize - 1]
    }

    fn cursor_mut(&mut self, id: CursorId) -> &mut RetainedCursor {
        &mut self.retained[id.get() as usize - 1]
    }
}
