//! What a wire tells: events as they happen, and the failures of a send.

use crate::ConnectionKey;
use std::io::ErrorKind;

/// Something that happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Input, or its end, or an error can be received.
    Readable(ConnectionKey),
    /// A send that failed as [`Reason::Blocked`] may be tried again.
    Writable(ConnectionKey),
    /// Nothing can be sent any more. Input from before it may still be there.
    Closed(ConnectionKey),
    /// The connection that was closed is gone: its index may be used again.
    Gone(ConnectionKey),
}

/// A connection that did not take all the bytes of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Which connection.
    pub key: ConnectionKey,
    /// Its place in the slice that was sent to.
    pub place: u32,
    /// How many bytes it took.
    pub sent: u32,
    /// Why not more.
    pub reason: Reason,
}

/// Why a connection did not take all the bytes of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has no room. [`Event::Writable`] follows when it has, or [`Event::Closed`].
    Blocked,
    /// It takes nothing any more.
    Broken(ErrorKind),
}
