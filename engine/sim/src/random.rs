//! Chance: streams of numbers that are the same for each seed.
//!
//! Each concern has a stream of its own, salted with what it is for and a number, so that
//! one more draw in one place changes nothing in another: a run whose third action is left
//! out goes on with the same fourth. There are no floats; a chance is a ratio of integers.

/// A stream of numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

/// How often something happens: so many times of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    times: u32,
    of: u32,
}

impl Ratio {
    /// Never.
    pub const NEVER: Self = Self { times: 0, of: 1 };

    /// So many times of so many, which are not none.
    #[must_use]
    pub const fn new(times: u32, of: u32) -> Self {
        assert!(of > 0, "of something");
        Self { times, of }
    }

    /// Whether it can happen at all.
    #[must_use]
    pub const fn is_possible(self) -> bool {
        self.times > 0
    }
}

impl Random {
    /// The stream of a seed for one concern; `number` tells those of the same concern
    /// apart.
    #[must_use]
    pub fn new(seed: u64, salt: &str, number: u64) -> Self {
        let mut stream = Self { state: seed };
        for byte in salt.bytes() {
            stream.state = stream.word() ^ u64::from(byte);
        }
        stream.state = stream.word() ^ number;
        Self {
            state: stream.word(),
        }
    }

    /// Any number.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below this one, which is not 0.
    pub fn below(&mut self, most: u64) -> u64 {
        self.word() % most
    }

    /// A place in something of this length, which is not 0.
    pub fn place(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// A number from the first to the last.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// A power of two, small ones as often as large ones.
    pub fn power(&mut self, first_bit: u32, last_bit: u32) -> u64 {
        1 << self.between(first_bit.into(), last_bit.into())
    }

    /// Whether it happens this time.
    pub fn happens(&mut self, ratio: Ratio) -> bool {
        ratio.times > 0 && self.below(ratio.of.into()) < ratio.times.into()
    }

    /// Whether it happens once in so many times.
    pub fn once_in(&mut self, times: u32) -> bool {
        self.happens(Ratio::new(1, times))
    }

    /// One of these.
    pub fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.place(list.len())]
    }

    /// A place, each as often as its weight says; the weights are not all 0.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut left = self.below(sum);
        for (place, weight) in weights.iter().enumerate() {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return place,
            }
        }
        unreachable!("it is below the sum")
    }

    /// Puts these into any order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            list.swap(place, self.place(place + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Random, Ratio};

    #[test]
    fn a_stream_is_its_seeds_concerns_and_numbers_own() {
        let first = |seed, salt, number| Random::new(seed, salt, number).word();
        let words = [
            first(1, "a", 0),
            first(2, "a", 0),
            first(1, "b", 0),
            first(1, "a", 1),
            first(1, "ab", 0),
        ];
        for (place, word) in words.iter().enumerate() {
            assert!(!words[..place].contains(word));
        }
        assert_eq!(first(1, "a", 0), words[0]);
    }

    #[test]
    fn chances_are_as_often_as_they_say() {
        let mut random = Random::new(7, "test", 0);
        let times = (0..10_000).filter(|_| random.happens(Ratio::new(3, 10)));
        assert!((2_800..3_200).contains(&times.count()));
        assert!((0..1_000).all(|_| !random.happens(Ratio::NEVER)));
        let mut counts = [0; 3];
        for _ in 0..9_000 {
            counts[random.weighted(&[1, 0, 2])] += 1;
        }
        assert!(counts[1] == 0 && counts[0] > 2_700 && counts[2] > 5_700);
    }
}
