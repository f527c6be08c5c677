//! The search for the highest rate at which the response time stays below a limit.

use super::{Coordinator, Stop};
use crate::results::{Search, SearchStep};
use crate::scenario;

impl Coordinator {
    /// Doubles the rate until it is too high, then halves the distance.
    pub(super) fn search(
        &mut self,
        settings: &scenario::Search,
        found: &mut Option<Search>,
    ) -> Result<(), Stop> {
        let search = found.insert(Search {
            percentile: settings.percentile,
            limit_nanos: settings.below.nanos(),
            steps: Vec::new(),
        });
        let (mut passed, mut failed) = (0.0, f64::INFINITY);
        let mut rate = settings.from;
        loop {
            let round = self.round(Some(rate))?;
            let response = round.response.unpack();
            let seconds = self.plan.scenario.load.duration.seconds();
            let is_kept =
                response.value_at_percentile(settings.percentile) <= settings.below.nanos();
            // All is in time only if all was sent.
            let is_sent = round.sent as f64 >= 0.99 * round.due as f64;
            let step = SearchStep {
                rate,
                achieved: round.sent as f64 / seconds,
                response: round.response,
                passed: is_kept && is_sent && round.wrong == 0,
            };
            eprintln!(
                "{rate:.0}/s: p{} {:.3} ms, {}",
                settings.percentile,
                response.value_at_percentile(settings.percentile) as f64 / 1e6,
                if step.passed { "kept" } else { "too much" }
            );
            match step.passed {
                true => passed = rate,
                false => failed = rate,
            }
            search.steps.push(step);
            rate = match failed.is_infinite() {
                true if passed >= settings.to => return Ok(()),
                true => (2.0 * passed).min(settings.to),
                false => (passed + failed) / 2.0,
            };
            let is_close = failed.is_finite() && failed - passed <= settings.within * failed;
            let is_nothing = passed == 0.0 && failed <= settings.from / 1024.0;
            if is_close || is_nothing {
                return Ok(());
            }
        }
    }
}
