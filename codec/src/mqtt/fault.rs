//! What a peer can do wrong within one packet, and what it is told.

use super::{Kind, ReasonCode, Version};
use core::fmt;

/// One fault of a peer, found in the bytes of one packet. Nothing of the packet
/// takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A packet type that the version keeps reserved.
    PacketTypeReserved(u8),
    /// Flags in the fixed header that this packet type does not have.
    FlagsReserved(Kind),
    /// A length that goes on after four bytes or, in MQTT 5, is not the
    /// shortest way to say it.
    VariableByteInteger,
    /// The fixed header announces more than the receiver takes.
    PacketTooLarge,
    /// The packet ends before its fields do.
    Truncated,
    /// The packet goes on after its last field.
    TrailingBytes,
    /// A packet that this end never sends: a SUBACK from a client, for instance.
    WrongDirection(Kind),
    /// The first packet of a connection is not CONNECT.
    NotConnect(Kind),
    /// CONNECT on a connection that has one already.
    SecondConnect,

    /// A string that is not well-formed UTF-8.
    TextEncoding,
    /// A string that holds U+0000.
    TextNul,
    /// A string or binary field over 65,535 bytes; no peer can send one.
    FieldTooLong,
    /// A topic name without a character.
    TopicEmpty,
    /// A topic name with `#` or `+` in it.
    TopicWildcard,
    /// A topic filter without a character.
    FilterEmpty,
    /// `#` or `+` in a place where they may not stand.
    FilterWildcard,
    /// A filter that begins with `$share` and is no shared subscription.
    SharedFilter,
    /// Packet identifier 0.
    PacketIdZero,
    /// Quality of service 3.
    QosReserved,
    /// DUP on a message of QoS 0.
    DupAtQos0,
    /// No topic name, and no topic alias that stands for one.
    TopicMissing,

    /// A protocol name that is not MQTT's.
    ProtocolName,
    /// A protocol level that is not served.
    ProtocolLevel(u8),
    /// The reserved bit of the connect flags.
    ConnectFlagReserved,
    /// Will QoS or Will Retain without a will.
    WillFlags,
    /// A password flag without a user name flag, where the version forbids it.
    PasswordWithoutUserName,
    /// A client identifier that the version does not allow.
    ClientId,
    /// Bits in the acknowledge flags of CONNACK that are reserved.
    AcknowledgeFlagsReserved,
    /// A refusal that claims to have a session.
    SessionPresentOnRefusal,

    /// A property identifier that the standard does not have.
    PropertyUnknown(u32),
    /// A property that this type of packet does not have.
    PropertyMisplaced(u8),
    /// A property that this type of packet has, but only from the other end.
    PropertyOfOtherEnd(u8),
    /// A property that may stand there once, twice.
    PropertyRepeated(u8),
    /// A value that this property may not have.
    PropertyValue(u8),
    /// Topic alias 0.
    TopicAliasZero,
    /// Authentication data, or an AUTH packet, that names no method.
    AuthenticationMethodMissing,
    /// A reason or return code that may not stand in this packet.
    ReasonCode(u8),

    /// SUBSCRIBE or UNSUBSCRIBE without a filter.
    NoFilters,
    /// SUBACK or UNSUBACK without a code.
    NoReasonCodes,
    /// Reserved bits of the subscription options.
    SubscriptionOptionsReserved,
    /// Maximum QoS 3 in the subscription options.
    SubscriptionQosReserved,
    /// Retain Handling 3.
    RetainHandlingReserved,
    /// No Local on a shared subscription.
    NoLocalOnShared,
}

/// What the receiver does about a fault; the connection is closed in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Closes, without a word.
    Close,
    /// Sends CONNACK with this reason first, in the form of this version.
    Connack(Version, ReasonCode),
    /// Sends DISCONNECT with this reason first (MQTT 5 only).
    Disconnect(ReasonCode),
}

