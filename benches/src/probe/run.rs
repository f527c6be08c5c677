//! A workload on its way: both halves of the probe, the clock, and who was how busy.

use super::publisher::Publisher;
use super::subscribers::{Delivered, Subscribers};
use super::traffic::Traffic;
use super::{Pace, Target, Workload};
use crate::clock::now_nanos;
use crate::error::Error;
use crate::lost;
use crate::report::{Figure, OTHERS, PROBE_BUSY, SERVER_BUSY};
use std::collections::VecDeque;
use std::ops::Range;

/// How long nothing may arrive while something is due.
const SILENCE_NANOS_MAX: u64 = 10_000_000_000;

/// Connections that are read, where messages have their times, before the publisher has its
/// turn again: a quarter of a millisecond, or what is due would wait for them.
const READS_IN_TIME_MAX: usize = 64;

/// What goes on beside a workload, in the probe's thread.
pub(crate) trait Beside {
    /// Does what can be done without waiting, and returns whether that was anything.
    fn turn(&mut self, moment: &Moment<'_>) -> Result<bool, Error>;
}

/// How far a run has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'a> {
    /// The time.
    pub(crate) now: u64,
    /// How many messages were published.
    pub(crate) published: u64,
    /// How many of each topic.
    pub(crate) numbers: &'a [u32],
}

/// A workload on its way.
pub(crate) struct Run<'a> {
    pub(crate) target: &'a dyn Target,
    pub(crate) publisher: Publisher,
    pub(crate) subscribers: Subscribers,
    beside: Option<&'a mut dyn Beside>,
    traffic: Traffic,
    waiting: Waiting,
    /// Deliveries of all that was published.
    due: u64,
    /// When the last turn ended.
    pub(crate) now: u64,
    /// When something arrived, or nothing was due.
    heard: u64,
    /// How much of the time since the figures began was spent in turns without work.
    idle_nanos: u64,
    begin: Begin,
}

/// When the figures began.
#[derive(Debug)]
struct Begin {
    now: u64,
    server_nanos: Option<u64>,
    lost: Lost,
    delivered: u64,
    reads: u64,
}

/// Nanoseconds that others had of the processor of each side, as far as that can be told.
#[derive(Debug)]
struct Lost([Option<i64>; 2]);

impl Lost {
    fn look(target: &dyn Target) -> Self {
        Self([lost::by_this_thread().ok(), target.lost_nanos()])
    }

    /// How much that was since an earlier look, on the side that lost more.
    fn nanos_since(self, earlier: &Self) -> i64 {
        let both = self.0.into_iter().zip(earlier.0);
        let since = both.filter_map(|(later, earlier)| Some(later? - earlier?));
        since.max().unwrap_or(0).max(0)
    }
}

/// What a measured time took of both sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) nanos: u64,
    /// Which part of it the probe worked.
    probe: f64,
    /// Which part of it others had of a processor.
    others: f64,
    /// The server's processor time in it.
    pub(crate) server_nanos: Option<u64>,
    pub(crate) deliveries: u64,
    reads: u64,
}

impl Load {
    /// How many messages came together.
    pub(crate) fn each_read(&self) -> Figure {
        let messages = self.deliveries as f64 / self.reads as f64;
        Figure::new("each read", "messages", messages)
    }

    /// Which part of the time each side worked, and others did.
    pub(crate) fn figures(&self) -> impl Iterator<Item = Figure> + use<> {
        let nanos = self.nanos as f64;
        let server = self
            .server_nanos
            .map(|server| Figure::new(SERVER_BUSY, "share", server as f64 / nanos));
        [Figure::new(PROBE_BUSY, "share", self.probe)]
            .into_iter()
            .chain(server)
            .chain([Figure::new(OTHERS, "share", self.others)])
    }
}

impl<'a> Run<'a> {
    /// Everybody is there and has subscribed when this returns.
    pub(crate) fn connect(target: &'a dyn Target, workload: &Workload) -> Result<Self, Error> {
        let address = target.address();
        let dialect = workload.dialect(target.dialect());
        let forms = dialect.forms(workload.interest, workload.payload_bytes);
        let counts = (workload.subscribers, workload.laggards);
        let traffic = Traffic::new(workload.interest, counts.0 + counts.1);
        // The publisher comes last: a server without a handshake has accepted all
        // others when it meets this one.
        let mut subscribers =
            Subscribers::connect(address, dialect, forms.delivered, &traffic, counts)?;
        if matches!(workload.pace, Pace::PerSecond(_)) {
            subscribers.limit_reads(READS_IN_TIME_MAX);
        }
        let topics = workload.interest.topics();
        let publisher = Publisher::connect(address, dialect, forms.published, topics)?;
        let now = now_nanos();
        Ok(Self {
            target,
            publisher,
            subscribers,
            beside: None,
            traffic,
            waiting: Waiting::default(),
            due: 0,
            now,
            heard: now,
            idle_nanos: 0,
            begin: Begin {
                now,
                server_nanos: None,
                lost: Lost([None; 2]),
                delivered: 0,
                reads: 0,
            },
        })
    }

