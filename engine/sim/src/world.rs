//! One run: the engine, the network, model clients, and those who watch.

use crate::actions;
use crate::client::Client;
use crate::engine::{Engine, Entry};
use crate::kind::{Counts, Group, Kind};
use crate::network::{Faults, Network, Output, SocketId};
use crate::options::{self, Options};
use crate::oracle::log::Draft;
use crate::oracle::{Bounds, Oracle, Seen, Verdict};
use crate::outside::{Handler, Listener};
use crate::random::Random;
use crate::schedule::{Party, Schedule};
use crate::topics::{FEED_FILTERS, Publisher, TOPICS};
use crate::trace_hash::TraceHash;
use ringcast_codec::mqtt::QoS;
use ringcast_ingest::Draft as Offer;
use ringcast_referee::{Event, Private, Referee, Rule, Scope, Violation, What};
use ringcast_ring::{Kind as RecordKind, Message};
use ringcast_shard::Now;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// Everything of one run.
pub struct World {
    /// What it is like.
    pub options: Options,
    /// All connections.
    pub network: Rc<RefCell<Network>>,
    /// What is tested.
    pub engine: Engine,
    /// Those who speak to it.
    pub clients: Vec<Client>,
    /// Who watches.
    pub oracle: Oracle,
    referee: Referee,
    /// Violations that the referee found and that are excused. What excuses one need not last.
    excused: usize,
    schedule: Schedule,
    counts: Counts,
    hash: TraceHash,
    /// What was done last.
    notes: VecDeque<String>,
    /// Actions that are left out, by their number.
    skipped: BTreeSet<u64>,
    actions: u64,
    steps: u64,
    /// The next message's own number.
    pub tokens: u64,
    packet_ids: BTreeMap<String, u16>,
    /// The topics that had a message which says nothing.
    pub silences: BTreeSet<usize>,
    /// Of each topic, how many messages of a market it had.
    markets: Vec<u64>,
    listeners: Vec<Listener>,
    handler: Handler,
    /// What the handler sent and the ring had no room for.
    held: Option<u64>,
    outside: Random,
    reading: Random,
    /// The engine is going down.
    pub is_draining: bool,
    /// How each shard stood after its last turn.
    standings: Vec<Standing>,
}

/// The time when everything begins.
const BEGIN_NANOS: u64 = 5_000_000_000;

/// That time since 1970.
const BEGIN_WALL_NANOS: u64 = 1_700_000_000_000_000_000;

/// How many act as clients, feed and operator.
const WORKLOADS: usize = 3;

/// Notes that are kept.
const NOTES_MAX: usize = 1_000;

impl World {
    /// A world of these options, in which these actions are left out.
    #[must_use]
    pub fn new(options: Options, skipped: BTreeSet<u64>) -> Self {
        let seed = options.seed;
        let network = Network::new(seed, options.shards, options.faults);
        let network = Rc::new(RefCell::new(network));
        let engine = Engine::new(&options, &network, now(BEGIN_NANOS));
        let parties: Vec<_> = (0..options.shards)
            .map(Party::Shard)
            .chain([Party::Ingest, Party::Door, Party::Clients])
            .chain([Party::Workload; WORKLOADS])
            .chain([Party::Tap(0), Party::Tap(1), Party::Handler])
            .collect();
        let late = (options.late, options.late_paces_max);
        let schedule = Schedule::new(seed, BEGIN_NANOS, &options.paces_nanos, late, &parties);
        let mut engine = engine;
        let ring = engine.ingest.sequencer().producer();
        let listeners = vec![Listener::new(ring), Listener::new(ring)];
        let limits = &options.settings.limits;
        let bounds = Bounds {
            subscriptions: limits.subscriptions_per_connection,
            levels: limits.topic_levels_max,
            inflight_max: limits.inflight_max.into(),
            has_short_queues: options::has_short_queues(limits),
            is_tight: options.is_tight(),
            is_draining: false,
            input_late_nanos_max: options.input_late_nanos_max(),
            late_micros_max: 2_000_000 + options.late_nanos_max() / 1_000,
        };
        Self {
            referee: Referee::new(scope(&options)),
            excused: 0,
            oracle: Oracle::new(bounds),
            standings: vec![Standing::default(); options.shards],
            network,
            engine,
            clients: Vec::new(),
            schedule,
            counts: Counts::default(),
            hash: TraceHash::default(),
            notes: VecDeque::new(),
            skipped,
            actions: 0,
            steps: 0,
            tokens: 0,
            packet_ids: BTreeMap::new(),
            silences: BTreeSet::new(),
            markets: vec![0; TOPICS.len()],
            listeners,
            handler: Handler::new(),
            held: None,
            outside: Random::new(seed, "outside", 0),
            reading: Random::new(seed, "reading", 0),
            is_draining: false,
            options,
        }
    }

