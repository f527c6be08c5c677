//! `ringcast serve`, as a process on one core: how it is set up, where it says that it
//! listens, and what it tells of the stages inside it.

use super::{Needs, Slow};
use crate::child::Process;
use crate::error::Error;
use crate::probe::Stages;
use ringcast_benches::Core;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Lines of what it said last that are told when it does not start.
const LINES_TOLD_MAX: usize = 8;

/// How long its admin listener may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes that the engine needs for each message in flight, with some room.
const FLIGHT_BYTES_MAX: usize = 10;

/// The histograms whose means are the time that a message spends inside.
const STAGES: [[&str; 2]; 2] = [
    [
        "ringcast_stage_ingest_to_shard_seconds_sum",
        "ringcast_stage_ingest_to_shard_seconds_count",
    ],
    [
        "ringcast_stage_shard_to_submitted_seconds_sum",
        "ringcast_stage_shard_to_submitted_seconds_count",
    ],
];

/// What its core does while there is no work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Idle {
    /// Asks again and again
    Spin,
    /// Asks for a while, then sleeps
    Adaptive,
    /// Sleeps
    Park,
}

impl Idle {
    /// As the engine's settings have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::Adaptive => "adaptive",
            Self::Park => "park",
        }
    }
}

impl Slow {
    fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Conflate => "conflate",
            Self::Drop => "drop",
            Self::Disconnect => "disconnect",
        }
    }
}

/// The engine, running.
#[derive(Debug)]
pub(crate) struct Engine {
    process: Process,
    listeners: Listeners,
}

impl Engine {
    /// Starts it on a processor; it serves when this returns.
    pub(super) fn start(
        program: &Path,
        idle: Idle,
        core: Core,
        needs: &Needs,
    ) -> Result<Self, Error> {
        let mut command = Command::new(program);
        command.arg("serve").args(settings(idle, core, needs));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::piped());
        let mut process = Process::start(core, command).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::ProgramMissing {
                program: program.display().to_string(),
                remedy: "build it with the same profile (cargo build --release -p ringcast), \
                         or name another one by --engine",
            },
            _ => Error::system("starting the engine")(error),
        })?;
        let errors = process.errors().expect("was asked for");
        let (listeners, errors) =
            Listeners::read(BufReader::new(errors)).map_err(|said| Error::StartFailed {
                program: program.display().to_string(),
                said,
            })?;
        // It must not wait for somebody to read what else it says.
        thread::spawn(move || drain(errors));
        Ok(Self { process, listeners })
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listeners.mqtt
    }

    pub(super) fn stages(&self) -> Result<Stages, Error> {
        let text = get(self.listeners.admin, "/metrics")
            .map_err(Error::system("reading the engine's metrics"))?;
        stages(&text)
    }
}

/// Both roles on one core, and room for whom it will meet.
fn settings(idle: Idle, core: Core, needs: &Needs) -> Vec<String> {
    let Core(core) = core;
    let Needs {
        connections,
        subscriptions,
        ..
    } = needs;
    let mut settings = vec![
        format!("cores.ingest={core}"),
        format!("cores.shards=[{core}]"),
        format!("cores.idle=\"{}\"", idle.name()),
        "listen.mqtt=[\"127.0.0.1:0\"]".to_owned(),
        "listen.admin=\"127.0.0.1:0\"".to_owned(),
        "auth.anonymous=true".to_owned(),
        "feed.kind=\"none\"".to_owned(),
        format!("limits.connections={connections}"),
        format!("limits.subscriptions={subscriptions}"),
    ];
    if needs.slow != Slow::Queue {
        let slow = needs.slow.name();
        settings.push(format!(
            "class=[{{filter=\"bench/#\",qos_max=0,retain=false,slow=\"{slow}\"}}]"
        ));
    }
    if let Some(most) = needs.unacknowledged_max {
        let bytes = FLIGHT_BYTES_MAX * connections * usize::from(most);
        settings.push(format!("limits.inflight_max={most}"));
        settings.push(format!("memory.in_flight_bytes={bytes}"));
    }
    let with_option = |setting| ["--set".to_owned(), setting];
    settings.into_iter().flat_map(with_option).collect()
}

/// Where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listeners {
    mqtt: SocketAddr,
    admin: SocketAddr,
}

impl Listeners {
    /// Reads until it is ready, and returns what can still be read; or what it said last,
    /// if it ended instead.
    fn read<R: Read>(mut errors: BufReader<R>) -> Result<(Self, BufReader<R>), String> {
        let (mut mqtt, mut admin) = (None, None);
        let mut last = VecDeque::new();
        loop {
            let mut line = String::new();
            match errors.read_line(&mut line) {
                Ok(0) | Err(_) if last.is_empty() => return Err("it said nothing".to_owned()),
                Ok(0) | Err(_) => return Err(Vec::from(last).join("; ")),
                Ok(_) => (),
            }
            let line = line.trim();
            let address = |kind: &str| line.strip_prefix(kind)?.trim().parse().ok();
            mqtt = mqtt.or(address("listening mqtt "));
            admin = admin.or(address("listening admin "));
            if line == "ready" {
                return match (mqtt, admin) {
                    (Some(mqtt), Some(admin)) => Ok((Self { mqtt, admin }, errors)),
                    _ => Err("it is ready and has not said where it listens".to_owned()),
                };
            }
            if last.len() == LINES_TOLD_MAX {
                last.pop_front();
            }
            last.push_back(line.to_owned());
        }
    }
}

