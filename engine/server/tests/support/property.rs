//! Properties of MQTT 5, written and read by hand (section 2.2.2).

/// Properties whose values are a byte, two, or four. The others are texts and data with
/// their length before them, but for the two that are read by name.
const BYTE: [u8; 8] = [0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A];
const TWO: [u8; 4] = [0x13, 0x21, 0x22, 0x23];
const FOUR: [u8; 4] = [0x02, 0x11, 0x18, 0x27];

pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
pub(crate) const CONTENT_TYPE: u8 = 0x03;
pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
pub(crate) const CORRELATION_DATA: u8 = 0x09;
pub(crate) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
pub(crate) const SESSION_EXPIRY: u8 = 0x11;
pub(crate) const ASSIGNED_IDENTIFIER: u8 = 0x12;
pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(crate) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(crate) const PROBLEM_INFORMATION: u8 = 0x17;
pub(crate) const WILL_DELAY: u8 = 0x18;
pub(crate) const RESPONSE_INFORMATION_WANTED: u8 = 0x19;
pub(crate) const RESPONSE_INFORMATION: u8 = 0x1A;
pub(crate) const SERVER_REFERENCE: u8 = 0x1C;
pub(crate) const REASON_STRING: u8 = 0x1F;
pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(crate) const TOPIC_ALIAS: u8 = 0x23;
pub(crate) const USER_PROPERTY: u8 = 0x26;
pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;

pub(crate) fn byte(identifier: u8, value: u8) -> Vec<u8> {
    vec![identifier, value]
}

pub(crate) fn two(identifier: u8, value: u16) -> Vec<u8> {
    [&[identifier][..], &value.to_be_bytes()].concat()
}

pub(crate) fn four(identifier: u8, value: u32) -> Vec<u8> {
    [&[identifier][..], &value.to_be_bytes()].concat()
}

pub(crate) fn bytes(identifier: u8, value: &[u8]) -> Vec<u8> {
    [&[identifier][..], &length_of(value), value].concat()
}

pub(crate) fn user(name: &str, value: &str) -> Vec<u8> {
    let (name, value) = (name.as_bytes(), value.as_bytes());
    let head = [USER_PROPERTY];
    [&head[..], &length_of(name), name, &length_of(value), value].concat()
}

pub(crate) fn subscription_identifier(value: u32) -> Vec<u8> {
    let mut property = vec![SUBSCRIPTION_IDENTIFIER];
    variable(&mut property, value as usize);
    property
}

fn length_of(value: &[u8]) -> [u8; 2] {
    u16::try_from(value.len())
        .expect("it is short")
        .to_be_bytes()
}

/// A Variable Byte Integer.
pub(crate) fn variable(to: &mut Vec<u8>, mut value: usize) {
    loop {
        let more = if value > 127 { 0x80 } else { 0 };
        to.push((value % 128) as u8 | more);
        value /= 128;
        if value == 0 {
            return;
        }
    }
}

/// Reads a Variable Byte Integer, and returns what follows it.
pub(crate) fn read_variable(bytes: &[u8]) -> (usize, &[u8]) {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return (value, &bytes[place + 1..]);
        }
    }
    panic!("no Variable Byte Integer: {bytes:?}");
}

/// Reads the properties that begin here, their length first. Returns identifiers with
/// values as they were written, those of texts and data without their length, and what
/// follows them.
pub(crate) fn read(bytes: &[u8]) -> (Properties, &[u8]) {
    let (length, rest) = read_variable(bytes);
    let (mut bytes, rest) = rest.split_at(length);
    let mut all = Vec::new();
    while let Some((&identifier, value)) = bytes.split_first() {
        let prefixed = |value: &[u8]| 2 + usize::from(u16::from_be_bytes([value[0], value[1]]));
        let (skipped, length) = match identifier {
            USER_PROPERTY => (0, prefixed(value) + prefixed(&value[prefixed(value)..])),
            SUBSCRIPTION_IDENTIFIER => (0, value.len() - read_variable(value).1.len()),
            _ if BYTE.contains(&identifier) => (0, 1),
            _ if TWO.contains(&identifier) => (0, 2),
            _ if FOUR.contains(&identifier) => (0, 4),
            _ => (2, prefixed(value)),
        };
        all.push((identifier, value[skipped..length].to_vec()));
        bytes = &value[length..];
    }
    (Properties(all), rest)
}

/// What was read, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Properties(pub(crate) Vec<(u8, Vec<u8>)>);

impl Properties {
    pub(crate) fn all(&self, identifier: u8) -> Vec<&[u8]> {
        let own = self.0.iter().filter(|(own, _)| *own == identifier);
        own.map(|(_, value)| &value[..]).collect()
    }

    pub(crate) fn one(&self, identifier: u8) -> Option<&[u8]> {
        let all = self.all(identifier);
        assert!(all.len() < 2, "{self:?} has {identifier:#x} once");
        all.first().copied()
    }

    pub(crate) fn number(&self, identifier: u8) -> Option<u32> {
        let value = self.one(identifier)?;
        Some(
            value
                .iter()
                .fold(0, |sum, &byte| sum << 8 | u32::from(byte)),
        )
    }

    pub(crate) fn text(&self, identifier: u8) -> Option<String> {
        let value = self.one(identifier)?.to_vec();
        Some(String::from_utf8(value).expect("a text"))
    }

    /// The subscription identifiers, in the order of their size.
    pub(crate) fn subscriptions(&self) -> Vec<usize> {
        let all = self.all(SUBSCRIPTION_IDENTIFIER);
        let mut all: Vec<_> = all
            .into_iter()
            .map(|value| read_variable(value).0)
            .collect();
        all.sort_unstable();
        all
    }
}
