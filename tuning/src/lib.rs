//! ringcast-tune: looks at a host, plans its cores, says what is wrong, changes what
//! it can undo, and measures whether that helped.
//!
//! ```text
//!   Host ──► Topology ──► Plan ──► Situation ──► items ──► check │ apply │ unit │ script
//!   files    what is      who does   all three    the table
//!            there        what
//! ```
//!
//! Everything but the probes is a function of the files below a [`host::Host`]: a copy
//! of another machine's `/proc` and `/sys` does as well as the machine itself.
//!
//! It knows nothing of the engine's other crates; the engine asks it at its start.

#![forbid(unsafe_code)]

pub mod apply;
pub mod check;
pub mod cpus;
pub mod host;
pub mod item;
pub mod journal;
pub mod plan;
pub mod probe;
pub mod prove;
pub mod script;
pub mod start;
pub mod topology;
pub mod unit;
