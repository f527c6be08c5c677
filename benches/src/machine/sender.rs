//! The child of [`super::fan_out`]: sends the same bytes to all its sockets, in a burst
//! whenever it is told to, and says how many nanoseconds that took.
//!
//! With io_uring as an engine would do it: direct descriptors, batches of sends that
//! do not wait, no completion for those that succeed. Or with `send()` in a loop. Or with
//! the engine's own lane, which does the former and keeps account of connections.
//! Whatever is not sent whole is an error: the figure would be of something else.

use super::fan_out::MESSAGE_BYTES;
use crate::child::{announce, say};
use crate::clock::now_nanos;
use crate::error::Error;
use crate::probe::{Form, Stamp};
use io_uring::{IoUring, opcode, squeue, types};
use nix::libc::{MSG_DONTWAIT, MSG_NOSIGNAL, MSG_WAITALL};
use ringcast_lane::{Lanes, Settings};
use ringcast_wire::{ConnectionKey, Failure, Wire};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// Sends in one submission.
const BATCH: u32 = 256;

/// Room for a completion of each, should all fail, and more.
const COMPLETIONS: u32 = 4 * BATCH;

/// By which system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Method {
    /// Batches of SEND on direct descriptors.
    IoUring,
    /// One call for each socket.
    Send,
    /// The engine's lane.
    Lane,
}

impl Method {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Send => "send()",
            Self::Lane => "lane",
        }
    }
}

/// The options of the hidden `sender`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    method: Method,
    sockets: u32,
    messages: u64,
}

/// Runs as a child process: a burst for each byte of standard input, until its end.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    // First of all, so that a system without it says so before anybody connects.
    let ring = match arguments.method {
        Method::IoUring => Some(ring().map_err(Error::system("io_uring"))?),
        Method::Send | Method::Lane => None,
    };
    let listener = announce()?;
    let mut streams = Vec::new();
    for _ in 0..arguments.sockets {
        let (stream, _) = listener.accept().map_err(Error::system("accepting"))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_nonblocking(true))
            .map_err(Error::system("a socket's options"))?;
        streams.push(stream);
    }
    let mut sender: Box<dyn Burst> = match ring {
        Some(ring) => {
            let sender = RingSend::new(ring, &streams)?;
            drop(streams);
            Box::new(sender)
        }
        None if arguments.method == Method::Lane => Box::new(LaneSend::new(streams)?),
        None => Box::new(LoopSend(streams)),
    };
    let form = Form::bare(1, MESSAGE_BYTES);
    let mut sequence: u64 = 0;
    let mut bytes = Vec::new();
    while io::stdin().read_exact(&mut [0]).is_ok() {
        bytes.clear();
        let intended_nanos = now_nanos();
        for _ in 0..arguments.messages {
            let stamp = Stamp {
                sequence,
                intended_nanos,
                topic: 0,
                number: sequence as u32,
            };
            form.write(stamp, &mut bytes);
            sequence += 1;
        }
        let begin = now_nanos();
        sender.send_to_all(&bytes)?;
        say(now_nanos() - begin)?;
    }
    Ok(())
}

/// A way to send the same to all.
trait Burst {
    fn send_to_all(&mut self, bytes: &[u8]) -> Result<(), Error>;
}

struct LoopSend(Vec<TcpStream>);

impl Burst for LoopSend {
    fn send_to_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for stream in &mut self.0 {
            let sent = stream.write(bytes).map_err(Error::system("send()"))?;
            if sent != bytes.len() {
                let result = i32::try_from(sent).unwrap_or(i32::MAX);
                return Err(Error::SendShort { result });
            }
        }
        Ok(())
    }
}

/// All sockets, in the engine's lane.
struct LaneSend {
    lanes: Lanes,
    keys: Vec<ConnectionKey>,
    failed: Vec<Failure>,
}

impl LaneSend {
    fn new(streams: Vec<TcpStream>) -> Result<Self, Error> {
        let sockets = u32::try_from(streams.len()).expect("came from such a number");
        let mut lanes = Settings::for_connections(sockets)
            .and_then(|settings| Lanes::new(&settings))
            .map_err(Error::Lanes)?;
        let keys: Vec<_> = (0..sockets).map(ConnectionKey::first).collect();
        for (&key, stream) in keys.iter().zip(streams) {
            let adopted = lanes.adopt(key, stream.into());
            adopted.map_err(Error::system("adopting a socket"))?;
            // What connections want is begun some at a time.
            lanes.reap(&mut Vec::new(), 1);
        }
        Ok(Self {
            lanes,
            keys,
            failed: Vec::new(),
        })
    }
}

impl Burst for LaneSend {
    fn send_to_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.lanes.send_same(&self.keys, bytes, &mut self.failed);
        match self.failed.first() {
            Some(failure) => Err(Error::SendShort {
                result: i32::try_from(failure.sent).unwrap_or(i32::MAX),
            }),
            None => Ok(()),
        }
    }
}

/// The direct descriptors 0 up to `sockets` of a ring.
struct RingSend {
    ring: IoUring,
    sockets: u32,
}

fn ring() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(COMPLETIONS)
        .build(BATCH)
}

impl RingSend {
    /// Gives the sockets to the ring, which keeps them open from now on.
    fn new(ring: IoUring, streams: &[TcpStream]) -> Result<Self, Error> {
        let descriptors: Vec<_> = streams.iter().map(AsRawFd::as_raw_fd).collect();
        ring.submitter()
            .register_files(&descriptors)
            .map_err(Error::system("registering sockets"))?;
        let sockets = u32::try_from(streams.len()).expect("came from such a number");
        Ok(Self { ring, sockets })
    }
}

impl Burst for RingSend {
    fn send_to_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(bytes.len()).expect("a burst is some KiB");
        let mut next = 0;
        while next < self.sockets {
            let end = self.sockets.min(next + BATCH);
            let mut batch = self.ring.submission();
            for slot in next..end {
                let send = opcode::Send::new(types::Fixed(slot), bytes.as_ptr(), length)
                    .flags(MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL)
                    .build()
                    .flags(squeue::Flags::SKIP_SUCCESS);
                push(&mut batch, &send);
            }
            drop(batch);
            // With DONTWAIT all of it happens inside this call: the kernel holds no
            // reference to the bytes when it returns.
            self.ring
                .submit()
                .map_err(Error::system("submitting sends"))?;
            if let Some(failure) = self.ring.completion().next() {
                let result = failure.result();
                return Err(Error::SendShort { result });
            }
            next = end;
        }
        Ok(())
    }
}

#[allow(unsafe_code, reason = "io_uring takes addresses")]
fn push(batch: &mut squeue::SubmissionQueue<'_>, send: &squeue::Entry) {
    // SAFETY: what the entry points to must be valid until the kernel is done with it.
    // The entry is a SEND with DONTWAIT, made and submitted within `send_to_all`, which
    // borrows the bytes until the submission has returned; a send that does not wait
    // is over by then, whole or not.
    let pushed = unsafe { batch.push(send) };
    pushed.expect("the queue was empty and has room for a batch");
}
