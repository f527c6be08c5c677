//! Images that no honest producer leaves: whatever stands in the memory, opening,
//! reading and taking over give an error or right data, never a panic.

mod support;

use proptest::prelude::*;
use ringcast_ring::layout::HEADER_BYTES;
use ringcast_ring::{Kind, MemoryError, Producer, Tap, TapError, Waiting};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use support::*;

const CAPACITY: usize = 4096;

/// An image before anything was published, and one after.
struct Images {
    empty: Vec<u8>,
    full: Vec<u8>,
    records: Vec<Copied>,
}

/// A ring that went round twice and then got records of many sizes, padding among
/// them.
fn images() -> Images {
    let mut producer = Producer::create("honest", CAPACITY).expect("there is memory");
    let mut serial = 0;
    let mut write = |producer: &mut Producer, bytes: usize| {
        serial += 1;
        let kind = Kind(1 + serial as u16 % 3);
        let room = producer.claim(bytes, kind).expect("nobody is waited for");
        room.copy_from_slice(&body(serial, bytes));
        producer.publish();
        (kind, body(serial, bytes))
    };
    for _ in 0..10 {
        write(&mut producer, 1000);
    }
    let empty = image(&producer);
    let mut tap = Tap::open(descriptor(&producer)).expect("it is a ring");
    let written: Vec<_> = [0, 5, 8, 700, 1016, 3, 900, 17]
        .into_iter()
        .map(|bytes| write(&mut producer, bytes))
        .collect();
    let (records, error) = read_all(&mut tap);
    assert_eq!(error, None);
    let read: Vec<_> = records
        .iter()
        .map(|(_, kind, body)| (*kind, body.clone()))
        .collect();
    assert_eq!(read, written);
    Images {
        empty,
        full: image(&producer),
        records,
    }
}

fn open(image: &[u8]) -> Result<Tap, MemoryError> {
    Tap::open(memfd(image, SIZE_SEALS))
}

fn open_word(at: usize, value: u64) -> Result<Tap, MemoryError> {
    let mut image = images().empty;
    set_word(&mut image, at, value);
    open(&image)
}

#[test]
fn a_ring_of_another_version_is_refused() {
    let version = word(&images().empty, VERSION_AT);
    for other in [0, version + 1, version + (1 << 32), u64::MAX] {
        assert!(matches!(
            open_word(VERSION_AT, other),
            Err(MemoryError::NotARing)
        ));
    }
    assert!(matches!(open_word(MAGIC_AT, 0), Err(MemoryError::NotARing)));
}

#[test]
fn noise_is_refused() {
    for seed in 0..50 {
        let noise = body(seed, HEADER_BYTES + CAPACITY);
        assert!(matches!(open(&noise), Err(MemoryError::NotARing)));
    }
}

#[test]
fn what_its_maker_could_cut_is_refused() {
    use nix::fcntl::SealFlag;
    let image = images().empty;
    for seals in [
        SealFlag::empty(),
        SealFlag::F_SEAL_SHRINK,
        SealFlag::F_SEAL_GROW,
    ] {
        let tap = Tap::open(memfd(&image, seals));
        assert!(matches!(tap, Err(MemoryError::NotSealed)), "{seals:?}");
        let producer = Producer::take_over(memfd(&image, seals));
        assert!(matches!(producer, Err(MemoryError::NotSealed)), "{seals:?}");
    }
    let null: OwnedFd = std::fs::File::open("/dev/null")
        .expect("it is there")
        .into();
    assert!(matches!(Tap::open(null), Err(MemoryError::NotSealed)));
}

#[test]
fn a_truncated_ring_is_refused() {
    let image = images().empty;
    for bytes in [
        0,
        1,
        7,
        8,
        16,
        4096,
        HEADER_BYTES - 1,
        HEADER_BYTES,
        HEADER_BYTES + CAPACITY - 8,
    ] {
        assert!(open(&image[..bytes]).is_err(), "{bytes} bytes");
    }
    let mut long = image;
    long.extend_from_slice(&[0; 8]);
    assert!(matches!(open(&long), Err(MemoryError::Corrupt)));
}

