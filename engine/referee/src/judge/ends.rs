//! Rules about ends: of connections, and of waiting. All of them look at the clock, so
//! all of them give the slack of the [`Scope`](crate::Scope), and those where the server
//! has to do something judge only if the scope says how long it may take.

use crate::packet::{Version, property};
use crate::referee::Referee;
use crate::report::Site;
use crate::rule::Rule;
use crate::state::{Answer, Connection, Contents, Stage};
use crate::topic;

use super::connecting::SECOND;

impl Referee {
    /// Closed by both sides at once is a reset.
    pub(crate) fn on_closed(&mut self, connection: &mut Connection, server: bool, client: bool) {
        self.judge_keep_alive(connection);
        let open = connection.ended().is_none();
        if server {
            connection.server_closed.get_or_insert(self.now);
            if let Some(session) = connection.session {
                let session = &mut self.sessions[session];
                session.late.retain(|late| *late != connection.number);
                if client && !connection.over {
                    session.unseen = true;
                    // Acknowledged, such an identifier may have been taken anew.
                    for entry in session.entries.values_mut() {
                        entry.certain &= entry.done.is_none();
                    }
                }
            }
        }
        if client {
            connection.client_closed.get_or_insert(self.now);
        }
        if open && connection.connect.is_some() && !connection.answered {
            // The server may read this CONNECT yet, or never.
            self.unclaim(connection);
            let ghosts = self.ghosts.entry(connection.client_id().to_owned());
            ghosts.or_default().push((connection.number, self.now));
        }
    }

    /// `keep-alive`, looked at whenever something happens on a connection. A server
    /// may measure from later than the client was seen, by the slack.
    pub(crate) fn judge_keep_alive(&mut self, connection: &Connection) {
        let allowed = connection.keep_alive_secs * SECOND * 3 / 2;
        let silence = self.silence_nanos(connection);
        let slack = self.scope.slack_nanos;
        let idle = connection.accepted.is_none()
            || connection.ended().is_some()
            || connection.over
            || connection.farewell.is_some();
        if allowed == 0 || idle || silence + slack < allowed {
            return;
        }
        let site = self.awaited(connection, "a close for silence");
        self.report
            .judge(Rule::KeepAlive, &site, silence <= allowed + slack, || {
                format!(
                    "silent for {} s with a keep-alive of {} s",
                    silence / SECOND,
                    connection.keep_alive_secs
                )
            });
    }

    /// What should have come by the end of the trace.
    pub(crate) fn judge_ends(&mut self) {
        let mut connections: Vec<_> = std::mem::take(&mut self.connections)
            .into_values()
            .collect();
        connections.sort_by_key(|connection| connection.number);
        for connection in &connections {
            self.judge_keep_alive(connection);
            if let Some(answer_nanos) = self.scope.answer_nanos {
                self.judge_answered(connection, answer_nanos);
                self.judge_closed(connection, answer_nanos);
                self.judge_resend_all(connection, answer_nanos);
            }
        }
        if let Some(answer_nanos) = self.scope.answer_nanos {
            for owner in &connections {
                self.judge_will_due(owner, &connections, answer_nanos);
            }
        }
    }

    /// `answered`: only as long as neither side had begun to leave.
    fn judge_answered(&mut self, connection: &Connection, answer_nanos: u64) {
        let left = connection.over
            || connection.farewell.is_some()
            || connection.fault_at.is_some()
            || connection.taken_over.is_some()
            || connection.contested;
        if left {
            return;
        }
        let end = connection.ended().unwrap_or(self.now).nanos;
        for asked in &connection.asked {
            // Before MQTT 5 nothing says what becomes of a PUBREC that nobody awaits.
            let idle =
                asked.answer == Answer::Pubrel && !self.awaits_pubrel(connection, asked.packet_id);
            if asked.at.nanos + answer_nanos <= end && !idle {
                let site = self.awaited(connection, answer_name(asked.answer));
                self.report.judge(Rule::Answered, &site, false, || {
                    format!(
                        "the client waits for it under identifier {}",
                        asked.packet_id
                    )
                });
            }
        }
    }

    fn awaits_pubrel(&self, connection: &Connection, packet_id: u16) -> bool {
        connection.session.is_some_and(|session| {
            let session = &self.sessions[session];
            session.known
                && session.entries.get(&packet_id).is_some_and(|entry| {
                    entry.certain
                        && entry.sent_on == connection.number
                        && entry.stage == Stage::Received
                })
        })
    }

    /// `fault-closes` and the end of `takeover`.
    fn judge_closed(&mut self, connection: &Connection, answer_nanos: u64) {
        for (rule, since, because) in [
            (
                Rule::FaultCloses,
                connection.fault_at,
                "the client broke the protocol",
            ),
            (
                Rule::Takeover,
                connection.taken_over,
                "its client identifier has connected anew",
            ),
        ] {
            let Some(since) = since else {
                continue;
            };
            let ended = connection.ended().map(|end| end.nanos);
            let until = since.nanos + answer_nanos;
            if ended.is_none() && self.now.nanos < until {
                continue;
            }
            let innocent = ended.is_some_and(|ended| ended <= until);
            let site = self.awaited(connection, "a close");
            self.report
                .judge(rule, &site, innocent, || because.to_owned());
        }
    }

