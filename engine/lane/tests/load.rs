//! Thousands of connections at a time, whose peers read and write in another thread,
//! whenever they like: before, during and after every call of the lanes.

use ringcast_lane::probe::raise_descriptor_limit;
use ringcast_lane::{Lanes, Settings};
use ringcast_wire::{Arrival, Close, ConnectionKey, Event, Reason, Received, Wire};
use socket2::SockRef;
use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// A guard against hanging, nothing that is measured.
const PATIENCE: Duration = Duration::from_secs(120);

/// Both ends of so many connections.
fn connect(lanes: &mut Lanes, count: u32) -> (Vec<ConnectionKey>, Vec<TcpStream>) {
    raise_descriptor_limit().expect("it can be raised");
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    (0..count)
        .map(|index| {
            let peer = TcpStream::connect(address).expect("it listens");
            peer.set_nonblocking(true).expect("it can");
            let (socket, _) = listener.accept().expect("one has connected");
            let unsent = SockRef::from(&socket).set_tcp_notsent_lowat(16 << 10);
            unsent.expect("it can");
            let key = ConnectionKey::first(index);
            lanes.adopt(key, socket.into()).expect("it is adopted");
            (key, peer)
        })
        .unzip()
}

/// The streams of all connections: each begins one byte further on.
fn streams(bytes_each: usize) -> Arc<[u8]> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..bytes_each + 1000).map(|_| next()).collect()
}

