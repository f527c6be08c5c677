//! What clients say, packet by packet.

use super::input::Handled;
use super::{Io, Shard};
use crate::end::End;
use ringcast_codec::mqtt::{
    Acknowledge, Packet, PropertyBlock, Publish, QoS, ReasonCode, TopicName,
};
use ringcast_ring::{ClaimError, Kind, Message, Publisher};
use ringcast_wire::{ConnectionKey, Wire};

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
            Packet::Disconnect(disconnect) => {
                // Section 3.14.2.2.2: no session that was to end can be kept now.
                let revives = disconnect.properties.session_expiry_interval();
                let end = match revives {
                    Some(1..) => End::Fault(ReasonCode::ProtocolError),
                    _ => End::Goodbye,
                };
                self.doom(key, end);
            }
            Packet::Puback(_) | Packet::Pubcomp(_) => self.counters.acknowledgements_unknown += 1,
            Packet::Pubrec(acknowledge) => {
                self.counters.acknowledgements_unknown += 1;
                self.reply(key, &Packet::Pubrel(not_found(acknowledge)));
            }
            Packet::Pubrel(acknowledge) => {
                self.counters.acknowledgements_unknown += 1;
                self.reply(key, &Packet::Pubcomp(not_found(acknowledge)));
            }
            // Section 4.12: not without an authentication method in CONNECT.
            Packet::Auth(_) => self.doom(key, End::Fault(ReasonCode::ProtocolError)),
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                unreachable!("the decoder refuses what clients never send")
            }
        }
        Handled::Done
    }

    fn on_publish<W: Wire>(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        io: &mut Io<'_, W>,
    ) -> Handled {
        if publish.delivery.qos() != QoS::AtMostOnce {
            // [MQTT-3.2.2-11]: CONNACK said so.
            self.doom(key, End::Fault(ReasonCode::QosNotSupported));
            return Handled::Done;
        }
        let alias = publish.properties.topic_alias();
        let (Some(topic), None) = (publish.topic, alias) else {
            // [MQTT-3.3.2-9]: CONNACK allowed none.
            self.doom(key, End::Fault(ReasonCode::TopicAliasInvalid));
            return Handled::Done;
        };
        if topic.levels().count() > self.settings.limits.topic_levels_max {
            self.doom(key, End::Fault(ReasonCode::TopicNameInvalid));
            return Handled::Done;
        }
        if !self.may_publish(topic) {
            self.counters.publishes_refused += 1;
            return Handled::Done;
        }
        let mut properties = std::mem::take(&mut self.properties);
        let handled = self.publish(key, publish, topic, &mut properties, io);
        self.properties = properties;
        handled
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
        let message = Message {
            source_micros: wall_micros,
            expires_micros: lives.map_or(0, |s| wall_micros + u64::from(s) * 1_000_000),
            publisher: Publisher {
                session: key.index() + 1,
                generation: key.generation(),
                home: self.settings.home,
                packet_id: 0,
            },
            retain: publish.retain,
            topic: topic.as_bytes(),
            client_id: &self.connections.client(key.index()).id,
            properties: properties.properties().as_bytes(),
            payload: publish.payload,
            ..Message::default()
        };
        match io.uplink.claim(message.encoded_len(), Kind::MESSAGE) {
            Ok(body) => {
                message.encode(body);
                self.uplinked += 1;
                self.counters.published += 1;
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

    /// What belongs to the engine, to single users or to the feed is not published by
    /// clients.
    fn may_publish(&self, topic: TopicName<'_>) -> bool {
        let topic = topic.as_bytes();
        !topic.starts_with(b"$")
            && !topic.starts_with(b"user/")
            && (self.settings.limits.clients_publish_market || !topic.starts_with(b"market/"))
    }
}

fn not_found<'a>(acknowledge: &Acknowledge<'_>) -> Acknowledge<'a> {
    Acknowledge {
        reason: ReasonCode::PacketIdentifierNotFound,
        ..Acknowledge::success(acknowledge.packet_id)
    }
}
