//! The oracle: it knows what each client may, must and must not get, and says at once if
//! the engine does anything else.
//!
//! It looks at what servers' sockets take, when they take it, and at the log. It knows
//! nothing of cohorts, arenas or services: only what MQTT and the book promise.
//!
//! - What is delivered was published, and its bytes are those of an independent encoding.
//! - It has been asked for: after the subscription began, and not after it ended.
//! - Of each topic, messages come in order, each once, and none is left out that may not.
//! - No retained message comes after the one that took its place.
//! - Each request is answered, in order, after what its client published before.
//! - Each connection is closed once, and not without a cause.
//!
//! What each quality of service allows is a parameter: at QoS 0 nothing comes twice, at
//! QoS 1 only what was not acknowledged, with DUP, on another connection.

mod delivery;
pub mod link;
pub mod log;
mod rest;
pub mod session;
mod shares;
mod wills;

use crate::kind::{Counts, Kind};
use crate::network::{Output, SocketId};
use crate::packets;
use crate::topics::TOPICS;
use link::{Asked, Goodbye, Link, State, What};
use log::{Draft, Log, Logged};
use ringcast_referee::decode;
use ringcast_referee::packet::{Codes, Connack, Packet, Request, Side, Version, property};
use ringcast_ring::Message;
use session::{Held, Session, Subscription};
use shares::Shares;
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

/// A promise that was broken, in words.
pub type Verdict = Result<(), String>;

/// What the engine can do so far; what it can't it has to refuse.
#[derive(Debug, Clone, Copy)]
pub struct Abilities {
    /// The highest quality of service.
    pub qos_max: u8,
    /// Sessions that outlive their connection.
    pub sessions: bool,
    /// Wills.
    pub wills: bool,
    /// Shared subscriptions.
    pub shared: bool,
    /// Topics of single users.
    pub private: bool,
}

impl Abilities {
    /// What it can do.
    pub const SO_FAR: Self = Self {
        qos_max: 2,
        sessions: true,
        wills: true,
        shared: true,
        private: true,
    };
}

/// How the world is while something is judged.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The time.
    pub now_nanos: u64,
    /// The same since 1970, in µs.
    pub wall_micros: u64,
    /// Messages that the connection's shard has read, by their last number.
    pub routed: u64,
    /// Whether that shard had no memory for something that it should keep.
    pub has_forgotten: bool,
    /// Messages that came to no member of a group, by that shard's count.
    pub untaken: u64,
    /// Whether that shard can have been too slow for clients that were not.
    pub is_shard_slow: bool,
}

/// What bounds clients now, or did at any time.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Subscriptions of one client.
    pub subscriptions: u32,
    /// Levels of a filter.
    pub levels: usize,
    /// Messages that one may be sent before it acknowledges one.
    pub inflight_max: usize,
    /// Queues are, or were, so short that what moves there when somebody subscribes finds no
    /// room.
    pub has_short_queues: bool,
    /// Tables can be full.
    pub is_tight: bool,
    /// The engine is going down.
    pub is_draining: bool,
    /// Shards can be so late to read what has come.
    pub input_late_nanos_max: u64,
    /// What a shard has begun to deliver can be so late: it is not taken back.
    pub late_micros_max: u64,
}

/// Judges one run.
#[derive(Debug)]
pub struct Oracle {
    log: Log,
    links: BTreeMap<SocketId, Link>,
    /// The connections of each client's name, in order.
    by_client: BTreeMap<String, Vec<SocketId>>,
    sessions: Vec<Session>,
    /// The last session of each client's name.
    kept: BTreeMap<String, usize>,
    shares: Shares,
    /// The messages that each shard read while it had no memory to keep one: their numbers.
    starved: Vec<(usize, RangeInclusive<u64>)>,
    /// What the feed has written and is not in the log.
    feed: VecDeque<Draft>,
    abilities: Abilities,
    bounds: Bounds,
    counts: Counts,
}

