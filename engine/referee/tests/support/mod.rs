//! Packets as bytes and traces as scripts, for tests of the referee. Nothing here
//! checks what it is told to write, so that it can write what is wrong.

#![allow(dead_code, reason = "each test takes what it needs")]

use ringcast_referee::{Event, Referee, Report, Scope, What};

pub(crate) const SECOND: u64 = 1_000_000_000;

/// Builds a trace, a millisecond from event to event.
pub(crate) struct Script {
    pub(crate) events: Vec<Event>,
    pub(crate) scope: Scope,
    at_nanos: u64,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self {
            events: Vec::new(),
            scope: Scope::whole(),
            at_nanos: 0,
        }
    }

    pub(crate) fn event(&mut self, connection: u64, what: What) {
        self.at_nanos += 1_000_000;
        self.events.push(Event {
            at_nanos: self.at_nanos,
            connection,
            what,
        });
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.at_nanos += seconds * SECOND;
    }

    /// The client of a connection sends.
    pub(crate) fn client(&mut self, connection: u64, bytes: impl Into<Vec<u8>>) {
        self.event(connection, What::ToServer(bytes.into()));
    }

    /// The server sends on a connection.
    pub(crate) fn server(&mut self, connection: u64, bytes: impl Into<Vec<u8>>) {
        self.event(connection, What::ToClient(bytes.into()));
    }

    /// A connection up to its CONNACK.
    pub(crate) fn join(&mut self, connection: u64, connect: &Connect) {
        self.join_with(connection, connect, false);
    }

    pub(crate) fn join_with(&mut self, connection: u64, connect: &Connect, present: bool) {
        self.event(connection, What::Opened);
        self.client(connection, connect.bytes());
        self.server(connection, connack(connect.version, present, 0, &[]));
    }

    /// SUBSCRIBE and its SUBACK, which grants what was asked.
    pub(crate) fn subscribe(
        &mut self,
        connection: u64,
        version: u8,
        id: u16,
        filter: &str,
        options: u8,
    ) {
        self.subscribe_with(connection, version, id, filter, options, &[]);
    }

    pub(crate) fn subscribe_with(
        &mut self,
        connection: u64,
        version: u8,
        id: u16,
        filter: &str,
        options: u8,
        properties: &[u8],
    ) {
        self.client(
            connection,
            subscribe(version, id, &[(filter, options)], properties),
        );
        self.server(connection, suback(version, id, &[options & 3]));
    }

    pub(crate) fn close(&mut self, connection: u64) {
        self.event(connection, What::ClosedByClient);
        self.event(connection, What::ClosedByServer);
    }

    pub(crate) fn judge(&self) -> Report {
        Referee::judge(self.scope.clone(), &self.events)
    }
}

/// CONNECT.
#[derive(Clone)]
pub(crate) struct Connect {
    pub(crate) version: u8,
    pub(crate) id: &'static str,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) properties: Vec<u8>,
    pub(crate) user: Option<&'static str>,
    /// Topic, payload, properties; at QoS 0.
    pub(crate) will: Option<(&'static str, &'static [u8], Vec<u8>)>,
}

/// A client of MQTT 5 with a clean start.
pub(crate) fn v5(id: &'static str) -> Connect {
    Connect {
        version: 5,
        id,
        clean: true,
        keep_alive: 0,
        properties: Vec::new(),
        user: None,
        will: None,
    }
}

/// A client of MQTT 3.1.1 with a clean session.
pub(crate) fn v4(id: &'static str) -> Connect {
    Connect {
        version: 4,
        ..v5(id)
    }
}

impl Connect {
    pub(crate) fn kept(mut self) -> Self {
        self.clean = false;
        if self.version == 5 {
            self.properties.extend(four(17, 3600));
        }
        self
    }

    pub(crate) fn with(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }

    pub(crate) fn will(mut self, topic: &'static str, payload: &'static [u8]) -> Self {
        self.will = Some((topic, payload, Vec::new()));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = text(if self.version == 3 { "MQIsdp" } else { "MQTT" });
        body.push(self.version);
        let mut flags = u8::from(self.clean) << 1;
        flags |= u8::from(self.will.is_some()) << 2;
        flags |= u8::from(self.user.is_some()) << 7;
        body.push(flags);
        body.extend(self.keep_alive.to_be_bytes());
        body.extend(block(self.version, &self.properties));
        body.extend(text(self.id));
        if let Some((topic, payload, properties)) = &self.will {
            body.extend(block(self.version, properties));
            body.extend(text(topic));
            body.extend(data(payload));
        }
        body.extend(self.user.map(text).unwrap_or_default());
        packet(0x10, &body)
    }
}

