//! Planted mutants: small defects, written down beside the test that must catch
//! each of them.
//!
//! A conformance row that names a test proves only that somebody gave it that
//! name. The mutant shows that the test would fail were the rule broken.
//! `src/bin/mutants.rs` plants them one after the other.

use std::iter::successors;
use std::path::{Path, PathBuf};

use crate::{Defects, files_below, read, table};

/// The header of a file of mutants.
pub const HEADER: [&str; 5] = ["id", "file", "before", "after", "test"];

/// One defect to plant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Its name, unique among all.
    pub id: String,
    /// The source file, relative to the root.
    pub file: String,
    /// The text that is there, exactly once.
    pub before: String,
    /// The text that breaks the rule.
    pub after: String,
    /// The test that must fail then.
    pub test: TestName,
}

impl Mutant {
    /// The source with this defect in it.
    ///
    /// # Errors
    /// When the source has moved on from what the mutant says.
    pub fn plant(&self, source: &str) -> Result<String, String> {
        let (id, file) = (&self.id, &self.file);
        match source.matches(&self.before).count() {
            _ if self.before.is_empty() || self.before == self.after => Err(format!(
                "{id}: `before` must be something, and `after` something else"
            )),
            1 => Ok(source.replacen(&self.before, &self.after, 1)),
            count => Err(format!(
                "{id}: `before` must occur once in {file}, and occurs {count} times: {:?}",
                self.before
            )),
        }
    }
}

/// The name of a test: `file::function` for one in `codec/tests`, a longer path
/// such as `mqtt::text::tests::function` for one in `codec/src`, and
/// `server/file::function` for one in `engine/server/tests`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TestName(String);

/// What the names of tests of the whole engine begin with.
const SERVER: &str = "server/";

impl TestName {
    /// Reads a name.
    ///
    /// # Errors
    /// A name without `::`.
    pub fn parse(name: &str) -> Result<Self, String> {
        if name.contains("::") {
            Ok(Self(name.to_owned()))
        } else {
            Err(format!(
                "{name}: a test is named file::function or module::tests::function"
            ))
        }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What cargo must be told to build this test's program.
    #[must_use]
    pub fn target(&self) -> Vec<&str> {
        match self.integration() {
            Some((file, _)) => match file.strip_prefix(SERVER) {
                Some(file) => vec!["-p", "ringcast", "--test", file],
                None => vec!["-p", "ringcast-codec", "--test", file],
            },
            None => vec!["-p", "ringcast-codec", "--lib"],
        }
    }

    /// The name by which that program knows it.
    #[must_use]
    pub fn within_target(&self) -> &str {
        self.integration().map_or(&self.0, |(_, function)| function)
    }

    /// Whether the workspace below `root` has a test of this name.
    #[must_use]
    pub fn exists(&self, root: &Path) -> bool {
        self.source(root).is_some_and(|file| {
            let function = self.0.rsplit("::").next().unwrap_or_default();
            test_functions(&read(&file)).contains(&function)
        })
    }

    /// The file that it is in: of a unit test that of the innermost module which
    /// has one.
    fn source(&self, root: &Path) -> Option<PathBuf> {
        let file = |path: &str| root.join(format!("codec/{path}.rs"));
        if let Some((name, _)) = self.integration() {
            let file = match name.strip_prefix(SERVER) {
                Some(name) => root.join(format!("engine/server/tests/{name}.rs")),
                None => file(&format!("tests/{name}")),
            };
            return Some(file).filter(|file| file.is_file());
        }
        let (modules, _) = self.0.rsplit_once("::")?;
        successors(Some(modules), |path| Some(path.rsplit_once("::")?.0))
            .map(|path| file(&format!("src/{}", path.replace("::", "/"))))
            .find(|file| file.is_file())
    }

    fn integration(&self) -> Option<(&str, &str)> {
        self.0
            .split_once("::")
            .filter(|(_, function)| !function.contains("::"))
    }
}

/// The names of the functions marked `#[test]`, those inside `proptest!` too.
fn test_functions(source: &str) -> Vec<&str> {
    source
        .split("#[test]")
        .skip(1)
        .filter_map(|after| {
            let name = after.split_once("fn ")?.1;
            name.split(|c: char| c != '_' && !c.is_alphanumeric())
                .next()
        })
        .collect()
}

/// All mutants of the workspace below `root`, from `docs/conformance/mutants`.
///
/// # Errors
/// Files that can't be read as such, and an `id` that is there twice.
pub fn all(root: &Path) -> Result<Vec<Mutant>, Defects> {
    let mut mutants: Vec<Mutant> = Vec::new();
    let mut defects = Defects::new();
    for path in files_below(&root.join("docs/conformance/mutants"), ".tsv") {
        match parse(&path.display().to_string(), &read(&path)) {
            Ok(more) => mutants.extend(more),
            Err(more) => defects.extend(more),
        }
    }
    let mut ids: Vec<_> = mutants.iter().map(|mutant| &mutant.id).collect();
    ids.sort();
    for pair in ids.windows(2).filter(|pair| pair[0] == pair[1]) {
        defects.push(format!("{}: two mutants have this id", pair[0]));
    }
    if defects.is_empty() {
        Ok(mutants)
    } else {
        Err(defects)
    }
}

fn parse(name: &str, text: &str) -> Result<Vec<Mutant>, Defects> {
    let mut defects = Defects::new();
    let mut mutants = Vec::new();
    for row in table::tab_separated(name, text, &HEADER)? {
        match TestName::parse(row[4]) {
            Ok(test) => mutants.push(Mutant {
                id: row[0].to_owned(),
                file: row[1].to_owned(),
                before: unescaped(row[2]),
                after: unescaped(row[3]),
                test,
            }),
            Err(defect) => defects.push(format!("{name}: {}: {defect}", row[0])),
        }
    }
    if defects.is_empty() {
        Ok(mutants)
    } else {
        Err(defects)
    }
}

/// `\n`, `\t` and `\\` stand for a line's end, a tab and a backslash.
fn unescaped(field: &str) -> String {
    let mut text = String::new();
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next().map(|escape| match escape {
                'n' => '\n',
                't' => '\t',
                other => other,
            })),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    fn mutant() -> Mutant {
        let text = "id\tfile\tbefore\tafter\ttest\nM-1\tcodec/src/x.rs\tif a {\\n\\tb\\\\\t{\\n\\tb\tx::refuses\n";
        parse("f", text).unwrap().remove(0)
    }

