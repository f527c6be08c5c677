//! All files of a recording as one, on a thread that may wait for the disk.
//!
//! Messages of all files come by their time, those of the same time by their file's place.
//! When a recording repeats, times move on by its length and identifiers by their span, so
//! that neither runs backwards:
//!
//! ```text
//!   first            last
//!     ├───── pass 0 ───┤
//!                      ├───── pass 1 ───┤        its first row is when the last one was
//! ```

use super::chunk::{Chunk, End};
use super::file::{Notes, RecordingFile, Shared};
use super::symbols::Symbols;
use crate::error::FeedError;
use crate::refusal::Told;
use crate::settings::{RecordingSource, ReplaySettings};
use std::thread;

/// Lines of each file that are looked at before the start.
const LINES_CHECKED: u64 = 10_000;

/// A recording, being read.
#[derive(Debug)]
pub(super) struct Recording {
    sources: Vec<RecordingSource>,
    loops: bool,
    files: Vec<RecordingFile>,
    /// Of each file, in all passes.
    told: Vec<Told>,
    symbols: Symbols,
    notes: Notes,
    /// By symbol: the identifiers of trades and of depth.
    identifiers: Vec<[Identifiers; 2]>,
    pass: u64,
}

/// The identifiers of one topic.
#[derive(Debug, Clone, Copy, Default)]
struct Identifiers {
    /// Least and greatest of this pass, as they are recorded.
    span: Option<(u64, u64)>,
    shift: u64,
}

/// Where a pass is on the time that goes on over all of them.
#[derive(Debug, Clone, Copy)]
struct Timeline {
    /// Wrapping: what is added to a recorded time.
    shift: u64,
    first: u64,
    last: u64,
}

/// Nobody takes chunks any more.
pub(super) struct Gone;

/// The reader's end of the way to the ingest core.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) chunks: rtrb::Producer<Chunk>,
    /// What comes back empty.
    pub(super) spare: rtrb::Consumer<Chunk>,
}

impl Recording {
    /// Opens all files and reads their beginnings, so that what is wrong with them as a whole
    /// is known at the start.
    pub(super) fn open(settings: &ReplaySettings) -> Result<Self, FeedError> {
        let mut recording = Self::new(settings);
        recording.open_files(LINES_CHECKED)?;
        let mut has_rows = false;
        for file in 0..recording.files.len() {
            recording.notes = Notes::default();
            let mut has_messages = false;
            while recording.advance(file) {
                has_messages = true;
            }
            let name = recording.sources[file].name();
            if let Some((first, second, symbol)) = recording.symbols.twice() {
                let (first, second) = (first.to_owned(), second.to_owned());
                return Err(FeedError::Symbols {
                    first,
                    second,
                    symbol,
                });
            }
            has_rows |= has_messages;
            if !has_messages && let Some(report) = recording.notes.reports.first() {
                let report = report.clone();
                return Err(FeedError::Rows { name, report });
            }
        }
        if !has_rows {
            return Err(FeedError::NoRows);
        }
        // It begins anew, with nothing counted and nothing told.
        let mut recording = Self::new(settings);
        recording.open_files(u64::MAX)?;
        Ok(recording)
    }

    fn new(settings: &ReplaySettings) -> Self {
        Self {
            sources: settings.files.clone(),
            loops: settings.loops,
            files: Vec::new(),
            told: vec![Told::default(); settings.files.len()],
            symbols: Symbols::default(),
            notes: Notes::default(),
            identifiers: Vec::new(),
            pass: 0,
        }
    }

