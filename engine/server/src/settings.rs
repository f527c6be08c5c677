//! Settings: what the operator wants, read from a file and the command line, checked as a
//! whole, and typed.
//!
//! ```text
//!   FILE, --set ──► given ──► schema: rule by rule ──► check: contradictions ──► Settings
//!                     └── what the schema does not know is refused
//! ```
//!
//! The schema is the one list of keys. Everything that is wrong is told at once, a
//! sentence each with key, value and what is allowed. Nothing else is a setting: no
//! variable of the environment is looked at.

mod check;
mod class;
mod fault;
mod given;
mod nearest;
mod reference;
mod rule;
mod schema;
mod value;

pub(crate) use fault::{Fault, Origin, SettingsError};
pub(crate) use reference::reference;
pub(crate) use schema::{Auth, Cores, Drain, Feed, Limits, Listen, Log, Memory, Ring, Slow, Sys};
pub(crate) use value::{
    Auto, Distribution, FeedKind, FeedSource, Idle, LogFormat, LogLevel, Speed,
};

use given::Given;
use ringcast_codec::market::DeliveryClasses;
use schema::{Change as Applies, GROUPS, keys};
use std::fmt::Write;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Whether an entry of `feed.files` stands for the recording that comes with the engine.
pub(crate) fn is_bundled(path: &Path) -> bool {
    path == Path::new("bundled")
}

/// Subscriptions for each connection, where their number is left to the engine.
const SUBSCRIPTIONS_PER_CONNECTION: u32 = 8;

/// Sessions for each connection, where their number is left to the engine.
const SESSIONS_PER_CONNECTION: u32 = 2;

/// Where settings come from, as the command line says it. Kept, for a reload reads them
/// again.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Sources {
    /// The settings, in TOML; without it the defaults hold, on loopback
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one key to a value of TOML, such as limits.connections=1000; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// All settings. Its parts hold together: see [`Sources::load`].
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each is documented where it is declared")]
pub(crate) struct Settings {
    pub(crate) listen: Listen,
    pub(crate) cores: Cores,
    pub(crate) auth: Auth,
    pub(crate) limits: Limits,
    pub(crate) memory: Memory,
    pub(crate) slow: Slow,
    pub(crate) drain: Drain,
    pub(crate) feed: Feed,
    pub(crate) sys: Sys,
    pub(crate) ring: Ring,
    pub(crate) log: Log,
    pub(crate) class: DeliveryClasses,
}

impl Sources {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`SettingsError`] with all that is wrong.
    pub(crate) fn load(&self) -> Result<Settings, SettingsError> {
        let mut given = Given::new();
        if let Some(path) = &self.config {
            let text = fs::read_to_string(path).map_err(|error| {
                let path = path.clone();
                SettingsError(vec![Fault::Unreadable { path, error }])
            })?;
            given.add_file(&text, &Origin::File(path.clone()));
        }
        for assignment in &self.set {
            given.add_assignment(assignment);
        }
        Settings::read(given)
    }

    /// Settings of a program that has no command line of its own, such as `demo`: the
    /// defaults but for these assignments, which the command line's follow.
    pub(crate) fn after(&self, assignments: &[String]) -> Self {
        let mut sources = self.clone();
        sources.set.splice(0..0, assignments.iter().cloned());
        sources
    }
}

impl Settings {
    fn read(mut given: Given) -> Result<Self, SettingsError> {
        let was_given: Vec<_> = keys()
            .iter()
            .map(schema::Key::dotted)
            .filter(|key| given.has(key))
            .collect();
        let settings = schema::read(&mut given);
        let mut faults = given.finish();
        // What was wrong has its default by now, and says nothing about the others.
        if faults.is_empty() {
            faults.extend(check::contradictions(&settings));
            faults.extend(check::foreign_keys(&settings, &was_given));
            faults.extend(check::of_host(&settings));
        }
        match faults.is_empty() {
            true => Ok(settings),
            false => Err(SettingsError(faults)),
        }
    }

