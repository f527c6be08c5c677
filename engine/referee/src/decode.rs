//! Bytes to packets, straight from the standard: one function for each packet, one
//! cursor that takes from the front. It copies everything and is slow; it shares no
//! thought with the engine's codec, so that a mistake in one shows in the other.
//!
//! A packet is judged whole: [`frame`] says where it ends, [`packet`] reads it.

use std::fmt;

use crate::packet::{
    Ack, Codes, Connack, Connect, Packet, Properties, Publish, Reasoned, Request, Side, Subscribe,
    Unsubscribe, Value, Version, Will, property,
};
use crate::topic;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The remaining length takes more than four bytes, or more than it needs.
    Length,
    /// A field reaches beyond the packet's end.
    Short,
    /// Bytes are left over after the last field.
    Long,
    /// Reserved flags of the first byte have another value.
    Flags,
    /// A type that does not exist, or that this side never sends.
    Type,
    /// A form of MQTT 5 on a connection of an earlier version.
    Mqtt5Only,
    /// A string that is not UTF-8, or has U+0000.
    Text,
    /// A variable byte integer that is too long.
    Integer,
    /// QoS 3, or DUP at QoS 0.
    Qos,
    /// Packet identifier 0.
    Identifier,
    /// A topic with a wildcard, or an empty one without alias.
    Topic,
    /// No filter, or one that breaks section 4.7.
    Filter,
    /// Reserved bits of subscription options, or Retain Handling 3.
    Options,
    /// A property that does not exist, or not in this packet.
    PropertyUnknown,
    /// A property twice.
    PropertyTwice,
    /// A property with a value that the standard excludes.
    PropertyValue,
    /// Protocol name and level are of no version.
    Protocol,
    /// Flags of CONNECT that contradict each other.
    ConnectFlags,
    /// Reserved bits of the CONNACK flags.
    ConnackFlags,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Fault::Length => "its remaining length is not encoded as the standard says",
            Fault::Short => "a field reaches beyond its end",
            Fault::Long => "bytes are left over after its last field",
            Fault::Flags => "reserved flags of its first byte are wrong",
            Fault::Type => "this side sends no packet of this type",
            Fault::Mqtt5Only => "this form exists only in MQTT 5",
            Fault::Text => "a string is not UTF-8 or has U+0000",
            Fault::Integer => "a variable byte integer is too long",
            Fault::Qos => "QoS is 3, or DUP is set at QoS 0",
            Fault::Identifier => "its packet identifier is 0",
            Fault::Topic => "its topic has a wildcard or is empty",
            Fault::Filter => "it has no filter or an invalid one",
            Fault::Options => "its subscription options are invalid",
            Fault::PropertyUnknown => "it has a property that this packet can not have",
            Fault::PropertyTwice => "it has a property twice",
            Fault::PropertyValue => "a property has a value that is excluded",
            Fault::Protocol => "protocol name and level are of no known version",
            Fault::ConnectFlags => "its connect flags contradict each other",
            Fault::ConnackFlags => "reserved acknowledge flags are set",
        })
    }
}

/// Where the first packet in `bytes` ends, its header included; `None` as long as
/// the remaining length is not all there.
///
/// # Errors
/// [`Fault::Length`]: nothing that follows can be made sense of.
pub fn frame(bytes: &[u8], version: Option<Version>) -> Result<Option<(usize, usize)>, Fault> {
    let mut length = 0usize;
    for place in 0..4 {
        let Some(byte) = bytes.get(1 + place) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            // [MQTT-1.5.5-1] asks for the shortest form; earlier versions do not.
            if version == Some(Version::V5) && place > 0 && *byte == 0 {
                return Err(Fault::Length);
            }
            return Ok(Some((2 + place, 2 + place + length)));
        }
    }
    Err(Fault::Length)
}

