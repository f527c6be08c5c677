//! How many connections each address has.
//!
//! Every connection that counts holds a place of its address, from accept until it is
//! gone. The place of one that was handed over lives with its shard, which must neither
//! wait nor lock: so a place is a counted reference and nothing else, and the count of
//! references is the count of connections. Dropping one is a single atomic decrement;
//! the memory behind it is the door's, which frees it when it next looks.

use crate::limits::Limits;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

/// One connection's place among those of its address, free again when this is dropped.
///
/// Whoever takes a newcomer over keeps it as long as the connection. Dropping it never
/// waits, and frees no memory while the door is there.
#[derive(Debug)]
pub struct AddressPlace {
    _connections: Option<Arc<()>>,
}

/// The places of all addresses.
#[derive(Debug)]
pub(crate) struct Addresses {
    most: Option<NonZeroU32>,
    most_on_loopback: Option<NonZeroU32>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// One reference here and one per connection.
    connections: HashMap<IpAddr, Arc<()>>,
    /// At this size it is worth looking for addresses that have no connection left.
    sweep_at: usize,
}

/// The least size at which the table is swept.
const SWEEP_AT_MIN: usize = 1024;

impl Addresses {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.connections_per_address,
            most_on_loopback: limits.connections_per_loopback_address,
            table: Mutex::default(),
        }
    }

    /// A place for one more connection from there, if the address may have one.
    pub(crate) fn take(&self, address: IpAddr) -> Option<AddressPlace> {
        let most = match address.is_loopback() {
            true => self.most_on_loopback,
            false => self.most,
        };
        let Some(most) = most else {
            return Some(AddressPlace { _connections: None });
        };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.sweep();
        let connections = table.connections.entry(site(address)).or_default();
        // References are only added under this lock, so the count may be too high for
        // an instant, while someone leaves, but never too low.
        if Arc::strong_count(connections) > most.get() as usize {
            return None;
        }
        Some(AddressPlace {
            _connections: Some(Arc::clone(connections)),
        })
    }
}

impl Table {
    /// Forgets addresses without connections, each time that the table has doubled, so
    /// that it costs a constant per connection and no more than twice what is needed.
    fn sweep(&mut self) {
        if self.connections.len() < self.sweep_at.max(SWEEP_AT_MIN) {
            return;
        }
        self.connections
            .retain(|_, connections| Arc::strong_count(connections) > 1);
        self.sweep_at = 2 * self.connections.len();
    }
}

/// Whose connections are counted together.
fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(most: u32) -> Addresses {
        Addresses::new(&Limits {
            connections_per_address: NonZeroU32::new(most),
            ..Limits::default()
        })
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_is_gone() {
        let addresses = addresses(2);
        let address = IpAddr::from([192, 0, 2, 1]);
        let first = addresses.take(address).expect("the first");
        let second = addresses.take(address).expect("the second");
        assert!(addresses.take(address).is_none(), "a third");
        let other = IpAddr::from([192, 0, 2, 2]);
        assert!(addresses.take(other).is_some(), "has its own two");
        drop(first);
        let third = addresses.take(address).expect("one has left");
        assert!(addresses.take(address).is_none());
        drop((second, third));
    }

    #[test]
    fn a_site_of_ipv6_is_one_address() {
        let addresses = addresses(1);
        let place = addresses.take("2001:db8::1".parse().unwrap());
        assert!(place.is_some());
        assert!(
            addresses
                .take("2001:db8::2:0:0:9".parse().unwrap())
                .is_none()
        );
        assert!(addresses.take("2001:db8:0:1::1".parse().unwrap()).is_some());
    }

    #[test]
    fn loopback_has_a_limit_of_its_own_and_no_limit_is_none() {
        let limited = addresses(1);
        for address in ["127.0.0.1", "127.3.2.1", "::1"] {
            let address = address.parse().unwrap();
            let places: Vec<_> = (0..9).map(|_| limited.take(address)).collect();
            assert!(places.iter().all(Option::is_some), "{address}");
        }
        let unlimited = Addresses::new(&Limits::default());
        let address = IpAddr::from([192, 0, 2, 1]);
        let places: Vec<_> = (0..9).map(|_| unlimited.take(address)).collect();
        assert!(places.iter().all(Option::is_some));
    }

    #[test]
    fn addresses_that_left_are_forgotten_and_others_are_not() {
        let addresses = addresses(1);
        let stayed = IpAddr::from([198, 51, 100, 1]);
        let place = addresses.take(stayed).expect("the first");
        for number in 0..10 * SWEEP_AT_MIN as u32 {
            assert!(addresses.take(number.to_be_bytes().into()).is_some());
        }
        let known = addresses.table.lock().unwrap().connections.len();
        assert!(known <= SWEEP_AT_MIN, "{known} addresses are remembered");
        assert!(addresses.take(stayed).is_none());
        drop(place);
    }
}
