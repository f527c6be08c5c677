//! What shards and ingest count, as metrics.
//!
//! A shard counts in numbers of its own, which nobody else can see. Some times a second its
//! executor copies them here.

use crate::metrics::{Histogram, metrics};
use ringcast_ingest::Counters as IngestCounters;
use ringcast_shard::{Durations, End, Shard};

metrics! {
    /// Of one shard.
    pub(crate) struct ShardMetrics {
        connections: Gauge = "connections", None, "Connections that are open.";
        sessions: Gauge = "sessions", None, "Sessions, of clients that are connected or away.";
        away: Gauge = "sessions_away", None, "Sessions of clients that are away.";
        share_members: Gauge = "share_members", None, "Members of shared subscriptions, of all shards.";
        lagging: Gauge = "lagging_connections", None, "Connections that could not follow and get last values and what must not be lost one by one.";
        retained: Gauge = "retained_messages", None, "Topics with a retained message.";
        stored: Gauge = "stored_messages", None, "Messages that are kept, retained or for those who lag or are away.";
        input: Gauge = "input", Bytes, "Packets that have not come whole.";
        turns: Counter = "turns", None, "Turns that the shard has made.";
        turn_max: Gauge = "turn_max", Nanos, "The longest turn that carried messages.";
        records: Counter = "messages", None, "Messages that the shard read from the ring.";
        records_refused: Counter = "messages_refused", None, "Records of the ring that no client may get.";
        frames: Counter = "frames", None, "Frames that were encoded, each once for all who get it.";
        appends: Counter = "appends", None, "Frames that were appended to the stream of a cohort.";
        deliveries: Counter = "deliveries", None, "Messages on their way to one client each.";
        lag_deliveries: Counter = "lag_deliveries", None, "Messages that went to lagging clients one by one.";
        sends: Counter = "sends", None, "Sends that were submitted.";
        sent: Counter = "sent", Bytes, "What sockets took.";
        blocked: Counter = "blocked_sends", None, "Sends that a socket did not take all of.";
        received: Counter = "received", Bytes, "What clients sent.";
        published: Counter = "published", None, "Messages that clients published.";
        publishes_refused: Counter = "publishes_refused", None, "Messages on topics that clients may not publish to.";
        uplink_full: Counter = "uplink_full", None, "Times that a publisher had to wait for room in the uplink.";
        routing_paused: Counter = "routing_paused", None, "Times that routing waited for sweeps.";
        lags: Counter = "lags", None, "Times that a client fell into lag.";
        drops: Counter = "drops", None, "Messages that clients lost because they were too slow.";
        oversize: Counter = "oversize", None, "Messages larger than their receiver takes.";
        not_kept: Counter = "not_kept", None, "Messages that could not be kept for want of memory.";
        untaken: Counter = "untaken", None, "Messages that no member of a group had room for.";
        acknowledged: Counter = "acknowledged", None, "Messages that clients acknowledged.";
        acknowledgements_unknown: Counter = "acknowledgements_unknown", None, "Acknowledgements that nothing waited for.";
        resumed: Counter = "sessions_resumed", None, "Sessions that went on when their client came back.";
        sessions_expired: Counter = "sessions_expired", None, "Sessions whose time was over.";
        sessions_broken: Counter = "sessions_broken", None, "Sessions that ended because there was no room for what they must not miss.";
        connected: Counter = "connected", None, "Connections that were taken in.";
        refused: Counter = "connections_refused", None, "Connections that their shard refused.";
        goodbye: Counter = "ended_goodbye", None, "Connections that their client ended with DISCONNECT.";
        lost: Counter = "ended_lost", None, "Connections that broke or were closed without a word.";
        fault: Counter = "ended_fault", None, "Connections closed because their client broke the protocol.";
        keep_alive: Counter = "ended_keep_alive", None, "Connections closed because their client was silent.";
        too_slow: Counter = "ended_too_slow", None, "Connections closed because their client was too slow.";
        taken_over: Counter = "ended_taken_over", None, "Connections closed because their client connected anew.";
        quota: Counter = "ended_quota", None, "Connections closed because there was no memory for them.";
        drained: Counter = "ended_drained", None, "Connections closed because the engine goes down.";
        subscribed: Counter = "subscribed", None, "Subscriptions that were granted.";
        subscriptions_refused: Counter = "subscriptions_refused", None, "Subscriptions that were refused.";
        arrival: Histogram = "stage_ingest_to_shard", Nanos, "From when ingest took a message to the turn in which a shard read it.";
        submission: Histogram = "stage_shard_to_submitted", Nanos, "From the beginning of that turn to its first send: what the shard adds to what the kernel takes.";
    }
}

