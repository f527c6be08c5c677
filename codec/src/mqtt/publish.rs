//! PUBLISH (section 3.3): the packet that all the others are there for.

use super::frame::Frame;
use super::property::{Properties, PropertyOwner};
use super::reader::Reader;
use super::{Fault, Kind, PacketId, QoS, Sender, TopicName, Version};

/// A message on its way from or to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The quality of service, with what comes with it.
    pub delivery: Delivery,
    /// To a server: keep it. To a client: it was kept.
    pub retain: bool,
    /// `None` where a topic alias among the properties stands for a name that
    /// was sent before (MQTT 5 only).
    pub topic: Option<TopicName<'a>>,
    /// MQTT 5 only.
    pub properties: Properties<'a>,
    /// Bytes of any meaning.
    pub payload: &'a [u8],
}

/// How a message is delivered. Only what is acknowledged has an identifier
/// [MQTT3-2.3.1-5], [MQTT-2.2.1-2], and only that can come again
/// [MQTT3-3.3.1-2], [MQTT-3.3.1-2].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce {
        /// What PUBACK will repeat.
        packet_id: PacketId,
        /// Whether it may have been sent before.
        dup: bool,
    },
    /// QoS 2.
    ExactlyOnce {
        /// What PUBREC, PUBREL and PUBCOMP will repeat.
        packet_id: PacketId,
        /// Whether it may have been sent before.
        dup: bool,
    },
}

/// The flags of the fixed header (section 3.3.1).
pub(super) mod flag {
    pub(in super::super) const RETAIN: u8 = 1 << 0;
    pub(in super::super) const QOS_SHIFT: u8 = 1;
    pub(in super::super) const DUP: u8 = 1 << 3;
}

/// The most characters of a topic name in MQTT 3.1 (its section 3.3).
const V31_TOPIC_CHARS_MAX: usize = 32_767;

impl Delivery {
    /// The quality of service alone.
    #[inline]
    pub fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce { .. } => QoS::AtLeastOnce,
            Self::ExactlyOnce { .. } => QoS::ExactlyOnce,
        }
    }

    /// The identifier, if it has one.
    #[inline]
    pub fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce { packet_id, .. } | Self::ExactlyOnce { packet_id, .. } => {
                Some(packet_id)
            }
        }
    }

    /// Whether it may have been sent before.
    #[inline]
    pub fn dup(self) -> bool {
        match self {
            Self::AtMostOnce => false,
            Self::AtLeastOnce { dup, .. } | Self::ExactlyOnce { dup, .. } => dup,
        }
    }

    /// Reads the identifier that the flags announce.
    #[inline]
    fn read(flags: u8, reader: &mut Reader<'_>, version: Version) -> Result<Self, Fault> {
        let dup = flags & flag::DUP != 0;
        match QoS::from_bits(flags >> flag::QOS_SHIFT)? {
            // MQTT 3.1 gives DUP no meaning at QoS 0 (its section 2.1).
            QoS::AtMostOnce if dup && version != Version::V31 => Err(Fault::DupAtQos0),
            QoS::AtMostOnce => Ok(Self::AtMostOnce),
            QoS::AtLeastOnce => Ok(Self::AtLeastOnce {
                packet_id: reader.packet_id()?,
                dup,
            }),
            QoS::ExactlyOnce => Ok(Self::ExactlyOnce {
                packet_id: reader.packet_id()?,
                dup,
            }),
        }
    }
}

impl<'a> Publish<'a> {
    /// Decodes a frame that is a PUBLISH. Without allocation, and without a look
    /// at the payload.
    ///
    /// # Errors
    /// Any fault of a PUBLISH.
    ///
    /// # Panics
    /// On a frame of another kind.
    #[inline(always)] // A frame that was just cut then stays in registers.
    pub fn decode(frame: Frame<'a>, version: Version, sender: Sender) -> Result<Self, Fault> {
        assert_eq!(frame.kind, Kind::Publish);
        frame.check_length(version)?;
        let mut reader = Reader::new(frame.body);
        let topic = reader.length_prefixed()?;
        let delivery = Delivery::read(frame.flags, &mut reader, version)?;
        let properties = Properties::read(&mut reader, version, PropertyOwner::publish(sender))?;
        Ok(Self {
            delivery,
            retain: frame.flags & flag::RETAIN != 0,
            topic: read_topic(topic, version, properties)?,
            properties,
            payload: reader.rest(),
        })
    }
}

#[inline]
fn read_topic<'a>(
    topic: &'a [u8],
    version: Version,
    properties: Properties<'_>,
) -> Result<Option<TopicName<'a>>, Fault> {
    if topic.is_empty() && version == Version::V5 {
        // Section 3.3.2.1: it is a protocol error without an alias.
        return match properties.topic_alias() {
            Some(_) => Ok(None),
            None => Err(Fault::TopicMissing),
        };
    }
    let topic = TopicName::from_bytes(topic)?;
    if version == Version::V31 && topic.as_str().chars().count() > V31_TOPIC_CHARS_MAX {
        return Err(Fault::FieldTooLong);
    }
    Ok(Some(topic))
}
