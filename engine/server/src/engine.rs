//! The engine: all of its parts, made from the settings and joined.
//!
//! ```text
//!   feed ─► ingest ─► ring ─┬─► shard 0 ─► lanes        each executor a pinned thread
//!              ▲            └─► shard 1 ─► lanes
//!              └── uplinks ──────┘
//!   door, admin listener, taps, signals                 housekeeping threads
//! ```

use crate::bell::Bell;
use crate::executor::{IO_MEMORY_BYTES, IngestParts, News, Order, Parts, RING_ENTRIES, ShardParts};
use crate::health::{Health, monotonic_nanos};
use crate::meters::{IngestMetrics, ShardMetrics};
use crate::metrics::Registry;
use crate::plan::Plan;
use crate::settings::{Distribution, FeedSource, Idle, Settings, Speed, is_bundled};
use glommio::{LocalExecutorBuilder, Placement};
use ringcast_door::{Handover, Home};
use ringcast_ingest::{
    Feed, FeedSettings, Ingest, Pace, RecordingSource, ReplaySettings, Sequencer, ShmSettings,
    Spread, SyntheticSettings,
};
use ringcast_lane::probe::{self, Missing, Needs};
use ringcast_ring::{MemoryError, Producer, TopicHasher, Waiting};
use ringcast_shard::Limits;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

/// Newcomers that wait for one shard at most.
const NEWCOMERS_WAITING_MAX: usize = 256;

/// Sends of a shard's sweeps in one turn: as many as one submission takes.
const TURN_SENDS_MAX: usize = 256;

/// Connections of a shard beyond its limit: see [`ringcast_shard::Settings::connections`].
const STANDING_ROOM: u32 = 64;

/// What runs on pinned threads, and how to speak with it.
pub(crate) struct Engine {
    executors: Vec<Running>,
    pub(crate) news: Receiver<News>,
    pub(crate) homes: Vec<Home>,
    pub(crate) health: Arc<Health>,
    pub(crate) ingest: Arc<IngestMetrics>,
    pub(crate) shards: Vec<Arc<ShardMetrics>>,
}

struct Running {
    thread: JoinHandle<()>,
    orders: Sender<Order>,
    bell: Arc<Bell>,
    has_ingest: bool,
}

/// Why the engine does not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The host lacks something, a sentence each.
    Host(Vec<Missing>),
    /// There is no memory for a ring.
    Ring(MemoryError),
    /// The feed can not be opened.
    Feed(ringcast_ingest::FeedError),
    /// The kernel refuses something small.
    System(&'static str, std::io::Error),
    /// An executor could not begin.
    Executor(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(missing) => {
                for (place, missing) in missing.iter().enumerate() {
                    let line_end = if place == 0 { "" } else { "\n" };
                    write!(formatter, "{line_end}{missing}")?;
                }
                Ok(())
            }
            Self::Ring(error) => error.fmt(formatter),
            Self::Feed(error) => error.fmt(formatter),
            Self::System(what, error) => write!(formatter, "{what}: {error}"),
            Self::Executor(why) => formatter.write_str(why),
        }
    }
}

impl std::error::Error for StartError {}

