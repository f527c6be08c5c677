//! Lag: the service of those who could not follow.
//!
//! Who is in lag costs nothing for each message. What may be conflated it gets from the
//! last values, newest state once for each topic that changed since; what must not be
//! lost stands in its cohort's log, once for all, where it has a cursor. It is back in
//! step when it has got all of both.

use super::private::is_private;
use super::{OUTBOX_FILL, Shard};
use crate::arena::{Frame, FrameNumber};
use crate::cohorts::{CohortId, SHARED_FILTERS_MAX};
use crate::connections::{Connection, Flags, Lag};
use crate::deliveries::{DeliveryId, How, LOST_BODY};
use crate::end::End;
use crate::log::{LogId, LogPosition};
use crate::sessions::SessionId;
use crate::store::{About, Parts, StoredId};
use crate::stream::Position;
use crate::topics::TopicId;
use arrayvec::ArrayVec;
use ringcast_codec::Progress;
use ringcast_codec::market::SlowPolicy;
use ringcast_codec::mqtt::{
    Decoder, PACKET_BYTES_MAX, Packet, Publish, Sender, SubscriptionIdentifier,
};

/// Topics that are looked at for one connection in one turn.
const TOPICS_MAX: usize = 1_024;

/// Messages of the log that are looked at together.
const LOGGED: usize = 32;

impl<Pass> Shard<Pass> {
    /// A connection that is apart falls into lag: what it was not sent of the stream it
    /// gets, or loses, by the classes of the topics.
    pub(super) fn fall(&mut self, index: u32) {
        let connection = self.connections.at(index);
        let (key, cohort, cursor) = (connection.key, connection.cohort, connection.cursor);
        let flow = self.flows.get(cohort);
        let is_strict = cursor < flow.strict;
        let changed_to = self.sequence_before(cohort, cursor);
        let dropped = self.flows.get(cohort).dropped - self.drops_ahead(cohort, cursor, changed_to);
        let finished = self.finish_frame(index);
        let id = self.connections.at(index).session;
        let flow = self.flows.get(cohort);
        if flow.log.is_some() && changed_to < flow.unlogged {
            self.queue_stream(index, cursor);
            self.enter_log_behind(id, cohort, self.routing.sequence);
            self.lag_mut(index).changed_to = changed_to;
        } else {
            self.enter_log_behind(id, cohort, changed_to);
        }
        self.lag_mut(index).dropped = dropped;
        self.with_roster(index, |roster, seat, moved| roster.set_lagging(seat, moved));
        self.counters.lags += 1;
        if is_strict || !finished {
            self.doom(key, if is_strict { End::TooSlow } else { End::Quota });
        } else if !self.connections.at(index).flags.has(Flags::WAITS) {
            self.list(key);
        }
    }

    /// What must not be lost of a stream from this position on moves to the queue of a
    /// connection: its cohort's log does not have all of it.
    fn queue_stream(&mut self, index: u32, from: Position) {
        let Connection {
            cohort, session, ..
        } = *self.connections.at(index);
        let flow = self.flows.get(cohort);
        let (form, head) = (flow.wire_form as usize, flow.stream.head());
        let mut begun = std::mem::take(&mut self.begun);
        self.frames_begun(cohort, from..head, &mut begun);
        begun.retain(|number| is_logged(self.arenas[form].frame(*number)));
        for &number in &begun {
            self.queue_frame(session, form, number);
        }
        begun.clear();
        self.begun = begun;
    }

    /// The sequence number of the last message that was sent of a stream, or begun.
    pub(super) fn sequence_before(&self, cohort: CohortId, cursor: Position) -> u64 {
        let flow = self.flows.get(cohort);
        let arena = &self.arenas[flow.wire_form as usize];
        match flow.stream.frame_at(cursor, &self.pieces, arena) {
            Some((number, begin)) if begin < cursor => arena.frame(number).sequence,
            Some((number, _)) => arena.frame(number).sequence - 1,
            None => self.routing.sequence,
        }
    }

