//! The ways in which mqttbytes is known to differ, each as narrow as it can be
//! told from the bytes. What none of them covers fails the test.
//!
//! `docs/conformance/differences-mqttbytes.md` says of each what the standard says.

use super::neutral::Lines;
use mqttbytes::Error;
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{Decoder, Fault, Frame, PACKET_BYTES_MAX, Sender, Version};

/// What mqttbytes made of the bytes.
#[derive(Debug)]
pub(crate) enum Theirs {
    Packet(Lines),
    Refused(Error),
    Panicked,
}

/// The same bytes, read by both.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    /// Which of their readers: 3.1.1 or 5.
    pub(crate) version: Version,
    pub(crate) sender: Sender,
    pub(crate) bytes: &'a [u8],
    /// The version that a CONNECT names, and that all others are read in.
    pub(crate) our_version: Version,
    pub(crate) ours: Result<Progress<Lines>, Fault>,
    pub(crate) theirs: Theirs,
}

/// A way in which they differ.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    applies: fn(&Case<'_>) -> bool,
}

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;
const DISCONNECT: u8 = 14;
const AUTH: u8 = 15;

impl Case<'_> {
    /// Whether both say the same, or both nothing.
    pub(crate) fn agrees(&self) -> bool {
        match (&self.ours, &self.theirs) {
            (Ok(Progress::Done(ours, _)), Theirs::Packet(theirs)) => ours == theirs,
            (Ok(Progress::Partial { .. }), Theirs::Refused(error)) => is_insufficient(error),
            (Err(_), Theirs::Refused(error)) => !is_insufficient(error),
            _ => false,
        }
    }

    fn kind(&self) -> u8 {
        self.bytes[0] >> 4
    }

    fn is_v5(&self) -> bool {
        self.our_version == Version::V5
    }

    /// The body of a whole frame, and whether its length takes the fewest bytes.
    fn frame(&self) -> Option<(&[u8], bool)> {
        match Frame::cut(self.bytes, PACKET_BYTES_MAX) {
            Ok(Progress::Done(frame, consumed)) => {
                let header = consumed - frame.body.len();
                Some((frame.body, header == 2 || self.bytes[header - 1] != 0))
            }
            _ => None,
        }
    }

    /// The fault that we find where they see a packet.
    fn unnoticed(&self) -> Option<Fault> {
        match (&self.ours, &self.theirs) {
            (Err(fault), Theirs::Packet(_)) => Some(*fault),
            _ => None,
        }
    }

    /// The packets that both see.
    fn both(&self) -> Option<(&Lines, &Lines)> {
        match (&self.ours, &self.theirs) {
            (Ok(Progress::Done(ours, _)), Theirs::Packet(theirs)) => Some((ours, theirs)),
            _ => None,
        }
    }

    /// The error that they find where we see a packet.
    fn refused(&self) -> Option<&Error> {
        match (&self.ours, &self.theirs) {
            (Ok(Progress::Done(..)), Theirs::Refused(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether it would be a packet if the other end had sent it.
    fn is_right_from_other_end(&self) -> bool {
        let decoder = Decoder {
            version: self.our_version,
            sender: match self.sender {
                Sender::Client => Sender::Server,
                Sender::Server => Sender::Client,
            },
            packet_bytes_max: PACKET_BYTES_MAX,
        };
        matches!(decoder.decode(self.bytes), Ok(Progress::Done(..)))
    }

    fn holds(&self, text: &[u8]) -> bool {
        self.bytes.windows(text.len()).any(|window| window == text)
    }
}

fn is_insufficient(error: &Error) -> bool {
    matches!(error, Error::InsufficientBytes(_))
}

/// What can be wrong with properties that nobody looked at.
fn is_of_properties(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Truncated | Fault::TopicAliasZero | Fault::VariableByteInteger
    ) || format!("{fault:?}").starts_with("Property")
}

fn identifiers(lines: &Lines) -> usize {
    lines
        .iter()
        .filter(|line| line.starts_with("property 11:"))
        .count()
}

/// The first rule that covers a case which does not agree.
pub(crate) fn classify(case: &Case<'_>) -> Option<&'static str> {
    RULES
        .iter()
        .find(|rule| (rule.applies)(case))
        .map(|rule| rule.name)
}

macro_rules! rules {
    ($($name:literal: |$case:ident| $applies:expr;)*) => {
        /// All of them.
        pub(crate) const RULES: &[Rule] = &[
            $(Rule { name: $name, applies: |$case| $applies },)*
        ];
    };
}

rules! {
    // They have no such packet, or not this form of it.
    "auth-missing": |case|
        case.is_v5() && case.kind() == AUTH && case.refused() == Some(&Error::InvalidPacketType(15));
    "disconnect-short": |case|
        case.is_v5() && case.kind() == DISCONNECT && case.refused().is_some()
            && case.frame().is_some_and(|(body, _)| body.len() < 2);
    "password-is-text": |case|
        case.kind() == CONNECT && case.refused() == Some(&Error::TopicNotUtf8)
            && std::str::from_utf8(case.bytes).is_err();
    "connect-of-other-version": |case|
        case.kind() == CONNECT && case.our_version != case.version;

    // They see another packet.
    "credentials-empty": |case| case.kind() == CONNECT && case.both().is_some_and(|(ours, theirs)| {
        let without: Lines = ours
            .iter()
            .map(|line| line.replace("user: Some(\"\")", "user: None"))
            .map(|line| line.replace("password: Some([])", "password: None"))
            .collect();
        without != *ours && without == *theirs
    });
    "identifiers-counted-twice": |case|
        case.is_v5() && case.kind() == PUBLISH
            && case.both().is_some_and(|(ours, theirs)| {
                // All but the properties and the end of the payload is the same.
                let payload = ours[4].trim_start_matches("payload: [");
                identifiers(ours) >= 2 && ours[..4] == theirs[..4] && theirs[4].ends_with(payload)
            });
    "identifiers-counted-twice-over-a-fault": |case|
        case.is_v5()
            && [(PUBLISH, Sender::Server), (SUBSCRIBE, Sender::Client)]
                .contains(&(case.kind(), case.sender))
            && matches!(&case.theirs, Theirs::Packet(theirs) if identifiers(theirs) >= 1)
            && case.unnoticed().is_some_and(is_of_properties);

    // They wait for more of a frame that is whole, or know too late what it is.
    "complete-frame-waits": |case|
        case.is_v5() && case.ours.is_err() && case.frame().is_some()
            && matches!(&case.theirs, Theirs::Refused(error) if is_insufficient(error));
    "type-zero-waits": |case|
        case.kind() == 0 && case.ours == Err(Fault::PacketTypeReserved(0)) && case.frame().is_none()
            && matches!(&case.theirs, Theirs::Refused(error) if is_insufficient(error));

    // They do not check.
    "flags-reserved": |case| {
        let expected = if [6, SUBSCRIBE, UNSUBSCRIBE].contains(&case.kind()) { 2 } else { 0 };
        matches!(case.unnoticed(), Some(Fault::FlagsReserved(_))) && case.bytes[0] & 0xF != expected
    };
    "dup-at-qos-0": |case|
        case.unnoticed() == Some(Fault::DupAtQos0) && case.bytes[0] & 0xFE == 0x38;
    "length-not-shortest": |case|
        case.is_v5() && case.unnoticed() == Some(Fault::VariableByteInteger)
            && case.frame().is_some_and(|(_, shortest)| !shortest);
    "property-length-not-shortest": |case|
        case.is_v5() && case.unnoticed() == Some(Fault::VariableByteInteger)
            && case.frame().is_some_and(|(_, shortest)| shortest);
    "sender-unknown": |case|
        matches!(case.unnoticed(), Some(Fault::WrongDirection(_)));
    "sender-of-property-unknown": |case|
        case.is_v5() && [PUBLISH, DISCONNECT].contains(&case.kind())
            && case.unnoticed().is_some() && case.is_right_from_other_end();
    "trailing-bytes": |case| case.unnoticed() == Some(Fault::TrailingBytes);
    "packet-id-zero": |case|
        case.unnoticed() == Some(Fault::PacketIdZero) && case.kind() != PUBLISH
            && case.frame().is_some_and(|(body, _)| body.starts_with(&[0, 0]));
    "nul-in-text": |case| case.unnoticed() == Some(Fault::TextNul) && case.bytes.contains(&0);
    "topic-empty": |case| case.unnoticed() == Some(Fault::TopicEmpty);
    "topic-without-alias": |case|
        case.is_v5() && case.kind() == PUBLISH && case.unnoticed() == Some(Fault::TopicMissing)
            && case.frame().is_some_and(|(body, _)| body.starts_with(&[0, 0]));
    "topic-wildcard": |case|
        case.unnoticed() == Some(Fault::TopicWildcard)
            && (case.holds(b"+") || case.holds(b"#"));
    "filter-empty": |case|
        [SUBSCRIBE, UNSUBSCRIBE].contains(&case.kind())
            && case.unnoticed() == Some(Fault::FilterEmpty);
    "filter-wildcard": |case|
        case.unnoticed() == Some(Fault::FilterWildcard) && (case.holds(b"+") || case.holds(b"#"));
    "filter-shared": |case|
        case.is_v5() && case.unnoticed() == Some(Fault::SharedFilter) && case.holds(b"$share");
    "no-local-on-shared": |case|
        case.is_v5() && case.unnoticed() == Some(Fault::NoLocalOnShared)
            && case.holds(b"$share/");
    "no-filters": |case|
        [SUBSCRIBE, UNSUBSCRIBE].contains(&case.kind())
            && case.unnoticed() == Some(Fault::NoFilters);
    "options-reserved": |case|
        case.kind() == SUBSCRIBE && case.unnoticed() == Some(Fault::SubscriptionOptionsReserved);
    "connect-flag-reserved": |case|
        case.kind() == CONNECT && case.unnoticed() == Some(Fault::ConnectFlagReserved)
            && case.frame().is_some_and(|(body, _)| body[7] & 1 == 1);
    "password-without-user-name": |case|
        case.kind() == CONNECT && case.unnoticed() == Some(Fault::PasswordWithoutUserName)
            && case.frame().is_some_and(|(body, _)| body[7] & 0xC0 == 0x40);
    "client-id-empty": |case|
        case.kind() == CONNECT && case.unnoticed() == Some(Fault::ClientId)
            && case.frame().is_some_and(|(body, _)| body[7] & 2 == 0 && body[10..12] == [0, 0]);
    "connack-flags": |case|
        case.kind() == CONNACK && case.unnoticed() == Some(Fault::AcknowledgeFlagsReserved)
            && case.frame().is_some_and(|(body, _)| body[0] > 1);
    "session-on-refusal": |case|
        case.kind() == CONNACK && case.unnoticed() == Some(Fault::SessionPresentOnRefusal)
            && case.frame().is_some_and(|(body, _)| body[0] == 1 && body[1] != 0);
    "property-repeated": |case|
        case.is_v5() && matches!(case.unnoticed(), Some(Fault::PropertyRepeated(_)));
    "property-value": |case|
        case.is_v5() && matches!(case.unnoticed(), Some(Fault::PropertyValue(id)) if id != 8);
    "response-topic-wildcard": |case|
        case.is_v5() && case.unnoticed() == Some(Fault::PropertyValue(8));
    "topic-alias-zero": |case|
        case.is_v5() && case.kind() == PUBLISH && case.unnoticed() == Some(Fault::TopicAliasZero);
    "authentication-data-alone": |case|
        case.is_v5() && case.unnoticed() == Some(Fault::AuthenticationMethodMissing);
    "property-overrun": |case| case.is_v5() && case.unnoticed() == Some(Fault::Truncated);
}
