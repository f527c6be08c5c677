//! Routing: from a message in the ring to the streams and logs of the cohorts that get it.
//!
//! A message is matched once, encoded once for each variant of its frame, and appended
//! once to each cohort. If there are very many cohorts, routing goes on in the next turn
//! with the rest of them; if the memory for a frame is still needed by a sweep, it waits
//! until that is over.

use super::private::is_private;
use super::{Io, Shard};
use crate::arena::{Frame, FrameNumber};
use crate::cohorts::CohortId;
use crate::control::{Membership, Redirect};
use crate::deliveries::{DeliveryId, How, LOST_BODY};
use crate::flow::WireForm;
use crate::routes::{Match, Matches};
use crate::store::{About, Parts, StoredId};
use crate::topics::TopicId;
use crate::window::shared_id;
use ringcast_codec::market::SlowPolicy;
use ringcast_codec::mqtt::{
    Properties, PropertyOwner, PublishFrame, QoS, SubscriptionIdentifier, TopicName,
};
use ringcast_ring::{Corrupt, Kind, Message};
use ringcast_wire::Wire;

/// Records of one turn.
const RECORDS_MAX: u64 = 512;

/// Appends of one turn.
const APPENDS_MAX: usize = 8_192;

/// The message being routed, and what was found for it.
pub(super) struct Routing {
    matches: Matches,
    /// The first of the matches that has not got it.
    next: usize,
    topic: Option<TopicId>,
    slow: SlowPolicy,
    frames: Variants,
    deliveries: Kept,
    /// The message as it is stored, if it is; one user is this.
    stored: Option<StoredId>,
    /// How many messages needed a packet identifier.
    pub(super) identified: u64,
    /// Whether this one does.
    is_identified: bool,
    /// The record, while routing it goes on in another turn.
    record: Vec<u8>,
    is_in_record: bool,
    /// The sequence number of the last message that was routed.
    pub(super) sequence: u64,
    /// Messages read whose submission has not been timed.
    pub(super) routed_in_turn: u64,
    /// Records of this shard's own clients that came back.
    pub(super) read_back: u64,
    appends_left: usize,
}

/// The frames of a message, by what makes them differ.
#[derive(Debug, Default)]
struct Variants {
    /// By wire form, RETAIN and quality of service.
    plain: [[[Option<FrameNumber>; 3]; 2]; WireForm::COUNT],
    /// The last one with subscription identifiers, and what it is.
    identified: Option<(WireForm, bool, u8, FrameNumber)>,
    identifiers: Vec<SubscriptionIdentifier>,
}

/// The deliveries of a message that logs have, by what makes them differ. Each has a user
/// here.
#[derive(Debug, Default)]
struct Kept {
    /// By RETAIN and quality of service, without identifiers.
    plain: [[Option<DeliveryId>; 3]; 2],
    /// The last one with identifiers.
    identified: Option<DeliveryId>,
}

/// Why routing a record stopped.
enum Stopped {
    /// It is done.
    Done,
    /// It goes on in the next turn.
    Later,
}

impl Routing {
    pub(super) fn new() -> Self {
        Self {
            matches: Matches::with_capacity(4_096, 4_096),
            next: 0,
            topic: None,
            slow: SlowPolicy::Queue,
            frames: Variants::default(),
            deliveries: Kept::default(),
            stored: None,
            identified: 0,
            is_identified: false,
            record: Vec::new(),
            is_in_record: false,
            sequence: 0,
            routed_in_turn: 0,
            read_back: 0,
            appends_left: 0,
        }
    }

    pub(super) fn is_in_record(&self) -> bool {
        self.is_in_record
    }
}

impl<Pass> Shard<Pass> {
    /// Takes records from the ring and routes them, up to the limits of a turn.
    pub(super) fn route<W: Wire>(&mut self, io: &mut Io<'_, W>) -> Result<bool, Corrupt> {
        self.routing.appends_left = APPENDS_MAX;
        if self.routing.is_in_record && !self.go_on_with_record() {
            return Ok(true);
        }
        let bytes_max = self.settings.arena_bytes as u64 / 4;
        let mut batch = io.ring.poll()?;
        let bytes_before = batch.bytes_left();
        let mut records = 0;
        while records < RECORDS_MAX
            && self.routing.appends_left > 0
            && bytes_before - batch.bytes_left() < bytes_max
            && let Some(record) = batch.next_record()?
        {
            records += 1;
            if record.kind != Kind::MESSAGE {
                self.on_control(record.kind, record.body);
                continue;
            }
            let Some(message) = Message::decode(record.body) else {
                self.counters.records_refused += 1;
                continue;
            };
            self.begin_record(&message);
            if let Stopped::Later = self.append_all(&message) {
                let routing = &mut self.routing;
                routing.is_in_record = true;
                routing.record.clear();
                routing.record.extend_from_slice(record.body);
                break;
            }
        }
        drop(batch);
        self.after_appends();
        Ok(records > 0)
    }

