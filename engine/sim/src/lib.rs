//! ringcast-sim: whole engines in one thread, under virtual time, from a seed.
//!
//! The ingest core, the ring, uplinks and shards are those that run in production. Around
//! them stand a simulated network with all that networks do, a model of the door, model
//! clients, and those who watch: an oracle that knows what each client may, must and must
//! not get, and the referee, who knows the standard.
//!
//! ```text
//!   seed ─► Options ─► World ─► step, step, … ─► end ─► Outcome
//!                       │
//!      Schedule: who acts next, how late
//!        Workload ─► Clients ─► Network ─► Engine: door, shards ◄─► ring, uplinks ◄─► ingest
//!                                  │                               │
//!                                tape ─► Oracle, Referee ◄──── the log
//! ```
//!
//! The same seed gives the same run, to the last byte: [`trace_hash`] tells. Everything is
//! drawn from streams of [`random`] numbers; nothing reads a clock.

#![forbid(unsafe_code)]

pub mod actions;
pub mod client;
pub mod engine;
pub mod kind;
pub mod network;
pub mod options;
pub mod oracle;
pub mod outside;
pub mod packets;
pub mod random;
pub mod run;
pub mod schedule;
pub mod shrink;
pub mod topics;
pub mod trace_hash;
pub mod wire;
pub mod world;
