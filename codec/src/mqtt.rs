//! MQTT 3.1, 3.1.1 and 5.0: all fifteen packet types, in both directions.
//!
//! ```text
//!  bytes ──► Frame::cut ──► Frame ──► Publish::decode ──► Publish        the hot path
//!                             └─────► Decoder::read ────► Packet         everything else
//!  bytes ──► Connect::decode ──► Connect                                 the first packet
//!  Packet, Connect ──► encoded_len ──► encode ──► bytes
//!  PublishFrame ──► layout ──► encode ──► bytes that all subscribers share
//! ```
//!
//! What this is not: a session. Whether a packet may come *now* (a second
//! CONNECT, an acknowledgement nobody waits for, an alias never defined) is for
//! whoever holds the state of the connection. Here stands all that the bytes of
//! one packet, the protocol version and the sender's side decide.
//!
//! Invariants: a packet that was decoded holds only valid text, topics, filters,
//! identifiers and properties, so nobody behind this edge checks again; and
//! encoding it gives the canonical bytes, which decode to the same packet.
//!
//! ```
//! use ringcast_codec::Progress;
//! use ringcast_codec::mqtt::{Answer, Connect, Decoder, Packet, ReasonCode, Sender};
//!
//! // CONNECT of MQTT 5, then a PUBLISH of "42" to `t`, then the first byte of more.
//! let stream = b"\x10\x0E\0\x04MQTT\x05\x02\0\x1E\0\0\x01a\x30\x06\0\x01t\x0042\x30";
//! let Ok(Progress::Done(connect, consumed)) = Connect::decode(stream, 65_536) else {
//!     panic!("is whole and right");
//! };
//! assert_eq!((connect.client_id.as_str(), connect.keep_alive), ("a", 30));
//!
//! let decoder = Decoder {
//!     version: connect.version,
//!     sender: Sender::Client,
//!     packet_bytes_max: 65_536,
//! };
//! let Ok(Progress::Done(Packet::Publish(publish), _)) = decoder.decode(&stream[consumed..]) else {
//!     panic!("is whole and right");
//! };
//! assert_eq!(publish.payload, b"42");
//!
//! // The beginning of a packet is no error, a wrong one is.
//! assert_eq!(decoder.decode(b"\x30"), Ok(Progress::Partial { needed: 2 }));
//! let fault = decoder.decode(b"\x36\x00").unwrap_err();
//! assert_eq!(fault.to_string(), "the packet ends before its fields do");
//! assert_eq!(fault.answer(connect.version), Answer::Disconnect(ReasonCode::MalformedPacket));
//! ```
//!
//! References in square brackets are the standards' own statement numbers; 3.1.1
//! and 5.0 number differently, so 3.1.1's are written `[MQTT3-…]`.

mod acknowledge;
mod connack;
mod connect;
mod disconnect;
mod fault;
mod frame;
mod packet;
mod property;
mod property_block;
mod publish;
mod publish_frame;
mod reader;
mod reason;
mod subscribe;
mod text;
mod topic;
mod unsubscribe;

pub use acknowledge::Acknowledge;
pub use connack::Connack;
pub use connect::{Connect, ConnectFault, Will};
pub use disconnect::{Auth, Disconnect};
pub use fault::{Answer, Fault};
pub use frame::{Frame, Kind, PACKET_BYTES_MAX};
pub use packet::{Decoder, Oversize, Packet};
pub use property::{Properties, Property, PropertyOwner, PropertyType, SubscriptionIdentifier};
pub use property_block::PropertyBlock;
pub use publish::{Delivery, Publish};
pub use publish_frame::{FrameLayout, PublishFrame};
pub use reason::{ReasonCode, ReasonCodes};
pub use subscribe::{
    RetainHandling, Suback, Subscribe, SubscriptionBlock, SubscriptionOptions, Subscriptions,
};
pub use text::{Binary, Text};
pub use topic::{Share, TopicFilter, TopicName};
pub use unsubscribe::{FilterBlock, Filters, Unsuback, Unsubscribe};

use core::num::NonZeroU16;

/// A version of the protocol, as CONNECT names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    V311,
    /// MQTT 5.0: protocol name `MQTT`, level 5.
    V5,
}

impl Version {
    /// The protocol name and level that CONNECT carries for this version.
    pub fn name_and_level(self) -> (&'static str, u8) {
        match self {
            Self::V31 => ("MQIsdp", 3),
            Self::V311 => ("MQTT", 4),
            Self::V5 => ("MQTT", 5),
        }
    }
}

/// The end of a connection that sent the bytes at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The end that opened the connection and sent CONNECT.
    Client,
    /// The end that answered with CONNACK.
    Server,
}

/// Quality of service, sections 4.3 of both standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// 0: sent once and forgotten.
    AtMostOnce = 0,
    /// 1: sent until acknowledged.
    AtLeastOnce = 1,
    /// 2: sent and acknowledged in two steps.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level that two low bits stand for.
    ///
    /// # Errors
    /// [`Fault::QosReserved`] for 3, which both standards keep reserved.
    pub fn from_bits(bits: u8) -> Result<Self, Fault> {
        match bits & 0b11 {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            _ => Err(Fault::QosReserved),
        }
    }
}

/// A packet identifier, 1 to 65,535: zero is reserved in every version
/// [MQTT3-2.3.1-1], [MQTT-2.2.1-3], [MQTT-2.2.1-4].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The identifier of that number.
    ///
    /// # Errors
    /// [`Fault::PacketIdZero`] for zero.
    pub fn new(number: u16) -> Result<Self, Fault> {
        NonZeroU16::new(number).map(Self).ok_or(Fault::PacketIdZero)
    }

    /// Its number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}
