//! The bodies for MQTT.

mod canonical;
pub mod generate;
mod publish_frame;
mod stream;
mod topic;

pub use publish_frame::publish_frame;
pub use topic::topic;

use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Answer, Connack, Connect, ConnectFault, Decoder, Disconnect, Fault, Kind, PACKET_BYTES_MAX,
    Packet, Properties, Sender, Version,
};
use stream::Protocol;

/// The first packet of a connection, and whatever stands behind it.
pub fn connect(input: &[u8]) {
    stream::check(&Connects, input);
}

/// What a client sends after its CONNECT. The first byte chooses the version
/// and, by its highest bit, a limit that larger packets pass.
pub fn from_client(input: &[u8]) {
    after_connect(input, Sender::Client);
}

/// What a server sends; the first byte as in [`from_client`].
pub fn from_server(input: &[u8]) {
    after_connect(input, Sender::Server);
}

/// A limit that short inputs can pass.
const SMALL_PACKET_BYTES_MAX: usize = 48;

fn after_connect(input: &[u8], sender: Sender) {
    let Some((&first, input)) = input.split_first() else {
        return;
    };
    let decoder = Decoder {
        version: generate::VERSIONS[usize::from(first) % generate::VERSIONS.len()],
        sender,
        packet_bytes_max: match first & 0x80 {
            0 => PACKET_BYTES_MAX,
            _ => SMALL_PACKET_BYTES_MAX,
        },
    };
    stream::check(&Packets(decoder), input);
}

/// CONNECT after CONNECT, which a connection has only one of.
struct Connects;

impl Protocol for Connects {
    type Item<'a> = Connect<'a>;
    type Fault = ConnectFault;

    fn decode<'a>(&self, input: &'a [u8]) -> Result<Progress<Connect<'a>>, ConnectFault> {
        Connect::decode(input, PACKET_BYTES_MAX)
    }

    fn encode(&self, connect: &Connect<'_>) -> Vec<u8> {
        generate::encoded_connect(connect)
    }

    fn canonical(&self, input: &[u8], connect: &Connect<'_>) -> Vec<u8> {
        canonical::connect(input, connect)
    }

    fn is_same(one: &Connect<'_>, other: &Connect<'_>) -> bool {
        one == other
    }

    fn check(&self, connect: &Connect<'_>) {
        check_properties(connect.properties);
        if let Some(will) = connect.will {
            check_properties(will.properties);
        }
    }

    /// A fault has a name, and an answer that the version's packets can carry.
    fn check_fault(&self, fault: &ConnectFault) {
        assert!(!fault.fault.to_string().is_empty());
        match fault.answer() {
            Answer::Close => assert_ne!(fault.version, Some(Version::V5)),
            Answer::Connack(version, reason) => {
                assert!(reason.is_error());
                assert!(version != Version::V5 || reason.may_stand_in(Kind::Connack));
                let refusal = Connack {
                    session_present: false,
                    reason,
                    properties: Properties::EMPTY,
                };
                check_sent(&Packet::Connack(refusal), version);
            }
            Answer::Disconnect(reason) => {
                panic!("{fault:?}: DISCONNECT before CONNACK: {reason:?}")
            }
        }
    }
}

/// All that one end sends once it is connected.
struct Packets(Decoder);

impl Protocol for Packets {
    type Item<'a> = Packet<'a>;
    type Fault = Fault;

    fn decode<'a>(&self, input: &'a [u8]) -> Result<Progress<Packet<'a>>, Fault> {
        let decoded = self.0.decode(input);
        match decoded {
            Ok(Progress::Done(_, bytes) | Progress::Partial { needed: bytes }) => {
                assert!(bytes <= self.0.packet_bytes_max);
            }
            Err(_) => {}
        }
        decoded
    }

    fn encode(&self, packet: &Packet<'_>) -> Vec<u8> {
        generate::encoded(packet, self.0.version)
    }

    fn canonical(&self, input: &[u8], packet: &Packet<'_>) -> Vec<u8> {
        canonical::packet(input, packet, self.0.version)
    }

    fn is_same(one: &Packet<'_>, other: &Packet<'_>) -> bool {
        one == other
    }

    fn check(&self, packet: &Packet<'_>) {
        check_iterators(packet);
    }

    /// As [`Connects::check_fault`].
    fn check_fault(&self, fault: &Fault) {
        assert!(!fault.to_string().is_empty());
        assert!(fault.reason().is_error());
        match (self.0.version, fault.answer(self.0.version)) {
            (Version::V31 | Version::V311, Answer::Close) => {}
            (Version::V5, Answer::Disconnect(reason)) => {
                assert_eq!(reason, fault.reason());
                assert!(reason.may_stand_in(Kind::Disconnect), "{fault}: {reason:?}");
                let farewell = Disconnect {
                    reason,
                    properties: Properties::EMPTY,
                };
                check_sent(&Packet::Disconnect(farewell), Version::V5);
            }
            (version, answer) => panic!("{version:?}: {fault}: {answer:?}"),
        }
    }
}

/// The receiver of an answer reads what was meant.
fn check_sent(answer: &Packet<'_>, version: Version) {
    let client = Decoder {
        version,
        sender: Sender::Server,
        packet_bytes_max: PACKET_BYTES_MAX,
    };
    let bytes = generate::encoded(answer, version);
    assert_eq!(
        client.decode(&bytes),
        Ok(Progress::Done(*answer, bytes.len()))
    );
}

/// What a packet lends out is all there: nothing stops an iterator early.
fn check_iterators(packet: &Packet<'_>) {
    check_properties(match packet {
        Packet::Connack(connack) => connack.properties,
        Packet::Publish(publish) => publish.properties,
        Packet::Puback(acknowledge)
        | Packet::Pubrec(acknowledge)
        | Packet::Pubrel(acknowledge)
        | Packet::Pubcomp(acknowledge) => acknowledge.properties,
        Packet::Subscribe(subscribe) => {
            assert!(subscribe.subscriptions.iter().count() > 0);
            subscribe.properties
        }
        Packet::Suback(suback) => {
            assert!(suback.reasons.iter().count() > 0);
            suback.properties
        }
        Packet::Unsubscribe(unsubscribe) => {
            assert!(unsubscribe.filters.iter().count() > 0);
            unsubscribe.properties
        }
        Packet::Unsuback(unsuback) => unsuback.properties,
        Packet::Pingreq | Packet::Pingresp => Properties::EMPTY,
        Packet::Disconnect(disconnect) => disconnect.properties,
        Packet::Auth(auth) => auth.properties,
    });
}

fn check_properties(properties: Properties<'_>) {
    let sum: usize = properties
        .iter()
        .map(|property| property.encoded_len())
        .sum();
    assert_eq!(sum, properties.as_bytes().len());
}
