//! SUBSCRIBE and UNSUBSCRIBE: when they take effect, and what that does.
//!
//! What a client published before must be routed before its subscription is made, and what
//! anybody had published when it came must not reach it as new. So both wait until the
//! shard has read the ring up to where it was, and read back what its clients had
//! published. Until then the client's further input waits. The packet stays where it is,
//! undecoded.

use super::input::Handled;
use super::private::{is_of_user, may_see};
use super::upward::UPWARD_MAX;
use super::{BACKLOG_MAX, Io, Shard};
use crate::cohorts::{CohortId, Form, Terms};
use crate::connections::{Connection, Flags};
use crate::end::End;
use crate::flow::WireForm;
use crate::roster::Region;
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Decoder, Kind, Packet, Properties, QoS, ReasonCode, ReasonCodes, RetainHandling, Sender,
    Suback, Subscribe, SubscriptionIdentifier, SubscriptionOptions, TopicFilter, Unsuback,
    Unsubscribe, Version,
};
use ringcast_ring::{Corrupt, Position};
use ringcast_wire::{ConnectionKey, Wire};

/// A packet that waits for its place in the order of messages.
pub(super) struct Waiting {
    key: ConnectionKey,
    /// Where the ring ended when it came.
    ring: Position,
    /// What this shard's clients had published by then.
    uplinked: u64,
    /// The reasons for those of its filters that are done with.
    reasons: Vec<u8>,
    /// If it changes shared subscriptions: how much of its own the shard has to send up until
    /// the last change is gone, and what it had sent up in all when that was so.
    shares: Option<u64>,
    shared_at: Option<u64>,
}

/// Filters that are done with in one turn.
const FILTERS_MAX: usize = 256;

/// Whether a packet is done with.
enum Step {
    Done,
    /// It goes on later: the turn had enough of it.
    Later,
    /// It goes on when its connection has taken more of what it was sent.
    Behind,
}

impl<Pass> Shard<Pass> {
    /// A SUBSCRIBE or UNSUBSCRIBE came.
    pub(super) fn wait_for_order<W: Wire>(
        &mut self,
        key: ConnectionKey,
        io: &mut Io<'_, W>,
    ) -> Handled {
        // An error ends the turn when it is routed.
        let ahead = io.ring.poll().map_or(0, |batch| batch.bytes_left());
        let ring = Position(io.ring.cursor().0 + ahead);
        self.connections
            .at_mut(key.index())
            .flags
            .set(Flags::WAITING);
        self.waiting.push_back(Waiting {
            key,
            ring,
            uplinked: self.uplinked,
            reasons: Vec::new(),
            shares: None,
            shared_at: None,
        });
        Handled::Waits
    }

    /// Makes subscriptions whose place in the order has come.
    pub(super) fn settle_waiting<W: Wire>(&mut self, io: &mut Io<'_, W>) -> Result<bool, Corrupt> {
        let mut left = FILTERS_MAX;
        let mut any = false;
        // Each once: those who are behind go to the back.
        for _ in 0..self.waiting.len() {
            if left == 0 || self.routing.is_in_record() {
                break;
            }
            let Some(first) = self.waiting.front() else {
                break;
            };
            if first.ring > io.ring.cursor() || first.uplinked > self.routing.read_back {
                break;
            }
            let mut waiting = self.waiting.pop_front().expect("it was there");
            if self.connections.open_mut(waiting.key).is_none() {
                continue;
            }
            match self.settle(&mut waiting, &mut left) {
                Step::Done => {
                    any = true;
                    let flags = &mut self.connections.at_mut(waiting.key.index()).flags;
                    flags.clear(Flags::WAITING);
                    self.resume(waiting.key, io);
                }
                Step::Later => {
                    any = true;
                    self.waiting.push_front(waiting);
                    break;
                }
                Step::Behind => {
                    self.hurry(waiting.key.index());
                    self.waiting.push_back(waiting);
                }
            }
        }
        Ok(any)
    }

