//! One client's own state.

use ringcast_wire::ConnectionKey;

/// One client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Of its connection, or the next one.
    pub(crate) key: ConnectionKey,
    pub(crate) state: State,
    pub(super) marks: Marks,
    /// Messages that it got.
    pub(super) delivered: u32,
    /// Those of them whose response time counts.
    pub(super) counted: u32,
    /// Where its watches begin, if it has any.
    pub(super) watches: u32,
    /// Of those that count, in nanoseconds.
    pub(super) response_sum: u64,
}

/// Named for what a client awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Its turn.
    Away,
    /// A connection, with TLS if that is asked for.
    AwaitingSocket,
    AwaitingConnack,
    AwaitingSuback,
    /// Whatever comes.
    Ready,
    /// Nothing: it does not speak MQTT, on purpose.
    Mute,
    /// The kernel's last word about its connection.
    Leaving,
}

bitflags::bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Marks: u8 {
        /// Nothing may be missing.
        const STRICT = 1 << 0;
        const PUBLISHER = 1 << 1;
        /// It is a persona.
        const BEHAVES = 1 << 2;
        /// It was accepted before.
        const CAME_BEFORE = 1 << 3;
        /// It is to be connected again.
        const COMES_AGAIN = 1 << 4;
        /// A ping was not answered yet.
        const PINGED = 1 << 5;
        /// The beginning of a packet is kept.
        const HAS_REST = 1 << 6;
        /// It is on the list of those to be read.
        const TO_BE_READ = 1 << 7;
    }
}

impl Client {
    pub(super) fn new(index: u32) -> Self {
        Self {
            key: ConnectionKey::first(index),
            state: State::Away,
            marks: Marks::empty(),
            delivered: 0,
            counted: 0,
            watches: super::NO_WATCH,
            response_sum: 0,
        }
    }

    /// Whether it counts as one of the connections.
    pub(crate) fn is_open(&self) -> bool {
        matches!(
            self.state,
            State::AwaitingSuback | State::Ready | State::Mute
        )
    }

    /// Whether what it gets has to be all that there is.
    pub(super) fn is_checked(&self) -> bool {
        self.marks.contains(Marks::STRICT) && self.watches != super::NO_WATCH
    }
}
