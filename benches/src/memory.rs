//! What a process, the host and the kernel's sockets hold, as the kernel tells it.

use nix::unistd::{SysconfVar, sysconf};
use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind};

/// Bytes of a process's memory that are resident; `self` is this one.
pub(crate) fn resident_bytes(process: impl Display) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kib = number_behind(&status, "VmRSS:", None)?;
    Ok(1024 * kib)
}

/// Bytes of memory that the host could still give.
pub(crate) fn available_bytes() -> io::Result<u64> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib = number_behind(&memory, "MemAvailable:", None)?;
    Ok(1024 * kib)
}

/// Bytes that all TCP sockets of the host hold, both ends of each connection.
pub(crate) fn socket_bytes() -> io::Result<u64> {
    let sockets = fs::read_to_string("/proc/net/sockstat")?;
    let pages = number_behind(&sockets, "TCP:", Some("mem"))?;
    let page_bytes = sysconf(SysconfVar::PAGE_SIZE)?.unwrap_or(4096);
    Ok(pages * page_bytes as u64)
}

/// The number in the line that begins so: the first one, or that behind a word.
fn number_behind(text: &str, line: &str, word: Option<&str>) -> io::Result<u64> {
    let rest = text.lines().find_map(|text| text.strip_prefix(line));
    let number = rest.and_then(|rest| {
        let mut words = rest.split_whitespace();
        if let Some(word) = word {
            words.find(|other| *other == word)?;
        }
        words.next()?.parse().ok()
    });
    number.ok_or_else(|| ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_their_names() {
        let text = "sockets: used 9\nTCP: inuse 5 orphan 0 mem 7\nUDP: inuse 1 mem 3\n";
        assert_eq!(number_behind(text, "TCP:", Some("mem")).ok(), Some(7));
        assert!(number_behind(text, "TCP:", Some("tw")).is_err());
        assert_eq!(
            number_behind("VmRSS:\t 12 kB\n", "VmRSS:", None).ok(),
            Some(12)
        );
    }

    #[test]
    fn this_kernel_tells_all_of_it() {
        assert!(resident_bytes("self").expect("is told") > 100_000);
        assert!(available_bytes().expect("is told") > 0);
        socket_bytes().expect("is told");
    }
}
