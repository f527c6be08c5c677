//! The shard itself: its state, and the turn that moves all of it.
//!
//! ```text
//!   turn:  reap ─► read ─► route ─► serve alone ─► sweep ─► waiting SUBSCRIBEs ─► timers ─► close
//! ```
//!
//! Each step does at most what its limit says and goes on in the next turn. Nothing here
//! knows a clock or a socket: the time comes with the turn, and what is done to sockets
//! goes through a [`Wire`].

mod adopt;
mod away;
mod close;
mod drain;
mod input;
mod lag;
mod look;
mod outbox;
mod packets;
mod private;
mod queue;
mod retained;
mod route;
mod serve;
mod shared;
mod subscribe;
mod sweep;
mod timers;
mod upward;

use crate::arena::{Arena, FrameNumber};
use crate::batch::{Batch, SENDS_MAX};
use crate::cohorts::{CohortId, Cohorts, Room};
use crate::connections::{Connections, Flags, Lag};
use crate::counters::{Counters, Durations, Gauges};
use crate::deliveries::Deliveries;
use crate::end::End;
use crate::fifo::Fifos;
use crate::filters::Filters;
use crate::flow::{Flows, Laps, WireForm};
use crate::log::Logs;
use crate::roster::{Region, Roster};
use crate::routes::{Matches, Routes};
use crate::sessions::{Queues, Session, SessionId, Sessions};
use crate::settings::{Limits, Settings};
use crate::shares::{GroupId, Shares};
use crate::store::Store;
use crate::stream::{Pieces, Position};
use crate::topics::Topics;
use crate::values::Values;
use crate::wheel::Wheel;
use crate::window::{Flight, Flights};
pub use adopt::AdoptError;
use ringcast_codec::mqtt::PropertyBlock;
use ringcast_ring::{Consumer, Corrupt, Producer};
use ringcast_wire::{ConnectionKey, Event, Received, Wire};
use slab::Slab;
use std::collections::VecDeque;

/// A shard. `Pass` is whatever its owner wants kept until a connection is gone.
pub struct Shard<Pass> {
    settings: Settings,
    routes: Routes,
    flows: Flows,
    arenas: [Arena; WireForm::COUNT],
    laps: [Laps; WireForm::COUNT],
    pieces: Pieces,
    connections: Connections<Pass>,
    sessions: Sessions,
    outboxes: Fifos<u8, OUTBOX_PAGE>,
    queues: Queues,
    flights: Flights,
    store: Store,
    deliveries: Deliveries,
    values: Values,
    shares: Shares,
    private: private::Private,
    logs: Logs,
    lags: Slab<Lag>,
    retained: Slab<retained::RetainedCursor>,
    wheel: Wheel,
    input_bytes: usize,
    /// Records that went up the uplink.
    uplinked: u64,
    /// What is to go up before what clients publish.
    upward: VecDeque<upward::Upward>,
    /// How many of those have gone up, or were left out.
    upward_done: u64,

    /// Those adopted since the last turn, whose time begins with the next.
    newcomers: Vec<ConnectionKey>,
    /// Those with input.
    ready: VecDeque<ConnectionKey>,
    /// Those to be sent something alone.
    listed: VecDeque<ConnectionKey>,
    /// Publishers that wait for room.
    parked: VecDeque<ConnectionKey>,
    /// Those whose SUBSCRIBE or UNSUBSCRIBE waits for its place in the order of messages.
    waiting: VecDeque<subscribe::Waiting>,
    /// Those to be closed.
    doomed: VecDeque<(ConnectionKey, End)>,
    /// Sessions that are away, and missed what they must not miss.
    broken: Vec<SessionId>,

