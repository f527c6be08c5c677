//! Quantities as people write them: `500ms`, `10m`, `1/50`, `100k`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time, written with its unit: `250us`, `20ms`, `1.5s`, `10m`, `1h`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Span(Duration);

/// A text that is no quantity of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantityError {
    text: String,
    wanted: &'static str,
}

/// Units of time, the largest first.
const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// No span is longer: nanoseconds of it fit 48 bits, which a short stamp has for them.
const SPAN_NANOS_MAX: f64 = (1_u64 << 48) as f64;

impl Span {
    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The same, for the standard library.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// In nanoseconds.
    pub const fn nanos(self) -> u64 {
        self.0.as_nanos() as u64
    }

    /// In seconds.
    pub const fn seconds(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Whether there is none.
    pub const fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError {
            text: text.to_owned(),
            wanted: "a time with its unit, as 500ms, 10s, 5m or 1h, of at most 78 hours",
        };
        let unit_at = text.find(|letter: char| letter.is_ascii_alphabetic());
        let (number, unit) = text.split_at(unit_at.ok_or_else(error)?);
        let number: f64 = number.trim().parse().map_err(|_| error())?;
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let nanos = number * known.ok_or_else(error)?.1 as f64;
        if !(0.0..SPAN_NANOS_MAX).contains(&nanos) {
            return Err(error());
        }
        Ok(Self(Duration::from_nanos(nanos as u64)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos();
        let whole = |unit: &&(&str, u64)| nanos.is_multiple_of(unit.1);
        match UNITS.iter().find(whole) {
            Some(_) if nanos == 0 => formatter.write_str("0s"),
            Some((name, unit)) => write!(formatter, "{}{name}", nanos / unit),
            None => unreachable!("all are whole nanoseconds"),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = QuantityError;

    fn try_from(text: String) -> Result<Self, QuantityError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// The part of a scenario that is run: `1/50`, `0.1`, `1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale(f64);

impl Scale {
    /// All of it.
    pub const WHOLE: Self = Self(1.0);

    /// That part of a number, but one at least where there was one.
    pub fn of(self, count: u32) -> u32 {
        let scaled = (f64::from(count) * self.0).round() as u32;
        scaled.max(u32::from(count > 0))
    }

    /// That part of a rate.
    pub fn of_rate(self, rate: f64) -> f64 {
        rate * self.0
    }
}

impl FromStr for Scale {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError {
            text: text.to_owned(),
            wanted: "a part above 0, as 1/50 or 0.02",
        };
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| error());
        let part = match text.split_once('/') {
            Some((above, below)) => number(above)? / number(below)?,
            None => number(text)?,
        };
        if part.is_finite() && part > 0.0 {
            Ok(Self(part))
        } else {
            Err(error())
        }
    }
}

/// Reads a number that may end in `k` or `M`.
///
/// # Errors
/// If it is none, or below 0.
pub fn number(text: &str) -> Result<f64, QuantityError> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1e3),
        None => text
            .strip_suffix('M')
            .map_or((text, 1.0), |digits| (digits, 1e6)),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number * factor),
        _ => Err(QuantityError {
            text: text.to_owned(),
            wanted: "a number of 0 or more, as 250, 50k or 1.5M",
        }),
    }
}

impl fmt::Display for QuantityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is not {}", self.text, self.wanted)
    }
}

impl std::error::Error for QuantityError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_as_it_is_read() {
        for text in ["0s", "250us", "20ms", "1500ms", "10s", "90m", "1h", "7ns"] {
            let span: Span = text.parse().expect("it is one");
            assert_eq!(span.to_string(), text);
        }
        let half: Span = "1.5s".parse().expect("it is one");
        assert_eq!(half.nanos(), 1_500_000_000);
        for wrong in ["", "10", "s", "10 years", "-1s", "79h", "NaNs"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_scale_leaves_one_of_what_there_is() {
        let fiftieth: Scale = "1/50".parse().expect("it is one");
        assert_eq!(
            [0, 1, 50, 1_000_000].map(|count| fiftieth.of(count)),
            [0, 1, 1, 20_000]
        );
        for wrong in ["0", "1/0", "-1", "x", "1/"] {
            assert!(wrong.parse::<Scale>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_may_be_short() {
        assert_eq!(number("50k"), Ok(50_000.0));
        assert_eq!(number("1.5M"), Ok(1_500_000.0));
        assert!(number("-1").is_err() && number("k").is_err());
    }
}
