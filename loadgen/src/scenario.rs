//! What is to be done: a scenario, as a file in TOML or a preset says it.
//!
//! All that a scenario leaves out has a value that serves; an unknown key, a value that
//! can't be, or two that contradict each other end the start with a sentence.

mod check;
pub(crate) mod preset;
mod shape;

pub use check::Contradiction;
pub use shape::{Shape, ShapeError};

use crate::quantity::{Scale, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that a run is made by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What it is called in reports.
    pub name: String,
    /// The server, and from where to connect to it.
    pub target: Target,
    /// How clients speak MQTT.
    pub mqtt: Mqtt,
    /// How fast clients connect.
    pub connect: Connect,
    /// What is published in and subscribed to.
    pub topics: Topics,
    /// Who gets messages.
    pub subscribers: Subscribers,
    /// Who sends them.
    pub publishers: Publishers,
    /// Who is only there.
    pub idle: Idle,
    /// How much is sent, and when.
    pub load: Load,
    /// Clients who come and go meanwhile.
    pub churn: Option<Churn>,
    /// All subscribers go at once and come again.
    pub storm: Option<Storm>,
    /// Clients who behave badly, besides all others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub personas: Vec<Persona>,
    /// Rates are tried until the highest is found that keeps a limit.
    pub search: Option<Search>,
    /// What is allowed.
    pub checks: Checks,
    /// Threads and how they wait.
    pub generator: Generator,
    /// Settings of the host during the run, by file below `/proc/sys` or `/sys`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub host: BTreeMap<String, String>,
}

/// The server, and from where to connect to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Target {
    /// Addresses, each with a port or a range of ports; clients take them in turn.
    pub addresses: Vec<String>,
    /// Addresses of this host to connect from, or ranges of them. None: the kernel
    /// chooses, and towards loopback as many are taken as there must be.
    pub sources: Vec<String>,
    /// TLS, if the server wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// How to speak TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Certificates of those who may have signed the server's, in PEM. None: whoever it
    /// is, is believed.
    pub authority: Option<PathBuf>,
    /// The clients' own certificate chain, in PEM.
    pub certificate: Option<PathBuf>,
    /// The key that belongs to it, in PEM.
    pub key: Option<PathBuf>,
    /// The name that the server's certificate is for; else its address.
    pub server_name: Option<String>,
}

/// A version of MQTT that clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[allow(missing_docs, reason = "they say it themselves")]
pub enum Protocol {
    #[serde(rename = "3.1.1")]
    #[value(name = "3.1.1")]
    Mqtt311,
    #[serde(rename = "5")]
    #[value(name = "5")]
    Mqtt5,
}

/// How clients speak MQTT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    /// Which version.
    pub version: Protocol,
    /// Within which time each client always sends something; `0s` switches it off.
    pub keep_alive: Span,
    /// The client identifier: `{run}`, `{role}` and `{client}` stand for the run's name, what the
    /// client is, and its number.
    pub client_id: String,
    /// The user name, with the same in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password, with the same in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether sessions begin anew.
    pub clean: bool,
    /// How long sessions outlive their connection; MQTT 5 only.
    #[serde(skip_serializing_if = "Span::is_zero")]
    pub session_expiry: Span,
}

/// How fast clients connect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connect {
    /// Connections per second, of all clients together; 0: as fast as it goes.
    pub rate: f64,
    /// During which the rate rises from nothing.
    pub ramp: Span,
    /// How many of one thread are under way at a time, at most.
    pub window: u32,
    /// How long one may take until it is accepted and subscribed.
    pub timeout: Span,
    /// CONNECT and SUBSCRIBE go in one send, without waiting for CONNACK, which section 3.1.4
    /// of MQTT allows.
    pub pipelined: bool,
}

/// What is published in and subscribed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// How many.
    pub count: u32,
    /// Their names: `{topic}` stands for the number.
    pub name: String,
    /// How unevenly messages are spread over them: Zipf's exponent. 0: all in turn.
    pub zipf: f64,
}

/// Who gets messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Subscribers {
    /// How many.
    pub count: u32,
    /// How many topics each wants; 0: all, by one filter.
    pub topics: u32,
    /// How unevenly topics are wanted: Zipf's exponent. 0: all in turn.
    pub zipf: f64,
    /// The quality of service that they ask for.
    pub qos: u8,
    /// The group in which they share a subscription: each message goes to one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// How long each waits before it acknowledges a message at QoS 1 and 2.
    pub acknowledge_after: Span,
}

