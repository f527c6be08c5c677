//! The reason codes of MQTT 5: every number in every packet that carries one,
//! against the tables of sections 3.2.2.2 to 3.15.2.1; and the return codes that
//! MQTT 3 has instead.

#[path = "support/mqtt.rs"]
mod support;
use ReasonCode::*;
use support::*;

/// Table 2-6: each number, its name, and where it is used. The letters: `C`
/// CONNACK, `A` PUBACK, `R` PUBREC, `L` PUBREL, `P` PUBCOMP, `S` SUBACK, `U`
/// UNSUBACK, `D` DISCONNECT, `X` AUTH.
const CODES: [(u8, ReasonCode, &str); 43] = [
    (0, Success, "CARLPSUDX"),
    (1, GrantedQos1, "S"),
    (2, GrantedQos2, "S"),
    (4, DisconnectWithWill, "D"),
    (16, NoMatchingSubscribers, "AR"),
    (17, NoSubscriptionExisted, "U"),
    (24, ContinueAuthentication, "X"),
    (25, ReAuthenticate, "X"),
    (128, UnspecifiedError, "CARSUD"),
    (129, MalformedPacket, "CD"),
    (130, ProtocolError, "CD"),
    (131, ImplementationSpecificError, "CARSUD"),
    (132, UnsupportedProtocolVersion, "C"),
    (133, ClientIdentifierNotValid, "C"),
    (134, BadUserNameOrPassword, "C"),
    (135, NotAuthorized, "CARSUD"),
    (136, ServerUnavailable, "C"),
    (137, ServerBusy, "CD"),
    (138, Banned, "C"),
    (139, ServerShuttingDown, "D"),
    (140, BadAuthenticationMethod, "C"),
    (141, KeepAliveTimeout, "D"),
    (142, SessionTakenOver, "D"),
    (143, TopicFilterInvalid, "SUD"),
    (144, TopicNameInvalid, "CARD"),
    (145, PacketIdentifierInUse, "ARSU"),
    (146, PacketIdentifierNotFound, "LP"),
    (147, ReceiveMaximumExceeded, "D"),
    (148, TopicAliasInvalid, "D"),
    (149, PacketTooLarge, "CD"),
    (150, MessageRateTooHigh, "D"),
    (151, QuotaExceeded, "CARSD"),
    (152, AdministrativeAction, "D"),
    (153, PayloadFormatInvalid, "CARD"),
    (154, RetainNotSupported, "CD"),
    (155, QosNotSupported, "CD"),
    (156, UseAnotherServer, "CD"),
    (157, ServerMoved, "CD"),
    (158, SharedSubscriptionsNotSupported, "SD"),
    (159, ConnectionRateExceeded, "CD"),
    (160, MaximumConnectTime, "D"),
    (161, SubscriptionIdentifiersNotSupported, "SD"),
    (162, WildcardSubscriptionsNotSupported, "SD"),
];

