//! A run from its beginning to its end: all parts, in step.
//!
//! ```text
//!  begin ► all connect ► start ► all have published ► settle ► all have settled ► finish
//!                          ▲────────── the next rate of a search ───────┘
//! ```
//!
//! Whatever ends it early, what was counted until then is kept.

mod children;
mod searching;
mod shared;

use crate::clock::{Clock, Start};
use crate::floor::measure_floor;
use crate::host_settings::HostSettings;
use crate::link::Remote;
use crate::memory::Look;
use crate::part::{self, Begin, News, Order, Round};
use crate::plan::Plan;
use crate::report::{Metrics, MetricsListener, Progress};
use crate::results::{EarlyEnd, Results, Run, Search, Second};
use crate::scenario::Scenario;
use crate::tally::Checked;
use crate::tls;
use children::Children;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ringcast_lane::probe;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What is not the scenario's to say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether progress is shown.
    pub shows_progress: bool,
    /// Where Prometheus may ask.
    pub prometheus: Option<SocketAddr>,
    /// The server's process, if its memory is to be looked at.
    pub server_pid: Option<u32>,
    /// Processes that join from elsewhere, and where they find this one.
    pub joiners: Option<(u32, SocketAddr)>,
}

/// Why there is no run at all: a sentence that says what to do.
#[derive(Debug)]
pub struct RunError(pub(crate) String);

/// Why a run ends before its time.
#[derive(Debug)]
enum Stop {
    Signal,
    /// No client was accepted.
    NobodyConnects,
    /// All connections are lost.
    AllLost,
    /// All parts are gone.
    NoParts,
    /// A part can't go on.
    Failed,
}

struct Coordinator {
    plan: Plan,
    clock: Clock,
    parts: Vec<PartState>,
    inbox: Receiver<(usize, News)>,
    progress: Option<Progress<io::Stderr>>,
    metrics: Option<Arc<Metrics>>,
    signals: Option<SignalFd>,
    /// Seconds of all parts that were told.
    told: usize,
    troubles: u32,
    trouble: Option<String>,
    early_ends: Vec<EarlyEnd>,
    is_loading: bool,
}

struct PartState {
    link: Link,
    stage: Stage,
    open: u64,
    seconds: Vec<Second>,
    so_far: Option<Results>,
    published: Vec<(u32, u32)>,
    round: Round,
    checked: Checked,
}

enum Link {
    Own(Sender<Order>),
    Other(Remote),
}

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begun,
    Connected,
    Published,
    Settled,
    Finished,
    Gone,
}

/// From the command to the first publish: until all have heard it.
const START_AFTER_NANOS: u64 = 300_000_000;

/// Sentences about connections that are shown, at most.
const TROUBLES_MAX: u32 = 10;

/// How long parts may take to end.
const FINISH_MAX: Duration = Duration::from_secs(90);

/// How often signals are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs a scenario.
///
/// # Errors
/// [`RunError`] if it can't begin. What ends it later is in the results.
pub fn run(scenario: Scenario, options: &Options) -> Result<Results, RunError> {
    let run = run_number();
    let plan = Plan::new(scenario, run).map_err(told)?;
    if let Some(tls) = &plan.scenario.target.tls {
        tls::Settings::read(tls).map_err(told)?;
    }
    check_host(&plan)?;
    let signals = signals().map_err(told)?;
    let _host = HostSettings::set(&plan.scenario.host).map_err(told)?;
    let floor = match plan.scenario.generator.floor {
        true => Some(measure_floor(&plan.scenario)?),
        false => None,
    };
    let metrics = Arc::new(Metrics::new(plan.scenario.clients().into()));
    let _listener = match options.prometheus {
        Some(address) => Some(MetricsListener::start(address, Arc::clone(&metrics)).map_err(told)?),
        None => None,
    };
    let memory = Look::before(options.server_pid);
    let (mut coordinator, _children) =
        Coordinator::begin(plan, options, Some(signals), Some(metrics))?;
    let mut search = None;
    let stop = coordinator.go(&mut search, &memory).err();
    let mut results = coordinator.finish(stop);
    results.floor = floor;
    results.search = search;
    memory.fill_in(&mut results);
    Ok(results)
}

