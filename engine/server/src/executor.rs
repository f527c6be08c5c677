//! An executor: one pinned thread with its roles, ingest, shards or both, and how it waits
//! when none of them has anything to do.
//!
//! ```text
//!   turn of ingest ─► turn of each shard ─► anything done? ─► again
//!                                               └─ no ─► spin, or sleep until something rings
//! ```
//!
//! The thread is a glommio executor; the roles are one task of it, which gives way to others
//! (later the journal) now and then. What it needs of the rest of the engine comes by a
//! channel, announced by its [`Bell`].

use crate::bell::Bell;
use crate::health::{Health, Pulse, monotonic_nanos};
use crate::meters::{IngestMetrics, ShardMetrics};
use crate::plan;
use crate::settings::Idle;
use crate::sys::Notice;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use ringcast_codec::mqtt::TopicName;
use ringcast_door::{AddressPlace, Handover};
use ringcast_ingest::{Ingest, Phase};
use ringcast_lane::Lanes;
use ringcast_ring::{Consumer, Producer, Waker};
use ringcast_shard::{Io, Limits, Now, Settings, Shard};
use ringcast_wire::{Close, ConnectionKey, Event, Failure, Received, Wire};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::{Receiver as Newcomers, error::TryRecvError};

/// Turns between two yields to other tasks of the executor.
const TURNS_PER_YIELD: u32 = 16;

/// How long an adaptive executor looks before it sleeps.
const LOOK_NANOS: u64 = 50_000;

/// How often counters are copied to where others see them.
const COPY_NANOS: u64 = 100_000_000;

/// Newcomers that a shard takes in one turn.
const NEWCOMERS_MAX: usize = 64;

/// Entries of glommio's own rings, and memory that it registers: there is no file I/O yet.
pub(crate) const RING_ENTRIES: u32 = 32;
/// See [`RING_ENTRIES`].
pub(crate) const IO_MEMORY_BYTES: u64 = 64 * 1024;

/// Everything that an executor begins with.
pub(crate) struct Parts {
    pub(crate) place: plan::Executor,
    pub(crate) ingest: Option<IngestParts>,
    pub(crate) shards: Vec<ShardParts>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) orders: Receiver<Order>,
    pub(crate) news: Sender<News>,
}

/// The ingest role.
pub(crate) struct IngestParts {
    pub(crate) ingest: Ingest,
    pub(crate) metrics: Arc<IngestMetrics>,
    pub(crate) health: Arc<Health>,
}

/// A shard's role.
pub(crate) struct ShardParts {
    pub(crate) settings: Settings,
    pub(crate) lanes: ringcast_lane::Settings,
    pub(crate) ring: Consumer,
    pub(crate) uplink: Producer,
    pub(crate) newcomers: Newcomers<Handover>,
    pub(crate) metrics: Arc<ShardMetrics>,
}

/// What executors are told.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// Clients are bounded by these from now on.
    Limits(Limits),
    /// The engine goes down: so many connections a second leave, in so many seconds.
    Drain { per_second: u64, seconds: u64 },
    /// These are retained messages of the engine about itself.
    Announce(Arc<[Notice]>),
    /// It ends.
    Stop,
    /// The ring goes to a process that asks for it.
    Tap(Arc<std::os::unix::net::UnixStream>),
}

/// What executors tell.
#[derive(Debug)]
pub(crate) enum News {
    /// It serves.
    Serving,
    /// All clients of a shard are gone.
    Drained,
    /// It can't go on, and why.
    Failed(String),
    /// A sentence for the log.
    Report(String),
}

/// A running executor.
struct Executor {
    idle: Idle,
    ingest: Option<IngestParts>,
    shards: Vec<ShardRole>,
    bell: Arc<Bell>,
    pulse: Arc<Pulse>,
    orders: Receiver<Order>,
    news: Sender<News>,
    copied_nanos: u64,
    idle_since_nanos: u64,
}

struct ShardRole {
    shard: Shard<AddressPlace>,
    lanes: Lanes,
    ring: Consumer,
    uplink: Producer,
    newcomers: Newcomers<Handover>,
    metrics: Arc<ShardMetrics>,
    has_told_drained: bool,
}

/// Whether it goes on.
enum Flow {
    On,
    Ends,
}

impl Parts {
    /// Runs until it is told to stop. To be called on the pinned thread.
    pub(crate) async fn run(self) {
        let news = self.news.clone();
        let outcome = match self.build() {
            Ok(executor) => {
                let _ = news.send(News::Serving);
                executor.run().await
            }
            Err(error) => Err(error),
        };
        if let Err(why) = outcome {
            // If nobody listens, the engine is going down already.
            let _ = news.send(News::Failed(why));
        }
    }

