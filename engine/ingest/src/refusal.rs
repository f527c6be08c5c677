//! Why something that a feed brought is not in the ring.

/// A reason; each is counted, and told once for each source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A line that is too long to be a row.
    LineTooLong,
    /// A last line without an end: who wrote it died in the middle.
    LineCut,
    /// A line that is no text.
    Encoding,
    /// A row with more or fewer fields than its header.
    Columns,
    /// A time that is none, or is not in microseconds.
    Time,
    /// A row that is earlier than the one before.
    TimeBackwards,
    /// A row far later than the ones before and after it.
    TimeAhead,
    /// A symbol that is none.
    Symbol,
    /// A symbol that comes out the same as another one of the recording.
    SymbolTwice,
    /// More symbols than a recording may have.
    SymbolsFull,
    /// A side that is none.
    Side,
    /// A kind of depth message that is none.
    BookKind,
    /// An identifier that is too long, or no number where it has to be one.
    Identifier,
    /// A price or quantity that is no decimal.
    Decimal,
    /// More levels than one message may have.
    LevelsFull,
    /// A record larger than the ring can hold.
    TooLarge,
    /// A record of a producer's ring that is of another kind.
    RecordKind,
    /// A record that is no message.
    Record,
    /// A topic that can not be published to.
    Topic,
    /// A topic that begins with `$`.
    TopicReserved,
    /// Properties that no PUBLISH may have on its way to subscribers.
    Properties,
}

impl Refusal {
    /// All there are, in the order of their numbers.
    pub const ALL: [Self; 21] = [
        Self::LineTooLong,
        Self::LineCut,
        Self::Encoding,
        Self::Columns,
        Self::Time,
        Self::TimeBackwards,
        Self::TimeAhead,
        Self::Symbol,
        Self::SymbolTwice,
        Self::SymbolsFull,
        Self::Side,
        Self::BookKind,
        Self::Identifier,
        Self::Decimal,
        Self::LevelsFull,
        Self::TooLarge,
        Self::RecordKind,
        Self::Record,
        Self::Topic,
        Self::TopicReserved,
        Self::Properties,
    ];

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::LineCut => "line_cut",
            Self::Encoding => "encoding",
            Self::Columns => "columns",
            Self::Time => "time",
            Self::TimeBackwards => "time_backwards",
            Self::TimeAhead => "time_ahead",
            Self::Symbol => "symbol",
            Self::SymbolTwice => "symbol_twice",
            Self::SymbolsFull => "symbols_full",
            Self::Side => "side",
            Self::BookKind => "book_kind",
            Self::Identifier => "identifier",
            Self::Decimal => "decimal",
            Self::LevelsFull => "levels_full",
            Self::TooLarge => "too_large",
            Self::RecordKind => "record_kind",
            Self::Record => "record",
            Self::Topic => "topic",
            Self::TopicReserved => "topic_reserved",
            Self::Properties => "properties",
        }
    }
}

/// A count for each reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    pub(crate) fn of(&self, refusal: Refusal) -> u64 {
        self.0[refusal as usize]
    }

    pub(crate) fn add(&mut self, refusal: Refusal) {
        self.0[refusal as usize] += 1;
    }

    pub(crate) fn add_all(&mut self, others: &Self) {
        for (count, other) in self.0.iter_mut().zip(others.0) {
            *count += other;
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// The reasons that were told already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told(u32);

impl Told {
    /// Whether this one is told for the first time.
    pub(crate) fn is_new(&mut self, refusal: Refusal) -> bool {
        let bit = 1 << refusal as u32;
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_and_names_are_each_reasons_own() {
        let names: HashSet<_> = Refusal::ALL
            .iter()
            .map(|refusal| refusal.as_str())
            .collect();
        assert_eq!(names.len(), Refusal::ALL.len());
        let mut told = Told::default();
        let mut refusals = Refusals::default();
        for (number, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, number);
            assert!(told.is_new(refusal) && !told.is_new(refusal));
            refusals.add(refusal);
            assert_eq!(refusals.of(refusal), 1);
        }
        let others = refusals.clone();
        refusals.add_all(&others);
        assert_eq!(refusals.total(), 2 * Refusal::ALL.len() as u64);
    }
}
