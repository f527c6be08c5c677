//! Runs as their users see them: they replay exactly, and what is left out changes nothing
//! else.

use ringcast_sim::kind::Kind;
use ringcast_sim::run::Plan;

/// Enough for a few clients to come, and short for a test without optimisation.
const STEPS: u64 = 600;

#[test]
fn a_seed_replays_exactly_and_no_other_is_the_same() {
    let mut hashes = Vec::new();
    for seed in 1..8 {
        let (once, again) = (Plan::new(seed, STEPS).run(), Plan::new(seed, STEPS).run());
        assert!(once.failure.is_none(), "{:?}", once.failure);
        assert_eq!((once.hash, &once.counts), (again.hash, &again.counts));
        assert!(!hashes.contains(&once.hash));
        hashes.push(once.hash);
    }
}

#[test]
fn what_is_left_out_is_not_there() {
    for seed in 1..6 {
        let whole = Plan::new(seed, STEPS);
        let mut without = whole.clone();
        without.without = vec![Kind::ShortSend, Kind::Publish];
        let outcome = without.run();
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
        assert_eq!(outcome.counts.of(Kind::ShortSend), 0);
        assert_eq!(outcome.counts.of(Kind::Publish), 0);
        let mut skipped = whole.clone();
        skipped.skipped = (0..10_000).collect();
        let outcome = skipped.run();
        assert_eq!(outcome.counts.of(Kind::Connect), 0);
        assert!(outcome.actions > 0, "they are counted all the same");
    }
}
