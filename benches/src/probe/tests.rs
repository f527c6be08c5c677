//! The probe in front of servers that do as they should, and of servers that do not.

use super::acknowledgements::puback;
use super::publisher::Publisher;
use super::{
    Beside, Dialect, Interest, Moment, Pace, Run, Target, Wanted, Workload, outstanding,
    outstanding_unacknowledged, per_second,
};
use crate::error::{DeliveryFault, Error};
use crate::relay;
use crate::report::{LATE, PROBE_BUSY, SERVER_BUSY};
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Connack, Connect, Decoder, Kind, Packet, Properties, ReasonCode, ReasonCodes, Sender, Suback,
    Version,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A server in a thread of the test.
#[derive(Debug, Clone, Copy)]
struct Local {
    address: SocketAddr,
    dialect: Dialect,
    /// What its subscribers want.
    interest: Interest,
}

impl Local {
    fn workload(&self, pace: Pace) -> Workload {
        Workload::new(SUBSCRIBERS, self.interest, PAYLOAD_BYTES, pace)
    }
}

impl Target for Local {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn cpu_nanos(&self) -> Option<u64> {
        Some(0)
    }
}

const SUBSCRIBERS: usize = 5;

/// Bytes of payload: such a size that no number of messages fills a read.
const PAYLOAD_BYTES: usize = 37;

const NANOS: u64 = 20_000_000;

/// All that subscribers can want.
const INTERESTS: [Interest; 3] = [Interest::Topic, Interest::Wildcard { topics: 3 }, LISTS];

const LISTS: Interest = Interest::WatchLists {
    topics: 10,
    each: 3,
};

/// Each workload's figures, by name.
fn figures(target: &Local, pace: Pace) -> BTreeMap<&'static str, f64> {
    let figures = target
        .workload(pace)
        .run(target, NANOS)
        .expect("the server is right");
    let by_name: BTreeMap<_, _> = figures
        .iter()
        .map(|figure| (figure.name, figure.value))
        .collect();
    assert!((0.0..=1.0).contains(&by_name[PROBE_BUSY]), "{by_name:?}");
    assert_eq!(by_name[SERVER_BUSY], 0.0);
    by_name
}

fn all_paces(target: &Local) {
    for window in [1, 3, 64] {
        let figures = figures(target, Pace::Outstanding(window));
        assert!(figures["deliveries"] > 0.0, "{figures:?}");
    }
    let spread = figures(target, Pace::OneByOne);
    let (first_to_last, whole) = (spread["first to last"], spread["publish to last"]);
    assert!(first_to_last > 0.0 && first_to_last <= whole, "{spread:?}");
    let times = figures(target, Pace::PerSecond(1_000));
    let names = ["p50", "p99", "p99.9", "max"];
    let values = names.map(|name| times[name]);
    assert!(values[0] > 0.0 && values.is_sorted(), "{times:?}");
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("is bound");
    (listener, address)
}

#[test]
fn the_bare_relay_delivers_everything_at_any_pace() {
    for is_parked in [false, true] {
        for interest in INTERESTS {
            with_relay(is_parked, interest, all_paces);
        }
    }
}

/// Does something to a relay, which ends with it.
fn with_relay(is_parked: bool, interest: Interest, work: impl FnOnce(&Local)) {
    let (listener, address) = listener();
    let (stop, stopped) = UnixStream::pair().expect("a pair of sockets");
    let (dialect, by_topic) = if interest == LISTS {
        (Dialect::Routed, Some(PAYLOAD_BYTES))
    } else {
        (Dialect::Bare, None)
    };
    thread::scope(|scope| {
        scope.spawn(move || relay::serve(&listener, stopped, is_parked, by_topic).expect("relays"));
        // Also when an assertion fails: the relay ends when this is dropped.
        let _stop = stop;
        work(&Local {
            address,
            dialect,
            interest,
        });
    });
}

