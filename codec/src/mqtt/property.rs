//! Properties of MQTT 5 (section 2.2.2): which may stand where, how often, with
//! which values.
//!
//! A decoded block stays what it was, bytes; reading a property out of it cannot
//! fail, because the whole block was checked once when its packet was decoded.

use super::reader::{Reader, VariableByteInteger};
use super::text::{Binary, Text};
use super::{Fault, Sender, TopicName, Version};
use crate::writer::Writer;
use core::fmt;
use core::num::NonZeroU32;

/// A subscription identifier, 1 to 268,435,455 (section 3.8.2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionIdentifier(NonZeroU32);

impl SubscriptionIdentifier {
    /// The identifier of that number, if it is in range.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number)
            .filter(|number| number.get() <= VariableByteInteger::MAX)
            .map(Self)
    }

    /// Its number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

/// What a block of properties belongs to. PUBLISH and DISCONNECT differ by
/// sender; a will has its own block inside CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[allow(missing_docs, reason = "the standard's own names")]
pub enum PropertyOwner {
    Connect = 1 << 0,
    Will = 1 << 1,
    Connack = 1 << 2,
    PublishFromClient = 1 << 3,
    PublishFromServer = 1 << 4,
    /// PUBACK, PUBREC, PUBREL and PUBCOMP.
    Acknowledge = 1 << 5,
    Subscribe = 1 << 6,
    Suback = 1 << 7,
    Unsubscribe = 1 << 8,
    Unsuback = 1 << 9,
    DisconnectFromClient = 1 << 10,
    DisconnectFromServer = 1 << 11,
    Auth = 1 << 12,
}

impl PropertyOwner {
    /// The owner of the properties of a PUBLISH.
    pub(super) fn publish(sender: Sender) -> Self {
        match sender {
            Sender::Client => Self::PublishFromClient,
            Sender::Server => Self::PublishFromServer,
        }
    }

    /// The same type of packet, from the other end, as a bit; 0 if this type
    /// does not differ by sender.
    fn other_end(self) -> u16 {
        match self {
            Self::PublishFromClient => Self::PublishFromServer as u16,
            Self::PublishFromServer => Self::PublishFromClient as u16,
            Self::DisconnectFromClient => Self::DisconnectFromServer as u16,
            Self::DisconnectFromServer => Self::DisconnectFromClient as u16,
            _ => 0,
        }
    }

    /// The owner of the properties of a DISCONNECT.
    pub(super) fn disconnect(sender: Sender) -> Self {
        match sender {
            Sender::Client => Self::DisconnectFromClient,
            Sender::Server => Self::DisconnectFromServer,
        }
    }
}

/// How the value of a property is written (table 2-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PropertyType {
    /// One byte, 0 or 1: no property has a byte of more values.
    Flag,
    /// Two bytes.
    TwoByte,
    /// Two bytes, not zero.
    TwoByteNonZero,
    /// Four bytes.
    FourByte,
    /// Four bytes, not zero.
    FourByteNonZero,
    /// A variable byte integer, not zero.
    Variable,
    /// A string.
    Text,
    /// A string without wildcards.
    TopicName,
    /// Binary data.
    Binary,
    /// Two strings.
    Pair,
}