    /// From now on this goes on in each turn.
    pub(crate) fn accompany(&mut self, beside: &'a mut dyn Beside) {
        self.beside = Some(beside);
    }

    /// Publishes the next message with the next turn.
    pub(crate) fn publish(&mut self, intended_nanos: u64) {
        let topic = self.traffic.topic(self.publisher.published());
        let recipients = self.traffic.recipients(topic, self.subscribers.reading());
        let stamp = self.publisher.publish(topic, intended_nanos);
        self.subscribers.expect(stamp, self.waiting.complete);
        self.waiting.on_published(recipients);
        self.due += recipients as u64;
    }

    /// How many messages are with all who get them, and all before them, too.
    pub(crate) fn complete(&self) -> u64 {
        self.waiting.complete
    }

    /// So many subscribers, evenly among all, read no more. Nothing is on its way.
    pub(crate) fn stall(&mut self, count: usize) -> Result<(), Error> {
        self.subscribers.stall(count, self.publisher.numbers())
    }

    /// Messages that were published and have not arrived, counted for each subscriber.
    fn owed(&self) -> u64 {
        self.due - self.subscribers.delivered()
    }

    /// Sends and reads what can be, and looks at the clock.
    pub(crate) fn turn(&mut self, mut on_delivered: impl FnMut(Delivered)) -> Result<(), Error> {
        let has_sent = self.publisher.flush()?;
        let published = self.publisher.published();
        let waiting = &mut self.waiting;
        let read = self.subscribers.poll(published, |delivered| {
            waiting.on_delivered(&delivered.sequences);
            on_delivered(delivered);
        })?;
        waiting.complete();
        let has_worked_beside = match &mut self.beside {
            None => false,
            Some(beside) => beside.turn(&Moment {
                now: self.now,
                published,
                numbers: self.publisher.numbers(),
            })?,
        };
        let now = now_nanos();
        if read == 0 && !has_sent && !has_worked_beside {
            self.idle_nanos += now - self.now;
        }
        self.now = now;
        if read > 0 || self.is_quiet() {
            self.heard = now;
        } else if now - self.heard > SILENCE_NANOS_MAX {
            let (delivered, due) = (self.subscribers.delivered(), self.due);
            return Err(match self.publisher.unanswered() {
                messages @ 1.. if delivered == due => Error::Unanswered { messages },
                _ => Error::Silence { delivered, due },
            });
        }
        Ok(())
    }

    /// Whether nothing is on its way: neither messages nor answers to them.
    fn is_quiet(&self) -> bool {
        self.owed() == 0 && self.publisher.unanswered() == 0 && self.subscribers.has_acknowledged()
    }

    /// Waits for all that is due.
    pub(crate) fn drain(&mut self, mut on_delivered: impl FnMut(Delivered)) -> Result<(), Error> {
        while !self.is_quiet() {
            self.turn(&mut on_delivered)?;
        }
        Ok(())
    }

    /// Figures begin here; a second call begins anew.
    pub(crate) fn begin(&mut self) {
        let lost = Lost::look(self.target);
        self.now = now_nanos();
        self.heard = self.now;
        self.idle_nanos = 0;
        self.begin = Begin {
            now: self.now,
            server_nanos: self.target.cpu_nanos(),
            lost,
            delivered: self.subscribers.delivered(),
            reads: self.subscribers.reads(),
        };
    }

    /// Figures end here.
    pub(crate) fn end(&self) -> Load {
        let nanos = self.now - self.begin.now;
        let lost_nanos = Lost::look(self.target).nanos_since(&self.begin.lost);
        Load {
            nanos,
            deliveries: self.subscribers.delivered() - self.begin.delivered,
            reads: self.subscribers.reads() - self.begin.reads,
            probe: 1.0 - self.idle_nanos as f64 / nanos as f64,
            others: lost_nanos as f64 / nanos as f64,
            server_nanos: self
                .begin
                .server_nanos
                .zip(self.target.cpu_nanos())
                .map(|(begin, end)| end - begin),
        }
    }
}

/// How many subscribers still wait for each message, from the first for which any does.
#[derive(Debug, Default)]
struct Waiting {
    /// The sequence of that message; all before are with everybody.
    complete: u64,
    counts: VecDeque<u32>,
}

impl Waiting {
    fn on_published(&mut self, recipients: usize) {
        self.counts.push_back(recipients as u32);
    }

    fn on_delivered(&mut self, sequences: &Range<u64>) {
        let [begin, end] =
            [sequences.start, sequences.end].map(|sequence| (sequence - self.complete) as usize);
        self.counts
            .range_mut(begin..end)
            .for_each(|count| *count -= 1);
    }

    /// Lets go of those for which nobody waits.
    fn complete(&mut self) {
        while self.counts.front() == Some(&0) {
            self.counts.pop_front();
            self.complete += 1;
        }
    }
}
