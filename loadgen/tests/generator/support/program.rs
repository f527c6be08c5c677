//! `ringcast-loadgen` as a process of its own.

use super::{PATIENCE, Process, folder, wait_until};
use ringcast_loadgen::report;
use ringcast_loadgen::results::Results;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    folder: PathBuf,
}

/// A run that goes on.
#[derive(Debug)]
pub(crate) struct Running {
    process: Process,
    folder: PathBuf,
}

/// The program with these words.
pub(crate) fn loadgen(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringcast-loadgen"));
    command.args(words.split_whitespace()).stdin(Stdio::null());
    command
}

/// A run with these words, and without what takes time and is looked at elsewhere.
pub(crate) fn start(words: &str) -> Running {
    let folder = folder();
    let open = |name: &str| std::fs::File::create(folder.join(name)).expect("a file");
    let child = loadgen(&format!("{words} --no-floor --out"))
        .arg(folder.join("results"))
        .stdout(open("stdout"))
        .stderr(open("stderr"))
        .spawn()
        .expect("the program is there");
    Running {
        process: Process(child),
        folder,
    }
}

/// The same, to its end.
pub(crate) fn run(words: &str) -> Outcome {
    start(words).wait()
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// What it has said on standard error so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.join("stderr")).expect("it was made")
    }

    /// Until it has said this on standard error.
    pub(crate) fn wait_for(&mut self, says: &str) {
        wait_until(says, || {
            let has_ended = self
                .process
                .0
                .try_wait()
                .expect("it is our child")
                .is_some();
            let said = self.stderr();
            assert!(!has_ended || said.contains(says), "it ended: {said}");
            said.contains(says)
        });
    }

    pub(crate) fn wait(mut self) -> Outcome {
        let mut code = None;
        let began = std::time::Instant::now();
        wait_until("it ends", || {
            assert!(began.elapsed() < PATIENCE, "{}", self.stderr());
            let status = self.process.0.try_wait().expect("it is our child");
            code = status.and_then(|status| status.code());
            status.is_some()
        });
        let read =
            |name: &str| std::fs::read_to_string(self.folder.join(name)).expect("it was made");
        Outcome {
            code,
            stdout: read("stdout"),
            stderr: read("stderr"),
            folder: self.folder.clone(),
        }
    }
}

impl Outcome {
    /// What it wrote for other programs.
    pub(crate) fn results(&self) -> Results {
        let file = self.folder.join("results/results.json");
        report::read(&file).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its results, all of which have to be right.
    pub(crate) fn right(&self) -> Results {
        let results = self.results();
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        assert_eq!(results.correctness.violations(), 0, "{}", self.stdout);
        assert!(results.early_ends.is_empty(), "{}", self.stdout);
        // No second is lost, nor counted twice.
        let delivered: u64 = results.seconds.iter().map(|second| second.delivered).sum();
        let published: u64 = results.seconds.iter().map(|second| second.published).sum();
        assert_eq!(delivered, results.totals.delivered);
        assert_eq!(published, results.totals.published);
        results
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
