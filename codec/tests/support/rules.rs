//! Rules that several versions share, as functions of the version. The test
//! programs name the statements; a rule that differs says so here.

#![allow(dead_code, reason = "each test program uses a part of it")]

use crate::support::*;
use ReasonCode::{MalformedPacket, ProtocolError};

/// A packet that holds the string in one of the places where strings stand.
pub(crate) type WithString = fn(Version, &[u8]) -> Vec<u8>;

pub(crate) const CLIENT_ID: WithString = |version, text| connect(version, 2, &field(text));
pub(crate) const WILL_TOPIC: WithString = |version, text| {
    let will: &[u8] = if version == V5 { &[0] } else { &[] };
    let payload = [&field("c")[..], will, &field(text), &field("gone")];
    connect(version, 0b0000_0110, &payload.concat())
};
pub(crate) const USER_NAME: WithString = |version, text| {
    let payload = [field("c"), field(text)].concat();
    connect(version, 0b1000_0010, &payload)
};
pub(crate) const TOPIC_NAME: WithString = |version, text| publish(version, 0, text);
pub(crate) const SUBSCRIBE: WithString = |version, text| subscribe(version, text, 0);
pub(crate) const UNSUBSCRIBE: WithString = |version, text| unsubscribe(version, text);

/// All places of strings outside properties.
pub(crate) const STRINGS: [WithString; 6] = [
    CLIENT_ID,
    WILL_TOPIC,
    USER_NAME,
    TOPIC_NAME,
    SUBSCRIBE,
    UNSUBSCRIBE,
];
/// The places of topic names and of topic filters.
const TOPIC_NAMES: [WithString; 2] = [WILL_TOPIC, TOPIC_NAME];
const FILTERS: [WithString; 2] = [SUBSCRIBE, UNSUBSCRIBE];

/// Sees that a client's packet is taken, and encoded as it was.
pub(crate) fn takes(version: Version, bytes: &[u8]) {
    if bytes[0] == 0x10 {
        connects(bytes);
    } else {
        accepted(version, Client, bytes);
    }
}

/// Sees that a client's packet is refused, and the client told so.
#[track_caller]
pub(crate) fn refuses(version: Version, bytes: &[u8], fault: Fault, reason: ReasonCode) {
    if bytes[0] == 0x10 {
        connect_broken(version, bytes, fault, reason);
    } else {
        refused(version, Client, bytes, fault, reason);
    }
}

#[track_caller]
pub(crate) fn string_is_utf8(version: Version, with: WithString) {
    for good in ["a", "A\u{2A6D4}", "\u{FFFF}\u{10FFFF}\u{1}", "ß/€"] {
        takes(version, &with(version, good.as_bytes()));
    }
    // A continuation alone, a sequence cut short, an overlong form, the ends of
    // the surrogates, more than 10FFFF, and Latin-1.
    for wrong in [
        &b"\x80"[..],
        b"a\xE2\x82",
        b"\xC0\x80",
        b"\xE0\x80\xAF",
        b"\xED\xA0\x80",
        b"\xED\xBF\xBF",
        b"\xF4\x90\x80\x80",
        b"gr\xFC\xDFe",
        b"\xFF\xFE",
    ] {
        refuses(
            version,
            &with(version, wrong),
            Fault::TextEncoding,
            MalformedPacket,
        );
    }
}

#[track_caller]
pub(crate) fn string_holds_no_nul(version: Version, with: WithString) {
    for wrong in [&b"\0"[..], b"\0a", b"a\0b", b"abc/defgh/ijklm\0"] {
        refuses(
            version,
            &with(version, wrong),
            Fault::TextNul,
            MalformedPacket,
        );
    }
}

/// EF BB BF is U+FEFF wherever it stands, and stays there.
pub(crate) fn byte_order_mark_stays(version: Version) {
    for with in STRINGS {
        for text in ["\u{FEFF}a", "a\u{FEFF}", "\u{FEFF}\u{FEFF}"] {
            takes(version, &with(version, text.as_bytes()));
        }
    }
    let bytes = TOPIC_NAME(version, b"\xEF\xBB\xBFa");
    let Packet::Publish(publish) = accepted(version, Client, &bytes) else {
        panic!("not a PUBLISH");
    };
    assert_eq!(publish.topic.unwrap().as_str(), "\u{FEFF}a");
}