    /// All settings as a file that reads the same. Keys of other kinds of feed, which such
    /// a file must not have, are left out.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = String::new();
        let classes = class::write(&self.class);
        if classes.is_empty() {
            let _ = writeln!(text, "class = []\n");
        }
        let entries = self.entries();
        for (group, _) in GROUPS {
            let _ = writeln!(text, "[{group}]");
            for (_, field, value) in entries.iter().filter(|(of, ..)| of == group) {
                let _ = writeln!(text, "{field} = {value}");
            }
            text.push('\n');
        }
        for table in classes {
            let _ = writeln!(text, "[[class]]");
            for (field, value) in table {
                let _ = writeln!(text, "{field} = {value}");
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    /// The same as a table, for whoever writes it in another form.
    pub(crate) fn to_table(&self) -> Table {
        let mut table = Table::new();
        for (group, field, value) in self.entries() {
            let group = table
                .entry(group)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(group) = group {
                group.insert(field.into(), value);
            }
        }
        let classes = class::write(&self.class).into_iter().map(Value::Table);
        table.insert(class::KEY.into(), Value::Array(classes.collect()));
        table
    }

    /// Group, field and value of each key that this kind of feed has.
    fn entries(&self) -> Vec<(&'static str, &'static str, Value)> {
        let kind = self.feed.kind.name();
        keys()
            .into_iter()
            .zip(self.values())
            .filter(|(key, _)| key.kinds.is_empty() || key.kinds.contains(&kind))
            .map(|(key, value)| (key.group, key.field, value))
            .collect()
    }

    /// What is different in newer settings, and whether it can be applied while the
    /// engine runs. The file of users is none of it: a reload reads it again in any case.
    fn changes(&self, newer: &Self) -> Vec<Change> {
        let values = self.values().into_iter().zip(newer.values());
        let mut changes: Vec<_> = keys()
            .into_iter()
            .zip(values)
            .filter(|(_, (old, new))| old != new)
            .map(|(key, _)| Change {
                key: key.dotted(),
                applied: key.change == Applies::Live,
            })
            .collect();
        if self.class != newer.class {
            changes.push(Change {
                key: class::KEY.into(),
                applied: false,
            });
        }
        changes
    }

    /// These settings with what of newer ones can be applied while the engine runs, and
    /// all that is different.
    ///
    /// # Errors
    /// [`SettingsError`], where what can be applied contradicts what stays as it is.
    pub(crate) fn reloaded(&self, newer: &Self) -> Result<(Self, Vec<Change>), SettingsError> {
        let mut settings = self.clone();
        settings.take_live(newer);
        let faults = check::contradictions(&settings);
        match faults.is_empty() {
            true => Ok((settings, self.changes(newer))),
            false => Err(SettingsError(faults)),
        }
    }

    /// Who may come in.
    pub(crate) fn authentication(&self) -> Authentication<'_> {
        match &self.auth.users {
            Some(path) => Authentication::Users(path),
            None => Authentication::Anonymous,
        }
    }

    /// Whether clients may publish under `market/`: not while a feed does.
    pub(crate) fn clients_publish_market(&self) -> bool {
        matches!(self.feed.kind, FeedKind::None | FeedKind::Mqtt)
    }

    /// What is allowed, and may still surprise: a sentence each, for the log.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(address) = self.listen.admin
            && !address.ip().to_canonical().is_loopback()
        {
            warnings.push(format!(
                "listen.admin = \"{address}\" tells metrics, health and settings to everybody who \
                 can reach it: it has no passwords"
            ));
        }
        if self.auth.anonymous {
            warnings.push("auth.anonymous = true lets everybody in".into());
        }
        warnings
    }
}

/// Who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authentication<'a> {
    /// Everybody, as nobody in particular.
    Anonymous,
    /// Those in this file.
    Users(&'a Path),
}

/// A key whose value changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The dotted key.
    pub(crate) key: String,
    /// Whether it takes effect at once; the others wait for the next start.
    pub(crate) applied: bool,
}

