//! `ringcast serve`: starts the engine, opens its doors, and does what signals say.
//!
//! ```text
//!   SIGHUP            reads the settings again, and says of each change what becomes of it
//!   SIGTERM, SIGINT   drains: no newcomers, clients leave in order, all within drain.seconds
//!                     a second one ends it at once
//! ```

use crate::admin::{AdminListener, AdminState};
use crate::engine::{Engine, open_feed, shard_limits};
use crate::executor::{News, Order};
use crate::health::Phase;
use crate::log::{self, LogControl};
use crate::metrics::{DoorMetrics, Registry};
use crate::plan::{Housekeeping, Plan};
use crate::settings::{Authentication, Settings, Sources};
use crate::sys;
use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use ringcast_door::{Anonymous, Authenticate, Door, ListenSettings, Listener, UserFile};
use ringcast_ingest::Feed;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{error, info, warn};

/// Seconds of a drain that are left for those who did not leave in order.
const DRAIN_REST_SECONDS: u32 = 5;

/// Runs the engine until it is told to end.
pub(crate) fn run(settings: &Settings, sources: &Sources, plan: &Plan) -> Result<()> {
    let log = log::start(&settings.log);
    let feed = open_feed(settings)?;
    let server = Server::start(settings, plan, feed, log)?;
    server.run(sources)
}

/// An engine with its doors open.
pub(crate) struct Server {
    settings: Settings,
    pub(crate) engine: Engine,
    runtime: Runtime,
    door: Door,
    users: Option<Arc<UserFile>>,
    admin: Arc<AdminState>,
    log: LogControl,
    /// Where it listens for MQTT.
    pub(crate) listening: Vec<std::net::SocketAddr>,
    tap_socket: Option<PathBuf>,
    signals: Signals,
}

impl Server {
    /// Starts everything. When it returns, clients are served.
    pub(crate) fn start(
        settings: &Settings,
        plan: &Plan,
        feed: Feed,
        log: LogControl,
    ) -> Result<Self> {
        for reason in &plan.reasons {
            info!("{reason}");
        }
        for warning in plan.warnings.iter().chain(&settings.warnings()) {
            warn!("{warning}");
        }
        // Before anything else, so that an address that is taken is told at once.
        let listeners = listen(settings)?;
        let admin_listener = match settings.listen.admin {
            Some(address) => Some(AdminListener::bind(address)?),
            None => None,
        };
        let users = match settings.authentication() {
            Authentication::Anonymous => None,
            Authentication::Users(path) => Some(Arc::new(UserFile::load(path)?)),
        };
        let mut registry = Registry::new();
        let mut engine = Engine::start(settings, plan, feed, &mut registry)?;
        let runtime = housekeeping(&plan.housekeeping)?;
        let _entered = runtime.enter();
        // Before it says that it is ready: from then on whoever started it may send them.
        let signals = Signals::new()?;
        let homes = std::mem::take(&mut engine.homes);
        let mut door = Door::new(settings.limits.of_door(), homes);
        registry.add(DoorMetrics(door.counters()));
        let authenticate: Arc<dyn Authenticate> = match &users {
            Some(users) => Arc::clone(users) as _,
            None => Arc::new(Anonymous),
        };
        let mut listening = Vec::new();
        for listener in listeners {
            listening.push(listener.address());
            log::tell_listening("mqtt", listener.address());
            let report = Arc::new(|trouble: ringcast_door::Trouble| warn!("{trouble}"));
            door.open(listener, Arc::clone(&authenticate), report)?;
        }
        let health = Arc::clone(&engine.health);
        let admin = Arc::new(AdminState::new(health, registry, settings, plan));
        if let Some(listener) = admin_listener {
            log::tell_listening("admin", listener.address());
            runtime.spawn(listener.serve(Arc::clone(&admin)));
        }
        if let Some(socket) = &settings.ring.socket {
            serve_taps(socket, &engine)?;
        }
        engine.health.set_phase(Phase::Serving);
        log::tell_ready();
        drop(_entered);
        Ok(Self {
            settings: settings.clone(),
            engine,
            runtime,
            door,
            users,
            admin,
            log,
            listening,
            tap_socket: settings.ring.socket.clone(),
            signals,
        })
    }

