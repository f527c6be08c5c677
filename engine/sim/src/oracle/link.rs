//! A connection as the oracle sees it: what its client sent, and what its server owes.

use super::Seen;
use super::log::Draft;
use super::session::Subscription;
use crate::network::SocketId;
use ringcast_referee::packet::{Publish, Request, Version, property};
use ringcast_referee::topic::matches;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// No session's number.
pub const NO_SESSION: usize = usize::MAX;

/// One connection.
#[derive(Debug)]
pub struct Link {
    /// Its name.
    pub socket: SocketId,
    /// Which standard.
    pub version: Version,
    /// Its client's identifier; for one that brought none, what it was given.
    pub client_id: String,
    /// Who it is.
    pub user: Option<String>,
    /// The largest packet that it takes.
    pub packet_bytes_max: usize,
    /// In seconds; the server's own if it said so.
    pub keep_alive: u16,
    /// It wants a new session.
    pub is_clean: bool,
    /// What its CONNECT asks that is not always granted.
    pub asks: Asks,
    /// The shard that it was handed to.
    pub shard: Option<usize>,
    /// Its shard had perhaps no room for it.
    pub found_full: bool,
    /// Its session, or [`NO_SESSION`] as long as it was not told that it is let in.
    pub session: usize,
    /// How far the conversation is.
    pub state: State,
    /// What the server's last word said.
    pub reason: Option<u8>,
    /// Nobody knows what its session was before.
    pub is_unknown: bool,
    /// Its session is older than it.
    pub is_resumed: bool,
    /// The most messages that it may be sent before it acknowledges one.
    pub receive_maximum: usize,
    /// The server closed it.
    pub is_closed: bool,
    /// When it did.
    pub closed_nanos: u64,
    /// What may be behind a close by the server.
    pub causes: Causes,
    /// The bytes of a packet that is not whole.
    pub rest: Vec<u8>,
    /// A send was not taken whole at least once, on either side.
    pub was_blocked: bool,
    /// The last send was not taken whole: more waits in its outbox.
    pub is_blocked: bool,
    /// Where the log ended for its shard when the server closed it though more waited there.
    pub cut_off: Option<u64>,
    /// Messages that its quota is taken by, as far as its shard can know.
    pub held: usize,
    /// Those of them that it has answered, which its shard may not have looked at: how many
    /// requests it had sent before.
    pub freed: VecDeque<usize>,
    /// How many of those its shard has read.
    pub freed_read: usize,
    /// How many requests were answered.
    pub answered: usize,
    /// What awaits an answer.
    pub requests: VecDeque<Asked>,
    /// Pings that do.
    pub pings: u32,
    /// Messages of its own that do.
    pub unacknowledged: BTreeSet<u16>,
    /// Topics that have an alias for it.
    pub aliases: BTreeMap<u32, String>,
    /// Where the log ended for its shard when it was let in.
    pub connected: u64,
    /// What it published, in order; those before `sequenced` are in the log, with these
    /// numbers, or were refused.
    pub drafts: Vec<(Draft, Option<u64>)>,
    /// See [`Self::drafts`].
    pub sequenced: usize,
    /// What is published for it when it ends badly; once.
    pub will: Option<Draft>,
    /// How long after that, if its session lasts as long.
    pub will_delay_nanos: u64,
    /// Whether it said goodbye.
    pub goodbye: Goodbye,
    /// Another connection of its name was let in later.
    pub is_followed: bool,
    /// When the server last read something of it, or had done with something: published it, or
    /// answered it.
    pub heard_nanos: u64,
    /// When it last sent something.
    pub last_sent_nanos: u64,
}

/// What a CONNECT asks for that is not always granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asks {
    /// A will.
    pub will: bool,
    /// A session that outlives the connection.
    pub session: bool,
}

/// What became of a client's goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    /// It said none.
    Unsaid,
    /// There was no room for all of it.
    Unclear,
    /// It is on its way.
    Said,
    /// Its shard has read it.
    Read,
}

/// How far a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// CONNACK is to come.
    Connecting,
    /// It is served.
    Open,
    /// The server said its last word.
    Over,
}

/// What may be behind a close.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Causes {
    /// The client left, in whichever way.
    pub left: bool,
    /// The client broke the protocol: it has to be closed.
    pub fault: bool,
    /// Another connection of the client came.
    pub taken_over: bool,
    /// It was refused.
    pub refused: bool,
    /// The client was silent for as long as it promised not to be.
    pub silent: bool,
    /// Something was refused that its version can not be told of.
    pub untold: bool,
}

