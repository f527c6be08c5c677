//! What the referee remembers: of a connection, a session, and of what was published.
//! Plain data; the rules stand in the modules of `judge`.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::packet::{Connect, Packet, Properties, Request, Side, Version, property};
use crate::report::Violation;
use crate::topic;

/// A moment of the trace: the number of the event, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub place: u64,
    pub nanos: u64,
}

/// One direction's bytes that are not yet a packet.
#[derive(Default)]
pub(crate) struct Flow {
    pub bytes: Vec<u8>,
    /// How many came before `bytes`.
    pub before: u64,
    /// Set when no further packet can be read: the rest is ignored.
    pub broken: bool,
}

/// What a client asked for and the server has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Connack,
    Puback,
    Pubrec,
    Pubcomp,
    Suback,
    Unsuback,
    Pingresp,
    /// To a PUBREC of the client.
    Pubrel,
}

#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub answer: Answer,
    pub packet_id: u16,
    pub at: Moment,
    /// Which packet of the client it was.
    pub number: u64,
}

pub(crate) struct Connection {
    pub number: u64,
    pub input: Flow,
    pub output: Flow,
    pub version: Option<Version>,
    pub connect: Option<Connect>,
    pub connect_at: Option<Moment>,
    /// When a CONNACK without error was seen.
    pub accepted: Option<Moment>,
    /// A CONNACK was seen.
    pub answered: bool,
    /// The server's DISCONNECT, or a CONNACK that refuses, was seen.
    pub over: bool,
    pub fault_at: Option<Moment>,
    /// The client's DISCONNECT, and its reason.
    pub farewell: Option<(Moment, u8)>,
    pub server_closed: Option<Moment>,
    pub client_closed: Option<Moment>,
    /// Packets of the client that wait for the CONNACK to tell their session.
    pub early: Vec<(Packet, Moment, u64)>,
    pub session: Option<usize>,
    /// Another connection claimed the same client identifier at the same time.
    pub contested: bool,
    pub taken_over: Option<Moment>,
    pub keep_alive_secs: u64,
    pub client_seen: Option<Moment>,
    pub client_packets: u64,
    pub asked: Vec<Asked>,
    /// Further answers that a client which repeated itself may get.
    pub spare: Vec<(Answer, u16)>,
    pub subscribes: Vec<(u16, Vec<Request>)>,
    pub unsubscribes: Vec<(u16, Vec<String>)>,
    pub aliases_in: HashMap<u16, String>,
    pub aliases_out: HashMap<u16, String>,
    /// What the client's Receive Maximum still allows.
    pub credit: i64,
    pub inbound_open: u64,
    pub inbound_open_most: u64,
    pub inbound_largest: u64,
    pub server_receive_maximum: u64,
    pub server_size_maximum: u64,
    pub server_alias_maximum: u32,
    /// The client used an alias that it could not.
    pub alias_misused: bool,
    pub silence_longest_nanos: u64,
    pub resent_last: Option<u64>,
    /// Identifiers that a resume has yet to send again.
    pub resend_due: Vec<u16>,
    /// Ripe if the server goes on serving this connection: then it had not given it
    /// up before the other thing that it did.
    pub suspicions: Vec<Violation>,
}

impl Connection {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            input: Flow::default(),
            output: Flow::default(),
            version: None,
            connect: None,
            connect_at: None,
            accepted: None,
            answered: false,
            over: false,
            fault_at: None,
            farewell: None,
            server_closed: None,
            client_closed: None,
            early: Vec::new(),
            session: None,
            contested: false,
            taken_over: None,
            keep_alive_secs: 0,
            client_seen: None,
            client_packets: 0,
            asked: Vec::new(),
            spare: Vec::new(),
            subscribes: Vec::new(),
            unsubscribes: Vec::new(),
            aliases_in: HashMap::new(),
            aliases_out: HashMap::new(),
            credit: 65_535,
            inbound_open: 0,
            inbound_open_most: 0,
            inbound_largest: 0,
            server_receive_maximum: 65_535,
            server_size_maximum: u64::MAX,
            server_alias_maximum: 0,
            alias_misused: false,
            silence_longest_nanos: 0,
            resent_last: None,
            resend_due: Vec::new(),
            suspicions: Vec::new(),
        }
    }

    pub(crate) fn flow(&mut self, sender: Side) -> &mut Flow {
        match sender {
            Side::Client => &mut self.input,
            Side::Server => &mut self.output,
        }
    }

    /// When either end was seen to end it.
    pub(crate) fn ended(&self) -> Option<Moment> {
        match (self.server_closed, self.client_closed) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    pub(crate) fn client_id(&self) -> &str {
        self.connect
            .as_ref()
            .map_or("", |connect| connect.client_id.as_str())
    }

    /// A number among the properties of CONNECT.
    pub(crate) fn told(&self, id: u8) -> Option<u32> {
        self.connect.as_ref()?.properties.number(id)
    }
}