/// Who sends messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Publishers {
    /// How many; as many as topics, or a part or a multiple of that.
    pub count: u32,
    /// The quality of service of what they send.
    pub qos: u8,
    /// Whether messages are to be retained.
    pub retain: bool,
    /// Messages that each has unacknowledged at a time, at most.
    pub unacknowledged_max: u16,
}

/// Who is only there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Idle {
    /// How many.
    pub count: u32,
}

/// How much is sent, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Load {
    /// Messages per second, of all publishers together.
    pub rate: f64,
    /// How the rate goes: `constant`, `ramp:A:B`, `steps:A,B,…` or `burst:RATE@AT/FOR`.
    pub shape: Shape,
    /// How long messages are sent.
    pub duration: Span,
    /// From the beginning of that, what is not counted in latencies.
    pub warm_up: Span,
    /// How long to wait for what has not come when the last was sent: since something
    /// came.
    pub drain: Span,
    /// How long all stay connected behind that.
    pub hold: Span,
    /// Bytes of each message.
    pub payload: u32,
    /// Publishes that are sent so much later than intended count as late.
    pub late_after: Span,
    /// Files of recorded market data: their times, topics and sizes replace rate, shape,
    /// topics and payload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recording: Vec<PathBuf>,
    /// How many times faster than it was recorded.
    pub speed: f64,
}

/// Clients who come and go meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Churn {
    /// How many.
    pub count: u32,
    /// How many of them per second leave and come again.
    pub rate: f64,
}

/// All subscribers go at once and come again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storm {
    /// When, from the first message on.
    pub at: Span,
    /// The part of them.
    pub part: f64,
}

/// Clients who behave badly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Persona {
    /// How many.
    pub count: u32,
    /// In which way.
    pub behaviour: Behaviour,
}

/// In which way a client behaves badly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Behaviour {
    /// Reads so many bytes a second and no more.
    Slow {
        /// How many.
        bytes_per_second: u32,
    },
    /// Subscribes, and reads nothing any more.
    Stalled,
    /// Sends half of its CONNECT, and nothing else.
    HalfOpen,
    /// Sends what is no MQTT, and comes again when it is thrown out.
    Garbage,
    /// Is behind a weak network.
    Weak {
        /// What comes is read so much later.
        delay: Span,
        /// And up to so much later still.
        #[serde(default)]
        jitter: Span,
        /// Every so often nothing gets through …
        #[serde(default)]
        stall_every: Span,
        /// … for so long.
        #[serde(default)]
        stall_for: Span,
        /// Every so often, on average, the connection is reset, and made anew.
        #[serde(default)]
        reset_every: Span,
    },
}

/// Rates are tried until the highest is found that keeps a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// The first rate to try.
    pub from: f64,
    /// No higher one is tried.
    pub to: f64,
    /// The percentile that is limited.
    pub percentile: f64,
    /// What it may be.
    pub below: Span,
    /// How close, as a part of the rate, the answer has to be.
    pub within: f64,
}

/// What is allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// Whether all but the newest message of a topic may be left out.
    pub conflation: bool,
    /// How old a message may be when it comes; `0s`: as old as it likes.
    pub age_max: Span,
    /// Whether the run fails if the generator may not have kept up.
    pub strict: bool,
    /// The run fails if this percentile …
    pub percentile: f64,
    /// … of the response time is above this; `0s`: it may be.
    pub response_max: Span,
}

/// How threads wait for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// They look again and again: quickest, and each takes a whole processor.
    Spin,
    /// They sleep until something comes or is due.
    Park,
}

/// Threads and how they wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Generator {
    /// Processes that share the run.
    pub processes: u32,
    /// Threads of each; 0: one for each processor that it may use.
    pub threads: u32,
    /// Which processors they are pinned to, in turn; none: those that it may use.
    pub processors: Vec<u32>,
    /// How they wait.
    pub waiting: Waiting,
    /// Whether the floor is measured before the run.
    pub floor: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "unnamed".to_owned(),
            target: Target::default(),
            mqtt: Mqtt::default(),
            connect: Connect::default(),
            topics: Topics::default(),
            subscribers: Subscribers::default(),
            publishers: Publishers::default(),
            idle: Idle::default(),
            load: Load::default(),
            churn: None,
            storm: None,
            personas: Vec::new(),
            search: None,
            checks: Checks::default(),
            generator: Generator::default(),
            host: BTreeMap::new(),
        }
    }
}

