//! What a packet says, in a form that both implementations are translated to.

use mqttbytes::{v4, v5};
use ringcast_codec::mqtt::{
    Acknowledge, Connect, Packet, PacketId, Properties, Property, ReasonCode, Version,
};

/// One line per field and property. Properties of different kinds have no order
/// among each other, so they are sorted; those of one kind keep theirs.
pub(crate) type Lines = Vec<String>;

fn properties_lines(mut found: Vec<(u8, String)>) -> impl Iterator<Item = String> {
    found.sort_by_key(|(id, _)| *id);
    found
        .into_iter()
        .map(|(id, value)| format!("property {id}: {value}"))
}

fn our_properties(properties: Properties<'_>) -> impl Iterator<Item = String> {
    let value = |property: Property<'_>| match property {
        Property::PayloadFormatIndicator(flag)
        | Property::RequestProblemInformation(flag)
        | Property::RequestResponseInformation(flag)
        | Property::MaximumQos(flag)
        | Property::RetainAvailable(flag)
        | Property::WildcardSubscriptionAvailable(flag)
        | Property::SubscriptionIdentifierAvailable(flag)
        | Property::SharedSubscriptionAvailable(flag) => u8::from(flag).to_string(),
        Property::ServerKeepAlive(number)
        | Property::ReceiveMaximum(number)
        | Property::TopicAliasMaximum(number)
        | Property::TopicAlias(number) => number.to_string(),
        Property::MessageExpiryInterval(number)
        | Property::SessionExpiryInterval(number)
        | Property::WillDelayInterval(number)
        | Property::MaximumPacketSize(number) => number.to_string(),
        Property::ContentType(text)
        | Property::ResponseTopic(text)
        | Property::AssignedClientIdentifier(text)
        | Property::AuthenticationMethod(text)
        | Property::ResponseInformation(text)
        | Property::ServerReference(text)
        | Property::ReasonString(text) => format!("{text:?}"),
        Property::CorrelationData(binary) | Property::AuthenticationData(binary) => {
            format!("{:?}", binary.as_bytes())
        }
        Property::SubscriptionIdentifier(identifier) => identifier.get().to_string(),
        Property::UserProperty(name, value) => format!("{name:?} = {value:?}"),
    };
    properties_lines(
        properties
            .iter()
            .map(|property| (property.id(), value(property)))
            .collect(),
    )
}

pub(crate) fn our_connect(connect: &Connect<'_>) -> Lines {
    let mut lines = vec![
        "Connect".to_owned(),
        format!("clean: {}", connect.clean_start),
        format!("keep alive: {}", connect.keep_alive),
        format!("client: {:?}", connect.client_id),
        format!("user: {:?}", connect.user_name),
        format!(
            "password: {:?}",
            connect
                .password
                .map(|password| password.as_bytes().to_vec())
        ),
    ];
    lines.extend(our_properties(connect.properties));
    if let Some(will) = &connect.will {
        lines.push(format!(
            "will: {:?} {:?}",
            will.topic,
            will.payload.as_bytes()
        ));
        lines.push(format!("will: {} {}", will.qos as u8, will.retain));
        lines.extend(our_properties(will.properties));
    }
    lines
}

