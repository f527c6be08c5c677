//! One plot: lines over an axis, as SVG.
//!
//! ```text
//!            ┌──────────────────────┐
//!   values   │    series, one path  │   above it its title and what is which
//!            │    each              │
//!            └──────────────────────┘
//!                    positions          in front of all: columns that tell their values
//! ```

use super::Escaped;
use crate::report::units::{Count, Nanos};
use std::fmt::{self, Write};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;

/// Lines of a grid, about.
const TICKS: f64 = 5.0;

/// Series have so many colours.
pub(super) const SERIES_MAX: usize = 4;

/// Lines over an axis.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) positions: Positions,
    pub(super) values: Values,
    pub(super) series: Vec<Series>,
    pub(super) columns: Vec<Column>,
}

/// What lies along the horizontal axis.
#[derive(Debug, Clone, Copy)]
pub(super) enum Positions {
    /// Seconds since the start, up to the last one.
    Seconds(f64),
    /// How many nines a percentile has, up to the most: 90 % has one, 99 % two.
    Nines(f64),
}

/// What is told at each position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Times, each tenfold one as high above the one before.
    Nanos,
    /// Numbers, from nothing on.
    Counts,
}

/// A line.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: &'static str,
    /// Positions and values; where there is no value the line is interrupted.
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// Part of the axis, and what it tells to who points at it.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) text: String,
}

/// The values from the lowest line of the grid to the highest.
struct Scale {
    values: Values,
    ticks: Vec<f64>,
}

impl Plot {
    /// The whole figure. One without any value is left out.
    pub(super) fn write(&self, out: &mut impl Write) -> fmt::Result {
        let points = self.series.iter().flat_map(|series| &series.points);
        let values: Vec<f64> = points.filter_map(|(_, value)| *value).collect();
        if values.is_empty() {
            return Ok(());
        }
        let scale = Scale::new(self.values, &values);
        let title = Escaped(self.title);
        write!(out, "<figure>\n<figcaption>{title}")?;
        for (at, series) in self.series.iter().enumerate() {
            let name = Escaped(series.name);
            write!(out, "<span><i class=\"s{at}\"></i>{name}</span>")?;
        }
        writeln!(
            out,
            "</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
        )?;
        self.grid(out, &scale)?;
        for (at, series) in self.series.iter().enumerate() {
            let name = Escaped(series.name);
            let path = self.path(series, &scale);
            writeln!(
                out,
                "<path class=\"series s{at}\" data-name=\"{name}\" d=\"{path}\"/>"
            )?;
        }
        self.columns(out)?;
        writeln!(out, "</svg>\n</figure>")
    }

    fn grid(&self, out: &mut impl Write, scale: &Scale) -> fmt::Result {
        let right = WIDTH - RIGHT;
        for tick in &scale.ticks {
            let y = scale.y(*tick);
            let text = scale.values.tick(*tick);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 8.0,
                y + 4.0
            )?;
        }
        for (at, text) in self.positions.ticks() {
            let x = self.positions.x(at);
            // Beyond the edge a text would be cut.
            let anchor = if x < right { "middle" } else { "end" };
            writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
                HEIGHT - 6.0
            )?;
        }
        Ok(())
    }

    /// A point that stands alone is a dot: a line of no length with round ends.
    fn path(&self, series: &Series, scale: &Scale) -> String {
        let mut path = String::new();
        let mut is_down = false;
        for (at, value) in &series.points {
            if let Some(value) = value {
                let (x, y) = (self.positions.x(*at), scale.y(*value));
                let _ = match is_down {
                    true => write!(path, "L{x:.1},{y:.1}"),
                    false => write!(path, "M{x:.1},{y:.1}h0"),
                };
            }
            is_down = value.is_some();
        }
        path
    }

    fn columns(&self, out: &mut impl Write) -> fmt::Result {
        for column in &self.columns {
            let [from, to] = [column.from, column.to].map(|at| self.positions.x(at));
            writeln!(
                out,
                "<rect class=\"hit\" x=\"{from:.2}\" y=\"{TOP}\" width=\"{:.2}\" height=\"{}\"><title>{}</title></rect>",
                to - from,
                HEIGHT - TOP - BOTTOM,
                Escaped(&column.text)
            )?;
        }
        Ok(())
    }
}

