//! A world with the bookkeeping of a shard: keys, events, bytes.

use crate::{Peer, Taken, World};
use ringcast_wire::{Arrival, Close, ConnectionKey, Event, Failure, Received, Wire};
use std::collections::HashMap;
use std::io::ErrorKind;

/// What the wire's side of a connection has been told.
#[derive(Debug, Default)]
pub struct Told {
    /// Input may be there.
    pub readable: bool,
    /// How often room was told.
    pub writable: u32,
    /// It was told that nothing can be sent.
    pub closed: bool,
    /// How often it was told to be gone.
    pub gone: u32,
    /// All input.
    pub input: Vec<u8>,
    /// The peer sends no more.
    pub ended: bool,
    /// How it failed.
    pub broken: Option<ErrorKind>,
}

/// A world, and what was told of each of its connections.
pub struct Bench<W: World> {
    /// The world itself.
    pub world: W,
    told: HashMap<ConnectionKey, Told>,
    /// The generation to use next for each index.
    indices: Vec<ConnectionKey>,
    free: Vec<u32>,
    got: Received,
}

/// How many events a reap may tell at once.
const EVENTS_MOST: usize = 256;

impl<W: World> Bench<W> {
    /// A bench for so many connections, whose reads take so many bytes at a time.
    pub fn new(world: W, connections: u32, reads: usize, buffer_bytes: usize) -> Self {
        Self {
            world,
            told: HashMap::new(),
            indices: (0..connections).map(ConnectionKey::first).collect(),
            free: (0..connections).rev().collect(),
            got: Received::new(reads, buffer_bytes),
        }
    }

    /// A connection, adopted under a key that was not used before.
    pub fn open(&mut self) -> (ConnectionKey, W::Peer) {
        let (socket, peer) = self.world.pair();
        (self.adopt(socket), peer)
    }

    /// So many connections.
    pub fn open_many(&mut self, count: usize) -> (Vec<ConnectionKey>, Vec<W::Peer>) {
        (0..count).map(|_| self.open()).unzip()
    }

    /// Adopts this socket under a key that was not used before.
    pub fn adopt(&mut self, socket: <W::Wire as Wire>::Socket) -> ConnectionKey {
        let index = self.free.pop().expect("the bench is large enough");
        let key = self.indices[index as usize];
        self.indices[index as usize] = key.next();
        self.told.insert(key, Told::default());
        let adopted = self.world.wire().adopt(key, socket);
        adopted.expect("it is adopted");
        key
    }

    /// What was told of this connection.
    pub fn told(&mut self, key: ConnectionKey) -> &mut Told {
        self.told
            .get_mut(&key)
            .expect("only what was adopted is told of")
    }

    /// Reaps once.
    pub fn reap(&mut self) {
        self.reap_at_most(EVENTS_MOST);
    }

    /// Reaps at most so many events, and returns how many came.
    pub fn reap_at_most(&mut self, most: usize) -> usize {
        let mut events = Vec::new();
        self.world.wire().reap(&mut events, most);
        assert!(events.len() <= most, "no more events than asked for");
        for &event in &events {
            let (Event::Readable(key)
            | Event::Writable(key)
            | Event::Closed(key)
            | Event::Gone(key)) = event;
            let told = self.told(key);
            assert_eq!(told.gone, 0, "nothing is told of who is gone");
            match event {
                Event::Readable(_) => told.readable = true,
                Event::Writable(_) => told.writable += 1,
                Event::Closed(_) => told.closed = true,
                Event::Gone(_) => {
                    told.gone += 1;
                    self.free.push(key.index());
                }
            }
        }
        events.len()
    }

