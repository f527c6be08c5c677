//! Connections that mean no good, or have bad luck: each is closed with a reason, or told
//! nothing where there is nobody to tell; meanwhile others get every message in order, and
//! afterwards nothing of it is left, neither a connection nor a descriptor.

mod support;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::SockRef;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use support::client::{Client, Ending, Hello, Version, packet, publish};
use support::server::Server;
use support::traffic::Traffic;
use support::wait_until;

/// How many of each kind.
const EACH: usize = 50;

/// Connections of the crowd, if there are descriptors for so many.
const CROWD_MAX: u64 = 10_000;

/// A server with traffic, and what it had open before.
struct Scene {
    server: Server,
    descriptors: usize,
    traffic: Traffic,
}

impl Scene {
    fn new(settings: &[&str]) -> Self {
        let server = Server::start(settings);
        server.get("/healthz");
        let descriptors = server.descriptors();
        let traffic = Traffic::start(server.mqtt);
        traffic.goes_on();
        Self {
            server,
            descriptors,
            traffic,
        }
    }

    /// Nothing is left, and nobody else was hurt.
    fn end(self) {
        self.traffic.goes_on();
        self.traffic.finish();
        let server = self.server;
        assert_eq!(server.get("/healthz").0, 200);
        // One that is really there is all that may be counted.
        let last = Client::connect(server.mqtt, Version::V5, "last");
        server.wait_for_metric("ringcast_connections", 1);
        server.wait_for_metric("ringcast_door_newcomers", 0);
        server.wait_for_metric("ringcast_input_bytes", 0);
        wait_until("descriptors are given back", || {
            server.descriptors() <= self.descriptors
        });
        last.disconnect();
        server.stop();
    }
}

/// What a peer of the door hears when it is thrown out: nothing.
fn is_thrown_out(client: Client) {
    let (messages, ending) = client.end();
    assert_eq!(messages, 0);
    assert!(
        matches!(ending, Ending::Closed | Ending::Reset),
        "{ending:?}"
    );
}

#[test]
fn who_says_nothing_half_a_connect_or_rubbish_is_thrown_out() {
    let scene = Scene::new(&["limits.connect_seconds=1"]);
    let whole = Hello::new(Version::V5, "half").packet();
    let garbage = [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03",
        &[0; 300],
        &[0xFF; 300],
        b"\xC0\0",
    ];
    let mut clients = Vec::new();
    for number in 0..EACH {
        for bytes in [&b""[..], &whole[..7], garbage[number % garbage.len()]] {
            let mut client = Client::open(scene.server.mqtt, Version::V5);
            // It may be closed already.
            let _ = client.stream.write_all(bytes);
            clients.push(client);
        }
    }
    clients.into_iter().for_each(is_thrown_out);
    let server = &scene.server;
    assert!(server.metric("ringcast_door_timed_out_total") >= 2 * EACH as u64);
    scene.end();
}

#[test]
fn a_packet_without_end_is_refused_at_its_head() {
    let scene = Scene::new(&[]);
    for number in 0..EACH {
        let version = [Version::V311, Version::V5][number % 2];
        let mut client = Client::connect(scene.server.mqtt, version, &format!("endless-{number}"));
        // PUBLISH of 256 MiB less a byte, of which nothing comes.
        client.send(b"\x30\xFF\xFF\xFF\x7F");
        let expected = match version {
            Version::V31 | Version::V311 => Ending::Closed,
            Version::V5 => Ending::Told(0x95),
        };
        assert_eq!(client.end(), (0, expected));
        // A length that goes on and on is none.
        let mut client = Client::connect(scene.server.mqtt, version, &format!("endless-{number}"));
        client.send(b"\x30\xFF\xFF\xFF\xFF\xFF");
        let expected = match version {
            Version::V31 | Version::V311 => Ending::Closed,
            Version::V5 => Ending::Told(0x81),
        };
        assert_eq!(client.end(), (0, expected));
    }
    scene
        .server
        .wait_for_metric("ringcast_ended_fault_total", 2 * EACH as u64);
    scene.end();
}

