//! A run: everything in turn, several rounds of it, then the report.
//!
//! Within a round those who are compared do the same thing one right after the other,
//! and who begins changes from round to round.

use crate::contestant::Contestant;
use crate::environment::{Environment, cores, make_room};
use crate::error::Error;
use crate::machine::fan_out::{self, FanOut};
use crate::machine::sender::Method;
use crate::machine::{Cores, ping_pong, ring_hop, wake};
use crate::probe::{Dialect, Pace, Workload};
use crate::report::{Figure, Rounds, Row, Table, What};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Rounds of a whole run: fewer do not tell apart what is less than 8 % apart.
const ROUNDS: usize = 7;

/// The most connections of any row.
const CONNECTIONS_MAX: u64 = 10_000;

/// What both subcommands know.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// A short run whose figures mean little: two rounds, short ones
    #[arg(long)]
    quick: bool,
    /// How many rounds, instead of 7, or 2 with --quick
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: Option<u8>,
    /// The processors to use, instead of the first two; best of different physical cores
    #[arg(long, value_names = ["SERVER", "PROBE"], num_args = 2)]
    cores: Vec<usize>,
    /// Writes all figures here, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The options of `limits`.
#[derive(Debug, clap::Args)]
pub(crate) struct LimitsArguments {
    #[command(flatten)]
    common: Common,
    /// Measures these servers in the same run
    #[arg(long, value_enum)]
    beside: Vec<Beside>,
}

/// Servers that can be measured beside the bare relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Beside {
    Mosquitto,
}

/// The options of `probe`.
#[derive(Debug, clap::Args)]
pub(crate) struct ProbeArguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    target: TargetArguments,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct TargetArguments {
    /// A server that speaks MQTT 3.1.1 and lets anybody in
    #[arg(long, value_name = "ADDRESS:PORT")]
    mqtt: Option<SocketAddr>,
    /// A server that sends what one connection writes to all others
    #[arg(long, value_name = "ADDRESS:PORT")]
    bare: Option<SocketAddr>,
}

/// `limits`: the machine, then the bare relay and who is measured beside it.
pub(crate) fn run(arguments: &LimitsArguments) -> Result<(), Error> {
    let mut contestants = vec![Contestant::Relay, Contestant::RelayParked];
    contestants.extend(arguments.beside.iter().map(|beside| match beside {
        Beside::Mosquitto => Contestant::Mosquitto,
    }));
    measure(&arguments.common, true, &contestants)
}

/// `probe`: a server that runs already.
pub(crate) fn probe(arguments: &ProbeArguments) -> Result<(), Error> {
    let TargetArguments { mqtt, bare } = arguments.target;
    let mqtt = mqtt.map(|address| Contestant::Running(address, Dialect::Mqtt));
    let bare = bare.map(|address| Contestant::Running(address, Dialect::Bare));
    let contestants: Vec<_> = mqtt.into_iter().chain(bare).collect();
    measure(&arguments.common, false, &contestants)
}

fn measure(common: &Common, with_machine: bool, servers: &[Contestant]) -> Result<(), Error> {
    let cores = cores(&common.cores)?;
    make_room(CONNECTIONS_MAX)?;
    let environment = Environment::look(cores);
    println!("{environment}\n");
    let scale = Scale::new(common);
    // Whatever this process does itself is the probe's part.
    cores.probe.pin();
    let mut rounds = Rounds::default();
    for round in 0..scale.rounds {
        eprintln!("round {} of {}", round + 1, scale.rounds);
        if with_machine {
            bare_loops(cores, &scale, &mut rounds)?;
        }
        for workload in WORKLOADS {
            for turn in 0..servers.len() {
                let contestant = servers[(round + turn) % servers.len()];
                let server = contestant.start(cores.server)?;
                let figures = workload.run(&server, scale.nanos(&workload))?;
                rounds.record(&what(&workload), &contestant.name(), &figures);
            }
        }
    }
    let rows = rounds.rows();
    print!("{}", Table(&rows));
    let Some(file) = &common.json else {
        return Ok(());
    };
    let report = Report {
        environment,
        scale,
        rows,
    };
    let json = serde_json::to_string_pretty(&report).expect("a report has no odd keys");
    fs::write(file, json + "\n").map_err(Error::system("writing the JSON"))
}

/// All that is written for programs.
#[derive(Debug, Serialize)]
struct Report {
    environment: Environment,
    scale: Scale,
    rows: Vec<Row>,
}

