//! What goes wrong is told in a sentence that says what to do.

use crate::support::mosquitto::{Mosquitto, find};
use crate::support::program::{loadgen, run};
use crate::support::{folder, free_port};
use std::process::Command;

/// Exit code and what it says, of words that lead to no run.
fn refused(words: &str) -> String {
    let output = loadgen(words).output().expect("the program is there");
    let said = String::from_utf8(output.stderr).expect("it is text");
    assert_eq!(output.status.code(), Some(2), "{words}: {said}");
    said
}

#[test]
fn a_scenario_that_can_not_be() {
    let said = refused("run no-such-thing");
    assert!(
        said.contains("\"no-such-thing\" is neither a file nor a preset; there are conn-1m"),
        "{said}"
    );
    let folder = folder();
    for (text, expected) in [
        ("[load]\nrat = 5\n", "unknown field `rat`, expected"),
        (
            "[load]\nduration = \"5\"\n",
            "\"5\" is not a time with its unit",
        ),
        (
            "[load]\npayload = 8\n",
            "load.payload: 8 bytes can't be checked",
        ),
        (
            "[load]\npayload = 16\n[publishers]\ncount = 2\n",
            "load.payload: 16 bytes can't say who published them",
        ),
        (
            "[topics]\ncount = 7\n[publishers]\ncount = 2\n",
            "publishers.count: 2 publishers can't share 7 topics evenly",
        ),
        (
            "[subscribers]\nqos = 3\n",
            "subscribers.qos: 3 is not a quality of service",
        ),
        (
            "[target]\naddresses = [\"somewhere\"]\n",
            "\"somewhere\" is no address with a port",
        ),
        (
            "[load]\nrecording = [\"/no/such\"]\n",
            "/no/such: No such file",
        ),
        (
            "[target.tls]\nauthority = \"/no/such\"\n",
            "target.tls.authority: /no/such",
        ),
    ] {
        let file = folder.join("scenario.toml");
        std::fs::write(&file, text).expect("a file");
        let said = refused(&format!("run {} --no-floor", file.display()));
        assert!(said.contains(expected), "{text}: {said}");
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn too_few_ports() {
    let said = refused("run --idle 10000000 --target 192.0.2.1:1883 --no-floor");
    assert!(
        said.contains(
            "10000002 connections need more ports than there are: 1 source addresses × 1"
        ),
        "{said}"
    );
    assert!(said.contains("--source"), "{said}");
}

#[test]
fn nobody_is_there() {
    let outcome = run(&format!(
        "run --quiet --target 127.0.0.1:{} --subscribers 300",
        free_port()
    ));
    assert_eq!(outcome.code, Some(1));
    let results = outcome.results();
    let [end] = &results.early_ends[..] else {
        panic!("{:?}", results.early_ends);
    };
    assert!(
        end.why
            .contains("nobody listens there: start the server, or name its address with --target"),
        "{}",
        end.why
    );
    assert!(
        outcome.stdout.contains("nobody listens there"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_client_that_is_refused() {
    let folder = folder();
    let passwords = folder.join("passwords");
    let made = Command::new(find("mosquitto_passwd"))
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["desk-0", "secret-0"])
        .status();
    assert!(made.expect("mosquitto_passwd").success());
    let broker = Mosquitto::with(&format!(
        "allow_anonymous false\npassword_file {}\n",
        passwords.display()
    ));
    let words = |more: &str| {
        format!(
            "run --quiet --target {} --subscribers 1 --publishers 0 --rate 0 --duration 0s {more}",
            broker.address
        )
    };
    let outcome = run(&words(""));
    assert_eq!(outcome.code, Some(1));
    let results = outcome.results();
    assert_eq!(results.totals.connections_refused, 1);
    assert!(
        results.early_ends[0]
            .why
            .contains("name a user and a password that it knows"),
        "{:?}",
        results.early_ends
    );
    let results = run(&words("--user desk-{client} --password secret-{client}")).right();
    assert_eq!(results.totals.connections_opened, 1);
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn a_server_that_speaks_no_mqtt() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        use std::io::Write;
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            std::mem::forget(stream);
        }
    });
    let outcome = run(&format!("run --quiet --target {address}"));
    assert_eq!(outcome.code, Some(1));
    let why = &outcome.results().early_ends[0].why;
    assert!(why.contains("broke MQTT"), "{why}");
}
