//! Why a conversation with a server came to nothing, each with its sentence.

use ringcast_codec::mqtt::{Fault, Oversize, ReasonCode};
use std::fmt;
use std::io;
use std::time::Duration;

/// Why a conversation with a server came to nothing.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// There is nobody at that address.
    NotThere {
        /// Host and port.
        server: String,
        /// What the system says.
        error: io::Error,
    },
    /// The connection broke.
    Broken(io::Error),
    /// The server closed it without a word.
    Closed,
    /// The server ended it, and said why.
    Ended(ReasonCode),
    /// The server let the keep-alive pass.
    Silent(Duration),
    /// The server sent what is no MQTT.
    Fault(Fault),
    /// The server sent what it may not send now.
    Unexpected(&'static str),
    /// The server does not want this client.
    Refused(ReasonCode),
    /// The server does not grant a subscription.
    NotSubscribed {
        /// The filter.
        filter: String,
        /// Why not.
        reason: ReasonCode,
    },
    /// The server does not take a message.
    NotPublished(ReasonCode),
    /// Something that MQTT can not carry.
    NotMqtt {
        /// What it is: a filter, a topic.
        what: &'static str,
        /// It.
        text: String,
    },
    /// More than a packet can carry.
    TooLarge(Oversize),
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere { server, error } => {
                write!(formatter, "no connection to {server}: {error}")
            }
            Self::Broken(error) => write!(formatter, "the connection broke: {error}"),
            Self::Closed => formatter.write_str("the server closed the connection"),
            Self::Ended(reason) => {
                write!(
                    formatter,
                    "the server ended the connection: {}",
                    Named(*reason)
                )
            }
            Self::Silent(time) => write!(
                formatter,
                "the server has been silent for {} s, longer than the keep-alive allows",
                time.as_secs()
            ),
            Self::Fault(fault) => write!(formatter, "the server sent what is no MQTT: {fault}"),
            Self::Unexpected(packet) => {
                write!(
                    formatter,
                    "the server sent {packet}, which it may not do here"
                )
            }
            Self::Refused(reason) => {
                write!(
                    formatter,
                    "the server refuses the connection: {}",
                    Named(*reason)
                )
            }
            Self::NotSubscribed { filter, reason } => write!(
                formatter,
                "the server does not grant a subscription to {filter}: {}",
                Named(*reason)
            ),
            Self::NotPublished(reason) => {
                write!(
                    formatter,
                    "the server does not take the message: {}",
                    Named(*reason)
                )
            }
            Self::NotMqtt { what, text } => {
                write!(formatter, "{text:?} is no {what} that MQTT allows")
            }
            Self::TooLarge(oversize) => write!(formatter, "{oversize}"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<Fault> for ClientError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A reason as people read it: `not authorized (0x87)`.
struct Named(ReasonCode);

impl fmt::Display for Named {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{:?}", self.0);
        for (place, character) in name.char_indices() {
            if character.is_ascii_uppercase() && place > 0 {
                formatter.write_str(" ")?;
            }
            write!(formatter, "{}", character.to_ascii_lowercase())?;
        }
        write!(formatter, " (0x{:02X})", self.0 as u8)
    }
}