    /// How many messages of classes that drop a stream holds from this position on, of
    /// those after the one with this number.
    fn drops_ahead(&self, cohort: CohortId, cursor: Position, changed_to: u64) -> u64 {
        let flow = self.flows.get(cohort);
        if flow.dropped == 0 {
            return 0;
        }
        let arena = &self.arenas[flow.wire_form as usize];
        let ahead = flow
            .stream
            .stretches(cursor..flow.stream.head(), &self.pieces, arena)
            .flat_map(|stretch| stretch.frames(arena))
            .filter(|(_, frame)| frame.sequence > changed_to)
            .filter(|(_, frame)| frame.class == SlowPolicy::Drop);
        ahead.count() as u64
    }

    /// Counts what a connection in lag lost up to now.
    pub(super) fn count_drops(&mut self, index: u32) {
        let Some(lag) = self.session(index).lag else {
            return;
        };
        let cohort = self.connections.at(index).cohort;
        let dropped = self.flows.get(cohort).dropped;
        let before = std::mem::replace(&mut self.lags[lag as usize].dropped, dropped);
        let lost = dropped - before;
        self.counters.drops += lost;
        let drops = &mut self.connections.client_mut(index).drops;
        *drops = drops.saturating_add(u32::try_from(lost).unwrap_or(u32::MAX));
    }

    /// Somebody is neither in lag nor away any more.
    pub(super) fn remove_lag(&mut self, id: SessionId) {
        if let Some(lag) = self.sessions.get_mut(id).lag.take() {
            self.lags.remove(lag as usize);
        }
    }

    /// Begins the log of a cohort, with all that its stream still holds: who falls into
    /// lag later finds there what it was not sent either.
    pub(super) fn begin_log(&mut self, cohort: CohortId) -> LogId {
        let log = self.logs.begin();
        let flow = self.flows.get_mut(cohort);
        flow.log = Some(log);
        (flow.lost_to, flow.unlogged) = (0, 0);
        let flow = self.flows.get(cohort);
        let form = flow.wire_form as usize;
        let arena = &self.arenas[form];
        let held = flow.stream.tail(&self.pieces)..flow.stream.head();
        let frames: Vec<FrameNumber> = flow
            .stream
            .stretches(held, &self.pieces, arena)
            .flat_map(|stretch| stretch.frames(arena))
            .filter(|(_, frame)| is_logged(frame))
            .map(|(number, _)| number)
            .collect();
        for number in frames {
            let kept = self.body_of(form, number).is_some_and(|delivery| {
                let deliveries = &mut self.deliveries;
                self.logs.append(log, delivery, deliveries, &self.store)
            });
            if !kept {
                self.break_log(cohort);
                break;
            }
        }
        log
    }

    /// The message of a frame as it is stored, which it is from now on if there is room and
    /// the frame says all of it: the frame is a user of it as long as its record is there.
    pub(super) fn body_of(&mut self, form: usize, number: FrameNumber) -> Option<DeliveryId> {
        let arena = &self.arenas[form];
        let frame = *arena.frame(number);
        if let Some(id) = DeliveryId::from_body(frame.body) {
            return Some(id);
        }
        if frame.body == LOST_BODY {
            return None;
        }
        let decoder = Decoder {
            version: super::WireForm::ALL[form].version(),
            sender: Sender::Server,
            packet_bytes_max: PACKET_BYTES_MAX,
        };
        let decoded = decoder.decode(arena.bytes(frame.at..frame.end()));
        let Ok(Progress::Done(Packet::Publish(publish), _)) = decoded else {
            unreachable!("a frame is a PUBLISH that this shard encoded");
        };
        let Publish {
            topic,
            properties,
            payload,
            retain,
            ..
        } = publish;
        self.properties.clear();
        self.properties.push_forwarded(properties);
        let about = About {
            sequence: frame.sequence,
            expires_micros: frame.expires_micros,
            qos: frame.qos,
            retain,
            // Its frame was for those who get it, whoever published it.
            publisher: 0,
        };
        let identifiers = properties.subscription_identifiers();
        let how = How {
            qos: frame.qos,
            retain,
            identifiers: identifiers.map(SubscriptionIdentifier::get).collect(),
            ..How::default()
        };
        let parts = Parts {
            topic: topic.map_or(&[], |topic| topic.as_bytes()),
            properties: self.properties.properties().as_bytes(),
            payload,
        };
        let message = self.store.keep(about, parts)?;
        let delivery = self.deliveries.keep(message, how, &mut self.store);
        self.store.release(message);
        self.arenas[form].set_body(number, delivery?.to_body());
        delivery
    }

