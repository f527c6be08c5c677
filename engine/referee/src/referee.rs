//! The referee: takes events, cuts bytes into packets, and hands each packet to the
//! rules.
//!
//! Fairness rests on what the order of a [trace](crate::trace) means. What a client
//! sent is seen before anything that the server did because of it; so what the server
//! knew is at most what was seen. Whether it knew *all* that was seen is open, until it
//! answers. Packets of one connection and direction stand in the order of sending;
//! packets of two connections do not.

use std::collections::HashMap;

use crate::decode::{self, Fault};
use crate::packet::{Packet, Side, Version};
use crate::report::{Report, Site};
use crate::rule::Rule;
use crate::state::{Connection, Contents, Moment, Session};
use crate::trace::{Event, What};

/// What a trace tells and what is promised beyond the standard. Rules that need more
/// than there is do not judge.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The trace begins with the server's start: who was not seen has no session.
    pub from_start: bool,
    /// The trace has all who publish: what nobody published must not arrive.
    pub all_publishers: bool,
    /// Filters of topics that the server itself publishes on. Who published what is
    /// not asked there.
    pub own_topics: Vec<String>,
    /// The server keeps sessions as long as their expiry, up to this many seconds;
    /// `None` if it may drop them, for instance when their queue is full.
    pub sessions_kept_secs: Option<u32>,
    /// Topics that belong to users.
    pub private: Option<Private>,
    /// How late an event may be seen, in nanoseconds: rules about time give that much.
    pub slack_nanos: u64,
    /// How long a server may take for an answer or a close, in nanoseconds. `None` if
    /// clients may stop reading, for then it is not the server's fault.
    pub answer_nanos: Option<u64>,
}

/// Topics below `{prefix}{user name}/` are that user's.
#[derive(Clone, Debug)]
pub struct Private {
    /// With its slash: `user/`.
    pub prefix: String,
    /// Names of users who may see all.
    pub everything: Vec<String>,
}

impl Scope {
    /// A trace of a test that sees everything from the server's start.
    pub fn whole() -> Self {
        Self {
            from_start: true,
            all_publishers: true,
            sessions_kept_secs: Some(u32::MAX),
            ..Self::part()
        }
    }

    /// A trace that began at any moment and may lack connections.
    pub fn part() -> Self {
        Self {
            from_start: false,
            all_publishers: false,
            own_topics: vec!["$SYS/#".to_owned()],
            sessions_kept_secs: None,
            private: None,
            slack_nanos: 2_000_000_000,
            answer_nanos: None,
        }
    }
}

/// Checks one trace.
pub struct Referee {
    pub(crate) scope: Scope,
    pub(crate) now: Moment,
    pub(crate) connections: HashMap<u64, Connection>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) by_client: HashMap<String, usize>,
    /// Connections whose CONNECT for a client identifier has no answer yet.
    pub(crate) claims: HashMap<String, Vec<u64>>,
    /// By client identifier, connections that ended before their CONNECT was answered:
    /// it may or may not have had its effect, or have it yet, within the slack.
    pub(crate) ghosts: HashMap<String, Vec<(u64, Moment)>>,
    pub(crate) contents: Contents,
    pub(crate) report: Report,
}

impl Referee {
    /// A referee who has seen nothing yet.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            now: Moment { place: 0, nanos: 0 },
            connections: HashMap::new(),
            sessions: Vec::new(),
            by_client: HashMap::new(),
            claims: HashMap::new(),
            ghosts: HashMap::new(),
            contents: Contents::default(),
            report: Report::default(),
        }
    }

    /// The verdict on a whole trace.
    pub fn judge<'a>(scope: Scope, events: impl IntoIterator<Item = &'a Event>) -> Report {
        let mut referee = Self::new(scope);
        for event in events {
            referee.on_event(event);
        }
        referee.finish()
    }

    /// The verdict so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Takes the next event.
    pub fn on_event(&mut self, event: &Event) {
        self.now = Moment {
            place: self.now.place + 1,
            nanos: event.at_nanos.max(self.now.nanos),
        };
        let mut connection = self
            .connections
            .remove(&event.connection)
            .unwrap_or_else(|| Connection::new(event.connection));
        match &event.what {
            What::Opened => {}
            What::ToServer(bytes) => {
                self.on_client_bytes(&mut connection);
                self.cut(&mut connection, bytes, Side::Client);
            }
            What::ToClient(bytes) => self.cut(&mut connection, bytes, Side::Server),
            What::ClosedByServer => self.on_closed(&mut connection, true, false),
            What::ClosedByClient => self.on_closed(&mut connection, false, true),
            What::Reset => self.on_closed(&mut connection, true, true),
        }
        self.connections.insert(event.connection, connection);
    }

    /// The trace ends here: what should have come by now and has not is told, too.
    pub fn finish(mut self) -> Report {
        self.judge_ends();
        self.report
    }

    fn cut(&mut self, connection: &mut Connection, bytes: &[u8], sender: Side) {
        if connection.flow(sender).broken {
            return;
        }
        connection.flow(sender).bytes.extend_from_slice(bytes);
        let mut pending = std::mem::take(&mut connection.flow(sender).bytes);
        let mut taken = 0;
        while !connection.flow(sender).broken {
            match decode::frame(&pending[taken..], connection.version) {
                Ok(Some((head, end))) if taken + end <= pending.len() => {
                    self.on_frame(connection, &pending[taken..taken + end], head, sender);
                    taken += end;
                    connection.flow(sender).before += end as u64;
                }
                Ok(_) => break,
                Err(fault) => self.on_fault(connection, fault, sender),
            }
        }
        pending.drain(..taken);
        connection.flow(sender).bytes = pending;
    }

    fn on_frame(&mut self, connection: &mut Connection, whole: &[u8], head: usize, sender: Side) {
        let first = whole[0];
        // Until CONNECT tells, no packet of a client depends on the version, and a
        // server has nothing to say.
        let version = connection.version.unwrap_or(Version::V311);
        if sender == Side::Server {
            if connection.connect.is_none() {
                self.on_server_too_soon(connection);
                return;
            }
            self.judge_size(connection, whole.len());
        }
        match decode::packet(first, &whole[head..], version, sender) {
            Ok(packet) if sender == Side::Server => self.on_server_packet(connection, &packet),
            Ok(packet) => self.on_client_packet(connection, packet, whole.len()),
            Err(fault) => self.on_fault(connection, fault, sender),
        }
    }

    /// Bytes that are no packet. A server is convicted; a client only loses its voice,
    /// and the server has to close.
    fn on_fault(&mut self, connection: &mut Connection, fault: Fault, sender: Side) {
        connection.flow(sender).broken = true;
        if sender == Side::Client {
            self.on_client_fault(connection);
            return;
        }
        let site = self.site(connection, None);
        let rule = match fault {
            Fault::Mqtt5Only => Rule::Mqtt5Only,
            _ => Rule::Form,
        };
        self.report.judge(rule, &site, false, || fault.to_string());
    }

    /// Where the packet of the server stands that is looked at.
    pub(crate) fn site<'a>(&self, connection: &Connection, packet: Option<&'a Packet>) -> Site<'a> {
        Site {
            connection: connection.number,
            at_nanos: self.now.nanos,
            offset: connection.output.before,
            packet,
            instead: "bytes that are no packet",
        }
    }
}
