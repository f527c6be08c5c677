//! Subscribers that others wrote: mosquitto_sub, paho-mqtt, mqtt.js. Each is a process that
//! prints what comes.
//!
//! Mosquitto's programs have to be there. Where paho-mqtt or mqtt.js are not, the test says
//! what it leaves out; `./test` installs them and says where they are.

use super::client::Version;
use super::{PATIENCE, signal};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

/// Which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    Mosquitto,
    /// paho-mqtt, in Python.
    Paho,
    /// mqtt.js, on Node.
    MqttJs,
}

/// A message that a client printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) topic: String,
    pub(crate) retain: bool,
    pub(crate) payload: String,
}

/// A process that subscribes.
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) process: Child,
    lines: Receiver<String>,
}

impl Library {
    /// How its programs are started. None if it is not there, which is told.
    fn command(self) -> Option<Command> {
        let script = |name| {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
            folder.join(name)
        };
        let found = |variable: &str, what: &str| -> Option<OsString> {
            let found = std::env::var_os(variable);
            if found.is_none() {
                eprintln!("skipped: clients with {what}, {variable} does not say where it is");
            }
            found
        };
        match self {
            // It would keep what it prints to itself until it ends.
            Self::Mosquitto => {
                let mut command = Command::new("stdbuf");
                command.args(["-oL", "mosquitto_sub"]);
                Some(command)
            }
            Self::Paho => {
                let mut command = Command::new(found("RINGCAST_PAHO_PYTHON", "paho-mqtt")?);
                command.arg(script("paho_sub.py"));
                Some(command)
            }
            Self::MqttJs => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", found("RINGCAST_NODE_MODULES", "mqtt.js")?);
                command.arg(script("mqtt_sub.js"));
                Some(command)
            }
        }
    }
}

impl Listener {
    /// A subscriber that is on its way, unless there is no such client here.
    pub(crate) fn start(
        library: Library,
        version: Version,
        server: SocketAddr,
        filter: &str,
    ) -> Option<Self> {
        let name = format!("{library:?} {version:?} {filter}");
        let mut command = library.command()?;
        let (host, port) = (server.ip().to_string(), server.port().to_string());
        let identifier = name.replace([' ', '/', '#', '+'], "-");
        match library {
            Library::Mosquitto => {
                let version = match version {
                    Version::V31 => "mqttv31",
                    Version::V311 => "mqttv311",
                    Version::V5 => "mqttv5",
                };
                command.args(["-h", &host, "-p", &port, "-V", version, "-i", &identifier]);
                command.args(["-t", filter, "-F", "> %t %r %p"]);
            }
            Library::Paho | Library::MqttJs => {
                let version = (version as u8).to_string();
                command.args([&host, &port, &version, &identifier, filter]);
            }
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
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
        })
    }

    /// The next message; none if it has ended.
    pub(crate) fn message(&self) -> Option<Got> {
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("{}: nothing comes", self.name),
            };
            if let Some(message) = line.strip_prefix("> ") {
                let mut parts = message.splitn(3, ' ');
                let mut part = || parts.next().expect("three parts").to_owned();
                return Some(Got {
                    topic: part(),
                    retain: part() == "1",
                    payload: part(),
                });
            }
        }
    }

    /// Lets it leave, with a DISCONNECT, and waits until it has.
    pub(crate) fn leave(&mut self) {
        drop(self.process.stdin.take());
        if self.name.starts_with("Mosquitto") {
            signal(&self.process, Signal::SIGTERM);
        }
        self.process.wait().expect("it is our child");
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
