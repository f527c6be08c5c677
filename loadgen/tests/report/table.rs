//! The table, to the letter.

use crate::sample::{process, search, whole};
use ringcast_loadgen::report::{Table, Verdict};
use ringcast_loadgen::results::{EarlyEnd, Message, Results, Run};

#[test]
fn a_run_in_which_all_was_right() {
    assert_eq!(
        Table(&whole()).to_string(),
        include_str!("expected/right.txt")
    );
}

#[test]
fn a_run_in_which_everything_went_wrong() {
    let mut results = whole();
    results.totals.connections_refused = 1;
    results.totals.connections_failed = 2;
    results.totals.connections_lost = 3;
    results.totals.connections_reopened = 4;
    results.totals.pings_answered -= 5;
    results.totals.acknowledged = 12;
    let correctness = &mut results.correctness;
    correctness.missing = 6;
    correctness.duplicate = 7;
    correctness.reordered = 8;
    correctness.corrupt = 9;
    correctness.stale = 10;
    correctness.conflated = 1_000;
    let health = &mut results.processes[1].health;
    health.sent = 15;
    health.late = 11;
    health.timer_slip = crate::sample::latencies([1_500_000]);
    health.busy_nanos = health.thread_nanos;
    results.search = Some(search());
    let message = |extra: u64| Message {
        last_nanos: results.messages[0].last_nanos + extra * 100_000,
        ..results.messages[0].clone()
    };
    // The longest one is not the last.
    results.messages = (0..12).rev().map(message).collect();
    results.early_ends.push(EarlyEnd {
        process: Some(1),
        at_nanos: 3_000_000_000,
        why: "process 1 was killed by signal 9: see whether the machine ran out of memory"
            .to_owned(),
    });
    assert_eq!(
        Table(&results).to_string(),
        include_str!("expected/wrong.txt")
    );
}

#[test]
fn a_run_that_never_began_has_no_figures_but_why() {
    let mut results = Results::new(Run {
        id: "5f3a9c".to_owned(),
        started_unix_millis: 1_764_446_400_000,
        scenario: "one-to-many".to_owned(),
        scenario_toml: String::new(),
        targets: vec!["127.0.0.1:1".to_owned()],
    });
    results.early_ends.push(EarlyEnd {
        process: None,
        at_nanos: 0,
        why: "nobody listens at 127.0.0.1:1: start the server first".to_owned(),
    });
    assert_eq!(
        Table(&results).to_string(),
        include_str!("expected/never.txt")
    );
}

#[test]
fn a_saturated_process_is_not_hidden_by_an_idle_one() {
    let mut results = whole();
    assert_eq!(Verdict::of(&results), Verdict::default());
    let health = &mut results.processes[0].health;
    health.busy_nanos = health.thread_nanos;
    let verdict = Verdict::of(&results);
    assert_eq!(verdict.violations, Vec::<String>::new());
    assert_eq!(verdict.doubts, ["process 0 was busy for 100 % of its time"]);
}

#[test]
fn a_process_alone_is_told_like_all_of_them() {
    let table = Table(&process(0, &[0, 1])).to_string();
    let whole = Table(&whole()).to_string();
    let line = |table: &str, name: &str| {
        let mut lines = table.lines().filter(|line| line.starts_with(name));
        lines.next().map(str::to_owned)
    };
    for name in [
        "connections",
        "published",
        "delivered",
        "response",
        "correctness",
        "late",
    ] {
        assert_eq!(line(&table, name), line(&whole, name));
        assert!(line(&table, name).is_some(), "{name}");
    }
}
