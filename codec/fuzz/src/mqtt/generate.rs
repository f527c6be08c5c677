//! Valid packets of every type and version, and inputs for the bodies made of
//! them.

use crate::choices::{Choices, mutate};
use ringcast_codec::mqtt::{
    Acknowledge, Auth, Binary, Connack, Connect, Delivery, Disconnect, FilterBlock, Kind, Packet,
    PacketId, Properties, Property, PropertyBlock, PropertyOwner, Publish, PublishFrame, QoS,
    ReasonCode, ReasonCodes, RetainHandling, Sender, Suback, Subscribe, SubscriptionBlock,
    SubscriptionIdentifier, SubscriptionOptions, Text, TopicFilter, TopicName, Unsuback,
    Unsubscribe, Version, Will,
};
use std::sync::LazyLock;

/// Every version, in the order that inputs number them.
pub const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// Strings at the edges of what MQTT allows.
const TEXTS: &[&str] = &[
    "",
    "a",
    "market/EURUSD",
    "ä",
    "\u{FEFF}x",
    "\u{10FFFF}",
    "日本/円",
    "with space",
    "\u{1}\u{7F}",
    "$share",
    "#/+",
];

/// Levels of topic names.
const LEVELS: &[&str] = &["a", "", "b", "EURUSD", "ä", "$SYS", "$share", "\u{10348}"];

/// A string of the longest length that a field can have.
static LONGEST: LazyLock<String> = LazyLock::new(|| "0123456789abcde".repeat(4369));

/// The memory that one generated packet borrows from.
#[derive(Debug, Default)]
pub struct Arena {
    properties: PropertyBlock,
    will_properties: PropertyBlock,
    identifiers: Vec<SubscriptionIdentifier>,
    subscriptions: SubscriptionBlock,
    filters: FilterBlock,
    topic: String,
    codes: Vec<u8>,
    payload: Vec<u8>,
}

