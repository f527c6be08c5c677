//! What a thread's publishers send, and when: all of it fixed before the first is sent.

use super::{Crowd, MESSAGES_TOLD_MAX, Marks, Place, State};
use crate::chance::{Chance, Weighted, zipf};
use crate::plan::Plan;
use crate::schedule::Schedule;
use crate::stamp::Stamp;
use ringcast_codec::mqtt::{PacketId, Properties, PublishFrame, QoS, TopicName};
use std::collections::{HashMap, VecDeque};

/// All publishers of a thread.
#[derive(Debug)]
pub(super) struct Publishing {
    /// The client that is the first of them.
    first_client: u32,
    publishers: Vec<Publisher>,
    streams: Vec<Stream>,
    /// Messages that are held back, and who holds them back: perhaps more than once, and
    /// perhaps no more.
    held: usize,
    holding: VecDeque<usize>,
    choice: Choice,
    timetable: Timetable,
    /// When the timetable begins.
    begins: u64,
    /// What is behind the stamp of a payload.
    filling: Vec<u8>,
}

#[derive(Debug)]
struct Publisher {
    /// What can't be sent yet, in order.
    held: VecDeque<Due>,
    unacknowledged: u16,
    /// What the server takes at a time.
    unacknowledged_max: u16,
    last_id: u16,
}

#[derive(Debug)]
struct Stream {
    number: u32,
    /// The place of its publisher among those of this thread.
    publisher: u32,
    topic: String,
    /// The last that was published.
    sequence: u32,
}

/// A message whose time has come.
#[derive(Debug, Clone, Copy)]
struct Due {
    /// The place of its stream among those of this thread.
    stream: u32,
    intended: u64,
    bytes: u32,
}

#[derive(Debug)]
enum Choice {
    InTurn(u32),
    ByWeight(Weighted, Chance),
}

#[derive(Debug)]
enum Timetable {
    None,
    Rates(Schedule),
    /// The next event of the recording.
    Recorded(usize),
}

/// Messages that are published in one turn, at most.
const TURN_MESSAGES_MAX: usize = 512;

/// A publisher that has so many bytes on their way to the kernel holds back what is due.
const BACKLOG_BYTES_MAX: usize = 256 << 10;

/// Messages that all publishers of a thread hold back; those beyond are never sent.
const HELD_MAX: usize = 1 << 22;

/// Publishers that are asked in one turn whether they may go on, at most.
const HOLDING_MAX: usize = 256;

/// The packet identifiers of a publisher: 1 was its SUBSCRIBE's, if it had one.
const IDS: std::ops::RangeInclusive<u16> = 2..=u16::MAX;

impl Publisher {
    fn new(plan: &Plan) -> Self {
        Self {
            held: VecDeque::new(),
            unacknowledged: 0,
            unacknowledged_max: plan.scenario.publishers.unacknowledged_max,
            last_id: 0,
        }
    }
}

impl Publishing {
    pub(super) fn new(plan: &Plan, place: Place) -> Self {
        let first_client = place.part_of(plan.client_of_publisher(0));
        let count = plan.scenario.publishers.count;
        let owner = |stream: u32| plan.client_of_publisher(plan.streams.publisher(stream));
        let numbers =
            (0..plan.streams.count()).filter(|&stream| count > 0 && place.has(owner(stream)));
        let streams: Vec<_> = numbers
            .map(|number| Stream {
                number,
                publisher: owner(number) / place.of - first_client,
                topic: plan.names.name(plan.streams.topic(number)),
                sequence: 0,
            })
            .collect();
        let publishers = place.part_of(plan.client_of_publisher(count)) - first_client;
        let choice = match plan.scenario.topics.zipf {
            exponent if exponent > 0.0 && !streams.is_empty() => {
                let weights: Vec<_> = streams
                    .iter()
                    .map(|stream| zipf(stream.number, exponent))
                    .collect();
                Choice::ByWeight(
                    Weighted::new(&weights),
                    Chance::new(u64::from(place.number)),
                )
            }
            _ => Choice::InTurn(0),
        };
        let recorded = plan
            .recording
            .as_ref()
            .into_iter()
            .flat_map(|recording| &recording.events);
        let bytes_max = recorded.map(|event| event.bytes).max().unwrap_or(0);
        Self {
            first_client,
            publishers: (0..publishers).map(|_| Publisher::new(plan)).collect(),
            streams,
            held: 0,
            holding: VecDeque::new(),
            choice,
            timetable: Timetable::None,
            begins: 0,
            filling: vec![b'.'; bytes_max.max(plan.scenario.load.payload) as usize],
        }
    }

