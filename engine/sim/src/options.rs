//! What one run is like: drawn before it begins.
//!
//! Counts and limits are drawn first, often absurdly small, and some faults and actions are
//! switched off altogether: a run in which everything happens a little meets less than many
//! runs that each are extreme in a few things.

use crate::kind::{Group, Kind};
use crate::network::Faults;
use crate::random::{Random, Ratio};
use crate::topics;
use ringcast_ring::TopicHasher;
use ringcast_shard::{Limits, Settings};

/// Of one run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many steps it takes before it is brought to an end.
    pub steps: u64,
    /// Shards of the engine.
    pub shards: usize,
    /// Bytes of the ring.
    pub ring_bytes: usize,
    /// Bytes of each uplink.
    pub uplink_bytes: usize,
    /// Each shard's, but for its number.
    pub settings: Settings,
    /// What the network does.
    pub faults: Faults,
    /// How often each kind of action comes, by its place in [`Kind::ALL`].
    pub weights: [u32; Kind::ALL.len()],
    /// Names of clients.
    pub clients: u64,
    /// What clients subscribe to: a few filters, or all there are.
    pub filters: Vec<&'static str>,
    /// Whether subscriptions have options and identifiers that make them differ.
    pub has_options: bool,
    /// Whether queues are never short.
    pub has_long_queues: bool,
    /// Whether members of groups ask for QoS 0, too: then nothing is promised to a group.
    pub has_loose_groups: bool,
    /// Whether all clients are alike.
    pub is_crowd: bool,
    /// The newcomers that wait for a shard.
    pub newcomers: usize,
    /// Bytes that a server's socket holds: the least and the most.
    pub socket_bytes: (u64, u64),
    /// Bytes of payloads: one of these.
    pub payload_bytes: Vec<u64>,
    /// The same of the feed's, which may be larger.
    pub feed_bytes: Vec<u64>,
    /// Steps of virtual time, in ns: one of these at a time.
    pub paces_nanos: Vec<u64>,
    /// How often somebody acts late, and by how many paces at most.
    pub late: Ratio,
    /// See [`Self::late`].
    pub late_paces_max: u64,
    /// Messages of the feed at a time, at most.
    pub burst_max: u64,
    /// Everything that is switched off by hand.
    pub without: Vec<Kind>,
}

/// Enough of everything: with so much, nobody is refused or closed for want of room.
const FILTERS: usize = 64;
const SUBSCRIPTIONS: usize = 1_000;
const TOPICS: usize = 64;
const STORED_BYTES: usize = 1 << 20;
const OUTBOX_BYTES: usize = 4 << 20;
const INPUT_BYTES: usize = 8 << 20;

