//! What bounds the door. Nothing here has an effect by itself: see each field.

use std::num::NonZeroU32;
use std::time::Duration;

/// The bounds within which newcomers are met.
///
/// The most memory that they can take is `newcomers_max` times the sum of 2 KiB and twice
/// `connect_bytes_max`, and the memory of `verifications_max` password hashes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Newcomers at once: accepted, and not yet handed over or gone. Default 4,096. Each
    /// accept loop may have one more in its hands, which waits for a place.
    pub newcomers_max: NonZeroU32,
    /// Connections at once from one address, newcomers and established ones; for IPv6
    /// from one /64, since that is what one site has. `None`, the default, is unlimited.
    pub connections_per_address: Option<NonZeroU32>,
    /// The same for addresses of loopback, where proxies and tests come from. Default
    /// `None`.
    pub connections_per_loopback_address: Option<NonZeroU32>,
    /// The largest CONNECT, in bytes with its fixed header, from 16 to 268,435,460.
    /// Default 16,384.
    pub connect_bytes_max: usize,
    /// Seconds from accept to a whole CONNECT, and again for a home shard with a full
    /// queue to take the newcomer. Default 10.
    pub connect_seconds_max: NonZeroU32,
    /// Costly authentications that run at once, each on a thread of its own. Default 2.
    pub verifications_max: NonZeroU32,
    /// Costly authentications that wait for their turn; who comes when so many wait is
    /// told that the server is busy. Default 256.
    pub verifications_waiting_max: u32,
}

impl Limits {
    pub(crate) fn connect_time_max(&self) -> Duration {
        Duration::from_secs(self.connect_seconds_max.get().into())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            newcomers_max: NonZeroU32::new(4096).expect("is not zero"),
            connections_per_address: None,
            connections_per_loopback_address: None,
            connect_bytes_max: 16 * 1024,
            connect_seconds_max: NonZeroU32::new(10).expect("is not zero"),
            verifications_max: NonZeroU32::new(2).expect("is not zero"),
            verifications_waiting_max: 256,
        }
    }
}