    /// The record that an earlier turn left. Returns whether it is done.
    fn go_on_with_record(&mut self) -> bool {
        let record = std::mem::take(&mut self.routing.record);
        let message = Message::decode(&record).expect("was decoded before");
        if let Stopped::Done = self.append_all(&message) {
            self.routing.is_in_record = false;
        }
        self.routing.record = record;
        self.after_appends();
        !self.routing.is_in_record
    }

    /// What shards tell each other.
    fn on_control(&mut self, kind: Kind, body: &[u8]) {
        let handled = match kind {
            Kind::MEMBERSHIP => {
                Membership::decode(body).map(|changed| self.on_membership(&changed))
            }
            Kind::REDIRECT => Redirect::decode(body).map(|redirect| self.on_redirect(&redirect)),
            _ => None,
        };
        self.counters.records_refused += u64::from(handled.is_none());
    }

    /// Finds who gets a message, and keeps it where it is a last value.
    fn begin_record(&mut self, message: &Message<'_>) {
        self.counters.records += 1;
        let wall_micros = self.now.wall_nanos;
        let arrived = wall_micros.saturating_sub(message.ingest_micros * 1_000);
        self.arrival.record(arrived, 1);
        let is_own = message.publisher.home == self.settings.home && message.publisher.session > 0;
        let own = is_own.then(|| self.cohort_of(message.client_id)).flatten();
        let routing = &mut self.routing;
        routing.routed_in_turn += 1;
        routing.read_back += u64::from(is_own);
        routing.next = 0;
        routing.frames.plain = Default::default();
        routing.frames.identified = None;
        routing.is_identified = false;
        routing.sequence = message.sequence;
        if is_own && message.publisher.packet_id > 0 {
            let number = routing.read_back;
            self.on_read_back(message.client_id, number);
        }
        let routing = &mut self.routing;
        if !is_deliverable(message) {
            self.counters.records_refused += 1;
            routing.matches.clear();
            return;
        }
        let topic = self
            .routes
            .route(message.topic_hash, message.topic, own, &mut routing.matches);
        routing.topic = topic;
        routing.slow = match topic {
            Some(topic) => self.routes.topics().slow(topic),
            None => self.routes.topics().slow_anew(message.topic),
        };
        if is_private(message.topic) {
            self.routing.matches.clear();
            self.route_private(message);
        }
        self.route_shared(message);
        self.keep_values(message);
    }

    /// The cohort of a client of this shard, if it has a session.
    fn cohort_of(&self, client_id: &[u8]) -> Option<CohortId> {
        let id = self.sessions.of_client(client_id)?;
        Some(self.sessions.get(id).cohort)
    }

    fn keep_values(&mut self, message: &Message<'_>) {
        let Some(topic) = self.routing.topic else {
            self.counters.not_kept += u64::from(message.retain);
            return;
        };
        let conflates = self.routing.slow == SlowPolicy::Conflate;
        if !conflates && !message.retain {
            return;
        }
        let is_kept = message.retain && !message.payload.is_empty();
        let stored = match conflates || is_kept {
            true => self.stored(message),
            false => None,
        };
        let mut replaced = [None, None];
        if conflates {
            let last = stored.map(|id| (self.store.share(id), message.sequence));
            replaced[0] = self.values.set_last(topic, last);
        }
        if message.retain {
            let retained = stored.filter(|_| is_kept).map(|id| self.store.share(id));
            replaced[1] = self.values.set_retained(topic, retained);
        }
        for id in replaced.into_iter().flatten() {
            self.store.release(id);
        }
        self.routes.pin(topic, self.values.is_kept(topic));
    }

