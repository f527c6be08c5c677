//! Rules about the beginning of a connection, and which session it has.

use crate::packet::{Connack, Connect, Packet, Version, property};
use crate::referee::Referee;
use crate::rule::Rule;
use crate::state::{Answer, Connection, Moment, NEVER_SECS, Session};

/// A second in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;

impl Referee {
    pub(crate) fn on_connack(
        &mut self,
        connection: &mut Connection,
        connack: &Connack,
        packet: &Packet,
    ) {
        let site = self.site(connection, Some(packet));
        self.report
            .judge(Rule::ConnackOnce, &site, !connection.answered, || {
                "it had its CONNACK".to_owned()
            });
        if connection.answered {
            return;
        }
        connection.answered = true;
        connection
            .asked
            .retain(|asked| asked.answer != Answer::Connack);
        self.unclaim(connection);
        if connack.reason != 0 {
            connection.over = true;
            connection.early.clear();
            self.report.judge(
                Rule::SessionPresent,
                &site,
                !connack.session_present,
                || "it refuses and says that there is a session".to_owned(),
            );
            return;
        }
        connection.accepted = Some(self.now);
        self.take_terms(connection, connack, packet);
        self.find_session(connection, connack, packet);
        for (packet, at, number) in std::mem::take(&mut connection.early) {
            self.on_session_packet(connection, &packet, at, number, None);
        }
    }

