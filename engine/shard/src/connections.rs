//! The connections of a shard: who they are, and how each stands.
//!
//! A record is in two parts. What a push touches fits a cache line; what is needed when a
//! client says something, comes or goes stands elsewhere. Records are found by index,
//! clients by their identifier.

use crate::cohorts::CohortId;
use crate::fifo::Fifo;
use crate::index::Index;
use crate::log::LogPosition;
use crate::stream::Position;
use ringcast_codec::mqtt::Version;
use ringcast_wire::ConnectionKey;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use std::hash::Hasher;

/// All connections, with what their owner wants kept as long as each.
pub(crate) struct Connections<Pass> {
    hot: Vec<Connection>,
    cold: Vec<Client<Pass>>,
    /// Indices that were used and are free; those from `hot.len()` on were not used yet.
    free: Vec<u32>,
    most: u32,
    by_client_id: Index,
    key: (u64, u64),
    open: usize,
}

/// What a push touches of a connection: one cache line.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) key: ConnectionKey,
    pub(crate) cohort: CohortId,
    /// Its seat in the roster of the cohort.
    pub(crate) seat: u32,
    /// Where it stands in the stream of the cohort, if it is apart.
    pub(crate) cursor: Position,
    /// What is sent to it alone, before the stream.
    pub(crate) outbox: Fifo,
    /// The first of its cursors over retained messages.
    pub(crate) retained: Option<CursorId>,
    pub(crate) flags: Flags,
    pub(crate) version: Version,
    pub(crate) state: State,
    /// When it was blocked last, in seconds.
    pub(crate) blocked_since: u32,
}

/// Names a cursor over retained messages; never zero, so that none costs nothing.
pub(crate) type CursorId = std::num::NonZeroU32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody has the index.
    Free,
    /// It is served.
    Open,
    /// It is closed, and not gone yet.
    Closing,
}

/// What is true of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The socket takes nothing until it says so.
    pub(crate) const BLOCKED: Self = Self(1 << 0);
    /// In the list of those with input.
    pub(crate) const READY: Self = Self(1 << 1);
    /// In the list of those to be sent something alone.
    pub(crate) const LISTED: Self = Self(1 << 2);
    /// A SUBSCRIBE or UNSUBSCRIBE waits for its place in the order of messages.
    pub(crate) const WAITING: Self = Self(1 << 3);
    /// A PUBLISH waits for room in the uplink.
    pub(crate) const PARKED: Self = Self(1 << 4);
    /// It is going to be closed.
    pub(crate) const DOOMED: Self = Self(1 << 5);
    /// Its answers are not taken, so it gets no more of them.
    pub(crate) const CONGESTED: Self = Self(1 << 6);
    /// It is a connection.
    pub(crate) const ANY: Self = Self(1 << 15);

    /// Whether it has one of these; [`ANY`](Self::ANY) all have.
    pub(crate) fn has(self, other: Self) -> bool {
        (self.0 | Self::ANY.0) & other.0 != 0
    }

    pub(crate) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Sets it, and says whether it was.
    pub(crate) fn test_and_set(&mut self, other: Self) -> bool {
        let was = self.has(other);
        self.set(other);
        was
    }

    pub(crate) fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Its input is not looked at.
    pub(crate) fn is_paused(self) -> bool {
        let pauses = [Self::WAITING, Self::PARKED, Self::CONGESTED, Self::DOOMED];
        pauses.into_iter().any(|flag| self.has(flag))
    }
}

/// The rest of a connection.
#[derive(Debug)]
pub(crate) struct Client<Pass> {
    /// Its client identifier.
    pub(crate) id: SmallVec<[u8; 24]>,
    pub(crate) user: Option<Box<str>>,
    /// What it sent of a packet that is not whole, or that waits.
    pub(crate) input: Vec<u8>,
    /// Its number among those in lag, if it is.
    pub(crate) lag: Option<u32>,
    pub(crate) pass: Option<Pass>,
    /// When input came last, in seconds.
    pub(crate) last_in: u32,
    /// Seconds without input after which it is closed; 0 for never.
    pub(crate) silence_max: u32,
    /// How many filters it is subscribed to.
    pub(crate) subscriptions: u32,
    /// The largest packet that it takes, in bytes.
    pub(crate) packet_bytes_max: u32,
    /// Messages that it lost because it was too slow.
    pub(crate) drops: u32,
}

