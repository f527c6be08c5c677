//! What one subscriber is to get of one publisher's messages in one topic.
//!
//! Sequences count from 1. Eight bytes for each: a million subscribers have a million of
//! these.

/// What was seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Watch {
    /// The sequence behind the highest that came; 0 before the first, if that may be any.
    next: u32,
    /// Which of the [`REMEMBERED`] before `next` came: the lowest bit is the one right
    /// before it.
    seen: u32,
}

/// What a message is to a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The next one.
    InOrder,
    /// So many before it have not come.
    Gap(u32),
    /// It was skipped before, and comes behind a later one.
    Late,
    /// It came before.
    Again,
}

/// How far back a message that came late is told from one that came again; what is older
/// counts as come again.
const REMEMBERED: u32 = 32;

impl Watch {
    /// From the first message on.
    pub(crate) const FROM_THE_FIRST: Self = Self {
        next: 1,
        seen: u32::MAX,
    };

    /// From whichever message comes first.
    pub(crate) const FROM_ANY: Self = Self {
        next: 0,
        seen: u32::MAX,
    };

    /// Takes in what came.
    #[inline]
    pub(crate) fn take(&mut self, sequence: u32) -> Outcome {
        let next = self.next;
        if sequence == next || next == 0 {
            self.next = sequence.wrapping_add(1);
            self.seen = self.seen << 1 | 1;
            return Outcome::InOrder;
        }
        if sequence > next {
            let skipped = sequence - next;
            self.next = sequence.wrapping_add(1);
            self.seen = self.seen.checked_shl(skipped + 1).unwrap_or(0) | 1;
            return Outcome::Gap(skipped);
        }
        let back = next - 1 - sequence;
        if back < REMEMBERED && self.seen & 1 << back == 0 {
            self.seen |= 1 << back;
            return Outcome::Late;
        }
        Outcome::Again
    }

    /// How many of those that were published, the last with this sequence, are still to
    /// come behind the highest that came.
    #[inline]
    pub(crate) fn outstanding(self, published: u32) -> u32 {
        match self.next {
            0 => 0,
            next => (published + 1).saturating_sub(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_outcome_once() {
        let mut watch = Watch::FROM_THE_FIRST;
        let outcomes = [1, 2, 5, 4, 4, 2, 6, 3].map(|sequence| watch.take(sequence));
        use Outcome as O;
        assert_eq!(
            outcomes,
            [
                O::InOrder,
                O::InOrder,
                O::Gap(2),
                O::Late,
                O::Again,
                O::Again,
                O::InOrder,
                O::Late
            ]
        );
        assert_eq!(watch.outstanding(6), 0);
        assert_eq!(watch.outstanding(9), 3);
    }

    #[test]
    fn who_comes_late_begins_where_it_comes() {
        let mut watch = Watch::FROM_ANY;
        assert_eq!(watch.outstanding(100), 0);
        assert_eq!(watch.take(70), Outcome::InOrder);
        assert_eq!(watch.take(72), Outcome::Gap(1));
        assert_eq!(watch.outstanding(100), 28);
    }

    proptest! {
        /// Against a set of all that came.
        #[test]
        fn counts_are_those_of_a_set(sequences in proptest::collection::vec(1_u32..60, 0..200)) {
            let mut watch = Watch::FROM_THE_FIRST;
            let (mut came, mut missing, mut highest) = (BTreeSet::new(), 0, 0);
            for sequence in sequences {
                let is_new = came.insert(sequence);
                let is_old = highest >= sequence + REMEMBERED;
                let outcome = watch.take(sequence);
                match outcome {
                    Outcome::InOrder => prop_assert!(is_new && sequence == highest + 1),
                    Outcome::Gap(skipped) => {
                        prop_assert!(is_new && sequence - highest - 1 == skipped);
                        missing += skipped;
                    }
                    Outcome::Late => {
                        prop_assert!(is_new && !is_old);
                        missing -= 1;
                    }
                    Outcome::Again => {
                        prop_assert!(!is_new || is_old);
                        // It is not told apart any more, and stays missing.
                        if is_new {
                            came.remove(&sequence);
                        }
                    }
                }
                highest = highest.max(sequence);
                prop_assert_eq!(missing as usize, highest as usize - came.len());
            }
        }
    }
}
