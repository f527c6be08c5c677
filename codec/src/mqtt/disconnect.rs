//! DISCONNECT and AUTH, the two packets that are a reason and properties
//! (sections 3.14 and 3.15).

use super::acknowledge::{reason_and_properties_len, write_reason_and_properties};
use super::frame::Kind;
use super::property::{Properties, PropertyOwner};
use super::reader::Reader;
use super::{Fault, ReasonCode, Sender, Version};
use crate::writer::Writer;

/// The last packet of a connection that ends in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Always [`ReasonCode::Success`] before MQTT 5.
    pub reason: ReasonCode,
    /// MQTT 5 only.
    pub properties: Properties<'a>,
}

/// A step of an extended authentication; MQTT 5 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue, or begin again.
    pub reason: ReasonCode,
    /// The method and its data.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    pub(super) fn read(
        reader: Reader<'a>,
        version: Version,
        sender: Sender,
    ) -> Result<Self, Fault> {
        let owner = PropertyOwner::disconnect(sender);
        let (reason, properties) = match version {
            Version::V31 | Version::V311 => {
                reader.finish()?;
                (ReasonCode::Success, Properties::EMPTY)
            }
            Version::V5 => read_reason_and_properties(reader, Kind::Disconnect, owner)?,
        };
        Ok(Self { reason, properties })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        reason_and_properties_len(version, self.reason, self.properties)
    }

    pub(super) fn write_body(&self, version: Version, writer: &mut Writer<'_>) {
        write_reason_and_properties(
            writer,
            Kind::Disconnect,
            version,
            self.reason,
            self.properties,
        );
    }
}

impl<'a> Auth<'a> {
    /// Reads the body. An empty one means success (section 3.15.2.1) although it
    /// names no method, which any other AUTH must (section 3.15.2.2.2).
    pub(super) fn read(reader: Reader<'a>) -> Result<Self, Fault> {
        let bare = reader.is_empty();
        let (reason, properties) =
            read_reason_and_properties(reader, Kind::Auth, PropertyOwner::Auth)?;
        if !bare && properties.authentication_method().is_none() {
            return Err(Fault::AuthenticationMethodMissing);
        }
        Ok(Self { reason, properties })
    }

    pub(super) fn body_len(&self) -> usize {
        reason_and_properties_len(Version::V5, self.reason, self.properties)
    }

    pub(super) fn write_body(&self, writer: &mut Writer<'_>) {
        write_reason_and_properties(
            writer,
            Kind::Auth,
            Version::V5,
            self.reason,
            self.properties,
        );
    }
}

fn read_reason_and_properties(
    mut reader: Reader<'_>,
    kind: Kind,
    owner: PropertyOwner,
) -> Result<(ReasonCode, Properties<'_>), Fault> {
    if reader.is_empty() {
        return Ok((ReasonCode::Success, Properties::EMPTY));
    }
    let reason = ReasonCode::read(reader.u8()?, kind)?;
    if reader.is_empty() {
        return Ok((reason, Properties::EMPTY));
    }
    let properties = Properties::read(&mut reader, Version::V5, owner)?;
    reader.finish()?;
    Ok((reason, properties))
}
