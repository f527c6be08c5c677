//! Meets producers, on a thread of its own: accepting, taking a ring over and mapping it may
//! take a while, and a producer may say nothing for ever.
//!
//! ```text
//!            listen ──► a ring comes ──► Came ──► the socket closes ──► Gone ─┐
//!              ▲             │ not within 5 s, or no ring: Trouble            │
//!              └─────────────┴──────────── the ring comes back, unmapped ─────┘
//! ```
//!
//! Unmapping takes a while as well, so a ring is given back for that.

use crate::error::FeedError;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ringcast_ring::Tap;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

/// Events that nobody took yet.
const EVENTS_MAX: usize = 8;

/// How long a producer may take from connecting to giving its ring, in milliseconds.
const GIVE_MILLIS_MAX: u16 = 5_000;

/// How long the greeter waits for a turn of the ingest core, and after an accept that failed,
/// before it tries again, in milliseconds.
const RETRY_MILLIS: u16 = 20;

/// What the greeter has to tell.
#[derive(Debug)]
pub(super) enum Event {
    /// A producer gave its ring.
    Came(Box<Tap>),
    /// That producer closed its socket, as it does at its end.
    Gone,
    /// Somebody came and gave no ring that can be used.
    Trouble(String),
}

/// The end of the greeter that never waits.
#[derive(Debug)]
pub(super) struct Greeter {
    events: rtrb::Consumer<Event>,
    rings: rtrb::Producer<Box<Tap>>,
    /// Closed to make the thread end.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// The thread.
struct Greeting {
    listener: UnixListener,
    path: PathBuf,
    events: rtrb::Producer<Event>,
    /// Those that are done with.
    rings: rtrb::Consumer<Box<Tap>>,
    stop: UnixStream,
}

/// It is to end.
struct Stopped;

impl Greeter {
    pub(super) fn listen(path: &Path) -> Result<Self, FeedError> {
        let on_socket = |error| FeedError::Socket {
            path: path.to_owned(),
            error,
        };
        let listener = bind(path).map_err(on_socket)?;
        listener.set_nonblocking(true).map_err(on_socket)?;
        let (stop, stopped) = UnixStream::pair().map_err(on_socket)?;
        let (to_turn, events) = rtrb::RingBuffer::new(EVENTS_MAX);
        // There is one at a time.
        let (rings, from_turn) = rtrb::RingBuffer::new(1);
        let greeting = Greeting {
            listener,
            path: path.to_owned(),
            events: to_turn,
            rings: from_turn,
            stop: stopped,
        };
        let thread = thread::Builder::new().name("ringcast-shm".into());
        let thread = thread.spawn(|| greeting.run()).map_err(FeedError::Thread)?;
        Ok(Self {
            events,
            rings,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// What happened since it was asked last, oldest first.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.events.pop().ok()
    }

    /// Gives back the ring of the producer that came last; only then the next may come.
    pub(super) fn give_back(&mut self, ring: Box<Tap>) {
        // There is room, for there is only this one; if not, it is unmapped here.
        let _ = self.rings.push(ring);
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but what `stop` ends.
            let _ = thread.join();
        }
    }
}

/// Listens at a path, also where an engine that was killed left its socket.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let is_socket = fs::symlink_metadata(path)?.file_type().is_socket();
            let refuses = |error: &io::Error| error.kind() == ErrorKind::ConnectionRefused;
            if is_socket && UnixStream::connect(path).is_err_and(|error| refuses(&error)) {
                fs::remove_file(path)?;
                return UnixListener::bind(path);
            }
            Err(error)
        }
        other => other,
    }
}

impl Greeting {
    fn run(mut self) {
        // `Stopped` is the only way out.
        let Err(Stopped) = self.greet_all();
        let _ = fs::remove_file(&self.path);
    }

    fn greet_all(&mut self) -> Result<std::convert::Infallible, Stopped> {
        let mut is_troubled = false;
        loop {
            self.wait(&self.listener, PollTimeout::NONE)?;
            match self.listener.accept() {
                Ok((stream, _)) => {
                    is_troubled = false;
                    self.greet(&stream)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                Err(error) => {
                    // Such as no descriptor left: once, until it succeeds again.
                    if !std::mem::replace(&mut is_troubled, true) {
                        let report = format!("the shm feed: no producer can come: {error}");
                        self.tell(Event::Trouble(report))?;
                    }
                    self.pause()?;
                }
            }
        }
    }

    /// Takes a producer's ring, and waits until the producer is gone.
    fn greet(&mut self, mut stream: &UnixStream) -> Result<(), Stopped> {
        if !self.wait(&stream, GIVE_MILLIS_MAX.into())? {
            let report = "the shm feed: a producer connected and gave no ring".to_owned();
            return self.tell(Event::Trouble(report));
        }
        // There is something to receive, so this does not wait.
        let tap = match Tap::accept(stream) {
            Ok(tap) => tap,
            Err(error) => {
                let report = format!("the shm feed: a producer gave no ring: {error}");
                return self.tell(Event::Trouble(report));
            }
        };
        self.tell(Event::Came(Box::new(tap)))?;
        // What is published from here on is read, for a producer that waits for that; one
        // that does not need not take it.
        let _ = stream.set_nonblocking(true);
        let _ = stream.write_all(b"!");
        loop {
            self.wait(&stream, PollTimeout::NONE)?;
            match stream.read(&mut [0; 64]) {
                Ok(0) => break,
                Ok(_) => (),
                Err(error) if is_temporary(&error) => (),
                Err(_) => break,
            }
        }
        self.tell(Event::Gone)?;
        while self.rings.pop().is_err() {
            self.pause()?;
        }
        Ok(())
    }

    /// Waits until something can be read there; `false` if that takes too long.
    fn wait(&self, what: &impl AsFd, timeout: PollTimeout) -> Result<bool, Stopped> {
        loop {
            let mut polled = [
                PollFd::new(what.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.stop.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut polled, timeout) {
                Err(Errno::EINTR) => continue,
                // No memory: as if nothing had come, in the hope of better times.
                Err(_) => thread::yield_now(),
                Ok(_) => (),
            }
            let [what, stop] = polled;
            return match stop.any() {
                Some(true) => Err(Stopped),
                _ => Ok(what.any() == Some(true)),
            };
        }
    }

    /// Waits a little, for what is wanting may be freed by others.
    fn pause(&self) -> Result<(), Stopped> {
        let mut polled = [PollFd::new(self.stop.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::from(RETRY_MILLIS)) {
            Ok(1..) => Err(Stopped),
            _ => Ok(()),
        }
    }

    fn tell(&mut self, mut event: Event) -> Result<(), Stopped> {
        while let Err(rtrb::PushError::Full(back)) = self.events.push(event) {
            event = back;
            self.pause()?;
        }
        Ok(())
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
