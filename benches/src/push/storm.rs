//! Fixed rates to subscribers that stay, while others subscribe, unsubscribe, connect and
//! leave as fast as the server answers them. Nobody may lose anything, and nothing may
//! come twice: neither at those who stay nor, between SUBACK and UNSUBACK, at the others.

use super::Bench;
use super::churner::{Answer, Churner, Heard};
use super::sizes::Storm;
use crate::contestant::{Contestant, Needs, Peer};
use crate::error::{DeliveryFault, Error};
use crate::probe::{
    Beside, Dialect, Form, Interest, Moment, Pace, Run, Target, Wanted, Workload, connect, mqtt,
    per_second,
};
use crate::report::Figure;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{Packet, QoS};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// How long one may wait for an answer or a message.
const PATIENCE_NANOS: u64 = 10_000_000_000;

/// How often that is looked at.
const LOOK_NANOS: u64 = 200_000_000;

/// Messages that are published while one who has unsubscribed listens on: none of them may
/// come.
const REST_MESSAGES: u64 = 3;

/// Bytes that one read takes.
const READ_BYTES_MAX: usize = 16 * 1024;

/// Churners that are served in one turn.
const EVENTS_MAX: usize = 64;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Storm {
        subscribers,
        topics,
        per_second,
        churners,
    } = bench.sizes.storm;
    let interest = Interest::Wildcard { topics };
    let workload = Workload::new(subscribers, interest, 128, Pace::PerSecond(per_second));
    for contestant in bench.in_turn() {
        // Who come and go speak MQTT; the relay's row is what others are compared with.
        if contestant == Contestant::Peer(Peer::Redis) {
            continue;
        }
        let name = contestant.name();
        for churners in bench.pair(0, churners) {
            if contestant == Contestant::Relay && churners > 0 {
                continue;
            }
            let figures = measure(bench, &contestant, &workload, churners)?;
            let (who, beside) = match churners {
                0 => (name.clone(), None),
                _ => (format!("{name}, {churners} churn"), Some(&*name)),
            };
            let rounds = &mut bench.measurement.rounds;
            rounds.record_beside(&workload.what(), &who, beside, &figures);
        }
    }
    Ok(())
}

fn measure(
    bench: &Bench<'_>,
    contestant: &Contestant,
    workload: &Workload,
    churners: usize,
) -> Result<Vec<Figure>, Error> {
    let Pace::PerSecond(rate) = workload.pace else {
        unreachable!("it has a rate");
    };
    let mut needs = Needs::of(workload);
    // One that has left may still be there when it comes again.
    needs.connections += 2 * churners;
    needs.subscriptions += 2 * churners;
    let server = contestant.start(bench.measurement.cores.server, &needs)?;
    let mut storm = Churners::new(&server, workload, churners)?;
    let mut run = Run::connect(&server, workload)?;
    if churners > 0 {
        storm.connect(run.now)?;
        run.accompany(&mut storm);
    }
    let latencies = per_second(&mut run, rate, bench.nanos(workload), |_| Ok(()))?;
    let mut figures = latencies.figures();
    figures.push(Figure::new("mean", "ns", latencies.mean_nanos()));
    if churners > 0 {
        drop(run);
        figures.push(storm.cycles());
    }
    Ok(figures)
}

/// All who come and go.
struct Churners {
    address: SocketAddr,
    form: Form,
    epoll: Epoll,
    all: Vec<Connected>,
    /// Who has unsubscribed, until so many messages were published; ascending.
    resting: VecDeque<(u64, usize)>,
    events: Vec<EpollEvent>,
    buffer: Vec<u8>,
    /// When they came, the last turn was, and all were looked at.
    begun: u64,
    now: u64,
    looked: u64,
    /// How often one had enough.
    cycles: u64,
}

struct Connected {
    churner: Churner,
    stream: Option<TcpStream>,
    /// The beginning of a packet whose end was not there yet.
    rest: Vec<u8>,
    /// When it was answered last.
    heard: u64,
}