    /// Reaps, and lets the world go on, until this holds.
    ///
    /// # Panics
    /// If it does not come to hold.
    pub fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        for _ in 0..W::PAUSES_MAX {
            self.reap();
            if holds(self) {
                return;
            }
            self.world.pause();
        }
        panic!("waited in vain until {what}");
    }

    /// Receives once from these, as a shard does: who is read from is not readable
    /// any more until told so.
    pub fn receive(&mut self, from: &[ConnectionKey]) {
        for &key in from {
            self.told(key).readable = false;
        }
        self.world.wire().receive(from, &mut self.got);
        let mut arrivals = self.got.arrivals();
        for &asked in from {
            let (key, arrival) = arrivals.next().expect("one arrival for each");
            assert_eq!(key, asked, "in the order of the call");
            let told = self.told.get_mut(&key).expect("it is there");
            match arrival {
                Arrival::Bytes { bytes, more } => {
                    assert!(!bytes.is_empty());
                    told.input.extend_from_slice(bytes);
                    told.readable |= more;
                }
                Arrival::Nothing => (),
                Arrival::End => told.ended = true,
                Arrival::Broken(kind) => told.broken = Some(kind),
            }
        }
        assert!(arrivals.next().is_none(), "no arrivals but these");
    }

    /// Receives from each connection that is readable, until none is.
    pub fn receive_ready(&mut self) {
        loop {
            let ready = self.told.iter().filter(|(_, told)| told.readable);
            let ready: Vec<_> = ready.map(|(&key, _)| key).take(self.got.most()).collect();
            if ready.is_empty() {
                return;
            }
            self.receive(&ready);
        }
    }

    /// Waits until so much input of this connection has arrived.
    pub fn wait_for_input(&mut self, key: ConnectionKey, count: usize) {
        self.wait_until("all input has arrived", |bench| {
            bench.receive_ready();
            bench.told(key).input.len() >= count
        });
    }

    /// Sends the same to all of these, and returns the failures.
    pub fn send_same(&mut self, to: &[ConnectionKey], bytes: &[u8]) -> Vec<Failure> {
        let mut failed = Vec::new();
        self.world.wire().send_same(to, bytes, &mut failed);
        for failure in &failed {
            assert_eq!(failure.key, to[failure.place as usize]);
            assert!((failure.sent as usize) < bytes.len());
        }
        failed
    }

    /// Closes.
    pub fn close(&mut self, key: ConnectionKey, how: Close) {
        self.told(key).readable = false;
        self.world.wire().close(key, how);
    }

    /// Waits until this connection is gone.
    pub fn wait_until_gone(&mut self, key: ConnectionKey) {
        self.wait_until("the connection is gone", |bench| bench.told(key).gone > 0);
    }

    /// Lets the wire and the world go on until the peer gets something.
    pub fn peer_takes(&mut self, peer: &mut W::Peer, most: usize) -> Taken {
        let mut taken = Taken::Nothing;
        self.wait_until("the peer gets something", |_| {
            taken = peer.take(most);
            taken != Taken::Nothing
        });
        taken
    }

    /// What the peer gets until it has so many bytes.
    pub fn peer_takes_all(&mut self, peer: &mut W::Peer, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.peer_takes(peer, count - all.len()) {
                Taken::Bytes(bytes) => all.extend(bytes),
                other => panic!("{other:?} after {} of {count} bytes", all.len()),
            }
        }
        all
    }

    /// What the peer gets until the end.
    pub fn peer_takes_to_end(&mut self, peer: &mut W::Peer) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.peer_takes(peer, 1 << 20) {
                Taken::Bytes(bytes) => all.extend(bytes),
                Taken::End => return all,
                other => panic!("{other:?} after {} bytes", all.len()),
            }
        }
    }

    /// The peer sends all of this, however slowly it goes.
    pub fn peer_sends_all(&mut self, peer: &mut W::Peer, bytes: &[u8]) {
        let mut sent = 0;
        self.wait_until("the peer has sent all", |bench| {
            sent += peer.send(&bytes[sent..]);
            bench.receive_ready();
            sent == bytes.len()
        });
    }
}

/// Bytes in which every stretch of some length is unlike every other.
pub(crate) fn pattern(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    (0..count)
        .map(|_| {
            // Knuth, The Art of Computer Programming, volume 2, 3.3.4: the multiplier
            // of MMIX.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}
