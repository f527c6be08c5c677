//! A model of clients and of what is between them and a broker.
//!
//! Bytes of a client are seen (they enter the trace) and later handled by the broker;
//! bytes of the broker are sent and later seen, and so the client has them. When each
//! happens is drawn; within one direction of one link the order stays.

#[path = "broker.rs"]
mod broker;

use std::collections::{BTreeMap, HashSet, VecDeque};

use ringcast_referee::{Report, What};

use crate::support::{self as bytes, Publish, Script, message};

const TOPICS: [&str; 3] = ["a/x", "a/y", "b"];
const FILTERS: [&str; 6] = ["a/x", "a/+", "#", "b", "$share/g/#", "$share/h/a/+"];
const CLIENTS: [(&str, u8); 4] = [("one", 5), ("two", 4), ("three", 5), ("four", 4)];
const RECEIVE_MAXIMUM: usize = 3;
const ALIASES: usize = 2;

/// What a client says, as the broker understands it.
#[derive(Clone)]
enum Said {
    Connect { clean: bool, will: Option<Vec<u8>> },
    Publish(Publish),
    Puback(u16),
    Pubrec(u16),
    Pubrel(u16),
    Pubcomp(u16),
    Subscribe(u16, Subscription),
    Unsubscribe(u16, &'static str),
    Pingreq,
    Disconnect,
    Nonsense,
    Closed,
}

/// What the broker says, as the client understands it.
#[derive(Clone, Copy)]
enum Told {
    Connack { present: bool },
    Publish { qos: u8, id: u16 },
    Puback(u16),
    Pubrec(u16),
    Pubrel(u16),
    Pubcomp(u16),
    Other,
    Closed,
}

#[derive(Clone, Copy)]
struct Subscription {
    filter: &'static str,
    qos: u8,
    no_local: bool,
    as_published: bool,
    handling: u8,
    identifier: u8,
}

#[derive(Clone)]
struct Message {
    publish: Publish,
    publisher: usize,
}

/// A message on its way to a session.
#[derive(Clone)]
struct Delivery {
    message: Message,
    qos: u8,
    retain: bool,
    identifiers: Vec<u8>,
}

struct Open {
    id: u16,
    delivery: Delivery,
    released: bool,
}

#[derive(Default)]
struct Session {
    lasting: bool,
    link: Option<usize>,
    subscriptions: Vec<Subscription>,
    queue: VecDeque<Delivery>,
    open: Vec<Open>,
    last_id: u16,
    inbound: HashSet<u16>,
}

struct Link {
    client: usize,
    /// The client's packets that are not wholly seen, and how much of the first is.
    leaving: VecDeque<(Vec<u8>, Said)>,
    left: usize,
    /// Seen, not handled.
    arriving: VecDeque<Said>,
    /// Sent by the broker, not wholly seen.
    coming: VecDeque<(Vec<u8>, Told)>,
    come: usize,
    client_open: bool,
    /// Reset: nothing that the broker sends is seen any more.
    deaf: bool,
    broker_open: bool,
    accepted: bool,
    will: Option<Vec<u8>>,
    aliases: Vec<&'static str>,
}

#[derive(Default)]
struct Client {
    link: Option<usize>,
    next_id: u16,
    /// Publishes at QoS 1 and 2 without their last acknowledgement, the link that they
    /// were last sent on, and whether PUBREC has come.
    unfinished: Vec<(Publish, usize, bool)>,
}

/// What a broker may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    AckTwice,
    AliasUndefined,
    DupMissing,
    GoodbyeIgnored,
    IdentifierReused,
    NoLocalIgnored,
    OrderLost,
    PayloadChanged,
    PropertiesLost,
    PubrelTooSoon,
    PublishAfterPubrel,
    Qos2Twice,
    QuotaIgnored,
    ResentAlive,
    ResentBackwards,
    RetainLeft,
    SessionInvented,
    SharedWithAll,
    UnsubscribeIgnored,
}

pub(crate) struct World {
    flaw: Option<Flaw>,
    choices: std::vec::IntoIter<u16>,
    script: Script,
    clients: Vec<Client>,
    links: Vec<Link>,
    sessions: BTreeMap<usize, Session>,
    retained: BTreeMap<&'static str, Message>,
    published: u32,
}

impl World {
    pub(crate) fn new(choices: Vec<u16>, flaw: Option<Flaw>) -> Self {
        Self {
            flaw,
            choices: choices.into_iter(),
            script: Script::new(),
            clients: CLIENTS.iter().map(|_| Client::default()).collect(),
            links: Vec::new(),
            sessions: BTreeMap::new(),
            retained: BTreeMap::new(),
            published: 0,
        }
    }

