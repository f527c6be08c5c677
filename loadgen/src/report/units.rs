//! Numbers as people read them: three digits and the unit that suits.

use std::fmt;

/// A time in nanoseconds: `850 ns`, `12.3 µs`, `1.23 ms`, `98.7 s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Nanos(pub(super) u64);

/// A number of things: `1,000,000`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Count(pub(super) u64);

/// Things per second: `1,250/s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PerSecond(pub(super) f64);

/// A number of bytes: `640 B`, `8.40 KiB`, `7.15 GiB`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bytes(pub(super) f64);

/// A part of a whole: `99.98 %`. Cut, not rounded: what is not all is never told as all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share(pub(super) f64);

impl fmt::Display for Nanos {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0 as f64;
        let text = match self.0 {
            0..1_000 => format!("{} ns", self.0),
            1_000..999_500 => format!("{} µs", three_digits(nanos / 1e3)),
            999_500..999_500_000 => format!("{} ms", three_digits(nanos / 1e6)),
            _ => format!("{} s", three_digits(nanos / 1e9)),
        };
        formatter.pad(&text)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&grouped(self.0))
    }
}

impl fmt::Display for PerSecond {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            0.0..9.995 => format!("{}/s", three_digits(self.0)),
            rate => format!("{}/s", grouped(rate.round() as u64)),
        };
        formatter.pad(&text)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB"];
        if self.0 < 1_024.0 {
            return formatter.pad(&format!("{:.0} B", self.0));
        }
        let (mut value, mut unit) = (self.0 / 1_024.0, units[0]);
        for larger in &units[1..] {
            if value >= 1_024.0 {
                (value, unit) = (value / 1_024.0, larger);
            }
        }
        formatter.pad(&format!("{} {unit}", three_digits(value)))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What binary fractions lack is given back first: 0.29 × 10,000 is less than 2,900.
        let hundredths = (self.0 * 10_000.0 + 1e-6).floor();
        formatter.pad(&format!("{} %", hundredths / 100.0))
    }
}

fn three_digits(value: f64) -> String {
    match value {
        0.0..9.995 => format!("{value:.2}"),
        9.995..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<T: fmt::Display>(values: impl IntoIterator<Item = T>) -> Vec<String> {
        values.into_iter().map(|value| value.to_string()).collect()
    }

    #[test]
    fn times_have_three_digits_and_the_unit_that_suits() {
        let nanos = [
            0,
            999,
            1_000,
            12_345,
            99_960,
            999_499,
            999_500,
            60_000_000_000,
        ];
        let told = all(nanos.map(Nanos));
        let expected = [
            "0 ns", "999 ns", "1.00 µs", "12.3 µs", "100 µs", "999 µs", "1.00 ms", "60.0 s",
        ];
        assert_eq!(told, expected);
        assert_eq!(format!("{:>8}|", Nanos(5)), "    5 ns|");
    }

    #[test]
    fn counts_are_grouped() {
        let told = all([0, 999, 1_000, 12_345_678].map(Count));
        assert_eq!(told, ["0", "999", "1,000", "12,345,678"]);
        let told = all([0.0, 2.5, 9.999, 1_234.5].map(PerSecond));
        assert_eq!(told, ["0.00/s", "2.50/s", "10/s", "1,235/s"]);
    }

    #[test]
    fn bytes_are_told_in_powers_of_1024() {
        let told = all([0.0, 1_023.0, 8_602.0, 5e6, 7.68e9, 5e12].map(Bytes));
        let expected = [
            "0 B", "1023 B", "8.40 KiB", "4.77 MiB", "7.15 GiB", "4657 GiB",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_share_is_never_told_as_more_than_it_is() {
        let told = all([1.0, 0.999_999, 0.29, 0.057, 0.0].map(Share));
        assert_eq!(told, ["100 %", "99.99 %", "29 %", "5.7 %", "0 %"]);
    }
}
