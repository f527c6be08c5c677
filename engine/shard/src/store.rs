//! Messages that are kept: once each, however many need them.
//!
//! A message is kept as one text, topic, properties and payload one behind the other, and
//! is counted: it goes when nobody needs it any more.

use crate::text::{Text, Texts};
use ringcast_codec::mqtt::{Properties, PropertyOwner, TopicName};
use slab::Slab;

/// All messages that a shard keeps.
pub(crate) struct Store {
    messages: Slab<Stored>,
    texts: Texts<PAGE_BYTES>,
    messages_max: usize,
}

/// Names a message while somebody needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StoredId(u32);

/// What is kept of a message beside its bytes.
#[derive(Debug, Clone, Copy)]
struct Stored {
    text: Text,
    topic_bytes: u16,
    properties_bytes: u32,
    users: u32,
    about: About,
}

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct About {
    /// Its number among all messages.
    pub(crate) sequence: u64,
    /// When it is to be forgotten, in µs since 1970; 0 if never.
    pub(crate) expires_micros: u64,
    /// 0 to 2.
    pub(crate) qos: u8,
    /// As it was published.
    pub(crate) retain: bool,
    /// The hash of its publisher's client identifier; 0 if no client published it.
    pub(crate) publisher: u64,
}

/// A message's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) topic: &'a [u8],
    /// As MQTT 5 encodes them, without their length.
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
}

const PAGE_BYTES: usize = 252;

impl Store {
    /// Room for so many messages with so many bytes, in pages of 252.
    pub(crate) fn new(messages: usize, bytes: usize) -> Self {
        Self {
            messages: Slab::with_capacity(messages),
            texts: Texts::new(bytes.div_ceil(PAGE_BYTES)),
            messages_max: messages,
        }
    }

    /// Keeps a message for one user; `None` if there is no room.
    pub(crate) fn keep(&mut self, about: About, parts: Parts<'_>) -> Option<StoredId> {
        if self.messages.len() == self.messages_max {
            return None;
        }
        let Parts {
            topic,
            properties,
            payload,
        } = parts;
        let text = self.texts.keep_parts(&[topic, properties, payload])?;
        let number = self.messages.insert(Stored {
            text,
            topic_bytes: topic.len() as u16,
            properties_bytes: properties.len() as u32,
            users: 1,
            about,
        });
        Some(StoredId(number as u32))
    }

    /// One more user.
    pub(crate) fn share(&mut self, id: StoredId) -> StoredId {
        self.messages[id.0 as usize].users += 1;
        id
    }

    /// One user less.
    pub(crate) fn release(&mut self, id: StoredId) {
        let stored = &mut self.messages[id.0 as usize];
        stored.users -= 1;
        if stored.users == 0 {
            let stored = self.messages.remove(id.0 as usize);
            self.texts.forget(stored.text);
        }
    }

    pub(crate) fn about(&self, id: StoredId) -> About {
        self.messages[id.0 as usize].about
    }

    /// Bytes of topic, properties and payload.
    pub(crate) fn bytes(&self, id: StoredId) -> usize {
        self.messages[id.0 as usize].text.len()
    }

    /// The message, copied into a buffer, which is emptied first.
    pub(crate) fn read<'b>(&self, id: StoredId, buffer: &'b mut Vec<u8>) -> Parts<'b> {
        let stored = &self.messages[id.0 as usize];
        buffer.clear();
        for piece in self.texts.pieces(stored.text) {
            buffer.extend_from_slice(piece);
        }
        let (topic, rest) = buffer.split_at(stored.topic_bytes.into());
        let (properties, payload) = rest.split_at(stored.properties_bytes as usize);
        Parts {
            topic,
            properties,
            payload,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }
}

impl<'a> Parts<'a> {
    /// What only valid messages get this far.
    pub(crate) fn topic(&self) -> TopicName<'a> {
        TopicName::from_bytes(self.topic).expect("was checked when it was published")
    }

    pub(crate) fn properties(&self) -> Properties<'a> {
        Properties::new(self.properties, PropertyOwner::PublishFromClient)
            .expect("were checked when they were published")
    }
}

#[cfg(test)]
mod tests {
    use super::{About, Parts, Store};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_message_stays_until_nobody_needs_it(
            steps in prop::collection::vec((0..4_u8, 0..600_usize, any::<u8>()), 0..200),
        ) {
            let mut store = Store::new(6, 2520);
            let mut model: Vec<(super::StoredId, About, Vec<u8>, u32)> = Vec::new();
            let mut buffer = Vec::new();
            for (number, (kind, bytes, pick)) in (0..).zip(steps) {
                if kind < 2 {
                    let body = vec![pick; bytes];
                    let (topic, rest) = body.split_at(bytes / 3);
                    let (properties, payload) = rest.split_at(rest.len() / 2);
                    let about = About { sequence: number, ..About::default() };
                    let parts = Parts { topic, properties, payload };
                    match store.keep(about, parts) {
                        Some(id) => {
                            prop_assert_eq!(store.read(id, &mut buffer), parts);
                            model.push((id, about, body, 1));
                        }
                        None => {
                            let pages = |bytes: usize| bytes.div_ceil(252);
                            let used: usize = model.iter().map(|one| pages(one.2.len())).sum();
                            prop_assert!(model.len() == 6 || used + pages(bytes) > 10);
                        }
                    }
                } else if !model.is_empty() {
                    let at = pick as usize % model.len();
                    let one = &mut model[at];
                    if kind == 2 {
                        store.share(one.0);
                        one.3 += 1;
                    } else {
                        store.release(one.0);
                        one.3 -= 1;
                        if one.3 == 0 {
                            model.swap_remove(at);
                        }
                    }
                }
                prop_assert_eq!(store.len(), model.len());
                for (id, about, body, _) in &model {
                    let parts = store.read(*id, &mut buffer);
                    prop_assert_eq!(&[parts.topic, parts.properties, parts.payload].concat(), body);
                    prop_assert_eq!(store.about(*id), *about);
                    prop_assert_eq!(store.bytes(*id), body.len());
                }
            }
        }
    }
}
