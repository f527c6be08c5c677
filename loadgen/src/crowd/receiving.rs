//! What servers say: cut into packets, answered, and looked at.
//!
//! The path of a PUBLISH allocates nothing and reads no clock: all that came with one read
//! came at one time.

use super::{Close, Crowd, Marks, State};
use crate::results::Message;
use crate::stamp::{Fault, Stamp};
use crate::tally::share_of;
use crate::watch::{Outcome, Watch};
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Acknowledge, Connack, Decoder, Delivery, Frame, Kind, PACKET_BYTES_MAX, Packet, Publish,
    Sender, Suback,
};
use ringcast_wire::ConnectionKey;

/// Why a connection is not read any further.
enum Stop {
    /// It ended, on our side.
    Left,
    /// The server said what it may not.
    Fault(String),
}

/// A message as it came.
struct Incoming<'a> {
    topic: Topic<'a>,
    payload: &'a [u8],
    is_retained: bool,
    /// Whether it says that it may have come before.
    is_repeated: bool,
}

/// What is known of a message's topic.
enum Topic<'a> {
    Named(&'a str),
    Known(u32),
}

impl Crowd {
    /// Takes in what was read for a client.
    pub(crate) fn on_bytes(&mut self, index: u32, bytes: &[u8], now: u64) {
        self.tally.totals.bytes_received += bytes.len() as u64;
        if self.clients[index as usize].state == State::Mute {
            return;
        }
        let delivered = self.tally.totals.delivered;
        let taken = match self.clients[index as usize].marks.contains(Marks::HAS_REST) {
            true => self.take_with_rest(index, bytes, now),
            false => self.take_packets(index, bytes, now),
        };
        if self.tally.totals.delivered > delivered {
            self.came_at = now;
            self.tally.is_active(now);
        }
        if let Err(Stop::Fault(says)) = taken {
            let number = self.number(index);
            let (_, destination) = self.plan.addresses().of(number);
            self.note(|| {
                format!(
                    "{destination} broke MQTT: {says}; look at the server, or at what is between"
                )
            });
            self.on_end(index, Some(std::io::ErrorKind::InvalidData));
        }
    }

    /// Completes the packet whose beginning is kept, with no more than it needs.
    fn take_with_rest(&mut self, index: u32, bytes: &[u8], now: u64) -> Result<(), Stop> {
        let mut rest = self.rests.remove(&index).unwrap_or_default();
        self.clients[index as usize].marks.remove(Marks::HAS_REST);
        let mut input = bytes;
        loop {
            match cut(&rest)? {
                Progress::Done(frame, _) => {
                    self.on_frame(index, frame, now)?;
                    return self.take_packets(index, input, now);
                }
                Progress::Partial { needed } => {
                    let missing = needed - rest.len();
                    let Some((head, tail)) = input.split_at_checked(missing) else {
                        rest.extend_from_slice(input);
                        self.keep(index, rest);
                        return Ok(());
                    };
                    rest.extend_from_slice(head);
                    input = tail;
                }
            }
        }
    }

