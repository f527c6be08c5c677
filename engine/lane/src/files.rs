//! What a connection is to the kernel: a direct descriptor where that can be had.
//!
//! Before Linux 6.13 the kernel gives the direct descriptors of a ring back strictly in
//! the order in which they were last used by a request that was under way. The poll that
//! watches an old connection then keeps every connection that was closed since: no end is
//! sent to the peer, and no memory freed, for as long as the old one lives. There,
//! connections have plain descriptors, and `ulimit -n` bounds their number.

use crate::probe;
use io_uring::types::Fixed;
use io_uring::{IoUring, opcode, squeue};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::Duration;

/// What connections are to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// Entries in the table of a ring.
    Direct,
    /// Entries in the table of the process.
    Plain,
}

/// How long the kernel may take to close what nothing uses any more. One that never does
/// is waited for so long once, at start.
const CLOSED_WITHIN: Duration = Duration::from_millis(500);

impl Files {
    /// What this kernel serves well; tried on the first call.
    ///
    /// # Errors
    /// If there is no ring to try it with.
    pub fn of_this_kernel() -> io::Result<Self> {
        static TRIED: OnceLock<Files> = OnceLock::new();
        if let Some(files) = TRIED.get() {
            return Ok(*files);
        }
        let tried = try_direct()?;
        Ok(*TRIED.get_or_init(|| tried))
    }
}

/// Watches one connection, closes another, and looks whether that is closed.
fn try_direct() -> io::Result<Files> {
    let mut ring = probe::while_charged(|| probe::ring_like_a_lanes(8).build(2))?;
    let (watched, _peer_of_watched) = UnixStream::pair()?;
    let (closed, mut peer) = UnixStream::pair()?;
    ring.submitter().register_files_sparse(2)?;
    let descriptors = [watched.as_raw_fd(), closed.as_raw_fd()];
    ring.submitter().register_files_update(0, &descriptors)?;
    drop((watched, closed));
    let poll = opcode::PollAdd::new(Fixed(0), libc::POLLIN as u32).multi(true);
    submit(&mut ring, &poll.build())?;
    submit(&mut ring, &opcode::Close::new(Fixed(1)).build())?;
    peer.set_read_timeout(Some(CLOSED_WITHIN))?;
    match peer.read(&mut [0]) {
        Ok(_) => Ok(Files::Direct),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Files::Plain),
        Err(error) => Err(error),
    }
}

fn submit(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<()> {
    // SAFETY: neither of the two entries points to any memory.
    let pushed = unsafe { ring.submission().push(entry) };
    pushed.expect("there is room for two");
    ring.submit_and_wait(0).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::Files;
    use nix::sys::utsname::uname;

    #[test]
    fn this_kernel_is_known() {
        let name = uname().expect("it has one");
        let release = name.release().to_string_lossy();
        let mut numbers = release.split(['.', '-']).map(|part| part.parse().ok());
        let version: (Option<u32>, Option<u32>) =
            (numbers.next().flatten(), numbers.next().flatten());
        let expected = match version {
            (Some(major), Some(minor)) if (major, minor) < (6, 13) => Files::Plain,
            _ => Files::Direct,
        };
        assert_eq!(Files::of_this_kernel().expect("it can be tried"), expected);
    }
}
