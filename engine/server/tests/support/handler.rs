//! A feed handler of another process: this test program once more, told to be one.
//!
//! It reads a command from each line of its standard input and answers with a line.

use super::PATIENCE;
use ringcast_ring::{Kind, Message, Producer};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The variable by which the program is told to be a feed handler.
const BE_HANDLER: &str = "RINGCAST_TEST_HANDLER";

/// The topic that it publishes to.
pub(crate) const TOPIC: &str = "market/BTCUSDT/bbo";

/// A feed handler that runs.
pub(crate) struct Handler {
    pub(crate) process: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Handler {
    /// Starts the test of that name, which has to call [`be_handler`], as a feed handler
    /// that has given its ring.
    pub(crate) fn start(test: &str, socket: &Path) -> Self {
        let own = std::env::current_exe().expect("there is /proc");
        let mut process = Command::new(own)
            .args(["--exact", test, "--nocapture"])
            .env(BE_HANDLER, socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can run again");
        let out = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut handler = Self { process, out };
        handler.wait_for("ready");
        handler
    }

    /// `number N`, `say TOPIC TEXT`, `begin N`, `flood N` or `rubbish`: see [`obey`] and
    /// [`flood`].
    pub(crate) fn tell(&mut self, command: &str) {
        let input = self.process.stdin.as_mut().expect("a pipe");
        writeln!(input, "{command}").expect("it reads");
        self.wait_for("done");
    }

    fn wait_for(&mut self, wanted: &str) {
        let mut line = String::new();
        while line.trim_end() != wanted {
            line.clear();
            let bytes = self.out.read_line(&mut line).expect("readable");
            assert_ne!(bytes, 0, "the feed handler ended before {wanted}");
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Is a feed handler if it was started as one, until its input ends. Otherwise nothing.
pub(crate) fn be_handler() {
    let Some(socket) = std::env::var_os(BE_HANDLER) else {
        return;
    };
    let mut ring = Producer::create("ringcast handler", 1 << 16).expect("there is memory");
    let mut stream = UnixStream::connect(socket).expect("the engine listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a guard");
    ring.offer_tap(&stream).expect("the engine takes it");
    stream.read_exact(&mut [0]).expect("the engine reads it");
    println!("\nready");
    for line in std::io::stdin().lines() {
        let command = line.expect("a text");
        if let Some(first) = command.strip_prefix("flood ") {
            println!("\ndone");
            flood(&mut ring, first.parse().expect("a number"));
        }
        obey(&mut ring, &command);
        println!("\ndone");
    }
}

/// Numbers without end and without a pause.
fn flood(ring: &mut Producer, first: u64) -> ! {
    for number in first.. {
        write(ring, TOPIC.as_bytes(), number.to_string().as_bytes());
    }
    unreachable!("there are numbers enough")
}

fn obey(ring: &mut Producer, command: &str) {
    match command.split_once(' ') {
        Some(("number", number)) => write(ring, TOPIC.as_bytes(), number.as_bytes()),
        Some(("say", said)) => {
            let (topic, text) = said.split_once(' ').expect("a topic and a text");
            write(ring, topic.as_bytes(), text.as_bytes());
        }
        // Claimed and begun, but never published: as if it died in the middle of it.
        Some(("begin", number)) => {
            let body = ring
                .claim(200, Kind::MESSAGE)
                .expect("nobody is waited for");
            body[..number.len()].copy_from_slice(number.as_bytes());
        }
        _ if command == "rubbish" => {
            for body in [&b""[..], b"x", &[0xFF; 300]] {
                let room = ring.claim(body.len(), Kind::MESSAGE).expect("nobody waits");
                room.copy_from_slice(body);
            }
            ring.claim(9, Kind(77))
                .expect("nobody is waited for")
                .fill(7);
            ring.publish();
            for topic in [&b""[..], b"market/+/bbo", b"\xFF\xFE", b"$SYS/mine"] {
                write(ring, topic, b"rubbish");
            }
        }
        _ => panic!("{command} is no command"),
    }
}

fn write(ring: &mut Producer, topic: &[u8], payload: &[u8]) {
    let message = Message {
        topic,
        payload,
        ..Message::default()
    };
    let body = ring.claim(message.encoded_len(), Kind::MESSAGE);
    message.encode(body.expect("nobody is waited for"));
    ring.publish();
}
