//! The referee's rules as proofs: a rule proves something if breaking it is noticed by
//! the referee's own tests, and if every run of all tests has an occasion for it.

use std::collections::BTreeSet;

use crate::{Defects, table};

/// The header of the table of rules in the referee's chapter.
const HEADER: [&str; 3] = ["rule", "clause", "what it says"];

/// The rules that prove something: those of the chapter that have a mutant, and that
/// the script which runs all tests does not except from their occasion.
///
/// # Errors
/// A chapter without its table, or a file of mutants that can't be read as such.
pub fn rules(chapter: &str, mutants: &str, script: &str) -> Result<BTreeSet<String>, Defects> {
    let rows = table::markdown("docs/referee.md", chapter, &HEADER)?;
    let header = ["id", "file", "before", "after", "test"];
    let mutants = table::tab_separated("engine/referee/mutants.tsv", mutants, &header)?;
    let excepted: BTreeSet<_> = script
        .split("--except ")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next())
        .collect();
    let names = rows.iter().map(|row| row[0].trim_matches('`'));
    let names = names.filter(|name| {
        let has_mutant = mutants.iter().any(|mutant| {
            let more = mutant[0].strip_prefix(name);
            more.is_some_and(|more| more.is_empty() || more.starts_with('-'))
        });
        has_mutant && !excepted.contains(name)
    });
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_needs_a_mutant_and_its_occasion() {
        let chapter = "| rule | clause | what it says |\n|---|---|---|\n\
            | `order` | M-1 | One. |\n| `once` | M-2 | Two. |\n| `qos` | M-3 | Three. |\n";
        let mutants = "id\tfile\tbefore\tafter\ttest\n\
            order-early\tf\ta\tb\tt\nqos\tf\ta\tb\tt\n";
        let proving = rules(chapter, mutants, "x --except qos\n").unwrap();
        assert_eq!(proving, BTreeSet::from(["order".to_owned()]));
    }
}
