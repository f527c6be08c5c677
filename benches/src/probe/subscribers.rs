//! The receiving half of the probe: very many connections, read by one thread that
//! never sleeps, and every message looked at.
//!
//! The connections are watched edge by edge, so that one that was read empty costs
//! nothing until there is more. A read that does not fill its buffer has emptied the
//! socket, and whatever comes later raises a new edge (epoll(7)). Only of an end that
//! came together with the last bytes there is no other edge: the event tells it.
//!
//! Nearly all of what a read costs is the kernel's, most of it to acknowledge. So reads are as
//! large as what is there, and all that came with one is compared at once with what was
//! published ([`Transcript`]), unless a subscriber has a list of its own.
//!
//! Some may not read: from the start, or from some time on. What they have is looked at
//! in the end.

use super::acknowledgements::Acknowledgements;
use super::dialect::Dialect;
use super::expected::Expected;
use super::form::{Form, Stamp};
use super::traffic::Traffic;
use super::transcript::Transcript;
use crate::clock::now_nanos;
use crate::error::{DeliveryFault, Error};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, sockopt};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Bytes that one read can take: several of the largest sends of a server.
const READ_BYTES_MAX: usize = 256 * 1024;

/// Connections that are read before the publisher has its turn again. With fewer, windows of
/// messages crumble: whoever publishes sooner publishes less at once.
const EVENTS_MAX: usize = 256;

/// How long a server may take to answer a handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// What the kernel keeps for one who never reads: little, or ten thousand of them take all
/// the memory that it has for sockets, and everybody is slow.
const LAGGARD_BUFFER_BYTES: usize = 8 * 1024;

/// All subscribers of a run.
#[derive(Debug)]
pub(crate) struct Subscribers {
    dialect: Dialect,
    form: Form,
    /// All that can come, if that is known beforehand.
    transcript: Option<Transcript>,
    connections: Vec<Subscriber>,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    buffer: Vec<u8>,
    delivered: u64,
    /// How many reads brought them.
    reads: u64,
    /// How many read.
    reading: usize,
    /// Whose socket did not take all acknowledgements.
    acknowledging: Vec<usize>,
    /// Nobody acknowledges anything for now.
    is_withholding: bool,
}

/// Messages at a subscriber, by one read.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    /// Which messages, counted from 0.
    pub(crate) sequences: Range<u64>,
    /// When they were read.
    pub(crate) received_nanos: u64,
}

#[derive(Debug)]
struct Subscriber {
    stream: TcpStream,
    expected: Expected,
    is_reading: bool,
    /// Where what comes is to be acknowledged.
    acknowledgements: Option<Acknowledgements>,
    /// The beginning of a message whose end was not there yet.
    rest: Vec<u8>,
}

