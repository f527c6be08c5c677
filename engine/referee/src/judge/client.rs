//! What clients send. Nothing is judged here; it is remembered, for what the server may
//! do depends on it.

use crate::packet::{Ack, Connect, Packet, Publish, Side, Subscribe, Version, property};
use crate::referee::Referee;
use crate::state::{
    Answer, Asked, Connection, Contents, Inbound, Moment, Publication, Stage, Subscription,
};

/// Where a publication was put: its content and its place there.
type Noted = (u64, usize);

impl Referee {
    /// Any byte of a client shows that it lives.
    pub(crate) fn on_client_bytes(&mut self, connection: &mut Connection) {
        self.judge_keep_alive(connection);
        let silence = self.silence_nanos(connection);
        connection.silence_longest_nanos = connection.silence_longest_nanos.max(silence);
        connection.client_seen = Some(self.now);
    }

    /// How long nothing of the client was seen.
    pub(crate) fn silence_nanos(&self, connection: &Connection) -> u64 {
        let seen = connection.client_seen.or(connection.connect_at);
        seen.map_or(0, |seen| self.now.nanos - seen.nanos)
    }

    /// The client broke the protocol. It is not listened to any more.
    pub(crate) fn on_client_fault(&mut self, connection: &mut Connection) {
        connection.input.broken = true;
        connection.fault_at = Some(self.now);
    }

    pub(crate) fn on_client_packet(
        &mut self,
        connection: &mut Connection,
        packet: Packet,
        size: usize,
    ) {
        connection.client_packets += 1;
        connection.inbound_largest = connection.inbound_largest.max(size as u64);
        let number = connection.client_packets;
        if connection.connect.is_some() == matches!(packet, Packet::Connect(_)) {
            self.on_client_fault(connection);
            return;
        }
        match packet {
            Packet::Connect(connect) => self.on_connect(connection, *connect),
            Packet::Disconnect(disconnect) => {
                let expiry = disconnect.properties.number(property::SESSION_EXPIRY);
                if expiry.is_some_and(|seconds| seconds > 0) && !asked_to_last(connection) {
                    // Section 3.14.2.2.2: it is no goodbye.
                    self.on_client_fault(connection);
                    return;
                }
                connection.farewell = Some((self.now, disconnect.reason));
                connection.flow(Side::Client).broken = true;
                if let (Some(session), Some(expiry)) = (connection.session, expiry) {
                    // The server may or may not get to read it.
                    let session = &mut self.sessions[session];
                    let expiry = u64::from(expiry);
                    session.expiry_low_secs = session.expiry_low_secs.min(expiry);
                    session.expiry_high_secs = session.expiry_high_secs.max(expiry);
                }
            }
            Packet::Publish(mut publish) => {
                if !resolve_alias(connection, &mut publish) {
                    self.on_client_fault(connection);
                    return;
                }
                let again = self.note_again(connection, &publish);
                let noted = again.unwrap_or_else(|| self.note_publish(connection, &publish));
                // Its bytes have been weighed; what follows needs its identifier only.
                publish.payload = Vec::new();
                self.await_session(connection, Packet::Publish(publish), number, Some(noted));
            }
            other => self.await_session(connection, other, number, None),
        }
    }

    fn on_connect(&mut self, connection: &mut Connection, connect: Connect) {
        connection.version = Some(connect.version);
        connection.connect_at = Some(self.now);
        connection.keep_alive_secs = u64::from(connect.keep_alive_secs);
        let maximum = connect.properties.number(property::RECEIVE_MAXIMUM);
        connection.credit = i64::from(maximum.unwrap_or(65_535));
        ask(connection, Answer::Connack, 0, self.now, 1);
        if let Some(will) = &connect.will {
            let publication = Publication {
                publisher: connect.client_id.clone(),
                at: self.now,
                qos: will.qos,
                retain: will.retain,
                properties: will.properties.clone(),
                numbers: Vec::new(),
                number_of_topic: 0,
                will_of: Some(connection.number),
            };
            let key = Contents::key(&will.topic, &will.payload);
            self.contents.add(key, publication);
        }
        if !connect.client_id.is_empty() {
            let claims = self.claims.entry(connect.client_id.clone()).or_default();
            for claim in claims.iter() {
                if let Some(other) = self.connections.get_mut(claim) {
                    other.contested = true;
                }
                connection.contested = true;
            }
            claims.push(connection.number);
        }
        connection.connect = Some(connect);
    }

