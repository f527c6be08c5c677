//! A run while it goes on: on a terminal a few lines that stay where they are, otherwise
//! a line for each second.
//!
//! A terminal that goes away ends nothing: what can't be written is left out.

use super::PERCENTILES;
use super::units::{Count, Nanos, PerSecond};
use crate::results::Second;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Seconds whose deliveries are drawn, at most.
const BARS_MAX: usize = 60;

/// From nothing to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A line that is wrapped would not be overwritten: too long ones are cut meanwhile.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";
const CLEAR_TO_END_OF_LINE: &str = "\x1b[K";

/// Tells each second as it ends.
#[derive(Debug)]
pub struct Progress<W> {
    out: W,
    view: View,
    connections_asked: u64,
    planned: Option<Duration>,
    seconds: u64,
    late: u64,
    wrong: u64,
}

#[derive(Debug)]
enum View {
    Lines,
    Terminal {
        /// Deliveries of the seconds that are drawn.
        delivered: Vec<u64>,
    },
}

impl Progress<io::Stderr> {
    /// On standard error, so that a table alone is what a run leaves on standard output.
    /// The run has so many connections, and takes so long if that is known.
    pub fn on_stderr(connections_asked: u64, planned: Option<Duration>) -> Self {
        let out = io::stderr();
        let is_terminal = out.is_terminal();
        Self::new(out, is_terminal, connections_asked, planned)
    }
}

impl<W: Write> Progress<W> {
    /// The same on anything that can be written to.
    pub fn new(
        out: W,
        is_terminal: bool,
        connections_asked: u64,
        planned: Option<Duration>,
    ) -> Self {
        let view = match is_terminal {
            true => View::Terminal {
                delivered: Vec::with_capacity(BARS_MAX),
            },
            false => View::Lines,
        };
        Self {
            out,
            view,
            connections_asked,
            planned,
            seconds: 0,
            late: 0,
            wrong: 0,
        }
    }

    /// A second has ended.
    pub fn on_second(&mut self, second: &Second) {
        self.seconds += 1;
        self.late += second.late;
        self.wrong += second.wrong;
        let figures = [
            ("time", self.time()),
            ("connections", self.connections(second)),
            ("published", PerSecond(second.published as f64).to_string()),
            ("delivered", PerSecond(second.delivered as f64).to_string()),
            ("late", Count(self.late).to_string()),
            ("wrong", Count(self.wrong).to_string()),
            ("response", response(second)),
        ];
        let text = match &mut self.view {
            View::Lines => line(&figures),
            View::Terminal { delivered } => {
                let is_first = delivered.is_empty();
                if delivered.len() == BARS_MAX {
                    delivered.remove(0);
                }
                delivered.push(second.delivered);
                screen(&figures, &bars(delivered), is_first)
            }
        };
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }

    fn time(&self) -> String {
        let now = format!("{} s", self.seconds);
        match self.planned {
            Some(planned) => format!("{now} of {} s", planned.as_secs()),
            None => now,
        }
    }

    fn connections(&self, second: &Second) -> String {
        let asked = Count(self.connections_asked);
        format!("{} of {asked}", Count(second.connections))
    }
}

/// All in one line, under no heading: such lines end up in logs, far from any.
fn line(figures: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (at, (name, figure)) in figures.iter().enumerate() {
        let between = if at > 0 { ", " } else { "" };
        let _ = write!(text, "{between}{name} {figure}");
    }
    text + "\n"
}

/// A line each, over those that stand there.
fn screen(figures: &[(&str, String)], bars: &str, is_first: bool) -> String {
    let mut text = WRAP_OFF.to_owned();
    if !is_first {
        // Up over the figures and the bars.
        let _ = write!(text, "\x1b[{}A", figures.len() + 1);
    }
    for (name, figure) in figures {
        let _ = writeln!(text, "\r{name:<12} {figure}{CLEAR_TO_END_OF_LINE}");
    }
    let _ = writeln!(text, "\r{:<12} {bars}{CLEAR_TO_END_OF_LINE}{WRAP_ON}", "");
    text
}

fn response(second: &Second) -> String {
    let response = second.response.unpack();
    if response.is_empty() {
        return "none".to_owned();
    }
    let each = PERCENTILES.map(|(percentile, name)| {
        let value = Nanos(response.value_at_percentile(percentile));
        format!("{name} {value}")
    });
    each.join(" ")
}

/// Deliveries second by second, beside the most of them.
fn bars(delivered: &[u64]) -> String {
    let most = delivered.iter().copied().max().unwrap_or(0).max(1);
    let bar = |delivered: &u64| {
        let share = *delivered as f64 / most as f64;
        BARS[(share * (BARS.len() - 1) as f64).round() as usize]
    };
    delivered.iter().map(bar).collect()
}