impl Options {
    /// Draws what a run of this seed is like.
    #[must_use]
    pub fn draw(seed: u64, steps: u64, without: &[Kind]) -> Self {
        let mut random = Random::new(seed, "options", 0);
        let random = &mut random;
        // Many who get the same, and sweeps that take long.
        let is_crowd = random.once_in(8);
        let (arena_bits, ring_bits) = match is_crowd {
            true => (16, 18),
            false => (random.between(16, 18), random.between(13, 18)),
        };
        let (arena_bytes, ring_bytes) = (1 << arena_bits, 1 << ring_bits);
        let uplink_bytes = random.power(12, 15) as usize;
        // A record has a head, a topic, a client identifier and properties too.
        let packet_bytes_max = arena_bytes.min(ring_bytes).min(uplink_bytes) / 4 - 300;
        let connections = match is_crowd {
            true => 32,
            false => random.power(1, 5) as u32,
        };
        let is_tight = random.once_in(4) && !is_crowd;
        let has_long_queues = random.once_in(2);
        let settings = Settings {
            home: 0,
            connections,
            sessions: connections + random.below(40) as u32,
            share_filters: 16,
            flight_bytes: 1 << 20,
            cohorts: table(random, is_tight, connections as usize + 40).max(2),
            filters: table(random, is_tight, FILTERS).max(2),
            subscriptions: table(random, is_tight, SUBSCRIPTIONS).max(2),
            topics: table(random, is_tight, TOPICS).max(2),
            arena_bytes,
            stored_bytes: table(random, is_tight, STORED_BYTES).max(4096),
            outbox_bytes: table(random, is_tight, OUTBOX_BYTES).max(2048),
            input_bytes: table(random, is_tight, INPUT_BYTES).max(1024),
            turn_sends_max: match is_crowd {
                true => random.power(0, 2) as usize,
                false => random.power(0, 8) as usize,
            },
            limits: limits(random, packet_bytes_max, has_long_queues),
            classes: topics::classes(),
            hasher: TopicHasher::new((random.word(), random.word())),
            key: (random.word(), random.word()),
        };
        let late_nanos_max = random.power(10, 31);
        let mut fault = |kind| {
            let ratio = *random.of(&[
                Ratio::NEVER,
                Ratio::new(1, 2),
                Ratio::new(1, 8),
                Ratio::new(1, 64),
            ]);
            match without.contains(&kind) {
                true => Ratio::NEVER,
                false => ratio,
            }
        };
        let faults = Faults {
            short_send: fault(Kind::ShortSend),
            would_block: fault(Kind::WouldBlock),
            split_read: fault(Kind::SplitRead),
            empty_read: fault(Kind::EmptyRead),
            hidden_input: fault(Kind::HiddenInput),
            late_event: fault(Kind::LateEvent),
            late_nanos_max,
            reordered_events: fault(Kind::ReorderedEvents),
            stale_event: fault(Kind::StaleEvent),
            input_lost: fault(Kind::InputLost),
            table_full: fault(Kind::TableFull),
        };
        let late = fault(Kind::LateTurn);
        let payload_bytes_max = packet_bytes_max as u64 - 200;
        let payload_bytes = match random.below(4) {
            0 => vec![0, 1, 7],
            1 => vec![0, 30, 200],
            2 => vec![0, 100, payload_bytes_max],
            _ => vec![payload_bytes_max / 2, payload_bytes_max],
        };
        let record_bytes_max = arena_bytes.min(ring_bytes) as u64 / 4 - 400;
        let feed_bytes = match is_crowd || random.once_in(3) {
            true => vec![1, record_bytes_max],
            false => payload_bytes.clone(),
        };
        let socket_bytes = match random.below(3) {
            _ if is_crowd => (1 << 20, 1 << 20),
            0 => (1, 64),
            1 => (100, 4_000),
            _ => (20_000, 200_000),
        };
        let paces = [1_000, 20_000, 1_000_000, 20_000_000];
        let first = random.place(paces.len());
        let last = random.between(first as u64, paces.len() as u64 - 1) as usize;
        Self {
            seed,
            steps,
            shards: match is_crowd {
                true => 1,
                false => random.between(1, 3) as usize,
            },
            ring_bytes,
            uplink_bytes,
            settings,
            faults,
            weights: weights(random, is_crowd, without),
            clients: match is_crowd {
                true => 64,
                false => random.power(1, 5),
            },
            filters: match is_crowd {
                true => vec![*random.of::<&str>(&["#", "feed/#", "+/+"])],
                false => filters(random),
            },
            has_options: !is_crowd && random.once_in(2),
            has_long_queues,
            has_loose_groups: random.once_in(4),
            is_crowd,
            newcomers: random.power(0, 4) as usize,
            socket_bytes,
            payload_bytes,
            feed_bytes,
            paces_nanos: paces[first..=last].to_vec(),
            late,
            late_paces_max: random.power(2, 9),
            burst_max: random.power(0, 8),
            without: without.to_vec(),
        }
    }

    /// The most that an event or a turn can be late, in ns.
    #[must_use]
    pub fn late_nanos_max(&self) -> u64 {
        let pace = self.paces_nanos.iter().max().expect("there is one");
        self.faults.late_nanos_max + 2 * pace * self.late_paces_max
    }

    /// Whether a turn can route more than it sends to each client: then those who take all
    /// that they are sent can be behind, too. Nobody is who gets an eighth of the arena in
    /// each turn, if sweeps come round in one.
    #[must_use]
    pub fn is_outpaced(&self) -> bool {
        let largest = self.feed_bytes.iter().max().copied().unwrap_or(0) as usize;
        let settings = &self.settings;
        largest > settings.arena_bytes / 64
            || settings.turn_sends_max < settings.connections as usize
    }

