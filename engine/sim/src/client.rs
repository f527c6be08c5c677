//! A model client: one connection, and what its owner does with it.

use crate::network::{Network, SocketId, Taken};
use crate::packets;
use crate::random::Random;
use ringcast_referee::decode;
use ringcast_referee::packet::{Packet, Side, Version};
use std::collections::VecDeque;

/// One connection of a client.
#[derive(Debug)]
pub struct Client {
    /// Its connection.
    pub socket: SocketId,
    /// Which standard it speaks.
    pub version: Version,
    /// Its identifier as it sent it.
    pub client_id: String,
    /// In seconds.
    pub keep_alive: u16,
    /// It takes nothing for now.
    pub is_stalled: bool,
    /// It does nothing any more, for ever, and nobody is told.
    pub is_dead: bool,
    /// It sends nothing any more, on purpose.
    pub has_left: bool,
    /// The server's end has been seen.
    pub is_over: bool,
    unsent: VecDeque<u8>,
    /// What it has taken of a packet that is not whole.
    inbox: Vec<u8>,
    /// What it has to acknowledge.
    owes: Vec<(u8, u16)>,
}

impl Client {
    /// A client of this connection.
    #[must_use]
    pub fn new(socket: SocketId, version: Version, client_id: &str, keep_alive: u16) -> Self {
        Self {
            socket,
            version,
            client_id: client_id.to_owned(),
            keep_alive,
            is_stalled: false,
            is_dead: false,
            has_left: false,
            is_over: false,
            unsent: VecDeque::new(),
            inbox: Vec::new(),
            owes: Vec::new(),
        }
    }

    /// Whether it still does something.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.is_dead && !self.has_left && !self.is_over
    }

    /// Puts bytes behind what it has to send.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.unsent.extend(bytes);
    }

    /// Sends what there is room for. Returns it.
    pub fn flush(&mut self, network: &mut Network) -> Vec<u8> {
        if self.is_dead || self.unsent.is_empty() {
            return Vec::new();
        }
        let count = network.client_sends(self.socket, self.unsent.make_contiguous());
        self.unsent.drain(..count).collect()
    }

    /// Whether it has more to send than there was room for.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Takes some of what has arrived.
    pub fn take(&mut self, network: &mut Network, random: &mut Random) {
        if self.is_stalled || self.is_dead || self.is_over {
            return;
        }
        let most = match random.once_in(4) {
            true => random.between(1, 64) as usize,
            false => usize::MAX,
        };
        self.take_at_most(network, most);
    }

    /// Takes what has arrived, at most so many bytes. Returns whether anything had.
    pub fn take_at_most(&mut self, network: &mut Network, most: usize) -> bool {
        match network.client_takes(self.socket, most) {
            Taken::Bytes(bytes) => {
                self.read(&bytes);
                true
            }
            Taken::Nothing => false,
            Taken::End | Taken::Reset => {
                network.client_closes(self.socket);
                !std::mem::replace(&mut self.is_over, true)
            }
        }
    }

    /// Looks for what has to be acknowledged.
    fn read(&mut self, bytes: &[u8]) {
        let mut pending = std::mem::take(&mut self.inbox);
        pending.extend_from_slice(bytes);
        let mut begin = 0;
        // What is no packet, the oracle has seen before.
        while let Ok(Some((head, end))) = decode::frame(&pending[begin..], Some(self.version))
            && begin + end <= pending.len()
        {
            let whole = &pending[begin..begin + end];
            begin += end;
            match decode::packet(whole[0], &whole[head..], self.version, Side::Server) {
                Ok(Packet::Publish(publish)) if publish.qos > 0 => {
                    self.owes.push((3 + publish.qos, publish.packet_id));
                }
                Ok(Packet::Pubrec(ack)) if ack.reason < 0x80 => self.owes.push((6, ack.packet_id)),
                Ok(Packet::Pubrel(ack)) => self.owes.push((7, ack.packet_id)),
                _ => {}
            }
        }
        pending.drain(..begin);
        self.inbox = pending;
    }

    /// Acknowledges what it has to, as many as that in order. Returns which packets it did
    /// that with, and for which identifiers.
    pub fn acknowledge(&mut self, most: usize) -> Vec<(u8, u16)> {
        if self.is_dead || self.has_left || self.is_over {
            return Vec::new();
        }
        let count = self.owes.len().min(most);
        let owed: Vec<_> = self.owes.drain(..count).collect();
        for (kind, id) in &owed {
            self.queue(&packets::acknowledge(*kind, *id));
        }
        owed
    }

    /// Says goodbye.
    pub fn say_goodbye(&mut self) {
        self.queue(&packets::disconnect(0));
        self.has_left = true;
    }
}