/// Shows what the engine says later: it says nothing if all is well.
fn drain(errors: BufReader<ChildStderr>) {
    for line in errors.lines().map_while(Result::ok) {
        eprintln!("ringcast: {line}");
    }
}

/// The body of an HTTP answer; by version 1.0, so that it comes in one piece.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// The stages in a text of metrics.
fn stages(text: &str) -> Result<Stages, Error> {
    let [ingest, shard] = STAGES.map(|[sum, count]| Ok((metric(text, sum)?, metric(text, count)?)));
    Ok(Stages {
        sums: [ingest?, shard?],
    })
}

/// The sum of all that has this name, whatever its labels.
fn metric(text: &str, name: &'static str) -> Result<f64, Error> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_it = rest.starts_with([' ', '{']);
        is_it.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    let values: Vec<_> = values.collect();
    if values.is_empty() {
        return Err(Error::MetricMissing { name });
    }
    Ok(values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const METRICS: &str = "# TYPE ringcast_stage_ingest_to_shard_seconds histogram\n\
        ringcast_stage_ingest_to_shard_seconds_bucket{le=\"+Inf\"} 4\n\
        ringcast_stage_ingest_to_shard_seconds_sum 0.5\n\
        ringcast_stage_ingest_to_shard_seconds_count 4\n\
        ringcast_stage_shard_to_submitted_seconds_sum{shard=\"0\"} 1e-3\n\
        ringcast_stage_shard_to_submitted_seconds_sum{shard=\"1\"} 3e-3\n\
        ringcast_stage_shard_to_submitted_seconds_count{shard=\"0\"} 1\n\
        ringcast_stage_shard_to_submitted_seconds_count{shard=\"1\"} 1\n";

    #[test]
    fn the_means_of_the_stages_are_since_the_last_look() {
        let later = stages(METRICS).expect("has all of them");
        assert_eq!(later.sums, [(0.5, 4.0), (0.004, 2.0)]);
        let earlier = Stages {
            sums: [(0.3, 2.0), (0.002, 1.0)],
        };
        // 100 ms and 2 ms.
        let means = later.means_nanos_since(&earlier);
        assert!((means - 102e6).abs() < 1.0, "{means}");
        // No message since: no time.
        assert_eq!(later.means_nanos_since(&later), 0.0);
        let Err(Error::MetricMissing { name }) = stages("ringcast_up 1\n") else {
            panic!("a metric was made up");
        };
        assert_eq!(name, STAGES[0][0]);
    }

    #[test]
    fn metrics_are_asked_for_by_http() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("is bound");
        let answers = ["200 OK", "503 Service Unavailable"];
        let server = thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("somebody asks");
                let mut request = [0; 64];
                let count = stream.read(&mut request).expect("it asks");
                assert!(request[..count].starts_with(b"GET /metrics HTTP/1.0\r\n"));
                write!(stream, "HTTP/1.0 {answer}\r\nA: b\r\n\r\nthe body\n").expect("it reads");
            }
        });
        assert_eq!(get(address, "/metrics").expect("is there"), "the body\n");
        assert!(get(address, "/metrics").is_err());
        server.join().expect("it answered");
    }

    #[test]
    fn it_says_where_it_listens_or_why_not() {
        let said = |text: &'static str| Listeners::read(BufReader::new(text.as_bytes()));
        let (listeners, _) = said(
            "plan: one core\nlistening mqtt 127.0.0.1:4000\nlistening admin 127.0.0.1:4001\nready\nmore\n",
        )
        .expect("it is ready");
        assert_eq!(listeners.mqtt.port(), 4_000);
        assert_eq!(listeners.admin.port(), 4_001);
        let why = said("one\ntwo\n").expect_err("it ended");
        assert_eq!(why, "one; two");
        assert_eq!(said("").expect_err("it ended"), "it said nothing");
        assert!(said("listening mqtt 127.0.0.1:4000\nready\n").is_err());
    }

    #[test]
    fn a_policy_is_set_only_where_it_matters() {
        let mut needs = Needs {
            connections: 11,
            subscriptions: 50,
            by_topic: false,
            payload_bytes: 128,
            slow: Slow::Queue,
            unacknowledged_max: None,
        };
        let plain = settings(Idle::Spin, Core(3), &needs);
        assert!(plain.contains(&"cores.shards=[3]".to_owned()));
        assert!(plain.contains(&"limits.connections=11".to_owned()));
        assert!(!plain.iter().any(|setting| setting.starts_with("class")));
        needs.slow = Slow::Conflate;
        let lagging = settings(Idle::Spin, Core(3), &needs);
        assert_eq!(lagging.len(), plain.len() + 2);
        assert!(
            lagging
                .last()
                .is_some_and(|class| class.contains("slow=\"conflate\""))
        );
    }
}
