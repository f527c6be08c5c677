//! Several processes' parts of one run become one.

use super::{
    Correctness, Floor, Health, Memory, Message, Results, Search, Second, Subscriber, Totals,
};
use std::collections::BTreeMap;
use std::fmt;

/// Two results that are not parts of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeError {
    /// They are of different runs.
    OtherRun {
        /// The one's name.
        own: String,
        /// The other's.
        other: String,
    },
    /// Both hold the process of this number.
    SameProcess(u32),
}

impl Results {
    /// Takes in another part of the same run. In which order parts come makes no
    /// difference.
    ///
    /// # Errors
    /// [`MergeError`], and nothing has changed.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        if self.run.id != other.run.id {
            return Err(MergeError::OtherRun {
                own: self.run.id.clone(),
                other: other.run.id.clone(),
            });
        }
        let is_known = |number| self.processes.iter().any(|own| own.number == number);
        if let Some(twice) = other.processes.iter().find(|new| is_known(new.number)) {
            return Err(MergeError::SameProcess(twice.number));
        }

        for host in &other.hosts {
            if !self.hosts.iter().any(|known| known.name == host.name) {
                self.hosts.push(host.clone());
            }
        }
        self.hosts.sort_by(|a, b| a.name.cmp(&b.name));
        self.processes.extend_from_slice(&other.processes);
        self.processes.sort_by_key(|process| process.number);
        self.totals.add(&other.totals);
        self.response.add(&other.response);
        self.service.add(&other.service);
        self.connect.add(&other.connect);
        merge_seconds(&mut self.seconds, &other.seconds);
        merge_messages(&mut self.messages, &other.messages);
        self.correctness.add(&other.correctness);
        merge_option(&mut self.floor, other.floor.as_ref(), Floor::add);
        merge_option(&mut self.memory, other.memory.as_ref(), Memory::add);
        merge_option(&mut self.search, other.search.as_ref(), Search::add);
        self.early_ends.extend_from_slice(&other.early_ends);
        self.early_ends
            .sort_by_key(|end| (end.at_nanos, end.process));
        Ok(())
    }
}

fn merge_option<T: Clone>(own: &mut Option<T>, other: Option<&T>, add: impl Fn(&mut T, &T)) {
    match (own.as_mut(), other) {
        (Some(own), Some(other)) => add(own, other),
        (None, Some(other)) => *own = Some(other.clone()),
        (_, None) => {}
    }
}

fn merge_seconds(own: &mut Vec<Second>, other: &[Second]) {
    if own.len() < other.len() {
        own.resize(other.len(), Second::default());
    }
    for (own, other) in own.iter_mut().zip(other) {
        own.add(other);
    }
}

/// By publisher and number: subscribers of one message may be anywhere.
pub(crate) fn merge_messages(own: &mut Vec<Message>, other: &[Message]) {
    let mut all = BTreeMap::new();
    for message in own.drain(..).chain(other.iter().cloned()) {
        all.entry((message.publisher, message.sequence))
            .and_modify(|known: &mut Message| known.add(&message))
            .or_insert(message);
    }
    own.extend(all.into_values());
}

impl Health {
    pub(super) fn add(&mut self, other: &Self) {
        self.due += other.due;
        self.sent += other.sent;
        self.late += other.late;
        self.late_after_nanos = self.late_after_nanos.max(other.late_after_nanos);
        self.timer_slip.add(&other.timer_slip);
        self.threads += other.threads;
        self.thread_nanos += other.thread_nanos;
        self.busy_nanos += other.busy_nanos;
        self.cpu_nanos += other.cpu_nanos;
        self.resident_bytes_max += other.resident_bytes_max;
    }
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.elapsed_nanos = self.elapsed_nanos.max(other.elapsed_nanos);
        self.publishing_nanos = self.publishing_nanos.max(other.publishing_nanos);
        self.connections_asked += other.connections_asked;
        self.connections_opened += other.connections_opened;
        self.connections_reopened += other.connections_reopened;
        self.connections_refused += other.connections_refused;
        self.connections_failed += other.connections_failed;
        self.connections_lost += other.connections_lost;
        self.connect_nanos = self.connect_nanos.max(other.connect_nanos);
        self.subscriptions += other.subscriptions;
        self.published += other.published;
        self.acknowledged += other.acknowledged;
        self.delivered += other.delivered;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.pings += other.pings;
        self.pings_answered += other.pings_answered;
    }
}

impl Second {
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.published += other.published;
        self.delivered += other.delivered;
        self.late += other.late;
        self.wrong += other.wrong;
        self.response.add(&other.response);
    }
}

impl Message {
    fn add(&mut self, other: &Self) {
        self.deliveries += other.deliveries;
        self.intended_nanos = self.intended_nanos.min(other.intended_nanos);
        self.first_nanos = self.first_nanos.min(other.first_nanos);
        self.last_nanos = self.last_nanos.max(other.last_nanos);
    }
}

impl Correctness {
    pub(crate) fn add(&mut self, other: &Self) {
        self.subscribers += other.subscribers;
        self.due += other.due;
        self.missing += other.missing;
        self.duplicate += other.duplicate;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.stale += other.stale;
        self.conflated += other.conflated;
        let mean = |subscriber: &Subscriber| subscriber.response_mean_nanos;
        let both = |own: &mut Option<Subscriber>, other: &Option<Subscriber>| {
            own.take().into_iter().chain(other.clone())
        };
        self.slowest = both(&mut self.slowest, &other.slowest).max_by_key(mean);
        self.fastest = both(&mut self.fastest, &other.fastest).min_by_key(mean);
    }
}

impl Floor {
    /// Of processes that looped back at the same time.
    fn add(&mut self, other: &Self) {
        self.rate += other.rate;
        self.payload_bytes = self.payload_bytes.max(other.payload_bytes);
        self.response.add(&other.response);
    }
}

impl Memory {
    fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.generator_bytes += other.generator_bytes;
        self.server_bytes = self.server_bytes.max(other.server_bytes);
        self.kernel_bytes = self.kernel_bytes.max(other.kernel_bytes);
    }
}

impl Search {
    /// Step by step, as all processes take the same.
    fn add(&mut self, other: &Self) {
        for (own, other) in self.steps.iter_mut().zip(&other.steps) {
            own.rate += other.rate;
            own.achieved += other.achieved;
            own.response.add(&other.response);
            own.passed &= other.passed;
        }
    }
}

impl fmt::Display for MergeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherRun { own, other } => write!(
                formatter,
                "these are results of different runs, {own} and {other}: only parts of one run can be merged",
            ),
            Self::SameProcess(number) => write!(
                formatter,
                "both results hold process {number} of the run: each part can be merged only once",
            ),
        }
    }
}

impl std::error::Error for MergeError {}