pub(crate) fn our_packet(packet: &Packet<'_>, version: Version) -> Lines {
    let acknowledge = |name: &str, acknowledge: &Acknowledge<'_>| {
        let mut lines = vec![
            name.to_owned(),
            format!("id: {}", acknowledge.packet_id.get()),
        ];
        lines.push(format!("reason: {}", acknowledge.reason as u8));
        lines.extend(our_properties(acknowledge.properties));
        lines
    };
    match packet {
        Packet::Connack(connack) => {
            let reason = match version {
                Version::V31 | Version::V311 => {
                    connack.reason.to_return_code().expect("was read from one")
                }
                Version::V5 => connack.reason as u8,
            };
            let mut lines = vec!["Connack".to_owned()];
            lines.push(format!("session: {}", connack.session_present));
            lines.push(format!("reason: {reason}"));
            lines.extend(our_properties(connack.properties));
            lines
        }
        Packet::Publish(publish) => {
            let delivery = publish.delivery;
            let id = delivery.packet_id().map_or(0, PacketId::get);
            let topic = publish.topic.map_or("", |topic| topic.as_str());
            let mut lines = vec!["Publish".to_owned()];
            lines.push(format!("flags: {} {}", delivery.dup(), publish.retain));
            lines.push(format!("qos: {} id: {id}", delivery.qos() as u8));
            lines.push(format!("topic: {topic:?}"));
            lines.push(format!("payload: {:?}", publish.payload));
            lines.extend(our_properties(publish.properties));
            lines
        }
        Packet::Puback(puback) => acknowledge("Puback", puback),
        Packet::Pubrec(pubrec) => acknowledge("Pubrec", pubrec),
        Packet::Pubrel(pubrel) => acknowledge("Pubrel", pubrel),
        Packet::Pubcomp(pubcomp) => acknowledge("Pubcomp", pubcomp),
        Packet::Subscribe(subscribe) => {
            let mut lines = vec!["Subscribe".to_owned()];
            lines.push(format!("id: {}", subscribe.packet_id.get()));
            lines.extend(subscribe.subscriptions.iter().map(|(filter, options)| {
                format!(
                    "filter: {filter:?} {} {} {} {}",
                    options.qos as u8,
                    options.no_local,
                    options.retain_as_published,
                    options.retain_handling as u8
                )
            }));
            lines.extend(our_properties(subscribe.properties));
            lines
        }
        Packet::Suback(suback) => {
            let mut lines = vec!["Suback".to_owned()];
            lines.push(format!("id: {}", suback.packet_id.get()));
            lines.push(codes(suback.reasons.iter()));
            lines.extend(our_properties(suback.properties));
            lines
        }
        Packet::Unsubscribe(unsubscribe) => {
            let mut lines = vec!["Unsubscribe".to_owned()];
            lines.push(format!("id: {}", unsubscribe.packet_id.get()));
            let filters = unsubscribe.filters.iter();
            lines.extend(filters.map(|filter| format!("filter: {filter:?}")));
            lines.extend(our_properties(unsubscribe.properties));
            lines
        }
        Packet::Unsuback(unsuback) => {
            let mut lines = vec!["Unsuback".to_owned()];
            lines.push(format!("id: {}", unsuback.packet_id.get()));
            lines.extend(unsuback.reasons.map(|reasons| codes(reasons.iter())));
            lines.extend(our_properties(unsuback.properties));
            lines
        }
        Packet::Pingreq => vec!["Pingreq".to_owned()],
        Packet::Pingresp => vec!["Pingresp".to_owned()],
        Packet::Disconnect(disconnect) => {
            let mut lines = vec!["Disconnect".to_owned()];
            lines.push(format!("reason: {}", disconnect.reason as u8));
            lines.extend(our_properties(disconnect.properties));
            lines
        }
        Packet::Auth(_) => vec!["Auth".to_owned()],
    }
}

fn codes(codes: impl Iterator<Item = ReasonCode>) -> String {
    format!("{:?}", codes.map(|code| code as u8).collect::<Vec<_>>())
}

/// A value of theirs, written as ours is.
trait Value {
    fn line(&self) -> String;
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Value for $number {
            fn line(&self) -> String {
                self.to_string()
            }
        })*
    };
}

numbers!(u8, u16, u32, usize);

impl Value for String {
    fn line(&self) -> String {
        format!("{self:?}")
    }
}

impl Value for bytes::Bytes {
    fn line(&self) -> String {
        format!("{:?}", self.as_ref())
    }
}

/// The lines of one of their structs of properties.
macro_rules! properties {
    ($properties:expr $(, $id:literal $field:ident)* $(; many $many_id:literal $many:ident)?) => {{
        let mut found = Vec::new();
        if let Some(properties) = &$properties {
            $(found.extend(properties.$field.iter().map(|value| ($id, Value::line(value))));)*
            $(found.extend(properties.$many.iter().map(|value| ($many_id, Value::line(value))));)?
            let users = properties.user_properties.iter();
            found.extend(users.map(|(name, value)| (38, format!("{name:?} = {value:?}"))));
        }
        properties_lines(found)
    }};
}

/// The user name and password of theirs: an empty one is one that is missing.
fn login(user_name: Option<&String>, password: Option<&String>) -> [String; 2] {
    let user_name = user_name.filter(|name| !name.is_empty());
    let password = password.filter(|password| !password.is_empty());
    [
        format!("user: {user_name:?}"),
        format!("password: {:?}", password.map(String::as_bytes)),
    ]
}

