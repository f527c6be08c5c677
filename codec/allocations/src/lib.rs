//! ringcast-allocations: counts the allocations of a thread, for tests that there are none.
//!
//! ```
//! use ringcast_allocations::{Counting, allocations};
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//!
//! assert_eq!(allocations(|| drop(Box::new(1))), 1);
//! ```

#![allow(unsafe_code, reason = "a global allocator can't be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Of this thread: the test harness has others.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counted. To be a test's `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

/// How often this thread allocates, or moves what it had allocated, in there. None at all
/// without [`Counting`].
pub fn allocations(of: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    of();
    ALLOCATIONS.get() - before
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: GlobalAlloc demands that what it hands out is fit for the layout, that it does not
// unwind, and that deallocation matches. All methods pass their arguments to `System`, which
// guarantees this, and return its answer unchanged; the count is a const-initialised
// thread-local `Cell<usize>` without destructor, so that touching it neither allocates nor
// panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the layout has a size other than zero, by the same promise that our caller
        // made to us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: our caller promises that the pointer came from this allocator, so from
        // `System`, with this layout, and that the size is neither zero nor over `isize::MAX`
        // when rounded up.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: our caller promises that the pointer came from this allocator, so from
        // `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}
