//! Producers that die: whatever was done between reserving and publishing, the next
//! producer goes on and readers see whole, published records only.
//!
//! A program without the test harness, because it runs itself as the process that
//! dies. First that process is stepped through claim, write and publish one machine
//! instruction at a time, and after each that changed the memory the image is examined
//! as if the process had died there. Then it is really killed, after each call.

mod support;

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use ringcast_ring::{Kind, MemoryError, Producer, Tap, TapError};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use support::*;

const CAPACITY: usize = 4096;

/// What was published before, by the first producer: 112 bytes are left before the
/// data wrap.
const BEFORE: [usize; 5] = [900, 1000, 1000, 1016, 24];

/// What the dying process claims: the first still fits, the second needs padding and
/// overwrites what was written first, the third is published with them.
const DYING: [usize; 3] = [40, 120, 8];

/// What is done to a record, as far as one can be interrupted between calls.
const CALLS: usize = 2 * DYING.len() + 2;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("step") => die(&arguments[2], None),
        Some("kill") => die(&arguments[2], Some(arguments[3].parse().expect("a number"))),
        // What a test runner asks of every test program.
        Some("--list") => println!("producers_that_die: test"),
        _ => {
            let images = every_instruction();
            println!("producer stepped through: {images} images, each was taken over");
            every_call();
            println!("producer killed after each of {CALLS} calls");
        }
    }
}

/// The ring before the producer that dies has it, and a tap before its first record.
fn prepare() -> (OwnedFd, Vec<u8>, Vec<Copied>) {
    let mut producer = Producer::create("death", CAPACITY).expect("there is memory");
    let empty = image(&producer);
    let mut tap = Tap::open(descriptor(&producer)).expect("it is a ring");
    for (serial, bytes) in BEFORE.into_iter().enumerate() {
        write(&mut producer, serial as u64, bytes);
    }
    producer.publish();
    let (records, error) = read_all(&mut tap);
    assert_eq!((records.len(), error), (BEFORE.len(), None));
    (descriptor(&producer), empty, records)
}

fn write(producer: &mut Producer, serial: u64, bytes: usize) {
    let room = producer
        .claim(bytes, Kind(1))
        .expect("nobody is waited for");
    room.copy_from_slice(&body(serial, bytes));
}

/// The process that dies, in `main` of its own: takes the ring over and, having
/// stopped once, writes three records and publishes them.
fn die(memory: &str, at: Option<usize>) {
    let file = File::options().read(true).write(true).open(memory);
    let mut producer = Producer::take_over(file.expect("the parent has it").into()).expect("free");
    let bodies = DYING.map(|bytes| body(bytes as u64, bytes));
    let mut calls = 0;
    let mut call = || {
        if at == Some(calls) {
            kill(Pid::this(), Signal::SIGKILL).expect("it is us");
        }
        calls += 1;
    };
    if at.is_none() {
        ptrace::traceme().expect("a parent may trace its child here");
        raise(Signal::SIGSTOP).expect("it is us");
    }
    for body in &bodies {
        call();
        let room = producer
            .claim(body.len(), Kind(2))
            .expect("nobody is waited for");
        call();
        room.copy_from_slice(body);
    }
    call();
    producer.publish();
    call();
}

fn spawn(memory: &OwnedFd, arguments: &[&str]) -> Child {
    let own = std::env::current_exe().expect("there is /proc");
    let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    let (mode, rest) = arguments.split_first().expect("a mode");
    let mut command = Command::new(own);
    command.arg(mode).arg(path).args(rest).stdin(Stdio::null());
    command.spawn().expect("this program can run again")
}

/// Steps the process through and examines every image; returns their number.
fn every_instruction() -> usize {
    let (memory, empty, before) = prepare();
    let mut child = spawn(&memory, &["step"]);
    let process = Pid::from_raw(child.id() as i32);
    let stopped = waitpid(process, None).expect("it is our child");
    assert!(
        matches!(stopped, WaitStatus::Stopped(_, Signal::SIGSTOP)),
        "{stopped:?}"
    );
    let in_use = Producer::take_over(descriptor(&memory));
    assert!(
        matches!(in_use, Err(MemoryError::InUse)),
        "it lives: {in_use:?}"
    );

    let mut seen = image(&memory);
    let published_before = word(&seen, PUBLISHED_AT);
    let (mut images, mut with_new, mut lapped) = (0, 0, 0);
    let mut look = |now: &[u8]| {
        images += 1;
        let verdict = examine(now, &empty, &before);
        with_new += usize::from(verdict.has_new);
        lapped += usize::from(verdict.is_lapped);
    };
    look(&seen);
    // Until it has published and what follows changes nothing for a while.
    let mut quiet = 0;
    while quiet < 1000 {
        ptrace::step(process, None).expect("it is stopped");
        let status = waitpid(process, None).expect("it is our child");
        let WaitStatus::Stopped(_, Signal::SIGTRAP) = status else {
            panic!("it does not step: {status:?}");
        };
        let now = image(&memory);
        quiet += usize::from(word(&now, PUBLISHED_AT) != published_before);
        if now != seen {
            assert_eq!(
                quiet,
                usize::from(quiet > 0),
                "publishing is the last change"
            );
            look(&now);
            seen = now;
        }
    }
    child.kill().expect("it is stopped");
    child.wait().expect("it is our child");
    assert_eq!(with_new, 1, "all three came with one store");
    // Two claims, four heads, three bodies in pieces, one publish.
    assert!(
        images > 10 && lapped > 5 && lapped < images,
        "{images} {lapped}"
    );
    Producer::take_over(memory).expect("it is dead");
    images
}