    /// How many steps it took.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many actions there were, those left out among them.
    #[must_use]
    pub fn actions(&self) -> u64 {
        self.actions
    }

    /// What was done last, oldest first.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes.iter().cloned().collect()
    }

    /// The hash of all that happened.
    #[must_use]
    pub fn hash(&self) -> TraceHash {
        self.hash
    }

    /// The time, in ns.
    #[must_use]
    pub fn now_nanos(&self) -> u64 {
        self.schedule.now_nanos()
    }

    /// Something was done.
    pub fn note(&mut self, text: &str) {
        if self.notes.len() == NOTES_MAX {
            self.notes.pop_front();
        }
        let millis = (self.now_nanos() - BEGIN_NANOS) / 1_000_000;
        let note = format!("step {} at {millis} ms: {text}", self.steps);
        self.notes.push_back(note);
    }

    /// Somebody acts.
    ///
    /// # Errors
    /// If a promise was broken by that.
    pub fn step(&mut self) -> Verdict {
        self.steps += 1;
        let party = self.schedule.next_party();
        let now = self.now_nanos();
        self.network.borrow_mut().set_now(now);
        self.hash.word(now);
        let verdict = self.act(party);
        let late_paces = self.schedule.again(party);
        if late_paces > 0 {
            self.counts.count(Kind::LateTurn);
            let stalls = matches!(party, Party::Shard(_));
            if stalls && late_paces * self.schedule.pace_nanos() >= 1_000_000 {
                self.counts.count(Kind::StalledShard);
            }
        }
        verdict
    }

    fn act(&mut self, party: Party) -> Verdict {
        match party {
            Party::Ingest => self.turn_ingest().map(|_| ()),
            Party::Shard(shard) => self.turn_shard(shard).map(|_| ()),
            Party::Door => {
                self.open_door();
                self.watch(None)
            }
            Party::Clients => {
                self.serve_clients();
                Ok(())
            }
            Party::Workload => {
                self.work();
                self.absorb()?;
                self.watch(None)
            }
            Party::Tap(number) => {
                let most = self.outside.power(0, 6);
                let log = self.oracle.log();
                self.listeners[number].read(most, log, &mut self.counts)
            }
            Party::Handler => self.turn_handler(),
        }
    }

    /// The ingest core has a turn.
    ///
    /// # Errors
    /// If what it put into the ring is not what it should have.
    pub fn turn_ingest(&mut self) -> Result<bool, String> {
        let now = self.now_nanos();
        let time = ringcast_ingest::Now {
            monotonic_nanos: now,
            wall_micros: wall_nanos(now) / 1_000,
        };
        let busy = self.engine.ingest.turn(time);
        let busy = busy.map_err(|error| error.to_string())?;
        self.absorb()?;
        Ok(busy)
    }

    /// What is new in the ring is new to the oracle.
    fn absorb(&mut self) -> Verdict {
        let now_nanos = self.now_nanos();
        let hasher = self.engine.hasher;
        let batch = self.engine.reader.poll();
        let mut batch = batch.map_err(|corrupt| corrupt.to_string())?;
        while let Some(record) = batch.next_record().map_err(|corrupt| corrupt.to_string())? {
            self.hash.bytes(record.body);
            if record.kind != RecordKind::MESSAGE {
                continue;
            }
            let message = Message::decode(record.body).ok_or("a record that is no message")?;
            let hash = hasher.topic(message.topic);
            self.oracle.on_sequenced(&message, hash, now_nanos)?;
        }
        Ok(())
    }

    /// A shard takes newcomers in, and has a turn.
    ///
    /// # Errors
    /// If it did what it must not.
    pub fn turn_shard(&mut self, shard: usize) -> Result<bool, String> {
        let time = now(self.now_nanos());
        let oracle = &mut self.oracle;
        let role = &mut self.engine.shards[shard];
        let newcomers = !role.newcomers.is_empty();
        let gauges = role.shard.gauges();
        let settings = &self.options.settings;
        let room = |most: u32, now: u64| u64::from(most).saturating_sub(now);
        let mut room = room(settings.connections, gauges.connections)
            .min(room(settings.sessions, gauges.sessions));
        let refused = role.adopt(|socket| {
            oracle.on_adopted(socket, room == 0);
            room = room.saturating_sub(1);
        });
        for socket in refused {
            if let Some(link) = self.oracle.link_mut(socket) {
                link.causes.refused = true;
            }
        }
        let before = *self.engine.shards[shard].shard.counters();
        let busy = self.engine.shards[shard].turn(time)?;
        self.note_ends(shard, before.ended);
        let now = self.engine.shards[shard].shard.counters();
        if now.not_kept > before.not_kept {
            let read = before.records + 1..=now.records;
            self.oracle.on_starved(shard, read);
        }
        if self.outside.once_in(16) {
            self.engine.shards[shard].shard.invariants();
        }
        self.watch(Some(shard))?;
        self.look_at_gauges(shard)?;
        Ok(busy || newcomers)
    }

    /// Why connections ended in a turn is worth knowing when one should not have.
    fn note_ends(&mut self, shard: usize, before: [u64; ringcast_shard::End::COUNT]) {
        let now = self.engine.shards[shard].shard.counters().ended;
        let names = ringcast_shard::End::NAMES.iter();
        for (name, (before, now)) in names.zip(before.into_iter().zip(now)) {
            if now > before {
                self.note(&format!("shard {shard} ends {}: {name}", now - before));
            }
        }
    }

    fn look_at_gauges(&mut self, shard: usize) -> Verdict {
        let role = &self.engine.shards[shard];
        let gauges = role.shard.gauges();
        let settings = &self.options.settings;
        // Those who are refused are there until they are told.
        if gauges.connections > u64::from(settings.connections) + 64 {
            return Err(format!("{} connections", gauges.connections));
        }
        if gauges.input_bytes as usize > settings.input_bytes + 64 * 64 * 1024 {
            return Err(format!("{} bytes of input are kept", gauges.input_bytes));
        }
        let standing = Standing {
            lagging: gauges.lagging,
            lags: role.shard.counters().lags,
            ended: role.shard.counters().ended.iter().sum(),
        };
        let before = std::mem::replace(&mut self.standings[shard], standing);
        let came = before.lagging + standing.lags - before.lags;
        let left = standing.ended - before.ended;
        if came > standing.lagging + left {
            self.counts.count(Kind::LagOver);
        }
        Ok(())
    }

    /// The door looks at its visitors.
    pub fn open_door(&mut self) {
        let most = self.options.newcomers;
        let mut network = self.network.borrow_mut();
        for entry in self.engine.look_after_visitors(&mut network, most) {
            match entry {
                Entry::Home(socket, shard, assigned) => {
                    self.oracle
                        .on_handed_over(socket, shard, assigned.as_deref());
                }
                Entry::Away(_) => {}
                Entry::Waits => self.counts.count(Kind::DoorFull),
            }
        }
    }

    /// Clients take what has arrived, and send what they had no room for.
    fn serve_clients(&mut self) {
        for place in 0..self.clients.len() {
            let most = match self.reading.below(3) {
                0 => 0,
                1 => 1,
                _ => usize::MAX,
            };
            self.acknowledge(place, most);
            self.flush(place);
            let mut network = self.network.borrow_mut();
            self.clients[place].take(&mut network, &mut self.reading);
        }
        self.clients
            .retain(|client| !client.is_over && !client.is_dead);
    }

    /// A client acknowledges so many messages.
    fn acknowledge(&mut self, place: usize, most: usize) {
        let client = &mut self.clients[place];
        for (kind, id) in client.acknowledge(most) {
            self.oracle.on_acknowledge(client.socket, kind, id);
        }
    }

    /// A packet identifier that a client has not used: no name uses one twice.
    pub fn packet_id(&mut self, place: usize) -> u16 {
        let name = self.clients[place].client_id.clone();
        let next = self.packet_ids.entry(name).or_insert(0);
        *next = next.checked_add(1).unwrap_or(1);
        *next
    }

    /// A client sends what it has to send, as far as there is room.
    pub fn flush(&mut self, place: usize) {
        let now = self.now_nanos();
        let client = &mut self.clients[place];
        let sent = client.flush(&mut self.network.borrow_mut());
        if let Some(link) = self.oracle.link_mut(client.socket) {
            link.was_blocked |= client.has_unsent();
            if !sent.is_empty() {
                link.last_sent_nanos = now;
            }
        }
        if sent.is_empty() {
            return;
        }
        let socket = client.socket;
        self.hash.bytes(&sent);
        self.testify(socket, What::ToServer(sent));
    }

    /// The referee sees something.
    pub fn testify(&mut self, socket: SocketId, what: What) {
        let event = Event {
            at_nanos: self.now_nanos(),
            connection: socket.0.into(),
            what,
        };
        self.referee.on_event(&event);
    }

    /// What servers' sockets did is judged; `shard` is the one that had its turn.
    fn watch(&mut self, shard: Option<usize>) -> Verdict {
        let tape = self.network.borrow_mut().take_tape();
        for (socket, output) in tape {
            self.hash.word(socket.0.into());
            let seen = self.seen(shard);
            match &output {
                Output::Bytes(bytes) => {
                    self.hash.bytes(bytes);
                    self.testify(socket, What::ToClient(bytes.clone()));
                }
                Output::Closed => self.testify(socket, What::ClosedByServer),
                Output::Blocked => self.counts.count(Kind::Apart),
                Output::Read { .. } => {}
            }
            self.oracle.on_output(socket, &output, seen)?;
        }
        let violations = self.referee.report().violations();
        let mut new = violations[self.excused..].iter();
        if let Some(violation) = new.find(|one| !self.is_excused(one)) {
            return Err(format!("the referee: {violation}"));
        }
        self.excused = violations.len();
        Ok(())
    }

    /// Whether what the referee found is known, and not mended.
    fn is_excused(&self, violation: &Violation) -> bool {
        let link = self.oracle.link(SocketId(violation.connection as u32));
        match violation.rule {
            // What a session had in its outbox when its connection broke; and of expiry the
            // referee counts from when a message was sent, the oracle from when it was read.
            Rule::DupOnlyAgain | Rule::Expiry => true,
            // It counts a goodbye from when it was said, the oracle from when it was read.
            Rule::WillEarly => violation.because.contains("goodbye"),
            // The referee counts from when a client left, a server from when it noticed.
            Rule::SessionPresent => link.is_some_and(|link| {
                let slack_nanos = slack_nanos(&self.options);
                self.oracle.was_late_to_close(link, slack_nanos)
            }),
            // Whose input waits, for its publishes to go up, for an answer, or for it to take what
            // it is owed, is not silent; and the referee counts from when something was sent.
            Rule::KeepAlive => link.is_some_and(|link| {
                let silent_nanos = violation.at_nanos.saturating_sub(link.heard_nanos);
                let most_nanos = u64::from(link.keep_alive) * 1_500_000_000;
                let slack_nanos = slack_nanos(&self.options);
                link.was_blocked
                    || link.is_any_awaited()
                    || silent_nanos <= most_nanos + slack_nanos
            }),
            _ => false,
        }
    }

    /// How the world is for a shard's connections.
    #[must_use]
    pub fn seen(&self, shard: Option<usize>) -> Seen {
        let now_nanos = self.now_nanos();
        let counters = shard.map(|shard| self.engine.shards[shard].shard.counters());
        Seen {
            now_nanos,
            wall_micros: wall_nanos(now_nanos) / 1_000,
            routed: counters.map_or(0, |counters| counters.records),
            has_forgotten: counters.is_some_and(|counters| counters.not_kept > 0),
            untaken: counters.map_or(0, |counters| counters.untaken),
            is_shard_slow: self.options.is_outpaced(),
        }
    }

    /// Somebody does something, drawn from a stream that is this action's alone.
    fn work(&mut self) {
        let number = self.actions;
        self.actions += 1;
        let mut random = Random::new(self.options.seed, "action", number);
        let place = random.weighted(&self.options.weights);
        let kind = Kind::ALL[place];
        debug_assert_eq!(kind.group(), Group::Action);
        if self.skipped.contains(&number) {
            return;
        }
        if let Some(what) = actions::act(self, kind, &mut random) {
            self.counts.count(kind);
            self.note(&format!("action {number}, {}: {what}", kind.name()));
        }
    }

    /// Any client that still does something.
    pub fn any_client(&self, random: &mut Random) -> Option<usize> {
        let active = self.clients.iter().enumerate();
        let active: Vec<_> = active
            .filter(|(_, client)| client.is_active())
            .map(|(place, _)| place)
            .collect();
        (!active.is_empty()).then(|| *random.of(&active))
    }

    /// A payload for a topic, which nothing else says.
    pub fn payload(&mut self, topic: usize, bytes: u64) -> Vec<u8> {
        self.tokens += 1;
        let token = self.tokens;
        let filler = bytes as usize;
        if !TOPICS[topic].is_market {
            return format!("{token}:{:filler$}", "").into_bytes();
        }
        let mut levels = TOPICS[topic].name.splitn(3, '/').skip(1);
        let (symbol, channel) = (levels.next().unwrap_or(""), levels.next().unwrap_or(""));
        let before = self.markets[topic];
        self.markets[topic] += 1;
        format!(
            "{{\"ch\":\"{channel}\",\"s\":\"{symbol}\",\"seq\":{},\"prev\":{before},\"ts\":{token},\"ti\":1,\"data\":\"{:filler$}\"}}",
            before + 1,
            ""
        )
        .into_bytes()
    }

    /// The feed offers a message. Returns whether the ring had room.
    pub fn feed(&mut self, topic: usize, bytes: u64, qos: u8, lives: Option<u32>) -> bool {
        debug_assert_eq!(TOPICS[topic].publisher, Publisher::Feed);
        let (before, markets) = (self.tokens, self.markets[topic]);
        let payload = self.payload(topic, bytes);
        let now_micros = wall_nanos(self.now_nanos()) / 1_000;
        let sequencer = self.engine.ingest.sequencer();
        let offered = sequencer.offer(
            &Offer {
                topic: &self.engine.topics[topic],
                qos: [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)],
                source_micros: now_micros,
                ingest_micros: now_micros,
                expires_micros: lives.map_or(0, |s| now_micros + u64::from(s) * 1_000_000),
                properties: &[],
            },
            payload.len(),
            |room| room.copy_from_slice(&payload),
        );
        sequencer.publish();
        if offered.is_err() {
            self.counts.count(Kind::RingFull);
            self.tokens = before;
            self.markets[topic] = markets;
            return false;
        }
        let (qos_max, retain) = TOPICS[topic].feed_class();
        self.oracle.on_feed(Draft {
            from: None,
            client_id: String::new(),
            topic,
            payload,
            qos: qos.min(qos_max),
            retain,
            block: Vec::new(),
            lives,
            may_be_refused: false,
        });
        true
    }

    fn turn_handler(&mut self) -> Verdict {
        let dies = self.outside.once_in(16) && !self.options.is_off(Kind::ProducerDied);
        if self.outside.once_in(2) {
            self.handler.act(&mut self.outside, dies, &mut self.counts);
        }
        for _ in 0..self.outside.below(4) {
            let next = match self.held.take() {
                Some(held) => Some(held),
                None => self.handler.read(&mut self.counts)?,
            };
            let Some(number) = next else {
                break;
            };
            let topic = TOPICS.iter().position(|topic| topic.name == "feed/b");
            let topic = topic.expect("it is one");
            if self.options.is_off(Kind::Feed) {
                continue;
            }
            if !self.feed(topic, number % 50, 0, None) {
                self.held = Some(number);
                break;
            }
            self.absorb()?;
        }
        Ok(())
    }

    /// All that was counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts.clone();
        counts.merge(self.network.borrow().counts());
        counts.merge(self.oracle.counts());
        for role in &self.engine.shards {
            let counters = role.shard.counters();
            counts.add(Kind::UplinkFull, counters.uplink_full);
            counts.add(Kind::Lag, counters.lags);
            counts.add(Kind::RoutingPaused, counters.routing_paused);
            counts.add(Kind::Logged, counters.lag_deliveries);
            counts.add(Kind::Dropped, counters.drops);
            counts.add(Kind::Oversize, counters.oversize);
            for (name, ended) in ringcast_shard::End::NAMES.iter().zip(counters.ended) {
                let kind = match *name {
                    "fault" => Kind::Faulted,
                    "keep_alive" => Kind::KeepAlive,
                    "too_slow" => Kind::TooSlow,
                    "taken_over" => Kind::TakenOver,
                    "quota" => Kind::Quota,
                    "drained" => Kind::Drained,
                    _ => continue,
                };
                counts.add(kind, ended);
            }
        }
        counts
    }
}

