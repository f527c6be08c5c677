//! A mapped, sealed memfd: the only place of this crate that touches raw memory.
//!
//! Every access is checked against the size of the mapping, and the size cannot
//! change: the file is sealed against shrinking and growing before anybody else
//! gets it, and whoever maps one looks at the seals first. What other processes
//! may write at the same time is read as atomic words, never through a reference.

use crate::layout::{ALIGNMENT, CAPACITY_MAX, CAPACITY_MIN, HEADER_BYTES};
use nix::fcntl::{
    FallocateFlags, FcntlArg, Flock, FlockArg, OFlag, SealFlag, fallocate, fcntl, open,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::ftruncate;
use std::fmt;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Why there is no ring, or none that can be used.
#[derive(Debug)]
pub enum MemoryError {
    /// The kernel refused a step.
    System {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        errno: nix::Error,
    },
    /// There is not enough memory for it.
    TooLarge {
        /// Bytes wanted.
        bytes: usize,
        /// Bytes that the control group has left, if it has a limit.
        group_left: Option<u64>,
    },
    /// Whoever made it can still cut it under its readers.
    NotSealed,
    /// Parts of it are not allocated: to read them would take memory from the reader.
    Sparse,
    /// Another producer still has it.
    InUse,
    /// It is no ring, or not of this version.
    NotARing,
    /// Its header contradicts itself or the size of the file.
    Corrupt,
    /// A capacity that is not a power of two, or out of range.
    Capacity(usize),
}

impl fmt::Display for MemoryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { step, errno } => write!(formatter, "{step}: {errno}"),
            Self::TooLarge {
                bytes,
                group_left: Some(left),
            } => write!(
                formatter,
                "the ring wants {bytes} bytes and the control group has {left} left: make the \
                 ring smaller or raise memory.max"
            ),
            Self::TooLarge {
                bytes,
                group_left: None,
            } => write!(
                formatter,
                "the ring wants {bytes} bytes and the machine has not so many: make it smaller"
            ),
            Self::NotSealed => formatter.write_str(
                "the memory is not sealed against shrinking and growing: its maker could cut it \
                 under its readers",
            ),
            Self::Sparse => formatter.write_str(
                "the memory is not allocated in full: to read it would take memory of the reader",
            ),
            Self::InUse => formatter
                .write_str("the ring still has a producer, or consumers in its producer's process"),
            Self::NotARing => formatter.write_str("the memory holds no ring of this version"),
            Self::Corrupt => formatter.write_str("the header of the ring contradicts itself"),
            Self::Capacity(bytes) => write!(
                formatter,
                "a capacity of {bytes} bytes: it must be a power of two from {} to {}",
                CAPACITY_MIN, CAPACITY_MAX
            ),
        }
    }
}

impl std::error::Error for MemoryError {}

/// What `st_blocks` counts.
const BLOCK_BYTES: i128 = 512;

/// Names the step that failed.
fn failed(step: &'static str) -> impl FnOnce(nix::Error) -> MemoryError {
    move |errno| MemoryError::System { step, errno }
}

/// Who may write through this mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// A memfd mapped into this process, whole and of a size that cannot change.
#[derive(Debug)]
pub(crate) struct Memory {
    base: NonNull<u8>,
    bytes: usize,
    access: Access,
    file: OwnedFd,
}

// SAFETY: the mapping belongs to this value alone, is not tied to a thread, and is
// unmapped when it is dropped.
unsafe impl Send for Memory {}
// SAFETY: shared access goes through atomic words, or through `slice` and
// `slice_mut`, whose callers answer for exclusion.
unsafe impl Sync for Memory {}