/// What carries an identifier carries none that is 0.
pub(crate) fn packet_identifier_is_not_zero(version: Version) {
    let codes: &[u8] = if version == V5 { &[0, 0] } else { &[] };
    let unsuback = packet(0xB0, &[&[0, 7], codes].concat());
    let suback = packet(
        0x90,
        &[&[0, 7][..], if version == V5 { codes } else { &[0] }].concat(),
    );
    let packets = [
        (Client, publish(version, 0b0010, b"a"), 5),
        (Server, publish(version, 0b0100, b"a"), 5),
        (Client, subscribe(version, b"a", 0), 2),
        (Client, unsubscribe(version, b"a"), 2),
        (Server, packet(0x40, &[0, 7]), 2),
        (Client, packet(0x50, &[0, 7]), 2),
        (Server, packet(0x62, &[0, 7]), 2),
        (Client, packet(0x70, &[0, 7]), 2),
        (Server, suback, 2),
        (Server, unsuback, 2),
    ];
    for (sender, mut bytes, at) in packets {
        for number in [[0, 1], [1, 0], [0xFF, 0xFF]] {
            bytes[at..at + 2].copy_from_slice(&number);
            accepted(version, sender, &bytes);
        }
        bytes[at..at + 2].copy_from_slice(&[0, 0]);
        refused(version, sender, &bytes, Fault::PacketIdZero, ProtocolError);
    }
}

/// At QoS 0 the payload (or the properties) follows the topic at once.
pub(crate) fn qos_0_has_no_identifier(version: Version) {
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    let bytes = packet(0x30, &[b"\0\x01a", none, b"\0\x07!"].concat());
    let Packet::Publish(publish) = accepted(version, Client, &bytes) else {
        panic!("not a PUBLISH");
    };
    assert_eq!(publish.delivery, Delivery::AtMostOnce);
    assert_eq!(publish.payload, b"\0\x07!");
}

#[track_caller]
pub(crate) fn dup_at_qos_0_is_refused(version: Version) {
    let bytes = publish(version, 0b1000, b"a");
    refused(version, Client, &bytes, Fault::DupAtQos0, MalformedPacket);
    refused(version, Server, &bytes, Fault::DupAtQos0, MalformedPacket);
    for flags in [0b0010, 0b0100, 0b1010, 0b1100] {
        let bytes = publish(version, flags, b"a");
        let Packet::Publish(publish) = accepted(version, Client, &bytes) else {
            panic!("not a PUBLISH");
        };
        assert_eq!(publish.delivery.dup(), flags & 0b1000 != 0);
        assert_eq!(publish.delivery.qos() as u8, flags >> 1 & 3);
    }
}

/// A sender at QoS 0 sends QoS 0 and DUP 0, whatever else it says.
pub(crate) fn qos_0_is_sent_without_dup(version: Version) {
    let frame = PublishFrame {
        version,
        qos: QoS::AtMostOnce,
        retain: true,
        topic: Some(TopicName::new("a").unwrap()),
        message_expiry: None,
        subscription_identifiers: &[],
        properties: Properties::EMPTY,
        payload: b"payload",
    };
    let layout = frame.layout().unwrap();
    let mut out = vec![0xEE; layout.len];
    frame.encode(&layout, None, &mut out);
    assert_eq!(out, publish(version, 1, b"a"));
    let resent = std::panic::catch_unwind(move || layout.set_dup(&mut out));
    assert!(resent.is_err(), "QoS 0 was marked as sent again");
}

pub(crate) fn qos_3_is_refused(version: Version) {
    for flags in [0b0110, 0b0111, 0b1110, 0b1111] {
        let bytes = publish(version, flags, b"a");
        refused(version, Client, &bytes, Fault::QosReserved, MalformedPacket);
        refused(version, Server, &bytes, Fault::QosReserved, MalformedPacket);
    }
}

pub(crate) fn topic_name_has_no_wildcards(version: Version) {
    for with in TOPIC_NAMES {
        for wrong in ["#", "+", "a/#", "a/+/b", "a+b", "#a", "abc/defgh/ijklm/+"] {
            let bytes = with(version, wrong.as_bytes());
            refuses(version, &bytes, Fault::TopicWildcard, MalformedPacket);
        }
        for good in ["/", "a//b", "$a", " ", "a/*/$"] {
            takes(version, &with(version, good.as_bytes()));
        }
    }
}