struct Verdict {
    has_new: bool,
    is_lapped: bool,
}

/// Looks at an image as a tap that is a ring behind, as one that has read all, and as
/// the producer that takes it over.
fn examine(now: &[u8], empty: &[u8], before: &[Copied]) -> Verdict {
    let memory = memfd(empty, SIZE_SEALS);
    let file = File::from(descriptor(&memory));
    let mut behind = Tap::open(descriptor(&memory)).expect("it is a ring");
    // As it was before the process that died came.
    let mut earlier = now.to_vec();
    set_word(
        &mut earlier,
        PUBLISHED_AT,
        before.last().map(end_of).expect("five"),
    );
    file.write_all_at(&earlier, 0).expect("it is open");
    let mut ahead = Tap::open(descriptor(&memory)).expect("it is a ring");
    file.write_all_at(now, 0).expect("it is open");

    let mut body_read = Vec::new();
    // That process was the second producer.
    assert_eq!(behind.read(&mut body_read), Err(TapError::NewEpoch(2)));
    let (records, error) = read_all(&mut behind);
    let is_lapped = match error {
        None => false,
        Some(TapError::Lapped { .. }) => true,
        Some(error) => panic!("the producer was honest: {error}"),
    };
    let expected = before.to_vec();
    if is_lapped {
        assert!(records.is_empty(), "its first record was claimed first");
    } else {
        assert_eq!(
            records, expected,
            "whole records, and all that were published"
        );
    }
    let (new, error) = read_all(&mut ahead);
    assert_eq!(error, None);
    let bodies: Vec<_> = new.iter().map(|record| record.2.clone()).collect();
    let dying = DYING.map(|bytes| body(bytes as u64, bytes));
    assert!(
        bodies.is_empty() || bodies == dying,
        "all or none: {}",
        bodies.len()
    );

    let mut producer = Producer::take_over(memory).expect("nobody has the copy");
    producer.invariants();
    assert_eq!(ahead.read(&mut body_read), Err(TapError::NewEpoch(3)));
    write(&mut producer, 99, 500);
    producer.invariants();
    assert_eq!(ahead.read(&mut body_read), Ok(None), "it is not published");
    producer.publish();
    let (after, error) = read_all(&mut ahead);
    assert_eq!(error, None);
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].2, body(99, 500));
    Verdict {
        has_new: !bodies.is_empty(),
        is_lapped,
    }
}

fn end_of(record: &Copied) -> u64 {
    record.0.0 + (8 + record.2.len() as u64).next_multiple_of(8)
}

/// The real thing: the process is killed, its lock goes, another one takes over.
fn every_call() {
    for at in 0..CALLS {
        let (memory, _, before) = prepare();
        let mut tap = Tap::open(descriptor(&memory)).expect("it is a ring");
        let status = spawn(&memory, &["kill", &at.to_string()])
            .wait()
            .expect("it is our child");
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(
            status.signal(),
            Some(Signal::SIGKILL as i32),
            "after call {at}"
        );
        assert_eq!(tap.cursor().0, end_of(&before[4]));
        let mut producer = Producer::take_over(descriptor(&memory)).expect("it is dead");
        producer.invariants();
        let mut body_read = Vec::new();
        assert_eq!(tap.read(&mut body_read), Err(TapError::NewEpoch(3)));
        write(&mut producer, 7, 300);
        producer.publish();
        let (records, error) = read_all(&mut tap);
        assert_eq!(error, None);
        let mut expected = Vec::new();
        if at + 1 == CALLS {
            expected.extend(DYING.map(|bytes| body(bytes as u64, bytes)));
        }
        expected.push(body(7, 300));
        let bodies: Vec<_> = records.into_iter().map(|record| record.2).collect();
        assert_eq!(bodies, expected, "after call {at}");
    }
}
