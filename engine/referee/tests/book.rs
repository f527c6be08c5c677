//! The book's table of rules is the code's.

use std::path::Path;

use ringcast_referee::Rule;

#[test]
fn the_table_of_rules_is_the_codes() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/referee.md");
    let text = std::fs::read_to_string(&page).expect("the book's page");
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
