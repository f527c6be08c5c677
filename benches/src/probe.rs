//! The probe: a publisher and its subscribers in one thread on one core, in front of
//! any server that forwards messages.
//!
//! It never sleeps, so nothing is added by being woken. It says how much of its time it
//! was busy: near all of it, and the figure may be the probe's own. Every message is
//! looked at where it arrives; one that is lost, repeated, out of order or foreign ends
//! the run with an error.

mod dialect;
mod form;
mod publisher;
mod subscribers;
#[cfg(test)]
mod tests;

pub(crate) use dialect::{Dialect, connect_packet};
pub(crate) use form::{Form, Stamp};
pub(crate) use subscribers::{Delivered, Subscribers};

use crate::clock::{Times, now_nanos};
use crate::error::Error;
use crate::report::{Figure, PROBE_BUSY, SERVER_BUSY};
use publisher::Publisher;
use std::iter;
use std::net::SocketAddr;

/// How long nothing may arrive while something is due.
const SILENCE_NANOS_MAX: u64 = 10_000_000_000;

/// The part of a run that is over before its figures begin: a divisor.
const WARM_UP_PART: u64 = 5;

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workload {
    /// How many subscribers get every message.
    pub(crate) subscribers: usize,
    /// Bytes of each message, without the protocol's head.
    pub(crate) payload_bytes: usize,
    /// How messages follow each other.
    pub(crate) pace: Pace,
}

/// How messages follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Each is published when all subscribers have the one before.
    OneByOne,
    /// As many as go, while at most so many are not yet with all subscribers.
    Outstanding(u64),
    /// So many each second, whatever happens: a late one counts from when it was due.
    PerSecond(u64),
}

/// A server under test, as the probe sees it.
pub(crate) trait Target {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// What it speaks.
    fn dialect(&self) -> Dialect;
    /// Nanoseconds of processor time that it used so far, if that can be told.
    fn cpu_nanos(&self) -> Option<u64>;
}

impl Workload {
    /// Runs it for so many nanoseconds, and returns its figures.
    pub(crate) fn run(&self, target: &dyn Target, nanos: u64) -> Result<Vec<Figure>, Error> {
        let mut run = Run::connect(target, self)?;
        match self.pace {
            Pace::OneByOne => one_by_one(&mut run, nanos),
            Pace::Outstanding(window) => outstanding(&mut run, window, nanos),
            Pace::PerSecond(rate) => per_second(&mut run, rate, nanos),
        }
    }
}

/// A workload on its way.
struct Run<'a> {
    target: &'a dyn Target,
    publisher: Publisher,
    subscribers: Subscribers,
    /// When the last turn ended.
    now: u64,
    /// When something arrived, or nothing was due.
    heard: u64,
    /// How much of the time since the figures began was spent in turns without work.
    idle_nanos: u64,
    /// When the figures began: time, processor time of the server.
    begin: (u64, Option<u64>),
}

impl<'a> Run<'a> {
    fn connect(target: &'a dyn Target, workload: &Workload) -> Result<Self, Error> {
        let (address, dialect) = (target.address(), target.dialect());
        let form = dialect.form(workload.payload_bytes);
        // The publisher comes last: a server without a handshake has accepted all
        // others when it meets this one.
        let subscribers = Subscribers::connect(address, dialect, &form, workload.subscribers)?;
        let publisher = Publisher::connect(address, dialect, &form)?;
        let now = now_nanos();
        Ok(Self {
            target,
            publisher,
            subscribers,
            now,
            heard: now,
            idle_nanos: 0,
            begin: (now, None),
        })
    }

    /// Messages that were published and have not arrived, counted for each subscriber.
    fn owed(&self) -> u64 {
        self.publisher.published() * self.subscribers.count() as u64 - self.subscribers.delivered()
    }

    /// Sends and reads what can be, and looks at the clock.
    fn turn(&mut self, on_delivered: impl FnMut(Delivered)) -> Result<(), Error> {
        let has_sent = self.publisher.flush()?;
        let published = self.publisher.published();
        let read = self.subscribers.poll(published, on_delivered)?;
        let now = now_nanos();
        if read == 0 && !has_sent {
            self.idle_nanos += now - self.now;
        }
        self.now = now;
        if read > 0 || self.owed() == 0 {
            self.heard = now;
        } else if now - self.heard > SILENCE_NANOS_MAX {
            return Err(self.silence());
        }
        Ok(())
    }

    fn silence(&self) -> Error {
        let delivered = self.subscribers.delivered();
        Error::Silence {
            delivered,
            due: delivered + self.owed(),
        }
    }

    /// Figures begin here; a second call begins anew.
    fn begin(&mut self) {
        self.idle_nanos = 0;
        self.begin = (self.now, self.target.cpu_nanos());
    }

