//! The command, as its users meet it.

mod support;

use std::path::PathBuf;
use std::process::{Command, Output};

use ringcast_referee::{Report, Rule, occasions, trace};
use support::*;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringcast-referee"))
        .args(arguments)
        .output()
        .expect("the command runs")
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A trace in which a client gets what it did not subscribe to, or does not get it.
fn file(name: &str, bad: bool) -> String {
    let mut script = Script::new();
    script.join(1, &v4("a"));
    script.subscribe(1, 4, 1, "t", 0);
    script.client(1, message(4, "t", "x"));
    script.server(1, message(4, if bad { "u" } else { "t" }, "x"));
    let path = folder(name).join("trace");
    let file = std::fs::File::create(&path).expect("a file");
    let mut writer = trace::Writer::new(file).expect("writable");
    for event in &script.events {
        writer.write(event).expect("writable");
    }
    writer.finish().expect("writable");
    path.to_str().expect("a plain path").to_owned()
}

#[test]
fn a_good_trace_is_0_and_a_bad_one_1() {
    let good = run(&["--whole", &file("good", false)]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let text = String::from_utf8(good.stdout).expect("text");
    assert!(
        text.contains("subscribed                        1          0\n"),
        "{text}"
    );
    let bad = run(&["--whole", &file("bad", true)]);
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    let text = String::from_utf8(bad.stdout).expect("text");
    assert!(
        text.contains("\nsubscribed: connection 1, byte 9, 0.007000 s: PUBLISH"),
        "{text}"
    );
}

#[test]
fn what_is_no_trace_is_2() {
    let path = folder("none").join("trace");
    std::fs::write(&path, "not a trace\n").expect("writable");
    let path = path.to_str().expect("a plain path").to_owned();
    for arguments in [&[path.as_str()][..], &["/nowhere"], &[]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn occasions_of_several_processes_are_added_up() {
    let folder = folder("occasions");
    let mut script = Script::new();
    script.join(1, &v5("a"));
    for _ in 0..2 {
        occasions::keep(&script.judge(), &folder).expect("kept");
    }
    let sum: Report = occasions::merge(&folder).expect("merged");
    assert_eq!(sum.occasions(Rule::ConnackFirst), 2);
    assert_eq!(sum.without_occasion(&[Rule::Form, Rule::Qos]), [Rule::Qos]);

    let path = folder.to_str().expect("a plain path");
    let output = run(&["occasions", path]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        text.contains("connack-first                     2\n"),
        "{text}"
    );
    assert!(text.contains("\nqos never had its occasion\n"), "{text}");
    assert!(!text.contains("connack-first never"), "{text}");

    let missing = sum.without_occasion(Rule::ALL);
    let mut arguments = vec!["occasions", path];
    for rule in &missing {
        arguments.extend(["--except", rule.name()]);
    }
    assert_eq!(run(&arguments).status.code(), Some(0));

    std::fs::write(folder.join("1-99.occasions"), "form x\n").expect("writable");
    assert_eq!(run(&["occasions", path]).status.code(), Some(2));
}
