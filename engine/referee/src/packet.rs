//! What a packet says, in the words of the standard. Plain data, no behaviour of a
//! client or a server; the bytes are read by [`decode`](crate::decode).

/// The three versions, told apart by CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// MQTT 3.1, protocol name `MQIsdp`.
    V31,
    /// MQTT 3.1.1, an OASIS Standard of 2014.
    V311,
    /// MQTT 5, an OASIS Standard of 2019.
    V5,
}

/// Who sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// One control packet.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is the packet of that name")]
pub enum Packet {
    Connect(Box<Connect>),
    Connack(Connack),
    Publish(Publish),
    Puback(Ack),
    Pubrec(Ack),
    Pubrel(Ack),
    Pubcomp(Ack),
    Subscribe(Subscribe),
    Suback(Codes),
    Unsubscribe(Unsubscribe),
    Unsuback(Codes),
    Pingreq,
    Pingresp,
    Disconnect(Reasoned),
    Auth(Reasoned),
}

/// Identifiers of the MQTT 5 properties, section 2.2.2.2.
#[allow(missing_docs, reason = "the names are the standard's")]
pub mod property {
    pub const PAYLOAD_FORMAT: u8 = 1;
    pub const MESSAGE_EXPIRY: u8 = 2;
    pub const CONTENT_TYPE: u8 = 3;
    pub const RESPONSE_TOPIC: u8 = 8;
    pub const CORRELATION_DATA: u8 = 9;
    pub const SUBSCRIPTION_IDENTIFIER: u8 = 11;
    pub const SESSION_EXPIRY: u8 = 17;
    pub const ASSIGNED_CLIENT_IDENTIFIER: u8 = 18;
    pub const SERVER_KEEP_ALIVE: u8 = 19;
    pub const AUTHENTICATION_METHOD: u8 = 21;
    pub const AUTHENTICATION_DATA: u8 = 22;
    pub const REQUEST_PROBLEM_INFORMATION: u8 = 23;
    pub const WILL_DELAY: u8 = 24;
    pub const REQUEST_RESPONSE_INFORMATION: u8 = 25;
    pub const RESPONSE_INFORMATION: u8 = 26;
    pub const SERVER_REFERENCE: u8 = 28;
    pub const REASON_STRING: u8 = 31;
    pub const RECEIVE_MAXIMUM: u8 = 33;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 34;
    pub const TOPIC_ALIAS: u8 = 35;
    pub const MAXIMUM_QOS: u8 = 36;
    pub const RETAIN_AVAILABLE: u8 = 37;
    pub const USER_PROPERTY: u8 = 38;
    pub const MAXIMUM_PACKET_SIZE: u8 = 39;
    pub const WILDCARD_AVAILABLE: u8 = 40;
    pub const SUBSCRIPTION_IDENTIFIER_AVAILABLE: u8 = 41;
    pub const SHARED_AVAILABLE: u8 = 42;
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// A Byte, Two Byte, Four Byte or Variable Byte Integer.
    Number(u32),
    /// A UTF-8 Encoded String.
    Text(String),
    /// Binary Data.
    Data(Vec<u8>),
    /// A UTF-8 String Pair.
    Pair(String, String),
}

/// The properties of a packet in the order of the wire; none before MQTT 5.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Properties(pub Vec<(u8, Value)>);

impl Properties {
    /// Whether a property is there.
    pub fn has(&self, id: u8) -> bool {
        self.0.iter().any(|(found, _)| *found == id)
    }

    /// All numbers that a property has.
    pub fn numbers(&self, id: u8) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().filter_map(move |(found, value)| match value {
            Value::Number(number) if *found == id => Some(*number),
            _ => None,
        })
    }

    /// The number of a property that occurs at most once.
    pub fn number(&self, id: u8) -> Option<u32> {
        self.numbers(id).next()
    }

    /// The text of a property that occurs at most once.
    pub fn text(&self, id: u8) -> Option<&str> {
        self.0.iter().find_map(|(found, value)| match value {
            Value::Text(text) if *found == id => Some(text.as_str()),
            _ => None,
        })
    }
}

/// CONNECT.
#[derive(Clone, Debug, PartialEq)]
pub struct Connect {
    /// Which standard is spoken from here on.
    pub version: Version,
    /// Clean Start, or Clean Session before MQTT 5.
    pub clean: bool,
    /// In seconds; 0 switches it off.
    pub keep_alive_secs: u16,
    /// Empty: the server shall choose one.
    pub client_id: String,
    /// What to publish if the connection ends badly.
    pub will: Option<Will>,
    /// User Name.
    pub user: Option<String>,
    /// MQTT 5 only.
    pub properties: Properties,
}

/// The will in a CONNECT.
#[derive(Clone, Debug, PartialEq)]
pub struct Will {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// 0 to 2.
    pub qos: u8,
    /// Will Retain.
    pub retain: bool,
    /// MQTT 5 only.
    pub properties: Properties,
}