#[test]
fn a_capacity_that_is_not_that_of_the_file_is_refused() {
    for lie in lies(CAPACITY as u64, CAPACITY as u64) {
        let tap = open_word(CAPACITY_AT, lie);
        assert!(matches!(tap, Err(MemoryError::Corrupt)), "{lie}");
    }
}

/// To map a file with holes is to allocate them: a terabyte costs its maker nothing.
#[test]
fn memory_that_is_not_allocated_is_refused() {
    for bytes in [CAPACITY, 1 << 30, 1 << 33, 1 << 40] {
        let file = std::fs::File::from(memfd(&images().empty, nix::fcntl::SealFlag::empty()));
        file.set_len((HEADER_BYTES + bytes) as u64)
            .expect("holes cost nothing");
        file.write_all_at(&(bytes as u64).to_le_bytes(), CAPACITY_AT as u64)
            .expect("is open");
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_ADD_SEALS(SIZE_SEALS)).expect("a memfd");
        let tap = Tap::open(file.into());
        match bytes {
            CAPACITY => assert!(tap.is_ok()),
            0..=0x2_0000_0000 => assert!(matches!(tap, Err(MemoryError::Sparse)), "{tap:?}"),
            _ => assert!(matches!(tap, Err(MemoryError::NotARing)), "{tap:?}"),
        }
    }
}

/// Reads to the end what a hostile writer keeps changing; the number of steps is
/// bounded by the ring's size. Returns the records.
fn read_hostile(tap: &mut Tap) -> Vec<Copied> {
    let mut records = Vec::new();
    let mut body = Vec::new();
    for _ in 0..2 * CAPACITY / 8 {
        let before = tap.cursor();
        match tap.read(&mut body) {
            Ok(Some((position, kind))) => {
                assert!(before <= position && position < tap.cursor());
                assert!(body.len() <= CAPACITY / 4 - 8);
                assert_ne!(kind, Kind::PADDING);
                records.push((position, kind, body.clone()));
            }
            Ok(None) | Err(TapError::Corrupt(_)) => return records,
            Err(TapError::Lapped { from, to }) => {
                assert!(from == before && to == tap.cursor() && from <= to);
            }
            Err(TapError::NewEpoch(_)) => {}
        }
    }
    records
}

/// A tap at the beginning of the records of `images().full`, on memory that `file`
/// writes.
fn tap_before_the_records(images: &Images) -> (Tap, std::fs::File) {
    let memory = memfd(&images.empty, SIZE_SEALS);
    let file = std::fs::File::from(descriptor(&memory));
    let tap = Tap::open(memory).expect("it is a ring");
    file.write_all_at(&images.full, 0).expect("it is open");
    (tap, file)
}

/// Each word of the header and of the records, and each lie, one at a time.
#[test]
fn every_word_may_lie_to_a_tap() {
    let images = images();
    let (mut tap, _) = tap_before_the_records(&images);
    assert_eq!(read_hostile(&mut tap), images.records, "the truth is read");
    let header = (0..640).step_by(8);
    let data = (HEADER_BYTES..HEADER_BYTES + CAPACITY).step_by(8);
    let heads: Vec<_> = images
        .records
        .iter()
        .map(|(at, ..)| offset(at.0, CAPACITY))
        .collect();
    for at in header.chain(data) {
        let is_position = at == CLAIMED_AT || at == PUBLISHED_AT || heads.contains(&at);
        let truth = word(&images.full, at);
        let values = match is_position {
            true => lies(truth, CAPACITY as u64),
            false => vec![0, u64::MAX, 8, truth ^ 1],
        };
        for value in values {
            let (mut tap, file) = tap_before_the_records(&images);
            file.write_all_at(&value.to_le_bytes(), at as u64)
                .expect("is open");
            let records = read_hostile(&mut tap);
            // Records before the lie are right, whatever it is, unless it calls them lost.
            for (read, written) in records.iter().zip(&images.records) {
                let here = offset(written.0.0, CAPACITY);
                let is_spoilt = (here..here + 8 + written.2.len()).contains(&at);
                if is_spoilt || read.0 != written.0 {
                    break;
                }
                assert_eq!(read, written, "word {at} is {value:#x}");
            }
            // What was opened afterwards copes as well.
            if let Ok(mut late) = open(&image(&file)) {
                read_hostile(&mut late);
            }
        }
    }
}

