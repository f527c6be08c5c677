//! The ends of connections.

use crate::bench::{Bench, pattern};
use crate::{Peer, Taken, World};
use ringcast_wire::{Close, Event, Reason, Wire};

/// The peer sees the end behind all that was sent, and the key comes back once.
pub fn an_abrupt_close_ends_and_is_gone<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 16);
    let (key, mut peer) = bench.open();
    assert!(bench.send_same(&[key], b"last words").is_empty());
    bench.close(key, Close::Abrupt);
    assert_eq!(bench.peer_takes_to_end(&mut peer), b"last words");
    bench.wait_until_gone(key);
    for _ in 0..10 {
        bench.world.pause();
        assert_eq!(bench.reap_at_most(10), 0);
    }
}

/// Events that were about to be told are not.
pub fn after_a_close_only_gone_is_told<W: World>(world: impl Fn(u32) -> W) {
    for how in [Close::Abrupt, Close::Polite] {
        let mut bench = Bench::new(world(2), 2, 1, 16);
        let (keys, mut peers) = bench.open_many(2);
        peers[0].send(b"input");
        peers[1].send(b"input");
        // The first event is told, the second waits inside the wire.
        for _ in 0..W::PAUSES_MAX {
            if bench.reap_at_most(1) == 1 {
                break;
            }
            bench.world.pause();
        }
        for (&key, peer) in keys.iter().zip(&mut peers) {
            bench.told(key).readable = false;
            peer.send(b"more");
            bench.close(key, how);
            peer.send(b"and more");
            peer.finish();
        }
        for key in keys {
            bench.wait_until_gone(key);
            let told = bench.told(key);
            assert!(!told.readable && !told.closed && told.writable == 0);
        }
    }
}

/// What belongs to one connection never reaches the next under the same index.
pub fn an_index_is_used_again_at_once<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 64);
    let mut last: Option<W::Peer> = None;
    for round in 0..2000_u32 {
        let (key, mut peer) = bench.open();
        assert_eq!(key.index(), 0);
        assert_eq!(key.generation(), round);
        if let Some(mut last) = last.take() {
            last.send(b"for the one before");
        }
        peer.send(&round.to_le_bytes());
        if round % 2 == 0 {
            bench.wait_for_input(key, 4);
            assert_eq!(bench.told(key).input, round.to_le_bytes());
            assert!(bench.send_same(&[key], &round.to_be_bytes()).is_empty());
            assert_eq!(bench.peer_takes_all(&mut peer, 4), round.to_be_bytes());
        }
        bench.close(key, Close::Abrupt);
        bench.wait_until_gone(key);
        assert_eq!(bench.told(key).gone, 1);
        last = Some(peer);
    }
}

/// Input that nobody read does not destroy what was sent last.
pub fn a_polite_close_delivers_the_last_bytes<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 16);
    let (key, mut peer) = bench.open();
    peer.send(&pattern(1, 100_000));
    bench.wait_until("it is there", |bench| bench.told(key).readable);
    assert!(bench.send_same(&[key], b"the reason").is_empty());
    bench.close(key, Close::Polite);
    assert_eq!(bench.peer_takes_to_end(&mut peer), b"the reason");
    peer.finish();
    bench.wait_until_gone(key);
}

/// Nor does input that comes afterwards.
pub fn a_polite_close_outlasts_what_still_comes<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 16);
    let (key, mut peer) = bench.open();
    assert!(bench.send_same(&[key], b"the reason").is_empty());
    bench.close(key, Close::Polite);
    for round in 0..100 {
        peer.send(&pattern(round, 10_000));
        bench.reap();
        if round % 10 == 0 {
            bench.world.pause();
        }
    }
    assert_eq!(bench.peer_takes_to_end(&mut peer), b"the reason");
    peer.finish();
    bench.wait_until_gone(key);
    assert_eq!(peer.take(1), Taken::End, "never a reset");
}

/// A peer that neither ends nor says anything is not waited for for ever.
pub fn a_polite_close_of_a_silent_peer_ends<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 16);
    let (key, mut peer) = bench.open();
    bench.close(key, Close::Polite);
    bench.wait_until_gone(key);
    assert_eq!(peer.take(1), Taken::End);
}

