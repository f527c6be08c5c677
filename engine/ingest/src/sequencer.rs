//! The one place that decides order: whatever becomes a record of the ring gets its number
//! here.
//!
//! ```text
//!   uplink of shard 0 ─┐
//!   uplink of shard 1 ─┼─► sequence, topic hash, ingest time ─► ring
//!   feed ──────────────┘
//! ```
//!
//! No clock and no input or output: records in, records out. Invariants: what a shard puts
//! into its uplink comes out on the ring, in its order, none lost and none twice; messages
//! are numbered from 1 without gaps; records of other kinds pass unchanged and have no
//! number. A full ring changes nothing: what did not fit stays where it was.

use crate::error::IngestError;
use ringcast_codec::market::DeliveryClasses;
use ringcast_codec::mqtt::{QoS, TopicName};
use ringcast_ring::{ClaimError, Consumer, Corrupt, Kind, Message, Producer, Record, TopicHasher};

/// Writes the ring.
#[derive(Debug)]
pub struct Sequencer {
    producer: Producer,
    /// One for each shard.
    uplinks: Vec<Consumer>,
    hasher: TopicHasher,
    classes: DeliveryClasses,
    /// The number of the last message.
    sequence: u64,
}

/// A topic that a feed publishes to, and how its messages are delivered. Feeds keep it, so
/// that no filter is matched for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedTopic {
    name: Box<[u8]>,
    hash: u64,
    qos_max: u8,
    retain: bool,
}

/// A message of a feed, all but its payload.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// Where it goes.
    pub topic: &'a FeedTopic,
    /// The quality of service that the feed wants; the topic's class may allow less.
    pub qos: QoS,
    /// When its source says that it happened, in µs since 1970, UTC; 0 if unknown.
    pub source_micros: u64,
    /// When it was taken in, the same unit.
    pub ingest_micros: u64,
    /// When it is to be forgotten, the same unit; 0 if never.
    pub expires_micros: u64,
    /// Properties of MQTT 5, encoded, without their length, checked.
    pub properties: &'a [u8],
}

/// How much may be taken from one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Records.
    pub records: u64,
    /// Bytes of their bodies; the record that reaches it is still taken.
    pub bytes: u64,
}

/// What was taken from one source, and why no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Messages that are in the ring now.
    pub messages: u64,
    /// Records of other kinds that are.
    pub controls: u64,
    /// What was refused: it is not in the ring, and had its share of the work.
    pub refused: u64,
    /// Bytes that were worked on: of an uplink the bodies of its records.
    pub bytes: u64,
    /// Why no more was taken.
    pub stop: Stop,
}

/// Why no more was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// There is nothing more now.
    #[default]
    Dry,
    /// The limit is reached.
    Enough,
    /// The ring has no room for what is next.
    Full,
}

impl FeedTopic {
    /// Whether it is the topic of this name, whose hash that is.
    pub(crate) fn is(&self, name: TopicName<'_>, hash: u64) -> bool {
        self.hash == hash && *self.name == *name.as_bytes()
    }
}

impl Limit {
    pub(crate) fn is_reached(&self, taken: &Taken) -> bool {
        taken.records() >= self.records || taken.bytes >= self.bytes
    }
}

impl Taken {
    /// Records that were worked on.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.messages + self.controls + self.refused
    }

    /// Whether the ring has something new.
    #[must_use]
    pub fn has_written(&self) -> bool {
        self.messages + self.controls > 0
    }
}

impl Sequencer {
    /// Writes what comes from these uplinks, and what feeds offer, into this ring.
    #[must_use]
    pub fn new(
        producer: Producer,
        uplinks: Vec<Consumer>,
        hasher: TopicHasher,
        classes: DeliveryClasses,
    ) -> Self {
        Self {
            producer,
            uplinks,
            hasher,
            classes,
            sequence: 0,
        }
    }

    /// What a feed needs to publish to a topic.
    #[must_use]
    pub fn topic(&self, name: TopicName<'_>) -> FeedTopic {
        let class = self.classes.of(name);
        FeedTopic {
            name: name.as_bytes().into(),
            hash: self.hash(name),
            qos_max: class.qos_max as u8,
            retain: class.retain,
        }
    }

    pub(crate) fn hash(&self, name: TopicName<'_>) -> u64 {
        self.hasher.topic(name.as_bytes())
    }

    /// Appends a message of a feed; `write` makes its payload, of just so many bytes, where
    /// it is to lie. It can be read after [`Self::publish`].
    ///
    /// # Errors
    /// [`ClaimError`], and nothing happened: `write` was not called.
    #[inline]
    pub fn offer(
        &mut self,
        draft: &Draft<'_>,
        payload_bytes: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), ClaimError> {
        let message = Message {
            sequence: self.sequence + 1,
            topic_hash: draft.topic.hash,
            source_micros: draft.source_micros,
            ingest_micros: draft.ingest_micros,
            expires_micros: draft.expires_micros,
            qos: draft.topic.qos_max.min(draft.qos as u8),
            retain: draft.topic.retain,
            topic: &draft.topic.name,
            properties: draft.properties,
            ..Message::default()
        };
        let bytes = message.encoded_len() + payload_bytes;
        let body = self.producer.claim(bytes, Kind::MESSAGE)?;
        write(message.encode_around(payload_bytes, body));
        self.sequence += 1;
        Ok(())
    }

