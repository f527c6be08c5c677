//! A PUBLISH of the server: its topic, its identifier, then the rules about what it
//! carries, which stand in [`message`](super::message).

use crate::packet::{Packet, Publish, Version, property};
use crate::referee::Referee;
use crate::rule::Rule;
use crate::state::{Connection, Contents};

use super::handshake::Sending;
use super::message::Message;

impl Referee {
    pub(crate) fn on_server_publish(
        &mut self,
        connection: &mut Connection,
        publish: &Publish,
        packet: &Packet,
    ) {
        let topic = self.judge_alias(connection, publish, packet);
        let content = Contents::key(topic.as_deref().unwrap_or(""), &publish.payload);
        let sending = if publish.qos > 0 {
            if connection.told(property::RECEIVE_MAXIMUM).is_some() {
                self.judge_quota(connection, packet);
            }
            self.on_identifier(connection, publish, content, packet)
        } else {
            Sending::First
        };
        let (Some(topic), Some(session)) = (topic, connection.session) else {
            return;
        };
        self.judge_private(connection, &topic, packet);
        if let Some(content) = self.contents.get_mut(content) {
            content.seen.insert(session);
        }
        // What is sent again was judged when it was first sent.
        if sending != Sending::Again && !publish.dup {
            self.on_message(connection, publish, &topic, content, packet);
        }
    }

