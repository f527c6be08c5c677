//! A scenario, worked out: who each client is, what it wants, and what it says.
//!
//! Clients are numbered over all processes and threads, one kind behind the other, and
//! each thread has every so-manieth of them. So all threads know all, and nothing needs to
//! be agreed on.
//!
//! ```text
//!  clients   0 1 2 3 4 5 6 7 8 9 …     subscribers, publishers, idle, churners, personas
//!  threads   0 1 2 0 1 2 0 1 2 0 …     of three
//! ```

use crate::addresses::{AddressError, Addresses, ports_of_kernel};
use crate::chance::{Chance, Weighted, zipf};
use crate::recording::{Recording, RecordingError};
use crate::scenario::{Behaviour, Contradiction, Protocol, Scenario};
use crate::topics::{Names, Streams, Wanted};
use ringcast_codec::mqtt::{
    Connect, Packet, PacketId, Properties, Property, PropertyBlock, QoS, RetainHandling, Subscribe,
    SubscriptionBlock, SubscriptionOptions, Text, TopicFilter, Version,
};
use std::fmt;

/// A scenario, worked out.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    /// The run's own number, in each of its messages.
    pub(crate) run: u32,
    pub(crate) version: Version,
    pub(crate) names: Names,
    pub(crate) streams: Streams,
    pub(crate) recording: Option<Recording>,
    addresses: Addresses,
    /// Which topic a subscriber's own begin with, where they are not wanted in turn.
    firsts: Option<Weighted>,
}

/// What a client is, and which one of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Subscriber(u32),
    Publisher(u32),
    Idle(u32),
    Churner(u32),
    /// Which persona, and which one of those.
    Persona(usize, u32),
}

/// A kind of client, by the number of one of it.
type RoleOf = fn(u32) -> Role;

/// Why a scenario can't be worked out.
#[derive(Debug)]
pub(crate) enum PlanError {
    Contradiction(Contradiction),
    Address(AddressError),
    Recording(RecordingError),
    /// What does not fit into a packet of MQTT, by key.
    Unfit(&'static str, String),
}

impl Plan {
    pub(crate) fn new(scenario: Scenario, run: u32) -> Result<Self, PlanError> {
        scenario.check().map_err(PlanError::Contradiction)?;
        let recording = match &scenario.load.recording[..] {
            [] => None,
            files => Some(Recording::read(files).map_err(PlanError::Recording)?),
        };
        let names = match &recording {
            Some(recording) => Names::Listed(recording.names.clone()),
            None => Names::from_text(&scenario.topics.name),
        };
        let topics = match &names {
            Names::Listed(listed) => listed.len().max(1),
            Names::Numbered { .. } => scenario.topics.count,
        };
        // A recording has one publisher: its messages have one order.
        let publishers = if recording.is_some() {
            1
        } else {
            scenario.publishers.count.max(1)
        };
        let target = &scenario.target;
        let addresses = Addresses::new(
            &target.addresses,
            &target.sources,
            scenario.clients(),
            ports_of_kernel(),
        )
        .map_err(PlanError::Address)?;
        let firsts = (scenario.subscribers.zipf > 0.0).then(|| {
            let weight = |topic| zipf(topic, scenario.subscribers.zipf);
            Weighted::new(&(0..topics).map(weight).collect::<Vec<_>>())
        });
        let plan = Self {
            version: match scenario.mqtt.version {
                Protocol::Mqtt311 => Version::V311,
                Protocol::Mqtt5 => Version::V5,
            },
            streams: Streams { topics, publishers },
            scenario,
            run,
            names,
            recording,
            addresses,
            firsts,
        };
        plan.check_texts()?;
        Ok(plan)
    }

