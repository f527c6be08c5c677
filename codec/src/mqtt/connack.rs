//! CONNACK, a server's answer to CONNECT (section 3.2).

use super::frame::Kind;
use super::property::{Properties, PropertyOwner};
use super::reader::Reader;
use super::{Fault, ReasonCode, Version};
use crate::writer::Writer;

/// The connection is accepted, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether the server has state of this client from before. MQTT 3.1 cannot
    /// say it, and no refusal says it [MQTT3-3.2.2-4], [MQTT-3.2.2-6].
    pub session_present: bool,
    /// [`ReasonCode::Success`], or the reason of a refusal.
    pub reason: ReasonCode,
    /// MQTT 5 only.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    pub(super) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, Fault> {
        let flags = match (version, reader.u8()?) {
            // 3.1 section 3.2: the first byte is reserved and not used.
            (Version::V31, _) => 0,
            (_, flags) => flags,
        };
        // [MQTT-3.2.2-1]
        if flags & !1 != 0 {
            return Err(Fault::AcknowledgeFlagsReserved);
        }
        let code = reader.u8()?;
        let reason = match version {
            Version::V31 | Version::V311 => ReasonCode::from_return_code(code)?,
            Version::V5 => ReasonCode::read(code, Kind::Connack)?,
        };
        let properties = Properties::read(&mut reader, version, PropertyOwner::Connack)?;
        properties.check_authentication()?;
        reader.finish()?;
        let session_present = flags == 1;
        if session_present && reason.is_error() {
            return Err(Fault::SessionPresentOnRefusal);
        }
        Ok(Self {
            session_present,
            reason,
            properties,
        })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        2 + self.properties.encoded_len(version)
    }

    pub(super) fn write_body(&self, version: Version, writer: &mut Writer<'_>) {
        assert!(
            !self.session_present || !self.reason.is_error(),
            "a refusal has no session"
        );
        let session_present = self.session_present && version != Version::V31;
        writer.put_u8(session_present.into());
        writer.put_u8(match version {
            Version::V31 | Version::V311 => self
                .reason
                .to_return_code()
                .expect("MQTT 3 has no CONNACK for this reason"),
            Version::V5 => self.reason.checked_for(Kind::Connack),
        });
        self.properties.write(writer, version);
    }
}