    /// Figures end here: which part of the time since they began each side worked.
    fn end(&self) -> impl Iterator<Item = Figure> + use<> {
        let (begin, cpu_begin) = self.begin;
        let nanos = (self.now - begin) as f64;
        let probe = 1.0 - self.idle_nanos as f64 / nanos;
        let server = cpu_begin
            .zip(self.target.cpu_nanos())
            .map(|(begin, end)| Figure::new(SERVER_BUSY, "share", (end - begin) as f64 / nanos));
        [Figure::new(PROBE_BUSY, "share", probe)]
            .into_iter()
            .chain(server)
    }

    /// Waits for all that is due.
    fn drain(&mut self, mut on_delivered: impl FnMut(Delivered)) -> Result<(), Error> {
        while self.owed() > 0 {
            self.turn(&mut on_delivered)?;
        }
        Ok(())
    }
}

fn one_by_one(run: &mut Run<'_>, nanos: u64) -> Result<Vec<Figure>, Error> {
    let (mut spread, mut whole) = (Times::new(), Times::new());
    let begin = run.now;
    let mut is_warm = false;
    // One message at least is measured, however long the first took.
    while run.now < begin + nanos || !is_warm || spread.count() == 0 {
        if !is_warm && run.publisher.published() > 0 && run.now >= begin + nanos / WARM_UP_PART {
            is_warm = true;
            run.begin();
        }
        let published_nanos = now_nanos();
        run.publisher.publish(published_nanos);
        let (mut first, mut last) = (u64::MAX, 0);
        run.drain(|delivered| {
            first = first.min(delivered.received_nanos);
            last = last.max(delivered.received_nanos);
        })?;
        if is_warm {
            spread.record(last - first);
            whole.record(last - published_nanos);
        }
    }
    let figures = [
        Figure::new("first to last", "ns", spread.percentile(50.0)),
        Figure::new("publish to last", "ns", whole.percentile(50.0)),
    ];
    Ok(figures.into_iter().chain(run.end()).collect())
}

fn outstanding(run: &mut Run<'_>, window: u64, nanos: u64) -> Result<Vec<Figure>, Error> {
    // How many subscribers still wait for each message; as many places as there can be
    // messages on their way.
    let places = window.next_power_of_two();
    let mut waiting = vec![0_usize; places as usize];
    let place = |sequence: u64| (sequence & (places - 1)) as usize;
    let mut complete = 0;
    let begin = run.now;
    let mut delivered_before = None;
    loop {
        while run.publisher.published() - complete < window {
            waiting[place(run.publisher.published())] = run.subscribers.count();
            run.publisher.publish(run.now);
        }
        run.turn(|delivered| waiting[place(delivered.sequence)] -= 1)?;
        while complete < run.publisher.published() && waiting[place(complete)] == 0 {
            complete += 1;
        }
        if delivered_before.is_none() && run.now >= begin + nanos / WARM_UP_PART {
            delivered_before = Some(run.subscribers.delivered());
            run.begin();
        }
        // A slow server is given the time to deliver something.
        let arrived = delivered_before.map_or(0, |before| run.subscribers.delivered() - before);
        if arrived > 0 && run.now >= begin + nanos {
            let seconds = (run.now - run.begin.0) as f64 / 1e9;
            let rate = Figure::new("deliveries", "1/s", arrived as f64 / seconds);
            let figures = iter::once(rate).chain(run.end()).collect();
            run.drain(|_| {})?;
            return Ok(figures);
        }
    }
}

fn per_second(run: &mut Run<'_>, rate: u64, nanos: u64) -> Result<Vec<Figure>, Error> {
    let mut times = Times::new();
    let interval_nanos = 1_000_000_000 / rate;
    let begin = run.now;
    // The first of them warms up, so there are two at least.
    let messages = (nanos / interval_nanos).max(2);
    let measured_from = (messages / WARM_UP_PART).max(1);
    let due = |sequence: u64| begin + sequence * interval_nanos;
    let mut on_delivered = |delivered: Delivered| {
        if delivered.sequence >= measured_from {
            times.record(delivered.received_nanos - delivered.intended_nanos);
        }
    };
    while run.publisher.published() < messages {
        let next = run.publisher.published();
        if due(next) <= run.now {
            if next == measured_from {
                run.begin();
            }
            run.publisher.publish(due(next));
        }
        run.turn(&mut on_delivered)?;
    }
    run.drain(&mut on_delivered)?;
    let figures = [
        Figure::new("p50", "ns", times.percentile(50.0)),
        Figure::new("p99", "ns", times.percentile(99.0)),
        Figure::new("p99.9", "ns", times.percentile(99.9)),
        Figure::new("max", "ns", times.max()),
    ];
    Ok(figures.into_iter().chain(run.end()).collect())
}