/// The same for a process that takes the ring over and goes on writing.
#[test]
fn every_word_of_the_header_may_lie_to_a_new_producer() {
    let images = images();
    let mut taken = 0;
    let cursors = (512..HEADER_BYTES).step_by(128);
    for at in (0..512).step_by(8).chain(cursors) {
        for value in lies(word(&images.full, at), CAPACITY as u64) {
            let mut image = images.full.clone();
            set_word(&mut image, at, value);
            let Ok(mut producer) = Producer::take_over(memfd(&image, SIZE_SEALS)) else {
                assert!(at <= CAPACITY_AT || (CLAIMED_AT..=PUBLISHED_AT).contains(&at));
                continue;
            };
            taken += 1;
            let mut consumer = producer
                .consumer(Waiting::Spins)
                .expect("no place is taken");
            for serial in 0..12 {
                let bytes = 90 * serial as usize;
                let room = producer
                    .claim(bytes, Kind(1))
                    .expect("the consumer keeps up");
                room.copy_from_slice(&body(serial, bytes));
                producer.publish();
                producer.invariants();
                let mut batch = consumer.poll().expect("it is our own");
                let record = batch
                    .next_record()
                    .expect("it is our own")
                    .expect("there is one");
                assert_eq!(record.body, body(serial, bytes));
            }
        }
    }
    assert!(taken > 2_000, "most words mean nothing to it: {taken}");
}

/// Positions at which the next record's end would overflow, in agreement with each other.
#[test]
fn a_ring_too_old_to_be_true_is_not_taken_over() {
    for (position, is_right) in [
        (1 << 63, true),
        ((1 << 63) + 8, false),
        (u64::MAX - 7, false),
    ] {
        let mut image = images().full;
        set_word(&mut image, PUBLISHED_AT, position);
        set_word(&mut image, CLAIMED_AT, position);
        let producer = Producer::take_over(memfd(&image, SIZE_SEALS));
        assert_eq!(producer.is_ok(), is_right, "{position:#x}");
        if let Ok(mut producer) = producer {
            producer.claim(1016, Kind(1)).expect("nobody is waited for");
            producer.publish();
            producer.invariants();
        }
    }
}

#[test]
fn a_published_position_that_goes_back_is_corrupt() {
    let images = images();
    let (mut tap, file) = tap_before_the_records(&images);
    read_hostile(&mut tap);
    let truth = tap.cursor().0;
    file.write_all_at(&(truth - 8).to_le_bytes(), PUBLISHED_AT as u64)
        .expect("is open");
    let mut body = Vec::new();
    for _ in 0..3 {
        assert!(matches!(tap.read(&mut body), Err(TapError::Corrupt(_))));
    }
    file.write_all_at(&truth.to_le_bytes(), PUBLISHED_AT as u64)
        .expect("is open");
    assert_eq!(tap.read(&mut body), Ok(None));
}

/// A record may end with the data, and a head may say that it goes on behind them.
#[test]
fn the_last_word_of_the_data_and_not_one_more() {
    let mut producer = Producer::create("end", CAPACITY).expect("there is memory");
    let mut tap = Tap::open(descriptor(&producer)).expect("it is a ring");
    for serial in 0..4 {
        let room = producer.claim(1016, Kind(1)).expect("nobody is waited for");
        room.copy_from_slice(&body(serial, 1016));
    }
    producer.publish();
    let (records, error) = read_all(&mut tap);
    assert_eq!((records.len(), error), (4, None));
    assert_eq!(records[3].2, body(3, 1016));
    assert_eq!(tap.cursor().0, CAPACITY as u64);
    for (bytes, is_right) in [
        (1009_u64, true),
        (1016, true),
        (1017, false),
        (u64::from(u32::MAX), false),
    ] {
        let memory = memfd(
            &image(&Producer::create("end", CAPACITY).expect("memory")),
            SIZE_SEALS,
        );
        let file = std::fs::File::from(descriptor(&memory));
        let mut tap = Tap::open(memory).expect("it is a ring");
        let mut full = image(&producer);
        set_word(&mut full, offset(3 * 1024, CAPACITY), bytes | 1 << 32);
        file.write_all_at(&full, 0).expect("is open");
        let (records, error) = read_all(&mut tap);
        assert_eq!(error.is_none(), is_right, "{bytes}");
        assert_eq!(records.len(), if is_right { 4 } else { 3 });
    }
}