impl Engine {
    /// Makes everything that runs on pinned threads, and waits until it serves.
    ///
    /// # Errors
    /// [`StartError`], whose sentences say what to change.
    pub(crate) fn start(
        settings: &Settings,
        plan: &Plan,
        feed: Feed,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let shards = plan.shards();
        let connections = settings.limits.connections_per_shard(shards) + STANDING_ROOM;
        let lanes = look_at_host(shards as u32, plan.executors.len() as u32, connections)?;
        let names = plan.executors.iter().map(|place| {
            let roles = place.roles();
            format!("CPU {} ({roles})", place.cpu)
        });
        let health = Arc::new(Health::new(names.collect(), settings, monotonic_nanos()));
        let key = random_key()?;
        let hasher = TopicHasher::new(random_key()?);
        let mut ring = Producer::create("ringcast ring", settings.memory.ring_bytes)
            .map_err(StartError::Ring)?;
        if settings.ring.socket.is_some() {
            ring.seal_for_taps().map_err(StartError::Ring)?;
        }
        let mut homes = Vec::new();
        let mut uplinks = Vec::new();
        let mut shard_parts = Vec::new();
        let mut bells = Vec::new();
        let metrics: Vec<Arc<ShardMetrics>> = registry.labelled("shard", shards);
        let ingest_idle = plan.executors.iter().find(|place| place.ingest);
        let ingest_waits = waiting(ingest_idle.map_or(Idle::Park, |place| place.idle));
        for place in &plan.executors {
            let bell = Arc::new(
                Bell::new().map_err(|error| StartError::System("an eventfd", error.into()))?,
            );
            bells.push(Arc::clone(&bell));
            for &number in &place.shards {
                let mut uplink = Producer::create("ringcast uplink", settings.memory.uplink_bytes)
                    .map_err(StartError::Ring)?;
                let no_place = || StartError::Executor("a ring has no place left".into());
                uplinks.push((number, uplink.consumer(ingest_waits).ok_or_else(no_place)?));
                let consumer = ring.consumer(waiting(place.idle)).ok_or_else(no_place)?;
                let (newcomers, waiting_newcomers) =
                    tokio::sync::mpsc::channel::<Handover>(NEWCOMERS_WAITING_MAX);
                let bell = Arc::clone(&bell);
                let wake = Box::new(move || bell.ring());
                homes.push((number, Home { newcomers, wake }));
                shard_parts.push(ShardParts {
                    settings: shard_settings(settings, shards, number, hasher, key),
                    lanes,
                    ring: consumer,
                    uplink,
                    newcomers: waiting_newcomers,
                    metrics: Arc::clone(&metrics[number]),
                });
            }
        }
        uplinks.sort_by_key(|(number, _)| *number);
        homes.sort_by_key(|(number, _)| *number);
        let uplinks = uplinks.into_iter().map(|(_, uplink)| uplink).collect();
        let sequencer = Sequencer::new(ring, uplinks, hasher, settings.class.clone());
        let ingest_metrics: Arc<IngestMetrics> = registry.single();
        let mut ingest = Some(IngestParts {
            ingest: Ingest::new(feed, sequencer),
            metrics: Arc::clone(&ingest_metrics),
            health: Arc::clone(&health),
        });
        let (news, heard) = mpsc::channel();
        let mut shard_parts = shard_parts.into_iter();
        let mut executors = Vec::new();
        for (number, (place, bell)) in plan.executors.iter().zip(bells).enumerate() {
            let (orders, obeyed) = mpsc::channel();
            let parts = Parts {
                ingest: place.ingest.then(|| ingest.take()).flatten(),
                shards: shard_parts.by_ref().take(place.shards.len()).collect(),
                place: place.clone(),
                bell: Arc::clone(&bell),
                pulse: health.pulse(number),
                orders: obeyed,
                news: news.clone(),
            };
            executors.push(Running {
                thread: spawn(parts)?,
                orders,
                bell,
                has_ingest: place.ingest,
            });
        }
        let engine = Self {
            executors,
            news: heard,
            homes: homes.into_iter().map(|(_, home)| home).collect(),
            health,
            ingest: ingest_metrics,
            shards: metrics,
        };
        engine.wait_until_serving()
    }

    fn wait_until_serving(self) -> Result<Self, StartError> {
        let mut serving = 0;
        while serving < self.executors.len() {
            match self.news.recv() {
                Ok(News::Serving) => serving += 1,
                Ok(News::Report(report)) => tracing::warn!("{report}"),
                Ok(News::Drained) => {}
                Ok(News::Failed(why)) => return Err(StartError::Executor(why)),
                Err(_) => {
                    let why = "an executor ended before it began; the log says why";
                    return Err(StartError::Executor(why.into()));
                }
            }
        }
        Ok(self)
    }

    /// Tells all executors.
    pub(crate) fn order(&self, order: &Order) {
        for executor in &self.executors {
            executor.order(order.clone());
        }
    }

    /// Who to ask for a tap: the executor with the ring.
    pub(crate) fn tap_giver(&self) -> impl Fn(Arc<std::os::unix::net::UnixStream>) + Send + use<> {
        let executor = self.executors.iter().find(|executor| executor.has_ingest);
        let executor = executor.expect("somebody has the ring");
        let (orders, bell) = (executor.orders.clone(), Arc::clone(&executor.bell));
        move |stream| {
            // If it is gone, so is the ring.
            let _ = orders.send(Order::Tap(stream));
            bell.ring();
        }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Ends all executors, and waits until they have.
    pub(crate) fn stop(self) {
        self.order(&Order::Stop);
        for executor in self.executors {
            // One that panicked has said so.
            let _ = executor.thread.join();
        }
    }
}

impl Running {
    fn order(&self, order: Order) {
        // If it is gone, there is nobody to obey.
        let _ = self.orders.send(order);
        self.bell.ring();
    }
}

/// Whether the host has what is needed, and how lanes are to be.
fn look_at_host(
    shards: u32,
    executors: u32,
    connections: u32,
) -> Result<ringcast_lane::Settings, StartError> {
    let set_up = |error: ringcast_lane::SetUpError| StartError::Executor(error.to_string());
    // The probe raises the limit of descriptors first, and the lanes' size follows from it.
    let needs = Needs {
        shards,
        shard_connections_max: connections,
        submission_entries: 256,
        completion_entries: 4_096,
        executors,
        executor_ring_entries: RING_ENTRIES,
        executor_memory_bytes: IO_MEMORY_BYTES,
    };
    let report = probe::check(&needs).map_err(StartError::Host)?;
    for line in report.to_string().lines() {
        tracing::info!("{line}");
    }
    ringcast_lane::Settings::for_connections(connections).map_err(set_up)
}

/// A pinned thread with a glommio executor that runs these parts.
fn spawn(parts: Parts) -> Result<JoinHandle<()>, StartError> {
    let cpu = parts.place.cpu;
    let news = parts.news.clone();
    let builder = std::thread::Builder::new().name(format!("cpu {cpu}"));
    let thread = builder.spawn(move || {
        let _alarm = Alarm(news.clone());
        let made = probe::while_charged(|| {
            LocalExecutorBuilder::new(Placement::Fixed(cpu))
                .ring_depth(RING_ENTRIES as usize)
                .io_memory(IO_MEMORY_BYTES as usize)
                .make()
                .map_err(std::io::Error::from)
        });
        match made {
            Ok(executor) => executor.run(parts.run()),
            Err(error) => {
                let why = format!("CPU {cpu} can not be served: {error}");
                let _ = news.send(News::Failed(why));
            }
        }
    });
    thread.map_err(|error| StartError::System("a thread", error))
}

/// Tells that its thread panicked: the others go on, and nobody else would notice.
struct Alarm(Sender<News>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "an executor panicked, which is a defect; what it said stands above";
            let _ = self.0.send(News::Failed(why.into()));
        }
    }
}

