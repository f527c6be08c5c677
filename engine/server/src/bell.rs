//! The bell of an executor: whoever has something for it rings, and it hears that while
//! it sleeps.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// An eventfd, and a note for those who are awake.
#[derive(Debug)]
pub(crate) struct Bell {
    eventfd: EventFd,
    rung: AtomicBool,
}

impl Bell {
    /// # Errors
    /// If the process has no descriptor left.
    pub(crate) fn new() -> nix::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self {
            eventfd: EventFd::from_flags(flags)?,
            rung: AtomicBool::new(false),
        })
    }

    /// There is something. What it is has to be there before.
    pub(crate) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        // A full counter has rung already.
        let _ = self.eventfd.write(1);
    }

    /// Whether it rang since it was asked last.
    pub(crate) fn rang(&self) -> bool {
        // A load first: it is asked every turn, and rings rarely.
        self.rung.load(Ordering::Acquire) && self.rung.swap(false, Ordering::AcqRel)
    }

    /// Whether it rang, without an answer to the next who asks.
    pub(crate) fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Forgets what it rang for sleepers.
    pub(crate) fn hush(&self) {
        let _ = self.eventfd.read();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
