//! The command line: a scenario by its name or file, and what is to be different in it.

use crate::coordinator::Options;
use crate::quantity::{Scale, Span, number};
use crate::scenario::{Protocol, Scenario, Search, Shape, Tls, Waiting, preset};
use clap::Args;
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Which scenario, and what is to be different in it. What is not given stays as it is.
#[derive(Debug, Clone, Args)]
pub struct ScenarioArguments {
    /// A preset's name (see `presets`), or a file in TOML; without: one publisher and one
    /// subscriber
    pub scenario: Option<String>,
    /// The part of the scenario that is run: 1/50
    #[arg(long)]
    scale: Option<Scale>,
    /// The server's address with a port or a range of ports; again for more
    #[arg(long, value_name = "HOST:PORT[-PORT]", help_heading = "Connections")]
    target: Vec<String>,
    /// An address of this host to connect from, or a range; again for more
    #[arg(long, value_name = "IP[-IP]", help_heading = "Connections")]
    source: Vec<String>,
    /// Connections per second; 0: as fast as it goes
    #[arg(long, value_parser = number, help_heading = "Connections")]
    connect_rate: Option<f64>,
    /// Speak TLS, with whomever it is
    #[arg(long, help_heading = "Connections")]
    tls: bool,
    /// Speak TLS, with whom one of these has signed (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Connections")]
    tls_authority: Option<PathBuf>,
    /// The clients' own certificate (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        help_heading = "Connections"
    )]
    tls_certificate: Option<PathBuf>,
    /// The key that belongs to it (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_certificate",
        help_heading = "Connections"
    )]
    tls_key: Option<PathBuf>,
    /// The version of MQTT
    #[arg(long, value_enum, help_heading = "Clients")]
    mqtt: Option<Protocol>,
    /// The client identifier; {run}, {role} and {client} stand for what they say
    #[arg(long, value_name = "TEMPLATE", help_heading = "Clients")]
    client_id: Option<String>,
    /// The user name, with the same in it
    #[arg(long, value_name = "TEMPLATE", help_heading = "Clients")]
    user: Option<String>,
    /// The password, with the same in it
    #[arg(long, value_name = "TEMPLATE", help_heading = "Clients")]
    password: Option<String>,
    /// Within which time each client always sends something
    #[arg(long, value_name = "TIME", help_heading = "Clients")]
    keep_alive: Option<Span>,
    /// How many get messages
    #[arg(long, value_name = "COUNT", help_heading = "Clients")]
    subscribers: Option<u32>,
    /// How many send them
    #[arg(long, value_name = "COUNT", help_heading = "Clients")]
    publishers: Option<u32>,
    /// How many are only there
    #[arg(long, value_name = "COUNT", help_heading = "Clients")]
    idle: Option<u32>,
    /// The quality of service, of publishers and subscribers
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=2), help_heading = "Load")]
    qos: Option<u8>,
    /// How many topics there are
    #[arg(long, value_name = "COUNT", help_heading = "Load")]
    topics: Option<u32>,
    /// Messages per second, of all publishers together
    #[arg(long, value_parser = number, help_heading = "Load")]
    rate: Option<f64>,
    /// constant, ramp:A:B, steps:A,B,… or burst:RATE@AT/FOR
    #[arg(long, help_heading = "Load")]
    shape: Option<Shape>,
    /// How long messages are sent
    #[arg(long, value_name = "TIME", help_heading = "Load")]
    duration: Option<Span>,
    /// From the beginning of that, what is not counted in latencies
    #[arg(long, value_name = "TIME", help_heading = "Load")]
    warm_up: Option<Span>,
    /// How long all stay connected behind it
    #[arg(long, value_name = "TIME", help_heading = "Load")]
    hold: Option<Span>,
    /// Bytes of each message
    #[arg(long, value_name = "BYTES", help_heading = "Load")]
    payload: Option<u32>,
    /// A file of recorded market data; again for more
    #[arg(long, value_name = "FILE", help_heading = "Load")]
    recording: Vec<PathBuf>,
    /// How many times faster than it was recorded
    #[arg(long, help_heading = "Load")]
    speed: Option<f64>,
    /// All but the newest message of a topic may be left out
    #[arg(long, help_heading = "Checks")]
    conflation: bool,
    /// Fail if the generator may not have kept up
    #[arg(long, help_heading = "Checks")]
    strict: bool,
    /// Fail if the 99th percentile of the response time is above this
    #[arg(long, value_name = "TIME", help_heading = "Checks")]
    response_max: Option<Span>,
    /// Processes that share the run
    #[arg(long, value_name = "COUNT", help_heading = "Generator")]
    processes: Option<u32>,
    /// Threads of each; 0: one for each processor
    #[arg(long, value_name = "COUNT", help_heading = "Generator")]
    threads: Option<u32>,
    /// Which processors they are pinned to: 2,3
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NUMBERS",
        help_heading = "Generator"
    )]
    processors: Vec<u32>,
    /// How threads wait for what comes next
    #[arg(long, value_enum, help_heading = "Generator")]
    waiting: Option<Waiting>,
    /// Do not measure the floor before
    #[arg(long, help_heading = "Generator")]
    no_floor: bool,
    /// A setting of the host for the time of the run: net.core.somaxconn=65535; again for
    /// more
    #[arg(long, value_name = "NAME=VALUE", value_parser = host_setting, help_heading = "Generator")]
    host: Vec<(String, String)>,
}

