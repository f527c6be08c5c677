//! What a message looks like on the wire: a head that is always the same, then a
//! payload that begins with its sequence and the time it was meant to be sent at.
//!
//! All messages of a run are equally long, and a server that forwards them at QoS 0
//! may not change a byte. So a subscriber needs no parser to know that it got the
//! right message, and the probe stays faster than what it measures.

/// Bytes of sequence and time, the least that a payload has.
pub(crate) const STAMP_BYTES: usize = 16;

/// What the rest of a payload is filled with.
const FILLER: u8 = 0x5A;

/// The wire form of all messages of a run.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// A whole message, to be stamped.
    template: Vec<u8>,
    head_bytes: usize,
}

/// What a message says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Counted from 0.
    pub(crate) sequence: u64,
    /// When it was to be sent, in nanoseconds of the common clock.
    pub(crate) intended_nanos: u64,
}

impl Form {
    /// Messages that have nothing but their payload of so many bytes.
    pub(crate) fn bare(payload_bytes: usize) -> Self {
        Self::with_head(&[], payload_bytes)
    }

    /// Messages with this in front of their payload of so many bytes.
    ///
    /// # Panics
    /// If the payload has no room for the stamp.
    pub(crate) fn with_head(head: &[u8], payload_bytes: usize) -> Self {
        assert!(payload_bytes >= STAMP_BYTES, "no room for the stamp");
        let mut template = head.to_vec();
        template.resize(head.len() + payload_bytes, FILLER);
        Self {
            template,
            head_bytes: head.len(),
        }
    }

    /// Bytes of a whole message.
    pub(crate) fn bytes(&self) -> usize {
        self.template.len()
    }

    /// Appends a message.
    pub(crate) fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        let at = out.len() + self.head_bytes;
        out.extend_from_slice(&self.template);
        out[at..at + 8].copy_from_slice(&stamp.sequence.to_le_bytes());
        out[at + 8..at + STAMP_BYTES].copy_from_slice(&stamp.intended_nanos.to_le_bytes());
    }

    /// The stamp of a message, given all its bytes; `None` if its head is another.
    #[inline]
    pub(crate) fn read(&self, message: &[u8]) -> Option<Stamp> {
        let (head, payload) = message.split_at_checked(self.head_bytes)?;
        if head != &self.template[..self.head_bytes] {
            return None;
        }
        let (sequence, payload) = payload.split_first_chunk()?;
        let (intended_nanos, _) = payload.split_first_chunk()?;
        Some(Stamp {
            sequence: u64::from_le_bytes(*sequence),
            intended_nanos: u64::from_le_bytes(*intended_nanos),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_behind_its_own_head_only() {
        let form = Form::with_head(b"head", 20);
        let stamp = Stamp {
            sequence: 7,
            intended_nanos: u64::MAX - 1,
        };
        let mut message = b"before".to_vec();
        form.write(stamp, &mut message);
        assert_eq!(message.len(), 6 + form.bytes());
        assert_eq!(form.bytes(), 24);
        assert_eq!(form.read(&message[6..]), Some(stamp));
        message[6] ^= 1;
        assert_eq!(form.read(&message[6..]), None);
        assert_eq!(form.read(b"head"), None);
    }
}
