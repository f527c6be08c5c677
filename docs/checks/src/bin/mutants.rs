//! Plants the mutants of `docs/conformance/mutants`, one at a time, in a copy of
//! the workspace, and runs the one test that must catch each.
//!
//!     cargo run -p ringcast-docs-checks --bin mutants              all of them
//!     cargo run -p ringcast-docs-checks --bin mutants WS- M-UTF8   those whose id begins so
//!
//! A mutant is killed when its test ran and failed. One that does not compile
//! proves nothing and counts as a failure here. The copy stays in
//! `target/mutants`, so that the next run builds only what changed.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::{env, fs};

use ringcast_docs_checks::mutant::{self, Mutant, TestName};
use ringcast_docs_checks::{read, root};

/// The first build of the copy builds all that the engine is made of.
const BUILD_SECONDS_MAX: &str = "3600";

const TEST_SECONDS_MAX: &str = "300";

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Killed,
    Survived,
    DoesNotCompile,
    DoesNotRun,
}

fn main() -> ExitCode {
    let prefixes: Vec<String> = env::args().skip(1).collect();
    let wanted = |mutant: &Mutant| {
        prefixes.is_empty()
            || prefixes
                .iter()
                .any(|prefix| mutant.id.starts_with(prefix.as_str()))
    };
    let mut mutants = match mutant::all(&root()) {
        Ok(mutants) => mutants,
        Err(defects) => {
            eprintln!("{}", defects.join("\n"));
            return ExitCode::FAILURE;
        }
    };
    mutants.retain(wanted);
    if mutants.is_empty() {
        eprintln!("no mutant's id begins with {}", prefixes.join(" or "));
        return ExitCode::FAILURE;
    }

    let copy = Copy::of(&root());
    let tests: BTreeSet<_> = mutants.iter().map(|mutant| &mutant.test).collect();
    for test in tests {
        let fate = copy.fate_by(test);
        if fate != Fate::Survived {
            eprintln!(
                "{} must pass while nothing is planted: {fate:?}",
                test.as_str()
            );
            return ExitCode::FAILURE;
        }
    }
    let mut failures = 0;
    for mutant in &mutants {
        let (line, killed) = match copy.fate(mutant) {
            Ok(fate) => (format!("{fate:?}"), fate == Fate::Killed),
            Err(defect) => (defect, false),
        };
        failures += usize::from(!killed);
        println!("{:<32} {:<16} {}", mutant.id, line, mutant.test.as_str());
    }
    println!(
        "{} mutants, {} killed, {failures} not",
        mutants.len(),
        mutants.len() - failures
    );
    ExitCode::from(u8::from(failures > 0))
}

/// The workspace again, where it can be broken.
struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Copies what version control knows or would take, touching only files
    /// that differ, for cargo goes by their times.
    fn of(root: &Path) -> Self {
        let target = root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()));
        let copy = Self {
            tree: target.join("mutants/tree"),
            target: target.join("mutants/target"),
        };
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .expect("git lists the files of the workspace");
        assert!(listed.status.success(), "git ls-files failed");
        for file in String::from_utf8_lossy(&listed.stdout).lines() {
            let Ok(content) = fs::read(root.join(file)) else {
                continue; // Deleted, but not yet from version control.
            };
            let path = copy.tree.join(file);
            if fs::read(&path).ok().as_ref() != Some(&content) {
                fs::create_dir_all(path.parent().expect("a file has a folder"))
                    .and_then(|()| fs::write(&path, content))
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
        copy
    }

    /// Plants one mutant, looks, and takes it out again.
    fn fate(&self, mutant: &Mutant) -> Result<Fate, String> {
        let path = self.tree.join(&mutant.file);
        let sound = read(&path);
        fs::write(&path, mutant.plant(&sound)?).map_err(|error| error.to_string())?;
        let fate = self.fate_by(&mutant.test);
        fs::write(&path, sound).map_err(|error| error.to_string())?;
        Ok(fate)
    }

    /// What this test has to say of the copy as it stands.
    fn fate_by(&self, test: &TestName) -> Fate {
        let build = self.cargo_test(BUILD_SECONDS_MAX, test, &["--no-run"]);
        if !build.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&build.stderr));
            return Fate::DoesNotCompile;
        }
        let exact = ["--", "--exact", test.within_target()];
        let run = self.cargo_test(TEST_SECONDS_MAX, test, &exact);
        // Said before the test begins, so a test that takes its process down has run, too.
        if !String::from_utf8_lossy(&run.stdout).contains("\nrunning 1 test\n") {
            Fate::DoesNotRun
        } else if run.status.success() {
            Fate::Survived
        } else {
            Fate::Killed
        }
    }

    /// What does not end within so many seconds has failed, too.
    fn cargo_test(&self, seconds_max: &str, test: &TestName, arguments: &[&str]) -> Output {
        Command::new("timeout")
            .args([seconds_max, env!("CARGO"), "test"])
            .args(test.target())
            .args(arguments)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .output()
            .expect("cargo runs")
    }
}