    /// The part of all messages that is published here.
    fn share(&self, plan: &Plan) -> f64 {
        let exponent = plan.scenario.topics.zipf;
        let own: f64 = self
            .streams
            .iter()
            .map(|stream| zipf(stream.number, exponent))
            .sum();
        let all: f64 = (0..plan.streams.count())
            .map(|stream| zipf(stream, exponent))
            .sum();
        own / all
    }

    fn choose(&mut self) -> u32 {
        match &mut self.choice {
            Choice::InTurn(next) => {
                let stream = *next;
                *next = (stream + 1) % self.streams.len() as u32;
                stream
            }
            Choice::ByWeight(weighted, chance) => weighted.choose(chance),
        }
    }

    fn next_due(&self, plan: &Plan) -> Option<u64> {
        let offset = match &self.timetable {
            Timetable::None => None,
            Timetable::Rates(schedule) => schedule.next_nanos(),
            Timetable::Recorded(next) => {
                let load = &plan.scenario.load;
                let event = plan.recording.as_ref()?.events.get(*next)?;
                let nanos = (event.micros as f64 * 1e3 / load.speed) as u64;
                (nanos < load.duration.nanos()).then_some(nanos)
            }
        };
        Some(self.begins + offset?)
    }

    /// Takes the next message from the timetable.
    fn take(&mut self, plan: &Plan, intended: u64) -> Due {
        let (stream, bytes) = match &mut self.timetable {
            Timetable::Recorded(next) => {
                let recording = plan.recording.as_ref().expect("it has a timetable");
                let event = recording.events[*next];
                *next += 1;
                (event.topic, event.bytes)
            }
            Timetable::Rates(schedule) => {
                schedule.advance();
                (self.choose(), plan.scenario.load.payload)
            }
            Timetable::None => unreachable!("nothing is due"),
        };
        Due {
            stream,
            intended,
            bytes,
        }
    }

    /// The place of a client among the publishers.
    fn place(&self, client: u32) -> usize {
        (client - self.first_client) as usize
    }

    /// A publisher's connection ended: what it held is never sent.
    pub(super) fn on_left(&mut self, client: u32, plan: &Plan) {
        let place = self.place(client);
        let left = std::mem::replace(&mut self.publishers[place], Publisher::new(plan));
        self.held -= left.held.len();
    }
}

impl Crowd {
    /// Publishing begins at that time; the rate is the scenario's unless another is given.
    pub(crate) fn start(&mut self, at: u64, rate: Option<f64>) {
        let load = &self.plan.scenario.load;
        self.counts_from = at + load.warm_up.nanos();
        self.publishing.begins = at;
        let corners = match rate {
            Some(rate) => vec![(load.duration.nanos(), (rate, rate))],
            None => load.shape.corners(load.rate, load.duration),
        };
        let whole = Schedule::new(&corners, 0.0);
        let is_few = whole.remaining() <= MESSAGES_TOLD_MAX
            && rate.is_none()
            && self.plan.recording.is_none();
        self.messages = is_few.then(HashMap::new);
        self.publishing.timetable = if self.publishing.streams.is_empty() {
            Timetable::None
        } else if self.plan.recording.is_some() {
            Timetable::Recorded(0)
        } else {
            let share = self.publishing.share(&self.plan);
            let own: Vec<_> = corners
                .iter()
                .map(|(nanos, rates)| (*nanos, (rates.0 * share, rates.1 * share)))
                .collect();
            let phase = f64::from(self.place.number) / f64::from(self.place.of);
            Timetable::Rates(Schedule::new(
                &own,
                phase * f64::from(u8::from(share < 1.0)),
            ))
        };
    }

    /// No more is published than what is on its way.
    pub(crate) fn stop(&mut self) {
        self.publishing.timetable = Timetable::None;
    }

    /// When the next publish is due.
    fn next_publish(&self) -> Option<u64> {
        self.publishing.next_due(&self.plan)
    }