    /// The message being routed as it is stored, which it is from now on if there is room.
    pub(super) fn stored(&mut self, message: &Message<'_>) -> Option<StoredId> {
        if self.routing.stored.is_none() {
            let about = About {
                sequence: message.sequence,
                expires_micros: message.expires_micros,
                qos: message.qos,
                retain: message.retain,
                publisher: self.sessions.hash(message.client_id),
            };
            let parts = Parts {
                topic: message.topic,
                properties: message.properties,
                payload: message.payload,
            };
            self.routing.stored = self.store.keep(about, parts);
            self.counters.not_kept += u64::from(self.routing.stored.is_none());
        }
        self.routing.stored
    }

    /// Appends the message to the cohorts that have not got it yet.
    fn append_all(&mut self, message: &Message<'_>) -> Stopped {
        let expires = message.expires_micros;
        if expires > 0 && expires <= self.now.wall_micros() {
            // [MQTT-3.3.2-5]: it took too long on its way to those who have not got it.
            self.routing.next = self.routing.matches.len();
        }
        while self.routing.next < self.routing.matches.len() {
            if self.routing.appends_left == 0 {
                return Stopped::Later;
            }
            let found = self.routing.matches.at(self.routing.next);
            // Whoever left meanwhile, and perhaps another has its number, gets nothing.
            if self.routes.is_met(found.cohort) && !self.append(found, message) {
                self.counters.routing_paused += 1;
                return Stopped::Later;
            }
            self.routing.next += 1;
            self.routing.appends_left -= 1;
        }
        self.forget_stored();
        Stopped::Done
    }

    /// A message was routed: nothing of it is needed here any more.
    pub(super) fn forget_stored(&mut self) {
        let Some(stored) = self.routing.stored.take() else {
            return;
        };
        let kept = std::mem::take(&mut self.routing.deliveries);
        let plain = kept.plain.into_iter().flatten().flatten();
        for delivery in plain.chain(kept.identified) {
            self.release(delivery);
        }
        self.store.release(stored);
    }

    /// Whether a cohort is still to get the message whose routing goes on in another turn.
    /// The last values have it already.
    pub(super) fn is_still_to_get(&self, cohort: CohortId) -> bool {
        let routing = &self.routing;
        let left = routing.next..routing.matches.len();
        routing.is_in_record
            && left
                .into_iter()
                .any(|at| routing.matches.at(at).cohort == cohort)
    }

    /// Appends it to one cohort's stream and log. `false` if it has to wait.
    fn append(&mut self, found: Match, message: &Message<'_>) -> bool {
        let flow = self.flows.get(found.cohort);
        let lagging = flow.roster.lagging().len();
        let qos = found.qos.min(message.qos);
        if lagging < flow.roster.len() {
            if self.pieces.free_pages() == 0 && !self.free_pieces() {
                return false;
            }
            let form = self.flows.get(found.cohort).wire_form;
            match self.frame_for(found, form, message) {
                Ok(Some(number)) => {
                    self.keep_body(found, form, number, message);
                    self.append_frame(found.cohort, form, number);
                }
                Ok(None) => {}
                Err(Busy) => return false,
            }
        }
        // To make room for the frame, some of its receivers may have fallen into lag.
        let lagging = self.flows.get(found.cohort).roster.lagging().len();
        let slow = self.routing.slow;
        let is_strict = slow == SlowPolicy::Disconnect || (slow == SlowPolicy::Resync && qos == 0);
        if is_strict && lagging > 0 {
            self.give_up_on_all(found.cohort);
        }
        let away = self.flows.get(found.cohort).away;
        let is_needed =
            (lagging > 0 && slow == SlowPolicy::Queue) || (qos > 0 && (lagging > 0 || away > 0));
        if is_needed {
            self.append_to_log(found, message);
        } else if slow == SlowPolicy::Drop && qos == 0 {
            self.flows.get_mut(found.cohort).dropped += 1;
        } else if slow == SlowPolicy::Queue && away > 0 {
            self.flows.get_mut(found.cohort).unlogged = message.sequence;
        }
        true
    }

