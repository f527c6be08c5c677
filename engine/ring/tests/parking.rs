//! Parking between threads: every wait ends with a bell, for many rounds. A lost
//! wake-up fails by a long timeout; nothing here depends on how long anything takes.

mod support;

use ringcast_ring::{Consumer, Kind, Producer, Tap, Waiting};
use std::os::unix::net::UnixStream;
use std::thread;

/// Longer than any machine needs to run a thread once.
const TIMEOUT_MILLIS: u16 = 60_000;

/// The next record's number, parked for as long as there is none.
fn next(consumer: &mut Consumer) -> u64 {
    loop {
        let mut batch = consumer.poll().expect("is honest");
        if let Some(record) = batch.next_record().expect("is honest") {
            return u64::from_le_bytes(record.body.try_into().expect("eight bytes"));
        }
        drop(batch);
        if consumer.park(|| true) {
            assert!(
                consumer.waker().expect("it may park").wait(TIMEOUT_MILLIS),
                "a wake-up is lost"
            );
            consumer.unpark();
        }
    }
}

fn send(producer: &mut Producer, number: u64) {
    let room = producer.claim(8, Kind(1)).expect("the reader keeps up");
    room.copy_from_slice(&number.to_le_bytes());
    producer.publish();
}

fn ring() -> (Producer, Consumer) {
    let mut producer = Producer::create("parking", 4096).expect("there is memory");
    let consumer = producer.consumer(Waiting::Parks).expect("there is a place");
    (producer, consumer)
}

/// Each side waits for the other: both park in nearly every round.
#[test]
fn two_threads_wake_each_other() {
    const ROUNDS: u64 = 20_000;
    let (mut there, mut at_there) = ring();
    let (mut back, mut at_back) = ring();
    thread::scope(|scope| {
        scope.spawn(move || {
            for round in 0..ROUNDS {
                let number = next(&mut at_there);
                assert_eq!(number, round);
                send(&mut back, number);
            }
        });
        for round in 0..ROUNDS {
            send(&mut there, round);
            assert_eq!(next(&mut at_back), round);
        }
    });
}

/// The producer never waits for an answer, so that it publishes at every point of the
/// consumers' falling asleep; it only waits for room.
#[test]
fn three_consumers_sleep_and_miss_nothing() {
    const RECORDS: u64 = 100_000;
    let mut producer = Producer::create("parking", 4096).expect("there is memory");
    let consumers: Vec<_> = std::iter::from_fn(|| producer.consumer(Waiting::Parks))
        .take(3)
        .collect();
    thread::scope(|scope| {
        for mut consumer in consumers {
            scope.spawn(move || {
                for number in 0..RECORDS {
                    assert_eq!(next(&mut consumer), number);
                }
            });
        }
        for number in 0..RECORDS {
            while producer
                .claim(8, Kind(1))
                .map(|room| room.copy_from_slice(&number.to_le_bytes()))
                .is_err()
            {
                thread::yield_now();
            }
            producer.publish();
        }
    });
}

#[test]
fn who_has_something_else_to_do_does_not_sleep() {
    let (mut producer, consumer) = ring();
    assert!(!consumer.park(|| false));
    send(&mut producer, 1);
    assert!(
        !consumer.waker().expect("it may park").wait(0),
        "it did not say that it sleeps"
    );
    assert!(!consumer.park(|| true), "there is a record");
}

/// A tap with a place, as another process would be.
#[test]
fn a_gated_tap_is_woken() {
    const ROUNDS: u64 = 5_000;
    let mut there = Producer::create("parking", 4096).expect("there is memory");
    let (mut back, mut at_back) = ring();
    let (near, far) = UnixStream::pair().expect("a descriptor is left");
    there.offer_consumer(&near).expect("there is a place");
    let mut tap = Tap::accept(&far).expect("it was just sent");
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut body = Vec::new();
            for round in 0..ROUNDS {
                while tap.read(&mut body).expect("is honest").is_none() {
                    if let Some(bell) = tap.park() {
                        assert!(bell.wait(TIMEOUT_MILLIS), "a wake-up is lost");
                        tap.unpark();
                    }
                }
                assert_eq!(body, round.to_le_bytes());
                tap.release();
                send(&mut back, round);
            }
        });
        for round in 0..ROUNDS {
            send(&mut there, round);
            assert_eq!(next(&mut at_back), round);
        }
    });
}

/// Nobody is woken who never sleeps, and nobody sleeps who would not be woken.
#[test]
#[should_panic(expected = "it was made to spin")]
fn a_consumer_that_spins_does_not_park() {
    let mut producer = Producer::create("spins", 4096).expect("there is memory");
    let consumer = producer.consumer(Waiting::Spins).expect("there is a place");
    assert!(consumer.waker().is_none());
    consumer.park(|| true);
}

/// One that parks is woken though others spin, and after they have gone.
#[test]
fn one_that_parks_is_woken_beside_those_that_spin() {
    let mut producer = Producer::create("beside", 4096).expect("there is memory");
    let spins = producer.consumer(Waiting::Spins).expect("there is a place");
    let mut parks = producer.consumer(Waiting::Parks).expect("there is a place");
    let mut spins = Some(spins);
    for round in 0..3 {
        if round == 1 {
            drop(spins.take());
            // Its place is found free only when somebody looks for one.
            spins = producer.consumer(Waiting::Spins);
        }
        assert!(parks.park(|| true), "all was read");
        producer.claim(1, Kind(1)).expect("there is room");
        producer.publish();
        assert!(parks.waker().expect("it may park").wait(0), "it slept");
        parks.unpark();
        let mut batch = parks.poll().expect("the ring is whole");
        assert!(batch.next_record().expect("it is a record").is_some());
    }
}
