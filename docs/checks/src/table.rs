//! Tables as the documents have them: Markdown's, and tab-separated files.

use crate::Defects;

/// The rows of a tab-separated file, which opens with exactly `header`.
///
/// # Errors
/// Another header, and each line with another number of fields.
pub fn tab_separated<'t>(
    name: &str,
    text: &'t str,
    header: &[&str],
) -> Result<Vec<Vec<&'t str>>, Defects> {
    let mut lines = text.lines().enumerate();
    if lines.next().map(|(_, line)| line) != Some(&header.join("\t")) {
        return Err(vec![format!(
            "{name}: the first line must be, between tabs: {}",
            header.join(" ")
        )]);
    }
    let mut defects = Defects::new();
    let mut rows = Vec::new();
    for (index, line) in lines {
        let row: Vec<_> = line.split('\t').collect();
        if row.len() == header.len() {
            rows.push(row);
        } else {
            defects.push(format!(
                "{name}:{}: {} fields between tabs, not {}",
                index + 1,
                row.len(),
                header.len()
            ));
        }
    }
    if defects.is_empty() {
        Ok(rows)
    } else {
        Err(defects)
    }
}

/// The rows of all of a Markdown page's tables that have exactly `header`.
///
/// # Errors
/// Each row with another number of cells; and a page without such a table.
pub fn markdown(name: &str, page: &str, header: &[&str]) -> Result<Vec<Vec<String>>, Defects> {
    let mut defects = Defects::new();
    let mut rows = Vec::new();
    let mut tables = 0;
    let mut inside = false;
    for (index, line) in page.lines().enumerate() {
        let Some(row) = cells(line) else {
            inside = false;
            continue;
        };
        if row == header {
            inside = true;
            tables += 1;
        } else if inside && row.len() != header.len() {
            defects.push(format!(
                "{name}:{}: {} cells, not {}; a | inside a cell is written \\|",
                index + 1,
                row.len(),
                header.len()
            ));
        } else if inside && !row.iter().all(|cell| cell.starts_with("--")) {
            rows.push(row);
        }
    }
    if tables == 0 {
        defects.push(format!(
            "{name}: no table with the header {}",
            header.join(" | ")
        ));
    }
    if defects.is_empty() {
        Ok(rows)
    } else {
        Err(defects)
    }
}

/// The trimmed cells of a table's line, none when it isn't one.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let mut cells = vec![String::new()];
    let mut characters = inner.chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut()?;
        match character {
            '\\' if characters.peek() == Some(&'|') => cell.extend(characters.next()),
            '|' => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    Some(cells.iter().map(|cell| cell.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tab_separated_file_gives_its_rows() {
        let rows = tab_separated("f", "a\tb\n1\t2\n3\t\n", &["a", "b"]);
        assert_eq!(rows, Ok(vec![vec!["1", "2"], vec!["3", ""]]));
    }

    #[test]
    fn a_wrong_header_and_a_wrong_line_are_named() {
        assert!(tab_separated("f", "a\tc\n", &["a", "b"]).unwrap_err()[0].contains("a b"));
        let defects = tab_separated("f", "a\tb\n1\t2\n3\n", &["a", "b"]).unwrap_err();
        assert_eq!(defects, ["f:3: 1 fields between tabs, not 2"]);
    }

    #[test]
    fn markdown_gives_the_rows_of_every_table_with_the_header() {
        let page = "text\n\n| a | b |\n|---|---|\n| 1 | x \\| y |\n\n| c |\n|---|\n| 9 |\n\n| a | b |\n|---|---|\n| 2 | z |\n";
        let rows = markdown("p", page, &["a", "b"]).unwrap();
        assert_eq!(rows, [["1", "x | y"], ["2", "z"]]);
    }

    #[test]
    fn a_row_with_a_cell_too_many_and_a_missing_table_are_named() {
        let page = "| a | b |\n|---|---|\n| 1 | x | y |\n";
        assert!(markdown("p", page, &["a", "b"]).unwrap_err()[0].starts_with("p:3: 3 cells"));
        assert!(markdown("p", page, &["a"]).unwrap_err()[0].contains("no table"));
    }
}
