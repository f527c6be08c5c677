//! SUBSCRIBE and SUBACK (sections 3.8 and 3.9).

use super::property::{Properties, PropertyOwner};
use super::reader::Reader;
use super::{Fault, PacketId, QoS, ReasonCode, ReasonCodes, TopicFilter, Version};
use crate::writer::Writer;
use alloc::vec::Vec;
use core::fmt;

/// A client's wish to receive what matches some filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The identifier that SUBACK will repeat.
    pub packet_id: PacketId,
    /// MQTT 5 only.
    pub properties: Properties<'a>,
    /// At least one.
    pub subscriptions: Subscriptions<'a>,
}

/// What a client wants of one subscription (section 3.8.3.1); before MQTT 5 only
/// the quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// The highest quality of service to deliver at.
    pub qos: QoS,
    /// Not what this client itself published.
    pub no_local: bool,
    /// RETAIN as the publisher set it, instead of 0.
    pub retain_as_published: bool,
    /// Whether retained messages are sent first.
    pub retain_handling: RetainHandling,
}

/// When a subscription brings the retained messages it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// Whenever it is made.
    Send = 0,
    /// Only if it did not exist before.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

impl SubscriptionOptions {
    /// Plain options: all that MQTT 3 can say.
    pub fn at_most(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        }
    }

    fn read(byte: u8, version: Version) -> Result<Self, Fault> {
        let qos = QoS::from_bits(byte).map_err(|_| Fault::SubscriptionQosReserved)?;
        let reserved = match version {
            // 3.1 section 3.8: the upper bits are not used.
            Version::V31 => 0,
            // [MQTT3-3.8.3-4]
            Version::V311 => byte & 0b1111_1100,
            // [MQTT-3.8.3-5]
            Version::V5 => byte & 0b1100_0000,
        };
        if reserved != 0 {
            return Err(Fault::SubscriptionOptionsReserved);
        }
        if version != Version::V5 {
            return Ok(Self::at_most(qos));
        }
        Ok(Self {
            qos,
            no_local: byte & 0b0100 != 0,
            retain_as_published: byte & 0b1000 != 0,
            retain_handling: match byte >> 4 & 0b11 {
                0 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return Err(Fault::RetainHandlingReserved),
            },
        })
    }

    fn to_byte(self, version: Version) -> u8 {
        let qos = self.qos as u8;
        match version {
            Version::V31 | Version::V311 => qos,
            Version::V5 => {
                qos | u8::from(self.no_local) << 2
                    | u8::from(self.retain_as_published) << 3
                    | (self.retain_handling as u8) << 4
            }
        }
    }
}

/// Filters with their options, checked, in the order they were sent. Two are
/// equal if they say the same, whatever version they were written in.
#[derive(Clone, Copy)]
pub struct Subscriptions<'a> {
    block: &'a [u8],
    version: Version,
}

impl PartialEq for Subscriptions<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Subscriptions<'_> {}

impl fmt::Debug for Subscriptions<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> Subscriptions<'a> {
    fn read(reader: Reader<'a>, version: Version) -> Result<Self, Fault> {
        // [MQTT3-3.8.3-3], [MQTT-3.8.3-2]
        if reader.is_empty() {
            return Err(Fault::NoFilters);
        }
        let block = reader.rest();
        let mut unchecked = reader;
        while !unchecked.is_empty() {
            let (filter, options) = read_subscription(&mut unchecked, version)?;
            // [MQTT-3.8.3-4]
            if options.no_local && filter.share()?.is_some() {
                return Err(Fault::NoLocalOnShared);
            }
        }
        Ok(Self { block, version })
    }

    /// Each filter with its options.
    pub fn iter(self) -> impl Iterator<Item = (TopicFilter<'a>, SubscriptionOptions)> {
        let mut reader = Reader::new(self.block);
        core::iter::from_fn(move || read_subscription(&mut reader, self.version).ok())
    }

    /// Bytes in a packet of any version: options take one byte in all of them.
    fn encoded_len(self) -> usize {
        self.block.len()
    }

    fn write(self, version: Version, writer: &mut Writer<'_>) {
        for (filter, options) in self.iter() {
            writer.put_length_prefixed(filter.as_str().as_bytes());
            writer.put_u8(options.to_byte(version));
        }
    }
}

fn read_subscription<'a>(
    reader: &mut Reader<'a>,
    version: Version,
) -> Result<(TopicFilter<'a>, SubscriptionOptions), Fault> {
    let filter = TopicFilter::read(reader.text()?, version)?;
    let options = SubscriptionOptions::read(reader.u8()?, version)?;
    Ok((filter, options))
}

/// Subscriptions being put together, in order.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionBlock {
    bytes: Vec<u8>,
}

impl SubscriptionBlock {
    /// No subscription yet; a SUBSCRIBE needs at least one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a subscription behind the others.
    pub fn push(&mut self, filter: TopicFilter<'_>, options: SubscriptionOptions) -> &mut Self {
        let at = self.bytes.len();
        self.bytes.resize(at + 2 + filter.as_str().len() + 1, 0);
        let mut writer = Writer::new(&mut self.bytes[at..]);
        writer.put_length_prefixed(filter.as_str().as_bytes());
        writer.put_u8(options.to_byte(Version::V5));
        self
    }

    /// What was put together so far.
    pub fn subscriptions(&self) -> Subscriptions<'_> {
        Subscriptions {
            block: &self.bytes,
            version: Version::V5,
        }
    }
}

impl<'a> Subscribe<'a> {
    pub(super) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, Fault> {
        Ok(Self {
            packet_id: reader.packet_id()?,
            properties: Properties::read(&mut reader, version, PropertyOwner::Subscribe)?,
            subscriptions: Subscriptions::read(reader, version)?,
        })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        2 + self.properties.encoded_len(version) + self.subscriptions.encoded_len()
    }

    pub(super) fn write_body(&self, version: Version, writer: &mut Writer<'_>) {
        assert!(!self.subscriptions.block.is_empty(), "no filter");
        writer.put_u16(self.packet_id.get());
        self.properties.write(writer, version);
        self.subscriptions.write(version, writer);
    }
}

/// A server's answer: for each filter the quality of service it grants, or why
/// it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suback<'a> {
    /// The identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// MQTT 5 only.
    pub properties: Properties<'a>,
    /// One per filter, in their order. MQTT 3.1.1 has one refusal, 0x80, for all
    /// reasons; MQTT 3.1 has none, and whoever answers it may not refuse.
    pub reasons: ReasonCodes<'a>,
}

impl<'a> Suback<'a> {
    pub(super) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, Fault> {
        Ok(Self {
            packet_id: reader.packet_id()?,
            properties: Properties::read(&mut reader, version, PropertyOwner::Suback)?,
            reasons: ReasonCodes::read_suback(reader.rest(), version)?,
        })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        2 + self.properties.encoded_len(version) + self.reasons.as_bytes().len()
    }

    pub(super) fn write_body(&self, version: Version, writer: &mut Writer<'_>) {
        writer.put_u16(self.packet_id.get());
        self.properties.write(writer, version);
        if version == Version::V5 {
            writer.put(self.reasons.as_bytes());
            return;
        }
        for reason in self.reasons.iter() {
            assert!(
                version == Version::V311 || !reason.is_error(),
                "MQTT 3.1 cannot refuse"
            );
            let refused = ReasonCode::UnspecifiedError;
            writer.put_u8(if reason.is_error() { refused } else { reason } as u8);
        }
    }
}
