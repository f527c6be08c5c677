//! ringcast-shard: who gets a message, and what they get.
//!
//! Of the shard there are its tables: [`routes`] finds the cohorts whose members get a
//! message, [`arena`] holds encoded frames, [`stream`] says which of them a cohort gets
//! and up to where. What moves them, connections, sweeps, the service of those who lag,
//! is not there yet.
//!
//! ```text
//!   topic ─► Routes: topics ─► filters ─► cohorts      a message
//!                                            │
//!   frame ─► Arena ──────────────► Stream of each      its bytes
//! ```
//!
//! All memory is reserved when a table is made. No table grows, moves or allocates
//! afterwards, and each says when it is full.

#![forbid(unsafe_code)]

pub mod arena;
mod bag;
pub mod cohorts;
mod fifo;
pub mod filters;
mod index;
mod pages;
pub mod routes;
pub mod stream;
mod text;
pub mod topics;