impl Oracle {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            log: Log::default(),
            links: BTreeMap::new(),
            by_client: BTreeMap::new(),
            sessions: Vec::new(),
            kept: BTreeMap::new(),
            shares: Shares::default(),
            starved: Vec::new(),
            feed: VecDeque::new(),
            abilities: Abilities::SO_FAR,
            bounds,
            counts: Counts::default(),
        }
    }

    /// What it has seen.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// All that was published.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What bounds clients from now on; what did before can still be in force for what
    /// they have sent.
    pub fn bounds_mut(&mut self) -> &mut Bounds {
        &mut self.bounds
    }

    /// A connection.
    #[must_use]
    pub fn link(&self, socket: SocketId) -> Option<&Link> {
        self.links.get(&socket)
    }

    /// Whether the server noticed later than this that a client of a connection's name had
    /// left.
    #[must_use]
    pub fn was_late_to_close(&self, link: &Link, nanos: u64) -> bool {
        let mut names = self.by_client[&link.client_id].iter();
        names.any(|other| {
            let other = &self.links[other];
            other.is_closed && other.closed_nanos.saturating_sub(other.last_sent_nanos) > nanos
        })
    }

    /// See [`Self::link`].
    pub fn link_mut(&mut self, socket: SocketId) -> Option<&mut Link> {
        self.links.get_mut(&socket)
    }
}

/// Somebody whose session may wait for it.
#[derive(Debug)]
pub struct Away {
    /// Its identifier.
    pub client_id: String,
    /// Who it is.
    pub user: Option<String>,
    /// What it spoke last.
    pub version: Version,
}

impl Oracle {
    /// Those whose sessions may wait for them.
    #[must_use]
    pub fn away(&self) -> Vec<Away> {
        let mut away = Vec::new();
        for (client_id, session) in &self.kept {
            let links = self.by_client[client_id].iter();
            let mut links = links.map(|socket| &self.links[socket]);
            let of_session = links.clone().rfind(|link| link.session == *session);
            let is_there = links.any(|link| !link.is_closed && !link.causes.any());
            if let Some(last) = of_session
                && last.asks.session
                && !is_there
            {
                away.push(Away {
                    client_id: client_id.clone(),
                    user: last.user.clone(),
                    version: last.version,
                });
            }
        }
        away
    }
}

/// What clients and feed do.
impl Oracle {
    /// A client connects.
    pub fn on_connect(&mut self, link: Link) {
        let names = self.by_client.entry(link.client_id.clone()).or_default();
        names.push(link.socket);
        self.links.insert(link.socket, link);
    }

    /// The door has handed a connection to a shard, perhaps with a name that it made up.
    pub fn on_handed_over(&mut self, socket: SocketId, shard: usize, assigned: Option<&str>) {
        let link = self.links.get_mut(&socket).expect("it connected");
        link.shard = Some(shard);
        if let Some(assigned) = assigned {
            assigned.clone_into(&mut link.client_id);
            let names = self.by_client.entry(assigned.to_owned()).or_default();
            names.push(socket);
        }
    }

    /// A shard takes a connection in, and may have no room for it: whoever has its name is taken over, by someone who
    /// may.
    pub fn on_adopted(&mut self, socket: SocketId, is_full: bool) {
        let (client_id, user) = {
            let link = self.links.get_mut(&socket).expect("it connected");
            link.found_full = is_full;
            (link.client_id.clone(), link.user.clone())
        };
        let others = self.by_client.get(&client_id).into_iter().flatten();
        for other in others.copied().filter(|other| *other != socket) {
            let other = self.links.get_mut(&other).expect("it connected");
            if other.shard.is_some() && other.user == user {
                other.causes.taken_over = true;
            }
            other.is_followed = true;
        }
    }

    /// A shard had no memory to keep a message for somebody, in a turn in which it read those
    /// with these numbers.
    pub fn on_starved(&mut self, shard: usize, read: RangeInclusive<u64>) {
        self.starved.push((shard, read));
    }

    /// A client asks for something.
    pub fn on_request(&mut self, socket: SocketId, id: u16, what: What) {
        let at = self.log.end();
        let link = self.links.get_mut(&socket).expect("it connected");
        if let What::Subscribe(requests, _) = &what {
            self.shares.on_request(&link.client_id, requests);
        }
        link.requests.push_back(Asked {
            id,
            at,
            drafts: link.drafts.len(),
            what,
        });
    }

