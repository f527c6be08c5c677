//! `jitter` and `prove`: the commands that measure.

use anyhow::{Context, Result, bail, ensure};
use ringcast_tune::cpus::CpuSet;
use ringcast_tune::item::Situation;
use ringcast_tune::journal::Journal;
use ringcast_tune::probe::Probe;
use ringcast_tune::prove::{self, Comparison, Rounds};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Rounds of each state where nothing is said: that all of one are below all of the
/// other by chance has a probability of 1 to 1,716.
const ROUNDS: usize = 7;

#[derive(Debug, clap::Args)]
pub(super) struct JitterArguments {
    /// The cores to look at, such as 2-5 [default: those of the plan]
    #[arg(long)]
    cpus: Option<CpuSet>,
    /// How long each of the three probes takes
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often all of it is measured [default: once, and 7 times each to prove]
    #[arg(long)]
    rounds: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ProveArguments {
    #[command(flatten)]
    jitter: JitterArguments,
    /// Compares with this output of `jitter --json`, and changes nothing
    #[arg(long, value_name = "FILE", conflicts_with = "keep")]
    before: Option<PathBuf>,
    /// Leaves the host as it was proved, instead of as it was found
    #[arg(long)]
    keep: bool,
    /// Where the originals are kept [default: /var/lib/ringcast-tune/state.json]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

pub(super) fn jitter(situation: &Situation<'_>, arguments: &JitterArguments) -> Result<Rounds> {
    measure(situation, arguments, arguments.rounds.unwrap_or(1))
}

fn measure(
    situation: &Situation<'_>,
    arguments: &JitterArguments,
    rounds: usize,
) -> Result<Rounds> {
    let probe = arguments.probe(situation)?;
    let rounds = (0..rounds).map(|_| probe.run());
    Ok(Rounds {
        rounds: rounds.collect::<Result<_, _>>()?,
    })
}

/// Against a file, or against what this host is without what `apply` does.
pub(super) fn prove(situation: &Situation<'_>, arguments: &ProveArguments) -> Result<Comparison> {
    let rounds = arguments.jitter.rounds.unwrap_or(ROUNDS);
    if let Some(path) = &arguments.before {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let before: Rounds = serde_json::from_str(&text)
            .with_context(|| format!("{} is no output of `jitter --json`", path.display()))?;
        return Ok(Comparison::of(
            &before,
            &measure(situation, &arguments.jitter, rounds)?,
        ));
    }
    let probe = arguments.jitter.probe(situation)?;
    let path = arguments
        .state
        .clone()
        .unwrap_or_else(|| Journal::place(situation.host));
    let mut journal = Journal::open(&path)?;
    let measure = || probe.run();
    let (before, after) =
        prove::alternate(situation, &mut journal, rounds, arguments.keep, measure)?;
    Ok(Comparison::of(&before, &after))
}

impl JitterArguments {
    fn probe(&self, situation: &Situation<'_>) -> Result<Probe> {
        if !situation.host.is_this_machine() {
            bail!("only the machine that this runs on can be measured: leave --root out");
        }
        ensure!(
            self.rounds != Some(0) && self.seconds > 0,
            "nothing is measured in no time"
        );
        let cpus = self.cpus.clone().unwrap_or_else(|| situation.plan.busy());
        let missing = cpus.minus(&situation.topology.allowed);
        ensure!(
            missing.is_empty(),
            "there is no CPU {missing} here, or this process may not use it"
        );
        ensure!(!cpus.is_empty(), "no core to look at");
        // Another core wakes them, if there is one.
        let others = situation.plan.housekeeping.minus(&cpus);
        let others = if others.is_empty() {
            situation.topology.allowed.minus(&cpus)
        } else {
            others
        };
        let partner = others
            .iter()
            .chain(cpus.iter())
            .next()
            .context("no core to look from")?;
        Ok(Probe {
            cpus,
            partner,
            duration: Duration::from_secs(self.seconds),
        })
    }
}
