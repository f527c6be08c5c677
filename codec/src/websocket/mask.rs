//! Masking and unmasking, which are the same operation. `[RFC6455-5.3-5]`
//!
//! Where keys come from is the caller's business: a client draws one per frame
//! from a strong source.

/// The key of a masked frame, or what is left to do with it: its first byte
/// belongs to the next byte of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskingKey([u8; 4]);

/// Two keys beside each other.
const WORD_BYTES: usize = 8;

impl MaskingKey {
    /// A key as it stands in the frame header.
    #[must_use]
    pub const fn new(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// As it stands in the frame header.
    #[must_use]
    pub const fn bytes(self) -> [u8; 4] {
        self.0
    }

    /// Masks or unmasks `payload` in place, beginning with the key's first byte.
    #[inline]
    pub fn apply(self, payload: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = payload.as_chunks_mut::<WORD_BYTES>();
        for bytes in words {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(word.to_ne_bytes()) {
            *byte ^= key;
        }
    }

    /// The key for what follows `count` bytes of payload.
    #[must_use]
    pub fn after(self, count: usize) -> Self {
        let mut bytes = self.0;
        bytes.rotate_left(count % size_of::<Self>());
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::MaskingKey;
    use alloc::vec::Vec;

    const KEY: MaskingKey = MaskingKey::new([0x37, 0xfa, 0x21, 0x3d]);

    fn payload(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 7) as u8).collect()
    }

    #[test]
    fn each_byte_meets_the_key_byte_of_its_index() {
        for length in 0..70 {
            let plain = payload(length);
            let mut masked = plain.clone();
            KEY.apply(&mut masked);
            for (index, (masked, plain)) in masked.iter().zip(&plain).enumerate() {
                assert_eq!(
                    *masked,
                    plain ^ KEY.bytes()[index % 4],
                    "{index} of {length}"
                );
            }
        }
    }

    #[test]
    fn a_payload_cut_anywhere_is_masked_as_a_whole() {
        let mut whole = payload(70);
        KEY.apply(&mut whole);
        for cut in 0..=whole.len() {
            let mut parts = payload(70);
            let (front, back) = parts.split_at_mut(cut);
            KEY.apply(front);
            KEY.after(cut).apply(back);
            assert_eq!(parts, whole, "cut at {cut}");
        }
    }

    #[test]
    fn masking_twice_is_the_identity() {
        let mut bytes = payload(70);
        KEY.apply(&mut bytes);
        assert_ne!(bytes, payload(70));
        KEY.apply(&mut bytes);
        assert_eq!(bytes, payload(70));
    }
}