impl Subscribers {
    /// Connects so many who read and, evenly among them, so many laggards who never
    /// will; subscribes each to what it wants.
    pub(crate) fn connect(
        address: SocketAddr,
        dialect: Dialect,
        form: Form,
        traffic: &Traffic,
        (reading, laggards): (usize, usize),
    ) -> Result<Self, Error> {
        let count = reading + laggards;
        let mut subscribers = Self {
            dialect,
            buffer: vec![0; READ_BYTES_MAX + form.bytes()],
            form,
            transcript: None,
            connections: Vec::with_capacity(count),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Error::system("epoll"))?,
            events: vec![EpollEvent::empty(); EVENTS_MAX],
            delivered: 0,
            reads: 0,
            reading,
            acknowledging: Vec::new(),
            is_withholding: false,
        };
        let is_acknowledged = subscribers.form.packet_id().is_some();
        for subscriber in 0..count {
            let is_reading = !is_among(subscriber, laggards, count);
            let mut stream = if is_reading {
                connect(address)?
            } else {
                connect_laggard(address)?
            };
            let wanted = traffic.wanted(subscriber);
            dialect.introduce_subscriber(&mut stream, subscriber, wanted)?;
            stream
                .set_nonblocking(true)
                .map_err(Error::system("a socket's mode"))?;
            let mut expected = if traffic.is_same_for_all() {
                Expected::ALL
            } else {
                Expected::new(wanted)
            };
            if is_reading {
                let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
                subscribers
                    .epoll
                    .add(&stream, EpollEvent::new(interest, subscriber as u64))
                    .map_err(Error::system("epoll"))?;
            } else {
                expected.stall(&vec![0; traffic.topics()]);
            }
            subscribers.connections.push(Subscriber {
                stream,
                expected,
                is_reading,
                acknowledgements: is_acknowledged.then(Acknowledgements::new),
                rest: Vec::new(),
            });
        }
        Ok(subscribers)
    }

    /// A message was published. Whoever gets those before `complete` has them.
    pub(crate) fn expect(&mut self, stamp: Stamp, complete: u64) {
        self.transcript
            .get_or_insert_with(|| Transcript::new(&self.form))
            .append(&self.form, stamp, complete);
    }

    /// From now on fewer connections are read at once.
    pub(crate) fn limit_reads(&mut self, most: usize) {
        self.events.truncate(most);
    }

    /// How many there are that read.
    pub(crate) fn reading(&self) -> usize {
        self.reading
    }

    /// How many messages arrived at any of them while it read.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How many reads it took for that.
    pub(crate) fn reads(&self) -> u64 {
        self.reads
    }

    /// From now on what comes is not acknowledged.
    pub(crate) fn withhold_acknowledgements(&mut self) {
        self.is_withholding = true;
    }

    /// What was not acknowledged is, with the next turn, and what comes from now on.
    pub(crate) fn release_acknowledgements(&mut self) {
        if std::mem::take(&mut self.is_withholding) {
            self.acknowledging = (0..self.connections.len()).collect();
        }
    }

    /// Whether all that came is acknowledged.
    pub(crate) fn has_acknowledged(&self) -> bool {
        self.acknowledging.is_empty() && !self.is_withholding
    }

    /// Those whose socket did not take all acknowledgements try again.
    fn acknowledge(&mut self) -> Result<(), Error> {
        for subscriber in std::mem::take(&mut self.acknowledging) {
            let has_sent = self.connections[subscriber].acknowledge();
            if !has_sent.map_err(|stop| stop.explain(self.dialect, subscriber))? {
                self.acknowledging.push(subscriber);
            }
        }
        Ok(())
    }

    /// Reads what is there without waiting, and returns from how many connections;
    /// `published` says how many messages there can be by now.
    pub(crate) fn poll(
        &mut self,
        published: u64,
        mut on_delivered: impl FnMut(Delivered),
    ) -> Result<usize, Error> {
        if !self.is_withholding && !self.acknowledging.is_empty() {
            self.acknowledge()?;
        }
        let count = match self.epoll.wait(&mut self.events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(Error::system("waiting for subscribers")(error)),
        };
        let (form, transcript) = (&self.form, &mut self.transcript);
        for event in &self.events[..count] {
            let subscriber = event.data() as usize;
            let connection = &mut self.connections[subscriber];
            let may_end = event.events() != EpollFlags::EPOLLIN;
            let (delivered, reads) = (&mut self.delivered, &mut self.reads);
            let mut count = |sequences: Range<u64>, received_nanos| {
                *delivered += sequences.end - sequences.start;
                on_delivered(Delivered {
                    sequences,
                    received_nanos,
                });
            };
            let on_messages = |expected: &mut Expected, messages: &[u8], received_nanos| {
                *reads += 1;
                if let (Expected::All { next }, Some(transcript)) =
                    (&mut *expected, &mut *transcript)
                {
                    let first = *next;
                    if let Some(packet_id) = form.packet_id() {
                        transcript.adopt_packet_ids(first, messages, &packet_id);
                    }
                    if !transcript.holds(first, messages) {
                        return Err(stop(form, transcript, first, messages, published));
                    }
                    *next += (messages.len() / form.bytes()) as u64;
                    count(first..*next, received_nanos);
                    return Ok(());
                }
                each(form, messages, |stamp, message| {
                    expected.take(stamp, published).map_err(Stop::Fault)?;
                    let sequence = stamp.sequence;
                    if let Some(transcript) = &mut *transcript {
                        if let Some(packet_id) = form.packet_id() {
                            transcript.adopt_packet_ids(sequence, message, &packet_id);
                        }
                        if !transcript.holds(sequence, message) {
                            return Err(Stop::Foreign(message.to_vec()));
                        }
                    }
                    count(sequence..sequence + 1, received_nanos);
                    Ok(())
                })
            };
            let has_acknowledged = connection
                .read(form, &mut self.buffer, may_end, on_messages)
                .and_then(|()| match self.is_withholding {
                    true => Ok(true),
                    false => connection.acknowledge(),
                })
                .map_err(|stop| stop.explain(self.dialect, subscriber))?;
            if !has_acknowledged && !self.acknowledging.contains(&subscriber) {
                self.acknowledging.push(subscriber);
            }
        }
        Ok(count)
    }

    /// So many of those who read, evenly among all, read no more. Nothing is on its way
    /// to anybody; so many of each topic were published.
    pub(crate) fn stall(&mut self, count: usize, numbers: &[u32]) -> Result<(), Error> {
        let all = self.connections.len();
        for (subscriber, connection) in self.connections.iter_mut().enumerate() {
            if is_among(subscriber, count, all) && connection.is_reading {
                connection.is_reading = false;
                connection.expected.stall(numbers);
                self.reading -= 1;
                self.epoll
                    .delete(&connection.stream)
                    .map_err(Error::system("epoll"))?;
            }
        }
        Ok(())
    }

    /// Looks at what those have who did not read: of the messages any may be missing, but
    /// none of a topic may come twice or late, nor anything else. Returns how many are still
    /// connected.
    pub(crate) fn check_stalled(&mut self, published: u64) -> Result<usize, Error> {
        let mut connected = 0;
        for (subscriber, connection) in self.connections.iter_mut().enumerate() {
            if connection.is_reading {
                continue;
            }
            let form = &self.form;
            let on_messages = |expected: &mut Expected, messages: &[u8], _| {
                each(form, messages, |stamp, _| {
                    expected.skip_to(stamp, published).map_err(Stop::Fault)
                })
            };
            match connection.read(form, &mut self.buffer, true, on_messages) {
                Ok(()) => connected += 1,
                // It was too slow, and may have been cut off anywhere.
                Err(Stop::Closed(_)) => (),
                Err(Stop::System(error)) if error.kind() == ErrorKind::ConnectionReset => (),
                Err(stop) => return Err(stop.explain(self.dialect, subscriber)),
            }
        }
        Ok(connected)
    }
}

