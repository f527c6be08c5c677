//! ringcast-referee: an independent checker of MQTT traffic between one server and its
//! clients.
//!
//! It takes what an observer saw on the wire, event by event, and says which
//! [rules](Rule) of the standard the server broke, where and why. It uses nothing of
//! the engine, its decoder neither, so that it can not repeat the engine's mistakes.
//! Clients are not judged: what they do wrong only excuses the server.
//!
//! It is fair: a rule convicts only if no order of events that the trace leaves open
//! explains what was seen. What a client sent and what the server sent may have
//! crossed; bytes on two connections may be seen in another order than they were sent
//! in. And it is honest: a rule without an [occasion](Report::without_occasion) has
//! proved nothing.
//!
//! ```
//! use ringcast_referee::{Event, Referee, Rule, Scope, What};
//!
//! let mut referee = Referee::new(Scope::whole());
//! let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a".to_vec();
//! for (at_nanos, what) in [
//!     (0, What::Opened),
//!     (1_000, What::ToServer(connect)),
//!     (2_000, What::ToClient(b"\x20\x02\x01\x00".to_vec())),
//! ] {
//!     referee.on_event(&Event { at_nanos, connection: 1, what });
//! }
//! let report = referee.finish();
//! assert_eq!(report.occasions(Rule::ConnackFirst), 1);
//! // Session Present after a clean start:
//! assert_eq!(report.violations()[0].rule, Rule::SessionPresent);
//! ```

#![forbid(unsafe_code)]

pub mod capture;
pub mod decode;
mod judge;
pub mod occasions;
pub mod packet;
pub mod recorder;
mod referee;
mod report;
mod rule;
mod state;
pub mod topic;
pub mod trace;

pub use referee::{Private, Referee, Scope};
pub use report::{Report, Violation};
pub use rule::Rule;
pub use trace::{Event, What};
