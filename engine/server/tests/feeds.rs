//! Feeds that are not what they should be: recordings that are cut, or have rubbish in
//! them; a feed handler that writes rubbish, is stopped, is killed and comes back. What is
//! good is served, what is wrong is told once, and readiness says how it stands.

mod support;

use nix::sys::signal::Signal;
use ringcast_referee::Rule;
use ringcast_referee::recorder::Recorder;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::client::{Client, Version};
use support::handler::{Handler, TOPIC, be_handler};
use support::listener::{Got, Library, Listener};
use support::proof::assert_lawful;
use support::server::Server;
use support::{freeze, signal, temporary, wait_until};

const HEADER: &str = "ts_us,symbol,seq,bid_price,bid_qty,ask_price,ask_qty\n";

/// One quote of a symbol of its own.
fn row(symbol: &str, number: usize) -> String {
    let micros = 1_700_000_000_000_000 + number;
    format!("{micros},{symbol}{number},,1.0,2.0,3.0,4.0\n")
}

fn rows(symbol: &str, count: usize) -> String {
    (0..count).map(|number| row(symbol, number)).collect()
}

fn recording(name: &str, content: &[u8]) -> PathBuf {
    let path = temporary(name);
    fs::write(&path, content).expect("a temporary file");
    path
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut process = Command::new("gzip")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip is there");
    let mut input = process.stdin.take().expect("a pipe");
    let writer = {
        let content = content.to_vec();
        std::thread::spawn(move || input.write_all(&content))
    };
    let output = process.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads");
    output.stdout
}

/// An engine that replays these files as fast as it goes.
fn replay(files: &[&Path]) -> Server {
    let files: Vec<_> = files
        .iter()
        .map(|file| format!("\"{}\"", file.display()))
        .collect();
    let files = format!("feed.files=[{}]", files.join(", "));
    Server::start(&["feed.kind=replay", &files, "feed.speed=\"max\""])
}

/// The symbols whose quote is retained, each of which was there once.
fn symbols(server: &Server, count: usize) -> Vec<String> {
    let retained = 2 * count as u64;
    server.wait_for_metric("ringcast_retained_messages", retained);
    let mut client = Client::connect(server.mqtt, Version::V5, "looks at all");
    client.subscribe("market/+/bbo");
    let mut symbols: Vec<_> = (0..count)
        .map(|_| {
            let message = client.message();
            assert!(message.retain, "the feed is over");
            let symbol = message.topic.split('/').nth(1).expect("market/…/bbo");
            let payload = String::from_utf8(message.payload).expect("a text");
            let said = format!("{{\"ch\":\"bbo\",\"s\":\"{symbol}\",\"seq\":1,\"prev\":0,");
            assert!(payload.starts_with(&said), "{payload}");
            symbol.to_owned()
        })
        .collect();
    symbols.sort_unstable();
    client.disconnect();
    symbols
}

#[test]
fn lines_that_are_rubbish_or_cut_are_left_out_and_told_once() {
    let mut bad = format!("{HEADER}{}", rows("BAD", 5));
    for _ in 0..3 {
        bad += "what is this\n";
        bad += "1700000000000009,BAD9,,1.0,nothing,3.0,4.0\n";
        bad += "yesterday,BAD9,,1.0,2.0,3.0,4.0\n";
    }
    bad += &row("BAD", 5);
    // Its quantity may be 4.0, or 4.01: nobody knows.
    bad += row("BAD", 6).trim_end();
    let bad = recording("bad.csv", bad.as_bytes());
    let good = recording(
        "good.csv",
        format!("{HEADER}{}", rows("GOOD", 7)).as_bytes(),
    );
    let server = replay(&[&bad, &good]);
    let mut expected: Vec<_> = (0..6).map(|n| format!("BAD{n}")).collect();
    expected.extend((0..7).map(|n| format!("GOOD{n}")));
    assert_eq!(symbols(&server, 13), expected);
    server.wait_for_metric("ringcast_ingest_feed_refused_total", 10);
    assert_eq!(server.get("/readyz").0, 200, "it has ended, and not failed");
    let lines = server.stop();
    let name = bad.display().to_string();
    let about_bad: Vec<_> = lines.iter().filter(|line| line.contains(&name)).collect();
    assert_eq!(about_bad.len(), 4, "{about_bad:#?}");
    for number in ["line 7", "line 8", "line 9", "line 17"] {
        let told = about_bad.iter().filter(|line| line.contains(number));
        assert_eq!(told.count(), 1, "{number} in {about_bad:#?}");
    }
    assert!(
        !lines.iter().any(|line| line.contains("good.csv")),
        "{lines:#?}"
    );
    fs::remove_file(bad).expect("it is there");
    fs::remove_file(good).expect("it is there");
}

