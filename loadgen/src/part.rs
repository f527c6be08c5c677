//! One process's part of a run: its threads, and what they counted, put together.
//!
//! ```text
//!  coordinator ──► Command ──► part ──► thread 0, 1, …
//!              ◄── News ────────┘ ◄──── Told
//! ```
//!
//! The part of the coordinator's own process and those of others speak the same: the one
//! over a channel, the others in lines of JSON over TCP.

use crate::clock::{Clock, Start, process_cpu_nanos};
use crate::crowd::Place;
use crate::memory::kib;
use crate::plan::Plan;
use crate::results::{
    Correctness, Health, Host, Latencies, Memory, Process, Results, Run, Second, merge_messages,
};
use crate::scenario::Scenario;
use crate::tally::{Checked, Last, Tally};
use crate::tls;
use crate::worker::{Command, Told, Worker};
use core_affinity::CoreId;
use nix::sys::prctl::set_timerslack;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

/// What a part has to know before it begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Begin {
    pub(crate) scenario: String,
    pub(crate) run: u32,
    pub(crate) start: Start,
    /// Which part this is, of how many.
    pub(crate) part: u32,
    pub(crate) parts: u32,
    /// Of each part.
    pub(crate) threads: u32,
}

/// What a part is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    Begin(Box<Begin>),
    Start { at: u64, rate: Option<f64> },
    Settle(Vec<u32>),
    Finish,
}

/// What a part tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum News {
    /// A second has ended.
    Second(Box<Second>),
    /// All that was counted so far; only where it could be lost with the process.
    SoFar(Box<Results>),
    /// All clients have connected, or can't; so many are there now.
    Connected {
        open: u64,
    },
    Published(Vec<(u32, u32)>),
    Settled(Box<Round>),
    /// A sentence about the first thing that went wrong lately.
    Trouble(String),
    Finished {
        results: Box<Results>,
        checked: Checked,
    },
    /// It can't go on, a sentence.
    Failed(String),
    /// Its process has ended.
    Gone,
}

/// What was counted from a start to the settling behind it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) due: u64,
    pub(crate) sent: u64,
    pub(crate) wrong: u64,
    pub(crate) response: Latencies,
}

/// A part that runs.
struct Part {
    clock: Clock,
    threads: Vec<Thread>,
    whole: Tally,
    round: Tally,
    seconds: BTreeMap<u64, Tally>,
    /// Seconds that were told.
    told: u64,
    process: Process,
    cpu_nanos_before: u64,
    resident_before: u64,
    memory: Option<Memory>,
    results: Results,
    is_remote: bool,
    /// By stream, as threads have told.
    published: Vec<(u32, u32)>,
}

struct Thread {
    commands: Sender<Command>,
    /// Seconds that have ended for it.
    ended: u64,
    open: u64,
    stage: Stage,
}

/// How far a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Connecting,
    Connected,
    Published,
    Settled,
    Finished,
}

/// How long the part waits for its threads before it looks for orders.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Runs a part from its beginning to its end; `tell` takes what it has to say.
pub(crate) fn run(
    begin: &Begin,
    orders: &Receiver<Order>,
    is_remote: bool,
    tell: &mut dyn FnMut(News),
) {
    let (told, inbox) = channel();
    let mut part = match Part::new(begin, is_remote, &told) {
        Ok(part) => part,
        Err(says) => return tell(News::Failed(says)),
    };
    drop(told);
    loop {
        match inbox.recv_timeout(LOOK_EVERY) {
            Ok((thread, told)) => part.on_told(thread, told, tell),
            Err(RecvTimeoutError::Timeout) => (),
            // All threads have ended, and not all as they should: they have told why.
            Err(RecvTimeoutError::Disconnected) => return,
        }
        loop {
            match orders.try_recv() {
                Ok(order) => part.obey(order),
                Err(TryRecvError::Empty) => break,
                // Nobody is there any more to be told anything.
                Err(TryRecvError::Disconnected) => {
                    part.obey(Order::Finish);
                    break;
                }
            }
        }
        if part.have_all(Stage::Finished) {
            return part.finish(tell);
        }
    }
}

