//! What a run was and what came of it: plain data, filled by the generator, read by the
//! reports, written to a file and read back.
//!
//! ```text
//!   process 1 ──► Results ─┐
//!   process 2 ──► Results ─┼─ merge ──► Results ──► table, JSON, .hgrm, CSV, HTML, compare
//!   process n ──► Results ─┘
//! ```
//!
//! It holds what was counted, never what follows from it: rates, shares and percentiles
//! are computed where they are told, so that merged results can't disagree with
//! themselves. All times are in nanoseconds, and points in time count from the run's
//! start, which all of its processes share.

mod host;
mod latencies;
mod merge;

pub use host::Host;
pub use latencies::{Latencies, LatenciesError};
pub use merge::MergeError;
pub(crate) use merge::merge_messages;

use serde::{Deserialize, Serialize};

/// All of a run, by one process or by several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Which run, and what was asked of it.
    pub run: Run,
    /// The machines that it ran on, each once, by name.
    pub hosts: Vec<Host>,
    /// Who generated the load, in the order of their numbers.
    pub processes: Vec<Process>,
    /// What was counted over the whole run.
    pub totals: Totals,
    /// From the intended time of a publish to a delivery of it: what a user waits.
    pub response: Latencies,
    /// From the actual time of sending to a delivery.
    pub service: Latencies,
    /// From the beginning of a connection to the CONNACK that accepted it.
    pub connect: Latencies,
    /// Second by second, beginning with the first one.
    pub seconds: Vec<Second>,
    /// Messages one by one, where there are so few that each can be told.
    pub messages: Vec<Message>,
    /// Whether what arrived was right.
    pub correctness: Correctness,
    /// What the generator and the machine measure of nothing but themselves.
    pub floor: Option<Floor>,
    /// What the connections took of the machine's memory.
    pub memory: Option<Memory>,
    /// The rates that were tried, if the run was a search.
    pub search: Option<Search>,
    /// Why the run, or a process of it, ended before its time: empty if none did.
    pub early_ends: Vec<EarlyEnd>,
}

/// Which run, and what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The run's own name, the same in all of its processes and messages.
    pub id: String,
    /// When it started: milliseconds since 1970, UTC.
    pub started_unix_millis: u64,
    /// What the scenario is called.
    pub scenario: String,
    /// The whole scenario as it was run, as a file that runs it again.
    pub scenario_toml: String,
    /// The server's addresses.
    pub targets: Vec<String>,
}

/// One process of those that generated the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Counted from 0; a run has each number once.
    pub number: u32,
    /// The name of the machine that it ran on: one of [`Results::hosts`].
    pub host: String,
    /// As the machine numbered it.
    pub pid: u32,
    /// The generator's own version.
    pub version: String,
    /// Of the sources, if it ran inside a repository; `+` stands for changes on top.
    pub revision: Option<String>,
    /// How it was called.
    pub command_line: Vec<String>,
    /// The processors that its threads were pinned to, one for each thread.
    pub processors: Vec<u32>,
    /// Connections that it opened.
    pub connections_opened: u64,
    /// Messages that its subscribers got.
    pub delivered: u64,
    /// Whether it kept up.
    pub health: Health,
}

/// Whether a generator kept up with what was asked of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Publishes whose intended time has come.
    pub due: u64,
    /// Those of them that were handed to the kernel.
    pub sent: u64,
    /// Those that were sent later than intended by more than `late_after_nanos`.
    pub late: u64,
    /// How much later than intended counts as late.
    pub late_after_nanos: u64,
    /// How much later than asked for its timers fired.
    pub timer_slip: Latencies,
    /// Threads that generate load.
    pub threads: u32,
    /// How long each of them ran, together.
    pub thread_nanos: u64,
    /// How much of that they had something to do, rather than look for it.
    pub busy_nanos: u64,
    /// Processor time that the kernel charged the process with.
    pub cpu_nanos: u64,
    /// The most memory that was resident at once.
    pub resident_bytes_max: u64,
}

/// What was counted over a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// From the start to the end, with connecting before and waiting behind.
    pub elapsed_nanos: u64,
    /// From the first publish that was due to the last publish or delivery: what rates are
    /// told over.
    pub publishing_nanos: u64,
    /// Connections that the scenario asks for.
    pub connections_asked: u64,
    /// Those of them that a CONNACK accepted.
    pub connections_opened: u64,
    /// CONNACKs beyond that: of those that had ended, and came again.
    pub connections_reopened: u64,
    /// Those that a CONNACK refused.
    pub connections_refused: u64,
    /// Those that never got a CONNACK.
    pub connections_failed: u64,
    /// Those that ended although nobody here ended them, nor provoked that.
    pub connections_lost: u64,
    /// From the first attempt to the last CONNACK of those that came for the first time.
    pub connect_nanos: u64,
    /// Filters that a SUBACK granted.
    pub subscriptions: u64,
    /// Messages that were handed to the kernel.
    pub published: u64,
    /// Those of them, at QoS 1 and 2, that the server has acknowledged to the end.
    pub acknowledged: u64,
    /// Messages that subscribers got.
    pub delivered: u64,
    /// Bytes written, with all that is around payloads.
    pub bytes_sent: u64,
    /// Bytes read, with all that is around payloads.
    pub bytes_received: u64,
    /// Keep-alive pings that were answered, or whose time for an answer is over.
    pub pings: u64,
    /// Those that were answered in time.
    pub pings_answered: u64,
}

