//! The run's clock: nanoseconds since its start, the same in all of its threads and
//! processes.

use nix::time::{ClockId, clock_gettime};

/// Counts from the run's start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// What `CLOCK_MONOTONIC` says at the start.
    origin: u64,
}

/// A start that processes can agree on: that of one kernel by its own clock, else by the
/// time of day.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Start {
    /// Names a kernel from one start of it to the next.
    boot: String,
    monotonic_nanos: u64,
    unix_nanos: u64,
}

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock).expect("every Linux has this clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}

/// Nanoseconds since 1970, UTC.
pub(crate) fn unix_nanos() -> u64 {
    read(ClockId::CLOCK_REALTIME)
}

/// Processor time that this thread has used.
pub(crate) fn thread_cpu_nanos() -> u64 {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time that this process has used.
pub(crate) fn process_cpu_nanos() -> u64 {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

impl Start {
    /// Now.
    pub(crate) fn now() -> Self {
        Self {
            boot: boot(),
            monotonic_nanos: read(ClockId::CLOCK_MONOTONIC),
            unix_nanos: unix_nanos(),
        }
    }

    /// When that was, in milliseconds since 1970.
    pub(crate) fn unix_millis(&self) -> u64 {
        self.unix_nanos / 1_000_000
    }

    /// The clock that begins then.
    pub(crate) fn clock(&self) -> Clock {
        if self.boot == boot() {
            return Clock {
                origin: self.monotonic_nanos,
            };
        }
        // Another machine: as right as the two times of day are.
        let ago = unix_nanos().saturating_sub(self.unix_nanos);
        Clock {
            origin: read(ClockId::CLOCK_MONOTONIC).saturating_sub(ago),
        }
    }
}

impl Clock {
    pub(crate) fn nanos(self) -> u64 {
        read(ClockId::CLOCK_MONOTONIC).saturating_sub(self.origin)
    }
}
