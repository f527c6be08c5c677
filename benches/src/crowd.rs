//! A crowd: very many clients connect as fast as they can, stay, and leave together.
//!
//! They meet a door before two shards' lanes; the same while others attack it; and a loop
//! of accept(2) and close(2) with nothing around it. What is told is how many connections
//! a second each takes, what a connection that is there and idle costs in memory, and what
//! is left when all have gone: nothing may be.

mod attackers;
pub(crate) mod bare;
pub(crate) mod clients;
pub(crate) mod server;

use crate::child::Child;
use crate::environment::make_room;
use crate::error::Error;
use crate::memory::available_bytes;
use crate::probe::{Greeting, mqtt};
use crate::report::{Figure, Rounds, Table, What};
use attackers::Attackers;
use clients::{Clients, Entrance};
use ringcast_benches::Core;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The options of `crowd`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Connections at a time
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// How often each server meets them
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=80))]
    rounds: u8,
}

/// How long so many may take to connect, to receive, or to leave.
fn patience(clients: u32) -> Duration {
    Duration::from_secs(120) + Duration::from_micros(500) * clients
}

/// Measures, and tells it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let Some((ours, theirs)) = Core::first_two() else {
        let allowed = Core::allowed().len();
        return Err(Error::CoresTooFew { allowed });
    };
    // Newcomers at the door and attackers have plain descriptors.
    make_room(8_000)?;
    let mut rounds = Rounds::default();
    let what = |what: &str| What {
        what: format!("{} connections {what}", arguments.connections),
        parameters: BTreeMap::from([("connections", u64::from(arguments.connections))]),
    };
    ours.pin();
    for round in 0..arguments.rounds {
        for how in [How::Alone, How::Door, How::Attacked] {
            let met = meet(arguments.connections, round, how, theirs)?;
            let who = how.name();
            let connections = f64::from(arguments.connections);
            let figures = [
                Figure::new("taken", "1/s", connections / met.connecting.as_secs_f64()),
                Figure::new("server's time", "ns", met.server_nanos as f64 / connections),
            ];
            rounds.record(&what("come"), who, &figures);
            if let Some(stay) = met.stay {
                rounds.record(
                    &what("are there"),
                    who,
                    &stay.figures(arguments.connections),
                );
            }
        }
    }
    print!("{}", Table(&rounds.rows()));
    Ok(())
}

/// What a crowd meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Alone,
    Door,
    Attacked,
}

impl How {
    fn name(self) -> &'static str {
        match self {
            Self::Alone => "accept()",
            Self::Door => "door and lanes",
            Self::Attacked => "door, attacked",
        }
    }
}

/// What one crowd met.
struct Met {
    connecting: Duration,
    /// Processor time of the server meanwhile.
    server_nanos: u64,
    /// Where they stayed.
    stay: Option<Stay>,
}

/// What a server held with all of them, and what was left after them, in bytes and
/// descriptors.
struct Stay {
    server: Growth,
    host: Growth,
    descriptors: Growth,
}

struct Growth {
    before: i64,
    during: i64,
    after: i64,
}

impl Stay {
    fn figures(&self, connections: u32) -> Vec<Figure> {
        let left = self.descriptors.after - self.descriptors.before;
        let each = |bytes: i64| bytes as f64 / f64::from(connections);
        vec![
            Figure::new("server", "B", each(self.server.during - self.server.before)),
            Figure::new("kernel", "B", each(self.host.during - self.host.before)),
            Figure::new(
                "kernel, left",
                "B",
                each(self.host.after - self.host.before),
            ),
            Figure::new("descriptors", "left", left as f64),
        ]
    }
}

fn meet(connections: u32, round: u8, how: How, core: Core) -> Result<Met, Error> {
    let alone = how == How::Alone;
    let number = connections.to_string();
    let mut command = vec!["crowd-server", number.as_str()];
    if alone {
        command.push("--alone");
    }
    let mut child = Child::start(core, &command)?;
    // The clients' own memory is there before anything is compared.
    let mut clients = Clients::new(child.address(), connections, 3 * round + how as u8)?;
    let before = Held::ask(&mut child)?;
    let attackers = match how {
        How::Attacked => {
            let attackers = Attackers::start(child.address());
            Some(attackers.map_err(Error::system("attacking"))?)
        }
        _ => None,
    };
    let nanos_before = child.process().cpu_nanos().unwrap_or(0);
    let entrance = if alone {
        Entrance::Ended
    } else {
        Entrance::Greeted(&greeting)
    };
    let connecting = clients.connect(&entrance)?;
    let server_nanos = child.process().cpu_nanos().unwrap_or(0) - nanos_before;
    if how != How::Door {
        drop(attackers);
        clients.leave()?;
        return Ok(Met {
            connecting,
            server_nanos,
            stay: None,
        });
    }
    let during = Held::ask(&mut child)?;
    if during.open != i64::from(connections) {
        return Err(Error::CrowdLost {
            expected: connections,
            found: during.open,
        });
    }
    clients.leave()?;
    let began = Instant::now();
    let after = loop {
        let after = Held::ask(&mut child)?;
        if after.open == 0 {
            break after;
        }
        if began.elapsed() > patience(connections) {
            return Err(Error::CrowdLost {
                expected: 0,
                found: after.open,
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let growth = |of: fn(&Held) -> i64| Growth {
        before: of(&before),
        during: of(&during),
        after: of(&after),
    };
    Ok(Met {
        connecting,
        server_nanos,
        stay: Some(Stay {
            server: growth(|held| held.resident),
            host: growth(|held| held.host),
            descriptors: growth(|held| held.descriptors),
        }),
    })
}

/// What a client says, and is answered: it only connects.
fn greeting(client: u32) -> Greeting {
    Greeting {
        said: mqtt::connect_packet(&format!("crowd-{client:07}")),
        answer: mqtt::WELCOME.to_vec(),
    }
}

/// What a server, and the host, hold at a time.
struct Held {
    open: i64,
    descriptors: i64,
    resident: i64,
    host: i64,
}

impl Held {
    fn ask(child: &mut Child) -> Result<Self, Error> {
        child.go()?;
        Ok(Self {
            open: child.read_number()?,
            descriptors: child.read_number()?,
            resident: child.read_number()?,
            // What it has less of.
            host: -(available_bytes().map_err(Error::system("reading /proc/meminfo"))? as i64),
        })
    }
}
