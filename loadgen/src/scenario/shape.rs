//! How a rate goes over time.

use crate::quantity::{QuantityError, Scale, Span, number};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How the rate of messages goes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Shape {
    /// It stays.
    #[default]
    Constant,
    /// From one rate to another.
    Ramp(f64, f64),
    /// These rates, for equal parts of the time.
    Steps(Vec<f64>),
    /// The usual rate, and once a higher one, as at the opening of an auction.
    Burst {
        /// The higher one.
        rate: f64,
        /// When, from the first message on.
        at: Span,
        /// For how long.
        lasts: Span,
    },
}

/// A text that is no shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShapeError {
    /// It does not begin like one.
    Unknown(String),
    /// A rate or a time in it is none.
    Quantity(QuantityError),
}

impl Shape {
    /// Its corners: for how many nanoseconds the rate goes from where to where.
    pub(crate) fn corners(&self, rate: f64, duration: Span) -> Vec<(u64, (f64, f64))> {
        let nanos = duration.nanos();
        match self {
            Self::Constant => vec![(nanos, (rate, rate))],
            Self::Ramp(from, to) => vec![(nanos, (*from, *to))],
            Self::Steps(rates) => {
                let each = nanos / rates.len() as u64;
                rates.iter().map(|&rate| (each, (rate, rate))).collect()
            }
            Self::Burst {
                rate: high,
                at,
                lasts,
            } => {
                let begins = at.nanos().min(nanos);
                let ends = (begins + lasts.nanos()).min(nanos);
                vec![
                    (begins, (rate, rate)),
                    (ends - begins, (*high, *high)),
                    (nanos - ends, (rate, rate)),
                ]
            }
        }
    }

    /// With this part of its rates.
    pub(crate) fn scaled(&self, scale: Scale) -> Self {
        match self {
            Self::Constant => Self::Constant,
            Self::Ramp(from, to) => Self::Ramp(scale.of_rate(*from), scale.of_rate(*to)),
            Self::Steps(rates) => {
                Self::Steps(rates.iter().map(|&rate| scale.of_rate(rate)).collect())
            }
            &Self::Burst { rate, at, lasts } => Self::Burst {
                rate: scale.of_rate(rate),
                at,
                lasts,
            },
        }
    }
}

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        let unknown = || ShapeError::Unknown(text.to_owned());
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "constant" if rest.is_empty() => Ok(Self::Constant),
            "ramp" => {
                let (from, to) = rest.split_once(':').ok_or_else(unknown)?;
                Ok(Self::Ramp(number(from)?, number(to)?))
            }
            "steps" => {
                let rates: Result<_, _> = rest.split(',').map(number).collect();
                Ok(Self::Steps(rates?))
            }
            "burst" => {
                let (rate, when) = rest.split_once('@').ok_or_else(unknown)?;
                let (at, lasts) = when.split_once('/').ok_or_else(unknown)?;
                Ok(Self::Burst {
                    rate: number(rate)?,
                    at: at.parse()?,
                    lasts: lasts.parse()?,
                })
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => formatter.write_str("constant"),
            Self::Ramp(from, to) => write!(formatter, "ramp:{from}:{to}"),
            Self::Steps(rates) => {
                let rates: Vec<_> = rates.iter().map(ToString::to_string).collect();
                write!(formatter, "steps:{}", rates.join(","))
            }
            Self::Burst { rate, at, lasts } => write!(formatter, "burst:{rate}@{at}/{lasts}"),
        }
    }
}

impl TryFrom<String> for Shape {
    type Error = ShapeError;

    fn try_from(text: String) -> Result<Self, ShapeError> {
        text.parse()
    }
}

impl From<Shape> for String {
    fn from(shape: Shape) -> Self {
        shape.to_string()
    }
}

impl From<QuantityError> for ShapeError {
    fn from(error: QuantityError) -> Self {
        Self::Quantity(error)
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(text) => write!(
                formatter,
                "{text:?} is no shape; there are constant, ramp:100:1000, steps:100,200,400 and \
                 burst:50k@10s/200ms"
            ),
            Self::Quantity(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for ShapeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Schedule;

    #[test]
    fn a_shape_is_written_as_it_is_read() {
        for text in [
            "constant",
            "ramp:100:1000",
            "steps:1,2,4",
            "burst:50000@10s/200ms",
        ] {
            let shape: Shape = text.parse().expect("it is one");
            assert_eq!(shape.to_string(), text);
        }
        for wrong in [
            "",
            "constant:1",
            "ramp:1",
            "steps:",
            "burst:1@2s",
            "saw:1:2",
            "ramp:-1:2",
        ] {
            assert!(wrong.parse::<Shape>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_shape_has_the_events_that_it_says() {
        let events = |text: &str| {
            let shape: Shape = text.parse().expect("it is one");
            Schedule::new(&shape.corners(100.0, Span::from_secs(10)), 0.0).remaining()
        };
        assert_eq!(events("constant"), 1_000);
        assert_eq!(events("ramp:0:100"), 500);
        assert_eq!(events("steps:10,20,30,40,50"), 300);
        assert_eq!(events("burst:10000@5s/500ms"), 950 + 5_000);
        assert_eq!(events("burst:10000@20s/1s"), 1_000);
    }
}
