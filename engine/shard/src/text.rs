//! Texts of any length in memory that is reserved at start: topics, filters, levels.
//!
//! A text is a chain of pages, so that nothing is ever moved or left unusable between
//! others. Nearly every level, and most topics, fit one page.

/// The pool of all texts.
pub(crate) struct Texts {
    pages: Box<[Page]>,
    free: u32,
    free_count: usize,
}

/// A text in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    first: u32,
    bytes: u32,
}

const PAGE_BYTES: usize = 28;

const NONE: u32 = u32::MAX;

struct Page {
    next: u32,
    bytes: [u8; PAGE_BYTES],
}

impl Texts {
    /// So many pages of 28 bytes.
    pub(crate) fn new(pages: usize) -> Self {
        let count = u32::try_from(pages).expect("fewer than 2^32 pages");
        let page = |at: u32| Page {
            next: if at + 1 < count { at + 1 } else { NONE },
            bytes: [0; PAGE_BYTES],
        };
        Self {
            pages: (0..count).map(page).collect(),
            free: if count > 0 { 0 } else { NONE },
            free_count: pages,
        }
    }

    #[cfg(test)]
    /// Pages that no text has.
    pub(crate) fn free_pages(&self) -> usize {
        self.free_count
    }

    /// Keeps a copy; `None` if there is no room.
    pub(crate) fn keep(&mut self, text: &[u8]) -> Option<Text> {
        let pages = text.len().div_ceil(PAGE_BYTES);
        if pages > self.free_count {
            return None;
        }
        let mut first = NONE;
        for piece in text.chunks(PAGE_BYTES).rev() {
            let here = self.free;
            let page = &mut self.pages[here as usize];
            self.free = std::mem::replace(&mut page.next, first);
            page.bytes[..piece.len()].copy_from_slice(piece);
            first = here;
        }
        self.free_count -= pages;
        let bytes = u32::try_from(text.len()).expect("at most as long as the pool");
        Some(Text { first, bytes })
    }

    /// Forgets a text.
    pub(crate) fn forget(&mut self, text: Text) {
        let mut page = text.first;
        for _ in 0..(text.bytes as usize).div_ceil(PAGE_BYTES) {
            let next = std::mem::replace(&mut self.pages[page as usize].next, self.free);
            self.free = page;
            self.free_count += 1;
            page = next;
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
                let here = &self.pages[page as usize];
                let count = left.min(PAGE_BYTES);
                left -= count;
                page = here.next;
                &here.bytes[..count]
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