/// The rest of a run: nothing is unkind any more, and everything has to come right.
impl World {
    /// Everybody gets everything; the silent are closed; the engine goes down.
    ///
    /// # Errors
    /// If something does not come right.
    pub fn end(&mut self) -> Verdict {
        self.note("the end begins: everything is kind");
        self.be_kind();
        self.come_to_rest(1_000_000)?;
        if !self.is_draining && !self.options.is_off(Kind::Connect) {
            self.note("who is away comes back");
            actions::come_back(self);
            self.come_to_rest(1_000_000)?;
        }
        self.oracle.at_rest(|shard| self.seen(Some(shard)))?;
        self.note("all are silent");
        for _ in 0..150 {
            self.pass(1_000_000_000);
            self.come_to_rest(10_000)?;
        }
        self.nobody_is_silent()?;
        self.note("the engine goes down");
        self.is_draining = true;
        self.oracle.bounds_mut().is_draining = true;
        for role in &mut self.engine.shards {
            role.shard.drain(100, 5);
        }
        for _ in 0..100 {
            self.pass(200_000_000);
            self.come_to_rest(10_000)?;
        }
        self.everybody_is_gone()
    }

    fn be_kind(&mut self) {
        let mut network = self.network.borrow_mut();
        network.set_faults(Faults::NONE);
        for client in &mut self.clients {
            client.is_stalled = false;
            network.set_capacity(client.socket, usize::MAX);
        }
    }

