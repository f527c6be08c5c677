//! The other side of a measurement: this same program once more, as a process of its
//! own with its own table of descriptors and its own account of processor time.
//!
//! The child tells its port on standard output and ends when its standard input does,
//! so it never outlives who started it.

use crate::error::Error;
use crate::{lost, memory};
use nix::sys::socket::{Backlog, listen};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use ringcast_benches::Core;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};

/// A child that listens; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    output: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl Child {
    /// Starts this program with these arguments on a processor, and waits until it
    /// listens.
    pub(crate) fn start(core: Core, arguments: &[&str]) -> Result<Self, Error> {
        let program = env::current_exe().map_err(Error::system("finding this program"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process =
            Process::start(core, command).map_err(Error::system("starting a child"))?;
        let output = process.0.stdout.take().expect("was asked for");
        let mut child = Self {
            process,
            output: BufReader::new(output),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let port = child.read_number()?;
        child.address.set_port(port);
        Ok(child)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Tells it to go on.
    pub(crate) fn go(&mut self) -> Result<(), Error> {
        let input = self.process.0.stdin.as_mut().expect("was asked for");
        input
            .write_all(b"\n")
            .map_err(Error::system("telling a child"))
    }

    /// Waits for the next line that it prints, a number.
    pub(crate) fn read_number<T: std::str::FromStr>(&mut self) -> Result<T, Error> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .map_err(Error::system("listening to a child"))?;
        // It has said on standard error why there is none.
        line.trim().parse().map_err(|_| Error::ServerFailed {
            server: "the child of this program".to_owned(),
        })
    }
}

/// The child's part: listens at a free port of loopback and says which.
pub(crate) fn announce() -> Result<TcpListener, Error> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::system("listening"))?;
    // Thousands connect at once, and whoever finds no place waits a second.
    listen(&listener, Backlog::MAXALLOWABLE).map_err(Error::system("listening"))?;
    let address = listener.local_addr().map_err(Error::system("listening"))?;
    say(address.port())?;
    Ok(listener)
}

/// The child's part: a line for who started it.
pub(crate) fn say(number: impl std::fmt::Display) -> Result<(), Error> {
    let mut out = io::stdout();
    writeln!(out, "{number}")
        .and_then(|()| out.flush())
        .map_err(Error::system("telling who started this"))
}

/// Any process that is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process(std::process::Child);

impl Process {
    /// Starts a program on a processor, which its threads will not leave.
    pub(crate) fn start(core: Core, mut command: Command) -> io::Result<Self> {
        core.run(|| command.spawn()).map(Self)
    }

    /// Writes to its standard input, which was asked for, and closes that.
    pub(crate) fn give(&mut self, bytes: &[u8]) -> io::Result<()> {
        let input = self.0.stdin.take();
        input.map_or(Ok(()), |mut input| input.write_all(bytes))
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// What it says on standard error, which was asked for; once.
    pub(crate) fn errors(&mut self) -> Option<std::process::ChildStderr> {
        self.0.stderr.take()
    }

    /// Bytes of its memory that are resident.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        memory::resident_bytes(self.0.id())
    }

    /// Nanoseconds in which it would have run, and others did.
    pub(crate) fn lost_nanos(&self) -> Option<i64> {
        lost::by_process(self.0.id()).ok()
    }

    /// Nanoseconds of processor time that it used, in all its threads.
    pub(crate) fn cpu_nanos(&self) -> Option<u64> {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).ok()?);
        let used = ClockId::pid_cpu_clock_id(pid)
            .and_then(clock_gettime)
            .ok()?;
        Some(used.tv_sec() as u64 * 1_000_000_000 + used.tv_nsec() as u64)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What ended already needs no killing, and nothing else can fail here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
