//! ringcast-loadgen, the program: reads the command line and runs what it names.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use ringcast_loadgen::command::{
    RunArguments, ScenarioArguments, ScenarioError, SearchArguments, preset_toml, presets,
};
use ringcast_loadgen::report::{Table, Verdict, compare, write_files};
use ringcast_loadgen::results::Results;
use ringcast_loadgen::scenario::Scenario;
use ringcast_loadgen::{RunError, join, measure_capacity, run};
use std::process::ExitCode;

/// Very many clients of any MQTT broker, and figures that can be defended.
///
/// Ends with 0 if all was right, 1 if something was wrong, missing or too slow, and 2 if
/// there was no run.
#[derive(Debug, Parser)]
#[command(
    name = "ringcast-loadgen",
    version,
    max_term_width = 100,
    args_override_self = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scenario
    Run {
        #[command(flatten)]
        scenario: Box<ScenarioArguments>,
        #[command(flatten)]
        run: RunArguments,
    },
    /// Searches the highest rate at which the response time stays below a limit
    Search {
        #[command(flatten)]
        scenario: Box<ScenarioArguments>,
        #[command(flatten)]
        search: SearchArguments,
        #[command(flatten)]
        run: RunArguments,
    },
    /// Takes part in a run that another process coordinates
    Join {
        /// Where that is
        #[arg(value_name = "HOST:PORT")]
        address: String,
    },
    /// Lists the scenarios that come with the program, or prints one as a file
    Presets {
        /// Which one
        name: Option<String>,
    },
    /// Prints a scenario as it would be run, if it can be
    Check {
        #[command(flatten)]
        scenario: Box<ScenarioArguments>,
    },
    /// Measures what the generator itself can receive and check on one processor
    Capacity {
        /// Bytes of each message
        #[arg(long, value_name = "BYTES", default_value_t = 128)]
        payload: u32,
    },
    /// Compares two results
    Compare(compare::Arguments),
}

fn main() -> ExitCode {
    match execute(CommandLine::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ringcast-loadgen: {error}");
            ExitCode::from(2)
        }
    }
}

fn execute(command: Command) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match command {
        Command::Run { scenario, run } => tell(scenario.scenario()?, &run),
        Command::Search {
            scenario,
            search,
            run,
        } => {
            let mut scenario = scenario.scenario()?;
            search.change(&mut scenario);
            tell(scenario, &run)
        }
        Command::Join { address } => {
            join(&address)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Presets { name: None } => {
            for (name, about) in presets() {
                println!("{name}\n    {about}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Presets { name: Some(name) } => {
            print!(
                "{}",
                preset_toml(&name).ok_or(ScenarioError::Unknown(name))?
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { scenario } => {
            let scenario = scenario.scenario()?;
            scenario.check()?;
            print!("{}", scenario.to_toml());
            Ok(ExitCode::SUCCESS)
        }
        Command::Capacity { payload } => {
            print!("{}", measure_capacity(payload)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Compare(arguments) => {
            let comparison = arguments.compare()?;
            print!("{comparison}");
            Ok(ExitCode::from(u8::from(comparison.is_worse())))
        }
    }
}

/// Runs a scenario, and tells what came of it.
fn tell(
    scenario: Scenario,
    arguments: &RunArguments,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (strict, checks) = (scenario.checks.strict, scenario.checks.clone());
    let results: Results = run(scenario, &arguments.options()).map_err(|error: RunError| error)?;
    print!("{}", Table(&results));
    if let Some(folder) = &arguments.out {
        write_files(folder, &results)?;
    }
    let verdict = Verdict::of(&results);
    let response = results
        .response
        .unpack()
        .value_at_percentile(checks.percentile);
    let limit = checks.response_max;
    let is_slow = !limit.is_zero() && response > limit.nanos();
    if is_slow {
        eprintln!(
            "ringcast-loadgen: p{} of the response time is above {limit}",
            checks.percentile
        );
    }
    let failed = is_slow || !verdict.violations.is_empty() || strict && !verdict.doubts.is_empty();
    Ok(ExitCode::from(u8::from(failed)))
}
