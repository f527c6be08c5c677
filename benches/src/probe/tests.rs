//! The probe in front of servers that do as they should, and of servers that do not.

use super::{Dialect, Pace, Target, Workload};
use crate::error::{DeliveryFault, Error};
use crate::relay;
use crate::report::{PROBE_BUSY, SERVER_BUSY};
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Connack, Connect, Decoder, Kind, Packet, Properties, ReasonCode, ReasonCodes, Sender, Suback,
    Version,
};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

/// A server in a thread of the test.
struct Local {
    address: SocketAddr,
    dialect: Dialect,
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

fn workload(pace: Pace) -> Workload {
    Workload {
        subscribers: SUBSCRIBERS,
        payload_bytes: PAYLOAD_BYTES,
        pace,
    }
}

/// Each workload's figures, by name.
fn figures(target: &Local, pace: Pace) -> BTreeMap<&'static str, f64> {
    let figures = workload(pace)
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
        let (listener, address) = listener();
        let (stop, stopped) = UnixStream::pair().expect("a pair of sockets");
        thread::scope(|scope| {
            scope.spawn(move || relay::serve(&listener, stopped, is_parked).expect("relays"));
            // Also when an assertion fails: the relay ends when this is dropped.
            let _stop = stop;
            let dialect = Dialect::Bare;
            all_paces(&Local { address, dialect });
        });
    }
}

/// What a server makes of a message: bytes to send instead of it, or the subscribers'
/// end.
type Mischief = fn(sequence: u64, message: &[u8]) -> Option<Vec<u8>>;

/// Answers a handshake; the publisher's is the last.
type Greet = fn(stream: &mut TcpStream, is_publisher: bool);

/// Accepts subscribers and then a publisher, forwards each message after some
/// mischief until the publisher leaves, and accepts the next. Its thread ends with the
/// test's process.
fn start_server(dialect: Dialect, greet: Greet, mischief: Mischief) -> Local {
    let (listener, address) = listener();
    let mut message = vec![0; dialect.form(PAYLOAD_BYTES).bytes()];
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
                match mischief(sequence, &message) {
                    // Whoever met a fault has left, so nothing comes of a failure.
                    Some(bytes) => streams.iter_mut().for_each(|subscriber| {
                        let _ = subscriber.write_all(&bytes);
                    }),
                    None => streams.clear(),
                }
            }
        }
    });
    Local { address, dialect }
}

/// Does it to the message that has the number 5.
fn fifth(sequence: u64, message: &[u8], mischief: impl Fn(&mut Vec<u8>)) -> Option<Vec<u8>> {
    let mut bytes = message.to_vec();
    if sequence == 5 {
        mischief(&mut bytes);
    }
    Some(bytes)
}

fn fault_of(target: &Local) -> DeliveryFault {
    match workload(Pace::Outstanding(8)).run(target, NANOS) {
        Err(Error::Delivery { subscriber, fault }) => {
            assert!(subscriber < SUBSCRIBERS);
            fault
        }
        other => panic!("a wrong delivery was not noticed: {other:?}"),
    }
}

#[test]
fn a_wrong_delivery_is_an_error_and_never_a_figure() {
    let bare = |mischief| fault_of(&start_server(Dialect::Bare, |_, _| {}, mischief));
    let sequence = |expected, found| DeliveryFault::Sequence { expected, found };

    let lost = bare(|sequence, message| fifth(sequence, message, Vec::clear));
    assert_eq!(lost, sequence(5, 6));
    let repeated =
        bare(|sequence, message| fifth(sequence, message, |bytes| *bytes = bytes.repeat(2)));
    assert_eq!(repeated, sequence(6, 5));
    let never_published = bare(|sequence, message| {
        let far = |bytes: &mut Vec<u8>| bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        fifth(sequence, message, far)
    });
    assert_eq!(never_published, sequence(5, u64::MAX));
    let closed = bare(|sequence, message| (sequence != 5).then(|| message.to_vec()));
    assert_eq!(closed, DeliveryFault::Closed(String::new()));
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
                    connect.client_id.as_str() == "limits-publisher",
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
    all_paces(&start_server(Dialect::Mqtt, greet, |_, message| {
        Some(message.to_vec())
    }));
}

#[test]
fn a_server_that_speaks_other_mqtt_is_an_error() {
    let greet: Greet = |stream, last| greet_mqtt(stream, last, ReasonCode::Success);
    let retained = start_server(Dialect::Mqtt, greet, |sequence, message| {
        fifth(sequence, message, |bytes| bytes[0] |= 1)
    });
    let fault = fault_of(&retained);
    let DeliveryFault::Foreign(what) = fault else {
        panic!("RETAIN was not noticed: {fault:?}");
    };
    assert!(what.starts_with("Publish: "), "{what}");

    let greet: Greet = |stream, last| greet_mqtt(stream, last, ReasonCode::UnspecifiedError);
    let refusing = start_server(Dialect::Mqtt, greet, |_, _| None);
    let outcome = workload(Pace::OneByOne).run(&refusing, NANOS);
    let Err(Error::Refused { answer }) = outcome else {
        panic!("a refusal was not noticed: {outcome:?}");
    };
    assert!(answer.starts_with("Suback: "), "{answer}");
}
