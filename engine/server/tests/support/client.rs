//! A client that writes its packets by hand and reads them by hand, so that a mistake of
//! the codec can't hide itself.

use super::PATIENCE;
use super::property::{self, Properties};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// MQTT 3.1, 3.1.1 or 5, by its protocol level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V31 = 3,
    V311 = 4,
    V5 = 5,
}

impl Version {
    pub(crate) const ALL: [Self; 3] = [Self::V31, Self::V311, Self::V5];
}

/// What CONNECT says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hello<'a> {
    pub(crate) version: Version,
    pub(crate) id: &'a str,
    pub(crate) keep_alive: u16,
    pub(crate) user: Option<(&'a str, &'a str)>,
    /// Clean Session, or Clean Start.
    pub(crate) clean: bool,
    pub(crate) will: Option<Will<'a>>,
    /// Of MQTT 5, without their length.
    pub(crate) properties: &'a [u8],
}

/// What is published when its client is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Will<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: &'a [u8],
}

impl<'a> Will<'a> {
    /// At QoS 1, and not retained.
    pub(crate) fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            topic,
            payload,
            qos: 1,
            retain: false,
            properties: &[],
        }
    }
}

impl<'a> Hello<'a> {
    pub(crate) fn new(version: Version, id: &'a str) -> Self {
        Self {
            version,
            id,
            keep_alive: 0,
            user: None,
            clean: true,
            will: None,
            properties: &[],
        }
    }

    /// One whose session outlives its connection.
    pub(crate) fn lasting(version: Version, id: &'a str) -> Self {
        /// Session Expiry Interval: for ever.
        const FOR_EVER: &[u8] = b"\x11\xFF\xFF\xFF\xFF";
        Self {
            clean: false,
            properties: if version == Version::V5 {
                FOR_EVER
            } else {
                &[]
            },
            ..Self::new(version, id)
        }
    }

    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut body = Vec::new();
        text(
            &mut body,
            if self.version == Version::V31 {
                "MQIsdp"
            } else {
                "MQTT"
            },
        );
        let credentials = if self.user.is_some() { 0xC0 } else { 0 };
        let will = self
            .will
            .map_or(0, |will| 0x04 | will.qos << 3 | u8::from(will.retain) << 5);
        let clean = u8::from(self.clean) << 1;
        body.extend([self.version as u8, credentials | will | clean]);
        body.extend(self.keep_alive.to_be_bytes());
        properties(&mut body, self.version, self.properties);
        text(&mut body, self.id);
        if let Some(will) = self.will {
            properties(&mut body, self.version, will.properties);
            text(&mut body, will.topic);
            data(&mut body, will.payload);
        }
        if let Some((name, password)) = self.user {
            text(&mut body, name);
            text(&mut body, password);
        }
        packet(0x10, &body)
    }
}

fn properties(body: &mut Vec<u8>, version: Version, properties: &[u8]) {
    if version == Version::V5 {
        property::variable(body, properties.len());
        body.extend(properties);
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    data(body, text.as_bytes());
}

fn data(body: &mut Vec<u8>, data: &[u8]) {
    let bytes = u16::try_from(data.len()).expect("texts are short");
    body.extend(bytes.to_be_bytes());
    body.extend(data);
}

/// A packet with that first byte.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    property::variable(&mut packet, body.len());
    packet.extend(body);
    packet
}

/// A PUBLISH at QoS 0.
pub(crate) fn publish(version: Version, topic: &str, payload: &[u8], retain: bool) -> Vec<u8> {
    let publish = Publish {
        retain,
        ..Publish::new(0, 0, topic, payload)
    };
    publish.packet(version)
}

/// A PUBLISH to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: u8,
    pub(crate) id: u16,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// Of MQTT 5, without their length.
    pub(crate) properties: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Neither retained nor a repetition.
    pub(crate) fn new(qos: u8, id: u16, topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            topic,
            payload,
            qos,
            id,
            retain: false,
            dup: false,
            properties: &[],
        }
    }

    pub(crate) fn packet(&self, version: Version) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        properties(&mut body, version, self.properties);
        body.extend(self.payload);
        let flags = u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        packet(0x30 | flags, &body)
    }
}