macro_rules! properties {
    ($($(#[$doc:meta])* $id:literal $name:ident / $getter:ident : $kind:ident -> $value:ty,
       in $($owner:ident)|+;)*) => {
        /// One property (table 2-4 of the standard).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Property<'a> {
            $($(#[$doc])* $name($value),)*
            /// A name and a value for the application; may stand anywhere, as
            /// often as wanted, and keeps its place among its kind.
            UserProperty(Text<'a>, Text<'a>),
        }

        impl Property<'_> {
            /// Every property: identifier, type, and the owners it may stand in.
            pub const TABLE: &'static [(u8, PropertyType, &'static [PropertyOwner])] = &[
                $(($id, PropertyType::$kind, &[$(PropertyOwner::$owner),+]),)*
                (USER_PROPERTY, PropertyType::Pair, &[
                    PropertyOwner::Connect, PropertyOwner::Will, PropertyOwner::Connack,
                    PropertyOwner::PublishFromClient, PropertyOwner::PublishFromServer,
                    PropertyOwner::Acknowledge, PropertyOwner::Subscribe, PropertyOwner::Suback,
                    PropertyOwner::Unsubscribe, PropertyOwner::Unsuback,
                    PropertyOwner::DisconnectFromClient, PropertyOwner::DisconnectFromServer,
                    PropertyOwner::Auth,
                ]),
            ];

            /// Its identifier.
            pub fn id(&self) -> u8 {
                match self {
                    $(Self::$name(_) => $id,)*
                    Self::UserProperty(..) => USER_PROPERTY,
                }
            }
        }

        impl<'a> Property<'a> {
            /// Reads the property behind its identifier.
            fn read(id: u8, reader: &mut Reader<'a>) -> Result<Self, Fault> {
                match id {
                    $($id => <$value>::read(reader, PropertyType::$kind)?
                        .map(Self::$name)
                        .ok_or(Fault::PropertyValue(id)),)*
                    USER_PROPERTY => Ok(Self::UserProperty(reader.text()?, reader.text()?)),
                    _ => Err(Fault::PropertyUnknown(id.into())),
                }
            }

            /// Bytes that it takes with its identifier.
            pub fn encoded_len(&self) -> usize {
                1 + match self {
                    $(Self::$name(value) => value.encoded_len(),)*
                    Self::UserProperty(name, value) => 4 + name.len() + value.len(),
                }
            }

            pub(super) fn write(&self, writer: &mut Writer<'_>) {
                writer.put_u8(self.id());
                match self {
                    $(Self::$name(value) => value.write(writer),)*
                    Self::UserProperty(name, value) => {
                        writer.put_length_prefixed(name.as_bytes());
                        writer.put_length_prefixed(value.as_bytes());
                    }
                }
            }
        }

        impl<'a> Properties<'a> {
            $($(#[$doc])*
            pub fn $getter(self) -> Option<$value> {
                self.iter().find_map(|property| match property {
                    Property::$name(value) => Some(value),
                    _ => None,
                })
            })*
        }
    };
}

const USER_PROPERTY: u8 = 38;
const SUBSCRIPTION_IDENTIFIER: u8 = 11;
const TOPIC_ALIAS: u8 = 35;

properties! {
    /// Whether the payload is UTF-8 text.
    1 PayloadFormatIndicator / payload_format_indicator: Flag -> bool,
        in PublishFromClient | PublishFromServer | Will;
    /// How long the message lives, in seconds.
    2 MessageExpiryInterval / message_expiry_interval: FourByte -> u32,
        in PublishFromClient | PublishFromServer | Will;
    /// What the payload is.
    3 ContentType / content_type: Text -> Text<'a>,
        in PublishFromClient | PublishFromServer | Will;
    /// Where an answer is expected; a name without wildcards [MQTT-3.3.2-14].
    8 ResponseTopic / response_topic: TopicName -> Text<'a>,
        in PublishFromClient | PublishFromServer | Will;
    /// What an answer must carry.
    9 CorrelationData / correlation_data: Binary -> Binary<'a>,
        in PublishFromClient | PublishFromServer | Will;
    /// The number of the subscription that matched, or is being made; a server's
    /// PUBLISH may have several, a client's none [MQTT-3.3.4-6].
    11 SubscriptionIdentifier / subscription_identifier: Variable -> SubscriptionIdentifier,
        in PublishFromServer | Subscribe;
    /// How long the session outlives its connection, in seconds; 0xFFFFFFFF is
    /// for ever. No server says it in DISCONNECT [MQTT-3.14.2-2].
    17 SessionExpiryInterval / session_expiry_interval: FourByte -> u32,
        in Connect | Connack | DisconnectFromClient;
    /// The client identifier that the server chose.
    18 AssignedClientIdentifier / assigned_client_identifier: Text -> Text<'a>, in Connack;
    /// The keep-alive that the server wants instead, in seconds.
    19 ServerKeepAlive / server_keep_alive: TwoByte -> u16, in Connack;
    /// The name of the authentication method.
    21 AuthenticationMethod / authentication_method: Text -> Text<'a>, in Connect | Connack | Auth;
    /// What the authentication method exchanges.
    22 AuthenticationData / authentication_data: Binary -> Binary<'a>, in Connect | Connack | Auth;
    /// Whether reason strings and user properties may come with failures.
    23 RequestProblemInformation / request_problem_information: Flag -> bool, in Connect;
    /// How long a will waits, in seconds.
    24 WillDelayInterval / will_delay_interval: FourByte -> u32, in Will;
    /// Whether the client would like response information.
    25 RequestResponseInformation / request_response_information: Flag -> bool, in Connect;
    /// What a client may make response topics of.
    26 ResponseInformation / response_information: Text -> Text<'a>, in Connack;
    /// Another server to use.
    28 ServerReference / server_reference: Text -> Text<'a>,
        in Connack | DisconnectFromClient | DisconnectFromServer;
    /// The reason, for people.
    31 ReasonString / reason_string: Text -> Text<'a>,
        in Connack | Acknowledge | Suback | Unsuback | DisconnectFromClient
            | DisconnectFromServer | Auth;
    /// How many QoS 1 and 2 messages its sender takes at once, 1 to 65,535.
    33 ReceiveMaximum / receive_maximum: TwoByteNonZero -> u16, in Connect | Connack;
    /// The highest topic alias that its sender takes.
    34 TopicAliasMaximum / topic_alias_maximum: TwoByte -> u16, in Connect | Connack;
    /// A number that stands for a topic, 1 to 65,535 [MQTT-3.3.2-8].
    35 TopicAlias / topic_alias: TwoByteNonZero -> u16, in PublishFromClient | PublishFromServer;
    /// The highest QoS that the server takes: 1 if set, else 0. Without the
    /// property it is 2.
    36 MaximumQos / maximum_qos: Flag -> bool, in Connack;
    /// Whether the server keeps retained messages.
    37 RetainAvailable / retain_available: Flag -> bool, in Connack;
    /// The largest packet that its sender takes, in bytes, not zero.
    39 MaximumPacketSize / maximum_packet_size: FourByteNonZero -> u32, in Connect | Connack;
    /// Whether the server takes wildcards.
    40 WildcardSubscriptionAvailable / wildcard_subscription_available: Flag -> bool, in Connack;
    /// Whether the server takes subscription identifiers.
    41 SubscriptionIdentifierAvailable / subscription_identifier_available: Flag -> bool,
        in Connack;
    /// Whether the server takes shared subscriptions.
    42 SharedSubscriptionAvailable / shared_subscription_available: Flag -> bool, in Connack;
}