    routing: route::Routing,
    /// The cohorts whose members apart are to be looked at, and whose logs are to be trimmed.
    to_look: Vec<CohortId>,
    to_trim: Vec<CohortId>,
    /// The cohorts of the batch being sent.
    swept: Vec<CohortId>,
    /// Those whom it leaves out, for they have to acknowledge something first.
    held: Vec<(ConnectionKey, Position)>,
    /// Whether somebody acknowledges something of the batch.
    is_sweep_acknowledged: bool,
    serving: Batch<serve::Serving>,
    sweeping: Batch<sweep::Swept>,
    /// Taken while they are looked at.
    events: Vec<Event>,
    received: Option<Box<Received>>,
    matches: Matches,
    groups: Vec<GroupId>,
    begun: Vec<FrameNumber>,
    runs: (Vec<Flight>, Vec<Flight>),
    message: Vec<u8>,
    marked: Vec<u8>,
    frame: Vec<u8>,
    /// Where the packet identifier of that is, if it has one.
    packet_id_at: usize,
    properties: PropertyBlock,

    now: Now,
    drain: Option<drain::Drain>,
    counters: Counters,
    arrival: Durations,
    submission: Durations,
}

/// The time of a turn, taken once by whoever runs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Since some time before the shard was made, in ns; never goes back.
    pub monotonic_nanos: u64,
    /// Since 1970, UTC, in ns.
    pub wall_nanos: u64,
}

impl Now {
    /// Whole seconds of the monotonic clock.
    pub(crate) fn seconds(self) -> u32 {
        (self.monotonic_nanos / 1_000_000_000) as u32
    }

    pub(crate) fn wall_micros(self) -> u64 {
        self.wall_nanos / 1_000
    }
}

/// What a shard reads and writes.
pub struct Io<'a, W> {
    /// Its sockets.
    pub wire: &'a mut W,
    /// The messages.
    pub ring: &'a mut Consumer,
    /// Where what its clients publish goes.
    pub uplink: &'a mut Producer,
}

/// Bytes of a page of an outbox.
const OUTBOX_PAGE: usize = 508;

/// An outbox is filled up to so many bytes. Past it the input of a client pauses, whose
/// packets are answered there.
const OUTBOX_FILL: usize = 16 * 1024;

/// Bytes of a page of what is in flight.
const FLIGHT_PAGE: usize = 60;

/// Bytes of an outbox that are sent at once.
const OUTBOX_SENT_MAX: usize = 64 * 1024;

/// Bytes of a stream that move to an outbox at most when their receiver leaves its cohort.
const BACKLOG_MAX: u64 = 64 * 1024;

/// Messages at QoS 1 and 2 that clients may send before they are answered (section
/// 3.2.2.3.3).
const RECEIVE_MAX: u16 = 1_024;

/// Connections that there are beyond the limit, to be told that they are too many.
const STANDING_ROOM: u32 = 64;

/// Connections that are sent something alone in one turn.
const SERVED_MAX: usize = 1_024;

/// Reads of one call, and their size: what one brings goes out in one piece, and while a
/// smaller piece is on its way to many the next one can come in.
const READS: usize = 64;
const READ_BYTES: usize = 32 * 1024;

/// Events of one turn.
const EVENTS_MAX: usize = 4_096;

