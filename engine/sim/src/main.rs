//! The command: one seed, many seeds, or seeds until it is stopped.

#![forbid(unsafe_code)]

use clap::Parser;
use ringcast_sim::kind::{Counts, Kind};
use ringcast_sim::run::{Failure, Outcome, Plan};
use ringcast_sim::shrink::shrink;
use ringcast_sim::trace_hash::TraceHash;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

/// Runs whole engines under virtual time and injected faults, from a seed.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The first seed: a number, or any text, such as the hash of a commit.
    #[arg(long, default_value = "1")]
    seed: String,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Goes on until it is stopped or a seed fails.
    #[arg(long)]
    forever: bool,
    /// Steps of each run, before everything is made to come right.
    #[arg(long, default_value_t = 3_000)]
    steps: u64,
    /// Faults and actions that are left out.
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    without: Vec<Kind>,
    /// Single actions that are left out, by their numbers or first-last.
    #[arg(long, value_delimiter = ',', value_parser = range)]
    skip: Vec<(u64, u64)>,
    /// Looks for a smaller run that fails, too.
    #[arg(long)]
    shrink: bool,
    /// Fails if any kind of fault or change never happened in all of the runs.
    #[arg(long)]
    all_kinds: bool,
    /// Runs all seeds though some fail, and prints the first line of each failure.
    #[arg(long)]
    keep_going: bool,
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::named(name).ok_or_else(|| format!("there is no kind {name}"))
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
    Ok((number(first)?, number(last)?))
}

/// A number is itself; any other text stands for one.
fn seed(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| {
        let mut hash = TraceHash::default();
        hash.bytes(text.as_bytes());
        // Short enough to be typed.
        hash.value() >> 32
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.seeds > 1 || arguments.forever || arguments.shrink {
        // A panic of the engine is told with its seed. Of a single run it is worth knowing
        // from where it comes, too.
        std::panic::set_hook(Box::new(|_| {}));
    }
    let first = seed(&arguments.seed);
    let began = Instant::now();
    let mut counts = Counts::default();
    let (mut runs, mut steps, mut failed) = (0, 0, 0_u64);
    while arguments.forever || runs < arguments.seeds {
        let plan = Plan {
            seed: first.wrapping_add(runs),
            steps: arguments.steps,
            without: arguments.without.clone(),
            skipped: skipped(&arguments.skip),
        };
        runs += 1;
        let outcome = plan.run();
        counts.merge(&outcome.counts);
        steps += outcome.steps;
        if arguments.seeds == 1 && !arguments.forever {
            println!("trace hash: {:016x}", outcome.hash);
        }
        if let Some(failure) = &outcome.failure {
            failed += 1;
            if arguments.keep_going {
                println!(
                    "seed {}, step {}: {}",
                    plan.seed, failure.step, failure.what
                );
                continue;
            }
            tell(&plan, &outcome, failure, arguments.shrink);
            break;
        }
        if runs.is_multiple_of(1_000) {
            println!("{runs} runs, {} s", began.elapsed().as_secs());
        }
    }
    let seconds = began.elapsed().as_secs().max(1);
    print!("{counts}");
    println!(
        "seeds {first} to {}: {runs} runs, {steps} steps, {} steps/s, {failed} failed",
        first.wrapping_add(runs - 1),
        steps / seconds
    );
    let never = counts.never();
    if arguments.all_kinds && failed == 0 && !never.is_empty() {
        let names: Vec<_> = never.iter().map(|kind| kind.name()).collect();
        println!("these never happened: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Tells of a failure, and how to see it again.
fn tell(plan: &Plan, outcome: &Outcome, failure: &Failure, shrinks: bool) {
    print_failure(plan, failure);
    if shrinks {
        println!("\nsmaller:");
        let (plan, outcome) = shrink(plan, outcome.clone(), Plan::run);
        if let Some(failure) = &outcome.failure {
            print_failure(&plan, failure);
        }
    }
}

/// The notes of a failure that are printed.
const NOTES_TOLD: usize = 40;

fn print_failure(plan: &Plan, failure: &Failure) {
    let first = failure.notes.len().saturating_sub(NOTES_TOLD);
    for note in &failure.notes[first..] {
        println!("{note}");
    }
    println!(
        "seed {}, step {}: {}",
        plan.seed, failure.step, failure.what
    );
    let mut command = format!("--seed {} --steps {}", plan.seed, plan.steps);
    if !plan.without.is_empty() {
        let names: Vec<_> = plan.without.iter().map(|kind| kind.name()).collect();
        command += &format!(" --without {}", names.join(","));
    }
    if !plan.skipped.is_empty() {
        command += &format!(" --skip {}", ranges(&plan.skipped).join(","));
    }
    println!("again: cargo run --profile sim -p ringcast-sim -- {command}");
}

fn skipped(ranges: &[(u64, u64)]) -> BTreeSet<u64> {
    let numbers = ranges.iter().flat_map(|(first, last)| *first..=*last);
    numbers.collect()
}

/// Numbers as first-last, where several follow each other.
fn ranges(numbers: &BTreeSet<u64>) -> Vec<String> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let written = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::{range, ranges, seed, skipped};

    #[test]
    fn what_is_skipped_is_written_as_it_is_read() {
        let text = "1,3-5,9";
        let read: Vec<_> = text.split(',').map(|part| range(part).unwrap()).collect();
        assert_eq!(ranges(&skipped(&read)).join(","), text);
        assert!(range("3-x").is_err());
    }

    #[test]
    fn any_text_is_a_seed() {
        assert_eq!(seed("17"), 17);
        assert_ne!(seed("a1b2c3"), seed("a1b2c4"));
    }
}