/// The sockets take what little there is, so the relay does not wait for who stalls.
#[test]
fn who_stalls_is_waited_for_no_more_and_looked_at_in_the_end() {
    with_relay(false, Interest::Wildcard { topics: 3 }, |relay| {
        let workload = relay.workload(Pace::PerSecond(1_000));
        let mut run = Run::connect(relay, &workload).expect("the relay is right");
        let stall = |run: &mut Run<'_>| run.stall(2);
        per_second(&mut run, 1_000, NANOS, stall).expect("the relay is right");
        assert_eq!(run.subscribers.reading(), SUBSCRIBERS - 2);
        let published = run.publisher.published();
        let all = (SUBSCRIBERS - 2) as u64 * published;
        // Before they stalled, those two got some, too.
        assert!(run.subscribers.delivered() > all);
        assert_eq!(run.subscribers.check_stalled(published).ok(), Some(2));

        let crowded = Workload {
            laggards: 4,
            ..relay.workload(Pace::Outstanding(4))
        };
        let mut run = Run::connect(relay, &crowded).expect("the relay is right");
        outstanding(&mut run, 4, NANOS / 100, 50).expect("the relay is right");
        let published = run.publisher.published();
        assert!(published >= 50);
        assert_eq!(run.subscribers.check_stalled(published).ok(), Some(4));
        let fault = run.subscribers.check_stalled(published);
        assert_eq!(fault.ok(), Some(4), "nothing is left");
    });
}

/// What a server makes of a message: bytes to send instead of it, or the subscribers'
/// end.
type Mischief = fn(sequence: u64, message: &[u8]) -> Option<Vec<u8>>;

/// Answers a handshake; the publisher's is the last.
type Greet = fn(stream: &mut TcpStream, is_publisher: bool);

/// Accepts subscribers and then a publisher, forwards each message to all after some
/// mischief until the publisher leaves, and accepts the next. Its thread ends with the
/// test's process.
fn start_server(dialect: Dialect, interest: Interest, greet: Greet, mischief: Mischief) -> Local {
    let (listener, address) = listener();
    let forms = dialect.forms(interest, PAYLOAD_BYTES);
    let mut message = vec![0; forms.published.bytes()];
    thread::spawn(move || {
        loop {
            let mut streams: Vec<_> = (0..=SUBSCRIBERS)
                .map(|number| {
                    let (mut stream, _) = listener.accept().expect("somebody connects");
                    greet(&mut stream, number == SUBSCRIBERS);
                    stream
                })
                .collect();
            let mut publisher = streams.pop().expect("the last one");
            for sequence in 0.. {
                if publisher.read_exact(&mut message).is_err() {
                    break;
                }
                let stamp = forms.published.read(&message).expect("it is a message");
                let mut delivery = Vec::new();
                forms.delivered.write(stamp, &mut delivery);
                match mischief(sequence, &delivery) {
                    // Whoever met a fault has left, so nothing comes of a failure.
                    Some(bytes) => streams.iter_mut().for_each(|subscriber| {
                        let _ = subscriber.write_all(&bytes);
                    }),
                    None => streams.clear(),
                }
                if dialect == Dialect::Resp {
                    let _ = publisher.write_all(b":5\r\n");
                }
            }
        }
    });
    Local {
        address,
        dialect,
        interest,
    }
}

/// Does it to the message that has the number 5.
fn fifth(sequence: u64, message: &[u8], mischief: impl Fn(&mut Vec<u8>)) -> Option<Vec<u8>> {
    let mut bytes = message.to_vec();
    if sequence == 5 {
        mischief(&mut bytes);
    }
    Some(bytes)
}

/// Changes what is behind the stamp.
fn spoil_end(bytes: &mut [u8]) {
    *bytes.last_mut().expect("it has a payload") ^= 1;
}