/// Whether this one of `all` is one of so many that are evenly among them.
fn is_among(one: usize, count: usize, all: usize) -> bool {
    (one + 1) * count / all > one * count / all
}

/// Why a connection cannot be read any further.
enum Stop {
    System(std::io::Error),
    Closed(Vec<u8>),
    Foreign(Vec<u8>),
    Fault(DeliveryFault),
}

impl Stop {
    fn explain(self, dialect: Dialect, subscriber: usize) -> Error {
        let fault = match self {
            Self::System(error) => return Error::system("reading as a subscriber")(error),
            Self::Closed(last) if last.is_empty() => DeliveryFault::Closed(String::new()),
            Self::Closed(last) => DeliveryFault::Closed(dialect.describe(&last)),
            Self::Foreign(bytes) => DeliveryFault::Foreign(dialect.describe(&bytes)),
            Self::Fault(fault) => fault,
        };
        Error::Delivery { subscriber, fault }
    }
}

/// Does something with each message.
fn each(
    form: &Form,
    messages: &[u8],
    mut take: impl FnMut(Stamp, &[u8]) -> Result<(), Stop>,
) -> Result<(), Stop> {
    for message in messages.chunks_exact(form.bytes()) {
        let stamp = form.read(message);
        take(
            stamp.ok_or_else(|| Stop::Foreign(message.to_vec()))?,
            message,
        )?;
    }
    Ok(())
}

/// What is wrong with messages that are not those of the transcript from `first` on.
fn stop(form: &Form, transcript: &Transcript, first: u64, messages: &[u8], published: u64) -> Stop {
    let mut sequences = first..;
    let is_wrong = |message: &&[u8]| {
        let sequence = sequences.next().expect("there is always a next number");
        !transcript.holds(sequence, message)
    };
    let mut messages = messages.chunks_exact(form.bytes());
    let message = messages.find(is_wrong).expect("one of them is");
    let mut expected = Expected::All {
        next: sequences.start - 1,
    };
    match form
        .read(message)
        .map(|stamp| expected.take(stamp, published))
    {
        Some(Err(fault)) => Stop::Fault(fault),
        // If it has the right number, its payload is spoilt.
        Some(Ok(())) | None => Stop::Foreign(message.to_vec()),
    }
}

impl Subscriber {
    /// Acknowledges what came, as far as its socket takes that, and returns whether it did.
    fn acknowledge(&mut self) -> Result<bool, Stop> {
        let Some(owed) = &mut self.acknowledgements else {
            return Ok(true);
        };
        owed.send(&mut self.stream).map_err(Stop::System)
    }

    /// Reads until the socket is empty; if it may have ended, until that is certain.
    fn read(
        &mut self,
        form: &Form,
        buffer: &mut [u8],
        may_end: bool,
        mut on_messages: impl FnMut(&mut Expected, &[u8], u64) -> Result<(), Stop>,
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
            let there = kept + bytes;
            let (messages, rest) = buffer[..there].split_at(there - there % form.bytes());
            self.rest.clear();
            self.rest.extend_from_slice(rest);
            if !messages.is_empty() {
                on_messages(&mut self.expected, messages, received_nanos)?;
                if let Some((owed, packet_id)) =
                    self.acknowledgements.as_mut().zip(form.packet_id())
                {
                    owed.owe(messages, form.bytes(), &packet_id)
                        .map_err(Stop::Fault)?;
                }
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
    prepare(stream)
}

/// The same for one who will not read. The size of its buffer has to be known before it
/// connects, for what the other side may send cannot shrink later.
fn connect_laggard(address: SocketAddr) -> Result<TcpStream, Error> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(family, SockType::Stream, flags, None)
        .map_err(Error::system("making a socket"))?;
    socket::setsockopt(&socket, sockopt::RcvBuf, &LAGGARD_BUFFER_BYTES)
        .map_err(Error::system("a socket's options"))?;
    socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(address))
        .map_err(|_| Error::unreachable(address))?;
    prepare(TcpStream::from(socket))
}

fn prepare(stream: TcpStream) -> Result<TcpStream, Error> {
    stream
        .set_nodelay(true)
        .and_then(|()| stream.set_read_timeout(Some(HANDSHAKE_TIME_MAX)))
        .map_err(Error::system("a socket's options"))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::is_among;

    #[test]
    fn some_are_evenly_among_all() {
        let some = |count, all| Vec::from_iter((0..all).filter(|&one| is_among(one, count, all)));
        assert!(some(0, 5).is_empty());
        assert_eq!(some(2, 10), [4, 9]);
        assert_eq!(some(5, 5), [0, 1, 2, 3, 4]);
        assert_eq!(some(9_900, 10_000).len(), 9_900);
    }
}
