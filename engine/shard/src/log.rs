//! Logs: what those in lag, and those who are away, must not lose, once for all of a cohort.
//!
//! A log is a queue of deliveries, and each of those has a cursor on it. It begins when the
//! first one falls into lag or leaves, and ends with the last; it is bounded in messages and
//! bytes, and whoever still needs what no longer fits has been too slow, or away too long.

use crate::deliveries::{Deliveries, DeliveryId};
use crate::fifo::{Fifo, Fifos};
use crate::store::Store;
use slab::Slab;

/// The logs of all cohorts.
pub(crate) struct Logs {
    logs: Slab<Log>,
    entries: Fifos<Option<DeliveryId>, 15>,
}

/// Names a log while somebody of its cohort may need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogId(u32);

/// Counts the messages of a log from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct LogPosition(pub(crate) u64);

#[derive(Debug, Clone, Copy)]
struct Log {
    /// The first that is still there.
    first: LogPosition,
    entries: Fifo,
    bytes: usize,
    /// At this length it is worth looking for what nobody needs any more.
    trim_at: usize,
}

/// The least length at which a log is trimmed.
const TRIM_AT_MIN: usize = 256;

impl Logs {
    /// So many of them, with so many messages all together.
    pub(crate) fn new(logs: usize, messages: usize) -> Self {
        Self {
            logs: Slab::with_capacity(logs),
            entries: Fifos::new(messages.div_ceil(15)),
        }
    }

    /// Begins a log.
    pub(crate) fn begin(&mut self) -> LogId {
        let number = self.logs.insert(Log {
            first: LogPosition(0),
            entries: Fifo::default(),
            bytes: 0,
            trim_at: TRIM_AT_MIN,
        });
        LogId(number as u32)
    }

    /// Ends a log; nobody needs what is in it.
    pub(crate) fn end(&mut self, id: LogId, deliveries: &mut Deliveries, store: &mut Store) {
        let position = self.end_of(id);
        self.trim(id, position, deliveries, store);
        self.logs.remove(id.0 as usize);
    }

    /// Appends a message, whose delivery gets a user more. `false` if there is no memory for
    /// it.
    pub(crate) fn append(
        &mut self,
        id: LogId,
        delivery: DeliveryId,
        deliveries: &mut Deliveries,
        store: &Store,
    ) -> bool {
        let log = &mut self.logs[id.0 as usize];
        let fits = self.entries.push(&mut log.entries, Some(delivery));
        if fits {
            deliveries.share(delivery);
            log.bytes += store.bytes(deliveries.message(delivery));
        }
        fits
    }

    /// How many messages and bytes it has.
    pub(crate) fn size(&self, id: LogId) -> (usize, usize) {
        let log = &self.logs[id.0 as usize];
        (log.entries.len(), log.bytes)
    }

    /// Whether it is worth looking for what nobody needs any more.
    pub(crate) fn is_to_trim(&self, id: LogId) -> bool {
        let log = &self.logs[id.0 as usize];
        log.entries.len() >= log.trim_at
    }

    /// Forgets what is before this position.
    pub(crate) fn trim(
        &mut self,
        id: LogId,
        oldest: LogPosition,
        deliveries: &mut Deliveries,
        store: &mut Store,
    ) {
        let log = &mut self.logs[id.0 as usize];
        while log.first < oldest
            && let Some(Some(delivery)) = self.entries.pop(&mut log.entries)
        {
            log.bytes -= store.bytes(deliveries.message(delivery));
            deliveries.release(delivery, store);
            log.first.0 += 1;
        }
        log.trim_at = TRIM_AT_MIN.max(2 * log.entries.len());
    }

    /// Forgets everything, and one more that it could not keep: whoever has a place in it
    /// is behind what it has.
    pub(crate) fn lose(&mut self, id: LogId, deliveries: &mut Deliveries, store: &mut Store) {
        let end = self.end_of(id);
        self.trim(id, end, deliveries, store);
        self.logs[id.0 as usize].first.0 += 1;
    }

    /// Where the last so many messages, of so many bytes, begin at the earliest.
    pub(crate) fn last(
        &self,
        id: LogId,
        messages: usize,
        bytes: usize,
        deliveries: &Deliveries,
        store: &Store,
    ) -> LogPosition {
        let (mut messages_left, mut bytes_left) = self.size(id);
        let mut at = self.first(id);
        for delivery in self.from(id, at) {
            if messages_left <= messages && bytes_left <= bytes {
                break;
            }
            messages_left -= 1;
            bytes_left -= store.bytes(deliveries.message(delivery));
            at.0 += 1;
        }
        at
    }