impl Limits {
    /// Those of the door.
    pub(crate) fn of_door(&self) -> ringcast_door::Limits {
        // What must not be zero is not: its rule begins at one.
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        ringcast_door::Limits {
            newcomers_max: at_least_one(self.newcomers),
            connections_per_address: NonZeroU32::new(self.connections_per_address),
            connections_per_loopback_address: None,
            connect_bytes_max: self.connect_bytes_max,
            connect_seconds_max: at_least_one(self.connect_seconds),
            ..ringcast_door::Limits::default()
        }
    }

    /// Subscriptions of all connections.
    pub(crate) fn subscriptions_max(&self) -> u32 {
        let automatic = self
            .connections
            .saturating_mul(SUBSCRIPTIONS_PER_CONNECTION);
        self.subscriptions.or(automatic)
    }

    /// Connections of one of so many shards. A keyed hash shares clients out, so a shard
    /// may get some more than an even share: an eighth, and eight for few.
    pub(crate) fn connections_per_shard(&self, shards: usize) -> u32 {
        share_of(self.connections, shards)
    }

    /// Cohorts of one of so many shards.
    pub(crate) fn cohorts_per_shard(&self, shards: usize) -> u32 {
        self.cohorts.or(self.sessions_per_shard(shards))
    }

    /// Sessions of one of so many shards.
    pub(crate) fn sessions_per_shard(&self, shards: usize) -> u32 {
        let automatic = self.connections.saturating_mul(SESSIONS_PER_CONNECTION);
        share_of(self.sessions.or(automatic), shards)
    }
}

