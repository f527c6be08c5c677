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

/// Why a connection is not read any further.
enum Stop {
    /// It ended, on our side.
    Left,
    /// The server said what it may not.
    Fault(String),
}

impl Crowd {
    /// Takes in what was read for a client.
    pub(crate) fn on_bytes(&mut self, index: u32, bytes: &[u8], now: u64) {
        self.tally.totals.bytes_received += bytes.len() as u64;
        if self.clients[index as usize].state == State::Mute {
            return;
        }
        let taken = match self.clients[index as usize].marks.contains(Marks::HAS_REST) {
            true => self.take_with_rest(index, bytes, now),
            false => self.take_packets(index, bytes, now),
        };
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
        while !input.is_empty() {
            match cut(input)? {
                Progress::Done(frame, consumed) => {
                    self.on_frame(index, frame, now)?;
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

    #[inline]
    fn on_frame(&mut self, index: u32, frame: Frame<'_>, now: u64) -> Result<(), Stop> {
        let version = self.plan.version;
        if frame.kind == Kind::Publish {
            return match Publish::decode(frame, version, Sender::Server) {
                Ok(publish) => {
                    self.on_publish(index, &publish, now);
                    Ok(())
                }
                Err(fault) => Err(Stop::Fault(format!("a PUBLISH, {fault}"))),
            };
        }
        let decoder = Decoder {
            version,
            sender: Sender::Server,
            packet_bytes_max: PACKET_BYTES_MAX,
        };
        match decoder.read(frame) {
            Ok(packet) => self.on_packet(index, &packet, now),
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
                self.on_acknowledged(index, now);
            }
            (State::Ready, Packet::Pubrec(acknowledge)) => {
                if acknowledge.reason.is_error() {
                    // The exchange ends here [MQTT-4.3.3-4].
                    self.on_acknowledged(index, now);
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
        let filters = self
            .plan
            .write_subscribe(number, self.outbox.buffer(self.clients[index as usize].key));
        self.clients[index as usize].state = match filters {
            0 => State::Ready,
            _ => State::AwaitingSuback,
        };
        if filters == 0 {
            self.underway.remove(&index);
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

    #[inline]
    fn on_publish(&mut self, index: u32, publish: &Publish<'_>, now: u64) {
        match publish.delivery {
            Delivery::AtMostOnce => (),
            Delivery::AtLeastOnce { packet_id, .. } => {
                let answer = Packet::Puback(Acknowledge::success(packet_id));
                self.plan.write(
                    self.outbox.buffer(self.clients[index as usize].key),
                    &answer,
                );
            }
            Delivery::ExactlyOnce { packet_id, .. } => {
                let answer = Packet::Pubrec(Acknowledge::success(packet_id));
                self.plan.write(
                    self.outbox.buffer(self.clients[index as usize].key),
                    &answer,
                );
            }
        }
        self.tally.totals.delivered += 1;
        self.clients[index as usize].delivered += 1;
        let name = publish.topic.map_or("", |topic| topic.as_str());
        let plan = &*self.plan;
        let stamp = Stamp::read(plan.run, publish.payload, || {
            let topic = plan.names.number(name)?;
            // Only where a topic has one publisher can the name tell who it is.
            (plan.streams.in_topic() == 1).then(|| (plan.streams.publisher(topic), topic))
        });
        let stamp = match stamp {
            Ok(stamp) => stamp,
            // What was retained before this run began is the server's to tell.
            Err(Fault::OtherRun) if publish.retain => return,
            Err(Fault::OtherRun) => {
                self.tally.checked.stale += 1;
                return;
            }
            Err(Fault::Corrupt) => {
                self.tally.checked.corrupt += 1;
                return;
            }
        };
        let watch = plan
            .streams
            .find(stamp.publisher, stamp.topic)
            .filter(|_| plan.names.has_name(stamp.topic, name))
            .and_then(|stream| Some((stream, self.watch(index, stream)?)));
        let Some((stream, watch)) = watch else {
            self.tally.checked.corrupt += 1;
            return;
        };
        let outcome = self.watches[watch].take(stamp.sequence);
        self.judge(index, stream, &stamp, outcome, publish.delivery.dup());
        if outcome != Outcome::Again {
            self.time(index, stream, &stamp, now);
        }
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

fn cut(input: &[u8]) -> Result<Progress<Frame<'_>>, Stop> {
    Frame::cut(input, PACKET_BYTES_MAX).map_err(|fault| Stop::Fault(fault.to_string()))
}