/// Takes part in a run that is coordinated elsewhere.
///
/// # Errors
/// [`RunError`] if it can't be joined.
pub fn join(address: &str) -> Result<(), RunError> {
    // A terminal sends its signal to all: the coordinator decides.
    signals().map_err(told)?;
    let unreachable = |error| RunError(format!("can not join a run at {address}: {error}"));
    let (orders, stream) = crate::link::join(address).map_err(unreachable)?;
    let Ok(Order::Begin(begin)) = orders.recv() else {
        return Err(RunError(format!("{address} ended the run before it began")));
    };
    // Of a coordinator that is gone the orders tell.
    let mut tell = |news: News| drop(crate::link::write_line(&stream, &news));
    part::run(&begin, &orders, true, &mut tell);
    Ok(())
}

/// Runs a plan in this process, without a word.
pub(crate) fn run_quietly(plan: Plan) -> Result<Results, RunError> {
    let (mut coordinator, _) = Coordinator::begin(plan, &Options::default(), None, None)?;
    let stop = coordinator.go(&mut None, &Look::default()).err();
    Ok(coordinator.finish(stop))
}

pub(crate) fn told(error: impl std::fmt::Display) -> RunError {
    RunError(error.to_string())
}

pub(crate) fn run_number() -> u32 {
    let nanos = crate::clock::unix_nanos();
    let mixed = crate::chance::Chance::new(nanos ^ u64::from(std::process::id())).next();
    mixed as u32
}

fn signals() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    set.add(Signal::SIGTERM);
    set.thread_block()?;
    Ok(SignalFd::with_flags(
        &set,
        SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
    )?)
}

/// Whether this host has what lanes need.
fn check_host(plan: &Plan) -> Result<(), RunError> {
    let threads = threads_of_part(&plan.scenario);
    let all = plan.scenario.generator.processes * threads;
    let needs = probe::Needs {
        shards: threads,
        shard_connections_max: plan.scenario.clients().div_ceil(all),
        submission_entries: 256,
        completion_entries: 4096,
        executors: 0,
        executor_ring_entries: 0,
        executor_memory_bytes: 0,
    };
    let sentences = |missing: Vec<probe::Missing>| {
        let lines: Vec<_> = missing.iter().map(ToString::to_string).collect();
        RunError(lines.join("\n"))
    };
    probe::check(&needs).map_err(sentences).map(drop)
}

/// Threads of each process, and no more than there are clients.
fn threads_of_part(scenario: &Scenario) -> u32 {
    let generator = &scenario.generator;
    let allowed = thread::available_parallelism().map_or(1, |count| count.get() as u32);
    let threads = match generator.threads {
        0 => (allowed / generator.processes).max(1),
        threads => threads,
    };
    threads.min(scenario.clients().div_ceil(generator.processes).max(1))
}

impl Coordinator {
    /// Begins all parts.
    fn begin(
        plan: Plan,
        options: &Options,
        signals: Option<SignalFd>,
        metrics: Option<Arc<Metrics>>,
    ) -> Result<(Self, Children), RunError> {
        let (news, inbox) = channel();
        let mut children = Children::default();
        let remotes = children.join(&plan.scenario, options, &news)?;
        let start = Start::now();
        let count = remotes.len() as u32 + 1;
        let begin = |part: usize| Begin {
            scenario: plan.scenario.to_toml(),
            run: plan.run,
            start: start.clone(),
            part: part as u32,
            parts: count,
            threads: threads_of_part(&plan.scenario),
        };
        let own = begin_own(begin(0), news).map_err(told)?;
        let mut parts = vec![PartState::new(Link::Own(own))];
        for remote in remotes {
            let order = Order::Begin(Box::new(begin(parts.len())));
            let mut part = PartState::new(Link::Other(remote));
            part.tell(&order);
            parts.push(part);
        }
        let load = &plan.scenario.load;
        let planned = load.duration.duration() + load.hold.duration();
        let asked = plan.scenario.clients().into();
        let progress = options
            .shows_progress
            .then(|| Progress::on_stderr(asked, Some(planned)));
        let coordinator = Self {
            clock: start.clock(),
            plan,
            parts,
            inbox,
            progress,
            metrics,
            signals,
            told: 0,
            troubles: 0,
            trouble: None,
            early_ends: Vec::new(),
            is_loading: false,
        };
        Ok((coordinator, children))
    }

    /// Goes through all that there is to do.
    fn go(&mut self, search: &mut Option<Search>, memory: &Look) -> Result<(), Stop> {
        self.wait_for(Stage::Connected)?;
        if self.parts.iter().all(|part| part.open == 0) {
            return Err(Stop::NobodyConnects);
        }
        memory.again();
        match self.plan.scenario.search.clone() {
            Some(settings) => self.search(&settings, search)?,
            None => drop(self.round(None)?),
        }
        self.hold(self.plan.scenario.load.hold.duration())
    }