    /// Fills the outbox of a connection in lag. Returns whether it has got all there is.
    pub(super) fn fill_from_lag(&mut self, index: u32) -> bool {
        // What waits for an acknowledgement holds back nothing that needs none.
        self.fill_from_log(index) & self.fill_from_values(index)
    }

    /// Whether there is anything in its cohort's log, or among last values, that a connection
    /// in lag has not got.
    pub(super) fn has_lag(&mut self, index: u32) -> bool {
        let cohort = self.connections.at(index).cohort;
        let lag = *self.lag_mut(index);
        let log = self.flows.get(cohort).log;
        log.is_some_and(|log| lag.log_at < self.logs.end_of(log))
            || self.next_changed(cohort, &lag).is_some()
    }

    /// What a connection in lag has not got moves to its queue.
    pub(super) fn queue_lag(&mut self, index: u32) {
        let id = self.connections.at(index).session;
        self.queue_log(id);
        for _ in 0..TOPICS_MAX {
            let Some(message) = self.next_value(index) else {
                return;
            };
            if let Some(message) = message
                && let Some(how) = self.how_last(index, message)
                && let Some(delivery) = self.keep(message, how)
            {
                self.give(id, delivery);
            }
        }
    }

    /// Fills it with what is in the log.
    fn fill_from_log(&mut self, index: u32) -> bool {
        let cohort = self.connections.at(index).cohort;
        let Some(log) = self.flows.get(cohort).log else {
            return true;
        };
        let lag = self.session(index).lag.expect("it is in lag");
        loop {
            let at = self.lags[lag as usize].log_at;
            let next = self.logs.from(log, at).take(LOGGED);
            let next: ArrayVec<_, LOGGED> = next.collect();
            if next.is_empty() {
                return true;
            }
            for delivery in next {
                if self.connections.at(index).outbox.len() >= OUTBOX_FILL {
                    return false;
                }
                if self.is_for(lag, delivery) {
                    if !self.has_quota(index, self.deliveries.how(delivery).qos) {
                        return false;
                    }
                    self.send_delivery(index, delivery);
                    self.counters.lag_deliveries += 1;
                }
                self.lags[lag as usize].log_at.0 += 1;
            }
        }
    }

    /// Fills it with last values that changed.
    fn fill_from_values(&mut self, index: u32) -> bool {
        for _ in 0..TOPICS_MAX {
            if self.connections.at(index).outbox.len() >= OUTBOX_FILL {
                return false;
            }
            let Some(message) = self.next_value(index) else {
                return true;
            };
            if let Some(message) = message
                && let Some(how) = self.how_last(index, message)
            {
                self.send_stored(index, message, &how, None);
                self.counters.lag_deliveries += 1;
            }
        }
        false
    }

    /// The last value of the topic that changed next after what a connection in lag was told,
    /// if one did and it is kept. It counts as told then.
    fn next_value(&mut self, index: u32) -> Option<Option<StoredId>> {
        let lag = *self.lag_mut(index);
        let cohort = self.connections.at(index).cohort;
        let topic = self.next_changed(cohort, &lag)?;
        let changed = self.values.changed(topic);
        let lag = self.lag_mut(index);
        (lag.at_topic, lag.changed_to) = (Some(topic), changed);
        Some(self.values.last(topic))
    }

    /// The topic that changed first after what somebody in lag was told. Topics that its
    /// cohort has not subscribed to may be among them, and none whose change its stream is
    /// still to get.
    fn next_changed(&mut self, cohort: CohortId, lag: &Lag) -> Option<TopicId> {
        let topic = self.first_changed(cohort, lag)?;
        let is_routed = self.values.changed(topic) < self.routing.sequence;
        (is_routed || !self.is_still_to_get(cohort)).then_some(topic)
    }

