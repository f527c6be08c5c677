//! CONNECT, the first packet of every connection (section 3.1), and the one that
//! says which version all others are of.

use super::frame::{Frame, Kind};
use super::packet::{Oversize, write_packet};
use super::property::{Properties, PropertyOwner};
use super::reader::Reader;
use super::text::{Binary, Text};
use super::{Answer, Fault, QoS, ReasonCode, TopicName, Version};
use crate::Progress;
use crate::writer::Writer;

/// A client's wish to be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that this and all later packets are of.
    pub version: Version,
    /// Clean Start; Clean Session before MQTT 5.
    pub clean_start: bool,
    /// Seconds within which the client will always send something; 0 switches
    /// that off.
    pub keep_alive: u16,
    /// May be empty: the server assigns one, or refuses.
    pub client_id: Text<'a>,
    /// What to publish when the connection ends without a goodbye.
    pub will: Option<Will<'a>>,
    /// Who the client says it is.
    pub user_name: Option<Text<'a>>,
    /// How it proves it.
    pub password: Option<Binary<'a>>,
    /// MQTT 5 only.
    pub properties: Properties<'a>,
}

/// The message that a server publishes for a client that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where to.
    pub topic: TopicName<'a>,
    /// What; may be empty.
    pub payload: Binary<'a>,
    /// With which quality of service.
    pub qos: QoS,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
    /// MQTT 5 only.
    pub properties: Properties<'a>,
}

/// A fault in a connection's first packet, with the version it was written in
/// as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectFault {
    /// What is wrong.
    pub fault: Fault,
    /// The version that the packet names, if it got as far.
    pub version: Option<Version>,
}

impl ConnectFault {
    /// What to do about it. MQTT 3 has a CONNACK for a level that is not served
    /// [MQTT3-3.1.2-2] and for an identifier it refuses [MQTT3-3.1.3-8]; any
    /// other fault just closes [MQTT3-3.1.4-1]. A server of MQTT 5 may say why
    /// (section 3.1.4), and ours does once it knows that the client speaks it.
    pub fn answer(self) -> Answer {
        match (self.version, self.fault) {
            (Some(Version::V5), fault) => Answer::Connack(Version::V5, fault.reason()),
            (None, Fault::ProtocolLevel(level)) => {
                // Some bridges set the high bit of the level and try again
                // without, if they understand the refusal.
                let version = match level & 0x7F {
                    0..=5 => Version::V311,
                    _ => Version::V5,
                };
                Answer::Connack(version, ReasonCode::UnsupportedProtocolVersion)
            }
            (Some(version), Fault::ClientId) => {
                Answer::Connack(version, ReasonCode::ClientIdentifierNotValid)
            }
            _ => Answer::Close,
        }
    }
}

impl From<Fault> for ConnectFault {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            version: None,
        }
    }
}

/// The connect flags (section 3.1.2.3).
mod flag {
    pub(super) const RESERVED: u8 = 1 << 0;
    pub(super) const CLEAN_START: u8 = 1 << 1;
    pub(super) const WILL: u8 = 1 << 2;
    pub(super) const WILL_QOS_SHIFT: u8 = 3;
    pub(super) const WILL_QOS: u8 = 0b11 << WILL_QOS_SHIFT;
    pub(super) const WILL_RETAIN: u8 = 1 << 5;
    pub(super) const PASSWORD: u8 = 1 << 6;
    pub(super) const USER_NAME: u8 = 1 << 7;
}

/// The most characters of a client identifier in MQTT 3.1 (its section 3.1).
const V31_CLIENT_ID_CHARS_MAX: usize = 23;

impl<'a> Connect<'a> {
    /// Decodes the first packet of a connection; its size limit is in bytes,
    /// with the fixed header.
    ///
    /// # Errors
    /// A packet that is not CONNECT, and any fault of one that is.
    pub fn decode(
        input: &'a [u8],
        packet_bytes_max: usize,
    ) -> Result<Progress<Self>, ConnectFault> {
        // A first byte that cannot begin a CONNECT ends it: the length behind
        // it, perhaps another protocol's, is not worth waiting for.
        if let Some(&first) = input.first()
            && first >> 4 != Kind::Connect as u8
        {
            let kind = Kind::from_number(first >> 4).ok_or(Fault::PacketTypeReserved(0))?;
            return Err(Fault::NotConnect(kind).into());
        }
        match Frame::cut(input, packet_bytes_max)? {
            Progress::Done(frame, consumed) => Ok(Progress::Done(Self::read(frame)?, consumed)),
            Progress::Partial { needed } => Ok(Progress::Partial { needed }),
        }
    }

    fn read(frame: Frame<'a>) -> Result<Self, ConnectFault> {
        let mut reader = Reader::new(frame.body);
        let version = read_version(&mut reader)?;
        frame
            .check_header(version)
            .and_then(|()| Self::read_after_version(version, reader))
            .map_err(|fault| ConnectFault {
                fault,
                version: Some(version),
            })
    }