    /// Publishes as the scenario says, or at another rate, until all has come.
    fn round(&mut self, rate: Option<f64>) -> Result<Round, Stop> {
        let at = self.clock.nanos() + START_AFTER_NANOS;
        self.is_loading = true;
        self.tell(&Order::Start { at, rate });
        self.wait_for(Stage::Published)?;
        let published = self.published();
        self.tell(&Order::Settle(published));
        self.wait_for(Stage::Settled)?;
        let mut whole = Round::default();
        for part in &mut self.parts {
            let round = std::mem::take(&mut part.round);
            whole.due += round.due;
            whole.sent += round.sent;
            whole.wrong += round.wrong;
            whole.response.add(&round.response);
        }
        Ok(whole)
    }

    /// By stream, the last sequence of those that were published anywhere.
    fn published(&self) -> Vec<u32> {
        let mut published = vec![0; self.plan.streams.count() as usize];
        for (stream, sequence) in self.parts.iter().flat_map(|part| &part.published) {
            published[*stream as usize] = *sequence;
        }
        published
    }

    fn hold(&mut self, duration: Duration) -> Result<(), Stop> {
        let until = Instant::now() + duration;
        while Instant::now() < until {
            self.listen()?;
        }
        Ok(())
    }

    fn tell(&mut self, order: &Order) {
        for part in &mut self.parts {
            part.tell(order);
        }
    }

    /// Until all parts that there are have got so far.
    fn wait_for(&mut self, stage: Stage) -> Result<(), Stop> {
        while !self.have_all(stage) {
            self.listen()?;
        }
        Ok(())
    }

    fn have_all(&self, stage: Stage) -> bool {
        let mut there = self.parts.iter().filter(|part| part.stage != Stage::Gone);
        there.all(|part| part.stage == stage)
    }

    /// Hears what parts say next, for a moment.
    fn listen(&mut self) -> Result<(), Stop> {
        if let Some(signals) = &self.signals
            && let Ok(Some(_)) = signals.read_signal()
        {
            return Err(Stop::Signal);
        }
        if let Ok((part, news)) = self.inbox.recv_timeout(LOOK_EVERY) {
            self.on_news(part, news)?;
        }
        if self.parts.iter().all(|part| part.stage == Stage::Gone) {
            return Err(Stop::NoParts);
        }
        Ok(())
    }

    fn on_news(&mut self, number: usize, news: News) -> Result<(), Stop> {
        let part = &mut self.parts[number];
        match news {
            News::Second(second) => {
                part.open = second.connections;
                part.seconds.push(*second);
                return self.on_second();
            }
            News::SoFar(results) => part.so_far = Some(*results),
            News::Connected { open } => {
                part.open = open;
                part.stage = Stage::Connected;
            }
            News::Published(published) => {
                part.published = published;
                part.stage = Stage::Published;
            }
            News::Settled(round) => {
                part.round = *round;
                part.stage = Stage::Settled;
            }
            News::Trouble(says) => self.on_trouble(says),
            News::Finished { results, checked } => {
                part.so_far = Some(*results);
                part.checked = checked;
                part.stage = Stage::Finished;
            }
            News::Failed(says) => {
                part.stage = Stage::Gone;
                self.on_trouble(says);
                return Err(Stop::Failed);
            }
            News::Gone if part.stage == Stage::Finished => (),
            News::Gone => self.on_gone(number),
        }
        Ok(())
    }

    fn on_trouble(&mut self, says: String) {
        self.troubles += 1;
        if self.troubles <= TROUBLES_MAX && self.progress.is_some() {
            eprintln!("ringcast-loadgen: {says}");
        }
        self.trouble.get_or_insert(says);
    }

    /// The others go on without it.
    fn on_gone(&mut self, number: usize) {
        let part = &mut self.parts[number];
        part.stage = Stage::Gone;
        self.early_ends.push(EarlyEnd {
            process: Some(number as u32),
            at_nanos: self.clock.nanos(),
            why: format!(
                "process {number} of the generator ended; its clients are gone, and what it \
                 counted in its last second is not in the results: look for its last words, and \
                 whether the kernel killed it for want of memory (dmesg)"
            ),
        });
    }

