//! The sending half of the probe: one connection that never blocks, so that the
//! subscribers can be read while the server takes its time.

use super::acknowledgements::{PUBACK_BYTES, puback};
use super::dialect::Dialect;
use super::form::{Form, Stamp};
use super::subscribers::connect;
use crate::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Bytes of answers that one read takes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// How many packet identifiers there are, and so how many messages a server can owe an answer.
const PACKET_IDS: u64 = u16::MAX as u64;

/// The publisher of a run.
#[derive(Debug)]
pub(crate) struct Publisher {
    stream: TcpStream,
    form: Form,
    published: u64,
    /// How many of each topic were.
    numbers: Vec<u32>,
    /// What was published, of which the socket took this many bytes so far.
    pending: Vec<u8>,
    taken: usize,
    /// Where the server answers each message.
    answers: Option<Answers>,
}

impl Publisher {
    /// Connects it, to publish messages of this form on so many topics.
    pub(crate) fn connect(
        address: SocketAddr,
        dialect: Dialect,
        form: Form,
        topics: u32,
    ) -> Result<Self, Error> {
        let mut stream = connect(address)?;
        dialect.introduce_publisher(&mut stream)?;
        stream
            .set_nonblocking(true)
            .map_err(Error::system("a socket's mode"))?;
        Ok(Self {
            stream,
            form,
            published: 0,
            numbers: vec![0; topics as usize],
            pending: Vec::new(),
            taken: 0,
            answers: Answers::of(dialect),
        })
    }

    /// How many messages were published.
    pub(crate) fn published(&self) -> u64 {
        self.published
    }

    /// How many messages of each topic were published.
    pub(crate) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// Publishes the next message, with the next [`Self::flush`].
    pub(crate) fn publish(&mut self, topic: u32, intended_nanos: u64) -> Stamp {
        let number = &mut self.numbers[topic as usize];
        let stamp = Stamp {
            sequence: self.published,
            intended_nanos,
            topic,
            number: *number,
        };
        *number += 1;
        self.published += 1;
        let at = self.pending.len();
        self.form.write(stamp, &mut self.pending);
        if let Some(place) = self.form.packet_id() {
            let packet_id = packet_id(stamp.sequence).to_be_bytes();
            self.pending[at..][place].copy_from_slice(&packet_id);
        }
        if let Some(answers) = &mut self.answers {
            answers.due += 1;
        }
        stamp
    }

    /// How many messages the server has not answered, if it answers any.
    pub(crate) fn unanswered(&self) -> u64 {
        self.answers.as_ref().map_or(0, |answers| answers.due)
    }

    /// Gives the socket what it takes, and returns whether that was anything.
    pub(crate) fn flush(&mut self) -> Result<bool, Error> {
        if let Some(answers) = &mut self.answers {
            answers.read(&mut self.stream)?;
            if answers.due > PACKET_IDS {
                let messages = answers.due;
                return Err(Error::Unanswered { messages });
            }
        }
        let mut has_sent = false;
        while self.taken < self.pending.len() {
            match self.stream.write(&self.pending[self.taken..]) {
                Ok(bytes) => {
                    self.taken += bytes;
                    has_sent = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(has_sent),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::system("publishing")(error)),
            }
        }
        self.pending.clear();
        self.taken = 0;
        Ok(has_sent)
    }
}

/// The packet identifier of a message, if it has one.
fn packet_id(sequence: u64) -> u16 {
    (1 + sequence % PACKET_IDS) as u16
}

/// An answer for each message.
#[derive(Debug)]
struct Answers {
    dialect: Dialect,
    /// Messages whose answer has not ended.
    due: u64,
    next: Answer,
    buffer: Box<[u8]>,
}

/// The answer that comes next, or has begun.
#[derive(Debug)]
enum Answer {
    /// A line, `:` and a number.
    Line { has_begun: bool },
    /// A PUBACK: of all of them, in the order of publishing, so many bytes came.
    Puback { bytes: u64 },
}

impl Answer {
    /// Takes its next byte, and returns whether that is its last; `None` if it is wrong.
    fn take(&mut self, byte: u8) -> Option<bool> {
        match self {
            Self::Line { has_begun } => match byte {
                b':' if !*has_begun => *has_begun = true,
                b'\n' if *has_begun => *has_begun = false,
                b'\r' | b'0'..=b'9' if *has_begun => {}
                _ => return None,
            },
            Self::Puback { bytes } => {
                let each = PUBACK_BYTES as u64;
                let at = (*bytes % each) as usize;
                if byte != puback(packet_id(*bytes / each))[at] {
                    return None;
                }
                *bytes += 1;
                return Some(at == PUBACK_BYTES - 1);
            }
        }
        Some(byte == b'\n')
    }
}

impl Answers {
    /// Those that come where this is spoken, if any.
    fn of(dialect: Dialect) -> Option<Self> {
        let next = match dialect {
            Dialect::Bare | Dialect::Routed | Dialect::Mqtt => return None,
            Dialect::MqttAcknowledged => Answer::Puback { bytes: 0 },
            Dialect::Resp => Answer::Line { has_begun: false },
        };
        Some(Self {
            dialect,
            due: 0,
            next,
            buffer: vec![0; ANSWER_BYTES_MAX].into(),
        })
    }

    /// Takes what is there. A server that nobody listens to would keep it.
    fn read(&mut self, stream: &mut TcpStream) -> Result<(), Error> {
        while self.due > 0 {
            let bytes = match stream.read(&mut self.buffer) {
                Ok(bytes @ 1..) => bytes,
                Ok(0) => return Err(Error::system("publishing")(ErrorKind::UnexpectedEof)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::system("reading answers")(error)),
            };
            for (at, &byte) in self.buffer[..bytes].iter().enumerate() {
                let ends = self.next.take(byte);
                let Some(ends) = ends.filter(|_| self.due > 0) else {
                    let answer = self.dialect.describe(&self.buffer[at..bytes]);
                    return Err(Error::Refused { answer });
                };
                self.due -= u64::from(ends);
            }
        }
        Ok(())
    }
}
