//! Decoding PUBLISH and the acknowledgements allocates nothing.

use ringcast_codec::Progress;
use ringcast_codec::mqtt::{Decoder, Kind, PACKET_BYTES_MAX, Sender};
use ringcast_codec_fuzz::choices::{Choices, seeded_bytes};
use ringcast_codec_fuzz::mqtt::generate::{Arena, VERSIONS, encoded};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

thread_local! {
    /// Allocations of this thread; the test harness has others.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count() {
    ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: `GlobalAlloc` asks that blocks fit their layout, are not given out
// twice, that nothing unwinds, and that no allocation is relied on. Each method
// hands its arguments, under the same conditions, to `System`, which keeps all of
// it. `count` neither unwinds nor allocates: its cell is initialised at compile
// time and has no destructor, so it is there for as long as the thread.
#[allow(unsafe_code, reason = "an allocator can't be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller promises that the layout is not of size zero.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that the block came from this allocator,
        // so from `System`, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`, and the caller promises that the new size is
        // neither zero nor too large.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

fn allocations_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.with(Cell::get);
    let result = work();
    (ALLOCATIONS.with(Cell::get) - before, result)
}

#[test]
fn the_count_sees_allocations() {
    let (allocations, _) = allocations_of(|| black_box(vec![0_u8; 10]));
    assert_eq!(allocations, 1);
}

#[test]
fn decoding_publish_and_acknowledgements_allocates_nothing() {
    let kinds = [
        Kind::Publish,
        Kind::Puback,
        Kind::Pubrec,
        Kind::Pubrel,
        Kind::Pubcomp,
    ];
    for version in VERSIONS {
        for sender in [Sender::Client, Sender::Server] {
            let decoder = Decoder {
                version,
                sender,
                packet_bytes_max: PACKET_BYTES_MAX,
            };
            for (seed, kind) in (0..200).zip(kinds.into_iter().cycle()) {
                let decisions = seeded_bytes(seed, 200);
                let mut arena = Arena::default();
                let packet = arena.packet_of(&mut Choices::new(&decisions), kind, version, sender);
                let bytes = encoded(&packet, version);
                let (allocations, decoded) = allocations_of(|| decoder.decode(black_box(&bytes)));
                assert_eq!(decoded, Ok(Progress::Done(packet, bytes.len())));
                assert_eq!(allocations, 0, "{packet:?}");
            }
        }
    }
}
