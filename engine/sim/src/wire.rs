//! The sockets of one shard: its side of the [`Network`].

use crate::network::{Arrived, Network, SocketId};
use ringcast_wire::{Close, ConnectionKey, Event, Failure, Reason, Received, Wire};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// Simulated sockets.
#[derive(Debug, Clone)]
pub struct Sockets {
    network: Rc<RefCell<Network>>,
    shard: usize,
}

impl Sockets {
    /// The shard's of this number.
    #[must_use]
    pub fn new(network: Rc<RefCell<Network>>, shard: usize) -> Self {
        Self { network, shard }
    }

    /// A newcomer that was not adopted is dropped, which closes its connection.
    pub fn drop_newcomer(&mut self, socket: SocketId) {
        self.network.borrow_mut().turn_away(socket);
    }
}

impl Wire for Sockets {
    type Socket = SocketId;

    fn adopt(&mut self, key: ConnectionKey, socket: SocketId) -> io::Result<()> {
        let mut network = self.network.borrow_mut();
        match network.adopt(self.shard, key, socket) {
            true => Ok(()),
            false => Err(io::ErrorKind::QuotaExceeded.into()),
        }
    }

    fn reap(&mut self, events: &mut Vec<Event>, most: usize) {
        self.network.borrow_mut().reap(self.shard, events, most);
    }

    fn receive(&mut self, from: &[ConnectionKey], got: &mut Received) {
        let mut network = self.network.borrow_mut();
        got.begin(from);
        for (place, &key) in from.iter().enumerate() {
            let buffer = got.buffers().nth(place).expect("one for each");
            match network.receive(self.shard, key, buffer) {
                Arrived::Bytes(count, more) => got.arrived(place, count, more),
                Arrived::Nothing => {}
                Arrived::Broken => got.failed(place, io::ErrorKind::ConnectionReset),
            }
        }
    }

    fn send_same(&mut self, to: &[ConnectionKey], bytes: &[u8], failed: &mut Vec<Failure>) {
        let sends: Vec<_> = to.iter().map(|&key| (key, bytes)).collect();
        self.send_each(&sends, failed);
    }

    fn send_each(&mut self, sends: &[(ConnectionKey, &[u8])], failed: &mut Vec<Failure>) {
        let mut network = self.network.borrow_mut();
        for (place, &(key, bytes)) in (0..).zip(sends) {
            let before = &sends[..place as usize];
            assert!(
                before.iter().all(|(other, _)| *other != key),
                "each is named once"
            );
            let (sent, is_broken) = network.send(self.shard, key, bytes);
            if is_broken || sent < bytes.len() {
                let reason = match is_broken {
                    true => Reason::Broken(io::ErrorKind::BrokenPipe),
                    false => Reason::Blocked,
                };
                let sent = sent as u32;
                failed.push(Failure {
                    key,
                    place,
                    sent,
                    reason,
                });
            }
        }
    }

    fn close(&mut self, key: ConnectionKey, how: Close) {
        let is_polite = how == Close::Polite;
        self.network.borrow_mut().close(self.shard, key, is_polite);
    }
}
