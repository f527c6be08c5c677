//! A run on a terminal: a line for each thing that is told, latencies as a table.
//!
//! What did not happen has no line: no acknowledgements at QoS 0, no search, no floor.

use super::figures::per_second;
use super::units::{Bytes, Count, Nanos, PerSecond, Share};
use super::{PERCENTILES, Verdict};
use crate::results::{Correctness, Latencies, Memory, Message, Process, Results, Search};
use std::fmt;
use std::iter;

/// More messages than these are told together; JSON has each.
const MESSAGES_MAX: usize = 10;

/// All that a run came to, for people.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a>(pub &'a Results);

impl fmt::Display for Table<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results = self.0;
        let lines = [
            header(results),
            environment(results),
            connections(results),
            traffic(results),
            latencies(results),
            correctness(&results.correctness),
            generator(results),
            messages(&results.messages),
            results.memory.as_ref().map_or(vec![], memory),
            results.search.as_ref().map_or(vec![], search),
            verdict(results),
        ];
        let told = lines.iter().filter(|lines| !lines.is_empty());
        for (at, lines) in told.enumerate() {
            if at > 0 {
                writeln!(formatter)?;
            }
            for Line(name, text) in lines {
                let line = format!("{name:<14} {text}");
                writeln!(formatter, "{}", line.trim_end())?;
            }
        }
        Ok(())
    }
}

