//! Time in which a thread would have run, and somebody else did: other processes on its
//! processor, or another guest of the host. A measurement that lost much of it is not one of
//! what was to be measured.

use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Nanoseconds that the calling thread has lost since it started.
pub(crate) fn by_this_thread() -> io::Result<u64> {
    Ok(Ran::look(Path::new("/proc/thread-self"))?.lost_nanos)
}

/// The same of the thread of a process that ran most: of a server, the one that serves.
pub(crate) fn by_process(process: u32) -> io::Result<u64> {
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
    lost_nanos: u64,
}

impl Ran {
    /// `task` is the thread's directory in `/proc`.
    fn look(task: &Path) -> io::Result<Self> {
        Self::read(
            &fs::read_to_string(task.join("schedstat"))?,
            &fs::read_to_string(task.join("status"))?,
            &fs::read_to_string("/proc/stat")?,
        )
    }

    /// From the files of these names.
    fn read(schedstat: &str, status: &str, stat: &str) -> io::Result<Self> {
        let (nanos, waited_nanos) = schedule(schedstat)?;
        let stolen_ticks = match processor(status) {
            Some(processor) => stolen_ticks(stat, processor)?,
            // It may be on any, so what is stolen from one says nothing.
            None => 0,
        };
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.ok_or(ErrorKind::Unsupported)?;
        let stolen_nanos = stolen_ticks * 1_000_000_000 / ticks_per_second as u64;
        Ok(Self {
            nanos,
            lost_nanos: waited_nanos + stolen_nanos,
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
        let ran = |processors| Ran::read(SCHEDSTAT, &status(processors), STAT);
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK).expect("is told");
        let tick_nanos = 1_000_000_000 / ticks_per_second.expect("is known") as u64;
        let kept = ran("1").expect("all is there");
        assert_eq!((kept.nanos, kept.lost_nanos), (12, 34 + 8 * tick_nanos));
        assert_eq!(ran("0-3").expect("all is there").lost_nanos, 34);
        assert!(ran("2").is_err(), "there is no such processor");
        assert!(Ran::read("12", &status("1"), STAT).is_err());
    }

    #[test]
    fn this_kernel_tells_all_of_it() {
        by_this_thread().expect("is told");
        by_process(std::process::id()).expect("is told");
    }
}
