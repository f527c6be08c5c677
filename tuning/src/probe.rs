//! What a core suffers, measured: how long the system takes it away (as `oslat` of
//! rt-tests does), how long it takes to wake, and a round trip over loopback.
//!
//! These are the only parts that look at a clock. They change nothing but the affinity
//! of threads of their own.

use crate::cpus::CpuSet;
use hdrhistogram::Histogram;
use nix::sched::{CpuSet as Affinity, sched_setaffinity};
use nix::sys::eventfd::EventFd;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// A gap between two looks at the clock longer than this was somebody else's doing.
const GAP_NANOS_MIN: u64 = 1_000;
/// Longer ones count as this.
const NANOS_MAX: u64 = 60_000_000_000;
/// How long a waiter is left alone, so that it sleeps when it is woken.
const ASLEEP: Duration = Duration::from_micros(500);
/// What goes round over loopback.
const MESSAGE_BYTES: usize = 128;

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The cores that are looked at.
    pub cpus: CpuSet,
    /// A core that wakes them and talks to them.
    pub partner: usize,
    /// How long each of the three probes takes.
    pub duration: Duration,
}

/// What was measured once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// One for each core that was looked at.
    pub cores: Vec<Core>,
    /// From the bell to the first thing done, of a thread that slept.
    pub wake: Quantiles,
    /// There and back over TCP on loopback, both ends sleeping between.
    pub loopback: Quantiles,
}

/// What one core suffered while all of them spun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Core {
    /// Its number.
    pub cpu: usize,
    /// How long nobody looked at the clock.
    pub gaps: Quantiles,
    /// How many gaps were longer than a microsecond, by powers of two: the first counts
    /// those up to 2 µs, the next up to 4.
    pub longer: Vec<u64>,
    /// Millionths of the time that went into those.
    pub lost_ppm: u64,
}

/// The shape of many times, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many there were.
    pub count: u64,
    /// Half of them are no longer.
    pub p50: u64,
    /// 99 % are no longer.
    pub p99: u64,
    /// All but one in ten thousand are no longer.
    pub p9999: u64,
    /// The longest.
    pub worst: u64,
}

/// Why nothing was measured.
#[derive(Debug)]
pub enum ProbeError {
    /// A thread could not be put on this core.
    NoSuchCore(usize, nix::Error),
    /// Loopback or the bell failed.
    Io(io::Error),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchCore(cpu, error) => {
                write!(
                    f,
                    "there is no CPU {cpu} here, or this process may not use it ({error})"
                )
            }
            Self::Io(error) => write!(f, "loopback: {error}"),
        }
    }
}

impl std::error::Error for ProbeError {}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<nix::Error> for ProbeError {
    fn from(error: nix::Error) -> Self {
        Self::Io(error.into())
    }
}

impl Probe {
    /// Measures all three, one after the other.
    ///
    /// # Errors
    /// [`ProbeError`]: a core that is not there, or no loopback.
    pub fn run(&self) -> Result<Round, ProbeError> {
        let first = self.cpus.iter().next().unwrap_or(self.partner);
        Ok(Round {
            cores: self.gaps()?,
            wake: wake(first, self.partner, self.duration)?,
            loopback: loopback(first, self.partner, self.duration)?,
        })
    }

    /// All cores spin at the same time, as the engine's do.
    fn gaps(&self) -> Result<Vec<Core>, ProbeError> {
        thread::scope(|scope| {
            let spinners: Vec<_> = self
                .cpus
                .iter()
                .map(|cpu| pinned(scope, cpu, move || Ok(spin(cpu, self.duration))))
                .collect();
            spinners.into_iter().map(joined).collect()
        })
    }
}

type Handle<'s, R> = ScopedJoinHandle<'s, Result<R, ProbeError>>;

/// A thread on one core.
fn pinned<'s, R: Send + 's>(
    scope: &'s Scope<'s, '_>,
    cpu: usize,
    work: impl FnOnce() -> Result<R, ProbeError> + Send + 's,
) -> Handle<'s, R> {
    scope.spawn(move || {
        let mut affinity = Affinity::new();
        affinity
            .set(cpu)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &affinity))
            .map_err(|error| ProbeError::NoSuchCore(cpu, error))?;
        work()
    })
}

fn joined<R>(handle: Handle<'_, R>) -> Result<R, ProbeError> {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, NANOS_MAX, 3).expect("one to a minute with three digits is valid")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn spin(cpu: usize, duration: Duration) -> Core {
    let mut gaps = histogram();
    let mut longer = Vec::new();
    let mut lost = 0;
    let began = Instant::now();
    let mut last = began;
    while last - began < duration {
        let now = Instant::now();
        let gap = nanos(now - last);
        last = now;
        gaps.saturating_record(gap);
        if gap >= GAP_NANOS_MIN {
            lost += gap;
            let power = (gap / GAP_NANOS_MIN).ilog2() as usize;
            if longer.len() <= power {
                longer.resize(power + 1, 0);
            }
            longer[power] += 1;
        }
    }
    let lost_ppm = u128::from(lost) * 1_000_000 / (last - began).as_nanos().max(1);
    Core {
        cpu,
        gaps: Quantiles::of(&gaps),
        longer,
        lost_ppm: u64::try_from(lost_ppm).unwrap_or(u64::MAX),
    }
}

