//! Each thing that a broker can do wrong is seen, and nothing else is.

use crate::support::faulty::{FAULTY, Fault, start};
use crate::support::program::run;
use ringcast_loadgen::results::Correctness;

const MESSAGES: u64 = 300;

const SUBSCRIBERS: u64 = 3;

/// A run of some hundred messages beside a broker with that fault; the last words of its
/// table.
fn judge(fault: Option<Fault>, words: &str) -> (Option<i32>, Correctness, String) {
    let address = start(fault);
    let outcome = run(&format!(
        "run --quiet --target {address} --mqtt 3.1.1 --subscribers {SUBSCRIBERS} --topics 2 --rate 1000 --duration 300ms {words}"
    ));
    let mut correctness = outcome.results().correctness;
    // Whoever they are: the rest is to be compared.
    let extremes = (correctness.slowest.take(), correctness.fastest.take());
    assert!(
        matches!(extremes, (Some(_), Some(_))),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
    (outcome.code, correctness, outcome.stdout.clone())
}

/// What is expected of all subscribers together.
fn all() -> Correctness {
    Correctness {
        subscribers: SUBSCRIBERS,
        due: MESSAGES * SUBSCRIBERS,
        ..Correctness::default()
    }
}

#[test]
fn what_is_right_is_right() {
    let (code, correctness, table) = judge(None, "");
    assert_eq!((code, &correctness), (Some(0), &all()), "{table}");
    let (code, correctness, table) = judge(None, "--payload 16");
    assert_eq!((code, &correctness), (Some(0), &all()), "{table}");
}

#[test]
fn each_fault_is_seen_at_every_subscriber() {
    for fault in [
        Fault::Drop,
        Fault::Twice,
        Fault::Swap,
        Fault::Turn,
        Fault::OtherRun,
        Fault::Misroute,
        Fault::Rename,
    ] {
        let mut expected = all();
        match fault {
            Fault::Drop => expected.missing = SUBSCRIBERS,
            Fault::Twice => expected.duplicate = SUBSCRIBERS,
            // In topics of their own two messages have no order: it takes the next but one.
            Fault::Swap => expected.reordered = 0,
            Fault::Turn | Fault::Misroute | Fault::Rename => {
                expected.corrupt = SUBSCRIBERS;
                expected.missing = SUBSCRIBERS;
            }
            Fault::OtherRun => {
                expected.stale = SUBSCRIBERS;
                expected.missing = SUBSCRIBERS;
            }
            Fault::Close => unreachable!("it is another test's"),
        }
        let is_wrong = expected.violations() > 0;
        let (code, correctness, table) = judge(Some(fault), "");
        assert_eq!(correctness, expected, "{fault:?}\n{table}");
        assert_eq!(code, Some(i32::from(is_wrong)), "{fault:?}\n{table}");
    }
}

#[test]
fn messages_of_one_topic_have_an_order() {
    let (code, correctness, table) = judge(Some(Fault::Swap), "--topics 1");
    let expected = Correctness {
        reordered: SUBSCRIBERS,
        ..all()
    };
    assert_eq!((code, correctness), (Some(1), expected), "{table}");
}

#[test]
fn short_payloads_are_checked_as_well() {
    for (fault, corrupt, missing) in [
        (Fault::Drop, 0, SUBSCRIBERS),
        (Fault::Turn, SUBSCRIBERS, SUBSCRIBERS),
    ] {
        let (code, correctness, table) = judge(Some(fault), "--payload 16");
        let expected = Correctness {
            corrupt,
            missing,
            ..all()
        };
        assert_eq!(
            (code, correctness),
            (Some(1), expected),
            "{fault:?}\n{table}"
        );
    }
}

#[test]
fn what_may_be_left_out_is_not_missing() {
    let (code, correctness, table) = judge(Some(Fault::Drop), "--conflation");
    let expected = Correctness {
        conflated: SUBSCRIBERS,
        ..all()
    };
    assert_eq!((code, correctness), (Some(0), expected), "{table}");
}

#[test]
fn a_broker_that_dies_ends_the_run_and_what_was_counted_is_kept() {
    let address = start(Some(Fault::Close));
    let outcome = run(&format!(
        "run --quiet --target {address} --mqtt 3.1.1 --rate 100 --duration 60s"
    ));
    assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
    let results = outcome.results();
    assert_eq!(results.totals.connections_lost, 2);
    assert_eq!(results.totals.delivered, u64::from(FAULTY) - 1);
    let [end] = &results.early_ends[..] else {
        panic!("{:?}", results.early_ends);
    };
    assert!(
        end.why.starts_with("all connections are lost"),
        "{}",
        end.why
    );
}