    /// `resend-all`: judged where the connection lasted long enough, and neither quota
    /// nor packet size was in the way.
    fn judge_resend_all(&mut self, connection: &Connection, answer_nanos: u64) {
        let (Some(accepted), Some(session)) = (connection.accepted, connection.session) else {
            return;
        };
        let end = connection
            .ended()
            .or(connection.taken_over)
            .unwrap_or(self.now);
        let resumed = connection.resent_last.is_some() || !connection.resend_due.is_empty();
        if !resumed
            || end.nanos < accepted.nanos + answer_nanos
            || connection.credit <= 0
            || connection.over
            || connection.told(property::MAXIMUM_PACKET_SIZE).is_some()
            || self.sessions[session].doubt()
        {
            return;
        }
        let site = self.awaited(connection, "messages again");
        let innocent = connection.resend_due.is_empty();
        self.report.judge(Rule::ResendAll, &site, innocent, || {
            format!(
                "identifiers {:?} were not sent again",
                connection.resend_due
            )
        });
    }

    /// `will-due`: judged for watchers whose subscription was granted before the end,
    /// and who stayed and listened until after the will was due.
    fn judge_will_due(&mut self, owner: &Connection, all: &[Connection], answer_nanos: u64) {
        let Some((will, due)) = self.will_due(owner, all) else {
            return;
        };
        let (topic, payload) = (&will.topic, &will.payload);
        let horizon = due + self.scope.slack_nanos + answer_nanos;
        let private = self.scope.private.as_ref();
        if horizon > self.now.nanos
            || topic.starts_with('$')
            || private.is_some_and(|private| topic.starts_with(&private.prefix))
        {
            return;
        }
        let end = owner.ended().unwrap_or(self.now);
        let key = Contents::key(topic, payload);
        for watcher in all {
            let stays = watcher.ended().is_none_or(|end| end.nanos > horizon)
                && watcher.taken_over.is_none()
                && watcher.fault_at.is_none()
                && watcher.farewell.is_none_or(|(at, _)| at.nanos > horizon)
                && watcher.told(property::MAXIMUM_PACKET_SIZE).is_none();
            let Some(index) = watcher.session.filter(|_| stays && !watcher.over) else {
                continue;
            };
            let session = &self.sessions[index];
            let listens = session.known
                && session.matching(topic).any(|way| {
                    way.granted.is_some_and(|granted| granted < end)
                        && way.until.is_none()
                        && topic::split_shared(&way.request.filter).0.is_none()
                        && !way.request.no_local
                });
            if listens {
                let seen = self
                    .contents
                    .get(key)
                    .is_some_and(|content| content.seen.contains(&index));
                let site = self.awaited(watcher, "a will");
                self.report.judge(Rule::WillDue, &site, seen, || {
                    format!(
                        "connection {} ended badly, its will is for {topic:?}",
                        owner.number
                    )
                });
            }
        }
    }

    /// The will that surely was to be published, and since when.
    fn will_due<'a>(
        &self,
        owner: &'a Connection,
        all: &[Connection],
    ) -> Option<(&'a crate::packet::Will, u64)> {
        let will = owner.connect.as_ref()?.will.as_ref()?;
        owner.accepted.filter(|_| !owner.contested)?;
        let kept = match owner.farewell {
            None => true,
            Some((_, reason)) => owner.version == Some(Version::V5) && reason == 0x04,
        };
        let end = owner.ended().filter(|_| kept)?;
        let delay_secs = will
            .properties
            .number(property::WILL_DELAY)
            .map_or(0, u64::from);
        let expiry_secs = self.sessions[owner.session?].expiry_high_secs;
        let delay = delay_secs.min(expiry_secs) * SECOND;
        // Who comes back in time cancels it.
        let back = all.iter().any(|other| {
            other.number != owner.number
                && other.client_id() == owner.client_id()
                && other
                    .connect_at
                    .is_some_and(|at| at > owner.connect_at.unwrap_or(at))
        });
        (delay == 0 || !back).then_some((will, end.nanos + delay))
    }

    /// For what should have come: the end of what did.
    fn awaited<'a>(&self, connection: &Connection, what: &'a str) -> Site<'a> {
        Site {
            instead: what,
            ..self.site(connection, None)
        }
    }
}

fn answer_name(answer: Answer) -> &'static str {
    match answer {
        Answer::Connack => "CONNACK",
        Answer::Puback => "PUBACK",
        Answer::Pubrec => "PUBREC",
        Answer::Pubcomp => "PUBCOMP",
        Answer::Suback => "SUBACK",
        Answer::Unsuback => "UNSUBACK",
        Answer::Pingresp => "PINGRESP",
        Answer::Pubrel => "PUBREL",
    }
}
