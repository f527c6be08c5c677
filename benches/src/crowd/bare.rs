//! What very many connections cost by themselves: a thread that accepts them into its lanes
//! and sends to them, without a door and without a protocol.
//!
//! Once all are there it prints how many, and from then on sends a message to everybody for
//! each line of standard input.

use crate::child::{announce, say};
use crate::error::Error;
use crate::machine::fan_out::MESSAGE_BYTES;
use crate::probe::{Dialect, Interest, Stamp};
use ringcast_lane::{Lanes, Settings};
use ringcast_wire::{ConnectionKey, Wire};
use std::io::{self, BufRead, ErrorKind};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

/// Connections that are accepted before the lanes are looked at.
const ACCEPTED_MAX: usize = 64;

const EVENTS_MAX: usize = 4096;

/// The message that everybody is sent: a whole PUBLISH, so that as many bytes are moved as
/// by who has a protocol.
pub(crate) fn message() -> Vec<u8> {
    let stamp = Stamp {
        sequence: 0,
        intended_nanos: 0,
        topic: 0,
        number: 0,
    };
    let forms = Dialect::Mqtt.forms(Interest::Wildcard { topics: 1 }, MESSAGE_BYTES);
    let mut message = Vec::new();
    forms.published.write(stamp, &mut message);
    message
}

/// Runs as a child process, until the end of standard input.
pub(super) fn run(connections: u32) -> Result<(), Error> {
    let lanes = Settings::for_connections(connections).and_then(|settings| Lanes::new(&settings));
    let mut lanes = lanes.map_err(Error::Lanes)?;
    let listener = announce()?;
    let nonblocking = listener.set_nonblocking(true);
    nonblocking.map_err(Error::system("listening"))?;
    let (sender, orders) = channel();
    thread::spawn(move || {
        for _ in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(()).is_err() {
                break;
            }
        }
    });
    accept_all(connections, &listener, &mut lanes)?;
    say(connections)?;
    serve(connections, &mut lanes, &orders)
}

fn accept_all(connections: u32, listener: &TcpListener, lanes: &mut Lanes) -> Result<(), Error> {
    let mut events = Vec::with_capacity(EVENTS_MAX);
    let mut keys = (0..connections).map(ConnectionKey::first).peekable();
    while keys.peek().is_some() {
        for key in keys.by_ref().take(ACCEPTED_MAX) {
            // The kernel has it right away, or nobody has come.
            let socket = loop {
                match listener.accept() {
                    Ok((stream, _)) => break stream,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        lanes.reap(&mut events, EVENTS_MAX);
                        events.clear();
                    }
                    Err(error) => return Err(Error::system("accepting")(error)),
                }
            };
            let adopted = lanes.adopt(key, socket.into());
            adopted.map_err(Error::system("adopting a socket"))?;
        }
        lanes.reap(&mut events, EVENTS_MAX);
        events.clear();
    }
    Ok(())
}

fn serve(connections: u32, lanes: &mut Lanes, orders: &Receiver<()>) -> Result<(), Error> {
    let message = message();
    let keys: Vec<_> = (0..connections).map(ConnectionKey::first).collect();
    let (mut events, mut failed) = (Vec::with_capacity(EVENTS_MAX), Vec::new());
    loop {
        lanes.reap(&mut events, EVENTS_MAX);
        events.clear();
        match orders.try_recv() {
            Ok(()) => {
                lanes.send_same(&keys, &message, &mut failed);
                if let Some(failure) = failed.first() {
                    let result = failure.sent.cast_signed();
                    return Err(Error::SendShort { result });
                }
            }
            Err(TryRecvError::Empty) => (),
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}