/// One second of a run, of those since its start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Connections that were open at its end.
    pub connections: u64,
    /// Messages sent in it.
    pub published: u64,
    /// Messages received in it.
    pub delivered: u64,
    /// Publishes that were sent late in it.
    pub late: u64,
    /// Deliveries that were found wrong in it.
    pub wrong: u64,
    /// Response times of what was received in it.
    pub response: Latencies,
}

/// One message and all who got it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who published it, counted from 0 over all processes.
    pub publisher: u32,
    /// Its number among that publisher's messages.
    pub sequence: u64,
    /// Subscribers that got it.
    pub deliveries: u64,
    /// When it was meant to be sent.
    pub intended_nanos: u64,
    /// When the first of them got it.
    pub first_nanos: u64,
    /// When the last of them got it.
    pub last_nanos: u64,
}

/// Whether what arrived was right. Each subscriber judges for itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Correctness {
    /// Subscribers that judged.
    pub subscribers: u64,
    /// Deliveries that were due to them.
    pub due: u64,
    /// Those that never came and had to.
    pub missing: u64,
    /// Those that came again and must not.
    pub duplicate: u64,
    /// Those behind a later one of the same topic and publisher.
    pub reordered: u64,
    /// Those whose checksum, length or topic is wrong.
    pub corrupt: u64,
    /// Those of another run, or older than the scenario allows.
    pub stale: u64,
    /// Those left out where the scenario allows to leave out all but the newest.
    pub conflated: u64,
    /// Who waited longest on average.
    pub slowest: Option<Subscriber>,
    /// Who waited least on average.
    pub fastest: Option<Subscriber>,
}

/// What one subscriber got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// The client identifier.
    pub client: String,
    /// Messages that it got.
    pub delivered: u64,
    /// Its response time on average.
    pub response_mean_nanos: u64,
}

/// A loop back through a trivial echo: no result can be better than this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Messages per second.
    pub rate: f64,
    /// Bytes of each payload.
    pub payload_bytes: u32,
    /// From the intended time of sending to the echo's arrival.
    pub response: Latencies,
}

/// What connections took of the memory: growth since before the first of them.
///
/// Only one process of a run looks at what is not its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Connections that were open when it was looked at.
    pub connections: u64,
    /// Of the generator's processes together.
    pub generator_bytes: u64,
    /// Of the server's process, if it runs on the same machine and is known.
    pub server_bytes: Option<u64>,
    /// Of the kernel, for all ends of connections that are on this machine.
    pub kernel_bytes: Option<u64>,
}

/// A search for the highest rate whose latency stays below a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The percentile that is limited, up to 100.
    pub percentile: f64,
    /// What it may be at most.
    pub limit_nanos: u64,
    /// The rates, in the order in which they were tried.
    pub steps: Vec<SearchStep>,
}

/// One rate that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchStep {
    /// Publishes per second that were asked for.
    pub rate: f64,
    /// Those that were sent.
    pub achieved: f64,
    /// The response times at that rate.
    pub response: Latencies,
    /// Whether the limit was kept, all was right, and the generator kept up.
    pub passed: bool,
}

/// Something that ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyEnd {
    /// The number of the process that it ended; none: the whole run.
    pub process: Option<u32>,
    /// When.
    pub at_nanos: u64,
    /// A sentence that says what happened and what to do.
    pub why: String,
}

impl Results {
    /// Of a run in which nothing has happened yet.
    pub fn new(run: Run) -> Self {
        Self {
            run,
            hosts: Vec::new(),
            processes: Vec::new(),
            totals: Totals::default(),
            response: Latencies::default(),
            service: Latencies::default(),
            connect: Latencies::default(),
            seconds: Vec::new(),
            messages: Vec::new(),
            correctness: Correctness::default(),
            floor: None,
            memory: None,
            search: None,
            early_ends: Vec::new(),
        }
    }

    /// Whether the generator as a whole kept up: that of all processes together.
    pub fn health(&self) -> Health {
        let mut all = Health::default();
        for process in &self.processes {
            all.add(&process.health);
        }
        all
    }
}

impl Health {
    /// The part of what was due that was sent; all, if nothing was due.
    pub fn achieved_share(&self) -> f64 {
        share(self.sent, self.due).unwrap_or(1.0)
    }

    /// The part of what was sent that was sent late.
    pub fn late_share(&self) -> f64 {
        share(self.late, self.sent).unwrap_or(0.0)
    }

    /// The part of their time that the threads were busy.
    pub fn busy_share(&self) -> f64 {
        share(self.busy_nanos, self.thread_nanos).unwrap_or(0.0)
    }
}

impl Correctness {
    /// Deliveries that are wrong, and those that are missing.
    pub fn violations(&self) -> u64 {
        self.missing + self.duplicate + self.reordered + self.corrupt + self.stale
    }

    /// The part of what was due that newer values replaced.
    pub fn conflation_ratio(&self) -> f64 {
        share(self.conflated, self.due).unwrap_or(0.0)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
