//! ringcast-ingest: feeds, and the sequencer that puts all messages in one order.
//!
//! ```text
//!   recording ─► reader's thread ─┐
//!   producer's ring ─► greeter ───┼─► Feed ──────┐
//!   nothing but numbers ──────────┘              ├─► Sequencer ─► ring
//!   what clients publish ─► each shard's uplink ─┘
//! ```
//!
//! [`Ingest::turn`] does a bounded amount of work on the core that runs it. It waits for
//! nothing: not for a disk, not for a producer, not for room in the ring. Time is an
//! argument; whatever may wait has a thread of its own, which hands over what it got.
//!
//! The [`Sequencer`] is deterministic. So is everything up to where a feed touches the
//! world: the same recording and the same times give the same records.
//!
//! ```
//! use ringcast_codec::market::DeliveryClasses;
//! use ringcast_ingest::{Feed, Ingest, Now, Sequencer, SyntheticSettings};
//! use ringcast_ring::{Message, Producer, TopicHasher, Waiting};
//!
//! let mut ring = Producer::create("example", 1 << 16)?;
//! let mut shard = ring.consumer(Waiting::Spins).expect("60 places are free");
//! let settings = SyntheticSettings { symbols: 1, ..SyntheticSettings::default() };
//! let feed = Feed::synthetic(&settings)?;
//! let hasher = TopicHasher::new((1, 2));
//! let sequencer = Sequencer::new(ring, Vec::new(), hasher, DeliveryClasses::standard());
//! let mut ingest = Ingest::new(feed, sequencer);
//!
//! ingest.turn(Now { monotonic_nanos: 0, wall_micros: 1_700_000_000_000_000 })?;
//! let mut batch = shard.poll()?;
//! let record = batch.next_record()?.expect("one is due at once");
//! let message = Message::decode(record.body).expect("is one");
//! assert_eq!((message.sequence, message.topic), (1, &b"market/SYM0/trade"[..]));
//! assert_eq!(ingest.next_due(), Some(1_000_000));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod bundled;
mod counters;
mod error;
mod feed;
mod ingest;
mod refusal;
mod replay;
mod reports;
mod sequencer;
mod settings;
mod shm;
mod synthetic;

pub use bundled::BUNDLED;
pub use counters::Counters;
pub use error::{FeedError, IngestError};
pub use feed::{Feed, FeedState, Phase};
pub use ingest::{Ingest, Now, TURN_BYTES_MAX, TURN_RECORDS_MAX};
pub use refusal::Refusal;
pub use replay::Replay;
pub use sequencer::{Draft, FeedTopic, Limit, Sequencer, Stop, Taken};
pub use settings::{
    FeedSettings, Pace, RecordingSource, ReplaySettings, ShmSettings, Spread, SyntheticSettings,
};
pub use shm::Shm;
pub use synthetic::{STAMP_BYTES, Synthetic};
