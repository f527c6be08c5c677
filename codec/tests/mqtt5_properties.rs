//! The properties of MQTT 5 (section 2.2.2): each in each packet, once and
//! twice, with the values that it may have and those that it may not.

#[path = "support/mqtt.rs"]
mod support;
#[path = "support/properties.rs"]
mod table;
use ReasonCode::{MalformedPacket, ProtocolError};
use support::*;
use table::*;

/// Every property in every packet: MQTT5-2.2.2.2-U2; [MQTT-3.3.4-6] and
/// [MQTT-3.14.2-2] for what only one end may send.
#[test]
fn a_property_stands_only_where_the_table_has_it() {
    for row in &TABLE {
        for carrier in &CARRIERS {
            let bytes = carrier.with_property(row.0, &[row.1]);
            if carrier.may_hold(row) {
                carrier.takes(&bytes);
            } else if carrier.has(row) {
                carrier.refuses(&bytes, Fault::PropertyOfOtherEnd(row.0), ProtocolError);
            } else {
                carrier.refuses(&bytes, Fault::PropertyMisplaced(row.0), MalformedPacket);
            }
        }
    }
}

/// [MQTT-3.3.4-6]
#[test]
fn a_subscription_identifier_from_a_client_is_refused() {
    let bytes = packet(0x30, b"\0\x01a\x02\x0B\x01x");
    refused(
        V5,
        Client,
        &bytes,
        Fault::PropertyOfOtherEnd(11),
        ProtocolError,
    );
    accepted(V5, Server, &bytes);
}

/// [MQTT-3.14.2-2]
#[test]
fn a_session_expiry_from_a_server_is_refused() {
    let bytes = packet(0xE0, b"\0\x05\x11\0\0\0\x01");
    refused(
        V5,
        Server,
        &bytes,
        Fault::PropertyOfOtherEnd(17),
        ProtocolError,
    );
    accepted(V5, Client, &bytes);
}

/// The same by the codec's own table, which others may ask.
#[test]
fn the_table_of_properties_is_the_standards() {
    let owners = [
        (PropertyOwner::Connect, "CONNECT", Client),
        (PropertyOwner::Will, "Will", Client),
        (PropertyOwner::Connack, "CONNACK", Server),
        (PropertyOwner::PublishFromClient, "PUBLISH", Client),
        (PropertyOwner::PublishFromServer, "PUBLISH", Server),
        (PropertyOwner::Acknowledge, "PUBACK", Client),
        (PropertyOwner::Subscribe, "SUBSCRIBE", Client),
        (PropertyOwner::Suback, "SUBACK", Server),
        (PropertyOwner::Unsubscribe, "UNSUBSCRIBE", Client),
        (PropertyOwner::Unsuback, "UNSUBACK", Server),
        (PropertyOwner::DisconnectFromClient, "DISCONNECT", Client),
        (PropertyOwner::DisconnectFromServer, "DISCONNECT", Server),
        (PropertyOwner::Auth, "AUTH", Server),
    ];
    assert_eq!(Property::TABLE.len(), TABLE.len());
    for row in &TABLE {
        let (_, _, may_stand_in) = Property::TABLE.iter().find(|own| own.0 == row.0).unwrap();
        for (owner, name, sender) in owners {
            let mut same = CARRIERS
                .iter()
                .filter(|it| (it.name, it.sender) == (name, sender));
            let expected = same.next().unwrap().may_hold(row);
            assert_eq!(
                may_stand_in.contains(&owner),
                expected,
                "{} in {owner:?}",
                row.0
            );
            let property = [&[row.0], row.1].concat();
            assert_eq!(Properties::new(&property, owner).is_ok(), expected);
        }
    }
}

/// MQTT5-2.2.2.2-U1
#[test]
fn a_property_that_the_table_does_not_have_is_refused() {
    let unknown = (0..=1000).chain([268_435_455]);
    for id in unknown.filter(|&id| TABLE.iter().all(|row| usize::from(row.0) != id)) {
        for carrier in &CARRIERS {
            let bytes = carrier.with(&[&variable(id)[..], &[0, 0, 0, 0, 0]].concat());
            carrier.refuses(&bytes, Fault::PropertyUnknown(id as u32), MalformedPacket);
        }
    }
}

