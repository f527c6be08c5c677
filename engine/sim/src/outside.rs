//! What reads and writes rings from outside the engine: taps of its ring, which nobody
//! waits for, and a feed handler with a ring of its own, which may die at any moment.

use crate::kind::{Counts, Kind};
use crate::oracle::log::Log;
use crate::random::Random;
use crate::topics::TOPICS;
use ringcast_ring::{ClaimError, Message, Producer, Tap, TapError};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

/// A reader of the engine's ring.
#[derive(Debug)]
pub struct Listener {
    tap: Tap,
    /// The number of the last message that it read; none at the start and after a lap.
    last: Option<u64>,
    body: Vec<u8>,
}

impl Listener {
    /// Reads what is published from now on.
    ///
    /// # Panics
    /// If the machine has no memory.
    #[must_use]
    pub fn new(ring: &Producer) -> Self {
        Self {
            tap: Tap::open(descriptor(ring)).expect("it is a ring"),
            last: None,
            body: Vec::new(),
        }
    }

    /// Reads so many messages, which have to be those of the log.
    ///
    /// # Errors
    /// What is not.
    pub fn read(&mut self, most: u64, log: &Log, counts: &mut Counts) -> Result<(), String> {
        for _ in 0..most {
            match self.tap.read(&mut self.body) {
                Ok(None) => return Ok(()),
                Ok(Some(_)) => self.look(log)?,
                Err(TapError::Lapped { .. }) => {
                    counts.count(Kind::TapLapped);
                    self.last = None;
                }
                Err(error) => return Err(format!("a tap: {error}")),
            }
        }
        Ok(())
    }

    fn look(&mut self, log: &Log) -> Result<(), String> {
        let Some(message) = Message::decode(&self.body) else {
            return Ok(());
        };
        let sequence = message.sequence;
        if self.last.is_some_and(|last| last + 1 != sequence) {
            return Err(format!("a tap read {sequence} after {:?}", self.last));
        }
        self.last = Some(sequence);
        let draft = (1..=log.end())
            .contains(&sequence)
            .then(|| &log.at(sequence).draft);
        let is_it = draft.is_some_and(|draft| {
            draft.payload == message.payload && TOPICS[draft.topic].name.as_bytes() == message.topic
        });
        match is_it {
            true => Ok(()),
            false => Err(format!("a tap read {sequence}, which is another message")),
        }
    }
}

/// A feed handler, its ring, and the engine's end of that.
#[derive(Debug)]
pub struct Handler {
    producer: Producer,
    tap: Tap,
    /// What was published and not read.
    expected: VecDeque<u64>,
    next: u64,
    body: Vec<u8>,
}

/// Bytes of a handler's ring.
const RING_BYTES: usize = 4096;

impl Handler {
    /// One that has written nothing.
    ///
    /// # Panics
    /// If the machine has no memory.
    #[must_use]
    pub fn new() -> Self {
        let producer = Producer::create("handler", RING_BYTES).expect("there is memory");
        Self {
            tap: Tap::open(descriptor(&producer)).expect("it is a ring"),
            producer,
            expected: VecDeque::new(),
            next: 0,
            body: Vec::new(),
        }
    }

    /// It writes some records, or dies in the middle of one, and another takes over.
    pub fn act(&mut self, random: &mut Random, dies: bool, counts: &mut Counts) {
        let mut begun = Vec::new();
        for _ in 0..random.between(1, 6) {
            let bytes = random.between(8, 900) as usize;
            match self.producer.claim(bytes, ringcast_ring::Kind(9)) {
                Ok(body) => {
                    body.fill(self.next as u8);
                    body[..8].copy_from_slice(&self.next.to_le_bytes());
                    begun.push(self.next);
                    self.next += 1;
                }
                // It has begun as many as its ring holds.
                Err(ClaimError::Full) => break,
                Err(ClaimError::TooLarge) => unreachable!("it is small"),
            }
        }
        if dies {
            counts.count(Kind::ProducerDied);
            let ring = descriptor(&self.producer);
            // The old one goes first, as a process that ends does.
            self.producer = Producer::create("handler", RING_BYTES).expect("there is memory");
            self.producer = Producer::take_over(ring).expect("its writer is gone");
        } else {
            self.producer.publish();
            self.expected.extend(begun);
        }
    }

    /// The engine's end reads one record: what was published, and nothing that was only
    /// begun.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn read(&mut self, counts: &mut Counts) -> Result<Option<u64>, String> {
        match self.tap.read(&mut self.body) {
            Ok(None) if self.expected.is_empty() => Ok(None),
            Ok(None) => Err(format!("{:?} of the handler's is lost", self.expected)),
            Ok(Some(_)) => {
                let number = self
                    .body
                    .first_chunk()
                    .map(|head| u64::from_le_bytes(*head));
                let expected = self.expected.pop_front();
                let is_whole = self.body[8..]
                    .iter()
                    .all(|byte| Some(u64::from(*byte)) == number.map(|number| number % 256));
                match number == expected && is_whole {
                    true => Ok(number),
                    false => Err(format!("{number:?} of the handler's, not {expected:?}")),
                }
            }
            Err(TapError::Lapped { .. }) => {
                counts.count(Kind::TapLapped);
                self.expected.clear();
                Ok(None)
            }
            Err(TapError::NewEpoch(_)) => Ok(None),
            Err(error) => Err(format!("the handler's ring: {error}")),
        }
    }
}

impl Default for Handler {
    fn default() -> Self {
        Self::new()
    }
}

/// Another descriptor of a ring's memory.
fn descriptor(ring: &Producer) -> OwnedFd {
    let own = ring.as_fd().try_clone_to_owned();
    own.expect("the process has a descriptor left")
}
