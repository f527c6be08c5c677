//! ringcast-door: meets newcomers.
//!
//! It accepts connections, bounds them in number, bytes and time, reads until CONNECT is
//! complete, asks who they are, and hands each to its home shard; or it refuses, with the
//! answer that their version of MQTT has for it. So nothing unauthenticated, slow to speak
//! or costly ever reaches a core that pushes.
//!
//! ```text
//!   Listener ─► accept ─► lobby: CONNECT ─► Authenticate ─► home's queue ─► shard
//!                            │                   │
//!                            └─────── refused ◄──┘
//! ```
//!
//! It runs on the tokio runtime that it is opened in, and starts no thread but those on
//! which that runtime runs what may block. It does not answer a CONNECT that it grants,
//! knows no session, and logs nothing: it counts.
//!
//! ```
//! use ringcast_door::{Anonymous, Door, Home, Limits, ListenSettings, Listener};
//! use std::sync::Arc;
//! use tokio::io::AsyncWriteExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (newcomers, mut shard) = tokio::sync::mpsc::channel(64);
//! let wake = Box::new(|| { /* writes to the eventfd that a parked shard waits on */ });
//! let mut door = Door::new(Limits::default(), vec![Home { newcomers, wake }]);
//!
//! let listener = Listener::bind(&ListenSettings::new("127.0.0.1:0".parse()?))?;
//! let address = listener.address();
//! door.open(listener, Arc::new(Anonymous), Arc::new(|trouble| eprintln!("{trouble}")))?;
//!
//! // A CONNECT of MQTT 5 from client `a`, and a SUBSCRIBE that does not wait for CONNACK.
//! let mut client = tokio::net::TcpStream::connect(address).await?;
//! let connect = b"\x10\x0E\0\x04MQTT\x05\x02\0\x1E\0\0\x01a";
//! client.write_all(connect).await?;
//! client.write_all(b"\x82\x07\0\x01\0\0\x01#\0").await?;
//!
//! let handover = shard.recv().await.expect("the door is open");
//! assert!(handover.newcomer.received.starts_with(connect));
//! assert_eq!(handover.newcomer.user, None);
//! door.drain().await;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod accept;
mod addresses;
mod authenticate;
mod bans;
mod counters;
mod door;
mod hall;
mod home;
mod limits;
mod listener;
mod lobby;
mod opening;
mod refusal;
mod user_file;
mod verifier;
mod visitor;

pub use accept::Trouble;
pub use addresses::AddressPlace;
pub use authenticate::{Anonymous, Authenticate, Claim, Denial, Verdict};
pub use bans::Bans;
pub use counters::Counters;
pub use door::Door;
pub use home::{Handover, Home};
pub use limits::Limits;
pub use listener::{ListenError, ListenSettings, Listener};
pub use refusal::Refusal;
pub use user_file::{UserFile, UserFileError, UserLineError, user_line};
