//! What an idle, subscribed connection costs a server in resident memory: one that has very
//! many, less one that has few, divided by how many more that are. So whatever a server
//! reserves for connections counts, and what it needs anyhow does not.

use super::Bench;
use crate::contestant::{Contestant, Needs, Slow};
use crate::crowd::clients::{Clients, Entrance};
use crate::error::Error;
use crate::probe::{Draws, Popularity, Target, Wanted};
use crate::report::{Figure, What};
use std::collections::BTreeMap;

/// Rounds after which the figure is known: memory does not drift.
const ROUNDS_MAX: usize = 3;

/// How many topics there are to choose from.
const TOPICS: u32 = 1_000;

/// The same lists in each round.
const SEED: u64 = 0x1D1E;

/// Filters of each: one for all, or so many of its own.
const FILTERS: [usize; 2] = [1, 5];

pub(super) fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    if bench.round >= ROUNDS_MAX {
        return Ok(());
    }
    let sizes = bench.sizes.memory;
    for filters in FILTERS {
        for contestant in bench.in_turn() {
            let many = match contestant {
                Contestant::Relay | Contestant::RelayParked | Contestant::Lanes => continue,
                Contestant::Ringcast(..) => sizes.many,
                Contestant::Peer(_) | Contestant::Running(..) => sizes.many.min(sizes.others_max),
            };
            let more = resident_bytes(bench, &contestant, many, filters)?;
            let less = resident_bytes(bench, &contestant, sizes.few, filters)?;
            let each = (more - less) / f64::from(many - sizes.few);
            let figures = [
                Figure::new("each", "B", each),
                Figure::new("resident", "B", more),
            ];
            let what = what(many, filters);
            let rounds = &mut bench.measurement.rounds;
            rounds.record(&what, &contestant.name(), &figures);
        }
    }
    Ok(())
}

fn what(connections: u32, filters: usize) -> What {
    let of = match filters {
        1 => "of a wildcard".to_owned(),
        _ => format!("with {filters} of {TOPICS} topics"),
    };
    What {
        what: format!("{connections} idle {of}"),
        parameters: BTreeMap::from([
            ("connections", u64::from(connections)),
            ("filters", filters as u64),
        ]),
    }
}

/// Of a server with so many connections, all of them subscribed.
fn resident_bytes(
    bench: &mut Bench<'_>,
    contestant: &Contestant,
    connections: u32,
    filters: usize,
) -> Result<f64, Error> {
    let needs = Needs {
        connections: connections as usize,
        subscriptions: connections as usize * filters,
        by_topic: false,
        payload_bytes: 128,
        slow: Slow::Queue,
        unacknowledged_max: None,
    };
    let server = contestant.start(bench.measurement.cores.server, &needs)?;
    let dialect = server.dialect();
    bench.crowds = bench.crowds.wrapping_add(1);
    let mut clients = Clients::new(server.address(), connections, bench.crowds)?;
    let popularity = Popularity::even(TOPICS);
    let greeting = |client: u32| {
        let mut draws = Draws::new(SEED + u64::from(client));
        let list = popularity.draw_different(&mut draws, filters);
        let wanted = match filters {
            1 => Wanted::All,
            _ => Wanted::Topics(&list),
        };
        dialect.greeting(client as usize, wanted)
    };
    clients.connect(&Entrance::Greeted(&greeting))?;
    let bytes = server.resident_bytes()?;
    clients.leave()?;
    Ok(bytes.expect("its process is ours") as f64)
}
