//! How the probe speaks to a server: what it says before the first message, and how
//! a message is framed. Nothing here is on the path that is measured.

use super::form::Form;
use crate::error::Error;
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Connect, Decoder, Delivery, PACKET_BYTES_MAX, Packet, PacketId, Properties, Publish, QoS,
    Sender, Subscribe, SubscriptionBlock, SubscriptionOptions, Text, TopicFilter, TopicName,
    Version,
};
use std::io::{Read, Write};
use std::net::TcpStream;

/// The topic that all is published to.
const TOPIC: &str = "limits/probe";

const VERSION: Version = Version::V311;

const SERVER: Decoder = Decoder {
    version: VERSION,
    sender: Sender::Server,
    packet_bytes_max: PACKET_BYTES_MAX,
};

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Payloads, one behind the other, and nothing else: who writes is the publisher.
    Bare,
    /// MQTT 3.1.1 at QoS 0, with one topic, which is also the filter.
    Mqtt,
}

impl Dialect {
    /// How messages with so many bytes of payload look.
    pub(crate) fn form(self, payload_bytes: usize) -> Form {
        match self {
            Self::Bare => Form::bare(payload_bytes),
            Self::Mqtt => {
                let payload = vec![0; payload_bytes];
                let publish = Packet::Publish(Publish {
                    delivery: Delivery::AtMostOnce,
                    retain: false,
                    topic: Some(TopicName::new(TOPIC).expect("has no wildcard")),
                    properties: Properties::EMPTY,
                    payload: &payload,
                });
                let packet = encoded(&publish);
                Form::with_head(&packet[..packet.len() - payload_bytes], payload_bytes)
            }
        }
    }

    /// Makes a connection the publisher's.
    pub(crate) fn introduce_publisher(self, stream: &mut TcpStream) -> Result<(), Error> {
        match self {
            Self::Bare => Ok(()),
            Self::Mqtt => connect(stream, "limits-publisher"),
        }
    }

    /// Makes a connection that of a subscriber, counted from 0.
    pub(crate) fn introduce_subscriber(
        self,
        stream: &mut TcpStream,
        subscriber: usize,
    ) -> Result<(), Error> {
        match self {
            Self::Bare => Ok(()),
            Self::Mqtt => {
                connect(stream, &format!("limits-{subscriber}"))?;
                subscribe(stream)
            }
        }
    }

    /// For people: what these bytes are, which are no message of ours.
    pub(crate) fn describe(self, bytes: &[u8]) -> String {
        let packet = match (self, SERVER.decode(bytes)) {
            (Self::Mqtt, Ok(Progress::Done(packet, _))) => format!("{:?}: ", packet.kind()),
            (Self::Mqtt, Err(fault)) => format!("no MQTT, {fault}: "),
            _ => String::new(),
        };
        let shown = &bytes[..bytes.len().min(32)];
        format!("{packet}\"{}\"", shown.escape_ascii())
    }
}

/// A CONNECT of MQTT 3.1.1 that asks for nothing special.
pub(crate) fn connect_packet(client_id: &str) -> Vec<u8> {
    let connect = Connect {
        version: VERSION,
        clean_start: true,
        keep_alive: 0,
        client_id: Text::new(client_id).expect("is short and plain"),
        will: None,
        user_name: None,
        password: None,
        properties: Properties::EMPTY,
    };
    let mut bytes = vec![0; connect.encoded_len().expect("is small")];
    connect.encode(&mut bytes).expect("is small");
    bytes
}

fn connect(stream: &mut TcpStream, client_id: &str) -> Result<(), Error> {
    ask(
        stream,
        &connect_packet(client_id),
        |answer| matches!(answer, Packet::Connack(connack) if !connack.reason.is_error()),
    )
}

fn subscribe(stream: &mut TcpStream) -> Result<(), Error> {
    let filter = TopicFilter::new(TOPIC).expect("is a filter");
    let mut block = SubscriptionBlock::new();
    block.push(filter, SubscriptionOptions::at_most(QoS::AtMostOnce));
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(1).expect("is not zero"),
        properties: Properties::EMPTY,
        subscriptions: block.subscriptions(),
    });
    ask(
        stream,
        &encoded(&subscribe),
        |answer| matches!(answer, Packet::Suback(suback) if suback.reasons.iter().all(|reason| !reason.is_error())),
    )
}

/// Sends a packet and waits for the one that answers it.
fn ask(
    stream: &mut TcpStream,
    request: &[u8],
    agrees: impl Fn(&Packet<'_>) -> bool,
) -> Result<(), Error> {
    let handshake = Error::system::<std::io::Error>;
    stream
        .write_all(request)
        .map_err(handshake("writing a handshake"))?;
    let mut answer = Vec::new();
    loop {
        let outcome = SERVER.decode(&answer);
        let refused = || Error::Refused {
            answer: Dialect::Mqtt.describe(&answer),
        };
        match outcome {
            Ok(Progress::Done(packet, _)) if agrees(&packet) => return Ok(()),
            Ok(Progress::Done(..)) | Err(_) => return Err(refused()),
            // Never more than the answer takes, so that what follows it stays.
            Ok(Progress::Partial { needed }) => {
                let at = answer.len();
                answer.resize(needed, 0);
                stream
                    .read_exact(&mut answer[at..])
                    .map_err(handshake("reading the answer to a handshake"))?;
            }
        }
    }
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len(VERSION).expect("is small")];
    packet.encode(VERSION, &mut bytes).expect("is small");
    bytes
}
