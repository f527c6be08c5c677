//! The ring of another process: what is good of it comes, whatever else is in it, and
//! whatever becomes of the process.

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ringcast_ingest::{Feed, FeedError, Ingest, Phase, Refusal, ShmSettings};
use ringcast_ring::{Kind, Message, Producer, Publisher};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use support::*;

/// A socket of its own for each test.
fn socket() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("ringcast-shm-{}-{number}", std::process::id()))
}

fn engine_with(socket: &Path, capacity: usize) -> Engine {
    let socket = socket.to_owned();
    Engine::new(Feed::shm(&ShmSettings { socket }).unwrap(), 0, capacity)
}

/// A producer that gave its ring: it, and its end of the socket.
struct Handler {
    ring: Producer,
    _stream: UnixStream,
}

impl Handler {
    /// Gives a ring, and waits until it is read.
    fn connect(socket: &Path, capacity: usize) -> Self {
        let ring = Producer::create("handler", capacity).unwrap();
        let mut stream = UnixStream::connect(socket).unwrap();
        ring.offer_tap(&stream).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        Self {
            ring,
            _stream: stream,
        }
    }

    fn write(&mut self, kind: Kind, body: &[u8]) {
        self.ring
            .claim(body.len(), kind)
            .unwrap()
            .copy_from_slice(body);
        self.ring.publish();
    }

    fn publish(&mut self, message: &Message<'_>) {
        let mut body = vec![0; message.encoded_len()];
        message.encode(&mut body);
        self.write(Kind::MESSAGE, &body);
    }

    fn publish_number(&mut self, number: u32) {
        self.publish(&Message {
            topic: b"market/A/trade",
            qos: 1,
            payload: number.to_string().as_bytes(),
            ..Message::default()
        });
    }
}

fn numbers(records: &[Copied]) -> Vec<u32> {
    let number = |record: &Copied| {
        let payload = std::str::from_utf8(record.message().payload).unwrap();
        payload.parse().unwrap()
    };
    records.iter().map(number).collect()
}

