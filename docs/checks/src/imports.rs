//! The import graph: the table in the architecture chapter against the crates
//! that there are.
//!
//! A crate may use only crates that stand above it in the table, so the graph
//! is one-way by construction. What tests use on top of that has its own column
//! and may point anywhere: cargo builds no tests of a crate that is only used.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Defects, table};

/// The header of the table.
pub const HEADER: [&str; 5] = ["folder", "crate", "may use", "its tests also", "unsafe"];

/// One row: what a crate may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where it lives, relative to the root.
    pub folder: String,
    /// Its name.
    pub name: String,
    /// The crates of this workspace that it may use.
    pub uses: BTreeSet<String>,
    /// The crates of this workspace that only its tests may use besides.
    pub tests_use: BTreeSet<String>,
    /// Whether it may contain `unsafe`.
    pub may_be_unsafe: bool,
}

/// One crate as it is.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// Where it lives, relative to the root.
    pub folder: String,
    /// Its name.
    pub name: String,
    /// The crates of this workspace that it uses, build scripts included.
    pub uses: BTreeSet<String>,
    /// Those that its tests, benches and examples use.
    pub tests_use: BTreeSet<String>,
    /// The text of each library's or binary's root module.
    pub crate_roots: Vec<String>,
}

/// Reads the table of the architecture chapter. Crates are named there without
/// `ringcast-` where they are used; `all above` stands for just that.
///
/// # Errors
/// A table that can't be read, a crate used above its own row or unknown.
pub fn rules(page: &str) -> Result<Vec<Rule>, Defects> {
    let name = "architecture.md";
    let rows = table::markdown(name, page, &HEADER)?;
    let plain = |cell: &String| cell.replace('`', "");
    let all: BTreeSet<_> = rows.iter().map(|row| plain(&row[1])).collect();
    let mut defects = Defects::new();
    let mut above = BTreeSet::new();
    let mut rules = Vec::new();
    for row in &rows {
        let own = plain(&row[1]);
        let rule = Rule {
            folder: plain(&row[0]).trim_end_matches('/').to_owned(),
            uses: names(&plain(&row[2]), &above),
            tests_use: names(&plain(&row[3]), &above),
            may_be_unsafe: match row[4].as_str() {
                "allowed" => true,
                "forbidden" => false,
                other => {
                    defects.push(format!(
                        "{name}: {own}: unsafe is allowed or forbidden, not {other:?}"
                    ));
                    false
                }
            },
            name: own,
        };
        for used in rule.uses.difference(&above) {
            defects.push(format!(
                "{name}: {} may use only crates above it, and {used} is not",
                rule.name
            ));
        }
        for used in rule.tests_use.difference(&all) {
            defects.push(format!(
                "{name}: the tests of {} use {used}, which has no row",
                rule.name
            ));
        }
        if !above.insert(rule.name.clone()) {
            defects.push(format!("{name}: {} has two rows", rule.name));
        }
        rules.push(rule);
    }
    if defects.is_empty() {
        Ok(rules)
    } else {
        Err(defects)
    }
}

fn names(cell: &str, above: &BTreeSet<String>) -> BTreeSet<String> {
    match cell {
        "" | "nothing" => BTreeSet::new(),
        "all above" => above.clone(),
        list => list
            .split(',')
            .map(|name| format!("ringcast-{}", name.trim()))
            .collect(),
    }
}