    fn read_after_version(version: Version, mut reader: Reader<'a>) -> Result<Self, Fault> {
        let flags = reader.u8()?;
        check_flags(version, flags)?;
        let keep_alive = reader.u16()?;
        let properties = Properties::read(&mut reader, version, PropertyOwner::Connect)?;
        properties.check_authentication()?;
        let clean_start = flags & flag::CLEAN_START != 0;
        let client_id = reader.text()?;
        check_client_id(version, client_id, clean_start)?;
        let will = match flags & flag::WILL {
            0 => None,
            _ => Some(Will::read(version, flags, &mut reader)?),
        };
        // In MQTT 3.1 "the Remaining Length field takes precedence over the
        // User Name flag": the string may be missing (3.1 section 3.1).
        let present = |flag, reader: &Reader<'_>| {
            flags & flag != 0 && !(version == Version::V31 && reader.is_empty())
        };
        let user_name = match present(flag::USER_NAME, &reader) {
            true => Some(reader.text()?),
            false => None,
        };
        let password = match present(flag::PASSWORD, &reader) {
            true => Some(reader.binary()?),
            false => None,
        };
        reader.finish()?;
        Ok(Self {
            version,
            clean_start,
            keep_alive,
            client_id,
            will,
            user_name,
            password,
            properties,
        })
    }

    /// Bytes that it takes, encoded. Never more than the encoding of a length can
    /// say, unless its properties alone are.
    ///
    /// # Errors
    /// [`Oversize`] past that.
    pub fn encoded_len(&self) -> Result<usize, Oversize> {
        Oversize::check(self.body_len())
    }

    /// Writes it, as its own version has it, to the front of `out` and says how
    /// many bytes it took: [`Self::encoded_len`] of them.
    ///
    /// # Errors
    /// [`Oversize`], and nothing was written.
    ///
    /// # Panics
    /// If `out` is shorter.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Oversize> {
        write_packet(Kind::Connect, self.body_len(), out, |writer| {
            self.write_body(writer);
        })
    }

    fn body_len(&self) -> usize {
        let (name, _) = self.version.name_and_level();
        let will = self.will.map_or(0, |will| {
            let properties = will.properties.encoded_len(self.version);
            properties + 2 + will.topic.as_bytes().len() + 2 + will.payload.len()
        });
        2 + name.len()
            + 4
            + self.properties.encoded_len(self.version)
            + 2
            + self.client_id.len()
            + will
            + self.user_name.map_or(0, |user_name| 2 + user_name.len())
            + self.password.map_or(0, |password| 2 + password.len())
    }

    fn write_body(&self, writer: &mut Writer<'_>) {
        let (name, level) = self.version.name_and_level();
        writer.put_length_prefixed(name.as_bytes());
        writer.put_u8(level);
        writer.put_u8(self.flags());
        writer.put_u16(self.keep_alive);
        self.properties.write(writer, self.version);
        writer.put_length_prefixed(self.client_id.as_bytes());
        if let Some(will) = &self.will {
            will.properties.write(writer, self.version);
            writer.put_length_prefixed(will.topic.as_bytes());
            writer.put_length_prefixed(&will.payload);
        }
        if let Some(user_name) = self.user_name {
            writer.put_length_prefixed(user_name.as_bytes());
        }
        if let Some(password) = self.password {
            writer.put_length_prefixed(&password);
        }
    }

    fn flags(&self) -> u8 {
        let when = |present: bool, flag: u8| if present { flag } else { 0 };
        let will = self.will.map_or(0, |will| {
            flag::WILL
                | (will.qos as u8) << flag::WILL_QOS_SHIFT
                | when(will.retain, flag::WILL_RETAIN)
        });
        will | when(self.clean_start, flag::CLEAN_START)
            | when(self.user_name.is_some(), flag::USER_NAME)
            | when(self.password.is_some(), flag::PASSWORD)
    }
}

impl<'a> Will<'a> {
    /// Reads the will, whose fields follow the client identifier
    /// [MQTT3-3.1.3-1], [MQTT-3.1.2-9].
    fn read(version: Version, flags: u8, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let properties = Properties::read(reader, version, PropertyOwner::Will)?;
        Ok(Self {
            topic: TopicName::from_bytes(reader.length_prefixed()?)?,
            payload: reader.binary()?,
            // [MQTT3-3.1.2-14], [MQTT-3.1.2-12]
            qos: QoS::from_bits(flags >> flag::WILL_QOS_SHIFT)?,
            retain: flags & flag::WILL_RETAIN != 0,
            properties,
        })
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, Fault> {
    let name = reader.length_prefixed()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(Fault::ProtocolName);
    }
    match (name, reader.u8()?) {
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (_, level) => Err(Fault::ProtocolLevel(level)),
    }
}

fn check_flags(version: Version, flags: u8) -> Result<(), Fault> {
    // MQTT 3.1 disregards will flags without a will, and the lowest bit (its
    // section 3.1).
    if version != Version::V31 {
        // [MQTT3-3.1.2-3], [MQTT-3.1.2-3]
        if flags & flag::RESERVED != 0 {
            return Err(Fault::ConnectFlagReserved);
        }
        // [MQTT3-3.1.2-13], [MQTT3-3.1.2-15], [MQTT-3.1.2-11], [MQTT-3.1.2-13]
        if flags & flag::WILL == 0 && flags & (flag::WILL_QOS | flag::WILL_RETAIN) != 0 {
            return Err(Fault::WillFlags);
        }
    }
    // [MQTT3-3.1.2-22]; MQTT 5 allows it (section 3.1.2.9).
    if version != Version::V5 && flags & flag::PASSWORD != 0 && flags & flag::USER_NAME == 0 {
        return Err(Fault::PasswordWithoutUserName);
    }
    Ok(())
}

fn check_client_id(version: Version, client_id: Text<'_>, clean: bool) -> Result<(), Fault> {
    let allowed = match version {
        Version::V31 => (1..=V31_CLIENT_ID_CHARS_MAX).contains(&client_id.chars().count()),
        // [MQTT3-3.1.3-7]
        Version::V311 => clean || !client_id.is_empty(),
        Version::V5 => true,
    };
    if allowed {
        Ok(())
    } else {
        Err(Fault::ClientId)
    }
}
