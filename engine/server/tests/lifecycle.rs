//! From start to end: what stops the start, what SIGHUP changes, who may come in, what the
//! admin listener says, how it goes down, and the demonstration.

mod support;

use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use support::client::{Client, Ending, Hello, Version};
use support::listener::{Library, Listener};
use support::server::{Server, ringcast, serve};
use support::{signal, temporary, wait_until};

/// MQTT 5's "the server shuts down".
const SERVER_SHUTTING_DOWN: u8 = 0x8B;

/// Clients that are subscribed to `news`.
fn subscribers(server: &Server, version: Version, count: usize) -> Vec<Client> {
    let subscriber = |number| {
        let mut client = Client::connect(server.mqtt, version, &format!("{version:?}-{number}"));
        client.subscribe("news");
        client
    };
    (0..count).map(subscriber).collect()
}

#[test]
fn a_drain_lets_all_go_with_their_reason_and_nobody_in() {
    let server = Server::start(&["drain.rate=1", "drain.seconds=20"]);
    let newer = subscribers(&server, Version::V5, 6);
    let older = subscribers(&server, Version::V311, 2);
    let mut publisher = Client::connect(server.mqtt, Version::V5, "publisher");
    publisher.publish("news", b"last", false);
    publisher.ping();
    server.wait_for_metric("ringcast_connections", 9);
    server.signal(Signal::SIGTERM);
    let said = server.wait_for_line("draining: 9 connections, 1 a second, within 20 s");
    assert!(said.contains("INFO"), "{said}");
    // There are nine, and they leave one by one: there is time to look around.
    let (status, body) = server.get("/readyz");
    assert_eq!(status, 503);
    assert!(body.contains("it is draining"), "{body}");
    assert_eq!(server.get("/healthz").0, 200, "it is well, and goes");
    wait_until("nobody listens", || {
        std::net::TcpStream::connect(server.mqtt).is_err()
    });
    for mut client in newer {
        assert_eq!(client.message().payload, b"last", "what was queued");
        assert_eq!(client.end(), (0, Ending::Told(SERVER_SHUTTING_DOWN)));
    }
    for mut client in older {
        assert_eq!(client.message().payload, b"last");
        assert_eq!(client.end(), (0, Ending::Closed));
    }
    assert_eq!(publisher.end(), (0, Ending::Told(SERVER_SHUTTING_DOWN)));
    let (status, lines) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(
        lines
            .last()
            .is_some_and(|line| line.ends_with("INFO drained")),
        "{lines:#?}"
    );
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Server::start(&["drain.rate=1", "drain.seconds=600"]);
        let clients = subscribers(&server, Version::V5, 50);
        server.wait_for_metric("ringcast_connections", 50);
        server.signal(Signal::SIGTERM);
        server.wait_for_line("draining: 50 connections");
        server.signal(second);
        let (status, lines) = server.wait();
        assert_eq!(status.code(), Some(0), "{second}");
        let last = lines.last().expect("it said something");
        assert!(
            last.ends_with("told again: all connections are cut"),
            "{last}"
        );
        let cut = clients.into_iter().map(Client::end);
        let cut = cut.filter(|(_, ending)| *ending != Ending::Told(SERVER_SHUTTING_DOWN));
        assert!(cut.count() >= 40);
    }
}

/// Whoever starts it may signal as soon as it has said so.
#[test]
fn signals_are_heard_from_ready_on() {
    for _ in 0..10 {
        let mut command = serve(&[]);
        let mut process = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        while lines.next().expect("it runs").expect("a text") != "ready" {}
        signal(&process, Signal::SIGHUP);
        signal(&process, Signal::SIGTERM);
        let said: Vec<_> = lines.map_while(Result::ok).collect();
        let status = process.wait().expect("it is our child");
        assert_eq!(status.code(), Some(0), "{status}: {said:#?}");
    }
}

