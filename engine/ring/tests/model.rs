//! The ring against a list of records in plain memory, under random operations: what
//! is read, when it is full, who is lapped.

mod support;

use proptest::prelude::*;
use ringcast_ring::{ClaimError, Consumer, Kind, Producer, Tap, TapError, Waiting};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use support::{body, descriptor};

const CAPACITY: usize = 4096;
const BODY_BYTES_MAX: usize = CAPACITY / 4 - 8;

#[derive(Debug, Clone)]
enum Operation {
    Claim(usize),
    /// A record that leaves so many bytes before the data end, if it can.
    ClaimUpTo(usize),
    Publish,
    Abandon,
    AddConsumer,
    /// Polls and takes at most so many records.
    Poll(usize, usize),
    DropConsumer(usize),
    AddTap,
    ReadTap(usize, usize),
    AddOutside,
    ReadOutside(usize, usize, bool),
    RemoveOutside(usize),
    TakeOver,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let bytes = prop_oneof![
        4 => 0..64_usize,
        2 => 64..BODY_BYTES_MAX,
        1 => BODY_BYTES_MAX - 9..BODY_BYTES_MAX + 3,
    ];
    let count = 0..20_usize;
    let who = 0..4_usize;
    prop_oneof![
        20 => bytes.prop_map(Claim),
        4 => (0..5_usize).prop_map(|words| ClaimUpTo(words * 8)),
        12 => Just(Publish),
        2 => Just(Abandon),
        2 => Just(AddConsumer),
        12 => (who.clone(), count.clone()).prop_map(|(who, count)| Poll(who, count)),
        1 => who.clone().prop_map(DropConsumer),
        1 => Just(AddTap),
        6 => (who.clone(), count.clone()).prop_map(|(who, count)| ReadTap(who, count)),
        1 => Just(AddOutside),
        6 => (who.clone(), count, any::<bool>()).prop_map(|(who, n, then)| ReadOutside(who, n, then)),
        1 => who.prop_map(RemoveOutside),
        1 => Just(TakeOver),
    ]
}

/// A record of the oracle.
#[derive(Debug, Clone)]
struct Expected {
    position: u64,
    end: u64,
    kind: Kind,
    body: Vec<u8>,
}

/// A reader and where the oracle has it.
struct Reader<R> {
    reader: R,
    cursor: u64,
    /// What the producer believes that it read.
    released: u64,
    place: Option<usize>,
}

impl<R> Reader<R> {
    fn at(reader: R, cursor: u64, place: Option<usize>) -> Self {
        Self {
            reader,
            cursor,
            released: cursor,
            place,
        }
    }
}

struct Model {
    producer: Option<Producer>,
    epoch: u64,
    /// All that was ever published.
    log: Vec<Expected>,
    /// Claimed, not published.
    pending: Vec<Expected>,
    claimed_max: u64,
    serial: u64,
    consumers: Vec<Reader<Consumer>>,
    taps: Vec<Reader<Tap>>,
    outside: Vec<Reader<Tap>>,
    /// The epoch that each tap knows.
    fulls: usize,
    laps: usize,
    paddings: usize,
}

impl Model {
    fn new() -> Self {
        Self {
            producer: Some(Producer::create("model", CAPACITY).expect("there is memory")),
            epoch: 1,
            log: Vec::new(),
            pending: Vec::new(),
            claimed_max: 0,
            serial: 0,
            consumers: Vec::new(),
            taps: Vec::new(),
            outside: Vec::new(),
            fulls: 0,
            laps: 0,
            paddings: 0,
        }
    }

    fn producer(&mut self) -> &mut Producer {
        self.producer.as_mut().expect("only a takeover has none")
    }

    fn published(&self) -> u64 {
        self.log.last().map_or(0, |record| record.end)
    }

    fn claimed(&self) -> u64 {
        self.pending
            .last()
            .map_or(self.published(), |record| record.end)
    }

    fn least_cursor(&self) -> u64 {
        let inside = self.consumers.iter().map(|reader| reader.released);
        let outside = self.outside.iter().filter(|reader| reader.place.is_some());
        let outside = outside.map(|reader| reader.released);
        inside.chain(outside).min().unwrap_or(self.published())
    }

    /// The record that follows a position, over padding.
    fn next(&self, cursor: u64) -> Option<&Expected> {
        let next = self.log.partition_point(|record| record.end <= cursor);
        self.log.get(next)
    }

