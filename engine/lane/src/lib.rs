//! ringcast-lane: the sockets of a shard on io_uring.
//!
//! A *lane* is one io_uring with a table of direct descriptors, so that a connection
//! costs the process no entry in its own table of files. [`Lanes`] are as many of
//! them as the shard's connections need, behind the [`Wire`](ringcast_wire::Wire)
//! trait. They belong to the thread that made them.
//! Whether a host has what they need, [`probe`] says beforehand.
//!
//! ```text
//!   Lanes ──► Connections   what each connection awaits, a pure table of states
//!         ──► Lane          entries in, completions out; one system call a batch
//! ```
//!
//! How it uses the kernel, and why:
//!
//! - One multishot poll per connection watches for input, room and the end. It is
//!   edge-triggered: what it told once it does not tell again.
//! - Input is read by one-shot receives that never wait, a batch at a time.
//! - A send never waits either, and leaves a completion only if it failed. So when
//!   the submitting call returns, the batch is over: the kernel keeps no reference to
//!   a byte that was sent, and no buffer has to be kept for it.
//! - A connection's index is also its direct descriptor. It is not used again before
//!   the kernel has answered all that it was asked about it. Kernels that serve direct
//!   descriptors badly get plain ones: see [`Files`].

#![allow(
    unsafe_code,
    reason = "the kernel reads and writes memory that it is given: every block answers for itself"
)]

mod connections;
mod entries;
mod files;
mod lane;
mod lanes;
mod outgoing;
mod places;
pub mod probe;
mod request;

pub use files::Files;
pub use lane::SetUpError;
pub use lanes::{Lanes, Settings};
pub use outgoing::connect;
