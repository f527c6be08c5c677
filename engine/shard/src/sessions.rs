//! Sessions: what the engine knows of a client whether it is connected or not (section 4.1).
//!
//! Every connection has one. One that is to outlive its connection is *away* afterwards:
//! still a member of its cohort, with a cursor on the cohort's log, until its client comes
//! back or its time is over.

use crate::cohorts::{CohortId, Terms};
use crate::deliveries::DeliveryId;
use crate::fifo::{Fifo, Fifos};
use crate::index::Index;
use crate::window::Window;
use ringcast_codec::mqtt::{PacketId, Version, Will};
use siphasher::sip::SipHasher13;
use slab::Slab;
use smallvec::SmallVec;
use std::hash::Hasher;
use std::num::NonZeroU32;

/// All sessions, found by their client identifiers.
pub(crate) struct Sessions {
    sessions: Slab<Session>,
    most: usize,
    by_client_id: Index,
    key: (u64, u64),
    /// How many were ever begun.
    begun: u32,
    away: usize,
}

/// Names a session while it lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(pub(crate) u32);

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client_id: SmallVec<[u8; 24]>,
    /// Whose it is.
    pub(crate) user: Option<Box<str>>,
    pub(crate) window: Window,
    /// What waits to be sent to it alone, in order, before anything of its stream.
    pub(crate) queue: Fifo,
    /// Bytes of the messages there.
    pub(crate) queued_bytes: u32,
    /// The index of its connection, plus one.
    connection: Option<NonZeroU32>,
    /// Where its subscriptions are.
    pub(crate) cohort: CohortId,
    pub(crate) subscriptions: u32,
    /// For how many seconds it outlives its connection; `u32::MAX` for ever.
    pub(crate) expiry_seconds: u32,
    /// When it was left alone, in seconds.
    pub(crate) away_since: u32,
    /// Its number among those in lag or away, if it is.
    pub(crate) lag: Option<u32>,
    /// Which of all sessions that ever were it is.
    pub(crate) epoch: u32,
    /// Something is gone that its client must get: it ends with its connection.
    pub(crate) is_broken: bool,
    /// It is known to have much to do.
    pub(crate) is_busy: bool,
    /// What few have.
    pub(crate) more: Option<Box<More>>,
}

/// What few sessions have.
#[derive(Debug, Default)]
pub(crate) struct More {
    pub(crate) will: Option<LastWill>,
    /// What its client sent at QoS 2 and did not release.
    pub(crate) received: Vec<Received>,
    /// Its subscriptions to private topics, with their filters.
    pub(crate) private: Vec<(Box<str>, Terms)>,
    /// The shared subscriptions that it is a member of.
    pub(crate) shares: Vec<Membership>,
}

/// A message to be published when the client is gone.
#[derive(Debug, Clone)]
pub(crate) struct LastWill {
    pub(crate) topic: Box<str>,
    pub(crate) payload: Box<[u8]>,
    /// As MQTT 5 encodes them, without their length.
    pub(crate) properties: Box<[u8]>,
    pub(crate) lives_seconds: Option<u32>,
    pub(crate) delay_seconds: u32,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// A message that came at QoS 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) packet_id: PacketId,
    /// Its number among all that the shard sent up, until it was read back.
    pub(crate) uplinked: Option<u64>,
}

/// A member's part in a shared subscription.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub(crate) filter: Box<str>,
    pub(crate) qos: u8,
    pub(crate) identifier: u32,
    /// It left, but what comes before all shards know that is still its own.
    pub(crate) has_left: bool,
    /// How often it left and not all shards know.
    pub(crate) leaves: u16,
}

/// What waits in a session's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    Message(DeliveryId),
    /// The retained messages of a subscription.
    Retained(CursorId),
}

/// Names a cursor over retained messages; never zero, so that none costs nothing.
pub(crate) type CursorId = NonZeroU32;

/// The queues of all sessions.
pub(crate) type Queues = Fifos<Option<Queued>, 7>;

impl Session {
    /// The index of its connection, unless it is away.
    pub(crate) fn connection(&self) -> Option<u32> {
        self.connection.map(|index| index.get() - 1)
    }

    pub(crate) fn set_connection(&mut self, index: Option<u32>) {
        self.connection = index.and_then(|index| NonZeroU32::new(index + 1));
    }

    /// Whether it outlives its connection.
    pub(crate) fn is_persistent(&self) -> bool {
        self.expiry_seconds > 0
    }

    pub(crate) fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    pub(crate) fn shares(&self) -> &[Membership] {
        self.more.as_ref().map_or(&[], |more| &more.shares)
    }

    pub(crate) fn private(&self) -> &[(Box<str>, Terms)] {
        self.more.as_ref().map_or(&[], |more| &more.private)
    }

    pub(crate) fn received(&self) -> &[Received] {
        self.more.as_ref().map_or(&[], |more| &more.received)
    }

    pub(crate) fn will(&self) -> Option<&LastWill> {
        self.more.as_ref()?.will.as_ref()
    }

    pub(crate) fn take_will(&mut self) -> Option<LastWill> {
        self.more.as_mut()?.will.take()
    }
}

