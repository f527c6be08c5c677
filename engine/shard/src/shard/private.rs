//! Private topics: what is under `user/{name}/` reaches that user's clients and nobody else.
//!
//! Their subscriptions are in no cohort. They are found by the user's name, and what they
//! get goes through the queues of their sessions.

use super::Shard;
use crate::cohorts::Terms;
use crate::deliveries::How;
use crate::sessions::SessionId;
use ringcast_codec::mqtt::{TopicFilter, TopicName};
use ringcast_ring::Message;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// The sessions with private subscriptions, by their users.
pub(super) type Private = BTreeMap<Box<str>, Vec<SessionId>>;

/// Whether a topic is private.
#[inline]
pub(super) fn is_private(topic: &[u8]) -> bool {
    topic.starts_with(b"user/")
}

/// Whether a filter may find private topics, whatever else it finds.
pub(super) fn is_of_user(filter: TopicFilter<'_>) -> bool {
    filter.levels().next() == Some("user")
}

/// Whether a filter may be subscribed to by this user, as far as private topics are
/// concerned: one that names them has to be the user's own.
pub(super) fn may_see(filter: TopicFilter<'_>, user: Option<&str>) -> bool {
    let mut levels = filter.levels();
    if levels.next() != Some("user") {
        return true;
    }
    let named = levels.next().filter(|name| !matches!(*name, "+" | "#"));
    named.is_some() && named == user
}

/// Whether a message on a topic reaches a subscription to this filter, which its client was
/// granted: one that begins with a wildcard finds nothing private.
pub(super) fn reaches(filter: TopicFilter<'_>, topic: TopicName<'_>) -> bool {
    filter.matches(topic) && (!is_private(topic.as_bytes()) || is_of_user(filter))
}

impl<Pass> Shard<Pass> {
    /// The terms of a private subscription, if there is one.
    pub(super) fn private_terms(&self, index: u32, filter: TopicFilter<'_>) -> Option<Terms> {
        let mut private = self.session(index).private().iter();
        let found = private.find(|(text, _)| **text == *filter.as_str());
        found.map(|(_, terms)| *terms)
    }

    /// Makes a private subscription, or changes it.
    pub(super) fn subscribe_private(&mut self, index: u32, filter: TopicFilter<'_>, terms: Terms) {
        let id = self.connections.at(index).session;
        let session = self.sessions.get_mut(id);
        let private = &mut session.more_mut().private;
        private.retain(|(text, _)| **text != *filter.as_str());
        private.push((filter.as_str().into(), terms));
        if let (1, Some(user)) = (private.len(), session.user.clone()) {
            let of_user = self.private.entry(user).or_default();
            if !of_user.contains(&id) {
                of_user.push(id);
            }
        }
    }

    /// Takes a private subscription back. `false` if there is none.
    pub(super) fn unsubscribe_private(&mut self, index: u32, filter: TopicFilter<'_>) -> bool {
        let id = self.connections.at(index).session;
        let private = &mut self.sessions.get_mut(id).more_mut().private;
        let before = private.len();
        private.retain(|(text, _)| **text != *filter.as_str());
        let is_gone = private.len() < before;
        if private.is_empty() {
            self.leave_private(id);
        }
        is_gone
    }

    /// A session has no private subscriptions any more.
    pub(super) fn leave_private(&mut self, id: SessionId) {
        let session = self.sessions.get(id);
        let Some(user) = session.user.as_deref() else {
            return;
        };
        if let Some(sessions) = self.private.get_mut(user) {
            sessions.retain(|session| *session != id);
            if sessions.is_empty() {
                self.private.remove(user);
            }
        }
    }

    /// A private message goes to its user's sessions.
    pub(super) fn route_private(&mut self, message: &Message<'_>) {
        let topic = TopicName::from_bytes(message.topic).expect("was checked");
        let user = topic.levels().nth(1).unwrap_or("");
        let Some(sessions) = self.private.get(user) else {
            return;
        };
        let sessions: SmallVec<[SessionId; 8]> = sessions.iter().copied().collect();
        for id in sessions {
            let session = self.sessions.get(id);
            let Some(how) = how_private(session.private(), topic, message) else {
                continue;
            };
            let is_here = session.connection().is_some();
            if is_here || how.qos > 0 {
                self.deliver_to(id, message, how);
            }
        }
    }
}

/// How a session with these subscriptions gets a message, if it does.
fn how_private(
    subscriptions: &[(Box<str>, Terms)],
    topic: TopicName<'_>,
    message: &Message<'_>,
) -> Option<How> {
    let mut found: Option<How> = None;
    for (filter, terms) in subscriptions {
        let filter = TopicFilter::new(filter).expect("was checked when it came");
        if !filter.matches(topic) {
            continue;
        }
        let how = found.get_or_insert_default();
        how.qos = how.qos.max(terms.qos);
        how.retain |= terms.retain_as_published && message.retain;
        if terms.identifier > 0 {
            how.identifiers.push(terms.identifier);
        }
    }
    let mut how = found?;
    how.qos = how.qos.min(message.qos);
    how.identifiers.sort_unstable();
    Some(how)
}

#[cfg(test)]
mod tests {
    use super::{may_see, reaches};
    use ringcast_codec::mqtt::{TopicFilter, TopicName};

    #[test]
    fn only_the_users_own_filters_name_private_topics() {
        let may = |filter, user| may_see(TopicFilter::new(filter).expect("is one"), user);
        for filter in ["user/ann", "user/ann/#", "user/ann/order/+"] {
            assert!(may(filter, Some("ann")), "{filter}");
            assert!(!may(filter, Some("bob")) && !may(filter, None), "{filter}");
        }
        for filter in ["user", "user/#", "user/+/order", "user/+"] {
            assert!(!may(filter, Some("ann")) && !may(filter, None), "{filter}");
        }
        for filter in ["#", "+/ann/#", "users/ann", "market/#"] {
            assert!(may(filter, None), "{filter}");
        }
        // Not even who is called like a wildcard.
        assert!(!may("user/+", Some("+")) && !may("user/#", Some("#")));
    }

    #[test]
    fn a_filter_that_begins_with_a_wildcard_finds_nothing_private() {
        let finds = |filter, topic| {
            let topic = TopicName::new(topic).expect("is one");
            reaches(TopicFilter::new(filter).expect("is one"), topic)
        };
        for filter in ["#", "+/ann/#", "+/+/order"] {
            assert!(!finds(filter, "user/ann/order"), "{filter}");
            assert!(finds(filter, "users/ann/order"), "{filter}");
        }
        assert!(finds("user/ann/#", "user/ann/order"));
        assert!(finds("#", "user") && finds("#", "users"));
    }
}
