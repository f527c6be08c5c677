//! The bare relay: what a push server costs when it does nothing but push.
//!
//! One thread, one epoll: whatever bytes a connection wrote go, unparsed and with one
//! `send()` each, to all the others; or, by topic, to those who asked for it ([`ByTopic`]).
//! No protocol, no queue, no policy: a subscriber that does not read holds everybody up.
//! So it is no server, but what servers are measured beside.

mod by_topic;

use crate::child;
use crate::error::Error;
use by_topic::ByTopic;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

/// Bytes that one read takes, and so one send.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Events that are looked at in one go.
const EVENTS_MAX: usize = 64;

const LISTENER: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;

/// The options of the hidden `relay`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Sleeps while there is nothing to do
    #[arg(long)]
    parked: bool,
    /// Sends messages, all of so many bytes, to those only who asked for their topic
    #[arg(long, value_name = "BYTES")]
    by_topic: Option<usize>,
}

/// Runs as a child process until whoever started it closes standard input.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let listener = child::announce()?;
    let message_bytes = arguments.by_topic;
    serve(&listener, io::stdin(), arguments.parked, message_bytes)
        .map_err(Error::system("the bare relay"))
}

/// Relays until `stop` becomes readable or is closed at its other end. Parked it sleeps
/// in the kernel; otherwise it asks again and again.
pub(crate) fn serve(
    listener: &TcpListener,
    stop: impl AsFd,
    is_parked: bool,
    by_topic: Option<usize>,
) -> io::Result<()> {
    match by_topic {
        None => serve_by(&mut ToAll, listener, stop, is_parked),
        Some(bytes) => serve_by(&mut ByTopic::new(bytes), listener, stop, is_parked),
    }
}

/// By place; those of who left stay empty.
type Connections = [Option<TcpStream>];

/// Who gets what.
trait Forward {
    /// Meets a connection that was accepted at this place, and may still block it.
    fn meet(&mut self, place: usize, stream: &mut TcpStream) -> io::Result<()>;
    /// Sends on what one connection wrote. Who cannot be written to any more has left.
    fn forward(&mut self, from: usize, bytes: &[u8], connections: &mut Connections);
}

/// All bytes to all others.
struct ToAll;

impl Forward for ToAll {
    fn meet(&mut self, _: usize, _: &mut TcpStream) -> io::Result<()> {
        Ok(())
    }

    fn forward(&mut self, from: usize, bytes: &[u8], connections: &mut Connections) {
        for (place, subscriber) in connections.iter_mut().enumerate() {
            if place != from {
                send(bytes, subscriber);
            }
        }
    }
}

/// One `send()`, unless the subscriber has left.
fn send(bytes: &[u8], subscriber: &mut Option<TcpStream>) {
    let Some(stream) = subscriber else { return };
    if stream.write_all(bytes).is_err() {
        *subscriber = None;
    }
}

fn serve_by(
    how: &mut impl Forward,
    listener: &TcpListener,
    stop: impl AsFd,
    is_parked: bool,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    epoll.add(&stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
    let timeout = if is_parked {
        EpollTimeout::NONE
    } else {
        EpollTimeout::ZERO
    };
    let mut events = [EpollEvent::empty(); EVENTS_MAX];
    let mut buffer = vec![0; READ_BYTES_MAX];
    let mut connections = Vec::new();
    loop {
        let count = match epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            match event.data() {
                STOP => return Ok(()),
                LISTENER => accept(how, listener, &epoll, &mut connections)?,
                place => relay(how, place as usize, &mut connections, &mut buffer),
            }
        }
    }
}

/// Accepts all who wait. Their sockets block: a send is whole, a read is made only of
/// what epoll has announced.
fn accept(
    how: &mut impl Forward,
    listener: &TcpListener,
    epoll: &Epoll,
    connections: &mut Vec<Option<TcpStream>>,
) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nodelay(true)?;
                let place = connections.len();
                how.meet(place, &mut stream)?;
                epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, place as u64))?;
                connections.push(Some(stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads from one connection and sends it on. Who cannot be read from any more has left.
fn relay(how: &mut impl Forward, from: usize, connections: &mut Connections, buffer: &mut [u8]) {
    let Some(publisher) = &mut connections[from] else {
        return;
    };
    match publisher.read(buffer) {
        Ok(bytes @ 1..) => how.forward(from, &buffer[..bytes], connections),
        Err(error) if error.kind() == ErrorKind::Interrupted => (),
        Ok(0) | Err(_) => connections[from] = None,
    }
}
