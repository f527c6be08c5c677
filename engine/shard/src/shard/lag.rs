//! Lag: the service of those who could not follow.
//!
//! Who is in lag costs nothing for each message. What may be conflated it gets from the
//! last values, newest state once for each topic that changed since; what must not be
//! lost stands in its cohort's log, once for all, where it has a cursor. It is back in
//! step when it has got all of both.

use super::{OUTBOX_FILL, Shard};
use crate::arena::FrameNumber;
use crate::cohorts::{CohortId, SHARED_FILTERS_MAX};
use crate::connections::{Flags, Lag};
use crate::end::End;
use crate::log::{LogId, LogPosition};
use crate::store::{About, Parts, StoredId};
use crate::stream::Position;
use crate::topics::TopicId;
use ringcast_codec::Progress;
use ringcast_codec::market::{SlowPolicy, as_conflated};
use ringcast_codec::mqtt::{Decoder, PACKET_BYTES_MAX, Packet, Publish, Sender};

/// Topics that are looked at for one connection in one turn.
const TOPICS_MAX: usize = 1_024;

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
        let log = match flow_log(self, cohort) {
            Some(log) => log,
            None => self.begin_log(cohort),
        };
        let log_at = self.logs.after(log, changed_to, &self.store);
        let lag = self.lags.insert(Lag {
            changed_to,
            at_topic: None,
            log_at,
            dropped,
        });
        self.connections.client_mut(index).lag = Some(lag as u32);
        self.with_roster(index, |roster, seat, moved| roster.set_lagging(seat, moved));
        self.flows.get_mut(cohort).gave_up = false;
        self.counters.lags += 1;
        if is_strict || self.flows.get(cohort).is_log_broken {
            self.doom(key, End::TooSlow);
        } else if !finished {
            self.doom(key, End::Quota);
        } else if !self.connections.at(index).flags.has(Flags::BLOCKED) {
            self.list(key);
        }
    }

    /// The sequence number of the last message that was sent of a stream, or begun.
    fn sequence_before(&self, cohort: CohortId, cursor: Position) -> u64 {
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
            .filter(|(_, frame)| frame.class == SlowPolicy::Drop as u16);
        ahead.count() as u64
    }

    /// A connection is in lag no more: what it lost meanwhile is counted.
    pub(super) fn end_lag(&mut self, index: u32) {
        let Some(lag) = self.connections.client_mut(index).lag.take() else {
            return;
        };
        let lag = self.lags.remove(lag as usize);
        let cohort = self.connections.at(index).cohort;
        let lost = self.flows.get(cohort).dropped - lag.dropped;
        self.counters.drops += lost;
        let drops = &mut self.connections.client_mut(index).drops;
        *drops = drops.saturating_add(u32::try_from(lost).unwrap_or(u32::MAX));
    }

    /// Begins the log of a cohort, with all that its stream still holds: who falls into
    /// lag later finds there what it was not sent either.
    pub(super) fn begin_log(&mut self, cohort: CohortId) -> LogId {
        let log = self.logs.begin();
        let flow = self.flows.get_mut(cohort);
        flow.log = Some(log);
        flow.is_log_broken = false;
        let flow = self.flows.get(cohort);
        let form = flow.wire_form as usize;
        let arena = &self.arenas[form];
        let held = flow.stream.tail(&self.pieces)..flow.stream.head();
        let frames: Vec<FrameNumber> = flow
            .stream
            .stretches(held, &self.pieces, arena)
            .flat_map(|stretch| stretch.frames(arena))
            .filter(|(_, frame)| frame.class == SlowPolicy::Queue as u16)
            .map(|(number, _)| number)
            .collect();
        for number in frames {
            let kept = self.body_of(form, number);
            let kept = kept.is_some_and(|id| self.logs.append(log, id, &mut self.store));
            if !kept {
                self.break_log(cohort);
                break;
            }
        }
        log
    }

    /// The message of a frame as it is stored, which it is from now on if there is room:
    /// the frame is a user of it as long as its record is there.
    fn body_of(&mut self, form: usize, number: FrameNumber) -> Option<StoredId> {
        let arena = &self.arenas[form];
        let frame = arena.frame(number);
        if let Some(id) = StoredId::from_body(frame.body) {
            return Some(id);
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
        let lives = properties.message_expiry_interval().map(u64::from);
        let about = About {
            sequence: frame.sequence,
            expires_micros: lives.map_or(0, |s| frame.ingest_micros + s * 1_000_000),
            qos: 0,
            retain,
            // Its frame was for those who get it, whoever published it.
            publisher: 0,
        };
        let parts = Parts {
            topic: topic.map_or(&[], |topic| topic.as_bytes()),
            properties: self.properties.properties().as_bytes(),
            payload,
        };
        let id = self.store.keep(about, parts)?;
        self.arenas[form].set_body(number, id.to_body());
        Some(id)
    }

    /// Fills the outbox of a connection in lag. Returns whether it has got all there is.
    pub(super) fn fill_from_lag(&mut self, index: u32) -> bool {
        for _ in 0..TOPICS_MAX {
            if self.connections.at(index).outbox.len() >= OUTBOX_FILL {
                return false;
            }
            if !self.next_of_log(index) && !self.next_of_values(index) {
                return true;
            }
        }
        false
    }

    /// Puts the next message of the log into the outbox, if there is one.
    fn next_of_log(&mut self, index: u32) -> bool {
        let cohort = self.connections.at(index).cohort;
        let at = self.lag_mut(index).log_at;
        let Some(log) = flow_log(self, cohort) else {
            return false;
        };
        let Some(message) = self.logs.from(log, at).next() else {
            return false;
        };
        self.lag_mut(index).log_at.0 += 1;
        self.send_stored(index, message, false);
        true
    }

    /// Bytes of messages in the log that somebody has not got.
    pub(super) fn log_backlog(&self, index: u32) -> u64 {
        let Some(lag) = self.connections.client(index).lag else {
            return 0;
        };
        let cohort = self.connections.at(index).cohort;
        let at = self.lags[lag as usize].log_at;
        let log = flow_log(self, cohort).into_iter();
        let messages = log.flat_map(|log| self.logs.from(log, at));
        messages.map(|id| self.store.bytes(id) as u64).sum()
    }

    /// Puts all messages in the log that a connection in lag has not got into its outbox.
    pub(super) fn take_log_backlog(&mut self, index: u32) {
        while self.connections.client(index).lag.is_some() && self.next_of_log(index) {}
    }

    /// Puts the last value of the topic that changed next into the outbox, if one did.
    /// Looks at one topic.
    fn next_of_values(&mut self, index: u32) -> bool {
        let lag = *self.lag_mut(index);
        let cohort = self.connections.at(index).cohort;
        let Some(topic) = self.next_changed(cohort, &lag) else {
            return false;
        };
        let changed = self.values.changed(topic);
        if changed == self.routing.sequence && self.is_still_to_get(cohort) {
            return false;
        }
        let lag = self.lag_mut(index);
        lag.at_topic = Some(topic);
        lag.changed_to = changed;
        if let Some(message) = self.values.last(topic) {
            self.send_stored(index, message, true);
        }
        true
    }

    /// The topic that changed first after what somebody in lag was told. Topics that its
    /// cohort has not subscribed to may be among them.
    fn next_changed(&mut self, cohort: CohortId, lag: &Lag) -> Option<TopicId> {
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

    /// Encodes a stored message for one connection, as its subscriptions have it, into
    /// its outbox.
    fn send_stored(&mut self, index: u32, message: StoredId, conflated: bool) {
        let expires = self.store.about(message).expires_micros;
        if expires > 0 && expires <= self.now.wall_micros() {
            return;
        }
        let mut buffer = std::mem::take(&mut self.message);
        let parts = self.store.read(message, &mut buffer);
        let mut marked = std::mem::take(&mut self.marked);
        let parts = match as_conflated(parts.payload).filter(|_| conflated) {
            Some(pieces) => {
                marked.clear();
                pieces
                    .iter()
                    .for_each(|piece| marked.extend_from_slice(piece));
                Parts {
                    payload: &marked,
                    ..parts
                }
            }
            None => parts,
        };
        let about = self.store.about(message);
        let cohort = self.connections.at(index).cohort;
        let hash = self.settings.hasher.topic(parts.topic);
        let is_own = self.is_own(index, about);
        let mut matches = std::mem::take(&mut self.matches);
        let found = self
            .routes
            .delivery(cohort, (hash, parts.topic), is_own, &mut matches);
        if let Some(found) = found {
            // [MQTT-3.3.1-13]: whether it is conflated or not.
            let retain = about.retain && found.retain_as_published;
            let identifiers = matches.identifiers(0);
            self.deliver_alone(index, about, parts, retain, identifiers);
            self.counters.lag_deliveries += 1;
        }
        self.matches = matches;
        self.marked = marked;
        self.message = buffer;
    }

    /// Whether a client published a message itself.
    pub(super) fn is_own(&self, index: u32, about: About) -> bool {
        let id = &self.connections.client(index).id;
        about.publisher > 0 && about.publisher == self.connections.hash(id)
    }

    /// A connection in lag has got all: it goes back to fast service.
    pub(super) fn rise(&mut self, index: u32) {
        self.end_lag(index);
        let cohort = self.connections.at(index).cohort;
        self.rejoin(index);
        self.end_log_if_unneeded(cohort);
    }

    /// A connection that has got everything up to now goes where that is in its cohort's
    /// stream.
    pub(super) fn rejoin(&mut self, index: u32) {
        let connection = self.connections.at(index);
        let (key, cohort) = (connection.key, connection.cohort);
        let has_first = !connection.outbox.is_empty() || connection.retained.is_some();
        if has_first || !self.step(index) {
            self.set_apart(index, self.flows.get(cohort).stream.head());
            self.list(key);
        }
    }

    /// The log goes with the last of those in lag.
    pub(super) fn end_log_if_unneeded(&mut self, cohort: CohortId) {
        let flow = self.flows.get_mut(cohort);
        if flow.roster.lagging().is_empty()
            && let Some(log) = flow.log.take()
        {
            self.logs.end(log, &mut self.store);
        }
    }

    pub(super) fn is_too_long(&self, log: LogId) -> bool {
        let (messages, bytes) = self.logs.size(log);
        let limits = &self.settings.limits;
        messages > limits.queue_messages || bytes > limits.queue_bytes
    }

    /// Forgets what nobody needs of a cohort's log. If it is too long even so, those who
    /// need the oldest have been too slow.
    pub(super) fn trim_log(&mut self, cohort: CohortId) {
        let Some(log) = flow_log(self, cohort) else {
            return;
        };
        loop {
            let lagging = self.flows.get(cohort).roster.lagging();
            let needs = |key: &ringcast_wire::ConnectionKey| self.log_needed(key.index());
            // Others may fall into lag later, and need what the stream still holds of it.
            let tail = self.log_of_tail(cohort, log);
            let oldest = lagging.iter().filter_map(needs).min();
            let oldest = oldest.map_or(tail, |oldest| oldest.min(tail));
            self.logs.trim(log, oldest, &mut self.store);
            if !self.is_too_long(log) {
                return;
            }
            let mut any = false;
            for place in 0..self.flows.get(cohort).roster.lagging().len() {
                let key = self.flows.get(cohort).roster.lagging()[place];
                if self.log_needed(key.index()).is_some_and(|at| at <= oldest) {
                    self.doom(key, End::TooSlow);
                    any = true;
                }
            }
            if !any {
                return;
            }
        }
    }

    /// Where somebody in lag is in the log, unless it is going to be closed.
    fn log_needed(&self, index: u32) -> Option<LogPosition> {
        let is_doomed = self.connections.at(index).flags.has(Flags::DOOMED);
        let lag = self.connections.client(index).lag?;
        (!is_doomed).then(|| self.lags[lag as usize].log_at)
    }

    /// The first message of the log that the stream holds too.
    fn log_of_tail(&self, cohort: CohortId, log: LogId) -> LogPosition {
        let tail = self.flows.get(cohort).stream.tail(&self.pieces);
        let before = self.sequence_before(cohort, tail);
        self.logs.after(log, before, &self.store)
    }

    /// There was no room for a message in the log: who needs it, now or when it falls into
    /// lag, can not have it.
    pub(super) fn break_log(&mut self, cohort: CohortId) {
        self.flows.get_mut(cohort).is_log_broken = true;
        self.give_up_on_all(cohort);
    }

    /// Those in lag can not have what they must not lose. Done once until somebody else
    /// falls into lag.
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
        let lag = self.connections.client(index).lag.expect("it is in lag");
        &mut self.lags[lag as usize]
    }
}

fn flow_log<Pass>(shard: &Shard<Pass>, cohort: CohortId) -> Option<LogId> {
    shard.flows.get(cohort).log
}
