//! Callers that name who is not there, and peers that want a thread for themselves.

use nix::sys::socket::{MsgFlags, recv};
use ringcast_lane::{Lanes, Settings};
use ringcast_wire::{Close, ConnectionKey, Event, Wire};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A guard against hanging, nothing that is measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two ends of a connection; the peer's never waits.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    let peer = TcpStream::connect(address).expect("it listens");
    peer.set_nonblocking(true).expect("it can");
    let (socket, _) = listener.accept().expect("one has connected");
    (socket, peer)
}

fn wait_for(lanes: &mut Lanes, event: Event) {
    let began = Instant::now();
    let mut events = Vec::new();
    while !events.contains(&event) {
        assert!(began.elapsed() < PATIENCE, "{event:?} was never told");
        events.clear();
        lanes.reap(&mut events, 100);
    }
}

fn hears_nothing(mut peer: TcpStream) {
    let heard = peer.read(&mut [0; 16]).expect_err("nobody spoke to it");
    assert_eq!(heard.kind(), ErrorKind::WouldBlock);
}

/// Whoever sends to a key that is gone may panic, but its bytes are for nobody else.
#[test]
fn a_key_that_is_gone_reaches_nobody() {
    let mut lanes = Lanes::new(&Settings::for_connections(1).expect("the kernel has io_uring"))
        .expect("there is io_uring");
    let gone = ConnectionKey::first(0);
    let (socket, _peer) = pair();
    lanes.adopt(gone, socket.into()).expect("it is adopted");
    lanes.close(gone, Close::Abrupt);
    wait_for(&mut lanes, Event::Gone(gone));

    let (socket, peer) = pair();
    lanes
        .adopt(gone.next(), socket.into())
        .expect("it is adopted");
    let mut failed = Vec::new();
    let _ = catch_unwind(AssertUnwindSafe(|| {
        lanes.send_same(&[gone], b"not for you", &mut failed);
    }));
    hears_nothing(peer);
}

/// Whoever adopts under a key that is in use may panic, but does not take it away.
#[test]
fn an_index_that_is_taken_is_not_adopted_again() {
    let mut lanes = Lanes::new(&Settings::for_connections(1).expect("the kernel has io_uring"))
        .expect("there is io_uring");
    let key = ConnectionKey::first(0);
    let (socket, mut peer) = pair();
    lanes.adopt(key, socket.into()).expect("it is adopted");
    let (second, other) = pair();
    let adopted = catch_unwind(AssertUnwindSafe(|| lanes.adopt(key.next(), second.into())));
    assert!(adopted.is_err(), "it has an owner");
    let mut failed = Vec::new();
    lanes.send_same(&[key], b"for you", &mut failed);
    assert_eq!(failed, []);
    let mut heard = [0; 7];
    peer.read_exact(&mut heard).expect("it was sent");
    assert_eq!(&heard, b"for you");
    drop(other);
}

/// A reap asks the kernel for so much and no more, however much is there to be thrown
/// away: other work of its thread waits for it.
#[test]
fn one_reap_throws_away_only_so_much() {
    const COUNT: u32 = 100;
    const INPUT: usize = 16 << 10;
    let mut lanes = Lanes::new(&Settings {
        submission_entries: 4,
        completion_entries: 16,
        ..Settings::for_connections(COUNT).expect("the kernel has io_uring")
    })
    .expect("there is io_uring");
    let (mut peers, mut sockets) = (Vec::new(), Vec::new());
    for index in 0..COUNT {
        let (socket, mut peer) = pair();
        let sent = peer.write(&[0; INPUT]).expect("there is room");
        assert_eq!(sent, INPUT);
        sockets.push(socket.try_clone().expect("it can be looked at"));
        peers.push(peer);
        let key = ConnectionKey::first(index);
        lanes.adopt(key, socket.into()).expect("it is adopted");
    }
    let mut events = Vec::new();
    let began = Instant::now();
    while events.len() < COUNT as usize {
        assert!(began.elapsed() < PATIENCE, "not all were told");
        lanes.reap(&mut events, 1000);
    }
    for index in 0..COUNT {
        lanes.close(ConnectionKey::first(index), Close::Polite);
    }
    lanes.reap(&mut events, 1000);
    let look = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let untouched = sockets
        .iter()
        .filter(|socket| recv(socket.as_raw_fd(), &mut [0], look) == Ok(1))
        .count();
    // A quarter of the completion queue is asked for in one reap.
    assert!(untouched >= 96, "only {untouched} were left for later");
}
