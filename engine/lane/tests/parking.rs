//! A thread that waits instead of looking.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use ringcast_lane::{Lanes, Settings};
use ringcast_wire::{ConnectionKey, Event, Wire};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

struct Parked {
    lanes: Lanes,
    bell: EventFd,
    peers: Vec<TcpStream>,
}

impl Parked {
    /// Three connections on three lanes, all quiet.
    fn new() -> Self {
        let mut lanes = Lanes::new(&Settings {
            lane_connections: 1,
            ..Settings::for_connections(3).expect("the kernel has io_uring")
        })
        .expect("the kernel has io_uring");
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let bell = EventFd::from_flags(flags).expect("it can be made");
        lanes.ring_at(bell.as_fd()).expect("it can ring");
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let peers = (0..3).map(|index| {
            let peer = TcpStream::connect(address).expect("it listens");
            let (socket, _) = listener.accept().expect("one has connected");
            let key = ConnectionKey::first(index);
            lanes.adopt(key, socket.into()).expect("it is adopted");
            peer
        });
        let peers = peers.collect();
        let mut parked = Self { lanes, bell, peers };
        assert!(!parked.lanes.park(), "the adoptions are not submitted yet");
        assert_eq!(parked.reap(), []);
        parked
    }

    fn reap(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.lanes.reap(&mut events, 100);
        events
    }

    fn rings(&self, wait: PollTimeout) -> bool {
        let mut bell = [PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
        poll(&mut bell, wait).expect("it can be waited for");
        self.bell.read().is_ok()
    }
}

#[test]
fn input_wakes_who_is_parked_on_every_lane() {
    let mut parked = Parked::new();
    for index in [2, 0, 1, 0, 2] {
        let key = ConnectionKey::first(index);
        assert!(parked.lanes.park(), "nothing has happened");
        assert!(!parked.rings(PollTimeout::ZERO));
        parked.peers[index as usize]
            .write_all(b"x")
            .expect("it is there");
        assert!(parked.rings(PollTimeout::NONE));
        parked.lanes.unpark();
        assert_eq!(parked.reap(), [Event::Readable(key)]);
    }
}

#[test]
fn input_that_came_before_keeps_it_awake() {
    let mut parked = Parked::new();
    parked.peers[1].write_all(b"x").expect("it is there");
    assert!(!parked.lanes.park(), "loopback has delivered it");
    assert_eq!(parked.reap(), [Event::Readable(ConnectionKey::first(1))]);
    assert!(parked.lanes.park());
}

#[test]
fn nothing_rings_while_it_is_awake() {
    let mut parked = Parked::new();
    parked.peers[0].write_all(b"x").expect("it is there");
    assert_eq!(parked.reap(), [Event::Readable(ConnectionKey::first(0))]);
    assert!(!parked.rings(PollTimeout::ZERO));
    assert!(parked.lanes.park());
    parked.lanes.unpark();
    parked.peers[0].write_all(b"x").expect("it is there");
    assert!(!parked.rings(PollTimeout::ZERO), "it is awake again");
    assert_eq!(parked.reap(), [Event::Readable(ConnectionKey::first(0))]);
}

#[test]
fn events_that_were_not_told_yet_keep_it_awake() {
    let mut parked = Parked::new();
    for peer in &mut parked.peers {
        peer.write_all(b"x").expect("it is there");
    }
    let mut events = Vec::new();
    parked.lanes.reap(&mut events, 1);
    assert_eq!(events.len(), 1);
    assert!(!parked.lanes.park());
    assert_eq!(parked.reap().len(), 2);
    assert!(parked.lanes.park());
}
