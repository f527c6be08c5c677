//! Several processes share one run.

use crate::support::mosquitto::Mosquitto;
use crate::support::program::{loadgen, run, start};
use crate::support::{free_port, signal};
use nix::sys::signal::Signal;

#[test]
fn three_processes_are_one_run() {
    let broker = Mosquitto::start();
    let words = |processes: u32| {
        format!(
            "run --quiet --processes {processes} --target {} --subscribers 10 --topics 6 --publishers 3 --rate 300 --duration 1s",
            broker.address
        )
    };
    let (one, three) = (run(&words(1)).right(), run(&words(3)).right());
    assert_eq!(three.processes.len(), 3);
    assert_eq!(
        one.totals.connections_opened,
        three.totals.connections_opened
    );
    assert_eq!(one.totals.published, three.totals.published);
    assert_eq!(one.totals.delivered, three.totals.delivered);
    assert_eq!(one.correctness.due, three.correctness.due);
    assert_eq!(one.response.unpack().len(), three.response.unpack().len());
    // Each took its part of the clients.
    let opened: Vec<_> = three
        .processes
        .iter()
        .map(|process| process.connections_opened)
        .collect();
    assert_eq!(opened, [5, 4, 4]);
}

#[test]
fn the_death_of_one_is_told_and_the_others_go_on() {
    let broker = Mosquitto::start();
    let mut running = start(&format!(
        "run --processes 2 --target {} --subscribers 4 --publishers 2 --topics 2 --rate 100 --duration 4s",
        broker.address
    ));
    running.wait_for("time 2 s");
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    let children = std::fs::read_to_string(children).expect("it runs");
    let child = children.trim().parse().expect("it has one");
    signal(child, Signal::SIGKILL);
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(1));
    let results = outcome.results();
    let [end] = &results.early_ends[..] else {
        panic!("{:?}", results.early_ends);
    };
    assert_eq!(end.process, Some(1));
    // What it had told is not lost with it, and the other has published to the end.
    assert_eq!(results.processes.len(), 2);
    assert!(results.processes[1].delivered > 0);
    assert_eq!(results.processes[0].health.sent, 200);
    assert!(results.seconds.len() >= 4);
}

#[test]
fn an_interrupted_run_keeps_what_it_has() {
    let broker = Mosquitto::start();
    let mut running = start(&format!(
        "run --processes 2 --target {} --subscribers 3 --duration 60s",
        broker.address
    ));
    running.wait_for("time 2 s");
    signal(running.pid(), Signal::SIGINT);
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let results = outcome.results();
    assert!(results.early_ends[0].why.contains("interrupted"));
    assert!(results.totals.delivered > 0);
    assert_eq!(results.processes.len(), 2);
}

#[test]
fn a_process_from_elsewhere_joins() {
    let broker = Mosquitto::start();
    let at = format!("127.0.0.1:{}", free_port());
    let mut running = start(&format!(
        "run --joiners 1 --listen {at} --target {} --subscribers 4 --rate 200 --duration 1s",
        broker.address
    ));
    running.wait_for(&format!("ringcast-loadgen join {at}"));
    let joined = loadgen(&format!("join {at}")).status();
    assert!(joined.expect("the program is there").success());
    let results = running.wait().right();
    assert_eq!(results.processes.len(), 2);
    assert_eq!(results.totals.delivered, 800);
}
