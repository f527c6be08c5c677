//! Fixed rates while some stop reading: what the others notice of it, and what memory it
//! takes.

use super::Bench;
use super::sizes::Stalled;
use crate::contestant::{Contestant, Server};
use crate::error::Error;
use crate::memory::socket_bytes;
use crate::probe::{Interest, Pace, Run, Workload, per_second};
use crate::report::Figure;

/// How many times longer than other open loops: a stalled client lags only after some
/// hundred KiB, and what is measured is the time from then on.
const TIMES_LONGER: u64 = 4;

/// Topics under the wildcard: what is conflated is the newest of each.
const TOPICS: u32 = 100;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Stalled {
        subscribers,
        per_second,
        stalled,
    } = bench.sizes.stalled;
    let interest = Interest::Wildcard { topics: TOPICS };
    let workload = Workload::new(subscribers, interest, 128, Pace::PerSecond(per_second));
    for contestant in bench.in_turn() {
        let name = contestant.name();
        for (stalled, beside) in bench.pair((0, None), (stalled, Some(&*name))) {
            if !bench.bears(&contestant, stalled > 0) {
                continue;
            }
            let figures = measure(bench, &contestant, &workload, stalled)?;
            let who = match stalled {
                0 => name.clone(),
                _ => format!("{name}, {stalled} stall"),
            };
            let rounds = &mut bench.measurement.rounds;
            rounds.record_beside(&workload.what(), &who, beside, &figures);
        }
    }
    Ok(())
}

fn measure(
    bench: &Bench<'_>,
    contestant: &Contestant,
    workload: &Workload,
    stalled: usize,
) -> Result<Vec<Figure>, Error> {
    let Pace::PerSecond(rate) = workload.pace else {
        unreachable!("it has a rate");
    };
    let server = bench.start_lagging(contestant, workload)?;
    let mut run = Run::connect(&server, workload)?;
    let mut before = None;
    let nanos = TIMES_LONGER * bench.nanos(workload);
    let latencies = per_second(&mut run, rate, nanos, |run| {
        run.stall(stalled)?;
        before = Some(Held::look(&server)?);
        Ok(())
    })?;
    let after = Held::look(&server)?;
    let before = before.expect("it was looked at");
    let mut figures = latencies.figures();
    figures.extend([
        Figure::new("mean", "ns", latencies.mean_nanos()),
        Figure::new("resident grew", "B", after.resident - before.resident),
        Figure::new("sockets grew", "B", after.sockets - before.sockets),
    ]);
    if stalled > 0 {
        let published = run.publisher.published();
        let connected = run.subscribers.check_stalled(published)?;
        figures.push(Figure::new("connected", "stalled", connected as f64));
    }
    Ok(figures)
}

/// Bytes of the server's memory, and of all sockets of the host.
struct Held {
    resident: f64,
    sockets: f64,
}

impl Held {
    fn look(server: &Server) -> Result<Self, Error> {
        let sockets = socket_bytes().map_err(Error::system("reading /proc/net/sockstat"))?;
        Ok(Self {
            resident: server.resident_bytes()?.unwrap_or(0) as f64,
            sockets: sockets as f64,
        })
    }
}
