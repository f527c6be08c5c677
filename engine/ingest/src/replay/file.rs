//! One file of a recording as messages: rows in order, those of one depth message together.
//!
//! A row that can not be taken is refused, and the rest goes on without it. Times may not go
//! back, and a single wrong one may not make all rows after it wrong: a row far ahead of the
//! one before is believed only if the row after it agrees.

use super::LEVELS_MAX;
use super::chunk::{Chunk, What};
use super::lines::{Line, Lines, trouble};
use super::row::{Excerpt, Field, Form, LevelFields, LineFault, Row, RowData};
use super::symbols::Symbols;
use crate::error::FeedError;
use crate::refusal::{Refusal, Refusals, Told};
use crate::settings::RecordingSource;
use ringcast_codec::market::{BookKind, Side};

/// A row that is so far ahead of the one before is looked at twice: a day.
const LEAP_MICROS: u64 = 86_400_000_000;

/// One file, being read.
#[derive(Debug)]
pub(super) struct RecordingFile {
    name: String,
    form: Form,
    lines: Lines,
    lines_max: u64,
    /// Of the line that was read last.
    number: u64,
    /// The row that comes next, taken out of the lines but not yet part of a message.
    next: Held,
    /// The row behind it, where it had to be looked at.
    ahead: Held,
    /// When the last row was that is to be believed.
    last_micros: Option<u64>,
    /// Nothing more comes.
    end: Option<FileEnd>,
    message: Message,
}

/// A row that was read and not used yet.
#[derive(Debug, Default)]
struct Held {
    line: Vec<u8>,
    number: u64,
    /// With the number of its symbol.
    row: Option<(u32, Row)>,
}

/// How a file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FileEnd {
    /// With the end of a line.
    Whole,
    /// In the middle of a line.
    Cut,
    /// It can not be read further.
    Broken(String),
}

/// A message, its texts behind one another.
#[derive(Debug, Default)]
struct Message {
    is_there: bool,
    symbol: u32,
    micros: u64,
    what: Option<WhatText>,
    text: Vec<u8>,
    bids: Vec<LevelFields>,
    asks: Vec<LevelFields>,
}

/// What a message is, with the place of its text in those of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum WhatText {
    Trade { side: Side, id: Field },
    Bbo,
    Depth { kind: BookKind, update: Option<u64> },
}

/// What was refused, until the next chunk takes it along.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) refused: Refusals,
    pub(super) reports: Vec<String>,
}

/// What a file's reader shares with those of the other files.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) symbols: &'a mut Symbols,
    pub(super) notes: &'a mut Notes,
    /// What was told of this file.
    pub(super) told: &'a mut Told,
}

impl RecordingSource {
    /// What it is called in reports.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Bytes { name, .. } => name.clone(),
        }
    }
}

impl RecordingFile {
    /// Opens a file, of which no more than so many lines are read, and looks at its header.
    pub(super) fn open(source: &RecordingSource, lines_max: u64) -> Result<Self, FeedError> {
        let name = source.name();
        let unreadable = |error| FeedError::Unreadable {
            name: source.name(),
            error,
        };
        let mut lines = Lines::open(source).map_err(unreadable)?;
        let mut line = Vec::new();
        let what = lines.read(&mut line).map_err(unreadable)?;
        if what == Line::End {
            return Err(FeedError::Empty { name });
        }
        let form = match Form::of_header(&line) {
            Some(form) if what != Line::TooLong => form,
            _ => {
                let line = Excerpt(&line).to_string();
                return Err(FeedError::Header { name, line });
            }
        };
        Ok(Self {
            name,
            form,
            lines,
            lines_max,
            number: 1,
            next: Held::default(),
            ahead: Held::default(),
            last_micros: None,
            end: None,
            message: Message::default(),
        })
    }