impl Causes {
    /// Whether there is any.
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// Something that awaits an answer.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its packet identifier.
    pub id: u16,
    /// Where the log ended when it was sent.
    pub at: u64,
    /// What its client had published before.
    pub drafts: usize,
    /// What it is.
    pub what: What,
}

/// What awaits an answer.
#[derive(Debug, Clone)]
pub enum What {
    /// SUBSCRIBE, with its identifier.
    Subscribe(Vec<Request>, u32),
    /// UNSUBSCRIBE.
    Unsubscribe(Vec<String>),
}

impl What {
    /// Whether it changes what its client gets of a topic.
    #[must_use]
    pub fn is_about(&self, topic: &str) -> bool {
        match self {
            Self::Subscribe(requests, _) => {
                let mut filters = requests.iter().map(|request| &request.filter);
                filters.any(|filter| matches(filter, topic))
            }
            Self::Unsubscribe(filters) => filters.iter().any(|filter| matches(filter, topic)),
        }
    }

    /// Whether it asks for this filter.
    #[must_use]
    pub fn subscribes_to(&self, filter: &str) -> bool {
        match self {
            Self::Subscribe(requests, _) => requests.iter().any(|one| one.filter == filter),
            Self::Unsubscribe(_) => false,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "connection {} ({}, {:?}, keep-alive {}, {:?}, reason {:?}, blocked {}, {:?})",
            self.socket.0,
            self.client_id,
            self.version,
            self.keep_alive,
            self.state,
            self.reason,
            self.was_blocked,
            self.causes
        )
    }
}

impl Link {
    /// The topic of a message, which an alias may stand for.
    ///
    /// # Errors
    /// If nobody said for which.
    pub fn topic_of(&mut self, publish: &Publish) -> Result<String, String> {
        let Some(alias) = publish.properties.number(property::TOPIC_ALIAS) else {
            return Ok(publish.topic.clone());
        };
        if !publish.topic.is_empty() {
            self.aliases.insert(alias, publish.topic.clone());
        }
        let topic = self.aliases.get(&alias).cloned();
        topic.ok_or_else(|| format!("alias {alias} stands for nothing"))
    }

    /// Whether it may be served as one who is too slow.
    #[must_use]
    pub fn is_slow(&self, seen: Seen) -> bool {
        self.was_blocked || seen.is_shard_slow
    }

    /// What it has answered does not take its quota any more, where its shard has looked at
    /// that: it has read it, and waits with no request before it.
    pub fn free_quota(&mut self) {
        let read = self.freed.iter().take(self.freed_read);
        let done = read.take_while(|before| **before <= self.answered).count();
        self.freed.drain(..done);
        self.freed_read -= done;
        self.held = self.held.saturating_sub(done);
    }

    /// The number of the last of its first so many messages that is in the log; 0 if none
    /// is.
    #[must_use]
    pub fn last_own(&self, drafts: usize) -> u64 {
        let numbers = self.drafts[..drafts].iter().rev();
        numbers
            .filter_map(|(_, number)| *number)
            .next()
            .unwrap_or(0)
    }

    /// What of its first so many messages is neither in the log nor can have been refused.
    #[must_use]
    pub fn is_any_on_its_way(&self, drafts: usize) -> bool {
        let left = &self.drafts[self.sequenced.min(drafts)..drafts];
        left.iter().any(|(draft, _)| !draft.may_be_refused)
    }

    /// Whether something that it sent is not done with, as far as anybody knows: a request, a
    /// ping or a message. It may not have been looked at.
    #[must_use]
    pub fn is_any_awaited(&self) -> bool {
        self.pings > 0
            || !self.requests.is_empty()
            || !self.unacknowledged.is_empty()
            || self.is_any_on_its_way(self.drafts.len())
    }

    /// The subscriptions that it asked for and that are not answered: they may be in force
    /// already.
    #[must_use]
    pub fn pending(&self, unanswered: &[Asked], qos_max: u8) -> Vec<Subscription> {
        let mut pending = Vec::new();
        for asked in self.requests.iter().chain(unanswered) {
            if let What::Subscribe(requests, identifier) = &asked.what {
                pending.extend(requests.iter().map(|request| Subscription {
                    qos: request.qos.min(qos_max),
                    ..Subscription::asked_for(request, *identifier, asked.at)
                }));
            }
        }
        pending
    }

    /// Whether it is served, as far as anybody knows, and has a right to all.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.state == State::Open && !self.is_closed && !self.causes.any()
    }
}