/// The other ends: each reads its stream, in bites of its own size and with pauses,
/// and now and then says something.
fn serve_peers(mut peers: Vec<TcpStream>, streams: &[u8]) -> Vec<(TcpStream, usize)> {
    let stream_bytes = streams.len() - peers.len();
    let began = Instant::now();
    let mut said = vec![0; peers.len()];
    let mut read = vec![0; peers.len()];
    let mut buffer = vec![0; 1 << 20];
    let mut open = peers.len();
    let mut turn = 0_usize;
    while open > 0 {
        assert!(began.elapsed() < PATIENCE, "{open} peers wait in vain");
        turn += 1;
        for (index, peer) in peers.iter_mut().enumerate() {
            let bite = 1 + (index * 7919 + turn * 104_729) % (200 << 10);
            if read[index] == stream_bytes || bite.is_multiple_of(3) {
                continue;
            }
            match peer.read(&mut buffer[..bite]) {
                Ok(count) => {
                    assert!(count > 0, "the stream ended too soon");
                    let expected = &streams[index + read[index]..][..count];
                    assert!(buffer[..count] == *expected, "other bytes than were sent");
                    read[index] += count;
                    open -= usize::from(read[index] == stream_bytes);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            if bite.is_multiple_of(5) {
                said[index] += peer.write(b"ping").expect("there is room for a few bytes");
            }
        }
    }
    peers.into_iter().zip(said).collect()
}

/// Each connection's stream is delivered, whole, by going on after each failure where
/// it stopped, as soon as that is told; and all that peers say arrives.
fn streams_to_many(settings: Settings, stream_bytes: usize) -> Lanes {
    let mut lanes = Lanes::new(&settings).expect("the kernel has io_uring");
    let (keys, peers) = connect(&mut lanes, settings.connections);
    let streams = streams(stream_bytes);
    let read = Arc::clone(&streams);
    // They read only when all are blocked, so that every stream is cut at least once.
    let (start, started) = channel::<()>();
    let mut start = Some(start);
    let peers = std::thread::spawn(move || {
        started.recv().expect("all blocked once");
        serve_peers(peers, &read)
    });

    let began = Instant::now();
    let mut sent = vec![0; keys.len()];
    let mut heard = vec![0; keys.len()];
    let mut may_send: Vec<usize> = (0..keys.len()).collect();
    let mut readable = Vec::new();
    let (mut events, mut failed) = (Vec::new(), Vec::new());
    let mut got = Received::new(256, 1 << 10);
    let mut cut = HashSet::new();
    let mut turn = 0;
    while !may_send.is_empty() || !peers.is_finished() {
        assert!(
            began.elapsed() < PATIENCE,
            "{} may send, {} have nothing left",
            may_send.len(),
            sent.iter().filter(|&&sent| sent == stream_bytes).count()
        );
        turn += 1;
        // Sizes that let small sends and large ones fail.
        let at_once = [300, 5_000, 70_000, 400_000][turn % 4];
        let sends: Vec<(ConnectionKey, &[u8])> = may_send
            .iter()
            .map(|&index| {
                let end = stream_bytes.min(sent[index] + at_once);
                (keys[index], &streams[index..][sent[index]..end])
            })
            .collect();
        failed.clear();
        lanes.send_each(&sends, &mut failed);
        for (_, (key, bytes)) in may_send.iter().zip(&sends) {
            sent[key.index() as usize] += bytes.len();
        }
        for failure in &failed {
            assert_eq!(failure.reason, Reason::Blocked);
            let (key, bytes) = sends[failure.place as usize];
            assert_eq!(failure.key, key);
            sent[key.index() as usize] -= bytes.len() - failure.sent as usize;
            may_send.retain(|&index| index != key.index() as usize);
            cut.insert(failure.key);
        }
        may_send.retain(|&index| sent[index] < stream_bytes);
        if cut.len() == keys.len()
            && let Some(start) = start.take()
        {
            start.send(()).expect("they wait");
        }

        events.clear();
        lanes.reap(&mut events, 100_000);
        for event in &events {
            match event {
                Event::Readable(key) => readable.push(*key),
                Event::Writable(key) => {
                    let index = key.index() as usize;
                    assert!(!may_send.contains(&index), "it was not blocked");
                    may_send.push(index);
                }
                other => panic!("{other:?} of a peer that is there"),
            }
        }
        may_send.retain(|&index| sent[index] < stream_bytes);
        hear(&mut lanes, &mut readable, &mut got, &mut heard);
    }
    let peers = peers.join().expect("the peers got their streams");
    // The last words may have come behind the last reap.
    let began = Instant::now();
    while peers
        .iter()
        .zip(&heard)
        .any(|((_, said), heard)| said != heard)
    {
        assert!(began.elapsed() < PATIENCE, "input was never told");
        events.clear();
        lanes.reap(&mut events, 100_000);
        readable.extend(events.iter().filter_map(|event| match event {
            Event::Readable(key) => Some(*key),
            _ => None,
        }));
        hear(&mut lanes, &mut readable, &mut got, &mut heard);
    }
    lanes
}

/// Reads from all who are readable, once, and keeps those who may have more.
fn hear(
    lanes: &mut Lanes,
    readable: &mut Vec<ConnectionKey>,
    got: &mut Received,
    heard: &mut [usize],
) {
    let now = std::mem::take(readable);
    for some in now.chunks(got.most()) {
        lanes.receive(some, got);
        for (key, arrival) in got.arrivals() {
            match arrival {
                Arrival::Bytes { bytes, more } => {
                    heard[key.index() as usize] += bytes.len();
                    readable.extend(more.then_some(key));
                }
                Arrival::Nothing => (),
                other => panic!("{other:?} from a peer that is there"),
            }
        }
    }
}

#[test]
fn streams_to_a_thousand_on_one_lane() {
    let settings = Settings::for_connections(1000).expect("the kernel has io_uring");
    streams_to_many(settings, 400 << 10);
}

#[test]
fn streams_to_a_thousand_over_queues_that_overflow() {
    let lanes = streams_to_many(
        Settings {
            submission_entries: 2,
            completion_entries: 8,
            lane_connections: 334,
            ..Settings::for_connections(1000).expect("the kernel has io_uring")
        },
        400 << 10,
    );
    assert_eq!(lanes.lanes(), 3);
    assert!(lanes.overflows() > 0, "the case that this is about");
}

/// One after another: each needs as many descriptors as there are peers.
#[test]
fn ten_thousand_become_readable_together_and_leave_together() {
    const COUNT: u32 = 10_000;
    for settings in [
        Settings::for_connections(COUNT).expect("the kernel has io_uring"),
        Settings {
            lane_connections: 2000,
            ..Settings::for_connections(COUNT).expect("the kernel has io_uring")
        },
    ] {
        let mut lanes = Lanes::new(&settings).expect("the kernel has io_uring");
        let (keys, mut peers) = connect(&mut lanes, COUNT);
        for peer in &mut peers {
            assert_eq!(peer.write(b"together").expect("there is room"), 8);
        }
        let mut readable = Vec::new();
        let mut heard = vec![0; keys.len()];
        let mut got = Received::new(1000, 1 << 10);
        reap_until(&mut lanes, |events| {
            readable.extend(events.iter().filter_map(|event| match event {
                Event::Readable(key) => Some(*key),
                _ => None,
            }));
            readable.len() == keys.len()
        });
        hear(&mut lanes, &mut readable, &mut got, &mut heard);
        assert!(heard.iter().all(|&heard| heard == 8));
        drop(peers);
        let mut closed = 0;
        reap_until(&mut lanes, |events| {
            let readable = |event: &&Event| matches!(event, Event::Readable(_));
            closed += events.iter().filter(readable).count();
            closed == keys.len()
        });
        for &key in &keys {
            lanes.close(key, Close::Abrupt);
        }
        let mut gone = 0;
        reap_until(&mut lanes, |events| {
            let is_gone = |event: &&Event| matches!(event, Event::Gone(_));
            gone += events.iter().filter(is_gone).count();
            gone == keys.len()
        });
    }
}

fn reap_until(lanes: &mut Lanes, mut over: impl FnMut(&[Event]) -> bool) {
    let began = Instant::now();
    let mut events = Vec::new();
    loop {
        events.clear();
        lanes.reap(&mut events, 700);
        if over(&events) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain");
    }
}
