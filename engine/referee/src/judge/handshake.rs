//! Rules about messages at QoS 1 and 2 that the server sends: identifiers, DUP, what
//! is sent again, the quota.
//!
//! They judge the session's current connection only. What a former one still brings
//! was sent before; it is remembered as uncertain, and so is all that a session takes
//! over from a connection whose end has not been seen.

use crate::packet::{Ack, Packet, Publish};
use crate::referee::Referee;
use crate::report::{Report, Site};
use crate::rule::Rule;
use crate::state::{Answer, Connection, Entry, Stage};

/// What a PUBLISH of the server turns out to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// A message that the client was not sent before.
    First,
    /// One that it was.
    Again,
    /// Not to be told.
    Open,
}

impl Referee {
    /// `receive-maximum`. An acknowledgement counts from when the client sent it, the
    /// earliest that the server can have it. As the standard has it, each PUBACK and
    /// PUBCOMP gives back one, whatever it was for.
    pub(crate) fn judge_quota(&mut self, connection: &mut Connection, packet: &Packet) {
        let site = self.site(connection, Some(packet));
        self.report
            .judge(Rule::ReceiveMaximum, &site, connection.credit > 0, || {
                "as many are open as the client's Receive Maximum".to_owned()
            });
        connection.credit -= 1;
    }

    /// What happens to the identifier of a PUBLISH at QoS 1 or 2.
    pub(crate) fn on_identifier(
        &mut self,
        connection: &mut Connection,
        publish: &Publish,
        content: u64,
        packet: &Packet,
    ) -> Sending {
        let Some(index) = connection.session else {
            return Sending::Open;
        };
        let site = self.site(connection, Some(packet));
        let session = &mut self.sessions[index];
        let packet_id = publish.packet_id;
        let entry = session.entries.get(&packet_id).cloned();
        if session.current != connection.number || !session.known {
            let fresh = new_entry(session.entries_next, publish, content, connection, false);
            session.entries_next += 1;
            match session.entries.get_mut(&packet_id) {
                // What the current connection has sent since is known better.
                Some(entry) => entry.certain &= entry.sent_on == session.current,
                None => session.put(packet_id, fresh),
            }
            return Sending::Open;
        }
        connection.resend_due.retain(|due| *due != packet_id);
        session.unseen &= publish.dup;
        let unsure = session.doubt()
            || entry
                .as_ref()
                .map_or(session.unseen, |entry| !entry.certain);
        let standing = Standing {
            others_open: session.entries_open > 0,
            ..Standing::new(
                entry.filter(|_| !unsure),
                unsure,
                connection,
                publish,
                content,
            )
        };
        standing.judge(&mut self.report, &site, connection.number, publish.dup);
        let again = publish.dup || (standing.in_use && standing.same);
        let entry = standing.entry;
        if let (Some(entry), true) = (&entry, again && !standing.here) {
            judge_again(
                &mut self.report,
                &site,
                connection,
                entry,
                publish,
                standing.same,
            );
        }
        let session = &mut self.sessions[index];
        let mut fresh = new_entry(session.entries_next, publish, content, connection, !unsure);
        match entry {
            Some(entry) if again => fresh.order = entry.order,
            _ => session.entries_next += 1,
        }
        session.put(packet_id, fresh);
        match (again, unsure) {
            (_, true) => Sending::Open,
            (true, false) => Sending::Again,
            (false, false) => Sending::First,
        }
    }

