//! Rules about what the server answers: PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK,
//! PINGRESP.

use crate::packet::{Codes, Packet, Request, Version};
use crate::referee::Referee;
use crate::rule::Rule;
use crate::state::{Answer, Connection, Session, Subscription};

impl Referee {
    pub(crate) fn on_answer(&mut self, connection: &mut Connection, packet: &Packet) {
        match packet {
            Packet::Puback(ack) => {
                connection.inbound_open = connection.inbound_open.saturating_sub(1);
                self.take_answer(connection, Answer::Puback, ack.packet_id, packet);
            }
            Packet::Pubrec(ack) => {
                if ack.reason >= 0x80 {
                    connection.inbound_open = connection.inbound_open.saturating_sub(1);
                }
                self.on_server_pubrec(connection, ack.packet_id, ack.reason, packet);
            }
            Packet::Pubcomp(ack) => {
                connection.inbound_open = connection.inbound_open.saturating_sub(1);
                self.take_answer(connection, Answer::Pubcomp, ack.packet_id, packet);
            }
            Packet::Suback(codes) => {
                self.take_answer(connection, Answer::Suback, codes.packet_id, packet);
                self.on_suback(connection, codes, packet);
            }
            Packet::Unsuback(codes) => {
                self.take_answer(connection, Answer::Unsuback, codes.packet_id, packet);
                self.on_unsuback(connection, codes, packet);
            }
            Packet::Pingresp => {
                self.take_answer(connection, Answer::Pingresp, 0, packet);
            }
            _ => {}
        }
    }

    /// `ack-asked` and `ack-order`. The request was seen before the server could have
    /// it, so an answer that has none is wrong whatever crossed; and answers of one
    /// connection are seen in the order of sending.
    pub(crate) fn take_answer(
        &mut self,
        connection: &mut Connection,
        answer: Answer,
        packet_id: u16,
        packet: &Packet,
    ) {
        let site = self.site(connection, Some(packet));
        let fits = |kind: Answer, id: u16| kind == answer && id == packet_id;
        let Some(place) = connection
            .asked
            .iter()
            .position(|asked| fits(asked.answer, asked.packet_id))
        else {
            let spare = connection
                .spare
                .iter()
                .position(|(kind, id)| fits(*kind, *id));
            if let Some(spare) = spare {
                connection.spare.swap_remove(spare);
            }
            self.report
                .judge(Rule::AckAsked, &site, spare.is_some(), || {
                    "nothing that the client sent awaits it".to_owned()
                });
            return;
        };
        self.report.judge(Rule::AckAsked, &site, true, String::new);
        if self.scope.answer_nanos.is_some() {
            self.report.judge(Rule::Answered, &site, true, String::new);
        }
        if matches!(answer, Answer::Puback | Answer::Pubrec | Answer::Pubrel) {
            self.judge_ack_order(connection, place, packet);
        }
        let asked = connection.asked.remove(place);
        self.on_proof(connection, asked.number);
    }

    fn judge_ack_order(&mut self, connection: &Connection, place: usize, packet: &Packet) {
        let answer = connection.asked[place].answer;
        // A PUBREC for what is not in flight may be ignored, so none has to wait for it.
        let in_flight = |packet_id: u16| {
            answer != Answer::Pubrel
                || connection
                    .session
                    .is_some_and(|session| self.sessions[session].entries.contains_key(&packet_id))
        };
        let earlier = connection.asked[..place]
            .iter()
            .find(|asked| asked.answer == answer && in_flight(asked.packet_id))
            .map(|asked| asked.packet_id);
        let repeated = connection.spare.iter().any(|(kind, _)| *kind == answer);
        let site = self.site(connection, Some(packet));
        self.report
            .judge(Rule::AckOrder, &site, earlier.is_none() || repeated, || {
                format!("identifier {} was first", earlier.unwrap_or(0))
            });
    }

    /// The server has handled all packets of this client up to that one, its
    /// acknowledgements too.
    fn on_proof(&mut self, connection: &Connection, number: u64) {
        let Some(session) = connection.session else {
            return;
        };
        let session = &mut self.sessions[session];
        if session.current == connection.number {
            session.on_proof(number);
        }
    }

