//! ringcast-door: meets newcomers.
//!
//! It accepts connections, bounds them in number, bytes and time, reads until CONNECT is
//! complete, asks who they are, and hands each to its home shard; or it refuses, with the
//! answer that their version of MQTT has for it. So nothing unauthenticated, slow to speak
//! or costly ever reaches a core that pushes.
//!
//! ```text
//!   Listener ─► accept ─► lobby: CONNECT ─► Authenticate ─► home's queue ─► shard
//!                            │                   │
//!                            └─────── refused ◄──┘
//! ```
//!
//! It runs on the tokio runtime that it is opened in, and starts no thread but those on
//! which that runtime runs what may block. It does not answer a CONNECT that it grants,
//! knows no session, and logs nothing: it counts.

#![forbid(unsafe_code)]

mod accept;
mod addresses;
mod authenticate;
mod bans;
mod counters;
mod door;
mod hall;
mod home;
mod limits;
mod listener;
mod lobby;
mod opening;
mod refusal;
mod user_file;
mod verifier;
mod visitor;

pub use accept::Trouble;
pub use addresses::AddressPlace;
pub use authenticate::{Anonymous, Authenticate, Claim, Denial, Verdict};
pub use bans::Bans;
pub use counters::Counters;
pub use door::Door;
pub use home::{Handover, Home};
pub use limits::Limits;
pub use listener::{ListenError, ListenSettings, Listener};
pub use refusal::Refusal;
pub use user_file::{UserFile, UserFileError, UserLineError, user_line};
