//! Shared subscriptions: only all parts together can tell whether each message came to
//! exactly one member.

use crate::results::Correctness;
use crate::tally::{Checked, share_of};

/// Completes what members have found by themselves: of each stream so many were published,
/// and that came to all of them together.
pub(super) fn judge(published: &[u32], came: &Checked, correctness: &mut Correctness) {
    let (mut due, mut sum) = (0, 0_u64);
    for (stream, &last) in (0..).zip(published) {
        due += u64::from(last);
        for sequence in 1..=last {
            sum = sum.wrapping_add(share_of(stream, sequence));
        }
    }
    correctness.due = due;
    correctness.missing = due.saturating_sub(came.shared);
    correctness.duplicate += came.shared.saturating_sub(due);
    if came.shared == due && came.shared_sum != sum {
        // As many as were due, but not the same ones: one is missing at least.
        correctness.missing += 1;
        correctness.duplicate += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found when these came, of two messages in one stream and one in another.
    fn missing_and_duplicate(messages: &[(u32, u32)]) -> (u64, u64) {
        let mut came = Checked::default();
        for &(stream, sequence) in messages {
            came.shared += 1;
            came.shared_sum = came.shared_sum.wrapping_add(share_of(stream, sequence));
        }
        let mut correctness = Correctness::default();
        judge(&[2, 1], &came, &mut correctness);
        assert_eq!(correctness.due, 3);
        (correctness.missing, correctness.duplicate)
    }

    #[test]
    fn each_message_comes_to_one_member() {
        assert_eq!(missing_and_duplicate(&[(1, 1), (0, 2), (0, 1)]), (0, 0));
        assert_eq!(missing_and_duplicate(&[(0, 1), (0, 2)]), (1, 0));
        assert_eq!(
            missing_and_duplicate(&[(0, 1), (0, 2), (1, 1), (1, 1)]),
            (0, 1)
        );
        assert_eq!(missing_and_duplicate(&[(0, 1), (0, 1), (1, 1)]), (1, 1));
    }
}
