//! The clauses that source code says it obeys: each must be one that the standard
//! has.

use crate::Defects;
use std::collections::BTreeSet;

/// The standards by the word that a clause begins with in source code, and the file
/// of their statements. 3.1.1 and 5 number alike, so 3.1.1's clauses are written
/// `MQTT3-…` and stand in its file as `MQTT-…`.
pub const STANDARDS: [(&str, &str); 4] = [
    ("MQTT3", "mqtt311"),
    ("MQTT", "mqtt5"),
    ("RFC6455", "rfc6455"),
    ("RFC7692", "rfc7692"),
];

/// Each clause of that word in the text that is not among the statements.
#[must_use]
pub fn check(name: &str, text: &str, word: &str, statements: &BTreeSet<&str>) -> Defects {
    let written_in_file = word.trim_end_matches('3');
    let mut defects = Defects::new();
    for (index, line) in text.lines().enumerate() {
        for number in numbers(line, word) {
            if !statements.contains(format!("{written_in_file}-{number}").as_str()) {
                defects.push(format!("{name}:{}: there is no {word}-{number}", index + 1));
            }
        }
    }
    defects
}

/// What stands behind `word-` in the line: `3.1.2-24` and the like.
fn numbers<'l>(line: &'l str, word: &str) -> impl Iterator<Item = &'l str> {
    let parts: Vec<_> = line.split(&format!("{word}-")).collect();
    // A word within a longer one is another word.
    let begins = |before: &str| !before.ends_with(|last: char| last.is_alphanumeric());
    let found: Vec<_> = parts
        .windows(2)
        .filter(|pair| begins(pair[0]))
        .map(|pair| {
            let belongs = |letter: char| letter.is_ascii_digit() || ".-".contains(letter);
            let end = pair[1].find(|letter| !belongs(letter));
            pair[1][..end.unwrap_or(pair[1].len())].trim_end_matches(['.', '-'])
        })
        .filter(|number| !number.is_empty())
        .collect();
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: &str, word: &str) -> Defects {
        let statements = ["MQTT-3.1.2-24", "RFC6455-5.1-3"].into();
        check("a.rs", line, word, &statements)
    }

    #[test]
    fn clauses_that_exist_are_fine() {
        assert!(wrong("// [MQTT-3.1.2-24], and so on", "MQTT").is_empty());
        assert!(wrong("/// as MQTT3-3.1.2-24.", "MQTT3").is_empty());
        assert!(wrong("`[RFC6455-5.1-3]`", "RFC6455").is_empty());
        assert!(wrong("X-MQTT-9 of NOMQTT-9, MQTT5-9", "MQTT3").is_empty());
    }

    #[test]
    fn a_clause_that_does_not_exist_is_named() {
        let line = "x\n// [MQTT-3.1.2-24] [MQTT-3.1.2-99]";
        assert_eq!(wrong(line, "MQTT"), ["a.rs:2: there is no MQTT-3.1.2-99"]);
        assert_eq!(
            wrong("[MQTT3-1.1-1]", "MQTT3"),
            ["a.rs:1: there is no MQTT3-1.1-1"]
        );
        assert!(wrong("[MQTT3-1.1-1]", "MQTT").is_empty());
    }
}
