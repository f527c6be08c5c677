//! Shared subscriptions: what this shard's sessions have to do with groups of which every
//! shard knows (section 4.8.2).
//!
//! Each change of a member goes up, and takes effect on every shard where it comes down. A
//! message that its member can not get any more goes up again, to the next one.

use super::Shard;
use super::upward::Upward;
use crate::cohorts::{CohortsFull, Terms};
use crate::control::{Membership as Changed, Redirect};
use crate::deliveries::{DeliveryId, How};
use crate::sessions::{Membership, Queued, SessionId};
use crate::shares::{Change, GroupId, Member, Standing, Who};
use ringcast_codec::mqtt::TopicFilter;
use ringcast_ring::Message;

/// Messages in the queue of a member from which on it is busy, and below which it is ready
/// again.
const BUSY_FROM: usize = 64;
const READY_BELOW: usize = 16;

/// Members that a message is tried on.
const HOPS_MAX: u8 = 16;

impl<Pass> Shard<Pass> {
    fn who(&self, id: SessionId) -> Who {
        Who {
            home: self.settings.home,
            session: id.0,
            epoch: self.sessions.get(id).epoch,
        }
    }

    /// What a session asked for in a shared subscription, if it is in it.
    pub(super) fn is_member(&self, index: u32, filter: TopicFilter<'_>) -> Option<&Membership> {
        let mut shares = self.session(index).shares().iter();
        shares.find(|known| *known.filter == *filter.as_str() && !known.has_left)
    }

    fn membership_mut(&mut self, id: SessionId, filter: &str) -> Option<&mut Membership> {
        let mut shares = self.sessions.get_mut(id).more_mut().shares.iter_mut();
        shares.find(|known| *known.filter == *filter)
    }

    /// A session joins a shared subscription, or changes what it asked for. SUBACK waits
    /// until that is true everywhere.
    pub(super) fn join_share(
        &mut self,
        index: u32,
        filter: TopicFilter<'_>,
        terms: Terms,
    ) -> Result<(), CohortsFull> {
        if self.shares.members() >= self.settings.limits.share_members_max {
            return Err(CohortsFull);
        }
        let id = self.connections.at(index).session;
        let Terms {
            qos, identifier, ..
        } = terms;
        let standing = match self.sessions.get(id).is_busy {
            true => Standing::Busy,
            false => Standing::Ready,
        };
        self.send_change(id, filter.as_str(), Change::Join { qos, standing });
        let before = self.membership_mut(id, filter.as_str());
        let joined = Membership {
            filter: filter.as_str().into(),
            qos,
            identifier,
            has_left: false,
            leaves: before.as_ref().map_or(0, |before| before.leaves),
        };
        match before {
            Some(before) => *before = joined,
            None => self.sessions.get_mut(id).more_mut().shares.push(joined),
        }
        Ok(())
    }

    /// A session leaves a shared subscription. `false` if it is not in it.
    pub(super) fn leave_share(&mut self, index: u32, filter: TopicFilter<'_>) -> bool {
        if self.is_member(index, filter).is_none() {
            return false;
        }
        let id = self.connections.at(index).session;
        self.send_change(id, filter.as_str(), Change::Leave);
        if let Some(left) = self.membership_mut(id, filter.as_str()) {
            left.has_left = true;
            left.leaves += 1;
        }
        true
    }

