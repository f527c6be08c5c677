//! Newcomers: from what the door hands over to a member of a cohort, with the session that
//! its client left or with a new one.

use super::{Io, Shard};
use crate::cohorts::{CohortId, CohortsFull, Form};
use crate::connections::{Client, Flags};
use crate::end::End;
use crate::flow::WireForm;
use crate::sessions::{LastWill, SessionId, expiry_seconds};
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Connack, Connect, PACKET_BYTES_MAX, Packet, Property, PropertyBlock, ReasonCode, Text, Version,
};
use ringcast_wire::{ConnectionKey, Newcomer, Wire};
use smallvec::SmallVec;

/// Why a newcomer could not even be told why not.
#[derive(Debug)]
pub enum AdoptError {
    /// There is no room left to answer it.
    Full,
    /// What it sent is no CONNECT, which the door sees to.
    NoConnect,
    /// The environment refuses its socket.
    Socket(std::io::Error),
}

impl<Pass> Shard<Pass> {
    /// Takes a newcomer in, and answers its CONNECT. What else it sent is looked at when
    /// its turn comes.
    ///
    /// # Errors
    /// [`AdoptError`]; its connection is closed then.
    pub fn adopt<W: Wire>(
        &mut self,
        newcomer: Newcomer<W::Socket>,
        pass: Pass,
        io: &mut Io<'_, W>,
    ) -> Result<(), AdoptError> {
        let adopted = self.take_in(newcomer, pass, io);
        self.counters.refused += u64::from(adopted.is_err());
        adopted
    }

    fn take_in<W: Wire>(
        &mut self,
        newcomer: Newcomer<W::Socket>,
        pass: Pass,
        io: &mut Io<'_, W>,
    ) -> Result<(), AdoptError> {
        let Newcomer {
            socket,
            user,
            received,
            assigned_client_id,
            ..
        } = newcomer;
        let Ok(Progress::Done(connect, consumed)) = Connect::decode(&received, PACKET_BYTES_MAX)
        else {
            return Err(AdoptError::NoConnect);
        };
        let assigned = assigned_client_id.as_deref();
        let client_id = assigned.unwrap_or(connect.client_id.as_str());
        let key = self.connections.next_key().ok_or(AdoptError::Full)?;
        let refusal = self.refusal(&connect, client_id, user.as_deref());
        let kept = match refusal {
            None => self.make_way(&connect, client_id, io.wire),
            Some(_) => None,
        };
        let is_present = kept.is_some();
        let session = match (kept, refusal) {
            (Some(session), _) => session,
            (None, None) => {
                let id = SmallVec::from_slice(client_id.as_bytes());
                self.sessions.begin(id, user).ok_or(AdoptError::Full)?
            }
            // It is nobody: who has the identifier keeps it.
            (None, Some(_)) => {
                let name = self.name_of_nobody();
                self.sessions.begin(name, None).ok_or(AdoptError::Full)?
            }
        };
        let form = Form {
            wire_form: WireForm::of(connect.version) as u8,
            packet_bytes_max: match refusal {
                None => packet_bytes_max(&connect),
                // They have one cohort, whatever they say, and so leave room for others'.
                Some(_) => PACKET_BYTES_MAX as u32,
            },
        };
        let entered = self.enter(session, form, is_present);
        let adopted = match entered {
            Ok(_) => io.wire.adopt(key, socket).map_err(AdoptError::Socket),
            Err(CohortsFull) => Err(AdoptError::Full),
        };
        if let Err(error) = adopted {
            self.abandon(session, entered.is_ok(), is_present);
            return Err(error);
        }
        let client = Client {
            input: Vec::new(),
            pass: Some(pass),
            last_in: self.now.seconds(),
            silence_max: self.silence_max(&connect),
            packet_bytes_max: form.packet_bytes_max,
            drops: 0,
            aliases_max: connect.properties.topic_alias_maximum().unwrap_or(0),
            talk: None,
        };
        self.connections
            .open_as(key, session, connect.version, client);
        if refusal.is_none() {
            self.make_its(session, &connect);
        }
        self.seat(key, session, is_present);
        self.answer(key, &connect, assigned, is_present, refusal);
        if refusal.is_none() {
            self.newcomers.push(key);
            self.counters.connected += 1;
            self.counters.resumed += u64::from(is_present);
            if received.len() > consumed {
                self.on_input(key, &received[consumed..], io);
            }
        }
        Ok(())
    }