/// A thread on `cpu` sleeps on an eventfd, one on `partner` rings it.
fn wake(cpu: usize, partner: usize, duration: Duration) -> Result<Quantiles, ProbeError> {
    let bell = &EventFd::new()?;
    let origin = Instant::now();
    let (rung_at, heard, is_over) = (
        &AtomicU64::new(0),
        &AtomicU64::new(0),
        &AtomicBool::new(false),
    );
    thread::scope(|scope| {
        let waiter = pinned(scope, cpu, move || {
            let mut times = histogram();
            loop {
                bell.read()?;
                let now = nanos(origin.elapsed());
                if is_over.load(Ordering::Acquire) {
                    return Ok(Quantiles::of(&times));
                }
                // SYNC: bell. The read of the eventfd comes after its write.
                times.saturating_record(now.saturating_sub(rung_at.load(Ordering::Acquire)));
                heard.fetch_add(1, Ordering::Release);
            }
        });
        let ringer = pinned(scope, partner, move || {
            let mut rung = 0;
            while origin.elapsed() < duration {
                thread::sleep(ASLEEP);
                // SYNC: bell.
                rung_at.store(nanos(origin.elapsed()), Ordering::Release);
                bell.write(1)?;
                rung += 1;
                // Where the waiter never began, time ends this as well.
                while heard.load(Ordering::Acquire) < rung && origin.elapsed() < duration {
                    thread::yield_now();
                }
            }
            Ok(())
        });
        let rung = joined(ringer);
        is_over.store(true, Ordering::Release);
        bell.write(1)?;
        let times = joined(waiter)?;
        rung.map(|()| times)
    })
}

/// One end echoes on `cpu`, the other asks on `partner`; both sleep between.
fn loopback(cpu: usize, partner: usize, duration: Duration) -> Result<Quantiles, ProbeError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut asking = TcpStream::connect(listener.local_addr()?)?;
    let (mut echoing, _) = listener.accept()?;
    asking.set_nodelay(true)?;
    echoing.set_nodelay(true)?;
    thread::scope(|scope| {
        let echo = pinned(scope, cpu, move || {
            let mut message = [0; MESSAGE_BYTES];
            // The other end closes when it has enough.
            while echoing.read_exact(&mut message).is_ok() {
                echoing.write_all(&message)?;
            }
            Ok(())
        });
        let ask = pinned(scope, partner, move || {
            let mut times = histogram();
            let mut message = [0; MESSAGE_BYTES];
            let began = Instant::now();
            while began.elapsed() < duration {
                let sent = Instant::now();
                asking.write_all(&message)?;
                asking.read_exact(&mut message)?;
                times.saturating_record(nanos(sent.elapsed()));
            }
            Ok(Quantiles::of(&times))
        });
        // Whoever never begins drops its end, which ends the other.
        let (echoed, asked) = (joined(echo), joined(ask));
        if matches!(asked, Err(ProbeError::NoSuchCore(..))) {
            return asked;
        }
        echoed?;
        asked
    })
}

impl Quantiles {
    fn of(times: &Histogram<u64>) -> Self {
        Self {
            count: times.len(),
            p50: times.value_at_quantile(0.5),
            p99: times.value_at_quantile(0.99),
            p9999: times.value_at_quantile(0.9999),
            worst: times.max(),
        }
    }
}

/// Nanoseconds as microseconds, with as many digits as mean something.
pub(crate) fn micros(nanos: u64) -> String {
    match nanos {
        0..10_000 => format!("{}.{:02}", nanos / 1_000, nanos % 1_000 / 10),
        10_000..100_000 => format!("{}.{}", nanos / 1_000, nanos % 1_000 / 100),
        _ => format!("{}", nanos / 1_000),
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<16}{:>10}{:>10}{:>10}{:>10}{:>10}  µs",
            "", "count", "p50", "p99", "p99.99", "worst"
        )?;
        let mut line = |name: &str, times: &Quantiles| {
            let Quantiles {
                count,
                p50,
                p99,
                p9999,
                worst,
            } = *times;
            let [p50, p99, p9999, worst] = [p50, p99, p9999, worst].map(micros);
            writeln!(
                f,
                "{name:<16}{count:>10}{p50:>10}{p99:>10}{p9999:>10}{worst:>10}"
            )
        };
        for core in &self.cores {
            line(&format!("gaps on CPU {}", core.cpu), &core.gaps)?;
        }
        line("wake-up", &self.wake)?;
        line("round trip", &self.loopback)?;
        for core in &self.cores {
            write!(
                f,
                "CPU {}: {} millionths lost; gaps",
                core.cpu, core.lost_ppm
            )?;
            for (power, count) in core
                .longer
                .iter()
                .enumerate()
                .filter(|(_, count)| **count > 0)
            {
                write!(f, ", {count} of {}–{} µs", 1_u64 << power, 2_u64 << power)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
