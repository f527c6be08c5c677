//! The beginning of a PUBLISH, remembered: where messages of one topic and size follow each
//! other, as they mostly do, all that is before the payload is the same, and need not be
//! decoded again.

/// All bytes of the last PUBLISH before its payload. Only of those without identifier and
/// flags: the others differ from message to message.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// None before the first.
    bytes: Vec<u8>,
    packet_bytes: usize,
    topic: u32,
}

/// A head that is longer is not remembered.
const BYTES_MAX: usize = 256;

impl Head {
    /// Cuts a packet off that begins with it: its topic and payload, and what follows.
    #[inline]
    pub(super) fn cut<'a>(&self, input: &'a [u8]) -> Option<(u32, &'a [u8], &'a [u8])> {
        let (packet, rest) = input.split_at_checked(self.packet_bytes)?;
        let payload = packet.strip_prefix(&*self.bytes)?;
        (!self.bytes.is_empty()).then_some((self.topic, payload, rest))
    }

    /// Remembers the head of a packet whose topic is known to be this.
    pub(super) fn learn(&mut self, packet: &[u8], payload_bytes: usize, topic: u32) {
        let bytes = packet.len() - payload_bytes;
        if bytes <= BYTES_MAX {
            self.bytes.clear();
            self.bytes.extend_from_slice(&packet[..bytes]);
            self.packet_bytes = packet.len();
            self.topic = topic;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    const PACKET: &[u8] = b"\x30\x07\0\x01tpppp";

    #[test]
    fn only_what_begins_the_same_is_cut() {
        let mut head = Head::default();
        assert_eq!(head.cut(PACKET), None);
        assert_eq!(head.cut(b""), None);
        head.learn(PACKET, 4, 9);
        let stream = [PACKET, b"\xD0\0"].concat();
        assert_eq!(head.cut(&stream), Some((9, &b"pppp"[..], &b"\xD0\0"[..])));
        for other in [
            b"\x31\x07\0\x01tpppp",
            b"\x30\x08\0\x01tpppp",
            b"\x30\x07\0\x01upppp",
        ] {
            assert_eq!(head.cut(other), None);
        }
        assert_eq!(head.cut(&PACKET[..8]), None, "its end is not there");
    }
}