/// CONNACK.
#[derive(Clone, Debug, PartialEq)]
pub struct Connack {
    /// Session Present; false in MQTT 3.1, which has no such flag.
    pub session_present: bool,
    /// Reason Code, or return code before MQTT 5.
    pub reason: u8,
    /// MQTT 5 only.
    pub properties: Properties,
}

/// PUBLISH.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// DUP.
    pub dup: bool,
    /// 0 to 2.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// As on the wire: empty if only the alias names it.
    pub topic: String,
    /// 0 at QoS 0.
    pub packet_id: u16,
    /// MQTT 5 only.
    pub properties: Properties,
    /// The message.
    pub payload: Vec<u8>,
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP.
#[derive(Clone, Debug, PartialEq)]
pub struct Ack {
    /// Never 0.
    pub packet_id: u16,
    /// 0 before MQTT 5.
    pub reason: u8,
    /// MQTT 5 only.
    pub properties: Properties,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// As on the wire, with `$share/name/` if there.
    pub filter: String,
    /// 0 to 2.
    pub qos: u8,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling, 0 to 2.
    pub retain_handling: u8,
}

/// SUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Never 0.
    pub packet_id: u16,
    /// MQTT 5 only.
    pub properties: Properties,
    /// At least one.
    pub requests: Vec<Request>,
}

/// UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsubscribe {
    /// Never 0.
    pub packet_id: u16,
    /// MQTT 5 only.
    pub properties: Properties,
    /// At least one.
    pub filters: Vec<String>,
}

/// SUBACK and UNSUBACK.
#[derive(Clone, Debug, PartialEq)]
pub struct Codes {
    /// Never 0.
    pub packet_id: u16,
    /// MQTT 5 only.
    pub properties: Properties,
    /// One for each filter; none in an UNSUBACK before MQTT 5.
    pub codes: Vec<u8>,
}

/// DISCONNECT and AUTH.
#[derive(Clone, Debug, PartialEq)]
pub struct Reasoned {
    /// 0 before MQTT 5.
    pub reason: u8,
    /// MQTT 5 only.
    pub properties: Properties,
}

impl Packet {
    /// The name that the standard gives it.
    pub fn name(&self) -> &'static str {
        match self {
            Packet::Connect(_) => "CONNECT",
            Packet::Connack(_) => "CONNACK",
            Packet::Publish(_) => "PUBLISH",
            Packet::Puback(_) => "PUBACK",
            Packet::Pubrec(_) => "PUBREC",
            Packet::Pubrel(_) => "PUBREL",
            Packet::Pubcomp(_) => "PUBCOMP",
            Packet::Subscribe(_) => "SUBSCRIBE",
            Packet::Suback(_) => "SUBACK",
            Packet::Unsubscribe(_) => "UNSUBSCRIBE",
            Packet::Unsuback(_) => "UNSUBACK",
            Packet::Pingreq => "PINGREQ",
            Packet::Pingresp => "PINGRESP",
            Packet::Disconnect(_) => "DISCONNECT",
            Packet::Auth(_) => "AUTH",
        }
    }

    /// The MQTT 5 properties, of those packets that may have some.
    pub fn properties(&self) -> Option<&Properties> {
        match self {
            Packet::Connect(packet) => Some(&packet.properties),
            Packet::Connack(packet) => Some(&packet.properties),
            Packet::Publish(packet) => Some(&packet.properties),
            Packet::Puback(packet)
            | Packet::Pubrec(packet)
            | Packet::Pubrel(packet)
            | Packet::Pubcomp(packet) => Some(&packet.properties),
            Packet::Subscribe(packet) => Some(&packet.properties),
            Packet::Unsubscribe(packet) => Some(&packet.properties),
            Packet::Suback(packet) | Packet::Unsuback(packet) => Some(&packet.properties),
            Packet::Disconnect(packet) | Packet::Auth(packet) => Some(&packet.properties),
            Packet::Pingreq | Packet::Pingresp => None,
        }
    }

    /// A few words for a verdict: name, identifier, topic, reason.
    pub fn summary(&self) -> String {
        let name = self.name();
        match self {
            Packet::Publish(publish) => format!(
                "{name} qos {} id {}{}{} topic {:?}, {} bytes",
                publish.qos,
                publish.packet_id,
                if publish.dup { " dup" } else { "" },
                if publish.retain { " retain" } else { "" },
                publish.topic,
                publish.payload.len()
            ),
            Packet::Puback(ack)
            | Packet::Pubrec(ack)
            | Packet::Pubrel(ack)
            | Packet::Pubcomp(ack) => {
                format!("{name} id {} reason 0x{:02x}", ack.packet_id, ack.reason)
            }
            Packet::Suback(codes) | Packet::Unsuback(codes) => {
                format!("{name} id {} codes {:02x?}", codes.packet_id, codes.codes)
            }
            Packet::Connack(connack) => format!(
                "{name} reason 0x{:02x} session present {}",
                connack.reason, connack.session_present
            ),
            Packet::Disconnect(packet) | Packet::Auth(packet) => {
                format!("{name} reason 0x{:02x}", packet.reason)
            }
            _ => name.to_owned(),
        }
    }
}