/// How far somebody in lag is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lag {
    /// It was told of all changes of last values up to this sequence number.
    pub(crate) changed_to: u64,
    /// The topic with that change, if it was told of one.
    pub(crate) at_topic: Option<crate::topics::TopicId>,
    /// Where it is in the cohort's log.
    pub(crate) log_at: LogPosition,
    /// What its cohort had dropped when it fell into lag.
    pub(crate) dropped: u64,
}

impl<Pass> Connections<Pass> {
    /// So many at once.
    pub(crate) fn new(most: u32, key: (u64, u64)) -> Self {
        Self {
            hot: Vec::with_capacity(most as usize),
            cold: Vec::with_capacity(most as usize),
            free: Vec::with_capacity(most as usize),
            most,
            by_client_id: Index::new(most as usize),
            key,
            open: 0,
        }
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Indices are below this.
    pub(crate) fn end(&self) -> u32 {
        self.hot.len() as u32
    }

    /// The key of the next connection, unless there are as many as there may be.
    pub(crate) fn next_key(&mut self) -> Option<ConnectionKey> {
        if let Some(&index) = self.free.last() {
            return Some(self.hot[index as usize].key.next());
        }
        let index = self.end();
        (index < self.most).then(|| ConnectionKey::first(index))
    }

    /// A connection has this key, which was the next, from now on.
    pub(crate) fn open_as(&mut self, key: ConnectionKey, version: Version, client: Client<Pass>) {
        let connection = Connection {
            key,
            cohort: CohortId::default(),
            seat: 0,
            cursor: Position::default(),
            outbox: Fifo::default(),
            retained: None,
            flags: Flags::default(),
            version,
            state: State::Open,
            blocked_since: 0,
        };
        let at = key.index() as usize;
        self.by_client_id.insert(self.hash(&client.id), key.index());
        if at == self.hot.len() {
            self.hot.push(connection);
            self.cold.push(client);
        } else {
            self.free.pop();
            self.hot[at] = connection;
            self.cold[at] = client;
        }
        self.open += 1;
    }

    /// A connection is being closed: its client identifier is free.
    pub(crate) fn on_closing(&mut self, index: u32) {
        let hash = self.hash(&self.cold[index as usize].id);
        self.by_client_id.remove(hash, index);
        self.hot[index as usize].state = State::Closing;
        self.open -= 1;
    }

    /// A connection is gone: its index is free. Gives back what came with it.
    pub(crate) fn on_gone(&mut self, key: ConnectionKey) -> Option<Pass> {
        let connection = self.get_mut(key)?;
        debug_assert_eq!(connection.state, State::Closing);
        connection.state = State::Free;
        self.free.push(key.index());
        self.cold[key.index() as usize].pass.take()
    }

    /// The connection of a client, if it is open.
    pub(crate) fn of_client(&self, id: &[u8]) -> Option<ConnectionKey> {
        let is_it = |index| self.cold[index as usize].id.as_slice() == id;
        let index = self.by_client_id.find(self.hash(id), is_it)?;
        Some(self.hot[index as usize].key)
    }

    fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.hot
            .get_mut(key.index() as usize)
            .filter(|connection| connection.key == key && connection.state != State::Free)
    }

    /// The connection with this key, if it is open.
    pub(crate) fn open_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.get_mut(key)
            .filter(|connection| connection.state == State::Open)
    }

    /// The connection with this index, which somebody has.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> &Connection {
        &self.hot[index as usize]
    }

    /// See [`Self::at`].
    #[inline]
    pub(crate) fn at_mut(&mut self, index: u32) -> &mut Connection {
        &mut self.hot[index as usize]
    }

    pub(crate) fn client(&self, index: u32) -> &Client<Pass> {
        &self.cold[index as usize]
    }

    pub(crate) fn client_mut(&mut self, index: u32) -> &mut Client<Pass> {
        &mut self.cold[index as usize]
    }

    /// What stands for a client identifier in stored messages; never 0 for one.
    pub(crate) fn hash(&self, client_id: &[u8]) -> u64 {
        if client_id.is_empty() {
            return 0;
        }
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(client_id);
        hasher.finish().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, Connection, Lag};

    #[test]
    fn what_a_push_touches_is_one_cache_line() {
        assert!(size_of::<Connection>() <= 64);
        assert!(
            size_of::<Client<u64>>() <= 120,
            "{}",
            size_of::<Client<u64>>()
        );
        assert!(size_of::<Lag>() <= 32);
    }
}