    /// Who waits for its subscription is not kept by sweeps that others need long for: it is
    /// served alone, up to what was routed.
    fn hurry(&mut self, index: u32) {
        let is_held = self.connections.at(index).flags.has(Flags::HELD);
        if is_held && self.region(index) == Region::Lag {
            // What has to wait for acknowledgements, which may be behind the packet, must
            // not keep it in lag.
            self.queue_lag(index);
        }
        if self.connections.at(index).flags.has(Flags::BLOCKED) {
            return;
        }
        self.be_apart(index);
        self.list(self.connections.at(index).key);
    }

    /// Goes on with a packet, with so many filters at most.
    fn settle(&mut self, waiting: &mut Waiting, left: &mut usize) -> Step {
        let index = waiting.key.index();
        let mut input = std::mem::take(&mut self.connections.client_mut(index).input);
        let decoder = Decoder {
            version: self.connections.at(index).version,
            sender: Sender::Client,
            packet_bytes_max: self.settings.limits.packet_bytes_max,
        };
        let (step, consumed) = match decoder.decode(&input) {
            Ok(Progress::Done(Packet::Subscribe(subscribe), consumed)) => {
                (self.settle_subscribe(waiting, &subscribe, left), consumed)
            }
            Ok(Progress::Done(Packet::Unsubscribe(unsubscribe), consumed)) => (
                self.settle_unsubscribe(waiting, &unsubscribe, left),
                consumed,
            ),
            _ => unreachable!("it was one when it came"),
        };
        if let Step::Done = step {
            self.input_bytes -= consumed;
            match input.len() - consumed {
                0 => input = Vec::new(),
                _ => drop(input.drain(..consumed)),
            }
        }
        self.connections.client_mut(index).input = input;
        step
    }

    fn settle_subscribe(
        &mut self,
        waiting: &mut Waiting,
        subscribe: &Subscribe<'_>,
        left: &mut usize,
    ) -> Step {
        let index = waiting.key.index();
        let identifier = subscribe.properties.subscription_identifier();
        let identifier = identifier.map_or(0, SubscriptionIdentifier::get);
        let done = waiting.reasons.len();
        for (filter, options) in subscribe.subscriptions.iter().skip(done) {
            if *left == 0 {
                return Step::Later;
            }
            let is_behind = self.is_far_behind(index)
                || self.region(index) == Region::Lag
                || !self.has_retained_room()
                || self.upward.len() >= UPWARD_MAX;
            if is_behind {
                return Step::Behind;
            }
            *left -= 1;
            let reason = self.subscribe(index, filter, options, identifier);
            let is_refused = reason.is_error();
            self.counters.subscriptions_refused += u64::from(is_refused);
            if is_refused && self.connections.at(index).version == Version::V31 {
                // MQTT 3.1 has no way to refuse.
                self.doom(waiting.key, End::Fault(reason));
                return Step::Done;
            }
            waiting.reasons.push(reason as u8);
            self.note_share(waiting, filter);
        }
        if !self.is_shared_everywhere(waiting) {
            return Step::Behind;
        }
        let suback = Suback {
            packet_id: subscribe.packet_id,
            properties: Properties::EMPTY,
            reasons: ReasonCodes::new(&waiting.reasons, Kind::Suback)
                .expect("they are reasons of SUBACK"),
        };
        self.reply(waiting.key, &Packet::Suback(suback));
        Step::Done
    }

