//! The receiving half of the probe: very many connections, read by one thread that
//! never sleeps, and every message looked at.
//!
//! The connections are watched edge by edge, so that one that was read empty costs
//! nothing until there is more. A read that does not fill its buffer has emptied the
//! socket, and whatever comes later raises a new edge (epoll(7)). Only of an end that
//! came together with the last bytes there is no other edge: the event tells it.

use super::dialect::Dialect;
use super::form::Form;
use crate::clock::now_nanos;
use crate::error::{DeliveryFault, Error};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes that one read can take.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Connections that are read before the publisher has its turn again.
const EVENTS_MAX: usize = 256;

/// How long a server may take to answer a handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// All subscribers of a run.
#[derive(Debug)]
pub(crate) struct Subscribers {
    dialect: Dialect,
    form: Form,
    connections: Vec<Subscriber>,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    buffer: Vec<u8>,
    delivered: u64,
}

/// A message at a subscriber.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivered {
    /// Which message, counted from 0.
    pub(crate) sequence: u64,
    /// When it was to be sent.
    pub(crate) intended_nanos: u64,
    /// When it was read.
    pub(crate) received_nanos: u64,
}

#[derive(Debug)]
struct Subscriber {
    stream: TcpStream,
    /// The sequence of the message that must come next.
    next: u64,
    /// The beginning of a message whose end was not there yet.
    rest: Vec<u8>,
}

impl Subscribers {
    /// Connects so many and subscribes them.
    pub(crate) fn connect(
        address: SocketAddr,
        dialect: Dialect,
        form: &Form,
        count: usize,
    ) -> Result<Self, Error> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Error::system("epoll"))?;
        let mut connections = Vec::with_capacity(count);
        for subscriber in 0..count {
            let mut stream = connect(address)?;
            dialect.introduce_subscriber(&mut stream, subscriber)?;
            stream
                .set_nonblocking(true)
                .map_err(Error::system("a socket's mode"))?;
            let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
            epoll
                .add(&stream, EpollEvent::new(interest, subscriber as u64))
                .map_err(Error::system("epoll"))?;
            connections.push(Subscriber {
                stream,
                next: 0,
                rest: Vec::with_capacity(form.bytes()),
            });
        }
        Ok(Self {
            dialect,
            form: form.clone(),
            connections,
            epoll,
            events: vec![EpollEvent::empty(); EVENTS_MAX],
            buffer: vec![0; READ_BYTES_MAX + form.bytes()],
            delivered: 0,
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.connections.len()
    }

    /// How many messages arrived at any of them.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Reads what is there without waiting, and returns from how many connections;
    /// `published` says how many messages there can be by now.
    pub(crate) fn poll(
        &mut self,
        published: u64,
        mut on_delivered: impl FnMut(Delivered),
    ) -> Result<usize, Error> {
        let count = match self.epoll.wait(&mut self.events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(Error::system("waiting for subscribers")(error)),
        };
        for event in &self.events[..count] {
            let subscriber = event.data() as usize;
            let connection = &mut self.connections[subscriber];
            let may_end = event.events() != EpollFlags::EPOLLIN;
            let read = connection.read(
                &self.form,
                &mut self.buffer,
                published,
                may_end,
                |delivered| {
                    self.delivered += 1;
                    on_delivered(delivered);
                },
            );
            read.map_err(|stop| stop.explain(self.dialect, subscriber))?;
        }
        Ok(count)
    }
}

/// Why a connection cannot be read any further.
enum Stop {
    System(std::io::Error),
    Closed(Vec<u8>),
    Foreign(Vec<u8>),
    Sequence { expected: u64, found: u64 },
}

impl Stop {
    fn explain(self, dialect: Dialect, subscriber: usize) -> Error {
        let fault = match self {
            Self::System(error) => return Error::system("reading as a subscriber")(error),
            Self::Closed(last) if last.is_empty() => DeliveryFault::Closed(String::new()),
            Self::Closed(last) => DeliveryFault::Closed(dialect.describe(&last)),
            Self::Foreign(bytes) => DeliveryFault::Foreign(dialect.describe(&bytes)),
            Self::Sequence { expected, found } => DeliveryFault::Sequence { expected, found },
        };
        Error::Delivery { subscriber, fault }
    }
}

impl Subscriber {
    /// Reads until the socket is empty; if it may have ended, until that is certain.
    fn read(
        &mut self,
        form: &Form,
        buffer: &mut [u8],
        published: u64,
        may_end: bool,
        mut on_delivered: impl FnMut(Delivered),
    ) -> Result<(), Stop> {
        loop {
            let kept = self.rest.len();
            buffer[..kept].copy_from_slice(&self.rest);
            let room = &mut buffer[kept..];
            let room_bytes = room.len();
            let bytes = match self.stream.read(room) {
                Ok(0) => return Err(Stop::Closed(self.rest.clone())),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Stop::System(error)),
            };
            let received_nanos = now_nanos();
            let messages = buffer[..kept + bytes].chunks_exact(form.bytes());
            self.rest.clear();
            self.rest.extend_from_slice(messages.remainder());
            for message in messages {
                let Some(stamp) = form.read(message) else {
                    return Err(Stop::Foreign(message.to_vec()));
                };
                if stamp.sequence != self.next || stamp.sequence >= published {
                    return Err(Stop::Sequence {
                        expected: self.next,
                        found: stamp.sequence,
                    });
                }
                self.next += 1;
                on_delivered(Delivered {
                    sequence: stamp.sequence,
                    intended_nanos: stamp.intended_nanos,
                    received_nanos,
                });
            }
            if bytes < room_bytes && !may_end {
                return Ok(());
            }
        }
    }
}

/// A connection that is ready for a handshake: it blocks, but not for ever.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect(address).map_err(|_| Error::unreachable(address))?;
    stream
        .set_nodelay(true)
        .and_then(|()| stream.set_read_timeout(Some(HANDSHAKE_TIME_MAX)))
        .map_err(Error::system("a socket's options"))?;
    Ok(stream)
}