impl LastWill {
    /// What CONNECT says of it.
    pub(crate) fn of(will: &Will<'_>, forwarded: &[u8]) -> Self {
        Self {
            topic: will.topic.as_str().into(),
            payload: will.payload.as_bytes().into(),
            properties: forwarded.into(),
            lives_seconds: will.properties.message_expiry_interval(),
            delay_seconds: will.properties.will_delay_interval().unwrap_or(0),
            qos: will.qos as u8,
            retain: will.retain,
        }
    }

    /// What it takes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len()
    }
}

impl Sessions {
    /// So many at once.
    pub(crate) fn new(most: usize, key: (u64, u64)) -> Self {
        Self {
            sessions: Slab::with_capacity(most),
            most,
            by_client_id: Index::new(most),
            key,
            begun: 0,
            away: 0,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.sessions.len() == self.most
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// How many are away.
    pub(crate) fn away(&self) -> usize {
        self.away
    }

    /// A client without one gets one, if there is room.
    pub(crate) fn begin(
        &mut self,
        client_id: SmallVec<[u8; 24]>,
        user: Option<Box<str>>,
    ) -> Option<SessionId> {
        if self.is_full() {
            return None;
        }
        self.begun = self.begun.wrapping_add(1);
        let hash = self.hash(&client_id);
        let number = self.sessions.insert(Session {
            client_id,
            user,
            window: Window::default(),
            queue: Fifo::default(),
            queued_bytes: 0,
            connection: None,
            cohort: CohortId::default(),
            subscriptions: 0,
            expiry_seconds: 0,
            away_since: 0,
            lag: None,
            epoch: self.begun,
            is_broken: false,
            is_busy: false,
            more: None,
        });
        let number = u32::try_from(number).expect("fewer than 2^32 sessions");
        self.by_client_id.insert(hash, number);
        Some(SessionId(number))
    }

    /// A session is over. Nothing hangs on it any more.
    pub(crate) fn end(&mut self, id: SessionId) {
        let session = self.sessions.remove(id.0 as usize);
        self.by_client_id
            .remove(self.hash(&session.client_id), id.0);
    }

    /// A session is left alone, or is no more.
    pub(crate) fn count_away(&mut self, change: isize) {
        self.away = self.away.wrapping_add_signed(change);
    }

    pub(crate) fn get(&self, id: SessionId) -> &Session {
        &self.sessions[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: SessionId) -> &mut Session {
        &mut self.sessions[id.0 as usize]
    }

    /// The session with this number, if there is one.
    pub(crate) fn try_get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id.0 as usize)
    }

    /// The session with this number, if it is still the one of this epoch.
    pub(crate) fn of_epoch(&self, id: SessionId, epoch: u32) -> Option<&Session> {
        let session = self.sessions.get(id.0 as usize);
        session.filter(|session| session.epoch == epoch)
    }

    /// The session of a client, if it has one.
    pub(crate) fn of_client(&self, client_id: &[u8]) -> Option<SessionId> {
        let is_it = |number| self.get(SessionId(number)).client_id.as_slice() == client_id;
        let number = self.by_client_id.find(self.hash(client_id), is_it)?;
        Some(SessionId(number))
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        let all = self.sessions.iter();
        all.map(|(number, session)| (SessionId(number as u32), session))
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

/// For how many seconds a session outlives its connection (sections 3.1.2.11.2 and, for
/// MQTT 3, 3.1.2.4), where none may longer than this.
pub(crate) fn expiry_seconds(
    version: Version,
    clean_start: bool,
    asked: Option<u32>,
    most: u32,
) -> u32 {
    let asked = match version {
        Version::V5 => asked.unwrap_or(0),
        Version::V31 | Version::V311 if clean_start => 0,
        Version::V31 | Version::V311 => u32::MAX,
    };
    asked.min(most)
}

#[cfg(test)]
mod tests {
    use super::{Session, Sessions, expiry_seconds};
    use ringcast_codec::mqtt::Version;
    use smallvec::SmallVec;

    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Session>() <= 144, "{}", size_of::<Session>());
    }

    #[test]
    fn sessions_are_found_by_their_clients_until_they_end() {
        let mut sessions = Sessions::new(2, (1, 2));
        let id = |text: &str| SmallVec::from_slice(text.as_bytes());
        let first = sessions.begin(id("first"), None).expect("there is room");
        let second = sessions.begin(id("second"), None).expect("there is room");
        assert!(sessions.is_full() && sessions.begin(id("third"), None).is_none());
        assert_eq!(sessions.of_client(b"second"), Some(second));
        let epoch = sessions.get(first).epoch;
        sessions.end(first);
        assert_eq!(sessions.of_client(b"first"), None);
        let third = sessions.begin(id("first"), None).expect("there is room");
        assert_eq!(third, first, "the place is used again");
        assert!(sessions.of_epoch(third, epoch).is_none(), "it is another");
    }

    #[test]
    fn a_session_lives_as_long_as_asked_for_and_allowed() {
        let v5 = |asked| expiry_seconds(Version::V5, false, asked, 100);
        assert_eq!(
            [v5(None), v5(Some(0)), v5(Some(60)), v5(Some(101))],
            [0, 0, 60, 100]
        );
        assert_eq!(expiry_seconds(Version::V311, true, None, 100), 0);
        assert_eq!(expiry_seconds(Version::V31, false, None, 100), 100);
        assert_eq!(
            expiry_seconds(Version::V5, true, Some(u32::MAX), u32::MAX),
            u32::MAX
        );
    }
}
