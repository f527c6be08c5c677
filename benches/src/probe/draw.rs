//! Chance that is the same in every run: numbers drawn from a seed, and Zipf's law.

/// A generator of numbers that look like chance (SplitMix64, by Sebastiano Vigna).
#[derive(Debug, Clone)]
pub(crate) struct Draws(u64);

impl Draws {
    /// From a seed, always the same.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// At least 0 and below 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Numbers from 0 on that come up as often as their popularity says.
#[derive(Debug, Clone)]
pub(crate) struct Popularity {
    /// For each number the share of it and all before it.
    up_to: Vec<f64>,
}

impl Popularity {
    /// Zipf's law with exponent 1, as the symbols of an exchange nearly have it: the
    /// second comes up half as often as the first, the third a third as often.
    pub(crate) fn zipf(count: u32) -> Self {
        Self::of((1..=count).map(|rank| 1.0 / f64::from(rank)))
    }

    /// All alike.
    pub(crate) fn even(count: u32) -> Self {
        Self::of((0..count).map(|_| 1.0))
    }

    /// # Panics
    /// Of none.
    fn of(weights: impl Iterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let sums: Vec<f64> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        assert!(sum > 0.0, "there is nothing to draw");
        Self {
            up_to: sums.iter().map(|up_to| up_to / sum).collect(),
        }
    }

    /// How many numbers there are.
    fn count(&self) -> usize {
        self.up_to.len()
    }

    /// One of them.
    pub(crate) fn draw(&self, draws: &mut Draws) -> u32 {
        let share = draws.share();
        let at = self.up_to.partition_point(|up_to| *up_to <= share);
        // The last share may have been rounded below 1.
        at.min(self.count() - 1) as u32
    }

    /// So many different ones, ascending.
    ///
    /// # Panics
    /// If there are not so many.
    pub(crate) fn draw_different(&self, draws: &mut Draws, count: usize) -> Vec<u32> {
        assert!(count <= self.count(), "there are not so many");
        let mut drawn = Vec::with_capacity(count);
        while drawn.len() < count {
            let one = self.draw(draws);
            if let Err(place) = drawn.binary_search(&one) {
                drawn.insert(place, one);
            }
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_zipf_the_second_comes_up_half_as_often_as_the_first() {
        const DRAWN: u32 = 1_000_000;
        let popularity = Popularity::zipf(1_000);
        let mut draws = Draws::new(1);
        let mut counts = vec![0_u32; 1_000];
        for _ in 0..DRAWN {
            counts[popularity.draw(&mut draws) as usize] += 1;
        }
        // The sum of 1/k up to 1000.
        let harmonic = 7.485_470_860_55;
        for rank in [1, 2, 3, 10, 100] {
            let expected = f64::from(DRAWN) / harmonic / f64::from(rank);
            let found = f64::from(counts[rank as usize - 1]);
            // Five standard deviations, and the same in every run.
            let tolerance = 5.0 * expected.sqrt();
            assert!(
                (found - expected).abs() < tolerance,
                "rank {rank}: {found} beside {expected}"
            );
        }
        assert!(counts.iter().all(|count| *count > 0));
    }

    #[test]
    fn a_seed_draws_the_same_again_and_another_one_differs() {
        let popularity = Popularity::even(1_000);
        let list = |seed| popularity.draw_different(&mut Draws::new(seed), 50);
        assert_eq!(list(3), list(3));
        assert_ne!(list(3), list(4));
        let list = list(3);
        assert_eq!(list.len(), 50);
        assert!(list.is_sorted_by(|a, b| a < b), "{list:?}");
        // Whoever wants all gets all.
        let all = Popularity::zipf(9).draw_different(&mut Draws::new(0), 9);
        assert_eq!(all, Vec::from_iter(0..9));
    }
}
