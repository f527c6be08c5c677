//! Time in which a thread would have run, and somebody else did: other processes on its
//! processor, or another guest of the host. A measurement that lost much of it is not one of
//! what was to be measured.
//!
//! The kernel's thread for what networking left over is not somebody else: what it does is
//! sending and receiving, too.

use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Nanoseconds that the calling thread has lost; only the difference of two looks means
/// something.
pub(crate) fn by_this_thread() -> io::Result<i64> {
    Ok(Ran::look(Path::new("/proc/thread-self"))?.lost_nanos)
}

/// The same of the thread of a process that ran most: of a server, the one that serves.
pub(crate) fn by_process(process: u32) -> io::Result<i64> {
    let mut most = Ran::default();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // Threads may end meanwhile.
        if let Ok(ran) = Ran::look(&thread?.path())
            && ran.nanos >= most.nanos
        {
            most = ran;
        }
    }
    Ok(most.lost_nanos)
}

/// How long a thread ran, and how long it did not although it would have.
#[derive(Debug, Default)]
struct Ran {
    nanos: u64,
    lost_nanos: i64,
}

impl Ran {
    /// `task` is the thread's directory in `/proc`.
    fn look(task: &Path) -> io::Result<Self> {
        let status = fs::read_to_string(task.join("status"))?;
        let networking = match processor(&status).and_then(networking_thread) {
            Some(thread) => fs::read_to_string(thread.join("schedstat"))?,
            // It can't be seen from inside a container.
            None => "0 0".to_owned(),
        };
        let schedstat = fs::read_to_string(task.join("schedstat"))?;
        let stat = fs::read_to_string("/proc/stat")?;
        Self::read(&schedstat, &status, &stat, &networking)
    }

    /// From the files of these names, and the schedstat of the networking thread.
    fn read(schedstat: &str, status: &str, stat: &str, networking: &str) -> io::Result<Self> {
        let (nanos, waited_nanos) = schedule(schedstat)?;
        let (networking_nanos, _) = schedule(networking)?;
        let stolen_ticks = match processor(status) {
            Some(processor) => stolen_ticks(stat, processor)?,
            // It may be on any, so what is stolen from one says nothing.
            None => 0,
        };
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.ok_or(ErrorKind::Unsupported)?;
        let stolen_nanos = stolen_ticks * 1_000_000_000 / ticks_per_second as u64;
        Ok(Self {
            nanos,
            lost_nanos: (waited_nanos + stolen_nanos) as i64 - networking_nanos as i64,
        })
    }
}

/// Nanoseconds that a thread ran, and that it waited for its processor.
fn schedule(schedstat: &str) -> io::Result<(u64, u64)> {
    let mut numbers = schedstat.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(ran)), Some(Ok(waited))) => Ok((ran, waited)),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// The processor that a thread is kept on, if it is one.
fn processor(status: &str) -> Option<usize> {
    let name = "Cpus_allowed_list:";
    let list = status.lines().find_map(|line| line.strip_prefix(name))?;
    list.trim().parse().ok()
}

/// The directory in `/proc` of the thread that does what networking left over on a processor.
fn networking_thread(processor: usize) -> Option<&'static Path> {
    static ALL: OnceLock<Vec<(String, PathBuf)>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let named = processes.filter_map(|process| {
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            let processor = name.strip_prefix("ksoftirqd/")?.trim().to_owned();
            Some((processor, process.path()))
        });
        named.collect()
    });
    let name = processor.to_string();
    let (_, path) = all.iter().find(|(processor, _)| *processor == name)?;
    Some(path)
}

/// Ticks in which the host let a processor wait that had work.
fn stolen_ticks(stat: &str, processor: usize) -> io::Result<u64> {
    let name = format!("cpu{processor} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&*name));
    // user, nice, system, idle, iowait, irq, softirq, steal
    line.and_then(|line| line.split_whitespace().nth(7)?.parse().ok())
        .ok_or_else(|| ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDSTAT: &str = "12 34 5\n";
    const STAT: &str =
        "cpu  9 9 9 9 9 9 9 9 9 9\ncpu1 1 2 3 4 5 6 7 8 9 10\ncpu11 0 0 0 0 0 0 0 0 0 0\n";

    fn status(processors: &str) -> String {
        format!("Name:\tx\nCpus_allowed_list:\t{processors}\nMems_allowed_list:\t0\n")
    }

    #[test]
    fn what_is_lost_is_what_it_waited_and_what_was_stolen() {
        let ran = |processors| Ran::read(SCHEDSTAT, &status(processors), STAT, "4 0 1");
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK).expect("is told");
        let tick_nanos = 1_000_000_000 / ticks_per_second.expect("is known") as i64;
        let kept = ran("1").expect("all is there");
        assert_eq!((kept.nanos, kept.lost_nanos), (12, 34 - 4 + 8 * tick_nanos));
        assert_eq!(ran("0-3").expect("all is there").lost_nanos, 34 - 4);
        assert!(ran("2").is_err(), "there is no such processor");
        assert!(Ran::read("12", &status("1"), STAT, "4 0 1").is_err());
    }

    #[test]
    fn this_kernel_tells_all_of_it() {
        by_this_thread().expect("is told");
        by_process(std::process::id()).expect("is told");
    }
}