#[track_caller]
pub(crate) fn number_sign_is_last_and_alone(version: Version) {
    for with in FILTERS {
        for good in ["#", "a/#", "/#", "a//#", "+/#"] {
            takes(version, &with(version, good.as_bytes()));
        }
        for wrong in ["a#", "#a", "#/", "#/a", "a/#/b", "##", "a/b#", "a/#b"] {
            let bytes = with(version, wrong.as_bytes());
            refuses(version, &bytes, Fault::FilterWildcard, MalformedPacket);
        }
    }
}

#[track_caller]
pub(crate) fn plus_sign_fills_a_level(version: Version) {
    for with in FILTERS {
        for good in ["+", "+/a", "a/+", "a/+/b", "+/+/+", "/+", "+/"] {
            takes(version, &with(version, good.as_bytes()));
        }
        for wrong in ["a+", "+a", "a/b+", "a/+b/c", "++", "+#", "a/++"] {
            let bytes = with(version, wrong.as_bytes());
            refuses(version, &bytes, Fault::FilterWildcard, MalformedPacket);
        }
    }
}

/// Of a PUBLISH in MQTT 5, section 3.3.2.1 has a fault of its own for it.
pub(crate) fn topics_are_not_empty(version: Version) {
    let will = WILL_TOPIC(version, b"");
    refuses(version, &will, Fault::TopicEmpty, MalformedPacket);
    for with in FILTERS {
        refuses(
            version,
            &with(version, b""),
            Fault::FilterEmpty,
            MalformedPacket,
        );
    }
    let publish = TOPIC_NAME(version, b"");
    match version {
        V31 | V311 => refuses(version, &publish, Fault::TopicEmpty, MalformedPacket),
        V5 => refuses(version, &publish, Fault::TopicMissing, ProtocolError),
    }
}

/// 65,535 bytes and no more, which is all that a length can announce.
pub(crate) fn topics_take_65535_bytes(version: Version) {
    let longest = vec![b'x'; 65_535];
    for with in [WILL_TOPIC, TOPIC_NAME, SUBSCRIBE, UNSUBSCRIBE] {
        takes(version, &with(version, &longest));
    }
    let longer = "x".repeat(65_536);
    assert_eq!(TopicName::new(&longer), Err(Fault::FieldTooLong));
    assert_eq!(TopicFilter::new(&longer), Err(Fault::FieldTooLong));
}

/// SUBSCRIBE and UNSUBSCRIBE ask for something.
pub(crate) fn payload_has_a_filter(version: Version, first: u8) {
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    let bytes = packet(first, &[&[0, 7], none].concat());
    refused(version, Client, &bytes, Fault::NoFilters, ProtocolError);
}

/// Filters stand one behind the other, and are read in that order.
pub(crate) fn filters_are_read_in_order(version: Version) {
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    let bytes = packet(
        0xA2,
        &[&[0, 7], none, &field("b/+"), &field("a"), &field("b/+")].concat(),
    );
    let Packet::Unsubscribe(unsubscribe) = accepted(version, Client, &bytes) else {
        panic!("not an UNSUBSCRIBE");
    };
    let filters = unsubscribe.filters.iter().map(TopicFilter::as_str);
    assert!(filters.eq(["b/+", "a", "b/+"]));
    let bytes = packet(
        0x82,
        &[&[0, 7], none, &field("b/+"), &[2], &field("a"), &[1]].concat(),
    );
    let Packet::Subscribe(subscribe) = accepted(version, Client, &bytes) else {
        panic!("not a SUBSCRIBE");
    };
    let subscriptions = subscribe.subscriptions.iter();
    let subscriptions = subscriptions.map(|(filter, options)| (filter.as_str(), options.qos));
    assert!(subscriptions.eq([("b/+", QoS::ExactlyOnce), ("a", QoS::AtLeastOnce)]));
    assert_eq!(
        (subscribe.packet_id.get(), unsubscribe.packet_id.get()),
        (7, 7)
    );
}

/// All of them are looked at, not only the first.
pub(crate) fn every_filter_is_checked(version: Version) {
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    for (last, fault) in [
        (&b"a#"[..], Fault::FilterWildcard),
        (b"", Fault::FilterEmpty),
        (b"a\0", Fault::TextNul),
        (b"\xFF", Fault::TextEncoding),
    ] {
        let [good, last] = [&b"a"[..], last].map(field);
        let bytes = packet(0xA2, &[&[0, 7], none, &good, &last].concat());
        refused(version, Client, &bytes, fault, MalformedPacket);
        let bytes = packet(0x82, &[&[0, 7], none, &good, &[0], &last, &[0]].concat());
        refused(version, Client, &bytes, fault, MalformedPacket);
    }
}

