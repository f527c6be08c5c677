//! The probe: a publisher and its subscribers in one thread on one core, in front of
//! any server that forwards messages.
//!
//! It never sleeps, so nothing is added by being woken. It says how much of its time it
//! was busy: near all of it, and the figure may be the probe's own. Every message is
//! looked at where it arrives; one that is lost, repeated, out of order or foreign ends
//! the run with an error.

mod acknowledgements;
mod dialect;
mod draw;
mod expected;
mod form;
pub(crate) mod mqtt;
mod paces;
mod publisher;
mod resp;
mod run;
mod subscribers;
#[cfg(test)]
mod tests;
mod traffic;
mod transcript;
mod workload;

pub(crate) use dialect::{Dialect, Greeting};
pub(crate) use draw::{Draws, Popularity};
pub(crate) use form::{Form, STAMP_BYTES, Stamp, TOPIC_AT};
pub(crate) use paces::{
    Latencies, Throughput, one_by_one, outstanding, outstanding_unacknowledged, per_second,
};
pub(crate) use run::{Beside, Moment, Run};
pub(crate) use subscribers::{Subscribers, connect};
pub(crate) use traffic::{Interest, Traffic, Wanted};
pub(crate) use workload::{Pace, Workload};

use crate::error::Error;
use crate::report::Figure;
use std::net::SocketAddr;

/// A server under test, as the probe sees it.
pub(crate) trait Target {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// What it speaks.
    fn dialect(&self) -> Dialect;
    /// Nanoseconds of processor time that it used so far, if that can be told.
    fn cpu_nanos(&self) -> Option<u64>;
    /// Nanoseconds so far in which it would have run, and others did, if that can be told.
    fn lost_nanos(&self) -> Option<i64> {
        None
    }
    /// What it tells of the stages inside it, if it does.
    fn stages(&self) -> Result<Option<Stages>, Error> {
        Ok(None)
    }
}

/// How long messages were in each stage inside a server, counted since it started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stages {
    /// Of each stage: the sum in seconds, and of how many messages.
    pub(crate) sums: [(f64, f64); 2],
}

impl Stages {
    /// The sum of the means of all stages, in nanoseconds, since an earlier look.
    pub(crate) fn means_nanos_since(&self, earlier: &Self) -> f64 {
        let stages = self.sums.iter().zip(&earlier.sums);
        let means = stages.map(|((seconds, count), (seconds_before, count_before))| {
            (seconds - seconds_before) / (count - count_before).max(1.0)
        });
        means.sum::<f64>() * 1e9
    }
}

impl Workload {
    /// Runs it for so many nanoseconds, and returns its figures.
    pub(crate) fn run(&self, target: &dyn Target, nanos: u64) -> Result<Vec<Figure>, Error> {
        let mut run = Run::connect(target, self)?;
        Ok(match self.pace {
            Pace::OneByOne => one_by_one(&mut run, nanos)?.figures(),
            Pace::Outstanding(window) => outstanding(&mut run, window, nanos, 0)?.figures(),
            Pace::PerSecond(rate) => per_second(&mut run, rate, nanos, |_| Ok(()))?.figures(),
        })
    }
}
