//! The same bytes to very many sockets, one send each: the least that a push costs.
//!
//! The sends are made by a child on the server's core ([`super::sender`]); here, on
//! the probe's, are the sockets' other ends. They are read all the time, and a burst
//! begins only when the one before has arrived, so no socket is ever full.

use super::Cores;
use super::sender::Method;
use crate::child::Child;
use crate::clock::{Times, now_nanos};
use crate::error::Error;
use crate::probe::{Dialect, Form, Interest, Subscribers, Traffic};
use crate::report::{Figure, What};
use clap::ValueEnum;
use std::collections::BTreeMap;

/// Bytes of a message.
pub(crate) const MESSAGE_BYTES: usize = 128;

/// Bursts that are over before figures begin.
const WARM_UP_BURSTS: u64 = 3;

/// How long a burst may take to arrive.
const BURST_NANOS_MAX: u64 = 30_000_000_000;

/// One row: how, how often, how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FanOut {
    /// By which system calls.
    pub(crate) method: Method,
    /// How many sockets get it.
    pub(crate) sockets: usize,
    /// How many messages lie one behind the other in each send.
    pub(crate) messages: u64,
}

impl FanOut {
    /// Sends bursts for so many nanoseconds and returns the figures of one.
    pub(crate) fn run(&self, cores: Cores, nanos: u64) -> Result<Vec<Figure>, Error> {
        let method = self.method.to_possible_value().expect("none is hidden");
        let [sockets, messages] = [self.sockets as u64, self.messages].map(|n| n.to_string());
        let arguments = ["sender", method.get_name(), &sockets, &messages];
        let mut sender = Child::start(cores.server, &arguments)?;
        let traffic = Traffic::new(Interest::Wildcard { topics: 1 }, self.sockets);
        let mut subscribers = Subscribers::connect(
            sender.address(),
            Dialect::Bare,
            Form::bare(1, MESSAGE_BYTES),
            &traffic,
            (self.sockets, 0),
        )?;
        let (mut sending, mut spread) = (Times::new(), Times::new());
        let begin = now_nanos();
        let mut bursts = 0;
        while now_nanos() < begin + nanos || bursts <= WARM_UP_BURSTS {
            bursts += 1;
            sender.go()?;
            let spread_nanos = receive(&mut subscribers, bursts * self.messages)?;
            let sending_nanos = sender.read_number()?;
            if bursts > WARM_UP_BURSTS {
                spread.record(spread_nanos);
                sending.record(sending_nanos);
            }
        }
        let burst_nanos = sending.percentile(50.0);
        let frames = (self.sockets as u64 * self.messages) as f64;
        Ok(vec![
            Figure::new("per send", "ns", burst_nanos / self.sockets as f64),
            Figure::new("frames", "1/s", frames / burst_nanos * 1e9),
            Figure::new("first to last", "ns", spread.percentile(50.0)),
        ])
    }
}

/// What a push of so many messages at once to so many is, whoever does it.
pub(crate) fn what(sockets: usize, messages: u64) -> What {
    let message = format!("{MESSAGE_BYTES} B to each of {sockets}");
    What {
        what: match messages {
            1 => message,
            _ => format!("{messages} × {message}, in one send"),
        },
        parameters: BTreeMap::from([
            ("subscribers", sockets as u64),
            ("payload_bytes", MESSAGE_BYTES as u64),
            ("messages_at_once", messages),
        ]),
    }
}

/// Reads until all have so many messages altogether, and returns the time from the
/// first that came to the last.
fn receive(subscribers: &mut Subscribers, messages: u64) -> Result<u64, Error> {
    let due = messages * subscribers.reading() as u64;
    let (mut first, mut last) = (u64::MAX, 0);
    let deadline = now_nanos() + BURST_NANOS_MAX;
    while subscribers.delivered() < due {
        let read = subscribers.poll(messages, |delivered| {
            first = first.min(delivered.received_nanos);
            last = last.max(delivered.received_nanos);
        })?;
        if read == 0 && now_nanos() > deadline {
            let delivered = subscribers.delivered();
            return Err(Error::Silence { delivered, due });
        }
    }
    Ok(last - first)
}