    /// All shards know that a session of this one has left.
    fn on_left(&mut self, id: SessionId, (name, filter): (&str, TopicFilter<'_>)) {
        let text = format!("$share/{name}/{}", filter.as_str());
        let Some(left) = self.membership_mut(id, &text) else {
            return;
        };
        left.leaves -= 1;
        if left.has_left && left.leaves == 0 {
            let shares = &mut self.sessions.get_mut(id).more_mut().shares;
            shares.retain(|known| *known.filter != *text);
        }
    }

    /// A session that ends leaves all of them.
    pub(super) fn leave_shares(&mut self, id: SessionId) {
        for place in 0..self.sessions.get(id).shares().len() {
            let filter = self.sessions.get(id).shares()[place].filter.clone();
            self.send_change(id, &filter, Change::Leave);
        }
    }

    /// A session can take more or less than before.
    pub(super) fn set_standing(&mut self, id: SessionId, standing: Standing) {
        self.sessions.get_mut(id).is_busy = standing == Standing::Busy;
        for place in 0..self.sessions.get(id).shares().len() {
            let known = self.sessions.get(id).shares()[place].clone();
            if !known.has_left {
                let qos = known.qos;
                self.send_change(id, &known.filter, Change::Join { qos, standing });
            }
        }
    }

    fn send_change(&mut self, id: SessionId, filter: &str, change: Change) {
        let filter = TopicFilter::new(filter).expect("was checked when it came");
        let share = filter.share().ok().flatten();
        let share = share.expect("was checked when it came");
        let mut body = Vec::new();
        let changed = Changed {
            who: self.who(id),
            change,
            share: (share.name, share.filter),
        };
        changed.encode(&mut body);
        self.upward.push_back(Upward::Membership(body));
    }

    /// A change comes down.
    pub(super) fn on_membership(&mut self, changed: &Changed<'_>) {
        let Changed { who, change, share } = *changed;
        let group = self.shares.change(share, who, change);
        self.counters.records_refused += u64::from(group.is_none());
        if who.home != self.settings.home {
            return;
        }
        self.routing.read_back += 1;
        let id = SessionId(who.session);
        if self.sessions.of_epoch(id, who.epoch).is_none() {
            return;
        }
        if change == Change::Leave {
            self.on_left(id, share);
        }
        if group.is_none() {
            // There is no room for its filter: it must not wait for what never comes.
            self.break_session(id);
        }
    }

    /// A message goes to one member of each group that matches.
    pub(super) fn route_shared(&mut self, message: &Message<'_>) {
        if self.shares.is_empty() {
            return;
        }
        let mut groups = std::mem::take(&mut self.groups);
        groups.clear();
        let (hash, topic) = (message.topic_hash, message.topic);
        self.shares.of_topic(hash, topic, &mut groups);
        for group in &groups {
            let (_, filter) = self.shares.text(*group).expect("was found now");
            let filter = TopicFilter::new(filter).expect("was checked when it came");
            if !super::private::is_private(topic) || super::private::is_of_user(filter) {
                let member = self.shares.next(*group);
                self.give_member(*group, member, message, 0);
            }
        }
        self.groups = groups;
    }

    /// A message comes down again for the next member of its group.
    pub(super) fn on_redirect(&mut self, redirect: &Redirect<'_>) {
        self.routing.read_back += u64::from(redirect.home == self.settings.home);
        let (name, filter) = redirect.share;
        if let Some(group) = self.shares.find(name, filter) {
            let member = self.shares.next(group);
            self.give_member(group, member, &redirect.message, redirect.hops);
            self.forget_stored();
        }
    }

    fn give_member(&mut self, group: GroupId, member: Member, message: &Message<'_>, hops: u8) {
        let Member { who, qos } = member;
        if who.home != self.settings.home {
            return;
        }
        let id = SessionId(who.session);
        let how = How {
            qos: qos.min(message.qos),
            // Section 3.3.1.3: a shared subscription gets no retained messages.
            retain: false,
            is_conflated: false,
            group: Some(group),
            hops,
            identifiers: self.identifier_of(who, group),
        };
        let is_there = self.sessions.of_epoch(id, who.epoch).is_some();
        let Some(delivery) = self.keep_message(message, how) else {
            return;
        };
        if is_there && self.has_queue_room(id) {
            self.give(id, delivery);
            let session = self.sessions.get(id);
            let is_new = !session.is_busy && session.queue.len() >= BUSY_FROM;
            if is_new && session.connection().is_some() {
                self.set_standing(id, Standing::Busy);
            }
        } else {
            self.redirect(delivery);
            self.release(delivery);
        }
    }

    fn identifier_of(&self, who: Who, group: GroupId) -> smallvec::SmallVec<[u32; 2]> {
        let session = self.sessions.of_epoch(SessionId(who.session), who.epoch);
        let (Some(session), Some((name, filter))) = (session, self.shares.text(group)) else {
            return smallvec::SmallVec::new();
        };
        let is_it = |known: &&Membership| {
            let known = TopicFilter::new(&known.filter).ok();
            let share = known.and_then(|known| known.share().ok().flatten());
            share.is_some_and(|share| share.name == name && share.filter.as_str() == filter)
        };
        let found = session.shares().iter().find(is_it);
        let identifier = found.map(|known| known.identifier);
        identifier.into_iter().filter(|known| *known > 0).collect()
    }

    /// A queue has become shorter: its session may be ready for more.
    pub(super) fn look_at_backlog(&mut self, id: SessionId) {
        if self.sessions.get(id).queue.len() < READY_BELOW && self.sessions.get(id).is_busy {
            self.set_standing(id, Standing::Ready);
        }
    }

    pub(super) fn redirect_queued(&mut self, queued: Queued) {
        if let Queued::Message(delivery) = queued {
            self.redirect(delivery);
        }
    }

    /// The member that was chosen does not get a message: it goes up for another one.
    pub(super) fn redirect(&mut self, delivery: DeliveryId) {
        let how = self.deliveries.how(delivery);
        if how.group.is_none() {
            return;
        }
        if how.hops == HOPS_MAX {
            self.counters.untaken += 1;
            return;
        }
        let delivery = self.deliveries.share(delivery);
        self.upward.push_back(Upward::Redirect(delivery));
    }
}
