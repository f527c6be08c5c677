//! The checksum by which a client knows that its order book is the engine's.
//!
//! Kraken's rule, as its WebSocket API version 2 has it (docs.kraken.com, "Book
//! checksum"): of the ten best levels of each side, price and then quantity
//! without point and without leading zeros, asks from the lowest price up, then
//! bids from the highest down, all in one string; of that the CRC-32 (IEEE).

use super::{Decimal, Level};

/// Levels of each side that count.
pub const CHECKSUM_LEVELS: usize = 10;

/// The checksum of a book given best price first: `asks` ascending, `bids`
/// descending. What comes after the tenth level is not looked at.
///
/// The text of the levels counts, not their value: `1.0` and `1.00` differ. A
/// negative price, which Kraken does not know, keeps its sign in the string.
#[must_use]
pub fn book_checksum<'a>(
    asks: impl IntoIterator<Item = Level<'a>>,
    bids: impl IntoIterator<Item = Level<'a>>,
) -> u32 {
    let asks = asks.into_iter().take(CHECKSUM_LEVELS);
    let bids = bids.into_iter().take(CHECKSUM_LEVELS);
    let mut hasher = crc32fast::Hasher::new();
    for level in asks.chain(bids) {
        digits(&mut hasher, level.price);
        digits(&mut hasher, level.quantity);
    }
    hasher.finalize()
}

fn digits(hasher: &mut crc32fast::Hasher, decimal: Decimal<'_>) {
    let parts = decimal.parts();
    if parts.negative {
        hasher.update(b"-");
    }
    let whole = parts.whole.trim_start_matches('0');
    let fraction = match whole {
        "" => parts.fraction.trim_start_matches('0'),
        _ => parts.fraction,
    };
    hasher.update(whole.as_bytes());
    hasher.update(fraction.as_bytes());
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    fn levels(texts: &[(&'static str, &'static str)]) -> Vec<Level<'static>> {
        let decimal = |text| Decimal::parse(text).unwrap();
        texts
            .iter()
            .map(|&(price, quantity)| Level {
                price: decimal(price),
                quantity: decimal(quantity),
            })
            .collect()
    }

    /// The worked example of Kraken's own guide.
    #[test]
    fn krakens_example() {
        let mut asks = levels(&[
            ("45285.2", "0.00100000"),
            ("45286.4", "1.54571953"),
            ("45286.6", "1.54571109"),
            ("45289.6", "1.54560911"),
            ("45290.2", "0.15890660"),
            ("45291.8", "1.54553491"),
            ("45294.7", "0.04454749"),
            ("45296.1", "0.35380000"),
            ("45297.5", "0.09945542"),
            ("45299.5", "0.18772827"),
        ]);
        let mut bids = levels(&[
            ("45283.5", "0.10000000"),
            ("45283.4", "1.54582015"),
            ("45282.1", "0.10000000"),
            ("45281.0", "0.10000000"),
            ("45280.3", "1.54592586"),
            ("45279.0", "0.07990000"),
            ("45277.6", "0.03310103"),
            ("45277.5", "0.30000000"),
            ("45277.3", "1.54602737"),
            ("45276.6", "0.15445238"),
        ]);
        assert_eq!(book_checksum(asks.clone(), bids.clone()), 3_310_070_434);
        asks.extend(levels(&[("45300.0", "1")]));
        bids.extend(levels(&[("45270.0", "1")]));
        assert_eq!(
            book_checksum(asks, bids),
            3_310_070_434,
            "the eleventh level does not count"
        );
    }

    /// Here the point is the string; that its sum is right is shown above.
    #[test]
    fn string_that_is_summed() {
        let crc = |text: &str| crc32fast::hash(text.as_bytes());
        assert_eq!(
            book_checksum(levels(&[("0.05000", "0.00000500")]), vec![]),
            crc("5000500")
        );
        assert_eq!(
            book_checksum(levels(&[("10.00", "0.0")]), levels(&[("9", "00.50")])),
            crc("1000950")
        );
        assert_eq!(book_checksum(levels(&[("-1.5", "2")]), vec![]), crc("-152"));
        assert_eq!(book_checksum(vec![], vec![]), 0);
    }
}
