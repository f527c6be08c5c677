//! The contract of a wire, over the simulated network: kind, and late.

use ringcast_sim::network::{self, Faults, Network, SocketId};
use ringcast_sim::random::{Random, Ratio};
use ringcast_sim::wire::Sockets;
use ringcast_wire_contract::{Peer, Taken, World, contract_tests};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Each world's sockets are of other sizes.
static WORLDS: AtomicU64 = AtomicU64::new(0);

struct Simulated {
    network: Rc<RefCell<Network>>,
    wire: Sockets,
    random: Random,
    now_nanos: u64,
}

impl Simulated {
    fn new(faults: Faults) -> Self {
        let network = Rc::new(RefCell::new(Network::new(1, 1, faults)));
        Self {
            wire: Sockets::new(Rc::clone(&network), 0),
            network,
            random: Random::new(1, "capacities", WORLDS.fetch_add(1, Ordering::Relaxed)),
            now_nanos: 0,
        }
    }
}

impl World for Simulated {
    type Wire = Sockets;
    type Peer = Remote;

    const PAUSES_MAX: u32 = 100_000;

    fn wire(&mut self) -> &mut Sockets {
        &mut self.wire
    }

    fn pair(&mut self) -> (SocketId, Remote) {
        let capacity = self.random.between(64 << 10, 256 << 10) as usize;
        let socket = self.network.borrow_mut().connect(capacity);
        (socket, Remote(Rc::clone(&self.network), socket))
    }

    fn pause(&mut self) {
        self.now_nanos += 1_000_000;
        let mut network = self.network.borrow_mut();
        network.set_now(self.now_nanos);
        // Nobody looks at it here.
        drop(network.take_tape());
    }
}

struct Remote(Rc<RefCell<Network>>, SocketId);

impl Peer for Remote {
    fn send(&mut self, bytes: &[u8]) -> usize {
        self.0.borrow_mut().client_sends(self.1, bytes)
    }

    fn take(&mut self, most: usize) -> Taken {
        match self.0.borrow_mut().client_takes(self.1, most) {
            network::Taken::Bytes(bytes) => Taken::Bytes(bytes),
            network::Taken::Nothing => Taken::Nothing,
            network::Taken::End => Taken::End,
            network::Taken::Reset => Taken::Reset,
        }
    }

    fn finish(&mut self) {
        self.0.borrow_mut().client_finishes(self.1);
    }

    fn reset(self) {
        self.0.borrow_mut().client_resets(self.1);
    }
}

mod kind {
    use super::*;

    contract_tests!(|_| Simulated::new(Faults::NONE));
}

mod late {
    use super::*;

    contract_tests!(|_| Simulated::new(Faults {
        late_event: Ratio::new(1, 2),
        late_nanos_max: 20_000_000,
        reordered_events: Ratio::new(1, 2),
        ..Faults::NONE
    }));
}
