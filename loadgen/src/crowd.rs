//! All clients of a thread, as far as MQTT goes: bytes in, bytes out. No socket and no
//! clock.
//!
//! ```text
//!  Away ─begin─► AwaitingSocket ─► AwaitingConnack ─► AwaitingSuback ─► Ready
//!   ▲  └► half-open, garbage: ───► Mute                                   │
//!   └──────────── gone ───────────── Leaving ◄── ends, for whatever reason┘
//! ```
//!
//! A client takes 36 bytes, and eight for each stream that it watches: a million of them
//! have to fit beside the server.

mod client;
mod head;
mod publishing;
mod receiving;
#[cfg(test)]
mod tests;

use client::Marks;
pub(crate) use client::{Client, State};

use crate::outbox::Outbox;
use crate::plan::{Plan, Role};
use crate::results::{Message, Subscriber};
use crate::scenario::Behaviour;
use crate::tally::{Last, Messages, Tally};
use crate::watch::Watch;
use head::Head;
use publishing::Publishing;
use ringcast_codec::mqtt::{Delivery, Disconnect, Packet, Properties, ReasonCode};
use ringcast_wire::{Close, ConnectionKey};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

/// Which of the threads of a run this is, over all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    pub(crate) number: u32,
    pub(crate) of: u32,
}

impl Place {
    /// How many of so many this thread has.
    pub(crate) fn part_of(self, count: u32) -> u32 {
        (count + self.of - 1 - self.number) / self.of
    }

    /// Whether this one is this thread's.
    pub(crate) fn has(self, number: u32) -> bool {
        number % self.of == self.number
    }
}

/// Messages of a run that are told one by one, at most.
const MESSAGES_TOLD_MAX: u64 = 1_000;

/// So many fail before any is accepted, and no more are tried.
const HOPELESS: u32 = 100;

/// Of more clients than this none says goodbye: a polite end takes the kernel long.
const GOODBYES_MAX: u32 = 20_000;

/// No watch at all.
const NO_WATCH: u32 = u32::MAX;

/// All clients of a thread.
#[derive(Debug)]
pub(crate) struct Crowd {
    plan: Arc<Plan>,
    place: Place,
    clients: Vec<Client>,
    watches: Vec<Watch>,
    /// What clients say.
    pub(crate) outbox: Outbox,
    /// Connections that are to be closed.
    closing: VecDeque<(u32, Close)>,
    /// What was counted since it was taken last.
    pub(crate) tally: Tally,
    publishing: Publishing,
    /// Who is on the way to being accepted, and since when.
    underway: HashMap<u32, u64>,
    /// Who has to be connected again, and is.
    returning: VecDeque<u32>,
    /// Of the PUBLISH that came last.
    head: Head,
    /// Messages that are answered later: when, to whom.
    owed: VecDeque<(u64, ConnectionKey, Delivery)>,
    /// Beginnings of packets whose ends were not there yet.
    rests: HashMap<u32, Vec<u8>>,
    open: u64,
    /// When a message came last.
    came_at: u64,
    /// Those whose connection the kernel is not done with.
    leaving: u64,
    /// From when on latencies count.
    counts_from: u64,
    messages: Option<Messages>,
    /// Connections that failed before any was accepted; none since one was.
    failed_at_first: Option<u32>,
    /// The first thing that went wrong with a connection, until it is told.
    pub(crate) trouble: Option<String>,
    /// The client to be pinged next.
    pinged: u32,
    /// Whether all are leaving.
    is_over: bool,
}