    /// What the two sides tell each other, and `response-information` and
    /// `assigned-identifier`.
    fn take_terms(&mut self, connection: &mut Connection, connack: &Connack, packet: &Packet) {
        let site = self.site(connection, Some(packet));
        let said = |id| connack.properties.number(id);
        connection.server_receive_maximum =
            said(property::RECEIVE_MAXIMUM).map_or(65_535, u64::from);
        connection.server_size_maximum =
            said(property::MAXIMUM_PACKET_SIZE).map_or(u64::MAX, u64::from);
        connection.server_alias_maximum = said(property::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
        if let Some(seconds) = said(property::SERVER_KEEP_ALIVE) {
            connection.keep_alive_secs = u64::from(seconds);
        }
        if connack.properties.has(property::RESPONSE_INFORMATION)
            || connection
                .told(property::REQUEST_RESPONSE_INFORMATION)
                .is_some()
        {
            let asked = connection.told(property::REQUEST_RESPONSE_INFORMATION) == Some(1);
            let said = connack.properties.has(property::RESPONSE_INFORMATION);
            self.report
                .judge(Rule::ResponseInformation, &site, asked || !said, || {
                    "the client did not ask for response information".to_owned()
                });
        }
        if !connection.client_id().is_empty() {
            return;
        }
        let assigned = connack
            .properties
            .text(property::ASSIGNED_CLIENT_IDENTIFIER);
        let clean = connection
            .connect
            .as_ref()
            .is_some_and(|connect| connect.clean);
        let innocent = match connection.version {
            Some(Version::V5) => assigned.is_some_and(|id| {
                let owner = self
                    .by_client
                    .get(id)
                    .map(|session| self.sessions[*session].current);
                let open = owner
                    .and_then(|owner| self.connections.get(&owner))
                    .is_some_and(|owner| owner.ended().is_none() && !owner.over);
                !id.is_empty() && !open
            }),
            // [MQTT-3.1.3-8] of 3.1.1; MQTT 3.1 wants at least one character.
            Some(Version::V311) => clean,
            _ => false,
        };
        self.report
            .judge(Rule::AssignedIdentifier, &site, innocent, || {
                "a client without identifier is accepted without a new one".to_owned()
            });
        // Nobody can write this one, so it stays alone.
        let id = assigned.map_or_else(|| format!("\0{}", connection.number), str::to_owned);
        if let Some(connect) = connection.connect.as_mut() {
            connect.client_id = id;
        }
    }

    /// Which session it is depends on the connection before. If two had claimed the
    /// identifier at once, or one that never got its answer, the order in which the
    /// server met them is open, and nothing is known until a session begins anew.
    fn find_session(&mut self, connection: &mut Connection, connack: &Connack, packet: &Packet) {
        let client_id = connection.client_id().to_owned();
        let before = self.by_client.get(&client_id).copied();
        let (now, slack) = (self.now.nanos, self.scope.slack_nanos);
        if let Some(ghosts) = self.ghosts.get_mut(&client_id) {
            let connections = &self.connections;
            ghosts.retain(|(number, at)| {
                let connect = connections
                    .get(number)
                    .and_then(|ghost| ghost.connect.as_ref());
                let lives = connect.map_or(0, asked_expiry_secs).saturating_mul(SECOND);
                *number != connection.number && now < (at.nanos + slack).saturating_add(lives)
            });
            connection.contested |= !ghosts.is_empty();
        }
        let newer = |session: usize| {
            let current = self.connections.get(&self.sessions[session].current);
            current.is_some_and(|current| current.connect_at > connection.connect_at)
        };
        let pending = self.claims.contains_key(&client_id);
        if connection.ended().is_some() && (pending || before.is_some_and(newer)) {
            // Seen late: others have come since, before it or after it.
            let ghosts = self.ghosts.entry(client_id.clone());
            ghosts.or_default().push((connection.number, self.now));
            connection.contested = true;
            self.sessions
                .push(Session::new(&client_id, connection.number, false));
            connection.session = Some(self.sessions.len() - 1);
            return;
        }
        self.enter_session(connection, before, connack, packet);
    }

    /// `session-present` and `session-kept`, and then the session itself.
    fn enter_session(
        &mut self,
        connection: &mut Connection,
        before: Option<usize>,
        connack: &Connack,
        packet: &Packet,
    ) {
        let client_id = connection.client_id().to_owned();
        let (can_be, must_be) = self.session_bounds(connection, before);
        let told = connection.version != Some(Version::V31);
        let present = if told {
            connack.session_present
        } else {
            can_be
        };
        let site = self.site(connection, Some(packet));
        if !connection.contested && told {
            self.report
                .judge(Rule::SessionPresent, &site, !present || can_be, || {
                    "no session can be there".to_owned()
                });
            if must_be {
                self.report.judge(Rule::SessionKept, &site, present, || {
                    "the session of this client has neither ended nor expired".to_owned()
                });
            }
        }
        let old =
            before.and_then(|before| self.connections.get_mut(&self.sessions[before].current));
        let mut late = None;
        if let Some(old) = old.filter(|old| old.accepted.is_some() && !connection.contested) {
            // Until its end is seen, what it was sent may be seen late.
            late = (old.server_closed.is_none() && !old.over).then_some(old.number);
            if old.ended().is_none() {
                old.taken_over.get_or_insert(self.now);
            }
        }
        let index = match before {
            Some(before) if present && !connection.contested => before,
            _ => {
                let known = !connection.contested && !present;
                self.sessions
                    .push(Session::new(&client_id, connection.number, known));
                self.sessions.len() - 1
            }
        };
        self.by_client.insert(client_id, index);
        let session = &mut self.sessions[index];
        for violation in session.suspicions.drain(..).filter(|_| told) {
            self.report.convict(violation);
        }
        session.known &= told || can_be == must_be || !present;
        session.current = connection.number;
        session.finished.clear();
        session.late.extend(late.filter(|_| present));
        let expiry = expiry_secs(connection, connack);
        (session.expiry_low_secs, session.expiry_high_secs) = (expiry, expiry);
        if session.known && !session.doubt() {
            connection.resend_due = session
                .entries
                .iter()
                .filter(|(_, entry)| entry.done.is_none() && entry.certain)
                .map(|(packet_id, _)| *packet_id)
                .collect();
        }
        connection.session = Some(index);
    }

    /// Whether a session can be there for a CONNECT, and whether one must be. A
    /// session without expiry ends with its connection, and the new CONNECT ends that
    /// if nothing did before: so there the order does not matter.
    fn session_bounds(&self, connection: &Connection, before: Option<usize>) -> (bool, bool) {
        if connection
            .connect
            .as_ref()
            .is_none_or(|connect| connect.clean)
        {
            return (false, false);
        }
        let Some(before) = before.map(|before| &self.sessions[before]) else {
            return (!self.scope.from_start, false);
        };
        if !before.known {
            return (true, false);
        }
        let last = self.connections.get(&before.current);
        let ended = last.and_then(Connection::ended);
        // With one direction closed, a connection goes on until the server closes the other.
        let closed = last.and_then(|last| last.server_closed);
        let (low, high) = (before.expiry_low_secs, before.expiry_high_secs);
        let since = |end: Option<Moment>| end.map_or(0, |end| self.now.nanos - end.nanos);
        let (gone_nanos, closed_nanos) = (since(ended), since(closed));
        let slack = self.scope.slack_nanos;
        let can_be = high == NEVER_SECS
            || (high > 0 && closed_nanos <= (high * SECOND).saturating_add(slack));
        let must_be = low > 0
            && self.scope.sessions_kept_secs.is_some_and(|kept_secs| {
                let low = low.min(u64::from(kept_secs));
                low == NEVER_SECS || gone_nanos + slack < low * SECOND
            });
        (can_be, must_be)
    }

    /// `blame`: what the server can have seen is at most what the client sent, and of
    /// its own answers at least those that were seen before.
    pub(crate) fn judge_blame(&mut self, connection: &Connection, reason: u8, packet: &Packet) {
        let silence = self.silence_nanos(connection);
        let allowed = connection.keep_alive_secs * SECOND * 3 / 2;
        let innocent = match reason {
            0x8d => {
                allowed > 0
                    && silence.max(connection.silence_longest_nanos) + self.scope.slack_nanos
                        >= allowed
            }
            0x93 => connection.inbound_open_most > connection.server_receive_maximum,
            0x94 => connection.alias_misused,
            0x95 => connection.inbound_largest > connection.server_size_maximum,
            _ => return,
        };
        // A packet that breaks the standard, or is not all there, may be anything.
        let excused = connection.fault_at.is_some() || !connection.input.bytes.is_empty();
        let site = self.site(connection, Some(packet));
        self.report
            .judge(Rule::Blame, &site, innocent || excused, || {
                "the client did nothing of the kind".to_owned()
            });
    }

    /// `takeover`: the server ends the old connection when it accepts the new one. On
    /// the old one, what it had sent before may be seen late, but not by more than the
    /// slack.
    pub(crate) fn judge_taken_over(&mut self, connection: &Connection, packet: &Packet) {
        let Some(taken_over) = connection.taken_over else {
            return;
        };
        let late = self.now.nanos > taken_over.nanos + self.scope.slack_nanos;
        let site = self.site(connection, Some(packet));
        self.report.judge(Rule::Takeover, &site, !late, || {
            "its client identifier belongs to another connection".to_owned()
        });
    }

    /// Takes a connection off the list of those whose CONNECT awaits its answer.
    pub(crate) fn unclaim(&mut self, connection: &Connection) {
        if let Some(claims) = self.claims.get_mut(connection.client_id()) {
            claims.retain(|claim| *claim != connection.number);
            if claims.is_empty() {
                self.claims.remove(connection.client_id());
            }
        }
    }
}

/// How long the session outlives its connection.
fn expiry_secs(connection: &Connection, connack: &Connack) -> u64 {
    let clean = connection
        .connect
        .as_ref()
        .is_some_and(|connect| connect.clean);
    match connection.version {
        Some(Version::V5) => connack
            .properties
            .number(property::SESSION_EXPIRY)
            .or(connection.told(property::SESSION_EXPIRY))
            .map_or(0, u64::from),
        _ if clean => 0,
        _ => NEVER_SECS,
    }
}

/// How long the session lives that a CONNECT asks for, if it has its effect.
fn asked_expiry_secs(connect: &Connect) -> u64 {
    let told = connect.properties.number(property::SESSION_EXPIRY);
    match (connect.version, told) {
        (Version::V5, told) => u64::from(told.unwrap_or(0)),
        _ if connect.clean => 0,
        _ => NEVER_SECS,
    }
}
