//! ringcast-wire: what a socket is to a shard.
//!
//! A shard calls [`Wire`] and gets plain values back, so that it runs the same over
//! io_uring, where a connection is a descriptor, and over a simulated network, where
//! it is a name. Nothing here does input or output, knows a clock or a protocol.
//!
//! ```text
//!   door ── Newcomer ──► shard ── adopt, receive, send, close ──► Wire
//!                          ◄── Event, Received, Failure ──────────
//! ```
//!
//! What every wire must do beyond its signatures stands at the trait's methods; the
//! crate `ringcast-wire-contract` tests it.

#![forbid(unsafe_code)]

mod event;
mod key;
mod newcomer;
mod received;

pub use event::{Event, Failure, Reason};
pub use key::ConnectionKey;
pub use newcomer::Newcomer;
pub use received::{Arrival, Received};

use std::io;

/// The sockets of one shard.
///
/// A connection is named by the key under which it was adopted, from then until its
/// [`Event::Gone`]. To use any other key is a defect of the caller: it may panic, but
/// must never reach another connection's bytes.
///
/// Nothing waits. A call does what can be done at once, and what happens later comes
/// as an event of a later [`reap`](Wire::reap).
pub trait Wire {
    /// What is adopted.
    type Socket;

    /// Takes a connected socket under this key. [`Event::Readable`] follows if input
    /// is there already.
    ///
    /// The index is below the number of connections that the wire was made for, and
    /// no connection has it.
    ///
    /// # Errors
    /// If the environment refuses; the socket is then closed, and the key free.
    fn adopt(&mut self, key: ConnectionKey, socket: Self::Socket) -> io::Result<()>;

    /// Submits what waits to be, and appends what happened, at most `most` events;
    /// more of them wait for the next call. Does not allocate if `events` has room.
    fn reap(&mut self, events: &mut Vec<Event>, most: usize);

    /// Reads once from each of these connections, at most [`Received::most`] of them
    /// and each at most once. `got` then holds their arrivals in the same order.
    ///
    /// Who takes an [`Event::Readable`] or an [`Arrival::Bytes`] with `more` to heart
    /// goes on reading until an arrival says that there is no more; input that comes
    /// after that is announced by an event of a later reap. The caller therefore
    /// forgets that a connection was readable before it calls, never after.
    fn receive(&mut self, from: &[ConnectionKey], got: &mut Received);

    /// Sends the same bytes to each of these connections, each named at most once.
    /// Appends who did not take all of them; who is not named took them. The wire
    /// keeps no reference to the bytes.
    fn send_same(&mut self, to: &[ConnectionKey], bytes: &[u8], failed: &mut Vec<Failure>);

    /// Like [`send_same`](Wire::send_same), with bytes of its own for each.
    fn send_each(&mut self, sends: &[(ConnectionKey, &[u8])], failed: &mut Vec<Failure>);

    /// Ends a connection. Of its events only [`Event::Gone`] follows, once. Until then
    /// the key may be used for nothing but to close it again, which may hasten its end.
    fn close(&mut self, key: ConnectionKey, how: Close);
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// At once. If input was not read, the peer may see a reset, and lose what was
    /// sent to it last.
    Abrupt,
    /// The peer gets all that was sent, then the end; what it still sends is thrown
    /// away until it ends too or [`LINGER_MILLIS`] have passed.
    Polite,
}

/// How long a polite close waits for the peer's end.
pub const LINGER_MILLIS: u32 = 1_000;
