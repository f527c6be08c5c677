//! What can be wrong with settings, each with its sentence for the operator: the key, its
//! value, and what is allowed.

use super::class::ClassFault;
use ringcast_door::UserFileError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The most characters of a value that a sentence repeats.
const VALUE_CHARS_MAX: usize = 80;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The file.
    File(PathBuf),
    /// `--set`.
    Set,
    /// `--set`, whose value could not be read.
    SetOf(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Set => formatter.write_str("--set"),
            Self::SetOf(key) => write!(formatter, "--set {key}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The file can't be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// What stands there is not TOML.
    NotToml {
        /// Where.
        origin: Origin,
        /// What TOML wants.
        error: Box<toml::de::Error>,
    },
    /// `--set` without `=`.
    NoAssignment {
        /// What it has.
        assignment: String,
    },
    /// There is no such key.
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
        /// The known one that is nearest.
        nearest: String,
    },
    /// A value of another type, or out of range.
    NotAllowed {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// It asks for something that is not built yet.
    NotYet {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
        /// What it asks for.
        what: &'static str,
        /// What is allowed.
        allowed: String,
    },
    /// The same value stands in a list twice.
    Repeated {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// A class is wrong.
    Class {
        /// Where it stands.
        origin: Origin,
        /// What is wrong with it.
        fault: ClassFault,
    },
    /// An address for others than this host, and nobody said who may come in.
    AnybodyMayComeIn {
        /// The address.
        address: SocketAddr,
    },
    /// Everybody may come in, and only users may.
    AnonymousAndUsers,
    /// Two listeners at one address.
    AddressTwice {
        /// The address.
        address: SocketAddr,
    },
    /// The largest packet is too large for what has to hold it.
    PacketTooLarge {
        /// `limits.packet_bytes_max`.
        packet_bytes_max: usize,
        /// The key of what has to hold it.
        key: &'static str,
        /// Its value.
        bytes: usize,
        /// How many such packets have to fit.
        packets: usize,
    },
    /// A client may be further behind than the arena reaches back.
    LagBeyondArena {
        /// `slow.lag_bytes`.
        lag_bytes: usize,
        /// `memory.arena_bytes`.
        arena_bytes: usize,
    },
    /// A key of another kind of feed.
    ForeignFeedKey {
        /// The key.
        key: String,
        /// The kind of the feed.
        kind: &'static str,
        /// The kinds that have this key.
        kinds: &'static [&'static str],
    },
    /// A feed lacks a key that it can't do without.
    FeedLacks {
        /// The kind of the feed.
        kind: &'static str,
        /// The key.
        key: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The file of users can't be used.
    Users(UserFileError),
    /// A recording can't be read.
    Recording {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(formatter, "{} can't be read: {error}", path.display())
            }
            Self::NotToml { origin, error } => {
                write!(
                    formatter,
                    "{origin} is not TOML: {}",
                    error.to_string().trim()
                )
            }
            Self::NoAssignment { assignment } => write!(
                formatter,
                "--set {assignment} has no value; allowed is KEY=VALUE, such as \
                 limits.connections=1000"
            ),
            Self::UnknownKey {
                origin,
                key,
                nearest,
            } => write!(
                formatter,
                "{origin}: {key} is no setting; the nearest is {nearest}"
            ),
            Self::NotAllowed {
                origin,
                key,
                value,
                allowed,
            } => write!(
                formatter,
                "{origin}: {key} = {} is not allowed; allowed is {allowed}",
                Shortened(value)
            ),
            Self::NotYet {
                origin,
                key,
                what,
                allowed,
            } => write!(
                formatter,
                "{origin}: {key} asks for what is not built yet: {what}; allowed is {allowed}"
            ),
            Self::Repeated { origin, key, value } => {
                write!(
                    formatter,
                    "{origin}: {key} has {value} twice; allowed is once"
                )
            }
            Self::Class { origin, fault } => write!(formatter, "{origin}: {fault}"),
            contradiction => contradiction.fmt_contradiction(formatter),
        }
    }
}

impl Fault {
    /// Values that are allowed each for itself, but not together.
    fn fmt_contradiction(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnybodyMayComeIn { address } => write!(
                formatter,
                "listen.mqtt has {address}, which others than this host can reach, and nothing \
                 says who may come in; allowed is auth.users = \"FILE\", or auth.anonymous = true \
                 for everybody"
            ),
            Self::AnonymousAndUsers => formatter.write_str(
                "auth.anonymous = true lets everybody in and auth.users only those in its file; \
                 allowed is one of the two",
            ),
            Self::AddressTwice { address } => write!(
                formatter,
                "listen.admin = \"{address}\" is an address of listen.mqtt, too; allowed is another \
                 one, or \"\" for none"
            ),
            Self::PacketTooLarge {
                packet_bytes_max,
                key,
                bytes,
                packets,
            } => {
                let least = packet_bytes_max.saturating_mul(*packets);
                let of_what = match packets {
                    1 => "one of them".into(),
                    packets => format!("{packets} of them"),
                };
                write!(
                    formatter,
                    "{key} = {bytes} is too little for packets of limits.packet_bytes_max = \
                     {packet_bytes_max}; allowed is room for {of_what}: {least} or more"
                )
            }
            Self::LagBeyondArena {
                lag_bytes,
                arena_bytes,
            } => write!(
                formatter,
                "slow.lag_bytes = {lag_bytes} reaches further back than what is kept, \
                 memory.arena_bytes = {arena_bytes}; allowed is half of that at most: {}",
                arena_bytes / 2
            ),
            Self::ForeignFeedKey { key, kind, kinds } => write!(
                formatter,
                "{key} is of another kind of feed than feed.kind = \"{kind}\"; allowed is to leave \
                 it out, or the kind {}",
                kinds.join(" or ")
            ),
            Self::FeedLacks { kind, key, allowed } => write!(
                formatter,
                "feed.kind = \"{kind}\" needs {key}; allowed is {allowed}"
            ),
            Self::Users(error) => write!(formatter, "auth.users: {error}"),
            Self::Recording { path, error } => {
                write!(
                    formatter,
                    "feed.files: {} can't be read: {error}",
                    path.display()
                )
            }
            _ => unreachable!("all others are told where their kind is"),
        }
    }
}

/// As much of a value as shows which one it is.
struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(VALUE_CHARS_MAX) {
            Some((end, _)) => write!(formatter, "{}…", &self.0[..end]),
            None => formatter.write_str(self.0),
        }
    }
}

/// All that is wrong with settings, a sentence to a line.
#[derive(Debug)]
pub(crate) struct SettingsError(pub(crate) Vec<Fault>);

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            let line_end = if place == 0 { "" } else { "\n" };
            write!(formatter, "{line_end}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}
