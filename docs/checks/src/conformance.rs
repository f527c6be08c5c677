//! The conformance pages: every normative statement of a standard, and what
//! becomes of it here.
//!
//! The statements are in `docs/conformance/statements`, the pages beside it. A
//! page has each statement exactly once, in its own words, with its
//! [`Standing`]; a proof names tests, and mutants that those tests kill, or rules
//! of the [referee](crate::referee).

use std::collections::{BTreeMap, BTreeSet};

use crate::mutant::{Mutant, TestName};
use crate::{Defects, table};

/// The header of a page's tables. For all but the proved, the last column has
/// the reason.
pub const HEADER: [&str; 5] = ["statement", "side", "what it says", "standing", "proof"];

/// The header of a file of statements.
pub const STATEMENT_HEADER: [&str; 5] = ["id", "side", "level", "section title", "paraphrase"];

/// What becomes of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Tests of this workspace prove it.
    Proved,
    /// Needs a connection, a session or a broker around the bytes.
    SessionLevel,
    /// Needs the WebSocket gateway.
    GatewayLevel,
    /// Binds clients, and a server can't see whether they keep it.
    ClientSide,
    /// Says nothing that ringcast could keep or break.
    NotApplicable,
}

impl Standing {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "proved" => Self::Proved,
            "session-level" => Self::SessionLevel,
            "gateway-level" => Self::GatewayLevel,
            "client-side" => Self::ClientSide,
            "not applicable" => Self::NotApplicable,
            _ => return None,
        })
    }
}

/// One statement: its identifier, who bears the duty, and what it says.
pub type Statement<'t> = [&'t str; 3];

/// The statements of a file.
///
/// # Errors
/// A file that can't be read as such.
pub fn statements<'t>(name: &str, text: &'t str) -> Result<Vec<Statement<'t>>, Defects> {
    let rows = table::tab_separated(name, text, &STATEMENT_HEADER)?;
    Ok(rows.iter().map(|row| [row[0], row[1], row[4]]).collect())
}

/// What proofs may name.
pub struct Proofs<'p> {
    /// Planted mutants by their id.
    pub mutants: &'p BTreeMap<String, Mutant>,
    /// Rules of the referee that prove something.
    pub rules: &'p BTreeSet<String>,
    /// Whether there is such a test.
    pub exists: &'p dyn Fn(&TestName) -> bool,
}