    fn pass(&mut self, nanos: u64) {
        self.schedule.pass(nanos);
        self.network.borrow_mut().set_now(self.now_nanos());
    }

    /// Turns, a little time between them, until nothing moves.
    fn come_to_rest(&mut self, step_nanos: u64) -> Verdict {
        let mut quiet = 0;
        for _ in 0..20_000 {
            self.pass(step_nanos);
            let mut busy = self.turn_ingest()?;
            self.open_door();
            self.watch(None)?;
            for shard in 0..self.engine.shards.len() {
                busy |= self.turn_shard(shard)?;
            }
            for place in 0..self.clients.len() {
                self.acknowledge(place, usize::MAX);
                self.flush(place);
                let client = &mut self.clients[place];
                if !client.is_dead {
                    busy |= client.take_at_most(&mut self.network.borrow_mut(), usize::MAX);
                }
                busy |= client.has_unsent() && !client.is_dead && !client.is_over;
            }
            self.clients.retain(|client| !client.is_over);
            // What is on its way to a shard that is full comes when somebody leaves.
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet == 5 {
                return Ok(());
            }
        }
        Err("it never comes to rest".to_owned())
    }

    /// Who promised to say something and has not is closed by now.
    fn nobody_is_silent(&self) -> Verdict {
        for socket in self.network.borrow().open() {
            let link = self.oracle.link(socket);
            let silent = link.filter(|link| link.shard.is_some() && link.keep_alive > 0);
            if let Some(link) = silent {
                let silence = self.now_nanos() - link.last_sent_nanos;
                if silence > u64::from(link.keep_alive) * 1_600_000_000 + 3_000_000_000 {
                    return Err(format!("{silence} ns of silence of {link}"));
                }
            }
        }
        Ok(())
    }