/// How long everything takes.
#[derive(Debug, Clone, Copy, Serialize)]
struct Scale {
    rounds: usize,
    /// Of each bare loop, in a round.
    bare_nanos: u64,
    /// Of each workload without a clock of its own.
    throughput_nanos: u64,
    /// Of each open loop.
    latency_nanos: u64,
}

impl Scale {
    fn new(common: &Common) -> Self {
        let asked = common.rounds.map(usize::from);
        if common.quick {
            Self {
                rounds: asked.unwrap_or(2),
                bare_nanos: 30_000_000,
                throughput_nanos: 60_000_000,
                latency_nanos: 150_000_000,
            }
        } else {
            Self {
                rounds: asked.unwrap_or(ROUNDS),
                bare_nanos: 300_000_000,
                throughput_nanos: 600_000_000,
                latency_nanos: 1_200_000_000,
            }
        }
    }

    fn nanos(&self, workload: &Workload) -> u64 {
        match workload.pace {
            Pace::OneByOne | Pace::Outstanding(_) => self.throughput_nanos,
            Pace::PerSecond(_) => self.latency_nanos,
        }
    }
}

/// Each of them: by which calls, to how many sockets, how many messages at once.
const FAN_OUTS: [(Method, usize, u64); 10] = [
    (Method::IoUring, 1_000, 1),
    (Method::Lane, 1_000, 1),
    (Method::Send, 1_000, 1),
    (Method::IoUring, 10_000, 1),
    (Method::Lane, 10_000, 1),
    (Method::Send, 10_000, 1),
    (Method::IoUring, 1_000, 16),
    (Method::IoUring, 1_000, 64),
    (Method::Lane, 1_000, 64),
    (Method::IoUring, 1_000, 256),
];

/// One round of all that needs no server.
fn bare_loops(cores: Cores, scale: &Scale, rounds: &mut Rounds) -> Result<(), Error> {
    let nanos = scale.bare_nanos;
    for (method, sockets, messages) in FAN_OUTS {
        let fan_out = FanOut {
            method,
            sockets,
            messages,
        };
        let figures = fan_out.run(cores, nanos)?;
        rounds.record(&fan_out::what(sockets, messages), method.name(), &figures);
    }
    let mut hop = |what: &str, who: &str, figures: &[Figure]| {
        let what = What {
            what: what.to_owned(),
            parameters: BTreeMap::from([("payload_bytes", fan_out::MESSAGE_BYTES as u64)]),
        };
        rounds.record(&what, who, figures);
    };
    hop("from core to core", "ring", &ring_hop::run(cores, nanos)?);
    hop("waking a sleeper", "eventfd", &wake::run(cores, nanos)?);
    let trip = "there and back over TCP";
    hop(trip, "spinning", &ping_pong::run(cores, true, nanos)?);
    hop(trip, "blocking", &ping_pong::run(cores, false, nanos)?);
    Ok(())
}

/// What is asked of every server.
const WORKLOADS: [Workload; 9] = [
    workload(1_000, 128, Pace::OneByOne),
    workload(10_000, 128, Pace::OneByOne),
    workload(1_000, 128, Pace::Outstanding(64)),
    workload(1_000, 128, Pace::Outstanding(128)),
    workload(1_000, 128, Pace::Outstanding(512)),
    workload(1_000, 1_024, Pace::Outstanding(64)),
    workload(1, 128, Pace::PerSecond(1_000)),
    workload(100, 128, Pace::PerSecond(500)),
    workload(1_000, 128, Pace::PerSecond(50)),
];

const fn workload(subscribers: usize, payload_bytes: usize, pace: Pace) -> Workload {
    Workload {
        subscribers,
        payload_bytes,
        pace,
    }
}

/// How a workload is told. One message at a time is what a bare fan-out does, too, so
/// it has the same name and is compared with that.
fn what(workload: &Workload) -> What {
    let Workload {
        subscribers,
        payload_bytes,
        pace,
    } = *workload;
    let (how, parameter) = match pace {
        Pace::OneByOne => return fan_out::what(subscribers, 1),
        Pace::Outstanding(window) => {
            let parameter = ("outstanding", window);
            (format!("{window} outstanding"), parameter)
        }
        Pace::PerSecond(rate) => (format!("{rate} a second"), ("per_second", rate)),
    };
    let plural = if subscribers == 1 { "" } else { "s" };
    What {
        what: format!("{subscribers} subscriber{plural}, {how}, {payload_bytes} B"),
        parameters: BTreeMap::from([
            ("subscribers", subscribers as u64),
            ("payload_bytes", payload_bytes as u64),
            parameter,
        ]),
    }
}