/// Checks every crate against its row.
#[must_use]
pub fn check(rules: &[Rule], packages: &[Package]) -> Defects {
    let rules: BTreeMap<_, _> = rules.iter().map(|rule| (&rule.name, rule)).collect();
    let mut defects = Defects::new();
    for package in packages {
        let name = &package.name;
        let Some(rule) = rules.get(name) else {
            defects.push(format!(
                "{name} has no row in the table of docs/architecture.md"
            ));
            continue;
        };
        if package.folder != rule.folder {
            defects.push(format!(
                "{name} lives in {}, its row says {}",
                package.folder, rule.folder
            ));
        }
        for used in package.uses.difference(&rule.uses) {
            defects.push(format!("{name} uses {used}, which its row does not allow"));
        }
        for used in &package.tests_use {
            if !rule.uses.contains(used) && !rule.tests_use.contains(used) {
                defects.push(format!(
                    "the tests of {name} use {used}, which its row does not allow"
                ));
            }
        }
        let forbids = |text: &String| text.lines().any(|line| line == "#![forbid(unsafe_code)]");
        if !rule.may_be_unsafe && !package.crate_roots.iter().all(forbids) {
            defects.push(format!(
                "{name}: each root module must say #![forbid(unsafe_code)], on a line of its own"
            ));
        }
    }
    defects
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
| folder | crate | may use | its tests also | unsafe |
|---|---|---|---|---|
| `codec/` | `ringcast-codec` | nothing | referee | forbidden |
| `ring/` | `ringcast-ring` | | | allowed |
| `shard/` | `ringcast-shard` | codec, ring | | forbidden |
| `referee/` | `ringcast-referee` | nothing | | forbidden |
| `benches/` | `ringcast-benches` | all above | | allowed |
";

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn shard() -> Package {
        Package {
            folder: "shard".to_owned(),
            name: "ringcast-shard".to_owned(),
            uses: set(&["ringcast-codec"]),
            tests_use: set(&["ringcast-ring"]),
            crate_roots: vec!["//! Text.\n#![forbid(unsafe_code)]\n".to_owned()],
        }
    }

    #[test]
    fn the_table_is_read() {
        let rules = rules(PAGE).unwrap();
        assert_eq!(rules[0].tests_use, set(&["ringcast-referee"]));
        assert_eq!(rules[2].folder, "shard");
        assert_eq!(rules[2].uses, set(&["ringcast-codec", "ringcast-ring"]));
        assert_eq!(rules[4].uses.len(), 4);
        assert!(rules[4].may_be_unsafe && !rules[3].may_be_unsafe);
        assert!(check(&rules, &[shard()]).is_empty());
    }

    #[test]
    fn a_rule_that_points_back_is_named() {
        let page = PAGE.replace(
            "| `ring/` | `ringcast-ring` | |",
            "| `ring/` | `ringcast-ring` | shard |",
        );
        assert!(rules(&page).unwrap_err()[0].contains("only crates above it"));
    }

    #[test]
    fn a_misspelt_row_is_named() {
        for (right, wrong, says) in [
            ("referee | forbidden", "judge | forbidden", "has no row"),
            ("| | allowed", "| | maybe", "allowed or forbidden"),
            ("`ringcast-referee`", "`ringcast-ring`", "two rows"),
        ] {
            let defects = rules(&PAGE.replacen(right, wrong, 1)).unwrap_err();
            assert!(
                defects.iter().any(|defect| defect.contains(says)),
                "{defects:?}"
            );
        }
    }

    #[test]
    fn each_step_over_the_line_is_named() {
        let rules = rules(PAGE).unwrap();
        type Change = fn(&mut Package);
        let changes: [(Change, &str); 6] = [
            (
                |package| package.name = "ringcast-new".to_owned(),
                "has no row",
            ),
            (
                |package| package.folder = "engine/shard".to_owned(),
                "its row says shard",
            ),
            (
                |package| package.uses = set(&["ringcast-referee"]),
                "uses ringcast-referee",
            ),
            (
                |package| package.tests_use = set(&["ringcast-benches"]),
                "the tests of",
            ),
            (
                |package| package.crate_roots.push(String::new()),
                "forbid(unsafe_code)",
            ),
            (
                |package| package.crate_roots[0] = "// #![forbid(unsafe_code)]".to_owned(),
                "forbid(",
            ),
        ];
        for (change, says) in changes {
            let mut package = shard();
            change(&mut package);
            let defects = check(&rules, &[package]);
            assert_eq!(defects.len(), 1, "{defects:?}");
            assert!(defects[0].contains(says), "{defects:?}");
        }
    }
}