    fn open_files(&mut self, lines_max: u64) -> Result<(), FeedError> {
        let open = |source| RecordingFile::open(source, lines_max);
        self.files = self.sources.iter().map(open).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Reads the next message of a file; `false` if it has none any more.
    fn advance(&mut self, file: usize) -> bool {
        self.files[file].advance(&mut Shared {
            symbols: &mut self.symbols,
            notes: &mut self.notes,
            told: &mut self.told[file],
        })
    }

    /// Reads all of it, for ever if it loops, and sends it.
    pub(super) fn run(mut self, mut outlet: Outlet) -> Result<(), Gone> {
        let mut chunk = Chunk::default();
        let mut last_pass = None;
        let end = loop {
            let timeline = self.run_pass(last_pass, &mut chunk, &mut outlet)?;
            let broken = self.files.iter().find_map(RecordingFile::broken);
            if let Some(reason) = broken {
                break End::Failed(reason.to_owned());
            }
            if timeline.is_none() {
                break End::Failed("the recording has no row that can be replayed".to_owned());
            }
            if !self.loops {
                break End::Done;
            }
            // Its last messages, and what was refused, are of this pass.
            self.send(&mut chunk, &mut outlet)?;
            last_pass = timeline;
            self.pass += 1;
            for identifiers in self.identifiers.iter_mut().flatten() {
                identifiers.next_pass();
            }
            if let Err(error) = self.open_files(u64::MAX) {
                break End::Failed(format!("the recording can not be read again: {error}"));
            }
        };
        if let End::Failed(reason) = &end
            && !self.notes.reports.contains(reason)
        {
            self.notes.reports.push(reason.clone());
        }
        chunk.end = Some(end);
        self.send(&mut chunk, &mut outlet)
    }

    /// Reads all files once; returns when that was, if there was anything.
    fn run_pass(
        &mut self,
        last_pass: Option<Timeline>,
        chunk: &mut Chunk,
        outlet: &mut Outlet,
    ) -> Result<Option<Timeline>, Gone> {
        let mut timeline: Option<Timeline> = None;
        let mut with_message: Vec<usize> = (0..self.files.len()).collect();
        with_message.retain(|&file| self.advance(file));
        // The first of those that have the least time.
        while let Some(&file) = with_message
            .iter()
            .min_by_key(|&&file| self.files[file].micros())
        {
            let micros = self.files[file].micros();
            let timeline = timeline.get_or_insert_with(|| Timeline::begin(last_pass, micros));
            timeline.last = micros.wrapping_add(timeline.shift);
            self.append(file, timeline.last, chunk);
            if !self.advance(file) {
                with_message.retain(|&other| other != file);
            }
            if chunk.is_full() {
                self.send(chunk, outlet)?;
            }
        }
        Ok(timeline)
    }

    fn append(&mut self, file: usize, micros: u64, chunk: &mut Chunk) {
        let symbol = self.files[file].symbol() as usize;
        if symbol >= self.identifiers.len() {
            self.identifiers.resize(symbol + 1, Default::default());
        }
        let identifiers = &mut self.identifiers[symbol];
        self.files[file].append_to(chunk, micros, |is_depth, identifier| {
            identifiers[usize::from(is_depth)].shifted(identifier)
        });
    }

    /// Sends a chunk as soon as there is room, and takes an empty one.
    fn send(&mut self, chunk: &mut Chunk, outlet: &mut Outlet) -> Result<(), Gone> {
        chunk.pass = self.pass;
        let notes = std::mem::take(&mut self.notes);
        chunk.refused = notes.refused;
        chunk.reports = notes.reports;
        self.symbols.take_new(&mut chunk.symbols);
        let empty = outlet.spare.pop().unwrap_or_default();
        let mut full = std::mem::replace(chunk, empty);
        chunk.clear();
        while let Err(rtrb::PushError::Full(back)) = outlet.chunks.push(full) {
            if outlet.chunks.is_abandoned() {
                return Err(Gone);
            }
            full = back;
            // Whoever takes a chunk, or goes, unparks; if that was just before, this returns
            // at once.
            thread::park();
        }
        Ok(())
    }
}

impl Timeline {
    /// A pass whose first message is of this time, as it is recorded.
    fn begin(last_pass: Option<Self>, micros: u64) -> Self {
        let first = match last_pass {
            None => micros,
            // A pass of no length would be for ever at one time.
            Some(last_pass) => last_pass.last.max(last_pass.first + 1),
        };
        Self {
            shift: first.wrapping_sub(micros),
            first,
            last: first,
        }
    }
}

impl Identifiers {
    /// An identifier of this pass.
    fn shifted(&mut self, identifier: u64) -> u64 {
        let (least, greatest) = self.span.unwrap_or((identifier, identifier));
        self.span = Some((least.min(identifier), greatest.max(identifier)));
        identifier.saturating_add(self.shift)
    }

    fn next_pass(&mut self) {
        if let Some((least, greatest)) = self.span.take() {
            let span = (greatest - least).saturating_add(1);
            self.shift = self.shift.saturating_add(span);
        }
    }
}
