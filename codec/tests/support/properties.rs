//! The properties of MQTT 5 by table 2-4, written down again from the standard,
//! and every packet that has properties, put together byte by byte.

#![allow(dead_code, reason = "each test program uses a part of it")]

use crate::support::*;

/// A row of the table: identifier, bytes of a value, packets.
pub(crate) type Row = (u8, &'static [u8], &'static str);

pub(crate) const TABLE: [Row; 27] = [
    (1, b"\x01", "PUBLISH Will"),
    (2, b"\x00\x00\x00\x3C", "PUBLISH Will"),
    (3, b"\x00\x0Atext/plain", "PUBLISH Will"),
    (8, b"\x00\x05reply", "PUBLISH Will"),
    (9, b"\x00\x03\x00\xFF\x80", "PUBLISH Will"),
    (11, b"\xFF\x7F", "PUBLISH SUBSCRIBE"),
    (17, b"\xFF\xFF\xFF\xFF", "CONNECT CONNACK DISCONNECT"),
    (18, b"\x00\x04auto", "CONNACK"),
    (19, b"\x00\x3C", "CONNACK"),
    (21, b"\x00\x05SCRAM", "CONNECT CONNACK AUTH"),
    (22, b"\x00\x02\xC0\x80", "CONNECT CONNACK AUTH"),
    (23, b"\x00", "CONNECT"),
    (24, b"\x00\x00\x00\x05", "Will"),
    (25, b"\x01", "CONNECT"),
    (26, b"\x00\x03top", "CONNACK"),
    (28, b"\x00\x04host", "CONNACK DISCONNECT"),
    (
        31,
        b"\x00\x03why",
        "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH",
    ),
    (33, b"\x00\x01", "CONNECT CONNACK"),
    (34, b"\x00\x00", "CONNECT CONNACK"),
    (35, b"\xFF\xFF", "PUBLISH"),
    (36, b"\x01", "CONNACK"),
    (37, b"\x00", "CONNACK"),
    (
        38,
        b"\x00\x01k\x00\x01v",
        "CONNECT CONNACK PUBLISH Will PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE \
         UNSUBACK DISCONNECT AUTH",
    ),
    (39, b"\x00\x00\x00\x01", "CONNECT CONNACK"),
    (40, b"\x00", "CONNACK"),
    (41, b"\x01", "CONNACK"),
    (42, b"\x00", "CONNACK"),
];

/// A packet that has properties.
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(crate) name: &'static str,
    pub(crate) sender: Sender,
    build: fn(&[u8]) -> Vec<u8>,
}

