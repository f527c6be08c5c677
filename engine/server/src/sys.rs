//! What the engine tells MQTT clients about itself: retained messages on `$SYS/ringcast/…`,
//! each a number or a word. Operators have [metrics](crate::metrics), which say more.

use crate::engine::Engine;
use crate::meters::ShardMetrics;
use std::sync::Arc;
use std::time::Duration;

/// A message about the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) topic: String,
    pub(crate) payload: String,
}

/// What can be said now, of an engine that has run so long.
pub(crate) fn notices(engine: &Engine, up: Duration) -> Arc<[Notice]> {
    let sum =
        |of: fn(&ShardMetrics) -> u64| engine.shards.iter().map(|shard| of(shard)).sum::<u64>();
    let texts = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("uptime_seconds", up.as_secs().to_string()),
        ("shards", engine.shards().to_string()),
        (
            "connections",
            sum(|shard| shard.connections.get()).to_string(),
        ),
        ("sessions", sum(|shard| shard.sessions.get()).to_string()),
        ("sessions_away", sum(|shard| shard.away.get()).to_string()),
        (
            "lagging_connections",
            sum(|shard| shard.lagging.get()).to_string(),
        ),
        ("messages", engine.ingest.sequence.get().to_string()),
        ("published", sum(|shard| shard.published.get()).to_string()),
        (
            "deliveries",
            sum(|shard| shard.deliveries.get()).to_string(),
        ),
        ("drops", sum(|shard| shard.drops.get()).to_string()),
        (
            "received_bytes",
            sum(|shard| shard.received.get()).to_string(),
        ),
        ("sent_bytes", sum(|shard| shard.sent.get()).to_string()),
    ];
    let notice = |(name, payload)| Notice {
        topic: format!("$SYS/ringcast/{name}"),
        payload,
    };
    texts.into_iter().map(notice).collect()
}
