//! Shared subscriptions: of each message one member of each group gets one (section 4.8.2).
//!
//! Their topics are theirs alone in the simulated world, so that what comes there came by a
//! group; by which of those that match nobody can tell, so they are counted.

use super::link::{Link, NO_SESSION, State};
use super::log::Logged;
use super::session::{Session, Subscription};
use super::{Oracle, Seen, Verdict};
use crate::kind::Kind;
use crate::network::SocketId;
use crate::topics::{self, TOPICS};
use ringcast_referee::packet::{Publish, Request};
use ringcast_referee::topic::matches;
use std::collections::{BTreeMap, BTreeSet};

/// What members of groups got.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// All groups that anybody ever asked for, and the names of those who did.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// By the numbers of their messages.
    copies: BTreeMap<u64, Vec<Copy>>,
}

/// A message as a member got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Copy {
    session: usize,
    /// The connection that it was last sent on.
    socket: SocketId,
    qos: u8,
}

impl Shares {
    /// A client asks for these.
    pub(super) fn on_request(&mut self, client_id: &str, requests: &[Request]) {
        for request in requests.iter().filter(|request| is_shared(&request.filter)) {
            let names = self.groups.entry(request.filter.clone()).or_default();
            names.insert(client_id.to_owned());
        }
    }

    fn groups_of(&self, topic: usize) -> impl Iterator<Item = &String> {
        let name = TOPICS[topic].name;
        self.groups.keys().filter(move |group| matches(group, name))
    }
}

/// Up to which message a group that had a member when this one came has had one all the time,
/// if these members were surely there.
fn last_with_a_member(mut sure: Vec<(u64, u64)>, sequence: u64) -> Option<u64> {
    sure.sort_unstable();
    let mut last = None;
    for (since, until) in sure {
        let at = last.unwrap_or(sequence);
        if since < at && until >= at {
            last = Some(until);
        }
    }
    last
}

/// Whether a filter is that of a group.
pub(super) fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}

impl Oracle {
    /// A message of a group: its client is a member, and nobody else has it.
    pub(super) fn on_shared(
        &mut self,
        link: &mut Link,
        publish: &Publish,
        topic: usize,
        whole: &[u8],
        seen: Seen,
    ) -> Verdict {
        let said = self.log.saying(topic, &publish.payload);
        let sequence = said.ok_or("nobody has published this")?;
        let session = &self.sessions[link.session];
        let is_again = publish.dup && session.sent.contains(&sequence);
        if publish.dup && link.is_unknown {
            // Nobody knows to which connection it came before.
            return Ok(());
        }
        if publish.dup && !is_again && !link.is_resumed {
            return Err(format!("message {sequence} was not sent before"));
        }
        if publish.retain {
            return Err("a group gets nothing as retained".to_owned());
        }
        let message = self.log.at(sequence);
        self.check_time(link, message, seen)?;
        if !link.is_unknown {
            let pending = link.pending(&session.unanswered, self.abilities.qos_max);
            let mut ways = session.subscriptions.iter().chain(&pending).filter(|one| {
                is_shared(&one.request.filter)
                    && matches(&one.request.filter, TOPICS[topic].name)
                    && one.gone.is_none_or(|gone| sequence <= gone)
            });
            // What is sent again is as it was.
            if !publish.dup && !ways.any(|one| one.qos.min(message.draft.qos) == publish.qos) {
                return Err(format!("message {sequence} was not asked for like this"));
            }
            self.check_bytes(link, publish, message, whole, seen)?;
        }
        let groups = self.shares.groups_of(topic).count();
        let mut copies = self.shares.copies.remove(&sequence).unwrap_or_default();
        let copy = Copy {
            session: link.session,
            socket: link.socket,
            qos: publish.qos,
        };
        let before = copies.iter_mut().find(|before| {
            is_again && before.session == copy.session && before.socket != copy.socket
        });
        match before {
            Some(before) => before.socket = copy.socket,
            None => {
                let standing = copies.iter().filter(|one| self.stands(link, one)).count();
                if standing >= groups {
                    return Err(format!(
                        "message {sequence} came to {copies:?} before, and there are {groups} groups"
                    ));
                }
                if standing < copies.len() {
                    self.counts.count(Kind::Redirected);
                }
                copies.push(copy);
            }
        }
        self.shares.copies.insert(sequence, copies);
        self.counts.count(Kind::Shared);
        self.note_sent(link, publish, sequence);
        Ok(())
    }

    /// Whether nobody else may get instead what a member got. At QoS 1 others may if it did not
    /// acknowledge it; and nobody knows what was read of its last words.
    fn stands(&self, link: &Link, copy: &Copy) -> bool {
        let is_closed = match copy.socket == link.socket {
            true => link.is_closed,
            false => self.links[&copy.socket].is_closed,
        };
        copy.qos != 1 || !is_closed
    }

