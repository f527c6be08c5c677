//! Which plots a run has, and what they show.

use super::plot::{Column, Plot, Positions, SERIES_MAX, Series, Values};
use crate::report::units::{Count, Nanos};
use crate::results::{Latencies, Results, Second};
use hdrhistogram::Histogram;

/// A plot has no more columns than its pixels can show: more seconds are told together.
const COLUMNS_MAX: usize = 600;

/// The nines of the last percentile that is plotted, however few or many samples there are.
const NINES_MIN: f64 = 2.0;
const NINES_MAX: f64 = 7.0;

/// So many percentiles tell their values between one nine and the next.
const COLUMNS_PER_NINE: u32 = 8;

/// Points from each percentile to the one that halves what is missing to all.
const TICKS_PER_HALF: u32 = 5;

/// The percentiles that are plotted over time.
const OVER_TIME: [(f64, &str); SERIES_MAX] = [
    (50.0, "p50"),
    (99.0, "p99"),
    (99.9, "p99.9"),
    (100.0, "max"),
];

/// Seconds that share a column.
struct Span {
    from: usize,
    to: usize,
    /// Those at its end.
    connections: u64,
    published: u64,
    delivered: u64,
    late: u64,
    response: Histogram<u64>,
}

/// A line over time: its name, and what of a span it shows.
type Shown<'a> = (&'static str, &'a dyn Fn(&Span) -> f64);

/// All of them.
pub(super) fn of(results: &Results) -> Vec<Plot> {
    let spans = spans(&results.seconds);
    vec![
        by_percentile(results),
        response_over_time(&spans),
        counts(
            "Deliveries per second",
            &spans,
            &[("delivered", &|span| span.per_second(span.delivered))],
        ),
        counts(
            "Publishes per second",
            &spans,
            &[
                ("published", &|span| span.per_second(span.published)),
                ("late", &|span| span.per_second(span.late)),
            ],
        ),
        counts(
            "Connections",
            &spans,
            &[("open", &|span| span.connections as f64)],
        ),
    ]
}

fn by_percentile(results: &Results) -> Plot {
    let told = results.latencies().into_iter();
    let all: Vec<_> = told.map(|(name, of)| (name, of.unpack())).collect();
    let most = all.iter().map(|(_, histogram)| histogram.len()).max();
    let nines_max = (most.unwrap_or(1) as f64).log10().ceil();
    let nines_max = nines_max.clamp(NINES_MIN, NINES_MAX);
    let series = all.iter().map(|(name, histogram)| Series {
        name,
        points: quantiles(histogram, nines_max),
    });
    let columns = 0..nines_max as u32 * COLUMNS_PER_NINE;
    Plot {
        title: "Latency by percentile",
        positions: Positions::Nines(nines_max),
        values: Values::Nanos,
        series: series.collect(),
        columns: columns
            .map(|column| quantile_column(column, &all))
            .collect(),
    }
}

fn quantiles(histogram: &Histogram<u64>, nines_max: f64) -> Vec<(f64, Option<f64>)> {
    let steps = histogram.iter_quantiles(TICKS_PER_HALF).map(|step| {
        // The last one has endlessly many.
        let nines = -(1.0 - step.quantile_iterated_to()).log10();
        (nines.min(nines_max), Some(step.value_iterated_to() as f64))
    });
    steps.collect()
}

/// Tells the percentile at its middle.
fn quantile_column(column: u32, all: &[(&str, Histogram<u64>)]) -> Column {
    let at = |column: f64| column / f64::from(COLUMNS_PER_NINE);
    let nines = at(f64::from(column) + 0.5);
    let missing = 10_f64.powf(-nines);
    let percent = 100.0 * (1.0 - missing);
    let told = all.iter().map(|(name, histogram)| {
        let value = Nanos(histogram.value_at_quantile(1.0 - missing));
        format!("{name} {value}")
    });
    let told: Vec<_> = told.collect();
    let digits = nines.ceil() as usize;
    Column {
        from: at(column.into()),
        to: at(f64::from(column) + 1.0),
        text: format!("{percent:.digits$} %: {}", told.join(", ")),
    }
}

fn response_over_time(spans: &[Span]) -> Plot {
    let series = OVER_TIME.map(|(percentile, name)| {
        let point = |span: &Span| {
            let value = span.response(percentile);
            (span.middle(), value.map(|nanos| nanos as f64))
        };
        Series {
            name,
            points: spans.iter().map(point).collect(),
        }
    });
    let columns = spans.iter().map(|span| {
        let told = OVER_TIME.map(|(percentile, name)| match span.response(percentile) {
            Some(nanos) => format!("{name} {}", Nanos(nanos)),
            None => format!("{name} none"),
        });
        span.column(&told)
    });
    Plot {
        title: "Response time",
        positions: positions(spans),
        values: Values::Nanos,
        series: series.into(),
        columns: columns.collect(),
    }
}

fn counts(title: &'static str, spans: &[Span], shown: &[Shown<'_>]) -> Plot {
    let series = shown.iter().map(|(name, of)| Series {
        name,
        points: spans
            .iter()
            .map(|span| (span.middle(), Some(of(span))))
            .collect(),
    });
    let columns = spans.iter().map(|span| {
        let told = shown.iter().map(|(name, of)| {
            let count = Count(of(span).round() as u64);
            format!("{name} {count}")
        });
        span.column(&told.collect::<Vec<_>>())
    });
    Plot {
        title,
        positions: positions(spans),
        values: Values::Counts,
        series: series.collect(),
        columns: columns.collect(),
    }
}

fn positions(spans: &[Span]) -> Positions {
    Positions::Seconds(spans.last().map_or(1.0, |span| span.to as f64))
}

fn spans(seconds: &[Second]) -> Vec<Span> {
    let length = seconds.len().div_ceil(COLUMNS_MAX).max(1);
    let spans = seconds.chunks(length).enumerate().map(|(at, together)| {
        let from = at * length;
        let sum = |of: fn(&Second) -> u64| together.iter().map(of).sum();
        Span {
            from,
            to: from + together.len(),
            connections: together.last().map_or(0, |second| second.connections),
            published: sum(|second| second.published),
            delivered: sum(|second| second.delivered),
            late: sum(|second| second.late),
            response: Latencies::sum(together.iter().map(|second| &second.response)),
        }
    });
    spans.collect()
}

impl Span {
    fn middle(&self) -> f64 {
        (self.from + self.to) as f64 / 2.0
    }

    fn response(&self, percentile: f64) -> Option<u64> {
        let response = &self.response;
        (!response.is_empty()).then(|| response.value_at_percentile(percentile))
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / (self.to - self.from) as f64
    }

    fn column(&self, told: &[String]) -> Column {
        let Self { from, to, .. } = *self;
        Column {
            from: from as f64,
            to: to as f64,
            text: format!("{from}–{to} s: {}", told.join(", ")),
        }
    }
}