/// What is looked for.
#[derive(Debug, Clone, Args)]
pub struct SearchArguments {
    /// The first rate to try
    #[arg(long, value_parser = number)]
    from: Option<f64>,
    /// No higher one is tried
    #[arg(long, value_parser = number)]
    to: Option<f64>,
    /// The percentile of the response time that is limited
    #[arg(long)]
    percentile: Option<f64>,
    /// What it may be
    #[arg(long, value_name = "TIME")]
    below: Option<Span>,
}

/// What is not the scenario's to say.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// The folder for results: JSON, CSV, .hgrm, HTML
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
    /// Where Prometheus may ask: 127.0.0.1:9100
    #[arg(long, value_name = "IP:PORT")]
    prometheus: Option<SocketAddr>,
    /// The server's process, if it is here, so that its memory is told
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Wait for so many processes that join from elsewhere
    #[arg(long, value_name = "COUNT", requires = "listen")]
    joiners: Option<u32>,
    /// Where they find this one
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
}

/// A scenario that is not there, or can't be read.
#[derive(Debug)]
pub enum ScenarioError {
    /// Neither a preset nor a file.
    Unknown(String),
    /// A file that can't be read.
    File(PathBuf, io::Error),
    /// A file that is no scenario.
    Wrong(PathBuf, String),
}