impl Default for Target {
    fn default() -> Self {
        Self {
            addresses: vec!["127.0.0.1:1883".to_owned()],
            sources: Vec::new(),
            tls: None,
        }
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            version: Protocol::Mqtt5,
            keep_alive: Span::from_secs(60),
            client_id: "{run}-{role}-{client}".to_owned(),
            user: None,
            password: None,
            clean: true,
            session_expiry: Span::default(),
        }
    }
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            rate: 0.0,
            ramp: Span::default(),
            window: 512,
            timeout: Span::from_secs(20),
            pipelined: false,
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            count: 1,
            name: "load/{topic}".to_owned(),
            zipf: 0.0,
        }
    }
}

impl Default for Subscribers {
    fn default() -> Self {
        Self {
            count: 1,
            topics: 0,
            zipf: 0.0,
            qos: 0,
            share: None,
            acknowledge_after: Span::default(),
        }
    }
}

impl Default for Publishers {
    fn default() -> Self {
        Self {
            count: 1,
            qos: 0,
            retain: false,
            unacknowledged_max: 1_000,
        }
    }
}

impl Default for Load {
    fn default() -> Self {
        Self {
            rate: 1_000.0,
            shape: Shape::Constant,
            duration: Span::from_secs(10),
            warm_up: Span::default(),
            drain: Span::from_secs(5),
            hold: Span::default(),
            payload: 128,
            late_after: Span::from_millis(1),
            recording: Vec::new(),
            speed: 1.0,
        }
    }
}

impl Default for Search {
    fn default() -> Self {
        Self {
            from: 1_000.0,
            to: 10_000_000.0,
            percentile: 99.0,
            below: Span::from_millis(10),
            within: 0.1,
        }
    }
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            conflation: false,
            age_max: Span::default(),
            strict: false,
            percentile: 99.0,
            response_max: Span::default(),
        }
    }
}

impl Default for Generator {
    fn default() -> Self {
        Self {
            processes: 1,
            threads: 1,
            processors: Vec::new(),
            waiting: Waiting::Park,
            floor: true,
        }
    }
}

impl Scenario {
    /// From a file's text.
    ///
    /// # Errors
    /// A sentence that says where what is wrong.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// As a file that runs it again.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a scenario has a form in TOML")
    }

    /// A part of it: fewer clients and topics, and a lower rate, so that each client
    /// does what it did.
    pub fn scaled(mut self, scale: Scale) -> Self {
        let alone = self.publishers.count == self.topics.count;
        for count in [
            &mut self.subscribers.count,
            &mut self.publishers.count,
            &mut self.topics.count,
            &mut self.idle.count,
        ] {
            *count = scale.of(*count);
        }
        if !alone {
            self.publishers.count = nearest_part(self.publishers.count, self.topics.count);
        }
        self.subscribers.topics = self.subscribers.topics.min(self.topics.count);
        if let Some(churn) = &mut self.churn {
            churn.count = scale.of(churn.count);
            churn.rate = scale.of_rate(churn.rate);
        }
        for persona in &mut self.personas {
            persona.count = scale.of(persona.count);
        }
        self.load.rate = self.publishers_rate(scale);
        self.load.shape = self.load.shape.scaled(scale);
        self.connect.rate = scale.of_rate(self.connect.rate);
        self
    }

    /// One message a second stays one: it is the tick that goes to all.
    fn publishers_rate(&self, scale: Scale) -> f64 {
        if self.load.rate <= 1.0 {
            self.load.rate
        } else {
            scale.of_rate(self.load.rate)
        }
    }

    /// Clients of all kinds.
    pub fn clients(&self) -> u32 {
        let churners = self.churn.as_ref().map_or(0, |churn| churn.count);
        let personas: u32 = self.personas.iter().map(|persona| persona.count).sum();
        self.subscribers.count + self.publishers.count + self.idle.count + churners + personas
    }
}

/// The count at or below this one that is a part or a multiple of the other.
fn nearest_part(count: u32, of: u32) -> u32 {
    let fits = |one: &u32| one.is_multiple_of(of) || of.is_multiple_of(*one);
    (1..=count).rev().find(fits).unwrap_or(count)
}