impl Crowd {
    /// # Panics
    /// If the place is not one of the plan's.
    pub(crate) fn new(plan: Arc<Plan>, place: Place) -> Self {
        let count = place.part_of(plan.scenario.clients());
        let mut watches = Vec::new();
        let in_topic = plan.streams.in_topic();
        let strict = |role| matches!(role, Role::Subscriber(_) | Role::Churner(_));
        let clients: Vec<_> = (0..count)
            .map(|index| {
                let number = index * place.of + place.number;
                let role = plan.role(number);
                let mut client = Client::new(index);
                client.marks.set(Marks::STRICT, strict(role));
                client
                    .marks
                    .set(Marks::PUBLISHER, matches!(role, Role::Publisher(_)));
                client
                    .marks
                    .set(Marks::BEHAVES, plan.behaviour(role).is_some());
                if let Some(wanted) = plan.wanted(number) {
                    client.watches = watches.len() as u32;
                    let streams = wanted.count * in_topic;
                    watches.resize(watches.len() + streams as usize, Watch::FROM_THE_FIRST);
                }
                client
            })
            .collect();
        let mut tally = Tally::new();
        tally.checked.subscribers =
            clients.iter().filter(|client| client.is_checked()).count() as u64;
        tally.totals.connections_asked = u64::from(count);
        Self {
            publishing: Publishing::new(&plan, place),
            outbox: Outbox::new(count),
            closing: VecDeque::new(),
            underway: HashMap::new(),
            returning: VecDeque::new(),
            head: Head::default(),
            owed: VecDeque::new(),
            rests: HashMap::new(),
            open: 0,
            came_at: 0,
            leaving: 0,
            counts_from: 0,
            messages: None,
            failed_at_first: Some(0),
            trouble: None,
            pinged: 0,
            is_over: false,
            plan,
            place,
            clients,
            watches,
            tally,
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn count(&self) -> u32 {
        self.clients.len() as u32
    }

    pub(crate) fn client(&self, index: u32) -> &Client {
        &self.clients[index as usize]
    }

    /// The client of this key; none if the key is of an earlier connection.
    pub(crate) fn index(&self, key: ConnectionKey) -> Option<u32> {
        let index = key.index();
        (self.clients[index as usize].key == key).then_some(index)
    }

    /// A client's number over all threads.
    pub(crate) fn number(&self, index: u32) -> u32 {
        index * self.place.of + self.place.number
    }

    fn role(&self, index: u32) -> Role {
        self.plan.role(self.number(index))
    }

    pub(crate) fn behaviour(&self, index: u32) -> Option<&Behaviour> {
        if !self.clients[index as usize].marks.contains(Marks::BEHAVES) {
            return None;
        }
        self.plan.behaviour(self.role(index))
    }

    pub(crate) fn open(&self) -> u64 {
        self.open
    }

    /// When a message came last.
    pub(crate) fn came_at(&self) -> u64 {
        self.came_at
    }

    /// How many are on the way to being accepted.
    pub(crate) fn underway(&self) -> usize {
        self.underway.len()
    }

    /// A connection that is to be closed.
    pub(crate) fn next_close(&mut self) -> Option<(u32, Close)> {
        self.closing.pop_front()
    }

    /// Whether the kernel is done with all connections that were to be closed.
    pub(crate) fn are_all_away(&self) -> bool {
        self.leaving == 0
    }

    /// Puts a client on the list of those to be read; false if it stands there.
    pub(crate) fn put_to_read(&mut self, index: u32) -> bool {
        let marks = &mut self.clients[index as usize].marks;
        let is_new = !marks.contains(Marks::TO_BE_READ);
        marks.insert(Marks::TO_BE_READ);
        is_new
    }

    /// Takes a client off that list, and says what to read if its connection is there
    /// still.
    pub(crate) fn take_to_read(&mut self, index: u32) -> Option<ConnectionKey> {
        let client = &mut self.clients[index as usize];
        client.marks.remove(Marks::TO_BE_READ);
        let is_there = !matches!(client.state, State::Away | State::Leaving);
        is_there.then_some(client.key)
    }

    /// The part of all churners that are this thread's.
    pub(crate) fn churn_share(&self) -> f64 {
        let all = self
            .plan
            .scenario
            .churn
            .as_ref()
            .map_or(0, |churn| churn.count);
        let own = (self.first_churner()..self.count())
            .take_while(|&index| matches!(self.role(index), Role::Churner(_)))
            .count();
        own as f64 / f64::from(all.max(1))
    }

    /// TLS came to nothing.
    pub(crate) fn on_tls_fault(&mut self, index: u32, says: &str) {
        let number = self.number(index);
        let (_, destination) = self.plan.addresses().of(number);
        self.note(|| format!("no TLS with {destination}: {says}; look at target.tls and the server's certificates"));
        self.on_end(index, Some(io::ErrorKind::InvalidData));
    }

    /// One that has to be connected again.
    pub(crate) fn next_returning(&mut self) -> Option<u32> {
        self.returning.pop_front()
    }

    pub(crate) fn has_returning(&self) -> bool {
        !self.returning.is_empty()
    }

    /// A connection of this client begins.
    pub(crate) fn begin(&mut self, index: u32, now: u64) -> ConnectionKey {
        let client = &mut self.clients[index as usize];
        debug_assert_eq!(client.state, State::Away);
        client.state = State::AwaitingSocket;
        self.underway.insert(index, now);
        if !client.marks.contains(Marks::CAME_BEFORE) {
            self.tally.is_connecting(now);
        }
        client.key
    }

    /// It could not even begin.
    pub(crate) fn on_refused_socket(&mut self, index: u32, error: &io::Error) {
        self.underway.remove(&index);
        self.clients[index as usize].state = State::Away;
        self.count_failed();
        let number = self.number(index);
        let (source, destination) = self.plan.addresses().of(number);
        self.note(|| crate::error::connection_failed(source, destination, error));
    }

    /// The connection stands: the client may speak.
    pub(crate) fn on_connected(&mut self, index: u32, now: u64) {
        let number = self.number(index);
        let state = match self.behaviour(index) {
            Some(Behaviour::HalfOpen) => {
                let out = self.outbox.buffer(self.clients[index as usize].key);
                self.plan.write_connect(number, out);
                out.truncate(out.len() / 2);
                State::Mute
            }
            Some(Behaviour::Garbage) => {
                self.outbox
                    .buffer(self.clients[index as usize].key)
                    .extend_from_slice(GARBAGE);
                State::Mute
            }
            _ => {
                let out = self.outbox.buffer(self.clients[index as usize].key);
                self.plan.write_connect(number, out);
                if self.plan.scenario.connect.pipelined {
                    self.plan.write_subscribe(number, out);
                }
                State::AwaitingConnack
            }
        };
        self.clients[index as usize].state = state;
        if state == State::Mute {
            self.underway.remove(&index);
            self.count_opened(index, now);
        }
    }

    fn count_failed(&mut self) {
        self.tally.totals.connections_failed += 1;
        self.failed_at_first = self.failed_at_first.map(|failed| failed + 1);
    }

    /// Whether there is no use in trying further: many have failed, and none was accepted.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.failed_at_first
            .is_some_and(|failed| failed >= HOPELESS)
    }

    /// Counts an accepted connection; who only pretends to be one counts as well.
    fn count_opened(&mut self, index: u32, now: u64) {
        self.open += 1;
        self.failed_at_first = None;
        let client = &mut self.clients[index as usize];
        let totals = &mut self.tally.totals;
        if client.marks.contains(Marks::CAME_BEFORE) {
            totals.connections_reopened += 1;
        } else {
            client.marks.insert(Marks::CAME_BEFORE);
            totals.connections_opened += 1;
            self.tally.is_connecting(now);
        }
    }

    /// The server ended the connection, or it broke. Last words were read before.
    pub(crate) fn on_end(&mut self, index: u32, error: Option<io::ErrorKind>) {
        let client = &self.clients[index as usize];
        let behaves = client.marks.contains(Marks::BEHAVES);
        match client.state {
            State::Away | State::Leaving => return,
            State::AwaitingSocket | State::AwaitingConnack | State::AwaitingSuback => {
                self.count_failed();
                let number = self.number(index);
                let (source, destination) = self.plan.addresses().of(number);
                let error = error.unwrap_or(io::ErrorKind::UnexpectedEof).into();
                self.note(|| crate::error::connection_failed(source, destination, &error));
            }
            // What was asked for.
            State::Mute => (),
            State::Ready if behaves => (),
            State::Ready => self.tally.totals.connections_lost += 1,
        }
        self.leave(index, Close::Abrupt, behaves);
    }

    /// A client ends its connection; perhaps to come again.
    pub(crate) fn leave(&mut self, index: u32, how: Close, comes_again: bool) {
        self.underway.remove(&index);
        self.rests.remove(&index);
        if self.clients[index as usize]
            .marks
            .contains(Marks::PUBLISHER)
        {
            self.publishing.on_left(index, &self.plan);
        }
        if how == Close::Abrupt {
            self.outbox.forget(index);
        }
        let client = &mut self.clients[index as usize];
        if client.is_open() {
            self.open -= 1;
        }
        client.marks.remove(Marks::PINGED | Marks::HAS_REST);
        client
            .marks
            .set(Marks::COMES_AGAIN, comes_again && !self.is_over);
        client.state = State::Leaving;
        self.closing.push_back((index, how));
        self.leaving += 1;
    }

    /// The kernel is done with a connection.
    pub(crate) fn on_gone(&mut self, index: u32) {
        self.leaving -= 1;
        let client = &mut self.clients[index as usize];
        client.state = State::Away;
        client.key = client.key.next();
        let comes_again = client.marks.contains(Marks::COMES_AGAIN);
        client.marks.remove(Marks::COMES_AGAIN);
        if comes_again && !self.is_over {
            self.returning.push_back(index);
        }
    }

    /// Those who are not accepted within this time are given up.
    pub(crate) fn give_up(&mut self, now: u64) {
        let patience = self.plan.scenario.connect.timeout.nanos();
        let late: Vec<_> = self
            .underway
            .iter()
            .filter(|(_, began)| now.saturating_sub(**began) > patience)
            .map(|(&index, _)| index)
            .collect();
        for index in late {
            self.on_end(index, Some(io::ErrorKind::TimedOut));
        }
    }

    /// Pings the next so many clients, each of which was pinged when this last came to it.
    pub(crate) fn ping(&mut self, count: u32) {
        for _ in 0..count {
            let index = self.pinged;
            self.pinged = (index + 1) % self.count();
            let client = &mut self.clients[index as usize];
            if client.state != State::Ready {
                continue;
            }
            // It stalls on purpose, and would not see the answer.
            let is_deaf = client.marks.contains(Marks::BEHAVES);
            if client.marks.contains(Marks::PINGED) && !is_deaf {
                self.tally.totals.pings += 1;
            }
            client.marks.insert(Marks::PINGED);
            self.outbox
                .buffer(self.clients[index as usize].key)
                .extend_from_slice(&PINGREQ);
        }
    }

    /// So many churners leave, to come again.
    pub(crate) fn churn(&mut self, from: u32, count: u32) -> u32 {
        let mut index = from;
        for _ in 0..count {
            if self.clients[index as usize].state == State::Ready {
                self.say_goodbye(index);
                self.leave(index, Close::Polite, true);
            }
            index += 1;
            if index >= self.count() || !matches!(self.role(index), Role::Churner(_)) {
                index = self.first_churner();
            }
        }
        index
    }

    /// The first churner of this thread, or whoever stands where one would.
    pub(crate) fn first_churner(&self) -> u32 {
        let scenario = &self.plan.scenario;
        let before = scenario.subscribers.count + scenario.publishers.count + scenario.idle.count;
        self.place.part_of(before)
    }

    /// This part of the subscribers lose their connections at once, and come again.
    pub(crate) fn storm(&mut self, part: f64) {
        let subscribers = self.place.part_of(self.plan.scenario.subscribers.count);
        let count = (f64::from(subscribers) * part).round() as u32;
        for index in 0..count {
            if self.clients[index as usize].state == State::Ready {
                self.leave(index, Close::Abrupt, true);
            }
        }
    }

    /// The run is over: the next so many clients say goodbye. False when all have.
    pub(crate) fn end(&mut self, from: u32, count: u32) -> bool {
        self.is_over = true;
        self.returning.clear();
        let to = self.count().min(from + count);
        for index in from..to {
            match self.clients[index as usize].state {
                State::Away | State::Leaving => (),
                State::Ready if self.count() <= GOODBYES_MAX => {
                    self.say_goodbye(index);
                    self.leave(index, Close::Polite, false);
                }
                _ => self.leave(index, Close::Abrupt, false),
            }
        }
        to < self.count()
    }

    fn say_goodbye(&mut self, index: u32) {
        let goodbye = Packet::Disconnect(Disconnect {
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        });
        self.plan.write(
            self.outbox.buffer(self.clients[index as usize].key),
            &goodbye,
        );
    }

    /// How many deliveries are still to come to those who are there, if so many of each
    /// stream were published.
    pub(crate) fn outstanding(&self, published: &[u32]) -> u64 {
        let ready = self
            .clients
            .iter()
            .enumerate()
            .filter(|(_, client)| client.is_checked() && client.state == State::Ready);
        ready
            .map(|(index, _)| self.outstanding_of(index as u32, published))
            .sum()
    }

    fn outstanding_of(&self, index: u32, published: &[u32]) -> u64 {
        let mut sum = 0;
        self.for_watches(index, |stream, watch| {
            sum += u64::from(watch.outstanding(published[stream as usize]));
        });
        sum
    }

    fn for_watches(&self, index: u32, mut each: impl FnMut(u32, Watch)) {
        let client = &self.clients[index as usize];
        let Some(wanted) = self.plan.wanted(self.number(index)) else {
            return;
        };
        let streams = self.plan.streams;
        let mut place = client.watches as usize;
        for topic in wanted.topics() {
            for stream in streams.of_topic(topic) {
                each(stream, self.watches[place]);
                place += 1;
            }
        }
    }

    /// All that is still outstanding is missing now, and nobody waits for it any more.
    pub(crate) fn settle(&mut self, published: &[u32]) {
        if self.plan.is_shared() {
            return;
        }
        let conflation = self.plan.scenario.checks.conflation;
        for index in 0..self.count() {
            if !self.clients[index as usize].is_checked() {
                continue;
            }
            let checked = &mut crate::tally::Checked::default();
            self.for_watches(index, |stream, watch| {
                let outstanding = i64::from(watch.outstanding(published[stream as usize]));
                // The newest has to come, whatever may be left out.
                let left_out = if conflation {
                    (outstanding - 1).max(0)
                } else {
                    0
                };
                checked.due += outstanding as u64;
                checked.missing += outstanding - left_out;
                checked.conflated += left_out;
            });
            self.tally.checked.add(checked);
        }
    }

    /// What is told when all is over.
    pub(crate) fn last(&mut self) -> Last {
        let mean = |client: &Client| client.response_sum / u64::from(client.counted.max(1));
        let counted = |role: &Client| role.counted > 0 && role.is_checked();
        let of = |client: &Client| Subscriber {
            client: self.plan.client_id(self.number(client.key.index())),
            delivered: u64::from(client.delivered),
            response_mean_nanos: mean(client),
        };
        let all = || self.clients.iter().filter(|client| counted(client));
        Last {
            slowest: all().max_by_key(|client| mean(client)).map(of),
            fastest: all().min_by_key(|client| mean(client)).map(of),
            messages: self.take_messages(),
        }
    }

    fn take_messages(&self) -> Vec<Message> {
        let messages = self.messages.iter().flatten();
        let mut messages: Vec<_> = messages.map(|(_, message)| message.clone()).collect();
        messages.sort_by_key(|message| (message.publisher, message.sequence));
        messages
    }

    /// Remembers the first thing that went wrong.
    fn note(&mut self, says: impl FnOnce() -> String) {
        if self.trouble.is_none() {
            self.trouble = Some(says());
        }
    }
}

const PINGREQ: [u8; 2] = [0xC0, 0];

/// What no protocol begins with, least of all MQTT: packet type 0.
const GARBAGE: &[u8] = b"\0\xFF\x0F\xF0garbage\r\n\r\n\0\0\0\0";
