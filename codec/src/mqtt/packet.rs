//! Any packet behind CONNECT: one way to decode them all, and one to encode them.
//!
//! CONNECT stands apart: it is the first of its connection and only that, is read
//! before the version is known, and is larger than all the others.

use super::frame::{Frame, Kind, PACKET_BYTES_MAX};
use super::reader::{Reader, VariableByteInteger};
use super::{
    Acknowledge, Auth, Connack, Disconnect, Fault, Publish, Sender, Suback, Subscribe, Unsuback,
    Unsubscribe, Version,
};
use crate::Progress;
use crate::writer::Writer;
use core::fmt;

/// One packet of any type but CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the standard's own names")]
pub enum Packet<'a> {
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    Puback(Acknowledge<'a>),
    Pubrec(Acknowledge<'a>),
    Pubrel(Acknowledge<'a>),
    Pubcomp(Acknowledge<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    /// MQTT 5 only.
    Auth(Auth<'a>),
}

/// A packet of more than [`PACKET_BYTES_MAX`] bytes, which no length can announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oversize;

impl Oversize {
    /// The bytes of the whole packet that announces so many.
    pub(super) fn check(remaining: usize) -> Result<usize, Self> {
        if remaining > VariableByteInteger::MAX as usize {
            return Err(Self);
        }
        Ok(1 + VariableByteInteger::len(remaining) + remaining)
    }
}

impl fmt::Display for Oversize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a packet of MQTT has at most {PACKET_BYTES_MAX} bytes"
        )
    }
}

impl core::error::Error for Oversize {}

/// How to read what one end sends once its CONNECT was read: a client's, by
/// [`Connect::decode`](super::Connect::decode), or a server's own answers to the CONNECT that this end
/// sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoder {
    /// The version that CONNECT named.
    pub version: Version,
    /// Whose packets these are.
    pub sender: Sender,
    /// The largest packet to take, in bytes with the fixed header: at most
    /// [`PACKET_BYTES_MAX`].
    pub packet_bytes_max: usize,
}

impl Decoder {
    /// Decodes the packet that the input begins with.
    ///
    /// # Errors
    /// Any fault of a packet.
    #[inline]
    pub fn decode<'a>(&self, input: &'a [u8]) -> Result<Progress<Packet<'a>>, Fault> {
        match Frame::cut(input, self.packet_bytes_max)? {
            Progress::Done(frame, consumed) => Ok(Progress::Done(self.read(frame)?, consumed)),
            Progress::Partial { needed } => Ok(Progress::Partial { needed }),
        }
    }

    /// Decodes a packet that was cut out of its stream.
    ///
    /// # Errors
    /// Any fault of a packet but those of its size.
    #[inline]
    pub fn read<'a>(&self, frame: Frame<'a>) -> Result<Packet<'a>, Fault> {
        let Self {
            version, sender, ..
        } = *self;
        let kind = frame.kind;
        if kind == Kind::Publish {
            return Publish::decode(frame, version, sender).map(Packet::Publish);
        }
        self.check_direction(kind)?;
        frame.check_header(version)?;
        let reader = Reader::new(frame.body);
        Ok(match kind {
            Kind::Connect => return Err(Fault::SecondConnect),
            Kind::Connack => Packet::Connack(Connack::read(reader, version)?),
            Kind::Publish => unreachable!("decoded above"),
            Kind::Puback => Packet::Puback(Acknowledge::read(reader, kind, version)?),
            Kind::Pubrec => Packet::Pubrec(Acknowledge::read(reader, kind, version)?),
            Kind::Pubrel => Packet::Pubrel(Acknowledge::read(reader, kind, version)?),
            Kind::Pubcomp => Packet::Pubcomp(Acknowledge::read(reader, kind, version)?),
            Kind::Subscribe => Packet::Subscribe(Subscribe::read(reader, version)?),
            Kind::Suback => Packet::Suback(Suback::read(reader, version)?),
            Kind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::read(reader, version)?),
            Kind::Unsuback => Packet::Unsuback(Unsuback::read(reader, version)?),
            Kind::Pingreq => reader.finish().map(|()| Packet::Pingreq)?,
            Kind::Pingresp => reader.finish().map(|()| Packet::Pingresp)?,
            Kind::Disconnect => Packet::Disconnect(Disconnect::read(reader, version, sender)?),
            Kind::Auth => Packet::Auth(Auth::read(reader)?),
        })
    }

    /// Each end sends only its own kinds of packet (table 2-1 of each standard).
    #[inline]
    fn check_direction(&self, kind: Kind) -> Result<(), Fault> {
        let sent = match kind {
            Kind::Auth if self.version != Version::V5 => {
                return Err(Fault::PacketTypeReserved(kind as u8));
            }
            Kind::Connect | Kind::Subscribe | Kind::Unsubscribe | Kind::Pingreq => {
                self.sender == Sender::Client
            }
            Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp => {
                self.sender == Sender::Server
            }
            Kind::Disconnect => self.sender == Sender::Client || self.version == Version::V5,
            Kind::Publish
            | Kind::Puback
            | Kind::Pubrec
            | Kind::Pubrel
            | Kind::Pubcomp
            | Kind::Auth => true,
        };
        if sent {
            Ok(())
        } else {
            Err(Fault::WrongDirection(kind))
        }
    }
}

