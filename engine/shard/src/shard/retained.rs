//! Retained messages for a new subscription: a cursor over all topics, that moves on as the
//! socket takes bytes.
//!
//! It remembers which message was routed last when the subscription was made: of topics
//! that changed since, the stream has the change.

use super::{OUTBOX_FILL, Shard};
use crate::cohorts::Terms;
use crate::connections::CursorId;
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
    /// Behind the last one.
    end: u32,
    /// Messages up to this one are older than the subscription.
    sequence: u64,
    /// That of the subscription made next by the same connection.
    next: Option<CursorId>,
}

impl<Pass> Shard<Pass> {
    /// Whether another subscription can get its retained messages.
    pub(super) fn has_retained_room(&self) -> bool {
        self.retained.len() < CURSORS_MAX
    }

    /// A connection, which is apart at the end of what was routed, gets the retained
    /// messages that match.
    pub(super) fn send_retained(&mut self, index: u32, filter: TopicFilter<'_>, terms: Terms) {
        let at = match filter.has_wildcards() {
            true => 0,
            // The one topic that it is, if it is known.
            false => match self.routes.topic_named(filter.as_str().as_bytes()) {
                Some(TopicId(topic)) => topic,
                None => return,
            },
        };
        let number = self.retained.insert(RetainedCursor {
            filter: filter.as_str().into(),
            terms,
            at,
            end: match filter.has_wildcards() {
                true => u32::MAX,
                false => at + 1,
            },
            sequence: self.routing.sequence,
            next: None,
        });
        let id = CursorId::new(number as u32 + 1);
        let mut last = None;
        let mut next = self.connections.at(index).retained;
        while let Some(cursor) = next {
            last = Some(cursor);
            next = self.cursor(cursor).next;
        }
        match last {
            Some(last) => self.cursor_mut(last).next = id,
            None => self.connections.at_mut(index).retained = id,
        }
        let key = self.connections.at(index).key;
        self.list(key);
    }

    /// Fills the outbox with retained messages. Returns whether it has all of them.
    pub(super) fn fill_from_retained(&mut self, index: u32) -> bool {
        let mut left = TOPICS_MAX;
        while let Some(id) = self.connections.at(index).retained {
            let RetainedCursor {
                at,
                end,
                sequence,
                terms,
                ..
            } = *self.cursor(id);
            if at >= end.min(self.values.end()) {
                let cursor = self.retained.remove(id.get() as usize - 1);
                self.connections.at_mut(index).retained = cursor.next;
                continue;
            }
            if left == 0 || self.connections.at(index).outbox.len() >= OUTBOX_FILL {
                return false;
            }
            left -= 1;
            self.cursor_mut(id).at += 1;
            if let Some(message) = self.values.retained(TopicId(at))
                && self.store.about(message).sequence <= sequence
                && self.matches_filter(id, message)
            {
                self.send_retained_one(index, message, terms);
            }
        }
        true
    }

    fn matches_filter(&mut self, id: CursorId, message: StoredId) -> bool {
        let cursor = &self.retained[id.get() as usize - 1];
        let parts = self.store.read(message, &mut self.message);
        let filter = TopicFilter::new(&cursor.filter).expect("was checked when it came");
        let topic = TopicName::from_bytes(parts.topic);
        topic.is_ok_and(|topic| filter.matches(topic))
    }

    fn send_retained_one(&mut self, index: u32, message: StoredId, terms: Terms) {
        let about = self.store.about(message);
        if terms.no_local && self.is_own(index, about) {
            // [MQTT-3.8.3-3]
            return;
        }
        let is_over = about.expires_micros > 0 && about.expires_micros <= self.now.wall_micros();
        if is_over {
            // [MQTT-3.3.2-5]
            return;
        }
        let mut buffer = std::mem::take(&mut self.message);
        let parts = self.store.read(message, &mut buffer);
        let identifiers = Some(terms.identifier).filter(|identifier| *identifier > 0);
        // [MQTT-3.3.1-8], [MQTT3-3.3.1-8]
        self.deliver_alone(index, about, parts, true, identifiers.into_iter());
        self.message = buffer;
    }

    /// A connection is gone, and so are its cursors.
    pub(super) fn drop_retained(&mut self, index: u32) {
        while let Some(id) = self.connections.at_mut(index).retained.take() {
            let cursor = self.retained.remove(id.get() as usize - 1);
            self.connections.at_mut(index).retained = cursor.next;
        }
    }

    fn cursor(&self, id: CursorId) -> &RetainedCursor {
        &self.retained[id.get() as usize - 1]
    }

    fn cursor_mut(&mut self, id: CursorId) -> &mut RetainedCursor {
        &mut self.retained[id.get() as usize - 1]
    }
}
