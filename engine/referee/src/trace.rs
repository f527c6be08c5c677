//! What an observer saw on the wire, and a file of it.
//!
//! A trace is one line of text for each event, after a first line that names the
//! format. A line has the time in nanoseconds, the connection's number, what
//! happened, and for bytes their value in hexadecimal:
//!
//! ```text
//! ringcast-trace 1
//! 0 1 opened
//! 84100 1 to-server 100d00044d5154540402003c000161
//! 131000 1 to-client 20020000
//! 2500000 1 closed-by-client
//! ```
//!
//! **The order of lines matters.** An event towards the server stands before
//! everything that the server did because of it, on any connection. An observer has
//! that by writing down what a client sent before passing it on, and what the server
//! sent after reading it. Nothing more is assumed of the order between connections.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::num::ParseIntError;

/// One thing that an observer saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since any fixed moment; never less than that of the event before.
    pub at_nanos: u64,
    /// A number that no other connection of the trace has.
    pub connection: u64,
    /// What happened.
    pub what: What,
}

/// What happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A client connected.
    Opened,
    /// Bytes of the client, cut anywhere.
    ToServer(Vec<u8>),
    /// Bytes of the server, cut anywhere.
    ToClient(Vec<u8>),
    /// The server ended its direction, or closed.
    ClosedByServer,
    /// The client ended its direction, or closed.
    ClosedByClient,
    /// The connection was reset, by whichever end.
    Reset,
}

/// The first line of a file.
pub const HEAD: &str = "ringcast-trace 1";

/// Writes a trace, line by line.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        writeln!(out, "{HEAD}")?;
        Ok(Self { out })
    }

    /// Appends an event.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        let (name, bytes) = match &event.what {
            What::Opened => ("opened", None),
            What::ToServer(bytes) => ("to-server", Some(bytes)),
            What::ToClient(bytes) => ("to-client", Some(bytes)),
            What::ClosedByServer => ("closed-by-server", None),
            What::ClosedByClient => ("closed-by-client", None),
            What::Reset => ("reset", None),
        };
        write!(self.out, "{} {} {name}", event.at_nanos, event.connection)?;
        if let Some(bytes) = bytes {
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write!(self.out, " {text}")?;
        }
        writeln!(self.out)
    }

    /// The output, flushed.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Why a file is no trace.
#[derive(Debug)]
pub enum TraceError {
    /// It could not be read.
    Io(io::Error),
    /// The first line is not [`HEAD`].
    Head,
    /// A line does not have the parts that it must have.
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A number of a line is none.
    Number {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: ParseIntError,
    },
}

impl fmt::Display for TraceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceError::Io(_) => write!(out, "the trace could not be read"),
            TraceError::Head => write!(out, "the first line is not {HEAD:?}"),
            TraceError::Line { line } => write!(
                out,
                "line {line} is not `nanoseconds connection what [hexadecimal]`"
            ),
            TraceError::Number { line, .. } => write!(out, "line {line} has a bad number"),
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TraceError::Io(source) => Some(source),
            TraceError::Number { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Reads a whole trace.
///
/// # Errors
/// What is wrong with the file, by line.
pub fn read(input: impl BufRead) -> Result<Vec<Event>, TraceError> {
    let mut lines = input.lines().enumerate();
    let (_, first) = lines.next().ok_or(TraceError::Head)?;
    if first.map_err(TraceError::Io)? != HEAD {
        return Err(TraceError::Head);
    }
    lines
        .map(|(number, line)| event(&line.map_err(TraceError::Io)?, number + 1))
        .collect()
}

fn event(text: &str, line: usize) -> Result<Event, TraceError> {
    let number = |text: &str| {
        text.parse()
            .map_err(|source| TraceError::Number { line, source })
    };
    let parts: Vec<_> = text.split(' ').collect();
    let (at, connection, what) = match parts[..] {
        [at, connection, name] => (at, connection, mark(name)),
        [at, connection, "to-server", bytes] => (at, connection, hex(bytes).map(What::ToServer)),
        [at, connection, "to-client", bytes] => (at, connection, hex(bytes).map(What::ToClient)),
        _ => return Err(TraceError::Line { line }),
    };
    Ok(Event {
        at_nanos: number(at)?,
        connection: number(connection)?,
        what: what.ok_or(TraceError::Line { line })?,
    })
}

fn mark(name: &str) -> Option<What> {
    Some(match name {
        "opened" => What::Opened,
        "closed-by-server" => What::ClosedByServer,
        "closed-by-client" => What::ClosedByClient,
        "reset" => What::Reset,
        _ => return None,
    })
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let events: Vec<_> = [
            What::Opened,
            What::ToServer(vec![0, 0xab, 0xff]),
            What::ToClient(vec![1]),
            What::ToClient(Vec::new()),
            What::ClosedByServer,
            What::ClosedByClient,
            What::Reset,
        ]
        .into_iter()
        .enumerate()
        .map(|(place, what)| Event {
            at_nanos: place as u64 * 7,
            connection: 3,
            what,
        })
        .collect();
        let mut writer = Writer::new(Vec::new()).unwrap();
        for event in &events {
            writer.write(event).unwrap();
        }
        assert_eq!(read(&writer.finish().unwrap()[..]).unwrap(), events);
    }

    #[test]
    fn what_is_no_trace_is_named_by_line() {
        assert!(matches!(read(&b"pcap"[..]), Err(TraceError::Head)));
        for (text, line) in [
            ("ringcast-trace 1\n0 1 opened\n0 1 closed\n", 3),
            ("ringcast-trace 1\n0 1 to-server abc\n", 2),
            ("ringcast-trace 1\n0 1 to-server zz\n", 2),
            ("ringcast-trace 1\n\n", 2),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(
                matches!(error, TraceError::Line { line: at } if at == line),
                "{text}"
            );
        }
        let error = read(&b"ringcast-trace 1\nx 1 opened\n"[..]).unwrap_err();
        assert!(matches!(error, TraceError::Number { line: 2, .. }));
    }
}
