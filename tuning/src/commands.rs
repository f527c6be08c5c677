//! The commands: what each takes, and what it prints.

mod measure;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use ringcast_tune::apply::{self, Outcome, changes};
use ringcast_tune::check::Report;
use ringcast_tune::cpus::CpuSet;
use ringcast_tune::host::Host;
use ringcast_tune::item::{self, Fix, Item, Situation};
use ringcast_tune::journal::{Entry, Journal};
use ringcast_tune::plan::{Cores, Target};
use ringcast_tune::prove::Verdict;
use ringcast_tune::script::script;
use ringcast_tune::start::mismatches;
use ringcast_tune::topology::Topology;
use ringcast_tune::unit::units;
use serde::Serialize;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

/// Looks at a host for ringcast: plans its cores, says what is wrong, mends it, undoes it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Common {
    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,
    /// Looks at a copy of a host's /proc and /sys below this folder
    #[arg(long, global = true, default_value = "/", value_name = "FOLDER")]
    root: PathBuf,
    /// Connections at the same time
    #[arg(long, global = true, default_value_t = Target::default().connections)]
    connections: u64,
    /// Shards [default: as many as the connections need]
    #[arg(long, global = true)]
    shards: Option<usize>,
    /// The engine's cores are not those of the plan: ingest is on this one
    #[arg(long, global = true, value_name = "CPU", requires = "shard_cpus")]
    ingest_cpu: Option<usize>,
    /// And the shards are on these, such as 3-9,12
    #[arg(long, global = true, value_name = "CPUS", requires = "ingest_cpu")]
    shard_cpus: Option<CpuSet>,
    /// The network card that clients come in by [default: the fastest that is up]
    #[arg(long, global = true)]
    nic: Option<String>,
    /// Clients come from the internet, not from the same network
    #[arg(long, global = true)]
    wide_area: bool,
    /// Ports that the engine listens on
    #[arg(long, global = true, value_delimiter = ',', default_values_t = Target::default().ports)]
    ports: Vec<u16>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the host is: cores, caches, memory nodes, network cards, limits
    Topology,
    /// Which core should do what, and the memory it takes; prints the engine's settings
    Plan,
    /// What is as it should be and what is not, why it matters, how to mend it
    Check(CheckArguments),
    /// Changes what `revert` can undo: all items that are off, or these
    Apply(ApplyArguments),
    /// Puts back what `apply` changed: all of it, or these items
    Revert(RevertArguments),
    /// Files that keep the host so: unit, sysctl.d, tmpfiles.d, kernel command line
    Unit(UnitArguments),
    /// Measures how long cores are taken away, how long they take to wake, a round trip
    Jitter(measure::JitterArguments),
    /// Measures with and without what `apply` does, in turn, and compares
    Prove(measure::ProveArguments),
}

#[derive(Debug, Args)]
struct CheckArguments {
    /// Judges the limits of this process instead of those of this shell
    #[arg(long, value_name = "PROCESS")]
    pid: Option<u32>,
}

#[derive(Debug, Args)]
struct ApplyArguments {
    /// Items by name, as `check` prints them
    items: Vec<String>,
    /// Prints what would change, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Writes a shell script instead, network cards included; - prints it
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    output_script: Option<PathBuf>,
    /// Where the originals are kept [default: /var/lib/ringcast-tune/state.json]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RevertArguments {
    /// Items by name, as `check` prints them
    items: Vec<String>,
    /// Also what somebody else changed since
    #[arg(long)]
    force: bool,
    /// Where the originals are kept [default: /var/lib/ringcast-tune/state.json]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct UnitArguments {
    /// Writes the files into this folder, instead of printing them
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

impl CommandLine {
    /// Whether all is well.
    pub(crate) fn run(&self) -> Result<bool> {
        let common = &self.common;
        let host = Host::at(&common.root);
        if let Command::Revert(arguments) = &self.command {
            return revert(&host, arguments);
        }
        let topology = Topology::read(&host).context("this host cannot be described")?;
        let target = common.target();
        match &self.command {
            Command::Topology => {
                common.print(&topology)?;
                Ok(true)
            }
            Command::Plan => {
                let plan = common.situation(&host, &topology, &target)?.plan;
                common.print(&plan)?;
                Ok(plan.memory.is_enough())
            }
            Command::Check(arguments) => {
                let mut situation = common.situation(&host, &topology, &target)?;
                if let Some(pid) = arguments.pid {
                    situation.process = pid.to_string();
                }
                let report = Report::of(&situation);
                common.print(&report)?;
                Ok(report.is_well())
            }
            Command::Apply(arguments) => {
                run_apply(&common.situation(&host, &topology, &target)?, arguments)
            }
            Command::Unit(arguments) => {
                write_units(&common.situation(&host, &topology, &target)?, arguments)
            }
            Command::Jitter(arguments) => {
                let rounds =
                    measure::jitter(&common.situation(&host, &topology, &target)?, arguments)?;
                common.print(&rounds)?;
                Ok(true)
            }
            Command::Prove(arguments) => {
                let comparison =
                    measure::prove(&common.situation(&host, &topology, &target)?, arguments)?;
                common.print(&comparison)?;
                Ok(!comparison
                    .rows
                    .iter()
                    .any(|row| row.verdict == Verdict::Worse))
            }
            Command::Revert(_) => unreachable!("reverted above"),
        }
    }
}

impl Common {
    fn target(&self) -> Target {
        Target {
            connections: self.connections,
            shards: self.shards,
            nic: self.nic.clone(),
            wide_area: self.wide_area,
            ports: self.ports.clone(),
        }
    }

