//! One io_uring: entries in, completions out.

use crate::probe;
use io_uring::types::{Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, squeue};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A ring, and how many of its entries are not submitted yet.
pub(crate) struct Lane {
    ring: IoUring,
    queued: usize,
    /// Completions that it gave when it was drained last.
    gave: usize,
}

/// What the kernel does of what it holds back when it is entered plainly is some twenty items:
/// who gives so many completions may hold more. Fewer are cheap to wait for until the next
/// look, and dear to be thorough about.
const GIVES_PLAINLY: usize = 16;

/// How large a lane is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) submission_entries: u32,
    pub(crate) completion_entries: u32,
    /// Direct ones; none if connections have plain ones.
    pub(crate) descriptors: u32,
}

/// An answer of the kernel.
pub(crate) struct Completion {
    /// What the entry was marked with.
    pub(crate) mark: u64,
    /// An errno if it failed.
    pub(crate) result: Result<i32, i32>,
    flags: u32,
}

impl Completion {
    pub(crate) fn new(mark: u64, result: i32, flags: u32) -> Self {
        let result = if result < 0 { Err(-result) } else { Ok(result) };
        Self {
            mark,
            result,
            flags,
        }
    }

    /// Whether the same entry will be answered again.
    pub(crate) fn more_follow(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// Whether the socket had more input after a receive.
    pub(crate) fn input_left(&self) -> bool {
        cqueue::sock_nonempty(self.flags)
    }
}

/// Why there is no lane, and at which step it failed.
#[derive(Debug)]
pub struct SetUpError {
    step: &'static str,
    error: io::Error,
}

impl SetUpError {
    pub(crate) fn at(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { step, error }
    }
}

impl fmt::Display for SetUpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "io_uring can not {}: {}", self.step, self.error)
    }
}

impl std::error::Error for SetUpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Submitting fails for want of memory or room for completions, and goes on when
/// there is some. If it does so as often as this, it will not.
const SUBMITS_MAX: u32 = 100_000;

impl Lane {
    /// # Errors
    /// If the kernel refuses the ring, or the table.
    pub(crate) fn open(size: Size) -> Result<Self, SetUpError> {
        let builder = probe::ring_like_a_lanes(size.completion_entries);
        let ring = probe::while_charged(|| builder.build(size.submission_entries))
            .map_err(SetUpError::at("set up a ring"))?;
        let submitter = ring.submitter();
        if size.descriptors > 0 {
            submitter
                .register_files_sparse(size.descriptors)
                .map_err(SetUpError::at("make a table of direct descriptors"))?;
        }
        // Only the end of a polite close needs a thread of the kernel, and never long.
        submitter
            .register_iowq_max_workers(&mut [1, 1])
            .map_err(SetUpError::at("limit its threads"))?;
        Ok(Self {
            ring,
            queued: 0,
            gave: 0,
        })
    }

    /// Moves a socket into the table.
    pub(crate) fn register(&self, slot: Fixed, socket: OwnedFd) -> io::Result<()> {
        let sockets = [socket.as_raw_fd()];
        let submitter = self.ring.submitter();
        submitter.register_files_update(slot.0, &sockets)?;
        drop(socket);
        Ok(())
    }

    /// Lets completions ring this eventfd, once [`Self::let_ring`] allows it.
    pub(crate) fn ring_at(&self, eventfd: BorrowedFd<'_>) -> Result<(), SetUpError> {
        self.ring
            .submitter()
            .register_eventfd(eventfd.as_raw_fd())
            .map_err(SetUpError::at("ring an eventfd"))
    }

    pub(crate) fn let_ring(&mut self, may: bool) {
        let completions = self.ring.completion();
        if may {
            completions.enable_eventfd();
        } else {
            completions.disable_eventfd();
        }
    }

    /// Where a batch is queued, which has room: it is no larger than the queue, and
    /// nothing else is queued when it begins.
    pub(crate) fn batch(&mut self) -> BatchQueue<'_> {
        BatchQueue {
            submission: self.ring.submission(),
            queued: &mut self.queued,
        }
    }

    /// Queues an entry; submits what is queued if there is no room.
    ///
    /// # Safety
    /// What the entry points to stays until [`Self::submit`] has returned, and if the
    /// request can outlive that, until its completion.
    pub(crate) unsafe fn push(&mut self, entry: &squeue::Entry) {
        if self.queued == self.ring.params().sq_entries() as usize {
            self.submit();
        }
        // SAFETY: the caller keeps what it points to.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.expect("it has room: all that was queued is submitted");
        self.queued += 1;
    }

    /// Submits all that is queued; when this returns the kernel has taken all of it.
    ///
    /// # Panics
    /// If the kernel goes on refusing.
    pub(crate) fn submit(&mut self) {
        let mut refused = 0;
        while self.queued > 0 {
            match self.ring.submit() {
                Ok(taken) if taken > 0 => self.queued -= taken,
                other => {
                    refused += 1;
                    let passes = other.as_ref().err().is_none_or(is_temporary);
                    assert!(
                        passes && refused < SUBMITS_MAX,
                        "io_uring takes no entries: {other:?}"
                    );
                }
            }
        }
    }

    /// Whether the kernel holds something back until it is entered.
    pub(crate) fn holds_back(&mut self) -> bool {
        let submission = self.ring.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    pub(crate) fn has_overflowed(&mut self) -> bool {
        self.ring.submission().cq_overflow()
    }

    /// Lets the kernel do some of what it holds back: since Linux 6.13 some twenty items.
    pub(crate) fn enter(&self) {
        entered(self.ring.submitter().submit());
    }

    /// Lets the kernel do some of what it holds back, and all of it, until half of the
    /// completion queue is full, if what it gave last tells of much. That takes three times as
    /// long for few items, and on virtual machines more: a timer is set for it.
    pub(crate) fn enter_for_more(&self) {
        if !self.may_hold_much() {
            self.enter();
            return;
        }
        let most = self.ring.params().cq_entries() as usize / 2;
        let at_once = Timespec::new();
        let arguments = SubmitArgs::new().timespec(&at_once);
        entered(self.ring.submitter().submit_with_args(most, &arguments));
    }

    /// Whether it gave so much when it was drained last that there may be more at once.
    pub(crate) fn may_hold_much(&self) -> bool {
        self.gave >= GIVES_PLAINLY
    }

    pub(crate) fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    /// Takes all completions that are there, in their order.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&Completion)) {
        self.gave = 0;
        for entry in self.ring.completion() {
            self.gave += 1;
            each(&Completion::new(
                entry.user_data(),
                entry.result(),
                entry.flags(),
            ));
        }
    }

    pub(crate) fn has_queued(&self) -> bool {
        self.queued > 0
    }
}

/// The submission queue of a lane while a batch is put into it.
pub(crate) struct BatchQueue<'a> {
    submission: squeue::SubmissionQueue<'a>,
    queued: &'a mut usize,
}

impl BatchQueue<'_> {
    /// Queues an entry.
    ///
    /// # Safety
    /// As for [`Lane::push`].
    pub(crate) unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller keeps what it points to.
        let pushed = unsafe { self.submission.push(entry) };
        pushed.expect("a batch is no larger than the queue");
        *self.queued += 1;
    }
}

/// That time is out at once was the purpose; all else that can fail is ours.
fn entered(result: io::Result<usize>) {
    if let Err(error) = result {
        let expected = error.raw_os_error() == Some(libc::ETIME) || is_temporary(&error);
        assert!(expected, "io_uring gives no completions: {error}");
    }
}

/// Whether the same call may succeed later.
fn is_temporary(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM)
    )
}