    /// Whoever has the identifier makes way. Returns its session if that goes on
    /// [MQTT-3.1.2-4] to [MQTT-3.1.2-6], [MQTT-3.1.4-3].
    fn make_way<W: Wire>(
        &mut self,
        connect: &Connect<'_>,
        client_id: &str,
        wire: &mut W,
    ) -> Option<SessionId> {
        if let Some(index) = self.connection_of(client_id.as_bytes()) {
            let before = self.connections.at(index);
            let (before, is_doomed) = (before.key, before.flags.has(Flags::DOOMED));
            let mut doomed = self.doomed.iter();
            let end = match is_doomed {
                true => doomed.find(|(key, _)| *key == before),
                false => None,
            };
            let end = end.map_or(End::TakenOver, |(_, end)| *end);
            self.close(before, end, wire);
        }
        let session = self.sessions.of_client(client_id.as_bytes())?;
        if connect.clean_start || !self.is_whole(session) {
            self.end_session(session);
            return None;
        }
        Some(session)
    }

    /// The cohort of a session whose client takes frames of this form.
    fn enter(
        &mut self,
        session: SessionId,
        form: Form,
        is_present: bool,
    ) -> Result<CohortId, CohortsFull> {
        if is_present {
            return self.come_back_as(session, form);
        }
        let cohort = self.routes.enter(form)?;
        self.found_unless_there(cohort, form);
        self.sessions.get_mut(session).cohort = cohort;
        Ok(cohort)
    }

    /// Gives back what a newcomer had got, for it can not be taken in after all.
    fn abandon(&mut self, session: SessionId, has_entered: bool, is_present: bool) {
        if is_present {
            self.keep_place(session);
            return;
        }
        if has_entered {
            self.routes.leave(self.sessions.get(session).cohort);
        }
        self.sessions.end(session);
    }

    /// What a newcomer asks of its session.
    fn make_its(&mut self, session: SessionId, connect: &Connect<'_>) {
        let limits = &self.settings.limits;
        let asked = connect.properties.session_expiry_interval();
        let most = limits.session_expiry_seconds_max;
        let expiry = expiry_seconds(connect.version, connect.clean_start, asked, most);
        let receive_maximum = connect.properties.receive_maximum().unwrap_or(u16::MAX);
        let quota = receive_maximum.min(limits.inflight_max);
        self.set_expiry(session, expiry);
        // [MQTT-3.1.3-9]: that of its connection before, if it is not due yet.
        self.drop_will(session);
        let state = self.sessions.get_mut(session);
        state.window.on_connected(quota);
        if let Some(will) = &connect.will {
            self.properties.clear();
            self.properties.push_forwarded(will.properties);
            let will = LastWill::of(will, self.properties.properties().as_bytes());
            self.input_bytes += will.bytes();
            state.more_mut().will = Some(will);
        }
    }

    /// The time of newcomers begins: when they were adopted, the last turn may have been
    /// long ago.
    pub(super) fn welcome(&mut self) {
        let now = self.now.seconds();
        while let Some(key) = self.newcomers.pop() {
            if self.connections.open_mut(key).is_some() {
                self.connections.client_mut(key.index()).last_in = now;
                self.arm(self.connections.at(key.index()).session);
            }
        }
    }

    /// Why a newcomer can not be served, if it can not.
    fn refusal(
        &self,
        connect: &Connect<'_>,
        client_id: &str,
        user: Option<&str>,
    ) -> Option<ReasonCode> {
        let before = self.sessions.of_client(client_id.as_bytes());
        let before = before.map(|session| self.sessions.get(session));
        let is_others = before.is_some_and(|session| session.user.as_deref() != user);
        let is_new = before.is_none_or(|session| session.connection().is_none());
        let has_connection = self.connections.open() < self.settings.connections as usize;
        let has_session = self.sessions.len() < self.settings.sessions_max();
        let is_full = (is_new && !has_connection) || (before.is_none() && !has_session);
        let will = connect.will.as_ref();
        let may_not = will.is_some_and(|will| !self.may_publish(will.topic));
        let is_too_deep = will.is_some_and(|will| {
            will.topic.levels().count() > self.settings.limits.topic_levels_max
        });
        let will_bytes = will.map_or(0, |will| will.payload.as_bytes().len());
        if self.drain.is_some() {
            Some(ReasonCode::ServerUnavailable)
        } else if is_others || may_not {
            Some(ReasonCode::NotAuthorized)
        } else if is_too_deep {
            Some(ReasonCode::TopicNameInvalid)
        } else if is_full || self.input_bytes + will_bytes > self.settings.input_bytes {
            Some(ReasonCode::QuotaExceeded)
        } else {
            None
        }
    }

