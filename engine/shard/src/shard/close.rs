//! Closing: who leaves, is told why if that can be, and leaves nothing behind but its
//! session, if that is to last.

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
        let id = self.connections.at(index).session;
        self.on_will_due(key);
        self.count_drops(index);
        let session = self.sessions.get(id);
        if session.is_persistent() && !session.is_broken {
            self.leave_alone(index);
        } else {
            let cohort = session.cohort;
            self.leave_roster(index);
            self.trim_swept(cohort);
            self.end_session(id);
        }
        let connection = self.connections.at_mut(index);
        let waits = connection.outbox.len();
        self.outboxes.discard(&mut connection.outbox, waits);
        let client = self.connections.client_mut(index);
        self.input_bytes -= std::mem::take(&mut client.input).len();
        client.talk = None;
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
}
