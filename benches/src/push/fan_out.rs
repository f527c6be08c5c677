//! One message to everybody: how long from its first receipt to its last, beside a bare
//! loop of sends.

use super::Bench;
use crate::error::Error;
use crate::limits::what;
use crate::machine::fan_out::{FanOut, MESSAGE_BYTES};
use crate::machine::sender::Method;
use crate::probe::{Interest, Pace, Workload};
use crate::report::Figure;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    for subscribers in bench.sizes.fan_out {
        let workload = Workload::new(subscribers, Interest::Topic, MESSAGE_BYTES, Pace::OneByOne);
        let what = what(&workload);
        let bare = FanOut {
            method: Method::IoUring,
            sockets: subscribers,
            messages: 1,
        };
        let measurement = &mut bench.measurement;
        let figures = bare.run(measurement.cores, measurement.scale.bare_nanos)?;
        measurement
            .rounds
            .record(&what, bare.method.name(), &figures);
        for contestant in bench.in_turn() {
            let server = bench.start(&contestant, &workload)?;
            let mut figures = workload.run(&server, bench.nanos(&workload))?;
            figures.insert(0, per_send(&figures, subscribers));
            let rounds = &mut bench.measurement.rounds;
            rounds.record(&what, &contestant.name(), &figures);
        }
    }
    Ok(())
}

/// What a server's sends took each can only be told from outside.
fn per_send(figures: &[Figure], subscribers: usize) -> Figure {
    let spread = figures.iter().find(|figure| figure.name == "first to last");
    let nanos = spread.expect("is one of them").value;
    Figure::new("per send", "ns", nanos / subscribers as f64)
}