    /// A message at QoS 2 that the session holds already: the same one again, whose
    /// place among the others is then either.
    fn note_again(&mut self, connection: &Connection, publish: &Publish) -> Option<Noted> {
        if publish.qos != 2 {
            return None;
        }
        let session = &self.sessions[connection.session?];
        let (key, place) = session.inbound.get(&publish.packet_id)?.noted;
        let client_id = connection.client_id();
        let number = self.contents.number(client_id, &publish.topic, publish.qos);
        let publication = self.contents.get_mut(key)?.publications.get_mut(place)?;
        publication.numbers.push(number);
        Some((key, place))
    }

    fn note_publish(&mut self, connection: &Connection, publish: &Publish) -> Noted {
        let client_id = connection.client_id().to_owned();
        // Its order beside what another connection of that client sends is open, as long
        // as one of them has not been answered.
        let claims = self.claims.get(&client_id).into_iter().flatten();
        let claimed = claims.copied().any(|claim| claim != connection.number);
        let alone = connection.taken_over.is_none()
            && !connection.contested
            && connection.accepted.is_some()
            && !claimed;
        let number = self
            .contents
            .number(&client_id, &publish.topic, publish.qos);
        let number_of_topic = self.contents.number_of_topic(&client_id, &publish.topic);
        let publication = Publication {
            publisher: client_id,
            at: self.now,
            qos: publish.qos,
            retain: publish.retain,
            properties: publish.properties.clone(),
            numbers: if alone { vec![number] } else { Vec::new() },
            number_of_topic: if alone { number_of_topic } else { 0 },
            will_of: None,
        };
        let key = Contents::key(&publish.topic, &publish.payload);
        (key, self.contents.add(key, publication))
    }

    /// What follows CONNECT at once waits here for CONNACK to say which session it is.
    fn await_session(
        &mut self,
        connection: &mut Connection,
        packet: Packet,
        number: u64,
        noted: Option<Noted>,
    ) {
        if connection.accepted.is_some() {
            self.on_session_packet(connection, &packet, self.now, number, noted);
        } else {
            connection.early.push((packet, self.now, number));
        }
    }

    pub(crate) fn on_session_packet(
        &mut self,
        connection: &mut Connection,
        packet: &Packet,
        at: Moment,
        number: u64,
        noted: Option<Noted>,
    ) {
        match packet {
            Packet::Publish(publish) => {
                self.on_publish_of_client(connection, publish, at, number, noted);
            }
            Packet::Puback(ack) => {
                connection.credit += 1;
                self.on_ack_of_client(connection, ack, 1, true, number);
            }
            Packet::Pubrec(ack) => {
                let fails = ack.reason >= 0x80;
                if fails {
                    connection.credit += 1;
                } else {
                    ask(connection, Answer::Pubrel, ack.packet_id, at, number);
                }
                self.on_ack_of_client(connection, ack, 2, fails, number);
            }
            Packet::Pubcomp(ack) => {
                connection.credit += 1;
                self.on_ack_of_client(connection, ack, 2, true, number);
            }
            Packet::Pubrel(ack) => {
                ask(connection, Answer::Pubcomp, ack.packet_id, at, number);
                let session = connection
                    .session
                    .map(|session| &mut self.sessions[session]);
                let released = session.and_then(|session| session.inbound.remove(&ack.packet_id));
                let asked = |asked: &Asked| {
                    asked.answer == Answer::Pubrec && asked.packet_id == ack.packet_id
                };
                // PUBRECs for earlier connections may be on their way.
                let here = u32::from(connection.asked.iter().any(asked));
                for _ in here..released.map_or(0, |held| held.owed) {
                    connection.spare.push((Answer::Pubrec, ack.packet_id));
                }
            }
            Packet::Subscribe(subscribe) => {
                ask(connection, Answer::Suback, subscribe.packet_id, at, number);
                self.on_subscribe(connection, subscribe);
            }
            Packet::Unsubscribe(unsubscribe) => {
                ask(
                    connection,
                    Answer::Unsuback,
                    unsubscribe.packet_id,
                    at,
                    number,
                );
                connection
                    .unsubscribes
                    .push((unsubscribe.packet_id, unsubscribe.filters.clone()));
                if let Some(session) = connection.session {
                    let subscriptions = self.sessions[session].subscriptions.iter_mut();
                    for given_up in subscriptions
                        .filter(|one| unsubscribe.filters.contains(&one.request.filter))
                    {
                        given_up.given_up = true;
                    }
                }
            }
            Packet::Pingreq => ask(connection, Answer::Pingresp, 0, at, number),
            _ => {}
        }
    }

