//! A run as one page that needs nothing but itself: no network, no script. It is
//! well-formed XML, too, so that programs can take it apart.
//!
//! Plots tell the value under the pointer; all numbers stand below them as text.

mod plot;
mod plots;

use super::units::{Count, Nanos, PerSecond};
use super::{Table, Verdict};
use crate::results::{Host, Process, Results};
use std::fmt::{self, Write};

const STYLE: &str = include_str!("html/style.css");

/// A run as a page.
#[derive(Debug, Clone, Copy)]
pub struct Html<'a>(pub &'a Results);

impl fmt::Display for Html<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results = self.0;
        let scenario = Escaped(&results.run.scenario);
        write!(
            out,
            "<!DOCTYPE html>\n\
             <html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n\
             <meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n\
             <title>{scenario}: ringcast-loadgen</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{scenario}</h1>\n"
        )?;
        let targets = results.run.targets.join(", ");
        writeln!(
            out,
            "<p>{}, against {}, run {}</p>",
            started(results),
            Escaped(&targets),
            Escaped(&results.run.id)
        )?;
        verdict(out, results)?;
        tiles(out, results)?;
        for plot in plots::of(results) {
            plot.write(out)?;
        }
        writeln!(out, "<h2>In numbers</h2>")?;
        pre(out, &Table(results).to_string())?;
        writeln!(out, "<h2>Where</h2>")?;
        for host in &results.hosts {
            self::host(out, host)?;
        }
        writeln!(out, "<h2>How</h2>")?;
        for process in &results.processes {
            self::process(out, process)?;
        }
        pre(out, &results.run.scenario_toml)?;
        writeln!(out, "</body>\n</html>")
    }
}

fn started(results: &Results) -> String {
    let millis = i64::try_from(results.run.started_unix_millis).unwrap_or(i64::MAX);
    let started = jiff::Timestamp::from_millisecond(millis);
    started.map_or(String::new(), |started| started.to_string())
}

fn verdict(out: &mut impl Write, results: &Results) -> fmt::Result {
    let Verdict { violations, doubts } = Verdict::of(results);
    if violations.is_empty() && doubts.is_empty() {
        return writeln!(out, "<p class=\"right\">All was right.</p>");
    }
    writeln!(out, "<ul class=\"verdict\">")?;
    for (class, word, sentences) in [
        ("wrong", "Wrong", violations),
        ("doubt", "In doubt", doubts),
    ] {
        for sentence in sentences {
            let sentence = Escaped(&sentence);
            writeln!(out, "<li class=\"{class}\">{word}: {sentence}</li>")?;
        }
    }
    writeln!(out, "</ul>")
}

/// What a reader looks for first.
fn tiles(out: &mut impl Write, results: &Results) -> fmt::Result {
    let totals = &results.totals;
    let response = results.response.unpack();
    let at = |percentile| match response.is_empty() {
        true => "none".to_owned(),
        false => Nanos(response.value_at_percentile(percentile)).to_string(),
    };
    let tiles = [
        (
            "delivered",
            PerSecond(totals.delivered_per_second()).to_string(),
        ),
        (
            "published",
            PerSecond(totals.published_per_second()).to_string(),
        ),
        ("connections", Count(totals.connections_opened).to_string()),
        ("response p50", at(50.0)),
        ("response p99", at(99.0)),
        ("response p99.9", at(99.9)),
    ];
    writeln!(out, "<dl class=\"tiles\">")?;
    for (name, value) in tiles {
        writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
    }
    writeln!(out, "</dl>")
}

fn host(out: &mut impl Write, host: &Host) -> fmt::Result {
    let facts = [
        ("processor", host.processor.clone()),
        ("processors allowed", host.processors_allowed.to_string()),
        ("governors", host.governors.join(", ")),
        ("memory", format!("{} bytes", Count(host.memory_bytes))),
        ("load before", host.load_average.clone()),
        ("descriptors", Count(host.descriptors_max).to_string()),
        ("steering of loop-back", host.loopback_steering.clone()),
    ];
    let facts = facts.iter().map(|(name, fact)| (*name, &**fact));
    let sysctls = host.sysctls.iter().map(|(name, value)| (&**name, &**value));
    table(out, &host.name, &host.kernel, facts.chain(sysctls))
}

fn process(out: &mut impl Write, process: &Process) -> fmt::Result {
    let processors: Vec<_> = process.processors.iter().map(u32::to_string).collect();
    let facts = [
        ("version", process.version.clone()),
        ("revision", process.revision.clone().unwrap_or_default()),
        ("command line", process.command_line.join(" ")),
        ("processors", processors.join(", ")),
    ];
    let name = format!("process {} on {}", process.number, process.host);
    let pid = format!("pid {}", process.pid);
    let facts = facts.iter().map(|(name, fact)| (*name, &**fact));
    table(out, &name, &pid, facts)
}

fn table<'a>(
    out: &mut impl Write,
    name: &str,
    about: &str,
    facts: impl Iterator<Item = (&'a str, &'a str)>,
) -> fmt::Result {
    let (name, about) = (Escaped(name), Escaped(about));
    writeln!(out, "<table>\n<caption>{name}: {about}</caption>")?;
    for (name, fact) in facts.filter(|(_, fact)| !fact.is_empty()) {
        let (name, fact) = (Escaped(name), Escaped(fact));
        writeln!(out, "<tr><th scope=\"row\">{name}</th><td>{fact}</td></tr>")?;
    }
    writeln!(out, "</table>")
}

fn pre(out: &mut impl Write, text: &str) -> fmt::Result {
    writeln!(out, "<pre>{}</pre>", Escaped(text))
}

/// A text as it may stand between tags and in attributes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                // XML has no way to write these.
                '\t' | '\n' | ' '.. => formatter.write_char(character)?,
                _ => formatter.write_char(char::REPLACEMENT_CHARACTER)?,
            }
        }
        Ok(())
    }
}
