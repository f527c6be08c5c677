//! Chance that is the same in every run: choices follow from a seed.

/// A source of numbers (splitmix64): small, quick, and good enough for choices.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// From 0 to below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Chooses by weight, in the same time however many there are (the alias method): each
/// place is shared by itself and one other.
#[derive(Debug, Clone)]
pub(crate) struct Weighted {
    /// Which other, and the part of the place that is its own.
    places: Vec<(u32, f64)>,
}

impl Weighted {
    /// # Panics
    /// If there are none.
    pub(crate) fn new(weights: &[f64]) -> Self {
        assert!(!weights.is_empty(), "there is something to choose");
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        let mut parts: Vec<_> = weights.iter().map(|weight| weight / mean).collect();
        let mut places: Vec<_> = (0..weights.len() as u32).map(|own| (own, 1.0)).collect();
        let (mut small, mut large): (Vec<_>, Vec<_>) =
            (0..weights.len()).partition(|&place| parts[place] < 1.0);
        while let (Some(&giver), Some(taker)) = (large.last(), small.pop()) {
            places[taker] = (giver as u32, parts[taker]);
            parts[giver] -= 1.0 - parts[taker];
            if parts[giver] < 1.0 {
                small.extend(large.pop());
            }
        }
        Self { places }
    }

    pub(crate) fn choose(&self, chance: &mut Chance) -> u32 {
        let place = chance.next() % self.places.len() as u64;
        let (other, own_part) = self.places[place as usize];
        if chance.fraction() < own_part {
            place as u32
        } else {
            other
        }
    }
}

/// The weight of the item of this rank, from 0, by Zipf's law: all are equal at 0, and the
/// first has ever more as the exponent grows.
pub(crate) fn zipf(rank: u32, exponent: f64) -> f64 {
    (f64::from(rank) + 1.0).powf(-exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_follow_their_weights() {
        let weights: Vec<_> = (0..100).map(|rank| zipf(rank, 1.0)).collect();
        let weighted = Weighted::new(&weights);
        let (mut chance, mut counts) = (Chance::new(1), [0_u32; 100]);
        const CHOICES: u32 = 1_000_000;
        for _ in 0..CHOICES {
            counts[weighted.choose(&mut chance) as usize] += 1;
        }
        let sum: f64 = weights.iter().sum();
        for (rank, &count) in counts.iter().enumerate() {
            let expected = weights[rank] / sum * f64::from(CHOICES);
            let off = (f64::from(count) - expected).abs();
            assert!(
                off < 6.0 * expected.sqrt(),
                "rank {rank}: {count} for {expected}"
            );
        }
    }

    #[test]
    fn the_same_seed_chooses_the_same() {
        let choices = |seed| {
            let mut chance = Chance::new(seed);
            Vec::from_iter((0..10).map(|_| chance.next()))
        };
        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
    }
}
