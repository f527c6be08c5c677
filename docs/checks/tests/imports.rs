//! The crates of this workspace against the architecture chapter's table, and
//! their manifests against the rules for dependencies.

use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, TargetKind};
use ringcast_docs_checks::imports::{self, Package};
use ringcast_docs_checks::{assert_none, files_below, manifest, or_fail, read, root};

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo knows its workspace")
}

fn package(package: &cargo_metadata::Package) -> Package {
    let uses = |of_tests: bool| {
        package
            .dependencies
            .iter()
            .filter(|used| used.path.is_some())
            .filter(|used| (used.kind == DependencyKind::Development) == of_tests)
            .map(|used| used.name.clone())
            .collect()
    };
    let folder = package
        .manifest_path
        .parent()
        .expect("a manifest has a folder");
    Package {
        folder: folder
            .strip_prefix(root())
            .expect("a crate of the workspace is inside it")
            .to_string(),
        name: package.name.to_string(),
        uses: uses(false),
        tests_use: uses(true),
        crate_roots: package
            .targets
            .iter()
            .filter(|target| target.is_kind(TargetKind::Lib) || target.is_kind(TargetKind::Bin))
            .map(|target| read(target.src_path.as_std_path()))
            .collect(),
    }
}

#[test]
fn crates_use_only_what_the_architecture_allows() {
    let rules = or_fail(imports::rules(&read(&root().join("docs/architecture.md"))));
    let packages: Vec<_> = metadata().packages.iter().map(package).collect();
    assert!(
        packages
            .iter()
            .any(|package| package.name == "ringcast-codec")
    );
    assert_none(&imports::check(&rules, &packages));
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let defects: Vec<_> = files_below(&root(), "Cargo.toml")
        .iter()
        .flat_map(|path| manifest::check(&shown(path), &read(path)))
        .collect();
    assert_none(&defects);
}

#[test]
fn the_codec_knows_no_operating_system() {
    let source = read(&root().join("codec/src/lib.rs"));
    assert!(
        source.lines().any(|line| line == "#![no_std]"),
        "codec/src/lib.rs must say #![no_std], whatever the features"
    );
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}
