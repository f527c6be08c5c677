//! What is written about the rules is what the code has.

use std::path::Path;

use ringcast_referee::Rule;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_table_of_rules_is_the_codes() {
    let text = read("../../docs/referee.md");
    let found: Vec<_> = text
        .lines()
        .skip_while(|line| *line != "| rule | clause | what it says |")
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let expected: Vec<_> = Rule::ALL
        .iter()
        .map(|rule| format!("| `{rule}` | {} | {} |", rule.clause(), rule.sentence()))
        .collect();
    assert!(
        found == expected,
        "the table must be:\n{}",
        expected.join("\n")
    );
}

#[test]
fn every_clause_exists() {
    let statements = read("../../docs/conformance/statements/mqtt5.tsv");
    for rule in Rule::ALL {
        let clause = rule.clause();
        let found = statements
            .lines()
            .any(|line| line.split('\t').next() == Some(clause));
        assert!(found || clause == "ringcast", "{rule}: {clause}");
    }
}

/// Names are what files of occasions and conformance tables hold on to.
#[test]
fn names_lead_back_to_rules() {
    for rule in Rule::ALL {
        assert_eq!(Rule::named(rule.name()), Some(*rule));
    }
}

#[test]
fn every_mutant_can_be_planted_and_has_its_test() {
    let cases = read("tests/verdicts.rs");
    for line in read("mutants.tsv").lines().skip(1) {
        let columns: Vec<_> = line.split('\t').collect();
        let [id, file, before, after, test] = columns[..] else {
            panic!("five columns: {line}");
        };
        let (before, after) = (before.replace("\\n", "\n"), after.replace("\\n", "\n"));
        assert_ne!(before, after, "{id}");
        let source = read(&format!("../../{file}"));
        assert_eq!(source.matches(&before).count(), 1, "{id}");
        assert!(cases.contains(&format!("    {test}: ")), "{id}: {test}");
    }
}
