//! What a subscriber at QoS 1 owes for what it got: a PUBACK for each message
//! ([MQTT-4.3.2-2]), those for what was read at once with one send.
//!
//! Until it has said so the identifier of a message is in use, and no other message may come
//! with it ([MQTT-2.3.1-4]).

use crate::error::DeliveryFault;
use std::io::{ErrorKind, Result, Write};
use std::ops::Range;

/// Bytes of a PUBACK.
pub(crate) const PUBACK_BYTES: usize = 4;

/// A PUBACK of MQTT 3.1.1.
pub(crate) fn puback(packet_id: u16) -> [u8; PUBACK_BYTES] {
    let [high, low] = packet_id.to_be_bytes();
    [0x40, 2, high, low]
}

/// One subscriber's.
#[derive(Debug)]
pub(crate) struct Acknowledgements {
    /// PUBACKs in the order of what came, of which the socket took this many bytes.
    pending: Vec<u8>,
    taken: usize,
    in_use: PacketIds,
}

impl Acknowledgements {
    /// Before the first message.
    pub(crate) fn new() -> Self {
        Self {
            pending: Vec::new(),
            taken: 0,
            in_use: PacketIds::new(),
        }
    }

    /// Messages of so many bytes came, each with its identifier at the same place.
    pub(crate) fn owe(
        &mut self,
        messages: &[u8],
        message_bytes: usize,
        packet_id: &Range<usize>,
    ) -> std::result::Result<(), DeliveryFault> {
        for message in messages.chunks_exact(message_bytes) {
            let bytes = message[packet_id.clone()].first_chunk();
            let packet_id = u16::from_be_bytes(*bytes.expect("it has two bytes"));
            if packet_id == 0 || !self.in_use.insert(packet_id) {
                return Err(DeliveryFault::PacketId { packet_id });
            }
            self.pending.extend_from_slice(&puback(packet_id));
        }
        Ok(())
    }

    /// Gives the socket what it takes, and returns whether that was all.
    pub(crate) fn send(&mut self, stream: &mut impl Write) -> Result<bool> {
        while self.taken < self.pending.len() {
            let bytes = match stream.write(&self.pending[self.taken..]) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let before = self.taken / PUBACK_BYTES;
            self.taken += bytes;
            let whole = before * PUBACK_BYTES..self.taken / PUBACK_BYTES * PUBACK_BYTES;
            for puback in self.pending[whole].chunks_exact(PUBACK_BYTES) {
                self.in_use
                    .remove(u16::from_be_bytes([puback[2], puback[3]]));
            }
        }
        self.pending.clear();
        self.taken = 0;
        Ok(true)
    }
}

/// A set of packet identifiers.
#[derive(Debug)]
struct PacketIds(Box<[u64; 1024]>);

impl PacketIds {
    fn new() -> Self {
        Self(Box::new([0; 1024]))
    }

    /// Returns whether it was not there before.
    #[inline]
    fn insert(&mut self, packet_id: u16) -> bool {
        let (word, bit) = self.place(packet_id);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    #[inline]
    fn remove(&mut self, packet_id: u16) {
        let (word, bit) = self.place(packet_id);
        *word &= !bit;
    }

    #[inline]
    fn place(&mut self, packet_id: u16) -> (&mut u64, u64) {
        let word = &mut self.0[usize::from(packet_id / 64)];
        (word, 1 << (packet_id % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, and no more.
    struct Socket {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            let count = bytes.len().min(self.room - self.taken.len());
            if count == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_message_is_acknowledged_once_however_little_the_socket_takes() {
        let mut socket = Socket {
            taken: Vec::new(),
            room: 0,
        };
        let mut owed = Acknowledgements::new();
        let owe = |owed: &mut Acknowledgements, messages: &[u8]| owed.owe(messages, 3, &(1..3));
        assert_eq!(owe(&mut owed, &[9, 0, 1, 9, 255, 255]), Ok(()));
        let in_use = |packet_id| Err(DeliveryFault::PacketId { packet_id });
        for room in 0..8 {
            socket.room = room;
            assert!(!owed.send(&mut socket).expect("it is well"), "{room}");
            if room < 4 {
                assert_eq!(owe(&mut owed, &[9, 0, 1]), in_use(1), "{room}");
            }
            assert_eq!(owe(&mut owed, &[9, 255, 255]), in_use(65_535), "{room}");
        }
        // It came again when the first had gone.
        assert_eq!(owe(&mut owed, &[9, 0, 1]), Ok(()));
        socket.room = 12;
        assert!(owed.send(&mut socket).expect("it is well"));
        let said = [0x40, 2, 0, 1, 0x40, 2, 255, 255, 0x40, 2, 0, 1];
        assert_eq!(socket.taken, said);
        assert!(owed.send(&mut socket).expect("it is well"), "nothing");
        assert_eq!(owe(&mut owed, &[9, 0, 0]), in_use(0), "none at all");
        assert_eq!(owe(&mut owed, &[9, 255, 255]), Ok(()));
    }
}