    /// Here, so that each core touches its own memory first, and a ring belongs to the thread
    /// that made it.
    fn build(self) -> Result<Executor, String> {
        let now = now();
        let mut shards = Vec::new();
        for parts in self.shards {
            let told = |error: ringcast_lane::SetUpError| error.to_string();
            let mut lanes = Lanes::new(&parts.lanes).map_err(told)?;
            lanes.ring_at(self.bell.as_fd()).map_err(told)?;
            shards.push(ShardRole {
                shard: Shard::new(parts.settings, now),
                lanes,
                ring: parts.ring,
                uplink: parts.uplink,
                newcomers: parts.newcomers,
                metrics: parts.metrics,
                has_told_drained: false,
            });
        }
        Ok(Executor {
            idle: self.place.idle,
            ingest: self.ingest,
            shards,
            bell: self.bell,
            pulse: self.pulse,
            orders: self.orders,
            news: self.news,
            copied_nanos: 0,
            idle_since_nanos: u64::MAX,
        })
    }
}

impl Executor {
    async fn run(mut self) -> Result<(), String> {
        loop {
            for _ in 0..TURNS_PER_YIELD {
                if let Flow::Ends = self.turn()? {
                    return Ok(());
                }
            }
            glommio::executor().yield_task_queue_now().await;
        }
    }

    fn turn(&mut self) -> Result<Flow, String> {
        let now = now();
        self.pulse.turned(now.monotonic_nanos);
        if self.bell.rang()
            && let Flow::Ends = self.obey()
        {
            return Ok(Flow::Ends);
        }
        let mut busy = false;
        if let Some(role) = &mut self.ingest {
            busy |= turn_ingest(role, now, &self.news)?;
        }
        for role in &mut self.shards {
            busy |= role.turn(now)?;
        }
        if now.monotonic_nanos - self.copied_nanos > COPY_NANOS {
            self.copied_nanos = now.monotonic_nanos;
            self.copy_counters();
        }
        if busy {
            self.idle_since_nanos = u64::MAX;
        } else {
            self.rest(now.monotonic_nanos);
        }
        Ok(Flow::On)
    }

    /// Nothing was done. It looks again, or sleeps if it has looked for long enough.
    fn rest(&mut self, now_nanos: u64) {
        self.idle_since_nanos = self.idle_since_nanos.min(now_nanos);
        let looked_nanos = now_nanos - self.idle_since_nanos;
        match self.idle {
            Idle::Spin => std::hint::spin_loop(),
            Idle::Adaptive if looked_nanos < LOOK_NANOS => std::hint::spin_loop(),
            Idle::Adaptive | Idle::Park => self.sleep(now_nanos),
        }
    }

    /// Sleeps until something rings or is due.
    fn sleep(&mut self, now_nanos: u64) {
        if self.park() {
            self.copy_counters();
            self.pulse.sleeps();
            let wait = self.next_due().saturating_sub(now_nanos).max(1);
            self.wait(Duration::from_nanos(wait));
        }
        self.unpark();
        self.idle_since_nanos = u64::MAX;
    }

    /// Waits for the bells of all that it reads, and its own.
    fn wait(&mut self, most: Duration) {
        let uplinks = match &mut self.ingest {
            Some(role) => role.ingest.sequencer().consumers(),
            None => &mut [],
        };
        let rings = self.shards.iter().map(|role| &role.ring);
        let wakers = uplinks.iter().chain(rings).filter_map(Consumer::waker);
        let wakers: Vec<&Waker> = wakers.collect();
        let bells = wakers.iter().map(|waker| waker.as_fd());
        let all = bells.chain([self.bell.as_fd()]);
        let mut polled: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // A signal that interrupts it is as good as a bell.
        let _ = ppoll(&mut polled, Some(TimeSpec::from_duration(most)), None);
        self.bell.hush();
        for waker in wakers {
            waker.wait(0);
        }
    }

    /// Tells everybody who could have something that it sleeps. `false` if somebody has.
    fn park(&mut self) -> bool {
        let consumers = match &mut self.ingest {
            Some(role) => role.ingest.sequencer().consumers(),
            None => &mut [],
        };
        let rings = self.shards.iter().map(|role| &role.ring);
        let mut consumers = consumers.iter().chain(rings);
        consumers.all(|consumer| consumer.park(|| true))
            && self.shards.iter_mut().all(|role| role.lanes.park())
            && self.shards.iter().all(|role| role.newcomers.is_empty())
            && !self.bell.has_rung()
    }

    fn unpark(&mut self) {
        if let Some(role) = &mut self.ingest {
            let consumers = role.ingest.sequencer().consumers();
            consumers.iter().for_each(Consumer::unpark);
        }
        for role in &mut self.shards {
            role.ring.unpark();
            role.lanes.unpark();
        }
    }

    fn next_due(&self) -> u64 {
        let feed = self.ingest.iter().filter_map(|role| role.ingest.next_due());
        let shards = self.shards.iter().map(|role| role.shard.next_deadline());
        feed.chain(shards).min().unwrap_or(u64::MAX)
    }

