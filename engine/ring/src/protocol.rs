//! The orderings, each in one place, over whatever counts as an atomic: real ones
//! in shared memory, or a model checker's in the tests below.
//!
//! `SYNC: publish`: what the producer wrote before it published is visible to
//! whoever sees the position.
//!
//! `SYNC: gate`: a consumer has read what its cursor is past, so the producer may
//! write there.
//!
//! `SYNC: claim`: a tap is not waited for. The producer claims before it
//! overwrites; a tap copies first and looks at the claim afterwards. If it copied
//! anything newer, it sees the claim too and throws its copy away.
//!
//! `SYNC: sleep`: a consumer says that it sleeps and then looks once more; the
//! producer publishes and then looks who sleeps. Between them stands a fence on
//! either side, so at least one sees the other.

use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

/// A 64-bit atomic integer.
pub(crate) trait Counter {
    fn load(&self, ordering: Ordering) -> u64;
    fn store(&self, value: u64, ordering: Ordering);
    fn swap(&self, value: u64, ordering: Ordering) -> u64;
    fn fetch_or(&self, bits: u64, ordering: Ordering) -> u64;
    fn fetch_and(&self, bits: u64, ordering: Ordering) -> u64;
    fn fence(ordering: Ordering);
}

macro_rules! counter {
    ($atomic:ty, $fence:path) => {
        impl Counter for $atomic {
            #[inline]
            fn load(&self, ordering: Ordering) -> u64 {
                self.load(ordering)
            }

            #[inline]
            fn store(&self, value: u64, ordering: Ordering) {
                self.store(value, ordering);
            }

            #[inline]
            fn swap(&self, value: u64, ordering: Ordering) -> u64 {
                self.swap(value, ordering)
            }

            #[inline]
            fn fetch_or(&self, bits: u64, ordering: Ordering) -> u64 {
                self.fetch_or(bits, ordering)
            }

            #[inline]
            fn fetch_and(&self, bits: u64, ordering: Ordering) -> u64 {
                self.fetch_and(bits, ordering)
            }

            #[inline]
            fn fence(ordering: Ordering) {
                $fence(ordering);
            }
        }
    };
}

counter!(core::sync::atomic::AtomicU64, core::sync::atomic::fence);

/// Producer: everything before `position` may be read.
#[inline]
pub(crate) fn publish<C: Counter>(published: &C, position: u64) {
    published.store(position, Release); // SYNC: publish
}

/// Reader: the position up to which everything may be read.
#[inline]
pub(crate) fn published<C: Counter>(published: &C) -> u64 {
    published.load(Acquire) // SYNC: publish
}

/// Consumer: has no further use for anything before `position`.
#[inline]
pub(crate) fn release<C: Counter>(cursor: &C, position: u64) {
    cursor.store(position, Release); // SYNC: gate
}

/// Producer: the position that a consumer still needs.
#[inline]
pub(crate) fn gate<C: Counter>(cursor: &C) -> u64 {
    cursor.load(Acquire) // SYNC: gate
}

/// Producer: is going to write everything before `position`.
#[inline]
pub(crate) fn claim<C: Counter>(claimed: &C, position: u64) {
    claimed.store(position, Relaxed);
    C::fence(Release); // SYNC: claim
}

/// Tap, after it copied: the position up to which the producer may have written.
#[inline]
pub(crate) fn claimed_after_copy<C: Counter>(claimed: &C) -> u64 {
    C::fence(Acquire); // SYNC: claim
    claimed.load(Relaxed)
}

/// Consumer: says that it sleeps unless something was published past `position`.
/// Returns whether it may wait for its wake-up; if not, nothing is left said.
#[inline]
pub(crate) fn fall_asleep<C: Counter>(
    sleepers: &C,
    bit: u64,
    nothing_to_do: impl FnOnce() -> bool,
) -> bool {
    sleepers.fetch_or(bit, Relaxed);
    C::fence(SeqCst); // SYNC: sleep
    if nothing_to_do() {
        return true;
    }
    stay_awake(sleepers, bit);
    false
}

/// Consumer: does not sleep (any more), whoever woke it.
#[inline]
pub(crate) fn stay_awake<C: Counter>(sleepers: &C, bit: u64) {
    sleepers.fetch_and(!bit, Relaxed);
}