/// A SUBSCRIBE of these filters with their options.
pub(crate) fn subscribe(
    version: Version,
    id: u16,
    filters: &[(&str, u8)],
    own_properties: &[u8],
) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    properties(&mut body, version, own_properties);
    for (filter, options) in filters {
        text(&mut body, filter);
        body.push(*options);
    }
    packet(0x82, &body)
}

pub(crate) fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    properties(&mut body, version, &[]);
    filters.iter().for_each(|filter| text(&mut body, filter));
    packet(0xA2, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP, in its shortest form.
pub(crate) fn acknowledge(first: u8, id: u16) -> Vec<u8> {
    packet(first, &id.to_be_bytes())
}

/// The same with a reason, of MQTT 5.
pub(crate) fn refuse(first: u8, id: u16, reason: u8) -> Vec<u8> {
    packet(first, &[&id.to_be_bytes()[..], &[reason]].concat())
}

pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x62;
pub(crate) const PUBCOMP: u8 = 0x70;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const UNSUBACK: u8 = 0xB0;
pub(crate) const PINGRESP: u8 = 0xD0;

/// A PUBLISH that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    /// 0 at QoS 0.
    pub(crate) id: u16,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) properties: Properties,
}

impl Message {
    /// A payload that is a text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("a text")
    }

    /// A payload that is a number.
    pub(crate) fn number(&self) -> u64 {
        let text = std::str::from_utf8(&self.payload).expect("a text");
        let digits = text.split(' ').next().expect("there is always one");
        digits.parse().expect("a number")
    }
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) version: Version,
    /// What CONNACK said.
    pub(crate) session_present: bool,
    pub(crate) connack: Properties,
    /// The last packet identifier that was taken.
    id: u16,
    got: Vec<u8>,
    read: usize,
    /// Messages that came while something else was awaited.
    messages: std::collections::VecDeque<Message>,
}

impl Client {
    /// A connection that has said nothing.
    pub(crate) fn open(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a guard");
        stream.set_write_timeout(Some(PATIENCE)).expect("a guard");
        Self {
            stream,
            version,
            session_present: false,
            connack: Properties::default(),
            id: 0,
            got: Vec::new(),
            read: 0,
            messages: std::collections::VecDeque::new(),
        }
    }

    /// One that was let in.
    pub(crate) fn connect(address: SocketAddr, version: Version, id: &str) -> Self {
        Self::let_in(address, &Hello::new(version, id))
    }

    /// One that was let in with this CONNECT.
    pub(crate) fn let_in(address: SocketAddr, hello: &Hello<'_>) -> Self {
        Self::greet(address, hello).unwrap_or_else(|code| panic!("{hello:?}: refused: {code}"))
    }

    /// One that was let in, or why not.
    pub(crate) fn greet(address: SocketAddr, hello: &Hello<'_>) -> Result<Self, u8> {
        let mut client = Self::open(address, hello.version);
        client.send(&hello.packet());
        client.await_connack().map(|()| client)
    }

