//! The sending half of the probe: one connection that never blocks, so that the
//! subscribers can be read while the server takes its time.

use super::dialect::Dialect;
use super::form::{Form, Stamp};
use super::subscribers::connect;
use crate::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Bytes of answers that one read takes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

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
            answers: dialect.is_answered().then(Answers::new),
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
        self.form.write(stamp, &mut self.pending);
        if let Some(answers) = &mut self.answers {
            answers.due += 1;
        }
        stamp
    }

    /// Gives the socket what it takes, and returns whether that was anything.
    pub(crate) fn flush(&mut self) -> Result<bool, Error> {
        if let Some(answers) = &mut self.answers {
            answers.read(&mut self.stream)?;
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

/// A line for each message, `:` and a number.
#[derive(Debug)]
struct Answers {
    /// Messages whose answer has not ended.
    due: u64,
    is_in_line: bool,
    buffer: Box<[u8]>,
}

impl Answers {
    fn new() -> Self {
        Self {
            due: 0,
            is_in_line: false,
            buffer: vec![0; ANSWER_BYTES_MAX].into(),
        }
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
                let is_right = match byte {
                    b':' => !std::mem::replace(&mut self.is_in_line, true),
                    b'\n' => std::mem::replace(&mut self.is_in_line, false),
                    b'\r' | b'0'..=b'9' => self.is_in_line,
                    _ => false,
                };
                if !is_right || (byte == b'\n' && self.due == 0) {
                    let answer = Dialect::Resp.describe(&self.buffer[at..bytes]);
                    return Err(Error::Refused { answer });
                }
                self.due -= u64::from(byte == b'\n');
            }
        }
        Ok(())
    }
}
