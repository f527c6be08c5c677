//! How much memory lanes and executors lock, as the kernel counts it.
//!
//! Counted in pages, for all processes of a user together, against RLIMIT_MEMLOCK of
//! the one that asks; never for a process that has CAP_IPC_LOCK. Registered memory was
//! always counted. Rings are since Linux 6.14; from 5.12 to 6.13 they went to the
//! control group's account only. Tables of direct descriptors are not counted.
//!
//! What is closed is given back some time after, so that the rings with which the host
//! is probed count as well.

use super::host::Host;
use super::{Needs, Tables};
use io_uring::{cqueue, squeue};

/// Where the kernel has the completion entries of a ring: heads, tails, masks and
/// counters are before them, in one cache line.
const RING_HEAD_BYTES: u64 = 64;

/// glommio refuses to start with a lower limit, even where nothing is counted.
const EXECUTOR_LIMIT_BYTES_MIN: u64 = 512 * 1024;

/// An executor has three rings, and registers its memory with each.
const EXECUTOR_RINGS: u64 = 3;

/// The least that an executor registers, whatever it is told.
const EXECUTOR_MEMORY_BYTES_MIN: u64 = 64 * 1024;

/// Submission entries of the ring with which glommio looks, once per process, what the
/// kernel can do. It has twice as many completion entries, as any ring that is not told
/// otherwise.
const EXECUTOR_PROBE_ENTRIES: u32 = 2;

/// What is going to be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memlock {
    /// Bytes that all of it takes, if they are counted.
    pub(super) charged_bytes: u64,
    /// What the limit must be even if they are not.
    pub(super) limit_bytes_min: u64,
    /// Whether this kernel counts rings.
    pub(super) counts_rings: bool,
}

impl Memlock {
    /// What all lanes and executors take, with the rings of the probes.
    pub(super) fn of(needs: &Needs, tables: Tables, host: &Host) -> Self {
        let counts_rings = host.kernel.counts_rings();
        let ring = |submission: u32, completion: u32| {
            if counts_rings {
                ring_bytes(submission.into(), completion.into(), host.page_bytes)
            } else {
                0
            }
        };
        let lane = ring(needs.submission_entries, needs.completion_entries);
        let lanes = u64::from(needs.shards) * u64::from(tables.lanes);
        let mut charged_bytes = lane * (lanes + 1);
        let mut limit_bytes_min = 0;
        if needs.executors > 0 {
            let entries = needs.executor_ring_entries;
            let memory = needs.executor_memory_bytes.max(EXECUTOR_MEMORY_BYTES_MIN);
            let registered = memory.next_multiple_of(host.page_bytes);
            let executor = EXECUTOR_RINGS * (ring(entries, 2 * entries) + registered);
            charged_bytes += u64::from(needs.executors) * executor;
            charged_bytes += ring(EXECUTOR_PROBE_ENTRIES, 2 * EXECUTOR_PROBE_ENTRIES);
            limit_bytes_min = EXECUTOR_LIMIT_BYTES_MIN;
        }
        Self {
            charged_bytes,
            limit_bytes_min,
            counts_rings,
        }
    }

    /// What the limit of this process must be at least, in bytes.
    pub(super) fn needed_bytes(&self, host: &Host) -> u64 {
        if host.may_lock_memory() {
            self.limit_bytes_min
        } else {
            self.charged_bytes.max(self.limit_bytes_min)
        }
    }

    /// Whether the limit allows all of it.
    pub(super) fn suffices(&self, host: &Host) -> bool {
        host.memlock_max_bytes >= self.needed_bytes(host)
    }
}

/// Bytes of one ring: its two queues in one allocation, the submission entries in
/// another, each of whole pages.
fn ring_bytes(submission_entries: u64, completion_entries: u64, page_bytes: u64) -> u64 {
    let submission_entries = submission_entries.next_power_of_two();
    let completions = completion_entries.next_power_of_two() * size_of::<cqueue::Entry>() as u64;
    let indices = submission_entries * size_of::<u32>() as u64;
    let submissions = submission_entries * size_of::<squeue::Entry>() as u64;
    (RING_HEAD_BYTES + completions + indices).next_multiple_of(page_bytes)
        + submissions.next_multiple_of(page_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest limits with which Linux 6.18 opened such a ring for a user without
    /// CAP_IPC_LOCK.
    #[test]
    fn rings_cost_what_the_kernel_counts() {
        let kib = |submission, completion| ring_bytes(submission, completion, 4096) / 1024;
        assert_eq!(kib(256, 1024), 36);
        assert_eq!(kib(200, 1000), 36, "rounded up to powers of two");
        assert_eq!(kib(256, 2048), 52);
        assert_eq!(kib(256, 4096), 84);
        assert_eq!(kib(1024, 4096), 136);
        assert_eq!(kib(1024, 16384), 328);
        assert_eq!(kib(4096, 8192), 404);
        assert_eq!(ring_bytes(256, 1024, 65536), 2 * 65536, "pages of 64 KiB");
    }
}