/// A ring with one record of 100 bytes, whose head says something else; what a tap
/// before it gets.
fn read_with_head(head: u64) -> (Vec<Copied>, Option<TapError>) {
    let mut producer = Producer::create("head", CAPACITY).expect("there is memory");
    let mut tap = Tap::open(descriptor(&producer)).expect("it is a ring");
    producer.claim(100, Kind(1)).expect("nobody is waited for");
    producer.publish();
    let head = head.to_le_bytes();
    file(&producer)
        .write_all_at(&head, HEADER_BYTES as u64)
        .expect("is open");
    read_all(&mut tap)
}

#[test]
fn a_record_ends_where_the_published_end_at_most() {
    for (bytes, is_right) in [
        (100, true),
        (104, true),
        (105, false),
        (200, false),
        (1016, false),
    ] {
        let (records, error) = read_with_head(bytes | 1 << 32);
        assert_eq!(records.len(), usize::from(is_right), "{bytes}");
        assert_eq!(
            matches!(error, Some(TapError::Corrupt(_))),
            !is_right,
            "{bytes}"
        );
    }
}

#[test]
fn a_record_ends_where_the_data_end_at_most() {
    for (bytes, is_right) in [(8_u64, true), (32, true), (33, false), (100, false)] {
        let mut producer = Producer::create("end", CAPACITY).expect("there is memory");
        let mut tap = Tap::open(descriptor(&producer)).expect("it is a ring");
        // The last one fills the data up to their end.
        let taken = [904, 904, 904, 904, 400, 32];
        for bytes in taken {
            producer
                .claim(bytes, Kind(1))
                .expect("nobody is waited for");
        }
        producer.publish();
        let head = (bytes | 1 << 32).to_le_bytes();
        let at = HEADER_BYTES + CAPACITY - 40;
        file(&producer)
            .write_all_at(&head, at as u64)
            .expect("is open");
        // Published goes on behind the wrap, and nothing was lost yet.
        let mut body = Vec::new();
        tap.read(&mut body)
            .expect("is right")
            .expect("there is one");
        producer.claim(500, Kind(1)).expect("nobody is waited for");
        producer.publish();
        let (records, error) = read_all(&mut tap);
        let is_corrupt = matches!(error, Some(TapError::Corrupt(_)));
        assert_eq!(is_corrupt, bytes != 32, "{bytes}: {error:?}");
        // A shorter one ends before where the next head is: nonsense stands there.
        assert_eq!(
            records.len(),
            if bytes == 32 {
                6
            } else {
                4 + usize::from(is_right)
            }
        );
    }
}

/// Else a writer could keep a reader going over padding, eight bytes at a time.
#[test]
fn padding_that_fills_nothing_up_is_corrupt() {
    for bytes in [0, 8, 96, 104] {
        let (records, error) = read_with_head(bytes);
        assert!(records.is_empty());
        assert!(matches!(error, Some(TapError::Corrupt(_))), "{bytes}");
    }
}

