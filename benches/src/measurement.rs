//! What every measurement of several rounds has: its options, how long everything takes,
//! who comes when, and what is told in the end.
//!
//! Within a round those who are compared do the same thing one right after the other,
//! and who begins changes from round to round.

use crate::environment::{Environment, cores, make_room};
use crate::error::Error;
use crate::machine::Cores;
use crate::probe::Pace;
use crate::report::{Rounds, Row, Table};
use serde::Serialize;
use std::fs;
use std::path::PathBuf;

/// Rounds of a whole run: fewer do not tell apart what is less than 8 % apart.
const ROUNDS: usize = 7;

/// What all subcommands that measure know.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// A short run whose figures mean little: two rounds, short ones
    #[arg(long)]
    pub(crate) quick: bool,
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

/// How long everything takes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Scale {
    pub(crate) rounds: usize,
    /// Of each bare loop, in a round.
    pub(crate) bare_nanos: u64,
    /// Of each workload without a clock of its own.
    pub(crate) throughput_nanos: u64,
    /// Of each open loop.
    pub(crate) latency_nanos: u64,
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
                throughput_nanos: 1_500_000_000,
                latency_nanos: 3_600_000_000,
            }
        }
    }

    /// How long a workload takes.
    pub(crate) fn nanos(&self, pace: Pace) -> u64 {
        match pace {
            Pace::OneByOne | Pace::Outstanding(_) => self.throughput_nanos,
            Pace::PerSecond(_) => self.latency_nanos,
        }
    }
}

/// One that goes on.
pub(crate) struct Measurement<'a> {
    common: &'a Common,
    environment: Environment,
    pub(crate) cores: Cores,
    pub(crate) scale: Scale,
    pub(crate) rounds: Rounds,
}

/// All that is written for programs.
#[derive(Debug, Serialize)]
struct Report {
    environment: Environment,
    scale: Scale,
    rows: Vec<Row>,
}

impl<'a> Measurement<'a> {
    /// Says where it is made. From now on this thread is on the probe's processor, and one
    /// end of so many connections fits into each process.
    pub(crate) fn begin(common: &'a Common, connections_max: u64) -> Result<Self, Error> {
        let cores = cores(&common.cores)?;
        make_room(connections_max)?;
        let environment = Environment::look(cores);
        println!("{environment}\n");
        // Whatever this process does itself is the probe's part.
        cores.probe.pin();
        Ok(Self {
            common,
            environment,
            cores,
            scale: Scale::new(common),
            rounds: Rounds::default(),
        })
    }

    /// Tells all of it.
    pub(crate) fn end(self) -> Result<(), Error> {
        let rows = self.rounds.rows();
        print!("{}", Table(&rows));
        let Some(file) = &self.common.json else {
            return Ok(());
        };
        let report = Report {
            environment: self.environment,
            scale: self.scale,
            rows,
        };
        let json = serde_json::to_string_pretty(&report).expect("a report has no odd keys");
        fs::write(file, json + "\n").map_err(Error::system("writing the JSON"))
    }
}

/// All of them, beginning with another one in each round.
pub(crate) fn in_turn<T>(all: &[T], round: usize) -> impl Iterator<Item = &T> {
    let first = round.checked_rem(all.len()).unwrap_or(0);
    all[first..].iter().chain(&all[..first])
}

#[cfg(test)]
mod tests {
    use super::in_turn;

    #[test]
    fn who_begins_changes() {
        let turns = |round| Vec::from_iter(in_turn(&['a', 'b', 'c'], round).copied());
        assert_eq!(turns(0), ['a', 'b', 'c']);
        assert_eq!(turns(4), ['b', 'c', 'a']);
        assert_eq!(in_turn::<char>(&[], 1).count(), 0);
    }
}
