//! Connections that begin here.

use ringcast_lane::{Lanes, Settings, connect};
use ringcast_wire::{Arrival, ConnectionKey, Event, Received, Wire};
use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

const UNSENT: u32 = 16 << 10;

fn lanes() -> Lanes {
    Lanes::new(&Settings::for_connections(200).expect("the kernel has io_uring"))
        .expect("the kernel has io_uring")
}

fn listen(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// The events until this one.
fn wait_for(lanes: &mut Lanes, event: Event) -> Vec<Event> {
    let began = Instant::now();
    let mut events = Vec::new();
    while !events.contains(&event) {
        lanes.reap(&mut events, 100);
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{event:?} not in {events:?}"
        );
    }
    events
}

#[test]
fn a_connection_is_writable_when_it_is_made() {
    let (listener, address) = listen("127.0.0.1:0");
    let mut lanes = lanes();
    let key = ConnectionKey::first(7);
    let socket = connect(None, address, UNSENT).expect("it listens");
    lanes.adopt_connecting(key, socket).expect("it is adopted");
    let events = wait_for(&mut lanes, Event::Writable(key));
    assert_eq!(events, [Event::Writable(key)]);

    let (mut peer, _) = listener.accept().expect("one has connected");
    let mut failed = Vec::new();
    lanes.send_same(&[key], b"hello", &mut failed);
    assert_eq!(failed, []);
    let mut heard = [0; 5];
    peer.read_exact(&mut heard).expect("it was sent");
    assert_eq!(&heard, b"hello");
    peer.write_all(b"hello yourself").expect("it is there");
    wait_for(&mut lanes, Event::Readable(key));
    let mut got = Received::new(1, 64);
    lanes.receive(&[key], &mut got);
    let arrivals: Vec<_> = got.arrivals().collect();
    assert!(matches!(
        arrivals[..],
        [(
            _,
            Arrival::Bytes {
                bytes: b"hello yourself",
                ..
            }
        )]
    ));
}

/// On loopback the kernel knows at once, elsewhere an event tells.
#[test]
fn a_refused_connection_is_told() {
    let (listener, address) = listen("127.0.0.1:0");
    drop(listener);
    let mut lanes = lanes();
    let key = ConnectionKey::first(0);
    let refused = match connect(None, address, UNSENT) {
        Err(error) => error.kind(),
        Ok(socket) => {
            lanes.adopt_connecting(key, socket).expect("it is adopted");
            let events = wait_for(&mut lanes, Event::Closed(key));
            assert!(!events.contains(&Event::Writable(key)));
            let mut got = Received::new(1, 64);
            lanes.receive(&[key], &mut got);
            match got.arrivals().next() {
                Some((_, Arrival::Broken(kind))) => kind,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(refused, ErrorKind::ConnectionRefused);
}

/// A listener whose queue is full answers later: nothing is told until then.
#[test]
fn a_connection_that_takes_its_time_is_not_writable_before() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
        .expect("it can be made");
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("loopback is there");
    socket.listen(0).expect("it can");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("it is bound");
    let mut lanes = lanes();
    let keys: Vec<_> = (0..4).map(ConnectionKey::first).collect();
    for &key in &keys {
        let socket = connect(None, address, UNSENT).expect("it listens");
        lanes.adopt_connecting(key, socket).expect("it is adopted");
    }
    // The queue holds one or two; the others try again after a second. A connection
    // that is not made yet would not take a byte.
    let mut peers = Vec::new();
    let mut writable = HashSet::new();
    let (mut events, mut failed) = (Vec::new(), Vec::new());
    listener.set_nonblocking(true).expect("it can");
    let began = Instant::now();
    while writable.len() < keys.len() {
        assert!(began.elapsed() < Duration::from_secs(60), "{writable:?}");
        events.clear();
        lanes.reap(&mut events, 100);
        for event in &events {
            let Event::Writable(key) = event else {
                panic!("{event:?}");
            };
            assert!(writable.insert(*key), "it is told once");
            lanes.send_same(&[*key], b"x", &mut failed);
            assert_eq!(failed, [], "it was told too soon");
        }
        if !writable.is_empty() {
            peers.extend(listener.accept());
        }
    }
}

#[test]
fn connections_come_from_the_address_that_was_asked_for() {
    let (listener, address) = listen("127.0.0.1:0");
    let (other, other_address) = listen("127.0.0.9:0");
    let mut lanes = lanes();
    let mut sources = HashSet::new();
    for index in 0..100 {
        let host = 1 + index as u8 % 5;
        let source = SocketAddr::from(([127, 0, 1, host], 0));
        let (listener, address) = match index % 2 {
            0 => (&listener, address),
            _ => (&other, other_address),
        };
        let socket = connect(Some(source), address, UNSENT).expect("it listens");
        let key = ConnectionKey::first(index);
        lanes.adopt_connecting(key, socket).expect("it is adopted");
        wait_for(&mut lanes, Event::Writable(key));
        let (_, from) = listener.accept().expect("one has connected");
        assert_eq!(from.ip(), source.ip());
        assert!(sources.insert((from, address)), "each has its own port");
    }
}

#[test]
fn a_source_that_is_not_here_is_an_error() {
    let (_listener, address) = listen("127.0.0.1:0");
    let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
    let error = connect(Some(foreign), address, UNSENT).expect_err("no such address here");
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}