impl<Pass> Shard<Pass> {
    /// Reserves all memory that it will ever use.
    ///
    /// # Panics
    /// If the arena is not a power of two from 64 KiB on.
    #[must_use]
    pub fn new(settings: Settings, now: Now) -> Self {
        let Settings {
            cohorts,
            filters,
            subscriptions,
            topics,
            arena_bytes,
            ..
        } = settings;
        let connections = settings.connections + STANDING_ROOM;
        let sessions = settings.sessions_max() + STANDING_ROOM as usize;
        // Those who are refused have no subscriptions, and all of them one cohort.
        let cohorts = cohorts + WireForm::COUNT;
        let levels = 1 + 3 * filters;
        let table = Filters::new(settings.hasher, filters, levels, 2 * filters + levels);
        let room = Room {
            cohorts,
            subscriptions,
        };
        let cohort_table = Cohorts::new(table, filters, room, settings.key);
        let shared = settings.share_filters;
        let shared = Filters::new(settings.hasher, shared, 1 + 3 * shared, 3 + 6 * shared);
        let topic_table = Topics::new(topics, 2 * topics, topics, settings.classes.clone());
        let frames = settings.arena_frames();
        let arena = || Arena::new(arena_bytes, frames);
        let laps = || Laps::new(arena_bytes, frames);
        let stored = settings.stored_messages();
        let queue = || VecDeque::with_capacity(connections as usize);
        Self {
            routes: Routes::new(cohort_table, cohorts, topic_table),
            flows: Flows::new(cohorts),
            arenas: [arena(), arena()],
            laps: [laps(), laps()],
            // One for each cohort that has anything, and more for those that are behind.
            pieces: Pieces::new(2 * cohorts + 4_096),
            connections: Connections::new(connections),
            sessions: Sessions::new(sessions, settings.key),
            outboxes: Fifos::new(settings.outbox_bytes / OUTBOX_PAGE),
            queues: Queues::new(stored),
            flights: Flights::new(settings.flight_bytes / FLIGHT_PAGE),
            store: Store::new(stored, settings.stored_bytes),
            deliveries: Deliveries::new(2 * stored),
            values: Values::new(topics),
            logs: Logs::new(cohorts, 4 * stored),
            shares: Shares::new(shared),
            private: private::Private::new(),
            lags: Slab::with_capacity(sessions),
            retained: Slab::with_capacity(retained::CURSORS_MAX),
            wheel: Wheel::new(sessions, now.seconds().into()),
            input_bytes: 0,
            uplinked: 0,
            upward: VecDeque::new(),
            upward_done: 0,
            newcomers: Vec::with_capacity(connections as usize),
            ready: queue(),
            listed: queue(),
            parked: VecDeque::new(),
            waiting: VecDeque::new(),
            doomed: VecDeque::new(),
            broken: Vec::new(),
            routing: route::Routing::new(),
            to_look: Vec::with_capacity(1_024),
            to_trim: Vec::with_capacity(1_024),
            swept: Vec::with_capacity(SENDS_MAX),
            held: Vec::with_capacity(SENDS_MAX),
            is_sweep_acknowledged: false,
            serving: Batch::new(),
            sweeping: Batch::new(),
            events: Vec::with_capacity(EVENTS_MAX),
            received: Some(Box::new(Received::new(READS, READ_BYTES))),
            matches: Matches::with_capacity(16, 64),
            groups: Vec::with_capacity(64),
            begun: Vec::with_capacity(4_096),
            runs: (Vec::with_capacity(4_096), Vec::with_capacity(4_096)),
            message: Vec::with_capacity(64 * 1024),
            marked: Vec::with_capacity(64 * 1024),
            frame: Vec::with_capacity(64 * 1024),
            packet_id_at: 0,
            properties: PropertyBlock::new(),
            now,
            drain: None,
            counters: Counters::default(),
            arrival: Durations::default(),
            submission: Durations::default(),
            settings,
        }
    }

    /// Does all that can be done now, up to its limits. Returns whether anything was done
    /// or is left to do: if not, it may wait for [`next_deadline`](Self::next_deadline), for
    /// the wire, the ring or a newcomer.
    ///
    /// # Errors
    /// If the ring is none any more: nothing can be trusted then.
    pub fn turn<W: Wire>(&mut self, now: Now, io: &mut Io<'_, W>) -> Result<bool, Corrupt> {
        self.begin_turn(now);
        let mut busy = self.reap(io.wire);
        self.send_up(io);
        // Who had to wait goes up first: what is read could take all the room again.
        busy |= self.resume_parked(io);
        busy |= self.read(io);
        busy |= self.route(io)?;
        busy |= self.serve(io.wire);
        busy |= self.sweep(io.wire);
        busy |= self.settle_waiting(io)?;
        self.tick();
        self.drain_some();
        busy |= self.close_doomed(io.wire);
        self.end_broken();
        self.send_up(io);
        io.uplink.publish();
        Ok(busy || self.has_more())
    }

    fn begin_turn(&mut self, now: Now) {
        let before = std::mem::replace(&mut self.now, now);
        self.counters.turns += 1;
        if std::mem::take(&mut self.routing.routed_in_turn) > 0 {
            let nanos = now.monotonic_nanos - before.monotonic_nanos;
            self.counters.turn_nanos_max = self.counters.turn_nanos_max.max(nanos);
        }
        self.welcome();
    }

