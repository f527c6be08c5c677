//! Newcomers: from what the door hands over to a member of a cohort.

use super::{Io, Shard};
use crate::cohorts::{CohortId, Form};
use crate::connections::Client;
use crate::end::End;
use crate::flow::WireForm;
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
        let refusal = self.refusal(&connect, client_id, user.as_deref());
        if refusal.is_none()
            && let Some(before) = self.connections.of_client(client_id.as_bytes())
        {
            // [MQTT-3.1.4-3]
            self.close(before, End::TakenOver, io.wire);
        }
        let id = match refusal {
            None => SmallVec::from_slice(client_id.as_bytes()),
            // It is nobody: who has the identifier keeps it.
            Some(_) => self.name_of_nobody(),
        };
        let key = self.connections.next_key().ok_or(AdoptError::Full)?;
        let form = Form {
            wire_form: WireForm::of(connect.version) as u8,
            packet_bytes_max: match refusal {
                None => packet_bytes_max(&connect),
                // They have one cohort, whatever they say, and so leave room for others'.
                Some(_) => PACKET_BYTES_MAX as u32,
            },
        };
        let cohort = self.routes.enter(form).map_err(|_| AdoptError::Full)?;
        if let Err(error) = io.wire.adopt(key, socket) {
            self.routes.leave(cohort);
            return Err(AdoptError::Socket(error));
        }
        let silence_max = self.silence_max(&connect);
        let client = Client {
            id,
            user,
            input: Vec::new(),
            lag: None,
            pass: Some(pass),
            last_in: self.now.seconds(),
            silence_max,
            subscriptions: 0,
            packet_bytes_max: form.packet_bytes_max,
            drops: 0,
        };
        self.connections.open_as(key, connect.version, client);
        self.seat(key, cohort, form);
        self.answer(key, &connect, assigned, refusal);
        if refusal.is_none() {
            self.newcomers.push(key);
            self.counters.connected += 1;
            if received.len() > consumed {
                self.on_input(key, &received[consumed..], io);
            }
        }
        Ok(())
    }

    /// The time of newcomers begins: when they were adopted, the last turn may have been
    /// long ago.
    pub(super) fn welcome(&mut self) {
        let now = self.now.seconds();
        while let Some(key) = self.newcomers.pop() {
            if self.connections.open_mut(key).is_some() {
                self.connections.client_mut(key.index()).last_in = now;
                self.arm(key.index());
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
        let before = self.connections.of_client(client_id.as_bytes());
        let is_others = before.is_some_and(|key| {
            let client = self.connections.client(key.index());
            client.user.as_deref() != user
        });
        let is_full = self.connections.open() >= self.settings.connections as usize;
        // What is not served yet is said before anybody relies on it: wills, and sessions
        // that outlive their connection, where MQTT 3 can not be told that they do not.
        let keeps_session = !connect.clean_start && connect.version != Version::V5;
        if self.drain.is_some() {
            Some(ReasonCode::ServerUnavailable)
        } else if is_others {
            Some(ReasonCode::NotAuthorized)
        } else if is_full && before.is_none() {
            Some(ReasonCode::QuotaExceeded)
        } else if connect.will.is_some() || keeps_session {
            Some(match connect.version {
                Version::V5 => ReasonCode::ImplementationSpecificError,
                Version::V31 | Version::V311 => ReasonCode::ServerUnavailable,
            })
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

    /// Makes it a member of its cohort.
    fn seat(&mut self, key: ConnectionKey, cohort: CohortId, form: Form) {
        if !self.flows.has_members(cohort) {
            let wire_form = WireForm::ALL[usize::from(form.wire_form)];
            self.flows.found(cohort, wire_form, form.packet_bytes_max);
        }
        let index = key.index();
        self.connections.at_mut(index).cohort = cohort;
        self.with_roster(index, |roster, _, moved| roster.join(key, moved));
        self.rejoin(index);
    }

    fn answer(
        &mut self,
        key: ConnectionKey,
        connect: &Connect<'_>,
        assigned: Option<&str>,
        refusal: Option<ReasonCode>,
    ) {
        let mut properties = PropertyBlock::new();
        match refusal {
            None => self.promise(connect, assigned, &mut properties),
            Some(ReasonCode::ImplementationSpecificError) => {
                let text = "wills are not served yet";
                properties.push(Property::ReasonString(Text::new(text).expect("is text")));
            }
            Some(_) => {}
        }
        let connack = Connack {
            session_present: false,
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
        connect: &Connect<'_>,
        assigned: Option<&str>,
        properties: &mut PropertyBlock,
    ) {
        if let Some(id) = assigned {
            // [MQTT-3.2.2-16]
            let id = Text::new(id).expect("the door made it");
            properties.push(Property::AssignedClientIdentifier(id));
        }
        if connect.properties.session_expiry_interval().unwrap_or(0) > 0 {
            properties.push(Property::SessionExpiryInterval(0));
        }
        let keep_alive = self.keep_alive(connect);
        if keep_alive != connect.keep_alive {
            properties.push(Property::ServerKeepAlive(keep_alive));
        }
        let packet_bytes_max = self.settings.limits.packet_bytes_max as u32;
        properties
            .push(Property::MaximumQos(false))
            .push(Property::MaximumPacketSize(packet_bytes_max))
            .push(Property::SharedSubscriptionAvailable(false));
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
