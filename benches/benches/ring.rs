//! The ring beside rtrb: `cargo bench -p ringcast-benches --bench ring`.
//!
//! Records of 32, 128 and 1,024 bytes, published one at a time and 64 at a time, in
//! one thread and from one core to another. rtrb is a queue in plain memory with one
//! reader and elements of one size, so it is less than the ring; a body is its element,
//! copied in once and read where it lies, as with the ring. Both hold 1 MiB. Readers spin;
//! the ring is measured with one that may park, too, for which its producer has to look.
//!
//! `cargo bench -p ringcast-benches --bench ring -- check` runs each once, with few
//! records, and measures nothing.

use ringcast_benches::{Comparison, Core, Program};
use ringcast_ring::{Consumer, Kind, Producer, Waiting};
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that either queue holds.
const CAPACITY: usize = 1 << 20;

/// How often a side looks in vain before it lets others have the core.
const SPINS_MAX: usize = 1 << 14;

fn main() {
    let is_check = std::env::args().any(|argument| argument == "check");
    let cores = Core::first_two();
    println!("{}", Comparison::HEADER);
    if let Some((first, _)) = cores {
        first.pin();
    }
    for batch in [1, 64] {
        compare::<32>(batch, cores, is_check);
        compare::<128>(batch, cores, is_check);
        compare::<1024>(batch, cores, is_check);
    }
    if cores.is_none() {
        println!("between two cores: not measured, this process may use one only");
    }
}

/// A queue with its two ends, which can be in different threads.
trait Ends: Send {
    type Writer: Write;
    type Reader: Read + Send;
    fn ends(&mut self) -> (&mut Self::Writer, &mut Self::Reader);
}

trait Write {
    /// Writes and publishes so many bodies at once; `false` if there is no room yet.
    fn write(&mut self, body: &[u8], batch: usize) -> bool;
}

trait Read {
    /// Looks at every body that is there, and returns how many those were.
    fn read(&mut self) -> usize;
}

struct Ring {
    producer: Producer,
    consumer: Consumer,
}

impl Ring {
    fn new(waiting: Waiting) -> Self {
        let mut producer = Producer::create("bench", CAPACITY).expect("there is memory");
        let consumer = producer.consumer(waiting).expect("there is a place");
        Self { producer, consumer }
    }
}

impl Ends for Ring {
    type Writer = Producer;
    type Reader = Consumer;
    fn ends(&mut self) -> (&mut Producer, &mut Consumer) {
        (&mut self.producer, &mut self.consumer)
    }
}

impl Write for Producer {
    fn write(&mut self, body: &[u8], batch: usize) -> bool {
        for _ in 0..batch {
            let Ok(room) = self.claim(body.len(), Kind(1)) else {
                self.abandon();
                return false;
            };
            room.copy_from_slice(black_box(body));
        }
        self.publish();
        true
    }
}

impl Read for Consumer {
    fn read(&mut self) -> usize {
        let mut batch = self.poll().expect("is honest");
        let mut count = 0;
        while let Some(record) = batch.next_record().expect("is honest") {
            black_box(record.body);
            count += 1;
        }
        count
    }
}

struct Rtrb<const BYTES: usize> {
    producer: rtrb::Producer<[u8; BYTES]>,
    consumer: rtrb::Consumer<[u8; BYTES]>,
}

impl<const BYTES: usize> Rtrb<BYTES> {
    fn new() -> Self {
        let (producer, consumer) = rtrb::RingBuffer::new(CAPACITY / BYTES);
        Self { producer, consumer }
    }
}

impl<const BYTES: usize> Ends for Rtrb<BYTES> {
    type Writer = rtrb::Producer<[u8; BYTES]>;
    type Reader = rtrb::Consumer<[u8; BYTES]>;
    fn ends(&mut self) -> (&mut Self::Writer, &mut Self::Reader) {
        (&mut self.producer, &mut self.consumer)
    }
}

