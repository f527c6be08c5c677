//! The book's links and its table of contents.

use std::path::{Path, PathBuf};

use ringcast_docs_checks::{assert_none, files_below, links, read, root};

fn pages() -> Vec<PathBuf> {
    files_below(&root().join("docs"), ".md")
}

#[test]
fn every_link_leads_somewhere() {
    let defects: Vec<_> = pages()
        .into_iter()
        .chain([root().join("README.md")])
        .flat_map(|page| links::check_targets(&page, &read(&page), Path::exists))
        .collect();
    assert_none(&defects);
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let docs = root().join("docs");
    let pages: Vec<_> = pages()
        .iter()
        .filter_map(|page| page.strip_prefix(&docs).ok())
        .filter(|page| *page != Path::new("SUMMARY.md"))
        .map(Path::to_path_buf)
        .collect();
    assert_none(&links::check_summary(
        &read(&docs.join("SUMMARY.md")),
        &pages,
    ));
}
