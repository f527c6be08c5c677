//! A feed that makes messages up, to measure with.
//!
//! Message *n*, from 0, is due at the start and *n* / rate seconds; it says when that was, and
//! not when it went out. So whoever measures latency from it sees what it costs to come late,
//! too. Its payload:
//!
//! ```text
//!   0 number    u64, little-endian    n
//!   8 intended  u64, little-endian    when it was due, in nanoseconds of the clock that
//!                                     turns are given
//!  16 filler    0x5A
//! ```
//!
//! Which symbol it is about is chosen from a seed. All memory is taken at the start.

use crate::error::FeedError;
use crate::feed::Visit;
use crate::refusal::{Refusal, Told};
use crate::sequencer::{Draft, FeedTopic, Stop, Taken};
use crate::settings::{Spread, SyntheticSettings};
use ringcast_codec::mqtt::{QoS, TopicName};
use ringcast_ring::ClaimError;

/// Bytes of number and time, the least that a payload has.
pub const STAMP_BYTES: usize = 16;

const FILLER: u8 = 0x5A;

const SYMBOL_PLACE: &str = "{n}";
const SYMBOLS_MAX: u32 = 1_000_000;
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
const RATES: std::ops::RangeInclusive<f64> = 0.001..=100_000_000.0;
const ZIPF_EXPONENTS: std::ops::RangeInclusive<f64> = 0.0..=10.0;

/// Messages that are made up.
#[derive(Debug)]
pub struct Synthetic {
    nanos_per_message: f64,
    payload_bytes: usize,
    names: Vec<String>,
    /// Empty until the first visit, when the delivery classes are known.
    topics: Vec<FeedTopic>,
    choice: Choice,
    /// When the first message is due, monotonic and wall time.
    start: Option<(u64, u64)>,
    number: u64,
    told: Told,
}

/// Which symbol is next.
#[derive(Debug)]
struct Choice {
    /// Of each symbol, the part of all messages that are about it or one before it. Empty if
    /// all have the same.
    shares: Vec<f64>,
    symbols: u32,
    state: u64,
}

impl Synthetic {
    pub(crate) fn new(settings: &SyntheticSettings) -> Result<Self, FeedError> {
        check(settings)?;
        let name = |number: u32| {
            settings
                .topic
                .replacen(SYMBOL_PLACE, &number.to_string(), 1)
        };
        Ok(Self {
            nanos_per_message: 1e9 / settings.rate,
            payload_bytes: settings.payload_bytes,
            names: (0..settings.symbols).map(name).collect(),
            topics: Vec::new(),
            choice: Choice::new(settings),
            start: None,
            number: 0,
            told: Told::default(),
        })
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> Taken {
        let now = visit.now;
        let (start_nanos, start_micros) = *self
            .start
            .get_or_insert((now.monotonic_nanos, now.wall_micros));
        let names = self.names.drain(..);
        self.topics.extend(names.map(|name| {
            let name = TopicName::new(&name).expect("was checked with the settings");
            visit.sequencer.topic(name)
        }));
        let mut taken = Taken::default();
        loop {
            let after_nanos = self.after_start_nanos();
            let due_nanos = start_nanos.saturating_add(after_nanos);
            if due_nanos > now.monotonic_nanos {
                return taken;
            }
            if let Some(stop) = visit.stop(&taken) {
                taken.stop = stop;
                return taken;
            }
            let draft = Draft {
                topic: &self.topics[self.choice.peek()],
                qos: QoS::AtMostOnce,
                source_micros: start_micros.saturating_add(after_nanos / 1_000),
                ingest_micros: now.wall_micros,
                expires_micros: 0,
                properties: &[],
            };
            let number = self.number;
            let offered = visit.sequencer.offer(&draft, self.payload_bytes, |room| {
                write(number, due_nanos, room);
            });
            match offered {
                Ok(()) => {
                    taken.messages += 1;
                    visit.counters.feed_bytes += self.payload_bytes as u64;
                    visit.count_late(due_nanos);
                }
                Err(ClaimError::Full) => {
                    taken.stop = Stop::Full;
                    return taken;
                }
                Err(ClaimError::TooLarge) => self.refuse(visit, &mut taken),
            }
            taken.bytes += self.payload_bytes as u64;
            self.number += 1;
            self.choice.advance();
        }
    }

    pub(crate) fn next_due(&self) -> u64 {
        match self.start {
            None => 0,
            Some((start_nanos, _)) => start_nanos.saturating_add(self.after_start_nanos()),
        }
    }

    fn after_start_nanos(&self) -> u64 {
        (self.number as f64 * self.nanos_per_message) as u64
    }

    #[cold]
    fn refuse(&mut self, visit: &mut Visit<'_>, taken: &mut Taken) {
        taken.refused += 1;
        visit.counters.refused.add(Refusal::TooLarge);
        if self.told.is_new(Refusal::TooLarge) {
            visit.reports.push(format!(
                "synthetic feed: payloads of {} bytes are more than a record of the ring can \
                 have, which is {} bytes with topic and head",
                self.payload_bytes,
                visit.sequencer.record_bytes_max(),
            ));
        }
    }
}

fn write(number: u64, intended_nanos: u64, room: &mut [u8]) {
    let (stamp, filler) = room.split_at_mut(STAMP_BYTES);
    stamp[..8].copy_from_slice(&number.to_le_bytes());
    stamp[8..].copy_from_slice(&intended_nanos.to_le_bytes());
    filler.fill(FILLER);
}

fn check(settings: &SyntheticSettings) -> Result<(), FeedError> {
    let refuse = |key, value: String, allowed| {
        Err(FeedError::Setting {
            key,
            value,
            allowed,
        })
    };
    if !RATES.contains(&settings.rate) {
        let value = settings.rate.to_string();
        return refuse("rate", value, "0.001 to 100000000 messages a second");
    }
    if !(1..=SYMBOLS_MAX).contains(&settings.symbols) {
        return refuse("symbols", settings.symbols.to_string(), "1 to 1000000");
    }
    if !(STAMP_BYTES..=PAYLOAD_BYTES_MAX).contains(&settings.payload_bytes) {
        let value = settings.payload_bytes.to_string();
        return refuse("payload_bytes", value, "16 to 1048576");
    }
    if let Spread::Zipf(exponent) = settings.spread
        && !ZIPF_EXPONENTS.contains(&exponent)
    {
        return refuse(
            "distribution",
            format!("zipf {exponent}"),
            "uniform, or zipf 0 to 10",
        );
    }
    let places = settings.topic.matches(SYMBOL_PLACE).count();
    if places > 1 || places == 0 && settings.symbols > 1 {
        let allowed = "a topic with one {n}, where the number of the symbol goes";
        return refuse("topic", format!("{:?}", settings.topic), allowed);
    }
    let longest = settings
        .topic
        .replacen(SYMBOL_PLACE, &SYMBOLS_MAX.to_string(), 1);
    if TopicName::new(&longest).is_err() || longest.starts_with('$') {
        let allowed = "a topic without wildcards that does not begin with $";
        return refuse("topic", format!("{:?}", settings.topic), allowed);
    }
    Ok(())
}

impl Choice {
    fn new(settings: &SyntheticSettings) -> Self {
        let mut shares = Vec::new();
        if let Spread::Zipf(exponent) = settings.spread {
            let mut sum = 0.0;
            shares.extend((1..=settings.symbols).map(|place| {
                sum += f64::from(place).powf(-exponent);
                sum
            }));
            for share in &mut shares {
                *share /= sum;
            }
        }
        Self {
            shares,
            symbols: settings.symbols,
            state: settings.seed,
        }
    }

