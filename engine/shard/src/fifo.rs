//! Queues of any length in memory that is reserved at start.
//!
//! A queue is a chain of pages from one pool, filled at its back and emptied at its
//! front. Going through it reads page after page.

use crate::pages::{NONE, Pages};

/// The pool of all queues with items of this type, `N` of them a page.
pub(crate) struct Fifos<T, const N: usize> {
    pages: Pages<[T; N]>,
}

/// A queue of items in a pool. `Default` is empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fifo {
    front: u32,
    back: u32,
    /// Items of the front page that were taken.
    taken: u32,
    len: u32,
}

impl Default for Fifo {
    fn default() -> Self {
        Self {
            front: NONE,
            back: NONE,
            taken: 0,
            len: 0,
        }
    }
}

impl Fifo {
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }
}

impl<T: Copy + Default, const N: usize> Fifos<T, N> {
    /// So many pages.
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            pages: Pages::new(pages, [T::default(); N]),
        }
    }

    /// Pages that no queue has.
    pub(crate) fn free_pages(&self) -> usize {
        self.pages.free()
    }

    /// Adds an item at the back; `false` if it needs a page and there is none.
    #[must_use]
    pub(crate) fn push(&mut self, fifo: &mut Fifo, item: T) -> bool {
        let slot = (fifo.taken + fifo.len) as usize % N;
        if slot == 0 {
            let Some(page) = self.pages.take(NONE) else {
                return false;
            };
            match fifo.front {
                NONE => fifo.front = page,
                _ => {
                    self.pages.set_next(fifo.back, page);
                }
            }
            fifo.back = page;
        }
        self.pages.get_mut(fifo.back)[slot] = item;
        fifo.len += 1;
        true
    }

    /// Adds all of these at the back, or none of them if there are too few pages.
    #[must_use]
    pub(crate) fn extend(&mut self, fifo: &mut Fifo, mut items: &[T]) -> bool {
        let end = (fifo.taken as usize + fifo.len()) % N;
        let fit = if end == 0 { 0 } else { N - end };
        if items.len().saturating_sub(fit).div_ceil(N) > self.pages.free() {
            return false;
        }
        while let Some(&first) = items.first() {
            let end = (fifo.taken as usize + fifo.len()) % N;
            let count = items.len().min(N - end);
            // The first item takes a page if it needs one.
            let pushed = self.push(fifo, first);
            debug_assert!(pushed, "there are enough pages");
            self.pages.get_mut(fifo.back)[end..end + count].copy_from_slice(&items[..count]);
            fifo.len += count as u32 - 1;
            items = &items[count..];
        }
        true
    }

    /// Drops so many items at the front, at most all.
    pub(crate) fn discard(&mut self, fifo: &mut Fifo, mut count: usize) {
        while count > 0 && fifo.len > 0 {
            let here = count.min(fifo.len()).min(N - fifo.taken as usize);
            fifo.taken += here as u32;
            fifo.len -= here as u32;
            count -= here;
            if fifo.taken as usize == N || fifo.len == 0 {
                fifo.front = self.pages.give(fifo.front);
                fifo.taken = 0;
            }
        }
    }

    /// Takes the item at the front.
    pub(crate) fn pop(&mut self, fifo: &mut Fifo) -> Option<T> {
        let item = *self.front(*fifo)?;
        self.discard(fifo, 1);
        Some(item)
    }

    /// The item at the front.
    pub(crate) fn front(&self, fifo: Fifo) -> Option<&T> {
        self.iter(fifo).next()
    }

    /// The item at the back, to be changed.
    pub(crate) fn back_mut(&mut self, fifo: Fifo) -> Option<&mut T> {
        let last = fifo.len.checked_sub(1)?;
        let slot = (fifo.taken + last) as usize % N;
        Some(&mut self.pages.get_mut(fifo.back)[slot])
    }

    /// The item at this place, counted from the front, to be changed.
    pub(crate) fn get_mut(&mut self, fifo: Fifo, place: usize) -> &mut T {
        assert!(place < fifo.len(), "it is there");
        let at = fifo.taken as usize + place;
        let mut page = fifo.front;
        for _ in 0..at / N {
            page = self.pages.next(page);
        }
        &mut self.pages.get_mut(page)[at % N]
    }

    /// Takes the item at this place, counted from the front: those before it move back.
    pub(crate) fn remove(&mut self, fifo: &mut Fifo, place: usize) -> T {
        assert!(place < fifo.len(), "it is there");
        let (mut page, mut slot) = (fifo.front, fifo.taken as usize);
        let mut carried = T::default();
        for _ in 0..=place {
            std::mem::swap(&mut self.pages.get_mut(page)[slot], &mut carried);
            slot += 1;
            if slot == N {
                page = self.pages.next(page);
                slot = 0;
            }
        }
        self.discard(fifo, 1);
        carried
    }

    /// Puts an item at this place, counted from the front: those from there on move back.
    /// `false` if it needs a page and there is none.
    #[must_use]
    pub(crate) fn insert(&mut self, fifo: &mut Fifo, place: usize, item: T) -> bool {
        assert!(place <= fifo.len(), "it is behind something");
        if !self.push(fifo, item) {
            return false;
        }
        let mut carried = item;
        let at = fifo.taken as usize + place;
        let mut page = fifo.front;
        for _ in 0..at / N {
            page = self.pages.next(page);
        }
        let mut slot = at % N;
        for _ in place..fifo.len() {
            std::mem::swap(&mut self.pages.get_mut(page)[slot], &mut carried);
            slot += 1;
            if slot == N {
                page = self.pages.next(page);
                slot = 0;
            }
        }
        true
    }

    /// All items from the front.
    pub(crate) fn iter(&self, fifo: Fifo) -> impl Iterator<Item = &T> {
        self.chunks(fifo).flatten()
    }

    /// All items from the front, page by page.
    pub(crate) fn chunks(&self, fifo: Fifo) -> impl Iterator<Item = &[T]> {
        let mut page = fifo.front;
        let mut taken = fifo.taken as usize;
        let mut left = fifo.len as usize;
        std::iter::from_fn(move || {
            (left > 0).then(|| {
                let items = &self.pages.get(page)[taken..N.min(taken + left)];
                page = self.pages.next(page);
                taken = 0;
                left -= items.len();
                items
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Fifo, Fifos};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn queues_hold_what_deques_hold(
            steps in prop::collection::vec((0..3_usize, 0..12_u8), 0..300),
        ) {
            const PAGES: usize = 6;
            let mut pool = Fifos::<u32, 3>::new(PAGES);
            let mut fifos = [Fifo::default(); 3];
            let mut models: [VecDeque<u32>; 3] = Default::default();
            for (number, (which, kind)) in (0..).zip(steps) {
                let (fifo, model) = (&mut fifos[which], &mut models[which]);
                if kind < 3 {
                    if pool.push(fifo, number) {
                        model.push_back(number);
                    } else {
                        prop_assert_eq!(pool.free_pages(), 0);
                    }
                } else if kind < 6 {
                    prop_assert_eq!(pool.pop(fifo), model.pop_front());
                } else if kind < 8 {
                    let items: Vec<u32> = (0..number % 8).collect();
                    let free = pool.free_pages();
                    if pool.extend(fifo, &items) {
                        model.extend(&items);
                    } else {
                        let used = fifo.len() + items.len();
                        prop_assert!(used.div_ceil(3) + 1 > free && pool.free_pages() == free);
                    }
                } else if kind == 8 && !model.is_empty() {
                    let place = number as usize % model.len();
                    prop_assert_eq!(Some(pool.remove(fifo, place)), model.remove(place));
                } else if kind == 9 && !model.is_empty() {
                    let place = number as usize % model.len();
                    *pool.get_mut(*fifo, place) += 1_000;
                    model[place] += 1_000;
                } else if kind == 10 {
                    let place = number as usize % (model.len() + 1);
                    if pool.insert(fifo, place, number) {
                        model.insert(place, number);
                    } else {
                        prop_assert_eq!(pool.free_pages(), 0);
                    }
                } else {
                    let count = number as usize % 6;
                    pool.discard(fifo, count);
                    model.drain(..count.min(model.len()));
                }
                prop_assert_eq!(pool.back_mut(*fifo).copied(), model.back().copied());
                for (fifo, model) in fifos.iter().zip(&models) {
                    prop_assert_eq!(fifo.len(), model.len());
                    prop_assert!(pool.iter(*fifo).eq(model));
                    prop_assert_eq!(pool.front(*fifo), model.front());
                }
            }
            for fifo in &mut fifos {
                while pool.pop(fifo).is_some() {}
                prop_assert!(fifo.is_empty());
            }
            prop_assert_eq!(pool.free_pages(), PAGES, "an empty queue has no page");
        }
    }
}