    fn everybody_is_gone(&self) -> Verdict {
        for (number, role) in self.engine.shards.iter().enumerate() {
            role.shard.invariants();
            if !role.shard.is_drained() {
                let gauges = role.shard.gauges();
                return Err(format!("shard {number} never goes down: {gauges:?}"));
            }
        }
        let network = self.network.borrow();
        let left = network.open();
        let left = left.iter().filter_map(|socket| self.oracle.link(*socket));
        match left.filter(|link| link.shard.is_some()).count() {
            0 => Ok(()),
            count => Err(format!("{count} connections are never closed")),
        }
    }
}

/// How a shard stood after a turn.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    lagging: u64,
    lags: u64,
    ended: u64,
}

fn now(monotonic_nanos: u64) -> Now {
    Now {
        monotonic_nanos,
        wall_nanos: wall_nanos(monotonic_nanos),
    }
}

fn wall_nanos(monotonic_nanos: u64) -> u64 {
    BEGIN_WALL_NANOS + monotonic_nanos - BEGIN_NANOS
}

/// How late a server can be to act: it counts whole seconds, of which neither the first nor the
/// last need be whole, and half of one is one.
fn slack_nanos(options: &Options) -> u64 {
    3_000_000_000 + 4 * options.late_nanos_max()
}

/// What the referee is told of the traces.
fn scope(options: &Options) -> Scope {
    Scope {
        from_start: true,
        all_publishers: true,
        own_topics: FEED_FILTERS.map(str::to_owned).to_vec(),
        sessions_kept_secs: None,
        private: Some(Private {
            prefix: "user/".to_owned(),
            everything: Vec::new(),
        }),
        slack_nanos: slack_nanos(options),
        answer_nanos: None,
    }
}