/// Turns until a phase is reached, and returns what came meanwhile.
fn run_until_phase(engine: &mut Engine, is_wanted: impl Fn(Phase<'_>) -> bool) -> Vec<Copied> {
    engine.run_until(0, |ingest: &Ingest, _| is_wanted(ingest.feed_state().phase))
}

#[test]
fn a_message_comes_as_its_class_and_its_place_say() {
    let socket = socket();
    let mut engine = engine_with(&socket, 1 << 16);
    assert_eq!(engine.ingest.feed_state().phase, Phase::Waiting);
    engine.turn(5_000_000);
    assert_eq!(engine.ingest.next_due(), Some(6_000_000));
    let mut handler = Handler::connect(&socket, 1 << 16);
    let message = Message {
        sequence: 99,
        topic_hash: 98,
        source_micros: 1_234,
        ingest_micros: 97,
        expires_micros: 5_678,
        publisher: Publisher {
            session: 1,
            generation: 2,
            home: 3,
            packet_id: 4,
        },
        qos: 2,
        retain: true,
        topic: b"market/A/trade",
        client_id: b"nobody",
        properties: b"\x26\0\x01k\0\x01v",
        payload: b"payload",
    };
    handler.publish(&message);
    handler.publish(&Message {
        topic: b"market/A/bbo",
        qos: 1,
        retain: false,
        ..message
    });
    handler.publish(&Message {
        topic: b"anything/else",
        qos: 2,
        ..message
    });
    let records = engine.run_until(7_000_000, |_, records| records.len() == 3);
    let expected = |sequence, topic, qos, retain| Message {
        sequence,
        topic_hash: HASHER.topic(topic),
        ingest_micros: WALL_MICROS + 7_000,
        publisher: Publisher::default(),
        client_id: b"",
        topic,
        qos,
        retain,
        ..message
    };
    assert_eq!(
        records[0].message(),
        expected(1, b"market/A/trade", 1, false)
    );
    assert_eq!(records[1].message(), expected(2, b"market/A/bbo", 0, true));
    assert_eq!(
        records[2].message(),
        expected(3, b"anything/else", 2, false)
    );
    let state = engine.ingest.feed_state();
    assert_eq!(state.phase, Phase::Running);
    assert_eq!(state.last_record_nanos, Some(7_000_000));
    assert_eq!(engine.ingest.counters().feed_producers, 1);
}

#[test]
fn rubbish_is_counted_told_once_and_left_out() {
    let socket = socket();
    // Its records are a quarter of what the handler may write.
    let mut engine = engine_with(&socket, 1 << 14);
    let mut handler = Handler::connect(&socket, 1 << 16);
    let good = Message {
        topic: b"market/A/trade",
        payload: b"0",
        ..Message::default()
    };
    let large = vec![7; 5_000];
    let mut random = 1_u64;
    for _ in 0..2 {
        handler.publish(&good);
        handler.write(Kind(2), b"another kind");
        handler.write(Kind::MESSAGE, b"");
        handler.write(Kind::MESSAGE, &[0xFF; 200]);
        for topic in [&b""[..], b"a/#", b"\xC0"] {
            handler.publish(&Message { topic, ..good });
        }
        handler.publish(&Message {
            topic: b"$SYS/ringcast/up",
            ..good
        });
        for properties in [
            &b"\x23\0\x01"[..],
            b"\x0B\x01",
            b"\x02\0\0\0\x09",
            b"\x26\0",
        ] {
            handler.publish(&Message { properties, ..good });
        }
        handler.publish(&Message {
            payload: &large,
            ..good
        });
        for _ in 0..20 {
            let body: Vec<u8> = (0..100)
                .map(|_| {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (random >> 56) as u8
                })
                .collect();
            handler.write(Kind::MESSAGE, &body);
        }
        handler.publish(&good);
    }
    let records = engine.run_until(0, |_, records| records.len() == 4);
    assert_eq!(numbers(&records), [0; 4]);
    let counters = engine.ingest.counters();
    for (refusal, count) in [
        (Refusal::RecordKind, 2),
        (Refusal::Record, 44),
        (Refusal::Topic, 6),
        (Refusal::TopicReserved, 2),
        (Refusal::Properties, 8),
        (Refusal::TooLarge, 2),
    ] {
        assert_eq!(counters.refused(refusal), count, "{refusal:?}");
    }
    assert_eq!(engine.ingest.take_reports().len(), 6);
    assert_eq!(engine.ingest.feed_state().phase, Phase::Running);
}

#[test]
fn a_full_ring_loses_nothing() {
    let socket = socket();
    let mut engine = engine_with(&socket, 4096);
    let mut handler = Handler::connect(&socket, 1 << 20);
    for number in 0..2_000 {
        handler.publish_number(number);
    }
    let mut records = Vec::new();
    while records.len() < 2_000 {
        engine.turn(0);
        records.append(&mut engine.read_some(7));
    }
    assert_eq!(numbers(&records), (0..2_000).collect::<Vec<_>>());
    assert!(engine.ingest.counters().backpressure_turns > 100);
}

#[test]
fn who_is_lapped_is_told_and_goes_on() {
    let socket = socket();
    let mut engine = engine_with(&socket, 1 << 16);
    let mut handler = Handler::connect(&socket, 4096);
    handler.publish_number(1);
    assert_eq!(
        numbers(&engine.run_until(0, |_, records| records.len() == 1)),
        [1]
    );
    for _ in 0..2 {
        for number in 2..100 {
            handler.publish_number(number);
        }
        let laps = engine.ingest.counters().feed_laps;
        let records = engine.run_until(0, |ingest, _| ingest.counters().feed_laps > laps);
        assert_eq!(records, []);
        handler.publish_number(100);
        assert_eq!(
            numbers(&engine.run_until(0, |_, records| records.len() == 1)),
            [100]
        );
    }
    let counters = engine.ingest.counters();
    assert_eq!(counters.feed_laps, 2);
    // 98 records of 96 bytes, each time, and what filled the end of the data.
    let lapped = counters.feed_lapped_bytes;
    assert!(
        (2 * 98 * 96..2 * 98 * 96 + 2_000).contains(&lapped),
        "{lapped}"
    );
    assert_eq!(engine.ingest.take_reports().len(), 1);
}

/// A writer that claims to have written more than a ring each time it is looked at keeps no
/// turn busy.
#[test]
fn who_laps_without_end_does_not_hold_up_a_turn() {
    let socket = socket();
    let mut engine = engine_with(&socket, 1 << 16);
    let handler = Handler::connect(&socket, 4096);
    engine.run_until(0, |ingest, _| ingest.counters().feed_producers == 1);
    let file = std::fs::File::from(handler.ring.as_fd().try_clone_to_owned().unwrap());
    for turn in 1..100_u64 {
        // `published`, as the layout has it.
        file.write_all_at(&(turn * 8_192).to_le_bytes(), 136)
            .unwrap();
        engine.turn(0);
        assert_eq!(engine.ingest.counters().feed_laps, turn);
    }
    assert_eq!(engine.ingest.take_reports().len(), 1);
}

#[test]
fn a_ring_that_is_none_any_more_fails_the_feed_until_the_next_comes() {
    let socket = socket();
    let mut engine = engine_with(&socket, 1 << 16);
    let mut handler = Handler::connect(&socket, 4096);
    handler.publish_number(1);
    engine.run_until(0, |_, records| records.len() == 1);
    handler.publish_number(2);
    // The head of the second record, as the layout has it: a length that can not be.
    let file = std::fs::File::from(handler.ring.as_fd().try_clone_to_owned().unwrap());
    let second = 8192 + 96;
    file.write_all_at(&u32::MAX.to_le_bytes(), second).unwrap();
    let records = run_until_phase(&mut engine, |phase| matches!(phase, Phase::Failed { .. }));
    assert_eq!(records, []);
    handler.publish_number(3);
    engine.turn(0);
    assert_eq!(engine.read(), []);
    assert_eq!(engine.ingest.take_reports().len(), 1);

    drop(handler);
    let mut handler = Handler::connect(&socket, 4096);
    handler.publish_number(4);
    let records = engine.run_until(0, |_, records| records.len() == 1);
    assert_eq!(numbers(&records), [4]);
    assert_eq!(engine.ingest.feed_state().phase, Phase::Running);
}

/// One that comes while another is there waits, and nothing of the first is lost.
#[test]
fn what_was_published_before_the_end_still_comes_and_the_next_waits_for_it() {
    let socket = socket();
    let mut engine = engine_with(&socket, 1 << 16);
    let mut first = Handler::connect(&socket, 1 << 16);
    let second = Producer::create("second", 1 << 16).unwrap();
    let mut stream = UnixStream::connect(&socket).unwrap();
    second.offer_tap(&stream).unwrap();
    for number in 0..600 {
        first.publish_number(number);
    }
    drop(first);
    let records = engine.run_until(0, |ingest, _| ingest.counters().feed_producers == 2);
    assert_eq!(numbers(&records), (0..600).collect::<Vec<_>>());
    stream.read_exact(&mut [0]).unwrap();
    let mut second = Handler {
        ring: second,
        _stream: stream,
    };
    second.publish_number(7);
    assert_eq!(
        numbers(&engine.run_until(0, |_, records| records.len() == 1)),
        [7]
    );
    assert_eq!(engine.ingest.sequencer().sequence(), 601);
}

/// The memory of a ring is gone when its producer is, and not only when the next one comes.
#[test]
fn a_ring_that_is_done_with_is_unmapped() {
    let socket = socket();
    let mut engine = engine_with(&socket, 1 << 16);
    let ring = Producer::create("done-with", 1 << 16).unwrap();
    let mut stream = UnixStream::connect(&socket).unwrap();
    ring.offer_tap(&stream).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    drop(ring);
    let is_mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.contains("memfd:done-with")
    };
    run_until_phase(&mut engine, |phase| phase == Phase::Running);
    assert!(is_mapped());
    drop(stream);
    run_until_phase(&mut engine, |phase| phase == Phase::Waiting);
    while is_mapped() {
        std::thread::yield_now();
    }
}