/// Wherever it is cut: in the middle of its data, or of the few bytes behind them.
#[test]
fn a_recording_that_breaks_off_fails_the_feed_and_others_come() {
    let good = recording(
        "good.csv",
        format!("{HEADER}{}", rows("GOOD", 7)).as_bytes(),
    );
    for rows_whole in [3, 511, 512, 1_024] {
        let whole = gzip(format!("{HEADER}{}", rows("CUT", rows_whole)).as_bytes());
        // The checksum and the length are the last eight bytes.
        let cut = recording("cut.csv.gz", &whole[..whole.len() - 6]);
        let server = replay(&[&cut, &good]);
        let came = symbols(&server, rows_whole + 7);
        assert_eq!(
            came.iter().filter(|name| name.starts_with("GOOD")).count(),
            7
        );
        let mut last = String::new();
        wait_until("the feed has failed", || {
            let (status, body) = server.get("/readyz");
            last = body;
            status == 503
        });
        assert!(last.contains("the feed has failed"), "{last}");
        assert_eq!(server.get("/healthz").0, 200, "a restart would not help");
        let lines = server.stop();
        let name = cut.display().to_string();
        let told = lines.iter().filter(|line| line.contains(&name));
        assert_eq!(told.count(), 1, "{lines:#?}");
        fs::remove_file(cut).expect("it is there");
    }
    fs::remove_file(good).expect("it is there");
}

/// In the middle of the data the last line is cut, too, and how far it goes nobody knows.
#[test]
fn a_recording_that_breaks_off_in_the_middle_gives_its_first_part() {
    let whole = gzip(format!("{HEADER}{}", rows("CUT", 20_000)).as_bytes());
    let cut = recording("cut.csv.gz", &whole[..whole.len() / 2]);
    let server = replay(&[&cut]);
    wait_until("the feed has failed", || server.get("/readyz").0 == 503);
    // Whoever says that it failed has said before what came, but counters follow later.
    let messages = || server.metric("ringcast_ingest_feed_messages_total");
    let mut count = messages();
    wait_until("all of it is counted", || {
        let retained = server.metric("ringcast_retained_messages");
        count = messages();
        count > 0 && retained == 2 * count
    });
    let count = usize::try_from(count).expect("there are not so many");
    assert!((1_000..20_000).contains(&count), "{count}");
    let mut expected: Vec<_> = (0..count).map(|n| format!("CUT{n}")).collect();
    expected.sort_unstable();
    assert_eq!(symbols(&server, count), expected);
    server.stop();
    fs::remove_file(cut).expect("it is there");
}

#[test]
fn a_recording_that_is_none_stops_the_start() {
    let none = recording("none.csv", b"time,price\n1,2\n");
    let files = format!("feed.files=[\"{}\"]", none.display());
    let output = support::server::serve(&["feed.kind=replay", &files])
        .output()
        .expect("the binary is there");
    let said = String::from_utf8(output.stderr).expect("a text");
    assert!(!output.status.success());
    let last = said.lines().last().expect("it says why");
    assert!(last.starts_with("ringcast: "), "{said}");
    assert!(
        last.contains("begins with the line \"time,price\""),
        "{said}"
    );
    assert!(!said.contains("ready\n"), "{said}");
    fs::remove_file(none).expect("it is there");
}

/// Not a test, unless the program was started as a feed handler.
#[test]
fn handler_of_another_process() {
    be_handler();
}

fn handler(socket: &Path) -> Handler {
    Handler::start("handler_of_another_process", socket)
}

fn shm(socket: &Path, more: &[&str]) -> Server {
    let socket = format!("feed.socket=\"{}\"", socket.display());
    Server::start(&[&["feed.kind=shm", &socket], more].concat())
}

fn subscriber(server: &Server) -> Client {
    let mut client = Client::connect(server.mqtt, Version::V5, "subscriber");
    client.subscribe("#");
    client
}