fn fault_of(target: &Local) -> DeliveryFault {
    match target.workload(Pace::Outstanding(8)).run(target, NANOS) {
        Err(Error::Delivery { subscriber, fault }) => {
            assert!(subscriber < SUBSCRIBERS);
            fault
        }
        other => panic!("a wrong delivery was not noticed: {other:?}"),
    }
}

#[test]
fn a_wrong_delivery_is_an_error_and_never_a_figure() {
    for interest in [Interest::Topic, Interest::Wildcard { topics: 3 }] {
        wrong_deliveries(interest);
    }
}

fn wrong_deliveries(interest: Interest) {
    let fault = |expected, found| DeliveryFault::Sequence { expected, found };
    let bare = |mischief| fault_of(&start_server(Dialect::Bare, interest, |_, _| {}, mischief));
    let lost = bare(|sequence, message| fifth(sequence, message, Vec::clear));
    assert_eq!(lost, fault(5, 6));
    let repeated =
        bare(|sequence, message| fifth(sequence, message, |bytes| *bytes = bytes.repeat(2)));
    assert_eq!(repeated, fault(6, 5));
    let never_published = bare(|sequence, message| {
        let far = |bytes: &mut Vec<u8>| {
            let stamp_at = bytes.len() - PAYLOAD_BYTES;
            bytes[stamp_at..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
        };
        fifth(sequence, message, far)
    });
    let sequence = u64::MAX;
    assert_eq!(never_published, DeliveryFault::NeverPublished { sequence });
    let spoilt = bare(|sequence, message| fifth(sequence, message, |bytes| spoil_end(bytes)));
    assert!(matches!(spoilt, DeliveryFault::Foreign(_)), "{spoilt:?}");
    let closed = bare(|sequence, message| (sequence != 5).then(|| message.to_vec()));
    assert_eq!(closed, DeliveryFault::Closed(String::new()));
}

/// Who has a list gets nothing else.
#[test]
fn a_message_that_is_not_on_the_list_is_an_error() {
    let everything_to_all: Mischief = |_, message| Some(message.to_vec());
    let server = start_server(Dialect::Bare, LISTS, |_, _| {}, everything_to_all);
    let fault = fault_of(&server);
    assert!(matches!(fault, DeliveryFault::Unwanted { .. }), "{fault:?}");
}

/// Nor one whose topic and number are right, and whose bytes are not.
#[test]
fn a_spoilt_message_of_a_list_is_an_error() {
    let interest = Interest::WatchLists { topics: 1, each: 1 };
    let spoilt: [Mischief; 2] = [
        |sequence, message| {
            let stamp_at = message.len() - PAYLOAD_BYTES;
            fifth(sequence, message, |bytes| bytes[stamp_at] -= 1)
        },
        |sequence, message| fifth(sequence, message, |bytes| spoil_end(bytes)),
    ];
    for mischief in spoilt {
        let fault = fault_of(&start_server(Dialect::Bare, interest, |_, _| {}, mischief));
        assert!(matches!(fault, DeliveryFault::Foreign(_)), "{fault:?}");
    }
}

/// Keeps the probe from its work once, when some messages were published.
struct Hiccup {
    after: u64,
    /// How many were published when it looked last, and the most since the look before.
    published: u64,
    burst: u64,
}

impl Beside for Hiccup {
    fn turn(&mut self, moment: &Moment<'_>) -> Result<bool, Error> {
        self.burst = self.burst.max(moment.published - self.published);
        if moment.published >= self.after && self.published < self.after {
            thread::sleep(Duration::from_millis(15));
        }
        self.published = moment.published;
        Ok(false)
    }
}

#[test]
fn what_the_probe_publishes_late_is_told_and_goes_at_once() {
    with_relay(false, Interest::Topic, |relay| {
        let mut hiccup = Hiccup {
            after: 600,
            published: 0,
            burst: 0,
        };
        let mut run = Run::connect(relay, &relay.workload(Pace::PerSecond(100_000)))
            .expect("the relay is right");
        run.accompany(&mut hiccup);
        let latencies = per_second(&mut run, 100_000, NANOS, |_| Ok(())).expect("it is right");
        let figures = latencies.figures();
        let late = figures.iter().find(|figure| figure.name == LATE);
        // Of 1,600 messages most of the last 1,400, which were due in those 15 ms.
        let late = late.expect("is told").value;
        assert!(late > 0.2, "{late}");
        drop(run);
        // As many as may be under way, but those that were.
        assert!((100..=512).contains(&hiccup.burst), "{}", hiccup.burst);
    });
}

#[test]
fn redis_is_spoken() {
    for interest in [Interest::Topic, Interest::Wildcard { topics: 3 }] {
        let greet: Greet = match interest {
            Interest::Topic => |stream, last| greet_resp(stream, last, Wanted::Topics(&[0])),
            _ => |stream, last| greet_resp(stream, last, Wanted::All),
        };
        let everything: Mischief = |_, message| Some(message.to_vec());
        all_paces(&start_server(Dialect::Resp, interest, greet, everything));
        // An error to a subscriber instead of a message.
        let server = start_server(Dialect::Resp, interest, greet, |sequence, message| {
            fifth(sequence, message, |bytes| bytes[0] = b'-')
        });
        let fault = fault_of(&server);
        assert!(matches!(fault, DeliveryFault::Foreign(_)), "{fault:?}");
    }
    // Who wanted a pattern is told that it has a channel.
    let other: Greet = |stream, last| greet_resp(stream, last, Wanted::Topics(&[0]));
    let interest = Interest::Wildcard { topics: 1 };
    let server = start_server(Dialect::Resp, interest, other, |_, _| None);
    let outcome = server.workload(Pace::OneByOne).run(&server, NANOS);
    let Err(Error::Refused { answer }) = outcome else {
        panic!("another answer was not noticed: {outcome:?}");
    };
    assert!(answer.contains("subscribe"), "{answer}");
}

fn greet_resp(stream: &mut TcpStream, is_publisher: bool, agreed: Wanted<'_>) {
    if !is_publisher {
        // Whatever was asked for; it is small, and comes at once.
        let mut asked = [0; 256];
        let count = stream.read(&mut asked).expect("the client asks");
        assert!(count > 0);
        let mut answer = Dialect::Resp.greeting(0, agreed).answer;
        // As long as any answer that is awaited.
        answer.resize(answer.len().max(64), b'!');
        let awaited = if asked.starts_with(b"*2\r\n$10\r\npsubscribe") {
            Dialect::Resp.greeting(0, Wanted::All).answer.len()
        } else {
            Dialect::Resp.greeting(0, Wanted::Topics(&[0])).answer.len()
        };
        stream.write_all(&answer[..awaited]).expect("it reads");
    }
}

#[test]
fn a_publisher_is_answered_each_message() {
    let wrong_answer = |dialect: Dialect, answers: &'static [u8]| {
        let (listener, address) = listener();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody connects");
            if dialect == Dialect::MqttAcknowledged {
                greet_mqtt(&mut stream, true, ReasonCode::Success);
            }
            let _ = stream.write_all(answers);
            // It stays until the client leaves.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let form = dialect.forms(Interest::Topic, PAYLOAD_BYTES).published;
        let mut publisher = Publisher::connect(address, dialect, form, 1).expect("it listens");
        for _ in 0..3 {
            publisher.publish(0, 0);
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        let fault = loop {
            if let Err(fault) = publisher.flush() {
                break fault;
            }
            assert!(Instant::now() < deadline, "it is taken for right");
        };
        let Error::Refused { answer } = fault else {
            panic!("a refusal was not noticed: {fault:?}");
        };
        (answer, publisher.unanswered())
    };
    let (answer, unanswered) = wrong_answer(Dialect::Resp, b":1\r\n-ERR no\r\n");
    assert!(answer.contains("-ERR no"), "{answer}");
    assert_eq!(unanswered, 2);
    // The third one's where the second one's is due.
    let pubacks = b"\x40\x02\x00\x01\x40\x02\x00\x03";
    let (_, unanswered) = wrong_answer(Dialect::MqttAcknowledged, pubacks);
    assert_eq!(unanswered, 2);
}

/// Agrees to CONNECT, and to SUBSCRIBE unless told otherwise.
fn greet_mqtt(stream: &mut TcpStream, is_publisher: bool, suback: ReasonCode) {
    let mut bytes = Vec::new();
    let connack = Packet::Connack(Connack {
        session_present: false,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    });
    read_until(stream, &mut bytes, |bytes| {
        match Connect::decode(bytes, 1_000).expect("is a CONNECT") {
            Progress::Done(connect, _) => {
                assert_eq!(connect.version, Version::V311);
                assert_eq!(
                    connect.client_id.as_str() == "bench-publisher",
                    is_publisher
                );
                true
            }
            Progress::Partial { .. } => false,
        }
    });
    answer(stream, &connack);
    if is_publisher {
        return;
    }
    let client = Decoder {
        version: Version::V311,
        sender: Sender::Client,
        packet_bytes_max: 1_000,
    };
    let mut packet_id = None;
    bytes.clear();
    read_until(stream, &mut bytes, |bytes| {
        if let Progress::Done(packet, _) = client.decode(bytes).expect("is a packet") {
            let Packet::Subscribe(subscribe) = packet else {
                panic!("is a SUBSCRIBE");
            };
            packet_id = Some(subscribe.packet_id);
        }
        packet_id.is_some()
    });
    let reasons = [suback as u8];
    let suback = Packet::Suback(Suback {
        packet_id: packet_id.expect("was read"),
        properties: Properties::EMPTY,
        reasons: ReasonCodes::new(&reasons, Kind::Suback).expect("is one of its codes"),
    });
    answer(stream, &suback);
}

fn read_until(stream: &mut TcpStream, bytes: &mut Vec<u8>, mut is_done: impl FnMut(&[u8]) -> bool) {
    while !is_done(bytes) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the client goes on");
        bytes.push(byte[0]);
    }
}