    #[test]
    fn escapes_stand_for_what_a_field_can_not_hold() {
        assert_eq!(mutant().before, "if a {\n\tb\\");
        assert_eq!(mutant().after, "{\n\tb");
    }

    #[test]
    fn a_mutant_is_planted_where_its_text_is() {
        assert_eq!(mutant().plant("x if a {\n\tb\\ y").unwrap(), "x {\n\tb y");
    }

    #[test]
    fn text_that_is_gone_or_there_twice_is_refused() {
        assert!(mutant().plant("x").unwrap_err().contains("occurs 0 times"));
        let twice = mutant().before.repeat(2);
        assert!(
            mutant()
                .plant(&twice)
                .unwrap_err()
                .contains("occurs 2 times")
        );
    }

    #[test]
    fn a_mutant_that_changes_nothing_is_refused() {
        let unchanged = Mutant {
            after: mutant().before,
            ..mutant()
        };
        assert!(unchanged.plant(&mutant().before).is_err());
        let empty = Mutant {
            before: String::new(),
            ..mutant()
        };
        assert!(empty.plant("").is_err());
    }

    #[test]
    fn a_test_is_named_by_its_path() {
        let integration = TestName::parse("packets::refuses").unwrap();
        assert_eq!(
            integration.target(),
            ["-p", "ringcast-codec", "--test", "packets"]
        );
        assert_eq!(integration.within_target(), "refuses");
        let unit = TestName::parse("mqtt::text::tests::refuses").unwrap();
        assert_eq!(unit.target(), ["-p", "ringcast-codec", "--lib"]);
        assert_eq!(unit.within_target(), "mqtt::text::tests::refuses");
        let server = TestName::parse("server/wills::come").unwrap();
        assert_eq!(server.target(), ["-p", "ringcast", "--test", "wills"]);
        assert_eq!(server.within_target(), "come");
        assert!(TestName::parse("refuses").is_err());
    }

    #[test]
    fn only_functions_marked_as_tests_are_tests() {
        let source = "fn helper() {}\n#[test]\n#[should_panic]\nfn one() {}\nfn other() {}\nproptest! {\n    #[test]\n    fn two_2(x in 0..9) {}\n}\n";
        assert_eq!(test_functions(source), ["one", "two_2"]);
    }

    #[test]
    fn a_test_exists_in_the_file_that_its_name_says() {
        let root = env::temp_dir().join(format!("ringcast-docs-checks-{}", process::id()));
        for folder in ["codec/src/mqtt", "codec/tests", "engine/server/tests"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in [
            "codec/src/mqtt/text.rs",
            "codec/src/mqtt.rs",
            "codec/tests/packets.rs",
            "engine/server/tests/wills.rs",
        ] {
            fs::write(
                root.join(file),
                "#[test]\nfn refuses() {}\nfn helper() {}\n",
            )
            .unwrap();
        }
        let exists = |name| TestName::parse(name).unwrap().exists(&root);
        for name in [
            "packets::refuses",
            "mqtt::text::tests::refuses",
            "mqtt::tests::refuses",
            "server/wills::refuses",
        ] {
            assert!(exists(name), "{name}");
        }
        for name in [
            "packets::helper",
            "wills::refuses",
            "server/packets::refuses",
            "mqtt::text::tests::accepts",
            "text::refuses",
            "other::tests::refuses",
        ] {
            assert!(!exists(name), "{name}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
