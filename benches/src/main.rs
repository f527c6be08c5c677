//! What this machine can do with nothing around it, and what servers make of that.
//!
//! One program: `limits` runs the bare loops and the servers that it starts itself,
//! `push` the engine beside them, `probe` measures a server that runs already. All start
//! this same program again for the other side of a measurement.

#![deny(unsafe_code)]

mod child;
mod clock;
mod contestant;
mod crowd;
mod environment;
mod error;
mod limits;
mod lost;
mod machine;
mod measurement;
mod memory;
mod probe;
mod push;
mod relay;
mod report;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// What a push can cost on this machine, and what it costs.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The machine with nothing around it, and the bare relay
    Limits(limits::LimitsArguments),
    /// A server that runs already, with the same workloads
    Probe(limits::ProbeArguments),
    /// The push engine beside the bare relay, and other servers
    Push(push::Arguments),
    /// Very many clients that connect to a door as fast as they can, stay, and leave
    Crowd(crowd::Arguments),
    /// What a crowd meets, as a child of this program
    #[command(hide = true)]
    CrowdServer(crowd::server::Arguments),
    /// The bare relay, as a child of this program
    #[command(hide = true)]
    Relay(relay::Arguments),
    /// Bare sends, as a child of this program
    #[command(hide = true)]
    Sender(machine::sender::Arguments),
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        Command::Limits(arguments) => limits::run(&arguments),
        Command::Probe(arguments) => limits::probe(&arguments),
        Command::Push(arguments) => push::run(&arguments),
        Command::Crowd(arguments) => crowd::run(&arguments),
        Command::CrowdServer(arguments) => crowd::server::run(&arguments),
        Command::Relay(arguments) => relay::run(&arguments),
        Command::Sender(arguments) => machine::sender::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringcast-benches: {error}");
            ExitCode::FAILURE
        }
    }
}