/// For each identifier, the owners it may stand in.
const OWNERS: [u16; 43] = {
    let mut owners = [0; 43];
    let mut row = 0;
    while row < Property::TABLE.len() {
        let (id, _, may_stand_in) = Property::TABLE[row];
        let mut owner = 0;
        while owner < may_stand_in.len() {
            owners[id as usize] |= may_stand_in[owner] as u16;
            owner += 1;
        }
        row += 1;
    }
    owners
};

/// The properties of one packet or will, checked, in the order they were sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Properties<'a> {
    block: &'a [u8],
}

impl<'a> Properties<'a> {
    /// None at all.
    pub const EMPTY: Properties<'static> = Properties { block: &[] };

    /// A block that was checked before, without its length.
    pub(super) fn from_checked(block: &'a [u8]) -> Self {
        Self { block }
    }

    /// Takes a block in, without its length.
    ///
    /// # Errors
    /// Any fault of a property: unknown, misplaced, repeated, or of a value that
    /// it may not have (section 2.2.2.2 and each property's own).
    pub fn new(block: &'a [u8], owner: PropertyOwner) -> Result<Self, Fault> {
        let mut seen = 0_u64;
        let mut reader = Reader::new(block);
        while !reader.is_empty() {
            let id = reader.variable_byte_integer()?;
            let unknown = Fault::PropertyUnknown(id);
            let id = u8::try_from(id).map_err(|_| unknown)?;
            match OWNERS.get(usize::from(id)) {
                None | Some(0) => return Err(unknown),
                Some(owners) if owners & owner as u16 != 0 => {}
                // Section 2.2.2.2 calls malformed what the packet type does not
                // have; what only its sender may not say is a protocol error.
                Some(owners) if owners & owner.other_end() != 0 => {
                    return Err(Fault::PropertyOfOtherEnd(id));
                }
                Some(_) => return Err(Fault::PropertyMisplaced(id)),
            }
            let repeats = id == USER_PROPERTY
                || id == SUBSCRIPTION_IDENTIFIER && owner == PropertyOwner::PublishFromServer;
            if seen & (1 << id) != 0 && !repeats {
                return Err(Fault::PropertyRepeated(id));
            }
            seen |= 1 << id;
            Property::read(id, &mut reader).map_err(|fault| match fault {
                Fault::PropertyValue(TOPIC_ALIAS) => Fault::TopicAliasZero,
                other => other,
            })?;
        }
        Ok(Self { block })
    }

    /// Reads the length and the block; before MQTT 5 there are none.
    #[inline(always)]
    pub(super) fn read(
        reader: &mut Reader<'a>,
        version: Version,
        owner: PropertyOwner,
    ) -> Result<Self, Fault> {
        if version != Version::V5 {
            return Ok(Self::EMPTY);
        }
        let length = reader.variable_byte_integer()?;
        if length == 0 {
            return Ok(Self::EMPTY);
        }
        Self::new(reader.bytes(length as usize)?, owner)
    }

