//! Input: from what a socket has to packets.
//!
//! A packet is decoded where it was read. What is left of one that is not whole, or that
//! waits, is kept; nothing more is read from a connection whose input waits, so TCP holds
//! its client back.

use super::{Io, OUTBOX_FILL, READS, Shard};
use crate::connections::Flags;
use crate::end::End;
use arrayvec::ArrayVec;
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{Decoder, Sender};
use ringcast_wire::{Arrival, ConnectionKey, Wire};

/// Calls to read in one turn.
const ROUNDS_MAX: usize = 4;

/// Parked connections that are tried again in one turn.
const RESUMED_MAX: usize = 256;

/// What became of a packet.
pub(super) enum Handled {
    /// It is done with.
    Done,
    /// It has to wait, and all behind it.
    Waits,
}

impl<Pass> Shard<Pass> {
    /// Reads from those who have input.
    pub(super) fn read<W: Wire>(&mut self, io: &mut Io<'_, W>) -> bool {
        let mut any = false;
        for _ in 0..ROUNDS_MAX {
            let mut keys = ArrayVec::<ConnectionKey, READS>::new();
            while !keys.is_full()
                && let Some(key) = self.ready.pop_front()
            {
                let Some(connection) = self.connections.open_mut(key) else {
                    continue;
                };
                // Before it is read: what comes later is announced anew.
                connection.flags.clear(Flags::READY);
                if !connection.flags.is_paused() {
                    keys.push(key);
                }
            }
            if keys.is_empty() {
                break;
            }
            any = true;
            let mut received = self.received.take().expect("it is put back");
            io.wire.receive(&keys, &mut received);
            for (key, arrival) in received.arrivals() {
                self.on_arrival(key, arrival, io);
            }
            self.received = Some(received);
        }
        any
    }

    fn on_arrival<W: Wire>(
        &mut self,
        key: ConnectionKey,
        arrival: Arrival<'_>,
        io: &mut Io<'_, W>,
    ) {
        match arrival {
            Arrival::Nothing => {}
            Arrival::End | Arrival::Broken(_) => self.doom(key, End::Lost),
            Arrival::Bytes { bytes, more } => {
                self.counters.received_bytes += bytes.len() as u64;
                self.connections.client_mut(key.index()).last_in = self.now.seconds();
                self.on_input(key, bytes, io);
                if more {
                    self.list_ready(key);
                }
            }
        }
    }

    /// A connection sent these bytes behind those that are kept.
    pub(super) fn on_input<W: Wire>(
        &mut self,
        key: ConnectionKey,
        bytes: &[u8],
        io: &mut Io<'_, W>,
    ) {
        let mut kept = std::mem::take(&mut self.connections.client_mut(key.index()).input);
        if kept.is_empty() {
            let used = self.consume(key, bytes, io);
            kept = bytes[used..].to_vec();
            self.input_bytes += kept.len();
        } else {
            self.input_bytes += bytes.len();
            kept.extend_from_slice(bytes);
            let used = self.consume(key, &kept, io);
            self.input_bytes -= used;
            match kept.len() - used {
                0 => kept = Vec::new(),
                _ => drop(kept.drain(..used)),
            }
        }
        let keeps = !kept.is_empty();
        self.connections.client_mut(key.index()).input = kept;
        if keeps && self.input_bytes > self.settings.input_bytes {
            self.doom(key, End::Quota);
        }
    }

    /// Handles whole packets until one is not, or has to wait. Returns the bytes of those
    /// that are done with.
    fn consume<W: Wire>(&mut self, key: ConnectionKey, bytes: &[u8], io: &mut Io<'_, W>) -> usize {
        let index = key.index();
        let decoder = Decoder {
            version: self.connections.at(index).version,
            sender: Sender::Client,
            packet_bytes_max: self.settings.limits.packet_bytes_max,
        };
        let mut used = 0;
        loop {
            let connection = self.connections.at(index);
            if connection.flags.is_paused() {
                return used;
            }
            if connection.outbox.len() > OUTBOX_FILL {
                self.connections.at_mut(index).flags.set(Flags::CONGESTED);
                return used;
            }
            match decoder.decode(&bytes[used..]) {
                Ok(Progress::Done(packet, consumed)) => match self.on_packet(key, &packet, io) {
                    Handled::Done => used += consumed,
                    Handled::Waits => return used,
                },
                Ok(Progress::Partial { .. }) => return used,
                Err(fault) => {
                    self.doom(key, End::from(fault));
                    return used;
                }
            }
        }
    }

    /// A connection's input waits until there is room for what comes of it.
    pub(super) fn park(&mut self, key: ConnectionKey) {
        let connection = self.connections.at_mut(key.index());
        if !connection.flags.test_and_set(Flags::PARKED) {
            self.parked.push_back(key);
        }
    }

    /// Those who are parked try again, in turn.
    pub(super) fn resume_parked<W: Wire>(&mut self, io: &mut Io<'_, W>) -> bool {
        let mut any = false;
        for _ in 0..self.parked.len().min(RESUMED_MAX) {
            let Some(key) = self.parked.pop_front() else {
                break;
            };
            let Some(connection) = self.connections.open_mut(key) else {
                continue;
            };
            connection.flags.clear(Flags::PARKED);
            self.resume(key, io);
            let connection = self.connections.open_mut(key);
            any |= connection.is_some_and(|connection| !connection.flags.has(Flags::PARKED));
        }
        any
    }

    /// A connection's input goes on, with what is kept of it first.
    pub(super) fn resume<W: Wire>(&mut self, key: ConnectionKey, io: &mut Io<'_, W>) {
        self.connections.client_mut(key.index()).last_in = self.now.seconds();
        self.on_input(key, &[], io);
        // What came meanwhile is not announced again.
        self.list_ready(key);
    }
}
