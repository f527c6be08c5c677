//! `ringcast tap` as a process of its own, at a ring that this process writes.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use ringcast_ring::{Kind, Message, Producer};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A ring that is given at a socket of its own, and a tap that has taken it.
struct Tapped {
    producer: Producer,
    child: Child,
    lines: BufReader<ChildStdout>,
    /// Held open: the tap ends when it closes.
    given: Option<UnixStream>,
    socket: PathBuf,
}

impl Tapped {
    fn new(name: &str, capacity: usize, arguments: &[&str]) -> Self {
        let file = format!("ringcast-tap-{name}-{}", std::process::id());
        let socket = std::env::temp_dir().join(file);
        let listener = UnixListener::bind(&socket).unwrap();
        let producer = Producer::create(name, capacity).unwrap();
        producer.seal_for_taps().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringcast"))
            .arg("tap")
            .arg(&socket)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (given, _) = listener.accept().unwrap();
        producer.offer_tap(&given).unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut tapped = Self {
            producer,
            child,
            lines,
            given: Some(given),
            socket,
        };
        tapped.wait_until_it_reads();
        tapped
    }

    /// A tap begins with what is published after it mapped the ring: records are
    /// published until the first one comes out.
    fn wait_until_it_reads(&mut self) {
        let (line, mut published) = (&mut String::new(), 0);
        let descriptor = std::os::fd::AsFd::as_fd(self.lines.get_ref());
        let mut readable = [nix::poll::PollFd::new(
            descriptor,
            nix::poll::PollFlags::POLLIN,
        )];
        while nix::poll::poll(&mut readable, 10_u8).unwrap() == 0 {
            self.producer.claim(1, Kind(9)).unwrap();
            self.producer.publish();
            published += 1;
            assert!(published < 3_000, "the tap reads nothing");
        }
        // All that was published before is read before what comes next.
        let mut marker = [0; 3];
        marker.copy_from_slice(b"end");
        self.producer
            .claim(3, Kind(10))
            .unwrap()
            .copy_from_slice(&marker);
        self.producer.publish();
        while !line.contains("kind 10 of 3 bytes") {
            line.clear();
            assert_ne!(self.lines.read_line(line).unwrap(), 0, "the tap ended");
        }
    }

    fn publish(&mut self, message: &Message<'_>) {
        let body = self
            .producer
            .claim(message.encoded_len(), Kind::MESSAGE)
            .unwrap();
        message.encode(body);
        self.producer.publish();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        let (_position, rest) = line.split_once(' ').unwrap();
        rest.trim_end().to_owned()
    }

    /// The line of the standard errors that says so.
    fn wait_for_errors(&mut self, word: &str) -> String {
        let errors = self.child.stderr.as_mut().unwrap();
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            assert_eq!(errors.read(&mut byte).unwrap(), 1, "the tap ended");
            line.push(byte[0]);
        }
        let line = String::from_utf8(line).unwrap();
        assert!(line.contains(word), "{line}");
        line.trim_end().to_owned()
    }

    /// The writer goes away: what the tap says until it ends, and whether it is content.
    fn close(mut self) -> (String, String, bool) {
        self.given = None;
        let (mut out, mut errors) = (String::new(), String::new());
        self.lines.read_to_string(&mut out).unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        (out, errors, self.child.wait().unwrap().success())
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn trade() -> Message<'static> {
    Message {
        sequence: 7,
        qos: 1,
        topic: b"market/BTCUSDT/trade",
        payload: b"{\"p\":\"40000.10\"}",
        ..Message::default()
    }
}

#[test]
fn messages_come_out_one_to_a_line_until_the_writer_is_gone() {
    let mut tapped = Tapped::new("lines", 65_536, &[]);
    tapped.publish(&trade());
    assert_eq!(
        tapped.line(),
        "#7 market/BTCUSDT/trade qos 1 {\"p\":\"40000.10\"}"
    );
    tapped.publish(&Message {
        retain: true,
        payload: b"a\nb",
        ..trade()
    });
    assert_eq!(tapped.line(), "#7 market/BTCUSDT/trade qos 1 retain a\\nb");
    // A body of that kind that is no message is told as what it is.
    tapped.producer.claim(5, Kind::MESSAGE).unwrap();
    tapped.producer.publish();
    assert_eq!(tapped.line(), "kind 1 of 5 bytes");
    assert_eq!(tapped.close(), (String::new(), String::new(), true));
}

#[test]
fn it_ends_after_as_many_records_as_wanted() {
    let arguments = ["--count", "1"];
    let socket = std::env::temp_dir().join(format!("ringcast-tap-count-{}", std::process::id()));
    let listener = UnixListener::bind(&socket).unwrap();
    let mut producer = Producer::create("count", 65_536).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringcast"))
        .arg("tap")
        .arg(&socket)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (given, _) = listener.accept().unwrap();
    producer.offer_tap(&given).unwrap();
    while child.try_wait().unwrap().is_none() {
        if producer.claim(8, Kind(2)).is_ok() {
            producer.publish();
        }
        std::thread::yield_now();
    }
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    std::fs::remove_file(&socket).unwrap();
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.ends_with("kind 2 of 8 bytes\n"), "{out}");
}

/// A tap that does not run is not waited for, and says what it missed.
#[test]
fn a_stopped_tap_is_lapped_and_goes_on() {
    let mut tapped = Tapped::new("lapped", 4096, &[]);
    let pid = Pid::from_raw(tapped.child.id() as i32);
    kill(pid, Signal::SIGSTOP).unwrap();
    let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert!(matches!(stopped, WaitStatus::Stopped(..)), "{stopped:?}");
    for _ in 0..1_000 {
        tapped.publish(&trade());
    }
    kill(pid, Signal::SIGCONT).unwrap();
    // It goes on with what is published after it noticed: until that is read,
    // nobody knows when that was.
    let gone_on = tapped.wait_for_errors("lapped");
    tapped.publish(&Message {
        payload: b"after",
        ..trade()
    });
    assert!(tapped.line().ends_with("after"));
    let bytes = gone_on.trim_start_matches("ringcast tap: lapped: ");
    assert!(bytes.ends_with(" bytes of records are lost"), "{gone_on}");
    let (out, errors, content) = tapped.close();
    assert_eq!((out, errors, content), (String::new(), String::new(), true));
}

/// A writer that connects to its reader, as feed handlers do.
#[test]
fn it_waits_for_a_writer_where_it_listens() {
    let socket = std::env::temp_dir().join(format!("ringcast-tap-listen-{}", std::process::id()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringcast"))
        .args(["tap", "--listen", "--count", "1"])
        .arg(&socket)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let given = loop {
        match UnixStream::connect(&socket) {
            Ok(given) => break given,
            Err(_) => assert_eq!(child.try_wait().unwrap(), None, "it listens"),
        }
    };
    let mut producer = Producer::create("listen", 65_536).unwrap();
    producer.offer_tap(&given).unwrap();
    while child.try_wait().unwrap().is_none() {
        producer.claim(8, Kind(2)).unwrap();
        producer.publish();
        std::thread::yield_now();
    }
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    assert!(out.ends_with("kind 2 of 8 bytes\n"), "{out}");
    assert!(!socket.exists());
}

#[test]
fn whoever_is_not_there_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_ringcast"))
        .args(["tap", "/nowhere/ring.sock"])
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        errors.starts_with("ringcast: nobody gives a ring at /nowhere/ring.sock: "),
        "{errors}"
    );
}
