//! Deliveries: a stored message, and how somebody gets it.
//!
//! A message is stored once; those who get it at the same quality of service, with the same
//! RETAIN and the same subscription identifiers share one delivery of it. Whatever waits
//! for its receiver, or for its acknowledgement, is a counted reference to one.

use crate::shares::GroupId;
use crate::store::{Store, StoredId};
use slab::Slab;
use smallvec::SmallVec;
use std::num::NonZeroU32;

/// All deliveries of a shard.
pub(crate) struct Deliveries {
    deliveries: Slab<Delivery>,
    most: usize,
}

/// Names a delivery while somebody needs it; never zero, so that none costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DeliveryId(NonZeroU32);

#[derive(Debug)]
struct Delivery {
    message: StoredId,
    users: u32,
    how: How,
}

/// What makes deliveries of one message differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct How {
    /// 0 to 2.
    pub(crate) qos: u8,
    /// What the frame says.
    pub(crate) retain: bool,
    /// Whether values before it were left out, which the message says then.
    pub(crate) is_conflated: bool,
    /// The shared subscription that chose its receiver.
    pub(crate) group: Option<GroupId>,
    /// How often that was tried.
    pub(crate) hops: u8,
    /// In ascending order.
    pub(crate) identifiers: SmallVec<[u32; 2]>,
}

impl Deliveries {
    /// So many at once.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            deliveries: Slab::with_capacity(most),
            most,
        }
    }

    /// Another delivery of a message, which gets a user more; it has one user itself.
    /// `None` if there is no room.
    pub(crate) fn keep(
        &mut self,
        message: StoredId,
        how: How,
        store: &mut Store,
    ) -> Option<DeliveryId> {
        if self.deliveries.len() == self.most {
            return None;
        }
        let message = store.share(message);
        let users = 1;
        let number = self.deliveries.insert(Delivery {
            message,
            users,
            how,
        });
        DeliveryId::from_body(number as u32 + 1)
    }

    /// One more user.
    pub(crate) fn share(&mut self, id: DeliveryId) -> DeliveryId {
        self.deliveries[id.place()].users += 1;
        id
    }

    /// One user less; the message has one less with the last.
    pub(crate) fn release(&mut self, id: DeliveryId, store: &mut Store) {
        let delivery = &mut self.deliveries[id.place()];
        delivery.users -= 1;
        if delivery.users == 0 {
            let delivery = self.deliveries.remove(id.place());
            store.release(delivery.message);
        }
    }

    pub(crate) fn message(&self, id: DeliveryId) -> StoredId {
        self.deliveries[id.place()].message
    }

    pub(crate) fn how(&self, id: DeliveryId) -> &How {
        &self.deliveries[id.place()].how
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }
}

impl DeliveryId {
    fn place(self) -> usize {
        self.0.get() as usize - 1
    }

    /// As the body of a frame, where 0 is none.
    pub(crate) fn to_body(self) -> u32 {
        self.0.get()
    }

    /// The other way.
    pub(crate) fn from_body(body: u32) -> Option<Self> {
        NonZeroU32::new(body)
            .filter(|_| body != LOST_BODY)
            .map(Self)
    }
}

/// What a frame has whose message was to be stored when there was no room, and that does not
/// say all of it.
pub(crate) const LOST_BODY: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::{Deliveries, How};
    use crate::store::{About, Parts, Store};

    #[test]
    fn a_message_stays_as_long_as_one_of_its_deliveries() {
        let mut store = Store::new(4, 4_000);
        let mut deliveries = Deliveries::new(2);
        let parts = Parts {
            topic: b"t",
            properties: b"",
            payload: b"text",
        };
        let message = store.keep(About::default(), parts).expect("there is room");
        let how = |qos| How {
            qos,
            ..How::default()
        };
        let first = deliveries.keep(message, how(1), &mut store).expect("room");
        let second = deliveries.keep(message, how(2), &mut store).expect("room");
        assert_eq!(deliveries.keep(message, how(0), &mut store), None);
        store.release(message);
        assert_eq!((store.len(), deliveries.len()), (1, 2));
        assert_eq!(deliveries.how(second).qos, 2);
        deliveries.share(first);
        deliveries.release(first, &mut store);
        deliveries.release(second, &mut store);
        assert_eq!((store.len(), deliveries.message(first)), (1, message));
        deliveries.release(first, &mut store);
        assert_eq!((store.len(), deliveries.len()), (0, 0));
    }
}