/// The statements MQTT5-…-U1 of all properties, each "at most once in …".
#[test]
fn a_property_stands_at_most_once() {
    for row in TABLE.iter().filter(|row| row.0 != 38) {
        for carrier in CARRIERS.iter().filter(|carrier| carrier.may_hold(row)) {
            if (row.0, carrier.name) == (11, "PUBLISH") {
                continue;
            }
            let twice = carrier.with_property(row.0, &[row.1, row.1]);
            carrier.refuses(&twice, Fault::PropertyRepeated(row.0), ProtocolError);
        }
    }
}

/// The statements MQTT5-…-U1 of User Property: in every packet, the same pair
/// too, and in the order sent.
#[test]
fn user_properties_repeat_in_every_packet() {
    let pairs: [&[u8]; 3] = [b"\0\x01b\0\x011", b"\0\x01a\0\0", b"\0\x01b\0\x011"];
    for carrier in &CARRIERS {
        carrier.takes(&carrier.with_property(38, &pairs));
    }
    let bytes = CARRIERS[3].with_property(38, &pairs);
    let Ok(Packet::Publish(publish)) = decode(V5, Client, &bytes) else {
        panic!("not a PUBLISH");
    };
    let read = publish.properties.user_properties();
    let read: Vec<_> = read
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(read, [("b", "1"), ("a", ""), ("b", "1")]);
}

/// MQTT5-3.3.2.3.8-U2
#[test]
fn subscription_identifiers_of_a_servers_publish_repeat() {
    let bytes = packet(0x30, b"\0\x01a\x07\x0B\x01\x0B\xFF\x7F\x0B\x01x");
    let Packet::Publish(publish) = accepted(V5, Server, &bytes) else {
        panic!("not a PUBLISH");
    };
    let identifiers = publish.properties.subscription_identifiers();
    assert!(
        identifiers
            .map(SubscriptionIdentifier::get)
            .eq([1, 16_383, 1])
    );
}

/// The statements about values: 0 or 1, not 0, and 0x94 for an alias of 0
/// [MQTT-3.3.2-8].
#[test]
fn a_property_has_only_the_values_that_it_may_have() {
    type Values = &'static [&'static [u8]];
    let edges: [(&[u8], [Values; 2]); 5] = [
        (
            &[1, 23, 25, 36, 37, 40, 41, 42],
            [&[&[0], &[1]], &[&[2], &[3], &[0x80], &[0xFF]]],
        ),
        (&[33, 35], [&[&[0, 1], &[1, 0], &[255, 255]], &[&[0, 0]]]),
        (&[19, 34], [&[&[0, 0], &[255, 255]], &[]]),
        (
            &[39],
            [&[&[0, 0, 0, 1], &[1, 0, 0, 0], &[255; 4]], &[&[0, 0, 0, 0]]],
        ),
        (&[2, 17, 24], [&[&[0; 4], &[255; 4]], &[]]),
    ];
    for (ids, [good, bad]) in edges {
        for row in TABLE.iter().filter(|row| ids.contains(&row.0)) {
            for carrier in CARRIERS.iter().filter(|carrier| carrier.may_hold(row)) {
                for value in good {
                    carrier.takes(&carrier.with_property(row.0, &[value]));
                }
                for value in bad {
                    let bytes = carrier.with_property(row.0, &[value]);
                    let (fault, reason) = match row.0 {
                        35 => (Fault::TopicAliasZero, ReasonCode::TopicAliasInvalid),
                        id => (Fault::PropertyValue(id), ProtocolError),
                    };
                    carrier.refuses(&bytes, fault, reason);
                }
            }
        }
    }
}

