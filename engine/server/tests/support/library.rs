//! Clients that others wrote, each a process that does what it is told: mosquitto's
//! programs, paho-mqtt in Python, Eclipse Paho in Java, mqtt.js, rumqttc.
//!
//! It reads a line for each thing to do, and prints one for each that is done or has come:
//!
//! ```text
//! connect CLEAN TOPIC WILL            connected SESSION_PRESENT     `- -` is no will
//! subscribe QOS FILTER                subscribed QOS
//! unsubscribe FILTER                  unsubscribed
//! publish QOS RETAIN TOPIC PAYLOAD    published, once it is acknowledged
//! disconnect                          disconnected
//!                                     > TOPIC QOS RETAIN PAYLOAD
//! ```
//!
//! A payload `*N` is N bytes; of one that is longer than 64 bytes only that is printed. The
//! referee looks at the bytes.

use super::client::Version;
use super::rumqttc;
use super::{PATIENCE, signal};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

/// Which library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    /// paho-mqtt, in Python.
    Paho,
    /// Eclipse Paho, in Java.
    PahoJava,
    /// mqtt.js, on Node.
    MqttJs,
    /// rumqttc, in Rust.
    Rumqttc,
}

impl Library {
    pub(crate) const ALL: [Self; 4] = [Self::Paho, Self::PahoJava, Self::MqttJs, Self::Rumqttc];

    /// What it speaks.
    pub(crate) fn versions(self) -> &'static [Version] {
        match self {
            Self::Rumqttc => &[Version::V311, Version::V5],
            _ => &Version::ALL,
        }
    }

    /// How its program is started. None if it is not there, which is told.
    fn command(self) -> Option<Command> {
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
        let found = |variable: &str| -> Option<OsString> {
            let found = std::env::var_os(variable);
            if found.is_none() {
                eprintln!("skipped: {self:?}, {variable} does not say where it is");
            }
            found
        };
        let mut command = match self {
            Self::Paho => {
                let mut command = Command::new(found("RINGCAST_PAHO_PYTHON")?);
                command.arg(scripts.join("paho_client.py"));
                command
            }
            Self::PahoJava => {
                let mut jars = found("RINGCAST_PAHO_JARS")?;
                jars.push("/*");
                let mut command = Command::new("java");
                // Little memory and no tuning: it lives for a second.
                command.args(["-Xmx1g", "-XX:TieredStopAtLevel=1", "-cp"]);
                command.arg(jars).arg(scripts.join("PahoClient.java"));
                command
            }
            Self::MqttJs => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", found("RINGCAST_NODE_MODULES")?);
                command.arg(scripts.join("mqtt_client.js"));
                command
            }
            Self::Rumqttc => rumqttc::command(),
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Some(command)
    }
}

/// A message that a client printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) payload: String,
}

/// A client of a library.
pub(crate) struct Puppet {
    name: String,
    process: Child,
    lines: Receiver<String>,
    messages: VecDeque<Got>,
}

impl Puppet {
    /// One that has not connected, unless there is no such library here.
    pub(crate) fn start(
        library: Library,
        version: Version,
        server: SocketAddr,
        id: &str,
    ) -> Option<Self> {
        let name = format!("{library:?} {version:?} {id}");
        let mut command = library.command()?;
        let arguments = [
            server.ip().to_string(),
            server.port().to_string(),
            (version as u8).to_string(),
            id.to_owned(),
        ];
        match library {
            Library::Rumqttc => command.env(rumqttc::BE_CLIENT, arguments.join(" ")),
            _ => command.args(&arguments),
        };
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}: ./test tools installs it"));
        let out = BufReader::new(process.stdout.take().expect("a pipe"));
        let (teller, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if teller.send(line).is_err() {
                    return;
                }
            }
        });
        Some(Self {
            name,
            process,
            lines,
            messages: VecDeque::new(),
        })
    }

    fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => panic!("{} has ended", self.name),
            Err(RecvTimeoutError::Timeout) => panic!("{}: nothing comes", self.name),
        }
    }

    /// Tells it to do something, which it begins.
    pub(crate) fn tell(&mut self, command: &str) {
        let input = self.process.stdin.as_mut().expect("a pipe");
        writeln!(input, "{command}").expect("it reads");
    }

    /// Until it says that this is done. Returns the rest of the line.
    pub(crate) fn wait_for(&mut self, done: &str) -> String {
        loop {
            let line = self.line();
            if let Some(rest) = line.strip_prefix(done) {
                return rest.trim().to_owned();
            }
            match line.strip_prefix("> ") {
                Some(message) => self.messages.push_back(read(message)),
                // What a test program prints of itself, and other news.
                None => eprintln!("{}: {line}", self.name),
            }
        }
    }

    /// Connects. Returns whether its session was there.
    pub(crate) fn connect(&mut self, clean: bool) -> bool {
        self.tell(&format!("connect {} - -", u8::from(clean)));
        self.wait_for("connected") == "1"
    }

    pub(crate) fn connect_with_will(&mut self, topic: &str, will: &str) {
        self.tell(&format!("connect 1 {topic} {will}"));
        self.wait_for("connected");
    }

    pub(crate) fn subscribe(&mut self, qos: u8, filter: &str) {
        self.tell(&format!("subscribe {qos} {filter}"));
        assert_eq!(
            self.wait_for("subscribed"),
            qos.to_string(),
            "{}",
            self.name
        );
    }

    pub(crate) fn publish(&mut self, qos: u8, retain: bool, topic: &str, payload: &str) {
        self.tell(&format!(
            "publish {qos} {} {topic} {payload}",
            u8::from(retain)
        ));
        self.wait_for("published");
    }

    pub(crate) fn disconnect(&mut self) {
        self.tell("disconnect");
        self.wait_for("disconnected");
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Got {
        if let Some(message) = self.messages.pop_front() {
            return message;
        }
        self.wait_for_message()
    }

    fn wait_for_message(&mut self) -> Got {
        loop {
            let line = self.line();
            match line.strip_prefix("> ") {
                Some(message) => return read(message),
                None => eprintln!("{}: {line}", self.name),
            }
        }
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        signal(&self.process, Signal::SIGKILL);
        self.process.wait().expect("it is our child");
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(message: &str) -> Got {
    let mut parts = message.splitn(4, ' ');
    let mut part = || parts.next().expect("four parts").to_owned();
    Got {
        topic: part(),
        qos: part().parse().expect("a number"),
        retain: part() == "1",
        payload: part(),
    }
}
