//! A price or quantity: the feed's own text, and its exact value.
//!
//! ```text
//! decimal = [ "-" ] digits [ "." digits ]        at most 38 digits in all
//! ```
//!
//! No exponent, no plus sign, no bare point: none of the venues writes them in
//! prices, and the order book's checksum would mean nothing with them. Leading
//! and trailing zeros are kept, since the text is passed on as it came.
//! Thirty-eight digits fit an `i128`, so the exact value always exists.

use core::cmp::Ordering;

/// The most digits that a decimal may have, leading and trailing zeros included.
pub const DECIMAL_DIGITS_MAX: usize = 38;

/// A decimal number as text, compared by value: `1.0` equals `1.00`, and
/// [`text`](Self::text) tells them apart.
#[derive(Debug, Clone, Copy)]
pub struct Decimal<'a> {
    text: &'a str,
}

/// Why a text is not a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalFault {
    /// It does not follow the grammar.
    Grammar,
    /// It has more than [`DECIMAL_DIGITS_MAX`] digits.
    TooLong,
}

impl<'a> Decimal<'a> {
    /// Takes a text that follows the grammar.
    ///
    /// # Errors
    /// The text does not follow it, or has too many digits.
    pub fn parse(text: &'a str) -> Result<Self, DecimalFault> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        for digits in [whole, fraction] {
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(DecimalFault::Grammar);
            }
        }
        let digits = unsigned.len() - usize::from(unsigned.contains('.'));
        if digits > DECIMAL_DIGITS_MAX {
            Err(DecimalFault::TooLong)
        } else {
            Ok(Self { text })
        }
    }

    /// The text, exactly as the feed had it.
    #[inline]
    #[must_use]
    pub fn text(self) -> &'a str {
        self.text
    }

    /// Whether the value is zero, as the quantity of a level that is removed.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.text
            .bytes()
            .all(|byte| matches!(byte, b'0' | b'.' | b'-'))
    }

    /// The number of digits behind the point, 0 to 37.
    #[must_use]
    pub fn scale(self) -> u32 {
        u32::try_from(self.parts().fraction.len()).expect("at most 37")
    }

    /// The value in units of 10 to the power of −[`scale`](Self::scale):
    /// `-1.50` is −150 at scale 2. Always below 10³⁸ in magnitude.
    #[must_use]
    pub fn mantissa(self) -> i128 {
        let parts = self.parts();
        let digits = parts.whole.bytes().chain(parts.fraction.bytes());
        let magnitude = digits.fold(0, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        if parts.negative {
            -magnitude
        } else {
            magnitude
        }
    }

    /// The digits before and behind the point as they stand in the text.
    pub(super) fn parts(self) -> Parts<'a> {
        let unsigned = self.text.strip_prefix('-').unwrap_or(self.text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        Parts {
            negative: unsigned.len() < self.text.len(),
            whole,
            fraction,
        }
    }
}

/// A decimal taken apart.
pub(super) struct Parts<'a> {
    pub(super) negative: bool,
    pub(super) whole: &'a str,
    pub(super) fraction: &'a str,
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal<'_> {}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By the digits, since two mantissas brought to one scale may not fit an `i128`.
impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        /// Sorts like the magnitude: more whole digits are more, then the digits
        /// decide; a fraction is less than one that goes on after it.
        fn magnitude<'a>(parts: &Parts<'a>) -> (usize, &'a str, &'a str) {
            let whole = parts.whole.trim_start_matches('0');
            (whole.len(), whole, parts.fraction.trim_end_matches('0'))
        }
        let (ours, theirs) = (self.parts(), other.parts());
        let negative = |decimal: &Self, parts: &Parts<'_>| parts.negative && !decimal.is_zero();
        match (negative(self, &ours), negative(other, &theirs)) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => magnitude(&ours).cmp(&magnitude(&theirs)),
            (true, true) => magnitude(&theirs).cmp(&magnitude(&ours)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal<'_> {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn grammar() {
        for text in [
            "0",
            "159",
            "0.0",
            "87232.0",
            "61837.63000000",
            "0.000022890",
            "-12.30",
            "007",
        ] {
            assert_eq!(decimal(text).text(), text);
        }
        for text in [
            "", "-", ".", "1.", ".5", "+1", "--1", "1e5", "1.2.3", "1,5", " 1", "1 ", "NaN", "-.1",
            "1.-2", "٣",
        ] {
            assert_eq!(Decimal::parse(text), Err(DecimalFault::Grammar), "{text:?}");
        }
    }

    #[test]
    fn digits_are_bounded_and_always_fit() {
        let nines = "9".repeat(DECIMAL_DIGITS_MAX);
        assert_eq!(decimal(&nines).mantissa(), 10_i128.pow(38) - 1);
        assert_eq!(
            Decimal::parse(&(nines.clone() + "9")),
            Err(DecimalFault::TooLong)
        );
        let (whole, fraction) = nines.split_at(1);
        let text = ["-", whole, ".", fraction].concat();
        assert_eq!(
            (decimal(&text).mantissa(), decimal(&text).scale()),
            (1 - 10_i128.pow(38), 37)
        );
        let text = ["-", whole, ".", fraction, "0"].concat();
        assert_eq!(Decimal::parse(&text), Err(DecimalFault::TooLong));
    }

    #[test]
    fn exact_value() {
        for (text, mantissa, scale) in [
            ("40000.10", 4_000_010, 2),
            ("-1.50", -150, 2),
            ("0.00012", 12, 5),
            ("159", 159, 0),
            ("-0.0", 0, 1),
        ] {
            assert_eq!(
                (decimal(text).mantissa(), decimal(text).scale()),
                (mantissa, scale),
                "{text}"
            );
        }
        assert!(decimal("-0.00").is_zero() && !decimal("0.001").is_zero());
    }

    #[test]
    fn order_is_by_value() {
        let ascending = [
            "-10",
            "-9.99",
            "-0.1",
            "0",
            "0.0999",
            "0.1",
            "0.11",
            "2",
            "10.000001",
            "10.1",
            "100",
        ];
        for (low, text) in ascending.iter().enumerate() {
            for (high, other) in ascending.iter().enumerate() {
                assert_eq!(
                    decimal(text).cmp(&decimal(other)),
                    low.cmp(&high),
                    "{text} {other}"
                );
            }
        }
        for (one, other) in [
            ("1.0", "1.00"),
            ("1", "1.0"),
            ("007", "7"),
            ("-0", "0.00"),
            ("-2.50", "-02.5"),
        ] {
            assert_eq!(decimal(one), decimal(other));
        }
    }
}
