//! The load generator: very many clients of any broker, and figures that can be defended.

#![forbid(unsafe_code)]

pub mod report;
pub mod results;
