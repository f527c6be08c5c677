//! `ringcast serve` as a process of its own, on free ports of loopback.

use super::{PATIENCE, signal, wait_until};
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Any free port, cores that others may use as well, and a fraction of the usual memory.
const COMMON: [&str; 10] = [
    "sys.seconds=0",
    "listen.mqtt=[\"127.0.0.1:0\"]",
    "listen.admin=\"127.0.0.1:0\"",
    "cores.idle=\"park\"",
    "cores.ingest=0",
    "cores.shards=[0, 1]",
    "memory.ring_bytes=16777216",
    "memory.private_bytes=8388608",
    "limits.retained_bytes=8388608",
    "memory.queue_bytes=33554432",
];

/// A running engine, ended at the latest when it is dropped.
pub(crate) struct Server {
    process: Child,
    said: Arc<Mutex<Vec<String>>>,
    /// Reads what it says, and ends when it does.
    reader: JoinHandle<()>,
    pub(crate) mqtt: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// The binary, to be told what to do.
pub(crate) fn ringcast(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringcast"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// `ringcast serve` with the settings of all tests, then these.
pub(crate) fn serve(settings: &[&str]) -> Command {
    let mut command = ringcast(&["serve"]);
    for setting in COMMON.iter().chain(settings) {
        command.args(["--set", setting]);
    }
    command
}

impl Server {
    /// Two shards, and these settings.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::run(serve(settings))
    }

    /// That command, once it is ready.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut process = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary is there");
        let lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let reader = {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    said.lock().expect("nobody panics with it").push(line);
                }
            })
        };
        let nowhere = SocketAddr::from(([0; 4], 0));
        let mut server = Self {
            process,
            said,
            reader,
            mqtt: nowhere,
            admin: nowhere,
        };
        server.wait_for_line("ready");
        let address = |of: &str| {
            let lines = server.lines();
            let mut addresses = lines.iter().filter_map(|line| line.strip_prefix(of));
            let address = addresses.next().expect("it says where it listens");
            address.parse().expect("an address")
        };
        (server.mqtt, server.admin) = (address("listening mqtt "), address("listening admin "));
        server
    }

    fn said(&self) -> MutexGuard<'_, Vec<String>> {
        self.said.lock().expect("nobody panics with it")
    }

    /// What it said so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.said().clone()
    }

    /// How many of its lines have this in them.
    pub(crate) fn count_lines(&self, part: &str) -> usize {
        self.said()
            .iter()
            .filter(|line| line.contains(part))
            .count()
    }

    /// The first line that has this in it, once there is one.
    pub(crate) fn wait_for_line(&self, part: &str) -> String {
        let mut found = None;
        wait_until(part, || {
            let has_ended = self.reader.is_finished();
            found = self.said().iter().find(|line| line.contains(part)).cloned();
            assert!(
                found.is_some() || !has_ended,
                "it ended before it said {part}"
            );
            found.is_some()
        });
        found.expect("it was there")
    }

    pub(crate) fn process(&self) -> &Child {
        &self.process
    }

    pub(crate) fn signal(&self, which: Signal) {
        signal(&self.process, which);
    }

    /// Status and body of a page of the admin listener; none if nobody answers.
    pub(crate) fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.admin).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: ringcast\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// The same where somebody has to answer.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).expect("the admin listener answers")
    }

    /// A metric, of all shards together, or with whatever labels it has. Cores leave word of
    /// what they count some times a second: it may be a little older than what was seen.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let samples = text.lines().filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let matches = sample == name || sample.starts_with(&format!("{name}{{"));
            matches.then(|| value.parse::<f64>().expect("a number"))
        });
        let values: Vec<f64> = samples.collect();
        assert!(!values.is_empty(), "there is no metric {name}");
        // Counts of a test are far below 2^53.
        values.iter().sum::<f64>() as u64
    }

    /// Until a metric is that much.
    pub(crate) fn wait_for_metric(&self, name: &str, wanted: u64) {
        let mut last = 0;
        let began = std::time::Instant::now();
        while began.elapsed() < PATIENCE {
            last = self.metric(name);
            if last == wanted {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{name} is {last}, not {wanted}");
    }

    /// Descriptors that it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(folder).expect("it runs").count()
    }

    /// Until it has ended by itself, or because of a signal that was sent; with all that
    /// it said.
    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<String>) {
        wait_until("it ends", || {
            self.process.try_wait().expect("it is our child").is_some()
        });
        wait_until("all that it said is read", || self.reader.is_finished());
        (self.process.wait().expect("it has ended"), self.lines())
    }

    /// Ends it as operators do; it has to be content. Returns all that it said.
    pub(crate) fn stop(self) -> Vec<String> {
        self.signal(Signal::SIGTERM);
        let (status, lines) = self.wait();
        assert_eq!(status.code(), Some(0), "{}", lines.join("\n"));
        lines
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        if std::thread::panicking() {
            eprintln!("the engine said:\n{}", self.said().join("\n"));
        }
    }
}
