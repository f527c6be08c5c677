//! Beside our own engine, as a process.

use crate::support::program::{run, start};
use crate::support::{Process, wait_until};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// `ringcast` stands where this program does, if it was built.
fn ringcast() -> Option<PathBuf> {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_ringcast-loadgen"));
    Some(own.with_file_name("ringcast")).filter(|file| file.is_file())
}

/// The engine on loopback, and where it listens.
fn serve(program: PathBuf) -> (Process, SocketAddr) {
    let mut command = Command::new(program);
    command.arg("serve");
    for setting in [
        "listen.mqtt=[\"127.0.0.1:0\"]",
        "listen.admin=\"127.0.0.1:0\"",
        "cores.idle=\"park\"",
        "cores.ingest=0",
        "cores.shards=[0, 1]",
        "memory.ring_bytes=16777216",
        "memory.private_bytes=8388608",
        "limits.retained_bytes=8388608",
        "memory.queue_bytes=33554432",
    ] {
        command.args(["--set", setting]);
    }
    let child = command.stderr(Stdio::piped()).spawn().expect("it is there");
    let mut process = Process(child);
    let lines = BufReader::new(process.0.stderr.take().expect("a pipe")).lines();
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // Nobody listens behind the first words, and it has to be read all the same.
            let _ = said.send(line);
        }
    });
    let (mut address, mut is_ready) = (None, false);
    wait_until("the engine is ready", || {
        for line in heard.try_iter() {
            is_ready |= line.contains("ready");
            if let Some(text) = line.strip_prefix("listening mqtt ") {
                address = text.parse().ok();
            }
        }
        is_ready
    });
    (process, address.expect("it says where it listens"))
}

#[test]
fn the_engine_delivers_what_is_published() {
    let Some(program) = ringcast() else {
        eprintln!("skipped: there is no ringcast beside this program; cargo build -p ringcast");
        return;
    };
    let (_engine, address) = serve(program);
    for (words, delivered) in [
        ("--subscribers 20 --rate 500 --duration 1s", 10_000),
        (
            "--mqtt 3.1.1 --subscribers 20 --topics 50 --publishers 5 --rate 500 --duration 1s",
            10_000,
        ),
        ("one-to-a-million --scale 1/2000 --duration 1s", 500),
        ("conn-1m --scale 1/1000 --hold 1s", 1_000),
        ("far-away --scale 1/50 --duration 1s", 5_000),
    ] {
        let results = run(&format!("run {words} --quiet --target {address}")).right();
        assert_eq!(results.totals.delivered, delivered, "{words}");
    }
}

#[test]
fn who_publishes_without_end_does_not_hold_up_a_run() {
    let Some(program) = ringcast() else {
        eprintln!("skipped: there is no ringcast beside this program; cargo build -p ringcast");
        return;
    };
    let (_engine, address) = serve(program);
    let endless = "--subscribers 1 --rate 200 --duration 1h --no-floor";
    let mut stranger = start(&format!("run {endless} --target {address}"));
    stranger.wait_for("of 3600 s");
    let words = "--subscribers 2 --rate 100 --duration 1s";
    let results = run(&format!("run {words} --quiet --target {address}")).results();
    assert!(results.totals.delivered >= 200);
    assert_eq!(results.correctness.missing, 0);
}
