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

use crate::clock::Clock;
use crate::crowd::{Crowd, Place, State};
use crate::plan::Plan;
use crate::scenario::{Behaviour, Waiting};
use crate::schedule::Schedule;
use crate::tally::{Last, Tally};
use crate::tls;
use behaving::{Later, Timers};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use ringcast_lane::{Lanes, Settings, connect};
use ringcast_wire::{Arrival, Close, Event, Received, Wire};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
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
    /// It could not begin, a sentence.
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
        /// When something came last, as of when it was looked for last.
        came_at: u64,
        looked_at: u64,
        delivered: u64,
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
            connecting: connecting(crowd.plan(), place),
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
        let Some(due) = self.crowd.publish(now) else {
            return false;
        };
        self.crowd.tally.slip.saturating_record(now - due);
        self.send();
        true
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

    /// Begins connections: those that come again, and those whose time has come.
    fn connect(&mut self, now: u64) -> bool {
        let window = self.crowd.plan().scenario.connect.window as usize;
        let mut begun = 0;
        while begun < CONNECTS_MAX && self.crowd.underway() < window {
            let Some(client) = self.next_to_connect(now) else {
                break;
            };
            begun += 1;
            if !self.begin(client, now) {
                break;
            }
        }
        if now - self.gave_up_at > SECOND {
            self.gave_up_at = now;
            self.crowd.give_up(now);
        }
        begun > 0
    }

    fn next_to_connect(&mut self, now: u64) -> Option<u32> {
        while let Some(client) = self.crowd.next_returning() {
            if self.crowd.behaviour(client).is_none() {
                return Some(client);
            }
            self.timers.come_again(self.crowd.client(client).key, now);
        }
        if self.crowd.is_hopeless() {
            self.next_client = self.crowd.count();
        }
        if self.next_client == self.crowd.count() || matches!(self.phase, Phase::Goodbyes { .. }) {
            return None;
        }
        if let Some(schedule) = &mut self.connecting {
            // Behind its end, where fractions have left one over, the rate is no matter.
            if schedule
                .next_nanos()
                .is_some_and(|at| self.began + at > now)
            {
                return None;
            }
            schedule.advance();
        }
        self.next_client += 1;
        Some(self.next_client - 1)
    }

    /// False if the system refused.
    fn begin(&mut self, client: u32, now: u64) -> bool {
        let number = self.crowd.number(client);
        let (source, destination) = self.crowd.plan().addresses().of(number);
        let key = self.crowd.begin(client, now);
        let begun = connect(source, destination, UNSENT_BYTES_MAX)
            .and_then(|socket| self.prepare(client, socket))
            .and_then(|socket| self.lanes.adopt_connecting(key, socket));
        if let Err(error) = &begun {
            self.crowd.on_refused_socket(client, error);
        }
        begun.is_ok()
    }

    fn prepare(&self, client: u32, socket: OwnedFd) -> io::Result<OwnedFd> {
        if let Some(Behaviour::Slow { .. } | Behaviour::Stalled) = self.crowd.behaviour(client) {
            setsockopt(&socket, sockopt::RcvBuf, &SLOW_RECEIVE_BYTES)?;
        }
        Ok(socket)
    }

    /// Hears what happened to connections.
    fn reap(&mut self, now: u64) -> bool {
        let mut events = std::mem::take(&mut self.events);
        self.lanes.reap(&mut events, EVENTS_MAX);
        let has_worked = !events.is_empty();
        for event in events.drain(..) {
            self.on_event(event, now);
        }
        self.events = events;
        has_worked
    }

    fn on_event(&mut self, event: Event, now: u64) {
        let (Event::Readable(key) | Event::Writable(key) | Event::Closed(key) | Event::Gone(key)) =
            event;
        let Some(client) = self.crowd.index(key) else {
            return;
        };
        match event {
            Event::Writable(_)
                if self.crowd.client(client).state == State::AwaitingSocket
                    && self.is_new(client) =>
            {
                self.on_connected(client, now);
            }
            Event::Writable(_) => {
                if let Some(tls) = &mut self.tls {
                    tls.sealed.unblock(client);
                }
                self.crowd.on_room(client, now);
            }
            Event::Readable(_) => {
                if self.timers.may_read(&self.crowd, client, now) {
                    self.read_soon(client);
                }
            }
            // Reading tells why, after what came before it.
            Event::Closed(_) => self.read_soon(client),
            Event::Gone(_) => self.crowd.on_gone(client),
        }
    }

    /// Whether its connection has only just come to stand.
    fn is_new(&self, client: u32) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.has(client))
    }

    fn on_connected(&mut self, client: u32, now: u64) {
        self.timers.on_connected(&self.crowd, client, now);
        let Some(tls) = &mut self.tls else {
            self.crowd.on_connected(client, now);
            return;
        };
        let number = self.crowd.number(client);
        let (_, destination) = self.crowd.plan().addresses().of(number);
        if let Err(error) = tls.begin(self.crowd.client(client).key, destination) {
            self.crowd.on_tls_fault(client, &error.to_string());
        }
    }

    fn read_soon(&mut self, client: u32) {
        if self.crowd.put_to_read(client) {
            self.to_read.push_back(client);
        }
    }

    /// Reads a batch of those who have something.
    fn read(&mut self) -> bool {
        let mut keys = Vec::with_capacity(self.reads.min(self.to_read.len()));
        while keys.len() < self.reads
            && let Some(client) = self.to_read.pop_front()
        {
            // It may have left since.
            keys.extend(self.crowd.take_to_read(client));
        }
        if keys.is_empty() {
            return false;
        }
        let mut received = self.received.take().expect("it is put back");
        self.lanes.receive(&keys, &mut received);
        let now = self.clock.nanos();
        let mut read = 0;
        for (key, arrival) in received.arrivals() {
            read += self.on_arrival(key.index(), arrival, now);
        }
        self.reads = if read > MUCH_BYTES {
            READS_OF_MUCH
        } else {
            READS
        };
        self.received = Some(received);
        true
    }

    /// Returns how many bytes came.
    fn on_arrival(&mut self, client: u32, arrival: Arrival<'_>, now: u64) -> usize {
        match arrival {
            Arrival::Nothing => 0,
            Arrival::End => {
                self.crowd.on_end(client, None);
                0
            }
            Arrival::Broken(kind) => {
                self.crowd.on_end(client, Some(kind));
                0
            }
            Arrival::Bytes { bytes, more } => {
                match self.tls {
                    None => self.crowd.on_bytes(client, bytes, now),
                    Some(_) => self.open(client, bytes, now),
                }
                if self
                    .timers
                    .may_go_on(&self.crowd, client, bytes.len(), more, now)
                {
                    self.read_soon(client);
                }
                bytes.len()
            }
        }
    }

    fn open(&mut self, client: u32, bytes: &[u8], now: u64) {
        let Some(tls) = &mut self.tls else {
            return;
        };
        self.plain.clear();
        match tls.open(self.crowd.client(client).key, bytes, &mut self.plain) {
            Err(error) => self.crowd.on_tls_fault(client, &error.to_string()),
            Ok(is_established) => {
                if is_established {
                    self.crowd.on_connected(client, now);
                }
                if !self.plain.is_empty() {
                    self.crowd.on_bytes(client, &self.plain, now);
                }
            }
        }
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

    /// Does what it is told.
    fn obey(&mut self, now: u64) -> bool {
        if now - self.commanded_at < COMMANDS_EVERY_NANOS {
            return false;
        }
        self.commanded_at = now;
        let command = match self.commands.try_recv() {
            Ok(command) => command,
            Err(TryRecvError::Empty) => return false,
            // Nobody waits for what this does any more.
            Err(TryRecvError::Disconnected) => match self.phase {
                Phase::Goodbyes { .. } => return false,
                _ => Command::Finish,
            },
        };
        match command {
            Command::Start { at, rate } => {
                self.tell_tally();
                self.crowd.start(at, rate);
                self.churner.1 = 0;
                let ends = at + self.crowd.plan().scenario.load.duration.nanos();
                self.phase = Phase::Load {
                    begins: at,
                    ends,
                    is_stormed: false,
                };
            }
            Command::Settle(published) => {
                self.phase = Phase::Outstanding {
                    published,
                    came_at: now,
                    looked_at: 0,
                    delivered: 0,
                };
            }
            Command::Finish => {
                self.crowd.stop();
                self.phase = Phase::Goodbyes {
                    next: 0,
                    since: now,
                };
            }
        }
        true
    }

    /// Sees whether what this waits for has come; true if there is more to do at once.
    fn advance(&mut self, now: u64) -> bool {
        match &mut self.phase {
            Phase::Connections => {
                let all_have_begun = self.next_client == self.crowd.count();
                if all_have_begun && self.crowd.underway() == 0 {
                    self.phase = Phase::Commands;
                    self.tell_tally();
                    self.tell(Told::Connected);
                }
                false
            }
            Phase::Commands | Phase::Over => false,
            Phase::Load { .. } => self.advance_load(now),
            Phase::Outstanding { .. } => self.advance_outstanding(now),
            Phase::Goodbyes { next, since } => {
                let since = *since;
                let has_more = self.crowd.end(*next, GOODBYES_MAX);
                *next += GOODBYES_MAX;
                let is_late = now - since > GOODBYE_NANOS_MAX;
                if !has_more && (self.crowd.are_all_away() || is_late) {
                    self.phase = Phase::Over;
                }
                has_more
            }
        }
    }

    fn advance_load(&mut self, now: u64) -> bool {
        let Phase::Load {
            begins,
            ends,
            is_stormed,
        } = &mut self.phase
        else {
            return false;
        };
        if now < *begins {
            return false;
        }
        let scenario = &self.crowd.plan().scenario;
        if let Some(storm) = &scenario.storm
            && !*is_stormed
            && now >= *begins + storm.at.nanos()
        {
            *is_stormed = true;
            let part = storm.part;
            self.crowd.storm(part);
            return true;
        }
        let ends = *ends;
        let begins = *begins;
        if let Some(churn) = &scenario.churn
            && now < ends
        {
            let due = (now - begins) as f64 / 1e9 * churn.rate * self.crowd.churn_share();
            let count = (due as u64).saturating_sub(self.churner.1).min(PINGS_MAX);
            if count > 0 {
                self.churner.0 = self.crowd.churn(self.churner.0, count as u32);
                self.churner.1 += count;
            }
        }
        let patience = self.crowd.plan().scenario.load.drain.nanos();
        let is_given_up = now > ends + patience;
        if now >= ends && (self.crowd.is_published() || is_given_up) {
            self.crowd.give_up_held();
            self.phase = Phase::Commands;
            self.tell(Told::Published(self.crowd.published()));
        }
        false
    }

    fn advance_outstanding(&mut self, now: u64) -> bool {
        let patience = self.crowd.plan().scenario.load.drain.nanos();
        let Phase::Outstanding {
            published,
            came_at,
            looked_at,
            delivered,
        } = &mut self.phase
        else {
            return false;
        };
        if now - *looked_at < LOOK_EVERY_NANOS {
            return false;
        }
        *looked_at = now;
        if self.crowd.tally.totals.delivered != *delivered {
            *delivered = self.crowd.tally.totals.delivered;
            *came_at = now;
        }
        let has_all = !self.crowd.plan().is_shared()
            && !self.crowd.has_returning()
            && self.crowd.outstanding(published) == 0;
        // Who shares can't know what the others got.
        let patience = if self.crowd.plan().is_shared() {
            patience.min(SECOND)
        } else {
            patience
        };
        if has_all || now - *came_at > patience {
            let published = Arc::clone(published);
            self.crowd.settle(&published);
            self.phase = Phase::Commands;
            self.tell_tally();
            self.tell(Told::Settled);
        }
        false
    }

    /// Ends the connections that are to end.
    fn close(&mut self) -> bool {
        let mut has_worked = false;
        while let Some((client, how)) = self.crowd.next_close() {
            has_worked = true;
            if let Some(tls) = &mut self.tls {
                tls.forget(client);
            }
            self.lanes.close(self.crowd.client(client).key, how);
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

/// When the clients of a thread begin to connect; none if as fast as it goes.
fn connecting(plan: &Plan, place: Place) -> Option<Schedule> {
    let connect = &plan.scenario.connect;
    let clients = plan.scenario.clients();
    if connect.rate == 0.0 {
        return None;
    }
    let share = f64::from(place.part_of(clients)) / f64::from(clients.max(1));
    let rate = connect.rate * share;
    let in_ramp = rate * connect.ramp.seconds() / 2.0;
    let behind = (f64::from(place.part_of(clients)) - in_ramp).max(0.0) / rate;
    let corners = [
        (connect.ramp.nanos(), (0.0, rate)),
        ((behind * 1e9) as u64, (rate, rate)),
    ];
    Some(Schedule::new(
        &corners,
        f64::from(place.number) / f64::from(place.of),
    ))
}

impl std::fmt::Display for SetUpError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lanes(error) => error.fmt(formatter),
            Self::Eventfd(error) => write!(formatter, "can not make an eventfd: {error}"),
        }
    }
}