    /// `pubrel-after-pubrec`: PUBREC was seen before the server could have it. On a
    /// new connection PUBREL may repeat itself or answer a PUBREC of the one before.
    pub(crate) fn on_server_pubrel(
        &mut self,
        connection: &mut Connection,
        ack: &Ack,
        packet: &Packet,
    ) {
        let site = self.site(connection, Some(packet));
        let asked = connection
            .asked
            .iter()
            .any(|asked| asked.answer == Answer::Pubrel && asked.packet_id == ack.packet_id);
        let Some(session) = connection.session else {
            return;
        };
        connection.resend_due.retain(|due| *due != ack.packet_id);
        if asked {
            self.report
                .judge(Rule::PubrelAfterPubrec, &site, true, String::new);
            self.take_answer(connection, Answer::Pubrel, ack.packet_id, packet);
        }
        let session = &mut self.sessions[session];
        let unsure = session.doubt() || !session.known || session.current != connection.number;
        let entry = session.entries.get_mut(&ack.packet_id);
        if !asked {
            let spare = connection.spare.contains(&(Answer::Pubrel, ack.packet_id));
            let (open, again_here) = match &entry {
                Some(entry) => (
                    !entry.certain
                        || (entry.sent_on != connection.number && entry.stage != Stage::Sent),
                    entry.sent_on == connection.number && entry.stage == Stage::Released,
                ),
                None => (false, false),
            };
            if again_here && !unsure && !spare {
                self.report.judge(Rule::ResendLive, &site, false, || {
                    "this PUBREL was sent on this connection before".to_owned()
                });
            } else {
                self.report.judge(
                    Rule::PubrelAfterPubrec,
                    &site,
                    open || unsure || spare,
                    || "no PUBREC of the client has this identifier".to_owned(),
                );
            }
        }
        if let Some(entry) = entry {
            entry.stage = Stage::Released;
            entry.sent_on = connection.number;
        }
    }
}

/// What is known of the identifier of a PUBLISH.
struct Standing {
    /// The message that had it last, unless there is doubt.
    entry: Option<Entry>,
    unsure: bool,
    /// That was sent on this connection.
    here: bool,
    /// That is not acknowledged.
    in_use: bool,
    /// That has the same content and QoS.
    same: bool,
    /// Some message of the session is not acknowledged.
    others_open: bool,
}

impl Standing {
    fn new(
        entry: Option<Entry>,
        unsure: bool,
        connection: &Connection,
        publish: &Publish,
        content: u64,
    ) -> Self {
        let is = |test: &dyn Fn(&Entry) -> bool| entry.as_ref().is_some_and(test);
        Self {
            unsure,
            here: is(&|entry| entry.sent_on == connection.number),
            in_use: is(&|entry| entry.done.is_none()),
            same: is(&|entry| entry.content == content && entry.qos == publish.qos),
            others_open: false,
            entry,
        }
    }

    /// `identifier-free`, `dup-set`, `dup-only-again` and `resend-live`. An
    /// acknowledgement that was seen may be had by the server, so what it frees is
    /// free; if its connection has ended, it may also be lost.
    fn judge(&self, report: &mut Report, site: &Site<'_>, connection: u64, dup: bool) {
        if dup {
            let may_be_open = self
                .entry
                .as_ref()
                .is_some_and(|entry| entry.done.is_none_or(|(on, _)| on != connection));
            report.judge(Rule::DupOnlyAgain, site, self.unsure || may_be_open, || {
                "no unacknowledged message has this identifier".to_owned()
            });
        } else if self.in_use && !self.here && self.same {
            report.judge(Rule::DupSet, site, false, || {
                "it repeats what an earlier connection sent".to_owned()
            });
        } else {
            report.judge(
                Rule::IdentifierFree,
                site,
                self.unsure || !self.in_use,
                || "a message that is not acknowledged has this identifier".to_owned(),
            );
        }
        let live = dup && self.here && self.in_use;
        if self.others_open {
            report.judge(Rule::ResendLive, site, !live, || {
                "it was sent on this connection before".to_owned()
            });
        }
    }
}

/// Rules about what a resume sends again.
fn judge_again(
    report: &mut Report,
    site: &Site<'_>,
    connection: &mut Connection,
    entry: &Entry,
    publish: &Publish,
    same: bool,
) {
    if publish.dup {
        report.judge(Rule::DupSet, site, true, String::new);
    }
    report.judge(Rule::ResendSame, site, same, || {
        "under this identifier another message was sent".to_owned()
    });
    if publish.qos == 2 {
        report.judge(
            Rule::PublishAfterPubrel,
            site,
            entry.stage != Stage::Released,
            || "its PUBREL has been sent".to_owned(),
        );
    }
    // PUBLISH beside PUBLISH: PUBRELs stand in the order of PUBRECs.
    if let Some(last) = connection.resent_last.replace(entry.order) {
        report.judge(Rule::ResendOrder, site, last < entry.order, || {
            "one that was first sent later came again before it".to_owned()
        });
    }
}

fn new_entry(
    order: u64,
    publish: &Publish,
    content: u64,
    connection: &Connection,
    certain: bool,
) -> Entry {
    Entry {
        qos: publish.qos,
        content,
        order,
        stage: Stage::Sent,
        sent_on: connection.number,
        done: None,
        certain,
    }
}
