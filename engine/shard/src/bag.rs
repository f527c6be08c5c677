//! Bags: unordered lists of any length in memory that is reserved at start.
//!
//! A bag is a chain of pages from one pool. Only its first page has free places, so
//! that adding and removing take a bounded time whatever its length, and going through
//! it reads page after page. Who adds an item gets its place, and is told when another
//! item has moved to it: the last one fills the gap of the one removed.

use crate::pages::{NONE, Pages};

/// The pool of all bags with items of this type, `N` of them a page.
pub(crate) struct Bags<T, const N: usize> {
    pages: Pages<[T; N]>,
}

/// A list of items in a pool. `Default` is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bag {
    /// The page with free places, if any has.
    first: u32,
    len: u32,
}

/// Where an item is: stays until it moves or is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place(pub(crate) u32);

impl Default for Bag {
    fn default() -> Self {
        Self {
            first: NONE,
            len: 0,
        }
    }
}

impl Bag {
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }

    #[cfg(test)]
    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }
}

impl<T: Copy + Default, const N: usize> Bags<T, N> {
    /// So many pages.
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            pages: Pages::new(pages, [T::default(); N]),
        }
    }

    /// Pages that no bag has.
    #[cfg(test)]
    pub(crate) fn free_pages(&self) -> usize {
        self.pages.free()
    }

    /// Adds an item; `None` if it needs a page and there is none.
    pub(crate) fn push(&mut self, bag: &mut Bag, item: T) -> Option<Place> {
        let slot = bag.len as usize % N;
        if slot == 0 {
            bag.first = self.pages.take(bag.first)?;
        }
        bag.len += 1;
        self.pages.get_mut(bag.first)[slot] = item;
        Some(Self::place(bag.first, slot))
    }

    /// Removes the item at this place of the bag. The item that is there now, if one
    /// is, has moved from the bag's end.
    pub(crate) fn remove(&mut self, bag: &mut Bag, place: Place) -> Option<T> {
        bag.len -= 1;
        let slot = bag.len as usize % N;
        let first = bag.first;
        let last = self.pages.get(first)[slot];
        let moved = place != Self::place(first, slot);
        if moved {
            *self.get_mut(place) = last;
        }
        if slot == 0 {
            bag.first = self.pages.give(first);
        }
        moved.then_some(last)
    }

    /// The item that is removed without moving another.
    pub(crate) fn last(&self, bag: Bag) -> Option<Place> {
        let slot = (bag.len as usize).checked_sub(1)? % N;
        Some(Self::place(bag.first, slot))
    }

    /// Gives all pages back.
    pub(crate) fn clear(&mut self, bag: &mut Bag) {
        while let Some(last) = self.last(*bag) {
            self.remove(bag, last);
        }
    }

    pub(crate) fn get(&self, place: Place) -> &T {
        &self.pages.get(place.0 / N as u32)[place.0 as usize % N]
    }

    pub(crate) fn get_mut(&mut self, place: Place) -> &mut T {
        &mut self.pages.get_mut(place.0 / N as u32)[place.0 as usize % N]
    }

    /// All items with their places, the newest page first.
    pub(crate) fn iter(&self, bag: Bag) -> impl Iterator<Item = (Place, &T)> {
        let mut page = bag.first;
        let mut left = bag.len as usize;
        std::iter::from_fn(move || {
            (left > 0).then(|| {
                let here = page;
                let count = match left % N {
                    0 => N,
                    rest => rest,
                };
                left -= count;
                page = self.pages.next(here);
                let items = &self.pages.get(here)[..count];
                items
                    .iter()
                    .enumerate()
                    .map(move |(slot, item)| (Self::place(here, slot), item))
            })
        })
        .flatten()
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a slot is below the page's size"
    )]
    fn place(page: u32, slot: usize) -> Place {
        Place(page * N as u32 + slot as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bag, Bags, Place};
    use proptest::prelude::*;
    use std::collections::HashMap;

    const BAGS: usize = 3;
    const PAGES: usize = 7;

    proptest! {
        #[test]
        fn bags_hold_what_maps_hold(
            steps in prop::collection::vec((0..BAGS, any::<u8>(), 0..5_u8), 0..300),
        ) {
            let mut pool = Bags::<u32, 3>::new(PAGES);
            let mut bags = [Bag::default(); BAGS];
            let mut models: [HashMap<Place, u32>; BAGS] = Default::default();
            for (number, (which, pick, kind)) in (0..).zip(steps) {
                let (bag, model) = (&mut bags[which], &mut models[which]);
                match kind {
                    0..3 => match pool.push(bag, number) {
                        Some(place) => prop_assert_eq!(model.insert(place, number), None),
                        None => prop_assert!(pool.free_pages() == 0 && bag.len() % 3 == 0),
                    },
                    3 if !model.is_empty() => {
                        let mut places: Vec<_> = model.keys().copied().collect();
                        places.sort_by_key(|place| place.0);
                        let place = places[pick as usize % places.len()];
                        model.remove(&place);
                        if let Some(moved) = pool.remove(bag, place) {
                            let from = model.iter().find(|(_, item)| **item == moved);
                            let from = *from.expect("it was in the bag").0;
                            model.remove(&from);
                            model.insert(place, moved);
                        }
                    }
                    4 if pick < 20 => {
                        pool.clear(bag);
                        model.clear();
                    }
                    _ => (),
                }
                let used: usize = bags.iter().map(|bag| bag.len().div_ceil(3)).sum();
                prop_assert_eq!(pool.free_pages(), PAGES - used);
                for (bag, model) in bags.iter().zip(&models) {
                    let items: HashMap<_, _> = pool.iter(*bag).map(|(place, item)| (place, *item)).collect();
                    prop_assert_eq!(&items, model);
                    prop_assert_eq!(bag.is_empty(), model.is_empty());
                    for (place, item) in model {
                        prop_assert_eq!(pool.get(*place), item);
                    }
                }
            }
        }
    }
}