#[test]
fn a_packet_that_comes_byte_by_byte_is_taken() {
    let scene = Scene::new(&[]);
    for version in [Version::V311, Version::V5] {
        let mut client = Client::open(scene.server.mqtt, version);
        let mut bytes = Hello::new(version, "dripping").packet();
        let subscribe = match version {
            Version::V31 | Version::V311 => packet(0x82, b"\0\x01\0\x04drip\0"),
            Version::V5 => packet(0x82, b"\0\x01\0\0\x04drip\0"),
        };
        bytes.extend(subscribe);
        bytes.extend(publish(version, "drip", &[b'x'; 500], false));
        for byte in bytes {
            client.send(&[byte]);
        }
        let (connack, _) = client.packet().expect("CONNACK");
        let (suback, _) = client.packet().expect("SUBACK");
        assert_eq!((connack, suback), (0x20, 0x90));
        assert_eq!(client.message().payload, [b'x'; 500]);
        client.disconnect();
    }
    scene.end();
}

#[test]
fn silence_past_keep_alive_is_the_end() {
    let scene = Scene::new(&[]);
    let silent = |version: Version, number: usize| {
        let id = format!("silent-{version:?}-{number}");
        let hello = Hello {
            keep_alive: 1,
            ..Hello::new(version, &id)
        };
        Client::greet(scene.server.mqtt, &hello).expect("it is let in")
    };
    let older: Vec<_> = (0..EACH).map(|n| silent(Version::V311, n)).collect();
    let newer: Vec<_> = (0..EACH).map(|n| silent(Version::V5, n)).collect();
    for client in older {
        assert_eq!(client.end(), (0, Ending::Closed));
    }
    for client in newer {
        assert_eq!(client.end(), (0, Ending::Told(0x8D)));
    }
    scene
        .server
        .wait_for_metric("ringcast_ended_keep_alive_total", 2 * EACH as u64);
    scene.end();
}

/// All of them are there before the first says a word.
#[test]
fn a_crowd_that_comes_at_once_is_let_in() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("Linux has it");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard one");
    let crowd = CROWD_MAX.min(hard.saturating_sub(500));
    println!("{crowd} at once");
    // With fewer places, those who came first and said nothing would make room.
    let scene = Scene::new(&["limits.connections=20000", "limits.newcomers=20000"]);
    let mut clients: Vec<_> = (0..crowd)
        .map(|_| Client::open(scene.server.mqtt, Version::V311))
        .collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&Hello::new(Version::V311, &format!("crowd-{number}")).packet());
    }
    for client in &mut clients {
        assert_eq!(client.packet(), Ok((0x20, vec![0, 0])));
    }
    // The traffic's own, too.
    scene
        .server
        .wait_for_metric("ringcast_connections", crowd + 5);
    clients.into_iter().for_each(Client::disconnect);
    scene.end();
}

#[test]
fn resets_in_mid_frame_and_a_reader_who_never_reads() {
    let scene = Scene::new(&["slow.queue_messages=20", "slow.lag_bytes=65536"]);
    let server = scene.server.mqtt;
    let mut never = Client::connect(server, Version::V5, "never reads");
    never.subscribe("large/#");
    let mut sender = Client::connect(server, Version::V5, "sender");
    let mut healthy = Client::connect(server, Version::V311, "healthy");
    healthy.subscribe("large/#");
    let body = vec![b'x'; 200_000];
    for number in 0..EACH {
        let version = [Version::V311, Version::V5][number % 2];
        let mut peer = Client::connect(server, version, &format!("reset-{number}"));
        peer.subscribe("large/#");
        sender.publish("large/a", &body, false);
        // The beginning of it has come, the rest is on its way or waits for room.
        wait_for_bytes(&peer.stream);
        let socket = SockRef::from(&peer.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
        drop(peer);
        assert_eq!(healthy.message().payload.len(), body.len());
    }
    healthy.disconnect();
    sender.disconnect();
    // Who never reads was too slow. It gets what the kernel has of it, and the end.
    let server = &scene.server;
    server.wait_for_metric("ringcast_ended_too_slow_total", 1);
    server.wait_for_metric("ringcast_ended_lost_total", EACH as u64);
    let (messages, ending) = never.end();
    assert!(messages < EACH, "{messages}");
    assert_ne!(ending, Ending::Told(0), "it is no goodbye");
    scene.end();
}

/// Until something can be read, which stays there.
fn wait_for_bytes(stream: &TcpStream) {
    let mut byte = [0];
    assert_eq!(stream.peek(&mut byte).expect("the message comes"), 1);
}
