//! The clients of a crowd, on lanes of one thread.

use super::patience;
use crate::clock::now_nanos;
use crate::error::{DeliveryFault, Error};
use crate::probe::Greeting;
use ringcast_lane::{Lanes, Settings, connect};
use ringcast_wire::{Arrival, Close, ConnectionKey, Event, Received, Wire};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Clients that try to connect at a time.
const WINDOW: u32 = 512;

/// Clients that begin to connect before those who are on their way are looked at.
const BEGUN_MAX: u32 = 64;

/// Connections from one address of loopback: when half of its ports are taken, the kernel
/// searches long for each of the others.
const CONNECTIONS_PER_ADDRESS: u32 = 5_000;

const UNSENT_BYTES_MAX: u32 = 16 << 10;

const EVENTS_MAX: usize = 4096;

/// When a client is there.
pub(crate) enum Entrance<'a> {
    /// When it sees its end, by a server that does nothing but accept.
    Ended,
    /// When what it said, as the one with this number, was answered.
    Greeted(&'a dyn Fn(u32) -> Greeting),
}

/// All of them.
pub(crate) struct Clients {
    lanes: Lanes,
    server: SocketAddr,
    count: u32,
    /// Which addresses they come from: other ones in each round, so that ports that the
    /// last round used are not in the way.
    neighbourhood: u8,
    /// What each must still be answered.
    awaited: Vec<Vec<u8>>,
    events: Vec<Event>,
    got: Received,
}

impl Clients {
    pub(crate) fn new(server: SocketAddr, count: u32, neighbourhood: u8) -> Result<Self, Error> {
        Ok(Self {
            lanes: Settings::for_connections(count)
                .and_then(|settings| Lanes::new(&settings))
                .map_err(Error::Lanes)?,
            server,
            count,
            neighbourhood,
            awaited: vec![Vec::new(); count as usize],
            events: Vec::with_capacity(EVENTS_MAX),
            got: Received::new(256, 256),
        })
    }

    /// Connects all of them, and returns how long that took: until the last was there.
    pub(crate) fn connect(&mut self, entrance: &Entrance<'_>) -> Result<Duration, Error> {
        let began = Instant::now();
        let (mut begun, mut welcomed) = (0, 0);
        while welcomed < self.count {
            let most = self.count.min(welcomed + WINDOW).min(begun + BEGUN_MAX);
            while begun < most {
                let socket = connect(Some(self.source(begun)), self.server, UNSENT_BYTES_MAX)
                    .map_err(Error::system("connecting"))?;
                let key = ConnectionKey::first(begun);
                let adopted = self.lanes.adopt_connecting(key, socket);
                adopted.map_err(Error::system("adopting a socket"))?;
                begun += 1;
            }
            let (connected, readable) = self.reap();
            if let Entrance::Greeted(greeting) = entrance {
                self.introduce(&connected, greeting)?;
            }
            welcomed += self.welcomed(readable, entrance)?;
            if began.elapsed() > patience(self.count) {
                return Err(Error::CrowdLost {
                    expected: self.count,
                    found: welcomed.into(),
                });
            }
        }
        Ok(began.elapsed())
    }

    /// Those that have become writable, and readable.
    fn reap(&mut self) -> (Vec<ConnectionKey>, Vec<ConnectionKey>) {
        self.events.clear();
        self.lanes.reap(&mut self.events, EVENTS_MAX);
        let of = |pick: fn(&Event) -> Option<ConnectionKey>| self.events.iter().filter_map(pick);
        let writable = of(|event| match event {
            Event::Writable(key) => Some(*key),
            _ => None,
        });
        let readable = of(|event| match event {
            Event::Readable(key) => Some(*key),
            _ => None,
        });
        (writable.collect(), readable.collect())
    }

    fn source(&self, index: u32) -> SocketAddr {
        let host = 1 + index / CONNECTIONS_PER_ADDRESS;
        let host = u8::try_from(host).expect("at most a million clients");
        SocketAddr::from((Ipv4Addr::new(127, 1, self.neighbourhood, host), 0))
    }

