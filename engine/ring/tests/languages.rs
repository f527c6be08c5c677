//! Rings between languages: C writes, Rust reads; Rust and C write, Python reads.
//!
//! What compiles and runs them must be there: `./test tools` installs it on Debian.

mod support;

use ringcast_ring::{Kind, Producer, Tap};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use support::read_all;

const RECORDS: usize = 10_000;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A name in the folder of this build that no other test has.
fn temporary(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ringcast-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// Compiles the C producer, with all warnings as errors.
fn compile(name: &str) -> PathBuf {
    let program = temporary(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"]);
    compiler.arg(&program).arg(file("c/producer.c"));
    let status = compiler.status();
    let status = status.expect("there is no C compiler: `./test tools` installs cc");
    assert!(status.success(), "the C producer does not compile");
    program
}

fn start(program: &Path, socket: &Path, how: &str) -> Child {
    let mut command = Command::new(program);
    command.arg(socket).arg(RECORDS.to_string()).arg(how);
    command
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was just compiled")
}

fn text(number: usize) -> String {
    format!("record {number}{}", ".".repeat(number % 50))
}

/// Starts the C producer and takes its ring.
fn take(how: &str) -> (Child, UnixStream, Tap) {
    let (program, path) = (compile(&format!("producer-{how}")), temporary(how));
    let listener = UnixListener::bind(&path).expect("the name is free");
    let child = start(&program, &path, how);
    let (mut stream, _) = listener.accept().expect("the producer comes");
    let tap = Tap::accept(&stream).expect("it gives its ring");
    stream.write_all(b"!").expect("it waits for that");
    for path in [program, path] {
        let _ = std::fs::remove_file(path);
    }
    (child, stream, tap)
}

fn ends_well(mut child: Child, stream: UnixStream) {
    drop(stream);
    let mut said = String::new();
    let mut output = child.stdout.take().expect("it is piped");
    output.read_to_string(&mut said).expect("is text");
    assert!(
        said.starts_with(&format!("wrote {RECORDS} records")),
        "{said}"
    );
    assert!(child.wait().expect("it is our child").success());
}

#[test]
fn a_tap_reads_what_c_writes() {
    let (mut child, stream, mut tap) = take("tap");
    let mut number = 0;
    while number < RECORDS {
        let is_alive = child.try_wait().expect("it is our child").is_none();
        let (records, error) = read_all(&mut tap);
        assert_eq!(error, None);
        assert!(is_alive, "it waits for us to hang up");
        for (_, kind, body) in records {
            assert_eq!((kind, &body[..]), (Kind(7), text(number).as_bytes()));
            number += 1;
        }
    }
    ends_well(child, stream);
}

/// Through a ring that is a hundred times too small: padding, waiting and waking.
#[test]
fn c_waits_for_a_consumer_and_wakes_it() {
    let (child, stream, mut tap) = take("consumer");
    let mut body = Vec::new();
    for number in 0..RECORDS {
        while tap.read(&mut body).expect("C is honest").is_none() {
            tap.release();
            if let Some(bell) = tap.park() {
                assert!(bell.wait(60_000), "a wake-up is lost");
                tap.unpark();
            }
        }
        assert_eq!(body, text(number).as_bytes());
    }
    assert!(tap.cursor().0 > 100 * 4096);
    ends_well(child, stream);
}

fn python(path: &Path, count: usize) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new("python3");
    command
        .arg(file("python/ringcast_ring.py"))
        .arg(path)
        .arg(count.to_string());
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("there is no python3: `./test tools` installs it");
    let output = child.stdout.take().expect("it is piped");
    (child, BufReader::new(output))
}

/// Connects as soon as the reader listens.
fn reach(path: &Path, reader: &mut Child) -> UnixStream {
    loop {
        if let Ok(stream) = UnixStream::connect(path) {
            return stream;
        }
        assert!(
            reader.try_wait().expect("it is our child").is_none(),
            "it listens"
        );
        std::thread::yield_now();
    }
}

fn write_all(producer: &mut Producer, count: usize) {
    for number in 0..count {
        let text = text(number);
        let room = producer
            .claim(text.len(), Kind(7))
            .expect("nobody is waited for");
        room.copy_from_slice(text.as_bytes());
        producer.publish();
    }
}

/// The lines that the reader prints for these records, at positions of ours.
fn check(mut output: impl BufRead, count: usize) {
    let mut position = 0;
    for number in 0..count {
        let mut line = String::new();
        output.read_line(&mut line).expect("is text");
        assert_eq!(line, format!("{position} 7 b'{}'\n", text(number)));
        position += (8 + text(number).len()).next_multiple_of(8);
    }
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("is text");
    assert_eq!(rest, "");
}

#[test]
fn python_reads_what_rust_writes() {
    const COUNT: usize = 1000;
    let mut producer = Producer::create("languages", 1 << 16).expect("there is memory");
    let path = temporary("python");
    let (mut child, output) = python(&path, COUNT);
    let mut stream = reach(&path, &mut child);
    producer.offer_tap(&stream).expect("it is our own user");
    stream.read_exact(&mut [0]).expect("it is ready");
    write_all(&mut producer, COUNT);
    check(output, COUNT);
    assert!(child.wait().expect("it is our child").success());
}

#[test]
fn python_opens_the_memory_of_a_process_and_is_lapped() {
    const COUNT: usize = 50;
    let mut producer = Producer::create("languages", 4096).expect("there is memory");
    let descriptor = producer.as_fd().as_raw_fd();
    let path = format!("/proc/{}/fd/{descriptor}", std::process::id());
    let (mut child, mut output) = python(Path::new(&path), COUNT);
    let mut line = String::new();
    output.read_line(&mut line).expect("is text");
    assert_eq!(line, "ready\n");
    write_all(&mut producer, 4);
    // Far faster than it reads: in the end it is a whole ring behind.
    let reader = std::thread::spawn(move || {
        let mut all = String::new();
        output.read_to_string(&mut all).expect("is text");
        all
    });
    while child.try_wait().expect("it is our child").is_none() {
        let claimed = producer.claim(1, Kind(8));
        claimed.expect("nobody is waited for").fill(b'y');
        producer.publish();
    }
    let all = reader.join().expect("it only reads");
    assert!(child.wait().expect("it is our child").success(), "{all}");
    let known = |line: &str| {
        let is_record = line.ends_with("8 b'y'") || line.contains(" 7 b'record");
        is_record || line.starts_with("lapped: ")
    };
    assert!(all.lines().all(known), "{all}");
    let records = all.lines().filter(|line| !line.starts_with("lapped"));
    assert_eq!(records.count(), COUNT);
}

/// Python says what is wrong, in one line.
#[test]
fn python_refuses_what_is_no_ring() {
    let memory = support::memfd(&[0; 12288], support::SIZE_SEALS);
    let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    let output = Command::new("python3")
        .arg(file("python/ringcast_ring.py"))
        .arg(path)
        .output()
        .expect("there is no python3: `./test tools` installs it");
    assert!(!output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "no ring: no ring of version 1\n"
    );
}
