//! A client that writes its packets by hand and reads them by hand, so that a mistake of
//! the codec can't hide itself.

use super::PATIENCE;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// MQTT 3.1.1 or 5, by its protocol level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V311 = 4,
    V5 = 5,
}

/// What CONNECT says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hello<'a> {
    pub(crate) version: Version,
    pub(crate) id: &'a str,
    pub(crate) keep_alive: u16,
    pub(crate) user: Option<(&'a str, &'a str)>,
}

impl<'a> Hello<'a> {
    pub(crate) fn new(version: Version, id: &'a str) -> Self {
        Self {
            version,
            id,
            keep_alive: 0,
            user: None,
        }
    }

    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut body = b"\0\x04MQTT".to_vec();
        let credentials = if self.user.is_some() { 0xC0 } else { 0 };
        body.extend([self.version as u8, 0x02 | credentials]);
        body.extend(self.keep_alive.to_be_bytes());
        no_properties(&mut body, self.version);
        text(&mut body, self.id);
        if let Some((name, password)) = self.user {
            text(&mut body, name);
            text(&mut body, password);
        }
        packet(0x10, &body)
    }
}

fn no_properties(body: &mut Vec<u8>, version: Version) {
    if version == Version::V5 {
        body.push(0);
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    let bytes = u16::try_from(text.len()).expect("texts are short");
    body.extend(bytes.to_be_bytes());
    body.extend(text.as_bytes());
}

/// A packet with that first byte.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let more = if left > 127 { 0x80 } else { 0 };
        packet.push((left % 128) as u8 | more);
        left /= 128;
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

pub(crate) fn publish(version: Version, topic: &str, payload: &[u8], retain: bool) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    no_properties(&mut body, version);
    body.extend(payload);
    packet(0x30 | u8::from(retain), &body)
}

/// A PUBLISH that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) retain: bool,
    pub(crate) payload: Vec<u8>,
}

impl Message {
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
            got: Vec::new(),
            read: 0,
            messages: std::collections::VecDeque::new(),
        }
    }

    /// One that was let in.
    pub(crate) fn connect(address: SocketAddr, version: Version, id: &str) -> Self {
        Self::greet(address, &Hello::new(version, id)).unwrap_or_else(|code| panic!("{code}"))
    }

    /// One that was let in, or why not.
    pub(crate) fn greet(address: SocketAddr, hello: &Hello<'_>) -> Result<Self, u8> {
        let mut client = Self::open(address, hello.version);
        client.send(&hello.packet());
        let (first, body) = client.packet().expect("CONNACK");
        assert_eq!(first, 0x20, "CONNACK");
        match body[1] {
            0 => Ok(client),
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

    /// Subscribes at QoS 0, and is granted that.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        let mut body = vec![0, 1];
        no_properties(&mut body, self.version);
        text(&mut body, filter);
        body.push(0);
        self.send(&packet(0x82, &body));
        let answer = self.await_packet(0x90);
        assert_eq!(answer.last(), Some(&0), "{filter} is granted");
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) {
        let mut body = vec![0, 2];
        no_properties(&mut body, self.version);
        text(&mut body, filter);
        self.send(&packet(0xA2, &body));
        self.await_packet(0xB0);
    }

    /// All that was sent before has had its effect on this connection.
    pub(crate) fn ping(&mut self) {
        self.send(&[0xC0, 0]);
        self.await_packet(0xD0);
    }

    pub(crate) fn disconnect(mut self) {
        self.send(&[0xE0, 0]);
    }

    fn await_packet(&mut self, wanted: u8) -> Vec<u8> {
        loop {
            let (first, body) = self.packet().expect("the connection is open");
            if first == wanted {
                return body;
            }
            let message = self.decode(first, &body);
            self.messages.push_back(message);
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

    fn decode(&self, first: u8, body: &[u8]) -> Message {
        assert_eq!(first & 0xFE, 0x30, "PUBLISH of QoS 0");
        let topic_bytes = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let (topic, rest) = body[2..].split_at(topic_bytes);
        let payload = match self.version {
            Version::V311 => rest,
            Version::V5 => {
                assert!(rest[0] < 128, "few properties");
                &rest[1 + usize::from(rest[0])..]
            }
        };
        Message {
            topic: String::from_utf8(topic.to_vec()).expect("a text"),
            retain: first & 1 == 1,
            payload: payload.to_vec(),
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