    fn claim(&mut self, bytes: usize) {
        self.serial += 1;
        let (serial, begin, least) = (self.serial, self.claimed(), self.least_cursor());
        let kind = Kind(1 + (serial % 9) as u16);
        let written = self.producer().claim(bytes, kind).map(|room| {
            assert_eq!(room.len(), bytes);
            room.copy_from_slice(&body(serial, bytes));
        });
        let record_bytes = (8 + bytes as u64).next_multiple_of(8);
        let until_wrap = CAPACITY as u64 - begin % CAPACITY as u64;
        let padding = if record_bytes > until_wrap {
            until_wrap
        } else {
            0
        };
        let end = begin + padding + record_bytes;
        let expected = if bytes > BODY_BYTES_MAX {
            Err(ClaimError::TooLarge)
        } else if end - least > CAPACITY as u64 {
            self.fulls += 1;
            Err(ClaimError::Full)
        } else {
            Ok(())
        };
        assert_eq!(written, expected);
        if expected.is_ok() {
            self.paddings += usize::from(padding > 0);
            self.claimed_max = self.claimed_max.max(end);
            self.pending.push(Expected {
                position: begin + padding,
                end,
                kind,
                body: body(serial, bytes),
            });
        }
    }

    fn poll(&mut self, who: usize, count: usize) {
        let Some(mut reader) = take(&mut self.consumers, who) else {
            return;
        };
        assert_eq!(reader.reader.cursor().0, reader.cursor);
        let mut cursor = reader.cursor;
        let mut batch = reader.reader.poll().expect("the ring is honest");
        assert_eq!(batch.bytes_left(), self.published() - cursor);
        for _ in 0..count {
            let record = batch.next_record().expect("the ring is honest");
            let expected = self.next(cursor);
            assert_eq!(record.is_some(), expected.is_some());
            let (Some(record), Some(expected)) = (record, expected) else {
                break;
            };
            assert_eq!(record.position.0, expected.position);
            assert_eq!(
                (record.kind, record.body),
                (expected.kind, &expected.body[..])
            );
            cursor = expected.end;
        }
        drop(batch);
        (reader.cursor, reader.released) = (cursor, cursor);
        self.consumers.push(reader);
    }

    fn read(&mut self, reader: &mut Reader<Tap>, count: usize) {
        let mut bytes = Vec::new();
        for _ in 0..count {
            assert_eq!(reader.reader.cursor().0, reader.cursor);
            let published = self.published();
            let is_lapped = published - reader.cursor > CAPACITY as u64
                || (published > reader.cursor
                    && self.claimed_max - reader.cursor > CAPACITY as u64);
            let read = reader.reader.read(&mut bytes);
            if is_lapped {
                self.laps += 1;
                assert!(reader.place.is_none(), "the producer waits for it");
                let Err(TapError::Lapped { from, to }) = read else {
                    panic!("{read:?} at {}, lapped", reader.cursor);
                };
                assert_eq!((from.0, to.0), (reader.cursor, published));
                reader.cursor = published;
                continue;
            }
            match self.next(reader.cursor) {
                None => return assert_eq!(read, Ok(None)),
                Some(expected) => {
                    let (position, kind) = read.expect("is honest").expect("there is one");
                    assert_eq!(position.0, expected.position);
                    assert_eq!((kind, &bytes), (expected.kind, &expected.body));
                    reader.cursor = expected.end;
                }
            }
        }
    }

    fn add_outside(&mut self) {
        let (near, far) = UnixStream::pair().expect("a descriptor is left");
        let place = self
            .producer()
            .offer_consumer(&near)
            .expect("there is a place");
        let tap = Tap::accept(&far).expect("it was just sent");
        assert!(self.outside.iter().all(|other| other.place != Some(place)));
        let reader = Reader::at(tap, self.published(), Some(place));
        self.outside.push(reader);
    }

    /// The producer and all that read in its process end; another one goes on.
    fn take_over(&mut self) {
        let memory = descriptor(self.producer());
        if !self.consumers.is_empty() {
            let in_use = Producer::take_over(descriptor(&memory));
            assert!(matches!(in_use, Err(ringcast_ring::MemoryError::InUse)));
        }
        self.producer = None;
        self.consumers.clear();
        self.pending.clear();
        self.epoch += 1;
        self.producer = Some(Producer::take_over(memory).expect("nobody has it"));
        let epoch = self.epoch;
        for reader in self.taps.iter_mut().chain(&mut self.outside) {
            let mut bytes = Vec::new();
            // What was said before the epoch was noticed does not count.
            reader.reader.release();
            assert!(reader.reader.park().is_none());
            let told = reader.reader.read(&mut bytes);
            assert_eq!(told, Err(TapError::NewEpoch(epoch)));
            reader.place = None;
        }
        self.taps.append(&mut self.outside);
    }

