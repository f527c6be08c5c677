//! Latencies, as they are kept and as they are written: HDR V2, deflated, in base64, which
//! the HdrHistogram tools of other languages read.
//!
//! In memory they are packed, too: a run of hours has thousands of seconds, each with its
//! histogram, and one that lies open takes some 200 KiB.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Significant digits of every histogram that is made here.
const DIGITS: u8 = 3;

/// Nanoseconds, counted in a histogram and packed; default: none at all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Latencies {
    /// What a file holds; empty if there is nothing.
    packed: String,
}

/// A text that is no histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatenciesError {
    /// It is not base64.
    Base64,
    /// It is no HDR V2 histogram.
    Hdr,
}

impl Latencies {
    /// Packs what was counted.
    pub fn pack(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(histogram, &mut bytes)
            .expect("a vector takes all that is written, and a histogram has a length");
        Self {
            packed: STANDARD.encode(bytes),
        }
    }

    /// The histogram itself, open for more.
    pub fn unpack(&self) -> Histogram<u64> {
        unpack(&self.packed).expect("it was packed here, or tried when it was read")
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// All of them in one histogram.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Histogram<u64> {
        let mut sum = empty();
        for latencies in all {
            if !latencies.is_empty() {
                sum.add(latencies.unpack())
                    .expect("it grows as far as it has to");
            }
        }
        sum
    }

    /// Counts what the others hold as well.
    pub fn add(&mut self, others: &Self) {
        match (self.is_empty(), others.is_empty()) {
            (_, true) => {}
            (true, false) => self.clone_from(others),
            (false, false) => *self = Self::pack(&Self::sum([&*self, others])),
        }
    }
}

/// Those are equal that count the same: of how a histogram grew a trace stays in its text.
impl PartialEq for Latencies {
    fn eq(&self, other: &Self) -> bool {
        self.packed == other.packed || self.unpack() == other.unpack()
    }
}

impl Eq for Latencies {}

/// An empty histogram that grows with what it counts.
fn empty() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("three digits are allowed")
}

fn unpack(packed: &str) -> Result<Histogram<u64>, LatenciesError> {
    if packed.is_empty() {
        return Ok(empty());
    }
    let bytes = STANDARD
        .decode(packed)
        .map_err(|_| LatenciesError::Base64)?;
    let mut histogram = Deserializer::new()
        .deserialize(&mut &*bytes)
        .map_err(|_| LatenciesError::Hdr)?;
    histogram.auto(true);
    Ok(histogram)
}

impl TryFrom<String> for Latencies {
    type Error = LatenciesError;

    fn try_from(packed: String) -> Result<Self, LatenciesError> {
        unpack(&packed)?;
        Ok(Self { packed })
    }
}

impl From<Latencies> for String {
    fn from(latencies: Latencies) -> Self {
        latencies.packed
    }
}

impl fmt::Display for LatenciesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Base64 => "a histogram is not in base64",
            Self::Hdr => "a histogram is not in the format HDR V2",
        })
    }
}

impl std::error::Error for LatenciesError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Histogram<u64> {
        let mut histogram = empty();
        for value in values {
            histogram.record(*value).expect("it grows");
        }
        histogram
    }

    #[test]
    fn packing_keeps_every_count() {
        let histogram = of(&[0, 1, 999, 1_000_000, 59_000_000_000]);
        assert_eq!(Latencies::pack(&histogram).unpack(), histogram);
        assert_eq!(Latencies::default().unpack(), empty());
        assert_eq!(Latencies::pack(&empty()), Latencies::default());
    }

    #[test]
    fn adding_is_counting_together() {
        let [left, right] = [&[5, 80_000][..], &[80_000, 7_000_000_000]];
        let mut sum = Latencies::pack(&of(left));
        sum.add(&Latencies::pack(&of(right)));
        sum.add(&Latencies::default());
        let all = sum.unpack();
        assert_eq!(all, of(&[left, right].concat()));
        let mut none = Latencies::default();
        none.add(&sum);
        assert_eq!(none, sum);
    }

    #[test]
    fn what_other_tools_wrote_is_read() {
        // By the Python package hdrhistogram.
        let text = "HISTFAAAAC14nJNpmSzMwMDAywABzFCaEST2wz2Cwf4DVIDpND/T+3mMTN//MDIBAKDvCJA=";
        let latencies = Latencies::try_from(text.to_owned()).expect("the format is the same");
        let expected = of(&[1, 1_000, 1_000_000, 59_000_000_000]);
        assert_eq!(latencies.unpack(), expected);
    }

    #[test]
    fn what_is_no_histogram_is_refused_with_a_reason() {
        let read = |text: &str| Latencies::try_from(text.to_owned()).err();
        assert_eq!(read("%"), Some(LatenciesError::Base64));
        assert_eq!(read("HISTFA=="), Some(LatenciesError::Hdr));
        assert_eq!(read(""), None);
    }
}
