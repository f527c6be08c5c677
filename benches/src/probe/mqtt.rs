//! The probe's MQTT: 3.1.1, QoS 0 or 1, any number of filters.

use super::dialect::{Dialect, Greeting};
use super::form::Form;
use super::traffic::{Wanted, topic_name};
use crate::error::Error;
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Connect, Decoder, Delivery, FilterBlock, PACKET_BYTES_MAX, Packet, PacketId, Properties,
    Publish, QoS, Sender, Subscribe, SubscriptionBlock, SubscriptionOptions, Text, TopicFilter,
    TopicName, Unsubscribe, Version,
};
use std::io::{Read, Write};
use std::net::TcpStream;

/// What stands for all topics of a run.
const WILDCARD: &str = "bench/#";

const VERSION: Version = Version::V311;

/// Reads what servers say.
pub(crate) const SERVER: Decoder = Decoder {
    version: VERSION,
    sender: Sender::Server,
    packet_bytes_max: PACKET_BYTES_MAX,
};

/// A CONNACK that agrees, and has no session.
pub(crate) const WELCOME: [u8; 4] = [0x20, 2, 0, 0];

/// The identifier of all our requests: one is answered before the next is made.
const PACKET_ID: u8 = 1;

/// How a PUBLISH at QoS 0 looks.
pub(super) fn form(topics: u32, payload_bytes: usize) -> Form {
    form_of(Delivery::AtMostOnce, topics, payload_bytes)
}

/// How one at QoS 1 looks, which is not sent again.
pub(super) fn acknowledged_form(topics: u32, payload_bytes: usize) -> Form {
    let packet_id = packet_id();
    let dup = false;
    let delivery = Delivery::AtLeastOnce { packet_id, dup };
    form_of(delivery, topics, payload_bytes).with_packet_id()
}

fn form_of(delivery: Delivery, topics: u32, payload_bytes: usize) -> Form {
    let payload = vec![0; payload_bytes];
    let head = |topic| {
        let name = topic_name(topic);
        let publish = Packet::Publish(Publish {
            delivery,
            retain: false,
            topic: Some(TopicName::new(&name).expect("has no wildcard")),
            properties: Properties::EMPTY,
            payload: &payload,
        });
        let mut packet = encoded(&publish);
        packet.truncate(packet.len() - payload_bytes);
        packet
    };
    Form::new(topics, head, payload_bytes, &[])
}

/// A CONNECT that asks for nothing special.
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

/// A SUBSCRIBE for all that is wanted.
pub(crate) fn subscribe_packet(wanted: Wanted<'_>, qos: QoS) -> Vec<u8> {
    let mut block = SubscriptionBlock::new();
    for filter in filters(wanted) {
        let filter = TopicFilter::new(&filter).expect("is a filter");
        block.push(filter, SubscriptionOptions::at_most(qos));
    }
    encoded(&Packet::Subscribe(Subscribe {
        packet_id: packet_id(),
        properties: Properties::EMPTY,
        subscriptions: block.subscriptions(),
    }))
}

/// An UNSUBSCRIBE of the same.
pub(crate) fn unsubscribe_packet(wanted: Wanted<'_>) -> Vec<u8> {
    let mut block = FilterBlock::new();
    for filter in filters(wanted) {
        block.push(TopicFilter::new(&filter).expect("is a filter"));
    }
    encoded(&Packet::Unsubscribe(Unsubscribe {
        packet_id: packet_id(),
        properties: Properties::EMPTY,
        filters: block.filters(),
    }))
}

/// A DISCONNECT.
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// CONNECT and SUBSCRIBE at once, and the answers to both.
pub(super) fn greeting(client_id: &str, wanted: Wanted<'_>) -> Greeting {
    let mut said = connect_packet(client_id);
    said.extend(subscribe_packet(wanted, QoS::AtMostOnce));
    let mut answer = WELCOME.to_vec();
    let filters = filters(wanted).len();
    let rest = u8::try_from(2 + filters).expect("filters are few");
    assert!(rest < 0x80, "its length takes one byte");
    answer.extend([0x90, rest, 0, PACKET_ID]);
    // Granted QoS 0, each.
    answer.resize(answer.len() + filters, 0);
    Greeting { said, answer }
}

