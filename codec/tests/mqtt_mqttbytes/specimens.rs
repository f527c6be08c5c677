//! One packet for each rule, by hand.

use ringcast_codec::mqtt::{Sender, Version};

use Sender::{Client, Server};
use Version::{V5, V311};

/// The rule, the version and sender that it is read as, and the bytes.
pub(crate) const SPECIMENS: &[(&str, Version, Sender, &[u8])] = &[
    (
        "auth-missing",
        V5,
        Client,
        b"\xF0\x07\x18\x05\x15\x00\x02md",
    ),
    ("disconnect-short", V5, Client, b"\xE0\x00"),
    (
        "password-is-text",
        V311,
        Client,
        b"\x10\x13\x00\x04MQTT\x04\xC2\x00\x00\x00\x01c\x00\x01u\x00\x01\xFF",
    ),
    // A level that is not the reader's: a will without properties, read as if it had some.
    (
        "connect-of-other-version",
        V5,
        Client,
        b"\x10\x13\x00\x04MQTT\x04\x06\x00\x00\x00\x01c\x00\x01t\x00\x01m",
    ),
    (
        "credentials-empty",
        V5,
        Client,
        b"\x10\x12\x00\x04MQTT\x05\xC2\x00\x00\x00\x00\x01c\x00\x00\x00\x00",
    ),
    (
        "identifiers-counted-twice",
        V5,
        Server,
        b"\x30\x0B\x00\x01t\x06\x0B\x01\x0B\x02\x0B\x03x",
    ),
    (
        "identifiers-counted-twice-over-a-fault",
        V5,
        Server,
        b"\x30\x0B\x00\x01t\x06\x0B\x01\x0B\x02\x00\x00x",
    ),
    (
        "complete-frame-waits",
        V5,
        Client,
        b"\x40\x04\x00\x01\x00\x80",
    ),
    ("type-zero-waits", V311, Client, b"\x00"),
    ("flags-reserved", V311, Client, b"\xC1\x00"),
    ("dup-at-qos-0", V311, Client, b"\x38\x03\x00\x01t"),
    ("length-not-shortest", V5, Client, b"\xC0\x80\x00"),
    (
        "property-length-not-shortest",
        V5,
        Client,
        b"\x30\x05\x00\x01t\x80\x00",
    ),
    ("sender-unknown", V311, Server, b"\xC0\x00"),
    (
        "sender-of-property-unknown",
        V5,
        Client,
        b"\x30\x06\x00\x01t\x02\x0B\x01",
    ),
    ("trailing-bytes", V311, Client, b"\xC0\x01\x00"),
    ("packet-id-zero", V311, Client, b"\x40\x02\x00\x00"),
    ("nul-in-text", V311, Client, b"\x30\x03\x00\x01\x00"),
    ("topic-empty", V311, Client, b"\x30\x02\x00\x00"),
    ("topic-without-alias", V5, Client, b"\x30\x03\x00\x00\x00"),
    ("topic-wildcard", V311, Client, b"\x30\x03\x00\x01#"),
    (
        "filter-empty",
        V311,
        Client,
        b"\x82\x05\x00\x01\x00\x00\x00",
    ),
    (
        "filter-wildcard",
        V311,
        Client,
        b"\x82\x07\x00\x01\x00\x02a+\x00",
    ),
    (
        "filter-shared",
        V5,
        Client,
        b"\x82\x0D\x00\x01\x00\x00\x07$share/\x00",
    ),
    (
        "no-local-on-shared",
        V5,
        Client,
        b"\x82\x10\x00\x01\x00\x00\x0A$share/g/t\x04",
    ),
    ("no-filters", V311, Client, b"\x82\x02\x00\x01"),
    (
        "options-reserved",
        V311,
        Client,
        b"\x82\x06\x00\x01\x00\x01t\x04",
    ),
    (
        "connect-flag-reserved",
        V311,
        Client,
        b"\x10\x0D\x00\x04MQTT\x04\x03\x00\x00\x00\x01c",
    ),
    (
        "password-without-user-name",
        V311,
        Client,
        b"\x10\x10\x00\x04MQTT\x04\x42\x00\x00\x00\x01c\x00\x01p",
    ),
    (
        "client-id-empty",
        V311,
        Client,
        b"\x10\x0C\x00\x04MQTT\x04\x00\x00\x00\x00\x00",
    ),
    ("connack-flags", V311, Server, b"\x20\x02\x02\x00"),
    ("session-on-refusal", V311, Server, b"\x20\x02\x01\x05"),
    (
        "property-repeated",
        V5,
        Client,
        b"\x30\x08\x00\x01t\x04\x01\x01\x01\x01",
    ),
    (
        "property-value",
        V5,
        Client,
        b"\x30\x06\x00\x01t\x02\x01\x02",
    ),
    (
        "response-topic-wildcard",
        V5,
        Client,
        b"\x30\x08\x00\x01t\x04\x08\x00\x01#",
    ),
    (
        "topic-alias-zero",
        V5,
        Client,
        b"\x30\x07\x00\x01t\x03\x23\x00\x00",
    ),
    (
        "authentication-data-alone",
        V5,
        Client,
        b"\x10\x12\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01d\x00\x01c\x00",
    ),
    (
        "property-overrun",
        V5,
        Client,
        b"\x30\x06\x00\x01t\x01\x01\x01",
    ),
];
