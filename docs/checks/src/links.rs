//! Links between the pages of the book, and its table of contents.
//!
//! Only relative targets are looked at, and of those the file, not the heading
//! after a `#`: other sites are not ours to test.

use std::path::{Path, PathBuf};

use crate::Defects;

/// The relative targets of a page's inline links, without what follows a `#`.
/// Code, fenced, indented or in backticks, holds no links.
#[must_use]
pub fn targets(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced || line.starts_with("    ") {
            continue;
        }
        for text in line.split('`').step_by(2) {
            for rest in text.split("](").skip(1) {
                let target = rest.split([')', ' ']).next().unwrap_or_default();
                let file = target.split('#').next().unwrap_or_default();
                if !file.is_empty() && !file.contains(':') {
                    found.push(file);
                }
            }
        }
    }
    found
}

/// Checks that every link of a page leads to something that `exists`.
pub fn check_targets(page: &Path, text: &str, exists: impl Fn(&Path) -> bool) -> Defects {
    let folder = page.parent().unwrap_or(Path::new(""));
    targets(text)
        .into_iter()
        .filter(|target| !exists(&folder.join(target)))
        .map(|target| format!("{}: the link to {target} leads nowhere", page.display()))
        .collect()
}

/// Checks that the table of contents lists every page. Paths are relative to
/// its own folder.
#[must_use]
pub fn check_summary(summary: &str, pages: &[PathBuf]) -> Defects {
    let listed = targets(summary);
    pages
        .iter()
        .filter(|page| {
            !listed
                .iter()
                .any(|target| Path::new(target) == page.as_path())
        })
        .map(|page| format!("SUMMARY.md does not list {}", page.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_relative_links_outside_code() {
        let page = "[a](one.md) and [b](two/three.md#part \"title\"), [c](https://x.y/z.md), [d](#here)\n`[e](code.md)`\n```\n[f](fenced.md)\n```\n    [g](indented.md)\n![h](four.svg)";
        assert_eq!(targets(page), ["one.md", "two/three.md", "four.svg"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named() {
        let exists = |path: &Path| path == Path::new("docs/part/../here.md");
        let page = Path::new("docs/part/page.md");
        assert!(check_targets(page, "[x](../here.md)", exists).is_empty());
        let defects = check_targets(page, "[x](../gone.md)", exists);
        assert_eq!(
            defects,
            ["docs/part/page.md: the link to ../gone.md leads nowhere"]
        );
    }

    #[test]
    fn a_page_that_is_not_listed_is_named() {
        let pages = [PathBuf::from("a.md"), PathBuf::from("b/c.md")];
        let defects = check_summary("- [A](a.md)\n", &pages);
        assert_eq!(defects, ["SUMMARY.md does not list b/c.md"]);
    }
}
