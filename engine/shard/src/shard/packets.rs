//! What clients say, packet by packet.

use super::input::Handled;
use super::{Io, RECEIVE_MAX, Shard};
use crate::connections::{Answer, Flags, Owed};
use crate::end::End;
use crate::sessions::Received;
use crate::window::Awaits;
use ringcast_codec::mqtt::{
    Acknowledge, Disconnect, Packet, PacketId, PropertyBlock, Publish, QoS, ReasonCode, TopicName,
    Version,
};
use ringcast_ring::{ClaimError, Kind, Message, Publisher};
use ringcast_wire::{ConnectionKey, Wire};
use std::borrow::Cow;

impl<Pass> Shard<Pass> {
    pub(super) fn on_packet<W: Wire>(
        &mut self,
        key: ConnectionKey,
        packet: &Packet<'_>,
        io: &mut Io<'_, W>,
    ) -> Handled {
        match packet {
            Packet::Publish(publish) => return self.on_publish(key, publish, io),
            Packet::Subscribe(_) | Packet::Unsubscribe(_) => return self.wait_for_order(key, io),
            Packet::Pingreq => self.reply(key, &Packet::Pingresp),
            Packet::Disconnect(disconnect) => self.on_disconnect(key, disconnect),
            Packet::Puback(puback) => self.on_taken(key, puback.packet_id, Awaits::Puback),
            Packet::Pubrec(pubrec) => self.on_pubrec(key, pubrec),
            Packet::Pubrel(pubrel) => self.on_pubrel(key, pubrel),
            Packet::Pubcomp(pubcomp) => self.on_taken(key, pubcomp.packet_id, Awaits::Pubcomp),
            // Section 4.12: not without an authentication method in CONNECT.
            Packet::Auth(_) => self.doom(key, End::Fault(ReasonCode::ProtocolError)),
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                unreachable!("the decoder refuses what clients never send")
            }
        }
        Handled::Done
    }

    fn on_disconnect(&mut self, key: ConnectionKey, disconnect: &Disconnect<'_>) {
        let id = self.connections.at(key.index()).session;
        if let Some(asked) = disconnect.properties.session_expiry_interval() {
            if asked > 0 && !self.sessions.get(id).is_persistent() {
                // Section 3.14.2.2.2: no session that was to end can be kept now.
                self.doom(key, End::Fault(ReasonCode::ProtocolError));
                return;
            }
            let most = self.settings.limits.session_expiry_seconds_max;
            self.set_expiry(id, asked.min(most));
        }
        if disconnect.reason == ReasonCode::Success {
            // [MQTT-3.14.4-3], [MQTT3-3.14.4-3]
            self.drop_will(id);
        }
        self.doom(key, End::Goodbye);
    }

    /// A client acknowledges a message, which is done with.
    fn on_taken(&mut self, key: ConnectionKey, packet_id: PacketId, awaited: Awaits) {
        let id = self.connections.at(key.index()).session;
        let found = self.sessions.get(id).window.find(packet_id, &self.flights);
        let Some((place, flight)) = found.filter(|(_, flight)| flight.awaits == awaited) else {
            self.counters.acknowledgements_unknown += 1;
            return;
        };
        self.land(id, place, flight);
        if let Some(delivery) = flight.delivery {
            self.release(delivery);
        }
        self.counters.acknowledged += 1;
        self.on_quota(key);
    }

    /// A client that had to wait for that may be sent more.
    fn on_quota(&mut self, key: ConnectionKey) {
        let flags = &mut self.connections.at_mut(key.index()).flags;
        if flags.has(Flags::HELD) {
            flags.clear(Flags::HELD);
            self.list(key);
        }
    }

    /// A client has received a message at QoS 2, or refuses it (sections 3.5 and 4.3.3).
    fn on_pubrec(&mut self, key: ConnectionKey, pubrec: &Acknowledge<'_>) {
        let id = self.connections.at(key.index()).session;
        let packet_id = pubrec.packet_id;
        if pubrec.reason.is_error() {
            // [MQTT-4.3.3-4]: its identifier is free.
            return self.on_taken(key, packet_id, Awaits::Pubrec);
        }
        let found = self.sessions.get(id).window.find(packet_id, &self.flights);
        let answer = match found {
            Some((place, flight)) if flight.awaits != Awaits::Puback => {
                let window = &mut self.sessions.get_mut(id).window;
                if let Some(delivery) = window.on_received(place, &mut self.flights) {
                    self.release(delivery);
                }
                Acknowledge::success(packet_id)
            }
            _ => {
                self.counters.acknowledgements_unknown += 1;
                not_found(packet_id)
            }
        };
        self.reply(key, &Packet::Pubrel(answer));
    }

    /// A client releases the identifier of a message that it published at QoS 2.
    fn on_pubrel(&mut self, key: ConnectionKey, pubrel: &Acknowledge<'_>) {
        let id = self.connections.at(key.index()).session;
        let packet_id = pubrel.packet_id;
        let received = self.sessions.get(id).received().iter();
        let place = received
            .into_iter()
            .position(|one| one.packet_id == packet_id);
        let answer = match place {
            Some(place) => {
                let received = &mut self.sessions.get_mut(id).more_mut().received;
                received.remove(place);
                Acknowledge::success(packet_id)
            }
            None => {
                self.counters.acknowledgements_unknown += 1;
                not_found(packet_id)
            }
        };
        self.reply(key, &Packet::Pubcomp(answer));
    }

    fn on_publish<W: Wire>(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        io: &mut Io<'_, W>,
    ) -> Handled {
        let topic = match self.topic_of(key, publish) {
            Ok(topic) => topic,
            Err(reason) => {
                self.doom(key, End::Fault(reason));
                return Handled::Done;
            }
        };
        let topic = TopicName::new(&topic).expect("was checked when it came");
        if topic.levels().count() > self.settings.limits.topic_levels_max {
            self.doom(key, End::Fault(ReasonCode::TopicNameInvalid));
            return Handled::Done;
        }
        match self.may_take(key, publish) {
            Taken::Yes => {}
            Taken::Later => return Handled::Waits,
            Taken::Done => return Handled::Done,
        }
        if !self.may_publish(topic) {
            self.counters.publishes_refused += 1;
            let reason = match self.connections.at(key.index()).version {
                Version::V5 => ReasonCode::NotAuthorized,
                // Section 3.3.5 of MQTT 3.1.1: there is no other answer.
                Version::V31 | Version::V311 => ReasonCode::Success,
            };
            self.owe(key, publish, Answer::Is(reason));
            return Handled::Done;
        }
        let mut properties = std::mem::take(&mut self.properties);
        let handled = self.publish(key, publish, topic, &mut properties, io);
        self.properties = properties;
        handled
    }

    /// The topic of a message, by its name or its alias (section 3.3.2.3.4).
    fn topic_of<'a>(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'a>,
    ) -> Result<Cow<'a, str>, ReasonCode> {
        let most = self.settings.limits.topic_aliases_max;
        let Some(alias) = publish.properties.topic_alias() else {
            let topic = publish.topic.ok_or(ReasonCode::ProtocolError)?;
            return Ok(Cow::Borrowed(topic.as_str()));
        };
        if alias == 0 || alias > most {
            // [MQTT-3.3.2-8], [MQTT-3.3.2-9]
            return Err(ReasonCode::TopicAliasInvalid);
        }
        let aliases = &mut self.connections.talk_mut(key.index()).aliases;
        let place = usize::from(alias) - 1;
        if let Some(topic) = publish.topic {
            if aliases.len() <= place {
                aliases.resize(place + 1, None);
            }
            aliases[place] = Some(topic.as_str().into());
        }
        let known = aliases.get(place).cloned().flatten();
        let known = known.ok_or(ReasonCode::ProtocolError)?;
        Ok(Cow::Owned(known.into()))
    }

    /// Whether a message is to be taken now: not if it came before, and not beyond what may
    /// be on its way at once.
    fn may_take(&mut self, key: ConnectionKey, publish: &Publish<'_>) -> Taken {
        let Some(packet_id) = publish.delivery.packet_id() else {
            return Taken::Yes;
        };
        let index = key.index();
        let session = self.session(index);
        let is_exactly_once = publish.delivery.qos() == QoS::ExactlyOnce;
        let mut received = session.received().iter();
        let before = received.find(|one| is_exactly_once && one.packet_id == packet_id);
        if let Some(before) = before.copied() {
            // [MQTT-4.3.3-10]: it is not distributed again.
            let answer = match before.uplinked {
                Some(number) => Answer::ReadBack(number),
                None => Answer::Is(ReasonCode::Success),
            };
            self.owe(key, publish, answer);
            return Taken::Done;
        }
        let answered = session
            .received()
            .iter()
            .filter(|one| one.uplinked.is_none());
        let answered = answered.count();
        let owed = self.connections.client(index).talk.as_ref();
        let owed = owed.map_or(0, |talk| talk.owed.len());
        let most = usize::from(RECEIVE_MAX);
        match self.connections.at(index).version {
            Version::V5 if owed + answered >= most => {
                // [MQTT-3.3.4-7] tells clients not to.
                self.doom(key, End::Fault(ReasonCode::ReceiveMaximumExceeded));
                Taken::Done
            }
            Version::V31 | Version::V311 if owed >= most => {
                self.park(key);
                Taken::Later
            }
            _ => Taken::Yes,
        }
    }

    fn publish<W: Wire>(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        topic: TopicName<'_>,
        properties: &mut PropertyBlock,
        io: &mut Io<'_, W>,
    ) -> Handled {
        properties.clear();
        properties.push_forwarded(publish.properties);
        let wall_micros = self.now.wall_micros();
        let lives = publish.properties.message_expiry_interval();
        let packet_id = publish.delivery.packet_id();
        let message = Message {
            source_micros: wall_micros,
            expires_micros: lives.map_or(0, |s| wall_micros + u64::from(s) * 1_000_000),
            publisher: Publisher {
                session: key.index() + 1,
                generation: key.generation(),
                home: self.settings.home,
                packet_id: packet_id.map_or(0, PacketId::get),
            },
            qos: publish.delivery.qos() as u8,
            retain: publish.retain,
            topic: topic.as_bytes(),
            client_id: &self.session(key.index()).client_id,
            properties: properties.properties().as_bytes(),
            payload: publish.payload,
            ..Message::default()
        };
        if !self.upward.is_empty() {
            // What the shard itself sends goes first.
            self.park(key);
            return Handled::Waits;
        }
        match io.uplink.claim(message.encoded_len(), Kind::MESSAGE) {
            Ok(body) => {
                message.encode(body);
                self.uplinked += 1;
                self.counters.published += 1;
                self.owe(key, publish, Answer::ReadBack(self.uplinked));
                Handled::Done
            }
            Err(ClaimError::Full) => {
                self.counters.uplink_full += 1;
                self.park(key);
                Handled::Waits
            }
            Err(ClaimError::TooLarge) => {
                // The settings see to it that this is never so.
                self.doom(key, End::Fault(ReasonCode::PacketTooLarge));
                Handled::Done
            }
        }
    }

    /// A publisher is to be answered, after what it published before.
    fn owe(&mut self, key: ConnectionKey, publish: &Publish<'_>, answer: Answer) {
        let Some(packet_id) = publish.delivery.packet_id() else {
            return;
        };
        let index = key.index();
        let is_pubrec = publish.delivery.qos() == QoS::ExactlyOnce;
        let id = self.connections.at(index).session;
        if let (true, Answer::ReadBack(number)) = (is_pubrec, answer) {
            let received = &mut self.sessions.get_mut(id).more_mut().received;
            if received.iter().all(|one| one.packet_id != packet_id) {
                received.push(Received {
                    packet_id,
                    uplinked: Some(number),
                });
            }
        }
        self.connections.talk_mut(index).owed.push_back(Owed {
            packet_id,
            is_pubrec,
            answer,
        });
        self.pay(key);
    }

    /// The message with this number among those that the shard sent up came back.
    pub(super) fn on_read_back(&mut self, client_id: &[u8], number: u64) {
        let Some(id) = self.sessions.of_client(client_id) else {
            return;
        };
        let session = self.sessions.get_mut(id);
        if let Some(more) = &mut session.more {
            let mut received = more.received.iter_mut();
            if let Some(one) = received.find(|one| one.uplinked == Some(number)) {
                one.uplinked = None;
            }
        }
        let Some(index) = session.connection() else {
            return;
        };
        let Some(talk) = &mut self.connections.client_mut(index).talk else {
            return;
        };
        let waits = Answer::ReadBack(number);
        if let Some(owed) = talk.owed.iter_mut().find(|owed| owed.answer == waits) {
            owed.answer = Answer::Is(ReasonCode::Success);
            self.pay(self.connections.at(index).key);
        }
    }

    /// Gives the answers that wait for nothing before them [MQTT-4.6.0-2],
    /// [MQTT3-4.6.0-2].
    fn pay(&mut self, key: ConnectionKey) {
        loop {
            let owed = &mut self.connections.talk_mut(key.index()).owed;
            let Some(Owed {
                packet_id,
                is_pubrec,
                answer: Answer::Is(reason),
            }) = owed.front().copied()
            else {
                return;
            };
            owed.pop_front();
            let answer = Acknowledge {
                reason,
                ..Acknowledge::success(packet_id)
            };
            match is_pubrec {
                true => self.reply(key, &Packet::Pubrec(answer)),
                false => self.reply(key, &Packet::Puback(answer)),
            }
        }
    }

    /// What belongs to the engine, to single users or to the feed is not published by
    /// clients.
    pub(super) fn may_publish(&self, topic: TopicName<'_>) -> bool {
        let topic = topic.as_bytes();
        !topic.starts_with(b"$")
            && !super::private::is_private(topic)
            && (self.settings.limits.clients_publish_market || !topic.starts_with(b"market/"))
    }
}

/// Whether a message is taken.
enum Taken {
    Yes,
    /// It waits, and all behind it.
    Later,
    /// It was dealt with otherwise.
    Done,
}

fn not_found<'a>(packet_id: PacketId) -> Acknowledge<'a> {
    Acknowledge {
        reason: ReasonCode::PacketIdentifierNotFound,
        ..Acknowledge::success(packet_id)
    }
}
