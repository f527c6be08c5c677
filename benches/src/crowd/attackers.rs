//! Connections that mean no good, beside a crowd: silent ones, ones that send a byte now
//! and then, and ones that send garbage.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Connections that are kept open: more than a door has places for.
const KEPT: usize = 6_000;

/// What is sent of a CONNECT that never ends, byte by byte: one of 256 MiB.
const ENDLESS: [u8; 5] = [0x10, 0xFF, 0xFF, 0xFF, 0x7F];

/// No packet of MQTT begins so.
const GARBAGE: [u8; 32] = [0x47; 32];

/// Between two attacks: some thousands of them a second.
const PAUSE: Duration = Duration::from_micros(200);

/// Attacks in a thread of its own until it is dropped.
pub(crate) struct Attackers {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Attackers {
    /// Returns when as many as can be are there.
    pub(crate) fn start(server: SocketAddr) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
        let mut kept = Vec::new();
        while kept.len() < KEPT {
            kept.push(Kept::open(server)?);
        }
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut turn = 0;
            while !stopped.load(Ordering::Relaxed) {
                turn += 1;
                attack(server, &mut kept, turn);
                thread::sleep(PAUSE);
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("attacking does not panic");
        }
    }
}

/// A connection that is kept open.
struct Kept {
    stream: TcpStream,
    sent: usize,
}

impl Kept {
    fn open(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, sent: 0 })
    }

    /// Sends the next byte; an error if the server has closed the connection.
    fn go_on(&mut self) -> io::Result<()> {
        let byte = ENDLESS.get(self.sent).copied().unwrap_or(b'a');
        self.stream.write_all(&[byte])?;
        self.sent += 1;
        Ok(())
    }
}

/// Garbage from a newcomer, and a byte of one that is kept. Half of these say nothing at
/// all; whoever was closed comes again.
fn attack(server: SocketAddr, kept: &mut [Kept], turn: usize) {
    if let Ok(mut stream) = TcpStream::connect(server) {
        let _ = stream.write_all(&GARBAGE);
    }
    let place = turn % kept.len();
    let kept = &mut kept[place];
    let is_closed = match place % 2 {
        0 => kept.go_on().is_err(),
        _ => kept.stream.peek(&mut [0]).is_ok_and(|count| count == 0),
    };
    if is_closed && let Ok(again) = Kept::open(server) {
        *kept = again;
    }
}