    fn first_changed(&mut self, cohort: CohortId, lag: &Lag) -> Option<TopicId> {
        if self.has_few_topics(cohort) {
            let filters = self.routes.cohorts().set(cohort);
            let topic_of = |filter| self.routes.topic_of(filter, &mut self.message);
            return filters
                .filter_map(topic_of)
                .map(|topic| (self.values.changed(topic), topic))
                .filter(|(changed, _)| *changed > lag.changed_to)
                .min_by_key(|(changed, _)| *changed)
                .map(|(_, topic)| topic);
        }
        // If the topic told last has not changed since, the next one follows it.
        if let Some(at) = lag.at_topic
            && self.values.changed(at) == lag.changed_to
        {
            return self.values.newer(at);
        }
        let newest = self.values.newest();
        std::iter::successors(newest, |topic| self.values.older(*topic))
            .take_while(|topic| self.values.changed(*topic) > lag.changed_to)
            .last()
    }

    /// Whether a cohort's own few topics are all there is to look at for it.
    fn has_few_topics(&self, cohort: CohortId) -> bool {
        let cohorts = self.routes.cohorts();
        let mut set = cohorts.set(cohort);
        set.len() <= SHARED_FILTERS_MAX && set.all(|id| !cohorts.filters().has_wildcards(id))
    }

    /// How a connection in lag gets a last value, if it does: not if it acknowledges it, for
    /// then it stands in the log.
    fn how_last(&mut self, index: u32, message: StoredId) -> Option<How> {
        let about = self.store.about(message);
        if about.expires_micros > 0 && about.expires_micros <= self.now.wall_micros() {
            return None;
        }
        let mut matches = std::mem::take(&mut self.matches);
        let is_own = self.is_own(index, about);
        let cohort = self.connections.at(index).cohort;
        let parts = self.store.read(message, &mut self.message);
        let topic = (self.settings.hasher.topic(parts.topic), parts.topic);
        let found = self.routes.delivery(cohort, topic, is_own, &mut matches);
        let found = found.filter(|found| found.qos.min(about.qos) == 0 && !is_private(topic.1));
        let how = found.map(|found| How {
            is_conflated: true,
            // [MQTT-3.3.1-13]: whether it is conflated or not.
            retain: about.retain && found.retain_as_published,
            identifiers: matches.identifiers(0).collect(),
            ..How::default()
        });
        self.matches = matches;
        how
    }

    /// Whether a client published a message itself.
    pub(super) fn is_own(&self, index: u32, about: About) -> bool {
        let id = &self.session(index).client_id;
        about.publisher > 0 && about.publisher == self.sessions.hash(id)
    }

    /// A connection in lag has got all: it goes back to fast service.
    pub(super) fn rise(&mut self, index: u32) {
        self.count_drops(index);
        let Connection {
            cohort, session, ..
        } = *self.connections.at(index);
        self.remove_lag(session);
        self.rejoin(index);
        self.end_log_if_unneeded(cohort);
    }

    /// A connection that has got everything up to now goes where that is in its cohort's
    /// stream.
    pub(super) fn rejoin(&mut self, index: u32) {
        let connection = self.connections.at(index);
        let (key, cohort) = (connection.key, connection.cohort);
        let has_first = !connection.outbox.is_empty() || connection.flags.has(Flags::QUEUED);
        if has_first || !self.step(index) {
            self.set_apart(index, self.flows.get(cohort).stream.head());
            self.list(key);
        }
    }

    /// The log goes with the last of those in lag or away.
    pub(super) fn end_log_if_unneeded(&mut self, cohort: CohortId) {
        let flow = self.flows.get_mut(cohort);
        if flow.roster.lagging().is_empty()
            && flow.away == 0
            && let Some(log) = flow.log.take()
        {
            self.logs.end(log, &mut self.deliveries, &mut self.store);
        }
    }

    pub(super) fn is_too_long(&self, log: LogId) -> bool {
        let (messages, bytes) = self.logs.size(log);
        let limits = &self.settings.limits;
        messages > limits.queue_messages || bytes > limits.queue_bytes
    }

