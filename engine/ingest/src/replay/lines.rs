//! The lines of a file, plain or gzip, on disk or in memory. No line is longer than it may
//! be, whatever the file holds.

use crate::settings::RecordingSource;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor};

/// The longest line, in bytes. A row has about a hundred.
pub(super) const LINE_BYTES_MAX: usize = 1024;

/// How a file of gzip begins.
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

const BUFFER_BYTES: usize = 64 * 1024;

/// Reads line after line.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end.
    Whole,
    /// What comes after the last end of a line.
    Cut,
    /// A line that is longer than it may be; its beginning.
    TooLong,
    /// Nothing: the file is over.
    End,
}

impl Lines {
    pub(super) fn open(source: &RecordingSource) -> io::Result<Self> {
        let mut input: Box<dyn BufRead + Send> = match source {
            RecordingSource::Bytes { bytes, .. } => Box::new(Cursor::new(*bytes)),
            RecordingSource::File(path) => {
                let file = File::open(path)?;
                // Anything else could keep the reader waiting for ever.
                if !file.metadata()?.is_file() {
                    return Err(io::Error::other("is no regular file"));
                }
                Box::new(BufReader::with_capacity(BUFFER_BYTES, file))
            }
        };
        // By what it holds, for a name may say anything.
        if input.fill_buf()?.starts_with(&GZIP_MAGIC) {
            let decoder = MultiGzDecoder::new(input);
            input = Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder));
        }
        Ok(Self { input })
    }

    /// Reads the next line into `line`, which it empties first.
    pub(super) fn read(&mut self, line: &mut Vec<u8>) -> io::Result<Line> {
        line.clear();
        let mut is_too_long = false;
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if buffer.is_empty() {
                return Ok(match line.is_empty() {
                    true => Line::End,
                    false => Line::Cut,
                });
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = LINE_BYTES_MAX - line.len();
            is_too_long |= part.len() > room;
            line.extend_from_slice(&part[..part.len().min(room)]);
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_none() {
                continue;
            }
            if is_too_long {
                return Ok(Line::TooLong);
            }
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(Line::Whole);
        }
    }
}

/// What it means that a file can not be read.
pub(crate) fn trouble(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the gzip stream ends too early".to_owned(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            format!("the gzip stream is corrupt ({error})")
        }
        _ => error.to_string(),
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lines").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn lines(bytes: Vec<u8>) -> Vec<(Line, String)> {
        let source = RecordingSource::Bytes {
            name: "test".into(),
            bytes: bytes.leak(),
        };
        let mut lines = Lines::open(&source).unwrap();
        let mut line = Vec::new();
        let mut all = Vec::new();
        loop {
            let what = lines.read(&mut line).unwrap();
            if what == Line::End {
                return all;
            }
            all.push((what, String::from_utf8(line.clone()).unwrap()));
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn lines_end_as_they_do_anywhere_and_are_bounded() {
        let longest = "x".repeat(LINE_BYTES_MAX);
        let text = format!("a,b\r\n\n{longest}\n{longest}y\n{longest}{longest}{longest}\nend");
        let expected = [
            (Line::Whole, "a,b"),
            (Line::Whole, ""),
            (Line::Whole, &longest),
            (Line::TooLong, &longest),
            (Line::TooLong, &longest),
            (Line::Cut, "end"),
        ]
        .map(|(line, text)| (line, text.to_owned()));
        assert_eq!(lines(text.clone().into_bytes()), expected);
        assert_eq!(lines(gzip(text.as_bytes())), expected);
        assert_eq!(lines(Vec::new()), []);
        // As `cat a.gz b.gz` makes it.
        let two = [gzip(b"one\nt"), gzip(b"wo\n")].concat();
        let expected = [(Line::Whole, "one".into()), (Line::Whole, "two".into())];
        assert_eq!(lines(two), expected);
    }
}
