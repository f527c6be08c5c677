//! What stops the engine, and what keeps it from starting. What a feed brings is neither: see
//! [`Refusal`](crate::Refusal).

use ringcast_codec::market::Symbol;
use ringcast_ring::{Corrupt, Position};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What can not be gone on with: one of our own shards broke what holds between it and the
/// sequencer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestError {
    /// The memory of an uplink does not hold what an uplink would.
    Corrupt {
        /// Whose.
        uplink: usize,
        /// Where.
        corrupt: Corrupt,
    },
    /// A record says that it is a message, and is none.
    NoMessage {
        /// Whose.
        uplink: usize,
        /// Where.
        position: Position,
    },
    /// A record is larger than any of the ring can be: the uplink is larger than the ring.
    TooLarge {
        /// Whose.
        uplink: usize,
        /// Bytes of its body.
        bytes: usize,
    },
}

impl fmt::Display for IngestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { uplink, corrupt } => {
                write!(formatter, "the uplink of shard {uplink}: {corrupt}")
            }
            Self::NoMessage {
                uplink,
                position: Position(position),
            } => write!(
                formatter,
                "the uplink of shard {uplink}: what stands at {position} is no message"
            ),
            Self::TooLarge { uplink, bytes } => write!(
                formatter,
                "the uplink of shard {uplink}: a record of {bytes} bytes, which the ring can \
                 not hold"
            ),
        }
    }
}

impl std::error::Error for IngestError {}

/// Why a feed was not opened.
#[derive(Debug)]
pub enum FeedError {
    /// A setting has a value that it may not have.
    Setting {
        /// Its name, below `feed`.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// A file of a recording can not be read.
    Unreadable {
        /// Its name.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// A file of a recording has nothing in it.
    Empty {
        /// Its name.
        name: String,
    },
    /// The first line of a file is none of the headers that there are.
    Header {
        /// Its name.
        name: String,
        /// What its first line is, or the beginning of it, in quotes.
        line: String,
    },
    /// A file has rows, and none of those at its beginning can be read.
    Rows {
        /// Its name.
        name: String,
        /// What is wrong with the first of them.
        report: String,
    },
    /// None of the files has a row.
    NoRows,
    /// Two symbols come out the same.
    Symbols {
        /// As the recording has it first.
        first: String,
        /// As it has it later.
        second: String,
        /// What both are.
        symbol: Symbol,
    },
    /// The socket can not be listened at.
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for FeedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting {
                key,
                value,
                allowed,
            } => write!(formatter, "feed.{key} is {value}: allowed is {allowed}"),
            Self::Unreadable { name, error } => {
                write!(formatter, "{name}: {}", crate::replay::trouble(error))
            }
            Self::Empty { name } => write!(
                formatter,
                "{name} is empty: expected a header line and rows, plain or gzip"
            ),
            Self::Header { name, line } => write!(
                formatter,
                "{name} begins with the line {line}: expected one of {}",
                crate::replay::HEADERS.join(" or ")
            ),
            Self::Rows { name, report } => write!(
                formatter,
                "{name} has no row that can be read at its beginning: {report}"
            ),
            Self::NoRows => formatter.write_str("the recording has no rows in any of its files"),
            Self::Symbols {
                first,
                second,
                symbol,
            } => write!(
                formatter,
                "the recording has both {first} and {second}, which would both be {symbol}: \
                 replay them apart, or rename one"
            ),
            Self::Socket { path, error } if error.kind() == io::ErrorKind::AddrInUse => write!(
                formatter,
                "{} is taken: another program listens there for a producer",
                path.display()
            ),
            Self::Socket { path, error } => write!(
                formatter,
                "no socket for a producer at {}: {error}",
                path.display()
            ),
            Self::Thread(error) => write!(formatter, "no thread for the feed: {error}"),
        }
    }
}

impl std::error::Error for FeedError {}