impl<const BYTES: usize> Write for rtrb::Producer<[u8; BYTES]> {
    fn write(&mut self, body: &[u8], batch: usize) -> bool {
        let body: &[u8; BYTES] = body.try_into().expect("of that size");
        if batch == 1 {
            return self.push(*black_box(body)).is_ok();
        }
        let Ok(chunk) = self.write_chunk_uninit(batch) else {
            return false;
        };
        chunk.fill_from_iter((0..batch).map(|_| *black_box(body)));
        true
    }
}

impl<const BYTES: usize> Read for rtrb::Consumer<[u8; BYTES]> {
    fn read(&mut self) -> usize {
        let count = self.slots();
        let chunk = self.read_chunk(count).expect("so many are there");
        let (one, two) = chunk.as_slices();
        for body in one.iter().chain(two) {
            black_box(&body[..]);
        }
        chunk.commit_all();
        count
    }
}

/// One thread writes a batch, then reads it.
struct OneThread<Q> {
    queue: Q,
    body: Vec<u8>,
    batch: usize,
}

impl<Q: Ends> Program for OneThread<Q> {
    fn run(&mut self, count: usize) -> Duration {
        let (writer, reader) = self.queue.ends();
        let begin = Instant::now();
        for _ in 0..count {
            assert!(writer.write(&self.body, self.batch), "all was read");
            assert_eq!(reader.read(), self.batch);
        }
        begin.elapsed()
    }
}

/// One thread writes, another one on another core reads.
struct TwoThreads<Q> {
    queue: Q,
    body: Vec<u8>,
    batch: usize,
    reader_core: Core,
}

impl<Q: Ends> Program for TwoThreads<Q> {
    fn run(&mut self, count: usize) -> Duration {
        let (batch, core) = (self.batch, self.reader_core);
        let (writer, reader) = self.queue.ends();
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                core.pin();
                barrier.wait();
                let mut left = count * batch;
                while left > 0 {
                    left -= insist(|| Some(reader.read()).filter(|read| *read > 0));
                }
                barrier.wait();
            });
            barrier.wait();
            let begin = Instant::now();
            for _ in 0..count {
                insist(|| writer.write(&self.body, batch).then_some(()));
            }
            barrier.wait();
            begin.elapsed()
        })
    }
}

/// Tries until it succeeds, and lets others have the core if that takes long.
fn insist<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        for _ in 0..SPINS_MAX {
            if let Some(done) = attempt() {
                return done;
            }
            std::hint::spin_loop();
        }
        thread::yield_now();
    }
}

fn compare<const BYTES: usize>(batch: usize, cores: Option<(Core, Core)>, is_check: bool) {
    let body = || vec![0x5A; BYTES];
    let name = format!("{BYTES} B, {batch} at a time, one thread");
    let mut ours = OneThread {
        queue: Ring::new(Waiting::Spins),
        body: body(),
        batch,
    };
    let mut theirs = OneThread {
        queue: Rtrb::<BYTES>::new(),
        body: body(),
        batch,
    };
    report(&name, batch, &mut ours, &mut theirs, is_check);
    let Some((_, reader_core)) = cores else {
        return;
    };
    for (waiting, where_) in [
        (Waiting::Spins, "two cores"),
        (Waiting::Parks, "two cores, may park"),
    ] {
        let name = format!("{BYTES} B, {batch} at a time, {where_}");
        let mut ours = TwoThreads {
            queue: Ring::new(waiting),
            body: body(),
            batch,
            reader_core,
        };
        let mut theirs = TwoThreads {
            queue: Rtrb::<BYTES>::new(),
            body: body(),
            batch,
            reader_core,
        };
        report(&name, batch, &mut ours, &mut theirs, is_check);
    }
}

fn report(
    name: &str,
    batch: usize,
    ours: &mut dyn Program,
    theirs: &mut dyn Program,
    is_check: bool,
) {
    if is_check {
        ours.run(100);
        theirs.run(100);
        println!("{name}: runs");
    } else {
        println!("{}", Comparison::measure(name, batch, ours, theirs));
    }
}
