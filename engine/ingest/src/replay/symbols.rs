//! The symbols of a recording, numbered as they come.

use super::SYMBOLS_MAX;
use super::row::LineFault;
use crate::refusal::Refusal;
use ringcast_codec::market::Symbol;
use std::collections::HashMap;

/// What the recording's texts stand for.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    numbers: HashMap<Box<str>, u32>,
    /// By number: how the recording writes it.
    texts: Vec<Box<str>>,
    symbols: HashMap<Symbol, u32>,
    /// Those that were numbered since [`Self::take_new`].
    new: Vec<Symbol>,
    /// The first two that came out the same.
    twice: Option<(Box<str>, Box<str>, Symbol)>,
}

impl Symbols {
    /// The number of a symbol as it stands in the recording.
    pub(super) fn number<'a>(&mut self, text: &'a str) -> Result<u32, LineFault<'a>> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(*number);
        }
        let symbol =
            Symbol::normalise(text).map_err(|_| LineFault::of_symbol(Refusal::Symbol, text))?;
        if let Some(&first) = self.symbols.get(&symbol) {
            let first = &self.texts[first as usize];
            self.twice
                .get_or_insert_with(|| (first.clone(), text.into(), symbol));
            return Err(LineFault::of_symbol(Refusal::SymbolTwice, text));
        }
        if self.texts.len() == SYMBOLS_MAX {
            return Err(LineFault::of_symbol(Refusal::SymbolsFull, text));
        }
        let number = self.texts.len() as u32;
        self.numbers.insert(text.into(), number);
        self.symbols.insert(symbol, number);
        self.texts.push(text.into());
        self.new.push(symbol);
        Ok(number)
    }

    /// Appends the symbols that were not taken yet, in the order of their numbers.
    pub(super) fn take_new(&mut self, symbols: &mut Vec<Symbol>) {
        symbols.append(&mut self.new);
    }

    /// The first two that came out the same: as they were written, and what they are.
    pub(super) fn twice(&self) -> Option<(&str, &str, Symbol)> {
        let (first, second, symbol) = self.twice.as_ref()?;
        Some((first, second, *symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_for_each_symbol() {
        let mut symbols = Symbols::default();
        assert_eq!(symbols.number("BTC/USDT"), Ok(0));
        assert_eq!(symbols.number("ethusd"), Ok(1));
        assert_eq!(symbols.number("BTC/USDT"), Ok(0));
        let refusal = |outcome: Result<u32, LineFault<'_>>| outcome.unwrap_err().refusal;
        assert_eq!(refusal(symbols.number("BTCUSDT")), Refusal::SymbolTwice);
        assert_eq!(refusal(symbols.number("btc-usdt")), Refusal::SymbolTwice);
        assert_eq!(refusal(symbols.number("a b")), Refusal::Symbol);
        assert_eq!(refusal(symbols.number("")), Refusal::Symbol);
        let (first, second, symbol) = symbols.twice().unwrap();
        assert_eq!(
            (first, second, symbol.as_str()),
            ("BTC/USDT", "BTCUSDT", "BTCUSDT")
        );
        let mut new = Vec::new();
        symbols.take_new(&mut new);
        assert_eq!(
            new.iter().map(Symbol::as_str).collect::<Vec<_>>(),
            ["BTCUSDT", "ETHUSD"]
        );
        symbols.take_new(&mut new);
        assert_eq!(new.len(), 2);
        for number in 2..SYMBOLS_MAX {
            assert_eq!(symbols.number(&format!("S{number}")), Ok(number as u32));
        }
        assert_eq!(refusal(symbols.number("ONE.MORE")), Refusal::SymbolsFull);
    }
}