/// The position that a tap was sent to is the last one there is, and then things look
/// as if they had wrapped.
#[test]
fn positions_do_not_wrap() {
    let images = images();
    let (mut tap, file) = tap_before_the_records(&images);
    let mut body = Vec::new();
    let mut publish = |position: u64| {
        file.write_all_at(&position.to_le_bytes(), PUBLISHED_AT as u64)
            .expect("is open");
        tap.read(&mut body)
    };
    assert!(matches!(
        publish(u64::MAX - 7),
        Err(TapError::Lapped { .. })
    ));
    for position in [0, 8, 16, 1024, CAPACITY as u64 - 8] {
        assert!(
            matches!(publish(position), Err(TapError::Corrupt(_))),
            "{position}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Any words, between any reads.
    #[test]
    fn words_change_while_a_tap_reads(
        changes in prop::collection::vec(
            (0..(HEADER_BYTES + CAPACITY) / 8, any::<u8>(), any::<u64>(), 0..4_usize), 1..60,
        ),
    ) {
        let images = images();
        let (mut tap, file) = tap_before_the_records(&images);
        let positions = lies(word(&images.full, PUBLISHED_AT), CAPACITY as u64);
        let mut body = Vec::new();
        for (at, choice, noise, reads) in changes {
            // Half of them where it hurts.
            let at = match choice {
                0..40 => PUBLISHED_AT,
                40..70 => CLAIMED_AT,
                70..80 => EPOCH_AT,
                80..130 => offset(tap.cursor().0, CAPACITY) & !7,
                _ => at * 8,
            };
            let value = match noise % 3 {
                0 => positions[noise as usize / 3 % positions.len()],
                1 => noise % (2 * CAPACITY as u64),
                _ => noise,
            };
            file.write_all_at(&value.to_le_bytes(), at as u64).expect("is open");
            for _ in 0..reads {
                let _ = tap.read(&mut body);
                prop_assert!(body.len() <= CAPACITY / 4 - 8);
            }
        }
        read_hostile(&mut tap);
    }
}

/// A writer that scribbles at full speed, in a thread of its own.
#[test]
fn a_tap_reads_while_another_scribbles() {
    let images = images();
    let (mut tap, file) = tap_before_the_records(&images);
    let begin = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            begin.wait();
            let positions = lies(word(&images.full, PUBLISHED_AT), CAPACITY as u64);
            for (turn, noise) in body(7, 100_000).chunks_exact(10).enumerate() {
                let noise = u64::from_le_bytes(noise[..8].try_into().expect("eight"));
                let at = match turn % 4 {
                    0 => PUBLISHED_AT,
                    1 => CLAIMED_AT,
                    2 => HEADER_BYTES + (noise as usize % CAPACITY) / 8 * 8,
                    _ => {
                        file.write_all_at(&images.full, 0).expect("is open");
                        continue;
                    }
                };
                let value = positions[noise as usize % positions.len()];
                file.write_all_at(&value.to_le_bytes(), at as u64)
                    .expect("is open");
            }
        });
        begin.wait();
        for _ in 0..50_000 {
            read_hostile(&mut tap);
        }
    });
}

/// Says when dropped that a reader is gone.
struct Gone<'a>(&'a AtomicBool);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A producer that laps the tap again and again: a record is right or called lost.
#[test]
fn a_tap_that_is_lapped_all_the_time_reads_nothing_wrong() {
    const RECORDS: u64 = 300_000;
    let mut producer = Producer::create("lap", CAPACITY).expect("there is memory");
    let mut tap = Tap::open(descriptor(&producer)).expect("it is a ring");
    // What the tap met; the producer goes on until that is enough.
    let (read, lapped) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_gone = AtomicBool::new(false);
    let is_enough = || read.load(Relaxed) > 100 && lapped.load(Relaxed) > 100;
    let goes_on = |serial| serial < RECORDS || !(is_enough() || is_gone.load(Relaxed));
    let bytes_of = |serial: u64| 16 + serial as usize * 7 % 200;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for serial in (0..).take_while(|serial| goes_on(*serial)) {
                let room = producer.claim(bytes_of(serial), Kind(1));
                // The serial over and over, so that any torn copy shows.
                for (at, byte) in room.expect("nobody is waited for").iter_mut().enumerate() {
                    *byte = serial.to_le_bytes()[at % 8];
                }
                // Some are written and never published.
                if serial % 5 == 0 {
                    producer.abandon();
                } else if serial % 3 == 0 {
                    producer.publish();
                }
            }
        });
        // Also if an assertion fails, or the writer would go on for ever.
        let _gone = Gone(&is_gone);
        let mut body = Vec::new();
        while !writer.is_finished() {
            match tap.read(&mut body) {
                Ok(Some(_)) => {
                    read.fetch_add(1, Relaxed);
                    let serial = u64::from_le_bytes(body[..8].try_into().expect("sixteen"));
                    assert_eq!(body.len(), bytes_of(serial));
                    let is_whole = |(at, byte): (usize, &u8)| *byte == serial.to_le_bytes()[at % 8];
                    assert!(body.iter().enumerate().all(is_whole), "{serial}: {body:?}");
                    assert_ne!(serial % 5, 0, "it was abandoned");
                }
                Ok(None) => {}
                Err(TapError::Lapped { .. }) => {
                    lapped.fetch_add(1, Relaxed);
                }
                Err(error) => panic!("the producer is honest: {error}"),
            }
        }
    });
}
