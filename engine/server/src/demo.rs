//! `ringcast demo`: the engine on loopback with the recording that comes with it, a live view,
//! and how to look at it.

use crate::engine::open_feed;
use crate::log;
use crate::meters::{IngestMetrics, ShardMetrics};
use crate::metrics::{BOUNDS_NANOS, Histogram};
use crate::plan::Plan;
use crate::serve::Server;
use crate::settings::Sources;
use anyhow::Result;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The options of `ringcast demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    sources: Sources,
    /// How many times as fast as it was recorded, or max
    #[arg(long, default_value = "1")]
    speed: String,
}

/// The usual ports, taken if they are free.
const MQTT_PORT: u16 = 1883;
const ADMIN_PORT: u16 = 9883;

/// How often the view is renewed.
const PERIOD: Duration = Duration::from_secs(1);

/// Runs the engine with the recording that is shipped.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let speed: Box<dyn fmt::Display> = match arguments.speed.as_str() {
        "max" => Box::new("\"max\""),
        speed => Box::new(speed.to_owned()),
    };
    let sources = arguments.sources.after(&[
        "feed.kind = \"replay\"".into(),
        "feed.files = [\"bundled\"]".into(),
        "feed.loop = true".into(),
        format!("feed.speed = {speed}"),
        "log.level = \"warn\"".into(),
        format!("listen.mqtt = [\"{}\"]", free_address(MQTT_PORT)),
        format!("listen.admin = \"{}\"", free_address(ADMIN_PORT)),
    ]);
    let settings = sources.load()?;
    let plan = Plan::of_this_machine(&settings)?;
    let log = log::start(&settings.log);
    let feed = open_feed(&settings)?;
    let server = Server::start(&settings, &plan, feed, log)?;
    if let Some(address) = server.listening.first() {
        say(&instructions(*address))?;
    }
    let view = View {
        ingest: Arc::clone(&server.engine.ingest),
        shards: server.engine.shards.clone(),
        before: Totals::default(),
    };
    std::thread::spawn(move || view.show());
    server.run(&sources)
}

/// This port of loopback, or any if somebody has it.
fn free_address(port: u16) -> SocketAddr {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => {
            let _ = say(&format!("port {port} is taken: another one is used"));
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
        }
    }
}

fn instructions(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!(
        "\nBTC, ETH and SOL on Binance, recorded on 25 March 2025, again and again. Look at it:\n\n    \
         ringcast sub --port {port} -t 'market/BTCUSDT/#'\n    \
         mosquitto_sub -h {host} -p {port} -t 'market/+/trade' -v\n\n\
         Ctrl-C ends it.\n"
    )
}

/// To people; whoever reads may have seen enough.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// What happens, once a second.
struct View {
    ingest: Arc<IngestMetrics>,
    shards: Vec<Arc<ShardMetrics>>,
    before: Totals,
}

/// Counts since the start.
#[derive(Debug, Clone, Default)]
struct Totals {
    messages: u64,
    deliveries: u64,
    arrival: Vec<u64>,
    submission: Vec<u64>,
}

impl View {
    fn show(mut self) {
        let is_terminal = io::stdout().is_terminal();
        let mut next = Instant::now() + PERIOD;
        loop {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next += PERIOD;
            let line = self.line();
            let shown = match is_terminal {
                // Over the line before.
                true => write!(io::stdout(), "\r\x1B[K{line}").and_then(|()| io::stdout().flush()),
                false => say(&line),
            };
            if shown.is_err() {
                return;
            }
        }
    }

    fn line(&mut self) -> String {
        let sum = |of: fn(&ShardMetrics) -> u64| self.shards.iter().map(|shard| of(shard)).sum();
        let connections: u64 = sum(|shard| shard.connections.get());
        let totals = Totals {
            messages: self.ingest.sequence.get(),
            deliveries: sum(|shard| shard.deliveries.get()),
            arrival: self.counts(|shard| &shard.arrival),
            submission: self.counts(|shard| &shard.submission),
        };
        let before = std::mem::replace(&mut self.before, totals);
        let now = &self.before;
        let mut line = format!(
            "in {}/s  out {}/s  connections {connections}",
            now.messages - before.messages,
            now.deliveries - before.deliveries,
        );
        let stages = [
            ("ingest to shard", &before.arrival, &now.arrival),
            ("shard to kernel", &before.submission, &now.submission),
        ];
        for (name, before, now) in stages {
            let p50 = percentile(before, now, 50);
            let p99 = percentile(before, now, 99);
            let _ = write!(line, "  {name} p50 {p50} p99 {p99}");
        }
        line
    }

    fn counts(&self, of: fn(&ShardMetrics) -> &Histogram) -> Vec<u64> {
        let mut counts = vec![0; BOUNDS_NANOS.len() + 1];
        for shard in &self.shards {
            for (sum, count) in counts.iter_mut().zip(of(shard).counts()) {
                *sum += count;
            }
        }
        counts
    }
}

/// A duration that so many of a hundred did not exceed between two times.
fn percentile(before: &[u64], now: &[u64], percent: u64) -> AtMost {
    let counts = now
        .iter()
        .enumerate()
        .map(|(class, count)| count - before.get(class).unwrap_or(&0));
    let all: u64 = counts.clone().sum();
    let mut left = (all * percent).div_ceil(100);
    for (class, count) in counts.enumerate() {
        if all > 0 && left <= count {
            return AtMost(BOUNDS_NANOS.get(class).copied());
        }
        left = left.saturating_sub(count);
    }
    AtMost(None)
}

/// The bound of a class of durations; none if there is none.
struct AtMost(Option<u64>);

impl fmt::Display for AtMost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => formatter.write_str("-"),
            Some(nanos) if nanos < 1_000_000 => write!(formatter, "≤{} µs", nanos / 1_000),
            Some(nanos) => write!(formatter, "≤{} ms", nanos / 1_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_last_second() {
        let mut before = vec![0; BOUNDS_NANOS.len() + 1];
        let mut now = before.clone();
        assert_eq!(percentile(&before, &now, 50).to_string(), "-");
        before[0] = 1_000;
        now[0] = 1_000;
        now[2] = 98;
        now[9] = 2;
        assert_eq!(percentile(&before, &now, 50).to_string(), "≤5 µs");
        assert_eq!(percentile(&before, &now, 99).to_string(), "≤1 ms");
    }
}