#[test]
fn a_handler_that_writes_rubbish_is_told_of_once_and_its_good_records_come() {
    let socket = temporary("rubbish.sock");
    let server = shm(&socket, &[]);
    let mut handler = handler(&socket);
    let mut client = subscriber(&server);
    for round in 0..3 {
        handler.tell("rubbish");
        handler.tell(&format!("number {round}"));
        let message = client.message();
        assert_eq!((message.topic.as_str(), message.number()), (TOPIC, round));
    }
    server.wait_for_metric("ringcast_ingest_feed_refused_total", 3 * 8);
    assert_eq!(server.get("/readyz").0, 200);
    // A kind each: what is no message, of no kind, has no topic, has one of the engine's.
    assert_eq!(server.count_lines("the shm feed: a record of"), 4);
    drop(handler);
    server.stop();
    assert!(!socket.exists(), "the socket is gone with the engine");
}

/// A quote that is there comes with RETAIN, the next one without.
#[test]
fn who_comes_later_gets_the_last_quote_first() {
    let socket = temporary("later.sock");
    let server = shm(&socket, &[]);
    let recorder = Recorder::start(server.mqtt).expect("a recorder");
    let mut handler = handler(&socket);
    let mut number = 0;
    for library in [Library::Mosquitto, Library::Paho, Library::MqttJs] {
        for version in [Version::V311, Version::V5] {
            handler.tell(&format!("number {number}"));
            server.wait_for_metric("ringcast_ingest_feed_messages_total", number + 1);
            let server = recorder.address();
            let later = Listener::start(library, version, server, "market/+/bbo");
            let Some(later) = later else {
                number += 1;
                continue;
            };
            let expect = |payload: u64, retain| {
                let expected = Got {
                    topic: TOPIC.to_owned(),
                    retain,
                    payload: payload.to_string(),
                };
                assert_eq!(later.message(), Some(expected), "{}", later.name);
            };
            expect(number, true);
            handler.tell(&format!("number {}", number + 1));
            expect(number + 1, false);
            number += 2;
        }
    }
    server.wait_for_metric("ringcast_connections", 0);
    server.stop();
    assert_lawful(recorder, &["market/#"], &[Rule::RetainFlag]);
}

#[test]
fn a_handler_that_dies_in_the_middle_of_a_record_comes_back() {
    let socket = temporary("dies.sock");
    let server = shm(&socket, &[]);
    let mut client = subscriber(&server);
    let mut first = handler(&socket);
    first.tell("number 1");
    assert_eq!(client.message().number(), 1);
    first.tell("begin 2");
    signal(&first.process, Signal::SIGKILL);
    server.wait_for_line("the producer of the shm feed is gone");
    let mut second = handler(&socket);
    second.tell("number 3");
    assert_eq!(client.message().number(), 3, "what was begun never comes");
    // Killed somewhere among numbers that come as fast as they can.
    second.tell("flood 1000");
    let mut last = 3;
    while last < 20_000 {
        last = increased(&mut client, last);
    }
    signal(&second.process, Signal::SIGKILL);
    let mut third = handler(&socket);
    third.tell(&format!("number {}", u64::MAX));
    while last < u64::MAX {
        last = increased(&mut client, last);
    }
    server.wait_for_metric("ringcast_ingest_feed_producers_total", 3);
    assert_eq!(server.metric("ringcast_ingest_feed_refused_total"), 0);
    server.stop();
}

/// The number that comes next; of a flood some may be lost, but none comes twice or late.
fn increased(client: &mut Client, last: u64) -> u64 {
    let number = client.message().number();
    assert!(number > last, "{number} after {last}");
    number
}

#[test]
fn a_handler_that_is_stopped_makes_the_feed_stale_until_it_goes_on() {
    let socket = temporary("stale.sock");
    let server = shm(&socket, &["feed.stale_seconds=1"]);
    let mut client = subscriber(&server);
    let mut handler = handler(&socket);
    let mut number = 0;
    let mut publish_until_ready = |handler: &mut Handler| {
        wait_until("it is ready", || {
            handler.tell(&format!("number {number}"));
            assert_eq!(client.message().number(), number);
            number += 1;
            server.get("/readyz").0 == 200
        });
    };
    publish_until_ready(&mut handler);
    freeze(&handler.process);
    let mut said = String::new();
    wait_until("it is not ready", || {
        let (status, body) = server.get("/readyz");
        said = body;
        status == 503
    });
    assert!(said.contains("the feed has been silent for"), "{said}");
    assert_eq!(server.get("/healthz").0, 200, "a restart would not help");
    signal(&handler.process, Signal::SIGCONT);
    publish_until_ready(&mut handler);
    server.stop();
}
