//! Why a newcomer is turned away, and the bytes that tell it.

use ringcast_codec::mqtt::{
    Answer, Connack, ConnectFault, Disconnect, Fault, Packet, Properties, ReasonCode, Version,
};

macro_rules! refusals {
    ($($(#[$doc:meta])* $refusal:ident = $name:literal,)*) => {
        /// Why a newcomer was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Refusal { $($(#[$doc])* $refusal,)* }

        impl Refusal {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$refusal,)*];

            /// What metrics call it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$refusal => $name,)*
                }
            }
        }
    };
}

refusals! {
    /// Its address has as many connections as one address may have.
    AddressFull = "address_full",
    /// What it sent is not a CONNECT, or a wrong one.
    Malformed = "malformed",
    /// A version of MQTT that is not served.
    ProtocolVersion = "protocol_version",
    /// A client identifier that its version does not allow.
    ClientIdentifier = "client_identifier",
    /// A CONNECT of more than `connect_bytes_max`.
    PacketTooLarge = "packet_too_large",
    /// It wants an extended authentication; none is offered.
    AuthenticationMethod = "authentication_method",
    /// Its address, client identifier or user is banned.
    Banned = "banned",
    /// It may not connect, whatever its password.
    NotAuthorized = "not_authorized",
    /// There is no such user, or the password is another.
    BadUserNameOrPassword = "bad_user_name_or_password",
    /// Too many wait for their authentication, or too long for their home shard.
    ServerBusy = "server_busy",
    /// The server is going down, or its home shard is gone.
    ServerUnavailable = "server_unavailable",
}

impl Refusal {
    /// How CONNACK puts it.
    fn reason(self) -> ReasonCode {
        match self {
            Self::AddressFull => ReasonCode::ConnectionRateExceeded,
            Self::Malformed => ReasonCode::MalformedPacket,
            Self::ProtocolVersion => ReasonCode::UnsupportedProtocolVersion,
            Self::ClientIdentifier => ReasonCode::ClientIdentifierNotValid,
            Self::PacketTooLarge => ReasonCode::PacketTooLarge,
            Self::AuthenticationMethod => ReasonCode::BadAuthenticationMethod,
            Self::Banned => ReasonCode::Banned,
            Self::NotAuthorized => ReasonCode::NotAuthorized,
            Self::BadUserNameOrPassword => ReasonCode::BadUserNameOrPassword,
            Self::ServerBusy => ReasonCode::ServerBusy,
            Self::ServerUnavailable => ReasonCode::ServerUnavailable,
        }
    }

    fn of(fault: Fault) -> Self {
        match fault {
            Fault::ProtocolLevel(_) => Self::ProtocolVersion,
            Fault::ClientId => Self::ClientIdentifier,
            Fault::PacketTooLarge => Self::PacketTooLarge,
            _ => Self::Malformed,
        }
    }
}

/// A refusal, with what is answered to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TurnedAway {
    pub(crate) refusal: Refusal,
    answer: Answer,
}

impl TurnedAway {
    /// Someone whose CONNECT is right.
    pub(crate) fn new(version: Version, refusal: Refusal) -> Self {
        Self {
            refusal,
            answer: Answer::Connack(version, refusal.reason()),
        }
    }

    /// The packet to send before the connection is closed, if there is one.
    pub(crate) fn packet(&self) -> Option<Box<[u8]>> {
        let (version, packet) = match self.answer {
            Answer::Close => return None,
            // [MQTT3-3.2.2-6]: where MQTT 3 has no code for it, nothing is said.
            Answer::Connack(Version::V31 | Version::V311, reason)
                if reason.to_return_code().is_none() =>
            {
                return None;
            }
            Answer::Connack(version, reason) => {
                let properties = Properties::EMPTY;
                let connack = Connack {
                    session_present: false,
                    reason,
                    properties,
                };
                (version, Packet::Connack(connack))
            }
            Answer::Disconnect(reason) => {
                let properties = Properties::EMPTY;
                let disconnect = Disconnect { reason, properties };
                (Version::V5, Packet::Disconnect(disconnect))
            }
        };
        let bytes = packet.encoded_len(version).expect("has no long part");
        let mut encoded = vec![0; bytes].into_boxed_slice();
        packet
            .encode(version, &mut encoded)
            .expect("its length could be told");
        Some(encoded)
    }
}

impl From<ConnectFault> for TurnedAway {
    fn from(fault: ConnectFault) -> Self {
        Self {
            refusal: Refusal::of(fault.fault),
            answer: fault.answer(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pairs, those too that do not come up: none may panic.
    #[test]
    fn every_refusal_has_its_form_in_every_version() {
        // The return code of MQTT 3, if there is one, and the reason of MQTT 5.
        let codes = |refusal| match refusal {
            Refusal::Malformed => (None, 0x81),
            Refusal::PacketTooLarge => (None, 0x95),
            Refusal::ProtocolVersion => (Some(1), 0x84),
            Refusal::ClientIdentifier => (Some(2), 0x85),
            Refusal::ServerBusy => (Some(3), 0x89),
            Refusal::ServerUnavailable => (Some(3), 0x88),
            Refusal::AddressFull => (Some(3), 0x9F),
            Refusal::BadUserNameOrPassword => (Some(4), 0x86),
            Refusal::AuthenticationMethod => (Some(4), 0x8C),
            Refusal::NotAuthorized => (Some(5), 0x87),
            Refusal::Banned => (Some(5), 0x8A),
        };
        for &refusal in Refusal::ALL {
            let (return_code, reason) = codes(refusal);
            for version in [Version::V31, Version::V311] {
                let packet = TurnedAway::new(version, refusal).packet();
                let expected = return_code.map(|code| vec![0x20, 2, 0, code].into());
                assert_eq!(packet, expected, "{refusal:?} {version:?}");
            }
            let packet = TurnedAway::new(Version::V5, refusal).packet();
            assert_eq!(
                packet,
                Some(vec![0x20, 3, 0, reason, 0].into()),
                "{refusal:?}"
            );
        }
    }

    /// Not what the codec answers to a CONNECT today, but it may.
    #[test]
    fn a_disconnect_is_one_of_mqtt_5() {
        let turned_away = TurnedAway {
            refusal: Refusal::Malformed,
            answer: Answer::Disconnect(ReasonCode::MalformedPacket),
        };
        assert_eq!(turned_away.packet().as_deref(), Some(&b"\xE0\x01\x81"[..]));
    }
}