pub(crate) fn their_v4(packet: &v4::Packet) -> Lines {
    let acknowledge =
        |name: &str, id: u16| vec![name.to_owned(), format!("id: {id}"), "reason: 0".to_owned()];
    match packet {
        v4::Packet::Connect(connect) => {
            let mut lines = vec![
                "Connect".to_owned(),
                format!("clean: {}", connect.clean_session),
                format!("keep alive: {}", connect.keep_alive),
                format!("client: {:?}", connect.client_id),
            ];
            let names = connect.login.as_ref();
            lines.extend(login(
                names.map(|login| &login.username),
                names.map(|login| &login.password),
            ));
            if let Some(will) = &connect.last_will {
                lines.push(format!(
                    "will: {:?} {:?}",
                    will.topic,
                    will.message.as_ref()
                ));
                lines.push(format!("will: {} {}", will.qos as u8, will.retain));
            }
            lines
        }
        v4::Packet::ConnAck(connack) => vec![
            "Connack".to_owned(),
            format!("session: {}", connack.session_present),
            format!("reason: {}", connack.code as u8),
        ],
        v4::Packet::Publish(publish) => vec![
            "Publish".to_owned(),
            format!("flags: {} {}", publish.dup, publish.retain),
            format!("qos: {} id: {}", publish.qos as u8, publish.pkid),
            format!("topic: {:?}", publish.topic),
            format!("payload: {:?}", publish.payload.as_ref()),
        ],
        v4::Packet::PubAck(puback) => acknowledge("Puback", puback.pkid),
        v4::Packet::PubRec(pubrec) => acknowledge("Pubrec", pubrec.pkid),
        v4::Packet::PubRel(pubrel) => acknowledge("Pubrel", pubrel.pkid),
        v4::Packet::PubComp(pubcomp) => acknowledge("Pubcomp", pubcomp.pkid),
        v4::Packet::Subscribe(subscribe) => {
            let mut lines = vec!["Subscribe".to_owned(), format!("id: {}", subscribe.pkid)];
            lines.extend(subscribe.filters.iter().map(|filter| {
                format!(
                    "filter: {:?} {} false false 0",
                    filter.path, filter.qos as u8
                )
            }));
            lines
        }
        v4::Packet::SubAck(suback) => {
            let codes: Vec<u8> = suback
                .return_codes
                .iter()
                .map(|code| match code {
                    v4::SubscribeReasonCode::Success(qos) => *qos as u8,
                    v4::SubscribeReasonCode::Failure => 0x80,
                })
                .collect();
            vec![
                "Suback".to_owned(),
                format!("id: {}", suback.pkid),
                format!("{codes:?}"),
            ]
        }
        v4::Packet::Unsubscribe(unsubscribe) => {
            let mut lines = vec![
                "Unsubscribe".to_owned(),
                format!("id: {}", unsubscribe.pkid),
            ];
            let filters = unsubscribe.topics.iter();
            lines.extend(filters.map(|filter| format!("filter: {filter:?}")));
            lines
        }
        v4::Packet::UnsubAck(unsuback) => {
            vec!["Unsuback".to_owned(), format!("id: {}", unsuback.pkid)]
        }
        v4::Packet::PingReq => vec!["Pingreq".to_owned()],
        v4::Packet::PingResp => vec!["Pingresp".to_owned()],
        v4::Packet::Disconnect => vec!["Disconnect".to_owned(), "reason: 0".to_owned()],
    }
}

fn their_v5_connect(connect: &v5::Connect) -> Lines {
    let mut lines = vec![
        "Connect".to_owned(),
        format!("clean: {}", connect.clean_session),
        format!("keep alive: {}", connect.keep_alive),
        format!("client: {:?}", connect.client_id),
    ];
    let names = connect.login.as_ref();
    lines.extend(login(
        names.map(|login| &login.username),
        names.map(|login| &login.password),
    ));
    lines.extend(properties!(
        connect.properties,
        17 session_expiry_interval,
        33 receive_maximum,
        39 max_packet_size,
        34 topic_alias_max,
        25 request_response_info,
        23 request_problem_info,
        21 authentication_method,
        22 authentication_data
    ));
    if let Some(will) = &connect.last_will {
        lines.push(format!(
            "will: {:?} {:?}",
            will.topic,
            will.message.as_ref()
        ));
        lines.push(format!("will: {} {}", will.qos as u8, will.retain));
        lines.extend(properties!(
            will.properties,
            24 delay_interval,
            1 payload_format_indicator,
            2 message_expiry_interval,
            3 content_type,
            8 response_topic,
            9 correlation_data
        ));
    }
    lines
}