/// How far a message of the server to the client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// PUBLISH was seen.
    Sent,
    /// PUBREC was seen; the server may not have it yet.
    Received,
    /// PUBREL was seen.
    Released,
}

/// A message at QoS 1 or 2 under its identifier.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub qos: u8,
    pub content: u64,
    pub order: u64,
    pub stage: Stage,
    /// The connection that it was last sent on.
    pub sent_on: u64,
    /// The last acknowledgement was seen on that connection, as that packet of the
    /// client. Whether the server has it is known only by what follows.
    pub done: Option<(u64, u64)>,
    /// Whether the trace leaves no doubt about it.
    pub certain: bool,
}

/// A filter that a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub request: Request,
    pub identifier: Option<u32>,
    /// SUBACK was seen, and `request.qos` is what it granted.
    pub granted: Option<Moment>,
    /// Nothing published after it can come by this subscription.
    pub until: Option<Moment>,
    /// UNSUBSCRIBE was sent, perhaps on a connection that ended before its answer: nobody
    /// knows whether it is in force.
    pub given_up: bool,
    /// No subscription to the same filter was surely in force.
    pub fresh: bool,
    /// Which SUBSCRIBE it was: the connection and the packet identifier.
    pub by: (u64, u16),
}

pub(crate) struct Session {
    pub client_id: String,
    /// False: the trace does not tell all about it, and rules that need to know pass.
    pub known: bool,
    pub current: u64,
    /// Former connections that were still open when a later one was accepted: what the
    /// server had sent on them may show up late.
    pub late: Vec<u64>,
    /// A connection was reset, and what the server had sent on it need not have been
    /// seen. So what it sends again may be seen for the first time, until it goes on
    /// to new messages.
    pub unseen: bool,
    pub entries: BTreeMap<u16, Entry>,
    pub entries_next: u64,
    /// How many entries are not acknowledged.
    pub entries_open: usize,
    /// Acknowledgements of the current connection in the order seen, until it is known
    /// that the server has them: which packet of the client, and the identifier.
    pub finished: VecDeque<(u64, u16)>,
    pub subscriptions: Vec<Subscription>,
    /// How often the retained message of a topic has come.
    pub replayed: HashMap<String, usize>,
    /// Messages at QoS 2 of the client that it has not released.
    pub inbound: HashMap<u16, Inbound>,
    /// The last number delivered, by topic, publisher, published and delivered QoS.
    pub delivered_last: HashMap<(String, String, u8, u8), u64>,
    /// By topic and publisher: the highest number delivered live with RETAIN set.
    pub retained_last: HashMap<(String, String), u64>,
    pub expiry_low_secs: u64,
    pub expiry_high_secs: u64,
    /// Ripe if the session goes on: then it was not over when the other thing happened.
    pub suspicions: Vec<Violation>,
}

impl Session {
    pub(crate) fn new(client_id: &str, current: u64, known: bool) -> Self {
        Self {
            client_id: client_id.to_owned(),
            known,
            current,
            late: Vec::new(),
            unseen: false,
            entries: BTreeMap::new(),
            entries_next: 0,
            entries_open: 0,
            finished: VecDeque::new(),
            subscriptions: Vec::new(),
            replayed: HashMap::new(),
            inbound: HashMap::new(),
            delivered_last: HashMap::new(),
            retained_last: HashMap::new(),
            expiry_low_secs: 0,
            expiry_high_secs: 0,
            suspicions: Vec::new(),
        }
    }

    pub(crate) fn put(&mut self, packet_id: u16, entry: Entry) {
        let old = self.entries.insert(packet_id, entry);
        if old.is_none_or(|old| old.done.is_some()) {
            self.entries_open += 1;
        }
    }

    /// The last acknowledgement of a message, as the client's packet of that number.
    pub(crate) fn finish(&mut self, packet_id: u16, connection: u64, number: u64) {
        let Some(entry) = self.entries.get_mut(&packet_id) else {
            return;
        };
        if entry.done.replace((connection, number)).is_none() {
            self.entries_open -= 1;
        }
        if connection == self.current {
            self.finished.push_back((number, packet_id));
        }
        // Identifiers come round; what was taken anew is known to be free.
        while self
            .finished
            .front()
            .is_some_and(|front| self.is_stale(*front))
        {
            self.finished.pop_front();
        }
    }