impl Packet<'_> {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connack(_) => Kind::Connack,
            Self::Publish(_) => Kind::Publish,
            Self::Puback(_) => Kind::Puback,
            Self::Pubrec(_) => Kind::Pubrec,
            Self::Pubrel(_) => Kind::Pubrel,
            Self::Pubcomp(_) => Kind::Pubcomp,
            Self::Subscribe(_) => Kind::Subscribe,
            Self::Suback(_) => Kind::Suback,
            Self::Unsubscribe(_) => Kind::Unsubscribe,
            Self::Unsuback(_) => Kind::Unsuback,
            Self::Pingreq => Kind::Pingreq,
            Self::Pingresp => Kind::Pingresp,
            Self::Disconnect(_) => Kind::Disconnect,
            Self::Auth(_) => Kind::Auth,
        }
    }

    /// Bytes that it takes, encoded.
    ///
    /// # Errors
    /// [`Oversize`] past what the encoding of a length can say.
    #[inline]
    pub fn encoded_len(&self, version: Version) -> Result<usize, Oversize> {
        match self {
            Self::Publish(publish) => publish.encoded_len(version),
            _ => Oversize::check(self.body_len(version)),
        }
    }

    /// Writes it to the front of `out` and says how many bytes it took:
    /// [`Self::encoded_len`] of them.
    ///
    /// # Errors
    /// [`Oversize`], and nothing was written.
    ///
    /// # Panics
    /// If `out` is shorter, or the version has no such packet.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut [u8]) -> Result<usize, Oversize> {
        match self {
            Self::Publish(publish) => publish.encode(version, out),
            _ => write_packet(self.kind(), self.body_len(version), out, |writer| {
                self.write_body(version, writer);
            }),
        }
    }

    #[inline]
    fn body_len(&self, version: Version) -> usize {
        match self {
            Self::Connack(connack) => connack.body_len(version),
            Self::Publish(_) => unreachable!("has an encoder of its own"),
            Self::Puback(acknowledge)
            | Self::Pubrec(acknowledge)
            | Self::Pubrel(acknowledge)
            | Self::Pubcomp(acknowledge) => acknowledge.body_len(version),
            Self::Subscribe(subscribe) => subscribe.body_len(version),
            Self::Suback(suback) => suback.body_len(version),
            Self::Unsubscribe(unsubscribe) => unsubscribe.body_len(version),
            Self::Unsuback(unsuback) => unsuback.body_len(version),
            Self::Pingreq | Self::Pingresp => 0,
            Self::Disconnect(disconnect) => disconnect.body_len(version),
            Self::Auth(auth) => auth.body_len(),
        }
    }

    #[inline]
    fn write_body(&self, version: Version, writer: &mut Writer<'_>) {
        match self {
            Self::Connack(connack) => connack.write_body(version, writer),
            Self::Publish(_) => unreachable!("has an encoder of its own"),
            Self::Puback(acknowledge)
            | Self::Pubrec(acknowledge)
            | Self::Pubrel(acknowledge)
            | Self::Pubcomp(acknowledge) => acknowledge.write_body(self.kind(), version, writer),
            Self::Subscribe(subscribe) => subscribe.write_body(version, writer),
            Self::Suback(suback) => suback.write_body(version, writer),
            Self::Unsubscribe(unsubscribe) => unsubscribe.write_body(version, writer),
            Self::Unsuback(unsuback) => unsuback.write_body(version, writer),
            Self::Pingreq | Self::Pingresp => {}
            Self::Disconnect(disconnect) => disconnect.write_body(version, writer),
            Self::Auth(auth) => {
                assert_eq!(version, Version::V5, "AUTH came with MQTT 5");
                auth.write_body(writer);
            }
        }
    }
}

/// Writes the fixed header of a packet whose flags are fixed, and its body.
#[inline]
pub(super) fn write_packet(
    kind: Kind,
    body_len: usize,
    out: &mut [u8],
    write_body: impl FnOnce(&mut Writer<'_>),
) -> Result<usize, Oversize> {
    let len = Oversize::check(body_len)?;
    let mut writer = Writer::new(out);
    writer.put_u8(kind.first_byte());
    writer.put_variable_byte_integer(body_len);
    write_body(&mut writer);
    debug_assert_eq!(writer.written(), len);
    Ok(len)
}