impl Memory {
    /// New memory, zeroed, allocated in full, mapped for reading and writing and
    /// sealed against any change of size.
    pub(crate) fn create(name: &str, bytes: usize) -> Result<Self, MemoryError> {
        let group_left = crate::cgroup::memory_left();
        if group_left.is_some_and(|left| left < bytes as u64) {
            return Err(MemoryError::TooLarge { bytes, group_left });
        }
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = memfd_create(name, flags).map_err(failed("memfd_create"))?;
        let size = i64::try_from(bytes).map_err(|_| MemoryError::Capacity(bytes))?;
        ftruncate(&file, size).map_err(failed("ftruncate"))?;
        loop {
            match fallocate(&file, FallocateFlags::empty(), 0, size) {
                Ok(()) => break,
                // A signal came; what was allocated until then stays so.
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::ENOMEM | nix::Error::ENOSPC) => {
                    return Err(MemoryError::TooLarge { bytes, group_left });
                }
                Err(errno) => return Err(failed("fallocate")(errno)),
            }
        }
        let memory = Self::map(file, bytes, Access::ReadWrite)?;
        memory.seal(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW)?;
        Ok(memory)
    }

    /// Maps what another process made, once its size is known to be final.
    pub(crate) fn open(file: OwnedFd, access: Access) -> Result<Self, MemoryError> {
        let seals = match fcntl(&file, FcntlArg::F_GET_SEALS) {
            Ok(seals) => seals,
            // A file of a kind that knows no seals.
            Err(nix::Error::EINVAL) => return Err(MemoryError::NotSealed),
            Err(errno) => return Err(failed("F_GET_SEALS")(errno)),
        };
        let sealed = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        if !SealFlag::from_bits_truncate(seals).contains(sealed) {
            return Err(MemoryError::NotSealed);
        }
        let status = fstat(&file).map_err(failed("fstat"))?;
        let bytes = usize::try_from(status.st_size).map_err(|_| MemoryError::NotARing)?;
        if !(HEADER_BYTES..=HEADER_BYTES + CAPACITY_MAX).contains(&bytes) {
            return Err(MemoryError::NotARing);
        }
        // Mapping touches every page: of a file with holes that would allocate them,
        // for the account of this process.
        if i128::from(status.st_blocks) * BLOCK_BYTES < i128::from(status.st_size) {
            return Err(MemoryError::Sparse);
        }
        Self::map(file, bytes, access)
    }

    fn map(file: OwnedFd, bytes: usize, access: Access) -> Result<Self, MemoryError> {
        let length = NonZeroUsize::new(bytes).ok_or(MemoryError::NotARing)?;
        let protection = match access {
            Access::ReadOnly => ProtFlags::PROT_READ,
            Access::ReadWrite => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        };
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
        // SAFETY: mmap asks that the address, if given, may be replaced: none is
        // given. The length is not zero and the file stays open beside the mapping.
        let base = unsafe { mmap(None, length, protection, flags, &file, 0) };
        let base = base.map_err(failed("mmap"))?.cast();
        Ok(Self {
            base,
            bytes,
            access,
            file,
        })
    }

    /// Forbids what the seals name, for ever.
    pub(crate) fn seal(&self, seals: SealFlag) -> Result<(), MemoryError> {
        fcntl(&self.file, FcntlArg::F_ADD_SEALS(seals)).map_err(failed("F_ADD_SEALS"))?;
        Ok(())
    }

    /// A descriptor through which nobody can write or map for writing, for those who
    /// are to read.
    pub(crate) fn reopen_read_only(&self) -> Result<OwnedFd, MemoryError> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        open(path.as_str(), flags, Mode::empty()).map_err(failed("open in /proc/self/fd"))
    }

    /// The right to write records, which one process at a time has until it ends.
    ///
    /// It belongs to a descriptor of its own: one that was passed on would keep it
    /// alive in another process.
    pub(crate) fn lock(&self) -> Result<Flock<OwnedFd>, MemoryError> {
        let file = self.reopen_read_only()?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            nix::Error::EWOULDBLOCK => MemoryError::InUse,
            errno => failed("flock")(errno),
        })
    }

    /// The whole mapping, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether this process may write.
    pub(crate) fn is_writable(&self) -> bool {
        self.access == Access::ReadWrite
    }

    /// The word at an offset.
    ///
    /// # Panics
    /// If it is not aligned or not inside.
    #[inline]
    pub(crate) fn word(&self, at: usize) -> &AtomicU64 {
        self.check(at, size_of::<u64>());
        // SAFETY: `from_ptr` asks for alignment and `size_of::<u64>()` valid bytes
        // for the lifetime: `check` saw to both, and the mapping lives as long as
        // `self`. Nobody accesses words of the header other than atomically, and
        // words of the data only under the exclusion that `slice` and `slice_mut`
        // ask for. On a read-only mapping only loads are called, which for a word
        // never write (`core::sync::atomic`, "Atomic accesses to read-only memory").
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(at).cast()) }
    }

    /// Bytes that nobody writes while the slice lives.
    ///
    /// # Safety
    /// No thread of this process and no other process writes there meanwhile.
    #[inline]
    pub(crate) unsafe fn slice(&self, at: usize, bytes: usize) -> &[u8] {
        self.check(at, bytes);
        // SAFETY: inside the mapping (`check`), which is initialised (the kernel
        // zeroes it), aligned for bytes, lives as long as `self`, is smaller than
        // isize::MAX, and is not written meanwhile, as the caller promises.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(at), bytes) }
    }

    /// Bytes that nobody else reads or writes while the slice lives.
    ///
    /// # Safety
    /// No other reference of this process to them is alive, and no other process
    /// reads them other than as atomic words that it does not believe.
    #[inline]
    #[allow(
        clippy::mut_from_ref,
        reason = "exclusion is between positions, not owners"
    )]
    pub(crate) unsafe fn slice_mut(&self, at: usize, bytes: usize) -> &mut [u8] {
        self.check(at, bytes);
        assert!(self.is_writable());
        // SAFETY: as in `slice`, writable (asserted), and exclusive, as the caller
        // promises.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(at), bytes) }
    }

    /// Copies bytes that may be written meanwhile, whole words at a time: the copy
    /// is then torn, never undefined. Appends to `out`.
    ///
    /// # Panics
    /// If `at` is not aligned, or they are not inside with the rest of their last
    /// word.
    pub(crate) fn copy_racy(&self, at: usize, bytes: usize, out: &mut Vec<u8>) {
        out.reserve(bytes.next_multiple_of(ALIGNMENT));
        let begin = out.len();
        for word in (at..at + bytes).step_by(ALIGNMENT) {
            out.extend_from_slice(&self.word(word).load(Relaxed).to_le_bytes());
        }
        out.truncate(begin + bytes);
    }

    #[inline]
    fn check(&self, at: usize, bytes: usize) {
        let inside = at.checked_add(bytes).is_some_and(|end| end <= self.bytes);
        assert!(
            inside && at.is_multiple_of(ALIGNMENT),
            "outside of the ring's memory"
        );
    }
}

impl AsFd for Memory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: munmap asks for an address and length that mmap gave, which these
        // are, and that nothing refers there: every reference borrows `self`.
        let unmapped = unsafe { munmap(self.base.cast(), self.bytes) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}