    /// Tries what every client says, so that nothing is found when it is too late.
    fn check_texts(&self) -> Result<(), PlanError> {
        let unfit = |key, text: &str| Err(PlanError::Unfit(key, text.to_owned()));
        let last = self.scenario.clients() - 1;
        let mqtt = &self.scenario.mqtt;
        for (key, template) in [
            ("mqtt.client_id", Some(&mqtt.client_id)),
            ("mqtt.user", mqtt.user.as_ref()),
            ("mqtt.password", mqtt.password.as_ref()),
        ] {
            let filled = self.fill(template.map_or("", |text| text), last);
            if Text::new(&filled).is_err() {
                return unfit(key, &filled);
            }
        }
        let topics = 0..self.streams.topics.min(1);
        for name in topics.map(|topic| self.names.name(topic)) {
            if ringcast_codec::mqtt::TopicName::new(&name).is_err() {
                return unfit("topics.name", &name);
            }
        }
        for filter in self.filters(0) {
            if TopicFilter::new(&filter).is_err() {
                return unfit("subscribers.share", &filter);
            }
        }
        Ok(())
    }

    pub(crate) fn role(&self, client: u32) -> Role {
        let scenario = &self.scenario;
        let mut number = client;
        let kinds: [(u32, RoleOf); 4] = [
            (scenario.subscribers.count, Role::Subscriber),
            (scenario.publishers.count, Role::Publisher),
            (scenario.idle.count, Role::Idle),
            (
                scenario.churn.as_ref().map_or(0, |churn| churn.count),
                Role::Churner,
            ),
        ];
        for (count, role) in kinds {
            if number < count {
                return role(number);
            }
            number -= count;
        }
        for (persona, of) in scenario.personas.iter().enumerate() {
            if number < of.count {
                return Role::Persona(persona, number);
            }
            number -= of.count;
        }
        panic!("there is no client {client}");
    }

    /// The number of this publisher among all clients.
    pub(crate) fn client_of_publisher(&self, publisher: u32) -> u32 {
        self.scenario.subscribers.count + publisher
    }

    pub(crate) fn behaviour(&self, role: Role) -> Option<&Behaviour> {
        match role {
            Role::Persona(persona, _) => Some(&self.scenario.personas[persona].behaviour),
            _ => None,
        }
    }

    /// What this client is subscribed to, if it is to anything.
    pub(crate) fn wanted(&self, client: u32) -> Option<Wanted> {
        match self.role(client) {
            Role::Publisher(_) | Role::Idle(_) => return None,
            role => {
                let behaviour = self.behaviour(role);
                if let Some(Behaviour::HalfOpen | Behaviour::Garbage) = behaviour {
                    return None;
                }
            }
        }
        Some(self.wanted_by_subscriber(client))
    }

    /// The same of a client that is known to subscribe.
    #[inline]
    pub(crate) fn wanted_by_subscriber(&self, client: u32) -> Wanted {
        let of = self.streams.topics;
        let subscribers = &self.scenario.subscribers;
        if self.wants_all() {
            return Wanted {
                first: 0,
                count: of,
                of,
            };
        }
        let first = match &self.firsts {
            Some(weighted) => weighted.choose(&mut Chance::new(u64::from(client))),
            None => (u64::from(client) * u64::from(subscribers.topics) % u64::from(of)) as u32,
        };
        Wanted {
            first,
            count: subscribers.topics,
            of,
        }
    }

    fn wants_all(&self) -> bool {
        self.scenario.subscribers.topics == 0 || self.recording.is_some()
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.scenario.subscribers.share.is_some()
    }

    fn filters(&self, client: u32) -> Vec<String> {
        let Some(wanted) = self.wanted(client) else {
            return Vec::new();
        };
        let filters: Vec<_> = match self.names.filter() {
            Some(filter) if self.wants_all() => vec![filter],
            _ => wanted
                .topics()
                .map(|topic| self.names.name(topic))
                .collect(),
        };
        match &self.scenario.subscribers.share {
            Some(group) => filters
                .iter()
                .map(|filter| format!("$share/{group}/{filter}"))
                .collect(),
            None => filters,
        }
    }

    /// From where to where a client connects.
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The identifier of a client.
    pub(crate) fn client_id(&self, client: u32) -> String {
        self.fill(&self.scenario.mqtt.client_id, client)
    }

