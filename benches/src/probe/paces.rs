//! The three ways in which messages follow each other, and what each of them shows.

use super::run::{Load, Run};
use super::subscribers::Delivered;
use crate::clock::{Times, now_nanos};
use crate::error::Error;
use crate::report::Figure;

/// The part of a run that is over before its figures begin: a divisor.
const WARM_UP_PART: u64 = 5;

/// How one message at a time reached everybody.
#[derive(Debug)]
pub(crate) struct Pushes {
    first_to_last: Times,
    publish_to_last: Times,
    load: Load,
}

impl Pushes {
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let median = |times: &Times| times.percentile(50.0);
        let figures = [
            Figure::new("first to last", "ns", median(&self.first_to_last)),
            Figure::new("publish to last", "ns", median(&self.publish_to_last)),
        ];
        figures.into_iter().chain(self.load.figures()).collect()
    }
}

/// Publishes each message when the one before has arrived everywhere.
pub(crate) fn one_by_one(run: &mut Run<'_>, nanos: u64) -> Result<Pushes, Error> {
    let (mut first_to_last, mut publish_to_last) = (Times::new(), Times::new());
    let begin = run.now;
    let mut is_warm = false;
    // One message at least is measured, however long the first took.
    while run.now < begin + nanos || !is_warm || first_to_last.count() == 0 {
        if !is_warm && run.publisher.published() > 0 && run.now >= begin + nanos / WARM_UP_PART {
            is_warm = true;
            run.begin();
        }
        let published_nanos = now_nanos();
        run.publish(published_nanos);
        let (mut first, mut last) = (u64::MAX, 0);
        run.drain(|delivered| {
            first = first.min(delivered.received_nanos);
            last = last.max(delivered.received_nanos);
        })?;
        // Nobody may have wanted it.
        if is_warm && first <= last {
            first_to_last.record(last - first);
            publish_to_last.record(last - published_nanos);
        }
    }
    Ok(Pushes {
        first_to_last,
        publish_to_last,
        load: run.end(),
    })
}

/// How many deliveries there were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Throughput {
    deliveries: u64,
    load: Load,
}

impl Throughput {
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let seconds = self.load.nanos as f64 / 1e9;
        let rate = Figure::new("deliveries", "1/s", self.deliveries as f64 / seconds);
        [rate].into_iter().chain(self.load.figures()).collect()
    }

    /// The server's processor time for each delivery.
    pub(crate) fn server_time(&self) -> Option<Figure> {
        let nanos = self.load.server_nanos? as f64;
        let each = nanos / self.deliveries as f64;
        Some(Figure::new("server's time", "ns", each))
    }
}

/// Messages that are not yet with all who get them, at most so many.
struct Window {
    most: u64,
    /// How many subscribers still wait for each message; as many places as there can be
    /// messages on their way, and a power of two.
    waiting: Vec<usize>,
    complete: u64,
}

impl Window {
    fn new(most: u64) -> Self {
        Self {
            most,
            waiting: vec![0; most.next_power_of_two() as usize],
            complete: 0,
        }
    }

    /// Publishes as many as may be, and takes what arrives.
    fn turn(&mut self, run: &mut Run<'_>) -> Result<(), Error> {
        let mask = self.waiting.len() - 1;
        let place = |sequence: u64| sequence as usize & mask;
        while run.publisher.published() - self.complete < self.most {
            let sequence = run.publisher.published();
            self.waiting[place(sequence)] = run.publish(run.now);
        }
        run.turn(|delivered| self.waiting[place(delivered.sequence)] -= 1)?;
        while self.complete < run.publisher.published() && self.waiting[place(self.complete)] == 0 {
            self.complete += 1;
        }
        Ok(())
    }
}

/// Publishes as fast as goes, `fill` messages before the clock begins.
pub(crate) fn outstanding(
    run: &mut Run<'_>,
    window: u64,
    nanos: u64,
    fill: u64,
) -> Result<Throughput, Error> {
    let mut window = Window::new(window);
    while run.publisher.published() < fill {
        window.turn(run)?;
    }
    let begin = run.now;
    let mut before = (0, window.complete);
    let mut is_warm = false;
    loop {
        window.turn(run)?;
        // Both ends are where as many messages as may be under way have arrived, however
        // slow the server: some send nothing for long, and then much at once.
        let is_round = window.complete >= before.1 + window.most;
        if is_round && !is_warm && run.now >= begin + nanos / WARM_UP_PART {
            is_warm = true;
            run.begin();
            before = (run.subscribers.delivered(), window.complete);
        } else if is_round && is_warm && run.now >= begin + nanos {
            let load = run.end();
            let deliveries = run.subscribers.delivered() - before.0;
            run.drain(|_| {})?;
            return Ok(Throughput { deliveries, load });
        }
    }
}

/// How long deliveries took.
#[derive(Debug)]
pub(crate) struct Latencies {
    times: Times,
    /// What the stages inside the server took of that in the mean, if it tells.
    pub(crate) stages_nanos: Option<f64>,
    load: Load,
}

impl Latencies {
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let figures = [
            Figure::new("p50", "ns", self.times.percentile(50.0)),
            Figure::new("p99", "ns", self.times.percentile(99.0)),
            Figure::new("p99.9", "ns", self.times.percentile(99.9)),
            Figure::new("max", "ns", self.times.max()),
        ];
        figures.into_iter().chain(self.load.figures()).collect()
    }

    pub(crate) fn mean_nanos(&self) -> f64 {
        self.times.mean()
    }
}

/// Publishes so many a second, whatever the server does. Between the messages that warm
/// up and those that count nothing is on its way; that is the time of `between`.
pub(crate) fn per_second(
    run: &mut Run<'_>,
    rate: u64,
    nanos: u64,
    between: impl FnOnce(&mut Run<'_>) -> Result<(), Error>,
) -> Result<Latencies, Error> {
    // The first of them warms up, so there are two at least.
    let messages = (nanos * rate / 1_000_000_000).max(2);
    let warming = (messages / WARM_UP_PART).max(1);
    open_loop(run, rate, warming, |_| {})?;
    between(run)?;
    let stages_before = run.target.stages()?;
    run.begin();
    let mut times = Times::new();
    open_loop(run, rate, messages - warming, |delivered| {
        times.record(
            delivered
                .received_nanos
                .saturating_sub(delivered.intended_nanos),
        );
    })?;
    let load = run.end();
    let stages = run.target.stages()?.zip(stages_before);
    Ok(Latencies {
        times,
        stages_nanos: stages.map(|(after, before)| after.means_nanos_since(&before)),
        load,
    })
}

fn open_loop(
    run: &mut Run<'_>,
    rate: u64,
    messages: u64,
    mut on_delivered: impl FnMut(Delivered),
) -> Result<(), Error> {
    let interval_nanos = 1_000_000_000 / rate;
    let (begin, first) = (run.now, run.publisher.published());
    let due = |sequence: u64| begin + (sequence - first) * interval_nanos;
    while run.publisher.published() < first + messages {
        let next = run.publisher.published();
        if due(next) <= run.now {
            run.publish(due(next));
        }
        run.turn(&mut on_delivered)?;
    }
    run.drain(&mut on_delivered)
}
