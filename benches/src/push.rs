//! `push`: the engine beside the bare relay, and other servers, in the same run.
//!
//! Each part asks something else of them; docs/push.md says what, and what is fair about
//! it. Who cannot do a part is left out of it: the relay has no policy for those who do
//! not read, and others' queues for them grow without bound.

mod acknowledged;
mod churner;
mod crowd;
mod fan_out;
mod laggards;
mod latency;
mod memory;
mod sizes;
mod stalled;
mod storm;
mod throughput;

use crate::contestant::{Contestant, Idle, Needs, Peer, Server, Slow};
use crate::error::Error;
use crate::measurement::{Common, Measurement, in_turn};
use crate::probe::Workload;
use sizes::Sizes;
use std::env;
use std::path::PathBuf;

/// The options of `push`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Measures these servers in the same run, too
    #[arg(long, value_enum, value_delimiter = ',')]
    beside: Vec<Peer>,
    /// The engine's program, instead of the one that lies beside this
    #[arg(long, value_name = "PATH")]
    engine: Option<PathBuf>,
    /// Measures the others only
    #[arg(long, conflicts_with = "engine")]
    without_engine: bool,
    /// What the engine's core does while there is no work
    #[arg(long, value_enum, default_value = "spin")]
    idle: Idle,
    /// Does these parts, instead of all
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How many of `stalled` stop reading
    #[arg(long)]
    stalled: Option<usize>,
    /// Messages a second of `stalled`
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    stalled_rate: Option<u64>,
    /// How many of `laggards` never read
    #[arg(long)]
    laggards: Option<usize>,
    /// How many connections `memory` and `crowd` have
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    connections: Option<u32>,
    /// The engine's policy for those who do not read
    #[arg(long, value_enum, default_value = "conflate")]
    slow: Slow,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// One message to everybody, first to last
    FanOut,
    /// As many messages as go, of one topic
    Throughput,
    /// The same at QoS 1, to subscribers who acknowledge
    Acknowledged,
    /// As many messages as go, of many topics under one wildcard
    Topics,
    /// As many as go, to subscribers with a list of topics each
    WatchLists,
    /// From publish to receipt, at fixed rates
    Latency,
    /// The same while some stop reading
    Stalled,
    /// As many messages as go, while very many never read
    Laggards,
    /// Of each idle connection
    Memory,
    /// Latency while others come and go as fast as they can
    Storm,
    /// Very many connect as fast as they can, and get a message
    Crowd,
}

impl Part {
    const ALL: [Self; 11] = [
        Self::FanOut,
        Self::Throughput,
        Self::Acknowledged,
        Self::Topics,
        Self::WatchLists,
        Self::Latency,
        Self::Stalled,
        Self::Laggards,
        Self::Memory,
        Self::Storm,
        Self::Crowd,
    ];

    fn run(self, bench: &mut Bench<'_>) -> Result<(), Error> {
        match self {
            Self::FanOut => fan_out::run(bench),
            Self::Throughput => throughput::run_one_topic(bench),
            Self::Acknowledged => acknowledged::run(bench),
            Self::Topics => throughput::run_many_topics(bench),
            Self::WatchLists => throughput::run_watch_lists(bench),
            Self::Latency => latency::run(bench),
            Self::Stalled => stalled::run(bench),
            Self::Laggards => laggards::run(bench),
            Self::Memory => memory::run(bench),
            Self::Storm => storm::run(bench),
            Self::Crowd => crowd::run(bench),
        }
    }
}

