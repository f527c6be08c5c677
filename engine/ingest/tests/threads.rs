//! A feed that is dropped leaves no thread behind. Alone in its process, so that all threads
//! are its own.

mod support;

use ringcast_ingest::{Feed, Pace, RecordingSource, ReplaySettings, ShmSettings};
use support::*;

/// How many threads of feeds there are.
fn feed_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("there is /proc");
    let names = tasks.filter_map(|task| {
        let path = task.ok()?.path().join("comm");
        std::fs::read_to_string(path).ok()
    });
    let is_feed = |name: &String| matches!(name.trim_end(), "ringcast-replay" | "ringcast-shm");
    names.filter(is_feed).count()
}

/// Waits, for a thread has its name only when it runs, and ends by itself.
fn wait_for_threads(wanted: usize) {
    while feed_threads() != wanted {
        std::thread::yield_now();
    }
}

/// Waits until a recording's reader sleeps: nobody takes what it has.
fn wait_for_a_sleeping_reader() {
    loop {
        let tasks = std::fs::read_dir("/proc/self/task").expect("there is /proc");
        let stats =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
        if stats
            .into_iter()
            .any(|stat| stat.contains("(ringcast-replay) S "))
        {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_feed_can_be_dropped_at_any_time() {
    let settings = ReplaySettings {
        files: RecordingSource::bundled(),
        pace: Pace::FlatOut,
        loops: true,
    };
    // Nobody takes anything of an endless recording, or something, or much.
    for turns in [0, 1, 100] {
        let mut engine = Engine::new(Feed::replay(&settings).unwrap(), 0, 1 << 16);
        wait_for_threads(1);
        for _ in 0..turns {
            engine.turn(0);
            engine.read();
        }
        if turns == 0 {
            wait_for_a_sleeping_reader();
        }
        drop(engine);
        wait_for_threads(0);
    }
    let socket = std::env::temp_dir().join(format!("ringcast-threads-{}", std::process::id()));
    let settings = ShmSettings {
        socket: socket.clone(),
    };
    let engine = Engine::new(Feed::shm(&settings).unwrap(), 0, 1 << 16);
    wait_for_threads(1);
    let silent = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    drop(engine);
    wait_for_threads(0);
    assert!(!socket.exists());
    drop(silent);
}