fn host_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has to be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl ScenarioArguments {
    /// The scenario, with all that is to be different.
    ///
    /// # Errors
    /// If it is not there, or is none.
    pub fn scenario(&self) -> Result<Scenario, ScenarioError> {
        let mut scenario = match &self.scenario {
            None => Scenario::default(),
            Some(name) => named(name)?,
        };
        if let Some(scale) = self.scale {
            scenario = scenario.scaled(scale);
        }
        self.change(&mut scenario);
        Ok(scenario)
    }

    fn change(&self, scenario: &mut Scenario) {
        fn set<T: Clone>(value: &mut T, given: &Option<T>) {
            if let Some(given) = given {
                value.clone_from(given);
            }
        }
        fn set_all<T: Clone>(values: &mut Vec<T>, given: &[T]) {
            if !given.is_empty() {
                *values = given.to_vec();
            }
        }
        set_all(&mut scenario.target.addresses, &self.target);
        set_all(&mut scenario.target.sources, &self.source);
        if self.tls || self.tls_authority.is_some() || self.tls_certificate.is_some() {
            let tls = scenario.target.tls.get_or_insert_with(Tls::default);
            for (value, given) in [
                (&mut tls.authority, &self.tls_authority),
                (&mut tls.certificate, &self.tls_certificate),
                (&mut tls.key, &self.tls_key),
            ] {
                if given.is_some() {
                    value.clone_from(given);
                }
            }
        }
        let mqtt = &mut scenario.mqtt;
        set(&mut mqtt.version, &self.mqtt);
        set(&mut mqtt.client_id, &self.client_id);
        set(&mut mqtt.keep_alive, &self.keep_alive);
        mqtt.user = self.user.clone().or(mqtt.user.take());
        mqtt.password = self.password.clone().or(mqtt.password.take());
        set(&mut scenario.connect.rate, &self.connect_rate);
        set(&mut scenario.subscribers.count, &self.subscribers);
        set(&mut scenario.subscribers.qos, &self.qos);
        set(&mut scenario.publishers.count, &self.publishers);
        set(&mut scenario.publishers.qos, &self.qos);
        set(&mut scenario.idle.count, &self.idle);
        set(&mut scenario.topics.count, &self.topics);
        let load = &mut scenario.load;
        set(&mut load.rate, &self.rate);
        set(&mut load.shape, &self.shape);
        set(&mut load.duration, &self.duration);
        set(&mut load.warm_up, &self.warm_up);
        set(&mut load.hold, &self.hold);
        set(&mut load.payload, &self.payload);
        set_all(&mut load.recording, &self.recording);
        set(&mut load.speed, &self.speed);
        scenario.checks.conflation |= self.conflation;
        scenario.checks.strict |= self.strict;
        set(&mut scenario.checks.response_max, &self.response_max);
        let generator = &mut scenario.generator;
        set(&mut generator.processes, &self.processes);
        set(&mut generator.threads, &self.threads);
        set_all(&mut generator.processors, &self.processors);
        set(&mut generator.waiting, &self.waiting);
        generator.floor &= !self.no_floor;
        scenario.host.extend(self.host.iter().cloned());
    }
}

impl SearchArguments {
    /// Makes a scenario search.
    pub fn change(&self, scenario: &mut Scenario) {
        let search = scenario.search.get_or_insert_with(Search::default);
        search.from = self.from.unwrap_or(search.from);
        search.to = self.to.unwrap_or(search.to);
        search.percentile = self.percentile.unwrap_or(search.percentile);
        search.below = self.below.unwrap_or(search.below);
    }
}

impl RunArguments {
    /// The same, for a run.
    pub fn options(&self) -> Options {
        Options {
            shows_progress: !self.quiet,
            prometheus: self.prometheus,
            server_pid: self.server_pid,
            joiners: self.joiners.zip(self.listen),
        }
    }
}

fn named(name: &str) -> Result<Scenario, ScenarioError> {
    if let Some(preset) = preset::find(name) {
        return Ok(preset.scenario());
    }
    let path = PathBuf::from(name);
    match fs::read_to_string(&path) {
        Ok(text) => Scenario::from_toml(&text)
            .map_err(|error| ScenarioError::Wrong(path, error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(ScenarioError::Unknown(name.to_owned()))
        }
        Err(error) => Err(ScenarioError::File(path, error)),
    }
}

/// The presets: their names and what each is.
pub fn presets() -> impl Iterator<Item = (&'static str, String)> {
    preset::ALL
        .iter()
        .map(|preset| (preset.name, preset.about()))
}

/// The file of a preset.
pub fn preset_toml(name: &str) -> Option<&'static str> {
    preset::find(name).map(|preset| preset.toml)
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let names: Vec<_> = presets().map(|(name, _)| name).collect();
                write!(
                    formatter,
                    "{name:?} is neither a file nor a preset; there are {}",
                    names.join(", ")
                )
            }
            Self::File(path, error) => write!(formatter, "{}: {error}", path.display()),
            Self::Wrong(path, says) => {
                write!(formatter, "{} is no scenario: {says}", path.display())
            }
        }
    }
}

impl std::error::Error for ScenarioError {}