/// MQTT5-3.8.2.1.2-U2 and -3.3.2.3.8-U1.
#[test]
fn a_subscription_identifier_is_not_zero() {
    for carrier in CARRIERS
        .iter()
        .filter(|carrier| carrier.may_hold(&TABLE[5]))
    {
        for good in [&[1][..], &[0xFF, 0xFF, 0xFF, 0x7F]] {
            carrier.takes(&carrier.with_property(11, &[good]));
        }
        let zero = carrier.with_property(11, &[&[0]]);
        carrier.refuses(&zero, Fault::PropertyValue(11), ProtocolError);
        let five_bytes = carrier.with_property(11, &[&[0x80, 0x80, 0x80, 0x80, 1]]);
        carrier.refuses(&five_bytes, Fault::VariableByteInteger, MalformedPacket);
        let long = carrier.with_property(11, &[&[0x81, 0]]);
        carrier.refuses(&long, Fault::VariableByteInteger, MalformedPacket);
    }
    assert_eq!(SubscriptionIdentifier::new(0), None);
    assert_eq!(SubscriptionIdentifier::new(268_435_456), None);
}

/// Every string in a property is UTF-8 without NUL: [MQTT-1.5.4-1],
/// [MQTT-1.5.4-2], [MQTT-3.3.2-13], [MQTT-3.3.2-19], and of a pair both
/// [MQTT-1.5.7-1].
#[test]
fn strings_in_properties_are_utf8_without_nul() {
    for (text, fault) in [
        (&b"\xC3\xA4\xEF\xBB\xBF"[..], None),
        (b"\xC3", Some(Fault::TextEncoding)),
        (b"\xED\xA0\x80", Some(Fault::TextEncoding)),
        (b"a\0b", Some(Fault::TextNul)),
    ] {
        let text = field(text);
        let name_only = [&text[..], &field("x")].concat();
        let value_only = [&field("x")[..], &text].concat();
        let strings = [3, 8, 18, 21, 26, 28, 31].map(|id| (id, &text));
        for (id, value) in strings
            .into_iter()
            .chain([(38, &name_only), (38, &value_only)])
        {
            let row = TABLE.iter().find(|row| row.0 == id).unwrap();
            for carrier in CARRIERS.iter().filter(|carrier| carrier.may_hold(row)) {
                let bytes = carrier.with_property(id, &[value]);
                match fault {
                    None => carrier.takes(&bytes),
                    Some(fault) => carrier.refuses(&bytes, fault, MalformedPacket),
                }
            }
        }
    }
}

/// [MQTT-3.3.2-14]; what is sent to it is published, so it is a topic name.
#[test]
fn a_response_topic_has_no_wildcards() {
    let row = TABLE.iter().find(|row| row.0 == 8).unwrap();
    for carrier in CARRIERS.iter().filter(|carrier| carrier.may_hold(row)) {
        for wrong in ["a/#", "+", "a/+/b", "a+", ""] {
            let bytes = carrier.with_property(8, &[&field(wrong)]);
            carrier.refuses(&bytes, Fault::PropertyValue(8), ProtocolError);
        }
        carrier.takes(&carrier.with_property(8, &[&field("$reply/a")]));
    }
}

/// MQTT5-2.2.2.1-U1, -1.5.6-U1, -1.5.7-U1: a value does not go past the length
/// of its block, though the packet goes on.
#[test]
fn a_value_ends_within_its_block() {
    for row in &TABLE {
        for carrier in CARRIERS.iter().filter(|carrier| carrier.may_hold(row)) {
            let property = [&[row.0], row.1].concat();
            for length in 1..property.len() {
                let bytes = carrier.with_length(length, &property);
                carrier.refuses(&bytes, Fault::Truncated, MalformedPacket);
            }
        }
    }
}

/// MQTT5-2.2.2.1-U1: nor does the block go past its packet.
#[test]
fn a_block_ends_within_its_packet() {
    for carrier in &CARRIERS {
        let bytes = carrier.with_length(200, b"");
        carrier.refuses(&bytes, Fault::Truncated, MalformedPacket);
    }
}

/// [MQTT-2.2.2-1]: none is a length of 0, sent as well as asked for.
#[test]
fn no_properties_are_a_length_of_zero() {
    for carrier in &CARRIERS {
        let bytes = carrier.with(b"");
        match carrier.name {
            // What may be left out where nothing is said is left out.
            "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP" | "DISCONNECT" => {
                decode(V5, carrier.sender, &bytes).unwrap();
            }
            "AUTH" => {
                carrier.refuses(&bytes, Fault::AuthenticationMethodMissing, ProtocolError);
            }
            _ => carrier.takes(&bytes),
        }
    }
    // Without the length, what follows is not where it should be.
    for (sender, bytes) in [
        (Server, packet(0x20, &[0, 0])),
        (Client, packet(0x30, b"\0\x01a")),
        (Server, packet(0x90, &[0, 7])),
        (Server, packet(0xB0, &[0, 7])),
        (Client, packet(0x82, &[0, 7])),
        (Client, packet(0xA2, &[0, 7])),
    ] {
        refused(V5, sender, &bytes, Fault::Truncated, MalformedPacket);
    }
}