fn answer(stream: &mut TcpStream, packet: &Packet<'_>) {
    let mut bytes = vec![0; packet.encoded_len(Version::V311).expect("is small")];
    packet.encode(Version::V311, &mut bytes).expect("is small");
    stream.write_all(&bytes).expect("the client reads");
}

#[test]
fn mqtt_is_spoken() {
    let greet: Greet = |stream, last| greet_mqtt(stream, last, ReasonCode::Success);
    for interest in [Interest::Topic, Interest::Wildcard { topics: 3 }] {
        all_paces(&start_server(
            Dialect::Mqtt,
            interest,
            greet,
            |_, message| Some(message.to_vec()),
        ));
    }
}

#[test]
fn a_server_that_speaks_other_mqtt_is_an_error() {
    let greet: Greet = |stream, last| greet_mqtt(stream, last, ReasonCode::Success);
    let retained = start_server(
        Dialect::Mqtt,
        Interest::Topic,
        greet,
        |sequence, message| fifth(sequence, message, |bytes| bytes[0] |= 1),
    );
    let fault = fault_of(&retained);
    let DeliveryFault::Foreign(what) = fault else {
        panic!("RETAIN was not noticed: {fault:?}");
    };
    assert!(what.starts_with("Publish: "), "{what}");

    let greet: Greet = |stream, last| greet_mqtt(stream, last, ReasonCode::UnspecifiedError);
    let refusing = start_server(Dialect::Mqtt, Interest::Topic, greet, |_, _| None);
    let outcome = refusing.workload(Pace::OneByOne).run(&refusing, NANOS);
    let Err(Error::Refused { answer }) = outcome else {
        panic!("a refusal was not noticed: {outcome:?}");
    };
    assert!(answer.starts_with("Suback: "), "{answer}");
}

