//! The bell that a parked reader waits for: an eventfd.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One end of a bell; both ends are alike.
#[derive(Debug)]
pub struct Waker {
    eventfd: EventFd,
}

impl Waker {
    /// A bell that has not rung.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub(crate) fn new() -> nix::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self {
            eventfd: EventFd::from_flags(flags)?,
        })
    }

    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> Self {
        // SAFETY: nix asks for an eventfd and only reads and writes eight bytes, which
        // any other descriptor answers with an error or as it likes: memory is safe.
        let eventfd = unsafe { EventFd::from_owned_fd(descriptor) };
        Self { eventfd }
    }

    /// Rings. A full counter has rung already, and a peer that closed its end is
    /// not there to hear it.
    pub(crate) fn wake(&self) {
        let _ = self.eventfd.write(1);
    }

    /// Waits until it rings, so many milliseconds have passed or a signal came, and
    /// forgets that it rang. Returns whether it did; it may have rung for something
    /// that was read already.
    pub fn wait(&self, millis: u16) -> bool {
        let mut poll_for = [PollFd::new(self.eventfd.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut poll_for, PollTimeout::from(millis));
        // A bell from another process may be one whose reading waits.
        let rang = poll_for[0].revents() == Some(PollFlags::POLLIN);
        rang && self.eventfd.read().is_ok_and(|times| times > 0)
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
