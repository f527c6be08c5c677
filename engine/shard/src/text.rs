//! Texts of any length in memory that is reserved at start: topics, filters, levels.
//!
//! A text is a chain of pages, so that nothing is ever moved or left unusable between
//! others. Nearly every level, and most topics, fit one page.

use crate::pages::{NONE, Pages};

/// The pool of all texts.
pub(crate) struct Texts {
    pages: Pages<[u8; PAGE_BYTES]>,
}

/// A text in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    first: u32,
    bytes: u32,
}

const PAGE_BYTES: usize = 28;

impl Texts {
    /// So many pages of 28 bytes.
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            pages: Pages::new(pages, [0; PAGE_BYTES]),
        }
    }

    /// Pages that no text has.
    #[cfg(test)]
    pub(crate) fn free_pages(&self) -> usize {
        self.pages.free()
    }

    /// Keeps a copy; `None` if there is no room.
    pub(crate) fn keep(&mut self, text: &[u8]) -> Option<Text> {
        if text.len().div_ceil(PAGE_BYTES) > self.pages.free() {
            return None;
        }
        let mut first = NONE;
        for piece in text.chunks(PAGE_BYTES).rev() {
            first = self.pages.take(first)?;
            self.pages.get_mut(first)[..piece.len()].copy_from_slice(piece);
        }
        let bytes = u32::try_from(text.len()).expect("at most as long as the pool");
        Some(Text { first, bytes })
    }

    /// Forgets a text.
    pub(crate) fn forget(&mut self, text: Text) {
        let mut page = text.first;
        for _ in 0..(text.bytes as usize).div_ceil(PAGE_BYTES) {
            page = self.pages.give(page);
        }
    }

    /// Whether a text is this one.
    pub(crate) fn is(&self, text: Text, other: &[u8]) -> bool {
        text.bytes as usize == other.len()
            && self
                .pieces(text)
                .zip(other.chunks(PAGE_BYTES))
                .all(|(ours, theirs)| ours == theirs)
    }

    /// A text, piece by piece.
    pub(crate) fn pieces(&self, text: Text) -> impl Iterator<Item = &[u8]> {
        let mut page = text.first;
        let mut left = text.bytes as usize;
        std::iter::from_fn(move || {
            (left > 0).then(|| {
                let count = left.min(PAGE_BYTES);
                left -= count;
                let here = self.pages.get(page);
                page = self.pages.next(page);
                &here[..count]
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Texts;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_stay_what_they_were(
            steps in prop::collection::vec((any::<bool>(), 0..100_usize, any::<u8>()), 0..200),
        ) {
            let mut texts = Texts::new(12);
            let mut model: Vec<(super::Text, Vec<u8>)> = Vec::new();
            for (keep, count, seed) in steps {
                let used: usize = model.iter().map(|(_, text)| text.len().div_ceil(28)).sum();
                prop_assert_eq!(texts.free_pages(), 12 - used);
                if keep {
                    let bytes: Vec<u8> = (0..count).map(|at| seed.wrapping_add(at as u8)).collect();
                    match texts.keep(&bytes) {
                        Some(text) => model.push((text, bytes)),
                        None => prop_assert!(used + count.div_ceil(28) > 12),
                    }
                } else if !model.is_empty() {
                    let (text, _) = model.swap_remove(count % model.len());
                    texts.forget(text);
                }
                for (text, bytes) in &model {
                    prop_assert!(texts.is(*text, bytes));
                    prop_assert_eq!(&texts.pieces(*text).collect::<Vec<_>>().concat(), bytes);
                    let mut longer = bytes.clone();
                    longer.push(0);
                    prop_assert!(!texts.is(*text, &longer));
                    if let Some(last) = longer[..bytes.len()].last_mut() {
                        *last ^= 1;
                        prop_assert!(!texts.is(*text, &longer[..bytes.len()]));
                    }
                }
            }
        }
    }
}