    fn on_publish_of_client(
        &mut self,
        connection: &mut Connection,
        publish: &Publish,
        at: Moment,
        number: u64,
        noted: Option<Noted>,
    ) {
        if publish.qos == 0 {
            return;
        }
        let answer = if publish.qos == 1 {
            Answer::Puback
        } else {
            Answer::Pubrec
        };
        connection.inbound_open += 1;
        connection.inbound_open_most = connection.inbound_open_most.max(connection.inbound_open);
        ask(connection, answer, publish.packet_id, at, number);
        if let (2, Some(noted), Some(session)) = (publish.qos, noted, connection.session) {
            let inbound = &mut self.sessions[session].inbound;
            let held = inbound.entry(publish.packet_id);
            held.or_insert(Inbound { noted, owed: 0 }).owed += 1;
        }
    }

    /// An acknowledgement: what it frees is free for the server as soon as it has it,
    /// which may be at once. Of the wrong kind, it leaves open what the server makes
    /// of it.
    fn on_ack_of_client(
        &mut self,
        connection: &mut Connection,
        ack: &Ack,
        qos: u8,
        last: bool,
        number: u64,
    ) {
        connection.resend_due.retain(|due| *due != ack.packet_id);
        let Some(session) = connection.session else {
            return;
        };
        let session = &mut self.sessions[session];
        let current = session.current == connection.number;
        let Some(entry) = session.entries.get_mut(&ack.packet_id) else {
            return;
        };
        if !current && entry.sent_on != connection.number {
            return;
        }
        if entry.qos != qos {
            entry.certain = false;
        } else if last {
            session.finish(ack.packet_id, connection.number, number);
        } else if entry.stage == Stage::Sent {
            entry.stage = Stage::Received;
        }
    }

    /// A subscription can be in force as soon as SUBSCRIBE was sent. What it replaces
    /// goes on to be in force until SUBACK tells.
    fn on_subscribe(&mut self, connection: &mut Connection, subscribe: &Subscribe) {
        connection
            .subscribes
            .push((subscribe.packet_id, subscribe.requests.clone()));
        let Some(session) = connection.session else {
            return;
        };
        let identifier = subscribe
            .properties
            .number(property::SUBSCRIPTION_IDENTIFIER);
        let by = (connection.number, subscribe.packet_id);
        let subscriptions = &mut self.sessions[session].subscriptions;
        for request in &subscribe.requests {
            // An UNSUBSCRIBE on its way to the server comes first.
            let mut given_up = connection
                .unsubscribes
                .iter()
                .flat_map(|(_, given_up)| given_up);
            let given_up = given_up.any(|filter| *filter == request.filter);
            let fresh = given_up
                || !subscriptions.iter().any(|subscription| {
                    subscription.request.filter == request.filter
                        && subscription.granted.is_some()
                        && subscription.until.is_none()
                        && !subscription.given_up
                });
            subscriptions.push(Subscription {
                request: request.clone(),
                identifier,
                granted: None,
                until: None,
                given_up: false,
                fresh,
                by,
            });
        }
    }
}

/// Whether the session was to outlive its connection, which MQTT 5 has to say in CONNECT.
fn asked_to_last(connection: &Connection) -> bool {
    let asked = connection.told(property::SESSION_EXPIRY);
    asked.is_some_and(|seconds| seconds > 0)
}

/// Puts the topic where only the alias was. False if the client broke the rules of
/// aliases [MQTT-3.3.2-9].
fn resolve_alias(connection: &mut Connection, publish: &mut Publish) -> bool {
    if connection.version != Some(Version::V5) {
        return true;
    }
    let Some(alias) = publish.properties.number(property::TOPIC_ALIAS) else {
        return true;
    };
    // Before CONNACK the client can not know how many it may use.
    let known = connection.accepted.is_some();
    let Ok(number) = u16::try_from(alias) else {
        return false;
    };
    let allowed = known && alias <= connection.server_alias_maximum;
    connection.alias_misused |= !allowed;
    if !publish.topic.is_empty() {
        connection.aliases_in.insert(number, publish.topic.clone());
        return allowed;
    }
    match connection.aliases_in.get(&number) {
        Some(topic) => {
            publish.topic.clone_from(topic);
            allowed
        }
        None => {
            connection.alias_misused = true;
            false
        }
    }
}

/// Remembers a request. One that is repeated before it was answered may be answered
/// once or twice.
fn ask(connection: &mut Connection, answer: Answer, packet_id: u16, at: Moment, number: u64) {
    let repeated = packet_id != 0
        && connection
            .asked
            .iter()
            .any(|asked| asked.answer == answer && asked.packet_id == packet_id);
    if repeated {
        connection.spare.push((answer, packet_id));
    } else {
        connection.asked.push(Asked {
            answer,
            packet_id,
            at,
            number,
        });
    }
}
