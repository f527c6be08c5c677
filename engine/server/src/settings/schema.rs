//! All keys but those of classes: name, type, default, what is allowed, whether a reload
//! applies it, and what it is for. Parsing, defaults, checks, `--print-config` and the
//! table in the book come from this list.
//!
//! ```text
//!   /// What it is for.
//!   field: Type = "default as TOML", Live | Restart, rule, of the kinds of feed that have it;
//! ```

use super::Settings;
use super::given::Given;
use super::rule::{
    AddressOrNone, AutoOr, Choice, CoreList, EmptyUntil, Flag, MqttListeners, PathOrNone, Rule,
    SpeedOrMax, paths, power_of_two, whole,
};
use super::value::{Auto, Distribution, FeedKind, Idle, LogFormat, LogLevel, MqttListener, Speed};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The most shards: a ring has places for so many consumers.
const SHARDS_MAX: usize = 60;
/// The highest number of a CPU and one more: `CONFIG_NR_CPUS` ends there on x86.
const CPUS_MAX: usize = 8_192;
const GIBIBYTE: usize = 1 << 30;
const KIBIBYTE: usize = 1 << 10;

/// Whether a changed value takes effect while the engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// At the next SIGHUP.
    Live,
    /// At the next start.
    Restart,
}

/// A key as the schema describes it.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) group: &'static str,
    pub(super) field: &'static str,
    pub(super) default: &'static str,
    pub(super) allowed: String,
    pub(super) change: Change,
    /// The kinds of feed that have this key; all of them where none is named.
    pub(super) kinds: &'static [&'static str],
    pub(super) doc: String,
}

impl Key {
    /// How it is written after `--set`.
    pub(super) fn dotted(&self) -> String {
        format!("{}.{}", self.group, self.field)
    }
}

