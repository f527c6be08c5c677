//! The servers of others, as Debian has them.

use super::Needs;
use crate::child::Process;
use crate::error::Error;
use crate::probe::Dialect;
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

/// Descriptors that a server needs beside its connections.
const DESCRIPTORS_BESIDE: usize = 64;

/// Who can be measured beside the relay and the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// Eclipse Mosquitto: MQTT
    Mosquitto,
    /// Redis's pub/sub, which is no MQTT
    Redis,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::Redis => "redis",
        }
    }

    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Mosquitto => Dialect::Mqtt,
            Self::Redis => Dialect::Resp,
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::Redis => "redis-server",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Mosquitto => "apt-get install mosquitto",
            Self::Redis => "apt-get install redis-server",
        }
    }

    /// What it is told, on standard input: as it comes, but for what would keep it from
    /// being as fast as it can be. Small messages go at once, nothing goes to disk, and who
    /// acknowledges may owe as many acknowledgements as with the engine.
    fn settings(self, address: SocketAddr, needs: &Needs) -> String {
        let (host, port) = (address.ip(), address.port());
        let clients = needs.connections + DESCRIPTORS_BESIDE;
        match self {
            Self::Mosquitto => format!(
                "listener {port} {host}\nallow_anonymous true\npersistence false\n\
                 set_tcp_nodelay true\nmax_inflight_messages 1024\n"
            ),
            // Protected it refuses all addresses of loopback but the first. A full buffer
            // would end a connection that the probe has not read yet.
            Self::Redis => format!(
                "bind {host}\nprotected-mode no\nport {port}\nsave \"\"\nappendonly no\nmaxclients {clients}\n\
                 client-output-buffer-limit pubsub 0 0 0\n"
            ),
        }
    }

    /// Starts it on a processor; it listens when this returns.
    pub(super) fn start(self, core: Core, needs: &Needs) -> Result<(SocketAddr, Process), Error> {
        let program = self.program();
        for _ in 0..STARTS_MAX {
            let address = free_address()?;
            let mut command = Command::new(program);
            // Debian has some where only root's PATH leads.
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
            match self {
                Self::Mosquitto => command.args(["-c", "/dev/stdin"]),
                Self::Redis => command.arg("-"),
            };
            command.stdin(Stdio::piped());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut process =
                Process::start(core, command).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => Error::ProgramMissing {
                        program: program.to_owned(),
                        remedy: self.remedy(),
                    },
                    _ => Error::system("starting a server")(error),
                })?;
            process
                .give(self.settings(address, needs).as_bytes())
                .map_err(Error::system("giving a server its settings"))?;
            if listens(address, &mut process) {
                return Ok((address, process));
            }
        }
        Err(Error::ServerFailed {
            server: program.to_owned(),
        })
    }
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
