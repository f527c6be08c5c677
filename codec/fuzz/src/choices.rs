//! Decisions drawn from bytes: a fuzzer's, a property test's, or seeded ones.
//!
//! The same bytes always make the same decisions. Bytes that have run out are
//! zeros, so every input decides everything and shorter inputs make simpler
//! things, which is what shrinking needs.

/// A source of decisions.
#[derive(Debug, Clone)]
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Decisions that these bytes make.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((&first, rest)) => {
                self.bytes = rest;
                first
            }
            None => 0,
        }
    }

    /// The next two bytes, as a number.
    pub fn two_bytes(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// The next four bytes, as a number.
    pub fn four_bytes(&mut self) -> u32 {
        u32::from(self.two_bytes()) << 16 | u32::from(self.two_bytes())
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Yes once in `times`, which is at most 256.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) + 1 == times
    }

    /// A number from 0 to `bound` - 1; `bound` is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        let drawn = match bound {
            0..=0x100 => usize::from(self.byte()),
            0x101..=0x1_0000 => usize::from(self.two_bytes()),
            _ => self.four_bytes() as usize,
        };
        drawn % bound
    }

    /// One of some, of which there is at least one.
    pub fn pick<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }

    /// Up to `most` bytes, as they are.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let length = self.below(most + 1).min(self.bytes.len());
        let (taken, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        taken
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.bytes
    }
}

/// Bytes that a seed decides: SplitMix64 of Steele, Lea and Flood.
pub fn seeded_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        bytes.extend((mixed ^ mixed >> 31).to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// Changes a few bytes, the way transmission, carelessness or malice would.
pub fn mutate(choices: &mut Choices<'_>, bytes: &mut Vec<u8>) {
    for _ in 0..=choices.below(3) {
        let at = choices.below(bytes.len() + 1);
        match choices.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << choices.below(8),
            1 if at < bytes.len() => bytes[at] = choices.pick(&[0x00, 0x01, 0x7F, 0x80, 0xFF]),
            2 if at < bytes.len() => bytes[at] = choices.byte(),
            3 if at < bytes.len() => {
                bytes.remove(at);
            }
            4 => bytes.truncate(at),
            5 => {
                let end = (at + choices.below(9)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => bytes.insert(at, choices.byte()),
        }
    }
}