    /// Appends a message of the engine about itself, retained, at QoS 0. It can be read after
    /// [`Self::publish`].
    ///
    /// # Errors
    /// [`ClaimError`], and nothing happened.
    pub fn announce(
        &mut self,
        topic: TopicName<'_>,
        payload: &[u8],
        now_micros: u64,
    ) -> Result<(), ClaimError> {
        let topic = FeedTopic {
            qos_max: QoS::AtMostOnce as u8,
            retain: true,
            ..self.topic(topic)
        };
        let draft = Draft {
            topic: &topic,
            qos: QoS::AtMostOnce,
            source_micros: now_micros,
            ingest_micros: now_micros,
            expires_micros: 0,
            properties: &[],
        };
        self.offer(&draft, payload.len(), |room| room.copy_from_slice(payload))
    }

    /// Appends what the shard of this number has put into its uplink, up to a limit. It can
    /// be read after [`Self::publish`].
    ///
    /// # Errors
    /// [`IngestError`] for what no shard may put there. The engine has to stop: what it
    /// would leave out is missed.
    ///
    /// # Panics
    /// If there is no such uplink.
    pub fn take_uplink(
        &mut self,
        uplink: usize,
        limit: Limit,
        ingest_micros: u64,
    ) -> Result<Taken, IngestError> {
        let corrupt = |corrupt| IngestError::Corrupt { uplink, corrupt };
        let mut taken = Taken::default();
        let mut batch = self.uplinks[uplink].poll().map_err(corrupt)?;
        loop {
            if limit.is_reached(&taken) {
                taken.stop = Stop::Enough;
                return Ok(taken);
            }
            let Some(record) = batch.next_record().map_err(corrupt)? else {
                return Ok(taken);
            };
            let number = self.sequence + 1;
            let appended = append(
                &mut self.producer,
                &self.hasher,
                record,
                number,
                ingest_micros,
            );
            match appended {
                Ok(()) if record.kind == Kind::MESSAGE => {
                    self.sequence = number;
                    taken.messages += 1;
                }
                Ok(()) => taken.controls += 1,
                Err(AppendError::Claim(ClaimError::Full)) => break,
                Err(AppendError::Claim(ClaimError::TooLarge)) => {
                    let bytes = record.body.len();
                    return Err(IngestError::TooLarge { uplink, bytes });
                }
                Err(AppendError::NoMessage) => {
                    let position = record.position;
                    return Err(IngestError::NoMessage { uplink, position });
                }
            }
            taken.bytes += record.body.len() as u64;
        }
        // Dropping the batch would release the record that found no room as well. So it is
        // forgotten, and all but that record are taken once more.
        std::mem::forget(batch);
        release(&mut self.uplinks[uplink], taken.records()).map_err(corrupt)?;
        taken.stop = Stop::Full;
        Ok(taken)
    }

    /// Makes everything that was appended readable, with one store.
    #[inline]
    pub fn publish(&mut self) {
        self.producer.publish();
    }

    /// How many uplinks there are.
    #[must_use]
    pub fn uplinks(&self) -> usize {
        self.uplinks.len()
    }

    /// The number of the last message; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The largest body of a record of the ring, in bytes.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        self.producer.record_bytes_max()
    }

    /// The ring: for new readers, and for what readers are behind.
    pub fn producer(&mut self) -> &mut Producer {
        &mut self.producer
    }

    /// The uplinks, in the order of their shards: to park on, and to wake.
    pub fn consumers(&mut self) -> &mut [Consumer] {
        &mut self.uplinks
    }
}

enum AppendError {
    Claim(ClaimError),
    NoMessage,
}

/// Copies a record into the ring; a message with what only the sequencer knows.
#[inline]
fn append(
    producer: &mut Producer,
    hasher: &TopicHasher,
    record: Record<'_>,
    sequence: u64,
    ingest_micros: u64,
) -> Result<(), AppendError> {
    if record.kind != Kind::MESSAGE {
        let claimed = producer.claim(record.body.len(), record.kind);
        claimed
            .map_err(AppendError::Claim)?
            .copy_from_slice(record.body);
        return Ok(());
    }
    let message = Message::decode(record.body).ok_or(AppendError::NoMessage)?;
    let message = Message {
        sequence,
        topic_hash: hasher.topic(message.topic),
        ingest_micros,
        ..message
    };
    let claimed = producer.claim(record.body.len(), Kind::MESSAGE);
    message.encode(claimed.map_err(AppendError::Claim)?);
    Ok(())
}

/// Takes so many records out of an uplink that has them.
fn release(uplink: &mut Consumer, records: u64) -> Result<(), Corrupt> {
    let mut batch = uplink.poll()?;
    for _ in 0..records {
        batch.next_record()?;
    }
    Ok(())
}
