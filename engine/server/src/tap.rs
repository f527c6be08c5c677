//! `ringcast tap`: what goes through a ring, from outside, without any effect on it.
//!
//! Whoever writes the ring gives it over a Unix socket and does not wait for this
//! program: if it falls a whole ring behind, it says how much it missed and goes on.

use crate::readable::Readable;
use anyhow::{Context, Result};
use ringcast_ring::{Kind, Message, Position, Tap, TapError};
use std::fs;
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How long to wait before looking again. A tap has no bell: nobody knows of it.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The options of `ringcast tap`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The Unix socket where whoever writes a ring gives it
    socket: PathBuf,
    /// Makes the socket and waits there for a writer that connects to its readers
    #[arg(long)]
    listen: bool,
    /// Ends after so many records, instead of when the writer is gone
    #[arg(long)]
    count: Option<u64>,
}

/// Prints records until the writer is gone, enough were printed, or whoever reads
/// the output went away.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let socket = arguments.socket.display();
    let giver = if arguments.listen {
        wait_for_giver(&arguments.socket).with_context(|| format!("listening at {socket}"))?
    } else {
        UnixStream::connect(&arguments.socket)
            .with_context(|| format!("nobody gives a ring at {socket}"))?
    };
    let tap = Tap::accept(&giver).with_context(|| format!("no ring from {socket}"))?;
    // It reads from here on, for a writer that waits for its readers; one that does
    // not, or is gone already, need not take it.
    let _ = (&giver).write_all(b"!");
    giver.set_nonblocking(true).context("the socket")?;
    let out = BufWriter::new(io::stdout().lock());
    match print_records(tap, &giver, arguments.count, out) {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        outcome => outcome,
    }
}

/// The first that connects; the socket is gone afterwards.
fn wait_for_giver(socket: &Path) -> io::Result<UnixStream> {
    let listener = UnixListener::bind(socket)?;
    let giver = listener.accept();
    fs::remove_file(socket)?;
    Ok(giver?.0)
}

fn print_records(
    mut tap: Tap,
    giver: &UnixStream,
    count: Option<u64>,
    mut out: impl Write,
) -> Result<()> {
    let mut body = Vec::new();
    let mut left = count;
    let mut writer_is_gone = false;
    while left != Some(0) {
        match tap.read(&mut body) {
            Ok(Some((position, kind))) => {
                print_record(&mut out, position, kind, &body)?;
                left = left.map(|left| left - 1);
            }
            Ok(None) => {
                out.flush()?;
                // Once more after it was seen to be gone: what it published before
                // is still there.
                if writer_is_gone {
                    break;
                }
                writer_is_gone = is_gone(giver);
                if !writer_is_gone {
                    thread::sleep(LOOK_AGAIN);
                }
            }
            Err(told @ (TapError::Lapped { .. } | TapError::NewEpoch(_))) => {
                eprintln!("ringcast tap: {told}");
            }
            Err(TapError::Corrupt(corrupt)) => return Err(corrupt.into()),
        }
    }
    Ok(out.flush()?)
}

/// One line: where it stands, what it is, and for a message its topic, how it is
/// delivered, and the payload with what is no text escaped.
fn print_record(
    out: &mut impl Write,
    Position(position): Position,
    kind: Kind,
    body: &[u8],
) -> io::Result<()> {
    let message = if kind == Kind::MESSAGE {
        Message::decode(body)
    } else {
        None
    };
    let Some(message) = message else {
        return writeln!(out, "{position} kind {} of {} bytes", kind.0, body.len());
    };
    let Message {
        sequence,
        qos,
        topic,
        payload,
        ..
    } = message;
    let retain = if message.retain { " retain" } else { "" };
    let (topic, payload) = (topic.escape_ascii(), Readable(payload));
    writeln!(
        out,
        "{position} #{sequence} {topic} qos {qos}{retain} {payload}"
    )
}

/// Whether the process at the other end closed the socket, as it does at its end.
fn is_gone(mut giver: &UnixStream) -> bool {
    match giver.read(&mut [0; 64]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