    fn run(&mut self, operation: &Operation) {
        match *operation {
            Operation::Claim(bytes) => self.claim(bytes),
            Operation::ClaimUpTo(left) => {
                let until_wrap = CAPACITY - self.claimed() as usize % CAPACITY;
                if until_wrap > left + 8 && until_wrap - left <= CAPACITY / 4 {
                    self.claim(until_wrap - left - 8);
                }
            }
            Operation::Publish => {
                self.producer().publish();
                self.log.append(&mut self.pending);
            }
            Operation::Abandon => {
                self.producer().abandon();
                self.pending.clear();
            }
            Operation::AddConsumer if self.consumers.len() < 4 => {
                let consumer = self
                    .producer()
                    .consumer(Waiting::Spins)
                    .expect("there is a place");
                let is_new = |other: &Reader<Consumer>| other.place != Some(consumer.place());
                assert!(self.consumers.iter().all(is_new));
                assert!(
                    self.outside
                        .iter()
                        .all(|other| other.place != Some(consumer.place()))
                );
                let (cursor, place) = (self.published(), consumer.place());
                self.consumers
                    .push(Reader::at(consumer, cursor, Some(place)));
            }
            Operation::Poll(who, count) => self.poll(who, count),
            Operation::DropConsumer(who) => drop(take(&mut self.consumers, who)),
            Operation::AddTap if self.taps.len() < 4 => {
                let tap = Tap::open(descriptor(self.producer())).expect("it is a ring");
                let cursor = self.published();
                self.taps.push(Reader::at(tap, cursor, None));
            }
            Operation::ReadTap(who, count) => {
                if let Some(mut reader) = take(&mut self.taps, who) {
                    self.read(&mut reader, count);
                    self.taps.push(reader);
                }
            }
            Operation::AddOutside if self.outside.len() < 3 => self.add_outside(),
            Operation::ReadOutside(who, count, release) => {
                if let Some(mut reader) = take(&mut self.outside, who) {
                    self.read(&mut reader, count);
                    if release {
                        reader.reader.release();
                        reader.released = reader.cursor;
                    }
                    self.outside.push(reader);
                }
            }
            Operation::RemoveOutside(who) => {
                if let Some(mut reader) = take(&mut self.outside, who) {
                    let place = reader.place.take().expect("it has one");
                    self.producer().remove_consumer(place);
                    // It does not know, and says on where it is.
                    reader.reader.release();
                    assert_eq!(self.producer().lag(place), None);
                    self.taps.push(reader);
                }
            }
            Operation::TakeOver => self.take_over(),
            Operation::AddConsumer | Operation::AddTap | Operation::AddOutside => {}
        }
        let (published, least) = (self.published(), self.least_cursor());
        self.producer().invariants();
        assert_eq!(self.producer().published().0, published);
        assert_eq!(self.producer().backlog(), published - least);
    }
}

fn take<R>(readers: &mut Vec<R>, who: usize) -> Option<R> {
    (!readers.is_empty()).then(|| readers.remove(who % readers.len()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn the_ring_is_a_list_of_records(operations in prop::collection::vec(operation(), 1..300)) {
        let mut model = Model::new();
        for operation in &operations {
            model.run(operation);
        }
    }
}

/// That the operations above reach what they are there for.
#[test]
fn the_model_meets_full_rings_padding_and_laps() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut fulls, mut laps, mut paddings) = (0, 0, 0);
    for _ in 0..50 {
        let strategy = prop::collection::vec(operation(), 300);
        let operations = strategy.new_tree(&mut runner).expect("nothing is filtered");
        let mut model = Model::new();
        for operation in &operations.current() {
            model.run(operation);
        }
        fulls += model.fulls;
        laps += model.laps;
        paddings += model.paddings;
    }
    assert!(
        fulls > 50 && laps > 50 && paddings > 50,
        "{fulls} {laps} {paddings}"
    );
}

