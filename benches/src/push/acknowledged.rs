//! As many messages as go at QoS 1, to subscribers who acknowledge each, beside the same at
//! QoS 0; and how much of what that costs is pushing, and how much is to receive what they
//! say.
//!
//! Nobody can be looked into while it works. So it is measured once more with subscribers who
//! acknowledge nothing as long as the clock runs: what the server does then is push. What it
//! takes more when they do acknowledge is what their acknowledgements cost.

use super::Bench;
use crate::contestant::{Contestant, Needs, Peer};
use crate::error::Error;
use crate::measurement::in_turn;
use crate::probe::{
    Interest, Pace, Run, Throughput, Workload, outstanding, outstanding_unacknowledged,
};
use crate::report::{Figure, What};

const WINDOW: u64 = 64;

/// Messages that the engine sends to each before it waits: the most that its settings allow.
const UNACKNOWLEDGED_MAX: u16 = 16_384;

/// What subscribers do with what they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// At QoS 0 there is nothing to do.
    AtMostOnce,
    /// Each read is acknowledged at once.
    AtLeastOnce,
    /// All is acknowledged when the clock has stopped.
    Silent,
}

impl Service {
    const ALL: [Self; 3] = [Self::AtMostOnce, Self::AtLeastOnce, Self::Silent];

    fn name(self) -> &'static str {
        match self {
            Self::AtMostOnce => "QoS 0",
            Self::AtLeastOnce => "QoS 1",
            Self::Silent => "no acks",
        }
    }

    /// Whether somebody can do it: the relay and Redis have no QoS, and what others send without
    /// being answered has other bounds.
    fn suits(self, contestant: &Contestant) -> bool {
        match contestant {
            Contestant::Relay
            | Contestant::RelayParked
            | Contestant::Lanes
            | Contestant::Peer(Peer::Redis) => false,
            Contestant::Ringcast(..) => true,
            Contestant::Peer(Peer::Mosquitto) | Contestant::Running(..) => self != Self::Silent,
        }
    }

    /// Who it is compared with: the engine at QoS 0, and others with the engine at the same.
    fn beside(self, contestant: &Contestant) -> Option<&'static str> {
        match (contestant, self) {
            (Contestant::Ringcast(..), Self::AtMostOnce) => None,
            (Contestant::Ringcast(..), _) | (_, Self::AtMostOnce) => Some("ringcast, QoS 0"),
            (_, Self::AtLeastOnce | Self::Silent) => Some("ringcast, QoS 1"),
        }
    }
}

pub(super) fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    let interest = Interest::Wildcard { topics: 1 };
    let subscribers = bench.sizes.subscribers;
    let workload = Workload::new(subscribers, interest, 128, Pace::Outstanding(WINDOW));
    let what = what(&workload);
    for contestant in bench.in_turn() {
        let mut measured = Vec::new();
        for service in in_turn(&Service::ALL, bench.round) {
            if service.suits(&contestant) {
                measured.push((*service, measure(bench, &contestant, &workload, *service)?));
            }
        }
        for (service, throughput) in &measured {
            let mut figures = throughput.figures();
            figures.extend(throughput.server_time());
            if *service == Service::AtLeastOnce {
                figures.extend(acknowledgements_time(&measured));
            }
            let who = format!("{}, {}", contestant.name(), service.name());
            let beside = service.beside(&contestant);
            let rounds = &mut bench.measurement.rounds;
            rounds.record_beside(&what, &who, beside, &figures);
        }
    }
    Ok(())
}

/// The same for all services, so that they are compared.
fn what(workload: &Workload) -> What {
    let mut what = workload.what();
    what.what = format!("QoS 0 and 1: {}", what.what);
    what
}

/// What the server takes more for a delivery when it is acknowledged.
fn acknowledgements_time(measured: &[(Service, Throughput)]) -> Option<Figure> {
    let nanos = |service| {
        let (_, throughput) = measured.iter().find(|(of, _)| *of == service)?;
        Some(throughput.server_time()?.value)
    };
    let nanos = nanos(Service::AtLeastOnce)? - nanos(Service::Silent)?;
    Some(Figure::new("of it for acks", "ns", nanos))
}

fn measure(
    bench: &Bench<'_>,
    contestant: &Contestant,
    workload: &Workload,
    service: Service,
) -> Result<Throughput, Error> {
    let workload = Workload {
        is_acknowledged: service != Service::AtMostOnce,
        ..*workload
    };
    let is_silent = service == Service::Silent;
    let needs = Needs {
        unacknowledged_max: is_silent.then_some(UNACKNOWLEDGED_MAX),
        ..Needs::of(&workload)
    };
    let server = contestant.start(bench.measurement.cores.server, &needs)?;
    let mut run = Run::connect(&server, &workload)?;
    let nanos = bench.nanos(&workload);
    if is_silent {
        outstanding_unacknowledged(&mut run, WINDOW, nanos, UNACKNOWLEDGED_MAX.into())
    } else {
        outstanding(&mut run, WINDOW, nanos, 0)
    }
}