    /// A client answers a message, or says that it has received it, with a packet of this
    /// type.
    pub fn on_acknowledge(&mut self, socket: SocketId, kind: u8, id: u16) {
        let link = self.links.get_mut(&socket).expect("it connected");
        if link.state == State::Connecting {
            return;
        }
        if matches!(kind, packets::PUBACK | packets::PUBCOMP) {
            link.freed.push_back(link.answered + link.requests.len());
        }
        if !matches!(kind, packets::PUBACK | packets::PUBREC) {
            return;
        }
        let session = &mut self.sessions[link.session];
        if let Some(sequence) = session.ids.get(&id) {
            session.open.remove(sequence);
        }
    }

    /// A client publishes, under this identifier if it is not 0.
    pub fn on_publish(&mut self, socket: SocketId, id: u16, draft: Draft) {
        let link = self.links.get_mut(&socket).expect("it connected");
        if id > 0 {
            link.unacknowledged.insert(id);
        }
        let link = self.links.get_mut(&socket).expect("it connected");
        link.drafts.push((draft, None));
    }

    /// The feed has offered a message, and it was taken.
    pub fn on_feed(&mut self, draft: Draft) {
        self.feed.push_back(draft);
    }

    /// The sequencer has put a message into the ring.
    ///
    /// # Errors
    /// If it is not what somebody published, in its place.
    pub fn on_sequenced(&mut self, message: &Message<'_>, hash: u64, now_nanos: u64) -> Verdict {
        let sequence = self.log.end() + 1;
        if message.sequence != sequence {
            return Err(format!(
                "message {} is numbered {}",
                sequence, message.sequence
            ));
        }
        if message.topic_hash != hash {
            return Err(format!("message {sequence} has another topic's hash"));
        }
        let draft = match message.client_id {
            [] => self.feed.pop_front(),
            client => self.next_draft(message, client, now_nanos),
        };
        let Some(draft) = draft.filter(|draft| says(draft, message)) else {
            return Err(format!(
                "message {sequence} of {:?} on {:?} is none that was to come: {:?}",
                String::from_utf8_lossy(message.client_id),
                String::from_utf8_lossy(message.topic),
                String::from_utf8_lossy(message.payload),
            ));
        };
        self.log.append(Logged {
            draft,
            sequence,
            expires_micros: message.expires_micros,
            ingest_micros: message.ingest_micros,
        });
        Ok(())
    }

    /// The next that one of a client's connections published, if it is this message: what
    /// may be refused can be left out before it.
    fn next_draft(
        &mut self,
        message: &Message<'_>,
        client_id: &[u8],
        now_nanos: u64,
    ) -> Option<Draft> {
        let client_id = std::str::from_utf8(client_id).ok()?;
        let sequence = self.log.end() + 1;
        for socket in self.by_client.get(client_id)? {
            let link = self.links.get_mut(socket).expect("it connected");
            let left = &link.drafts[link.sequenced..];
            let refused = left
                .iter()
                .take_while(|(draft, _)| draft.may_be_refused && !says(draft, message));
            let place = link.sequenced + refused.count();
            if let Some((draft, number)) = link.drafts.get_mut(place)
                && says(draft, message)
            {
                *number = Some(sequence);
                link.heard_nanos = now_nanos;
                let draft = Draft {
                    client_id: client_id.to_owned(),
                    ..draft.clone()
                };
                let refused = place - link.sequenced;
                self.counts.add(Kind::PublishRefused, refused as u64);
                link.sequenced = place + 1;
                return Some(draft);
            }
            // A will comes when its connection has ended.
            if link.is_closed
                && let Some(will) = link.will.take_if(|will| says(will, message))
            {
                self.counts.count(Kind::Will);
                return Some(Draft {
                    client_id: client_id.to_owned(),
                    ..will
                });
            }
        }
        None
    }
}

/// Whether a message of the log is the one that was written.
fn says(draft: &Draft, message: &Message<'_>) -> bool {
    let expires = draft.lives.map_or(0, |secs| {
        message.source_micros + u64::from(secs) * 1_000_000
    });
    TOPICS[draft.topic].name.as_bytes() == message.topic
        && draft.payload == message.payload
        && draft.retain == message.retain
        && draft.qos == message.qos
        && draft.block == message.properties
        && (draft.from.is_none() || expires == message.expires_micros)
}