/// At every distance from the end of the data, and every size up to the largest.
#[test]
fn padding_fills_up_whatever_is_left() {
    for before in (0..CAPACITY / 4).step_by(8) {
        for bytes in [0, 1, 7, 8, 9, before, BODY_BYTES_MAX] {
            let mut model = Model::new();
            model.run(&Operation::AddConsumer);
            model.run(&Operation::AddTap);
            for _ in 0..3 {
                model.claim(BODY_BYTES_MAX);
            }
            model.run(&Operation::ClaimUpTo(before));
            model.run(&Operation::Publish);
            model.run(&Operation::Poll(0, 9));
            model.run(&Operation::ReadTap(0, 9));
            model.claim(bytes.min(BODY_BYTES_MAX));
            model.run(&Operation::Publish);
            model.run(&Operation::Poll(0, 9));
            model.run(&Operation::ReadTap(0, 9));
            assert!(model.log.len() >= 4, "nothing was in the way");
            assert_eq!(model.least_cursor(), model.published());
        }
    }
}

#[test]
fn a_message_survives_and_nothing_else_is_one() {
    use ringcast_ring::{Message, Publisher};
    let publisher = Publisher {
        session: 1,
        generation: 2,
        home: 3,
        packet_id: 4,
    };
    let message = Message {
        sequence: u64::MAX,
        topic_hash: 5,
        source_micros: 6,
        ingest_micros: 7,
        expires_micros: 8,
        publisher,
        qos: 2,
        retain: true,
        topic: b"market/BTCUSDT/trade",
        client_id: b"desk-7",
        properties: b"\x01\x01",
        payload: &[0xFF; 33],
    };
    let mut body = vec![0; message.encoded_len()];
    message.encode(&mut body);
    assert_eq!(Message::decode(&body), Some(message));
    for length in 0..body.len() {
        assert_eq!(Message::decode(&body[..length]), None, "cut at {length}");
    }
    body.push(0);
    assert_eq!(Message::decode(&body), None, "one byte too many");
    body.pop();
    for (at, value) in [
        (64, 3),
        (65, 2),
        (66, 1),
        (71, 1),
        (52, 0xFF),
        (57, 1),
        (63, 0xFF),
    ] {
        let mut wrong = body.clone();
        wrong[at] = value;
        assert_eq!(Message::decode(&wrong), None, "byte {at} is {value}");
    }
}

#[test]
#[should_panic(expected = "leaves by being dropped")]
fn a_consumer_of_this_process_cannot_be_removed_under_itself() {
    let mut producer = Producer::create("remove", CAPACITY).expect("there is memory");
    let consumer = producer.consumer(Waiting::Spins).expect("there is a place");
    producer.remove_consumer(consumer.place());
}

/// Who was removed may not know it yet, and say where it is: no consumer that reads in
/// place gets that place, another process may.
#[test]
fn a_place_that_was_lent_stays_outside() {
    let mut producer = Producer::create("lent", CAPACITY).expect("there is memory");
    let (near, _far) = UnixStream::pair().expect("a descriptor is left");
    let lent = producer.offer_consumer(&near).expect("there is a place");
    let inside: Vec<_> = std::iter::from_fn(|| producer.consumer(Waiting::Spins)).collect();
    assert_eq!(inside.len(), 59);
    producer.remove_consumer(lent);
    assert!(producer.consumer(Waiting::Spins).is_none());
    assert_eq!(producer.offer_consumer(&near).expect("it is free"), lent);
}

#[test]
fn a_reader_of_an_earlier_epoch_moves_no_cursor() {
    let mut producer = Producer::create("epochs", CAPACITY).expect("there is memory");
    let (near, far) = UnixStream::pair().expect("a descriptor is left");
    let place = producer.offer_consumer(&near).expect("there is a place");
    let tap = Tap::accept(&far).expect("it was just sent");
    let cursor = |of: &OwnedFd| support::word(&support::image(of), 512 + 128 * place);
    let memory = descriptor(&producer);
    tap.release();
    assert_eq!(cursor(&memory), 0);
    drop(producer);
    let _next = Producer::take_over(descriptor(&memory)).expect("nobody has it");
    tap.release();
    assert_eq!(cursor(&memory), u64::MAX);
}

#[test]
fn sixty_places_and_none_twice() {
    let mut producer = Producer::create("places", CAPACITY).expect("there is memory");
    let mut consumers: Vec<_> = std::iter::from_fn(|| producer.consumer(Waiting::Spins)).collect();
    let mut places: Vec<_> = consumers.iter().map(Consumer::place).collect();
    places.sort_unstable();
    assert_eq!(places, (0..60).collect::<Vec<_>>());
    let gone = consumers.remove(17).place();
    assert_eq!(producer.lag(gone), None);
    let again = producer
        .consumer(Waiting::Spins)
        .expect("one place is free");
    assert_eq!(again.place(), gone);
    assert!(producer.consumer(Waiting::Spins).is_none());
}
