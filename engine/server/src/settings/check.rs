//! What must hold between settings, once each is allowed by itself.

use super::fault::Fault;
use super::schema::keys;
use super::value::FeedKind;
use super::{Settings, is_bundled};
use ringcast_door::UserFile;
use std::fs::File;

/// How many of the largest packets a log must hold: a writer and a reader that lags by
/// one must both get on.
const PACKETS_IN_LOG: usize = 4;

/// All contradictions between values.
pub(super) fn contradictions(settings: &Settings) -> Vec<Fault> {
    let mut faults = listeners(settings);
    faults.extend(memory(settings));
    faults.extend(feed(settings));
    faults
}

/// Keys of other kinds of feed, of those that the operator gave.
pub(super) fn foreign_keys(settings: &Settings, given: &[String]) -> Vec<Fault> {
    let kind = settings.feed.kind.name();
    keys()
        .into_iter()
        .filter(|key| !key.kinds.is_empty() && !key.kinds.contains(&kind))
        .filter(|key| given.contains(&key.dotted()))
        .map(|key| Fault::ForeignFeedKey {
            key: key.dotted(),
            kind,
            kinds: key.kinds,
        })
        .collect()
}

fn listeners(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    let is_decided = settings.auth.anonymous || settings.auth.users.is_some();
    let mqtt = settings.listen.mqtt.iter().map(|listener| listener.address);
    for address in mqtt.clone() {
        if !is_decided && !address.ip().to_canonical().is_loopback() {
            faults.push(Fault::AnybodyMayComeIn { address });
        }
        if address.port() != 0 && settings.listen.admin == Some(address) {
            faults.push(Fault::AddressTwice { address });
        }
    }
    if settings.auth.anonymous && settings.auth.users.is_some() {
        faults.push(Fault::AnonymousAndUsers);
    }
    faults
}

fn memory(settings: &Settings) -> Vec<Fault> {
    let packet_bytes_max = settings.limits.packet_bytes_max;
    let memory = &settings.memory;
    let holders = [
        ("memory.ring_bytes", memory.ring_bytes, PACKETS_IN_LOG),
        ("memory.uplink_bytes", memory.uplink_bytes, PACKETS_IN_LOG),
        ("memory.arena_bytes", memory.arena_bytes, PACKETS_IN_LOG),
        ("memory.input_bytes", memory.input_bytes, 1),
        ("memory.private_bytes", memory.private_bytes, 1),
        ("memory.queue_bytes", memory.queue_bytes, 1),
    ];
    let too_little = holders
        .into_iter()
        .filter(|(_, bytes, packets)| bytes / packets < packet_bytes_max);
    let mut faults: Vec<_> = too_little
        .map(|(key, bytes, packets)| Fault::PacketTooLarge {
            packet_bytes_max,
            key,
            bytes,
            packets,
        })
        .collect();
    let (lag_bytes, arena_bytes) = (settings.slow.lag_bytes, memory.arena_bytes);
    if lag_bytes > arena_bytes / 2 {
        faults.push(Fault::LagBeyondArena {
            lag_bytes,
            arena_bytes,
        });
    }
    faults
}

fn feed(settings: &Settings) -> Option<Fault> {
    let feed = &settings.feed;
    let (key, allowed) = match feed.kind {
        FeedKind::Replay if feed.files.is_empty() => ("feed.files", "a list of recordings"),
        FeedKind::Shm if feed.socket.is_none() => ("feed.socket", "the path of a Unix socket"),
        _ => return None,
    };
    let kind = feed.kind.name();
    Some(Fault::FeedLacks { kind, key, allowed })
}

/// What the host must have for these settings: files that can be read.
pub(super) fn of_host(settings: &Settings) -> Vec<Fault> {
    let users = settings.auth.users.as_ref();
    let users = users.and_then(|path| UserFile::load(path).err());
    let files = settings.feed.files.iter();
    let recordings = files.filter(|path| !is_bundled(path)).filter_map(|path| {
        let error = File::open(path).err()?;
        let path = path.clone();
        Some(Fault::Recording { path, error })
    });
    users
        .map(Fault::Users)
        .into_iter()
        .chain(recordings)
        .collect()
}
