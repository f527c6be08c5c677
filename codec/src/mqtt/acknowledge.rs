//! PUBACK, PUBREC, PUBREL and PUBCOMP, which look alike (sections 3.4 to 3.7).

use super::frame::Kind;
use super::property::{Properties, PropertyOwner};
use super::reader::Reader;
use super::{Fault, PacketId, ReasonCode, Version};
use crate::writer::Writer;

/// One step of the acknowledgement of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledge<'a> {
    /// The identifier of the message.
    pub packet_id: PacketId,
    /// Always [`ReasonCode::Success`] before MQTT 5.
    pub reason: ReasonCode,
    /// MQTT 5 only.
    pub properties: Properties<'a>,
}

impl Acknowledge<'_> {
    /// The plain one: all went well, nothing else to say.
    pub fn success(packet_id: PacketId) -> Self {
        Self {
            packet_id,
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        }
    }
}

impl<'a> Acknowledge<'a> {
    #[inline]
    pub(super) fn read(
        mut reader: Reader<'a>,
        kind: Kind,
        version: Version,
    ) -> Result<Self, Fault> {
        let mut acknowledge = Self::success(reader.packet_id()?);
        // Nothing behind the identifier means success, nothing behind the reason
        // no properties (section 3.4.2.1).
        if version == Version::V5 && !reader.is_empty() {
            acknowledge.reason = ReasonCode::read(reader.u8()?, kind)?;
            if !reader.is_empty() {
                acknowledge.properties =
                    Properties::read(&mut reader, version, PropertyOwner::Acknowledge)?;
            }
        }
        reader.finish()?;
        Ok(acknowledge)
    }

    #[inline]
    pub(super) fn body_len(&self, version: Version) -> usize {
        2 + reason_and_properties_len(version, self.reason, self.properties)
    }

    #[inline]
    pub(super) fn write_body(&self, kind: Kind, version: Version, writer: &mut Writer<'_>) {
        writer.put_u16(self.packet_id.get());
        write_reason_and_properties(writer, kind, version, self.reason, self.properties);
    }
}

/// Bytes of a reason and properties at the end of a packet, left out where they
/// would say success and nothing.
#[inline]
pub(super) fn reason_and_properties_len(
    version: Version,
    reason: ReasonCode,
    properties: Properties<'_>,
) -> usize {
    match (version, reason, properties.is_empty()) {
        (Version::V31 | Version::V311, ..) | (Version::V5, ReasonCode::Success, true) => 0,
        (Version::V5, _, true) => 1,
        (Version::V5, _, false) => 1 + properties.encoded_len(version),
    }
}

#[inline]
pub(super) fn write_reason_and_properties(
    writer: &mut Writer<'_>,
    kind: Kind,
    version: Version,
    reason: ReasonCode,
    properties: Properties<'_>,
) {
    if reason_and_properties_len(version, reason, properties) == 0 {
        return;
    }
    writer.put_u8(reason.checked_for(kind));
    if !properties.is_empty() {
        properties.write(writer, version);
    }
}
