//! A thread that generates load: its [`Crowd`] on the lanes of this thread.
//!
//! ```text
//!  turn: what is due is published ► connections begin ► what happened is reaped ►
//!        who has something is read, a batch ► pings and timers ► all is sent
//! ```
//!
//! Publishing comes first and reads the clock for itself, so that a turn that brings much
//! makes little late.

mod behaving;
mod phases;
mod sockets;

use crate::clock::Clock;
use crate::crowd::{Crowd, Place, State};
use crate::plan::Plan;
use crate::scenario::Waiting;
use crate::schedule::Schedule;
use crate::tally::{Last, Tally};
use crate::tls;
use behaving::{Later, Timers};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use ringcast_lane::{Lanes, Settings};
use ringcast_wire::{Close, Event, Received};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

/// What a thread is told.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// Publish from that time on, at another rate than the scenario's if one is given.
    Start { at: u64, rate: Option<f64> },
    /// So many were published of each stream: wait for what is outstanding.
    Settle(Arc<[u32]>),
    /// Say goodbye.
    Finish,
}

/// What a thread tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// Counts since the last ones, all of one second, and how many seconds have ended.
    Tally {
        second: u64,
        ended: u64,
        tally: Box<Tally>,
    },
    /// All clients have connected, or can't.
    Connected,
    /// By stream, the last sequence that was published here; nothing more will be.
    Published(Vec<(u32, u32)>),
    /// What was outstanding has come, or nothing came for a while.
    Settled,
    /// Something went wrong with a connection, a sentence.
    Trouble(String),
    /// All is over.
    Finished(Box<Last>),
    /// It could not begin, or not go on, a sentence.
    Failed(String),
}

/// A thread that generates load.
pub(crate) struct Worker {
    crowd: Crowd,
    lanes: Lanes,
    tls: Option<tls::Sessions>,
    clock: Clock,
    waiting: Waiting,
    phase: Phase,
    commands: Receiver<Command>,
    told: Sender<(u32, Told)>,
    /// Which of the process's threads it is.
    number: u32,
    began: u64,
    /// When connections begin, if not as fast as it goes; and which is the next.
    connecting: Option<Schedule>,
    next_client: u32,
    /// The clients to be read.
    to_read: VecDeque<u32>,
    timers: Timers,
    /// How many pings were due so far.
    pings: u64,
    /// The churner that is next, and how many have gone.
    churner: (u32, u64),
    /// What is told next ends this second.
    second: u64,
    commanded_at: u64,
    gave_up_at: u64,
    bell: EventFd,
    events: Vec<Event>,
    received: Option<Received>,
    /// Reads of the next batch.
    reads: usize,
    plain: Vec<u8>,
}

/// Named for what the thread awaits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// All clients.
    Connections,
    /// To be told what to do.
    Commands,
    /// The end of what is published.
    Load {
        begins: u64,
        ends: u64,
        is_stormed: bool,
    },
    /// What is outstanding.
    Outstanding {
        published: Arc<[u32]>,
        since: u64,
        looked_at: u64,
    },
    /// The last goodbye, of the clients from this one on.
    Goodbyes { next: u32, since: u64 },
    /// Nothing.
    Over,
}

/// Bytes of one read; a read of more messages costs less for each.
const READ_BYTES: usize = 64 << 10;

/// Reads of a batch while they bring little, and while they bring much: then what was read
/// has to be in the cache still when it is looked at.
const READS: usize = 128;
const READS_OF_MUCH: usize = 8;

/// More bytes than this is much.
const MUCH_BYTES: usize = 256 << 10;

const EVENTS_MAX: usize = 4096;

/// What sockets buffer beside a send.
const UNSENT_BYTES_MAX: u32 = 256 << 10;

/// What the kernel keeps for a client that reads slowly or not at all.
const SLOW_RECEIVE_BYTES: usize = 8 << 10;

/// Connections that begin in one turn, pings and goodbyes, at most.
const CONNECTS_MAX: usize = 64;
const PINGS_MAX: u64 = 1024;
const GOODBYES_MAX: u32 = 256;

/// A thread looks at its commands at least so often.
const COMMANDS_EVERY_NANOS: u64 = 1_000_000;

/// It does not sleep for less: waking takes about as long.
const SLEEP_NANOS_MIN: u64 = 60_000;
const SLEEP_NANOS_MAX: u64 = 2_000_000;

/// How often those who wait look whether all has come.
const LOOK_EVERY_NANOS: u64 = 50_000_000;

/// How long the kernel may take for all goodbyes.
const GOODBYE_NANOS_MAX: u64 = 60_000_000_000;

const SECOND: u64 = 1_000_000_000;

/// Why a thread can't begin.
#[derive(Debug)]
pub(crate) enum SetUpError {
    Lanes(ringcast_lane::SetUpError),
    Eventfd(io::Error),
}

impl Worker {
    pub(crate) fn new(
        plan: Arc<Plan>,
        place: Place,
        number: u32,
        tls: Option<tls::Settings>,
        clock: Clock,
        (commands, told): (Receiver<Command>, Sender<(u32, Told)>),
    ) -> Result<Self, SetUpError> {
        let waiting = plan.scenario.generator.waiting;
        let crowd = Crowd::new(plan, place);
        let count = crowd.count();
        let settings = Settings::for_connections(count.max(1)).map_err(SetUpError::Lanes)?;
        let mut lanes = Lanes::new(&settings).map_err(SetUpError::Lanes)?;
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let bell = EventFd::from_flags(flags).map_err(|error| SetUpError::Eventfd(error.into()))?;
        lanes.ring_at(bell.as_fd()).map_err(SetUpError::Lanes)?;
        let began = clock.nanos();
        Ok(Self {
            tls: tls.map(|settings| tls::Sessions::new(settings, count)),
            connecting: sockets::connecting(crowd.plan(), place),
            churner: (crowd.first_churner(), 0),
            crowd,
            lanes,
            clock,
            waiting,
            phase: Phase::Connections,
            commands,
            told,
            number,
            began,
            next_client: 0,
            to_read: VecDeque::new(),
            timers: Timers::new(u64::from(place.number)),
            pings: 0,
            second: began / SECOND,
            commanded_at: 0,
            gave_up_at: began,
            bell,
            events: Vec::with_capacity(EVENTS_MAX),
            received: Some(Received::new(READS, READ_BYTES)),
            reads: READS,
            plain: Vec::new(),
        })
    }