/// MQTT5-3.1.2.11.10-U2, and the same of CONNACK and AUTH
/// (MQTT5-3.15.2.2.2-U1).
#[test]
fn authentication_data_needs_a_method() {
    let fault = Fault::AuthenticationMethodMissing;
    for carrier in CARRIERS
        .iter()
        .filter(|carrier| carrier.may_hold(&TABLE[10]))
    {
        carrier.refuses(&carrier.with(b"\x16\0\x01d"), fault, ProtocolError);
        carrier.takes(&carrier.with(b"\x16\0\x01d\x15\0\x01m"));
        carrier.takes(&carrier.with(METHOD));
    }
}

/// MQTT5-3.15.2.2.2-U1, -3.15.2.1-U1: only an AUTH without a body, which means
/// success, names no method.
#[test]
fn auth_names_its_method() {
    let bare = Packet::Auth(Auth {
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    });
    assert_eq!(accepted(V5, Server, &[0xF0, 0]), bare);
    for body in [&[0x18][..], &[0x18, 0], &[0x18, 5, 38, 0, 0, 0, 0]] {
        let bytes = packet(0xF0, body);
        refused(
            V5,
            Client,
            &bytes,
            Fault::AuthenticationMethodMissing,
            ProtocolError,
        );
    }
}

/// Each value comes out as it went in, by each property's own name.
#[test]
fn properties_are_read_by_name() {
    let all = |sender: Sender, name: &str, ids: &[u8]| -> Vec<u8> {
        let same = |it: &&Carrier| (it.name, it.sender) == (name, sender);
        let carrier = CARRIERS.iter().find(same).unwrap();
        let rows = TABLE.iter().filter(|row| ids.contains(&row.0));
        let properties = rows.map(|row| [&[row.0], row.1].concat());
        carrier.with(&properties.collect::<Vec<_>>().concat())
    };
    let bytes = all(Client, "CONNECT", &[17, 21, 22, 23, 25, 33, 34, 39]);
    let it = connects(&bytes).properties;
    assert_eq!(it.session_expiry_interval(), Some(u32::MAX));
    assert_eq!(it.authentication_method().unwrap().as_str(), "SCRAM");
    assert_eq!(it.authentication_data().unwrap().as_bytes(), [0xC0, 0x80]);
    assert_eq!(it.request_problem_information(), Some(false));
    assert_eq!(it.request_response_information(), Some(true));
    assert_eq!(it.receive_maximum(), Some(1));
    assert_eq!(it.topic_alias_maximum(), Some(0));
    assert_eq!(it.maximum_packet_size(), Some(1));
    assert_eq!(it.maximum_qos(), None);

    let bytes = all(Client, "Will", &[1, 2, 3, 8, 9, 24]);
    let it = connects(&bytes).will.unwrap().properties;
    assert_eq!(it.payload_format_indicator(), Some(true));
    assert_eq!(it.message_expiry_interval(), Some(60));
    assert_eq!(it.content_type().unwrap().as_str(), "text/plain");
    assert_eq!(it.response_topic().unwrap().as_str(), "reply");
    assert_eq!(it.correlation_data().unwrap().as_bytes(), [0, 0xFF, 0x80]);
    assert_eq!(it.will_delay_interval(), Some(5));

    let bytes = all(Server, "CONNACK", &[18, 19, 26, 28, 31, 36, 37, 40, 41, 42]);
    let Packet::Connack(Connack { properties: it, .. }) = accepted(V5, Server, &bytes) else {
        panic!("not a CONNACK");
    };
    assert_eq!(it.assigned_client_identifier().unwrap().as_str(), "auto");
    assert_eq!(it.server_keep_alive(), Some(60));
    assert_eq!(it.response_information().unwrap().as_str(), "top");
    assert_eq!(it.server_reference().unwrap().as_str(), "host");
    assert_eq!(it.reason_string().unwrap().as_str(), "why");
    assert_eq!(it.maximum_qos(), Some(true));
    assert_eq!(it.retain_available(), Some(false));
    assert_eq!(it.wildcard_subscription_available(), Some(false));
    assert_eq!(it.subscription_identifier_available(), Some(true));
    assert_eq!(it.shared_subscription_available(), Some(false));

    let bytes = all(Server, "PUBLISH", &[11, 35]);
    let Packet::Publish(Publish { properties: it, .. }) = accepted(V5, Server, &bytes) else {
        panic!("not a PUBLISH");
    };
    assert_eq!(it.subscription_identifier().unwrap().get(), 16_383);
    assert_eq!(it.topic_alias(), Some(65_535));
}