impl Part {
    fn new(begin: &Begin, is_remote: bool, told: &Sender<(u32, Told)>) -> Result<Self, String> {
        let sentence = |error: &dyn std::fmt::Display| error.to_string();
        let scenario = Scenario::from_toml(&begin.scenario).map_err(|error| sentence(&error))?;
        let tls = match &scenario.target.tls {
            Some(tls) => Some(tls::Settings::read(tls).map_err(|error| sentence(&error))?),
            None => None,
        };
        let plan = Arc::new(Plan::new(scenario, begin.run).map_err(|error| sentence(&error))?);
        let clock = begin.start.clock();
        let processors = processors(&plan.scenario, begin);
        let resident_before = status_bytes("VmRSS:");
        let threads = (0..begin.threads).map(|number| {
            let place = Place {
                number: begin.part * begin.threads + number,
                of: begin.parts * begin.threads,
            };
            let (commands, inbox) = channel();
            let (plan, tls, told) = (Arc::clone(&plan), tls.clone(), told.clone());
            let processor = processors.get(number as usize).copied();
            let work = move || work(plan, place, number, (tls, clock), processor, (inbox, told));
            let name = format!("load-{}", place.number);
            let spawned = thread::Builder::new().name(name).spawn(work);
            spawned.map_err(|error| format!("can not start a thread: {error}"))?;
            Ok(Thread {
                commands,
                ended: 0,
                open: 0,
                stage: Stage::Connecting,
            })
        });
        let threads = threads.collect::<Result<_, String>>()?;
        let mut process = Process::look(begin.part);
        process.processors = processors;
        process.health = Health {
            late_after_nanos: plan.scenario.load.late_after.nanos(),
            threads: begin.threads,
            ..Health::default()
        };
        let results = Results::new(Run {
            id: plan.run_name(),
            started_unix_millis: begin.start.unix_millis(),
            scenario: plan.scenario.name.clone(),
            scenario_toml: begin.scenario.clone(),
            targets: plan
                .addresses()
                .destinations()
                .iter()
                .map(ToString::to_string)
                .collect(),
        });
        Ok(Self {
            clock,
            threads,
            whole: Tally::new(),
            round: Tally::new(),
            seconds: BTreeMap::new(),
            told: 0,
            process,
            cpu_nanos_before: process_cpu_nanos(),
            resident_before,
            memory: None,
            results,
            is_remote,
            published: Vec::new(),
        })
    }

    fn obey(&mut self, order: Order) {
        let command = match order {
            Order::Begin(_) => return,
            Order::Start { at, rate } => {
                self.round = Tally::new();
                self.published.clear();
                Command::Start { at, rate }
            }
            Order::Settle(published) => Command::Settle(published.into()),
            Order::Finish => Command::Finish,
        };
        for thread in &self.threads {
            // Who has ended is told of by itself.
            let _ = thread.commands.send(command.clone());
        }
    }

    fn on_told(&mut self, thread: u32, told: Told, tell: &mut dyn FnMut(News)) {
        let number = thread as usize;
        match told {
            Told::Tally {
                second,
                ended,
                tally,
            } => {
                self.whole.add(&tally);
                self.round.add(&tally);
                let thread = &mut self.threads[number];
                (thread.ended, thread.open) = (ended, tally.open);
                self.seconds
                    .entry(second)
                    .or_insert_with(Tally::new)
                    .add(&tally);
                self.tell_seconds(tell);
            }
            Told::Connected => {
                if self.reach(number, Stage::Connected) {
                    let memory = self.look_at_memory();
                    let open = memory.connections;
                    self.memory = Some(memory);
                    tell(News::Connected { open });
                }
            }
            Told::Published(mut published) => {
                self.published.append(&mut published);
                if self.reach(number, Stage::Published) {
                    tell(News::Published(std::mem::take(&mut self.published)));
                }
            }
            Told::Settled => {
                if self.reach(number, Stage::Settled) {
                    let round = Round {
                        due: self.round.due,
                        sent: self.round.sent,
                        wrong: self.round.checked.wrong(),
                        response: self.round.packed_response(),
                    };
                    tell(News::Settled(Box::new(round)));
                }
            }
            Told::Trouble(says) => tell(News::Trouble(says)),
            Told::Failed(says) => {
                // It is the last that is heard of this part.
                tell(News::SoFar(Box::new(self.results())));
                tell(News::Failed(says));
            }
            Told::Finished(last) => {
                self.reach(number, Stage::Finished);
                self.take_last(*last);
            }
        }
    }

    /// A thread has got this far. Whether all have.
    fn reach(&mut self, thread: usize, stage: Stage) -> bool {
        self.threads[thread].stage = stage;
        self.have_all(stage)
    }

    fn have_all(&self, stage: Stage) -> bool {
        self.threads.iter().all(|thread| thread.stage == stage)
    }

    /// Tells the seconds that have ended for all threads.
    fn tell_seconds(&mut self, tell: &mut dyn FnMut(News)) {
        let ended = self
            .threads
            .iter()
            .map(|thread| thread.ended)
            .min()
            .unwrap_or(0);
        if self.told >= ended {
            return;
        }
        while self.told < ended {
            let tally = self.seconds.remove(&self.told);
            let second = self.second(tally.as_ref());
            self.results.seconds.push(second.clone());
            tell(News::Second(Box::new(second)));
            self.told += 1;
        }
        if self.is_remote {
            tell(News::SoFar(Box::new(self.results())));
        }
    }

    fn second(&self, tally: Option<&Tally>) -> Second {
        let connections = self.threads.iter().map(|thread| thread.open).sum();
        tally.map_or(
            Second {
                connections,
                ..Second::default()
            },
            |tally| Second {
                connections,
                published: tally.sent,
                delivered: tally.totals.delivered,
                late: tally.late,
                wrong: tally.checked.wrong(),
                response: tally.packed_response(),
            },
        )
    }

    fn take_last(&mut self, last: Last) {
        self.results.correctness.add(&Correctness {
            slowest: last.slowest,
            fastest: last.fastest,
            ..Correctness::default()
        });
        merge_messages(&mut self.results.messages, &last.messages);
    }

