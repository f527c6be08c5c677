//! What a batch of reads brought.

use crate::ConnectionKey;
use std::io::ErrorKind;

/// The buffers that a wire reads into, and what came into each.
///
/// A shard makes one and uses it for every [`Wire::receive`](crate::Wire::receive).
#[derive(Debug)]
pub struct Received {
    bytes: Box<[u8]>,
    buffer_bytes: usize,
    most: usize,
    /// In the order of the call; as many as that named.
    outcomes: Vec<(ConnectionKey, Outcome)>,
}

/// [`Arrival`], with its bytes left in their buffer.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Bytes { count: usize, more: bool },
    Nothing,
    End,
    Broken(ErrorKind),
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// Input, at least one byte.
    Bytes {
        /// What came.
        bytes: &'a [u8],
        /// Whether there may be more already, which no event will announce.
        more: bool,
    },
    /// There is none.
    Nothing,
    /// The peer sends no more. It may still receive.
    End,
    /// The connection failed; nothing more comes from it and it takes nothing.
    Broken(ErrorKind),
}

impl Received {
    /// Room for so many reads of one call, each of so many bytes.
    #[must_use]
    pub fn new(reads: usize, buffer_bytes: usize) -> Self {
        Self {
            bytes: vec![0; reads * buffer_bytes].into(),
            buffer_bytes,
            most: reads,
            outcomes: Vec::with_capacity(reads),
        }
    }

    /// How many connections one call may read from.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// What came, in the order in which the connections were named.
    pub fn arrivals(&self) -> impl Iterator<Item = (ConnectionKey, Arrival<'_>)> {
        let buffers = self.bytes.chunks_exact(self.buffer_bytes);
        self.outcomes
            .iter()
            .zip(buffers)
            .map(|(&(key, outcome), buffer)| {
                let arrival = match outcome {
                    Outcome::Bytes { count, more } => Arrival::Bytes {
                        bytes: &buffer[..count],
                        more,
                    },
                    Outcome::Nothing => Arrival::Nothing,
                    Outcome::End => Arrival::End,
                    Outcome::Broken(kind) => Arrival::Broken(kind),
                };
                (key, arrival)
            })
    }
}

/// For those who implement a wire.
impl Received {
    /// Forgets the last call's arrivals; those of these connections are to come, and
    /// are [`Arrival::Nothing`] until told otherwise.
    ///
    /// # Panics
    /// If there are more connections than buffers.
    pub fn begin(&mut self, from: &[ConnectionKey]) {
        assert!(from.len() <= self.most(), "one buffer for each");
        self.outcomes.clear();
        let nothing = from.iter().map(|&key| (key, Outcome::Nothing));
        self.outcomes.extend(nothing);
    }

    /// Where the bytes of each connection go, in their order.
    pub fn buffers(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_exact_mut(self.buffer_bytes)
    }

    /// So many bytes came into the buffer at this place; none is the end of input.
    /// `more` if the wire knows of more; a full buffer implies it.
    pub fn arrived(&mut self, place: usize, count: usize, more: bool) {
        assert!(count <= self.buffer_bytes, "they fit the buffer");
        self.outcomes[place].1 = if count == 0 {
            Outcome::End
        } else {
            let more = more || count == self.buffer_bytes;
            Outcome::Bytes { count, more }
        };
    }

    /// The connection at this place failed.
    pub fn failed(&mut self, place: usize, kind: ErrorKind) {
        self.outcomes[place].1 = Outcome::Broken(kind);
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Received};
    use crate::ConnectionKey;
    use std::io::ErrorKind;

    #[test]
    fn arrivals_come_in_the_order_of_the_call_with_their_own_bytes() {
        let keys = [5, 3, 9, 1].map(ConnectionKey::first);
        let mut received = Received::new(4, 4);
        received.begin(&keys);
        received.buffers().nth(1).unwrap()[..4].copy_from_slice(b"full");
        received.arrived(1, 4, false);
        received.buffers().next().unwrap()[..2].copy_from_slice(b"hi");
        received.arrived(0, 2, false);
        received.failed(3, ErrorKind::ConnectionReset);
        let bytes = |bytes, more| Arrival::Bytes { bytes, more };
        assert_eq!(
            received.arrivals().collect::<Vec<_>>(),
            [
                (keys[0], bytes(b"hi", false)),
                (keys[1], bytes(b"full", true)),
                (keys[2], Arrival::Nothing),
                (keys[3], Arrival::Broken(ErrorKind::ConnectionReset)),
            ]
        );
        received.begin(&keys[2..3]);
        received.arrived(0, 0, false);
        assert_eq!(
            received.arrivals().collect::<Vec<_>>(),
            [(keys[2], Arrival::End)]
        );
    }

    #[test]
    #[should_panic(expected = "one buffer for each")]
    fn more_connections_than_buffers_are_refused() {
        Received::new(1, 16).begin(&[0, 1].map(ConnectionKey::first));
    }
}