impl ShardMetrics {
    /// Copies what a shard has counted.
    pub(crate) fn copy<Pass>(&self, shard: &Shard<Pass>) {
        let counters = shard.counters();
        let gauges = shard.gauges();
        self.connections.set(gauges.connections);
        self.sessions.set(gauges.sessions);
        self.away.set(gauges.away);
        self.share_members.set(gauges.share_members);
        self.lagging.set(gauges.lagging);
        self.retained.set(gauges.retained);
        self.stored.set(gauges.stored);
        self.input.set(gauges.input_bytes);
        self.turns.set(counters.turns);
        self.turn_max.set(counters.turn_nanos_max);
        self.records.set(counters.records);
        self.records_refused.set(counters.records_refused);
        self.frames.set(counters.frames);
        self.appends.set(counters.appends);
        self.deliveries.set(counters.deliveries);
        self.lag_deliveries.set(counters.lag_deliveries);
        self.sends.set(counters.sends);
        self.sent.set(counters.sent_bytes);
        self.blocked.set(counters.blocked);
        self.received.set(counters.received_bytes);
        self.published.set(counters.published);
        self.publishes_refused.set(counters.publishes_refused);
        self.uplink_full.set(counters.uplink_full);
        self.routing_paused.set(counters.routing_paused);
        self.lags.set(counters.lags);
        self.drops.set(counters.drops);
        self.oversize.set(counters.oversize);
        self.not_kept.set(counters.not_kept);
        self.untaken.set(counters.untaken);
        self.acknowledged.set(counters.acknowledged);
        self.acknowledgements_unknown
            .set(counters.acknowledgements_unknown);
        self.resumed.set(counters.resumed);
        self.sessions_expired.set(counters.sessions_expired);
        self.sessions_broken.set(counters.sessions_broken);
        self.connected.set(counters.connected);
        self.refused.set(counters.refused);
        let ended = |end: End| counters.ended[end.number()];
        self.goodbye.set(ended(End::Goodbye));
        self.lost.set(ended(End::Lost));
        self.fault.set(ended(End::Fault(
            ringcast_codec::mqtt::ReasonCode::UnspecifiedError,
        )));
        self.keep_alive.set(ended(End::KeepAlive));
        self.too_slow.set(ended(End::TooSlow));
        self.taken_over.set(ended(End::TakenOver));
        self.quota.set(ended(End::Quota));
        self.drained.set(ended(End::Drained));
        self.subscribed.set(counters.subscribed);
        self.subscriptions_refused
            .set(counters.subscriptions_refused);
        copy_durations(&self.arrival, shard.arrival());
        copy_durations(&self.submission, shard.submission());
    }
}

fn copy_durations(histogram: &Histogram, durations: &Durations) {
    histogram.set(&durations.counts, durations.sum_nanos);
}

metrics! {
    /// Of the ingest core.
    pub(crate) struct IngestMetrics {
        messages: Counter = "ingest_feed_messages", None, "Messages of the feed that were put into the ring.";
        bytes: Counter = "ingest_feed", Bytes, "Records of the feed.";
        refused: Counter = "ingest_feed_refused", None, "Lines and records of the feed that were refused; the log says why.";
        late: Counter = "ingest_feed_late", None, "Messages that were published more than a millisecond after they were due.";
        loops: Counter = "ingest_feed_loops", None, "How often a recording began anew.";
        producers: Counter = "ingest_feed_producers", None, "Feed handlers that gave their ring.";
        laps: Counter = "ingest_feed_laps", None, "Times that a feed handler was a whole ring ahead.";
        uplink_messages: Counter = "ingest_published", None, "Messages of clients that were put into the ring.";
        uplink_bytes: Counter = "ingest_published_record", Bytes, "Their records.";
        full: Counter = "ingest_ring_full", None, "Turns that stopped because the ring had no room.";
        sequence: Counter = "ingest_sequence", None, "The number of the last message.";
    }
}

impl IngestMetrics {
    /// Copies what ingest has counted.
    pub(crate) fn copy(&self, counters: &IngestCounters, sequence: u64) {
        self.messages.set(counters.feed_messages);
        self.bytes.set(counters.feed_bytes);
        self.refused.set(counters.refused_total());
        self.late.set(counters.feed_late);
        self.loops.set(counters.feed_loops);
        self.producers.set(counters.feed_producers);
        self.laps.set(counters.feed_laps);
        self.uplink_messages.set(counters.uplink_messages);
        self.uplink_bytes.set(counters.uplink_bytes);
        self.full.set(counters.backpressure_turns);
        self.sequence.set(sequence);
    }
}