    /// Tells seconds that have ended everywhere.
    fn on_second(&mut self) -> Result<(), Stop> {
        let there = || self.parts.iter().filter(|part| part.stage != Stage::Gone);
        let ended = there().map(|part| part.seconds.len()).min().unwrap_or(0);
        while self.told < ended {
            let mut second = Second::default();
            for part in &self.parts {
                if let Some(own) = part.seconds.get(self.told) {
                    second.add(own);
                }
            }
            self.told += 1;
            if let Some(progress) = &mut self.progress {
                progress.on_second(&second);
            }
            if let Some(metrics) = &self.metrics {
                metrics.on_second(&second);
            }
            if self.is_loading && second.connections == 0 {
                return Err(Stop::AllLost);
            }
        }
        Ok(())
    }

    /// Ends all parts, and puts together what they counted.
    fn finish(mut self, stop: Option<Stop>) -> Results {
        let at_nanos = self.clock.nanos();
        if let Some(stop) = stop {
            let why = self.sentence(&stop);
            self.early_ends.push(EarlyEnd {
                process: None,
                at_nanos,
                why,
            });
        }
        self.tell(&Order::Finish);
        self.is_loading = false;
        let until = Instant::now() + FINISH_MAX;
        while !self.have_all(Stage::Finished) && Instant::now() < until {
            // A second signal, or the last part gone: no more waiting.
            if self.listen().is_err() {
                break;
            }
        }
        self.merge()
    }

    fn merge(mut self) -> Results {
        let empty = || {
            Results::new(Run {
                id: self.plan.run_name(),
                started_unix_millis: crate::clock::unix_nanos() / 1_000_000,
                scenario: self.plan.scenario.name.clone(),
                scenario_toml: self.plan.scenario.to_toml(),
                targets: self.plan.scenario.target.addresses.clone(),
            })
        };
        let mut whole: Option<Results> = None;
        for part in &mut self.parts {
            let Some(mut results) = part.so_far.take() else {
                continue;
            };
            if part.stage == Stage::Gone {
                results.seconds = std::mem::take(&mut part.seconds);
            }
            match &mut whole {
                None => whole = Some(results),
                Some(whole) => whole.merge(&results).expect("they are parts of one run"),
            }
        }
        let mut whole = whole.unwrap_or_else(empty);
        if self.plan.is_shared() && self.early_ends.is_empty() {
            let mut came = Checked::default();
            self.parts.iter().for_each(|part| came.add(&part.checked));
            shared::judge(&self.published(), &came, &mut whole.correctness);
        }
        whole.early_ends.append(&mut self.early_ends);
        whole
    }

    fn sentence(&self, stop: &Stop) -> String {
        let trouble = self.trouble.clone();
        match stop {
            Stop::Signal => "it was interrupted; what was counted until then is kept".to_owned(),
            Stop::NobodyConnects => trouble.unwrap_or_else(|| "no client was accepted".to_owned()),
            Stop::AllLost => {
                let why = trouble.map_or(String::new(), |trouble| format!(" ({trouble})"));
                format!(
                    "all connections are lost{why}: look whether the server is still there, and \
                     into its log; what was counted until then is kept"
                )
            }
            Stop::NoParts => "all processes of the generator have ended".to_owned(),
            Stop::Failed => trouble.unwrap_or_else(|| "the generator can not go on".to_owned()),
        }
    }
}

impl PartState {
    fn new(link: Link) -> Self {
        Self {
            link,
            stage: Stage::Begun,
            open: 0,
            seconds: Vec::new(),
            so_far: None,
            published: Vec::new(),
            round: Round::default(),
            checked: Checked::default(),
        }
    }

    fn tell(&mut self, order: &Order) {
        match &mut self.link {
            // That it has ended is told by itself.
            Link::Own(orders) => drop(orders.send(order.clone())),
            Link::Other(remote) => remote.tell(order),
        }
    }
}

/// The part of this process, on threads of its own.
fn begin_own(begin: Begin, news: Sender<(usize, News)>) -> io::Result<Sender<Order>> {
    let (orders, inbox) = channel();
    let work = move || {
        // Nobody listens any more when the run is over.
        let mut tell = |told: News| drop(news.send((0, told)));
        part::run(&begin, &inbox, false, &mut tell);
        tell(News::Gone);
    };
    thread::Builder::new()
        .name("part-0".to_owned())
        .spawn(work)?;
    Ok(orders)
}

impl std::fmt::Display for RunError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for RunError {}