fn waiting(idle: Idle) -> Waiting {
    match idle {
        Idle::Spin => Waiting::Spins,
        Idle::Adaptive | Idle::Park => Waiting::Parks,
    }
}

fn random_key() -> Result<(u64, u64), StartError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| StartError::System("random bytes", std::io::Error::other(error)))?;
    let word = u128::from_ne_bytes(random);
    Ok((word as u64, (word >> 64) as u64))
}

fn shard_settings(
    settings: &Settings,
    shards: usize,
    number: usize,
    hasher: TopicHasher,
    key: (u64, u64),
) -> ringcast_shard::Settings {
    let Settings { limits, memory, .. } = settings;
    let share = |all: u32| (all as usize).div_ceil(shards);
    ringcast_shard::Settings {
        home: number as u16,
        connections: limits.connections_per_shard(shards),
        sessions: limits.sessions_per_shard(shards),
        cohorts: limits.cohorts_per_shard(shards) as usize,
        filters: limits.filters as usize,
        subscriptions: share(limits.subscriptions_max()),
        share_filters: limits.share_filters as usize,
        topics: limits.topics as usize,
        arena_bytes: memory.arena_bytes,
        stored_bytes: limits.retained_bytes + memory.queue_bytes,
        outbox_bytes: memory.private_bytes,
        flight_bytes: memory.in_flight_bytes,
        input_bytes: memory.input_bytes,
        turn_sends_max: TURN_SENDS_MAX,
        limits: shard_limits(settings),
        classes: settings.class.clone(),
        hasher,
        key,
    }
}

/// What bounds clients, and may change while the engine runs.
pub(crate) fn shard_limits(settings: &Settings) -> Limits {
    let Settings { limits, slow, .. } = settings;
    Limits {
        packet_bytes_max: limits.packet_bytes_max,
        subscriptions_per_connection: limits.subscriptions_per_connection,
        topic_levels_max: limits.topic_levels_max as usize,
        keep_alive_seconds_max: limits.keep_alive_seconds_max,
        clients_publish_market: settings.clients_publish_market(),
        lag_bytes: slow.lag_bytes as u64,
        queue_messages: slow.queue_messages as usize,
        queue_bytes: slow.queue_bytes,
        inflight_max: limits.inflight_max,
        session_expiry_seconds_max: limits.session_expiry_seconds_max,
        topic_aliases_max: limits.topic_aliases_max,
        share_members_max: limits.share_members as usize,
    }
}

fn recording(path: &Path) -> Vec<RecordingSource> {
    match is_bundled(path) {
        true => RecordingSource::bundled(),
        false => vec![RecordingSource::File(path.to_owned())],
    }
}

/// Opens the feed that the settings name.
///
/// # Errors
/// [`StartError::Feed`].
pub(crate) fn open_feed(settings: &Settings) -> Result<Feed, StartError> {
    let feed = match settings.feed.source() {
        FeedSource::None | FeedSource::Mqtt => FeedSettings::None,
        FeedSource::Replay {
            files,
            speed,
            repeats,
        } => FeedSettings::Replay(ReplaySettings {
            files: files.iter().flat_map(|path| recording(path)).collect(),
            pace: match speed {
                Speed::Max => Pace::FlatOut,
                Speed::Times(times) => Pace::Times(times),
            },
            loops: repeats,
        }),
        FeedSource::Synthetic {
            rate,
            symbols,
            payload_bytes,
            distribution,
            seed,
        } => FeedSettings::Synthetic(SyntheticSettings {
            rate: rate.into(),
            symbols,
            payload_bytes: payload_bytes as usize,
            spread: match distribution {
                Distribution::Uniform => Spread::Uniform,
                Distribution::Zipf => Spread::Zipf(1.0),
            },
            seed,
            ..SyntheticSettings::default()
        }),
        FeedSource::Shm { socket } => FeedSettings::Shm(ShmSettings {
            socket: socket.to_owned(),
        }),
    };
    Feed::open(&feed).map_err(StartError::Feed)
}