    /// The symbol of the next message.
    fn peek(&self) -> usize {
        let random = mix(self.state.wrapping_add(STEP));
        if self.shares.is_empty() {
            let symbol = (u128::from(random) * u128::from(self.symbols)) >> 64;
            return symbol as usize;
        }
        // 53 bits are what a float between 0 and 1 holds.
        let random = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let symbol = self.shares.partition_point(|&share| share <= random);
        symbol.min(self.shares.len() - 1)
    }

    fn advance(&mut self) {
        self.state = self.state.wrapping_add(STEP);
    }
}

/// SplitMix64: a counter, and a function that mixes it well. Good enough to spread load, and
/// the same on every machine.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(state: u64) -> u64 {
    let state = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ state >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ state >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(spread: Spread, seed: u64) -> Vec<u32> {
        let settings = SyntheticSettings {
            symbols: 10,
            spread,
            seed,
            ..SyntheticSettings::default()
        };
        let mut choice = Choice::new(&settings);
        let mut counts = vec![0; 10];
        for _ in 0..100_000 {
            counts[choice.peek()] += 1;
            choice.advance();
        }
        counts
    }

    #[test]
    fn symbols_come_as_often_as_they_should_and_the_same_from_a_seed() {
        let uniform = counts(Spread::Uniform, 1);
        assert!(
            uniform.iter().all(|count| (9_500..10_500).contains(count)),
            "{uniform:?}"
        );
        let zipf = counts(Spread::Zipf(1.0), 1);
        // The sum of 1/n up to 10 is 2.929.
        for (place, count) in (1_u32..).zip(&zipf) {
            let expected = 100_000.0 / 2.929 / f64::from(place);
            let ratio = f64::from(*count) / expected;
            assert!((0.9..1.1).contains(&ratio), "{place}: {zipf:?}");
        }
        assert_eq!(zipf, counts(Spread::Zipf(1.0), 1));
        assert_ne!(zipf, counts(Spread::Zipf(1.0), 2));
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        let good = SyntheticSettings::default();
        type Change = fn(&mut SyntheticSettings);
        let with = |change: Change| {
            let mut settings = good.clone();
            change(&mut settings);
            Synthetic::new(&settings)
        };
        let refused: [(&str, Change); 13] = [
            ("rate", |s| s.rate = 0.0),
            ("rate", |s| s.rate = f64::NAN),
            ("rate", |s| s.rate = f64::INFINITY),
            ("symbols", |s| s.symbols = 0),
            ("symbols", |s| s.symbols = 1_000_001),
            ("payload_bytes", |s| s.payload_bytes = 15),
            ("payload_bytes", |s| s.payload_bytes = (1 << 20) + 1),
            ("distribution", |s| s.spread = Spread::Zipf(-0.1)),
            ("topic", |s| s.topic = "market/SYM/trade".into()),
            ("topic", |s| s.topic = "a/{n}/{n}".into()),
            ("topic", |s| s.topic = "a/+/{n}".into()),
            ("topic", |s| s.topic = "$SYS/{n}".into()),
            ("topic", |s| s.topic = "a".repeat(65_530) + "{n}"),
        ];
        for (expected, change) in refused {
            match with(change) {
                Err(FeedError::Setting { key, .. }) => assert_eq!(key, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        assert!(with(|s| (s.topic, s.symbols) = ("fixed".into(), 1)).is_ok());
        assert!(with(|s| s.rate = 0.001).is_ok());
    }
}