    /// Serves until it is told to end, or can't go on.
    pub(crate) fn run(mut self, sources: &Sources) -> Result<()> {
        let mut news = self.hear_news();
        let began = Instant::now();
        let mut due = began;
        let outcome = loop {
            let seconds = self.settings.sys.seconds;
            let heard = self.runtime.block_on(async {
                tokio::select! {
                    signal = self.signals.next() => Heard::Signal(signal),
                    news = news.recv() => Heard::News(news),
                    () = sleep_until(due), if seconds > 0 => Heard::SysDue,
                }
            });
            match heard {
                Heard::SysDue => {
                    let notices = sys::notices(&self.engine, began.elapsed());
                    self.engine.order(&Order::Announce(notices));
                    due = Instant::now() + Duration::from_secs(seconds.into());
                }
                Heard::Signal(SignalKindHeard::Reload) => self.reload(sources),
                Heard::Signal(SignalKindHeard::End) => break Ok(()),
                Heard::News(Some(News::Report(report))) => warn!("{report}"),
                Heard::News(Some(News::Failed(why))) => break Err(why),
                Heard::News(Some(News::Serving | News::Drained)) => {}
                Heard::News(None) => break Err("an executor ended".to_owned()),
            }
        };
        match outcome {
            Ok(()) => {
                self.drain(&mut news);
                Ok(())
            }
            Err(why) => {
                error!("{why}");
                bail!(why)
            }
        }
    }

    /// What executors tell, where the event loop hears it.
    fn hear_news(&mut self) -> mpsc::UnboundedReceiver<News> {
        let (teller, hearer) = mpsc::unbounded_channel();
        let (_, nothing) = std::sync::mpsc::channel();
        let news = std::mem::replace(&mut self.engine.news, nothing);
        std::thread::spawn(move || {
            while let Ok(told) = news.recv() {
                if teller.send(told).is_err() {
                    return;
                }
            }
        });
        hearer
    }

    /// Reads the settings again, and says of each change what becomes of it.
    fn reload(&mut self, sources: &Sources) {
        if let Some(users) = &self.users
            && let Err(error) = users.reload()
        {
            error!("the users stay as they were: {error}");
        }
        let newer = match sources.load() {
            Ok(newer) => newer,
            Err(error) => return error!("the settings stay as they were: {error}"),
        };
        let (settings, changes) = match self.settings.reloaded(&newer) {
            Ok(reloaded) => reloaded,
            Err(error) => return error!("the settings stay as they were: {error}"),
        };
        for change in &changes {
            match change.applied {
                true => info!("{} is applied", change.key),
                false => warn!("{} needs a restart", change.key),
            }
        }
        if changes.is_empty() {
            info!("the settings are the same");
        }
        self.log.set_level(settings.log.level);
        self.engine.health.apply(&settings);
        self.engine.order(&Order::Limits(shard_limits(&settings)));
        self.admin.set_settings(&settings);
        self.settings = settings;
    }

