//! `ringcast-referee FILE`: checks a capture of MQTT traffic against the rules, prints
//! the table of rules and what was broken. `ringcast-referee occasions DIR` adds up
//! what tests have left and names the rules that nobody tried.
//!
//! Exit codes: 0 all is well, 1 a rule was broken or never had its occasion, 2 the
//! input could not be read.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use ringcast_referee::{Event, Private, Referee, Rule, Scope, capture, occasions, trace};

/// Checks a capture of MQTT traffic against the rules of the standard
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    check: Check,
}

#[derive(Subcommand)]
enum Other {
    /// Adds up the occasions that tests have left in a folder; fails if a rule had none
    Occasions {
        /// The folder that RINGCAST_OCCASIONS named
        folder: PathBuf,
        /// Rules that need no occasion
        #[arg(long, value_name = "RULE", value_parser = rule)]
        except: Vec<Rule>,
    },
}

#[derive(Args)]
struct Check {
    /// A trace (its first line is `ringcast-trace 1`), or a capture: pcap or pcapng
    file: Option<PathBuf>,
    /// The server's port in a capture
    #[arg(long, default_value_t = 1883)]
    port: u16,
    /// The capture has every connection since the server's start
    #[arg(long)]
    whole: bool,
    /// Topics that the server itself publishes on, besides $SYS/#
    #[arg(long, value_name = "FILTER")]
    own: Vec<String>,
    /// Topics below PREFIX and a user's name belong to that user
    #[arg(long, value_name = "PREFIX")]
    private: Option<String>,
    /// Judge also what should have come and did not, after so long
    #[arg(long, value_name = "SECONDS")]
    answers: Option<u32>,
}

fn rule(name: &str) -> Result<Rule, &'static str> {
    Rule::named(name).ok_or("there is no such rule")
}

fn main() -> ExitCode {
    let command = Command::parse();
    let verdict = match (&command.other, &command.check.file) {
        (Some(Other::Occasions { folder, except }), _) => add_up(folder, except),
        (None, Some(file)) => check(file, &command.check),
        (None, None) => Err(anyhow::anyhow!("name a FILE, or see --help")),
    };
    match verdict {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("ringcast-referee: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn check(file: &Path, options: &Check) -> anyhow::Result<bool> {
    let events = read(file, options.port).with_context(|| file.display().to_string())?;
    let mut scope = if options.whole {
        Scope::whole()
    } else {
        Scope::part()
    };
    scope.own_topics.extend(options.own.iter().cloned());
    scope.private = options.private.clone().map(|prefix| Private {
        prefix,
        everything: Vec::new(),
    });
    scope.answer_nanos = options
        .answers
        .map(|seconds| u64::from(seconds) * 1_000_000_000);
    let report = Referee::judge(scope, &events);
    print!("{report}");
    Ok(report.violations().is_empty())
}

fn read(file: &Path, port: u16) -> anyhow::Result<Vec<Event>> {
    let mut input = BufReader::new(File::open(file)?);
    if input.fill_buf()?.starts_with(b"ringcast") {
        return Ok(trace::read(input)?);
    }
    let captured = capture::read(input, port)?;
    if captured.headless + captured.gaps > 0 {
        eprintln!(
            "left out: {} connections that began before the capture, {} with bytes missing",
            captured.headless, captured.gaps
        );
    }
    Ok(captured.events)
}

fn add_up(folder: &Path, except: &[Rule]) -> anyhow::Result<bool> {
    let report = occasions::merge(folder).context("no occasions")?;
    for rule in Rule::ALL {
        println!("{rule:<24} {:>10}", report.occasions(*rule));
    }
    let mut missing = report.without_occasion(Rule::ALL);
    missing.retain(|rule| !except.contains(rule));
    for rule in &missing {
        println!("{rule} never had its occasion");
    }
    Ok(missing.is_empty())
}
