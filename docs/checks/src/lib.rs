//! ringcast-docs-checks: holds the documents to what the code is.
//!
//! Code and book make claims that a machine can check: which crate may use which
//! ([`imports`]), which test proves which statement of a standard
//! ([`conformance`]), which planted defect that test catches ([`mutant`]), which
//! rules of the referee prove something ([`referee`]),
//! which clauses the code obeys ([`clauses`]), why a dependency is there
//! ([`manifest`]), where a link leads ([`links`]).
//! Each check takes text and returns [`Defects`]; the tests of this crate bring
//! the texts of this workspace, the unit tests bring bad ones.
//!
//! It is not part of the product, and nothing in the workspace may use it.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

pub mod clauses;
pub mod conformance;
pub mod imports;
pub mod links;
pub mod manifest;
pub mod mutant;
pub mod referee;
pub mod table;

/// What is wrong and how to mend it, a sentence each, empty when all is well.
/// Sentences, because a person is the only one who does anything with them.
pub type Defects = Vec<String>;

/// The root folder of the workspace.
///
/// # Panics
/// When the folder that this crate was built in is gone.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace that this crate was built in")
}

/// The text of a file of the workspace.
///
/// # Panics
/// When it can't be read, with its path.
#[must_use]
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder whose name ends in `ending`, in a fixed order,
/// without what a build or a version control left there.
///
/// # Panics
/// When a folder can't be read, with its path.
#[must_use]
pub fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry of a readable folder").path())
        .collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files_below(&path, ending));
        } else if path.is_file() && name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// Fails a test with all that is wrong.
///
/// # Panics
/// When there is anything.
pub fn assert_none(defects: &[String]) {
    assert!(defects.is_empty(), "{}", shown(defects));
}

/// What was read, where a test can't go on without it.
///
/// # Panics
/// With all that is wrong, when it could not be read.
pub fn or_fail<T>(read: Result<T, Defects>) -> T {
    read.unwrap_or_else(|defects| panic!("{}", shown(&defects)))
}

fn shown(defects: &[String]) -> String {
    format!("{} to mend:\n- {}", defects.len(), defects.join("\n- "))
}
