//! The program, brokers that others wrote, and one that is wrong when it is told to be.

pub(crate) mod faulty;
pub(crate) mod mosquitto;
pub(crate) mod program;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Guards against hanging; nothing is measured by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Until it is so.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "it never was so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder for temporary files that nobody else has.
pub(crate) fn folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("ringcast-generator-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

/// A port of loopback that nobody listens at.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("loopback is there")
        .port()
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).expect("numbers of processes are small");
    kill(Pid::from_raw(pid), signal).expect("it is there");
}

/// A process of a test, ended at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Mostly it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