/// What servers do.
impl Oracle {
    /// A server's socket did something.
    ///
    /// # Errors
    /// If that breaks a promise.
    pub fn on_output(&mut self, socket: SocketId, output: &Output, seen: Seen) -> Verdict {
        let Some(mut link) = self.links.remove(&socket) else {
            return Ok(());
        };
        let verdict = self.judge(&mut link, output, seen);
        let verdict = verdict.map_err(|what| format!("{what}, on {link}"));
        self.links.insert(socket, link);
        verdict
    }

    fn judge(&mut self, link: &mut Link, output: &Output, seen: Seen) -> Verdict {
        match output {
            Output::Blocked => {
                (link.was_blocked, link.is_blocked) = (true, true);
                Ok(())
            }
            Output::Read { is_all } => {
                link.heard_nanos = seen.now_nanos;
                if *is_all {
                    if link.goodbye == Goodbye::Said {
                        link.goodbye = Goodbye::Read;
                    }
                    link.freed_read = link.freed.len();
                }
                Ok(())
            }
            Output::Closed => self.on_closed(link, seen),
            Output::Bytes(bytes) => {
                link.is_blocked = false;
                let mut pending = std::mem::take(&mut link.rest);
                pending.extend_from_slice(bytes);
                let mut begin = 0;
                while let Some((head, end)) =
                    decode::frame(&pending[begin..], Some(link.version))
                        .map_err(|fault| format!("bytes that are no packet: {fault}"))?
                    && begin + end <= pending.len()
                {
                    let whole = &pending[begin..begin + end];
                    begin += end;
                    let packet =
                        decode::packet(whole[0], &whole[head..], link.version, Side::Server)
                            .map_err(|fault| format!("bytes that are no packet: {fault}"))?;
                    self.on_packet(link, &packet, whole, seen)
                        .map_err(|what| format!("{}: {what}", packet.summary()))?;
                }
                pending.drain(..begin);
                link.rest = pending;
                Ok(())
            }
        }
    }

    fn on_packet(&mut self, link: &mut Link, packet: &Packet, whole: &[u8], seen: Seen) -> Verdict {
        if whole.len() > link.packet_bytes_max {
            return Err(format!("{} bytes are more than it takes", whole.len()));
        }
        if !matches!(packet, Packet::Publish(_) | Packet::Disconnect(_)) {
            link.heard_nanos = seen.now_nanos;
        }
        match (link.state, packet) {
            (State::Over, _) => Err("nothing may follow the last word".to_owned()),
            (State::Connecting, Packet::Connack(connack)) => self.on_connack(link, connack, seen),
            (State::Connecting, _) => Err("it is no CONNACK".to_owned()),
            (State::Open, Packet::Publish(publish)) => self.on_delivery(link, publish, whole, seen),
            (State::Open, Packet::Suback(codes) | Packet::Unsuback(codes)) => {
                self.on_answer(link, codes, matches!(packet, Packet::Suback(_)), seen)
            }
            (State::Open, Packet::Pingresp) => {
                let left = link.pings.checked_sub(1);
                link.pings = left.ok_or("nothing was asked")?;
                Ok(())
            }
            (State::Open, Packet::Disconnect(disconnect)) => {
                link.reason = Some(disconnect.reason);
                link.state = State::Over;
                Ok(())
            }
            (State::Open, Packet::Puback(ack) | Packet::Pubrec(ack)) => {
                match link.unacknowledged.remove(&ack.packet_id) {
                    true => Ok(()),
                    false => Err("nothing was published under this identifier".to_owned()),
                }
            }
            (State::Open, Packet::Pubrel(_) | Packet::Pubcomp(_)) => Ok(()),
            (State::Open, _) => Err("nothing was asked".to_owned()),
        }
    }

