//! The servers that are measured in turn: each can be started on a core, any number of
//! times, and is gone when its [`Server`] is dropped.
//!
//! A new one is a variant here, with its name, its dialect and how it starts.

mod engine;
mod peers;

pub(crate) use engine::Idle;
pub(crate) use peers::Peer;

use crate::child::{Child, Process};
use crate::error::Error;
use crate::probe::{Dialect, Interest, STAMP_BYTES, Stages, Target, Workload};
use engine::Engine;
use ringcast_benches::Core;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Who can be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// The bare relay, which asks for work again and again.
    Relay,
    /// The bare relay, which sleeps while there is none.
    RelayParked,
    /// Lanes that accept, answer, and send when they are told to.
    Lanes,
    /// Our engine: its program, and what it does while there is no work.
    Ringcast(PathBuf, Idle),
    /// Another one's, of the system's package.
    Peer(Peer),
    /// A server that somebody else started, and that speaks this.
    Running(SocketAddr, Dialect),
}

/// What a server must be made ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// How many connections it will have.
    pub(crate) connections: usize,
    /// How many filters they will have subscribed to altogether.
    pub(crate) subscriptions: usize,
    /// Whether subscribers want different things.
    pub(crate) by_topic: bool,
    /// Bytes of each message's payload.
    pub(crate) payload_bytes: usize,
    /// What is done with who does not read: a policy's name in the engine's settings.
    pub(crate) slow: Slow,
    /// Messages that each subscriber is sent before it acknowledges any, if they are more than
    /// servers send as they come.
    pub(crate) unacknowledged_max: Option<u16>,
}

/// What the engine does with deliveries to who does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Slow {
    /// Keeps them all, up to a bound
    Queue,
    /// Gives the newest of each topic, later
    Conflate,
    /// Leaves them out
    Drop,
    /// Ends the connection
    Disconnect,
}

impl Needs {
    /// Those of a workload.
    pub(crate) fn of(workload: &Workload) -> Self {
        let connections = workload.connections();
        Self {
            connections,
            subscriptions: connections * workload.interest.filters(),
            by_topic: matches!(workload.interest, Interest::WatchLists { .. }),
            payload_bytes: workload.payload_bytes,
            slow: Slow::Queue,
            unacknowledged_max: None,
        }
    }
}

impl Contestant {
    /// For people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Relay => "relay".to_owned(),
            Self::RelayParked => "relay, parked".to_owned(),
            Self::Lanes => "bare lanes".to_owned(),
            Self::Ringcast(..) => "ringcast".to_owned(),
            Self::Peer(peer) => peer.name().to_owned(),
            Self::Running(address, _) => address.to_string(),
        }
    }

    /// Starts it on a processor; it listens when this returns.
    pub(crate) fn start(&self, core: Core, needs: &Needs) -> Result<Server, Error> {
        match self {
            Self::Relay => start_relay(core, &[], needs),
            Self::RelayParked => start_relay(core, &["--parked"], needs),
            Self::Lanes => {
                let command = ["crowd-server", "--bare", &needs.subscriptions.to_string()];
                Ok(Server::Own(Child::start(core, &command)?, Dialect::Bare))
            }
            Self::Ringcast(program, idle) => {
                Engine::start(program, *idle, core, needs).map(Server::Engine)
            }
            Self::Peer(peer) => {
                let (address, process) = peer.start(core, needs)?;
                Ok(Server::Foreign(address, peer.dialect(), Some(process)))
            }
            Self::Running(address, dialect) => Ok(Server::Foreign(*address, *dialect, None)),
        }
    }
}

fn start_relay(core: Core, options: &[&str], needs: &Needs) -> Result<Server, Error> {
    let mut arguments = vec!["relay"];
    arguments.extend(options);
    // Its messages are payloads and nothing else.
    let bytes = needs.payload_bytes.max(STAMP_BYTES).to_string();
    if needs.by_topic {
        arguments.extend(["--by-topic", &bytes]);
    }
    let dialect = if needs.by_topic {
        Dialect::Routed
    } else {
        Dialect::Bare
    };
    Ok(Server::Own(Child::start(core, &arguments)?, dialect))
}

/// A server that runs.
#[derive(Debug)]
pub(crate) enum Server {
    /// A child of this program.
    Own(Child, Dialect),
    /// The engine.
    Engine(Engine),
    /// Another program, which is ours to end only if we have its process.
    Foreign(SocketAddr, Dialect, Option<Process>),
}

impl Server {
    fn process(&self) -> Option<&Process> {
        match self {
            Self::Own(child, _) => Some(child.process()),
            Self::Engine(engine) => Some(engine.process()),
            Self::Foreign(_, _, process) => process.as_ref(),
        }
    }

    /// Bytes of its memory that are resident, if its process is ours.
    pub(crate) fn resident_bytes(&self) -> Result<Option<u64>, Error> {
        self.process()
            .map(Process::resident_bytes)
            .transpose()
            .map_err(Error::system("reading a server's memory"))
    }
}

impl Target for Server {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Own(child, _) => child.address(),
            Self::Engine(engine) => engine.address(),
            Self::Foreign(address, ..) => *address,
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Own(_, dialect) | Self::Foreign(_, dialect, _) => *dialect,
            Self::Engine(_) => Dialect::Mqtt,
        }
    }

    fn cpu_nanos(&self) -> Option<u64> {
        self.process()?.cpu_nanos()
    }

    fn lost_nanos(&self) -> Option<i64> {
        self.process()?.lost_nanos()
    }

    fn stages(&self) -> Result<Option<Stages>, Error> {
        match self {
            Self::Engine(engine) => engine.stages().map(Some),
            Self::Own(..) | Self::Foreign(..) => Ok(None),
        }
    }
}
