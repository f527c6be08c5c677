//! Sending, and what a full connection does.

use crate::bench::{Bench, pattern};
use crate::{Peer, Taken, World};
use ringcast_wire::{ConnectionKey, Reason, Wire};

/// More receivers in one call than any queue of the wire holds at a time.
pub fn the_same_bytes_reach_everyone<W: World>(world: impl Fn(u32) -> W) {
    const COUNT: usize = 2000;
    let mut bench = Bench::new(world(COUNT as u32), COUNT as u32, 1, 16);
    let (mut keys, mut peers) = bench.open_many(COUNT);
    let bytes = pattern(3, 700);
    for piece in bytes.chunks(70) {
        keys.rotate_left(97);
        assert!(bench.send_same(&keys, piece).is_empty(), "all have room");
    }
    for peer in &mut peers {
        assert_eq!(bench.peer_takes_all(peer, 700), bytes);
    }
}

/// Nobody gets another's bytes, whatever their order and sizes.
pub fn each_gets_its_own_bytes<W: World>(world: impl Fn(u32) -> W) {
    const COUNT: usize = 700;
    let mut bench = Bench::new(world(COUNT as u32), COUNT as u32, 1, 16);
    let (keys, mut peers) = bench.open_many(COUNT);
    let own: Vec<_> = (0..COUNT).map(|n| pattern(n as u64, 1 + n * 3)).collect();
    let mut sends: Vec<(ConnectionKey, &[u8])> = keys
        .iter()
        .copied()
        .zip(own.iter().map(Vec::as_slice))
        .collect();
    sends.reverse();
    let mut failed = Vec::new();
    bench.world.wire().send_each(&sends, &mut failed);
    assert!(failed.is_empty(), "all have room");
    for (peer, own) in peers.iter_mut().zip(&own) {
        assert_eq!(&bench.peer_takes_all(peer, own.len()), own);
        assert_eq!(peer.take(1), Taken::Nothing);
    }
}

/// Sends all of this, going on after each failure when room is told. Between a
/// failure and the reap the peer takes what it has, so that room comes at once.
fn send_all<W: World>(
    bench: &mut Bench<W>,
    key: ConnectionKey,
    peer: &mut W::Peer,
    bytes: &[u8],
    at_once: usize,
) -> Vec<u8> {
    let mut taken = Vec::new();
    let mut sent = 0;
    while sent < bytes.len() {
        let piece = &bytes[sent..bytes.len().min(sent + at_once)];
        let failed = bench.send_same(&[key], piece);
        let Some(failure) = failed.first() else {
            sent += piece.len();
            continue;
        };
        assert_eq!(failure.reason, Reason::Blocked);
        sent += failure.sent as usize;
        let before = bench.told(key).writable;
        bench.wait_until("there is room", |bench| {
            if let Taken::Bytes(some) = peer.take(1 << 20) {
                taken.extend(some);
            }
            bench.reap();
            bench.told(key).writable > before
        });
        assert_eq!(
            bench.told(key).writable,
            before + 1,
            "once for each failure"
        );
    }
    let rest = bytes.len() - taken.len();
    taken.extend(bench.peer_takes_all(peer, rest));
    taken
}

/// The count of a failure is exact: who goes on there leaves no gap.
pub fn a_blocked_connection_goes_on_where_it_stopped<W: World>(world: impl Fn(u32) -> W) {
    for at_once in [100, 4097, 100_000, 9_000_000] {
        let mut bench = Bench::new(world(1), 1, 1, 16);
        let (key, mut peer) = bench.open();
        let bytes = pattern(at_once as u64, 24 << 20);
        let taken = send_all(&mut bench, key, &mut peer, &bytes, at_once);
        assert!(
            taken == bytes,
            "what arrived is what was sent, {at_once} at once"
        );
    }
}

