//! Waking a thread that sleeps on an eventfd on the other core: what a message to a
//! parked shard waits before anybody looks at it.

use super::Cores;
use crate::clock::{Times, now_nanos};
use crate::error::Error;
use crate::report::Figure;
use nix::sys::eventfd::EventFd;
use std::hint::spin_loop;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;

/// From the moment that a thread says it goes to sleep until it surely does: much more
/// than a system call takes.
const ASLEEP_NANOS: u64 = 100_000;

/// Times that are over before figures begin.
const WARM_UP: u64 = 10;

/// Wakes a thread again and again, for about so many nanoseconds.
pub(crate) fn run(cores: Cores, nanos: u64) -> Result<Vec<Figure>, Error> {
    let bell = EventFd::new().map_err(Error::system("eventfd"))?;
    let wakes = WARM_UP + (nanos / ASLEEP_NANOS).max(1);
    // How often the sleeper lay down, and when it last woke.
    let (lay_down, woken_nanos) = (AtomicU64::new(0), AtomicU64::new(0));
    let times = thread::scope(|scope| {
        scope.spawn(|| {
            cores.server.pin();
            for time in 1..=wakes {
                lay_down.store(time, Release); // SYNC: lay down
                bell.read().expect("an eventfd can be read");
                woken_nanos.store(now_nanos(), Release); // SYNC: woken
            }
        });
        let waker = scope.spawn(|| {
            cores.probe.pin();
            let mut times = Times::new();
            for time in 1..=wakes {
                // SYNC: lay down
                while lay_down.load(Acquire) != time {
                    spin_loop();
                }
                let asleep_nanos = now_nanos() + ASLEEP_NANOS;
                while now_nanos() < asleep_nanos {
                    spin_loop();
                }
                let rung_nanos = now_nanos();
                bell.write(1).expect("an eventfd can be written");
                let woken = loop {
                    // What it says from the time before is older. SYNC: woken
                    match woken_nanos.load(Acquire) {
                        woken if woken >= rung_nanos => break woken,
                        _ => spin_loop(),
                    }
                };
                if time > WARM_UP {
                    times.record(woken - rung_nanos);
                }
            }
            times
        });
        waker.join().expect("does not panic")
    });
    Ok(vec![
        Figure::new("p50", "ns", times.percentile(50.0)),
        Figure::new("p99", "ns", times.percentile(99.0)),
    ])
}