impl Arena {
    /// A valid packet that this sender may send after CONNECT.
    pub fn packet(
        &mut self,
        choices: &mut Choices<'_>,
        version: Version,
        sender: Sender,
    ) -> Packet<'_> {
        use Kind::{
            Auth, Connack, Disconnect, Pingreq, Pingresp, Puback, Pubcomp, Publish, Pubrec, Pubrel,
            Suback, Subscribe, Unsuback, Unsubscribe,
        };
        let both = &[Publish, Puback, Pubrec, Pubrel, Pubcomp];
        let own: &[Kind] = match (sender, version) {
            (Sender::Client, Version::V5) => &[Subscribe, Unsubscribe, Pingreq, Disconnect, Auth],
            (Sender::Client, _) => &[Subscribe, Unsubscribe, Pingreq, Disconnect],
            (Sender::Server, Version::V5) => {
                &[Connack, Suback, Unsuback, Pingresp, Disconnect, Auth]
            }
            (Sender::Server, _) => &[Connack, Suback, Unsuback, Pingresp],
        };
        let index = choices.below(both.len() + own.len());
        let kind = *both.iter().chain(own).nth(index).expect("below both sums");
        self.packet_of(choices, kind, version, sender)
    }

    /// A valid packet of that kind, which is not CONNECT; the sender must be one
    /// that sends it.
    pub fn packet_of(
        &mut self,
        choices: &mut Choices<'_>,
        kind: Kind,
        version: Version,
        sender: Sender,
    ) -> Packet<'_> {
        match kind {
            Kind::Connect => panic!("CONNECT is not one of Packet"),
            Kind::Connack => Packet::Connack(self.connack(choices, version)),
            Kind::Publish => Packet::Publish(self.publish(choices, version, sender)),
            Kind::Puback => Packet::Puback(self.acknowledge(choices, kind, version)),
            Kind::Pubrec => Packet::Pubrec(self.acknowledge(choices, kind, version)),
            Kind::Pubrel => Packet::Pubrel(self.acknowledge(choices, kind, version)),
            Kind::Pubcomp => Packet::Pubcomp(self.acknowledge(choices, kind, version)),
            Kind::Subscribe => Packet::Subscribe(self.subscribe(choices, version)),
            Kind::Suback => Packet::Suback(self.suback(choices, version)),
            Kind::Unsubscribe => Packet::Unsubscribe(self.unsubscribe(choices, version)),
            Kind::Unsuback => Packet::Unsuback(self.unsuback(choices, version)),
            Kind::Pingreq => Packet::Pingreq,
            Kind::Pingresp => Packet::Pingresp,
            Kind::Disconnect => Packet::Disconnect(self.disconnect(choices, version, sender)),
            Kind::Auth => Packet::Auth(self.auth(choices)),
        }
    }

    /// A valid CONNECT.
    pub fn connect(&mut self, choices: &mut Choices<'_>, version: Version) -> Connect<'_> {
        self.fill_properties(choices, version, PropertyOwner::Connect);
        self.fill_will_properties(choices, version);
        self.topic = topic(choices);
        self.payload = match choices.flag() {
            true => choices.bytes(40).to_vec(),
            false => text(choices).as_bytes().to_vec(),
        };
        let clean_start = choices.flag();
        let client_id = match version {
            Version::V31 => choices.pick(&["a", "äöü", "01234567890123456789012"]),
            Version::V311 if !clean_start => choices.pick(&["a", "äöü", "$x"]),
            Version::V311 | Version::V5 => text(choices),
        };
        let user_name = choices.flag().then(|| valid_text(text(choices)));
        // Before MQTT 5 no password goes without a user name.
        let may_have_password = user_name.is_some() || version == Version::V5;
        let password = may_have_password && choices.flag();
        let will = choices.flag();
        let keep_alive = choices.two_bytes();
        let (qos, retain) = (qos(choices), choices.flag());
        let arena: &Self = self;
        Connect {
            version,
            clean_start,
            keep_alive,
            client_id: valid_text(client_id),
            will: will.then(|| Will {
                topic: valid_topic(&arena.topic),
                payload: Binary::new(&arena.payload).expect("no longer than the longest"),
                qos,
                retain,
                properties: arena.will_properties.properties(),
            }),
            user_name,
            password: password
                .then(|| Binary::new(&arena.payload).expect("no longer than the longest")),
            properties: arena.properties.properties(),
        }
    }

    fn connack(&mut self, choices: &mut Choices<'_>, version: Version) -> Connack<'_> {
        self.fill_properties(choices, version, PropertyOwner::Connack);
        let reason = match version {
            Version::V31 | Version::V311 => {
                ReasonCode::from_return_code(choices.below(6) as u8).expect("below 6")
            }
            Version::V5 => reason(choices, Kind::Connack),
        };
        let may_have_session = version != Version::V31 && !reason.is_error();
        Connack {
            session_present: may_have_session && choices.flag(),
            reason,
            properties: self.properties.properties(),
        }
    }

    /// A valid PUBLISH.
    pub fn publish(
        &mut self,
        choices: &mut Choices<'_>,
        version: Version,
        sender: Sender,
    ) -> Publish<'_> {
        let owner = match sender {
            Sender::Client => PropertyOwner::PublishFromClient,
            Sender::Server => PropertyOwner::PublishFromServer,
        };
        self.fill_properties(choices, version, owner);
        self.topic = topic(choices);
        self.payload = choices.bytes(300).to_vec();
        let (dup, retain) = (choices.flag(), choices.flag());
        let delivery = match qos(choices) {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce {
                packet_id: packet_id(choices),
                dup,
            },
            QoS::ExactlyOnce => Delivery::ExactlyOnce {
                packet_id: packet_id(choices),
                dup,
            },
        };
        let arena: &Self = self;
        let properties = arena.properties.properties();
        let named = properties.topic_alias().is_none() || choices.flag();
        Publish {
            delivery,
            retain,
            topic: named.then(|| valid_topic(&arena.topic)),
            properties,
            payload: &arena.payload,
        }
    }

    /// All that a frame to subscribers is made of, with the identifier that its
    /// quality of service asks for.
    pub fn publish_frame(
        &mut self,
        choices: &mut Choices<'_>,
    ) -> (PublishFrame<'_>, Option<PacketId>) {
        let version = choices.pick(&VERSIONS);
        self.fill_properties(choices, Version::V5, PropertyOwner::PublishFromServer);
        let mut others = PropertyBlock::new();
        for property in self.properties.properties().iter() {
            match property {
                Property::SubscriptionIdentifier(_) | Property::MessageExpiryInterval(_) => {}
                other => {
                    others.push(other);
                }
            }
        }
        self.properties = others;
        self.identifiers.clear();
        for _ in 0..choices.below(4) {
            self.identifiers.push(subscription_identifier(choices));
        }
        self.topic = topic(choices);
        let qos = qos(choices);
        let packet_id = (qos != QoS::AtMostOnce).then(|| packet_id(choices));
        let retain = choices.flag();
        let message_expiry = choices.flag().then(|| choices.four_bytes());
        let named = choices.flag();
        // Past 127 and 16,383 bytes the fixed header is longer.
        let fill = choices.pick(&[0, 100, 120, 128, 16_300, 16_384]);
        self.payload = choices.bytes(300).to_vec();
        self.payload.resize(self.payload.len() + fill, b'.');
        let arena: &Self = self;
        let properties = arena.properties.properties();
        let nameless = version == Version::V5 && properties.topic_alias().is_some() && !named;
        let frame = PublishFrame {
            version,
            qos,
            retain,
            topic: (!nameless).then(|| valid_topic(&arena.topic)),
            message_expiry,
            subscription_identifiers: &arena.identifiers,
            properties,
            payload: &arena.payload,
        };
        (frame, packet_id)
    }

    fn acknowledge(
        &mut self,
        choices: &mut Choices<'_>,
        kind: Kind,
        version: Version,
    ) -> Acknowledge<'_> {
        self.fill_properties(choices, version, PropertyOwner::Acknowledge);
        Acknowledge {
            packet_id: packet_id(choices),
            reason: match version {
                Version::V31 | Version::V311 => ReasonCode::Success,
                Version::V5 => reason(choices, kind),
            },
            properties: self.properties.properties(),
        }
    }

    fn subscribe(&mut self, choices: &mut Choices<'_>, version: Version) -> Subscribe<'_> {
        self.fill_properties(choices, version, PropertyOwner::Subscribe);
        self.subscriptions = SubscriptionBlock::new();
        for _ in 0..=choices.below(4) {
            let filter = filter(choices);
            let filter = TopicFilter::new(&filter).expect("a filter by construction");
            let shared = filter.share().expect("right by construction").is_some();
            let mut options = SubscriptionOptions::at_most(qos(choices));
            if version == Version::V5 {
                options.no_local = choices.flag() && !shared;
                options.retain_as_published = choices.flag();
                options.retain_handling = choices.pick(&[
                    RetainHandling::Send,
                    RetainHandling::SendIfNew,
                    RetainHandling::DoNotSend,
                ]);
            }
            self.subscriptions.push(filter, options);
        }
        Subscribe {
            packet_id: packet_id(choices),
            properties: self.properties.properties(),
            subscriptions: self.subscriptions.subscriptions(),
        }
    }

    fn suback(&mut self, choices: &mut Choices<'_>, version: Version) -> Suback<'_> {
        self.fill_properties(choices, version, PropertyOwner::Suback);
        self.codes.clear();
        for _ in 0..=choices.below(5) {
            self.codes.push(match version {
                Version::V31 => choices.below(3) as u8,
                Version::V311 => choices.pick(&[0x00, 0x01, 0x02, 0x80]),
                Version::V5 => reason(choices, Kind::Suback) as u8,
            });
        }
        Suback {
            packet_id: packet_id(choices),
            properties: self.properties.properties(),
            reasons: ReasonCodes::new(&self.codes, Kind::Suback).expect("picked from its codes"),
        }
    }

    fn unsubscribe(&mut self, choices: &mut Choices<'_>, version: Version) -> Unsubscribe<'_> {
        self.fill_properties(choices, version, PropertyOwner::Unsubscribe);
        self.filters = FilterBlock::new();
        for _ in 0..=choices.below(4) {
            let filter = filter(choices);
            self.filters
                .push(TopicFilter::new(&filter).expect("a filter by construction"));
        }
        Unsubscribe {
            packet_id: packet_id(choices),
            properties: self.properties.properties(),
            filters: self.filters.filters(),
        }
    }

    fn unsuback(&mut self, choices: &mut Choices<'_>, version: Version) -> Unsuback<'_> {
        self.fill_properties(choices, version, PropertyOwner::Unsuback);
        self.codes.clear();
        for _ in 0..=choices.below(5) {
            self.codes.push(reason(choices, Kind::Unsuback) as u8);
        }
        let codes = ReasonCodes::new(&self.codes, Kind::Unsuback).expect("picked from its codes");
        Unsuback {
            packet_id: packet_id(choices),
            properties: self.properties.properties(),
            reasons: (version == Version::V5).then_some(codes),
        }
    }

    fn disconnect(
        &mut self,
        choices: &mut Choices<'_>,
        version: Version,
        sender: Sender,
    ) -> Disconnect<'_> {
        let owner = match sender {
            Sender::Client => PropertyOwner::DisconnectFromClient,
            Sender::Server => PropertyOwner::DisconnectFromServer,
        };
        self.fill_properties(choices, version, owner);
        Disconnect {
            reason: match version {
                Version::V31 | Version::V311 => ReasonCode::Success,
                Version::V5 => reason(choices, Kind::Disconnect),
            },
            properties: self.properties.properties(),
        }
    }

    fn auth(&mut self, choices: &mut Choices<'_>) -> Auth<'_> {
        if choices.once_in(4) {
            return Auth {
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            };
        }
        self.fill_properties(choices, Version::V5, PropertyOwner::Auth);
        if self
            .properties
            .properties()
            .authentication_method()
            .is_none()
        {
            self.properties
                .push(Property::AuthenticationMethod(valid_text("SCRAM")));
        }
        Auth {
            reason: reason(choices, Kind::Auth),
            properties: self.properties.properties(),
        }
    }

    fn fill_properties(
        &mut self,
        choices: &mut Choices<'_>,
        version: Version,
        owner: PropertyOwner,
    ) {
        fill(&mut self.properties, choices, version, owner);
    }

    fn fill_will_properties(&mut self, choices: &mut Choices<'_>, version: Version) {
        fill(
            &mut self.will_properties,
            choices,
            version,
            PropertyOwner::Will,
        );
    }
}

fn fill(
    block: &mut PropertyBlock,
    choices: &mut Choices<'_>,
    version: Version,
    owner: PropertyOwner,
) {
    block.clear();
    if version != Version::V5 {
        return;
    }
    let allowed: Vec<u8> = Property::TABLE
        .iter()
        .filter(|(_, _, owners)| owners.contains(&owner))
        .map(|(id, ..)| *id)
        .collect();
    for _ in 0..choices.below(6) {
        let id = choices.pick(&allowed);
        let there = block
            .properties()
            .iter()
            .any(|property| property.id() == id);
        let repeats = id == 38 || id == 11 && owner == PropertyOwner::PublishFromServer;
        if repeats || !there {
            block.push(property(choices, id));
        }
    }
    let properties = block.properties();
    if properties.authentication_data().is_some() && properties.authentication_method().is_none() {
        block.push(Property::AuthenticationMethod(valid_text("SCRAM")));
    }
}

/// A property of that identifier with a value that it may have.
fn property(choices: &mut Choices<'_>, id: u8) -> Property<'static> {
    let binary = |choices: &mut Choices<'_>| {
        Binary::new(text(choices).as_bytes()).expect("no longer than the longest")
    };
    match id {
        1 => Property::PayloadFormatIndicator(choices.flag()),
        2 => Property::MessageExpiryInterval(choices.four_bytes()),
        3 => Property::ContentType(valid_text(text(choices))),
        8 => Property::ResponseTopic(valid_text(choices.pick(&["a", "/", "answers/ä", "$SYS"]))),
        9 => Property::CorrelationData(binary(choices)),
        11 => Property::SubscriptionIdentifier(subscription_identifier(choices)),
        17 => Property::SessionExpiryInterval(choices.four_bytes()),
        18 => Property::AssignedClientIdentifier(valid_text(text(choices))),
        19 => Property::ServerKeepAlive(choices.two_bytes()),
        21 => Property::AuthenticationMethod(valid_text(text(choices))),
        22 => Property::AuthenticationData(binary(choices)),
        23 => Property::RequestProblemInformation(choices.flag()),
        24 => Property::WillDelayInterval(choices.four_bytes()),
        25 => Property::RequestResponseInformation(choices.flag()),
        26 => Property::ResponseInformation(valid_text(text(choices))),
        28 => Property::ServerReference(valid_text(text(choices))),
        31 => Property::ReasonString(valid_text(text(choices))),
        33 => Property::ReceiveMaximum(choices.two_bytes().max(1)),
        34 => Property::TopicAliasMaximum(choices.two_bytes()),
        35 => Property::TopicAlias(choices.two_bytes().max(1)),
        36 => Property::MaximumQos(choices.flag()),
        37 => Property::RetainAvailable(choices.flag()),
        38 => Property::UserProperty(valid_text(text(choices)), valid_text(text(choices))),
        39 => Property::MaximumPacketSize(choices.four_bytes().max(1)),
        40 => Property::WildcardSubscriptionAvailable(choices.flag()),
        41 => Property::SubscriptionIdentifierAvailable(choices.flag()),
        42 => Property::SharedSubscriptionAvailable(choices.flag()),
        _ => unreachable!("the table has no property {id}"),
    }
}

fn text(choices: &mut Choices<'_>) -> &'static str {
    if choices.once_in(32) {
        let length = choices.pick(&[127, 128, 300, 16_384, 65_535]);
        return &LONGEST[..length];
    }
    choices.pick(TEXTS)
}

fn valid_text(text: &str) -> Text<'_> {
    Text::new(text).expect("no NUL, no longer than the longest")
}

fn valid_topic(topic: &str) -> TopicName<'_> {
    TopicName::new(topic).expect("a name by construction")
}

/// A topic name.
pub fn topic(choices: &mut Choices<'_>) -> String {
    if choices.once_in(64) {
        return LONGEST[..choices.pick(&[1, 126, 127, 128, 32_767])].to_owned();
    }
    let mut topic = choices.pick(LEVELS).to_owned();
    for _ in 0..choices.below(4) {
        topic.push('/');
        topic.push_str(choices.pick(LEVELS));
    }
    if topic.is_empty() {
        topic.push('/');
    }
    topic
}

/// A topic filter that every version takes, at times of a shared subscription.
pub fn filter(choices: &mut Choices<'_>) -> String {
    let shared = choices.once_in(6);
    let mut levels: Vec<&str> = Vec::new();
    for _ in 0..=choices.below(4) {
        levels.push(if choices.once_in(4) {
            "+"
        } else {
            choices.pick(LEVELS)
        });
    }
    if choices.once_in(4) {
        levels.push("#");
    }
    if levels == [""] {
        levels.push("");
    }
    if shared {
        levels.splice(0..0, ["$share", "group"]);
    } else if levels[0] == "$share" {
        levels[0] = "$shared";
    }
    levels.join("/")
}

fn qos(choices: &mut Choices<'_>) -> QoS {
    choices.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn packet_id(choices: &mut Choices<'_>) -> PacketId {
    PacketId::new(choices.two_bytes().max(1)).expect("not zero")
}

fn subscription_identifier(choices: &mut Choices<'_>) -> SubscriptionIdentifier {
    let edges = [1, 127, 128, 16_383, 16_384, 2_097_152, 268_435_455];
    let number = match choices.flag() {
        true => choices.pick(&edges),
        false => u32::from(choices.two_bytes()).max(1),
    };
    SubscriptionIdentifier::new(number).expect("in range")
}

fn reason(choices: &mut Choices<'_>, kind: Kind) -> ReasonCode {
    let mut allowed = ReasonCode::ALL
        .iter()
        .filter(|code| code.may_stand_in(kind));
    let count = allowed.clone().count();
    *allowed
        .nth(choices.below(count))
        .expect("below their count")
}

/// The bytes of a packet.
pub fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = vec![
        0;
        packet
            .encoded_len(version)
            .expect("no oversize is generated")
    ];
    let written = packet.encode(version, &mut bytes).expect("just measured");
    assert_eq!(written, bytes.len());
    bytes
}

/// The bytes of a CONNECT.
pub fn encoded_connect(connect: &Connect<'_>) -> Vec<u8> {
    let mut bytes = vec![0; connect.encoded_len().expect("no oversize is generated")];
    let written = connect.encode(&mut bytes).expect("just measured");
    assert_eq!(written, bytes.len());
    bytes
}

/// The packet changed: mostly its body, with the length that goes with it.
pub fn damaged(choices: &mut Choices<'_>, mut packet: Vec<u8>) -> Vec<u8> {
    let length_bytes = packet[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
    match choices.below(8) {
        0 | 1 => {
            mutate(choices, &mut packet);
            return packet;
        }
        // The same length, in one byte more than it needs.
        2 => {
            packet[length_bytes] |= 0x80;
            packet.insert(1 + length_bytes, 0);
            return packet;
        }
        _ => {}
    }
    let mut body = packet.split_off(1 + length_bytes);
    mutate(choices, &mut body);
    packet.truncate(1);
    let mut rest = body.len();
    while rest >= 0x80 {
        packet.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    packet.push(rest as u8);
    packet.extend(body);
    packet
}

/// An input for [`super::connect`].
pub fn connect_input(choices: &mut Choices<'_>) -> Vec<u8> {
    let version = choices.pick(&VERSIONS);
    let mut arena = Arena::default();
    let packet = encoded_connect(&arena.connect(choices, version));
    match choices.once_in(3) {
        true => packet,
        false => damaged(choices, packet),
    }
}

/// An input for [`super::from_client`].
pub fn from_client_input(choices: &mut Choices<'_>) -> Vec<u8> {
    stream_input(choices, Sender::Client)
}

/// An input for [`super::from_server`].
pub fn from_server_input(choices: &mut Choices<'_>) -> Vec<u8> {
    stream_input(choices, Sender::Server)
}

fn stream_input(choices: &mut Choices<'_>, sender: Sender) -> Vec<u8> {
    let number = choices.byte();
    let version = VERSIONS[usize::from(number) % VERSIONS.len()];
    let mut input = vec![number];
    for _ in 0..=choices.below(4) {
        let mut arena = Arena::default();
        let packet = encoded(&arena.packet(choices, version, sender), version);
        input.extend(match choices.once_in(4) {
            true => damaged(choices, packet),
            false => packet,
        });
    }
    input
}

/// An input for [`super::topic`].
pub fn topic_input(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut input = filter(choices).into_bytes();
    if choices.once_in(4) {
        mutate(choices, &mut input);
    }
    input.push(b'\n');
    input.extend(topic(choices).bytes());
    input
}
