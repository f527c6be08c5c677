//! Sentences for the log, until somebody takes them.

/// The most that are kept; what comes then is counted only.
const REPORTS_MAX: usize = 64;

/// Reports, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    sentences: Vec<String>,
    dropped: u64,
}

impl Reports {
    pub(crate) fn push(&mut self, sentence: String) {
        if self.sentences.len() < REPORTS_MAX {
            self.sentences.push(sentence);
        } else {
            self.dropped += 1;
        }
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sentences)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_bounded() {
        let mut reports = Reports::default();
        for number in 0..REPORTS_MAX + 3 {
            reports.push(number.to_string());
        }
        assert_eq!(reports.dropped(), 3);
        let taken = reports.take();
        assert_eq!(taken.len(), REPORTS_MAX);
        assert_eq!(taken[0], "0");
        reports.push("again".into());
        assert_eq!(reports.take(), ["again"]);
    }
}