fn their_v5_connack(connack: &v5::ConnAck) -> Lines {
    let mut lines = vec![
        "Connack".to_owned(),
        format!("session: {}", connack.session_present),
        format!("reason: {}", connack.code as u8),
    ];
    lines.extend(properties!(
        connack.properties,
        17 session_expiry_interval,
        33 receive_max,
        36 max_qos,
        37 retain_available,
        39 max_packet_size,
        18 assigned_client_identifier,
        34 topic_alias_max,
        31 reason_string,
        40 wildcard_subscription_available,
        41 subscription_identifiers_available,
        42 shared_subscription_available,
        19 server_keep_alive,
        26 response_information,
        28 server_reference,
        21 authentication_method,
        22 authentication_data
    ));
    lines
}

pub(crate) fn their_v5(packet: &v5::Packet) -> Lines {
    macro_rules! acknowledge {
        ($name:literal, $packet:ident) => {{
            let mut lines = vec![$name.to_owned(), format!("id: {}", $packet.pkid)];
            lines.push(format!("reason: {}", $packet.reason as u8));
            lines.extend(properties!($packet.properties, 31 reason_string));
            lines
        }};
    }
    match packet {
        v5::Packet::Connect(connect) => their_v5_connect(connect),
        v5::Packet::ConnAck(connack) => their_v5_connack(connack),
        v5::Packet::Publish(publish) => {
            let mut lines = vec![
                "Publish".to_owned(),
                format!("flags: {} {}", publish.dup, publish.retain),
                format!("qos: {} id: {}", publish.qos as u8, publish.pkid),
                format!("topic: {:?}", publish.topic),
                format!("payload: {:?}", publish.payload.as_ref()),
            ];
            lines.extend(properties!(
                publish.properties,
                1 payload_format_indicator,
                2 message_expiry_interval,
                35 topic_alias,
                8 response_topic,
                9 correlation_data,
                3 content_type;
                many 11 subscription_identifiers
            ));
            lines
        }
        v5::Packet::PubAck(puback) => acknowledge!("Puback", puback),
        v5::Packet::PubRec(pubrec) => acknowledge!("Pubrec", pubrec),
        v5::Packet::PubRel(pubrel) => acknowledge!("Pubrel", pubrel),
        v5::Packet::PubComp(pubcomp) => acknowledge!("Pubcomp", pubcomp),
        v5::Packet::Subscribe(subscribe) => {
            let mut lines = vec!["Subscribe".to_owned(), format!("id: {}", subscribe.pkid)];
            lines.extend(subscribe.filters.iter().map(|filter| {
                let handling = match filter.retain_forward_rule {
                    v5::RetainForwardRule::OnEverySubscribe => 0,
                    v5::RetainForwardRule::OnNewSubscribe => 1,
                    v5::RetainForwardRule::Never => 2,
                };
                format!(
                    "filter: {:?} {} {} {} {handling}",
                    filter.path, filter.qos as u8, filter.nolocal, filter.preserve_retain
                )
            }));
            lines.extend(properties!(subscribe.properties, 11 id));
            lines
        }
        v5::Packet::SubAck(suback) => {
            let codes: Vec<u8> = suback.return_codes.iter().map(|code| *code as u8).collect();
            let mut lines = vec!["Suback".to_owned(), format!("id: {}", suback.pkid)];
            lines.push(format!("{codes:?}"));
            lines.extend(properties!(suback.properties, 31 reason_string));
            lines
        }
        v5::Packet::Unsubscribe(unsubscribe) => {
            let mut lines = vec![
                "Unsubscribe".to_owned(),
                format!("id: {}", unsubscribe.pkid),
            ];
            let filters = unsubscribe.filters.iter();
            lines.extend(filters.map(|filter| format!("filter: {filter:?}")));
            lines.extend(properties!(unsubscribe.properties));
            lines
        }
        v5::Packet::UnsubAck(unsuback) => {
            let codes: Vec<u8> = unsuback.reasons.iter().map(|code| *code as u8).collect();
            let mut lines = vec!["Unsuback".to_owned(), format!("id: {}", unsuback.pkid)];
            lines.push(format!("{codes:?}"));
            lines.extend(properties!(unsuback.properties, 31 reason_string));
            lines
        }
        v5::Packet::PingReq => vec!["Pingreq".to_owned()],
        v5::Packet::PingResp => vec!["Pingresp".to_owned()],
        v5::Packet::Disconnect(disconnect) => {
            let mut lines = vec!["Disconnect".to_owned()];
            lines.push(format!("reason: {}", disconnect.reason_code as u8));
            lines.extend(properties!(
                disconnect.properties,
                17 session_expiry_interval,
                31 reason_string,
                28 server_reference
            ));
            lines
        }
    }
}
