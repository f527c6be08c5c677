//! All that was published, byte by byte as it must arrive, as long as somebody waits for it.
//!
//! To hold a whole read against it is one comparison, about as dear as a copy, and no byte is
//! left out. To look at each message by itself would make the probe slower than what it
//! measures.

use super::form::{Form, Stamp};
use std::ops::Range;

/// Bytes that nobody waits for any more are kept up to so many: to let go of them moves the
/// others.
const FORGOTTEN_BYTES_MAX: usize = 1 << 20;

/// Messages in the order in which they were published.
#[derive(Debug)]
pub(crate) struct Transcript {
    message_bytes: usize,
    /// The sequence of the first message in `bytes`.
    first: u64,
    bytes: Vec<u8>,
}

impl Transcript {
    /// Nothing was published.
    pub(crate) fn new(form: &Form) -> Self {
        Self {
            message_bytes: form.bytes(),
            first: 0,
            bytes: Vec::new(),
        }
    }

    /// The next message was published. Nobody waits for those before `complete`.
    pub(crate) fn append(&mut self, form: &Form, stamp: Stamp, complete: u64) {
        let forgotten = (complete - self.first) as usize * self.message_bytes;
        if forgotten > FORGOTTEN_BYTES_MAX {
            self.bytes.drain(..forgotten);
            self.first = complete;
        }
        form.write(stamp, &mut self.bytes);
    }

    /// These came for messages from that sequence on: their packet identifiers are the
    /// server's to choose, so whatever they are belongs to what must arrive.
    #[inline]
    pub(crate) fn adopt_packet_ids(
        &mut self,
        sequence: u64,
        messages: &[u8],
        packet_id: &Range<usize>,
    ) {
        let Some(before) = sequence.checked_sub(self.first) else {
            return;
        };
        let rest = self.bytes.get_mut(before as usize * self.message_bytes..);
        let own = rest
            .unwrap_or_default()
            .chunks_exact_mut(self.message_bytes);
        for (own, came) in own.zip(messages.chunks_exact(self.message_bytes)) {
            own[packet_id.clone()].copy_from_slice(&came[packet_id.clone()]);
        }
    }

    /// Whether these bytes are messages, the first of them the one with this sequence.
    #[inline]
    pub(crate) fn holds(&self, sequence: u64, messages: &[u8]) -> bool {
        let Some(before) = sequence.checked_sub(self.first) else {
            return false;
        };
        let rest = self.bytes.get(before as usize * self.message_bytes..);
        rest.is_some_and(|rest| rest.starts_with(messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_compared_whole_wherever_it_begins() {
        let form = Form::bare(1, 40);
        let mut transcript = Transcript::new(&form);
        let mut all = Vec::new();
        // More than are kept: nobody waits for more than the last ten.
        let count = 3 * (FORGOTTEN_BYTES_MAX / form.bytes()) as u64;
        for sequence in 0..count {
            let stamp = Stamp {
                sequence,
                intended_nanos: 5,
                topic: 0,
                number: sequence as u32,
            };
            transcript.append(&form, stamp, sequence.saturating_sub(10));
            form.write(stamp, &mut all);
        }
        assert!(transcript.bytes.len() < 2 * FORGOTTEN_BYTES_MAX);
        let from = |sequence: u64| &all[sequence as usize * form.bytes()..];
        assert!(transcript.holds(count - 10, from(count - 10)));
        assert!(transcript.holds(count, &[]));
        assert!(transcript.holds(count - 10, &from(count - 10)[..form.bytes()]));
        assert!(
            !transcript.holds(count - 10, from(count - 9)),
            "another one"
        );
        assert!(!transcript.holds(count - 9, from(count - 10)), "too many");
        assert!(!transcript.holds(count + 1, &[]), "not published");
        assert!(!transcript.holds(0, from(0)), "forgotten");
        let mut spoilt = from(count - 10).to_vec();
        for at in [0, 8, 16, 39, 10 * form.bytes() - 1] {
            spoilt[at] ^= 1;
            assert!(!transcript.holds(count - 10, &spoilt), "byte {at}");
            spoilt[at] ^= 1;
        }
        // If the spoilt bytes are what the server chooses, they are right; others are not.
        spoilt[form.bytes() + 12] ^= 1;
        transcript.adopt_packet_ids(count - 10, &spoilt, &(12..14));
        assert!(transcript.holds(count - 10, &spoilt));
        assert!(!transcript.holds(count - 10, from(count - 10)));
        transcript.adopt_packet_ids(count - 10, from(count - 10), &(12..14));
        transcript.adopt_packet_ids(0, from(0), &(12..14));
        spoilt[form.bytes() + 12] ^= 1;
        assert!(transcript.holds(count - 10, &spoilt));
    }
}
