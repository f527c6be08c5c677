//! A record through the shared-memory ring to a reader that spins on the other core:
//! half of a round trip over two rings.

use super::Cores;
use super::fan_out::MESSAGE_BYTES;
use crate::clock::{Times, now_nanos};
use crate::error::Error;
use crate::report::Figure;
use ringcast_ring::{Consumer, Kind, Producer, Waiting};
use std::io;
use std::thread;

/// Bytes of each ring.
const CAPACITY: usize = 1 << 20;

/// Round trips that are over before figures begin.
const WARM_UP: u64 = 1_000;

/// The record that ends it.
const LAST: u64 = u64::MAX;

/// Sends records there and back for so many nanoseconds.
pub(crate) fn run(cores: Cores, nanos: u64) -> Result<Vec<Figure>, Error> {
    let (mut there, mut arrived) = ring()?;
    let (mut back, mut answered) = ring()?;
    let times = thread::scope(|scope| {
        scope.spawn(move || {
            cores.server.pin();
            loop {
                let number = receive(&mut arrived);
                send(&mut back, number);
                if number == LAST {
                    break;
                }
            }
        });
        let asker = scope.spawn(move || {
            cores.probe.pin();
            let mut times = Times::new();
            let begin = now_nanos();
            let (mut now, mut trips) = (begin, 0);
            while now < begin + nanos || times.count() == 0 {
                let sent = now_nanos();
                send(&mut there, trips);
                assert_eq!(receive(&mut answered), trips, "the ring keeps order");
                now = now_nanos();
                trips += 1;
                if trips > WARM_UP {
                    times.record((now - sent) / 2);
                }
            }
            send(&mut there, LAST);
            receive(&mut answered);
            times
        });
        asker.join().expect("does not panic")
    });
    Ok(vec![
        Figure::new("p50", "ns", times.percentile(50.0)),
        Figure::new("p99", "ns", times.percentile(99.0)),
    ])
}

fn ring() -> Result<(Producer, Consumer), Error> {
    let mut producer = Producer::create("limits", CAPACITY)
        .map_err(io::Error::other)
        .map_err(Error::system("making a ring"))?;
    let consumer = producer
        .consumer(Waiting::Spins)
        .expect("a new ring has places");
    Ok((producer, consumer))
}

fn send(producer: &mut Producer, number: u64) {
    let body = producer
        .claim(MESSAGE_BYTES, Kind(1))
        .expect("the reader has read all before");
    body[..8].copy_from_slice(&number.to_le_bytes());
    producer.publish();
}

fn receive(consumer: &mut Consumer) -> u64 {
    loop {
        let mut batch = consumer.poll().expect("the ring is honest");
        if let Some(record) = batch.next_record().expect("the ring is honest") {
            let number = record.body.first_chunk().expect("is of that size");
            return u64::from_le_bytes(*number);
        }
        std::hint::spin_loop();
    }
}
