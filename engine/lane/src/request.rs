//! How a completion finds its way back to what asked for it.

use ringcast_wire::ConnectionKey;

/// What was asked of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Request {
    /// A send of a batch; its number is the place in that.
    Send,
    /// A receive of a batch; its number is the place in that.
    Receive,
    /// Watch a connection.
    Poll,
    /// Send the end of a polite close.
    Shutdown,
    /// Wait for the peer of a polite close.
    Linger,
    /// Throw away what such a peer still sends.
    Discard,
    /// Give the direct descriptor back.
    Close,
    /// Give up a poll or a lingering. Answered by them, not by itself.
    Cancel,
}

impl Request {
    /// In the order of their numbers.
    const ALL: [Self; 8] = [
        Self::Send,
        Self::Receive,
        Self::Poll,
        Self::Shutdown,
        Self::Linger,
        Self::Discard,
        Self::Close,
        Self::Cancel,
    ];

    /// The mark of an entry for a connection.
    pub(crate) const fn of(self, key: ConnectionKey) -> u64 {
        (self as u64) << 56 | key.pack()
    }

    /// The mark of an entry for a place in a batch.
    pub(crate) const fn at(self, place: u32) -> u64 {
        (self as u64) << 56 | place as u64
    }

    /// What a completion answers.
    pub(crate) const fn from_mark(mark: u64) -> Self {
        Self::ALL[(mark >> 56) as usize]
    }
}

/// The place in a batch that an entry was marked with.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the high bits are the request"
)]
pub(crate) const fn place(mark: u64) -> usize {
    mark as u32 as usize
}

#[cfg(test)]
mod tests {
    use super::{Request, place};
    use ringcast_wire::ConnectionKey;

    #[test]
    fn a_mark_leads_back() {
        let key = ConnectionKey::first(u32::MAX).next();
        for request in Request::ALL {
            assert_eq!(Request::from_mark(request.of(key)), request);
            assert_eq!(ConnectionKey::unpack(request.of(key)), key);
            assert_eq!(Request::from_mark(request.at(u32::MAX)), request);
            assert_eq!(place(request.at(u32::MAX)), u32::MAX as usize);
        }
    }
}