/// A server at QoS 1 in a thread of the test.
struct Acknowledged {
    local: Local,
    /// Its ends of the subscribers' connections, when all are there.
    ends: Receiver<Vec<TcpStream>>,
    /// Messages that came.
    came: Arc<AtomicU64>,
    /// How many had, whenever its processor time was asked for.
    looks: RefCell<Vec<u64>>,
}

/// Accepts subscribers and a publisher once. Answers each message and forwards it after some
/// mischief, with an identifier of its own.
fn start_acknowledged(interest: Interest, granted: ReasonCode, mischief: Mischief) -> Acknowledged {
    let (listener, address) = listener();
    let form = Dialect::MqttAcknowledged
        .forms(interest, PAYLOAD_BYTES)
        .published;
    let place = form.packet_id().expect("it has one");
    let (give_ends, ends) = channel();
    let came = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&came);
    thread::spawn(move || {
        let mut streams: Vec<_> = (0..=SUBSCRIBERS)
            .map(|number| {
                let (mut stream, _) = listener.accept().expect("somebody connects");
                greet_mqtt(&mut stream, number == SUBSCRIBERS, granted);
                stream
            })
            .collect();
        let mut publisher = streams.pop().expect("the last one");
        let clones = streams.iter().map(TcpStream::try_clone);
        let _ = give_ends.send(clones.map(|end| end.expect("is open")).collect());
        let mut message = vec![0; form.bytes()];
        for sequence in 0.. {
            if publisher.read_exact(&mut message).is_err() {
                break;
            }
            counted.fetch_add(1, Relaxed);
            let answer = puback(u16::from_be_bytes([message[14], message[15]]));
            let _ = publisher.write_all(&answer);
            message[place.clone()].copy_from_slice(&own_id(sequence).to_be_bytes());
            let bytes = mischief(sequence, &message).expect("it goes on");
            for subscriber in &mut streams {
                let _ = subscriber.write_all(&bytes);
            }
        }
    });
    let local = Local {
        address,
        dialect: Dialect::Mqtt,
        interest,
    };
    Acknowledged {
        local,
        ends,
        came,
        looks: RefCell::default(),
    }
}