/// All parts, round by round.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let parts = if arguments.only.is_empty() {
        Part::ALL.to_vec()
    } else {
        arguments.only.clone()
    };
    let mut sizes = if arguments.common.quick {
        Sizes::QUICK
    } else {
        Sizes::FULL
    };
    sizes.stalled.stalled = arguments.stalled.unwrap_or(sizes.stalled.stalled);
    sizes.stalled.per_second = arguments.stalled_rate.unwrap_or(sizes.stalled.per_second);
    sizes.laggards.laggards = arguments.laggards.unwrap_or(sizes.laggards.laggards);
    sizes.memory.many = arguments.connections.unwrap_or(sizes.memory.many);
    sizes.crowd = arguments.connections.unwrap_or(sizes.crowd);
    let contestants = contestants(arguments)?;
    let measurement = Measurement::begin(&arguments.common, sizes.descriptors_max(&parts))?;
    println!("{}\n", told(&contestants));
    let rounds = measurement.scale.rounds;
    let mut bench = Bench {
        contestants,
        sizes,
        slow: arguments.slow,
        is_quick: arguments.common.quick,
        round: 0,
        crowds: 0,
        measurement,
    };
    for round in 0..rounds {
        bench.round = round;
        for part in &parts {
            eprintln!("round {} of {rounds}, {part:?}", round + 1);
            part.run(&mut bench)?;
        }
    }
    bench.measurement.end()
}

/// The relay, the engine, and who is beside them.
fn contestants(arguments: &Arguments) -> Result<Vec<Contestant>, Error> {
    let mut contestants = vec![Contestant::Relay];
    if !arguments.without_engine {
        let program = match &arguments.engine {
            Some(program) => program.clone(),
            None => env::current_exe()
                .map_err(Error::system("finding this program"))?
                .with_file_name("ringcast"),
        };
        contestants.push(Contestant::Ringcast(program, arguments.idle));
    }
    contestants.extend(arguments.beside.iter().copied().map(Contestant::Peer));
    Ok(contestants)
}

fn told(contestants: &[Contestant]) -> String {
    let told = contestants.iter().map(|contestant| match contestant {
        Contestant::Ringcast(program, idle) => {
            format!("ringcast ({}, idle {})", program.display(), idle.name())
        }
        other => other.name(),
    });
    format!("one at a time: {}", Vec::from_iter(told).join(", "))
}

/// What all parts share.
struct Bench<'a> {
    contestants: Vec<Contestant>,
    sizes: Sizes,
    slow: Slow,
    is_quick: bool,
    round: usize,
    /// How many crowds there were: each comes from other addresses.
    crowds: u8,
    measurement: Measurement<'a>,
}

impl Bench<'_> {
    /// Everybody, in the order of this round.
    fn in_turn(&self) -> Vec<Contestant> {
        in_turn(&self.contestants, self.round).cloned().collect()
    }

    /// What one does twice, alone and with those who trouble it, in the order of this round:
    /// every other one the other way round.
    fn pair<T>(&self, alone: T, troubled: T) -> [T; 2] {
        if self.round.is_multiple_of(2) {
            [alone, troubled]
        } else {
            [troubled, alone]
        }
    }

    /// Starts one for a workload.
    fn start(&self, contestant: &Contestant, workload: &Workload) -> Result<Server, Error> {
        contestant.start(self.measurement.cores.server, &Needs::of(workload))
    }

    /// Starts one that will have clients who do not read.
    fn start_lagging(&self, contestant: &Contestant, workload: &Workload) -> Result<Server, Error> {
        let needs = Needs {
            slow: self.slow,
            ..Needs::of(workload)
        };
        contestant.start(self.measurement.cores.server, &needs)
    }

    fn nanos(&self, workload: &Workload) -> u64 {
        self.measurement.scale.nanos(workload.pace)
    }

    /// Who can do a part with clients who do not read: all, as long as everybody reads
    /// (`with` is false); then the engine. A quick run is small enough for Mosquitto, which
    /// so checks the probe.
    fn bears(&self, contestant: &Contestant, with: bool) -> bool {
        match contestant {
            Contestant::Relay | Contestant::RelayParked | Contestant::Lanes => !with,
            Contestant::Ringcast(..) | Contestant::Running(..) => true,
            Contestant::Peer(Peer::Mosquitto) => self.is_quick,
            Contestant::Peer(Peer::Redis) => false,
        }
    }
}
