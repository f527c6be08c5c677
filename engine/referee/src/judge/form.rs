//! Rules about one packet of the server by itself, given what its connection is.

use crate::packet::{Packet, Side, Version, property};
use crate::referee::Referee;
use crate::rule::Rule;
use crate::state::Connection;

impl Referee {
    /// `size`: the limit stands in CONNECT, which the server has read before it sends.
    pub(crate) fn judge_size(&mut self, connection: &Connection, size: usize) {
        let Some(limit) = connection.told(property::MAXIMUM_PACKET_SIZE) else {
            return;
        };
        let site = self.site(connection, None);
        let innocent = size as u64 <= u64::from(limit);
        self.report.judge(Rule::Size, &site, innocent, || {
            format!("a packet of {size} bytes goes to a client that takes {limit}")
        });
    }

    /// `connack-first` where not even CONNECT has been seen.
    pub(crate) fn on_server_too_soon(&mut self, connection: &mut Connection) {
        connection.flow(Side::Server).broken = true;
        // Nobody knows what a server says to a client whose CONNECT makes no sense.
        if connection.fault_at.is_none() {
            let site = self.site(connection, None);
            self.report.judge(Rule::ConnackFirst, &site, false, || {
                "the server speaks before CONNECT".to_owned()
            });
        }
    }

    /// The rules that each packet of the server meets, in its order of sending.
    pub(crate) fn on_server_packet(&mut self, connection: &mut Connection, packet: &Packet) {
        let Some(version) = connection.version else {
            return;
        };
        let site = self.site(connection, Some(packet));
        self.report.judge(Rule::Form, &site, true, String::new);
        if version != Version::V5 {
            self.report.judge(Rule::Mqtt5Only, &site, true, String::new);
        }
        let over = connection.over;
        self.report.judge(Rule::SilentAfterEnd, &site, !over, || {
            "the server had ended this connection".to_owned()
        });
        if over {
            return;
        }
        if !self.judge_first(connection, packet) {
            return;
        }
        self.judge_reason(connection, packet, version);
        self.judge_authentication(connection, packet);
        self.judge_problem_information(connection, packet);
        if !matches!(packet, Packet::Disconnect(_)) {
            for violation in connection.suspicions.drain(..) {
                self.report.convict(violation);
            }
            self.judge_taken_over(connection, packet);
        }
        match packet {
            Packet::Connack(connack) => self.on_connack(connection, connack, packet),
            Packet::Publish(publish) => self.on_server_publish(connection, publish, packet),
            Packet::Pubrel(ack) => self.on_server_pubrel(connection, ack, packet),
            Packet::Disconnect(disconnect) => {
                self.judge_blame(connection, disconnect.reason, packet);
                connection.over = true;
            }
            _ => self.on_answer(connection, packet),
        }
    }

    /// `connack-first`: the order of packets of one connection is that of sending.
    fn judge_first(&mut self, connection: &Connection, packet: &Packet) -> bool {
        let authenticates = connection
            .connect
            .as_ref()
            .is_some_and(|connect| connect.properties.has(property::AUTHENTICATION_METHOD));
        let innocent = match packet {
            Packet::Connack(_) => true,
            Packet::Auth(_) => connection.answered || authenticates,
            _ => connection.answered,
        };
        let site = self.site(connection, Some(packet));
        if !connection.answered || !innocent {
            self.report.judge(Rule::ConnackFirst, &site, innocent, || {
                "no CONNACK came before".to_owned()
            });
        }
        innocent
    }

    /// `reason-code`: the tables of the standard, by packet and version.
    fn judge_reason(&mut self, connection: &Connection, packet: &Packet, version: Version) {
        let codes: &[u8] = match packet {
            Packet::Connack(connack) => &[connack.reason],
            Packet::Puback(ack)
            | Packet::Pubrec(ack)
            | Packet::Pubrel(ack)
            | Packet::Pubcomp(ack) => &[ack.reason],
            Packet::Suback(codes) | Packet::Unsuback(codes) => &codes.codes,
            Packet::Disconnect(packet) | Packet::Auth(packet) => &[packet.reason],
            _ => return,
        };
        let bad = codes.iter().find(|code| !may_say(packet, **code, version));
        let site = self.site(connection, Some(packet));
        self.report
            .judge(Rule::ReasonCode, &site, bad.is_none(), || {
                format!("reason 0x{:02x} is not for it", bad.unwrap_or(&0))
            });
    }

    /// `authentication`: what the client named stands in CONNECT.
    fn judge_authentication(&mut self, connection: &Connection, packet: &Packet) {
        let told = |id| {
            connection
                .connect
                .as_ref()
                .and_then(|connect| connect.properties.text(id))
        };
        if !matches!(packet, Packet::Auth(_) | Packet::Connack(_))
            || connection.version != Some(Version::V5)
            || told(property::AUTHENTICATION_METHOD).is_some()
        {
            return;
        }
        let method = packet
            .properties()
            .is_some_and(|properties| properties.has(property::AUTHENTICATION_METHOD));
        let innocent = !method && matches!(packet, Packet::Connack(_));
        let site = self.site(connection, Some(packet));
        self.report
            .judge(Rule::Authentication, &site, innocent, || {
                "the client named no authentication method".to_owned()
            });
    }

    /// `problem-information`: what the client asked for stands in CONNECT.
    fn judge_problem_information(&mut self, connection: &Connection, packet: &Packet) {
        let free = matches!(
            packet,
            Packet::Connack(_) | Packet::Publish(_) | Packet::Disconnect(_)
        );
        if free || connection.told(property::REQUEST_PROBLEM_INFORMATION) != Some(0) {
            return;
        }
        let told = packet.properties().is_some_and(|properties| {
            properties.has(property::REASON_STRING) || properties.has(property::USER_PROPERTY)
        });
        let site = self.site(connection, Some(packet));
        self.report
            .judge(Rule::ProblemInformation, &site, !told, || {
                "the client wants no reason string and no user property here".to_owned()
            });
    }
}

/// Reason codes that a server may put into a packet: MQTT 5, sections 3.2.2.2, 3.4.2.1,
/// 3.6.2.1, 3.9.3, 3.11.3, 3.14.2.1 and 3.15.2.1; the return codes of 3.1.1.
fn may_say(packet: &Packet, code: u8, version: Version) -> bool {
    match (packet, version) {
        (Packet::Connack(_), Version::V5) => matches!(
            code,
            0 | 0x80..=0x8a | 0x8c | 0x90 | 0x95 | 0x97 | 0x99 | 0x9a..=0x9d | 0x9f
        ),
        (Packet::Connack(_), _) => code <= 5,
        (Packet::Suback(_), Version::V5) => matches!(
            code,
            0..=2 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91 | 0x97 | 0x9e | 0xa1 | 0xa2
        ),
        // MQTT 3.1 knows no failure.
        (Packet::Suback(_), Version::V31) => code <= 2,
        (Packet::Suback(_), Version::V311) => matches!(code, 0..=2 | 0x80),
        (Packet::Unsuback(_), _) => matches!(code, 0 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91),
        (Packet::Puback(_) | Packet::Pubrec(_), _) => matches!(
            code,
            0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
        ),
        (Packet::Pubrel(_) | Packet::Pubcomp(_), _) => matches!(code, 0 | 0x92),
        // Those that the table gives to the server.
        (Packet::Disconnect(_), _) => matches!(
            code,
            0 | 0x80..=0x83 | 0x87 | 0x89 | 0x8b | 0x8d..=0x90 | 0x93..=0xa2
        ),
        (Packet::Auth(_), _) => matches!(code, 0 | 0x18),
        _ => true,
    }
}
