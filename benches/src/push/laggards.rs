//! As many messages as go to those who read, while very many others never do: they must
//! cost nothing per message.

use super::Bench;
use super::sizes::Laggards;
use crate::error::Error;
use crate::probe::{Interest, Pace, Run, Workload, outstanding};
use crate::report::Figure;

const TOPICS: u32 = 100;

const WINDOW: u64 = 512;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Laggards {
        subscribers,
        laggards,
        fill_bytes,
    } = bench.sizes.laggards;
    let interest = Interest::Wildcard { topics: TOPICS };
    let alone = Workload::new(subscribers, interest, 128, Pace::Outstanding(WINDOW));
    let crowded = Workload { laggards, ..alone };
    let fill = fill_bytes / alone.payload_bytes as u64;
    for contestant in bench.in_turn() {
        let name = contestant.name();
        for (workload, beside) in bench.pair((alone, None), (crowded, Some(&*name))) {
            if !bench.bears(&contestant, workload.laggards > 0) {
                continue;
            }
            let server = bench.start_lagging(&contestant, &workload)?;
            let mut run = Run::connect(&server, &workload)?;
            let nanos = bench.nanos(&workload);
            let mut figures = outstanding(&mut run, WINDOW, nanos, fill)?.figures();
            let mut who = name.clone();
            if workload.laggards > 0 {
                let published = run.publisher.published();
                let connected = run.subscribers.check_stalled(published)?;
                figures.push(Figure::new("connected", "laggards", connected as f64));
                who = format!("{name}, {} lag", workload.laggards);
            }
            let rounds = &mut bench.measurement.rounds;
            rounds.record_beside(&alone.what(), &who, beside, &figures);
        }
    }
    Ok(())
}