    fn append_frame(&mut self, cohort: CohortId, form: WireForm, number: FrameNumber) {
        let arena = &self.arenas[form as usize];
        let frame = *arena.frame(number);
        let flow = self.flows.get_mut(cohort);
        if frame.bytes > flow.packet_bytes_max {
            // [MQTT-3.1.2-25]: it is as if it had been sent.
            self.counters.oversize += 1;
            return;
        }
        let appended = flow.stream.append(number, arena, &mut self.pieces);
        debug_assert!(appended, "there was a page");
        self.laps[form as usize].enter(cohort, flow, number);
        let head = flow.stream.head();
        if matches!(frame.class, SlowPolicy::Disconnect | SlowPolicy::Resync) {
            flow.strict = head;
        }
        if frame.qos > 0 {
            flow.acknowledged = head;
        }
        if frame.expires_micros > 0 {
            flow.dying = head;
        }
        let apart = flow.roster.apart().len();
        let receivers = flow.roster.len() - flow.roster.lagging().len();
        if apart > 0 && head.0 - flow.looked.0 > self.settings.limits.lag_bytes / 4 {
            flow.looked = head;
            self.to_look.push(cohort);
        }
        if receivers > apart {
            self.flows.soil(cohort);
        }
        self.counters.appends += 1;
        self.counters.deliveries += receivers as u64;
    }

    /// What sessions that outlive their connections may be sent again is stored, with all
    /// that its frame may not say.
    fn keep_body(
        &mut self,
        found: Match,
        form: WireForm,
        number: FrameNumber,
        message: &Message<'_>,
    ) {
        let Frame { qos, body, .. } = *self.arenas[form as usize].frame(number);
        if !self.is_kept(found.cohort, qos) || body > 0 {
            return;
        }
        let body = match self.delivery_for(found, message) {
            Some(delivery) => self.deliveries.share(delivery).to_body(),
            None if form == WireForm::Mqtt3 => LOST_BODY,
            None => return,
        };
        self.arenas[form as usize].set_body(number, body);
    }

    /// Whether what a cohort gets may be sent again on another connection.
    fn is_kept(&self, cohort: CohortId, qos: u8) -> bool {
        qos > 0 && self.flows.get(cohort).persistent > 0
    }

    fn append_to_log(&mut self, found: Match, message: &Message<'_>) {
        let Some(log) = self.flows.get(found.cohort).log else {
            return;
        };
        let kept = self.delivery_for(found, message).is_some_and(|delivery| {
            let deliveries = &mut self.deliveries;
            self.logs.append(log, delivery, deliveries, &self.store)
        });
        if !kept {
            self.break_log(found.cohort);
        } else if self.logs.is_to_trim(log) || self.is_too_long(log) {
            self.to_trim.push(found.cohort);
        }
    }

    /// The message as a log of this cohort has it.
    fn delivery_for(&mut self, found: Match, message: &Message<'_>) -> Option<DeliveryId> {
        let retain = message.retain && found.retain_as_published;
        let qos = found.qos.min(message.qos);
        let (row, column) = (usize::from(retain), usize::from(qos));
        if found.identifiers == 0
            && let Some(known) = self.routing.deliveries.plain[row][column]
        {
            return Some(known);
        }
        let identifiers = self.routing.matches.identifiers(self.routing.next);
        let how = How {
            qos,
            retain,
            identifiers: identifiers.collect(),
            ..How::default()
        };
        if let Some(known) = self.routing.deliveries.identified
            && *self.deliveries.how(known) == how
        {
            return Some(known);
        }
        let kept = self.keep_message(message, how)?;
        let place = match found.identifiers {
            0 => &mut self.routing.deliveries.plain[row][column],
            _ => &mut self.routing.deliveries.identified,
        };
        if let Some(before) = place.replace(kept) {
            self.release(before);
        }
        Some(kept)
    }

    fn after_appends(&mut self) {
        while let Some(cohort) = self.to_look.pop() {
            self.look(cohort);
        }
        while let Some(cohort) = self.to_trim.pop() {
            self.trim_log(cohort);
        }
    }

    /// The frame of the message that a cohort gets; none if it can get none.
    fn frame_for(
        &mut self,
        found: Match,
        form: WireForm,
        message: &Message<'_>,
    ) -> Result<Option<FrameNumber>, Busy> {
        let retain = message.retain && found.retain_as_published;
        let qos = found.qos.min(message.qos);
        // MQTT 3 has no identifiers; but its client may come back with MQTT 5.
        if found.identifiers == 0 || form == WireForm::Mqtt3 && !self.is_kept(found.cohort, qos) {
            let (row, column) = (usize::from(retain), usize::from(qos));
            let known = self.routing.frames.plain[form as usize][row][column];
            if known.is_some_and(|number| self.has_frame(form, number)) {
                return Ok(known);
            }
            self.routing.frames.identifiers.clear();
            let number = self.encode(form, retain, qos, message)?;
            self.routing.frames.plain[form as usize][row][column] = number;
            return Ok(number);
        }
        let Routing {
            matches,
            next,
            frames,
            ..
        } = &mut self.routing;
        let identifiers = || {
            matches
                .identifiers(*next)
                .filter_map(SubscriptionIdentifier::new)
        };
        if let Some((known_form, known_retain, known_qos, number)) = frames.identified
            && (known_form, known_retain, known_qos) == (form, retain, qos)
            && self.arenas[form as usize].has(number)
            && self.laps[form as usize].has(number)
            && identifiers().eq(frames.identifiers.iter().copied())
        {
            return Ok(Some(number));
        }
        frames.identified = None;
        frames.identifiers.clear();
        frames.identifiers.extend(identifiers());
        let number = self.encode(form, retain, qos, message)?;
        self.routing.frames.identified = number.map(|number| (form, retain, qos, number));
        Ok(number)
    }