/// Whether a packet agrees to the request that it answers.
pub(crate) fn agrees(answer: &Packet<'_>) -> bool {
    match answer {
        Packet::Connack(connack) => !connack.reason.is_error(),
        Packet::Suback(suback) => {
            suback.packet_id == packet_id()
                && suback.reasons.iter().all(|reason| !reason.is_error())
        }
        Packet::Unsuback(unsuback) => unsuback.packet_id == packet_id(),
        _ => false,
    }
}

pub(super) fn connect(stream: &mut TcpStream, client_id: &str) -> Result<(), Error> {
    ask(
        stream,
        &connect_packet(client_id),
        |answer| matches!(answer, Packet::Connack(_) if agrees(answer)),
    )
}

/// Asks for deliveries at a QoS; less is no agreement.
pub(super) fn subscribe(stream: &mut TcpStream, wanted: Wanted<'_>, qos: QoS) -> Result<(), Error> {
    let filters = filters(wanted).len();
    ask(stream, &subscribe_packet(wanted, qos), |answer| {
        let Packet::Suback(suback) = answer else {
            return false;
        };
        // A granted QoS is its own reason code.
        let mut reasons = suback.reasons.iter();
        agrees(answer)
            && reasons.len() == filters
            && reasons.all(|reason| reason as u8 == qos as u8)
    })
}

/// For people: which packet bytes begin with.
pub(super) fn describe(bytes: &[u8]) -> String {
    match SERVER.decode(bytes) {
        Ok(Progress::Done(packet, _)) => format!("{:?}: ", packet.kind()),
        Ok(Progress::Partial { .. }) => String::new(),
        Err(fault) => format!("no MQTT, {fault}: "),
    }
}

fn packet_id() -> PacketId {
    PacketId::new(PACKET_ID.into()).expect("is not zero")
}

fn filters(wanted: Wanted<'_>) -> Vec<String> {
    match wanted {
        Wanted::All => vec![WILDCARD.to_owned()],
        Wanted::Topics(topics) => topics.iter().map(|topic| topic_name(*topic)).collect(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Decoder = Decoder {
        sender: Sender::Client,
        ..SERVER
    };

    #[test]
    fn several_filters_are_asked_for_and_all_must_be_granted() {
        let bytes = subscribe_packet(Wanted::Topics(&[3, 41]), QoS::AtMostOnce);
        let Ok(Progress::Done(Packet::Subscribe(subscribe), length)) = CLIENT.decode(&bytes) else {
            panic!("is a SUBSCRIBE");
        };
        assert_eq!(length, bytes.len());
        let filters: Vec<_> = subscribe
            .subscriptions
            .iter()
            .map(|(filter, _)| filter.as_str().to_owned())
            .collect();
        assert_eq!(filters, ["bench/0003", "bench/0041"]);

        let greeting = greeting("somebody", Wanted::Topics(&[3, 41]));
        assert!(greeting.said.ends_with(&bytes));
        assert_eq!(greeting.answer, [0x20, 2, 0, 0, 0x90, 4, 0, 1, 0, 0]);
        let answered = |bytes: &[u8]| match SERVER.decode(bytes) {
            Ok(Progress::Done(packet, _)) => agrees(&packet),
            other => panic!("{other:?}"),
        };
        assert!(answered(&greeting.answer[4..]));
        assert!(!answered(&[0x90, 4, 0, 1, 0, 0x80]), "the second refused");
        assert!(!answered(&[0x90, 4, 0, 2, 0, 0]), "of another request");
        assert!(!answered(&[0x20, 2, 0, 5]), "not authorised");
        assert!(answered(&[0xB0, 2, 0, 1]));
    }

    #[test]
    fn a_publish_has_the_name_of_its_topic() {
        let form = form(1_000, 128);
        let mut bytes = Vec::new();
        let stamp = super::super::form::Stamp {
            sequence: 1,
            intended_nanos: 2,
            topic: 345,
            number: 0,
        };
        form.write(stamp, &mut bytes);
        let Ok(Progress::Done(Packet::Publish(publish), length)) = CLIENT.decode(&bytes) else {
            panic!("is a PUBLISH");
        };
        assert_eq!(length, bytes.len());
        let topic = publish.topic.expect("it has one");
        assert_eq!(topic.as_str(), "bench/0345");
        assert_eq!(publish.payload.len(), 128);
        let unsubscribe = unsubscribe_packet(Wanted::All);
        assert!(unsubscribe.ends_with(WILDCARD.as_bytes()));
        assert!(CLIENT.decode(&unsubscribe).is_ok());
    }
}
