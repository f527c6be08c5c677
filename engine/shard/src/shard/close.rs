//! Closing: who leaves, is told why if that can be, and leaves nothing behind.

use super::Shard;
use crate::end::End;
use ringcast_codec::mqtt::{Disconnect, Packet, Properties, Version};
use ringcast_wire::{Close, ConnectionKey, Wire};

/// Connections that are closed in one turn.
const CLOSED_MAX: usize = 256;

impl<Pass> Shard<Pass> {
    /// Closes those who are doomed.
    pub(super) fn close_doomed<W: Wire>(&mut self, wire: &mut W) -> bool {
        let count = self.doomed.len().min(CLOSED_MAX);
        for _ in 0..count {
            if let Some((key, end)) = self.doomed.pop_front() {
                self.close(key, end, wire);
            }
        }
        count > 0
    }

    /// Closes a connection.
    pub(super) fn close<W: Wire>(&mut self, key: ConnectionKey, end: End, wire: &mut W) {
        if self.connections.open_mut(key).is_none() {
            return;
        }
        let index = key.index();
        let how = match end {
            End::Lost => Close::Abrupt,
            End::Goodbye => Close::Polite,
            // [MQTT-3.14.0-1]: not in the middle of another packet.
            _ if !self.is_between_packets(index) => Close::Abrupt,
            _ => {
                self.say_farewell(key, end, wire);
                Close::Polite
            }
        };
        self.end_lag(index);
        self.leave_flow(index);
        let cohort = self.connections.at(index).cohort;
        self.routes.leave(cohort);
        let connection = self.connections.at_mut(index);
        let waits = connection.outbox.len();
        self.outboxes.discard(&mut connection.outbox, waits);
        self.drop_retained(index);
        let client = self.connections.client_mut(index);
        self.input_bytes -= std::mem::take(&mut client.input).len();
        client.user = None;
        self.wheel.remove(index);
        self.connections.on_closing(index);
        self.counters.ended[end.number()] += 1;
        wire.close(key, how);
    }

    /// Tells an MQTT 5 client why; others have no packet for it.
    fn say_farewell<W: Wire>(&mut self, key: ConnectionKey, end: End, wire: &mut W) {
        let version = self.connections.at(key.index()).version;
        let Some(reason) = end.reason().filter(|_| version == Version::V5) else {
            return;
        };
        let properties = Properties::EMPTY;
        let packet = Packet::Disconnect(Disconnect { reason, properties });
        let mut bytes = [0; 8];
        let count = packet.encode(version, &mut bytes);
        let count = count.expect("it is short");
        // Whoever does not take it is not told.
        wire.send_each(&[(key, &bytes[..count])], &mut Vec::new());
    }

    /// A connection is in its cohort's flow no more, and what only it needed is forgotten.
    pub(super) fn leave_flow(&mut self, index: u32) {
        self.with_roster(index, |roster, seat, moved| roster.leave(seat, moved));
        let cohort = self.connections.at(index).cohort;
        self.end_log_if_unneeded(cohort);
        self.trim_swept(cohort);
    }
}