    /// Fills a template in.
    fn fill(&self, template: &str, client: u32) -> String {
        let role = match self.role(client) {
            Role::Subscriber(_) => "sub",
            Role::Publisher(_) => "pub",
            Role::Idle(_) => "idle",
            Role::Churner(_) => "churn",
            Role::Persona(..) => "persona",
        };
        template
            .replace("{run}", &self.run_name())
            .replace("{role}", role)
            .replace("{client}", &client.to_string())
    }

    /// The run's name.
    pub(crate) fn run_name(&self) -> String {
        format!("{:08x}", self.run)
    }

    /// Appends the CONNECT of a client.
    pub(crate) fn write_connect(&self, client: u32, out: &mut Vec<u8>) {
        let mqtt = &self.scenario.mqtt;
        let fill =
            |template: &Option<String>| template.as_ref().map(|text| self.fill(text, client));
        let (id, user, password) = (
            self.client_id(client),
            fill(&mqtt.user),
            fill(&mqtt.password),
        );
        let text = |text| Text::new(text).expect("the plan was checked");
        let mut properties = PropertyBlock::new();
        if !mqtt.session_expiry.is_zero() {
            let seconds = mqtt.session_expiry.seconds() as u32;
            properties.push(Property::SessionExpiryInterval(seconds));
        }
        let connect = Connect {
            version: self.version,
            clean_start: mqtt.clean,
            keep_alive: mqtt.keep_alive.seconds() as u16,
            client_id: text(&id),
            will: None,
            user_name: user.as_deref().map(text),
            password: password.as_deref().map(|password| {
                ringcast_codec::mqtt::Binary::new(password.as_bytes())
                    .expect("the plan was checked")
            }),
            properties: properties.properties(),
        };
        let begins = out.len();
        out.resize(begins + connect.encoded_len().expect("it is small"), 0);
        connect.encode(&mut out[begins..]).expect("it is small");
    }

    /// Appends the SUBSCRIBE of a client, if it subscribes.
    pub(crate) fn write_subscribe(&self, client: u32, out: &mut Vec<u8>) {
        let filters = self.filters(client);
        let mut block = SubscriptionBlock::new();
        for filter in &filters {
            let filter = TopicFilter::new(filter).expect("the plan was checked");
            block.push(
                filter,
                SubscriptionOptions {
                    qos: QoS::from_bits(self.scenario.subscribers.qos)
                        .expect("the plan was checked"),
                    no_local: false,
                    retain_as_published: false,
                    retain_handling: RetainHandling::DoNotSend,
                },
            );
        }
        if !filters.is_empty() {
            self.write(
                out,
                &Packet::Subscribe(Subscribe {
                    // A client makes one, before it publishes anything.
                    packet_id: PacketId::new(1).expect("it is above 0"),
                    properties: Properties::EMPTY,
                    subscriptions: block.subscriptions(),
                }),
            );
        }
    }

    /// Appends any packet.
    pub(crate) fn write(&self, out: &mut Vec<u8>, packet: &Packet<'_>) {
        write(self.version, out, packet);
    }
}

/// Appends a packet of this version.
pub(crate) fn write(version: Version, out: &mut Vec<u8>, packet: &Packet<'_>) {
    let begins = out.len();
    let bytes = packet
        .encoded_len(version)
        .expect("a plan has no packets that are too large");
    out.resize(begins + bytes, 0);
    packet
        .encode(version, &mut out[begins..])
        .expect("its length was asked for");
}

impl fmt::Display for PlanError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contradiction(error) => error.fmt(formatter),
            Self::Address(error) => error.fmt(formatter),
            Self::Recording(error) => error.fmt(formatter),
            Self::Unfit(key, text) => write!(
                formatter,
                "{key}: MQTT can't carry {text:?}: it is too long, or has a character in it that may not be there"
            ),
        }
    }
}

impl std::error::Error for PlanError {}