    fn has_more(&self) -> bool {
        !self.ready.is_empty()
            || !self.listed.is_empty()
            || !self.parked.is_empty()
            || !self.doomed.is_empty()
            || !self.upward.is_empty()
            || self.flows.is_any_dirty()
            || self.routing.is_in_record()
    }

    fn reap<W: Wire>(&mut self, wire: &mut W) -> bool {
        let mut events = std::mem::take(&mut self.events);
        wire.reap(&mut events, EVENTS_MAX);
        for event in &events {
            match *event {
                Event::Readable(key) => self.list_ready(key),
                Event::Writable(key) => self.on_writable(key),
                Event::Closed(key) => self.on_closed(key),
                Event::Gone(key) => drop(self.connections.on_gone(key)),
            }
        }
        let any = !events.is_empty();
        events.clear();
        self.events = events;
        any
    }

    fn on_writable(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.open_mut(key) {
            connection.flags.clear(Flags::BLOCKED);
            self.list(key);
        }
    }

    /// It takes nothing any more; what it sent before may still be read.
    fn on_closed(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.open_mut(key) else {
            return;
        };
        if connection.flags.is_paused() {
            self.doom(key, End::Lost);
        } else {
            self.list_ready(key);
        }
    }

    /// It is going to be served alone.
    fn list(&mut self, key: ConnectionKey) {
        let connection = self.connections.at_mut(key.index());
        if !connection.flags.test_and_set(Flags::LISTED) {
            self.listed.push_back(key);
        }
    }

    /// Its input is going to be read, unless it is paused.
    fn list_ready(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.open_mut(key) else {
            return;
        };
        if !connection.flags.is_paused() && !connection.flags.test_and_set(Flags::READY) {
            self.ready.push_back(key);
        }
    }

    /// It is going to be closed at the end of the turn.
    fn doom(&mut self, key: ConnectionKey, end: End) {
        let Some(connection) = self.connections.open_mut(key) else {
            return;
        };
        if !connection.flags.test_and_set(Flags::DOOMED) {
            self.doomed.push_back((key, end));
        }
    }

    /// The session of a connection.
    fn session(&self, index: u32) -> &Session {
        self.sessions.get(self.connections.at(index).session)
    }

    /// A connection has no seat in its cohort any more.
    fn leave_roster(&mut self, index: u32) {
        self.with_roster(index, |roster, seat, moved| roster.leave(seat, moved));
    }

    /// Where a connection is served.
    fn region(&self, index: u32) -> Region {
        let connection = self.connections.at(index);
        let flow = self.flows.get(connection.cohort);
        flow.roster.region(connection.seat)
    }

    /// Changes the roster that a connection is in: `change` is given its seat, and what to
    /// tell of those who change theirs.
    fn with_roster<T>(
        &mut self,
        index: u32,
        change: impl FnOnce(&mut Roster, u32, &mut dyn FnMut(ConnectionKey, u32)) -> T,
    ) -> T {
        let connection = self.connections.at(index);
        let (cohort, seat) = (connection.cohort, connection.seat);
        let connections = &mut self.connections;
        let roster = &mut self.flows.get_mut(cohort).roster;
        change(roster, seat, &mut |key, seat| {
            connections.at_mut(key.index()).seat = seat;
        })
    }

    /// A connection has a cursor of its own from now on, at this place.
    fn set_apart(&mut self, index: u32, cursor: Position) {
        self.connections.at_mut(index).cursor = cursor;
        self.with_roster(index, |roster, seat, moved| roster.set_apart(seat, moved));
    }

    /// A connection that is not in step has got everything up to the head of its stream:
    /// it is in step, unless the hindmost there are further behind than one send takes them.
    fn step(&mut self, index: u32) -> bool {
        let flow = self.flows.get(self.connections.at(index).cohort);
        let head = flow.stream.head();
        let arena = &self.arenas[flow.wire_form as usize];
        if head.0 - flow.swept().0 > arena.piece_bytes_max().into() {
            return false;
        }
        self.with_roster(index, |roster, seat, moved| roster.step(seat, head, moved))
    }

