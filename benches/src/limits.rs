//! `limits` and `probe`: the machine with nothing around it, the bare relay, and servers
//! that run already.

use crate::contestant::{Contestant, Needs, Peer};
use crate::error::Error;
use crate::machine::fan_out::{self, FanOut};
use crate::machine::sender::Method;
use crate::machine::{Cores, ping_pong, ring_hop, wake};
use crate::measurement::{Common, Measurement, Scale, in_turn};
use crate::probe::{Dialect, Interest, Pace, Workload};
use crate::report::{Figure, Rounds, What};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The most connections of any row.
const CONNECTIONS_MAX: u64 = 10_000;

/// The options of `limits`.
#[derive(Debug, clap::Args)]
pub(crate) struct LimitsArguments {
    #[command(flatten)]
    common: Common,
    /// Measures these servers in the same run
    #[arg(long, value_enum, value_delimiter = ',')]
    beside: Vec<Peer>,
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
    contestants.extend(arguments.beside.iter().copied().map(Contestant::Peer));
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
    let mut measurement = Measurement::begin(common, CONNECTIONS_MAX)?;
    let (cores, scale) = (measurement.cores, measurement.scale);
    for round in 0..scale.rounds {
        eprintln!("round {} of {}", round + 1, scale.rounds);
        if with_machine {
            bare_loops(cores, &scale, &mut measurement.rounds)?;
        }
        for workload in WORKLOADS {
            for contestant in in_turn(servers, round) {
                let server = contestant.start(cores.server, &Needs::of(&workload))?;
                let figures = workload.run(&server, scale.nanos(workload.pace))?;
                let what = what(&workload);
                measurement
                    .rounds
                    .record(&what, &contestant.name(), &figures);
            }
        }
    }
    measurement.end()
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
    Workload::new(subscribers, Interest::Topic, payload_bytes, pace)
}

/// How a workload is told. One message at a time is what a bare fan-out does, too, so
/// it has the same name and is compared with that.
pub(crate) fn what(workload: &Workload) -> What {
    match workload.pace {
        Pace::OneByOne => fan_out::what(workload.subscribers, 1),
        Pace::Outstanding(_) | Pace::PerSecond(_) => workload.what(),
    }
}