    /// Does what it was told.
    fn obey(&mut self) -> Flow {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Stop => {
                    self.copy_counters();
                    return Flow::Ends;
                }
                Order::Limits(limits) => {
                    for role in &mut self.shards {
                        role.shard.set_limits(limits.clone());
                    }
                }
                Order::Drain {
                    per_second,
                    seconds,
                } => {
                    for role in &mut self.shards {
                        role.shard.drain(per_second, seconds);
                    }
                }
                Order::Announce(notices) => self.announce(&notices),
                Order::Tap(stream) => self.give_tap(&stream),
            }
        }
        Flow::On
    }

    /// Puts them into the ring, as far as it has room: the next ones come soon.
    fn announce(&mut self, notices: &[Notice]) {
        let Some(role) = &mut self.ingest else {
            return;
        };
        let sequencer = role.ingest.sequencer();
        let wall_micros = now().wall_nanos / 1_000;
        for Notice { topic, payload } in notices {
            let topic = TopicName::new(topic).expect("the engine's topics are some");
            if sequencer
                .announce(topic, payload.as_bytes(), wall_micros)
                .is_err()
            {
                break;
            }
        }
        sequencer.publish();
    }

    fn give_tap(&mut self, stream: &std::os::unix::net::UnixStream) {
        if let Some(role) = &mut self.ingest
            && let Err(error) = role.ingest.sequencer().producer().offer_tap(stream)
        {
            let report = format!("a tap could not be given the ring: {error}");
            let _ = self.news.send(News::Report(report));
        }
    }

    fn copy_counters(&mut self) {
        if let Some(role) = &mut self.ingest {
            let sequence = role.ingest.sequencer().sequence();
            role.metrics.copy(role.ingest.counters(), sequence);
        }
        for role in &mut self.shards {
            role.metrics.copy(&role.shard);
            if role.shard.is_drained() && !std::mem::replace(&mut role.has_told_drained, true) {
                let _ = self.news.send(News::Drained);
            }
        }
    }
}

fn turn_ingest(role: &mut IngestParts, now: Now, news: &Sender<News>) -> Result<bool, String> {
    let time = ringcast_ingest::Now {
        monotonic_nanos: now.monotonic_nanos,
        wall_micros: now.wall_nanos / 1_000,
    };
    // Before the turn, for the last one of a feed may be the one that ends it.
    let was_due = role.ingest.next_due().is_some();
    let busy = role.ingest.turn(time).map_err(|error| error.to_string())?;
    if busy || was_due {
        let state = role.ingest.feed_state();
        let failed = matches!(state.phase, Phase::Failed { .. });
        if let Some(last) = state.last_record_nanos {
            role.health.feed_heard(last);
        }
        role.health.set_feed_failed(failed);
        for report in role.ingest.take_reports() {
            let _ = news.send(News::Report(report));
        }
    }
    Ok(busy)
}

impl ShardRole {
    fn turn(&mut self, now: Now) -> Result<bool, String> {
        let newcomers = self.adopt();
        let mut wire = TimedWire {
            lanes: &mut self.lanes,
            first_send_nanos: None,
        };
        let mut io = Io {
            wire: &mut wire,
            ring: &mut self.ring,
            uplink: &mut self.uplink,
        };
        let busy = self.shard.turn(now, &mut io);
        if let Some(first) = wire.first_send_nanos {
            self.shard.first_sent_after(first - now.monotonic_nanos);
        }
        Ok(busy.map_err(|error| error.to_string())? || newcomers)
    }

    /// Takes newcomers in. Returns whether there were some.
    fn adopt(&mut self) -> bool {
        for count in 0..NEWCOMERS_MAX {
            match self.newcomers.try_recv() {
                Ok(handover) => {
                    let mut io = Io {
                        wire: &mut self.lanes,
                        ring: &mut self.ring,
                        uplink: &mut self.uplink,
                    };
                    // Who can not be taken in is counted by the shard, and closed.
                    let _ = self
                        .shard
                        .adopt(handover.newcomer, handover.address_place, &mut io);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return count > 0,
            }
        }
        true
    }
}

/// Lanes, and when a turn first sent something.
struct TimedWire<'a> {
    lanes: &'a mut Lanes,
    first_send_nanos: Option<u64>,
}

impl Wire for TimedWire<'_> {
    type Socket = OwnedFd;

    fn adopt(&mut self, key: ConnectionKey, socket: OwnedFd) -> io::Result<()> {
        self.lanes.adopt(key, socket)
    }

    fn reap(&mut self, events: &mut Vec<Event>, most: usize) {
        self.lanes.reap(events, most);
    }

    fn receive(&mut self, from: &[ConnectionKey], got: &mut Received) {
        self.lanes.receive(from, got);
    }

    fn send_same(&mut self, to: &[ConnectionKey], bytes: &[u8], failed: &mut Vec<Failure>) {
        self.first_send_nanos.get_or_insert_with(monotonic_nanos);
        self.lanes.send_same(to, bytes, failed);
    }

    fn send_each(&mut self, sends: &[(ConnectionKey, &[u8])], failed: &mut Vec<Failure>) {
        self.first_send_nanos.get_or_insert_with(monotonic_nanos);
        self.lanes.send_each(sends, failed);
    }

    fn close(&mut self, key: ConnectionKey, how: Close) {
        self.lanes.close(key, how);
    }
}

fn now() -> Now {
    // A clock before 1970 says nothing.
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    Now {
        monotonic_nanos: monotonic_nanos(),
        wall_nanos: u64::try_from(wall.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX),
    }
}
