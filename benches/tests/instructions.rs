//! What a send costs before the kernel, in instructions: counted by valgrind's callgrind,
//! so it is the same on every machine, busy or not. A time can't show a lane that has
//! become twice as slow, for a send takes the kernel a hundred times as long.
//!
//! Only in release builds (`cargo test --release -p ringcast-benches --test instructions`):
//! in others the counts are of something else.

#![cfg(not(debug_assertions))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;

const SOCKETS: usize = 512;

/// The bare loop takes some twenty. The lane finds each connection's ring and descriptor,
/// and compares its key. Compilers differ by some instructions.
const LANE_INSTRUCTIONS_MAX: u64 = 70;

/// Instructions of the process that makes so many bursts of one small send to each.
fn instructions(method: &str, bursts: usize) -> u64 {
    let mut child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env!("CARGO_BIN_EXE_ringcast-benches"))
        .args(["sender", method, &SOCKETS.to_string(), "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("valgrind is installed: apt-get install valgrind");
    let mut input = child.stdin.take().expect("it was asked for");
    let mut output = BufReader::new(child.stdout.take().expect("it was asked for"));
    let mut errors = child.stderr.take().expect("it was asked for");
    let said = thread::spawn(move || {
        let mut said = String::new();
        errors.read_to_string(&mut said).map(|_| said)
    });
    let mut line = String::new();
    output.read_line(&mut line).expect("it says its port");
    let port: u16 = line.trim().parse().expect("a port");
    let peers: Vec<_> = (0..SOCKETS)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).expect("it listens"))
        .collect();
    for _ in 0..bursts {
        input.write_all(b"\n").expect("it waits for it");
        line.clear();
        output
            .read_line(&mut line)
            .expect("it says how long that took");
    }
    drop(input);
    assert!(child.wait().expect("it ends").success());
    drop(peers);
    let said = said.join().expect("read").expect("it is text");
    let counted = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .expect("callgrind counts");
    counted.1.trim().parse().expect("a number")
}

/// Of one send, without what comes before the first.
fn per_send(method: &str) -> u64 {
    let (few, many) = (2, 12);
    let more = instructions(method, many) - instructions(method, few);
    more / ((many - few) * SOCKETS) as u64
}

#[test]
fn a_send_of_the_lane_is_little_more_than_a_bare_one() {
    let (bare, lane) = (per_send("io-uring"), per_send("lane"));
    println!("instructions per send: bare io_uring {bare}, lane {lane}");
    assert!(bare > 20, "it can't be less: {bare}");
    assert!(
        lane <= LANE_INSTRUCTIONS_MAX,
        "{lane}, and {bare} without a lane"
    );
}
