//! ringcast, the binary: reads the command line and runs what it names.

#![forbid(unsafe_code)]

mod admin;
mod bell;
mod client;
mod demo;
mod engine;
mod executor;
mod health;
mod log;
mod meters;
mod metrics;
mod plan;
mod publish;
mod readable;
mod reference;
mod serve;
mod settings;
mod sub;
mod sys;
mod tap;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::path::PathBuf;
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
    /// Runs the engine
    Serve(Serve),
    /// Runs the engine on loopback with a recording, and prints how to look at it
    Demo(demo::Arguments),
    /// Subscribes by MQTT and prints what comes, one message to a line: topic, payload
    Sub(sub::Arguments),
    /// Publishes a message by MQTT, or every line of standard input
    Pub(publish::Arguments),
    /// Reads a live ring from outside and prints its records, one to a line
    Tap(tap::Arguments),
    /// Prints a part of the book that is made from the code, or renews it in its page
    #[command(hide = true)]
    Reference {
        part: reference::Part,
        page: Option<PathBuf>,
    },
}

/// The options of `ringcast serve`.
#[derive(Debug, clap::Args)]
struct Serve {
    #[command(flatten)]
    sources: settings::Sources,
    /// Says whether the settings are right, and starts nothing
    #[arg(long)]
    check: bool,
    /// Prints the settings as they take effect, in TOML, and starts nothing
    #[arg(long)]
    print_config: bool,
}

fn main() -> ExitCode {
    match run(CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be there to read it.
            let _ = writeln!(io::stderr(), "ringcast: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve(arguments) => serve(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Sub(arguments) => sub::run(&arguments),
        Command::Pub(arguments) => publish::run(&arguments),
        Command::Tap(arguments) => tap::run(&arguments),
        Command::Reference { part, page: None } => print(&part.text()),
        Command::Reference {
            part,
            page: Some(page),
        } => part
            .renew(&page)
            .with_context(|| page.display().to_string()),
    }
}

fn serve(arguments: &Serve) -> Result<()> {
    let settings = arguments.sources.load()?;
    if arguments.print_config {
        print(settings.to_toml().trim_end())?;
    }
    if arguments.print_config && !arguments.check {
        return Ok(());
    }
    let plan = plan::Plan::of_this_machine(&settings)?;
    if arguments.check {
        // On standard error, for what was printed may be read by a program.
        let _ = writeln!(io::stderr(), "the settings are right");
        return Ok(());
    }
    serve::run(&settings, &arguments.sources, &plan)
}

/// A last line end behind it; whoever reads may have seen enough before.
fn print(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}
