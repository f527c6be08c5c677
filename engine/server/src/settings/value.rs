//! What settings are made of, once they are read.

use super::schema::Feed;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A value or `"auto"`, which leaves it to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Auto<T> {
    /// The engine chooses.
    Auto,
    /// The operator chose.
    Set(T),
}

impl<T: Clone> Auto<T> {
    /// What was chosen, or what the engine chooses.
    pub(crate) fn or(&self, automatic: T) -> T {
        match self {
            Self::Auto => automatic,
            Self::Set(value) => value.clone(),
        }
    }

    /// What was chosen, if it was.
    pub(crate) fn chosen(&self) -> Option<&T> {
        match self {
            Self::Auto => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// Where MQTT clients come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MqttListener {
    /// The address; port 0 picks a free one.
    pub(crate) address: SocketAddr,
}

/// How a core waits for something to do.
pub(crate) use ringcast_tune::plan::Idle;

/// Where market data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FeedKind {
    /// Nowhere: clients publish what they like.
    None,
    /// A recording.
    Replay,
    /// Made up.
    Synthetic,
    /// A feed handler in another process.
    Shm,
    /// Clients that publish under `market/`.
    Mqtt,
}

impl FeedKind {
    pub(super) const NAMES: &[(&str, Self)] = &[
        ("none", Self::None),
        ("replay", Self::Replay),
        ("synthetic", Self::Synthetic),
        ("shm", Self::Shm),
        ("mqtt", Self::Mqtt),
    ];

    /// Its name in settings.
    pub(crate) fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(name, _)| name)
    }
}

/// How often which symbol comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// All alike.
    Uniform,
    /// The second half as often as the first, the third a third as often.
    Zipf,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// An object of JSON to a line.
    Json,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the usual names")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub(super) const NAMES: &[(&str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// How fast a recording is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// As fast as it goes.
    Max,
    /// So many times its own pace.
    Times(f64),
}

/// Where market data comes from, with all that its kind needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FeedSource<'a> {
    /// Nowhere: clients publish what they like.
    None,
    /// Recordings.
    Replay {
        /// The files, replayed together in the order of their times; one at least.
        files: &'a [PathBuf],
        /// How fast.
        speed: Speed,
        /// Whether it begins again at the end.
        repeats: bool,
    },
    /// Made up.
    Synthetic {
        /// Messages in each second.
        rate: u32,
        /// Different symbols.
        symbols: u32,
        /// The size of a payload.
        payload_bytes: u32,
        /// How often which symbol comes.
        distribution: Distribution,
        /// The same seed gives the same messages.
        seed: u64,
    },
    /// A feed handler in another process.
    Shm {
        /// The Unix socket where it gives its ring.
        socket: &'a Path,
    },
    /// Clients that publish under `market/`.
    Mqtt,
}

impl Feed {
    /// The source with its own keys.
    pub(crate) fn source(&self) -> FeedSource<'_> {
        match self.kind {
            FeedKind::None => FeedSource::None,
            FeedKind::Replay => FeedSource::Replay {
                files: &self.files,
                speed: self.speed,
                repeats: self.r#loop,
            },
            FeedKind::Synthetic => FeedSource::Synthetic {
                rate: self.rate,
                symbols: self.symbols,
                payload_bytes: self.payload_bytes,
                distribution: self.distribution,
                seed: self.seed,
            },
            FeedKind::Shm => FeedSource::Shm {
                // Settings without it are refused.
                socket: self.socket.as_deref().unwrap_or(Path::new("")),
            },
            FeedKind::Mqtt => FeedSource::Mqtt,
        }
    }
}