    /// Reads CONNACK, which lets it in or has a reason.
    pub(crate) fn await_connack(&mut self) -> Result<(), u8> {
        let (first, body) = self.packet().expect("CONNACK");
        assert_eq!(first, 0x20, "CONNACK");
        if self.version == Version::V5 {
            self.connack = property::read(&body[2..]).0;
        }
        self.session_present = body[0] == 1;
        match body[1] {
            0 => Ok(()),
            code => Err(code),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) {
        let packet = publish(self.version, topic, payload, retain);
        self.send(&packet);
    }

    /// A packet identifier that was not taken lately.
    pub(crate) fn next_id(&mut self) -> u16 {
        self.id = self.id % 60_000 + 1;
        self.id
    }

    /// Publishes at that QoS, until the server has taken it over altogether.
    pub(crate) fn publish_at(&mut self, qos: u8, topic: &str, payload: &[u8]) {
        let publish = Publish::new(qos, self.next_id(), topic, payload);
        self.hand_over(&publish);
    }

    /// The same with all that a PUBLISH can say. Returns the reason, 0 before MQTT 5.
    pub(crate) fn hand_over(&mut self, publish: &Publish<'_>) -> u8 {
        let packet = publish.packet(self.version);
        self.send(&packet);
        match publish.qos {
            0 => {
                self.ping();
                0
            }
            1 => self.await_acknowledgement(PUBACK, publish.id),
            _ => {
                let reason = self.await_acknowledgement(PUBREC, publish.id);
                if reason < 0x80 {
                    self.send(&acknowledge(PUBREL, publish.id));
                    self.await_acknowledgement(PUBCOMP, publish.id);
                }
                reason
            }
        }
    }

    /// The next packet but messages is this one, for that identifier. Returns its reason.
    pub(crate) fn await_acknowledgement(&mut self, first: u8, id: u16) -> u8 {
        let body = self.await_packet(first);
        assert_eq!(body[..2], id.to_be_bytes(), "{first:#x}");
        assert!(self.version == Version::V5 || body.len() == 2, "{body:?}");
        body.get(2).copied().unwrap_or(0)
    }

    /// Subscribes at QoS 0, and is granted that.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        self.subscribe_at(0, filter);
    }

    /// Subscribes at that QoS, and is granted that.
    pub(crate) fn subscribe_at(&mut self, qos: u8, filter: &str) {
        assert_eq!(self.subscribe_to(&[(filter, qos)], &[]), [qos], "{filter}");
    }

    /// Subscribes to these filters with their options. Returns what SUBACK says of each.
    pub(crate) fn subscribe_to(&mut self, filters: &[(&str, u8)], properties: &[u8]) -> Vec<u8> {
        let id = self.next_id();
        self.send(&subscribe(self.version, id, filters, properties));
        self.await_codes(SUBACK, id)
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) {
        self.unsubscribe_from(&[filter]);
    }

    /// Returns what UNSUBACK says of each filter; nothing before MQTT 5.
    pub(crate) fn unsubscribe_from(&mut self, filters: &[&str]) -> Vec<u8> {
        let id = self.next_id();
        self.send(&unsubscribe(self.version, id, filters));
        self.await_codes(UNSUBACK, id)
    }

    /// The next packet but messages is this one, for that identifier. Returns its codes.
    pub(crate) fn await_codes(&mut self, first: u8, id: u16) -> Vec<u8> {
        let body = self.await_packet(first);
        assert_eq!(body[..2], id.to_be_bytes(), "{first:#x}");
        match self.version {
            Version::V31 | Version::V311 => body[2..].to_vec(),
            Version::V5 => property::read(&body[2..]).1.to_vec(),
        }
    }

    /// All that was sent before has had its effect on this connection.
    pub(crate) fn ping(&mut self) {
        self.send(&[0xC0, 0]);
        self.await_packet(PINGRESP);
    }

    /// Says goodbye, and waits until the server has closed the connection.
    pub(crate) fn leave(mut self) {
        self.send(&[0xE0, 0]);
        let ending = loop {
            match self.packet() {
                Ok((first, _)) => assert_eq!(first & 0xF0, 0x30, "only messages"),
                Err(ending) => break ending,
            }
        };
        assert_eq!(ending, Ending::Closed);
    }

    pub(crate) fn disconnect(mut self) {
        self.send(&[0xE0, 0]);
    }

    /// What follows the length of the next packet but messages, which has this first byte.
    pub(crate) fn await_packet(&mut self, wanted: u8) -> Vec<u8> {
        loop {
            let (first, body) = self.packet().expect("the connection is open");
            if first == wanted {
                return body;
            }
            assert_eq!(first & 0xF0, 0x30, "{first:#x} came, not {wanted:#x}");
            let message = self.decode(first, &body);
            self.messages.push_back(message);
        }
    }

