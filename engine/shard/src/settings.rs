//! How large a shard is, and what bounds its clients.

use ringcast_codec::market::DeliveryClasses;
use ringcast_ring::TopicHasher;

/// Everything that a shard is made with. All memory that the sizes speak of is reserved
/// when it is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its number among the shards of the engine.
    pub home: u16,
    /// Connections at once; a few more are there to be told that there is no room.
    pub connections: u32,
    /// Sessions at once, of clients that are connected or away; at least as many as
    /// connections are.
    pub sessions: u32,
    /// Sets of subscriptions at once; as many as sessions are always enough.
    pub cohorts: usize,
    /// Different topic filters at once.
    pub filters: usize,
    /// Subscriptions at once, counted once for each set.
    pub subscriptions: usize,
    /// Different filters of shared subscriptions at once; the same for all shards.
    pub share_filters: usize,
    /// Topics that are known at once.
    pub topics: usize,
    /// Bytes of frames for each wire form, a power of two from 64 KiB to 2 GiB.
    pub arena_bytes: usize,
    /// Bytes of messages that are kept: last values, and what those in lag wait for.
    pub stored_bytes: usize,
    /// Bytes that wait to be sent to one connection alone, of all connections.
    pub outbox_bytes: usize,
    /// Bytes of what is said of messages in flight, of all sessions: 60 for 7 of one.
    pub flight_bytes: usize,
    /// Bytes of packets that are not whole yet, and of wills, of all connections.
    pub input_bytes: usize,
    /// Sends of sweeps in one turn, 1 or more. More of them make turns longer, fewer let
    /// the shard look sooner at what came meanwhile.
    pub turn_sends_max: usize,
    /// What bounds each client.
    pub limits: Limits,
    /// What clients lose that are too slow, by topic.
    pub classes: DeliveryClasses,
    /// The key of topics, which the sequencer has too.
    pub hasher: TopicHasher,
    /// A random key for everything that clients could make collide.
    pub key: (u64, u64),
}

/// What bounds each client. May be changed while the shard runs.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest packet that a client may send, in bytes: at most a quarter of arena,
    /// ring and uplink.
    pub packet_bytes_max: usize,
    /// Filters that one client may be subscribed to.
    pub subscriptions_per_connection: u32,
    /// Levels of a topic or a filter.
    pub topic_levels_max: usize,
    /// The longest keep-alive, in seconds: MQTT 5 clients are told a longer one is too long.
    /// 0 is no bound, and allows clients to have none.
    pub keep_alive_seconds_max: u16,
    /// Whether clients may publish below `market/`.
    pub clients_publish_market: bool,
    /// Bytes of its stream that a client may be behind before it is in lag.
    pub lag_bytes: u64,
    /// Messages that wait for those in lag or away of one cohort, or for one session alone.
    pub queue_messages: usize,
    /// Bytes of such messages.
    pub queue_bytes: usize,
    /// Messages at QoS 1 and 2 that a client is sent before it acknowledges one; it may ask
    /// for fewer.
    pub inflight_max: u16,
    /// For how many seconds a session outlives its connection at most; `u32::MAX` for ever.
    pub session_expiry_seconds_max: u32,
    /// Topic aliases that an MQTT 5 client may use, and that are used to it.
    pub topic_aliases_max: u16,
    /// Members of all shared subscriptions of the engine.
    pub share_members_max: usize,
}

impl Settings {
    /// Bytes that the shard reserves when it is made, by what they are for. The sum is
    /// what the process takes at most, beside what the kernel has for sockets.
    #[must_use]
    pub fn memory(&self) -> Vec<(&'static str, usize)> {
        let connections = self.connections as usize;
        vec![
            // Hot and cold record, seat, queues of keys.
            ("connections", connections * (64 + 72 + 8 + 24)),
            // Record, timer, index of identifiers.
            ("sessions", self.sessions_max() * (144 + 12 + 16)),
            // Set, flow, mark, index of keys, one page of pieces.
            ("cohorts", self.cohorts * (48 + 112 + 8 + 16 + 72)),
            ("subscriptions", self.subscriptions * (21 + 10)),
            // Text of two pages, index, list of subscribers; nodes of the trie.
            ("filters", self.filters * (32 + 64 + 16 + 8 + 28 + 3 * 120)),
            // Record, two pages of text, index, value, filters found.
            ("topics", self.topics * (56 + 64 + 16 + 32 + 16)),
            ("arenas", 2 * (self.arena_bytes + self.arena_frames() * 48)),
            (
                "messages",
                self.stored_bytes + self.stored_messages() * (48 + 2 * 64 + 4 * 18),
            ),
            ("outboxes", self.outbox_bytes),
            ("flights", self.flight_bytes),
            ("input", self.input_bytes),
        ]
    }

    /// Sessions at once.
    pub(crate) fn sessions_max(&self) -> usize {
        self.sessions.max(self.connections) as usize
    }

    /// Frame records beside each arena.
    pub(crate) fn arena_frames(&self) -> usize {
        self.arena_bytes / 64
    }

    /// Messages that fit the memory for them if they are small.
    pub(crate) fn stored_messages(&self) -> usize {
        self.stored_bytes / 252
    }
}
