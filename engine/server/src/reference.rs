//! The parts of the book that are made from the code, between two marks of a page.

use crate::metrics;
use crate::settings;
use std::fs;
use std::io;
use std::path::Path;

/// The line behind such a part.
const END: &str = "<!-- to here -->";

/// What can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The tables of all settings.
    Settings,
    /// The table of all metrics.
    Metrics,
}

impl Part {
    /// The part, in Markdown.
    pub(crate) fn text(self) -> String {
        let text = match self {
            Self::Settings => settings::reference(),
            Self::Metrics => metrics::reference(),
        };
        text.trim().to_owned()
    }

    /// The line before it, with the command that renews it.
    fn begin(self) -> &'static str {
        match self {
            Self::Settings => "<!-- from here: ringcast reference settings docs/settings.md -->",
            Self::Metrics => "<!-- from here: ringcast reference metrics docs/metrics.md -->",
        }
    }

    /// The page with this part as it should be; nothing, if it lacks the marks.
    fn renewed(self, page: &str) -> Option<String> {
        let begin = self.begin();
        let (before, rest) = page.split_once(begin)?;
        let (_, after) = rest.split_once(END)?;
        let text = self.text();
        Some(format!("{before}{begin}\n\n{text}\n\n{END}{after}"))
    }

    /// Renews the page in a file.
    ///
    /// # Errors
    /// If it can't be read or written, or lacks the marks.
    pub(crate) fn renew(self, path: &Path) -> io::Result<()> {
        let page = fs::read_to_string(path)?;
        let marks = || {
            let begin = self.begin();
            io::Error::other(format!("it has no lines {begin} and {END}"))
        };
        fs::write(path, self.renewed(&page).ok_or_else(marks)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_is_new(part: Part, page: &str) {
        let renewed = part.renewed(page).expect("the page has the marks");
        let mut lines = page.lines().zip(renewed.lines());
        let other = lines.find(|(is, should)| is != should);
        let mend = part.begin().trim_start_matches("<!-- from here: ringcast");
        let mend = mend.trim_end_matches(" -->");
        assert!(
            page == renewed,
            "{other:?}: `cargo run -p ringcast --{mend}` mends it"
        );
    }

    #[test]
    fn the_book_has_the_schema() {
        assert_is_new(Part::Settings, include_str!("../../../docs/settings.md"));
    }

    #[test]
    fn the_book_has_every_metric() {
        assert_is_new(Part::Metrics, include_str!("../../../docs/metrics.md"));
    }
}