/// Who has no time for politeness any more closes abruptly after all.
pub fn a_polite_close_can_be_cut_short<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(2), 2, 1, 16);
    let (keys, mut peers) = bench.open_many(2);
    bench.close(keys[0], Close::Polite);
    bench.close(keys[0], Close::Polite);
    bench.close(keys[0], Close::Abrupt);
    bench.close(keys[1], Close::Polite);
    assert_eq!(bench.peer_takes_to_end(&mut peers[1]), b"");
    bench.close(keys[1], Close::Abrupt);
    for key in keys {
        bench.wait_until_gone(key);
    }
}

/// Neither the full buffer nor the event that would tell of room is in the way.
pub fn a_blocked_connection_can_be_closed<W: World>(world: impl Fn(u32) -> W) {
    for how in [Close::Abrupt, Close::Polite] {
        let mut bench = Bench::new(world(1), 1, 1, 16);
        let (key, mut peer) = bench.open();
        let bytes = pattern(2, 16 << 20);
        let failed = bench.send_same(&[key], &bytes);
        assert_eq!(failed[0].reason, Reason::Blocked);
        bench.close(key, how);
        let taken = bench.peer_takes_to_end(&mut peer);
        assert!(taken == bytes[..failed[0].sent as usize]);
        peer.finish();
        bench.wait_until_gone(key);
        assert_eq!(bench.told(key).writable, 0);
    }
}

/// There is nobody to be polite to, and nothing to wait for.
pub fn a_reset_connection_can_be_closed_politely<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(2), 2, 1, 16);
    let (told, peer) = bench.open();
    peer.reset();
    bench.wait_until("it is told", |bench| bench.told(told).closed);
    let (untold, peer) = bench.open();
    peer.reset();
    for key in [told, untold] {
        bench.close(key, Close::Polite);
        bench.wait_until_gone(key);
    }
}

/// More ends at a time than any queue of the wire holds; each is told once.
pub fn many_are_closed_at_once<W: World>(world: impl Fn(u32) -> W) {
    const COUNT: usize = 3000;
    let mut bench = Bench::new(world(COUNT as u32), COUNT as u32, 1, 16);
    for how in [Close::Abrupt, Close::Polite, Close::Abrupt] {
        let (keys, mut peers) = bench.open_many(COUNT);
        for (place, peer) in peers.iter_mut().enumerate() {
            if place % 3 == 0 {
                peer.send(b"unread");
            }
        }
        for &key in &keys {
            bench.close(key, how);
        }
        if how == Close::Polite {
            peers.iter_mut().for_each(Peer::finish);
        }
        bench.wait_until("all are gone", |bench| {
            keys.iter().all(|&key| bench.told(key).gone == 1)
        });
        for peer in &mut peers {
            let end = bench.peer_takes(peer, 1);
            assert!(matches!(end, Taken::End | Taken::Reset), "{end:?}");
        }
    }
    let mut events: Vec<Event> = Vec::new();
    bench.world.wire().reap(&mut events, 10);
    assert_eq!(events, []);
}

/// Neither one that was there before nor one that came after has to end first.
pub fn a_close_waits_for_no_other_connection<W: World>(world: impl Fn(u32) -> W) {
    for how in [Close::Abrupt, Close::Polite] {
        let mut bench = Bench::new(world(3), 3, 1, 16);
        let (keys, mut peers) = bench.open_many(3);
        // All three are watched before the one in the middle is closed.
        for (&key, peer) in keys.iter().zip(&mut peers) {
            peer.send(b"here");
            bench.wait_for_input(key, 4);
        }
        bench.close(keys[1], how);
        assert_eq!(bench.peer_takes_to_end(&mut peers[1]), b"");
        peers[1].finish();
        bench.wait_until_gone(keys[1]);
        for place in [0, 2] {
            assert!(bench.send_same(&[keys[place]], b"still").is_empty());
            assert_eq!(bench.peer_takes_all(&mut peers[place], 5), b"still");
        }
    }
}
