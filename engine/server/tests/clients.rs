//! `ringcast sub` and `ringcast pub`: with mosquitto, and with servers that say no.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Guards against hanging; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker on loopback, stopped in the end.
struct Broker {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Broker {
    fn start(name: &str, settings: &str) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let folder = format!("ringcast-clients-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nlog_type none\n{settings}\n");
        fs::write(&file, text).unwrap();
        // Debian puts servers where not every user looks.
        let system = PathBuf::from("/usr/sbin/mosquitto");
        let program = if system.exists() {
            system
        } else {
            "mosquitto".into()
        };
        let process = Command::new(program)
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "mosquitto does not listen");
            std::thread::yield_now();
        }
        Self {
            process,
            folder,
            port,
        }
    }

    fn anonymous(name: &str) -> Self {
        Self::start(name, "allow_anonymous true")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn ringcast(subcommand: &str, port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringcast"));
    command
        .args([subcommand, "--port", &port.to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn publish(port: u16, arguments: &[&str]) {
    let output = ringcast("pub", port, arguments).output().unwrap();
    assert_content(&output);
}

fn assert_content(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// What it says, where it is not content.
fn refused(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    said.strip_prefix("ringcast: ")
        .unwrap()
        .trim_end()
        .to_owned()
}

/// A subscriber, once its filters are granted.
struct Subscriber {
    process: Child,
    errors: BufReader<std::process::ChildStderr>,
}

impl Subscriber {
    fn start(port: u16, filters: &[&str], arguments: &[&str]) -> Self {
        let mut command = ringcast("sub", port, &["--verbose"]);
        for filter in filters {
            command.args(["-t", filter]);
        }
        let mut process = command.args(arguments).spawn().unwrap();
        let errors = BufReader::new(process.stderr.take().unwrap());
        let mut subscriber = Self { process, errors };
        for filter in filters {
            let line = subscriber.error_line();
            assert!(
                line.starts_with(&format!("subscribed {filter} qos ")),
                "{line}"
            );
        }
        subscriber
    }

    fn error_line(&mut self) -> String {
        let mut line = String::new();
        self.errors.read_line(&mut line).unwrap();
        line
    }

    /// All that it printed, once it ended by itself.
    fn end(mut self) -> String {
        let mut out = String::new();
        let mut stdout = self.process.stdout.take().unwrap();
        stdout.read_to_string(&mut out).unwrap();
        let mut said = String::new();
        self.errors.read_to_string(&mut said).unwrap();
        assert!(self.process.wait().unwrap().success(), "{said}");
        assert_eq!(said, "");
        out
    }
}

#[test]
fn what_is_published_is_printed_in_every_version_and_quality() {
    let broker = Broker::anonymous("versions");
    for version in ["3.1", "3.1.1", "5"] {
        for qos in ["0", "1", "2"] {
            let arguments = ["--count", "3", "--qos", qos, "--mqtt", version];
            let subscriber = Subscriber::start(broker.port, &["a/+", "b"], &arguments);
            let published = if qos == "2" { "1" } else { qos };
            let same = ["--mqtt", version, "--qos", published];
            publish(
                broker.port,
                &[&["-t", "a/x", "-m", "{\"p\":\"1\"}"], &same[..]].concat(),
            );
            publish(broker.port, &[&["-t", "b", "-m", ""], &same[..]].concat());
            publish(
                broker.port,
                &[&["-t", "c", "-m", "not this"], &same[..]].concat(),
            );
            publish(
                broker.port,
                &[&["-t", "a/y", "-m", "ä\n\u{1}"], &same[..]].concat(),
            );
            let out = subscriber.end();
            assert_eq!(
                out, "a/x {\"p\":\"1\"}\nb \na/y ä\\n\\u{1}\n",
                "{version} {qos}"
            );
        }
    }
}

#[test]
fn every_line_of_the_input_is_a_message() {
    let broker = Broker::anonymous("lines");
    for qos in ["0", "1"] {
        let lines: Vec<_> = (0..1_000).map(|number| format!("line {number}")).collect();
        let subscriber = Subscriber::start(broker.port, &["t"], &["--count", "1000", "-q", "1"]);
        let mut process = ringcast("pub", broker.port, &["-t", "t", "--lines", "-q", qos])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = process.stdin.take().unwrap();
        input.write_all(lines.join("\r\n").as_bytes()).unwrap();
        drop(input);
        assert_content(&process.wait_with_output().unwrap());
        let expected: String = lines.iter().map(|line| format!("t {line}\n")).collect();
        assert_eq!(subscriber.end(), expected);
    }
}

#[test]
fn retained_messages_come_unless_they_are_not_wanted() {
    let broker = Broker::anonymous("retained");
    publish(
        broker.port,
        &["-t", "r/1", "-m", "kept", "--retain", "-q", "1"],
    );
    for version in ["3.1.1", "5"] {
        let with = ["-t", "r/#", "--count", "1", "--mqtt", version];
        let output = ringcast("sub", broker.port, &with).output().unwrap();
        assert_content(&output);
        assert_eq!(output.stdout, b"r/1 kept\n");
        let without = ["--no-retained", "--count", "1", "--mqtt", version];
        let subscriber = Subscriber::start(broker.port, &["r/#"], &without);
        publish(broker.port, &["-t", "r/2", "-m", "live"]);
        assert_eq!(subscriber.end(), "r/2 live\n");
    }
}

#[test]
fn a_password_opens_and_its_lack_is_told() {
    let folder = std::env::temp_dir().join(format!("ringcast-clients-{}-pw", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let users = folder.join("users");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&users)
        .args(["alice", "secret"])
        .status();
    assert!(made.expect("mosquitto_passwd").success());
    let settings = format!(
        "allow_anonymous false\nuser root\npassword_file {}",
        users.display()
    );
    let broker = Broker::start("passwords", &settings);
    let credentials = ["-t", "a", "-m", "b", "--user", "alice", "--password"];
    publish(
        broker.port,
        &[&credentials[..], &["secret", "-q", "1"]].concat(),
    );
    for (version, sentence) in [
        (
            "5",
            "the server refuses the connection: not authorized (0x87)",
        ),
        (
            "3.1.1",
            "the server refuses the connection: not authorized (0x87)",
        ),
    ] {
        let wrong = [&credentials[..], &["wrong", "--mqtt", version]].concat();
        assert_eq!(refused(ringcast("pub", broker.port, &wrong)), sentence);
        let nobody = ["-t", "a", "--mqtt", version];
        assert_eq!(refused(ringcast("sub", broker.port, &nobody)), sentence);
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// A server for one client: it answers the client's first packets with these bytes, one
/// answer for each packet, and then says no more, or closes its direction. Gives back the
/// first byte of each packet that it answered, and all bytes behind them.
struct Scripted {
    port: u16,
    thread: JoinHandle<Vec<u8>>,
}

impl Scripted {
    fn start(answers: &'static [&'static [u8]], closes: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut received = Vec::new();
            for answer in answers {
                // The packets of these tests are short: their length is one byte.
                let mut head = [0; 2];
                stream.read_exact(&mut head).unwrap();
                let mut body = vec![0; head[1].into()];
                stream.read_exact(&mut body).unwrap();
                received.push(head[0]);
                stream.write_all(answer).unwrap();
            }
            if closes {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            received.extend(rest);
            received
        });
        Self { port, thread }
    }
}

const CONNACK: &[u8] = b"\x20\x03\0\0\0";

#[test]
fn servers_that_say_no_are_quoted() {
    let cases: [(&str, &'static [&'static [u8]], &str); 11] = [
        (
            "sub",
            &[b"\x20\x03\0\x8A\0"],
            "the server refuses the connection: banned (0x8A)",
        ),
        (
            "sub",
            &[CONNACK, b"\x90\x05\0\x01\0\x00\x87"],
            "the server does not grant a subscription to b: not authorized (0x87)",
        ),
        (
            "sub",
            &[CONNACK, b"\xE0\x01\x8B"],
            "the server ended the connection: server shutting down (0x8B)",
        ),
        (
            "sub",
            &[CONNACK, b"\x30\x01\0"],
            "the server sent what is no MQTT: ",
        ),
        (
            "sub",
            &[CONNACK, b"\x40\x02\0\x01"],
            "the server closed the connection",
        ),
        (
            "sub",
            &[CONNACK, b"\x01\0"],
            "the server sent what is no MQTT: ",
        ),
        (
            "sub",
            &[b"\xD0\0"],
            "the server sent another packet before CONNACK, which it may not do here",
        ),
        (
            "sub",
            &[CONNACK, CONNACK],
            "the server sent a packet of another kind, which it may not do here",
        ),
        (
            "pub",
            &[CONNACK, b"\x40\x03\0\x01\x97"],
            "the server does not take the message: quota exceeded (0x97)",
        ),
        (
            "pub",
            &[CONNACK, b"\xE0\x01\x87"],
            "the server ended the connection: not authorized (0x87)",
        ),
        ("pub", &[CONNACK, b""], "the server closed the connection"),
    ];
    for (subcommand, answers, sentence) in cases {
        let server = Scripted::start(answers, true);
        let own: &[&str] = match subcommand {
            "sub" => &["-t", "a", "-t", "b"],
            _ => &["-t", "a", "-m", "b", "-q", "1"],
        };
        let said = refused(ringcast(subcommand, server.port, own));
        assert!(said.starts_with(sentence), "{said}\n{sentence}");
        server.thread.join().unwrap();
    }
}

/// A message that nobody acknowledges: the objection comes with the goodbye.
#[test]
fn an_objection_to_the_last_message_is_told() {
    let server = Scripted::start(&[CONNACK, b"", b"\xE0\x01\x87"], true);
    let said = refused(ringcast("pub", server.port, &["-t", "a", "-m", "b"]));
    assert_eq!(
        said,
        "the server ended the connection: not authorized (0x87)"
    );
    assert_eq!(server.thread.join().unwrap(), b"\x10\x30\xE0");
}

/// QoS 1, QoS 2 to its end, and after the last message a goodbye and nothing else.
#[test]
fn what_is_received_is_acknowledged() {
    let server = Scripted::start(
        &[
            CONNACK,
            b"\x90\x04\0\x01\0\x02\x32\x07\0\x01a\0\x05\0x",
            b"\x34\x07\0\x01a\0\x06\0y",
            b"\x62\x02\0\x06",
            b"\x30\x05\0\x01a\0z",
            b"\x32\x07\0\x01a\0\x07\0x\xD0\0",
        ],
        true,
    );
    let arguments = ["-t", "a", "-q", "2", "--count", "3"];
    let output = ringcast("sub", server.port, &arguments).output().unwrap();
    assert_content(&output);
    assert_eq!(output.stdout, b"a x\na y\na z\n");
    // CONNECT, SUBSCRIBE, PUBACK, PUBREC, PUBCOMP, DISCONNECT.
    assert_eq!(server.thread.join().unwrap(), b"\x10\x82\x40\x50\x70\xE0");
}

/// The client would wait five minutes, and the server says that it may be one second.
#[test]
fn the_servers_keep_alive_counts() {
    const CONNACK: &[u8] = b"\x20\x06\0\0\x03\x13\0\x01";
    let server = Scripted::start(&[CONNACK, b"\x90\x04\0\x01\0\0", b""], true);
    let said = refused(ringcast(
        "sub",
        server.port,
        &["-t", "a", "--keep-alive", "600"],
    ));
    assert_eq!(said, "the server closed the connection");
    assert_eq!(server.thread.join().unwrap(), b"\x10\x82\xC0");
}

#[test]
fn a_silent_server_is_asked_and_then_given_up() {
    let server = Scripted::start(&[CONNACK, b"\x90\x04\0\x01\0\0", b"\xD0\0"], false);
    let said = refused(ringcast(
        "sub",
        server.port,
        &["-t", "a", "--keep-alive", "1"],
    ));
    assert_eq!(
        said,
        "the server has been silent for 1 s, longer than the keep-alive allows"
    );
    let received = server.thread.join().unwrap();
    assert!(received.starts_with(b"\x10\x82\xC0\xC0\0"), "{received:?}");
}

#[test]
fn while_no_line_comes_the_server_still_hears_something() {
    let server = Scripted::start(&[CONNACK, b"\xD0\0", b"\xD0\0"], true);
    let mut process = ringcast("pub", server.port, &["-t", "a", "-l", "--keep-alive", "1"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let received = server.thread.join().unwrap();
    assert!(received.starts_with(b"\x10\xC0\xC0"), "{received:?}");
    let input = process.stdin.take();
    assert!(!process.wait().unwrap().success(), "the server has gone");
    drop(input);
}

#[test]
fn nobody_there_and_what_mqtt_does_not_allow() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    assert_eq!(
        refused(ringcast("sub", port, &["-t", "a"])),
        format!("no connection to 127.0.0.1:{port}: Connection refused (os error 111)")
    );
    let server = Scripted::start(&[CONNACK], false);
    assert_eq!(
        refused(ringcast("sub", server.port, &["-t", "a/#/b"])),
        "\"a/#/b\" is no topic filter that MQTT allows"
    );
    server.thread.join().unwrap();
    assert_eq!(
        refused(ringcast("pub", port, &["-t", "a/+", "-m", ""])),
        "\"a/+\" is no topic name that MQTT allows"
    );
}

/// Whoever reads the output goes away: that is no error.
#[test]
fn a_reader_that_has_seen_enough() {
    let broker = Broker::anonymous("reader");
    let mut subscriber = Subscriber::start(broker.port, &["t"], &[]);
    drop(subscriber.process.stdout.take());
    while subscriber.process.try_wait().unwrap().is_none() {
        publish(broker.port, &["-t", "t", "-m", "x"]);
    }
    assert!(subscriber.process.wait().unwrap().success());
    assert_eq!(subscriber.error_line(), "");
}
