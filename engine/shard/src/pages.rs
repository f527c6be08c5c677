//! Pages of one size in memory that is reserved at start, chained by whoever takes them.

/// All pages of a pool.
pub(crate) struct Pages<T> {
    pages: Box<[Page<T>]>,
    free: u32,
    free_count: usize,
}

struct Page<T> {
    next: u32,
    content: T,
}

/// No page.
pub(crate) const NONE: u32 = u32::MAX;

impl<T: Copy> Pages<T> {
    /// So many of them, below 2³².
    pub(crate) fn new(count: usize, content: T) -> Self {
        let numbers = 0..u32::try_from(count).expect("fewer than 2^32 pages");
        let last = numbers.end.wrapping_sub(1);
        let page = |number| Page {
            next: if number == last { NONE } else { number + 1 },
            content,
        };
        Self {
            free: if count == 0 { NONE } else { 0 },
            pages: numbers.map(page).collect(),
            free_count: count,
        }
    }

    /// Pages that nobody has.
    pub(crate) fn free(&self) -> usize {
        self.free_count
    }

    /// A page before this one, with what its last owner left in it.
    pub(crate) fn take(&mut self, next: u32) -> Option<u32> {
        let page = self.free;
        if page == NONE {
            return None;
        }
        self.free = self.set_next(page, next);
        self.free_count -= 1;
        Some(page)
    }

    /// Gives a page back, and returns the one behind it.
    pub(crate) fn give(&mut self, page: u32) -> u32 {
        let next = self.set_next(page, self.free);
        self.free = page;
        self.free_count += 1;
        next
    }

    pub(crate) fn next(&self, page: u32) -> u32 {
        self.pages[page as usize].next
    }

    /// Chains another page to this one, and returns which one was.
    pub(crate) fn set_next(&mut self, page: u32, next: u32) -> u32 {
        std::mem::replace(&mut self.pages[page as usize].next, next)
    }

    pub(crate) fn get(&self, page: u32) -> &T {
        &self.pages[page as usize].content
    }

    pub(crate) fn get_mut(&mut self, page: u32) -> &mut T {
        &mut self.pages[page as usize].content
    }
}