/// A CONNECT's payload with the fields that the flags ask for.
pub(crate) fn flagged_payload(version: Version, flags: u8) -> Vec<u8> {
    let mut payload = field("id");
    if flags & 0b0000_0100 != 0 {
        payload.extend(if version == V5 {
            &[5, 24, 0, 0, 0, 9][..]
        } else {
            &[]
        });
        payload.extend([field("will/topic"), field(b"\xFF\0will")].concat());
    }
    if flags & 0b1000_0000 != 0 {
        payload.extend(field("user"));
    }
    if flags & 0b0100_0000 != 0 {
        payload.extend(field(b"\xFF\0pass"));
    }
    payload
}

/// What is wrong with connect flags that announce exactly what is there.
fn verdict(version: Version, flags: u8) -> Option<Fault> {
    let [
        reserved,
        _,
        will,
        qos_low,
        qos_high,
        retain,
        password,
        user_name,
    ] = [0, 1, 2, 3, 4, 5, 6, 7].map(|bit| flags >> bit & 1 == 1);
    let strict = version != V31;
    let ill = [
        (strict && reserved, Fault::ConnectFlagReserved),
        (
            strict && !will && (qos_low || qos_high || retain),
            Fault::WillFlags,
        ),
        (
            version != V5 && password && !user_name,
            Fault::PasswordWithoutUserName,
        ),
        (will && qos_low && qos_high, Fault::QosReserved),
    ];
    ill.into_iter()
        .find_map(|(wrong, fault)| wrong.then_some(fault))
}

/// All 256 bytes of connect flags, each with the payload that it announces.
#[track_caller]
pub(crate) fn every_connect_flags(version: Version, of_interest: impl Fn(u8) -> bool) {
    for flags in (0..=u8::MAX).filter(|&flags| of_interest(flags)) {
        let bytes = connect(version, flags, &flagged_payload(version, flags));
        if let Some(fault) = verdict(version, flags) {
            connect_broken(version, &bytes, fault, MalformedPacket);
            continue;
        }
        let it = first(&bytes).unwrap_or_else(|fault| panic!("{flags:08b}: {fault:?}"));
        assert_eq!(it.clean_start, flags & 2 != 0);
        assert_eq!((it.keep_alive, it.client_id.as_str()), (10, "id"));
        let user_name = it.user_name.map(Text::as_str);
        assert_eq!(user_name, (flags & 0x80 != 0).then_some("user"));
        let password = it.password.map(Binary::as_bytes);
        assert_eq!(password, (flags & 0x40 != 0).then_some(&b"\xFF\0pass"[..]));
        assert_eq!(it.will.is_some(), flags & 4 != 0);
        if let Some(will) = it.will {
            assert_eq!(will.topic.as_str(), "will/topic");
            assert_eq!(will.payload.as_bytes(), b"\xFF\0will");
            assert_eq!(will.qos as u8, flags >> 3 & 3);
            assert_eq!(will.retain, flags & 0x20 != 0);
            let delay = (version == V5).then_some(9);
            assert_eq!(will.properties.will_delay_interval(), delay);
        }
        // What 3.1 does not use is sent as 0.
        let unused = match (version, flags & 4) {
            (V31, 0) => 0b0011_1001,
            (V31, _) => 0b0000_0001,
            _ => 0,
        };
        let sent = connect(version, flags & !unused, &flagged_payload(version, flags));
        assert_eq!(encoded_connect(&it), sent, "{flags:08b}");
    }
}

/// A field of the payload that the flag announces is there, and one that it does
/// not announce is not.
#[track_caller]
pub(crate) fn flag_and_field_go_together(version: Version, flag: u8) {
    for flags in [0x02, 0x06, 0x82, 0x86, 0xC2, 0xC6] {
        let (with, without) = (flags | flag, flags & !flag);
        if verdict(version, with).is_some() || verdict(version, without).is_some() {
            continue;
        }
        let missing = connect(version, with, &flagged_payload(version, without));
        let surplus = connect(version, without, &flagged_payload(version, with));
        let broken = |bytes: &[u8]| {
            let found = first(bytes);
            let Err(fault) = found else {
                panic!("{found:?} from {bytes:02x?}");
            };
            assert_eq!(fault.fault.reason(), MalformedPacket, "{fault:?}");
        };
        // In 3.1 the last fields may be missing, and others be read as the will.
        if version != V31 || flag == 0x04 && flags & 0xC0 == 0 {
            broken(&missing);
        }
        broken(&surplus);
    }
}