#[test]
fn a_reload_says_what_becomes_of_each_change() {
    let file = temporary("ringcast.toml");
    fs::write(&file, "[slow]\nqueue_messages = 100\n").expect("a temporary file");
    let mut command = serve(&[]);
    command.arg("--config").arg(&file);
    let server = Server::run(command);
    let kept = || {
        let (status, settings) = server.get("/admin/v1/settings");
        assert_eq!(status, 200);
        let settings: serde_json::Value = serde_json::from_str(&settings).expect("JSON");
        (
            settings["slow"]["queue_messages"].clone(),
            settings["limits"]["connections"].clone(),
        )
    };
    assert_eq!(kept(), (100.into(), 10_000.into()));
    let text = "[slow]\nqueue_messages = 200\n[limits]\nconnections = 77\n";
    fs::write(&file, text).expect("it is there");
    server.signal(Signal::SIGHUP);
    wait_until("both are told", || {
        server.count_lines("INFO slow.queue_messages is applied") == 1
            && server.count_lines("WARN limits.connections needs a restart") == 1
    });
    wait_until("it is applied", || kept() == (200.into(), 10_000.into()));
    for (wrong, told) in [
        (
            "slow.queue_messages = 0\n",
            "slow.queue_messages = 0 is not allowed",
        ),
        (
            "[slow]\nqueue_message = 300\n",
            "the nearest is slow.queue_messages",
        ),
        ("[slow\n", "ringcast.toml"),
    ] {
        fs::write(&file, wrong).expect("it is there");
        let before = server.count_lines("ERROR the settings stay as they were: ");
        server.signal(Signal::SIGHUP);
        wait_until("it is refused", || {
            server.count_lines("ERROR the settings stay as they were: ") == before + 1
        });
        wait_until(told, || server.count_lines(told) > 0);
        assert_eq!(kept(), (200.into(), 10_000.into()));
    }
    fs::remove_file(&file).expect("it is there");
    server.signal(Signal::SIGHUP);
    server.wait_for_line("No such file");
    let mut client = Client::connect(server.mqtt, Version::V5, "it still serves");
    client.ping();
    drop(client);
    server.stop();
}

fn user_line(name: &str, password: &str) -> String {
    let line = ringcast_door::user_line(name, password.as_bytes());
    format!("{}\n", line.expect("a name and a password"))
}

/// mosquitto_pub, once it has ended.
fn mosquitto_pub(server: SocketAddr, arguments: &[&str]) -> Output {
    let (host, port) = (server.ip().to_string(), server.port().to_string());
    Command::new("mosquitto_pub")
        .args(["-h", &host, "-p", &port, "-t", "note", "-m", "hello"])
        .args(arguments)
        .output()
        .expect("mosquitto_pub is there: ./test tools installs it")
}

#[test]
fn users_come_in_with_their_passwords_and_a_reload_brings_new_ones() {
    let users = temporary("users");
    fs::write(&users, user_line("ann", "secret")).expect("a temporary file");
    let server = Server::start(&[&format!("auth.users=\"{}\"", users.display())]);
    let hello = Hello {
        user: Some(("ann", "secret")),
        ..Hello::new(Version::V5, "listens")
    };
    let mut listener = Client::greet(server.mqtt, &hello).expect("ann may come in");
    listener.subscribe("note");
    let comes_in = |user: &str, password: &str| {
        let output = mosquitto_pub(server.mqtt, &["-u", user, "-P", password]);
        output.status.success()
    };
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let arguments = ["-u", "ann", "-P", "secret", "-V", version];
        assert!(mosquitto_pub(server.mqtt, &arguments).status.success());
        assert_eq!(listener.message().payload, b"hello");
    }
    assert!(!comes_in("ann", "guess"));
    assert!(!comes_in("bob", "builder"));
    assert!(
        !mosquitto_pub(server.mqtt, &[]).status.success(),
        "without a name"
    );
    let both = user_line("ann", "secret") + &user_line("bob", "builder");
    fs::write(&users, both).expect("it is there");
    server.signal(Signal::SIGHUP);
    server.wait_for_line("the settings are the same");
    assert!(comes_in("bob", "builder"));
    assert_eq!(listener.message().payload, b"hello");
    // A file that is wrong changes nothing, and its line is named.
    fs::write(&users, user_line("ann", "secret") + "eve\n").expect("it is there");
    server.signal(Signal::SIGHUP);
    let said = server.wait_for_line("the users stay as they were");
    assert!(said.contains("line 2"), "{said}");
    assert!(comes_in("bob", "builder"));
    assert_eq!(listener.message().payload, b"hello");
    drop(listener);
    server.stop();
    fs::remove_file(users).expect("it is there");
}

/// What `serve` says where it does not start.
fn refused(settings: &[&str]) -> String {
    let output = serve(settings).output().expect("the binary is there");
    let said = String::from_utf8(output.stderr).expect("a text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("\nready\n"), "{said}");
    let last = said.lines().last().expect("it says why");
    last.strip_prefix("ringcast: ")
        .expect("its name first")
        .to_owned()
}

#[test]
fn an_address_that_is_taken_stops_the_start_with_a_sentence() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = taken.local_addr().expect("it has one");
    let expected = format!(
        "{address} is taken: stop the program that listens there (`ss -ltnp sport = :{}` names \
         it) or choose another port",
        address.port()
    );
    for key in ["listen.mqtt=[\"", "listen.admin=\""] {
        let end = if key.ends_with("[\"") { "\"]" } else { "\"" };
        assert_eq!(refused(&[&format!("{key}{address}{end}")]), expected);
    }
    // Two engines do not get one address either.
    let server = Server::start(&[]);
    let said = refused(&[&format!("listen.mqtt=[\"{}\"]", server.mqtt)]);
    assert!(said.contains("is taken"), "{said}");
    server.stop();
}