pub(crate) const CARRIERS: [Carrier; 20] = {
    const fn carrier(name: &'static str, sender: Sender, build: fn(&[u8]) -> Vec<u8>) -> Carrier {
        Carrier {
            name,
            sender,
            build,
        }
    }
    [
        carrier("CONNECT", Client, |block| {
            packet(
                0x10,
                &[&connect_head(V5, 2)[..], block, &field("c")].concat(),
            )
        }),
        carrier("Will", Client, |block| {
            let head = [&connect_head(V5, 6)[..], &[0], &field("c")].concat();
            packet(
                0x10,
                &[&head[..], block, &field("will"), &field("gone")].concat(),
            )
        }),
        carrier("CONNACK", Server, |block| {
            packet(0x20, &[&[0, 0], block].concat())
        }),
        carrier("PUBLISH", Client, |block| {
            packet(0x30, &[&field("a"), block, b"x"].concat())
        }),
        carrier("PUBLISH", Server, |block| {
            packet(0x30, &[&field("a"), block, b"x"].concat())
        }),
        carrier("PUBACK", Client, |block| {
            packet(0x40, &[&[0, 7, 0], block].concat())
        }),
        carrier("PUBACK", Server, |block| {
            packet(0x40, &[&[0, 7, 0], block].concat())
        }),
        carrier("PUBREC", Client, |block| {
            packet(0x50, &[&[0, 7, 0], block].concat())
        }),
        carrier("PUBREC", Server, |block| {
            packet(0x50, &[&[0, 7, 0], block].concat())
        }),
        carrier("PUBREL", Client, |block| {
            packet(0x62, &[&[0, 7, 0], block].concat())
        }),
        carrier("PUBREL", Server, |block| {
            packet(0x62, &[&[0, 7, 0], block].concat())
        }),
        carrier("PUBCOMP", Client, |block| {
            packet(0x70, &[&[0, 7, 0], block].concat())
        }),
        carrier("PUBCOMP", Server, |block| {
            packet(0x70, &[&[0, 7, 0], block].concat())
        }),
        carrier("SUBSCRIBE", Client, |block| {
            packet(0x82, &[&[0, 7], block, &field("a"), &[0]].concat())
        }),
        carrier("SUBACK", Server, |block| {
            packet(0x90, &[&[0, 7], block, &[0]].concat())
        }),
        carrier("UNSUBSCRIBE", Client, |block| {
            packet(0xA2, &[&[0, 7], block, &field("a")].concat())
        }),
        carrier("UNSUBACK", Server, |block| {
            packet(0xB0, &[&[0, 7], block, &[0]].concat())
        }),
        carrier("DISCONNECT", Client, |block| {
            packet(0xE0, &[&[0], block].concat())
        }),
        carrier("DISCONNECT", Server, |block| {
            packet(0xE0, &[&[0], block].concat())
        }),
        carrier("AUTH", Server, |block| {
            packet(0xF0, &[&[0x18], block].concat())
        }),
    ]
};

/// An Authentication Method, which AUTH and authentication data need.
pub(crate) const METHOD: &[u8] = b"\x15\0\x01m";

impl Carrier {
    /// Whether the table has the packet among those of the row.
    pub(crate) fn has(&self, (_, _, packets): &Row) -> bool {
        packets.split_whitespace().any(|name| name == self.name)
    }

    /// Whether the packet of this sender may hold the property: the table, less
    /// [MQTT-3.3.4-6] and [MQTT-3.14.2-2].
    pub(crate) fn may_hold(&self, row: &Row) -> bool {
        let not_from = match (row.0, self.name) {
            (11, "PUBLISH") => Some(Client),
            (17, "DISCONNECT") => Some(Server),
            _ => None,
        };
        self.has(row) && not_from != Some(self.sender)
    }

    /// The packet with a block of that announced length.
    pub(crate) fn with_length(&self, length: usize, properties: &[u8]) -> Vec<u8> {
        (self.build)(&[&variable(length), properties].concat())
    }

    /// The packet with those properties.
    pub(crate) fn with(&self, properties: &[u8]) -> Vec<u8> {
        self.with_length(properties.len(), properties)
    }

    /// The packet with as many of the property as asked for, and with the method
    /// that has to stand beside it.
    pub(crate) fn with_property(&self, id: u8, values: &[&[u8]]) -> Vec<u8> {
        let needs_method = self.name == "AUTH" || id == 22 && self.may_hold(&TABLE[9]);
        let method = if needs_method && id != 21 {
            METHOD
        } else {
            b""
        };
        let each = values.iter().map(|value| [&[id], *value].concat());
        let properties: Vec<u8> = each.flatten().collect();
        self.with(&[method, &properties].concat())
    }

    /// Sees that the packet is taken, and encoded as it was.
    pub(crate) fn takes(&self, bytes: &[u8]) {
        match self.name {
            "CONNECT" | "Will" => {
                connects(bytes);
            }
            _ => {
                accepted(V5, self.sender, bytes);
            }
        }
    }

    /// Sees that the packet is refused for that fault, and the peer told so.
    #[track_caller]
    pub(crate) fn refuses(&self, bytes: &[u8], fault: Fault, reason: ReasonCode) {
        match self.name {
            "CONNECT" | "Will" => connect_broken(V5, bytes, fault, reason),
            _ => refused(V5, self.sender, bytes, fault, reason),
        }
    }
}