    /// Its first message.
    pub(crate) fn first(&self, id: LogId) -> LogPosition {
        self.logs[id.0 as usize].first
    }

    /// Past its last message.
    pub(crate) fn end_of(&self, id: LogId) -> LogPosition {
        let log = &self.logs[id.0 as usize];
        LogPosition(log.first.0 + log.entries.len() as u64)
    }

    /// The messages from a position on.
    pub(crate) fn from(&self, id: LogId, at: LogPosition) -> impl Iterator<Item = DeliveryId> {
        let log = &self.logs[id.0 as usize];
        let skip = at.0.saturating_sub(log.first.0) as usize;
        let mut left = skip;
        self.entries
            .chunks(log.entries)
            .flat_map(move |chunk| {
                let here = left.min(chunk.len());
                left -= here;
                &chunk[here..]
            })
            .flatten()
            .copied()
    }

    /// Where the first message after this one is, by sequence numbers.
    pub(crate) fn after(
        &self,
        id: LogId,
        sequence: u64,
        deliveries: &Deliveries,
        store: &Store,
    ) -> LogPosition {
        let first = self.first(id);
        let is_older =
            |delivery: &DeliveryId| store.about(deliveries.message(*delivery)).sequence <= sequence;
        let older = self.from(id, first).take_while(is_older).count();
        LogPosition(first.0 + older as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{LogPosition, Logs};
    use crate::deliveries::{Deliveries, DeliveryId, How};
    use crate::store::{About, Parts, Store};
    use proptest::prelude::*;

    /// What was trimmed, and the messages behind it with their numbers and bytes.
    type Model = (u64, Vec<(DeliveryId, u64, usize)>);

    proptest! {
        #[test]
        fn a_log_keeps_what_was_not_trimmed(
            steps in prop::collection::vec((0..2_usize, 0..6_u8, 0..40_usize), 0..200),
        ) {
            let mut store = Store::new(1000, 1_000_000);
            let mut deliveries = Deliveries::new(1000);
            let mut logs = Logs::new(2, 60);
            let ids = [logs.begin(), logs.begin()];
            let mut models: [Model; 2] = Default::default();
            for (sequence, (which, kind, pick)) in (1..).zip(steps) {
                let (id, model) = (ids[which], &mut models[which]);
                if kind == 5 && pick == 39 {
                    logs.lose(id, &mut deliveries, &mut store);
                    model.0 += model.1.len() as u64 + 1;
                    model.1.clear();
                } else if kind < 5 {
                    let payload = vec![0; pick];
                    let parts = Parts { topic: b"t", properties: b"", payload: &payload };
                    let about = About { sequence, ..About::default() };
                    let message = store.keep(about, parts).expect("there is room");
                    let delivery = deliveries.keep(message, How::default(), &mut store);
                    let delivery = delivery.expect("there is room");
                    store.release(message);
                    if logs.append(id, delivery, &mut deliveries, &store) {
                        model.1.push((delivery, sequence, pick + 1));
                    }
                    deliveries.release(delivery, &mut store);
                } else {
                    let count = pick % (model.1.len() + 1);
                    logs.trim(id, LogPosition(model.0 + count as u64), &mut deliveries, &mut store);
                    model.0 += count as u64;
                    model.1.drain(..count);
                }
                let bytes: usize = model.1.iter().map(|one| one.2).sum();
                prop_assert_eq!(logs.size(id), (model.1.len(), bytes));
                prop_assert_eq!(logs.first(id), LogPosition(model.0));
                prop_assert_eq!(logs.end_of(id).0, model.0 + model.1.len() as u64);
                let last = logs.last(id, pick, 100, &deliveries, &store).0 - model.0;
                let fits = |from: usize| {
                    let rest = &model.1[from..];
                    rest.len() <= pick && rest.iter().map(|one| one.2).sum::<usize>() <= 100
                };
                prop_assert_eq!((0..=model.1.len()).find(|from| fits(*from)), Some(last as usize));
                let skip = pick % (model.1.len() + 1);
                let found: Vec<_> = logs.from(id, LogPosition(model.0 + skip as u64)).collect();
                let expected: Vec<_> = model.1[skip..].iter().map(|one| one.0).collect();
                prop_assert_eq!(found, expected);
                let middle = sequence / 2;
                let older = model.1.iter().filter(|one| one.1 <= middle).count();
                prop_assert_eq!(logs.after(id, middle, &deliveries, &store).0, model.0 + older as u64);
            }
            for id in ids {
                logs.end(id, &mut deliveries, &mut store);
            }
            prop_assert_eq!(store.len(), 0);
        }
    }
}
