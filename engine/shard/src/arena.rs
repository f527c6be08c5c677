//! Where encoded frames lie: a ring of memory for each wire form, written once, sent from
//! by everybody, overwritten in order.
//!
//! ```text
//!            tail                            head
//!   ─ ─ ─ ─ ─┴─ f41 ─ f42 ─ f43 ─ ─ f44 ─ f45 ┴─ ─ ─   offsets only grow
//!                               └ the end of memory: no frame crosses it
//! ```
//!
//! Offsets count bytes and never wrap; a frame lies in memory at its offset modulo the
//! capacity, in one piece. Beside the bytes runs a ring of frame records: whatever needs
//! a frame's bounds, identifier, age or class looks there. Whatever is before the tail,
//! or whose record is overwritten, is gone; whoever still needs it has to see to it
//! before it is [written](Arena::write).

use ringcast_codec::market::SlowPolicy;
use std::ops::Range;

/// A ring of encoded frames.
pub(crate) struct Arena {
    bytes: Box<[u8]>,
    head: ArenaOffset,
    frames: Box<[Frame]>,
    next: FrameNumber,
}

/// Counts the bytes of an arena, those skipped at the end of memory included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ArenaOffset(pub u64);

/// Counts the frames of an arena.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FrameNumber(pub u64);

/// What is known of a frame. 48 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where it lies.
    pub at: ArenaOffset,
    /// The message's sequence number.
    pub sequence: u64,
    /// When the message was taken in, in µs since 1970.
    pub ingest_micros: u64,
    /// How long it is.
    pub bytes: u32,
    /// The message as the shard stores it, if it does: its number plus one.
    pub body: u32,
    /// At QoS 1 and 2, the low half of the message's number among those of the shard that
    /// needed an identifier.
    pub q: u32,
    /// How it is delivered to who is too slow.
    pub class: SlowPolicy,
    /// 0 to 2.
    pub qos: u8,
    /// When the message is to be forgotten, in µs since 1970; 0 if never.
    pub expires_micros: u64,
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            at: ArenaOffset(0),
            sequence: 0,
            ingest_micros: 0,
            bytes: 0,
            body: 0,
            q: 0,
            class: SlowPolicy::Queue,
            qos: 0,
            expires_micros: 0,
        }
    }
}

impl Frame {
    /// Where it ends.
    pub(crate) fn end(&self) -> ArenaOffset {
        ArenaOffset(self.at.0 + u64::from(self.bytes))
    }
}

impl Arena {
    /// With so many bytes, a power of two, and records for so many frames, another.
    /// Touches all of it.
    pub(crate) fn new(bytes: usize, frames: usize) -> Self {
        assert!(bytes.is_power_of_two() && frames.is_power_of_two());
        Self {
            bytes: vec![0; bytes].into(),
            head: ArenaOffset(0),
            frames: vec![Frame::default(); frames].into(),
            next: FrameNumber(0),
        }
    }