    fn introduce(
        &mut self,
        connected: &[ConnectionKey],
        greeting: impl Fn(u32) -> Greeting,
    ) -> Result<(), Error> {
        let greetings: Vec<_> = connected.iter().map(|key| greeting(key.index())).collect();
        let sends: Vec<_> = connected
            .iter()
            .zip(&greetings)
            .map(|(&key, greeting)| (key, greeting.said.as_slice()))
            .collect();
        let mut failed = Vec::new();
        self.lanes.send_each(&sends, &mut failed);
        if !failed.is_empty() {
            return Err(Error::Refused {
                answer: "a reset before CONNECT was sent".to_owned(),
            });
        }
        for (key, greeting) in connected.iter().zip(greetings) {
            self.awaited[key.index() as usize] = greeting.answer;
        }
        Ok(())
    }

    /// Reads from those who have something to read, and returns how many are there now.
    fn welcomed(
        &mut self,
        readable: Vec<ConnectionKey>,
        entrance: &Entrance<'_>,
    ) -> Result<u32, Error> {
        let mut count = 0;
        let awaited = &mut self.awaited;
        read_all(&mut self.lanes, &mut self.got, readable, |key, arrival| {
            let awaited = &mut awaited[key.index() as usize];
            match (arrival, entrance) {
                (Arrival::End, Entrance::Ended) => count += 1,
                (Arrival::Bytes { bytes, .. }, Entrance::Greeted(_))
                    if awaited.starts_with(bytes) =>
                {
                    awaited.drain(..bytes.len());
                    count += u32::from(awaited.is_empty());
                }
                (Arrival::Bytes { bytes, .. }, _) => {
                    let answer = bytes.escape_ascii().to_string();
                    return Err(Error::Refused { answer });
                }
                (other, _) => {
                    let answer = format!("{other:?}");
                    return Err(Error::Refused { answer });
                }
            }
            Ok(())
        })?;
        Ok(count)
    }

    /// Receives a message at each of them, and nothing else, and returns when the first
    /// and the last one came, in nanoseconds of the common clock.
    pub(crate) fn receive_everywhere(&mut self, message: &[u8]) -> Result<(u64, u64), Error> {
        let mut missing = vec![message.len(); self.count as usize];
        let (mut first, mut count) = (None, 0);
        let began = Instant::now();
        while count < self.count {
            let (_, readable) = self.reap();
            read_all(&mut self.lanes, &mut self.got, readable, |key, arrival| {
                first = first.or_else(|| Some(now_nanos()));
                let missing = &mut missing[key.index() as usize];
                match arrival {
                    Arrival::Bytes { bytes, .. }
                        if message[message.len() - *missing..].starts_with(bytes) =>
                    {
                        *missing -= bytes.len();
                        count += u32::from(*missing == 0);
                        Ok(())
                    }
                    other => Err(Error::Delivery {
                        subscriber: key.index() as usize,
                        fault: DeliveryFault::Foreign(format!("{other:?}")),
                    }),
                }
            })?;
            if began.elapsed() > patience(self.count) {
                return Err(Error::Silence {
                    delivered: count.into(),
                    due: self.count.into(),
                });
            }
        }
        let last = now_nanos();
        Ok((first.unwrap_or(last), last))
    }

    /// Closes all, and waits until the kernel is done with them.
    pub(crate) fn leave(&mut self) -> Result<(), Error> {
        for index in 0..self.count {
            let key = ConnectionKey::first(index);
            self.lanes.close(key, Close::Abrupt);
        }
        let began = Instant::now();
        let mut gone = 0;
        while gone < self.count {
            self.events.clear();
            self.lanes.reap(&mut self.events, EVENTS_MAX);
            let is_gone = |event: &&Event| matches!(event, Event::Gone(_));
            gone += self.events.iter().filter(is_gone).count() as u32;
            if began.elapsed() > patience(self.count) {
                return Err(Error::CrowdLost {
                    expected: 0,
                    found: (self.count - gone).into(),
                });
            }
        }
        Ok(())
    }
}

/// Reads all that these have, and tells `each` of it.
fn read_all(
    lanes: &mut Lanes,
    got: &mut Received,
    mut readable: Vec<ConnectionKey>,
    mut each: impl FnMut(ConnectionKey, Arrival<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    while !readable.is_empty() {
        let mut again = Vec::new();
        for some in readable.chunks(got.most()) {
            lanes.receive(some, got);
            for (key, arrival) in got.arrivals() {
                match arrival {
                    Arrival::Nothing => continue,
                    Arrival::Bytes { more: true, .. } => again.push(key),
                    Arrival::Bytes { .. } | Arrival::End | Arrival::Broken(_) => (),
                }
                each(key, arrival)?;
            }
        }
        readable = again;
    }
    Ok(())
}