/// Reads one whole packet. `version` is that of the connection; CONNECT brings its own.
///
/// # Errors
/// What is wrong with it.
pub fn packet(first: u8, body: &[u8], version: Version, sender: Side) -> Result<Packet, Fault> {
    let mut reader = Reader {
        bytes: body,
        version,
        sender,
    };
    let kind = first >> 4;
    let from_client = matches!(kind, 1 | 8 | 10 | 12);
    let from_server = matches!(kind, 2 | 9 | 11 | 13);
    if kind == 0
        || (from_client && sender == Side::Server)
        || (from_server && sender == Side::Client)
    {
        return Err(Fault::Type);
    }
    let version5 = version == Version::V5;
    if !version5 && (kind == 15 || (kind == 14 && sender == Side::Server)) {
        return Err(Fault::Mqtt5Only);
    }
    let flags = first & 0x0f;
    let expected = if matches!(kind, 6 | 8 | 10) {
        0b0010
    } else {
        0
    };
    // MQTT 3.1 lets DUP stand on what a client may send again.
    let dup_too = version == Version::V31 && expected != 0 && flags == expected | 0b1000;
    if kind != 3 && flags != expected && !dup_too {
        return Err(Fault::Flags);
    }
    let packet = match kind {
        1 => Packet::Connect(Box::new(reader.connect()?)),
        2 => Packet::Connack(reader.connack()?),
        3 => Packet::Publish(reader.publish(flags)?),
        4 => Packet::Puback(reader.ack(4)?),
        5 => Packet::Pubrec(reader.ack(5)?),
        6 => Packet::Pubrel(reader.ack(6)?),
        7 => Packet::Pubcomp(reader.ack(7)?),
        8 => Packet::Subscribe(reader.subscribe()?),
        9 => Packet::Suback(reader.codes(9)?),
        10 => Packet::Unsubscribe(reader.unsubscribe()?),
        11 => Packet::Unsuback(reader.codes(11)?),
        12 => Packet::Pingreq,
        13 => Packet::Pingresp,
        14 => Packet::Disconnect(reader.reasoned(14)?),
        _ => Packet::Auth(reader.reasoned(15)?),
    };
    if reader.bytes.is_empty() {
        Ok(packet)
    } else if !version5 && matches!(kind, 2 | 4..=7 | 11 | 14) {
        // The fields that MQTT 5 appended to packets of fixed length.
        Err(Fault::Mqtt5Only)
    } else {
        Err(Fault::Long)
    }
}

/// Where the properties of the will stand; no packet type has this number.
const WILL: u8 = 16;

