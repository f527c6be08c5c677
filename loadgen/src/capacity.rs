//! What the generator itself can take, on one processor: a figure that a result has to stay
//! well below to be the server's.
//!
//! Twice: messages that are in memory already, cut, checked and counted by the code of
//! every run; and the same through loop-back, from a sender on another processor that does
//! nothing else.

use crate::clock::{process_cpu_nanos, thread_cpu_nanos};
use crate::coordinator::{RunError, run_number, run_quietly, told};
use crate::crowd::{Crowd, Place};
use crate::echo;
use crate::plan::Plan;
use crate::quantity::Span;
use crate::scenario::{Protocol, Scenario};
use crate::stamp::Stamp;
use crate::tally::Tally;
use core_affinity::CoreId;
use ringcast_codec::mqtt::{Properties, PublishFrame, QoS, TopicName, Version};
use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread;

/// What the generator can take.
#[derive(Debug)]
pub struct Capacity {
    payload_bytes: u32,
    /// Messages per second that are in memory.
    in_memory: f64,
    through_loopback: Loopback,
    /// Whether all of them were right.
    is_right: bool,
}

/// Messages through loop-back.
#[derive(Debug)]
struct Loopback {
    /// In the best second.
    best_second: u64,
    /// For each second of processor time that receiving took: on a machine that others
    /// use, too, this is what would go if they did not.
    processor_second: f64,
}

/// Messages that are made at once, off the clock: as many as one large read brings.
const AT_ONCE: u32 = 400;

/// How often they are made and taken in.
const ROUNDS: u32 = 20_000;

/// How long the sender sends.
const DURATION: Span = Span::from_secs(5);

/// Measures it, with payloads of so many bytes.
///
/// # Errors
/// [`RunError`] if it can't be measured.
pub fn measure_capacity(payload_bytes: u32) -> Result<Capacity, RunError> {
    let (in_memory, is_right) = in_memory(payload_bytes)?;
    let (through_loopback, is_right_too) = through_loopback(payload_bytes)?;
    Ok(Capacity {
        payload_bytes,
        in_memory,
        through_loopback,
        is_right: is_right && is_right_too,
    })
}

/// A subscriber, and a topic that nobody of ours publishes in.
fn scenario(payload_bytes: u32) -> Scenario {
    let mut scenario = Scenario {
        name: "capacity".to_owned(),
        ..Scenario::default()
    };
    scenario.mqtt.version = Protocol::Mqtt311;
    scenario.mqtt.keep_alive = Span::default();
    scenario.publishers.count = 0;
    scenario.load.payload = payload_bytes;
    scenario.load.duration = DURATION;
    scenario
}

fn in_memory(payload_bytes: u32) -> Result<(f64, bool), RunError> {
    let plan = Plan::new(scenario(payload_bytes), run_number()).map_err(told)?;
    let mut source = Source::new(&plan);
    let mut crowd = Crowd::new(Arc::new(plan), Place { number: 0, of: 1 });
    crowd.begin(0, 0);
    crowd.on_connected(0, 0);
    crowd.on_bytes(0, &echo::CONNACK, 0);
    crowd.on_bytes(0, &[0x90, 3, 0, 1, 0], 0);
    let (mut bytes, mut took) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        bytes.clear();
        source.append(AT_ONCE, &mut bytes);
        // On a machine that others use, too, the processor's own time is what counts.
        let began = thread_cpu_nanos();
        crowd.on_bytes(0, &bytes, u64::from(round));
        took += thread_cpu_nanos() - began;
    }
    let Tally {
        totals, checked, ..
    } = &crowd.tally;
    let is_right = totals.delivered == u64::from(AT_ONCE * ROUNDS) && checked.wrong() == 0;
    Ok((totals.delivered as f64 / (took as f64 / 1e9), is_right))
}

fn through_loopback(payload_bytes: u32) -> Result<(Loopback, bool), RunError> {
    let failed =
        |error: io::Error| RunError(format!("nothing can be sent through loop-back: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let mut scenario = scenario(payload_bytes);
    let address = listener.local_addr().map_err(failed)?;
    scenario.target.addresses = vec![address.to_string()];
    let plan = Plan::new(scenario, run_number()).map_err(told)?;
    let source = Source::new(&plan);
    let sender = thread::Builder::new()
        .name("sender".to_owned())
        .spawn(move || {
            // It ends when its only client has left.
            let _ = send(&listener, source);
            thread_cpu_nanos()
        })
        .map_err(failed)?;
    let before = process_cpu_nanos();
    let results = run_quietly(plan)?;
    let sent_nanos = sender.join().unwrap_or(0);
    let nanos = process_cpu_nanos() - before - sent_nanos;
    let best = results.seconds.iter().map(|second| second.delivered).max();
    let loopback = Loopback {
        best_second: best.unwrap_or(0),
        processor_second: results.totals.delivered as f64 / (nanos as f64 / 1e9),
    };
    Ok((loopback, results.correctness.violations() == 0))
}

/// Sends to the first who connects, until that leaves: then there is nobody to tell.
fn send(listener: &TcpListener, mut source: Source) -> io::Result<()> {
    // The first processor: the generator begins with the last.
    let first = core_affinity::get_core_ids().and_then(|cores| cores.first().copied());
    first.map(|CoreId { id }| core_affinity::set_for_current(CoreId { id }));
    let (mut stream, _) = listener.accept()?;
    echo::welcome(&mut stream)?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        source.append(AT_ONCE, &mut bytes);
        stream.write_all(&bytes)?;
    }
}

/// Messages as they would come.
struct Source {
    run: u32,
    frame: Vec<u8>,
    payload_at: usize,
    sequence: u32,
}

impl Source {
    fn new(plan: &Plan) -> Self {
        let topic = plan.names.name(0);
        let payload = vec![b'.'; plan.scenario.load.payload as usize];
        let frame = PublishFrame {
            version: Version::V311,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: Some(TopicName::new(&topic).expect("the plan was checked")),
            message_expiry: None,
            subscription_identifiers: &[],
            properties: Properties::EMPTY,
            payload: &payload,
        };
        let layout = frame.layout().expect("the plan was checked");
        let mut bytes = vec![0; layout.len];
        frame.encode(&layout, None, &mut bytes);
        Self {
            run: plan.run,
            frame: bytes,
            payload_at: layout.payload_at,
            sequence: 0,
        }
    }

    fn append(&mut self, messages: u32, out: &mut Vec<u8>) {
        for _ in 0..messages {
            self.sequence += 1;
            let stamp = Stamp {
                publisher: 0,
                topic: 0,
                sequence: self.sequence,
                intended_nanos: 0,
                sent_nanos: Some(0),
            };
            let begins = out.len();
            out.extend_from_slice(&self.frame);
            stamp.write(self.run, &mut out[begins + self.payload_at..]);
        }
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millions = |rate: f64| format!("{:.1} million messages/s", rate / 1e6);
        writeln!(
            formatter,
            "received and checked on one processor, {} bytes each:",
            self.payload_bytes
        )?;
        writeln!(formatter, "in memory         {}", millions(self.in_memory))?;
        writeln!(
            formatter,
            "through loop-back {}",
            millions(self.through_loopback.best_second as f64)
        )?;
        writeln!(
            formatter,
            "                  {}, per second of processor time",
            millions(self.through_loopback.processor_second)
        )?;
        match self.is_right {
            true => Ok(()),
            false => writeln!(formatter, "not all of them were right"),
        }
    }
}
