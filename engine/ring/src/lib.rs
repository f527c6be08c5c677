//! ringcast-ring: a log in shared memory that one process writes and many read.
//!
//! One producer appends records of any length; consumers of its own process read
//! them in place and are waited for; taps of other processes copy them out and are
//! not: whoever is lapped is told. The memory is a sealed memfd, so a reader can
//! trust its size whatever the process at the other end does, and the content of a
//! ring that it did not write itself it never trusts.
//!
//! ```text
//!   Producer ── claim, publish ──►  sealed memfd  ──► Consumer  (in place, waited for)
//!                                                 ──► Tap       (copies, may be lapped)
//! ```
//!
//! [`layout`] is the contract with other languages.

#![allow(unsafe_code, reason = "shared memory: every block answers for itself")]

mod cgroup;
mod consumer;
mod handover;
mod hashing;
pub mod layout;
mod memory;
pub mod message;
mod producer;
mod protocol;
mod ring;
mod sleep;
mod tap;

pub use consumer::{Batch, Consumer, Record};
pub use handover::HandoverError;
pub use hashing::TopicHasher;
pub use layout::Kind;
pub use memory::MemoryError;
pub use message::{Message, Publisher};
pub use producer::{ClaimError, Producer, Waiting};
pub use ring::{Corrupt, Position};
pub use sleep::Waker;
pub use tap::{Tap, TapError};