#[test]
fn who_gives_no_ring_is_told_of_and_does_not_block_others() {
    let socket = socket();
    let mut engine = engine_with(&socket, 1 << 16);
    // Nothing, rubbish, and a descriptor that is no ring are the handover's to refuse.
    drop(UnixStream::connect(&socket).unwrap());
    let mut rubbish = UnixStream::connect(&socket).unwrap();
    std::io::Write::write_all(&mut rubbish, &[7; 16]).unwrap();
    let mut handler = Handler::connect(&socket, 4096);
    handler.publish_number(1);
    assert_eq!(
        numbers(&engine.run_until(0, |_, records| records.len() == 1)),
        [1]
    );
    let reports = engine.ingest.take_reports();
    assert_eq!(reports.len(), 2, "{reports:?}");
}

#[test]
fn a_socket_that_was_left_behind_is_taken_and_one_in_use_is_not() {
    let path = socket();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "as a process leaves it that was killed");
    let engine = engine_with(&path, 4096);
    match Feed::shm(&ShmSettings {
        socket: path.clone(),
    }) {
        Err(error @ FeedError::Socket { .. }) => {
            assert!(error.to_string().contains("is taken"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    drop(engine);
    assert!(!path.exists());
    std::fs::write(&path, "is no socket").unwrap();
    assert!(
        Feed::shm(&ShmSettings {
            socket: path.clone()
        })
        .is_err()
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"is no socket");
    std::fs::remove_file(&path).unwrap();
    let nowhere = ShmSettings {
        socket: "/no/such/folder/socket".into(),
    };
    let error = Feed::shm(&nowhere).unwrap_err().to_string();
    assert!(
        error.starts_with("no socket for a producer at /no/such/folder"),
        "{error}"
    );
}

/// The variable by which this program is told to be a producer.
const BE_PRODUCER: &str = "RINGCAST_TEST_PRODUCER";

/// Not a test, unless the program was started by the one below: a process that publishes
/// numbers until it is killed, one for each line that it is given.
#[test]
fn producer_of_another_process() {
    let Some(socket) = std::env::var_os(BE_PRODUCER) else {
        return;
    };
    let mut handler = Handler::connect(Path::new(&socket), 1 << 16);
    println!("\nready");
    for line in std::io::stdin().lines() {
        handler.publish_number(line.unwrap().parse().unwrap());
        println!("\npublished");
    }
}

struct Process {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Process {
    fn start(socket: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "producer_of_another_process", "--nocapture"])
            .env(BE_PRODUCER, socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self { child, out };
        process.wait_for("ready");
        process
    }

    fn wait_for(&mut self, wanted: &str) {
        let mut line = String::new();
        while line.trim_end() != wanted {
            line.clear();
            assert_ne!(self.out.read_line(&mut line).unwrap(), 0, "it died");
        }
    }

    fn publish(&mut self, number: u32) {
        use std::io::Write;
        writeln!(self.child.stdin.as_mut().unwrap(), "{number}").unwrap();
        self.wait_for("published");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_producer_that_is_stopped_or_killed_comes_back() {
    let socket = socket();
    let mut engine = engine_with(&socket, 1 << 16);
    let mut process = Process::start(&socket);
    process.publish(1);
    let records = engine.run_until(1_000, |_, records| records.len() == 1);
    assert_eq!(numbers(&records), [1]);

    process.signal(Signal::SIGSTOP);
    for turn in 2..100 {
        assert!(!engine.turn(turn * 1_000));
    }
    let state = engine.ingest.feed_state();
    assert_eq!(state.phase, Phase::Running);
    assert_eq!(
        state.last_record_nanos,
        Some(1_000),
        "that it is stale shows"
    );
    process.signal(Signal::SIGCONT);
    process.publish(2);
    process.publish(3);
    process.signal(Signal::SIGKILL);
    let records = run_until_phase(&mut engine, |phase| phase == Phase::Waiting);
    assert_eq!(
        numbers(&records),
        [2, 3],
        "what it had published is not lost"
    );
    assert_eq!(engine.ingest.take_reports().len(), 1);

    let mut process = Process::start(&socket);
    process.publish(4);
    let records = engine.run_until(0, |_, records| records.len() == 1);
    assert_eq!(numbers(&records), [4]);
    assert_eq!(engine.ingest.counters().feed_producers, 2);
}
