//! Texts of any length in memory that is reserved at start: topics, filters, levels, and
//! whole messages.
//!
//! A text is a chain of pages of one size, so that nothing is ever moved or left unusable
//! between others. Nearly every level, and most topics, fit one page of 28 bytes.

use crate::pages::{NONE, Pages};

/// The pool of all texts of one kind, with pages of `N` bytes.
pub(crate) struct Texts<const N: usize = 28> {
    pages: Pages<[u8; N]>,
}

/// A text in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    first: u32,
    bytes: u32,
}

impl Text {
    /// How long it is.
    pub(crate) fn len(self) -> usize {
        self.bytes as usize
    }
}

impl<const N: usize> Texts<N> {
    /// So many pages.
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            pages: Pages::new(pages, [0; N]),
        }
    }

    /// Pages that no text has.
    #[cfg(test)]
    pub(crate) fn free_pages(&self) -> usize {
        self.pages.free()
    }

    /// Keeps a copy; `None` if there is no room.
    pub(crate) fn keep(&mut self, text: &[u8]) -> Option<Text> {
        self.keep_parts(&[text])
    }

    /// Keeps a copy of what these are, one behind the other; `None` if there is no room.
    pub(crate) fn keep_parts(&mut self, parts: &[&[u8]]) -> Option<Text> {
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        if bytes.div_ceil(N) > self.pages.free() {
            return None;
        }
        let mut first = NONE;
        let mut page = NONE;
        let mut end = N;
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                if end == N {
                    let before = std::mem::replace(&mut page, self.pages.take(NONE)?);
                    match before {
                        NONE => first = page,
                        before => _ = self.pages.set_next(before, page),
                    }
                    end = 0;
                }
                let (here, behind) = rest.split_at(rest.len().min(N - end));
                self.pages.get_mut(page)[end..end + here.len()].copy_from_slice(here);
                end += here.len();
                rest = behind;
            }
        }
        let bytes = u32::try_from(bytes).expect("at most as long as the pool");
        Some(Text { first, bytes })
    }

    /// Forgets a text.
    pub(crate) fn forget(&mut self, text: Text) {
        let mut page = text.first;
        for _ in 0..(text.bytes as usize).div_ceil(N) {
            page = self.pages.give(page);
        }
    }

    /// Whether a text is this one.
    pub(crate) fn is(&self, text: Text, other: &[u8]) -> bool {
        text.bytes as usize == other.len()
            && self
                .pieces(text)
                .zip(other.chunks(N))
                .all(|(ours, theirs)| ours == theirs)
    }

    /// A text, piece by piece.
    pub(crate) fn pieces(&self, text: Text) -> impl Iterator<Item = &[u8]> {
        let mut page = text.first;
        let mut left = text.bytes as usize;
        std::iter::from_fn(move || {
            (left > 0).then(|| {
                let count = left.min(N);
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
            let mut texts = Texts::<28>::new(12);
            let mut model: Vec<(super::Text, Vec<u8>)> = Vec::new();
            for (keep, count, seed) in steps {
                let used: usize = model.iter().map(|(_, text)| text.len().div_ceil(28)).sum();
                prop_assert_eq!(texts.free_pages(), 12 - used);
                if keep {
                    let bytes: Vec<u8> = (0..count).map(|at| seed.wrapping_add(at as u8)).collect();
                    let (head, tail) = bytes.split_at(usize::from(seed) % (count + 1));
                    match texts.keep_parts(&[head, &[], tail]) {
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
