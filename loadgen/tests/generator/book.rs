//! The book's scenarios are scenarios, and its presets are those that there are.

use crate::support::program::loadgen;
use ringcast_loadgen::scenario::Scenario;

const PAGE: &str = include_str!("../../../docs/loadgen.md");

/// Blocks of that kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let fence = format!("```{kind}\n");
    let begun = PAGE.split(&fence).skip(1);
    begun
        .map(|rest| rest.split("```").next().unwrap_or(rest))
        .collect()
}

#[test]
fn its_scenarios_can_be_run() {
    let blocks = blocks("toml");
    assert_eq!(blocks.len(), 2);
    for block in &blocks {
        let scenario =
            Scenario::from_toml(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
        assert_eq!(scenario.check(), Ok(()));
    }
    assert_eq!(blocks[0], Scenario::default().to_toml(), "the one in full");
}

#[test]
fn its_presets_are_those_that_there_are() {
    let output = loadgen("presets").output().expect("the program is there");
    let listed = String::from_utf8(output.stdout).expect("it is text");
    let names: Vec<_> = listed
        .lines()
        .filter(|line| !line.starts_with(' '))
        .collect();
    let (_, section) = PAGE.split_once("## Presets").expect("there is a section");
    let rows = section.split("\n## ").next().unwrap_or(section).lines();
    let told: Vec<_> = rows
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(told, names);
    for name in names {
        let output = loadgen(&format!("presets {name}"))
            .output()
            .expect("the program is there");
        let text = String::from_utf8(output.stdout).expect("it is text");
        assert!(Scenario::from_toml(&text).is_ok(), "{name}");
    }
}