/// Producer, after it published: the consumers it has to wake. Each is returned
/// once for each time it fell asleep.
#[inline]
pub(crate) fn to_wake<C: Counter>(sleepers: &C) -> u64 {
    C::fence(SeqCst); // SYNC: sleep
    if sleepers.load(Relaxed) == 0 {
        return 0;
    }
    sleepers.swap(0, AcqRel)
}

/// Every interleaving that the memory model allows:
/// `RUSTFLAGS="--cfg loom" cargo test -p ringcast-ring --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, fence};
    use loom::thread;

    counter!(AtomicU64, fence);

    /// Two cells of data, three records: the third overwrites the first.
    struct Ring {
        claimed: AtomicU64,
        published: AtomicU64,
        cursor: AtomicU64,
        sleepers: AtomicU64,
        woken: AtomicU64,
        epoch: AtomicU64,
        gated: [UnsafeCell<u64>; 2],
        tapped: [AtomicU64; 2],
    }

    fn ring() -> Arc<Ring> {
        let zero = || AtomicU64::new(0);
        Arc::new(Ring {
            claimed: zero(),
            published: zero(),
            cursor: zero(),
            sleepers: zero(),
            woken: zero(),
            epoch: zero(),
            gated: [UnsafeCell::new(0), UnsafeCell::new(0)],
            tapped: [zero(), zero()],
        })
    }

    /// Neither side waits for the other, which would make the interleavings endless:
    /// the producer writes as many of three records as find room, the consumer looks
    /// three times. All interleavings of that are tried, so among them those in which
    /// the third record finds the first one's cell read and released.
    #[test]
    fn loom_a_consumer_reads_what_was_published_and_is_waited_for() {
        loom::model(|| {
            let shared = ring();
            let producer = Arc::clone(&shared);
            let thread = thread::spawn(move || {
                for position in 0..3_u64 {
                    if position >= gate(&producer.cursor) + 2 {
                        break;
                    }
                    // SAFETY: in bounds; that no reader is in this cell is what
                    // the model checks.
                    producer.gated[position as usize % 2]
                        .with_mut(|cell| unsafe { *cell = position + 1 });
                    publish(&producer.published, position + 1);
                }
            });
            let mut position = 0;
            for _ in 0..3 {
                let end = published(&shared.published);
                while position < end {
                    // SAFETY: as above, no writer is in this cell.
                    let read = shared.gated[position as usize % 2].with(|cell| unsafe { *cell });
                    assert_eq!(read, position + 1);
                    position += 1;
                }
                release(&shared.cursor, position);
            }
            thread.join().unwrap();
        });
    }

    #[test]
    fn loom_a_tap_never_believes_what_was_overwritten() {
        loom::model(|| {
            let shared = ring();
            let producer = Arc::clone(&shared);
            let thread = thread::spawn(move || {
                for position in 0..3_u64 {
                    claim(&producer.claimed, position + 1);
                    producer.tapped[position as usize % 2].store(position + 1, Relaxed);
                    publish(&producer.published, position + 1);
                }
            });
            let end = published(&shared.published);
            for position in 0..end {
                let copy = shared.tapped[position as usize % 2].load(Relaxed);
                let lapped = claimed_after_copy(&shared.claimed) > position + 2;
                assert!(lapped || copy == position + 1);
            }
            thread.join().unwrap();
        });
    }

    /// A new producer bumps the epoch and publishes; a tap that reads what it
    /// published has seen the epoch.
    #[test]
    fn loom_no_record_is_read_before_its_epoch() {
        loom::model(|| {
            let shared = ring();
            let producer = Arc::clone(&shared);
            let thread = thread::spawn(move || {
                producer.epoch.store(1, Relaxed);
                publish(&producer.published, 1);
            });
            let end = published(&shared.published);
            let epoch = shared.epoch.load(Relaxed);
            assert!(end == 0 || epoch == 1);
            thread.join().unwrap();
        });
    }

    #[test]
    fn loom_no_wake_up_is_lost() {
        loom::model(|| {
            let shared = ring();
            let producer = Arc::clone(&shared);
            let thread = thread::spawn(move || {
                publish(&producer.published, 1);
                if to_wake(&producer.sleepers) != 0 {
                    producer.woken.store(1, Release);
                }
            });
            let nothing = || published(&shared.published) == 0;
            let sleeps = fall_asleep(&shared.sleepers, 1, nothing);
            thread.join().unwrap();
            // Whoever sleeps over something published has a wake-up coming.
            assert!(!sleeps || shared.woken.load(Acquire) == 1);
        });
    }
}