    /// Makes one subscription, and returns what SUBACK says of it.
    fn subscribe(
        &mut self,
        index: u32,
        filter: TopicFilter<'_>,
        options: SubscriptionOptions,
        identifier: u32,
    ) -> ReasonCode {
        if let Err(reason) = self.may_subscribe(index, filter) {
            return reason;
        }
        let from = self.connections.at(index).cohort;
        let (shared, private) = (is_shared(filter), is_of_user(filter));
        let is_new = match (shared, private) {
            (true, _) => self.is_member(index, filter).is_none(),
            (_, true) => self.private_terms(index, filter).is_none(),
            _ => self.routes.cohorts().terms(from, filter).is_none(),
        };
        let limit = self.settings.limits.subscriptions_per_connection;
        if is_new && self.session(index).subscriptions >= limit {
            return ReasonCode::QuotaExceeded;
        }
        let terms = Terms {
            qos: options.qos as u8,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            identifier,
        };
        let made = match (shared, private) {
            (true, _) => self.join_share(index, filter, terms),
            (_, true) => {
                self.subscribe_private(index, filter, terms);
                Ok(())
            }
            _ => self.routes.subscribe(from, filter, terms).map(|to| {
                self.relocate(index, from, to);
            }),
        };
        if made.is_err() {
            return ReasonCode::QuotaExceeded;
        }
        let id = self.connections.at(index).session;
        self.sessions.get_mut(id).subscriptions += u32::from(is_new);
        self.counters.subscribed += 1;
        let sends_retained = !shared
            && match options.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
        if sends_retained && self.values.retained_count() > 0 {
            // What its stream has is older: it goes first.
            self.take_backlog(index);
            self.send_retained(index, filter, terms);
            let key = self.connections.at(index).key;
            self.list(key);
        }
        granted(options.qos)
    }

    /// Whether so much waits for a connection that it has to take some before it subscribes
    /// to more. What waits for acknowledgements is no reason.
    fn is_far_behind(&self, index: u32) -> bool {
        let is_held = self.connections.at(index).flags.has(Flags::HELD);
        self.backlog(index) > BACKLOG_MAX && !is_held
    }

    /// What goes up later than the change of a shared subscription is not waited for: there may
    /// always be some.
    fn note_share(&self, waiting: &mut Waiting, filter: TopicFilter<'_>) {
        if is_shared(filter) {
            waiting.shares = Some(self.upward_done + self.upward.len() as u64);
        }
    }

    /// Whether every shard knows of the changes of shared subscriptions that a packet made.
    fn is_shared_everywhere(&self, waiting: &mut Waiting) -> bool {
        let Some(last) = waiting.shares else {
            return true;
        };
        if self.upward_done < last {
            return false;
        }
        let at = *waiting.shared_at.get_or_insert(self.uplinked);
        self.routing.read_back >= at
    }

