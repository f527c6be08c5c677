//! The bare relay: what a push server costs when it does nothing but push.
//!
//! One thread, one epoll: whatever bytes a connection wrote go, unparsed and with one
//! `send()` each, to all the others. No protocol, no queue, no policy: a subscriber
//! that does not read holds everybody up. So it is no server, but what servers are
//! measured beside.

use crate::child;
use crate::error::Error;
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
}

/// Runs as a child process until whoever started it closes standard input.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let listener = child::announce()?;
    serve(&listener, io::stdin(), arguments.parked).map_err(Error::system("the bare relay"))
}

/// Relays until `stop` becomes readable or is closed at its other end. Parked it sleeps
/// in the kernel; otherwise it asks again and again.
pub(crate) fn serve(listener: &TcpListener, stop: impl AsFd, is_parked: bool) -> io::Result<()> {
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
    // By token; places of those who left stay empty.
    let mut connections: Vec<Option<TcpStream>> = Vec::new();
    loop {
        let count = match epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            match event.data() {
                STOP => return Ok(()),
                LISTENER => accept(listener, &epoll, &mut connections)?,
                token => relay(token as usize, &mut connections, &mut buffer),
            }
        }
    }
}

/// Accepts all who wait. Their sockets block: a send is whole, a read is made only of
/// what epoll has announced.
fn accept(
    listener: &TcpListener,
    epoll: &Epoll,
    connections: &mut Vec<Option<TcpStream>>,
) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nodelay(true)?;
                let token = connections.len() as u64;
                epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
                connections.push(Some(stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends what one connection wrote to all the others. Who cannot be read from or
/// written to any more has left.
fn relay(from: usize, connections: &mut [Option<TcpStream>], buffer: &mut [u8]) {
    let Some(publisher) = &mut connections[from] else {
        return;
    };
    let bytes = match publisher.read(buffer) {
        Ok(bytes @ 1..) => bytes,
        Err(error) if error.kind() == ErrorKind::Interrupted => return,
        Ok(0) | Err(_) => {
            connections[from] = None;
            return;
        }
    };
    for (token, subscriber) in connections.iter_mut().enumerate() {
        if token == from {
            continue;
        }
        let Some(stream) = subscriber else { continue };
        if stream.write_all(&buffer[..bytes]).is_err() {
            *subscriber = None;
        }
    }
}
