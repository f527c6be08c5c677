//! The seconds of a run for spreadsheets: a line for each, after one with names.

use super::PERCENTILES;
use crate::results::{Results, Second};
use std::fmt;

/// A run second by second. A percentile of a second without deliveries is left out.
#[derive(Debug, Clone, Copy)]
pub struct Csv<'a>(pub &'a Results);

impl fmt::Display for Csv<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "second,connections,published,delivered,late,wrong"
        )?;
        for (_, name) in PERCENTILES {
            write!(formatter, ",response_{name}_nanos")?;
        }
        writeln!(formatter)?;
        for (at, second) in self.0.seconds.iter().enumerate() {
            line(formatter, at, second)?;
        }
        Ok(())
    }
}

fn line(formatter: &mut fmt::Formatter<'_>, at: usize, second: &Second) -> fmt::Result {
    let Second {
        connections,
        published,
        delivered,
        late,
        wrong,
        response,
    } = second;
    write!(
        formatter,
        "{at},{connections},{published},{delivered},{late},{wrong}"
    )?;
    let response = response.unpack();
    for (percentile, _) in PERCENTILES {
        write!(formatter, ",")?;
        if !response.is_empty() {
            write!(formatter, "{}", response.value_at_percentile(percentile))?;
        }
    }
    writeln!(formatter)
}
