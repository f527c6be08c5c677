//! What a cohort gets: the frames of one arena, in the order in which they were routed.
//!
//! A stream is a list of pieces of the arena. A frame that lies behind the last one
//! lengthens the last piece, unless memory begins anew there or the piece is long enough
//! for one send; so while a cohort gets all that is written, a message costs one addition. Positions count the stream's bytes and never
//! wrap; a member's cursor is a position.
//!
//! ```text
//!   arena    ─ ─ f7 f8 ─ ─ ─ f11 f12 f13 ─ ─ f15
//!   stream       └piece┘     └─ piece ──┘    └┘
//!   position     0           a           b     head
//! ```

use crate::arena::{Arena, ArenaOffset, Frame, FrameNumber};
use crate::fifo::{Fifo, Fifos};
use std::ops::Range;

/// The pieces of all streams.
pub(crate) struct Pieces(Fifos<Piece, 4>);

impl Pieces {
    /// So many pages of four pieces; a stream that is not empty has one at least.
    #[must_use]
    pub(crate) fn new(pages: usize) -> Self {
        Self(Fifos::new(pages))
    }

    /// Pages that no stream has.
    #[must_use]
    pub(crate) fn free_pages(&self) -> usize {
        self.0.free_pages()
    }
}

/// One cohort's stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stream {
    head: Position,
    pieces: Fifo,
}

/// Counts the bytes of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub u64);

/// A range of the arena. Sixteen bytes: of each number the low half, which is enough,
/// since no two that are alive are 2³² apart.
#[derive(Debug, Clone, Copy, Default)]
struct Piece {
    position: u32,
    at: u32,
    bytes: u32,
    first_frame: u32,
}

/// A stretch of a stream that lies in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Where it begins in the stream.
    pub position: Position,
    /// Where it lies.
    pub range: Range<ArenaOffset>,
    /// The first frame of the piece, which may begin before the stretch.
    pub first_frame: FrameNumber,
}

/// The number with this low half that is nearest below or at the other.
fn widen(low: u32, head: u64) -> u64 {
    head - u64::from((head as u32).wrapping_sub(low))
}

impl Stream {
    /// Past the last byte.
    pub(crate) fn head(&self) -> Position {
        self.head
    }

    /// The oldest byte that it still holds.
    pub(crate) fn tail(&self, pieces: &Pieces) -> Position {
        let front = pieces.0.front(self.pieces);
        front.map_or(self.head, |piece| {
            Position(widen(piece.position, self.head.0))
        })
    }

    /// Appends a frame of the arena. `false` if it needs room for a piece and there is
    /// none.
    #[must_use]
    pub(crate) fn append(
        &mut self,
        number: FrameNumber,
        arena: &Arena,
        pieces: &mut Pieces,
    ) -> bool {
        let frame = arena.frame(number);
        let at = frame.at.0 as u32;
        let fits = match pieces.0.back_mut(self.pieces) {
            Some(last)
                if last.at.wrapping_add(last.bytes) == at
                    && !arena.begins_memory(frame.at)
                    && last.bytes.saturating_add(frame.bytes) <= arena.piece_bytes_max() =>
            {
                last.bytes += frame.bytes;
                true
            }
            _ => pieces.0.push(
                &mut self.pieces,
                Piece {
                    position: self.head.0 as u32,
                    at,
                    bytes: frame.bytes,
                    first_frame: number.0 as u32,
                },
            ),
        };
        if fits {
            self.head.0 += u64::from(frame.bytes);
        }
        fits
    }

    /// Forgets pieces that nobody needs who stands at this position or behind it.
    pub(crate) fn trim(&mut self, oldest: Position, pieces: &mut Pieces) {
        while let Some(&front) = pieces.0.front(self.pieces) {
            let end = widen(front.position, self.head.0) + u64::from(front.bytes);
            if end > oldest.0 {
                return;
            }
            pieces.0.pop(&mut self.pieces);
        }
    }