/// What of a PUBLISH goes on to subscribers, untouched and in its order; for the
/// rules [MQTT-3.3.2-4], [MQTT-3.3.2-15] to [MQTT-3.3.2-18], [MQTT-3.3.2-20].
#[test]
fn what_is_forwarded_is_what_was_sent() {
    let sent = b"\x26\0\x01b\0\x012\x02\0\0\0\x09\x01\x01\x23\0\x05\x08\0\x01r\x26\0\x01a\0\x011\
                 \x09\0\x01c\x03\0\x01t";
    let kept = b"\x26\0\x01b\0\x012\x01\x01\x08\0\x01r\x26\0\x01a\0\x011\x09\0\x01c\x03\0\x01t";
    let properties = Properties::new(sent, PropertyOwner::PublishFromClient).unwrap();
    let mut forwarded = PropertyBlock::new();
    forwarded.push_forwarded(properties);
    assert_eq!(forwarded.properties().as_bytes(), kept);
}

/// What is put together property by property is what would be sent.
#[test]
fn a_property_is_written_as_it_is_read() {
    for row in &TABLE {
        let carrier = CARRIERS.iter().find(|carrier| carrier.may_hold(row));
        let owner = match carrier.unwrap().name {
            "CONNECT" => PropertyOwner::Connect,
            "Will" => PropertyOwner::Will,
            "CONNACK" => PropertyOwner::Connack,
            _ => PropertyOwner::PublishFromServer,
        };
        let bytes = [&[row.0], row.1].concat();
        let properties = Properties::new(&bytes, owner).unwrap();
        let property = properties.iter().next().unwrap();
        assert_eq!(
            (property.id(), property.encoded_len()),
            (row.0, bytes.len())
        );
        let mut block = PropertyBlock::new();
        block.push(property).push(property);
        assert_eq!(block.properties().as_bytes(), bytes.repeat(2));
    }
}

/// The frame that subscribers share is a PUBLISH with all that was asked for.
#[test]
fn a_shared_frame_is_a_publish() {
    let identifiers = [1, 16_384].map(|number| SubscriptionIdentifier::new(number).unwrap());
    let frame = PublishFrame {
        version: V5,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: None,
        message_expiry: Some(60),
        subscription_identifiers: &identifiers,
        properties: Properties::new(b"\x23\0\x09", PropertyOwner::PublishFromServer).unwrap(),
        payload: b"!",
    };
    let layout = frame.layout().unwrap();
    let mut out = vec![0xEE; layout.len];
    frame.encode(&layout, Some(PacketId::new(7).unwrap()), &mut out);
    let sent = b"\0\0\0\x07\x0E\x02\0\0\0\x3C\x0B\x01\x0B\x80\x80\x01\x23\0\x09!";
    assert_eq!(out, packet(0x33, sent));
    layout.set_packet_id(&mut out, PacketId::new(0x0102).unwrap());
    layout.set_message_expiry(&mut out, 5);
    layout.set_dup(&mut out);
    let again = b"\0\0\x01\x02\x0E\x02\0\0\0\x05\x0B\x01\x0B\x80\x80\x01\x23\0\x09!";
    assert_eq!(out, packet(0x3B, again));
    accepted(V5, Server, &out);
}
