//! Adopting and receiving.

use crate::bench::{Bench, pattern};
use crate::{Peer, Taken, World};
use ringcast_wire::{Close, Reason};

/// No edge is needed for input that is there already.
pub fn input_before_the_adoption_is_told<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 64);
    let (socket, mut peer) = bench.world.pair();
    assert_eq!(peer.send(b"early"), 5);
    bench.world.pause();
    let key = bench.adopt(socket);
    bench.wait_for_input(key, 5);
    assert_eq!(bench.told(key).input, b"early");
}

/// Nothing is lost or changes places, however the reads cut it.
pub fn input_arrives_whole_and_in_order<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(2), 2, 2, 1000);
    let (key, mut peer) = bench.open();
    let (other, mut quiet) = bench.open();
    let bytes = pattern(1, 3 << 20);
    bench.peer_sends_all(&mut peer, &bytes);
    bench.wait_for_input(key, bytes.len());
    assert!(bench.told(key).input == bytes, "other bytes arrived");
    assert!(bench.told(other).input.is_empty());
    assert_eq!(quiet.take(1), Taken::Nothing);
}

/// Whoever read exactly what fits has to look again: no edge will tell.
pub fn a_full_buffer_means_more<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 8);
    let (key, mut peer) = bench.open();
    assert_eq!(peer.send(b"12345678abc"), 11);
    bench.wait_until("it is readable", |bench| bench.told(key).readable);
    bench.receive(&[key]);
    assert!(bench.told(key).readable, "there is more");
    bench.wait_for_input(key, 11);
    assert_eq!(bench.told(key).input, b"12345678abc");
}

/// A look too many harms nobody.
pub fn no_input_is_nothing<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 8);
    let (key, mut peer) = bench.open();
    bench.receive(&[key]);
    let told = bench.told(key);
    assert!(told.input.is_empty() && !told.readable && !told.ended && told.broken.is_none());
    peer.send(b"now");
    bench.wait_for_input(key, 3);
}

/// Each answer that there is no more is followed by an event when there is.
pub fn input_after_an_answer_is_told_again<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 64);
    let (key, mut peer) = bench.open();
    for round in 1..=200 {
        // Sometimes the input comes before the events of the last round were reaped,
        // sometimes between the event and the read, sometimes after it.
        peer.send(b"a");
        if round % 3 == 0 {
            bench.wait_until("it is readable", |bench| bench.told(key).readable);
            peer.send(b"b");
            bench.world.pause();
        } else {
            peer.send(b"b");
        }
        if round % 2 == 0 {
            bench.receive(&[key]);
        }
        bench.wait_for_input(key, round * 2);
    }
    assert_eq!(bench.told(key).input, b"ab".repeat(200));
}

/// The end is an arrival of its own, behind the input.
pub fn input_comes_before_the_end<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 64);
    let (key, mut peer) = bench.open();
    peer.send(b"last words");
    peer.finish();
    bench.wait_until("the end has come", |bench| {
        bench.receive_ready();
        // A read that got less than its buffer holds says nothing of an end that
        // had come by then: the event for it may be reaped already.
        bench.receive(&[key]);
        bench.told(key).ended
    });
    assert_eq!(bench.told(key).input, b"last words");
}

/// Who reads as long as an arrival says that there may be more, and again when told,
/// finds the end: it needs no look of its own.
pub fn the_end_is_told_like_input<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 64);
    for round in 0..50 {
        let (key, mut peer) = bench.open();
        // The end comes with the last input, before its event, or after the read.
        peer.send(b"last words");
        if round % 3 == 0 {
            peer.finish();
        }
        bench.wait_until("it is readable", |bench| bench.told(key).readable);
        if round % 3 == 1 {
            peer.finish();
            bench.world.pause();
        }
        bench.receive_ready();
        peer.finish();
        bench.wait_until("the end is told", |bench| {
            bench.receive_ready();
            bench.told(key).ended
        });
        assert_eq!(bench.told(key).input, b"last words");
        bench.close(key, Close::Abrupt);
        bench.wait_until_gone(key);
    }
}

/// The end of a peer's input does not end ours.
pub fn a_half_closed_peer_still_receives<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 64);
    let (key, mut peer) = bench.open();
    peer.finish();
    bench.wait_until("the end has come", |bench| {
        bench.receive_ready();
        bench.told(key).ended
    });
    assert!(!bench.told(key).closed, "it can still be sent to");
    assert!(bench.send_same(&[key], b"answer").is_empty());
    bench.close(key, Close::Abrupt);
    assert_eq!(bench.peer_takes_to_end(&mut peer), b"answer");
    bench.wait_until_gone(key);
}

/// A reset is an event, a receive says what it was, and a send fails.
pub fn a_reset_is_told<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(1), 1, 1, 64);
    let (key, peer) = bench.open();
    peer.reset();
    bench.wait_until("it is told", |bench| bench.told(key).closed);
    assert!(bench.told(key).readable, "a receive will say more");
    bench.receive_ready();
    let told = bench.told(key);
    assert_eq!(told.broken, Some(std::io::ErrorKind::ConnectionReset));
    let failed = bench.send_same(&[key], b"x");
    assert!(matches!(failed[..], [failure] if matches!(failure.reason, Reason::Broken(_))));
    bench.close(key, Close::Abrupt);
    bench.wait_until_gone(key);
}

/// More reads in one call than any queue of the wire holds at a time.
pub fn a_batch_of_many_reads<W: World>(world: impl Fn(u32) -> W) {
    const COUNT: usize = 3000;
    let mut bench = Bench::new(world(COUNT as u32), COUNT as u32, COUNT, 16);
    let (keys, mut peers) = bench.open_many(COUNT);
    for (place, peer) in peers.iter_mut().enumerate() {
        // Every seventh stays silent.
        if place % 7 != 0 {
            assert_eq!(peer.send(&pattern(place as u64, 12)), 12);
        }
    }
    bench.wait_until("all are readable", |bench| {
        let told = keys.iter().filter(|&&key| bench.told(key).readable);
        told.count() == COUNT - COUNT.div_ceil(7)
    });
    bench.receive(&keys);
    for (place, &key) in keys.iter().enumerate() {
        let told = bench.told(key);
        if place % 7 == 0 {
            assert!(told.input.is_empty());
        } else {
            assert_eq!(told.input, pattern(place as u64, 12));
        }
        assert!(!told.readable);
    }
}

/// What does not fit into one reap comes with the next, none is lost or repeated.
pub fn events_are_told_a_few_at_a_time<W: World>(world: impl Fn(u32) -> W) {
    let mut bench = Bench::new(world(20), 20, 20, 16);
    let (keys, mut peers) = bench.open_many(20);
    for peer in &mut peers {
        peer.send(b"x");
    }
    let mut told = 0;
    for _ in 0..W::PAUSES_MAX {
        told += bench.reap_at_most(3);
        if told == 20 {
            break;
        }
        bench.world.pause();
    }
    for &key in &keys {
        assert!(bench.told(key).readable);
    }
    assert_eq!(bench.reap_at_most(3), 0, "each was told once");
    bench.receive(&keys);
    assert!(keys.iter().all(|&key| bench.told(key).input == b"x"));
}
