//! From publish to receipt at fixed rates, and where the time goes: what the stages inside
//! the engine take in the mean, together with what the bare relay takes, which is all that
//! is not inside.

use super::Bench;
use crate::error::Error;
use crate::probe::{Interest, Latencies, Pace, Run, Workload, per_second};
use crate::report::Figure;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    for (subscribers, rate) in bench.sizes.latency {
        let workload = Workload::new(subscribers, Interest::Topic, 128, Pace::PerSecond(rate));
        let mut measured = Vec::new();
        for contestant in bench.in_turn() {
            let server = bench.start(&contestant, &workload)?;
            let mut run = Run::connect(&server, &workload)?;
            let latencies = per_second(&mut run, rate, bench.nanos(&workload), |_| Ok(()))?;
            measured.push((contestant.name(), latencies));
        }
        let relay = measured.iter().find(|(name, _)| name == "relay");
        let relay_nanos = relay.expect("is always there").1.mean_nanos();
        for (name, latencies) in &measured {
            let figures = figures(latencies, relay_nanos);
            let rounds = &mut bench.measurement.rounds;
            rounds.record(&workload.what(), name, &figures);
        }
    }
    Ok(())
}

fn figures(latencies: &Latencies, relay_nanos: f64) -> Vec<Figure> {
    let mean_nanos = latencies.mean_nanos();
    let mut figures = latencies.figures();
    figures.push(Figure::new("mean", "ns", mean_nanos));
    if let Some(stages_nanos) = latencies.stages_nanos {
        let explained = (stages_nanos + relay_nanos) / mean_nanos;
        figures.extend([
            // No message may have been in a stage, in a clock's sense.
            Figure::new("stages, mean", "ns", stages_nanos.max(1.0)),
            Figure::new("relay, mean", "ns", relay_nanos),
            Figure::new("both", "of the mean", explained),
        ]);
    }
    figures
}