    /// Forgets what nobody needs of a cohort's log. If it is too long even so, those who
    /// need the oldest have been too slow, or away too long: these are told when they come.
    pub(super) fn trim_log(&mut self, cohort: CohortId) {
        let Some(log) = self.flows.get(cohort).log else {
            return;
        };
        // Others may fall into lag later, and need what the stream still holds of it.
        let tail = self.log_of_tail(cohort, log);
        let flow = self.flows.get(cohort);
        if flow.away == 0 {
            let needs = |key: &ringcast_wire::ConnectionKey| self.log_needed(key.index());
            let oldest = flow.roster.lagging().iter().filter_map(needs).min();
            let oldest = oldest.map_or(tail, |oldest| oldest.min(tail));
            self.forget_log(log, oldest);
        }
        if !self.is_too_long(log) {
            return;
        }
        // More than has to be, so that the next messages need no look.
        let limits = &self.settings.limits;
        let (messages, bytes) = (limits.queue_messages * 7 / 8, limits.queue_bytes * 7 / 8);
        let (deliveries, store) = (&self.deliveries, &self.store);
        let cut = self.logs.last(log, messages, bytes, deliveries, store);
        let cut = cut.min(tail);
        for place in 0..self.flows.get(cohort).roster.lagging().len() {
            let key = self.flows.get(cohort).roster.lagging()[place];
            if self.log_needed(key.index()).is_some_and(|at| at < cut) {
                let id = self.connections.at(key.index()).session;
                self.break_session(id);
            }
        }
        self.forget_log(log, cut);
    }

    fn forget_log(&mut self, log: LogId, before: LogPosition) {
        self.logs
            .trim(log, before, &mut self.deliveries, &mut self.store);
    }

    /// Where somebody in lag is in the log, unless nobody is going to need that.
    fn log_needed(&self, index: u32) -> Option<LogPosition> {
        let session = self.session(index);
        let is_doomed = self.connections.at(index).flags.has(Flags::DOOMED);
        let is_over = session.is_broken || (is_doomed && !session.is_persistent());
        let lag = session.lag?;
        (!is_over).then(|| self.lags[lag as usize].log_at)
    }

    /// The first message of the log that the stream holds too.
    fn log_of_tail(&self, cohort: CohortId, log: LogId) -> LogPosition {
        let tail = self.flows.get(cohort).stream.tail(&self.pieces);
        let before = self.sequence_before(cohort, tail);
        self.logs.after(log, before, &self.deliveries, &self.store)
    }

    /// There was no room for a message in the log: who needs it, now or when it falls into
    /// lag or leaves, can not have it.
    pub(super) fn break_log(&mut self, cohort: CohortId) {
        let flow = self.flows.get_mut(cohort);
        flow.lost_to = self.routing.sequence;
        let is_new = !std::mem::replace(&mut flow.gave_up, true);
        for place in 0..self.flows.get(cohort).roster.lagging().len() * usize::from(is_new) {
            let key = self.flows.get(cohort).roster.lagging()[place];
            self.break_session(self.connections.at(key.index()).session);
        }
        if let Some(log) = self.flows.get(cohort).log {
            self.logs.lose(log, &mut self.deliveries, &mut self.store);
        }
    }

    /// Those in lag were too slow for a message. Done once until somebody else falls into
    /// lag.
    pub(super) fn give_up_on_all(&mut self, cohort: CohortId) {
        let flow = self.flows.get_mut(cohort);
        if std::mem::replace(&mut flow.gave_up, true) {
            return;
        }
        for place in 0..flow.roster.lagging().len() {
            let key = self.flows.get(cohort).roster.lagging()[place];
            self.doom(key, End::TooSlow);
        }
    }

    pub(super) fn lag_mut(&mut self, index: u32) -> &mut Lag {
        let lag = self.session(index).lag.expect("it is in lag");
        &mut self.lags[lag as usize]
    }
}

/// Whether a frame's message belongs into a log, for those in lag.
fn is_logged(frame: &Frame) -> bool {
    frame.class == SlowPolicy::Queue || frame.qos > 0
}