/// What one of so many shards may have of all, more than an even share.
fn share_of(all: u32, shards: usize) -> u32 {
    let shards = u32::try_from(shards).unwrap_or(u32::MAX).max(1);
    if shards == 1 {
        return all;
    }
    let even = all.div_ceil(shards);
    even.saturating_add(even / 8 + 8).min(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(assignments: &[&str]) -> Settings {
        let set = assignments.iter().map(|&text| text.into()).collect();
        let sources = Sources { config: None, set };
        sources.load().unwrap()
    }

    /// Also that every default is TOML, and allowed.
    #[test]
    fn the_effective_settings_read_the_same() {
        let cases: [&[&str]; 6] = [
            &[],
            &[
                "feed.kind=replay",
                "feed.files=[\"Cargo.toml\"]",
                "feed.speed=max",
                "feed.loop=true",
            ],
            &[
                "feed.kind=synthetic",
                "feed.distribution=zipf",
                "feed.seed=7",
            ],
            &[
                "feed.kind=shm",
                "feed.socket=/run/feed",
                "listen.admin=\"\"",
                "listen.mqtt=[]",
            ],
            &[
                "cores.ingest=3",
                "cores.shards=[3, 4]",
                "cores.idle=spin",
                "class=[]",
            ],
            &[
                "class=[{filter=\"a/#\", slow=\"drop\"}]",
                "auth.anonymous=true",
            ],
        ];
        for case in cases {
            let settings = settings(case);
            let mut given = Given::new();
            given.add_file(&settings.to_toml(), &Origin::File("printed".into()));
            assert_eq!(Settings::read(given).unwrap(), settings, "{case:?}");
        }
    }

    /// A date is what no key takes.
    #[test]
    fn every_key_refuses_another_type_by_name() {
        for key in keys() {
            let (dotted, allowed) = (key.dotted(), &key.allowed);
            let set = vec![format!("{dotted}=1979-05-27")];
            let error = Sources { config: None, set }
                .load()
                .unwrap_err()
                .to_string();
            let sentence =
                format!("--set: {dotted} = 1979-05-27 is not allowed; allowed is {allowed}");
            assert_eq!(error, sentence);
        }
    }

    #[test]
    fn a_later_assignment_wins() {
        let settings = settings(&["log.level=warn", "log.level=trace"]);
        assert_eq!(settings.log.level, LogLevel::Trace);
        let sources = Sources {
            config: None,
            set: vec!["log.level=warn".into()],
        };
        let demo = sources.after(&["log.level=debug".into(), "limits.topics=9".into()]);
        let settings = demo.load().unwrap();
        assert_eq!(
            (settings.log.level, settings.limits.topics),
            (LogLevel::Warn, 9)
        );
    }

    #[test]
    fn changes_say_what_waits_for_a_restart() {
        let old = settings(&[]);
        let new = settings(&[
            "log.level=debug",
            "log.format=json",
            "drain.rate=5",
            "class=[]",
        ]);
        let change = |key: &str, applied| Change {
            key: key.into(),
            applied,
        };
        let (effective, changes) = old.reloaded(&new).unwrap();
        assert_eq!(
            changes,
            [
                change("drain.rate", true),
                change("log.format", false),
                change("log.level", true),
                change("class", false),
            ]
        );
        assert_eq!(effective.log.level, LogLevel::Debug);
        assert_eq!(effective.log.format, LogFormat::Text);
        assert_eq!((effective.drain.rate, &effective.class), (5, &old.class));
        assert_eq!(old.reloaded(&old).unwrap(), (old.clone(), Vec::new()));
    }

    /// More lag than half of the arena that there is, and right beside the one to come.
    #[test]
    fn what_can_be_applied_must_go_with_what_stays() {
        let arena_bytes = "memory.arena_bytes=67_108_864";
        let new = settings(&["slow.lag_bytes=33_554_432", arena_bytes]);
        let error = settings(&[]).reloaded(&new).unwrap_err().to_string();
        assert!(
            error.starts_with("slow.lag_bytes = 33554432 reaches further back"),
            "{error}"
        );
        assert!(settings(&[arena_bytes]).reloaded(&new).is_ok());
    }

    #[test]
    fn the_door_has_the_same_defaults() {
        let door = settings(&[]).limits.of_door();
        let default = ringcast_door::Limits::default();
        assert_eq!(format!("{door:?}"), format!("{default:?}"));
        let door = settings(&["limits.connections_per_address=7"])
            .limits
            .of_door();
        assert_eq!(door.connections_per_address, NonZeroU32::new(7));
    }

    #[test]
    fn a_feed_has_the_keys_of_its_kind() {
        let replay = settings(&[
            "feed.kind=replay",
            "feed.files=[\"Cargo.toml\"]",
            "feed.speed=2",
            "feed.loop=true",
        ]);
        let files = &["Cargo.toml".into()];
        let (speed, repeats) = (Speed::Times(2.0), true);
        let expected = FeedSource::Replay {
            files,
            speed,
            repeats,
        };
        assert_eq!(replay.feed.source(), expected);
        let shm = settings(&["feed.kind=shm", "feed.socket=/run/feed"]);
        let socket = Path::new("/run/feed");
        assert_eq!(shm.feed.source(), FeedSource::Shm { socket });
        assert_eq!(settings(&[]).feed.source(), FeedSource::None);
    }

    #[test]
    fn what_is_left_to_the_engine_follows_from_the_connections() {
        let limits = settings(&["limits.connections=1000"]).limits;
        assert_eq!(limits.subscriptions_max(), 8_000);
        assert_eq!(limits.connections_per_shard(1), 1_000);
        assert_eq!(limits.connections_per_shard(4), 250 + 31 + 8);
        assert_eq!(limits.sessions_per_shard(1), 2_000);
        assert_eq!(limits.cohorts_per_shard(1), 2_000);
        let chosen = settings(&["limits.subscriptions=5", "limits.cohorts=6"]).limits;
        assert_eq!(
            (chosen.subscriptions_max(), chosen.cohorts_per_shard(4)),
            (5, 6)
        );
    }

    #[test]
    fn while_a_feed_publishes_clients_do_not() {
        assert!(settings(&[]).clients_publish_market());
        assert!(settings(&["feed.kind=mqtt"]).clients_publish_market());
        assert!(!settings(&["feed.kind=synthetic"]).clients_publish_market());
    }
}
