//! What very many connections cost by themselves: a thread that accepts them into its lanes,
//! gives whatever they say the one answer, and sends to all, without a door, without sessions
//! and without a look at what it gets.
//!
//! For each line of standard input it sends a message to everybody.

use crate::child::announce;
use crate::error::Error;
use crate::machine::fan_out::MESSAGE_BYTES;
use crate::probe::{Dialect, Greeting, Interest, Stamp, Wanted};
use ringcast_lane::{Lanes, Settings};
use ringcast_wire::{Arrival, ConnectionKey, Event, Received, Wire};
use std::io::{self, BufRead, ErrorKind};
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;

/// Connections that are accepted before the lanes are looked at.
const ACCEPTED_MAX: usize = 64;

const EVENTS_MAX: usize = 4096;

/// Reads of a batch, and the bytes of each: more than a client says.
const READS: usize = 64;
const READ_BYTES: usize = 256;

/// What a client says, and is answered: CONNECT and SUBSCRIBE with one send.
pub(crate) fn greeting(client: u32) -> Greeting {
    Dialect::Mqtt.greeting(client as usize, Wanted::All)
}

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
    let (message, answer) = (message(), greeting(0).answer);
    let mut keys = Vec::with_capacity(connections as usize);
    let (mut events, mut failed) = (Vec::with_capacity(EVENTS_MAX), Vec::new());
    let mut received = Received::new(READS, READ_BYTES);
    loop {
        for _ in 0..ACCEPTED_MAX.min(connections as usize - keys.len()) {
            match listener.accept() {
                Ok((stream, _)) => {
                    let key = ConnectionKey::first(keys.len() as u32);
                    let adopted = lanes.adopt(key, stream.into());
                    adopted.map_err(Error::system("adopting a socket"))?;
                    keys.push(key);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(Error::system("accepting")(error)),
            }
        }
        lanes.reap(&mut events, EVENTS_MAX);
        let readable = events.drain(..).filter_map(|event| match event {
            Event::Readable(key) => Some(key),
            _ => None,
        });
        for some in Vec::from_iter(readable).chunks(READS) {
            lanes.receive(some, &mut received);
            let spoke = received
                .arrivals()
                .filter_map(|(key, arrival)| match arrival {
                    Arrival::Bytes { .. } => Some(key),
                    _ => None,
                });
            lanes.send_same(&Vec::from_iter(spoke), &answer, &mut failed);
        }
        match orders.try_recv() {
            Ok(()) => lanes.send_same(&keys, &message, &mut failed),
            Err(TryRecvError::Empty) => (),
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        if let Some(failure) = failed.first() {
            let result = failure.sent.cast_signed();
            return Err(Error::SendShort { result });
        }
    }
}