impl Positions {
    fn end(self) -> f64 {
        match self {
            Self::Seconds(end) | Self::Nines(end) => end,
        }
    }

    fn x(self, at: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (at / self.end()).clamp(0.0, 1.0)
    }

    fn ticks(self) -> Vec<(f64, String)> {
        match self {
            Self::Seconds(end) => {
                let ticks = round_ticks(end).into_iter().filter(|tick| *tick <= end);
                ticks.map(|tick| (tick, format!("{tick} s"))).collect()
            }
            Self::Nines(end) => {
                let name = |nines: usize| match nines {
                    0 => "0 %".to_owned(),
                    1 => "90 %".to_owned(),
                    2 => "99 %".to_owned(),
                    more => format!("99.{} %", "9".repeat(more - 2)),
                };
                (0..=end as usize)
                    .map(|nines| (nines as f64, name(nines)))
                    .collect()
            }
        }
    }
}

impl Values {
    fn tick(self, value: f64) -> String {
        match self {
            // Ticks are round: digits behind the point say nothing.
            Self::Nanos => Nanos(value as u64)
                .to_string()
                .replace(".00", "")
                .replace(".0", ""),
            Self::Counts => Count(value as u64).to_string(),
        }
    }
}

impl Scale {
    fn new(values: Values, shown: &[f64]) -> Self {
        let most = shown.iter().copied().fold(0.0, f64::max);
        let ticks = match values {
            Values::Counts => round_ticks(most),
            Values::Nanos => {
                let least = shown.iter().copied().fold(f64::INFINITY, f64::min);
                decades(least, most)
            }
        };
        Self { values, ticks }
    }

    fn y(&self, value: f64) -> f64 {
        let along = |value: f64| match self.values {
            Values::Counts => value,
            Values::Nanos => value.max(1.0).log10(),
        };
        let [first, last] = [self.ticks[0], self.ticks[self.ticks.len() - 1]].map(along);
        let share = (along(value) - first) / (last - first);
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
    }
}

/// From 0 to the first that is not below the most, in steps of 1, 2 or 5 of some decade,
/// whole ones: what is counted has no halves.
fn round_ticks(most: f64) -> Vec<f64> {
    let about = (most / TICKS).max(1.0);
    let decade = 10_f64.powf(about.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * decade);
    let step = steps.into_iter().find(|step| *step >= about);
    let step = step.unwrap_or(10.0 * decade);
    let count = (most / step).ceil().max(1.0) as usize;
    (0..=count).map(|tick| tick as f64 * step).collect()
}

/// Powers of ten around all values, two at least.
fn decades(least: f64, most: f64) -> Vec<f64> {
    let first = least.max(1.0).log10().floor() as i32;
    let last = most.max(1.0).log10().ceil() as i32;
    (first..=last.max(first + 1))
        .map(|power| 10_f64.powi(power))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_over_all_values() {
        assert_eq!(
            round_ticks(1_000.0),
            [0.0, 200.0, 400.0, 600.0, 800.0, 1_000.0]
        );
        assert_eq!(round_ticks(7.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(round_ticks(33.0), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(round_ticks(0.3), [0.0, 1.0]);
        assert_eq!(round_ticks(0.0), [0.0, 1.0]);
        assert_eq!(decades(40_000.0, 2e6), [1e4, 1e5, 1e6, 1e7]);
        assert_eq!(decades(1_000.0, 1_000.0), [1e3, 1e4]);
        assert_eq!(decades(0.0, 0.0), [1.0, 10.0]);
    }

    #[test]
    fn an_axis_tells_what_its_ticks_are() {
        let texts = |positions: Positions| {
            let ticks = positions.ticks().into_iter();
            ticks.map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(
            texts(Positions::Seconds(5.0)),
            ["0 s", "1 s", "2 s", "3 s", "4 s", "5 s"]
        );
        assert_eq!(
            texts(Positions::Nines(3.0)),
            ["0 %", "90 %", "99 %", "99.9 %"]
        );
        let nanos = [1.0, 10.0, 1e3, 1e5, 1e9].map(|nanos| Values::Nanos.tick(nanos));
        assert_eq!(nanos, ["1 ns", "10 ns", "1 µs", "100 µs", "1 s"]);
        assert_eq!(Values::Counts.tick(20_000.0), "20,000");
    }
}