/// The server's identifiers come round soon.
fn own_id(sequence: u64) -> u16 {
    (1_000 + sequence % 600) as u16
}

impl Acknowledged {
    fn workload(&self) -> Workload {
        Workload {
            is_acknowledged: true,
            ..self.local.workload(Pace::Outstanding(8))
        }
    }

    /// Each of these must have been told the same of so many messages.
    fn check(ends: &mut [TcpStream], messages: u64) {
        let due: Vec<_> = (0..messages).flat_map(|m| puback(own_id(m))).collect();
        let mut told = vec![0; due.len()];
        for end in ends {
            end.set_read_timeout(Some(Duration::from_secs(20)))
                .expect("it is one");
            end.read_exact(&mut told).expect("all are acknowledged");
            assert_eq!(told, due);
        }
    }
}

impl Target for Acknowledged {
    fn address(&self) -> SocketAddr {
        self.local.address()
    }

    fn dialect(&self) -> Dialect {
        self.local.dialect()
    }

    fn cpu_nanos(&self) -> Option<u64> {
        self.looks.borrow_mut().push(self.came.load(Relaxed));
        Some(0)
    }
}

const UNSPOILT: Mischief = |_, message| Some(message.to_vec());

#[test]
fn each_delivery_at_qos_1_is_acknowledged_once_and_in_order() {
    let list = Interest::WatchLists { topics: 1, each: 1 };
    for interest in [Interest::Topic, Interest::Wildcard { topics: 3 }, list] {
        let server = start_acknowledged(interest, ReasonCode::GrantedQos1, UNSPOILT);
        let mut run = Run::connect(&server, &server.workload()).expect("it is right");
        let throughput = outstanding(&mut run, 8, NANOS, 0).expect("it is right");
        assert!(throughput.figures()[0].value > 0.0);
        assert_eq!(run.publisher.unanswered(), 0);
        let mut ends = server.ends.recv().expect("all are there");
        Acknowledged::check(&mut ends, run.publisher.published());
    }
}