    /// Acknowledges a message in all its steps.
    pub(crate) fn acknowledge(&mut self, message: &Message) {
        match message.qos {
            0 => {}
            1 => self.send(&acknowledge(PUBACK, message.id)),
            _ => {
                self.send(&acknowledge(PUBREC, message.id));
                self.await_acknowledgement(PUBREL, message.id);
                self.send(&acknowledge(PUBCOMP, message.id));
            }
        }
    }

    /// The next message, acknowledged.
    pub(crate) fn take(&mut self) -> Message {
        let message = self.message();
        self.acknowledge(&message);
        message
    }

    /// All messages, acknowledged, up to the one with this payload, which is left out.
    pub(crate) fn take_until(&mut self, payload: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.take() {
                message if message.payload == payload => return messages,
                message => messages.push(message),
            }
        }
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Message {
        self.try_message().expect("the connection is open")
    }

    /// The next message; otherwise what came instead of one.
    pub(crate) fn try_message(&mut self) -> Result<Message, Ending> {
        if let Some(message) = self.messages.pop_front() {
            return Ok(message);
        }
        match self.packet()? {
            (first, body) if first & 0xF0 == 0x30 => Ok(self.decode(first, &body)),
            (0xE0, body) => Err(Ending::Told(body.first().copied().unwrap_or(0))),
            (first, _) => panic!("a packet {first:#x}"),
        }
    }

    pub(crate) fn decode(&self, first: u8, body: &[u8]) -> Message {
        assert_eq!(first & 0xF0, 0x30, "PUBLISH");
        let qos = first >> 1 & 3;
        let topic_bytes = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let (topic, rest) = body[2..].split_at(topic_bytes);
        let (id, rest) = match qos {
            0 => (0, rest),
            _ => (u16::from_be_bytes([rest[0], rest[1]]), &rest[2..]),
        };
        let (properties, payload) = match self.version {
            Version::V31 | Version::V311 => (Properties::default(), rest),
            Version::V5 => property::read(rest),
        };
        Message {
            topic: String::from_utf8(topic.to_vec()).expect("a text"),
            payload: payload.to_vec(),
            qos,
            id,
            retain: first & 1 == 1,
            dup: first & 8 == 8,
            properties,
        }
    }

    /// The next packet, its first byte and what follows its length.
    pub(crate) fn packet(&mut self) -> Result<(u8, Vec<u8>), Ending> {
        loop {
            if let Some((head, length)) = self.head() {
                let whole = self.read + head + length;
                if self.got.len() >= whole {
                    let first = self.got[self.read];
                    let body = self.got[self.read + head..whole].to_vec();
                    self.read = whole;
                    return Ok((first, body));
                }
            }
            self.got.drain(..self.read);
            self.read = 0;
            let mut buffer = vec![0; 64 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Ending::Closed),
                Ok(bytes) => self.got.extend(&buffer[..bytes]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_reset(&error) => return Err(Ending::Reset),
                Err(error) => panic!("nothing comes: {error}"),
            }
        }
    }

    /// Bytes of the next packet's head and of what follows, once these are known.
    fn head(&self) -> Option<(usize, usize)> {
        let bytes = self.got.get(self.read + 1..)?;
        let mut length = 0;
        for (place, byte) in bytes.iter().take(4).enumerate() {
            length |= usize::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                return Some((place + 2, length));
            }
        }
        None
    }

    /// What still comes until the server closes; the messages are counted.
    pub(crate) fn end(mut self) -> (usize, Ending) {
        let mut messages = 0;
        loop {
            match self.try_message() {
                Ok(_) => messages += 1,
                Err(ending) => return (messages, ending),
            }
        }
    }
}

/// How a server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a DISCONNECT of this reason.
    Told(u8),
    /// Without a word.
    Closed,
    /// By a reset.
    Reset,
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}
