//! TLS, with certificates of both sides.

use crate::support::folder;
use crate::support::mosquitto::{Mosquitto, find};
use crate::support::program::run;
use std::path::Path;
use std::process::{Command, Stdio};

fn openssl(folder: &Path, words: &str) {
    let status = Command::new(find("openssl"))
        .args(words.split_whitespace())
        .current_dir(folder)
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("openssl").success(), "openssl {words}");
}

/// An authority, and what it has signed for the server and for clients.
fn make_certificates(folder: &Path) {
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2",
    );
    std::fs::write(folder.join("server.ext"), "subjectAltName=IP:127.0.0.1\n").expect("a file");
    std::fs::write(folder.join("client.ext"), "subjectAltName=DNS:client\n").expect("a file");
    for name in ["server", "client"] {
        openssl(
            folder,
            &format!(
                "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
            ),
        );
        openssl(
            folder,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile {name}.ext"
            ),
        );
    }
}

#[test]
fn whoever_may_speak_tls_does() {
    let folder = folder();
    make_certificates(&folder);
    let file = |name: &str| folder.join(name).display().to_string();
    // A broker that root starts reads its files as somebody else.
    let broker = Mosquitto::with(&format!(
        "user root\nallow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
        file("ca.pem"),
        file("server.pem"),
        file("server.key")
    ));
    let words = |more: &str| {
        format!(
            "run --quiet --target {} --subscribers 20 --rate 500 --duration 1s {more}",
            broker.address
        )
    };
    let own = format!(
        "--tls-certificate {} --tls-key {}",
        file("client.pem"),
        file("client.key")
    );
    let authority = format!("--tls-authority {}", file("ca.pem"));
    let results = run(&words(&format!("{own} {authority}"))).right();
    assert_eq!(results.totals.delivered, 10_000);
    // Large messages take several records.
    let results = run(&words(&format!("{own} --payload 100000 --rate 20"))).right();
    assert_eq!(results.totals.delivered, 400);

    let outcome = run(&words(&authority));
    assert_eq!(
        outcome.code,
        Some(1),
        "without a certificate nobody gets in"
    );
    // Another authority has signed nothing here.
    openssl(
        &folder,
        "req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -subj /CN=other -days 2",
    );
    let outcome = run(&words(&format!(
        "{own} --tls-authority {}",
        file("other.pem")
    )));
    assert_eq!(outcome.code, Some(1));
    let why = &outcome.results().early_ends[0].why;
    assert!(why.contains("no TLS with 127.0.0.1"), "{why}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