#[test]
fn what_is_withheld_is_acknowledged_when_it_is_released() {
    const MESSAGES: u64 = 50;
    let server = start_acknowledged(Interest::Topic, ReasonCode::GrantedQos1, UNSPOILT);
    let mut run = Run::connect(&server, &server.workload()).expect("it is right");
    let mut ends = server.ends.recv().expect("all are there");
    run.subscribers.withhold_acknowledgements();
    for _ in 0..MESSAGES {
        run.publish(run.now);
    }
    while run.complete() < MESSAGES {
        run.turn(|_| {}).expect("it is right");
    }
    for end in &mut ends {
        end.set_nonblocking(true).expect("it is one");
        let told = end.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(told, Err(ErrorKind::WouldBlock));
        end.set_nonblocking(false).expect("it is one");
    }
    assert!(!run.subscribers.has_acknowledged());
    run.subscribers.release_acknowledgements();
    run.drain(|_| {}).expect("it is right");
    Acknowledged::check(&mut ends, MESSAGES);
}

/// Or else a server would wait for acknowledgements, and the probe for messages.
#[test]
fn no_more_is_withheld_than_a_server_bears() {
    const MOST: u64 = 200;
    let server = start_acknowledged(Interest::Topic, ReasonCode::GrantedQos1, UNSPOILT);
    let mut run = Run::connect(&server, &server.workload()).expect("it is right");
    // Long enough for many more.
    outstanding_unacknowledged(&mut run, 8, 50 * NANOS, MOST).expect("it is right");
    let looks = server.looks.borrow();
    let &[begin, end] = looks.as_slice() else {
        panic!("figures begin and end: {looks:?}");
    };
    assert!(end - begin <= MOST, "{looks:?}");
}

#[test]
fn a_wrong_delivery_at_qos_1_is_an_error() {
    let fault = |mischief: Mischief| {
        let server = start_acknowledged(Interest::Topic, ReasonCode::GrantedQos1, mischief);
        match server.workload().run(&server, NANOS) {
            Err(Error::Delivery { fault, .. }) => fault,
            other => panic!("a wrong delivery was not noticed: {other:?}"),
        }
    };
    let lost = fault(|sequence, message| fifth(sequence, message, Vec::clear));
    let (expected, found) = (5, 6);
    assert_eq!(lost, DeliveryFault::Sequence { expected, found });
    // Fixed header, topic, packet identifier: 2, 2 + 10, 2 bytes.
    let no_id = fault(|sequence, message| fifth(sequence, message, |bytes| bytes[14..16].fill(0)));
    assert_eq!(no_id, DeliveryFault::PacketId { packet_id: 0 });
    let spoilt: [Mischief; 3] = [
        // DUP, the topic, and the payload behind its stamp.
        |sequence, message| fifth(sequence, message, |bytes| bytes[0] |= 8),
        |sequence, message| fifth(sequence, message, |bytes| bytes[13] ^= 1),
        |sequence, message| fifth(sequence, message, |bytes| bytes[45] ^= 1),
    ];
    for mischief in spoilt {
        let foreign = fault(mischief);
        let DeliveryFault::Foreign(what) = foreign else {
            panic!("it was not told what came: {foreign:?}");
        };
        assert!(what.starts_with("Publish: "), "{what}");
    }
}

#[test]
fn who_is_granted_less_than_qos_1_is_refused() {
    let server = start_acknowledged(Interest::Topic, ReasonCode::Success, UNSPOILT);
    let outcome = server.workload().run(&server, NANOS);
    let Err(Error::Refused { answer }) = outcome else {
        panic!("it was not noticed: {outcome:?}");
    };
    assert!(answer.starts_with("Suback: "), "{answer}");
}
