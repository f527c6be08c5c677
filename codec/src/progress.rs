//! What a decoder found at the beginning of its input.

/// A whole item, or the beginning of one. A peer's fault is neither: it is the
/// error of the decoder that returns this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Progress<T> {
    /// One whole item, and the number of input bytes that it took.
    Done(T, usize),
    /// The input ends before the item does. It is not worth looking again
    /// before `needed` bytes are there, counted from the same beginning; the
    /// item may turn out to be longer still.
    Partial {
        /// Bytes, always more than the input had.
        needed: usize,
    },
}

impl<T> Progress<T> {
    /// The same progress with another item.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Progress<U> {
        match self {
            Self::Done(item, consumed) => Progress::Done(convert(item), consumed),
            Self::Partial { needed } => Progress::Partial { needed },
        }
    }
}
