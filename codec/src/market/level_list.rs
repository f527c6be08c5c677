//! Levels of an order book, the encoder's or the decoder's.

use alloc::vec::Vec;
use core::ops::Deref;

use super::Level;

/// Levels that somebody else keeps, so that encoding allocates nothing, or that
/// were decoded and have no other owner. What `Cow` is for, which can't be
/// used: it would make every message invariant in its lifetime.
#[derive(Debug, Clone)]
pub enum LevelList<'a> {
    /// Somebody else's.
    Borrowed(&'a [Level<'a>]),
    /// Its own.
    Owned(Vec<Level<'a>>),
}

impl<'a> Deref for LevelList<'a> {
    type Target = [Level<'a>];

    fn deref(&self) -> &[Level<'a>] {
        match self {
            Self::Borrowed(levels) => levels,
            Self::Owned(levels) => levels,
        }
    }
}

impl PartialEq for LevelList<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for LevelList<'_> {}
