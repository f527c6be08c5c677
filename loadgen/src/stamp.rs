//! What the payload of a message says about it, so that whoever gets it can tell whether
//! it is right, and when it was meant to be sent.
//!
//! ```text
//!  long, 40 bytes or more                    short, 16 to 39 bytes
//!   0  checksum of all that follows   8       0  checksum of all that follows   4
//!   8  run                            4       4  sequence                       4
//!  12  publisher                      4       8  run's last 16 bits and         8
//!  16  topic                          4          intended time, 48 bits
//!  20  sequence                       4      16  filling
//!  24  intended time                  8
//!  32  sent time                      8
//!  40  filling
//! ```
//!
//! Numbers are little-endian; times are nanoseconds from the run's start. The checksum is
//! XXH3 with 64 bits, seeded by run and topic (`run << 32 | topic`, with what
//! the stamp has of the run), of which a short stamp keeps the low 32 bits. It
//! takes some ten nanoseconds for 128 bytes, where a CRC-32 takes three times that below
//! the size at which it can use the processor's carry-less multiplication, and it is the
//! same in every language that has the hash, so that others can check messages too.
//!
//! A short stamp names neither publisher nor topic: they follow from the topic's name,
//! which only counts if the checksum agrees, and there is no service time.

use twox_hash::XxHash3_64;

/// The shortest payload that can be checked.
pub(crate) const BYTES_MIN: u32 = 16;

/// From how many bytes on the stamp is long.
pub(crate) const LONG_BYTES_MIN: usize = 40;

/// What a stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: u32,
    pub(crate) topic: u32,
    /// The number of the message among its publisher's messages in its topic, from 1.
    pub(crate) sequence: u32,
    pub(crate) intended_nanos: u64,
    /// None if the stamp is short.
    pub(crate) sent_nanos: Option<u64>,
}

/// Why a payload has no stamp that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is of another run.
    OtherRun,
    /// It is not what was sent.
    Corrupt,
}

/// Nanoseconds of an intended time in a short stamp.
const TIME_BITS: u32 = 48;

fn seed(run: u32, topic: u32) -> u64 {
    u64::from(run) << 32 | u64::from(topic)
}

fn long_checksum(run: u32, topic: u32, payload: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(seed(run, topic), &payload[8..])
}

fn short_checksum(run: u16, topic: u32, payload: &[u8]) -> u32 {
    XxHash3_64::oneshot_with_seed(seed(run.into(), topic), &payload[4..]) as u32
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four of them"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight of them"))
}

impl Stamp {
    /// Writes it to the front of a payload whose filling is there already, of
    /// [`BYTES_MIN`] or more.
    pub(crate) fn write(&self, run: u32, payload: &mut [u8]) {
        let is_short = payload.len() < LONG_BYTES_MIN;
        let mut put =
            |at: usize, bytes: &[u8]| payload[at..at + bytes.len()].copy_from_slice(bytes);
        if is_short {
            let run_and_time = u64::from(run as u16) << TIME_BITS | self.intended_nanos;
            put(4, &self.sequence.to_le_bytes());
            put(8, &run_and_time.to_le_bytes());
            let checksum = short_checksum(run as u16, self.topic, payload);
            payload[..4].copy_from_slice(&checksum.to_le_bytes());
            return;
        }
        put(8, &run.to_le_bytes());
        put(12, &self.publisher.to_le_bytes());
        put(16, &self.topic.to_le_bytes());
        put(20, &self.sequence.to_le_bytes());
        put(24, &self.intended_nanos.to_le_bytes());
        put(
            32,
            &self.sent_nanos.unwrap_or(self.intended_nanos).to_le_bytes(),
        );
        let checksum = long_checksum(run, self.topic, payload);
        payload[..8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads and checks it. `named` tells publisher and topic by the topic's name, where
    /// the stamp does not.
    #[inline]
    pub(crate) fn read(
        run: u32,
        payload: &[u8],
        named: impl FnOnce() -> Option<(u32, u32)>,
    ) -> Result<Self, Fault> {
        if payload.len() >= LONG_BYTES_MIN {
            let (of_run, topic) = (u32_at(payload, 8), u32_at(payload, 16));
            if u64_at(payload, 0) != long_checksum(of_run, topic, payload) {
                return Err(Fault::Corrupt);
            }
            if of_run != run {
                return Err(Fault::OtherRun);
            }
            return Ok(Self {
                publisher: u32_at(payload, 12),
                topic,
                sequence: u32_at(payload, 20),
                intended_nanos: u64_at(payload, 24),
                sent_nanos: Some(u64_at(payload, 32)),
            });
        }
        if payload.len() < BYTES_MIN as usize {
            return Err(Fault::Corrupt);
        }
        let (publisher, topic) = named().ok_or(Fault::Corrupt)?;
        let run_and_time = u64_at(payload, 8);
        let of_run = (run_and_time >> TIME_BITS) as u16;
        if u32_at(payload, 0) != short_checksum(of_run, topic, payload) {
            return Err(Fault::Corrupt);
        }
        if of_run != run as u16 {
            return Err(Fault::OtherRun);
        }
        Ok(Self {
            publisher,
            topic,
            sequence: u32_at(payload, 4),
            intended_nanos: run_and_time & ((1 << TIME_BITS) - 1),
            sent_nanos: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        publisher: 7,
        topic: 3,
        sequence: 41,
        intended_nanos: 123_456_789_012,
        sent_nanos: Some(123_456_800_000),
    };

    fn read(run: u32, payload: &[u8]) -> Result<Stamp, Fault> {
        Stamp::read(run, payload, || Some((7, 3)))
    }

    #[test]
    fn what_is_written_is_read() {
        for bytes in [16, 39, 40, 128, 5_000] {
            let mut payload = vec![0xA5; bytes];
            STAMP.write(9, &mut payload);
            let sent_nanos = STAMP.sent_nanos.filter(|_| bytes >= 40);
            assert_eq!(
                read(9, &payload),
                Ok(Stamp {
                    sent_nanos,
                    ..STAMP
                })
            );
            assert_eq!(read(8, &payload), Err(Fault::OtherRun));
        }
    }

    #[test]
    fn each_bit_that_is_turned_is_seen() {
        for bytes in [16, 64, 128] {
            let mut payload = vec![0xA5; bytes];
            STAMP.write(9, &mut payload);
            for bit in 0..8 * bytes {
                payload[bit / 8] ^= 1 << (bit % 8);
                assert!(read(9, &payload).is_err(), "bit {bit} of {bytes} bytes");
                payload[bit / 8] ^= 1 << (bit % 8);
            }
            assert!(read(9, &payload[..bytes - 1]).is_err());
        }
    }

    #[test]
    fn a_short_stamp_under_another_topic_is_corrupt() {
        let mut payload = [0; 16];
        STAMP.write(9, &mut payload);
        assert_eq!(
            Stamp::read(9, &payload, || Some((7, 4))),
            Err(Fault::Corrupt)
        );
        assert_eq!(Stamp::read(9, &payload, || None), Err(Fault::Corrupt));
    }

    /// What other languages compute of the same bytes, by the reference implementation.
    #[test]
    fn the_checksum_is_xxh3() {
        assert_eq!(XxHash3_64::oneshot_with_seed(0, b""), 0x2D06_8005_38D3_94C2);
    }
}
