//! ringcast, the binary: reads the command line and runs what it names.

#![forbid(unsafe_code)]

mod tap;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Market data from one feed to very many clients.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads a live ring from outside and prints its records, one to a line
    Tap(tap::Arguments),
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        Command::Tap(arguments) => tap::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringcast: {error:#}");
            ExitCode::FAILURE
        }
    }
}
