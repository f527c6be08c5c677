//! ringcast-codec: protocols as pure functions, bytes in and events out,
//! events in and bytes out.
//!
//! Nothing in here knows a socket, a clock, a thread or a source of randomness;
//! `no_std` keeps it so. Decoders borrow from their input. Encoders write into
//! memory that the caller owns, and tell its exact size beforehand.
//!
//! Three things that a decoder can find are kept apart everywhere: a whole item
//! ([`Progress::Done`]), the beginning of one ([`Progress::Partial`]), and the
//! peer's fault, a typed error of the protocol's own module.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod gateway;
mod json;
pub mod market;
pub mod mqtt;
mod progress;
pub mod websocket;
mod writer;

pub use progress::Progress;
