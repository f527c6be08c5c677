//! The program as its users run it: beside brokers that are right, wrong, stalled, or not
//! there.

mod book;
mod broker;
mod engine;
mod errors;
mod faults;
mod processes;
mod support;
mod tls;
