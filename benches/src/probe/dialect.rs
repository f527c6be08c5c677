//! How the probe speaks to a server: what it says before the first message, and how
//! a message is framed. Nothing here is on the path that is measured.

use super::form::Form;
use super::traffic::{Interest, Wanted};
use super::{mqtt, resp};
use crate::error::Error;
use ringcast_codec::mqtt::QoS;
use std::io::{Read, Write};
use std::net::TcpStream;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// No protocol: who writes is the publisher, and all others get everything. What it
    /// writes are the packets of MQTT, so that as many bytes are moved as there.
    Bare,
    /// The same with payloads and nothing else, but each says first which topics it wants
    /// ([`routed_introduction`]).
    Routed,
    /// MQTT 3.1.1 at QoS 0.
    Mqtt,
    /// The same at QoS 1, from the publisher to all subscribers.
    MqttAcknowledged,
    /// What Redis speaks: RESP2, `PUBLISH`, `SUBSCRIBE` and `PSUBSCRIBE`.
    Resp,
}

/// What a subscriber says first, and what it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// All that it says.
    pub(crate) said: Vec<u8>,
    /// All that a server which agrees says.
    pub(crate) answer: Vec<u8>,
}

/// How messages look on their way to a server, and from it.
#[derive(Debug, Clone)]
pub(crate) struct Forms {
    pub(crate) published: Form,
    pub(crate) delivered: Form,
}

impl Dialect {
    /// The same protocol with deliveries that are acknowledged.
    ///
    /// # Panics
    /// If it has none.
    pub(crate) fn acknowledged(self) -> Self {
        match self {
            Self::Mqtt | Self::MqttAcknowledged => Self::MqttAcknowledged,
            Self::Bare | Self::Routed | Self::Resp => panic!("{self:?} acknowledges nothing"),
        }
    }

    /// How messages with so many bytes of payload look.
    pub(crate) fn forms(self, interest: Interest, payload_bytes: usize) -> Forms {
        match self {
            Self::Routed => Forms::alike(Form::bare(interest.topics(), payload_bytes)),
            Self::Bare | Self::Mqtt => Forms::alike(mqtt::form(interest.topics(), payload_bytes)),
            Self::MqttAcknowledged => {
                Forms::alike(mqtt::acknowledged_form(interest.topics(), payload_bytes))
            }
            Self::Resp => resp::forms(interest, payload_bytes),
        }
    }

    /// Makes a connection the publisher's.
    pub(crate) fn introduce_publisher(self, stream: &mut TcpStream) -> Result<(), Error> {
        match self {
            Self::Bare | Self::Resp => Ok(()),
            Self::Routed => say(stream, &routed_introduction(&[])),
            Self::Mqtt | Self::MqttAcknowledged => mqtt::connect(stream, "bench-publisher"),
        }
    }

    /// Makes a connection that of a subscriber, counted from 0.
    pub(crate) fn introduce_subscriber(
        self,
        stream: &mut TcpStream,
        subscriber: usize,
        wanted: Wanted<'_>,
    ) -> Result<(), Error> {
        match (self, wanted) {
            (Self::Bare, _) => Ok(()),
            (Self::Routed, Wanted::Topics(topics)) => say(stream, &routed_introduction(topics)),
            (Self::Routed, Wanted::All) => unreachable!("who wants all needs no routes"),
            (Self::Mqtt, wanted) => {
                mqtt::connect(stream, &client_id(subscriber))?;
                mqtt::subscribe(stream, wanted, QoS::AtMostOnce)
            }
            (Self::MqttAcknowledged, wanted) => {
                mqtt::connect(stream, &client_id(subscriber))?;
                mqtt::subscribe(stream, wanted, QoS::AtLeastOnce)
            }
            (Self::Resp, wanted) => {
                let greeting = resp::greeting(wanted);
                say(stream, &greeting.said)?;
                let mut answer = vec![0; greeting.answer.len()];
                stream
                    .read_exact(&mut answer)
                    .map_err(Error::system("reading the answer to a handshake"))?;
                if answer == greeting.answer {
                    return Ok(());
                }
                let answer = self.describe(&answer);
                Err(Error::Refused { answer })
            }
        }
    }

    /// What a subscriber says and is answered, for those who can not wait for it.
    pub(crate) fn greeting(self, subscriber: usize, wanted: Wanted<'_>) -> Greeting {
        match self {
            Self::Mqtt => mqtt::greeting(&client_id(subscriber), wanted),
            Self::Resp => resp::greeting(wanted),
            Self::MqttAcknowledged => unreachable!("nobody is only there at QoS 1"),
            Self::Bare | Self::Routed => unreachable!("the relay answers nothing"),
        }
    }

    /// For people: what these bytes are, which are no message of ours.
    pub(crate) fn describe(self, bytes: &[u8]) -> String {
        let packet = match self {
            Self::Mqtt | Self::MqttAcknowledged => mqtt::describe(bytes),
            Self::Bare | Self::Routed | Self::Resp => String::new(),
        };
        let shown = &bytes[..bytes.len().min(64)];
        format!("{packet}\"{}\"", shown.escape_ascii())
    }
}

impl Forms {
    fn alike(form: Form) -> Self {
        Self {
            published: form.clone(),
            delivered: form,
        }
    }
}

fn client_id(subscriber: usize) -> String {
    format!("bench-{subscriber}")
}

/// What a connection of the relay that knows topics says first: how many it wants, and
/// which, in little-endian numbers of 32 bits. The publisher wants none.
pub(crate) fn routed_introduction(topics: &[u32]) -> Vec<u8> {
    let count = u32::try_from(topics.len()).expect("a list is short");
    let numbers = std::iter::once(&count).chain(topics);
    numbers.flat_map(|number| number.to_le_bytes()).collect()
}

fn say(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Error> {
    stream
        .write_all(bytes)
        .map_err(Error::system("writing a handshake"))
}