    /// Lets everybody go in order, and ends.
    fn drain(self, news: &mut mpsc::UnboundedReceiver<News>) {
        let Self {
            settings,
            engine,
            runtime,
            door,
            tap_socket,
            mut signals,
            ..
        } = self;
        let seconds = settings.drain.seconds;
        let connections: u64 = engine
            .shards
            .iter()
            .map(|shard| shard.connections.get())
            .sum();
        let in_order = u64::from(seconds.saturating_sub(DRAIN_REST_SECONDS).max(1));
        let rate = u64::from(settings.drain.rate).max(connections.div_ceil(in_order));
        info!("draining: {connections} connections, {rate} a second, within {seconds} s");
        engine.health.set_phase(Phase::Draining);
        let per_second = rate.div_ceil(engine.shards() as u64);
        engine.order(&Order::Drain {
            per_second,
            seconds: u64::from(seconds.saturating_sub(DRAIN_REST_SECONDS / 2)),
        });
        runtime.block_on(async {
            let until = Instant::now() + Duration::from_secs(seconds.into());
            let left = async {
                let mut drained = 0;
                let closed = tokio::spawn(door.drain());
                while drained < engine.shards() {
                    match news.recv().await {
                        Some(News::Drained) => drained += 1,
                        Some(_) => {}
                        None => break,
                    }
                }
                closed.abort();
            };
            tokio::select! {
                over = timeout_at(until, left) => match over {
                    Ok(()) => info!("drained"),
                    Err(_) => warn!("time is over; some connections are cut"),
                },
                () = signals.end() => warn!("told again: all connections are cut"),
            }
        });
        engine.stop();
        if let Some(socket) = tap_socket {
            let _ = std::fs::remove_file(socket);
        }
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

enum Heard {
    Signal(SignalKindHeard),
    News(Option<News>),
    SysDue,
}

enum SignalKindHeard {
    Reload,
    End,
}

/// The signals that say something.
struct Signals {
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> SignalKindHeard {
        tokio::select! {
            _ = self.reload.recv() => SignalKindHeard::Reload,
            _ = self.terminate.recv() => SignalKindHeard::End,
            _ = self.interrupt.recv() => SignalKindHeard::End,
        }
    }

    /// One of those that end it.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn listen(settings: &Settings) -> Result<Vec<Listener>> {
    let listeners = settings.listen.mqtt.iter().map(|listener| {
        Listener::bind(&ListenSettings {
            not_sent_bytes_max: settings.slow.not_sent_bytes,
            ..ListenSettings::new(listener.address)
        })
    });
    Ok(listeners.collect::<Result<_, _>>()?)
}

/// The threads for what no client waits for, kept off the cores that push.
fn housekeeping(place: &Housekeeping) -> Result<Runtime> {
    let mut cpus = CpuSet::new();
    for cpu in place.cpus.iter() {
        // One beyond what the set can hold is left out; the others do.
        let _ = cpus.set(cpu);
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(place.threads)
        .thread_name("housekeeping")
        .on_thread_start(move || {
            // Where it may not choose, it runs where it may.
            let _ = sched_setaffinity(Pid::from_raw(0), &cpus);
        })
        .enable_all()
        .build()
        .context("the threads for housekeeping")
}

/// Gives the ring to whoever connects to the socket.
fn serve_taps(socket: &Path, engine: &Engine) -> Result<()> {
    // One that an earlier run left; a file that is no socket stays, and is told below.
    let is_socket = |file: std::fs::Metadata| file.file_type().is_socket();
    if UnixStream::connect(socket).is_err()
        && std::fs::symlink_metadata(socket).is_ok_and(is_socket)
    {
        let _ = std::fs::remove_file(socket);
    }
    let listener = UnixListener::bind(socket)
        .with_context(|| format!("ring.socket = {}: taps can't be served", socket.display()))?;
    let give = engine.tap_giver();
    std::thread::Builder::new()
        .name("taps".into())
        .spawn(move || {
            // A tap takes the end of its connection for the end of the engine.
            let mut given: Vec<Arc<UnixStream>> = Vec::new();
            for stream in listener.incoming().flatten() {
                given.retain(|stream| !is_gone(stream));
                if given.len() < TAPS_MAX && stream.set_nonblocking(true).is_ok() {
                    let stream = Arc::new(stream);
                    given.push(Arc::clone(&stream));
                    give(stream);
                }
            }
        })
        .context("the thread for taps")?;
    Ok(())
}

/// Taps at once. They cost nothing but a descriptor.
const TAPS_MAX: usize = 64;

/// Whether a tap closed its connection; all that it says on it is that it reads.
fn is_gone(mut stream: &UnixStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
