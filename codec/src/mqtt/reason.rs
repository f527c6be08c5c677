//! Reason codes of MQTT 5 (section 2.4), and what MQTT 3 has instead.

use super::{Fault, Kind, Version};

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// Why something was done or refused: section 2.4 of MQTT 5.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode { $($(#[$doc])* $name = $value,)* }

        impl ReasonCode {
            /// Every code that the standard has, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code of that number, if the standard has it.
            pub fn from_u8(number: u8) -> Option<Self> {
                match number {
                    $($value => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

reason_codes! {
    /// Success; normal disconnection; granted QoS 0.
    Success = 0x00,
    /// The subscription was accepted with QoS 1 at most.
    GrantedQos1 = 0x01,
    /// The subscription was accepted with QoS 2 at most.
    GrantedQos2 = 0x02,
    /// The client leaves and wants its will published all the same.
    DisconnectWithWill = 0x04,
    /// The message was taken; nobody subscribes to it.
    NoMatchingSubscribers = 0x10,
    /// There was nothing to unsubscribe.
    NoSubscriptionExisted = 0x11,
    /// The authentication goes on with another step.
    ContinueAuthentication = 0x18,
    /// The client begins to authenticate again.
    ReAuthenticate = 0x19,
    /// The sender does not want to say, or no other code fits.
    UnspecifiedError = 0x80,
    /// The packet does not parse.
    MalformedPacket = 0x81,
    /// The packet parses, and breaks the rules.
    ProtocolError = 0x82,
    /// The packet is right, and this implementation does not take it.
    ImplementationSpecificError = 0x83,
    /// The protocol version is not served.
    UnsupportedProtocolVersion = 0x84,
    /// The client identifier is not allowed.
    ClientIdentifierNotValid = 0x85,
    /// User name or password were not accepted.
    BadUserNameOrPassword = 0x86,
    /// The client may not do this.
    NotAuthorized = 0x87,
    /// The server is not there.
    ServerUnavailable = 0x88,
    /// The server is busy: try again later.
    ServerBusy = 0x89,
    /// This client was banned by an administrator.
    Banned = 0x8A,
    /// The server is going down.
    ServerShuttingDown = 0x8B,
    /// The authentication method is not offered, or not the one in use.
    BadAuthenticationMethod = 0x8C,
    /// Nothing came within 1.5 times the keep-alive.
    KeepAliveTimeout = 0x8D,
    /// Another connection took the session over.
    SessionTakenOver = 0x8E,
    /// The topic filter is well formed, and not accepted here.
    TopicFilterInvalid = 0x8F,
    /// The topic name is well formed, and not accepted here.
    TopicNameInvalid = 0x90,
    /// The packet identifier is in use already.
    PacketIdentifierInUse = 0x91,
    /// Nothing is known of this packet identifier.
    PacketIdentifierNotFound = 0x92,
    /// More messages in flight than the receive maximum.
    ReceiveMaximumExceeded = 0x93,
    /// The topic alias is zero or above the maximum.
    TopicAliasInvalid = 0x94,
    /// The packet is larger than the maximum packet size.
    PacketTooLarge = 0x95,
    /// Too many messages in too short a time.
    MessageRateTooHigh = 0x96,
    /// A limit of implementation or administration was passed.
    QuotaExceeded = 0x97,
    /// An administrator wants it so.
    AdministrativeAction = 0x98,
    /// The payload is not what its format indicator says.
    PayloadFormatInvalid = 0x99,
    /// Retained messages are not offered.
    RetainNotSupported = 0x9A,
    /// This quality of service is not offered.
    QosNotSupported = 0x9B,
    /// Another server should be used for now.
    UseAnotherServer = 0x9C,
    /// Another server should be used for good.
    ServerMoved = 0x9D,
    /// Shared subscriptions are not offered.
    SharedSubscriptionsNotSupported = 0x9E,
    /// Too many connections in too short a time.
    ConnectionRateExceeded = 0x9F,
    /// The connection had all the time it was granted.
    MaximumConnectTime = 0xA0,
    /// Subscription identifiers are not offered.
    SubscriptionIdentifiersNotSupported = 0xA1,
    /// Wildcard subscriptions are not offered.
    WildcardSubscriptionsNotSupported = 0xA2,
}

impl ReasonCode {
    /// Whether it says that something was not done (0x80 and above).
    pub fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether packets of that kind may carry it, by the tables of MQTT 5:
    /// CONNACK [MQTT-3.2.2-8], PUBACK [MQTT-3.4.2-1], PUBREC [MQTT-3.5.2-1],
    /// PUBREL [MQTT-3.6.2-1], PUBCOMP [MQTT-3.7.2-1], SUBACK [MQTT-3.9.3-2],
    /// UNSUBACK [MQTT-3.11.3-2], DISCONNECT [MQTT-3.14.2-1], AUTH [MQTT-3.15.2-1].
    pub fn may_stand_in(self, kind: Kind) -> bool {
        let number = self as u8;
        match kind {
            Kind::Connack => matches!(number,
                0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F),
            Kind::Puback | Kind::Pubrec => matches!(
                number,
                0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
            ),
            Kind::Pubrel | Kind::Pubcomp => matches!(number, 0x00 | 0x92),
            Kind::Suback => matches!(
                number,
                0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2
            ),
            Kind::Unsuback => matches!(number, 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91),
            Kind::Disconnect => matches!(number,
                0x00 | 0x04 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B | 0x8D..=0x90 | 0x93..=0xA2),
            Kind::Auth => matches!(number, 0x00 | 0x18 | 0x19),
            Kind::Connect
            | Kind::Publish
            | Kind::Subscribe
            | Kind::Unsubscribe
            | Kind::Pingreq
            | Kind::Pingresp => false,
        }
    }

    /// The code of that number, if packets of that kind may carry it.
    pub(super) fn read(number: u8, kind: Kind) -> Result<Self, Fault> {
        Self::from_u8(number)
            .filter(|code| code.may_stand_in(kind))
            .ok_or(Fault::ReasonCode(number))
    }

    /// Its number, for a packet of that kind.
    ///
    /// # Panics
    /// If such a packet may not carry it: whoever made the packet is wrong.
    pub(super) fn checked_for(self, kind: Kind) -> u8 {
        assert!(self.may_stand_in(kind), "{self:?} in {kind:?}");
        self as u8
    }

    /// What a CONNACK of MQTT 3 says for it: five refusals are all it has, so
    /// several reasons share one (3.1.1 section 3.2.2.3). `None` where none fits: the
    /// connection is then closed without CONNACK [MQTT3-3.2.2-6].
    pub fn to_return_code(self) -> Option<u8> {
        match self {
            Self::Success => Some(0),
            Self::UnsupportedProtocolVersion => Some(1),
            Self::ClientIdentifierNotValid => Some(2),
            Self::ServerUnavailable
            | Self::ServerBusy
            | Self::QuotaExceeded
            | Self::UseAnotherServer
            | Self::ServerMoved
            | Self::ConnectionRateExceeded => Some(3),
            Self::BadUserNameOrPassword | Self::BadAuthenticationMethod => Some(4),
            Self::NotAuthorized | Self::Banned => Some(5),
            _ => None,
        }
    }

    /// What a return code in a CONNACK of MQTT 3 means.
    ///
    /// # Errors
    /// [`Fault::ReasonCode`] for the reserved ones, 6 and above.
    pub fn from_return_code(code: u8) -> Result<Self, Fault> {
        match code {
            0 => Ok(Self::Success),
            1 => Ok(Self::UnsupportedProtocolVersion),
            2 => Ok(Self::ClientIdentifierNotValid),
            3 => Ok(Self::ServerUnavailable),
            4 => Ok(Self::BadUserNameOrPassword),
            5 => Ok(Self::NotAuthorized),
            _ => Err(Fault::ReasonCode(code)),
        }
    }
}

/// The codes of a SUBACK or UNSUBACK, one per filter, each checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReasonCodes<'a>(&'a [u8]);

impl<'a> ReasonCodes<'a> {
    /// Takes the codes of a SUBACK or UNSUBACK of MQTT 5 in.
    ///
    /// # Errors
    /// [`Fault::ReasonCode`] with the first that may not stand there,
    /// [`Fault::NoReasonCodes`] when there is none.
    pub fn new(codes: &'a [u8], kind: Kind) -> Result<Self, Fault> {
        if codes.is_empty() {
            return Err(Fault::NoReasonCodes);
        }
        for &number in codes {
            ReasonCode::read(number, kind)?;
        }
        Ok(Self(codes))
    }

    /// The codes of a SUBACK as `version` has them: MQTT 3.1 cannot refuse, and
    /// 3.1.1 has one code for it [MQTT3-3.9.3-2].
    pub(super) fn read_suback(codes: &'a [u8], version: Version) -> Result<Self, Fault> {
        let highest = match version {
            Version::V31 => 0x02,
            Version::V311 => 0x80,
            Version::V5 => 0xFF,
        };
        match codes.iter().find(|&&code| code > highest) {
            Some(&code) => Err(Fault::ReasonCode(code)),
            None => Self::new(codes, Kind::Suback),
        }
    }

    /// The codes, in the order of the filters they answer.
    pub fn iter(self) -> impl ExactSizeIterator<Item = ReasonCode> + 'a {
        let known =
            |&number: &u8| ReasonCode::from_u8(number).unwrap_or(ReasonCode::UnspecifiedError);
        self.0.iter().map(known)
    }

    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_are_the_same_thing() {
        assert_eq!(ReasonCode::ALL.len(), 43);
        assert!(ReasonCode::ALL.is_sorted());
        for number in 0..=u8::MAX {
            let code = ReasonCode::from_u8(number);
            let listed = ReasonCode::ALL.iter().find(|code| **code as u8 == number);
            assert_eq!(code, listed.copied());
        }
    }

    #[test]
    fn return_codes_go_there_and_back() {
        for code in 0..=5 {
            let reason = ReasonCode::from_return_code(code).unwrap();
            assert_eq!(reason.to_return_code(), Some(code));
        }
        assert_eq!(ReasonCode::from_return_code(6), Err(Fault::ReasonCode(6)));
        assert_eq!(ReasonCode::ServerBusy.to_return_code(), Some(3));
        assert_eq!(ReasonCode::Banned.to_return_code(), Some(5));
        assert_eq!(ReasonCode::MalformedPacket.to_return_code(), None);
    }
}