    /// Each property, in the order sent.
    pub fn iter(self) -> impl Iterator<Item = Property<'a>> {
        let mut reader = Reader::new(self.block);
        core::iter::from_fn(move || {
            let id = reader.u8().ok()?;
            Property::read(id, &mut reader).ok()
        })
    }

    /// Each user property, in the order sent.
    pub fn user_properties(self) -> impl Iterator<Item = (Text<'a>, Text<'a>)> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// Each subscription identifier, in the order sent.
    pub fn subscription_identifiers(self) -> impl Iterator<Item = SubscriptionIdentifier> {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(identifier) => Some(identifier),
            _ => None,
        })
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.block.is_empty()
    }

    /// The block as it was sent, without its length.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.block
    }

    /// Bytes of the block and its length, which MQTT 5 has even of none
    /// [MQTT-2.2.2-1].
    pub(super) fn encoded_len(self, version: Version) -> usize {
        match version {
            Version::V31 | Version::V311 => 0,
            Version::V5 => VariableByteInteger::len(self.block.len()) + self.block.len(),
        }
    }

    pub(super) fn write(self, writer: &mut Writer<'_>, version: Version) {
        if version == Version::V5 {
            writer.put_variable_byte_integer(self.block.len());
            writer.put(self.block);
        }
    }

    /// Checks what [MQTT 5 sections 3.1.2.11.10 and 3.15.2.2.3] say of
    /// authentication data: not without a method.
    pub(super) fn check_authentication(self) -> Result<(), Fault> {
        if self.authentication_data().is_some() && self.authentication_method().is_none() {
            return Err(Fault::AuthenticationMethodMissing);
        }
        Ok(())
    }
}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// How a property's value is read and written, by the Rust type that holds it.
trait Value<'a>: Sized {
    /// `None` for a value that the type on the wire does not allow.
    fn read(reader: &mut Reader<'a>, kind: PropertyType) -> Result<Option<Self>, Fault>;
    fn encoded_len(&self) -> usize;
    fn write(&self, writer: &mut Writer<'_>);
}

impl<'a> Value<'a> for bool {
    fn read(reader: &mut Reader<'a>, _: PropertyType) -> Result<Option<Self>, Fault> {
        Ok(match reader.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        })
    }

    fn encoded_len(&self) -> usize {
        1
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.put_u8((*self).into());
    }
}

impl<'a> Value<'a> for u16 {
    fn read(reader: &mut Reader<'a>, kind: PropertyType) -> Result<Option<Self>, Fault> {
        let value = reader.u16()?;
        Ok((value != 0 || kind != PropertyType::TwoByteNonZero).then_some(value))
    }

    fn encoded_len(&self) -> usize {
        2
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.put_u16(*self);
    }
}

impl<'a> Value<'a> for u32 {
    fn read(reader: &mut Reader<'a>, kind: PropertyType) -> Result<Option<Self>, Fault> {
        let value = reader.u32()?;
        Ok((value != 0 || kind != PropertyType::FourByteNonZero).then_some(value))
    }

    fn encoded_len(&self) -> usize {
        4
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.put_u32(*self);
    }
}

impl<'a> Value<'a> for SubscriptionIdentifier {
    fn read(reader: &mut Reader<'a>, _: PropertyType) -> Result<Option<Self>, Fault> {
        reader.variable_byte_integer().map(Self::new)
    }

    fn encoded_len(&self) -> usize {
        VariableByteInteger::len(self.get() as usize)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.put_variable_byte_integer(self.get() as usize);
    }
}

impl<'a> Value<'a> for Text<'a> {
    fn read(reader: &mut Reader<'a>, kind: PropertyType) -> Result<Option<Self>, Fault> {
        let text = reader.text()?;
        let allowed = kind != PropertyType::TopicName || TopicName::new(&text).is_ok();
        Ok(allowed.then_some(text))
    }

    fn encoded_len(&self) -> usize {
        2 + self.as_str().len()
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.put_length_prefixed(self.as_bytes());
    }
}

impl<'a> Value<'a> for Binary<'a> {
    fn read(reader: &mut Reader<'a>, _: PropertyType) -> Result<Option<Self>, Fault> {
        reader.binary().map(Some)
    }

    fn encoded_len(&self) -> usize {
        2 + self.as_bytes().len()
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.put_length_prefixed(self.as_bytes());
    }
}