    /// When the next publish or answer is due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let answer = self.owed.front().map(|(due, ..)| *due);
        self.next_publish().into_iter().chain(answer).min()
    }

    /// Whether all that was due was sent, and acknowledged where that is to be.
    pub(crate) fn is_published(&self) -> bool {
        let is_done = |of: &Publisher| of.held.is_empty() && of.unacknowledged == 0;
        self.next_publish().is_none() && self.publishing.publishers.iter().all(is_done)
    }

    /// Those held back are given up.
    pub(crate) fn give_up_held(&mut self) {
        for publisher in &mut self.publishing.publishers {
            publisher.held.clear();
        }
        self.publishing.held = 0;
        self.publishing.holding.clear();
    }

    /// By stream, the last sequence of those published here.
    pub(crate) fn published(&self) -> Vec<(u32, u32)> {
        let streams = self.publishing.streams.iter();
        streams
            .map(|stream| (stream.number, stream.sequence))
            .collect()
    }

    /// Publishes what is due, some of it if it is much, and returns since when the first
    /// was.
    pub(crate) fn publish(&mut self, now: u64) -> Option<u64> {
        let first = self.next_publish().filter(|&due| due <= now)?;
        let plan = self.plan.clone();
        for _ in 0..TURN_MESSAGES_MAX {
            let Some(intended) = self.next_publish().filter(|&due| due <= now) else {
                break;
            };
            let due = self.publishing.take(&plan, intended);
            self.tally.due += 1;
            self.tally.is_active(intended);
            let place = self.publishing.streams[due.stream as usize].publisher as usize;
            if self.may_publish(place) && self.publishing.publishers[place].held.is_empty() {
                self.send(due, now);
            } else if self.publishing.held < HELD_MAX {
                let held = &mut self.publishing.publishers[place].held;
                if held.is_empty() {
                    self.publishing.holding.push_back(place);
                }
                held.push_back(due);
                self.publishing.held += 1;
            }
        }
        Some(first)
    }

    /// Publishes what was held back, as far as it may be sent now; false if nothing may.
    pub(crate) fn publish_held(&mut self, now: u64) -> bool {
        let sent = self.tally.sent;
        for _ in 0..self.publishing.holding.len().min(HOLDING_MAX) {
            let Some(place) = self.publishing.holding.pop_front() else {
                break;
            };
            while self.may_publish(place)
                && let Some(due) = self.publishing.publishers[place].held.pop_front()
            {
                self.publishing.held -= 1;
                self.send(due, now);
            }
            if !self.publishing.publishers[place].held.is_empty() {
                self.publishing.holding.push_back(place);
            }
        }
        self.tally.sent > sent
    }

    fn may_publish(&self, place: usize) -> bool {
        let client = self.publishing.first_client + place as u32;
        let publisher = &self.publishing.publishers[place];
        self.clients[client as usize].state == State::Ready
            && publisher.unacknowledged < publisher.unacknowledged_max
            && self.outbox.bytes(client) < BACKLOG_BYTES_MAX
    }

    fn send(&mut self, due: Due, now: u64) {
        let settings = &self.plan.scenario.publishers;
        let stream = &mut self.publishing.streams[due.stream as usize];
        let publisher = &mut self.publishing.publishers[stream.publisher as usize];
        stream.sequence += 1;
        let qos = QoS::from_bits(settings.qos).expect("the plan was checked");
        let packet_id = (qos != QoS::AtMostOnce).then(|| {
            publisher.unacknowledged += 1;
            publisher.last_id = match publisher.last_id {
                0 | u16::MAX => *IDS.start(),
                last => last + 1,
            };
            PacketId::new(publisher.last_id).expect("it is above 0")
        });
        let frame = PublishFrame {
            version: self.plan.version,
            qos,
            retain: settings.retain,
            topic: Some(TopicName::new(&stream.topic).expect("the plan was checked")),
            message_expiry: None,
            subscription_identifiers: &[],
            properties: Properties::EMPTY,
            payload: &self.publishing.filling[..due.bytes as usize],
        };
        let layout = frame.layout().expect("the plan was checked");
        let client = self.publishing.first_client + stream.publisher;
        let out = self.outbox.buffer(self.clients[client as usize].key);
        let begins = out.len();
        out.resize(begins + layout.len, 0);
        let packet = &mut out[begins..];
        frame.encode(&layout, packet_id, packet);
        let stamp = Stamp {
            publisher: self.plan.streams.publisher(stream.number),
            topic: self.plan.streams.topic(stream.number),
            sequence: stream.sequence,
            intended_nanos: due.intended,
            sent_nanos: Some(now),
        };
        stamp.write(self.plan.run, &mut packet[layout.payload_at..]);
        self.tally.sent += 1;
        self.tally.totals.published += 1;
        self.tally.late +=
            u64::from(now - due.intended > self.plan.scenario.load.late_after.nanos());
        self.tally.is_active(now);
    }

    /// The server takes no more than so many at a time [MQTT-3.3.4-7].
    pub(super) fn on_receive_maximum(&mut self, client: u32, most: u16) {
        if self.clients[client as usize]
            .marks
            .contains(Marks::PUBLISHER)
        {
            let place = self.publishing.place(client);
            let publisher = &mut self.publishing.publishers[place];
            publisher.unacknowledged_max = publisher.unacknowledged_max.min(most);
        }
    }

    /// The server has acknowledged a message to the end.
    pub(super) fn on_acknowledged(&mut self, client: u32) {
        if !self.clients[client as usize]
            .marks
            .contains(Marks::PUBLISHER)
        {
            return;
        }
        let place = self.publishing.place(client);
        let publisher = &mut self.publishing.publishers[place];
        publisher.unacknowledged = publisher.unacknowledged.saturating_sub(1);
        self.tally.totals.acknowledged += 1;
    }
}
