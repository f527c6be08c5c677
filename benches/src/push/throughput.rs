//! As many messages as go, while so many are published and not yet everywhere: of one
//! topic, of many under one wildcard, and to subscribers with a list of topics each.

use super::Bench;
use crate::error::Error;
use crate::probe::{Interest, Pace, Run, Workload, outstanding};

/// Messages that may be under way: at the first the round trip limits most, at the second
/// the bytes do.
const WINDOWS: [u64; 2] = [64, 512];

/// Bytes of a message.
const PAYLOADS: [usize; 2] = [128, 1_024];

/// With one message at a time a delivery is a send; with more, some share one.
const LIST_WINDOWS: [u64; 2] = [1, 64];

/// Topics on each list.
const LIST_TOPICS: usize = 5;

pub(super) fn run_one_topic(bench: &mut Bench<'_>) -> Result<(), Error> {
    run_wildcard(bench, 1)
}

pub(super) fn run_many_topics(bench: &mut Bench<'_>) -> Result<(), Error> {
    run_wildcard(bench, bench.sizes.topics)
}

fn run_wildcard(bench: &mut Bench<'_>, topics: u32) -> Result<(), Error> {
    let interest = Interest::Wildcard { topics };
    for payload_bytes in PAYLOADS {
        for window in WINDOWS {
            let subscribers = bench.sizes.subscribers;
            let pace = Pace::Outstanding(window);
            let workload = Workload::new(subscribers, interest, payload_bytes, pace);
            for contestant in bench.in_turn() {
                let server = bench.start(&contestant, &workload)?;
                let figures = workload.run(&server, bench.nanos(&workload))?;
                let rounds = &mut bench.measurement.rounds;
                rounds.record(&workload.what(), &contestant.name(), &figures);
            }
        }
    }
    Ok(())
}

pub(super) fn run_watch_lists(bench: &mut Bench<'_>) -> Result<(), Error> {
    let interest = Interest::WatchLists {
        topics: bench.sizes.topics,
        each: LIST_TOPICS,
    };
    for window in LIST_WINDOWS {
        let pace = Pace::Outstanding(window);
        let workload = Workload::new(bench.sizes.lists, interest, PAYLOADS[0], pace);
        for contestant in bench.in_turn() {
            let server = bench.start(&contestant, &workload)?;
            let mut run = Run::connect(&server, &workload)?;
            let throughput = outstanding(&mut run, window, bench.nanos(&workload), 0)?;
            let mut figures = throughput.figures();
            figures.extend(throughput.server_time());
            let rounds = &mut bench.measurement.rounds;
            rounds.record(&workload.what(), &contestant.name(), &figures);
        }
    }
    Ok(())
}