    /// How late a shard can be to read what has come although it has its turns.
    #[must_use]
    pub fn input_late_nanos_max(&self) -> u64 {
        match (self.faults.empty_read, self.faults.late_event) {
            (empty, _) if empty.is_possible() => u64::MAX / 2,
            (_, late) if late.is_possible() => self.faults.late_nanos_max,
            _ => 0,
        }
    }

    /// Whether a table or a pool is smaller than what clients may ask for.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        let settings = &self.settings;
        settings.cohorts < settings.sessions as usize
            || settings.filters < FILTERS
            || settings.subscriptions < SUBSCRIPTIONS
            || settings.topics < TOPICS
            || settings.stored_bytes < STORED_BYTES
            || settings.outbox_bytes < OUTBOX_BYTES
            || settings.input_bytes < INPUT_BYTES
    }

    /// Whether this is switched off by hand.
    #[must_use]
    pub fn is_off(&self, kind: Kind) -> bool {
        self.without.contains(&kind)
    }
}

/// One filter, a few or all: those who subscribe to the same share what they get.
fn filters(random: &mut Random) -> Vec<&'static str> {
    let count = *random.of(&[1, 2, 4, topics::FILTERS.len()]);
    let mut filters = topics::FILTERS.to_vec();
    random.shuffle(&mut filters);
    filters.truncate(count);
    filters
}

/// The size of a table: enough, or too small.
fn table(random: &mut Random, is_tight: bool, enough: usize) -> usize {
    match is_tight && random.once_in(2) {
        // Anything from next to nothing to nearly enough.
        true => enough >> random.between(1, 10),
        false => enough,
    }
}

/// What bounds clients; drawn anew when settings change.
pub(crate) fn limits(
    random: &mut Random,
    packet_bytes_max: usize,
    has_long_queues: bool,
) -> Limits {
    let (messages, bytes) = match has_long_queues {
        true => (10_000, 1 << 19),
        false => (
            *random.of(&[2, 16, 10_000]),
            *random.of(&[512, 1 << 13, 1 << 19]),
        ),
    };
    Limits {
        packet_bytes_max,
        subscriptions_per_connection: *random.of(&[2, 8, 100]),
        topic_levels_max: 8,
        keep_alive_seconds_max: *random.of(&[0, 0, 1, 30]),
        clients_publish_market: random.once_in(2),
        inflight_max: *random.of(&[1, 4, 20, 400]),
        session_expiry_seconds_max: *random.of(&[0, 10, 1_000]),
        topic_aliases_max: 3,
        share_members_max: 100,
        lag_bytes: random.power(6, 15),
        queue_messages: messages,
        queue_bytes: bytes,
    }
}

/// Whether a few messages or large ones fill a queue.
pub(crate) fn has_short_queues(limits: &Limits) -> bool {
    limits.queue_messages < 100 || limits.queue_bytes < 1 << 16
}

fn weights(random: &mut Random, is_crowd: bool, without: &[Kind]) -> [u32; Kind::ALL.len()] {
    let mut weights = [0; Kind::ALL.len()];
    for kind in Kind::of(Group::Action) {
        let usual = match kind {
            Kind::Feed => 60,
            Kind::Publish | Kind::Subscribe => 20,
            Kind::Unsubscribe | Kind::GoOn => 10,
            Kind::Connect | Kind::Ping | Kind::Stall => 6,
            _ => 1,
        };
        let weight = match (kind, random.below(6)) {
            (Kind::Connect | Kind::Subscribe | Kind::Feed, _) if is_crowd => usual,
            (Kind::Stall, 0) if is_crowd => 1,
            _ if is_crowd => 0,
            // Nothing comes after it: it is to be late, and rare.
            (Kind::Drain, 0) => 1,
            (Kind::Drain, _) | (_, 0) => 0,
            (_, 1) => usual * 4,
            _ => usual,
        };
        weights[kind as usize] = match without.contains(&kind) {
            true => 0,
            false => weight,
        };
    }
    if !without.contains(&Kind::Connect) {
        // Without anybody there nothing happens.
        weights[Kind::Connect as usize] = weights[Kind::Connect as usize].max(4);
    }
    if weights.iter().all(|weight| *weight == 0) {
        weights[Kind::Feed as usize] = 1;
    }
    weights
}