/// Sends every number in packets that `before` and `after` it make up, and sees
/// that exactly those of the letter's table are taken, as what they are.
fn every_code(
    letter: char,
    sender: Sender,
    first: u8,
    [before, after]: [&[u8]; 2],
    read: impl Fn(Packet<'_>) -> ReasonCode,
) {
    for number in 0..=u8::MAX {
        let bytes = packet(first, &[before, &[number], after].concat());
        let row = CODES
            .iter()
            .find(|row| row.0 == number && row.2.contains(letter));
        match row {
            Some((_, code, _)) => {
                let packet = decode(V5, sender, &bytes).unwrap();
                assert_eq!(read(packet), *code, "{number:#04x}");
                let again = encoded(&packet, V5);
                assert_eq!(decode(V5, sender, &again), Ok(packet));
            }
            None => refused(
                V5,
                sender,
                &bytes,
                Fault::ReasonCode(number),
                MalformedPacket,
            ),
        }
    }
}

/// [MQTT-3.2.2-8]
#[test]
fn connack_carries_its_own_codes() {
    every_code('C', Server, 0x20, [&[0], &[0]], |packet| match packet {
        Packet::Connack(connack) => connack.reason,
        other => panic!("{other:?}"),
    });
}

fn acknowledged(packet: Packet<'_>) -> ReasonCode {
    match packet {
        Packet::Puback(it) | Packet::Pubrec(it) | Packet::Pubrel(it) | Packet::Pubcomp(it) => {
            it.reason
        }
        other => panic!("{other:?}"),
    }
}

/// [MQTT-3.4.2-1]
#[test]
fn puback_carries_its_own_codes() {
    for after in [&[][..], &[0]] {
        every_code('A', Client, 0x40, [&[0, 7], after], acknowledged);
        every_code('A', Server, 0x40, [&[0, 7], after], acknowledged);
    }
}

/// [MQTT-3.5.2-1]
#[test]
fn pubrec_carries_its_own_codes() {
    for after in [&[][..], &[0]] {
        every_code('R', Client, 0x50, [&[0, 7], after], acknowledged);
        every_code('R', Server, 0x50, [&[0, 7], after], acknowledged);
    }
}

/// [MQTT-3.6.2-1]
#[test]
fn pubrel_carries_its_own_codes() {
    for after in [&[][..], &[0]] {
        every_code('L', Client, 0x62, [&[0, 7], after], acknowledged);
        every_code('L', Server, 0x62, [&[0, 7], after], acknowledged);
    }
}

/// [MQTT-3.7.2-1]
#[test]
fn pubcomp_carries_its_own_codes() {
    for after in [&[][..], &[0]] {
        every_code('P', Client, 0x70, [&[0, 7], after], acknowledged);
        every_code('P', Server, 0x70, [&[0, 7], after], acknowledged);
    }
}

/// [MQTT-3.9.3-2]; the code under test is the second of two.
#[test]
fn suback_carries_its_own_codes() {
    every_code(
        'S',
        Server,
        0x90,
        [&[0, 7, 0, 0], &[]],
        |packet| match packet {
            Packet::Suback(suback) => suback.reasons.iter().nth(1).unwrap(),
            other => panic!("{other:?}"),
        },
    );
}

/// [MQTT-3.11.3-2]; the code under test is the first of two.
#[test]
fn unsuback_carries_its_own_codes() {
    every_code(
        'U',
        Server,
        0xB0,
        [&[0, 7, 0], &[0]],
        |packet| match packet {
            Packet::Unsuback(unsuback) => unsuback.reasons.unwrap().iter().next().unwrap(),
            other => panic!("{other:?}"),
        },
    );
}

/// [MQTT-3.14.2-1]
#[test]
fn disconnect_carries_its_own_codes() {
    for (sender, after) in [
        (Client, &[][..]),
        (Client, &[0]),
        (Server, &[]),
        (Server, &[0]),
    ] {
        every_code('D', sender, 0xE0, [&[], after], |packet| match packet {
            Packet::Disconnect(disconnect) => disconnect.reason,
            other => panic!("{other:?}"),
        });
    }
}

/// [MQTT-3.15.2-1]
#[test]
fn auth_carries_its_own_codes() {
    for sender in [Client, Server] {
        let method = block(b"\x15\0\x01m");
        every_code('X', sender, 0xF0, [&[], &method], |packet| match packet {
            Packet::Auth(auth) => auth.reason,
            other => panic!("{other:?}"),
        });
    }
}

/// What packets may be asked about a code, beside what they decode.
#[test]
fn codes_know_where_they_may_stand() {
    let letters = [
        ('C', Kind::Connack),
        ('A', Kind::Puback),
        ('R', Kind::Pubrec),
        ('L', Kind::Pubrel),
        ('P', Kind::Pubcomp),
        ('S', Kind::Suback),
        ('U', Kind::Unsuback),
        ('D', Kind::Disconnect),
        ('X', Kind::Auth),
        ('-', Kind::Publish),
    ];
    for (number, code, packets) in CODES {
        assert_eq!(code as u8, number);
        assert_eq!(code.is_error(), number >= 128);
        for (letter, kind) in letters {
            assert_eq!(
                code.may_stand_in(kind),
                packets.contains(letter),
                "{code:?} {kind:?}"
            );
        }
    }
    assert!(CODES.map(|row| row.1).iter().eq(ReasonCode::ALL));
}

/// A reason that the codec itself gives can be told: it is among those of
/// DISCONNECT, or in answer to CONNECT of CONNACK.
#[test]
fn the_reason_of_a_fault_can_be_told() {
    let faults = [
        Fault::PacketTypeReserved(0),
        Fault::FlagsReserved(Kind::Pubrel),
        Fault::VariableByteInteger,
        Fault::PacketTooLarge,
        Fault::Truncated,
        Fault::TrailingBytes,
        Fault::WrongDirection(Kind::Suback),
        Fault::SecondConnect,
        Fault::TextEncoding,
        Fault::TextNul,
        Fault::TopicEmpty,
        Fault::TopicWildcard,
        Fault::FilterEmpty,
        Fault::FilterWildcard,
        Fault::SharedFilter,
        Fault::PacketIdZero,
        Fault::QosReserved,
        Fault::DupAtQos0,
        Fault::TopicMissing,
        Fault::PropertyUnknown(200),
        Fault::PropertyMisplaced(1),
        Fault::PropertyOfOtherEnd(11),
        Fault::PropertyRepeated(1),
        Fault::PropertyValue(1),
        Fault::TopicAliasZero,
        Fault::AuthenticationMethodMissing,
        Fault::ReasonCode(3),
        Fault::NoFilters,
        Fault::SubscriptionOptionsReserved,
        Fault::SubscriptionQosReserved,
        Fault::RetainHandlingReserved,
        Fault::NoLocalOnShared,
    ];
    for fault in faults {
        assert!(fault.reason().may_stand_in(Kind::Disconnect), "{fault:?}");
    }
    for fault in [
        Fault::ConnectFlagReserved,
        Fault::WillFlags,
        Fault::TopicWildcard,
        Fault::ProtocolName,
        Fault::ProtocolLevel(6),
        Fault::ClientId,
        Fault::PacketTooLarge,
        Fault::AuthenticationMethodMissing,
        Fault::PropertyMisplaced(11),
        Fault::PropertyRepeated(17),
        Fault::PropertyValue(33),
    ] {
        assert!(fault.reason().may_stand_in(Kind::Connack), "{fault:?}");
    }
}

/// Section 3.2.2.3 of 3.1.1: the refusals that a server of MQTT 3 can tell, and
/// what each of MQTT 5 becomes there.
#[test]
fn a_refusal_keeps_its_meaning_in_mqtt_3() {
    let told = [
        (Success, 0),
        (UnsupportedProtocolVersion, 1),
        (ClientIdentifierNotValid, 2),
        (ServerUnavailable, 3),
        (ServerBusy, 3),
        (BadUserNameOrPassword, 4),
        (BadAuthenticationMethod, 4),
        (NotAuthorized, 5),
        (Banned, 5),
    ];
    for version in [V31, V311] {
        for (reason, code) in told {
            let connack = Packet::Connack(Connack {
                session_present: false,
                reason,
                properties: Properties::EMPTY,
            });
            assert_eq!(encoded(&connack, version), [0x20, 2, 0, code]);
        }
    }
}