#[test]
fn the_admin_listener_tells_how_it_is() {
    let server = Server::start(&["feed.kind=synthetic", "feed.rate=1000", "feed.symbols=10"]);
    for page in [
        "/healthz",
        "/readyz",
        "/admin/v1/settings",
        "/admin/v1/plan",
    ] {
        let (status, body) = server.get(page);
        assert_eq!(status, 200, "{page}: {body}");
        let _: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    }
    assert_eq!(server.get("/nothing").0, 404);
    let mut client = Client::connect(server.mqtt, Version::V5, "counted");
    client.subscribe("#");
    for _ in 0..100 {
        client.message();
    }
    client.publish("own", b"1", false);
    let counted = [
        "ringcast_ingest_feed_messages_total",
        "ringcast_ingest_published_total",
        "ringcast_messages_total",
        "ringcast_frames_total",
        "ringcast_deliveries_total",
        "ringcast_sends_total",
        "ringcast_sent_bytes_total",
        "ringcast_received_bytes_total",
        "ringcast_published_total",
        "ringcast_subscribed_total",
        "ringcast_connected_total",
        "ringcast_turns_total",
        "ringcast_door_accepted_total",
        "ringcast_door_handed_over_total",
        "ringcast_stage_ingest_to_shard_seconds_count",
        "ringcast_stage_shard_to_submitted_seconds_count",
    ];
    for metric in counted {
        wait_until(metric, || server.metric(metric) > 0);
    }
    let before = server.metric("ringcast_deliveries_total");
    wait_until("it goes on", || {
        client.message();
        server.metric("ringcast_deliveries_total") > before
    });
    check_metrics(&server.get("/metrics").1);
    server.stop();
}

/// What Prometheus thinks of them.
fn check_metrics(text: &str) {
    let process = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut process) = process else {
        eprintln!("skipped: `promtool check metrics`, promtool is not there");
        return;
    };
    let mut input = process.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = process.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// `ringcast demo`, read line by line.
struct Demo {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut process = ringcast(&["demo", "--set", "cores.idle=park"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary is there");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    fn wait_for_line(&mut self, part: &str) -> String {
        loop {
            let line = self.lines.next().expect("it runs").expect("a text");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// A line of the view that says that something came in and went out.
    fn wait_for_traffic(&mut self) {
        loop {
            let line = self.wait_for_line("  connections ");
            let (incoming, rest) = line.split_once("/s  out ").expect("it is the view");
            let (outgoing, rest) = rest.split_once("/s  ").expect("it is the view");
            assert!(rest.contains("ingest to shard p50 "), "{line}");
            let number = |text: &str| -> u64 { text.parse().expect("a number") };
            let incoming = number(incoming.strip_prefix("in ").expect("it is the view"));
            if incoming > 0 && number(outgoing) > 0 && rest.contains("p99 ≤") {
                return;
            }
        }
    }

    fn interrupt(mut self) {
        signal(&self.process, Signal::SIGINT);
        let status = self.process.wait().expect("it is our child");
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_demonstration_takes_other_ports_and_says_how_to_look_at_it() {
    // Whether it is this test that has it or somebody else: it is taken.
    let _taken = [1883, 9883].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    for speed in ["1", "max"] {
        let mut demo = Demo::start(&["--speed", speed]);
        for port in [1883, 9883] {
            let said = demo.wait_for_line("is taken");
            assert_eq!(said, format!("port {port} is taken: another one is used"));
        }
        let own = demo.wait_for_line("ringcast sub --port ");
        let mosquitto = demo.wait_for_line("mosquitto_sub -h 127.0.0.1 -p ");
        let port: u16 = word_after(&own, "--port").parse().expect("a port");
        assert_eq!(word_after(&mosquitto, "-p"), port.to_string());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let filter = word_after(&mosquitto, "-t").trim_matches('\'').to_owned();
        let listener = Listener::start(Library::Mosquitto, Version::V5, address, &filter);
        let listener = listener.expect("mosquitto has to be there");
        let got = listener.message().expect("it is connected");
        assert!(got.topic.ends_with("/trade"), "{got:?}");
        demo.wait_for_traffic();
        drop(listener);
        demo.interrupt();
    }
}

fn word_after<'a>(line: &'a str, option: &str) -> &'a str {
    let mut words = line.split_whitespace().skip_while(|word| *word != option);
    words.nth(1).expect("it is there")
}
