//! A cursor over memory that the caller of an encoder owns.

/// Writes from the front of a slice that was sized by the item's
/// `encoded_len`. Running past its end is a defect of ours, never a peer's
/// doing, and panics as slice indexing does.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    out: &'b mut [u8],
    at: usize,
}

impl<'b> Writer<'b> {
    #[inline]
    pub(crate) fn new(out: &'b mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// Bytes written so far.
    #[inline]
    pub(crate) fn written(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        self.out[self.at..end].copy_from_slice(bytes);
        self.at = end;
    }

    #[inline]
    pub(crate) fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// Big-endian, as every protocol in this crate has it.
    #[inline]
    pub(crate) fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    /// Big-endian, as every protocol in this crate has it.
    #[inline]
    pub(crate) fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }
}
