//! The servers that are measured in turn: each can be started on a core, any number of
//! times, and is gone when its [`Server`] is dropped.
//!
//! A new one is a variant here, with its name, its dialect and how it starts.

use crate::child::{Child, Process};
use crate::error::Error;
use crate::probe::{Dialect, Target};
use ringcast_benches::Core;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a server is started at another port when it does not begin to listen:
/// somebody else may have taken the port that was found free.
const STARTS_MAX: usize = 3;

/// How long a server may take until it listens.
const START_TIME_MAX: Duration = Duration::from_secs(10);

/// How long to wait before looking again whether it does.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Who can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// The bare relay, which asks for work again and again.
    Relay,
    /// The bare relay, which sleeps while there is none.
    RelayParked,
    /// Eclipse Mosquitto, of the system's package.
    Mosquitto,
    /// A server that somebody else started, and that speaks this.
    Running(SocketAddr, Dialect),
}

impl Contestant {
    /// For people.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Relay => "relay".to_owned(),
            Self::RelayParked => "relay, parked".to_owned(),
            Self::Mosquitto => "mosquitto".to_owned(),
            Self::Running(address, _) => address.to_string(),
        }
    }

    /// Starts it on a processor; it listens when this returns.
    pub(crate) fn start(self, core: Core) -> Result<Server, Error> {
        match self {
            Self::Relay => Child::start(core, &["relay"]).map(Server::Own),
            Self::RelayParked => Child::start(core, &["relay", "--parked"]).map(Server::Own),
            Self::Mosquitto => start_mosquitto(core),
            Self::Running(address, dialect) => Ok(Server::Foreign(address, dialect, None)),
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub(crate) enum Server {
    /// A child of this program, which speaks the bare dialect.
    Own(Child),
    /// Another program, which is ours to end only if we have its process.
    Foreign(SocketAddr, Dialect, Option<Process>),
}

impl Target for Server {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Own(child) => child.address(),
            Self::Foreign(address, ..) => *address,
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Own(_) => Dialect::Bare,
            Self::Foreign(_, dialect, _) => *dialect,
        }
    }

    fn cpu_nanos(&self) -> Option<u64> {
        match self {
            Self::Own(child) => child.cpu_nanos(),
            Self::Foreign(_, _, process) => process.as_ref()?.cpu_nanos(),
        }
    }
}

/// As it comes, but for small messages at once and no journal.
fn start_mosquitto(core: Core) -> Result<Server, Error> {
    const PROGRAM: &str = "mosquitto";
    for _ in 0..STARTS_MAX {
        let address = free_address()?;
        let mut command = Command::new(PROGRAM);
        // Debian has it where only root's PATH leads.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
        command.args(["-c", "/dev/stdin"]).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::start(core, command).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::ProgramMissing { program: PROGRAM },
            _ => Error::system("starting mosquitto")(error),
        })?;
        let settings = format!(
            "listener {} {}\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n",
            address.port(),
            address.ip()
        );
        process
            .give(settings.as_bytes())
            .map_err(Error::system("giving mosquitto its settings"))?;
        if listens(address, &mut process) {
            return Ok(Server::Foreign(address, Dialect::Mqtt, Some(process)));
        }
    }
    Err(Error::ServerFailed {
        server: PROGRAM.to_owned(),
    })
}

/// An address of loopback at whose port nobody listens at this moment.
fn free_address() -> Result<SocketAddr, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(Error::system("finding a free port"))
}

/// Waits until a process listens; not if it ends before, or takes too long.
fn listens(address: SocketAddr, process: &mut Process) -> bool {
    let deadline = Instant::now() + START_TIME_MAX;
    while Instant::now() < deadline {
        if process.has_ended() {
            return false;
        }
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        thread::sleep(LOOK_AGAIN);
    }
    false
}