    /// A PUBREC may also answer what the session got on an earlier connection, for the
    /// identifier is the session's.
    fn on_server_pubrec(
        &mut self,
        connection: &mut Connection,
        packet_id: u16,
        reason: u8,
        packet: &Packet,
    ) {
        let asked = connection
            .asked
            .iter()
            .any(|asked| asked.answer == Answer::Pubrec && asked.packet_id == packet_id);
        let owed = connection.session.and_then(|session| {
            let held = self.sessions[session].inbound.get_mut(&packet_id)?;
            held.owed = held.owed.checked_sub(1)?;
            Some(())
        });
        if asked || owed.is_none() {
            self.take_answer(connection, Answer::Pubrec, packet_id, packet);
        }
        if reason >= 0x80
            && let Some(session) = connection.session
        {
            self.sessions[session].inbound.remove(&packet_id);
        }
    }

    /// `suback-codes`, for SUBSCRIBE.
    fn on_suback(&mut self, connection: &mut Connection, codes: &Codes, packet: &Packet) {
        let same = |(id, _): &(u16, Vec<Request>)| *id == codes.packet_id;
        let Some(place) = connection.subscribes.iter().position(same) else {
            return;
        };
        let (_, requests) = connection.subscribes.remove(place);
        let count = requests.len() == codes.codes.len();
        let more = requests
            .iter()
            .zip(&codes.codes)
            .find(|(request, code)| **code < 0x80 && **code > request.qos);
        let site = self.site(connection, Some(packet));
        self.report.judge(
            Rule::SubackCodes,
            &site,
            count && more.is_none(),
            || match more {
                Some((request, code)) if count => {
                    format!(
                        "{:?} asked for QoS {}, not {code}",
                        request.filter, request.qos
                    )
                }
                _ => format!("{} filters were asked for", requests.len()),
            },
        );
        let Some(session) = connection.session else {
            return;
        };
        let by = (connection.number, codes.packet_id);
        let mut codes = codes.codes.iter();
        let current = self.sessions[session].current == connection.number;
        let subscriptions = &mut self.sessions[session].subscriptions;
        for place in 0..subscriptions.len() {
            let subscription = &mut subscriptions[place];
            if subscription.by != by
                || subscription.granted.is_some()
                || subscription.until.is_some()
            {
                continue;
            }
            match codes.next() {
                Some(code) if *code < 0x80 => {
                    subscription.request.qos = subscription.request.qos.min(*code);
                    subscription.granted = Some(self.now);
                    let filter = subscription.request.filter.clone();
                    for older in &mut subscriptions[..place] {
                        // Seen late, it need not have come after those.
                        if current && older.request.filter == filter && older.granted.is_some() {
                            older.until.get_or_insert(self.now);
                        }
                    }
                }
                // It never was.
                Some(_) => subscription.until = Some(self.now),
                None => {}
            }
        }
        forget_ended(&mut self.sessions[session]);
    }

    /// `suback-codes`, for UNSUBSCRIBE.
    fn on_unsuback(&mut self, connection: &mut Connection, codes: &Codes, packet: &Packet) {
        let same = |(id, _): &(u16, Vec<String>)| *id == codes.packet_id;
        let Some(place) = connection.unsubscribes.iter().position(same) else {
            return;
        };
        let (_, filters) = connection.unsubscribes.remove(place);
        let version5 = connection.version == Some(Version::V5);
        let innocent = !version5 || filters.len() == codes.codes.len();
        let site = self.site(connection, Some(packet));
        self.report.judge(Rule::SubackCodes, &site, innocent, || {
            format!("{} filters were named", filters.len())
        });
        let Some(session) = connection.session else {
            return;
        };
        let number = connection.number;
        if self.sessions[session].current != number {
            // Seen late: what it names may have been asked for anew since.
            return;
        }
        for (place, filter) in filters.iter().enumerate() {
            // Refused: the subscription may be in force as before.
            let is_refused = codes.codes.get(place).is_some_and(|code| *code >= 0x80);
            for subscription in &mut self.sessions[session].subscriptions {
                if is_refused {
                    subscription.given_up &= subscription.request.filter != *filter;
                    continue;
                }
                // One that was asked for after UNSUBSCRIBE has no SUBACK yet.
                let earlier = subscription.granted.is_some() || subscription.by.0 != number;
                if subscription.request.filter == *filter && earlier {
                    subscription.until.get_or_insert(self.now);
                }
            }
        }
    }
}

/// How many ended subscriptions a session remembers for what may still be queued. Who
/// has more is not judged by them any more.
const ENDED_MAX: usize = 1024;

fn forget_ended(session: &mut Session) {
    let ended = |subscription: &Subscription| subscription.until.is_some();
    let count = session
        .subscriptions
        .iter()
        .filter(|found| ended(found))
        .count();
    if count > ENDED_MAX {
        session.subscriptions.retain(|found| !ended(found));
        session.replayed.clear();
        session.known = false;
    }
}
