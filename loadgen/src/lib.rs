//! The load generator: very many clients of any broker, and figures that can be defended.
//!
//! ```text
//!  Scenario ──► Plan ──► Coordinator ──► Part ──► Worker ──► Crowd ──► bytes
//!  a file       who is    a run, all     a        a thread,  MQTT of
//!               who       parts in step  process  its lanes  its clients
//!                                                     │
//!                  Results ◄── Tally ◄────────────────┘
//! ```
//!
//! - It is open: what is to be sent when is fixed before the run, and latencies count from
//!   then. A server that stalls can't keep the load from being made.
//! - It checks: each message says what it is, and each subscriber knows what it is to get.
//! - It says of itself whether it kept up.
//!
//! Other protocols than MQTT find their place beside `Crowd`, which knows
//! neither sockets nor clocks.

#![forbid(unsafe_code)]

mod addresses;
mod capacity;
mod chance;
mod clock;
pub mod command;
mod coordinator;
mod crowd;
mod echo;
mod error;
mod floor;
mod host_settings;
mod link;
mod memory;
mod outbox;
mod part;
mod plan;
pub mod quantity;
mod recording;
pub mod report;
pub mod results;
pub mod scenario;
mod schedule;
mod stamp;
mod tally;
mod tls;
mod topics;
mod watch;
mod worker;

pub use capacity::{Capacity, measure_capacity};
pub use coordinator::{Options, RunError, join, run};