    /// Runs until it is told to finish and all have said goodbye.
    pub(crate) fn run(mut self) {
        let mut at = self.clock.nanos();
        while self.phase != Phase::Over {
            let has_worked = self.turn();
            at = self.account(at, has_worked);
            if at / SECOND > self.second {
                self.tell_tally();
            }
            if !has_worked && self.waiting == Waiting::Park {
                self.sleep(at);
                at = self.account(at, false);
            }
        }
        self.tell_tally();
        let last = Box::new(self.crowd.last());
        self.tell(Told::Finished(last));
    }

    /// Counts the time since then, and returns what time it is.
    fn account(&mut self, since: u64, has_worked: bool) -> u64 {
        let now = self.clock.nanos();
        self.crowd.tally.thread_nanos += now - since;
        self.crowd.tally.busy_nanos += if has_worked { now - since } else { 0 };
        now
    }

    fn tell(&self, told: Told) {
        // Who does not listen any more has ended, and so will this thread.
        let _ = self.told.send((self.number, told));
    }

    fn tell_tally(&mut self) {
        self.crowd.tally.open = self.crowd.open();
        let tally = Box::new(std::mem::replace(&mut self.crowd.tally, Tally::new()));
        let second = self.second;
        self.second = self.clock.nanos() / SECOND;
        let ended = self.second;
        self.tell(Told::Tally {
            second,
            ended,
            tally,
        });
    }

    /// Does all that there is to do; false if there is nothing.
    fn turn(&mut self) -> bool {
        let mut has_worked = self.publish();
        let now = self.clock.nanos();
        has_worked |= self.connect(now);
        has_worked |= self.reap(now);
        has_worked |= self.read();
        has_worked |= self.keep_alive(now);
        has_worked |= self.crowd.answer_owed(now);
        has_worked |= self.behave(now);
        has_worked |= self.obey(now);
        if let Some(trouble) = self.crowd.trouble.take() {
            self.tell(Told::Trouble(trouble));
        }
        has_worked |= self.advance(now);
        has_worked |= self.send();
        has_worked |= self.close();
        has_worked
    }

    fn publish(&mut self) -> bool {
        let now = self.clock.nanos();
        let mut has_worked = self.crowd.publish_held(now);
        if let Some(due) = self.crowd.publish(now) {
            self.crowd.tally.slip.saturating_record(now - due);
            has_worked = true;
        }
        if has_worked {
            self.send();
        }
        has_worked
    }

    /// Sends all that is to be said.
    fn send(&mut self) -> bool {
        let sent = match &mut self.tls {
            None => self.crowd.outbox.flush(&mut self.lanes),
            Some(tls) => {
                tls.seal(&mut self.crowd.outbox);
                tls.sealed.flush(&mut self.lanes)
            }
        };
        self.crowd.tally.totals.bytes_sent += sent.unwrap_or(0);
        sent.is_some()
    }

    /// Pings all clients once in three quarters of their keep-alive, evenly.
    fn keep_alive(&mut self, now: u64) -> bool {
        let keep_alive = self.crowd.plan().scenario.mqtt.keep_alive.nanos();
        if keep_alive == 0 {
            return false;
        }
        let passed = u128::from(now - self.began) * u128::from(self.crowd.count());
        let due = (passed / u128::from(keep_alive / 4 * 3)) as u64;
        let count = (due - self.pings).min(PINGS_MAX);
        self.pings += count;
        self.crowd.ping(count as u32);
        count > 0
    }

    /// What personas do now.
    fn behave(&mut self, now: u64) -> bool {
        let mut has_worked = false;
        while let Some((key, later)) = self.timers.take_due(now) {
            let Some(client) = self.crowd.index(key) else {
                continue;
            };
            has_worked = true;
            let state = self.crowd.client(client).state;
            match later {
                Later::Read => self.read_soon(client),
                Later::Reset if state == State::Ready => {
                    self.crowd.leave(client, Close::Abrupt, true);
                }
                Later::ComeAgain if state == State::Away => {
                    self.begin(client, now);
                }
                Later::Reset | Later::ComeAgain => (),
            }
        }
        has_worked
    }

    /// Sleeps until something happens or is due.
    fn sleep(&mut self, now: u64) {
        let due = self
            .crowd
            .next_due()
            .into_iter()
            .chain(self.timers.next_due())
            .min();
        let due = due.unwrap_or(u64::MAX).min(now + SLEEP_NANOS_MAX);
        if due < now + SLEEP_NANOS_MIN {
            return;
        }
        if self.lanes.park() {
            let nanos = due - now - SLEEP_NANOS_MIN / 2;
            let mut bell = [PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
            // Woken or not, the next turn looks at everything.
            let _ = ppoll(
                &mut bell,
                Some(TimeSpec::from_duration(Duration::from_nanos(nanos))),
                None,
            );
            self.lanes.unpark();
            let _ = self.bell.read();
        }
    }
}

impl std::fmt::Display for SetUpError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lanes(error) => error.fmt(formatter),
            Self::Eventfd(error) => write!(formatter, "can not make an eventfd: {error}"),
        }
    }
}