/// What is told, and what there is to tell.
struct Line(&'static str, String);

fn header(results: &Results) -> Vec<Line> {
    let run = &results.run;
    let elapsed = Nanos(results.totals.elapsed_nanos);
    vec![
        Line("scenario", run.scenario.clone()),
        Line("run", format!("{}, {elapsed}", run.id)),
        Line("server", run.targets.join(", ")),
    ]
}

fn environment(results: &Results) -> Vec<Line> {
    let mut lines = Vec::new();
    for host in &results.hosts {
        let governors = match &*host.governors {
            [] => "unknown".to_owned(),
            governors => governors.join(", "),
        };
        lines.push(Line(
            "host",
            format!(
                "{}: {}, {}, {} processors, governor {governors}, {}, load {}",
                host.name,
                host.kernel,
                host.processor,
                host.processors_allowed,
                Bytes(host.memory_bytes as f64),
                host.load_average,
            ),
        ));
    }
    if let Some(process) = results.processes.first() {
        lines.push(Line("generator", version(process)));
    }
    lines
}

fn version(process: &Process) -> String {
    let revision = process.revision.as_deref().unwrap_or("unknown");
    format!("ringcast-loadgen {}, revision {revision}", process.version)
}

fn connections(results: &Results) -> Vec<Line> {
    let totals = &results.totals;
    let mut lines = vec![Line(
        "connections",
        format!(
            "{} of {} opened in {} ({}); {} refused, {} failed, {} lost",
            Count(totals.connections_opened),
            Count(totals.connections_asked),
            Nanos(totals.connect_nanos),
            PerSecond(totals.connects_per_second()),
            Count(totals.connections_refused),
            Count(totals.connections_failed),
            Count(totals.connections_lost),
        ),
    )];
    if totals.connections_reopened > 0 {
        let again = Count(totals.connections_reopened);
        lines.push(Line("", format!("{again} opened again")));
    }
    let subscriptions = Count(totals.subscriptions);
    lines.push(Line("subscriptions", format!("{subscriptions} granted")));
    if totals.pings > 0 {
        lines.push(Line(
            "keep-alive",
            format!(
                "{} pings, {} answered in time",
                Count(totals.pings),
                Count(totals.pings_answered)
            ),
        ));
    }
    lines
}

fn traffic(results: &Results) -> Vec<Line> {
    let (totals, health) = (&results.totals, results.health());
    let rate = |count| PerSecond(per_second(count, totals.publishing_nanos));
    let bytes = |bytes| Bytes(per_second(bytes, totals.publishing_nanos));
    let mut lines = vec![
        Line(
            "published",
            format!(
                "{} of {} due ({}, {}), {}/s",
                Count(health.sent),
                Count(health.due),
                Share(health.achieved_share()),
                rate(totals.published),
                bytes(totals.bytes_sent),
            ),
        ),
        Line(
            "delivered",
            format!(
                "{} ({}), {}/s",
                Count(totals.delivered),
                rate(totals.delivered),
                bytes(totals.bytes_received),
            ),
        ),
    ];
    if totals.acknowledged > 0 {
        let acknowledged = Count(totals.acknowledged).to_string();
        lines.push(Line("acknowledged", acknowledged));
    }
    lines
}

fn latencies(results: &Results) -> Vec<Line> {
    let told = results.latencies();
    if told.is_empty() {
        return Vec::new();
    }
    let columns = PERCENTILES.map(|(_, name)| format!("{name:>9}"));
    let head = Line("latency", format!("{}{:>15}", columns.concat(), "count"));
    let rows = told.into_iter().map(|(name, of)| Line(name, row(of)));
    iter::once(head).chain(rows).collect()
}

fn row(latencies: &Latencies) -> String {
    let histogram = latencies.unpack();
    let values = PERCENTILES.map(|(percentile, _)| {
        let value = Nanos(histogram.value_at_percentile(percentile));
        format!("{value:>9}")
    });
    format!("{}{:>15}", values.concat(), Count(histogram.len()))
}

fn correctness(correctness: &Correctness) -> Vec<Line> {
    let mut lines = vec![Line(
        "correctness",
        format!(
            "{} missing, {} duplicate, {} reordered, {} corrupt, {} stale of {} due to {} subscribers",
            Count(correctness.missing),
            Count(correctness.duplicate),
            Count(correctness.reordered),
            Count(correctness.corrupt),
            Count(correctness.stale),
            Count(correctness.due),
            Count(correctness.subscribers),
        ),
    )];
    if correctness.conflated > 0 {
        lines.push(Line(
            "conflation",
            format!(
                "{} ({}) replaced by newer ones",
                Count(correctness.conflated),
                Share(correctness.conflation_ratio()),
            ),
        ));
    }
    for (name, subscriber) in [
        ("slowest", &correctness.slowest),
        ("fastest", &correctness.fastest),
    ] {
        if let Some(subscriber) = subscriber {
            lines.push(Line(
                name,
                format!(
                    "{}: {} on average, {} deliveries",
                    subscriber.client,
                    Nanos(subscriber.response_mean_nanos),
                    Count(subscriber.delivered),
                ),
            ));
        }
    }
    lines
}

fn generator(results: &Results) -> Vec<Line> {
    if results.processes.is_empty() {
        return Vec::new();
    }
    let health = results.health();
    let slip = health.timer_slip.unpack();
    let mut lines = vec![
        Line(
            "late sends",
            format!(
                "{} ({}) by more than {}",
                Count(health.late),
                Share(health.late_share()),
                Nanos(health.late_after_nanos),
            ),
        ),
        Line(
            "timer slip",
            format!(
                "p99 {}, max {}",
                Nanos(slip.value_at_quantile(0.99)),
                Nanos(slip.max())
            ),
        ),
    ];
    for process in &results.processes {
        let Process {
            number,
            host,
            health,
            ..
        } = process;
        lines.push(Line(
            "process",
            format!(
                "{number} on {host}: connections {}, delivered {}, threads {}, busy {}, processor time {}, resident {}",
                Count(process.connections_opened),
                Count(process.delivered),
                health.threads,
                Share(health.busy_share()),
                Nanos(health.cpu_nanos),
                Bytes(health.resident_bytes_max as f64),
            ),
        ));
    }
    lines
}

fn messages(messages: &[Message]) -> Vec<Line> {
    if messages.len() > MESSAGES_MAX {
        return vec![Line("messages", spread(messages))];
    }
    let told = messages.iter().map(|message| {
        let after = |nanos: u64| Nanos(nanos.saturating_sub(message.intended_nanos));
        Line(
            "message",
            format!(
                "{} of publisher {} to {}: first after {}, last after {}, {} between",
                message.sequence,
                message.publisher,
                Count(message.deliveries),
                after(message.first_nanos),
                after(message.last_nanos),
                Nanos(between(message)),
            ),
        )
    });
    told.collect()
}

/// How long many of them took from the first delivery to the last.
fn spread(messages: &[Message]) -> String {
    let mut between: Vec<_> = messages.iter().map(between).collect();
    between.sort_unstable();
    format!(
        "{}: from the first delivery to the last p50 {}, max {}",
        Count(messages.len() as u64),
        Nanos(between[(between.len() - 1) / 2]),
        Nanos(between[between.len() - 1]),
    )
}

fn between(message: &Message) -> u64 {
    message.last_nanos.saturating_sub(message.first_nanos)
}

fn memory(memory: &Memory) -> Vec<Line> {
    let each = |bytes: u64| Bytes(bytes as f64 / memory.connections.max(1) as f64);
    let mut whose = vec![format!("generator {}", each(memory.generator_bytes))];
    whose.extend(
        memory
            .server_bytes
            .map(|bytes| format!("server {}", each(bytes))),
    );
    whose.extend(
        memory
            .kernel_bytes
            .map(|bytes| format!("kernel {}", each(bytes))),
    );
    vec![Line(
        "memory",
        format!(
            "for each of {} connections: {}",
            Count(memory.connections),
            whose.join(", ")
        ),
    )]
}

fn search(search: &Search) -> Vec<Line> {
    let limit = Nanos(search.limit_nanos);
    let mut lines = vec![Line(
        "search",
        format!("p{} below {limit}", search.percentile),
    )];
    for step in &search.steps {
        let found = step
            .response
            .unpack()
            .value_at_percentile(search.percentile);
        lines.push(Line(
            "",
            format!(
                "{:>14} {:>9} {}",
                PerSecond(step.rate),
                Nanos(found),
                if step.passed { "kept" } else { "broken" }
            ),
        ));
    }
    lines.push(match search.best() {
        Some(step) => Line("highest", PerSecond(step.rate).to_string()),
        None => Line("highest", "none of these".to_owned()),
    });
    lines
}

fn verdict(results: &Results) -> Vec<Line> {
    let Verdict { violations, doubts } = Verdict::of(results);
    if violations.is_empty() && doubts.is_empty() {
        return vec![Line("verdict", "all was right".to_owned())];
    }
    let wrong = violations.into_iter().map(|what| Line("WRONG", what));
    let doubtful = doubts.into_iter().map(|what| Line("IN DOUBT", what));
    wrong.chain(doubtful).collect()
}

impl Search {
    /// The highest rate that kept the limit.
    fn best(&self) -> Option<&crate::results::SearchStep> {
        let passed = self.steps.iter().filter(|step| step.passed);
        passed.max_by(|a, b| a.rate.total_cmp(&b.rate))
    }
}