    fn take_packets(&mut self, index: u32, bytes: &[u8], now: u64) -> Result<(), Stop> {
        let mut input = bytes;
        if self.clients[index as usize].state == State::AwaitingConnack {
            check_first(input)?;
        }
        while !input.is_empty() {
            if let Some((topic, payload, rest)) = self.head.cut(input) {
                let message = Incoming {
                    topic: Topic::Known(topic),
                    payload,
                    is_retained: false,
                    is_repeated: false,
                };
                self.on_message(index, &message, now);
                input = rest;
                continue;
            }
            match cut(input)? {
                Progress::Done(frame, consumed) => {
                    if let Some((payload, topic)) = self.on_frame(index, frame, now)? {
                        self.head.learn(&input[..consumed], payload.len(), topic);
                    }
                    input = &input[consumed..];
                }
                Progress::Partial { .. } => {
                    self.keep(index, input.to_vec());
                    break;
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, index: u32, rest: Vec<u8>) {
        self.clients[index as usize].marks.insert(Marks::HAS_REST);
        self.rests.insert(index, rest);
    }

    /// Of a message whose like may follow, returns the payload, and the topic if it is right.
    #[inline]
    fn on_frame<'a>(
        &mut self,
        index: u32,
        frame: Frame<'a>,
        now: u64,
    ) -> Result<Option<(&'a [u8], u32)>, Stop> {
        let version = self.plan.version;
        if frame.kind == Kind::Publish {
            let publish = Publish::decode(frame, version, Sender::Server)
                .map_err(|fault| Stop::Fault(format!("a PUBLISH, {fault}")))?;
            let topic = self.on_publish(index, &publish, now);
            let is_plain = publish.delivery == Delivery::AtMostOnce && !publish.retain;
            return Ok(topic
                .filter(|_| is_plain)
                .map(|topic| (publish.payload, topic)));
        }
        let decoder = Decoder {
            version,
            sender: Sender::Server,
            packet_bytes_max: PACKET_BYTES_MAX,
        };
        match decoder.read(frame) {
            Ok(packet) => self.on_packet(index, &packet, now).map(|()| None),
            Err(fault) => Err(Stop::Fault(format!("{:?}, {fault}", frame.kind))),
        }
    }

    fn on_packet(&mut self, index: u32, packet: &Packet<'_>, now: u64) -> Result<(), Stop> {
        let state = self.clients[index as usize].state;
        match (state, packet) {
            (State::Leaving | State::Away, _) => return Err(Stop::Left),
            (State::AwaitingConnack, Packet::Connack(connack)) => {
                self.on_connack(index, connack, now);
            }
            (State::AwaitingSuback, Packet::Suback(suback)) => self.on_suback(index, suback),
            (_, Packet::Pingresp) => {
                let client = &mut self.clients[index as usize];
                if client.marks.contains(Marks::PINGED) {
                    client.marks.remove(Marks::PINGED);
                    self.tally.totals.pings += 1;
                    self.tally.totals.pings_answered += 1;
                }
            }
            (State::Ready, Packet::Puback(acknowledge) | Packet::Pubcomp(acknowledge)) => {
                if acknowledge.reason.is_error() {
                    let says = format!("the server refused a message: {:?}", acknowledge.reason);
                    self.note(|| says);
                }
                self.on_acknowledged(index);
            }
            (State::Ready, Packet::Pubrec(acknowledge)) => {
                if acknowledge.reason.is_error() {
                    // The exchange ends here [MQTT-4.3.3-4].
                    self.on_acknowledged(index);
                } else {
                    let answer = Packet::Pubrel(Acknowledge::success(acknowledge.packet_id));
                    self.plan.write(
                        self.outbox.buffer(self.clients[index as usize].key),
                        &answer,
                    );
                }
            }
            (State::Ready, Packet::Pubrel(acknowledge)) => {
                let answer = Packet::Pubcomp(Acknowledge::success(acknowledge.packet_id));
                self.plan.write(
                    self.outbox.buffer(self.clients[index as usize].key),
                    &answer,
                );
            }
            (_, Packet::Disconnect(disconnect)) => {
                let number = self.number(index);
                let (_, destination) = self.plan.addresses().of(number);
                let says = format!(
                    "{destination} disconnected a client: {:?}",
                    disconnect.reason
                );
                if self.behaviour(index).is_none() {
                    self.note(|| says);
                }
            }
            (state, packet) => {
                return Err(Stop::Fault(format!(
                    "{:?} to a client in {state:?}",
                    packet.kind()
                )));
            }
        }
        match self.clients[index as usize].state {
            State::Leaving => Err(Stop::Left),
            _ => Ok(()),
        }
    }

    fn on_connack(&mut self, index: u32, connack: &Connack<'_>, now: u64) {
        let began = self.underway.get(&index).copied().unwrap_or(now);
        if connack.reason.is_error() {
            self.tally.totals.connections_refused += 1;
            self.failed_at_first = self.failed_at_first.map(|failed| failed + 1);
            let number = self.number(index);
            let (_, destination) = self.plan.addresses().of(number);
            let (reason, client) = (connack.reason, self.plan.client_id(number));
            self.note(|| crate::error::refused(destination, &client, reason));
            self.clients[index as usize].state = State::Ready;
            self.open += 1;
            self.leave(index, Close::Abrupt, false);
            return;
        }
        if let Some(most) = connack.properties.receive_maximum() {
            self.on_receive_maximum(index, most);
        }
        self.count_opened(index, now);
        self.tally.connect.saturating_record(now - began);
        let number = self.number(index);
        if self.plan.wanted(number).is_none() {
            self.clients[index as usize].state = State::Ready;
            self.underway.remove(&index);
            return;
        }
        self.clients[index as usize].state = State::AwaitingSuback;
        if !self.plan.scenario.connect.pipelined {
            let out = self.outbox.buffer(self.clients[index as usize].key);
            self.plan.write_subscribe(number, out);
        }
    }

    fn on_suback(&mut self, index: u32, suback: &Suback<'_>) {
        self.underway.remove(&index);
        let refused = suback
            .reasons
            .iter()
            .filter(|reason| reason.is_error())
            .count() as u64;
        let all = suback.reasons.iter().count() as u64;
        self.tally.totals.subscriptions += all - refused;
        if let Some(reason) = suback.reasons.iter().find(|reason| reason.is_error()) {
            let client = self.plan.client_id(self.number(index));
            self.note(|| format!("the server refused a subscription of {client}: {reason:?}; look at what it may subscribe to"));
        }
        let client = &mut self.clients[index as usize];
        client.state = State::Ready;
        // Who was there before the first message misses none of them; who comes later
        // begins where it comes.
        if self.counts_from > 0 {
            self.begin_anywhere(index);
        }
    }

    /// Forgets what a client has seen of all that it watches.
    fn begin_anywhere(&mut self, index: u32) {
        let Some(wanted) = self.plan.wanted(self.number(index)) else {
            return;
        };
        let first = self.clients[index as usize].watches as usize;
        let count = wanted.count * self.plan.streams.in_topic();
        self.watches[first..first + count as usize].fill(Watch::FROM_ANY);
    }

    /// Answers a message, and takes it in; returns its topic if it is right.
    fn on_publish(&mut self, index: u32, publish: &Publish<'_>, now: u64) -> Option<u32> {
        let key = self.clients[index as usize].key;
        match self.plan.scenario.subscribers.acknowledge_after.nanos() {
            0 => self.answer(key, publish.delivery),
            _ if publish.delivery == Delivery::AtMostOnce => (),
            nanos => self.owed.push_back((now + nanos, key, publish.delivery)),
        }
        let message = Incoming {
            topic: Topic::Named(publish.topic.map_or("", |topic| topic.as_str())),
            payload: publish.payload,
            is_retained: publish.retain,
            is_repeated: publish.delivery.dup(),
        };
        self.on_message(index, &message, now)
    }

    /// Says that a message was received.
    fn answer(&mut self, key: ConnectionKey, delivery: Delivery) {
        let answer = match delivery {
            Delivery::AtMostOnce => return,
            Delivery::AtLeastOnce { packet_id, .. } => {
                Packet::Puback(Acknowledge::success(packet_id))
            }
            Delivery::ExactlyOnce { packet_id, .. } => {
                Packet::Pubrec(Acknowledge::success(packet_id))
            }
        };
        self.plan.write(self.outbox.buffer(key), &answer);
    }

    /// Answers messages whose answers have waited long enough; false if there are none.
    pub(crate) fn answer_owed(&mut self, now: u64) -> bool {
        let mut has_answered = false;
        while let Some(&(due, key, delivery)) = self.owed.front()
            && due <= now
        {
            self.owed.pop_front();
            has_answered = true;
            let is_ready = |index: u32| self.clients[index as usize].state == State::Ready;
            if self.index(key).is_some_and(is_ready) {
                self.answer(key, delivery);
            }
        }
        has_answered
    }

    /// Checks a message and counts it; returns its topic if it is right.
    #[inline]
    fn on_message(&mut self, index: u32, message: &Incoming<'_>, now: u64) -> Option<u32> {
        self.tally.totals.delivered += 1;
        self.clients[index as usize].delivered += 1;
        let plan = &*self.plan;
        let stamp = Stamp::read(plan.run, message.payload, || {
            let topic = match message.topic {
                Topic::Known(topic) => topic,
                Topic::Named(name) => plan.names.number(name)?,
            };
            // Only where a topic has one publisher can the name tell who it is.
            (plan.streams.in_topic() == 1).then(|| (plan.streams.publisher(topic), topic))
        });
        let stamp = match stamp {
            Ok(stamp) => stamp,
            // What was retained before this run began is the server's to tell.
            Err(Fault::OtherRun) if message.is_retained => return None,
            Err(Fault::OtherRun) => {
                self.tally.checked.stale += 1;
                return None;
            }
            Err(Fault::Corrupt) => {
                self.tally.checked.corrupt += 1;
                return None;
            }
        };
        let is_its_topic = match message.topic {
            Topic::Known(topic) => topic == stamp.topic,
            Topic::Named(name) => plan.names.has_name(stamp.topic, name),
        };
        let stream = plan.streams.find(stamp.publisher, stamp.topic);
        let watched = stream
            .filter(|_| is_its_topic)
            .and_then(|stream| Some((stream, self.watch(index, stream)?)));
        let Some((stream, watch)) = watched else {
            self.tally.checked.corrupt += 1;
            return None;
        };
        let outcome = self.watches[watch].take(stamp.sequence);
        self.judge(index, stream, &stamp, outcome, message.is_repeated);
        if outcome != Outcome::Again {
            self.time(index, stream, &stamp, now);
        }
        Some(stamp.topic)
    }

    /// Where a client's watch of a stream is, if it wants its topic.
    #[inline]
    fn watch(&self, index: u32, stream: u32) -> Option<usize> {
        let client = &self.clients[index as usize];
        if client.watches == super::NO_WATCH {
            return None;
        }
        let streams = self.plan.streams;
        let wanted = self.plan.wanted_by_subscriber(self.number(index));
        let place = wanted.place(streams.topic(stream))?;
        let behind = place * streams.in_topic() + streams.place_in_topic(stream);
        Some((client.watches + behind) as usize)
    }

    /// Counts what a message is to who gets it.
    #[inline]
    fn judge(
        &mut self,
        index: u32,
        stream: u32,
        stamp: &Stamp,
        outcome: Outcome,
        is_repeated: bool,
    ) {
        let checked = &mut self.tally.checked;
        let is_checked = self.clients[index as usize].is_checked();
        if self.plan.is_shared() {
            checked.shared += u64::from(is_checked);
            checked.shared_sum = checked
                .shared_sum
                .wrapping_add(share_of(stream, stamp.sequence));
        }
        let may_skip = self.plan.is_shared() || !is_checked;
        let conflates = self.plan.scenario.checks.conflation;
        match outcome {
            Outcome::InOrder => checked.due += u64::from(is_checked),
            Outcome::Gap(skipped) => {
                let skipped = if may_skip { 0 } else { skipped };
                checked.due += u64::from(is_checked) + u64::from(skipped);
                match conflates {
                    true => checked.conflated += i64::from(skipped),
                    false => checked.missing += i64::from(skipped),
                }
            }
            Outcome::Late => {
                checked.reordered += 1;
                if !may_skip {
                    match conflates {
                        true => checked.conflated -= 1,
                        false => checked.missing -= 1,
                    }
                }
            }
            // A message at QoS 1 or 2 may come again if it says so [MQTT-3.3.1-1].
            Outcome::Again => checked.duplicate += u64::from(!is_repeated),
        }
    }

    /// Takes the times of a message.
    #[inline]
    fn time(&mut self, index: u32, stream: u32, stamp: &Stamp, now: u64) {
        let response = now.saturating_sub(stamp.intended_nanos);
        let age_max = self.plan.scenario.checks.age_max.nanos();
        let client = &mut self.clients[index as usize];
        if client.marks.contains(Marks::BEHAVES) {
            return;
        }
        if age_max > 0 && response > age_max {
            self.tally.checked.stale += 1;
        }
        if let Some(messages) = &mut self.messages {
            let streams = self.plan.streams;
            let each = streams.count() / streams.publishers;
            let told = messages.entry((stream, stamp.sequence)).or_insert(Message {
                publisher: stamp.publisher,
                sequence: u64::from(stamp.sequence - 1) * u64::from(each)
                    + u64::from(stream / streams.publishers),
                deliveries: 0,
                intended_nanos: stamp.intended_nanos,
                first_nanos: now,
                last_nanos: now,
            });
            told.deliveries += 1;
            told.last_nanos = now;
        }
        if stamp.intended_nanos < self.counts_from {
            return;
        }
        client.counted += 1;
        client.response_sum += response;
        self.tally.response.saturating_record(response);
        if let Some(sent) = stamp.sent_nanos {
            self.tally
                .service
                .saturating_record(now.saturating_sub(sent));
        }
        self.tally.is_active(now);
    }
}

/// Another protocol's first words could be taken for the beginning of a long packet.
fn check_first(input: &[u8]) -> Result<(), Stop> {
    match input.first() {
        Some(first) if first >> 4 != Kind::Connack as u8 => {
            let words = input[..input.len().min(WORDS_MAX)].escape_ascii();
            Err(Stop::Fault(format!("\"{words}\" is no CONNACK")))
        }
        _ => Ok(()),
    }
}

/// Bytes of what is no MQTT that are shown.
const WORDS_MAX: usize = 32;

fn cut(input: &[u8]) -> Result<Progress<Frame<'_>>, Stop> {
    Frame::cut(input, PACKET_BYTES_MAX).map_err(|fault| Stop::Fault(fault.to_string()))
}