    fn on_connack(&mut self, link: &mut Link, connack: &Connack, seen: Seen) -> Verdict {
        if connack.reason != 0 {
            self.counts.count(Kind::Refused);
            link.causes.refused = true;
            link.state = State::Over;
            let asks = link.asks;
            let is_unserved =
                (asks.will && !self.abilities.wills) || (asks.session && !self.abilities.sessions);
            let names = &self.by_client[&link.client_id];
            let is_alone = names
                .iter()
                .all(|name| *name == link.socket || self.links[name].user == link.user);
            let is_full = link.found_full || self.bounds.is_tight;
            let is_going = self.bounds.is_draining;
            let is_right = match (link.version, connack.reason) {
                (Version::V5, 0x83) => is_unserved,
                (Version::V5, 0x87) | (Version::V31 | Version::V311, 5) => !is_alone,
                (Version::V5, 0x88) => is_going,
                (Version::V5, 0x97) => is_full,
                (Version::V31 | Version::V311, 3) => is_unserved || is_full || is_going,
                _ => false,
            };
            return match is_right {
                true => Ok(()),
                false => Err("it was refused without a cause".to_owned()),
            };
        }
        if let Some(keep_alive) = connack.properties.number(property::SERVER_KEEP_ALIVE) {
            link.keep_alive = keep_alive as u16;
        }
        link.state = State::Open;
        link.connected = seen.routed;
        // Somebody of this name may have been let in and was never told.
        let others = self.by_client[&link.client_id].iter();
        let mut others = others.filter(|other| **other != link.socket);
        let is_unknown = others.any(|other| {
            self.links
                .get(other)
                .is_some_and(|other| other.state == State::Connecting && other.shard.is_some())
        });
        // MQTT 3.1 is not told whether its session is the one before.
        let is_untold = link.version == Version::V31 && !link.is_clean;
        link.is_unknown = is_untold || (connack.session_present && is_unknown);
        let kept = self
            .kept
            .insert(link.client_id.clone(), self.sessions.len());
        match kept {
            Some(kept) if connack.session_present => {
                self.kept.insert(link.client_id.clone(), kept);
                link.session = kept;
                // It may have much to catch up with.
                link.was_blocked = true;
                link.is_resumed = true;
                self.counts.count(Kind::Resumed);
                self.call_off_wills(link, seen)?;
                self.go_on_with(link);
            }
            None if connack.session_present && !is_unknown => {
                return Err("there was no session".to_owned());
            }
            _ => {
                link.session = self.sessions.len();
                self.sessions.push(Session::default());
            }
        }
        let session = &mut self.sessions[link.session];
        session.is_unknown |= link.is_unknown;
        link.is_unknown = session.is_unknown;
        session.packet_bytes_max = session.packet_bytes_max.min(link.packet_bytes_max);
        Ok(())
    }

    /// A session goes on: what needs no acknowledgement and came while nobody was there is
    /// lost, and so are answers.
    fn go_on_with(&mut self, link: &Link) {
        let session = &mut self.sessions[link.session];
        for (topic, readers) in session.readers.iter_mut().enumerate() {
            let numbers = self.log.of_topic(topic);
            readers[0].checked = numbers.partition_point(|number| *number <= link.connected);
        }
        for before in &self.by_client[&link.client_id] {
            if let Some(before) = self.links.get_mut(before)
                && before.state != State::Connecting
                && before.session == link.session
            {
                session.unanswered.extend(before.requests.drain(..));
                before.rest.clear();
            }
        }
    }

    fn on_answer(
        &mut self,
        link: &mut Link,
        codes: &Codes,
        is_suback: bool,
        seen: Seen,
    ) -> Verdict {
        let asked = link.requests.pop_front().ok_or("nothing was asked")?;
        link.answered += 1;
        if asked.id != codes.packet_id {
            return Err(format!("{} was asked before", asked.id));
        }
        if link.is_unknown {
            return Ok(());
        }
        if link.is_any_on_its_way(asked.drafts) {
            return Err("it overtook what its client had published before".to_owned());
        }
        let own = link.last_own(asked.drafts);
        match &asked.what {
            What::Subscribe(requests, identifier) if is_suback => {
                if codes.codes.len() != requests.len() {
                    return Err(format!("{} filters were asked for", requests.len()));
                }
                for (request, code) in requests.iter().zip(&codes.codes) {
                    self.on_granted(link, request, *identifier, *code, asked.at.max(own), seen)?;
                }
                Ok(())
            }
            What::Unsubscribe(filters) if !is_suback => {
                let session = &mut self.sessions[link.session];
                for (place, filter) in filters.iter().enumerate() {
                    let code = codes.codes.get(place).copied();
                    // Of full tables it is said that it could not be done, and it is not.
                    if self.bounds.is_tight && code == Some(0x83) {
                        continue;
                    }
                    let held = session.give_up(filter, asked.at, seen.routed);
                    let expected = if held { 0 } else { 0x11 };
                    let is_right = match link.version {
                        Version::V5 => code == Some(expected),
                        Version::V31 | Version::V311 => code.is_none(),
                    };
                    if !is_right && !session.is_unanswered(filter) {
                        return Err(format!("{filter} was held: {held}"));
                    }
                }
                Ok(())
            }
            _ => Err("something else was asked first".to_owned()),
        }
    }

