//! What the tests of the whole engine share: the engine as a process of its own, clients
//! that others wrote, one that says exactly the bytes it is told, and another reader of
//! recordings.
//!
//! Everything here waits for something that happens; [`PATIENCE`] only guards against
//! hanging, and nothing is measured by it.

#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod client;
pub(crate) mod handler;
pub(crate) mod library;
pub(crate) mod listener;
pub(crate) mod proof;
pub(crate) mod property;
pub(crate) mod recording;
pub(crate) mod rumqttc;
pub(crate) mod server;
pub(crate) mod traffic;
pub(crate) mod trial;

use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Guards against hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Until it is so.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        let waited = began.elapsed();
        assert!(waited < PATIENCE, "it never was so: {what}");
        // Mostly it is so very soon.
        match waited < Duration::from_millis(5) {
            true => std::thread::yield_now(),
            false => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// A path in the folder for temporary files that nobody else has.
pub(crate) fn temporary(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = format!("ringcast-server-{}-{number}-{name}", std::process::id());
    std::env::temp_dir().join(file)
}

/// Sends a signal to a child.
pub(crate) fn signal(process: &Child, signal: Signal) {
    let pid = i32::try_from(process.id()).expect("numbers of processes are small");
    kill(Pid::from_raw(pid), signal).expect("it is our child");
}

/// Stops a child, and waits until it stands still.
pub(crate) fn freeze(process: &Child) {
    signal(process, Signal::SIGSTOP);
    let stat = format!("/proc/{}/stat", process.id());
    wait_until("it is stopped", || {
        let stat = std::fs::read_to_string(&stat).expect("it is there");
        let (_, rest) = stat.rsplit_once(") ").expect("that is its form");
        rest.starts_with('T')
    });
}
