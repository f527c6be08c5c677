//! Packets as model clients write them, and PUBLISH as a server has to: straight from the
//! standard, sharing nothing with the engine's codec.

use crate::topics::TOPICS;
use ringcast_referee::packet::{Properties, Request, Value, Version, property};

/// The first byte, the length, and the rest.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    length(&mut bytes, body.len());
    bytes.extend_from_slice(body);
    bytes
}

/// A variable byte integer, section 1.5.5.
fn length(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number % 128) as u8;
        number /= 128;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

/// Properties, without their length.
#[must_use]
pub fn block(properties: &Properties) -> Vec<u8> {
    use property::{
        MAXIMUM_PACKET_SIZE, MESSAGE_EXPIRY, RECEIVE_MAXIMUM, SESSION_EXPIRY,
        SUBSCRIPTION_IDENTIFIER, TOPIC_ALIAS, TOPIC_ALIAS_MAXIMUM, WILL_DELAY,
    };
    let mut out = Vec::new();
    for (id, value) in &properties.0 {
        out.push(*id);
        match value {
            Value::Number(number) => match *id {
                MAXIMUM_PACKET_SIZE | MESSAGE_EXPIRY | SESSION_EXPIRY | WILL_DELAY => {
                    out.extend(number.to_be_bytes());
                }
                RECEIVE_MAXIMUM | TOPIC_ALIAS | TOPIC_ALIAS_MAXIMUM => {
                    out.extend((*number as u16).to_be_bytes());
                }
                SUBSCRIPTION_IDENTIFIER => length(&mut out, *number as usize),
                _ => out.push(*number as u8),
            },
            Value::Text(string) => text(&mut out, string.as_bytes()),
            Value::Data(data) => text(&mut out, data),
            Value::Pair(name, value) => {
                text(&mut out, name.as_bytes());
                text(&mut out, value.as_bytes());
            }
        }
    }
    out
}

fn properties(out: &mut Vec<u8>, version: Version, properties: &Properties) {
    if version == Version::V5 {
        let block = block(properties);
        length(out, block.len());
        out.extend(block);
    }
}

/// CONNECT.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Which standard.
    pub version: Version,
    /// Empty if the server shall choose one.
    pub client_id: String,
    /// Clean Start, Clean Session.
    pub clean: bool,
    /// In seconds.
    pub keep_alive: u16,
    /// Its user name.
    pub user: Option<String>,
    /// What is published when it ends badly, at this QoS.
    pub will: Option<Will>,
    /// MQTT 5 only.
    pub properties: Properties,
}

/// The will of a CONNECT.
#[derive(Debug, Clone)]
pub struct Will {
    /// Where to: the number of a topic.
    pub topic: usize,
    /// What.
    pub payload: Vec<u8>,
    /// 0 to 2.
    pub qos: u8,
    /// Will Retain.
    pub retain: bool,
    /// Will Delay Interval, in seconds; MQTT 5 only.
    pub delay: u32,
}

impl Connect {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let (name, level) = match self.version {
            Version::V31 => ("MQIsdp", 3),
            Version::V311 => ("MQTT", 4),
            Version::V5 => ("MQTT", 5),
        };
        text(&mut body, name.as_bytes());
        body.push(level);
        let will = self.will.as_ref().map_or(0, |will| {
            4 | will.qos << 3 | if will.retain { 0x20 } else { 0 }
        });
        let user = if self.user.is_some() { 0x80 } else { 0 };
        body.push(will | user | if self.clean { 2 } else { 0 });
        body.extend(self.keep_alive.to_be_bytes());
        properties(&mut body, self.version, &self.properties);
        text(&mut body, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            let delay = Properties(vec![(property::WILL_DELAY, Value::Number(will.delay))]);
            properties(&mut body, self.version, &delay);
            text(&mut body, TOPICS[will.topic].name.as_bytes());
            text(&mut body, &will.payload);
        }
        if let Some(user) = &self.user {
            text(&mut body, user.as_bytes());
        }
        packet(0x10, &body)
    }
}

/// PUBLISH, from either side.
#[derive(Debug, Clone, Default)]
pub struct Publish<'a> {
    /// DUP.
    pub dup: bool,
    /// 0 to 2.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// Not used at QoS 0.
    pub packet_id: u16,
    /// Where to.
    pub topic: &'a str,
    /// Properties without their length; MQTT 5 only.
    pub block: &'a [u8],
    /// What.
    pub payload: &'a [u8],
}

impl Publish<'_> {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self, version: Version) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.payload.len());
        text(&mut body, self.topic.as_bytes());
        if self.qos > 0 {
            body.extend(self.packet_id.to_be_bytes());
        }
        if version == Version::V5 {
            length(&mut body, self.block.len());
            body.extend_from_slice(self.block);
        }
        body.extend_from_slice(self.payload);
        let dup = if self.dup { 8 } else { 0 };
        packet(0x30 | dup | self.qos << 1 | u8::from(self.retain), &body)
    }
}

/// SUBSCRIBE, with an identifier unless it is 0.
#[must_use]
pub fn subscribe(version: Version, id: u16, identifier: u32, requests: &[Request]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    let mut list = Properties::default();
    if identifier > 0 {
        let identifier = Value::Number(identifier);
        list.0.push((property::SUBSCRIPTION_IDENTIFIER, identifier));
    }
    properties(&mut body, version, &list);
    for request in requests {
        text(&mut body, request.filter.as_bytes());
        let options = match version {
            Version::V5 => {
                request.qos
                    | u8::from(request.no_local) << 2
                    | u8::from(request.retain_as_published) << 3
                    | request.retain_handling << 4
            }
            Version::V31 | Version::V311 => request.qos,
        };
        body.push(options);
    }
    packet(0x82, &body)
}

/// UNSUBSCRIBE.
#[must_use]
pub fn unsubscribe(version: Version, id: u16, filters: &[String]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    properties(&mut body, version, &Properties::default());
    for filter in filters {
        text(&mut body, filter.as_bytes());
    }
    packet(0xA2, &body)
}

/// The type of a packet that acknowledges a message at QoS 1.
pub const PUBACK: u8 = 4;

/// The same of one that says that a message at QoS 2 was received.
pub const PUBREC: u8 = 5;

/// The same of one that ends the exchange of a message at QoS 2.
pub const PUBCOMP: u8 = 7;

/// PUBACK, PUBREC, PUBREL (6) or PUBCOMP, without a reason.
#[must_use]
pub fn acknowledge(kind: u8, id: u16) -> Vec<u8> {
    let flags = if kind == 6 { 2 } else { 0 };
    packet(kind << 4 | flags, &id.to_be_bytes())
}

/// PINGREQ.
#[must_use]
pub fn ping() -> Vec<u8> {
    packet(0xC0, &[])
}

/// DISCONNECT, with a reason if it is not 0; MQTT 5 only.
#[must_use]
pub fn disconnect(reason: u8) -> Vec<u8> {
    match reason {
        0 => packet(0xE0, &[]),
        _ => packet(0xE0, &[reason]),
    }
}

/// Any packet.
#[must_use]
pub fn raw(first: u8, body: &[u8]) -> Vec<u8> {
    packet(first, body)
}