impl Churners {
    fn new(target: &dyn Target, workload: &Workload, count: usize) -> Result<Self, Error> {
        let forms = Dialect::Mqtt.forms(workload.interest, workload.payload_bytes);
        let topics = workload.interest.topics() as usize;
        let connected = |number| Connected {
            churner: Churner::new(number, topics),
            stream: None,
            rest: Vec::new(),
            heard: 0,
        };
        Ok(Self {
            address: target.address(),
            form: forms.delivered,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Error::system("epoll"))?,
            all: (0..count).map(connected).collect(),
            resting: VecDeque::new(),
            events: vec![EpollEvent::empty(); EVENTS_MAX],
            buffer: vec![0; READ_BYTES_MAX],
            begun: 0,
            now: 0,
            looked: 0,
            cycles: 0,
        })
    }

    /// All of them come.
    fn connect(&mut self, now: u64) -> Result<(), Error> {
        (self.begun, self.now, self.looked) = (now, now, now);
        for number in 0..self.all.len() {
            self.come(number, now)?;
        }
        Ok(())
    }

    /// How often one had enough and left or unsubscribed, in a second.
    fn cycles(&self) -> Figure {
        let seconds = (self.now - self.begun) as f64 / 1e9;
        Figure::new("cycles", "1/s", self.cycles as f64 / seconds)
    }

    /// One connects, again or for the first time.
    fn come(&mut self, number: usize, now: u64) -> Result<(), Error> {
        let stream = connect(self.address)?;
        stream
            .set_nonblocking(true)
            .map_err(Error::system("a socket's mode"))?;
        let interest = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
        self.epoll
            .add(&stream, interest)
            .map_err(Error::system("epoll"))?;
        let one = &mut self.all[number];
        one.stream = Some(stream);
        one.rest.clear();
        one.say(&mqtt::connect_packet(&format!("storm-{number}")), now)
    }

    /// Reads what there is for one, and does what follows from it.
    fn hear(&mut self, number: usize, moment: &Moment<'_>) -> Result<(), Error> {
        let one = &mut self.all[number];
        let Some(stream) = &mut one.stream else {
            return Ok(());
        };
        let closed = |last: &[u8]| DeliveryFault::Closed(last.escape_ascii().to_string());
        let bytes = match stream.read(&mut self.buffer) {
            Ok(0) => return Err(one.fault(closed(&one.rest))),
            Ok(bytes) => bytes,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => return Ok(()),
                _ => return Err(Error::system("reading as a churner")(error)),
            },
        };
        one.rest.extend_from_slice(&self.buffer[..bytes]);
        let mut at = 0;
        loop {
            let one = &mut self.all[number];
            let (heard, length) = match cut(&one.rest[at..], &self.form) {
                Ok(Some(heard)) => heard,
                Ok(None) => break,
                Err(fault) => return Err(one.fault(fault)),
            };
            at += length;
            one.heard = moment.now;
            let answer = one
                .churner
                .on_heard(heard, moment)
                .map_err(|fault| one.fault(fault))?;
            if self.give(number, answer, moment)? {
                // What it was still to read was of another connection.
                return Ok(());
            }
        }
        self.all[number].rest.drain(..at);
        Ok(())
    }

    /// Does what a churner wants, and returns whether it has another connection now.
    fn give(&mut self, number: usize, answer: Answer, moment: &Moment<'_>) -> Result<bool, Error> {
        let one = &mut self.all[number];
        let topics = one.churner.topics();
        let wanted = topics
            .as_ref()
            .map_or(Wanted::All, |topic| Wanted::Topics(topic));
        match answer {
            Answer::Nothing => return Ok(false),
            Answer::Subscribe => {
                one.say(&mqtt::subscribe_packet(wanted, QoS::AtMostOnce), moment.now)?;
            }
            Answer::Unsubscribe => {
                one.say(&mqtt::unsubscribe_packet(wanted), moment.now)?;
                self.cycles += 1;
            }
            Answer::Rest => {
                let until = moment.published + REST_MESSAGES;
                self.resting.push_back((until, number));
            }
            Answer::Leave { is_polite } => {
                if is_polite {
                    one.say(&mqtt::DISCONNECT, moment.now)?;
                } else {
                    self.cycles += 1;
                }
                one.stream = None;
                self.come(number, moment.now)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Beside for Churners {
    fn turn(&mut self, moment: &Moment<'_>) -> Result<bool, Error> {
        let count = match self.epoll.wait(&mut self.events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(Error::system("waiting for churners")(error)),
        };
        self.now = moment.now;
        for event in 0..count {
            self.hear(self.events[event].data() as usize, moment)?;
        }
        let mut has_rested = false;
        while let Some(&(until, number)) = self.resting.front()
            && until <= moment.published
        {
            self.resting.pop_front();
            has_rested = true;
            let one = &mut self.all[number];
            one.heard = moment.now;
            let answer = one.churner.on_rested(moment);
            self.give(number, answer, moment)?;
        }
        if moment.now - self.looked > LOOK_NANOS {
            self.looked = moment.now;
            let is_stuck = |one: &&Connected| moment.now.saturating_sub(one.heard) > PATIENCE_NANOS;
            if let Some(one) = self.all.iter().find(is_stuck) {
                let awaited = one.churner.awaited();
                return Err(one.fault(DeliveryFault::Stuck { awaited }));
            }
        }
        Ok(count > 0 || has_rested)
    }
}

impl Connected {
    fn say(&mut self, bytes: &[u8], now: u64) -> Result<(), Error> {
        self.heard = now;
        let stream = self.stream.as_mut().expect("it is there");
        // It says little, and never before it was answered: there is room.
        stream
            .write_all(bytes)
            .map_err(Error::system("writing as a churner"))
    }

    fn fault(&self, fault: DeliveryFault) -> Error {
        let churner = self.churner.number();
        Error::Churner { churner, fault }
    }
}

/// The first thing that a server said, and its bytes, if all of it is there.
fn cut(bytes: &[u8], form: &Form) -> Result<Option<(Heard, usize)>, DeliveryFault> {
    let foreign = || DeliveryFault::Foreign(Dialect::Mqtt.describe(bytes));
    let (packet, length) = match mqtt::SERVER.decode(bytes) {
        Ok(Progress::Done(packet, length)) => (packet, length),
        Ok(Progress::Partial { .. }) => return Ok(None),
        Err(_) => return Err(foreign()),
    };
    let heard = match packet {
        Packet::Publish(_) => form.read(&bytes[..length]).map(Heard::Message),
        Packet::Connack(_) if mqtt::agrees(&packet) => Some(Heard::Connack),
        Packet::Suback(_) if mqtt::agrees(&packet) => Some(Heard::Suback),
        Packet::Unsuback(_) if mqtt::agrees(&packet) => Some(Heard::Unsuback),
        _ => None,
    };
    let heard = heard.ok_or_else(foreign)?;
    Ok(Some((heard, length)))
}