/// A frame may be cut anywhere, in its head as in its middle.
pub fn a_send_stops_at_any_offset<W: World>(world: impl Fn(u32) -> W) {
    const FRAME: usize = 16;
    let mut seen = [false; FRAME];
    let frames = pattern(9, 12 << 20);
    for attempt in 0..40 * FRAME {
        let mut bench = Bench::new(world(1), 1, 1, 16);
        let (key, mut peer) = bench.open();
        // A network may always stop a send after a round number of bytes: let what is
        // sent begin elsewhere in the frame.
        let shift = attempt % 97;
        assert!(bench.send_same(&[key], &frames[..1 + shift]).is_empty());
        let failed = bench.send_same(&[key], &frames[1 + shift..]);
        let sent = 1 + shift + failed[0].sent as usize;
        seen[sent % FRAME] = true;
        assert_eq!(failed[0].reason, Reason::Blocked);
        assert!(
            bench.peer_takes_all(&mut peer, sent) == frames[..sent],
            "the peer got as much as was told"
        );
        assert_eq!(peer.take(1), Taken::Nothing, "and no more");
        if seen == [true; FRAME] {
            return;
        }
    }
    panic!("sends stopped only at these offsets in a frame: {seen:?}");
}

/// The room that comes between a failing send and the next reap is told.
pub fn room_made_before_the_reap_is_told<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 16);
    let (key, mut peer) = bench.open();
    let piece = vec![7; 64 << 10];
    for round in 1..=20 {
        while bench.send_same(&[key], &piece).is_empty() {}
        assert_eq!(
            bench.told(key).writable,
            round - 1,
            "not before there is room"
        );
        let mut quiet = 0;
        // All of it is taken before the wire has a chance to look.
        while quiet < 3 {
            match peer.take(1 << 20) {
                Taken::Bytes(_) => quiet = 0,
                _ => {
                    quiet += 1;
                    bench.world.pause();
                }
            }
        }
        bench.wait_until("there is room", |bench| bench.told(key).writable == round);
    }
}

/// Of a batch only those fail that are full; the others get everything in time.
pub fn the_blocked_hurt_nobody_else<W: World>(world: impl Fn(u32) -> W) {
    const COUNT: usize = 400;
    let mut bench = Bench::new(world(COUNT as u32), COUNT as u32, 1, 16);
    let (keys, mut peers) = bench.open_many(COUNT);
    let piece = pattern(5, 32 << 10);
    let stalled = |place: usize| place % 10 == 3;
    let mut to = keys.clone();
    for _ in 0..400 {
        for failure in bench.send_same(&to, &piece) {
            let place = keys.iter().position(|&key| key == failure.key);
            assert!(stalled(place.expect("it was sent to")), "it has room");
            assert_eq!(failure.reason, Reason::Blocked);
            to.retain(|&key| key != failure.key);
        }
        for (place, peer) in peers.iter_mut().enumerate() {
            if !stalled(place) {
                assert!(bench.peer_takes_all(peer, piece.len()) == piece);
            }
        }
        if to.len() == COUNT - COUNT / 10 {
            return;
        }
    }
    panic!("{} never blocked", to.len() - (COUNT - COUNT / 10));
}

/// A send to who is not there any more fails, in any place of a batch.
pub fn a_broken_connection_fails<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(3), 3, 1, 16);
    let (keys, mut peers) = bench.open_many(3);
    peers.remove(1).reset();
    bench.wait_until("it is told", |bench| bench.told(keys[1]).closed);
    let failed = bench.send_same(&keys, b"hello");
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].place, failed[0].sent), (1, 0));
    assert!(matches!(failed[0].reason, Reason::Broken(_)));
    for peer in &mut peers {
        assert_eq!(bench.peer_takes_all(peer, 5), b"hello");
    }
}

/// Who waits for room is told when there will never be any.
pub fn a_blocked_connection_that_breaks_is_told<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 16);
    let (key, peer) = bench.open();
    let failed = bench.send_same(&[key], &pattern(4, 16 << 20));
    assert_eq!(failed[0].reason, Reason::Blocked);
    peer.reset();
    bench.wait_until("it is told", |bench| bench.told(key).closed);
    assert_eq!(bench.told(key).writable, 0, "there is no room");
    let failed = bench.send_same(&[key], b"x");
    assert!(matches!(failed[..], [failure] if matches!(failure.reason, Reason::Broken(_))));
}

/// Empty bytes are taken like others.
pub fn nothing_can_be_sent<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 16);
    let (key, mut peer) = bench.open();
    assert!(bench.send_same(&[key], b"").is_empty());
    assert!(bench.send_same(&[key], b"x").is_empty());
    assert_eq!(bench.peer_takes_all(&mut peer, 1), b"x");
}
