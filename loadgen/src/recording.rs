//! Recorded market data, of which times, topics and sizes are taken.
//!
//! Files are CSV with a header, packed by gzip if their name ends in `.gz`. The first two
//! columns are `ts_us,symbol`; the third tells what it is:
//!
//! | third column | topic | one message is |
//! |---|---|---|
//! | `trade_id` | `market/{symbol}/trade` | a row |
//! | `seq` | `market/{symbol}/bbo` | a row |
//! | `kind` | `market/{symbol}/depth` | a run of rows of equal time, symbol, kind and `seq` |

use crate::stamp::LONG_BYTES_MIN;
use crate::topics::Listed;
use flate2::read::MultiGzDecoder;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// What was recorded, in the order of its times.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) names: Listed,
    pub(crate) events: Vec<Event>,
}

/// A message that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    /// Since the first one.
    pub(crate) micros: u64,
    pub(crate) topic: u32,
    /// With a long stamp in it at least.
    pub(crate) bytes: u32,
}

/// Why there is no recording.
#[derive(Debug)]
pub(crate) enum RecordingError {
    File(PathBuf, io::Error),
    Line { file: PathBuf, line: usize },
    Empty,
}

impl Recording {
    /// Reads all files, together.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, RecordingError> {
        let mut recording = Self::default();
        for file in files {
            recording.add(file)?;
        }
        recording.events.sort_by_key(|event| event.micros);
        let first = recording
            .events
            .first()
            .ok_or(RecordingError::Empty)?
            .micros;
        for event in &mut recording.events {
            event.micros -= first;
        }
        Ok(recording)
    }

    fn add(&mut self, path: &Path) -> Result<(), RecordingError> {
        let failed = |error| RecordingError::File(path.to_owned(), error);
        let file = File::open(path).map_err(failed)?;
        let text: Box<dyn Read> = match path.extension().is_some_and(|end| end == "gz") {
            true => Box::new(MultiGzDecoder::new(file)),
            false => Box::new(file),
        };
        self.add_lines(BufReader::new(text), path)
    }

    fn add_lines(&mut self, text: impl BufRead, path: &Path) -> Result<(), RecordingError> {
        let mut channel = "";
        // What the rows of one message have in common, and the message.
        let mut run = (String::new(), 0);
        for (number, line) in text.lines().enumerate() {
            let line = line.map_err(|error| RecordingError::File(path.to_owned(), error))?;
            let wrong = || RecordingError::Line {
                file: path.to_owned(),
                line: number + 1,
            };
            let mut fields = line.splitn(5, ',');
            let mut field = || fields.next().ok_or_else(wrong);
            let (time, symbol, third) = (field()?, field()?, field()?);
            if number == 0 {
                channel = channel_of(time, third).ok_or_else(wrong)?;
                continue;
            }
            let micros = time.parse().map_err(|_| wrong())?;
            let bytes = line.len() as u32;
            if channel == "depth" {
                let sequence = field()?;
                let common = &line[..time.len() + symbol.len() + third.len() + sequence.len() + 3];
                if run.0 == common {
                    let event: &mut Event = &mut self.events[run.1];
                    event.bytes += bytes + 1;
                    continue;
                }
                run = (common.to_owned(), self.events.len());
            }
            self.events.push(Event {
                micros,
                topic: self.names.number(&format!("market/{symbol}/{channel}")),
                bytes: bytes.max(LONG_BYTES_MIN as u32),
            });
        }
        Ok(())
    }
}

fn channel_of(first: &str, third: &str) -> Option<&'static str> {
    match (first, third) {
        ("ts_us", "trade_id") => Some("trade"),
        ("ts_us", "seq") => Some("bbo"),
        ("ts_us", "kind") => Some("depth"),
        _ => None,
    }
}

impl fmt::Display for RecordingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(
                formatter,
                "load.recording: {}: {error}; name files with --recording",
                path.display()
            ),
            Self::Empty => formatter.write_str("load.recording: there is no message in it"),
            Self::Line { file, line } => write!(
                formatter,
                "load.recording: {}:{line} is no row of trades, bbo or depth, which begin with \
                 ts_us,symbol and trade_id, seq or kind",
                file.display()
            ),
        }
    }
}

impl std::error::Error for RecordingError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Recording, RecordingError> {
        let mut recording = Recording::default();
        for text in texts {
            recording.add_lines(text.as_bytes(), Path::new("x.csv"))?;
        }
        Ok(recording)
    }

    #[test]
    fn rows_of_one_depth_message_are_one() {
        let depth = "ts_us,symbol,kind,seq,side,price,qty\n\
            5,B,snapshot,1,bid,1.0,2\n5,B,snapshot,1,ask,1.1,2\n5,B,update,1,bid,1,0\n5,E,update,1,bid,1,0\n";
        let recording = read(&[depth]).expect("it is one");
        let topics: Vec<_> = recording.events.iter().map(|event| event.topic).collect();
        assert_eq!(topics, [0, 0, 1]);
        assert_eq!(recording.events[0].bytes, 40 + 25);
    }

    #[test]
    fn what_is_no_recording_is_told_by_its_line() {
        let told = |text| read(&[text]).expect_err("it is none").to_string();
        assert!(told("a,b,c\n").contains("x.csv:1 "));
        assert!(told("ts_us,symbol,seq,x\n1,B,2,3\nx,B,2,3\n").contains("x.csv:3 "));
        let missing = Recording::read(&["/no/such/file".into()]).expect_err("it is not there");
        assert!(missing.to_string().contains("--recording"));
    }
}
