//! A TCP proxy that writes down what goes through it, to be put between real clients
//! and a real server on one machine. Two threads for each connection; it is made for
//! tests, not for load.
//!
//! It keeps what a [trace](crate::trace) promises: bytes of a client are written down
//! before they are passed on, bytes of the server after they were read. A client that
//! stops reading is not read for: its server is held back as without the proxy.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::trace::{Event, What};

/// A proxy on a free port of loopback.
pub struct Recorder {
    address: SocketAddr,
    tape: Arc<Tape>,
    stopping: Arc<AtomicBool>,
    acceptor: JoinHandle<()>,
}

struct Tape {
    began: Instant,
    events: Mutex<Vec<Event>>,
}

impl Tape {
    /// The clock is read under the lock, so that times stand in the order of events.
    fn write(&self, connection: u64, what: What) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let at_nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        events.push(Event {
            at_nanos,
            connection,
            what,
        });
    }
}

impl Recorder {
    /// Begins to accept, and to connect each client to `server`.
    ///
    /// # Errors
    /// No port, or no thread.
    pub fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let tape = Arc::new(Tape {
            began: Instant::now(),
            events: Mutex::default(),
        });
        let stopping = Arc::new(AtomicBool::new(false));
        let acceptor = thread::Builder::new().name("recorder".to_owned()).spawn({
            let (tape, stopping) = (tape.clone(), stopping.clone());
            move || accept(&listener, server, &tape, &stopping)
        })?;
        Ok(Self {
            address,
            tape,
            stopping,
            acceptor,
        })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections that are left, unrecorded, and returns what was seen.
    ///
    /// # Errors
    /// The acceptor could not be woken.
    pub fn stop(self) -> io::Result<Vec<Event>> {
        self.stopping.store(true, Ordering::SeqCst);
        // The acceptor waits for one more connection.
        drop(TcpStream::connect(self.address)?);
        if self.acceptor.join().is_err() {
            return Err(io::Error::other("the recorder's thread has panicked"));
        }
        let mut events = self
            .tape
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *events))
    }
}

fn accept(
    listener: &TcpListener,
    server: SocketAddr,
    tape: &Arc<Tape>,
    stopping: &Arc<AtomicBool>,
) {
    let mut threads = Vec::new();
    let mut sockets = Vec::new();
    for (number, client) in (1..).zip(listener.incoming()) {
        if stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(client) = client else {
            continue;
        };
        // A server that is gone closes its clients' connections.
        let Ok((pumps, pair)) = connect(client, server, tape, stopping, number) else {
            continue;
        };
        threads.extend(pumps);
        sockets.extend(pair);
    }
    for socket in sockets {
        // Most are closed already.
        let _ = socket.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

type Joined = (Vec<JoinHandle<()>>, [TcpStream; 2]);

fn connect(
    client: TcpStream,
    server: SocketAddr,
    tape: &Arc<Tape>,
    stopping: &Arc<AtomicBool>,
    number: u64,
) -> io::Result<Joined> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tape.write(number, What::Opened);
    let pair = [client.try_clone()?, server.try_clone()?];
    let pump = |from: TcpStream, to: TcpStream, to_server: bool| {
        let pump = Pump {
            tape: tape.clone(),
            stopping: stopping.clone(),
            number,
            to_server,
        };
        thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || pump.run(from, to))
    };
    let threads = vec![
        pump(client.try_clone()?, server.try_clone()?, true)?,
        pump(server, client, false)?,
    ];
    Ok((threads, pair))
}

struct Pump {
    tape: Arc<Tape>,
    stopping: Arc<AtomicBool>,
    number: u64,
    to_server: bool,
}

impl Pump {
    fn run(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => {
                    self.write(if self.to_server {
                        What::ClosedByClient
                    } else {
                        What::ClosedByServer
                    });
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(length) => {
                    let bytes = buffer[..length].to_vec();
                    self.write(if self.to_server {
                        What::ToServer(bytes)
                    } else {
                        What::ToClient(bytes)
                    });
                    // The other direction finds out what became of `to`. What still
                    // comes from here is no more than it would be without the proxy.
                    if to.write_all(&buffer[..length]).is_err() && self.to_server {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.write(What::Reset);
                    let _ = from.shutdown(Shutdown::Both);
                    let _ = to.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
    }

    fn write(&self, what: What) {
        if !self.stopping.load(Ordering::SeqCst) {
            self.tape.write(self.number, what);
        }
    }
}
