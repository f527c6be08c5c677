//! The connections of a shard: who they are, and how each stands.
//!
//! A record is in two parts. What a push touches fits a cache line; what is needed when a
//! client says something, comes or goes stands elsewhere. What a client has whether it is
//! connected or not is its session's.

use crate::cohorts::CohortId;
use crate::fifo::Fifo;
use crate::log::LogPosition;
use crate::sessions::SessionId;
use crate::stream::Position;
use ringcast_codec::mqtt::{PacketId, ReasonCode, Version};
use ringcast_wire::ConnectionKey;
use std::collections::VecDeque;

/// All connections, with what their owner wants kept as long as each.
pub(crate) struct Connections<Pass> {
    hot: Vec<Connection>,
    cold: Vec<Client<Pass>>,
    /// Indices that were used and are free; those from `hot.len()` on were not used yet.
    free: Vec<u32>,
    most: u32,
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
    pub(crate) session: SessionId,
    pub(crate) flags: Flags,
    pub(crate) version: Version,
    pub(crate) state: State,
    /// When it was blocked last, in seconds.
    pub(crate) blocked_since: u32,
}

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
    /// What is next for it waits until its client acknowledges something.
    pub(crate) const HELD: Self = Self(1 << 7);
    /// Something waits in its session to be sent to it alone.
    pub(crate) const QUEUED: Self = Self(1 << 8);
    /// It is not sent more of its stream until something happens.
    pub(crate) const WAITS: Self = Self(Self::BLOCKED.0 | Self::HELD.0);
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
    /// What it sent of a packet that is not whole, or that waits.
    pub(crate) input: Vec<u8>,
    pub(crate) pass: Option<Pass>,
    /// When input came last, in seconds.
    pub(crate) last_in: u32,
    /// Seconds without input after which it is closed; 0 for never.
    pub(crate) silence_max: u32,
    /// The largest packet that it takes, in bytes.
    pub(crate) packet_bytes_max: u32,
    /// Messages that it lost because it was too slow.
    pub(crate) drops: u32,
    /// How many topic aliases it takes (section 3.1.2.11.5).
    pub(crate) aliases_max: u16,
    /// What those have who publish, or use aliases.
    pub(crate) talk: Option<Box<Talk>>,
}

/// What a connection and its client have to remember of each other's messages.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    /// Answers to what it published, in the order in which that came.
    pub(crate) owed: VecDeque<Owed>,
    /// The topics that its aliases stand for, from 1 on.
    pub(crate) aliases: Vec<Option<Box<str>>>,
    /// The topics that ours stand for, from 1 on.
    pub(crate) own_aliases: Vec<Box<[u8]>>,
}

/// An answer that a publisher waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owed {
    pub(crate) packet_id: PacketId,
    /// Whether it is PUBREC, not PUBACK.
    pub(crate) is_pubrec: bool,
    pub(crate) answer: Answer,
}

/// What an answer says, or what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The message with this number among those that the shard sent up has to come back.
    ReadBack(u64),
    Is(ReasonCode),
}

/// How far somebody in lag, or away, is.
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
    /// It was away until this message: of those before only what is kept for who is away
    /// is its own.
    pub(crate) away_to: u64,
}

impl<Pass> Connections<Pass> {
    /// So many at once.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            hot: Vec::with_capacity(most as usize),
            cold: Vec::with_capacity(most as usize),
            free: Vec::with_capacity(most as usize),
            most,
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
    pub(crate) fn open_as(
        &mut self,
        key: ConnectionKey,
        session: SessionId,
        version: Version,
        client: Client<Pass>,
    ) {
        let connection = Connection {
            key,
            cohort: CohortId::default(),
            seat: 0,
            cursor: Position::default(),
            outbox: Fifo::default(),
            session,
            flags: Flags::default(),
            version,
            state: State::Open,
            blocked_since: 0,
        };
        let at = key.index() as usize;
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

    /// A connection is being closed.
    pub(crate) fn on_closing(&mut self, index: u32) {
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

    pub(crate) fn talk_mut(&mut self, index: u32) -> &mut Talk {
        self.client_mut(index).talk.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, Connection, Lag};

    #[test]
    fn what_a_push_touches_is_one_cache_line() {
        assert!(size_of::<Connection>() <= 64);
        assert!(
            size_of::<Client<u64>>() <= 72,
            "{}",
            size_of::<Client<u64>>()
        );
        assert!(size_of::<Lag>() <= 40);
    }
}
