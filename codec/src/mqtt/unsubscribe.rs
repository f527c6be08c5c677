//! UNSUBSCRIBE and UNSUBACK (sections 3.10 and 3.11).

use super::frame::Kind;
use super::property::{Properties, PropertyOwner};
use super::reader::Reader;
use super::{Fault, PacketId, ReasonCodes, TopicFilter, Version};
use crate::writer::Writer;
use alloc::vec::Vec;
use core::fmt;

/// A client's wish to receive no longer what some filters brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The identifier that UNSUBACK will repeat.
    pub packet_id: PacketId,
    /// MQTT 5 only.
    pub properties: Properties<'a>,
    /// At least one.
    pub filters: Filters<'a>,
}

/// Topic filters, checked, in the order they were sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Filters<'a> {
    block: &'a [u8],
}

impl fmt::Debug for Filters<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> Filters<'a> {
    fn read(reader: Reader<'a>, version: Version) -> Result<Self, Fault> {
        // [MQTT3-3.10.3-2], [MQTT-3.10.3-2]
        if reader.is_empty() {
            return Err(Fault::NoFilters);
        }
        let block = reader.rest();
        let mut unchecked = reader;
        while !unchecked.is_empty() {
            TopicFilter::read(unchecked.text()?, version)?;
        }
        Ok(Self { block })
    }

    /// Each filter.
    pub fn iter(self) -> impl Iterator<Item = TopicFilter<'a>> {
        let mut reader = Reader::new(self.block);
        core::iter::from_fn(move || TopicFilter::from_text(reader.text().ok()?).ok())
    }
}

/// Filters being put together, in order.
#[derive(Debug, Clone, Default)]
pub struct FilterBlock {
    bytes: Vec<u8>,
}

impl FilterBlock {
    /// No filter yet; an UNSUBSCRIBE needs at least one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a filter behind the others.
    pub fn push(&mut self, filter: TopicFilter<'_>) -> &mut Self {
        let at = self.bytes.len();
        self.bytes.resize(at + 2 + filter.as_str().len(), 0);
        Writer::new(&mut self.bytes[at..]).put_length_prefixed(filter.as_str().as_bytes());
        self
    }

    /// What was put together so far.
    pub fn filters(&self) -> Filters<'_> {
        Filters { block: &self.bytes }
    }
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, Fault> {
        Ok(Self {
            packet_id: reader.packet_id()?,
            properties: Properties::read(&mut reader, version, PropertyOwner::Unsubscribe)?,
            filters: Filters::read(reader, version)?,
        })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        2 + self.properties.encoded_len(version) + self.filters.block.len()
    }

    pub(super) fn write_body(&self, version: Version, writer: &mut Writer<'_>) {
        assert!(!self.filters.block.is_empty(), "no filter");
        writer.put_u16(self.packet_id.get());
        self.properties.write(writer, version);
        writer.put(self.filters.block);
    }
}

/// A server's answer to UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// The identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// MQTT 5 only.
    pub properties: Properties<'a>,
    /// One per filter, in their order; `None` before MQTT 5, which has none.
    pub reasons: Option<ReasonCodes<'a>>,
}

impl<'a> Unsuback<'a> {
    pub(super) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, Fault> {
        let packet_id = reader.packet_id()?;
        if version != Version::V5 {
            reader.finish()?;
            return Ok(Self {
                packet_id,
                properties: Properties::EMPTY,
                reasons: None,
            });
        }
        let properties = Properties::read(&mut reader, version, PropertyOwner::Unsuback)?;
        let reasons = ReasonCodes::new(reader.rest(), Kind::Unsuback)?;
        Ok(Self {
            packet_id,
            properties,
            reasons: Some(reasons),
        })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        2 + self.properties.encoded_len(version) + self.reasons_for(version).len()
    }

    pub(super) fn write_body(&self, version: Version, writer: &mut Writer<'_>) {
        writer.put_u16(self.packet_id.get());
        self.properties.write(writer, version);
        writer.put(self.reasons_for(version));
    }

    fn reasons_for(&self, version: Version) -> &'a [u8] {
        match version {
            Version::V31 | Version::V311 => &[],
            Version::V5 => self
                .reasons
                .expect("MQTT 5 has a code per filter")
                .as_bytes(),
        }
    }
}