    pub(crate) fn run(mut self) -> Report {
        while self.choices.len() > 0 {
            let client = self.draw(CLIENTS.len());
            match self.draw(5) {
                0 => self.act(client),
                1 | 2 => self.leave(),
                3 => self.handle(),
                _ => self.come(),
            }
        }
        // Rules with a fixed promise about time are tried elsewhere.
        self.script.scope.sessions_kept_secs = None;
        self.script.judge()
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn draw(&mut self, below: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % below
    }

    /// A link that passes `test`, drawn among all that do.
    fn draw_link(&mut self, test: impl Fn(&Link) -> bool) -> Option<usize> {
        let fit: Vec<_> = (0..self.links.len())
            .filter(|link| test(&self.links[*link]))
            .collect();
        if fit.is_empty() {
            return None;
        }
        let drawn = self.draw(fit.len());
        Some(fit[drawn])
    }

    // --- The clients.

    fn act(&mut self, client: usize) {
        let usable = |link: &usize| self.links[*link].client_open;
        let Some(link) = self.clients[client].link.filter(usable) else {
            self.connect(client);
            return;
        };
        match self.draw(20) {
            0 => self.connect(client),
            1 => self.cut(link),
            2 => {
                self.say(link, bytes::disconnect(0), Said::Disconnect);
                self.links[link].client_open = false;
            }
            3 => self.say(link, bytes::pingreq(), Said::Pingreq),
            4 => {
                if self.draw(4) == 0 {
                    self.say(link, vec![0xff, 0], Said::Nonsense);
                    self.links[link].client_open = false;
                }
            }
            5..=8 => self.subscribe(client, link),
            9 => {
                let filter = FILTERS[self.draw(FILTERS.len())];
                let id = self.next_id(client);
                let packet = bytes::unsubscribe(CLIENTS[client].1, id, filter);
                self.say(link, packet, Said::Unsubscribe(id, filter));
            }
            _ => self.publish(client, link),
        }
    }

    fn connect(&mut self, client: usize) {
        let (id, version) = CLIENTS[client];
        let clean = self.draw(4) == 0;
        let mut connect = if version == 5 {
            bytes::v5(id)
        } else {
            bytes::v4(id)
        };
        connect.clean = clean;
        if version == 5 {
            connect = connect
                .with(bytes::two(
                    33,
                    u16::try_from(RECEIVE_MAXIMUM).expect("small"),
                ))
                .with(bytes::two(34, u16::try_from(ALIASES).expect("small")))
                .with(bytes::four(39, 1000));
            if !clean {
                connect = connect.with(bytes::four(17, 3600));
            }
        }
        let will = (self.draw(2) == 0).then(|| self.payload("will"));
        if let Some(will) = &will {
            connect = connect.will("b", will.clone().leak());
        }
        let link = self.links.len();
        self.links.push(Link {
            client,
            leaving: VecDeque::new(),
            left: 0,
            arriving: VecDeque::new(),
            coming: VecDeque::new(),
            come: 0,
            client_open: true,
            deaf: false,
            broker_open: true,
            accepted: false,
            will: None,
            aliases: Vec::new(),
        });
        self.script.event(link as u64, What::Opened);
        self.clients[client].link = Some(link);
        self.say(link, connect.bytes(), Said::Connect { clean, will });
    }

    /// The client vanishes, with what it had not sent.
    fn cut(&mut self, link: usize) {
        let reset = self.draw(2) == 0;
        let gone = &mut self.links[link];
        gone.client_open = false;
        gone.leaving.clear();
        gone.deaf = reset;
        gone.arriving.push_back(Said::Closed);
        if reset {
            gone.coming.clear();
            gone.come = 0;
        }
        let what = if reset {
            What::Reset
        } else {
            What::ClosedByClient
        };
        self.script.event(link as u64, what);
    }

    fn subscribe(&mut self, client: usize, link: usize) {
        let version = CLIENTS[client].1;
        let filter = FILTERS[self.draw(FILTERS.len())];
        let (qos, options) = (self.draw(3), self.draw(12));
        let mut subscription = Subscription {
            filter,
            qos: u8::try_from(qos).expect("small"),
            no_local: false,
            as_published: false,
            handling: 0,
            identifier: 0,
        };
        if version == 5 {
            subscription.no_local = options % 2 == 1 && !filter.starts_with('$');
            subscription.as_published = options / 2 % 2 == 1;
            subscription.handling = u8::try_from(options / 4).expect("small");
            subscription.identifier = u8::try_from(self.draw(4)).expect("small");
        }
        let flags = subscription.qos
            | u8::from(subscription.no_local) << 2
            | u8::from(subscription.as_published) << 3
            | subscription.handling << 4;
        let identifier = match subscription.identifier {
            0 => vec![],
            id => vec![11, id],
        };
        let id = self.next_id(client);
        let packet = bytes::subscribe(version, id, &[(filter, flags)], &identifier);
        self.say(link, packet, Said::Subscribe(id, subscription));
    }

    fn publish(&mut self, client: usize, link: usize) {
        let version = CLIENTS[client].1;
        let topic = TOPICS[self.draw(TOPICS.len())];
        // Some say the same twice.
        let payload = match self.draw(12) {
            0 => b"again".to_vec(),
            1 => Vec::new(),
            _ => self.payload("message"),
        };
        let qos = u8::try_from(self.draw(3)).expect("small");
        let mut publish = message(version, topic, payload);
        publish.retain = self.draw(3) == 0;
        if version == 5 && self.draw(2) == 0 {
            publish = publish
                .with(bytes::pair("k", "1"))
                .with(bytes::pair("k", "0"));
        }
        if version == 5 && self.draw(4) == 0 {
            publish = publish.with(bytes::four(2, 600));
        }
        if qos > 0 {
            publish = publish.qos(qos, self.next_id(client));
            self.clients[client]
                .unfinished
                .push((publish.clone(), link, false));
        }
        self.say(link, publish.bytes(), Said::Publish(publish));
    }

    fn payload(&mut self, kind: &str) -> Vec<u8> {
        self.published += 1;
        format!("{kind} {}", self.published).into_bytes()
    }

    fn next_id(&mut self, client: usize) -> u16 {
        self.clients[client].next_id += 1;
        self.clients[client].next_id
    }

    fn say(&mut self, link: usize, packet: Vec<u8>, said: Said) {
        self.links[link].leaving.push_back((packet, said));
    }

    /// The client has a packet of the broker.
    fn hear(&mut self, link: usize, told: Told) {
        let client = self.links[link].client;
        if !self.links[link].client_open || self.clients[client].link != Some(link) {
            return;
        }
        match told {
            Told::Connack { present } => self.resume(client, link, present),
            // A client may leave a message without its acknowledgement, for ever.
            Told::Publish { qos: 1, id } if self.draw(8) > 0 => {
                self.say(link, bytes::puback(id), Said::Puback(id));
            }
            Told::Publish { qos: 2, id } if self.draw(8) > 0 => {
                self.say(link, bytes::pubrec(id), Said::Pubrec(id));
            }
            Told::Pubrel(id) if self.draw(8) > 0 => {
                self.say(link, bytes::pubcomp(id), Said::Pubcomp(id));
            }
            Told::Puback(id) | Told::Pubcomp(id) => {
                self.clients[client]
                    .unfinished
                    .retain(|(publish, ..)| publish.id != id);
            }
            Told::Pubrec(id) => {
                for (publish, _, received) in &mut self.clients[client].unfinished {
                    *received |= publish.id == id;
                }
                self.say(link, bytes::pubrel(id), Said::Pubrel(id));
            }
            _ => {}
        }
    }

    fn resume(&mut self, client: usize, link: usize, present: bool) {
        let unfinished = &mut self.clients[client].unfinished;
        unfinished.retain(|(_, on, _)| present || *on == link);
        let again: Vec<_> = unfinished
            .iter_mut()
            .filter(|(_, on, _)| *on != link)
            .map(|(publish, on, received)| {
                *on = link;
                (publish.clone(), *received)
            })
            .collect();
        for (publish, received) in again {
            let id = publish.id;
            if received {
                self.say(link, bytes::pubrel(id), Said::Pubrel(id));
            } else {
                let publish = publish.dup();
                self.say(link, publish.bytes(), Said::Publish(publish));
            }
        }
    }

    // --- What is between.

    /// Some bytes of a client are seen.
    fn leave(&mut self) {
        let Some(link) = self.draw_link(|link| !link.leaving.is_empty()) else {
            return;
        };
        let mut seen = Vec::new();
        loop {
            let (length, left) = (self.links[link].leaving[0].0.len(), self.links[link].left);
            let part = 1 + self.draw(2 * length);
            let at = &mut self.links[link];
            let end = (left + part).min(length);
            seen.extend_from_slice(&at.leaving[0].0[left..end]);
            at.left = end;
            if end < length {
                break;
            }
            at.left = 0;
            let said = at.leaving.pop_front().expect("not empty").1;
            at.arriving.push_back(said);
            if at.leaving.is_empty() || self.draw(2) == 0 {
                break;
            }
        }
        self.script.client(link as u64, seen);
    }

    /// Some bytes of the broker are seen, and heard.
    fn come(&mut self) {
        let Some(link) = self.draw_link(|link| !link.coming.is_empty()) else {
            return;
        };
        let (packet, told) = self.links[link].coming[0].clone();
        if let Told::Closed = told {
            self.links[link].coming.pop_front();
            self.links[link].client_open = false;
            self.script.event(link as u64, What::ClosedByServer);
            return;
        }
        let come = self.links[link].come;
        let end = (come + 1 + self.draw(2 * packet.len())).min(packet.len());
        self.script.server(link as u64, &packet[come..end]);
        if end < packet.len() {
            self.links[link].come = end;
            return;
        }
        self.links[link].come = 0;
        self.links[link].coming.pop_front();
        self.hear(link, told);
    }
}
