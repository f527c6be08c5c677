//! The book's chapters on the host against the program.

use crate::machine::intel_64;
use ringcast_tune::item;
use ringcast_tune::plan::Plan;
use std::fs;
use std::path::Path;

fn chapter(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_plan_for_sixty_four_cores_is_the_one_in_the_book() {
    let machine = intel_64();
    let plan = Plan::make(&machine.topology(), &machine.target)
        .unwrap()
        .to_string();
    assert!(
        chapter("pinning.md").contains(&plan),
        "docs/pinning.md has another plan than:\n{plan}"
    );
}

#[test]
fn every_item_is_in_the_book() {
    let chapter = chapter("tuning.md");
    let missing: Vec<_> = item::all()
        .filter(|item| !chapter.contains(&format!("`{}`", item.name)))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/tuning.md says nothing of {missing:?}"
    );
}