impl Fault {
    /// The reason code of MQTT 5 for it: Malformed Packet where the bytes do not
    /// parse, Protocol Error where they parse and break a rule (section 4.13),
    /// or the more telling code where the standard has one. Topic Name Invalid
    /// and Topic Filter Invalid are not such codes: both are for what is
    /// correctly formed and not accepted (sections 3.2.2.2 and 3.14.2.1).
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::PacketTypeReserved(_)
            | Self::FlagsReserved(_)
            | Self::VariableByteInteger
            | Self::Truncated
            | Self::TrailingBytes
            | Self::TextEncoding
            | Self::TextNul
            | Self::FieldTooLong
            | Self::TopicEmpty
            | Self::TopicWildcard
            | Self::FilterEmpty
            | Self::FilterWildcard
            | Self::SharedFilter
            | Self::QosReserved
            | Self::DupAtQos0
            | Self::ConnectFlagReserved
            | Self::WillFlags
            | Self::PasswordWithoutUserName
            | Self::AcknowledgeFlagsReserved
            | Self::PropertyUnknown(_)
            | Self::PropertyMisplaced(_)
            | Self::ReasonCode(_)
            | Self::SubscriptionOptionsReserved => ReasonCode::MalformedPacket,
            Self::WrongDirection(_)
            | Self::NotConnect(_)
            | Self::SecondConnect
            | Self::PacketIdZero
            | Self::TopicMissing
            | Self::SessionPresentOnRefusal
            | Self::PropertyOfOtherEnd(_)
            | Self::PropertyRepeated(_)
            | Self::PropertyValue(_)
            | Self::AuthenticationMethodMissing
            | Self::NoFilters
            | Self::NoReasonCodes
            | Self::SubscriptionQosReserved
            | Self::RetainHandlingReserved
            | Self::NoLocalOnShared => ReasonCode::ProtocolError,
            Self::ProtocolName | Self::ProtocolLevel(_) => ReasonCode::UnsupportedProtocolVersion,
            Self::ClientId => ReasonCode::ClientIdentifierNotValid,
            Self::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            Self::PacketTooLarge => ReasonCode::PacketTooLarge,
        }
    }

    /// What to do about a fault on a connection that is established: MQTT 5
    /// lets either end say why (section 4.13), MQTT 3 only closes
    /// [MQTT3-4.8.0-1].
    pub fn answer(self, version: Version) -> Answer {
        match version {
            Version::V31 | Version::V311 => Answer::Close,
            Version::V5 => Answer::Disconnect(self.reason()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PacketTypeReserved(kind) => write!(formatter, "packet type {kind} is reserved"),
            Self::FlagsReserved(kind) => write!(formatter, "{kind:?} has other fixed header flags"),
            Self::VariableByteInteger => {
                formatter.write_str("a length is not encoded as it must be")
            }
            Self::PacketTooLarge => formatter.write_str("the packet is larger than allowed"),
            Self::Truncated => formatter.write_str("the packet ends before its fields do"),
            Self::TrailingBytes => formatter.write_str("the packet goes on after its last field"),
            Self::WrongDirection(kind) => write!(formatter, "this end never sends {kind:?}"),
            Self::NotConnect(kind) => {
                write!(formatter, "the first packet is {kind:?}, not Connect")
            }
            Self::SecondConnect => formatter.write_str("a second Connect"),
            Self::TextEncoding => formatter.write_str("a string is not UTF-8"),
            Self::TextNul => formatter.write_str("a string holds U+0000"),
            Self::FieldTooLong => formatter.write_str("a field is longer than 65535 bytes"),
            Self::TopicEmpty => formatter.write_str("the topic name is empty"),
            Self::TopicWildcard => formatter.write_str("the topic name holds a wildcard"),
            Self::FilterEmpty => formatter.write_str("the topic filter is empty"),
            Self::FilterWildcard => formatter.write_str("a wildcard stands where it may not"),
            Self::SharedFilter => formatter.write_str("not of the form $share/name/filter"),
            Self::PacketIdZero => formatter.write_str("packet identifier 0"),
            Self::QosReserved => formatter.write_str("QoS 3"),
            Self::DupAtQos0 => formatter.write_str("DUP at QoS 0"),
            Self::TopicMissing => formatter.write_str("neither topic name nor topic alias"),
            Self::ProtocolName => formatter.write_str("the protocol name is not MQTT"),
            Self::ProtocolLevel(level) => write!(formatter, "protocol level {level} is not served"),
            Self::ConnectFlagReserved => formatter.write_str("the reserved connect flag is set"),
            Self::WillFlags => formatter.write_str("will flags without a will"),
            Self::PasswordWithoutUserName => formatter.write_str("a password without a user name"),
            Self::ClientId => formatter.write_str("the client identifier is not allowed"),
            Self::AcknowledgeFlagsReserved => formatter.write_str("reserved acknowledge flags"),
            Self::SessionPresentOnRefusal => formatter.write_str("a refusal with session present"),
            Self::PropertyUnknown(id) => write!(formatter, "there is no property {id}"),
            Self::PropertyMisplaced(id) => write!(formatter, "property {id} may not stand here"),
            Self::PropertyOfOtherEnd(id) => {
                write!(formatter, "this end never sends property {id} here")
            }
            Self::PropertyRepeated(id) => write!(formatter, "property {id} stands here twice"),
            Self::PropertyValue(id) => write!(formatter, "property {id} may not have this value"),
            Self::TopicAliasZero => formatter.write_str("topic alias 0"),
            Self::AuthenticationMethodMissing => formatter.write_str("no authentication method"),
            Self::ReasonCode(code) => write!(formatter, "code {code:#04x} may not stand here"),
            Self::NoFilters => formatter.write_str("no topic filter"),
            Self::NoReasonCodes => formatter.write_str("no reason code"),
            Self::SubscriptionOptionsReserved => {
                formatter.write_str("reserved subscription options are set")
            }
            Self::SubscriptionQosReserved => formatter.write_str("a subscription at QoS 3"),
            Self::RetainHandlingReserved => formatter.write_str("retain handling 3"),
            Self::NoLocalOnShared => formatter.write_str("No Local on a shared subscription"),
        }
    }
}

impl core::error::Error for Fault {}