/// Checks one page against its statements.
pub fn check_page(
    name: &str,
    page: &str,
    statements: &[Statement<'_>],
    proofs: &Proofs<'_>,
) -> Defects {
    let rows = match table::markdown(name, page, &HEADER) {
        Ok(rows) => rows,
        Err(defects) => return defects,
    };
    let mut defects = Defects::new();
    for statement @ [id, side, paraphrase] in statements {
        let own: Vec<_> = rows.iter().filter(|row| row[0] == *id).collect();
        match own[..] {
            [row] if row[..3] == statement[..] => {}
            [_] => defects.push(format!(
                "{name}: {id}: its row must begin: | {id} | {side} | {paraphrase} |"
            )),
            _ => defects.push(format!(
                "{name}: {id} must have one row, and has {}",
                own.len()
            )),
        }
    }
    for row in &rows {
        let [id, _, _, standing, proof] = &row[..] else {
            continue;
        };
        if !statements.iter().any(|statement| statement[0] == id) {
            defects.push(format!("{name}: {id} is not among the statements"));
        }
        let faults = match Standing::parse(standing) {
            None => vec![format!("there is no standing {standing:?}")],
            Some(Standing::Proved) => check_proof(proof, proofs),
            Some(_) if proof.is_empty() => vec![format!("{standing} needs a reason")],
            Some(_) => vec![],
        };
        defects.extend(faults.iter().map(|fault| format!("{name}: {id}: {fault}")));
    }
    defects
}

/// Checks a proof, "`file::function` kills `MUTANT`" or "rule `name`", several joined
/// by "; ".
fn check_proof(proof: &str, proofs: &Proofs<'_>) -> Defects {
    let check_part = |part: &str| {
        if let Some(rule) = part.strip_prefix("rule ") {
            let name = rule.trim_matches('`');
            return match proofs.rules.contains(name) {
                true => Ok(()),
                false => Err(format!(
                    "{rule} is no rule of the referee that has a mutant and its occasion in every run"
                )),
            };
        }
        let (test, mutant) = part
            .strip_prefix('`')
            .and_then(|part| part.strip_suffix('`'))
            .and_then(|part| part.split_once("` kills `"))
            .ok_or(format!(
                "a proof reads `file::function` kills `MUTANT`, or rule `name`, not {part:?}"
            ))?;
        let test = TestName::parse(test)?;
        if !(proofs.exists)(&test) {
            return Err(format!("there is no test {}", test.as_str()));
        }
        match proofs.mutants.get(mutant) {
            None => Err(format!("there is no mutant {mutant}")),
            Some(known) if known.test != test => Err(format!(
                "{mutant} is to be killed by {}",
                known.test.as_str()
            )),
            Some(_) => Ok(()),
        }
    };
    proof
        .split("; ")
        .filter_map(|part| check_part(part).err())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATEMENTS: [Statement<'_>; 3] = [
        ["S-1", "both", "One | two."],
        ["S-2", "client", "Two."],
        ["S-3", "server", "Three."],
    ];
    const PAGE: &str = "\
# Page

| statement | side | what it says | standing | proof |
|---|---|---|---|---|
| S-1 | both | One \\| two. | proved | `packets::one` kills `M-1`; `packets::two` kills `M-2` |
| S-2 | client | Two. | client-side | Nobody sees it. |

| statement | side | what it says | standing | proof |
|---|---|---|---|---|
| S-3 | server | Three. | proved | `packets::two` kills `M-2`; rule `order` |
";

    fn check(page: &str) -> Defects {
        let mutants = [("M-1", "packets::one"), ("M-2", "packets::two")].map(|(id, test)| {
            let mutant = Mutant {
                id: id.to_owned(),
                file: String::new(),
                before: String::new(),
                after: String::new(),
                test: TestName::parse(test).unwrap(),
            };
            (id.to_owned(), mutant)
        });
        let proofs = Proofs {
            mutants: &BTreeMap::from(mutants),
            rules: &BTreeSet::from(["order".to_owned()]),
            exists: &|test| ["packets::one", "packets::two"].contains(&test.as_str()),
        };
        check_page("p", page, &STATEMENTS, &proofs)
    }

    #[test]
    fn a_complete_page_passes() {
        assert_eq!(check(PAGE), Defects::new());
    }

    #[test]
    fn each_gap_is_named() {
        for (right, wrong, says) in [
            (
                "| S-2 | client | Two. | client-side | Nobody sees it. |\n",
                "",
                "S-2 must have one row, and has 0",
            ),
            ("| S-2 |", "| S-1 |", "S-1 must have one row, and has 2"),
            ("| S-2 |", "| S-9 |", "S-9 is not among the statements"),
            (
                "Two.",
                "Too.",
                "S-2: its row must begin: | S-2 | client | Two. |",
            ),
            ("client-side", "fine", "S-2: there is no standing \"fine\""),
            ("Nobody sees it.", "", "S-2: client-side needs a reason"),
            (
                "`packets::one` kills `M-1`; ",
                "PENDING; ",
                "S-1: a proof reads",
            ),
            (
                "`packets::one`",
                "`packets::three`",
                "S-1: there is no test packets::three",
            ),
            ("`M-1`", "`M-3`", "S-1: there is no mutant M-3"),
            (
                "`order`",
                "`ordure`",
                "S-3: `ordure` is no rule of the referee",
            ),
            ("`M-1`", "`M-2`", "S-1: M-2 is to be killed by packets::two"),
        ] {
            let defects = check(&PAGE.replacen(right, wrong, 1));
            assert!(
                defects.iter().any(|defect| defect.contains(says)),
                "{says}: {defects:?}"
            );
        }
    }

    #[test]
    fn statements_are_read_from_their_file() {
        let text = "id\tside\tlevel\tsection title\tparaphrase\nS-1\tboth\tcodec\tT\tOne.\n";
        assert_eq!(statements("f", text), Ok(vec![["S-1", "both", "One."]]));
    }
}