struct Reader<'a> {
    bytes: &'a [u8],
    version: Version,
    sender: Side,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Fault::Short)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u32, Fault> {
        Ok(self
            .take(bytes)?
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    fn two(&mut self) -> Result<u16, Fault> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn variable(&mut self) -> Result<u32, Fault> {
        let mut value = 0;
        for place in 0..4 {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                let wasteful = place > 0 && byte == 0;
                return if wasteful {
                    Err(Fault::Integer)
                } else {
                    Ok(value)
                };
            }
        }
        Err(Fault::Integer)
    }

    fn data(&mut self) -> Result<Vec<u8>, Fault> {
        let length = self.two()?;
        Ok(self.take(usize::from(length))?.to_vec())
    }

    fn text(&mut self) -> Result<String, Fault> {
        let text = String::from_utf8(self.data()?).map_err(|_| Fault::Text)?;
        // MQTT 3.1 says nothing of U+0000.
        if self.version != Version::V31 && text.contains('\0') {
            return Err(Fault::Text);
        }
        Ok(text)
    }

    fn packet_id(&mut self) -> Result<u16, Fault> {
        match self.two()? {
            0 => Err(Fault::Identifier),
            id => Ok(id),
        }
    }

    fn properties(&mut self, place: u8) -> Result<Properties, Fault> {
        let mut list = Vec::new();
        if self.version != Version::V5 {
            return Ok(Properties(list));
        }
        let length = self.variable()? as usize;
        let mut inner = Reader {
            bytes: self.take(length)?,
            ..*self
        };
        while !inner.bytes.is_empty() {
            let id = inner.variable()?;
            let id = u8::try_from(id).map_err(|_| Fault::PropertyUnknown)?;
            let value = inner.property(id, place)?;
            let again = id == property::USER_PROPERTY
                || (id == property::SUBSCRIPTION_IDENTIFIER && place == 3);
            if !again && list.iter().any(|(found, _)| *found == id) {
                return Err(Fault::PropertyTwice);
            }
            list.push((id, value));
        }
        let properties = Properties(list);
        if properties.has(property::AUTHENTICATION_DATA)
            && !properties.has(property::AUTHENTICATION_METHOD)
        {
            return Err(Fault::PropertyValue);
        }
        Ok(properties)
    }

    /// The table of section 2.2.2.2: type, packets, and the values that are excluded.
    fn property(&mut self, id: u8, place: u8) -> Result<Value, Fault> {
        let server = self.sender == Side::Server;
        let places: &[u8] = match id {
            1 | 2 | 3 | 8 | 9 => &[3, WILL],
            // Only the server tells which subscription a message is for [MQTT-3.3.4-6].
            11 if server => &[3],
            11 => &[8],
            // A server's DISCONNECT has none [MQTT-3.14.2-2].
            17 if server => &[2],
            17 => &[1, 14],
            18 | 19 | 26 | 36 | 37 | 40..=42 => &[2],
            21 | 22 => &[1, 2, 15],
            23 | 25 => &[1],
            24 => &[WILL],
            28 => &[2, 14],
            31 => &[2, 4, 5, 6, 7, 9, 11, 14, 15],
            33 | 34 | 39 => &[1, 2],
            35 => &[3],
            38 => &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, WILL],
            _ => &[],
        };
        if !places.contains(&place) {
            return Err(Fault::PropertyUnknown);
        }
        let value = match id {
            1 | 23 | 25 | 36 | 37 | 40..=42 => Value::Number(self.number(1)?),
            19 | 33..=35 => Value::Number(self.number(2)?),
            2 | 17 | 24 | 39 => Value::Number(self.number(4)?),
            11 => Value::Number(self.variable()?),
            9 | 22 => Value::Data(self.data()?),
            38 => Value::Pair(self.text()?, self.text()?),
            _ => Value::Text(self.text()?),
        };
        let excluded = match (&value, id) {
            (Value::Number(number), 1 | 23 | 25 | 36 | 37 | 40..=42) => *number > 1,
            (Value::Number(number), 11 | 33 | 35 | 39) => *number == 0,
            (Value::Text(topic), 8) => topic.is_empty() || topic.contains(['+', '#']),
            _ => false,
        };
        if excluded {
            Err(Fault::PropertyValue)
        } else {
            Ok(value)
        }
    }

    fn connect(&mut self) -> Result<Connect, Fault> {
        let name = self.data()?;
        let level = self.byte()?;
        self.version = match (name.as_slice(), level) {
            (b"MQIsdp", 3) => Version::V31,
            (b"MQTT", 4) => Version::V311,
            (b"MQTT", 5) => Version::V5,
            _ => return Err(Fault::Protocol),
        };
        let version = self.version;
        let flags = self.byte()?;
        let bit = |place: u8| flags >> place & 1 == 1;
        let will_qos = flags >> 3 & 3;
        let will_without = !bit(2) && flags & 0b0011_1000 != 0;
        let password_alone = version == Version::V311 && bit(6) && !bit(7);
        let reserved = version != Version::V31 && bit(0);
        if will_qos == 3 || will_without || password_alone || reserved {
            return Err(Fault::ConnectFlags);
        }
        let keep_alive_secs = self.two()?;
        let properties = self.properties(1)?;
        let client_id = self.text()?;
        let will = if bit(2) {
            let properties = self.properties(WILL)?;
            let topic = self.text()?;
            if topic.is_empty() || topic.contains(['+', '#']) {
                return Err(Fault::Topic);
            }
            let payload = self.data()?;
            Some(Will {
                topic,
                payload,
                qos: will_qos,
                retain: bit(5),
                properties,
            })
        } else {
            None
        };
        // In MQTT 3.1 the remaining length takes precedence over these two flags.
        let there = |reader: &Self| version != Version::V31 || !reader.bytes.is_empty();
        let user = if bit(7) && there(self) {
            Some(self.text()?)
        } else {
            None
        };
        if bit(6) && there(self) {
            self.data()?;
        }
        Ok(Connect {
            version,
            clean: bit(1),
            keep_alive_secs,
            client_id,
            will,
            user,
            properties,
        })
    }

    fn connack(&mut self) -> Result<Connack, Fault> {
        let flags = self.byte()?;
        let reason = self.byte()?;
        // MQTT 3.1 gives the first byte no meaning.
        if self.version != Version::V31 && flags & 0xfe != 0 {
            return Err(Fault::ConnackFlags);
        }
        Ok(Connack {
            session_present: self.version != Version::V31 && flags & 1 == 1,
            reason,
            properties: self.properties(2)?,
        })
    }

    fn publish(&mut self, flags: u8) -> Result<Publish, Fault> {
        let (dup, qos, retain) = (flags & 8 != 0, flags >> 1 & 3, flags & 1 == 1);
        if qos == 3 || (qos == 0 && dup) {
            return Err(Fault::Qos);
        }
        let topic = self.text()?;
        let packet_id = if qos > 0 { self.packet_id()? } else { 0 };
        let properties = self.properties(3)?;
        let nameless = topic.is_empty() && !properties.has(property::TOPIC_ALIAS);
        if nameless || topic.contains(['+', '#']) {
            return Err(Fault::Topic);
        }
        let payload = self.take(self.bytes.len())?.to_vec();
        Ok(Publish {
            dup,
            qos,
            retain,
            topic,
            packet_id,
            properties,
            payload,
        })
    }

    fn ack(&mut self, place: u8) -> Result<Ack, Fault> {
        let packet_id = self.packet_id()?;
        let Reasoned { reason, properties } = self.reasoned(place)?;
        Ok(Ack {
            packet_id,
            reason,
            properties,
        })
    }

    /// A reason and properties, both of which MQTT 5 lets a sender leave out.
    fn reasoned(&mut self, place: u8) -> Result<Reasoned, Fault> {
        let mut reasoned = Reasoned {
            reason: 0,
            properties: Properties::default(),
        };
        if self.version == Version::V5 && !self.bytes.is_empty() {
            reasoned.reason = self.byte()?;
            if !self.bytes.is_empty() {
                reasoned.properties = self.properties(place)?;
            }
        }
        Ok(reasoned)
    }

    fn subscribe(&mut self) -> Result<Subscribe, Fault> {
        let packet_id = self.packet_id()?;
        let properties = self.properties(8)?;
        let mut requests = Vec::new();
        while !self.bytes.is_empty() {
            let filter = self.text()?;
            let options = self.byte()?;
            if !topic::is_filter(&filter) {
                return Err(Fault::Filter);
            }
            let request = Request {
                filter,
                qos: options & 3,
                no_local: options & 4 != 0,
                retain_as_published: options & 8 != 0,
                retain_handling: options >> 4 & 3,
            };
            let shared = request.filter.starts_with("$share/");
            let bad = match self.version {
                Version::V31 => false,
                Version::V311 => options > 3,
                Version::V5 => {
                    options > 0x3f || request.retain_handling == 3 || (shared && request.no_local)
                }
            };
            if bad || request.qos == 3 {
                return Err(Fault::Options);
            }
            requests.push(request);
        }
        if requests.is_empty() {
            return Err(Fault::Filter);
        }
        Ok(Subscribe {
            packet_id,
            properties,
            requests,
        })
    }

    fn unsubscribe(&mut self) -> Result<Unsubscribe, Fault> {
        let packet_id = self.packet_id()?;
        let properties = self.properties(10)?;
        let mut filters = Vec::new();
        while !self.bytes.is_empty() {
            filters.push(self.text()?);
        }
        if filters.is_empty() || !filters.iter().all(|filter| topic::is_filter(filter)) {
            return Err(Fault::Filter);
        }
        Ok(Unsubscribe {
            packet_id,
            properties,
            filters,
        })
    }

    fn codes(&mut self, place: u8) -> Result<Codes, Fault> {
        let packet_id = self.packet_id()?;
        let properties = self.properties(place)?;
        let bare = place == 11 && self.version != Version::V5;
        let count = if bare { 0 } else { self.bytes.len() };
        let codes = self.take(count)?.to_vec();
        if codes.is_empty() && !bare {
            return Err(Fault::Short);
        }
        Ok(Codes {
            packet_id,
            properties,
            codes,
        })
    }
}