    /// The server has handled all that the current connection sent up to that packet.
    pub(crate) fn on_proof(&mut self, number: u64) {
        while let Some((done, packet_id)) = self.finished.front().copied() {
            if done > number {
                break;
            }
            if !self.is_stale((done, packet_id)) {
                self.entries.remove(&packet_id);
            }
            self.finished.pop_front();
        }
    }

    fn is_stale(&self, (number, packet_id): (u64, u16)) -> bool {
        let entry = self.entries.get(&packet_id);
        entry.is_none_or(|entry| entry.done != Some((self.current, number)))
    }

    /// Whether more of the past may show up.
    pub(crate) fn doubt(&self) -> bool {
        !self.late.is_empty()
    }

    pub(crate) fn matching<'a>(
        &'a self,
        topic: &'a str,
    ) -> impl Iterator<Item = &'a Subscription> + 'a {
        self.subscriptions
            .iter()
            .filter(move |subscription| topic::matches(&subscription.request.filter, topic))
    }
}

/// A message at QoS 2 of a client.
pub(crate) struct Inbound {
    /// Its content, and its place among the publications of that.
    pub noted: (u64, usize),
    /// How often it was sent, on whatever connection, less the PUBRECs seen.
    pub owed: u32,
}

/// The expiry that means never.
pub(crate) const NEVER_SECS: u64 = u32::MAX as u64;

/// One act of publishing, by a client or by the server for its will.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub publisher: String,
    pub at: Moment,
    pub qos: u8,
    pub retain: bool,
    pub properties: Properties,
    /// Among those of this publisher, topic and QoS; several if it was sent again, none
    /// if its place is open.
    pub numbers: Vec<u64>,
    /// Among those of this publisher and topic, whatever the QoS; 0 if its place is open.
    pub number_of_topic: u64,
    /// The connection whose will it is.
    pub will_of: Option<u64>,
}

impl Publication {
    pub(crate) fn expiry_secs(&self) -> Option<u32> {
        self.properties.number(property::MESSAGE_EXPIRY)
    }
}

/// All messages of one topic and one payload, and who got them.
#[derive(Default)]
pub(crate) struct Content {
    pub publications: Vec<Publication>,
    /// So many published this that nobody asks who: `publications` is empty.
    pub crowded: bool,
    /// By session: live deliveries, resends not counted.
    pub delivered: HashMap<usize, u64>,
    /// By shared filter: the connections that got it, and at which QoS.
    pub shared: HashMap<String, Vec<(u64, u8)>>,
    /// The sessions that got it in whatever way.
    pub seen: HashSet<usize>,
}

/// Published contents by the hash of topic and payload. A collision makes two messages
/// look like one published twice, which can only excuse.
#[derive(Default)]
pub(crate) struct Contents {
    by_key: HashMap<u64, Content>,
    /// In order of first publishing.
    keys: VecDeque<u64>,
    numbers: HashMap<(String, String, u8), u64>,
    /// Some were forgotten.
    pub incomplete: bool,
}

/// How many contents are remembered before the oldest is forgotten, and with it the
/// rules that need to know who published what pass in silence.
const CONTENTS_MAX: usize = 4_000_000;

/// How many times the same may be published before its origin is anybody's.
const PUBLICATIONS_MAX: usize = 256;

/// Stands for "whatever the QoS" among those that number publications.
const ANY_QOS: u8 = 3;

impl Contents {
    pub(crate) fn key(topic: &str, payload: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        (topic, payload).hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn get(&self, key: u64) -> Option<&Content> {
        self.by_key.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut Content> {
        self.by_key.get_mut(&key)
    }

    /// The next number of a publisher on a topic at a QoS.
    pub(crate) fn number(&mut self, publisher: &str, topic: &str, qos: u8) -> u64 {
        let key = (publisher.to_owned(), topic.to_owned(), qos);
        let next = self.numbers.entry(key).or_default();
        *next += 1;
        *next
    }

    pub(crate) fn number_of_topic(&mut self, publisher: &str, topic: &str) -> u64 {
        self.number(publisher, topic, ANY_QOS)
    }

    /// Remembers a publication; returns its place under `key`.
    pub(crate) fn add(&mut self, key: u64, publication: Publication) -> usize {
        if !self.by_key.contains_key(&key) {
            if self.keys.len() == CONTENTS_MAX
                && let Some(oldest) = self.keys.pop_front()
            {
                self.by_key.remove(&oldest);
                self.incomplete = true;
            }
            self.keys.push_back(key);
        }
        let content = self.by_key.entry(key).or_default();
        content.crowded |= content.publications.len() == PUBLICATIONS_MAX;
        if content.crowded {
            content.publications.clear();
            content.shared.clear();
            return 0;
        }
        content.publications.push(publication);
        content.publications.len() - 1
    }
}