    fn on_granted(
        &mut self,
        link: &Link,
        request: &Request,
        identifier: u32,
        code: u8,
        asked: u64,
        seen: Seen,
    ) -> Verdict {
        let abilities = self.abilities;
        let session = &mut self.sessions[link.session];
        let is_private = request.filter.split('/').next() == Some("user");
        let is_shared = request.filter.starts_with("$share/");
        let is_deep = request.filter.split('/').count() > self.bounds.levels;
        let is_full =
            session.filters() as u32 >= self.bounds.subscriptions || !session.unanswered.is_empty();
        let own = link.user.as_ref().map(|user| format!("user/{user}/"));
        let is_own = own.is_some_and(|own| request.filter.starts_with(&own));
        let refusal = if is_shared && !abilities.shared {
            Some(0x9E)
        } else if is_private && !(abilities.private && is_own) {
            Some(0x87)
        } else if is_deep {
            Some(0x8F)
        } else {
            None
        };
        let told = |reason| match link.version {
            Version::V5 => reason,
            Version::V31 | Version::V311 => 0x80,
        };
        let granted = request.qos.min(abilities.qos_max);
        if code >= 0x80 {
            self.counts.count(Kind::SubscriptionRefused);
        }
        match refusal {
            Some(reason) if code == told(reason) => Ok(()),
            Some(reason) => Err(format!("{} is refused with {reason:#x}", request.filter)),
            None if code == told(0x97) && (is_full || self.bounds.is_tight) => Ok(()),
            None if code == granted => {
                let before = session.held();
                session.grant(Subscription {
                    qos: granted,
                    granted: seen.routed,
                    held_since: seen.routed,
                    ..Subscription::asked_for(request, identifier, asked)
                });
                if !shares::is_shared(&request.filter) {
                    let kind = self.change_of_cohort(link, &before);
                    self.counts.count(kind);
                }
                Ok(())
            }
            None => Err(format!("{} is granted with {granted}", request.filter)),
        }
    }

    /// What became of a client's cohort when its subscriptions were these before.
    fn change_of_cohort(&self, link: &Link, before: &[Held]) -> Kind {
        let now = self.sessions[link.session].held();
        let others = self.links.values().filter(|other| {
            let is_like = |one: &Link| (one.shard, one.version, one.packet_bytes_max);
            other.state == State::Open && !other.is_closed && is_like(other) == is_like(link)
        });
        let mut sets = others.map(|other| self.sessions[other.session].held());
        let (mut has_joined, mut was_shared) = (false, false);
        for set in &mut sets {
            has_joined |= set == now;
            was_shared |= set == before;
        }
        if now.iter().any(|held| held.no_local) {
            Kind::CohortOwn
        } else if has_joined {
            Kind::CohortJoined
        } else if was_shared {
            Kind::CohortFounded
        } else {
            Kind::CohortKept
        }
    }

    fn on_closed(&mut self, link: &mut Link, seen: Seen) -> Verdict {
        if link.is_closed {
            return Err("it was closed before".to_owned());
        }
        link.is_closed = true;
        link.closed_nanos = seen.now_nanos;
        link.cut_off = link.is_blocked.then_some(seen.routed);
        let silent_nanos = seen.now_nanos - link.last_sent_nanos + self.bounds.input_late_nanos_max;
        let allowed_nanos = u64::from(link.keep_alive) * 1_000_000_000;
        // MQTT 3.1 can't be told of a refusal: it is closed.
        let asks = |asked: &Asked| matches!(asked.what, What::Subscribe(..));
        link.causes.untold |= link.version == Version::V31 && link.requests.iter().any(asks);
        link.causes.silent |= link.keep_alive > 0 && silent_nanos >= allowed_nanos;
        self.on_end_of(link, seen);
        let is_excused = link.causes.any()
            || link.is_slow(seen)
            || link.is_unknown
            || seen.has_forgotten
            || self.bounds.has_short_queues
            || self.bounds.is_tight
            || self.bounds.is_draining;
        match is_excused {
            true => Ok(()),
            false => Err("it was closed without a cause".to_owned()),
        }
    }
}