    /// The largest frame that it takes: larger ones would overwrite too much at once.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        self.bytes.len() / 4
    }

    /// The most bytes of a piece of a stream, unless a single frame has more. A sweep sends
    /// whole pieces, so that it ends where a frame does; a send of more than this costs by
    /// its bytes. Of a small arena no piece may hold much.
    pub(crate) fn piece_bytes_max(&self) -> u32 {
        const MOST: usize = 128 * 1024;
        (self.bytes.len() / 8).min(MOST) as u32
    }

    /// Where the next frame is going to lie if it has so many bytes.
    fn place(&self, bytes: usize) -> ArenaOffset {
        let capacity = self.bytes.len() as u64;
        let left = capacity - self.head.0 % capacity;
        let skip = if left < bytes as u64 { left } else { 0 };
        ArenaOffset(self.head.0 + skip)
    }

    /// What is left when so many bytes have been written in so many frames, none of them
    /// larger than `largest`: nothing before this offset and this frame.
    pub(crate) fn left_after(
        &self,
        bytes: usize,
        largest: usize,
        frames: usize,
    ) -> (ArenaOffset, FrameNumber) {
        // At the end of memory less than the largest frame is skipped.
        let head = self.head.0 + (bytes + largest) as u64;
        let next = self.next.0 + frames as u64;
        (
            ArenaOffset(head.saturating_sub(self.bytes.len() as u64)),
            FrameNumber(next.saturating_sub(self.frames.len() as u64)),
        )
    }

    /// Writes a frame of `frame.bytes` bytes, over what is oldest. `frame.at` is set.
    ///
    /// # Panics
    /// If the frame is larger than [`Self::frame_bytes_max`].
    pub(crate) fn write(
        &mut self,
        mut frame: Frame,
        encode: impl FnOnce(&mut [u8]),
    ) -> FrameNumber {
        let bytes = frame.bytes as usize;
        assert!(
            bytes <= self.frame_bytes_max(),
            "larger frames lie elsewhere"
        );
        frame.at = self.place(bytes);
        let start = frame.at.0 as usize & (self.bytes.len() - 1);
        encode(&mut self.bytes[start..start + bytes]);
        self.head = frame.end();
        let number = self.next;
        let slot = number.0 as usize & (self.frames.len() - 1);
        self.frames[slot] = frame;
        self.next = FrameNumber(number.0 + 1);
        number
    }

    /// The body of the frame whose record the next frame's takes, if it had one.
    pub(crate) fn next_evicts(&self) -> u32 {
        self.frames[self.next.0 as usize & (self.frames.len() - 1)].body
    }

    /// Notes where the body of a frame is stored from now on.
    pub(crate) fn set_body(&mut self, number: FrameNumber, body: u32) {
        let slot = number.0 as usize & (self.frames.len() - 1);
        self.frames[slot].body = body;
    }

    /// Whether a frame is still there, all of it.
    pub(crate) fn has(&self, number: FrameNumber) -> bool {
        let (tail, first) = self.left_after(0, 0, 0);
        number >= first && self.frame(number).at >= tail
    }

    /// Past the last frame.
    pub(crate) fn head(&self) -> (ArenaOffset, FrameNumber) {
        (self.head, self.next)
    }

    /// What is known of a frame that is still there.
    pub(crate) fn frame(&self, number: FrameNumber) -> &Frame {
        debug_assert!(number < self.next && number >= self.left_after(0, 0, 0).1);
        &self.frames[number.0 as usize & (self.frames.len() - 1)]
    }

    /// Whether what lies before this offset lies elsewhere in memory.
    pub(crate) fn begins_memory(&self, at: ArenaOffset) -> bool {
        at.0.is_multiple_of(self.bytes.len() as u64)
    }

    /// Bytes that are still there, and do not cross the end of memory.
    pub(crate) fn bytes(&self, range: Range<ArenaOffset>) -> &[u8] {
        debug_assert!(range.end <= self.head && range.start >= self.left_after(0, 0, 0).0);
        let start = range.start.0 as usize & (self.bytes.len() - 1);
        &self.bytes[start..start + (range.end.0 - range.start.0) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, Frame, FrameNumber};
    use proptest::prelude::*;

    proptest! {
        /// Every frame that is left is what was written, and adjacent ones adjoin.
        #[test]
        fn what_is_left_is_what_was_written(sizes in prop::collection::vec(0..65_usize, 0..200)) {
            let mut arena = Arena::new(256, 16);
            let mut written: Vec<Vec<u8>> = Vec::new();
            for size in sizes {
                let number = written.len() as u64;
                let bytes: Vec<u8> = (0..size).map(|at| (number as usize * 7 + at) as u8).collect();
                let promised = arena.left_after(size, size, 1);
                let frame = Frame {
                    bytes: size as u32,
                    sequence: number,
                    ..Frame::default()
                };
                let written_as = arena.write(frame, |place| place.copy_from_slice(&bytes));
                prop_assert_eq!(written_as, FrameNumber(number));
                written.push(bytes);
                let (tail, first) = arena.left_after(0, 0, 0);
                prop_assert!(tail <= promised.0 && first == promised.1);
                for number in first.0..=number {
                    let frame = *arena.frame(FrameNumber(number));
                    prop_assert_eq!(frame.sequence, number);
                    prop_assert_eq!(arena.has(FrameNumber(number)), frame.at >= tail);
                    if frame.at >= tail {
                        prop_assert_eq!(arena.bytes(frame.at..frame.end()), &written[number as usize]);
                    }
                }
            }
        }
    }
}
