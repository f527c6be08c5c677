//! What must hold of the codec for any bytes at all, and the generators of valid
//! packets to begin from.
//!
//! Each body is a function that panics when something does not hold. The targets
//! of libFuzzer call one each; `tests/corpus.rs` calls them all on stable Rust,
//! over the kept corpus and over seeded inputs. This crate holds no test of its
//! own and nothing that production uses.

#![forbid(unsafe_code)]

pub mod choices;
pub mod gateway;
pub mod market;
pub mod mqtt;
pub mod websocket;

use choices::Choices;

/// One body, with what the tests and the fuzzers need to know of it.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// The name of its libFuzzer target and of its folder in the corpus.
    pub name: &'static str,
    /// Panics when something does not hold for these bytes.
    pub check: fn(&[u8]),
    /// Makes an input that is worth more than noise, where the protocol has a
    /// generator; else inputs are mutations of the corpus alone.
    pub generate: Option<fn(&mut Choices<'_>) -> Vec<u8>>,
}

/// Every body there is.
pub const BODIES: &[Body] = &[
    Body {
        name: "mqtt_connect",
        check: mqtt::connect,
        generate: Some(mqtt::generate::connect_input),
    },
    Body {
        name: "mqtt_from_client",
        check: mqtt::from_client,
        generate: Some(mqtt::generate::from_client_input),
    },
    Body {
        name: "mqtt_from_server",
        check: mqtt::from_server,
        generate: Some(mqtt::generate::from_server_input),
    },
    Body {
        name: "publish_frame",
        check: mqtt::publish_frame,
        generate: None,
    },
    Body {
        name: "topic",
        check: mqtt::topic,
        generate: Some(mqtt::generate::topic_input),
    },
    Body {
        name: "gateway_operation",
        check: gateway::operation,
        generate: None,
    },
    Body {
        name: "gateway_reply",
        check: gateway::reply,
        generate: None,
    },
    Body {
        name: "gateway_command_body",
        check: gateway::command_body,
        generate: None,
    },
    Body {
        name: "gateway_command_stream",
        check: gateway::command_stream,
        generate: None,
    },
    Body {
        name: "market_message",
        check: market::market_message,
        generate: None,
    },
    Body {
        name: "market_symbol",
        check: market::symbol,
        generate: None,
    },
    Body {
        name: "market_decimals",
        check: market::decimals,
        generate: None,
    },
    Body {
        name: "websocket_server",
        check: websocket::websocket_server,
        generate: None,
    },
    Body {
        name: "websocket_client",
        check: websocket::websocket_client,
        generate: None,
    },
];