/// A field's name as a key: some are words of Rust, too.
pub(super) fn plain(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

macro_rules! schema {
    ($(
        $(#[doc = $group_doc:literal])+
        $group:ident: $Group:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $Type:ty = $default:literal, $change:ident, $rule:expr
                    $(, of $($kind:ident)+)?;
            )+
        }
    )+) => {
        $(
            $(#[doc = $group_doc])+
            #[derive(Debug, Clone, PartialEq)]
            pub(crate) struct $Group {
                $($(#[doc = $doc])+ pub(crate) $field: $Type,)+
            }
        )+

        /// Every group with what it is about, in the order of the file.
        pub(super) const GROUPS: &[(&str, &str)] = &[
            $((stringify!($group), concat!($($group_doc),+)),)+
        ];

        /// Every key, in the order of the file.
        pub(super) fn keys() -> Vec<Key> {
            vec![$($(
                Key {
                    group: stringify!($group),
                    field: plain(stringify!($field)),
                    default: $default,
                    allowed: $rule.allowed(),
                    change: Change::$change,
                    kinds: &[$($(stringify!($kind)),+)?],
                    doc: concat!($($doc),+).trim().to_owned(),
                },
            )+)+]
        }

        /// Takes all keys out of what was given; what was not, has its default.
        pub(super) fn read(given: &mut Given) -> Settings {
            Settings {
                $(
                    $group: $Group {
                        $($field: given.take(
                            stringify!($group),
                            plain(stringify!($field)),
                            &$rule,
                            $default,
                        ),)+
                    },
                )+
                class: given.take_classes(),
            }
        }

        impl Settings {
            /// Takes over what a reload applies.
            pub(super) fn take_live(&mut self, newer: &Self) {
                $($(
                    if Change::$change == Change::Live {
                        self.$group.$field.clone_from(&newer.$group.$field);
                    }
                )+)+
            }

            /// The value of every key, in the order of [`keys`].
            pub(super) fn values(&self) -> Vec<toml::Value> {
                vec![$($($rule.write(&self.$group.$field),)+)+]
            }
        }
    };
}

schema! {
    /// Where it listens. Port 0 picks a free one, which the line at the start names.
    listen: Listen {
        /// Where MQTT clients come in. An entry may be a table `{ addr }`, for the keys
        /// `tls`, `auth`, `proxy` and `profile` that come with their features.
        mqtt: Vec<MqttListener> = "[\"127.0.0.1:1883\"]", Restart, MqttListeners { most: 64 };
        /// Where WebSocket clients will come in.
        web: () = "[]", Restart, EmptyUntil("gateways");
        /// Where operators ask: metrics, health, settings. It has no passwords.
        admin: Option<SocketAddr> = "\"127.0.0.1:9883\"", Restart, AddressOrNone;
    }

    /// Which core does what. Roles on one core share it.
    cores: Cores {
        /// The core that puts all messages in one order.
        ingest: Auto<usize> = "\"auto\"", Restart, AutoOr(whole(0, CPUS_MAX - 1, ""));
        /// The cores that push: a shard for each.
        shards: Auto<Vec<usize>> = "\"auto\"", Restart,
            AutoOr(CoreList { core: whole(0, CPUS_MAX - 1, ""), most: SHARDS_MAX });
        /// How these cores wait for something to do. By itself it spins only on cores
        /// that nothing else shares.
        idle: Auto<Idle> = "\"auto\"", Restart,
            AutoOr(Choice(&[("spin", Idle::Spin), ("adaptive", Idle::Adaptive), ("park", Idle::Park)]));
        /// Threads for what no client waits for: the door, the admin listener. By itself
        /// one for each CPU that is left, at most four.
        housekeeping: Auto<usize> = "\"auto\"", Restart, AutoOr(whole(1, 256, "threads"));
        /// A core whose turn takes longer counts as stalled, and `/healthz` says so.
        stall_millis: u32 = "1_000", Live, whole(10, 600_000, "milliseconds");
    }

    /// Who may come in.
    auth: Auth {
        /// Lets everybody in, as nobody in particular. On loopback this is so anyway
        /// while there is no file of users; listening anywhere else takes one or the other.
        anonymous: bool = "false", Restart, Flag;
        /// The file of users, a name and an Argon2 hash to a line. A reload reads it again.
        users: Option<PathBuf> = "\"\"", Restart, PathOrNone;
    }

    /// How much there may be of what, of the whole engine unless it says otherwise.
    limits: Limits {
        /// Connections at once, divided among the shards.
        connections: u32 = "10_000", Restart, whole(1, 100_000_000, "connections");
        /// Sessions at once, of clients that are connected or away, divided among the shards. By
        /// itself two for each connection.
        sessions: Auto<u32> = "\"auto\"", Restart, AutoOr(whole(1, 100_000_000, "sessions"));
        /// The longest that a session outlives its connection; an MQTT 5 client that asks for
        /// more is told this. 4294967295 is for ever.
        session_expiry_seconds_max: u32 = "86_400", Live, whole(0, u32::MAX, "seconds");
        /// Messages at QoS 1 and 2 that one client is sent before it acknowledges any; it may
        /// ask for fewer.
        inflight_max: u16 = "1_024", Live, whole(1, 16_384, "messages");
        /// Topic aliases that an MQTT 5 client may use, and that the engine uses to it where the
        /// client allows.
        topic_aliases_max: u16 = "16", Live, whole(0, 1_024, "aliases");
        /// Different filters of shared subscriptions.
        share_filters: u32 = "1_024", Restart, whole(1, 1_000_000, "filters");
        /// Members of all shared subscriptions.
        share_members: u32 = "10_000", Live, whole(1, 10_000_000, "members");
        /// Connections at once from one address, of IPv6 from one /64; 0 is no limit.
        /// Addresses of loopback have none.
        connections_per_address: u32 = "0", Restart, whole(0, 100_000_000, "connections");
        /// The largest packet that a client may send, in all its bytes.
        packet_bytes_max: usize = "262_144", Restart, whole(256, 268_435_460, "bytes");
        /// Subscriptions of one connection.
        subscriptions_per_connection: u32 = "10_000", Restart, whole(1, 10_000_000, "subscriptions");
        /// Subscriptions of all, divided among the shards. By itself eight for each connection.
        subscriptions: Auto<u32> = "\"auto\"", Restart, AutoOr(whole(1, 1_000_000_000, "subscriptions"));
        /// Different filters of each shard.
        filters: u32 = "65_536", Restart, whole(1, 100_000_000, "filters");
        /// Topics that each shard knows.
        topics: u32 = "65_536", Restart, whole(1, 100_000_000, "topics");
        /// Levels of a topic or filter.
        topic_levels_max: u32 = "128", Restart, whole(2, 32_768, "levels");
        /// Different sets of subscriptions of each shard. By itself as many as it has sessions.
        cohorts: Auto<u32> = "\"auto\"", Restart, AutoOr(whole(1, 100_000_000, "cohorts"));
        /// The longest keep-alive; an MQTT 5 client that wants a longer one, or none, is
        /// told this one. 0 leaves it to clients.
        keep_alive_seconds_max: u16 = "0", Restart, whole(0, u16::MAX, "seconds");
        /// From accepting a connection to its whole CONNECT, and again for its shard to take it.
        connect_seconds: u32 = "10", Restart, whole(1, 3_600, "seconds");
        /// The largest CONNECT.
        connect_bytes_max: usize = "16_384", Restart, whole(16, 268_435_460, "bytes");
        /// Connections at once whose shard has not taken them yet.
        newcomers: u32 = "4_096", Restart, whole(1, 1_000_000, "connections");
        /// Retained messages of each shard.
        retained_bytes: usize = "67_108_864", Restart, whole(65_536, 64 * GIBIBYTE, "bytes");
    }

    /// What is reserved at the start, for each shard but for the ring, which is one.
    memory: Memory {
        /// The ring through which all messages go.
        ring_bytes: usize = "67_108_864", Restart, power_of_two(64 * KIBIBYTE, 16 * GIBIBYTE);
        /// What clients of a shard publish, on its way to the ingest core.
        uplink_bytes: usize = "4_194_304", Restart, power_of_two(64 * KIBIBYTE, 4 * GIBIBYTE);
        /// Encoded frames, for each version of MQTT that is spoken.
        arena_bytes: usize = "16_777_216", Restart, power_of_two(64 * KIBIBYTE, 4 * GIBIBYTE);
        /// Packets that have not come whole yet, and wills.
        input_bytes: usize = "16_777_216", Restart, whole(64 * KIBIBYTE, 64 * GIBIBYTE, "bytes");
        /// What is for one connection alone: answers, retained messages, redeliveries.
        private_bytes: usize = "67_108_864", Restart, whole(64 * KIBIBYTE, 64 * GIBIBYTE, "bytes");
        /// What is noted of messages at QoS 1 and 2 until they are acknowledged: nine bytes each.
        in_flight_bytes: usize = "16_777_216", Restart, whole(64 * KIBIBYTE, 64 * GIBIBYTE, "bytes");
        /// Messages kept for clients that lag or are away.
        queue_bytes: usize = "67_108_864", Restart, whole(64 * KIBIBYTE, 64 * GIBIBYTE, "bytes");
    }

    /// When a client is too slow, and what is kept for it then.
    slow: Slow {
        /// A client so far behind gets its last values only, where its topics allow that.
        lag_bytes: usize = "262_144", Live, whole(4 * KIBIBYTE, 4 * GIBIBYTE, "bytes");
        /// Messages kept for those with the same subscriptions who lag or are away, and for one
        /// client alone.
        queue_messages: u32 = "10_000", Live, whole(1, 100_000_000, "messages");
        /// Bytes of these messages.
        queue_bytes: usize = "16_777_216", Live, whole(4 * KIBIBYTE, 64 * GIBIBYTE, "bytes");
        /// Unsent bytes of a connection from which on the kernel takes no more
        /// (`TCP_NOTSENT_LOWAT`).
        not_sent_bytes: u32 = "16_384", Restart, whole(1_024, 1 << 30, "bytes");
    }

    /// How it goes down.
    drain: Drain {
        /// It is over after so long, whoever is still there.
        seconds: u32 = "25", Live, whole(0, 3_600, "seconds");
        /// Connections that are told to go, in each second.
        rate: u32 = "500", Live, whole(1, 10_000_000, "connections");
    }

    /// Where market data comes from. A kind has its own keys, and those of others are refused.
    feed: Feed {
        /// The source.
        kind: FeedKind = "\"none\"", Restart, Choice(FeedKind::NAMES);
        /// Recordings, in CSV, replayed together in the order of their times; `bundled` is the
        /// one that comes with the engine.
        files: Vec<PathBuf> = "[]", Restart, paths(1_024), of replay;
        /// How many times as fast as it was recorded.
        speed: Speed = "1.0", Restart, SpeedOrMax, of replay;
        /// Begins again at the end, later in time and with higher numbers.
        r#loop: bool = "false", Restart, Flag, of replay;
        /// Messages in each second.
        rate: u32 = "1_000", Restart, whole(1, 100_000_000, "messages"), of synthetic;
        /// Different symbols.
        symbols: u32 = "100", Restart, whole(1, 1_000_000, "symbols"), of synthetic;
        /// The size of a payload.
        payload_bytes: u32 = "128", Restart, whole(32, 65_536, "bytes"), of synthetic;
        /// How often which symbol comes.
        distribution: Distribution = "\"uniform\"", Restart,
            Choice(&[("uniform", Distribution::Uniform), ("zipf", Distribution::Zipf)]), of synthetic;
        /// The same seed gives the same messages.
        seed: u64 = "1", Restart, whole(0, i64::MAX as u64, ""), of synthetic;
        /// The Unix socket where a feed handler gives its ring.
        socket: Option<PathBuf> = "\"\"", Restart, PathOrNone, of shm;
        /// Without a message for so long the feed counts as gone, and `/readyz` says so;
        /// 0 is never.
        stale_seconds: u32 = "0", Live, whole(0, 86_400, "seconds"), of replay synthetic shm mqtt;
    }

    /// What it tells MQTT clients about itself, on `$SYS/ringcast/…`.
    sys: Sys {
        /// How often; 0 is never.
        seconds: u32 = "10", Live, whole(0, 86_400, "seconds");
    }

    /// Who else may read all messages.
    ring: Ring {
        /// The Unix socket where programs on this host get the ring to read, such as `ringcast tap`.
        socket: Option<PathBuf> = "\"\"", Restart, PathOrNone;
    }

    /// What it says on standard error.
    log: Log {
        /// For people or for programs.
        format: LogFormat = "\"text\"", Restart,
            Choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        /// From what weight on.
        level: LogLevel = "\"info\"", Live, Choice(LogLevel::NAMES);
    }
}