    /// An identifier that no client has: not UTF-8.
    fn name_of_nobody(&self) -> SmallVec<[u8; 24]> {
        let mut name = SmallVec::from_slice(&[0xFF]);
        name.extend_from_slice(&self.counters.refused.to_ne_bytes());
        name
    }

    /// Seconds of silence after which it is closed: one and a half times what it
    /// promised [MQTT-3.1.2-22], [MQTT3-3.1.2-24].
    fn silence_max(&self, connect: &Connect<'_>) -> u32 {
        (u32::from(self.keep_alive(connect)) * 3).div_ceil(2)
    }

    /// The keep-alive that is in force.
    fn keep_alive(&self, connect: &Connect<'_>) -> u16 {
        let most = self.settings.limits.keep_alive_seconds_max;
        match connect.keep_alive {
            own if most == 0 || connect.version != Version::V5 => own,
            0 => most,
            own => own.min(most),
        }
    }

    /// Makes it a member of its cohort's roster.
    fn seat(&mut self, key: ConnectionKey, session: SessionId, is_present: bool) {
        let index = key.index();
        let state = self.sessions.get_mut(session);
        state.set_connection(Some(index));
        let cohort = state.cohort;
        let waits = !state.queue.is_empty() || state.window.is_resending();
        let in_lag = state.lag.is_some();
        self.connections.at_mut(index).cohort = cohort;
        if waits {
            self.connections.at_mut(index).flags.set(Flags::QUEUED);
        }
        self.with_roster(index, |roster, _, moved| roster.join(key, moved));
        if is_present {
            self.on_back(session);
        }
        match in_lag {
            // What it has to get first is in the log.
            true => self.list(key),
            false => self.rejoin(index),
        }
    }

    fn answer(
        &mut self,
        key: ConnectionKey,
        connect: &Connect<'_>,
        assigned: Option<&str>,
        is_present: bool,
        refusal: Option<ReasonCode>,
    ) {
        let mut properties = PropertyBlock::new();
        if refusal.is_none() {
            self.promise(key.index(), connect, assigned, &mut properties);
        }
        let connack = Connack {
            // MQTT 3.1 has no place to say so.
            session_present: is_present && connect.version != Version::V31,
            reason: refusal.unwrap_or(ReasonCode::Success),
            properties: properties.properties(),
        };
        if self.outboxes.free_pages() == 0 {
            // [MQTT-3.2.0-1]: there is no room for CONNACK, so nothing is said at all.
            self.doom(key, End::Refused);
        }
        self.reply(key, &Packet::Connack(connack));
        if refusal.is_some() {
            self.counters.refused += 1;
            self.doom(key, End::Refused);
        }
    }

    /// What an MQTT 5 client is told of what is served.
    fn promise(
        &self,
        index: u32,
        connect: &Connect<'_>,
        assigned: Option<&str>,
        properties: &mut PropertyBlock,
    ) {
        if let Some(id) = assigned {
            // [MQTT-3.2.2-16]
            let id = Text::new(id).expect("the door made it");
            properties.push(Property::AssignedClientIdentifier(id));
        }
        let expiry = self.session(index).expiry_seconds;
        if connect.properties.session_expiry_interval().unwrap_or(0) != expiry {
            properties.push(Property::SessionExpiryInterval(expiry));
        }
        let keep_alive = self.keep_alive(connect);
        if keep_alive != connect.keep_alive {
            // [MQTT-3.1.2-21]
            properties.push(Property::ServerKeepAlive(keep_alive));
        }
        let limits = &self.settings.limits;
        properties.push(Property::ReceiveMaximum(super::RECEIVE_MAX));
        if limits.packet_bytes_max < PACKET_BYTES_MAX - 5 {
            // The protocol's own limit goes without saying, and some clients take no more
            // than what a length can say.
            let most = limits.packet_bytes_max as u32;
            properties.push(Property::MaximumPacketSize(most));
        }
        if limits.topic_aliases_max > 0 {
            properties.push(Property::TopicAliasMaximum(limits.topic_aliases_max));
        }
    }
}

fn packet_bytes_max(connect: &Connect<'_>) -> u32 {
    let own = connect.properties.maximum_packet_size();
    own.unwrap_or(PACKET_BYTES_MAX as u32)
}

impl std::fmt::Display for AdoptError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => formatter.write_str("there is no room left to answer"),
            Self::NoConnect => formatter.write_str("it did not begin with CONNECT"),
            Self::Socket(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for AdoptError {}