    /// A socket took nothing any more: its connection waits until it does.
    fn on_blocked(&mut self, index: u32) {
        let since = self.now.seconds();
        let connection = self.connections.at_mut(index);
        connection.flags.set(Flags::BLOCKED);
        connection.blocked_since = since;
    }

    /// When it has to be turned again although nothing comes, in ns of the monotonic clock.
    #[must_use]
    pub fn next_deadline(&self) -> u64 {
        let next_second = (u64::from(self.now.seconds()) + 1) * 1_000_000_000;
        match &self.drain {
            Some(drain) => next_second.min(self.now.monotonic_nanos + drain.pause_nanos()),
            None => next_second,
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How things stand.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            connections: self.connections.open() as u64,
            sessions: self.sessions.len() as u64,
            away: self.sessions.away() as u64,
            lagging: (self.lags.len() - self.sessions.away()) as u64,
            deliveries: self.deliveries.len() as u64,
            share_members: self.shares.members() as u64,
            retained: self.values.retained_count() as u64,
            stored: self.store.len() as u64,
            input_bytes: self.input_bytes as u64,
        }
    }

    /// From the ingest core to this shard, for each message that it read.
    #[must_use]
    pub fn arrival(&self) -> &Durations {
        &self.arrival
    }

    /// From the beginning of a turn to its first send, for each message that it read: what
    /// the shard itself adds to the time that the kernel takes.
    #[must_use]
    pub fn submission(&self) -> &Durations {
        &self.submission
    }

    /// The first send of the last turn began so long after the turn did. Whoever has a clock
    /// may say so.
    pub fn first_sent_after(&mut self, nanos: u64) {
        let routed = self.routing.routed_in_turn;
        self.submission.record(nanos, routed);
    }

    /// Changes what bounds clients from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.settings.limits = limits;
    }

    /// Panics if anything does not hold that must hold between turns; looks at everything.
    pub fn invariants(&self) {
        let open = (0..self.connections.end())
            .map(|index| self.connections.at(index))
            .filter(|connection| connection.state == crate::connections::State::Open);
        let mut here = vec![0; self.flows.len()];
        for connection in open {
            let flow = self.flows.get(connection.cohort);
            let region = flow.roster.region(connection.seat);
            let key = connection.key;
            assert!(
                flow.roster.is_at(connection.seat, key),
                "its seat is its own"
            );
            let session = self.sessions.get(connection.session);
            assert_eq!(session.connection(), Some(key.index()));
            assert_eq!(session.cohort, connection.cohort);
            assert_eq!(region == Region::Lag, session.lag.is_some());
            let waits = !session.queue.is_empty() || session.window.is_resending();
            assert!(!waits || connection.flags.has(Flags::QUEUED));
            assert!(!waits || !matches!(region, Region::Step(_)));
            here[connection.cohort.0 as usize] += u32::from(session.is_persistent());
            flow.roster.invariants();
            let at = match region {
                Region::Step(position) => Some(position),
                Region::Apart => Some(connection.cursor),
                Region::Lag => None,
            };
            if let Some(at) = at {
                let held = flow.stream.tail(&self.pieces)..=flow.stream.head();
                assert!(held.contains(&at), "what it needs is there");
            }
            assert!(flow.log.is_none() || !flow.roster.lagging().is_empty() || flow.away > 0);
        }
        let mut away = vec![0; self.flows.len()];
        let mut lags = 0;
        for (_, session) in self.sessions.iter() {
            lags += usize::from(session.lag.is_some());
            if session.connection().is_none() {
                assert!(session.lag.is_some(), "it has a place in the log");
                away[session.cohort.0 as usize] += 1;
                here[session.cohort.0 as usize] += 1;
            }
        }
        for (number, (away, persistent)) in (0..).zip(away.into_iter().zip(here)) {
            let flow = self.flows.get(CohortId(number));
            assert_eq!((flow.away, flow.persistent), (away, persistent));
            assert!(
                flow.away == 0 || flow.log.is_some(),
                "those away have a log"
            );
        }
        assert_eq!(lags, self.lags.len());
    }
}
