//! What can keep a measurement from being made, each with what to do about it.
//!
//! A delivery that is wrong is here too: it is an error, never a figure.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why there is no figure.
#[derive(Debug)]
pub(crate) enum Error {
    /// The system refused something.
    System {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        error: io::Error,
    },
    /// Each side needs a processor for itself.
    CoresTooFew {
        /// How many this process may use.
        allowed: usize,
    },
    /// A processor was asked for that this process may not use, or one twice.
    CoresWrong,
    /// One end of all connections does not fit into a process.
    DescriptorsTooFew {
        /// How many are needed.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// A server's program is not there.
    ProgramMissing {
        /// How it is called.
        program: String,
        /// How it comes here.
        remedy: &'static str,
    },
    /// A server ended, or never began to answer.
    ServerFailed {
        /// Which one.
        server: String,
    },
    /// A server's program did not begin to serve.
    StartFailed {
        /// Which one.
        program: String,
        /// What it said last.
        said: String,
    },
    /// A server does not tell a figure that it is asked for.
    MetricMissing {
        /// How it is called.
        name: &'static str,
    },
    /// A server answered the handshake with something else than agreement.
    Refused {
        /// What it said.
        answer: String,
    },
    /// A subscriber got what it should not have got.
    Delivery {
        /// Which one, counted from 0.
        subscriber: usize,
        /// What is wrong.
        fault: DeliveryFault,
    },
    /// One that comes and goes got what it should not have got.
    Churner {
        /// Which one, counted from 0.
        churner: usize,
        /// What is wrong.
        fault: DeliveryFault,
    },
    /// Messages that were published did not arrive.
    Silence {
        /// How many deliveries came.
        delivered: u64,
        /// How many were due.
        due: u64,
    },
    /// Nothing can be listened at.
    Listen(ringcast_door::ListenError),
    /// There are no lanes.
    Lanes(ringcast_lane::SetUpError),
    /// Not as many clients were there as should have been.
    CrowdLost {
        /// How many should.
        expected: u32,
        /// How many were.
        found: i64,
    },
    /// Messages were published, and the server did not answer them.
    Unanswered {
        /// How many.
        messages: u64,
    },
    /// A bare send did not take all bytes: somebody did not read.
    SendShort {
        /// What the kernel answered: bytes, or a negative error number.
        result: i32,
    },
}

/// What is wrong with something that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DeliveryFault {
    /// Another message than the next one: lost, repeated, out of order, or never sent.
    Sequence {
        /// The next one.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// Another message of a topic than the next one.
    OfTopic {
        /// Which topic.
        topic: u32,
        /// The number in its topic of the next one.
        expected: u32,
        /// That of the one that came.
        found: u32,
    },
    /// A message that was not published yet.
    NeverPublished {
        /// Its sequence.
        sequence: u64,
    },
    /// A message of a topic that it has not subscribed to, or no more.
    Unwanted {
        /// Which topic.
        topic: u32,
    },
    /// A message whose packet identifier is zero, or that of one that was not acknowledged.
    PacketId {
        /// That identifier.
        packet_id: u16,
    },
    /// Nothing came any more.
    Stuck {
        /// What was awaited.
        awaited: &'static str,
    },
    /// No message at all, described.
    Foreign(String),
    /// The server ended the connection, perhaps after last words.
    Closed(String),
}

impl Error {
    /// Says of the system's answer what it was an answer to.
    pub(crate) fn system<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::System {
            doing,
            error: error.into(),
        }
    }

    /// What a server that is not ours and cannot be reached is.
    pub(crate) fn unreachable(address: SocketAddr) -> Self {
        Self::ServerFailed {
            server: address.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { doing, error } => write!(formatter, "{doing}: {error}"),
            Self::CoresTooFew { allowed } => write!(
                formatter,
                "two processors are needed, one for each side, and this process may use {allowed}: \
                 run it where `nproc` says 2 or more (taskset -c 0,1; docker run --cpuset-cpus=0,1)"
            ),
            Self::CoresWrong => write!(
                formatter,
                "--cores wants two different processors of those that this process may use"
            ),
            Self::DescriptorsTooFew { needed, limit } => write!(
                formatter,
                "{needed} descriptors are needed in one process and the hard limit is {limit}: \
                 raise it (ulimit -Hn {needed}; LimitNOFILE={needed}; docker run --ulimit \
                 nofile={needed})"
            ),
            Self::ProgramMissing { program, remedy } => {
                write!(formatter, "there is no program {program}: {remedy}")
            }
            Self::StartFailed { program, said } => {
                write!(formatter, "{program} did not begin to serve: {said}")
            }
            Self::MetricMissing { name } => {
                write!(formatter, "the engine's /metrics has no {name}")
            }
            Self::ServerFailed { server } => {
                write!(formatter, "{server} does not run, or does not answer")
            }
            Self::Refused { answer } => write!(formatter, "the server refused: {answer}"),
            Self::Delivery { subscriber, fault } => {
                write!(formatter, "subscriber {subscriber}: {fault}")
            }
            Self::Churner { churner, fault } => write!(formatter, "churner {churner}: {fault}"),
            Self::Silence { delivered, due } => write!(
                formatter,
                "nothing arrives any more: {delivered} deliveries of {due} came"
            ),
            Self::Unanswered { messages } => {
                write!(
                    formatter,
                    "{messages} messages were published and not answered"
                )
            }
            Self::Listen(error) => write!(formatter, "{error}"),
            Self::Lanes(error) => write!(formatter, "{error}"),
            Self::CrowdLost { expected, found } => write!(
                formatter,
                "{expected} clients were to be there, and {found} are"
            ),
            Self::SendShort { result } => write!(
                formatter,
                "a send of the bare loop was not taken whole (result {result}): the reader is too slow"
            ),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for DeliveryFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequence { expected, found } => {
                write!(formatter, "message {found} came where {expected} was due")
            }
            Self::OfTopic {
                topic,
                expected,
                found,
            } => write!(
                formatter,
                "message {found} of topic {topic} came where {expected} was due"
            ),
            Self::NeverPublished { sequence } => {
                write!(
                    formatter,
                    "message {sequence} came, which was not published yet"
                )
            }
            Self::Unwanted { topic } => {
                write!(
                    formatter,
                    "a message of topic {topic} came, which it did not want"
                )
            }
            Self::PacketId { packet_id } => write!(
                formatter,
                "a message came with the packet identifier {packet_id}, which is in use, or none"
            ),
            Self::Stuck { awaited } => write!(formatter, "{awaited} did not come"),
            Self::Foreign(what) => write!(formatter, "no message of ours came, but {what}"),
            Self::Closed(last) if last.is_empty() => {
                write!(formatter, "the server closed the connection")
            }
            Self::Closed(last) => {
                write!(formatter, "the server closed the connection after {last}")
            }
        }
    }
}