    /// `topic-alias`. The maximum stands in CONNECT; mappings are made by what was
    /// sent before on this connection, in order.
    fn judge_alias(
        &mut self,
        connection: &mut Connection,
        publish: &Publish,
        packet: &Packet,
    ) -> Option<String> {
        let named = (!publish.topic.is_empty()).then(|| publish.topic.clone());
        let Some(alias) = publish.properties.number(property::TOPIC_ALIAS) else {
            return named;
        };
        let maximum = connection.told(property::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
        let number = u16::try_from(alias).unwrap_or(u16::MAX);
        let topic = named
            .clone()
            .or_else(|| connection.aliases_out.get(&number).cloned());
        let innocent = alias <= maximum && topic.is_some();
        let site = self.site(connection, Some(packet));
        self.report.judge(Rule::TopicAlias, &site, innocent, || {
            if alias > maximum {
                format!("alias {alias} goes to a client that allows {maximum}")
            } else {
                format!("alias {alias} has no topic on this connection")
            }
        });
        if let Some(named) = named {
            connection.aliases_out.insert(number, named);
        }
        topic
    }

    /// `private`: the user name stands in CONNECT.
    fn judge_private(&mut self, connection: &Connection, topic: &str, packet: &Packet) {
        let Some(private) = &self.scope.private else {
            return;
        };
        let Some(rest) = topic.strip_prefix(private.prefix.as_str()) else {
            return;
        };
        let owner = rest.split('/').next().unwrap_or("");
        let user = connection
            .connect
            .as_ref()
            .and_then(|connect| connect.user.as_deref());
        let innocent = user.is_some_and(|user| {
            user == owner || private.everything.iter().any(|name| name == user)
        });
        let site = self.site(connection, Some(packet));
        self.report.judge(Rule::Private, &site, innocent, || {
            format!(
                "the topic is {owner}'s, the client is {}",
                user.unwrap_or("nobody")
            )
        });
    }

    /// The rules about a message that was not sent before.
    fn on_message(
        &mut self,
        connection: &mut Connection,
        publish: &Publish,
        topic: &str,
        key: u64,
        packet: &Packet,
    ) {
        let Some(index) = connection.session else {
            return;
        };
        let site = self.site(connection, Some(packet));
        let session = &self.sessions[index];
        let message = Message::new(
            publish,
            topic,
            connection,
            session,
            self.contents.get(key),
            &self.contents,
            &self.scope,
            self.now,
        );
        for (rule, verdict, because) in message.verdicts(index) {
            if let Some(innocent) = verdict {
                self.report
                    .judge(rule, &site, innocent, || because.to_owned());
            }
        }
        let shared = message.shared_filter().map(str::to_owned);
        let will = message.will();
        let effects = message.effects();
        let copies = message.copies();
        if session.known && session.current == connection.number {
            let session = &mut self.sessions[index];
            if let Some((key, number)) = effects.order {
                session.delivered_last.insert(key, number);
            }
            if let Some((key, number)) = effects.retained {
                let last = session.retained_last.entry(key).or_default();
                *last = number.max(*last);
            }
            if effects.replay {
                *session.replayed.entry(topic.to_owned()).or_default() += 1;
            }
            if let (false, Some(content)) = (publish.retain, self.contents.get_mut(key)) {
                *content.delivered.entry(index).or_default() += 1;
            }
        }
        if let Some(filter) = shared {
            self.judge_shared_once(connection, &filter, key, copies, packet);
        }
        if let Some(owner) = will {
            self.judge_will_early(connection, owner, packet);
        }
    }

    /// `shared-once`. What went to another member at QoS 0 has been delivered. At QoS 1
    /// and 2 it may go to the next one if that member is given up, which shows in that
    /// it gets nothing more; so the verdict waits for what comes there.
    fn judge_shared_once(
        &mut self,
        connection: &Connection,
        filter: &str,
        key: u64,
        copies: usize,
        packet: &Packet,
    ) {
        let site = self.site(connection, Some(packet));
        let Some(content) = self.contents.get_mut(key) else {
            return;
        };
        let members = content.shared.entry(filter.to_owned()).or_default();
        let before = std::mem::take(members);
        members.clone_from(&before);
        members.push((connection.number, packet_qos(packet)));
        let because = || format!("another member of {filter} has it");
        let surplus = before.len() >= copies;
        let other = before
            .iter()
            .find(|(number, _)| *number != connection.number);
        let at_once = surplus && matches!(other, Some((_, 0)) | None);
        self.report
            .judge(Rule::SharedOnce, &site, !at_once, because);
        if let (true, false, Some((number, _))) = (surplus, at_once, other)
            && let Some(other) = self.connections.get_mut(number)
            && other.ended().is_none()
        {
            other
                .suspicions
                .push(site.violation(Rule::SharedOnce, because()));
        }
    }

    /// `will-early`. A server may give a connection up before that shows on it, and
    /// publish the will. Then it gets nothing more there; so the verdict on the will
    /// of an open connection waits for that. That a server drops a client which has
    /// said goodbye, without a cause that the trace shows, is not believed. A will is
    /// also due when its session is over [MQTT-3.1.2-8]: where a server may drop
    /// sessions, the verdict on one before its delay waits for the session to go on.
    fn judge_will_early(&mut self, connection: &Connection, owner: u64, packet: &Packet) {
        let site = self.site(connection, Some(packet));
        let own = owner == connection.number;
        let (verdict, session) = match self.connections.get(&owner) {
            Some(owner) => (self.will_verdict(owner), owner.session),
            None if own => (self.will_verdict(connection), connection.session),
            None => return,
        };
        let (innocent, because) = match verdict {
            WillVerdict::Due => (true, ""),
            WillVerdict::Open => (!own, "its connection is alive"),
            WillVerdict::Cancelled => (false, "the client has said goodbye"),
            WillVerdict::Early => (
                self.scope.sessions_kept_secs.is_none(),
                "its delay is not over",
            ),
        };
        self.report
            .judge(Rule::WillEarly, &site, innocent, || because.to_owned());
        let violation = site.violation(Rule::WillEarly, because.to_owned());
        if verdict == WillVerdict::Open
            && let Some(owner) = self.connections.get_mut(&owner)
        {
            owner.suspicions.push(violation);
        } else if verdict == WillVerdict::Early
            && innocent
            && let Some(session) = session
        {
            self.sessions[session].suspicions.push(violation);
        }
    }

    fn will_verdict(&self, owner: &Connection) -> WillVerdict {
        let keep_alive = owner.keep_alive_secs * super::connecting::SECOND * 3 / 2;
        let silence = self.silence_nanos(owner).max(owner.silence_longest_nanos);
        let silent = keep_alive > 0 && silence + self.scope.slack_nanos >= keep_alive;
        let claimed_anew = self.claims.contains_key(owner.client_id())
            || self
                .ghosts
                .get(owner.client_id())
                .is_some_and(|ghosts| !ghosts.is_empty())
            || owner.taken_over.is_some()
            || self
                .by_client
                .get(owner.client_id())
                .is_some_and(|session| self.sessions[*session].current != owner.number);
        if owner.accepted.is_none() || owner.contested || claimed_anew || owner.fault_at.is_some() {
            return WillVerdict::Due;
        }
        let delayed = owner
            .connect
            .as_ref()
            .and_then(|connect| connect.will.as_ref());
        let delay_secs = delayed
            .and_then(|will| will.properties.number(property::WILL_DELAY))
            .map_or(0, u64::from);
        let expiry_secs = owner
            .session
            .map_or(0, |session| self.sessions[session].expiry_low_secs);
        let delay = delay_secs.min(expiry_secs) * super::connecting::SECOND;
        if let Some((at, reason)) = owner.farewell {
            let normal = reason == 0 || owner.version != Some(Version::V5);
            let dropped = owner.over || silent || owner.server_closed.is_some_and(|end| end < at);
            if normal && !dropped {
                return WillVerdict::Cancelled;
            }
        }
        let ended = owner.ended().or(owner.farewell.map(|(at, _)| at));
        match ended {
            None if silent || owner.over => WillVerdict::Due,
            None => WillVerdict::Open,
            Some(end) if self.now.nanos + self.scope.slack_nanos < end.nanos + delay => {
                WillVerdict::Early
            }
            Some(_) => WillVerdict::Due,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WillVerdict {
    Due,
    Open,
    Cancelled,
    Early,
}

fn packet_qos(packet: &Packet) -> u8 {
    match packet {
        Packet::Publish(publish) => publish.qos,
        _ => 0,
    }
}
