//! Pages of one size in memory that is reserved at start, chained by whoever takes them.
//!
//! The address space is reserved when a pool is made, and nothing moves later; the kernel
//! gives a page's memory when it is taken for the first time, for many pools are as large
//! as the worst case and hold little.

/// All pages of a pool.
pub(crate) struct Pages<T> {
    /// Those that were taken at least once.
    pages: Vec<Page<T>>,
    most: u32,
    blank: T,
    /// The first of those that were given back.
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
    pub(crate) fn new(count: usize, blank: T) -> Self {
        let most = u32::try_from(count).ok().filter(|most| *most < NONE);
        Self {
            pages: Vec::with_capacity(count),
            most: most.expect("fewer than 2^32 - 1 pages"),
            blank,
            free: NONE,
            free_count: count,
        }
    }

    /// Pages that nobody has.
    pub(crate) fn free(&self) -> usize {
        self.free_count
    }

    /// A page before this one, with what its last owner left in it.
    pub(crate) fn take(&mut self, next: u32) -> Option<u32> {
        let page = match self.free {
            NONE => self.take_untouched()?,
            page => {
                self.free = self.next(page);
                page
            }
        };
        self.set_next(page, next);
        self.free_count -= 1;
        Some(page)
    }

    fn take_untouched(&mut self) -> Option<u32> {
        let page = self.pages.len() as u32;
        if page == self.most {
            return None;
        }
        self.pages.push(Page {
            next: NONE,
            content: self.blank,
        });
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
