//! The name of a market, in the one form that topics and messages use.
//!
//! Feeds and clients write `BTC/USDT`, `btc-usdt` or `BTCUSDT`; inside there is
//! only `BTCUSDT`. Invariant: 1 to [`SYMBOL_BYTES_MAX`] bytes, each of them one
//! of `A`–`Z`, `0`–`9`, `_`, `.` and `:`. None of these means anything in a
//! topic, a topic filter or a JSON string, so a symbol is never escaped.

use core::fmt;

/// The longest symbol, in bytes after normalising. The longest names that
/// venues use, those of dated options, have about twenty.
pub const SYMBOL_BYTES_MAX: usize = 31;

/// A normalised symbol, stored in place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol {
    /// Zero beyond `length`, so that the derived comparisons hold.
    bytes: [u8; SYMBOL_BYTES_MAX],
    length: u8,
}

/// Why a text is not a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolFault {
    /// Nothing is left after normalising.
    Empty,
    /// More than [`SYMBOL_BYTES_MAX`] bytes after normalising.
    TooLong,
    /// A byte that no symbol has.
    Byte(u8),
    /// A symbol, but written in another form where only the normalised one is
    /// allowed.
    NotNormalised,
}

impl Symbol {
    /// Normalises what a feed or a client wrote: letters to upper case, `/` and
    /// `-` removed.
    ///
    /// # Errors
    /// What is left is empty, too long, or has a byte that no symbol has.
    pub fn normalise(text: &str) -> Result<Self, SymbolFault> {
        let mut symbol = Self {
            bytes: [0; SYMBOL_BYTES_MAX],
            length: 0,
        };
        for byte in text.bytes() {
            let byte = match byte {
                b'/' | b'-' => continue,
                b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b':' => byte,
                b'a'..=b'z' => byte.to_ascii_uppercase(),
                _ => return Err(SymbolFault::Byte(byte)),
            };
            let place = symbol.bytes.get_mut(usize::from(symbol.length));
            *place.ok_or(SymbolFault::TooLong)? = byte;
            symbol.length += 1;
        }
        if symbol.length == 0 {
            Err(SymbolFault::Empty)
        } else {
            Ok(symbol)
        }
    }

    /// Takes a symbol that must be normalised already, as in topics and messages.
    ///
    /// # Errors
    /// The text is not a symbol, or not in its normalised form.
    pub fn parse(text: &str) -> Result<Self, SymbolFault> {
        let symbol = Self::normalise(text)?;
        if symbol.as_str() == text {
            Ok(symbol)
        } else {
            Err(SymbolFault::NotNormalised)
        }
    }

    /// The normalised text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = &self.bytes[..usize::from(self.length)];
        core::str::from_utf8(bytes).expect("a symbol is ASCII by construction")
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn venues_names_become_one_form() {
        for (written, symbol) in [
            ("BTCUSDT", "BTCUSDT"),
            ("BTC/USDT", "BTCUSDT"),
            ("SKL-BTC", "SKLBTC"),
            ("ethusd", "ETHUSD"),
            ("ETHUSD_PERP", "ETHUSD_PERP"),
            ("UNI-USD-SWAP", "UNIUSDSWAP"),
            ("BTC-USD-220527", "BTCUSD220527"),
            ("BRK.B", "BRK.B"),
            ("BTC/USDT:USDT", "BTCUSDT:USDT"),
        ] {
            assert_eq!(Symbol::normalise(written).unwrap().as_str(), symbol);
        }
    }

    #[test]
    fn refuses_what_would_break_topics_and_texts() {
        for text in ["", "/", "-/-"] {
            assert_eq!(Symbol::normalise(text), Err(SymbolFault::Empty), "{text:?}");
        }
        for byte in (0..128_u8).filter(|b| !b.is_ascii_alphanumeric() && !b"_.:/-".contains(b)) {
            let text = [b'A', byte];
            let text = core::str::from_utf8(&text).unwrap();
            assert_eq!(Symbol::normalise(text), Err(SymbolFault::Byte(byte)));
        }
        assert_eq!(Symbol::normalise("é"), Err(SymbolFault::Byte(0xC3)));
    }

    #[test]
    fn length_counts_what_is_left() {
        let longest = "A".repeat(SYMBOL_BYTES_MAX);
        assert_eq!(
            Symbol::normalise(&(longest.clone() + "-/"))
                .unwrap()
                .as_str(),
            longest
        );
        assert_eq!(
            Symbol::normalise(&(longest + "A")),
            Err(SymbolFault::TooLong)
        );
    }

    #[test]
    fn only_the_normalised_form_parses() {
        assert_eq!(Symbol::parse("BTCUSDT"), Symbol::normalise("btc/usdt"));
        assert_eq!(Symbol::parse("btcusdt"), Err(SymbolFault::NotNormalised));
        assert_eq!(Symbol::parse("BTC-USDT"), Err(SymbolFault::NotNormalised));
    }
}