    /// With the plan, or with the cores that the operator named instead.
    fn situation<'a>(
        &self,
        host: &'a Host,
        topology: &'a Topology,
        target: &'a Target,
    ) -> Result<Situation<'a>> {
        let (Some(ingest), Some(shards)) = (self.ingest_cpu, &self.shard_cpus) else {
            return Ok(Situation::new(host, topology, target)?);
        };
        let cores = Cores {
            ingest,
            shards: shards.iter().collect(),
        };
        if let Some(mismatch) = mismatches(topology, &cores).into_iter().next() {
            bail!("{mismatch}");
        }
        Ok(Situation::on_cores(host, topology, target, &cores)?)
    }

    fn print(&self, value: &(impl Serialize + Display)) -> Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(value)?)?;
        } else {
            write!(out, "{value}")?;
        }
        Ok(out.flush()?)
    }
}

/// The items of those names, or all that a script or `apply` may change.
fn items(names: &[String]) -> Result<Vec<&'static Item>> {
    if names.is_empty() {
        return Ok(item::all()
            .filter(|item| matches!(item.fix, Fix::Apply | Fix::Script))
            .collect());
    }
    names
        .iter()
        .map(|name| {
            item::named(name).with_context(|| {
                format!("there is no item {name}; `ringcast-tune check` lists them")
            })
        })
        .collect()
}

fn run_apply(situation: &Situation<'_>, arguments: &ApplyArguments) -> Result<bool> {
    let items = items(&arguments.items)?;
    let mut out = io::stdout().lock();
    if let Some(path) = &arguments.output_script {
        let text = script(items, situation);
        if path.as_os_str() == "-" {
            out.write_all(text.as_bytes())?;
        } else {
            fs::write(path, text).with_context(|| path.display().to_string())?;
        }
        return Ok(true);
    }
    let items = items
        .into_iter()
        .filter(|item| !arguments.items.is_empty() || item.fix == Fix::Apply);
    let mut journal = None;
    let mut is_well = true;
    for item in items {
        let outcome = if arguments.dry_run {
            changes(item, situation).map_or_else(|outcome| outcome, Outcome::Changed)
        } else {
            // Not before something changes: a host where nothing does gets no state file.
            let journal = match &mut journal {
                Some(journal) => journal,
                none => {
                    let path = arguments
                        .state
                        .clone()
                        .unwrap_or_else(|| Journal::place(situation.host));
                    none.insert(Journal::open(&path)?)
                }
            };
            apply::apply(item, situation, journal)?
        };
        is_well &= !outcome.is_failure();
        match outcome {
            Outcome::Changed(changes) if arguments.dry_run => {
                for change in changes {
                    writeln!(out, "{}: would change {change}", item.name)?;
                }
            }
            outcome => writeln!(out, "{}: {outcome}", item.name)?,
        }
        out.flush()?;
    }
    Ok(is_well)
}

fn write_units(situation: &Situation<'_>, arguments: &UnitArguments) -> Result<bool> {
    let mut out = io::stdout().lock();
    for unit in units(situation) {
        match &arguments.write {
            Some(folder) => {
                let path = folder.join(unit.name);
                fs::write(&path, &unit.text).with_context(|| path.display().to_string())?;
                writeln!(out, "{} for {}", path.display(), unit.place)?;
            }
            None => writeln!(out, "## {}\n{}", unit.place, unit.text)?,
        }
    }
    Ok(true)
}

fn revert(host: &Host, arguments: &RevertArguments) -> Result<bool> {
    for name in &arguments.items {
        if item::named(name).is_none() {
            bail!("there is no item {name}; `ringcast-tune check` lists them");
        }
    }
    let path = arguments
        .state
        .clone()
        .unwrap_or_else(|| Journal::place(host));
    if !path.exists() {
        println!("nothing to revert: there is no {}", path.display());
        return Ok(true);
    }
    let mut journal = Journal::open(&path)?;
    let which = |entry: &Entry| arguments.items.is_empty() || arguments.items.contains(&entry.item);
    let undone = apply::revert(host, &mut journal, which, arguments.force)?;
    if undone.is_empty() {
        println!("nothing to revert: none of it was changed");
    }
    for (entry, undone) in &undone {
        println!("{}: {} {undone}", entry.item, entry.path);
    }
    Ok(!undone.iter().any(|(_, undone)| undone.is_failure()))
}