    /// Where a sweep ends that begins here: behind as many whole pieces as one send takes,
    /// one at least if there is one.
    pub(crate) fn sweep_end(&self, from: Position, pieces: &Pieces, arena: &Arena) -> Position {
        let mut end = from;
        for piece in pieces.0.iter(self.pieces) {
            let piece_end = Position(widen(piece.position, self.head.0) + u64::from(piece.bytes));
            if piece_end <= from {
                continue;
            }
            if end > from && piece_end.0 - from.0 > arena.piece_bytes_max().into() {
                break;
            }
            end = piece_end;
        }
        end
    }

    /// The frame that has the byte at this position, and the position where it begins;
    /// `None` past the last byte.
    pub(crate) fn frame_at(
        &self,
        at: Position,
        pieces: &Pieces,
        arena: &Arena,
    ) -> Option<(FrameNumber, Position)> {
        let (arena_head, next) = arena.head();
        let piece = pieces.0.iter(self.pieces).find(|piece| {
            let end = widen(piece.position, self.head.0) + u64::from(piece.bytes);
            end > at.0
        })?;
        let begin = widen(piece.position, self.head.0);
        let piece_at = widen(piece.at, arena_head.0);
        let offset = ArenaOffset(piece_at + (at.0.max(begin) - begin));
        // The frames of a piece lie one behind the other, in the order of their numbers.
        let mut low = widen(piece.first_frame, next.0);
        let mut high = next.0;
        while high - low > 1 {
            let middle = low.midpoint(high);
            match arena.frame(FrameNumber(middle)).at <= offset {
                true => low = middle,
                false => high = middle,
            }
        }
        let frame = arena.frame(FrameNumber(low));
        Some((FrameNumber(low), Position(begin + frame.at.0 - piece_at)))
    }

    /// Where its oldest piece ends, and the frame with which that begins.
    pub(crate) fn oldest_piece(
        &self,
        pieces: &Pieces,
        arena: &Arena,
    ) -> Option<(Position, FrameNumber)> {
        let front = pieces.0.front(self.pieces)?;
        let end = widen(front.position, self.head.0) + u64::from(front.bytes);
        let (_, next) = arena.head();
        Some((Position(end), FrameNumber(widen(front.first_frame, next.0))))
    }

    /// What lies between two positions that it holds, piece by piece.
    pub(crate) fn stretches<'a>(
        &self,
        between: Range<Position>,
        pieces: &'a Pieces,
        arena: &Arena,
    ) -> impl Iterator<Item = Stretch> + use<'a> {
        let stream_head = self.head.0;
        let (head, next) = arena.head();
        pieces
            .0
            .iter(self.pieces)
            .map(move |piece| {
                let begin = widen(piece.position, stream_head);
                let at = widen(piece.at, head.0);
                let from = between.start.0.clamp(begin, begin + u64::from(piece.bytes));
                let to = between.end.0.clamp(begin, begin + u64::from(piece.bytes));
                Stretch {
                    position: Position(from),
                    range: ArenaOffset(at + from - begin)..ArenaOffset(at + to - begin),
                    first_frame: FrameNumber(widen(piece.first_frame, next.0)),
                }
            })
            .filter(|stretch| !stretch.range.is_empty())
    }
}

