//! Which processors a measurement uses, and how a thread is kept on one of them.
//!
//! Two sides of a measurement that share a processor, or that the scheduler moves
//! about, measure the scheduler. So each side has one processor for itself.

use core_affinity::CoreId;
use std::thread;

/// A processor, by the number that the kernel gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Core(pub usize);

impl Core {
    /// All that this process may use, ascending.
    pub fn allowed() -> Vec<Self> {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let mut cores: Vec<_> = cores.into_iter().map(|core| core.id).collect();
        cores.sort_unstable();
        cores.into_iter().map(Self).collect()
    }

    /// The first two that this process may use; `None` if there is one only.
    pub fn first_two() -> Option<(Self, Self)> {
        match *Self::allowed() {
            [one, two, ..] => Some((one, two)),
            _ => None,
        }
    }

    /// Keeps the calling thread on this processor, and the threads and processes that
    /// it starts from now on.
    ///
    /// # Panics
    /// If this process may not use it.
    pub fn pin(self) {
        let pinned = core_affinity::set_for_current(CoreId { id: self.0 });
        assert!(pinned, "processor {} is not allowed", self.0);
    }

    /// Runs something on this processor, in a thread of its own: what it starts stays
    /// there, and the calling thread stays where it is.
    ///
    /// # Panics
    /// If this process may not use it, or `work` does.
    pub fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        let on_core = || {
            self.pin();
            work()
        };
        thread::scope(|scope| scope.spawn(on_core).join()).expect("the work panicked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_where_it_is_told_and_nothing_else_does() {
        let before = Core::allowed();
        let last = *before.last().expect("there is one at least");
        assert_eq!(last.run(Core::allowed), [last]);
        assert_eq!(Core::allowed(), before);
    }
}
