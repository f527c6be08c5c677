//! The sending half of the probe: one connection that never blocks, so that the
//! subscribers can be read while the server takes its time.

use super::dialect::Dialect;
use super::form::{Form, Stamp};
use super::subscribers::connect;
use crate::error::Error;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};

/// The publisher of a run.
#[derive(Debug)]
pub(crate) struct Publisher {
    stream: TcpStream,
    form: Form,
    published: u64,
    /// What was published, of which the socket took this many bytes so far.
    pending: Vec<u8>,
    taken: usize,
}

impl Publisher {
    /// Connects it.
    pub(crate) fn connect(
        address: SocketAddr,
        dialect: Dialect,
        form: &Form,
    ) -> Result<Self, Error> {
        let mut stream = connect(address)?;
        dialect.introduce_publisher(&mut stream)?;
        stream
            .set_nonblocking(true)
            .map_err(Error::system("a socket's mode"))?;
        Ok(Self {
            stream,
            form: form.clone(),
            published: 0,
            pending: Vec::new(),
            taken: 0,
        })
    }

    /// How many messages were published.
    pub(crate) fn published(&self) -> u64 {
        self.published
    }

    /// Publishes the next message, with the next [`Self::flush`].
    pub(crate) fn publish(&mut self, intended_nanos: u64) {
        let sequence = self.published;
        let stamp = Stamp {
            sequence,
            intended_nanos,
        };
        self.form.write(stamp, &mut self.pending);
        self.published += 1;
    }

    /// Gives the socket what it takes, and returns whether that was anything.
    pub(crate) fn flush(&mut self) -> Result<bool, Error> {
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