    /// Whether a variant is still there for others to get: of a small arena the variants of a
    /// large message may have taken all.
    fn has_frame(&self, form: WireForm, number: FrameNumber) -> bool {
        self.arenas[form as usize].has(number) && self.laps[form as usize].has(number)
    }

    /// Writes a variant of the message's frame into the arena.
    fn encode(
        &mut self,
        form: WireForm,
        retain: bool,
        qos: u8,
        message: &Message<'_>,
    ) -> Result<Option<FrameNumber>, Busy> {
        // Taken, because making room for the frame may change anything but them.
        let identifiers = std::mem::take(&mut self.routing.frames.identifiers);
        let frame = PublishFrame {
            version: form.version(),
            qos: QoS::from_bits(qos).expect("it is one"),
            retain,
            topic: TopicName::from_bytes(message.topic).ok(),
            message_expiry: seconds_left(message.expires_micros, self.now.wall_micros()),
            subscription_identifiers: &identifiers,
            properties: Properties::new(message.properties, PropertyOwner::PublishFromClient)
                .unwrap_or(Properties::EMPTY),
            payload: message.payload,
        };
        let number = self.write(form, &frame, message);
        self.routing.frames.identifiers = identifiers;
        number
    }

    fn write(
        &mut self,
        form: WireForm,
        frame: &PublishFrame<'_>,
        message: &Message<'_>,
    ) -> Result<Option<FrameNumber>, Busy> {
        let bytes_max = self.arenas[form as usize].frame_bytes_max();
        let layout = frame.layout().ok().filter(|layout| layout.len <= bytes_max);
        let Some(layout) = layout else {
            self.counters.oversize += 1;
            return Ok(None);
        };
        if !self.make_clear(form, layout.len) {
            return Err(Busy);
        }
        let arena = &mut self.arenas[form as usize];
        if let Some(body) = DeliveryId::from_body(arena.next_evicts()) {
            self.deliveries.release(body, &mut self.store);
        }
        self.laps[form as usize].before_frame(arena);
        let qos = frame.qos as u8;
        if qos > 0 && !std::mem::replace(&mut self.routing.is_identified, true) {
            self.routing.identified += 1;
        }
        let class = match self.routing.slow {
            // What is acknowledged is not lost.
            slow if qos == 0 || slow == SlowPolicy::Disconnect => slow,
            _ => SlowPolicy::Queue,
        };
        let record = Frame {
            sequence: message.sequence,
            ingest_micros: message.ingest_micros,
            bytes: layout.len as u32,
            q: self.routing.identified as u32,
            class,
            qos,
            expires_micros: message.expires_micros,
            ..Frame::default()
        };
        let packet_id = (qos > 0).then(|| shared_id(self.routing.identified));
        let number = arena.write(record, |place| frame.encode(&layout, packet_id, place));
        self.counters.frames += 1;
        Ok(Some(number))
    }
}

/// The memory for a frame is still needed.
struct Busy;

/// Whether a record's parts are what may be sent to clients.
fn is_deliverable(message: &Message<'_>) -> bool {
    message.qos <= 2
        && TopicName::from_bytes(message.topic).is_ok()
        && (message.properties.is_empty()
            || Properties::new(message.properties, PropertyOwner::PublishFromClient).is_ok())
}

/// What Message Expiry Interval says of a message that is to be forgotten at this time;
/// a second that has begun counts.
pub(super) fn seconds_left(expires_micros: u64, now_micros: u64) -> Option<u32> {
    let left = expires_micros
        .saturating_sub(now_micros)
        .div_ceil(1_000_000);
    (expires_micros > 0).then(|| u32::try_from(left).unwrap_or(u32::MAX))
}
