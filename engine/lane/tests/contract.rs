//! The contract of a wire, over real sockets: once on one lane, and once on lanes so
//! small that every batch spreads over several and fills their queues.

use ringcast_lane::probe::raise_descriptor_limit;
use ringcast_lane::{Files, Lanes, Settings};
use ringcast_wire_contract::{Peer, Taken, World, contract_tests};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

struct Loopback {
    lanes: Lanes,
    listener: TcpListener,
}

impl Loopback {
    fn new(settings: Settings) -> Self {
        // Both ends of some thousands of connections are here.
        raise_descriptor_limit().expect("it can be raised");
        Self {
            lanes: Lanes::new(&settings).expect("the kernel has io_uring"),
            listener: TcpListener::bind("127.0.0.1:0").expect("loopback is there"),
        }
    }
}

impl World for Loopback {
    type Wire = Lanes;
    type Peer = Remote;

    const PAUSES_MAX: u32 = 100_000;

    fn wire(&mut self) -> &mut Lanes {
        &mut self.lanes
    }

    fn pair(&mut self) -> (OwnedFd, Remote) {
        let address = self.listener.local_addr().expect("it is bound");
        let peer = TcpStream::connect(address).expect("it listens");
        peer.set_nonblocking(true).expect("it can");
        peer.set_nodelay(true).expect("it can");
        let (socket, _) = self.listener.accept().expect("one has connected");
        socket.set_nodelay(true).expect("it can");
        let unsent = SockRef::from(&socket).set_tcp_notsent_lowat(16 << 10);
        unsent.expect("it can");
        (socket.into(), Remote(peer))
    }

    fn pause(&mut self) {
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// What this kernel serves best.
fn settings(connections: u32) -> Settings {
    Settings::for_connections(connections).expect("the kernel has io_uring")
}

struct Remote(TcpStream);

impl Peer for Remote {
    fn send(&mut self, bytes: &[u8]) -> usize {
        match self.0.write(bytes) {
            Ok(count) => count,
            // The other end may be closed, which some cases do on purpose.
            Err(error) => {
                let kind = error.kind();
                assert!(
                    matches!(
                        kind,
                        ErrorKind::WouldBlock | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                    ),
                    "{error}"
                );
                0
            }
        }
    }

    fn take(&mut self, most: usize) -> Taken {
        let mut bytes = vec![0; most];
        match self.0.read(&mut bytes) {
            Ok(0) => Taken::End,
            Ok(count) => {
                bytes.truncate(count);
                Taken::Bytes(bytes)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Taken::Nothing,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Taken::Reset,
            Err(error) => panic!("{error}"),
        }
    }

    fn finish(&mut self) {
        // Fails if the other end has reset the connection.
        let _ = self.0.shutdown(Shutdown::Write);
    }

    fn reset(self) {
        let linger = SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
        linger.expect("it can");
    }
}

mod on_one_lane {
    use super::*;

    contract_tests!(|connections| Loopback::new(settings(connections)));
}

mod on_many_small_lanes {
    use super::*;

    contract_tests!(|connections: u32| Loopback::new(Settings {
        submission_entries: 4,
        completion_entries: 16,
        lane_connections: connections.div_ceil(5),
        ..settings(connections)
    }));
}

/// As on kernels that serve direct descriptors badly.
mod with_plain_descriptors {
    use super::*;

    contract_tests!(|connections: u32| Loopback::new(Settings {
        lane_connections: connections.div_ceil(2),
        files: Files::Plain,
        ..settings(connections)
    }));
}