    fn may_subscribe(&self, index: u32, filter: TopicFilter<'_>) -> Result<(), ReasonCode> {
        let inner = match filter.share() {
            Ok(None) => filter,
            Ok(Some(share)) => share.filter,
            Err(_) => return Err(ReasonCode::TopicFilterInvalid),
        };
        if !may_see(inner, self.session(index).user.as_deref()) {
            return Err(ReasonCode::NotAuthorized);
        }
        if inner.levels().count() > self.settings.limits.topic_levels_max {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        Ok(())
    }

    fn settle_unsubscribe(
        &mut self,
        waiting: &mut Waiting,
        unsubscribe: &Unsubscribe<'_>,
        left: &mut usize,
    ) -> Step {
        let index = waiting.key.index();
        let done = waiting.reasons.len();
        for filter in unsubscribe.filters.iter().skip(done) {
            if *left == 0 {
                return Step::Later;
            }
            if self.is_far_behind(index) || self.upward.len() >= UPWARD_MAX {
                return Step::Behind;
            }
            *left -= 1;
            if self.region(index) == Region::Lag {
                // What it has not got it gets as it was subscribed to.
                self.queue_lag(index);
                if self.has_lag(index) {
                    return Step::Later;
                }
            }
            let reason = self.unsubscribe(index, filter);
            let is_mqtt_3 = self.connections.at(index).version != Version::V5;
            if reason == ReasonCode::ImplementationSpecificError && is_mqtt_3 {
                // UNSUBACK can't say that there was no room for another set.
                self.doom(waiting.key, End::Quota);
                return Step::Done;
            }
            waiting.reasons.push(reason as u8);
            self.note_share(waiting, filter);
        }
        if !self.is_shared_everywhere(waiting) {
            return Step::Behind;
        }
        let unsuback = Unsuback {
            packet_id: unsubscribe.packet_id,
            properties: Properties::EMPTY,
            reasons: unsuback_reasons(self.connections.at(index).version, &waiting.reasons),
        };
        self.reply(waiting.key, &Packet::Unsuback(unsuback));
        Step::Done
    }

    /// Takes one subscription back, and returns what UNSUBACK says of it.
    fn unsubscribe(&mut self, index: u32, filter: TopicFilter<'_>) -> ReasonCode {
        let from = self.connections.at(index).cohort;
        let was_there = if is_shared(filter) {
            self.leave_share(index, filter)
        } else if is_of_user(filter) {
            self.unsubscribe_private(index, filter)
        } else {
            match self.routes.unsubscribe(from, filter) {
                None => false,
                Some(Err(_)) => return ReasonCode::ImplementationSpecificError,
                Some(Ok(to)) => {
                    self.relocate(index, from, to);
                    true
                }
            }
        };
        if !was_there {
            return ReasonCode::NoSubscriptionExisted;
        }
        let id = self.connections.at(index).session;
        self.sessions.get_mut(id).subscriptions -= 1;
        ReasonCode::Success
    }

    /// A connection is in another cohort now, or its own has changed, at one point between
    /// two messages. What it was not sent of its stream before goes before what comes now,
    /// and is not looked for again by what it subscribes to now.
    fn relocate(&mut self, index: u32, from: CohortId, to: CohortId) {
        let was_lagging = self.region(index) == Region::Lag;
        if self.backlog(index) > 0 {
            self.take_backlog(index);
        }
        if from == to {
            return;
        }
        let connection = self.connections.at(index);
        let (key, version, id) = (connection.key, connection.version, connection.session);
        self.leave_flow(index);
        let form = Form {
            wire_form: WireForm::of(version) as u8,
            packet_bytes_max: self.connections.client(index).packet_bytes_max,
        };
        self.found_unless_there(to, form);
        self.connections.at_mut(index).cohort = to;
        let session = self.sessions.get_mut(id);
        session.cohort = to;
        self.flows.get_mut(to).persistent += u32::from(session.is_persistent());
        self.with_roster(index, |roster, _, moved| roster.join(key, moved));
        if was_lagging {
            self.enter_log(index);
        } else {
            self.rejoin(index);
        }
    }

    /// A connection is in its cohort's flow no more, and what only it needed is forgotten.
    fn leave_flow(&mut self, index: u32) {
        self.leave_roster(index);
        let cohort = self.connections.at(index).cohort;
        let is_persistent = self.session(index).is_persistent();
        self.flows.get_mut(cohort).persistent -= u32::from(is_persistent);
        self.end_log_if_unneeded(cohort);
        self.trim_swept(cohort);
    }

    /// A connection in lag goes on at the end of the log of its new cohort.
    fn enter_log(&mut self, index: u32) {
        let Connection {
            cohort, session, ..
        } = *self.connections.at(index);
        let before = *self.lag_mut(index);
        self.remove_lag(session);
        self.enter_log_behind(session, cohort, self.routing.sequence);
        let lag = self.lag_mut(index);
        (lag.changed_to, lag.at_topic) = (before.changed_to, before.at_topic);
    }
}

fn is_shared(filter: TopicFilter<'_>) -> bool {
    matches!(filter.share(), Ok(Some(_)))
}

fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQos1,
        QoS::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}

/// UNSUBACK has no reasons before MQTT 5, and they are not written there.
fn unsuback_reasons(version: Version, reasons: &[u8]) -> Option<ReasonCodes<'_>> {
    let reasons = || ReasonCodes::new(reasons, Kind::Unsuback).expect("they are its reasons");
    (version == Version::V5).then(reasons)
}
