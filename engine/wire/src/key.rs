//! The name of a connection.

/// Names a connection of one shard: an index into its tables, and which of the
/// connections that had this index one after another it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey {
    index: u32,
    generation: u32,
}

impl ConnectionKey {
    /// Generations come round after this many, for they share 64 bits with an index
    /// and a kind of request.
    pub const GENERATIONS: u32 = 1 << 24;

    /// The first connection with this index.
    #[must_use]
    pub const fn first(index: u32) -> Self {
        Self {
            index,
            generation: 0,
        }
    }

    /// The next connection with the same index.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            index: self.index,
            generation: (self.generation + 1) % Self::GENERATIONS,
        }
    }

    /// The place in tables of connections.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// Below [`Self::GENERATIONS`].
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// Both in the low 56 bits of a word, as [`Self::unpack`] takes them.
    #[must_use]
    pub const fn pack(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// What [`Self::pack`] packed; the high 8 bits are the caller's.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the rest is masked or the caller's"
    )]
    pub const fn unpack(word: u64) -> Self {
        Self {
            index: word as u32,
            generation: (word >> 32) as u32 % Self::GENERATIONS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectionKey;

    #[test]
    fn a_key_survives_its_packing_under_any_kind() {
        let mut key = ConnectionKey::first(u32::MAX);
        for kind in [0_u64, 1, 0xFF] {
            assert_eq!(ConnectionKey::unpack(kind << 56 | key.pack()), key);
            key = key.next();
        }
        assert_eq!(key.pack() >> 56, 0);
    }

    #[test]
    fn generations_come_round() {
        let last = ConnectionKey::unpack(u64::from(ConnectionKey::GENERATIONS - 1) << 32 | 7);
        assert_eq!(last.generation(), ConnectionKey::GENERATIONS - 1);
        assert_eq!(last.next(), ConnectionKey::first(7));
    }
}
