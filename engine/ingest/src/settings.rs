//! What a feed may be told. Each field says its range; [`Feed::open`](crate::Feed::open)
//! refuses what is outside of it, with its key in the settings.

use std::fmt;
use std::path::PathBuf;

/// Which feed, and how.
#[derive(Debug, Clone)]
pub enum FeedSettings {
    /// None: all that there is comes from clients.
    None,
    /// A recording.
    Replay(ReplaySettings),
    /// Messages that are made up.
    Synthetic(SyntheticSettings),
    /// The ring of a feed handler in another process.
    Shm(ShmSettings),
}

/// Of a recording.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// Its files, 1 to 1,024. Where two have messages of the same time, those of the earlier
    /// file come first.
    pub files: Vec<RecordingSource>,
    /// How fast.
    pub pace: Pace,
    /// Whether it begins anew when it ends.
    pub loops: bool,
}

/// Where a file of a recording is.
#[derive(Clone)]
pub enum RecordingSource {
    /// On disk.
    File(PathBuf),
    /// In memory, such as the files of [`BUNDLED`](crate::BUNDLED).
    Bytes {
        /// What it is called in reports.
        name: String,
        /// As it would be on disk.
        bytes: &'static [u8],
    },
}

/// How fast a recording is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many times as fast as it was recorded, 0.001 to 1,000,000.
    Times(f64),
    /// As fast as it goes.
    FlatOut,
}

/// Of messages that are made up.
#[derive(Debug, Clone)]
pub struct SyntheticSettings {
    /// Messages a second, 0.001 to 100,000,000.
    pub rate: f64,
    /// Symbols, 1 to 1,000,000.
    pub symbols: u32,
    /// Bytes of a payload, 16 to 1,048,576. The first 16 are its number and its time.
    pub payload_bytes: usize,
    /// The topic, with `{n}` where the number of the symbol goes, from 0; without it only if
    /// there is one symbol.
    pub topic: String,
    /// How often which symbol.
    pub spread: Spread,
    /// Where the choice of symbols begins; the same seed makes the same choices.
    pub seed: u64,
}

/// How messages are spread over symbols.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// All symbols as often.
    Uniform,
    /// The *n*th symbol in proportion to 1 / *n* to the power of this, 0 to 10: a few have
    /// most of the messages, as in markets.
    Zipf(f64),
}

/// Of a feed handler in another process.
#[derive(Debug, Clone)]
pub struct ShmSettings {
    /// The Unix socket that is listened at: a producer connects and gives its ring.
    pub socket: PathBuf,
}

impl fmt::Debug for RecordingSource {
    /// Without the content.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Self::Bytes { name, .. } => formatter
                .debug_struct("Bytes")
                .field("name", name)
                .finish_non_exhaustive(),
        }
    }
}

impl Pace {
    /// As it was recorded.
    pub const ORIGINAL: Self = Self::Times(1.0);
}

impl Default for SyntheticSettings {
    fn default() -> Self {
        Self {
            rate: 1_000.0,
            symbols: 100,
            payload_bytes: 128,
            topic: "market/SYM{n}/trade".into(),
            spread: Spread::Uniform,
            seed: 0,
        }
    }
}

impl RecordingSource {
    /// The files of [`BUNDLED`](crate::BUNDLED).
    #[must_use]
    pub fn bundled() -> Vec<Self> {
        let source = |(name, bytes): (&str, _)| Self::Bytes {
            name: name.into(),
            bytes,
        };
        crate::BUNDLED.into_iter().map(source).collect()
    }
}
