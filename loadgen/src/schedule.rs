//! When what is to happen: fixed before the run, whatever the server does meanwhile.
//!
//! ```text
//!  rate │      ____          a rate that goes from corner to corner; event number n is
//!       │  ___/    \___      intended for the time at which the area below it is n
//!       └──────────────── time
//! ```

/// A part of a schedule in which the rate goes in a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Segment {
    begins_nanos: u64,
    seconds: f64,
    /// Events per second at its beginning and at its end.
    rates: (f64, f64),
    /// Events before it.
    before: f64,
}

/// When each of some events is intended, in nanoseconds from a common start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schedule {
    segments: Vec<Segment>,
    /// Which segment the next event is in.
    current: usize,
    /// The number of the next event; its fraction is where this schedule stands among
    /// others that share the rate.
    next: f64,
    next_nanos: Option<u64>,
}

impl Schedule {
    /// From corners: for so many nanoseconds the rate goes from the first to the second
    /// number. `phase`, below 1, is the part of an interval by which all events come
    /// later.
    pub(crate) fn new(corners: &[(u64, (f64, f64))], phase: f64) -> Self {
        let (mut begins_nanos, mut before) = (0, 0.0);
        let mut segments = Vec::with_capacity(corners.len());
        for &(nanos, rates) in corners {
            let seconds = nanos as f64 / 1e9;
            segments.push(Segment {
                begins_nanos,
                seconds,
                rates,
                before,
            });
            begins_nanos += nanos;
            before += seconds * (rates.0 + rates.1) / 2.0;
        }
        let mut schedule = Self {
            segments,
            current: 0,
            next: phase,
            next_nanos: None,
        };
        schedule.find();
        schedule
    }

    /// When the next event is intended; none if there is no more.
    pub(crate) fn next_nanos(&self) -> Option<u64> {
        self.next_nanos
    }

    /// Goes on to the event behind the next one.
    pub(crate) fn advance(&mut self) {
        self.next += 1.0;
        self.find();
    }

    /// How many events there are from here on.
    pub(crate) fn remaining(&self) -> u64 {
        let all = self
            .segments
            .last()
            .map_or(0.0, |last| last.before + last.events());
        // Events that are as good as at the end are behind it: see `find`.
        (all - self.next - EVENTS_NEGLIGIBLE).ceil().max(0.0) as u64
    }

    fn find(&mut self) {
        self.next_nanos = loop {
            let Some(segment) = self.segments.get(self.current) else {
                break None;
            };
            let inside = self.next - segment.before;
            if inside < segment.events() - EVENTS_NEGLIGIBLE {
                let nanos = segment.seconds_to(inside) * 1e9;
                break Some(segment.begins_nanos + nanos.round() as u64);
            }
            self.current += 1;
        };
    }
}

/// What sums of fractions may be wrong by.
const EVENTS_NEGLIGIBLE: f64 = 1e-6;

impl Segment {
    fn events(&self) -> f64 {
        self.seconds * (self.rates.0 + self.rates.1) / 2.0
    }

    /// Seconds from its beginning until so many events.
    fn seconds_to(&self, events: f64) -> f64 {
        let (from, to) = self.rates;
        let growth = (to - from) / self.seconds;
        if growth == 0.0 {
            return events / from;
        }
        // from·t + growth·t²/2 = events, in the form that does not cancel.
        2.0 * events / (from + (from * from + 2.0 * growth * events).max(0.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut schedule: Schedule) -> Vec<u64> {
        let remaining = schedule.remaining();
        let mut times = Vec::new();
        while let Some(nanos) = schedule.next_nanos() {
            times.push(nanos);
            schedule.advance();
        }
        assert_eq!(times.len() as u64, remaining);
        assert!(times.is_sorted());
        times
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_constant_rate_begins_at_once_and_ends_in_time() {
        let times = all(Schedule::new(&[(2 * SECOND, (4.0, 4.0))], 0.0));
        let quarters: Vec<_> = (0..8).map(|event| event * SECOND / 4).collect();
        assert_eq!(times, quarters);
        assert_eq!(all(Schedule::new(&[(SECOND, (1.0, 1.0))], 0.0)), [0]);
        assert!(all(Schedule::new(&[(SECOND, (0.0, 0.0))], 0.0)).is_empty());
    }

    #[test]
    fn two_halves_with_their_phases_are_the_whole() {
        let half = |phase| all(Schedule::new(&[(SECOND, (500.0, 500.0))], phase));
        let mut both = [half(0.0), half(0.5)].concat();
        both.sort_unstable();
        assert_eq!(
            both,
            all(Schedule::new(&[(SECOND, (1_000.0, 1_000.0))], 0.0))
        );
    }

    #[test]
    fn a_ramp_has_as_many_events_as_its_area() {
        let times = all(Schedule::new(&[(10 * SECOND, (0.0, 200.0))], 0.0));
        assert_eq!(times.len(), 1_000);
        // Half of the time is a quarter of the area.
        assert_eq!(times.iter().filter(|&&at| at < 5 * SECOND).count(), 250);
        let falling = all(Schedule::new(&[(10 * SECOND, (200.0, 0.0))], 0.0));
        assert_eq!(falling.iter().filter(|&&at| at < 5 * SECOND).count(), 750);
    }

    #[test]
    fn a_burst_stands_between_what_is_around_it() {
        let corners = [
            (SECOND, (10.0, 10.0)),
            (SECOND / 10, (10_000.0, 10_000.0)),
            (SECOND, (10.0, 10.0)),
        ];
        let times = all(Schedule::new(&corners, 0.0));
        let within = |from: u64, to: u64| times.iter().filter(|at| (from..to).contains(at)).count();
        assert_eq!(within(0, SECOND), 10);
        assert_eq!(within(SECOND, SECOND * 11 / 10), 1_000);
        assert_eq!(within(SECOND * 11 / 10, SECOND * 21 / 10), 10);
    }
}
