//! The three ways in which messages follow each other, and what each of them shows.

use super::run::{Load, Run};
use super::subscribers::Delivered;
use crate::clock::{Times, now_nanos};
use crate::error::Error;
use crate::report::{Figure, LATE};

/// The part of a run that is over before its figures begin: a divisor.
const WARM_UP_PART: u64 = 5;

/// If the probe looks later than this after a message, that is late by its fault.
const LATE_NANOS: u64 = 1_000_000;

/// Messages that are on their way at the most, at a fixed rate: those that are due beyond them
/// wait, and count from when they were due. After half a second in which nothing moved, all at
/// once would be more than a server must bear with before it treats who is well as a laggard.
const UNDER_WAY_MAX: u64 = 512;

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
    load: Load,
}

impl Throughput {
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let seconds = self.load.nanos as f64 / 1e9;
        let rate = self.load.deliveries as f64 / seconds;
        let figures = [
            Figure::new("deliveries", "1/s", rate),
            self.load.each_read(),
        ];
        figures.into_iter().chain(self.load.figures()).collect()
    }

    /// The server's processor time for each delivery.
    pub(crate) fn server_time(&self) -> Option<Figure> {
        let nanos = self.load.server_nanos? as f64;
        let each = nanos / self.load.deliveries as f64;
        Some(Figure::new("server's time", "ns", each))
    }
}

/// Publishes as fast as goes, while at most so many messages are not yet with all who get
/// them; `fill` messages before the clock begins.
pub(crate) fn outstanding(
    run: &mut Run<'_>,
    window: u64,
    nanos: u64,
    fill: u64,
) -> Result<Throughput, Error> {
    load(run, window, nanos, fill, None).map(|load| Throughput { load })
}

/// The same, and subscribers acknowledge nothing before the clock has stopped. It does before
/// `most` messages can have come to each of them: as many as the server sends before it waits.
pub(crate) fn outstanding_unacknowledged(
    run: &mut Run<'_>,
    window: u64,
    nanos: u64,
    most: u64,
) -> Result<Throughput, Error> {
    load(run, window, nanos, 0, Some(most)).map(|load| Throughput { load })
}

/// What [`outstanding`] is made of; if there are so many that may stay unacknowledged, none is
/// acknowledged while the clock runs.
fn load(
    run: &mut Run<'_>,
    window: u64,
    nanos: u64,
    fill: u64,
    unacknowledged_max: Option<u64>,
) -> Result<Load, Error> {
    let turn = |run: &mut Run<'_>| {
        while run.publisher.published() - run.complete() < window {
            run.publish(run.now);
        }
        run.turn(|_| {})
    };
    while run.publisher.published() < fill {
        turn(run)?;
    }
    let begin = run.now;
    let mut before = run.complete();
    let mut is_warm = false;
    let (mut warming_max, mut published_max) = (u64::MAX, u64::MAX);
    if let Some(most) = unacknowledged_max {
        // From the beginning: TCP goes on otherwise for whoever has answered once. With the
        // last turn a window of messages may be published, and arrive.
        run.subscribers.withhold_acknowledgements();
        let most = most.saturating_sub(window);
        warming_max = before + most / WARM_UP_PART;
        published_max = before + most;
    }
    loop {
        turn(run)?;
        // Both ends are where as many messages as may be under way have arrived, however
        // slow the server: some send nothing for long, and then much at once.
        let is_round = run.complete() >= before + window;
        let published = run.publisher.published();
        if is_round
            && !is_warm
            && (run.now >= begin + nanos / WARM_UP_PART || published >= warming_max)
        {
            is_warm = true;
            run.begin();
            before = run.complete();
        } else if is_round && is_warm && (run.now >= begin + nanos || published >= published_max) {
            let load = run.end();
            run.subscribers.release_acknowledgements();
            run.drain(|_| {})?;
            return Ok(load);
        }
    }
}

/// How long deliveries took.
#[derive(Debug)]
pub(crate) struct Latencies {
    measured: Measured,
    /// What the stages inside the server took of that in the mean, if it tells.
    pub(crate) stages_nanos: Option<f64>,
    load: Load,
}

/// What an open loop shows.
#[derive(Debug)]
struct Measured {
    times: Times,
    /// Which part of its messages the probe published late.
    late: f64,
}

impl Measured {
    fn new() -> Self {
        Self {
            times: Times::new(),
            late: 0.0,
        }
    }
}

impl Latencies {
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let Measured { times, late } = &self.measured;
        let figures = [
            Figure::new("p50", "ns", times.percentile(50.0)),
            Figure::new("p99", "ns", times.percentile(99.0)),
            Figure::new("p99.9", "ns", times.percentile(99.9)),
            Figure::new("max", "ns", times.max()),
            self.load.each_read(),
        ];
        let kept_up = [Figure::new(LATE, "share", *late)];
        figures
            .into_iter()
            .chain(self.load.figures())
            .chain(kept_up)
            .collect()
    }

    pub(crate) fn mean_nanos(&self) -> f64 {
        self.measured.times.mean()
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
    let mut unmeasured = Measured::new();
    open_loop(run, rate, warming, &mut unmeasured)?;
    between(run)?;
    let stages_before = run.target.stages()?;
    run.begin();
    let mut measured = Measured::new();
    open_loop(run, rate, messages - warming, &mut measured)?;
    let load = run.end();
    let stages = run.target.stages()?.zip(stages_before);
    Ok(Latencies {
        measured,
        stages_nanos: stages.map(|(after, before)| after.means_nanos_since(&before)),
        load,
    })
}

/// Publishes so many messages, each when it is due; those that are due together, because the
/// probe was late, go with one send.
fn open_loop(
    run: &mut Run<'_>,
    rate: u64,
    messages: u64,
    measured: &mut Measured,
) -> Result<(), Error> {
    let interval_nanos = 1_000_000_000 / rate;
    let (begin, first) = (run.now, run.publisher.published());
    let end = first + messages;
    let due = |sequence: u64| begin + (sequence - first) * interval_nanos;
    let mut on_delivered = |delivered: Delivered| {
        for sequence in delivered.sequences {
            let nanos = delivered.received_nanos.saturating_sub(due(sequence));
            measured.times.record(nanos);
        }
    };
    let (mut next_due, mut late) = (first, 0);
    while run.publisher.published() < end {
        while next_due < end && due(next_due) <= run.now {
            late += u64::from(run.now - due(next_due) > LATE_NANOS);
            next_due += 1;
        }
        let may_be_published = next_due.min(run.complete() + UNDER_WAY_MAX);
        for sequence in run.publisher.published()..may_be_published {
            run.publish(due(sequence));
        }
        run.turn(&mut on_delivered)?;
    }
    run.drain(&mut on_delivered)?;
    measured.late = late as f64 / messages as f64;
    Ok(())
}