    /// Reads until a message is whole; `false` if there is none any more.
    pub(super) fn advance(&mut self, shared: &mut Shared<'_>) -> bool {
        self.message.clear();
        loop {
            if !self.load(shared) {
                // What the file broke off in is not known to be whole.
                if self.end != Some(FileEnd::Whole) && self.message.is_depth() {
                    self.message.clear();
                }
                return self.message.is_there;
            }
            let Some((symbol, row)) = &self.next.row else {
                return self.message.is_there;
            };
            if self.message.is_there && !self.message.goes_on_with(*symbol, row) {
                return true;
            }
            if let Err(fault) = self.message.add(*symbol, row, &self.next.line) {
                note(&self.name, self.next.number, fault, shared);
            }
            self.next.row = None;
            if self.form != Form::Depth {
                return true;
            }
        }
    }

    /// When the message was, which [`Self::advance`] found.
    pub(super) fn micros(&self) -> u64 {
        self.message.micros
    }

    /// Which symbol it is about.
    pub(super) fn symbol(&self) -> u32 {
        self.message.symbol
    }

    /// Why the file can not be read further, if it can't.
    pub(super) fn broken(&self) -> Option<&str> {
        match &self.end {
            Some(FileEnd::Broken(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Appends the message, at this time. `shift` moves its identifier, if that is a number.
    pub(super) fn append_to(
        &self,
        chunk: &mut Chunk,
        micros: u64,
        shift: impl FnOnce(bool, u64) -> u64,
    ) {
        let message = &self.message;
        let Some(what) = &message.what else {
            return;
        };
        let what = match what {
            WhatText::Bbo => What::Bbo,
            WhatText::Depth { kind, update } => What::Depth {
                kind: *kind,
                update: update.map(|update| shift(true, update)),
            },
            WhatText::Trade { side, id } => {
                let text = message.text(id);
                let id = match canonical_number(text) {
                    _ if text.is_empty() => None,
                    Some(number) => {
                        let mut digits = itoa::Buffer::new();
                        Some(chunk.push_text(digits.format(shift(false, number))))
                    }
                    None => Some(chunk.push_text(text)),
                };
                What::Trade { side: *side, id }
            }
        };
        let texts =
            |level: &LevelFields| [message.text(&level.price), message.text(&level.quantity)];
        let bids = message.bids.iter().map(texts);
        let asks = message.asks.iter().map(texts);
        chunk.push(message.symbol, micros, what, bids, asks);
    }

    /// Makes sure that `next` has a row; `false` if there is none any more.
    fn load(&mut self, shared: &mut Shared<'_>) -> bool {
        while self.next.row.is_none() {
            if self.ahead.row.is_some() {
                std::mem::swap(&mut self.next, &mut self.ahead);
            } else if !self.read_row(false, shared) {
                return false;
            }
            let Some(micros) = self.next.row.as_ref().map(|(_, row)| row.micros) else {
                continue;
            };
            let leaps = match self.last_micros {
                Some(last) if micros < last => {
                    self.refuse_next(Refusal::TimeBackwards, shared);
                    continue;
                }
                Some(last) => micros - last > LEAP_MICROS,
                None => true,
            };
            if leaps && !self.is_believed(micros, shared) {
                self.refuse_next(Refusal::TimeAhead, shared);
                continue;
            }
            self.last_micros = Some(micros);
        }
        true
    }

    /// Whether the row after one that leaps to this time agrees with it.
    fn is_believed(&mut self, micros: u64, shared: &mut Shared<'_>) -> bool {
        self.read_row(true, shared);
        match &self.ahead.row {
            Some((_, ahead)) => micros.saturating_sub(ahead.micros) <= LEAP_MICROS,
            // The only row of a file has nobody to agree with it.
            None => self.last_micros.is_none(),
        }
    }

    fn refuse_next(&mut self, refusal: Refusal, shared: &mut Shared<'_>) {
        let fault = LineFault::of_line(refusal, &self.next.line);
        note(&self.name, self.next.number, fault, shared);
        self.next.row = None;
    }

    /// Reads lines until one is a row; `false` if none is any more.
    fn read_row(&mut self, is_ahead: bool, shared: &mut Shared<'_>) -> bool {
        let held = match is_ahead {
            true => &mut self.ahead,
            false => &mut self.next,
        };
        held.row = None;
        while self.end.is_none() {
            if self.number >= self.lines_max {
                self.end = Some(FileEnd::Whole);
                break;
            }
            let line = match self.lines.read(&mut held.line) {
                Ok(line) => line,
                Err(error) => {
                    let reason = format!(
                        "{} can not be read further than line {}: {}",
                        self.name,
                        self.number,
                        trouble(&error)
                    );
                    shared.notes.reports.push(reason.clone());
                    self.end = Some(FileEnd::Broken(reason));
                    break;
                }
            };
            self.number += u64::from(line != Line::End);
            let fault = match line {
                Line::End => {
                    self.end = Some(FileEnd::Whole);
                    break;
                }
                Line::Whole if held.line.is_empty() => continue,
                Line::Whole => match parse(self.form, &held.line, shared.symbols) {
                    Ok(row) => {
                        held.number = self.number;
                        held.row = Some(row);
                        return true;
                    }
                    Err(fault) => fault,
                },
                Line::Cut => {
                    self.end = Some(FileEnd::Cut);
                    LineFault::of_line(Refusal::LineCut, &held.line)
                }
                Line::TooLong => LineFault::of_line(Refusal::LineTooLong, &held.line),
            };
            note(&self.name, self.number, fault, shared);
        }
        false
    }
}

/// Counts a line that is refused, and tells of the first of its kind.
fn note(name: &str, number: u64, fault: LineFault<'_>, shared: &mut Shared<'_>) {
    shared.notes.refused.add(fault.refusal);
    if shared.told.is_new(fault.refusal) {
        let report = format!("{name}, line {number}: {fault}");
        shared.notes.reports.push(report);
    }
}

/// The number that a text is, if no other text is that number.
fn canonical_number(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| is_canonical)
}

impl Message {
    fn clear(&mut self) {
        self.is_there = false;
        self.what = None;
        self.text.clear();
        self.bids.clear();
        self.asks.clear();
    }

    fn is_depth(&self) -> bool {
        matches!(self.what, Some(WhatText::Depth { .. }))
    }

    fn text(&self, field: &Field) -> &str {
        std::str::from_utf8(&self.text[field.clone()]).expect("was checked with its row")
    }

    /// Whether a row is one more level of the message, which is one of depth.
    fn goes_on_with(&self, symbol: u32, row: &Row) -> bool {
        let RowData::Depth { kind, update, .. } = row.data else {
            return false;
        };
        row.micros == self.micros
            && symbol == self.symbol
            && self.what == Some(WhatText::Depth { kind, update })
    }

    /// Takes a row in: all of the message, or one level of it.
    fn add<'l>(&mut self, symbol: u32, row: &Row, line: &'l [u8]) -> Result<(), LineFault<'l>> {
        if self.bids.len() + self.asks.len() >= LEVELS_MAX {
            return Err(LineFault::of_line(Refusal::LevelsFull, line));
        }
        let text = &mut self.text;
        let mut moved = |field: &Field| {
            let at = text.len();
            text.extend_from_slice(&line[field.clone()]);
            at..text.len()
        };
        let mut moved_level = |level: &LevelFields| LevelFields {
            price: moved(&level.price),
            quantity: moved(&level.quantity),
        };
        let what = match &row.data {
            RowData::Trade { id, side, level } => {
                self.bids.push(moved_level(level));
                WhatText::Trade {
                    side: *side,
                    id: moved(id),
                }
            }
            RowData::Bbo { bid, ask } => {
                self.bids.push(moved_level(bid));
                self.asks.push(moved_level(ask));
                WhatText::Bbo
            }
            RowData::Depth {
                kind,
                update,
                is_bid,
                level,
            } => {
                let side = match is_bid {
                    true => &mut self.bids,
                    false => &mut self.asks,
                };
                side.push(moved_level(level));
                WhatText::Depth {
                    kind: *kind,
                    update: *update,
                }
            }
        };
        self.is_there = true;
        self.symbol = symbol;
        self.micros = row.micros;
        self.what = Some(what);
        Ok(())
    }
}

/// The row of a line, and the number of its symbol.
fn parse<'l>(
    form: Form,
    line: &'l [u8],
    symbols: &mut Symbols,
) -> Result<(u32, Row), LineFault<'l>> {
    let row = form.parse(line)?;
    let symbol = std::str::from_utf8(&line[row.symbol.clone()]).expect("was checked with its row");
    Ok((symbols.number(symbol)?, row))
}