impl Stretch {
    /// The frames that it touches: the first and the last perhaps only in part.
    pub(crate) fn frames<'a>(
        &self,
        arena: &'a Arena,
    ) -> impl Iterator<Item = (FrameNumber, &'a Frame)> + use<'a> {
        let Range { start, end } = self.range.clone();
        (self.first_frame.0..)
            .map(FrameNumber)
            .take_while(move |number| *number < arena.head().1)
            .map(|number| (number, arena.frame(number)))
            .skip_while(move |(_, frame)| frame.end() <= start)
            .take_while(move |(_, frame)| frame.at < end)
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, Pieces, Position, Stream};
    use crate::arena::{Arena, Frame};
    use proptest::prelude::*;

    #[test]
    fn a_piece_has_sixteen_bytes() {
        assert_eq!(size_of::<Piece>(), 16);
    }

    /// A frame's size, and which of three streams get it.
    type Step = (usize, [bool; 3], u8);

    proptest! {
        /// Whatever is trimmed and overwritten meanwhile: between two positions that a
        /// stream holds lie just the bytes that were appended there, and whole frames.
        #[test]
        fn a_stream_is_what_was_appended(
            steps in prop::collection::vec((1..40_usize, any::<[bool; 3]>(), any::<u8>()), 0..200),
        ) {
            let mut arena = Arena::new(1024, 64);
            let mut pieces = Pieces::new(20);
            let mut streams = [Stream::default(); 3];
            let mut models: [Vec<u8>; 3] = Default::default();
            for (count, (bytes, members, pick)) in (0_u32..).zip(steps as Vec<Step>) {
                // Nobody keeps what is about to be overwritten.
                let (tail, first) = arena.left_after(bytes, bytes, 1);
                for stream in &mut streams {
                    let lapped = stream
                        .stretches(stream.tail(&pieces)..stream.head(), &pieces, &arena)
                        .find(|stretch| stretch.range.start >= tail && stretch.first_frame >= first);
                    let oldest = lapped.map_or(stream.head(), |stretch| stretch.position);
                    stream.trim(oldest, &mut pieces);
                }
                let body = vec![count as u8; bytes];
                let number = arena.write(
                    Frame { bytes: bytes as u32, sequence: u64::from(count), ..Frame::default() },
                    |place| place.copy_from_slice(&body),
                );
                for (which, stream) in streams.iter_mut().enumerate() {
                    if members[which] && stream.append(number, &arena, &mut pieces) {
                        models[which].extend(&body);
                    } else {
                        prop_assert!(!members[which] || pieces.free_pages() == 0);
                    }
                }
                let which = pick as usize % 3;
                let (stream, model) = (&mut streams[which], &models[which]);
                prop_assert_eq!(stream.head(), Position(model.len() as u64));
                let tail = stream.tail(&pieces).0;
                let from = tail + u64::from(pick) % (stream.head().0 - tail + 1);
                let to = from + u64::from(pick / 3) % (stream.head().0 - from + 1);
                if pick.is_multiple_of(5) {
                    // Somebody still stands there, in the middle of a piece perhaps.
                    stream.trim(Position(from), &mut pieces);
                    prop_assert!(stream.tail(&pieces).0 <= from, "the rest is held");
                }
                let mut read: Vec<u8> = Vec::new();
                let between = Position(from)..Position(to);
                for stretch in stream.stretches(between, &pieces, &arena) {
                    prop_assert_eq!(stretch.position.0, from + read.len() as u64);
                    read.extend(arena.bytes(stretch.range.clone()));
                    let frames: Vec<_> = stretch.frames(&arena).map(|(_, frame)| *frame).collect();
                    prop_assert!(frames[0].at <= stretch.range.start);
                    prop_assert!(frames[frames.len() - 1].end() >= stretch.range.end);
                    prop_assert!(frames.windows(2).all(|pair| pair[0].end() == pair[1].at));
                }
                prop_assert_eq!(&read[..], &model[from as usize..to as usize]);
                let frame = stream.frame_at(Position(from), &pieces, &arena);
                prop_assert_eq!(frame.is_some(), from < stream.head().0);
                if let Some((number, begin)) = frame {
                    let found = arena.frame(number);
                    prop_assert!(begin.0 <= from && from < begin.0 + u64::from(found.bytes));
                    let bytes = &model[begin.0 as usize..][..found.bytes as usize];
                    prop_assert_eq!(arena.bytes(found.at..found.end()), bytes);
                    let end = stream.sweep_end(begin, &pieces, &arena);
                    prop_assert!(end > begin && end <= stream.head());
                    let behind = stream.frame_at(end, &pieces, &arena);
                    prop_assert!(behind.is_none_or(|(_, begin)| begin == end), "whole frames");
                }
                prop_assert_eq!(stream.sweep_end(stream.head(), &pieces, &arena), stream.head());
                if let Some((end, first)) = stream.oldest_piece(&pieces, &arena) {
                    prop_assert!(end > stream.tail(&pieces) && end <= stream.head());
                    prop_assert!(first < arena.head().1);
                }
            }
        }
    }
}