    fn look_at_memory(&self) -> Memory {
        Memory {
            connections: self.threads.iter().map(|thread| thread.open).sum(),
            generator_bytes: status_bytes("VmRSS:").saturating_sub(self.resident_before),
            server_bytes: None,
            kernel_bytes: None,
        }
    }

    /// All that was counted so far.
    fn results(&self) -> Results {
        let mut results = self.results.clone();
        let whole = &self.whole;
        results.hosts = vec![Host::look()];
        results.totals = whole.totals.clone();
        results.totals.elapsed_nanos = self.clock.nanos();
        let length = |range: Option<(u64, u64)>| range.map_or(0, |(first, last)| last - first);
        results.totals.publishing_nanos = length(whole.active);
        results.totals.connect_nanos = length(whole.connecting);
        results.response = whole.packed_response();
        results.service = Latencies::pack(&whole.service);
        results.connect = Latencies::pack(&whole.connect);
        let correctness = &mut results.correctness;
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        correctness.subscribers = whole.checked.subscribers;
        correctness.due = whole.checked.due;
        correctness.missing = count(whole.checked.missing);
        correctness.duplicate = whole.checked.duplicate;
        correctness.reordered = whole.checked.reordered;
        correctness.corrupt = whole.checked.corrupt;
        correctness.stale = whole.checked.stale;
        correctness.conflated = count(whole.checked.conflated);
        results.memory = self.memory.clone();
        let mut process = self.process.clone();
        process.connections_opened = whole.totals.connections_opened;
        process.delivered = whole.totals.delivered;
        process.health = Health {
            due: whole.due,
            sent: whole.sent,
            late: whole.late,
            timer_slip: Latencies::pack(&whole.slip),
            thread_nanos: whole.thread_nanos,
            busy_nanos: whole.busy_nanos,
            cpu_nanos: process_cpu_nanos() - self.cpu_nanos_before,
            resident_bytes_max: status_bytes("VmHWM:"),
            ..process.health
        };
        results.processes = vec![process];
        results
    }

    fn finish(mut self, tell: &mut dyn FnMut(News)) {
        // What was counted behind the last whole second is a second too.
        for (_, tally) in std::mem::take(&mut self.seconds) {
            let second = self.second(Some(&tally));
            self.results.seconds.push(second);
        }
        tell(News::Finished {
            results: Box::new(self.results()),
            checked: self.whole.checked,
        });
    }
}

/// A thread's work: on a processor of its own, if there is one.
fn work(
    plan: Arc<Plan>,
    place: Place,
    number: u32,
    (tls, clock): (Option<tls::Settings>, Clock),
    processor: Option<u32>,
    (commands, told): (Receiver<Command>, Sender<(u32, Told)>),
) {
    // A thread that may not be pinned runs where it is put.
    processor.map(|id| core_affinity::set_for_current(CoreId { id: id as usize }));
    // Timers of this thread fire when they are due, not when it saves the kernel work.
    let _ = set_timerslack(1);
    let end = End {
        number,
        told: told.clone(),
    };
    match Worker::new(plan, place, number, tls, clock, (commands, told)) {
        Ok(worker) => worker.run(),
        Err(error) => end.tell(error.to_string()),
    }
}

/// Tells of the end of a thread that should not have ended.
struct End {
    number: u32,
    told: Sender<(u32, Told)>,
}

impl End {
    fn tell(&self, says: String) {
        // Who does not listen any more has ended.
        let _ = self.told.send((self.number, Told::Failed(says)));
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if thread::panicking() {
            self.tell(
                "a thread of the generator panicked, which is a defect of ours: please report \
                 what it said; what was counted until then is kept"
                    .to_owned(),
            );
        }
    }
}

/// The processors of a part's threads, in their order: the last first, for servers that are
/// told nothing begin with the first.
fn processors(scenario: &Scenario, begin: &Begin) -> Vec<u32> {
    let mut all = scenario.generator.processors.clone();
    if all.is_empty() {
        let allowed = core_affinity::get_core_ids().unwrap_or_default();
        all = allowed.iter().rev().map(|core| core.id as u32).collect();
    }
    let first = begin.part * begin.threads;
    let of = |number: u32| all.get(number as usize % all.len().max(1)).copied();
    (first..first + begin.threads).filter_map(of).collect()
}

/// A size of this process.
fn status_bytes(name: &str) -> u64 {
    kib("/proc/self/status", name).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_says_so() {
        let (told, inbox) = channel();
        let works = thread::spawn({
            let told = told.clone();
            move || drop(End { number: 1, told })
        });
        works.join().expect("it does not panic");
        let panics = thread::spawn(move || {
            let _end = End { number: 2, told };
            panic!("as it is meant to");
        });
        assert!(panics.join().is_err());
        let all: Vec<_> = inbox.iter().collect();
        assert!(
            matches!(&all[..], [(2, Told::Failed(says))] if says.contains("panicked")),
            "{all:?}"
        );
    }
}
