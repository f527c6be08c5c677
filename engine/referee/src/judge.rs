//! The rules, by what they look at. Each function says why it is fair.

mod answers;
mod client;
mod connecting;
mod delivery;
mod ends;
mod form;
mod handshake;
mod message;