    /// Each group that surely had a member has got each message that it had to, but for as many
    /// as shards count that no member took.
    pub(super) fn shares_at_rest(&self, mut untaken: u64) -> Verdict {
        let bounds = &self.bounds;
        if bounds.is_tight || bounds.has_short_queues {
            return Ok(());
        }
        for topic in (0..TOPICS.len()).filter(|topic| topics::is_shared(*topic)) {
            let groups: Vec<_> = self.shares.groups_of(topic).collect();
            for sequence in self.log.of_topic(topic) {
                let message = self.log.at(*sequence);
                if message.draft.qos == 0 || message.expires_micros > 0 {
                    continue;
                }
                let due = groups.iter().filter(|group| self.is_due(group, *sequence));
                let copies = self.shares.copies.get(sequence).into_iter().flatten();
                let got = copies.filter(|copy| self.has_arrived(*sequence, copy));
                let (due, got) = (due.count(), got.count());
                let missing = due.saturating_sub(got) as u64;
                if missing > untaken {
                    return Err(format!(
                        "message {sequence} on {} came to {got} members of {due} groups",
                        TOPICS[topic].name
                    ));
                }
                untaken -= missing;
            }
        }
        Ok(())
    }

    /// Whether a group must have got a message: it has had a member all the time, and none that
    /// can have the message and not be seen with it.
    fn is_due(&self, group: &str, sequence: u64) -> bool {
        let message = self.log.at(sequence);
        let names = &self.shares.groups[group];
        let of_group = |session: &Session| {
            let all = session.subscriptions.iter();
            all.filter(|one| one.request.filter == group)
                .cloned()
                .collect::<Vec<Subscription>>()
        };
        // Who joins is a member before anybody is told.
        let joins = |link: &Link| {
            let mut requests = link.requests.iter();
            !link.is_closed && requests.any(|asked| asked.what.subscribes_to(group))
        };
        if self.links.values().any(joins) {
            return false;
        }
        // From where to where somebody was surely a member.
        let mut sure = Vec::new();
        for (number, session) in self.sessions.iter().enumerate() {
            let links = self.links.values();
            let link = links
                .filter(|link| link.session == number && link.state != State::Connecting)
                .max_by_key(|link| link.socket);
            let Some(link) = link else {
                continue;
            };
            let held = of_group(session);
            let is_kept = self.kept.get(&link.client_id) == Some(&number);
            let is_over = link.is_closed && !(is_kept && link.asks.session);
            if is_over && self.can_end_with(link, session, group, message) {
                return false;
            }
            let is_asked = session.is_unanswered(group);
            let is_unknown = session.is_unknown && names.contains(&link.client_id);
            if held.is_empty() && !is_asked && !is_unknown {
                continue;
            }
            // At QoS 0 nothing is promised, and what is too large is as if it had been sent.
            let size = 200 + message.draft.payload.len();
            if held.iter().any(|one| one.qos == 0) || size > session.packet_bytes_max {
                return false;
            }
            if !link.is_served() {
                // Who is away keeps what it has got, and who is dead as long as nobody knows; a
                // session that is over has given it back.
                if !is_over {
                    return false;
                }
                continue;
            }
            if is_unknown || is_asked {
                return false;
            }
            let until = |one: &Subscription| one.given_up.unwrap_or(u64::MAX);
            sure.extend(held.iter().map(|one| (one.held_since, until(one))));
        }
        let Some(last) = last_with_a_member(sure, sequence) else {
            return false;
        };
        // What comes back when the last member has left is nobody's.
        last == u64::MAX || !self.can_come_back(group, sequence)
    }

    /// Whether somebody who is gone can have been the member that a message went to, so that it
    /// came back for another one, nobody knows when.
    fn can_come_back(&self, group: &str, sequence: u64) -> bool {
        let goes_on = |link: &Link| {
            let mut links = self.links.values();
            links.any(|other| other.session == link.session && other.socket > link.socket)
        };
        let closed = self.links.values().filter(|link| link.is_closed);
        let mut gone = closed.filter(|link| link.session == NO_SESSION || !goes_on(link));
        gone.any(|link| {
            let session = self.sessions.get(link.session);
            let unanswered = session.map_or(&[][..], |session| &session.unanswered);
            let pending = link.pending(unanswered, self.abilities.qos_max);
            let held = session.map_or(&[][..], |session| &session.subscriptions);
            let mut all = held.iter().chain(&pending);
            all.any(|one| {
                one.request.filter == group
                    && sequence > one.asked
                    && one.gone.is_none_or(|gone| sequence <= gone)
            })
        })
    }

    /// Whether a message of a group can have ended with a session that is over: what stands in
    /// an outbox when its connection is closed counts as sent, and at QoS 2 that goes to no
    /// other member [MQTT-4.8.2-5].
    fn can_end_with(&self, link: &Link, session: &Session, group: &str, message: &Logged) -> bool {
        let pending = link.pending(&session.unanswered, self.abilities.qos_max);
        let mut all = session.subscriptions.iter().chain(&pending);
        let is_member = all.any(|one| {
            one.request.filter == group
                && one.qos.min(message.draft.qos) == 2
                && one.gone.is_none_or(|gone| message.sequence <= gone)
        });
        is_member && link.cut_off.is_some_and(|end| message.sequence <= end)
    }

    /// Whether a member has a message, or is going to acknowledge it.
    fn has_arrived(&self, sequence: u64, copy: &Copy) -> bool {
        let is_open = self.sessions[copy.session].open.contains_key(&sequence);
        copy.qos != 1 || !is_open || !self.links[&copy.socket].is_closed
    }
}
