//! The conformance pages against the statements of the standards, the tests
//! that there are, and the planted mutants.

use std::collections::BTreeMap;

use ringcast_docs_checks::conformance::{self, PAGES};
use ringcast_docs_checks::mutant::{self, Mutant};
use ringcast_docs_checks::{Defects, assert_none, read, root};

fn mutants() -> BTreeMap<String, Mutant> {
    let mutants = mutant::all(&root()).unwrap_or_else(|defects| {
        assert_none(&defects);
        unreachable!("mutants that can't be read have their defects");
    });
    mutants
        .into_iter()
        .map(|mutant| (mutant.id.clone(), mutant))
        .collect()
}

fn check(page: &str, files: &[&str]) -> Defects {
    let folder = root().join("docs/conformance");
    let texts: Vec<_> = files
        .iter()
        .map(|file| (file, read(&folder.join(format!("statements/{file}.tsv")))))
        .collect();
    let mut statements = Vec::new();
    for (file, text) in &texts {
        match conformance::statements(file, text) {
            Ok(more) => statements.extend(more),
            Err(defects) => return defects,
        }
    }
    let name = format!("{page}.md");
    let exists = |test: &mutant::TestName| test.exists(&root());
    conformance::check_page(
        &name,
        &read(&folder.join(&name)),
        &statements,
        &mutants(),
        exists,
    )
}

#[test]
fn every_statement_has_its_standing() {
    let defects: Defects = PAGES
        .iter()
        .flat_map(|(page, files)| check(page, files))
        .collect();
    assert_none(&defects);
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
