//! What a message looks like on the wire: a head that depends on its topic only, a payload
//! that begins with its stamp, and a tail that is always the same.
//!
//! All messages of a run are equally long, and a server that forwards them
//! may not change a byte but those of the packet identifier, where there is one. So a subscriber needs no parser to know that it got the
//! right message, and the probe stays faster than what it measures.

use std::ops::Range;

/// Bytes of the stamp, the least that a payload has.
pub(crate) const STAMP_BYTES: usize = 24;

/// Where in a payload its topic stands.
pub(crate) const TOPIC_AT: usize = 16;

const PACKET_ID_BYTES: usize = 2;

/// What the rest of a payload is filled with.
const FILLER: u8 = 0x5A;

/// The wire form of all messages of a run.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// Those of all topics, one behind the other and equally long.
    heads: Vec<u8>,
    head_bytes: usize,
    /// A head ends with a packet identifier, which whoever sends the message chooses.
    has_packet_id: bool,
    topics: u32,
    /// A payload, to be stamped, and the tail.
    template: Vec<u8>,
    payload_bytes: usize,
}

/// What a message says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Counted from 0, in the order of publishing.
    pub(crate) sequence: u64,
    /// When it was to be sent, in nanoseconds of the common clock.
    pub(crate) intended_nanos: u64,
    /// Of which topic it is.
    pub(crate) topic: u32,
    /// How many of its topic were before it.
    pub(crate) number: u32,
}

impl Form {
    /// Messages of so many topics that have nothing but their payload of so many bytes.
    pub(crate) fn bare(topics: u32, payload_bytes: usize) -> Self {
        Self::new(topics, |_| Vec::new(), payload_bytes, &[])
    }

    /// Messages with a head for each topic in front of their payload of so many bytes,
    /// and a tail behind it.
    ///
    /// # Panics
    /// If the payload has no room for the stamp, or heads differ in length.
    pub(crate) fn new(
        topics: u32,
        head: impl Fn(u32) -> Vec<u8>,
        payload_bytes: usize,
        tail: &[u8],
    ) -> Self {
        assert!(payload_bytes >= STAMP_BYTES, "no room for the stamp");
        let head_bytes = head(0).len();
        let mut heads = Vec::with_capacity(topics as usize * head_bytes);
        for topic in 0..topics {
            let head = head(topic);
            assert_eq!(head.len(), head_bytes, "the head of topic {topic}");
            heads.extend_from_slice(&head);
        }
        let mut template = vec![FILLER; payload_bytes];
        template.extend_from_slice(tail);
        Self {
            heads,
            head_bytes,
            has_packet_id: false,
            topics,
            template,
            payload_bytes,
        }
    }

    /// The same, if each head ends with a packet identifier.
    pub(crate) fn with_packet_id(self) -> Self {
        assert!(self.head_bytes >= PACKET_ID_BYTES, "it has no room for one");
        Self {
            has_packet_id: true,
            ..self
        }
    }

    /// Where in a message its packet identifier is, if it has one.
    #[inline]
    pub(crate) fn packet_id(&self) -> Option<Range<usize>> {
        self.has_packet_id
            .then(|| self.head_bytes - PACKET_ID_BYTES..self.head_bytes)
    }

    /// Bytes of a whole message.
    pub(crate) fn bytes(&self) -> usize {
        self.head_bytes + self.template.len()
    }

    /// Appends a message.
    pub(crate) fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        let head_at = stamp.topic as usize * self.head_bytes;
        out.extend_from_slice(&self.heads[head_at..head_at + self.head_bytes]);
        let at = out.len();
        out.extend_from_slice(&self.template);
        out[at..at + STAMP_BYTES].copy_from_slice(&stamp.to_bytes());
    }

    /// The stamp of a message, given all its bytes; `None` if head or tail are not those
    /// that its topic has, whatever the packet identifier.
    #[inline]
    pub(crate) fn read(&self, message: &[u8]) -> Option<Stamp> {
        let (head, rest) = message.split_at_checked(self.head_bytes)?;
        let stamp = Stamp::from_bytes(rest.first_chunk()?);
        if stamp.topic >= self.topics {
            return None;
        }
        let head_at = stamp.topic as usize * self.head_bytes;
        let fixed = self
            .packet_id()
            .map_or(self.head_bytes, |place| place.start);
        let tail = &self.template[self.payload_bytes..];
        // Most have none, and to compare nothing takes a call, too.
        let is_its_own = head[..fixed] == self.heads[head_at..head_at + fixed]
            && (tail.is_empty() || rest.get(self.payload_bytes..) == Some(tail));
        is_its_own.then_some(stamp)
    }
}

impl Stamp {
    fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..TOPIC_AT].copy_from_slice(&self.intended_nanos.to_le_bytes());
        bytes[TOPIC_AT..20].copy_from_slice(&self.topic.to_le_bytes());
        bytes[20..].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    #[inline]
    fn from_bytes(bytes: &[u8; STAMP_BYTES]) -> Self {
        let long = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("is inside"));
        let short = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("is inside"));
        Self {
            sequence: long(0),
            intended_nanos: long(8),
            topic: short(TOPIC_AT),
            number: short(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_between_its_own_head_and_tail_only() {
        let head = |topic| format!("head{topic}").into_bytes();
        let form = Form::new(3, head, 30, b"tail");
        let stamp = Stamp {
            sequence: 7,
            intended_nanos: u64::MAX - 1,
            topic: 2,
            number: 5,
        };
        let mut message = b"before".to_vec();
        form.write(stamp, &mut message);
        let message = &mut message[6..];
        assert_eq!(message.len(), form.bytes());
        assert_eq!(form.bytes(), 39);
        assert_eq!(form.read(message), Some(stamp));
        for spoilt in [0, 4, 38] {
            message[spoilt] ^= 1;
            assert_eq!(form.read(message), None, "byte {spoilt}");
            message[spoilt] ^= 1;
        }
        assert_eq!(form.read(message), Some(stamp));
        // The head of another topic than the payload names, and of none that there is.
        message[4] = b'1';
        assert_eq!(form.read(message), None);
        message[5 + TOPIC_AT] = 3;
        assert_eq!(form.read(message), None);
        assert_eq!(form.read(b"head1"), None);
        assert_eq!(form.read(b"he"), None);
        // With an identifier at the end of the head, which may be any, the rest is still compared.
        let form = Form::new(1, |_| b"head__".to_vec(), 30, b"tail").with_packet_id();
        assert_eq!(form.packet_id(), Some(4..6));
        let mut message = Vec::new();
        let stamp = Stamp { topic: 0, ..stamp };
        form.write(stamp, &mut message);
        message[4..6].copy_from_slice(&[1, 2]);
        assert_eq!(form.read(&message), Some(stamp));
        message[3] ^= 1;
        assert_eq!(form.read(&message), None);
    }
}
