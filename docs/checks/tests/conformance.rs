//! The conformance pages against the statements of the standards, the tests
//! that there are, and the planted mutants.

use std::collections::BTreeMap;

use ringcast_docs_checks::conformance::Proofs;
use ringcast_docs_checks::mutant::{self, Mutant};
use ringcast_docs_checks::{
    Defects, assert_none, clauses, conformance, files_below, or_fail, read, referee, root,
};

fn mutants() -> BTreeMap<String, Mutant> {
    let mutants = or_fail(mutant::all(&root())).into_iter();
    mutants.map(|mutant| (mutant.id.clone(), mutant)).collect()
}

/// Holds a page to the statements of these files. The same id means different
/// things in different versions of MQTT, so a page knows its own files only.
fn assert_complete(page: &str, files: &[&str]) {
    let folder = root().join("docs/conformance");
    let texts: Vec<_> = files
        .iter()
        .map(|file| (file, read(&folder.join(format!("statements/{file}.tsv")))))
        .collect();
    let mut statements = Vec::new();
    for (file, text) in &texts {
        statements.extend(or_fail(conformance::statements(file, text)));
    }
    let proofs = Proofs {
        mutants: &mutants(),
        rules: &or_fail(referee::rules(
            &read(&root().join("docs/referee.md")),
            &read(&root().join("engine/referee/mutants.tsv")),
            &read(&root().join("test")),
        )),
        exists: &|test| test.exists(&root()),
    };
    let text = read(&folder.join(page));
    assert_none(&conformance::check_page(page, &text, &statements, &proofs));
}

#[test]
fn mqtt_3_1_is_complete() {
    assert_complete("mqtt31.md", &["mqtt31"]);
}

#[test]
fn mqtt_3_1_1_is_complete() {
    assert_complete("mqtt311.md", &["mqtt311"]);
}

#[test]
fn mqtt_5_is_complete() {
    assert_complete("mqtt5.md", &["mqtt5", "mqtt5-unnumbered"]);
}

#[test]
fn websocket_is_complete() {
    assert_complete("rfc6455.md", &["rfc6455"]);
}

#[test]
fn websocket_compression_is_complete() {
    assert_complete("rfc7692.md", &["rfc7692"]);
}

#[test]
fn every_mutant_can_be_planted() {
    let defects: Defects = mutants()
        .values()
        .filter_map(|mutant| {
            let path = root().join(&mutant.file);
            if path.is_file() {
                mutant.plant(&read(&path)).err()
            } else {
                Some(format!("{}: there is no file {}", mutant.id, mutant.file))
            }
        })
        .collect();
    assert_none(&defects);
}

#[test]
fn every_mutant_has_its_test() {
    let defects: Defects = mutants()
        .values()
        .filter(|mutant| !mutant.test.exists(&root()))
        .map(|mutant| format!("{}: there is no test {}", mutant.id, mutant.test.as_str()))
        .collect();
    assert_none(&defects);
}

#[test]
fn every_clause_that_the_code_obeys_exists() {
    let mut found = 0;
    for (word, file) in clauses::STANDARDS {
        let path = root().join(format!("docs/conformance/statements/{file}.tsv"));
        let text = read(&path);
        let statements = or_fail(conformance::statements(file, &text));
        let ids = statements.iter().map(|[id, ..]| *id).collect();
        for path in files_below(&root().join("codec/src"), ".rs") {
            let source = read(&path);
            found += source.matches(&format!("[{word}-")).count();
            let name = path
                .strip_prefix(root())
                .unwrap_or(&path)
                .display()
                .to_string();
            assert_none(&clauses::check(&name, &source, word, &ids));
        }
    }
    assert!(found > 0, "the codec names the clauses that it obeys");
}