/// PUBLISH.
#[derive(Clone)]
pub(crate) struct Publish {
    pub(crate) version: u8,
    pub(crate) topic: &'static str,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) id: u16,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<u8>,
}

/// QoS 0, nothing set.
pub(crate) fn message(version: u8, topic: &'static str, payload: impl AsRef<[u8]>) -> Publish {
    Publish {
        version,
        topic,
        payload: payload.as_ref().to_vec(),
        qos: 0,
        id: 0,
        dup: false,
        retain: false,
        properties: Vec::new(),
    }
}

impl Publish {
    pub(crate) fn qos(mut self, qos: u8, id: u16) -> Self {
        (self.qos, self.id) = (qos, id);
        self
    }

    pub(crate) fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    pub(crate) fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    pub(crate) fn with(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = text(self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        body.extend(block(self.version, &self.properties));
        body.extend(&self.payload);
        let flags = u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        packet(0x30 | flags, &body)
    }
}

impl From<Publish> for Vec<u8> {
    fn from(publish: Publish) -> Self {
        publish.bytes()
    }
}

pub(crate) fn connack(version: u8, present: bool, reason: u8, properties: &[u8]) -> Vec<u8> {
    let mut body = vec![u8::from(present), reason];
    body.extend(block(version, properties));
    packet(0x20, &body)
}

pub(crate) fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

pub(crate) fn pubrec(id: u16) -> Vec<u8> {
    packet(0x50, &id.to_be_bytes())
}

pub(crate) fn pubrel(id: u16) -> Vec<u8> {
    packet(0x62, &id.to_be_bytes())
}

pub(crate) fn pubcomp(id: u16) -> Vec<u8> {
    packet(0x70, &id.to_be_bytes())
}

pub(crate) fn subscribe(
    version: u8,
    id: u16,
    filters: &[(&str, u8)],
    properties: &[u8],
) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(block(version, properties));
    for (filter, options) in filters {
        body.extend(text(filter));
        body.push(*options);
    }
    packet(0x82, &body)
}

pub(crate) fn suback(version: u8, id: u16, codes: &[u8]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(block(version, &[]));
    body.extend(codes);
    packet(0x90, &body)
}

pub(crate) fn unsubscribe(version: u8, id: u16, filter: &str) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(block(version, &[]));
    body.extend(text(filter));
    packet(0xa2, &body)
}

pub(crate) fn unsuback(version: u8, id: u16, codes: &[u8]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(block(version, &[]));
    if version == 5 {
        body.extend(codes);
    }
    packet(0xb0, &body)
}

pub(crate) fn pingreq() -> Vec<u8> {
    packet(0xc0, &[])
}

pub(crate) fn pingresp() -> Vec<u8> {
    packet(0xd0, &[])
}

pub(crate) fn disconnect(reason: u8) -> Vec<u8> {
    packet(
        0xe0,
        if reason == 0 {
            &[]
        } else {
            std::slice::from_ref(&reason)
        },
    )
}

/// A Two Byte Integer property.
pub(crate) fn two(id: u8, value: u16) -> Vec<u8> {
    [&[id], &value.to_be_bytes()[..]].concat()
}

/// A Four Byte Integer property.
pub(crate) fn four(id: u8, value: u32) -> Vec<u8> {
    [&[id], &value.to_be_bytes()[..]].concat()
}

/// A string property.
pub(crate) fn string(id: u8, value: &str) -> Vec<u8> {
    [vec![id], text(value)].concat()
}

/// A user property.
pub(crate) fn pair(name: &str, value: &str) -> Vec<u8> {
    [vec![38], text(name), text(value)].concat()
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(variable(body.len()));
    bytes.extend(body);
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    data(text.as_bytes())
}

fn data(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("short enough");
    [&length.to_be_bytes()[..], bytes].concat()
}

/// The properties of a packet with their length; nothing before MQTT 5.
fn block(version: u8, properties: &[u8]) -> Vec<u8> {
    if version < 5 {
        return Vec::new();
    }
    [variable(properties.len()), properties.to_vec()].concat()
}

fn variable(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(value % 128).expect("below 128");
        value /= 128;
        bytes.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return bytes;
        }
    }
}
