//! ringcast-shard: one core's part of the engine. Its connections, their subscriptions, and
//! what each of them gets.
//!
//! ```text
//!   topic ─► Routes: topics ─► filters ─► cohorts      who gets a message
//!                                            │
//!   frame ─► Arena ──────────────► Stream of each ─► sweep ─► sockets
//!                                            └─► log, last values ─► those in lag
//! ```
//!
//! [`Shard`] is all of it. It is given the time, the messages in the ring, and a
//! [`Wire`](ringcast_wire::Wire) for its sockets; it knows nothing else, so that it runs
//! the same in a simulation.
//!
//! All memory is reserved when a shard is made. No table grows or moves afterwards, and
//! each says when it is full.

#![forbid(unsafe_code)]

mod arena;
mod bag;
mod batch;
mod cohorts;
mod connections;
mod control;
mod counters;
mod deliveries;
mod end;
mod fifo;
mod filters;
mod flow;
mod index;
mod log;
mod pages;
mod roster;
mod routes;
mod sessions;
mod settings;
mod shard;
mod shares;
mod store;
mod stream;
mod text;
mod topics;
mod values;
mod wheel;
mod window;

pub use counters::{Counters, Durations, Gauges};
pub use end::End;
pub use settings::{Limits, Settings};
pub use shard::{AdoptError, Io, Now, Shard};
