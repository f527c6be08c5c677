//! The engine: ingest core, ring, uplinks and shards as they run in production, and a
//! model of the door.

use crate::network::{Network, SocketId};
use crate::options::Options;
use crate::wire::Sockets;
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{Connect, PACKET_BYTES_MAX};
use ringcast_ingest::{Feed, FeedTopic, Ingest, Sequencer};
use ringcast_ring::{Consumer, Producer, TopicHasher, Waiting};
use ringcast_shard::{AdoptError, Io, Now, Settings, Shard};
use ringcast_wire::Newcomer;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::topics::TOPICS;
use ringcast_codec::mqtt::TopicName;

/// All of it but the network.
pub struct Engine {
    /// The ingest core.
    pub ingest: Ingest,
    /// The shards.
    pub shards: Vec<Role>,
    /// Another reader of the ring, that the ring waits for.
    pub reader: Consumer,
    /// What the sequencer says of each topic.
    pub topics: Vec<FeedTopic>,
    /// The key of topics.
    pub hasher: TopicHasher,
    door: Door,
}

/// A shard, and what it reads and writes.
pub struct Role {
    /// The shard; with each connection it keeps its name.
    pub shard: Shard<SocketId>,
    sockets: Sockets,
    ring: Consumer,
    uplink: Producer,
    /// From the door, bounded.
    pub newcomers: VecDeque<Newcomer<SocketId>>,
}

/// Newcomers that a shard takes in before a turn.
const NEWCOMERS_MAX: usize = 16;

/// A model of the door: it reads until CONNECT is whole, and hands over to the home shard.
#[derive(Debug, Default)]
struct Door {
    visitors: Vec<SocketId>,
    assigned: u64,
}

/// What the door did with somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// It was handed over to this shard, with a name if it had brought none.
    Home(SocketId, usize, Option<String>),
    /// It was sent away.
    Away(SocketId),
    /// There was no room for it in the queue of its shard: it waits.
    Waits,
}

impl Engine {
    /// As large as the options say.
    ///
    /// # Panics
    /// If the machine has no memory.
    #[must_use]
    pub fn new(options: &Options, network: &Rc<RefCell<Network>>, now: Now) -> Self {
        let mut ring = Producer::create("ring", options.ring_bytes).expect("there is memory");
        let mut ends = Vec::new();
        let mut shards = Vec::new();
        for home in 0..options.shards {
            let mut uplink =
                Producer::create("uplink", options.uplink_bytes).expect("there is memory");
            ends.push(uplink.consumer(Waiting::Spins).expect("a place is free"));
            let settings = Settings {
                home: home as u16,
                ..options.settings.clone()
            };
            shards.push(Role {
                shard: Shard::new(settings, now),
                sockets: Sockets::new(Rc::clone(network), home),
                ring: ring.consumer(Waiting::Spins).expect("a place is free"),
                uplink,
                newcomers: VecDeque::new(),
            });
        }
        let hasher = options.settings.hasher;
        let reader = ring.consumer(Waiting::Spins).expect("a place is free");
        let sequencer = Sequencer::new(ring, ends, hasher, options.settings.classes.clone());
        let name = |name| TopicName::new(name).expect("is a topic");
        let topics = TOPICS.iter().map(|topic| sequencer.topic(name(topic.name)));
        Self {
            topics: topics.collect(),
            ingest: Ingest::new(Feed::None, sequencer),
            shards,
            reader,
            hasher,
            door: Door::default(),
        }
    }

    /// A connection comes to the door.
    pub fn on_visitor(&mut self, socket: SocketId) {
        self.door.visitors.push(socket);
    }

    /// The door looks at each of its visitors.
    pub fn look_after_visitors(
        &mut self,
        network: &mut Network,
        newcomers_max: usize,
    ) -> Vec<Entry> {
        let visitors = std::mem::take(&mut self.door.visitors);
        let mut entries = Vec::new();
        for socket in visitors {
            let Some((received, is_there)) = network.peek(socket) else {
                network.turn_away(socket);
                entries.push(Entry::Away(socket));
                continue;
            };
            match Connect::decode(&received, PACKET_BYTES_MAX) {
                Ok(Progress::Done(connect, _)) => {
                    let entry = self.hand_over(network, socket, &connect, &received, newcomers_max);
                    if entry == Entry::Waits {
                        self.door.visitors.push(socket);
                    }
                    entries.push(entry);
                }
                Ok(Progress::Partial { .. }) if is_there => self.door.visitors.push(socket),
                Ok(Progress::Partial { .. }) | Err(_) => {
                    network.turn_away(socket);
                    entries.push(Entry::Away(socket));
                }
            }
        }
        entries
    }

    fn hand_over(
        &mut self,
        network: &mut Network,
        socket: SocketId,
        connect: &Connect<'_>,
        received: &[u8],
        newcomers_max: usize,
    ) -> Entry {
        let assigned = connect
            .client_id
            .is_empty()
            .then(|| format!("assigned-{}", self.door.assigned));
        let client_id = assigned.as_deref().unwrap_or(connect.client_id.as_str());
        let home = self.hasher.topic(client_id.as_bytes()) as usize % self.shards.len();
        let queue = &mut self.shards[home].newcomers;
        if queue.len() >= newcomers_max {
            return Entry::Waits;
        }
        self.door.assigned += u64::from(assigned.is_some());
        queue.push_back(Newcomer {
            socket,
            peer: ([127, 0, 0, 1], 1).into(),
            user: connect.user_name.map(|name| name.as_str().into()),
            received: received.into(),
            assigned_client_id: assigned.as_deref().map(Into::into),
        });
        network.skip(socket, received.len());
        Entry::Home(socket, home, assigned)
    }

    /// Whether anybody is on the way to a shard.
    #[must_use]
    pub fn has_visitors(&self) -> bool {
        let queues = self.shards.iter().map(|role| &role.newcomers);
        !self.door.visitors.is_empty() || queues.into_iter().any(|queue| !queue.is_empty())
    }
}

impl Role {
    /// The next newcomers, whom the shard takes in now. `told` is told of each before.
    /// Returns those who could not be taken in.
    pub fn adopt(&mut self, mut told: impl FnMut(SocketId)) -> Vec<SocketId> {
        let mut refused = Vec::new();
        for _ in 0..NEWCOMERS_MAX {
            let Some(newcomer) = self.newcomers.pop_front() else {
                break;
            };
            let socket = newcomer.socket;
            told(socket);
            let mut io = Io {
                wire: &mut self.sockets,
                ring: &mut self.ring,
                uplink: &mut self.uplink,
            };
            match self.shard.adopt(newcomer, socket, &mut io) {
                Ok(()) => {}
                // The wire has closed it.
                Err(AdoptError::Socket(_)) => refused.push(socket),
                Err(AdoptError::Full | AdoptError::NoConnect) => {
                    self.sockets.drop_newcomer(socket);
                    refused.push(socket);
                }
            }
        }
        refused
    }

    /// A turn. Returns whether anything was done.
    ///
    /// # Errors
    /// If the ring is none any more.
    pub fn turn(&mut self, now: Now) -> Result<bool, String> {
        let mut io = Io {
            wire: &mut self.sockets,
            ring: &mut self.ring,
            uplink: &mut self.uplink,
        };
        let busy = self.shard.turn(now, &mut io);
        busy.map_err(|corrupt| corrupt.to_string())
    }
}
