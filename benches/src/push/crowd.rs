//! Very many clients that connect as fast as they can and then get messages, one at a time,
//! beside lanes that do nothing but accept, answer and send.

use super::Bench;
use crate::contestant::{Contestant, Needs, Server, Slow};
use crate::crowd::bare;
use crate::crowd::clients::{Clients, Entrance};
use crate::error::Error;
use crate::machine::fan_out::MESSAGE_BYTES;
use crate::measurement::in_turn;
use crate::memory::available_bytes;
use crate::probe::Target;
use crate::report::{Figure, What};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;

/// Rounds after which the figures are known well enough: with a million each takes minutes.
const ROUNDS_MAX: usize = 3;

/// Messages to everybody in a round. The first does not count: it finds caches and buffers
/// as connecting left them.
const MESSAGES: u32 = 4;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    if bench.round >= ROUNDS_MAX {
        return Ok(());
    }
    let is_engine = |one: &&Contestant| matches!(one, Contestant::Ringcast(..));
    let mut contestants = vec![Contestant::Lanes];
    contestants.extend(bench.contestants.iter().find(is_engine).cloned());
    let clients = bench.sizes.crowd;
    let what = What {
        what: format!("messages to {clients} who have just come"),
        parameters: BTreeMap::from([
            ("connections", u64::from(clients)),
            ("payload_bytes", MESSAGE_BYTES as u64),
        ]),
    };
    for contestant in in_turn(&contestants, bench.round) {
        let figures = meet(bench, contestant, clients)?;
        let rounds = &mut bench.measurement.rounds;
        rounds.record(&what, &contestant.name(), &figures);
    }
    Ok(())
}

fn meet(bench: &mut Bench<'_>, contestant: &Contestant, count: u32) -> Result<Vec<Figure>, Error> {
    let needs = Needs {
        connections: count as usize + 1,
        subscriptions: count as usize,
        by_topic: false,
        payload_bytes: MESSAGE_BYTES,
        slow: Slow::Queue,
        unacknowledged_max: None,
    };
    let mut server = contestant.start(bench.measurement.cores.server, &needs)?;
    bench.crowds = bench.crowds.wrapping_add(1);
    let mut clients = Clients::new(server.address(), count, bench.crowds)?;
    let available = || available_bytes().map_err(Error::system("reading /proc/meminfo"));
    let before = available()?;
    let connecting = clients.connect(&Entrance::Greeted(&bare::greeting))?;
    let taken = before.saturating_sub(available()?);
    let mut publish = publisher(&mut server)?;
    let message = bare::message();
    let mut nanos = 0;
    for number in 0..MESSAGES {
        publish(&message)?;
        let (first, last) = clients.receive_everywhere(&message)?;
        nanos += if number > 0 { last - first } else { 0 };
    }
    clients.leave()?;
    let (clients, spread) = (f64::from(count), nanos as f64 / f64::from(MESSAGES - 1));
    Ok(vec![
        Figure::new("taken", "1/s", clients / connecting.as_secs_f64()),
        Figure::new("each", "B", taken as f64 / clients),
        Figure::new("first to last", "ns", spread),
        Figure::new("per delivery", "ns", spread / clients),
    ])
}

/// Makes a server send a message: lanes do when they are told to, and always the same.
fn publisher(server: &mut Server) -> Result<impl FnMut(&[u8]) -> Result<(), Error>, Error> {
    let mut stream = match server {
        Server::Own(..) => None,
        Server::Engine(_) | Server::Foreign(..) => {
            let stream = TcpStream::connect(server.address());
            let mut stream = stream.map_err(Error::system("connecting"))?;
            server.dialect().introduce_publisher(&mut stream)?;
            Some(stream)
        }
    };
    Ok(move |message: &[u8]| match (&mut stream, &mut *server) {
        (Some(stream), _) => stream
            .write_all(message)
            .map_err(Error::system("publishing")),
        (None, Server::Own(child, _)) => child.go(),
        (None, _) => unreachable!("others have a publisher"),
    })
}
