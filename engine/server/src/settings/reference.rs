//! The tables of all settings that stand in the book, made from the schema.

use super::class;
use super::schema::{Change, GROUPS, Key, keys};
use std::fmt::Write;

/// The tables, a section for each group.
pub(crate) fn reference() -> String {
    let mut text = String::new();
    let keys = keys();
    for (group, about) in GROUPS {
        push_section(&mut text, group, about.trim());
        for key in keys.iter().filter(|key| key.group == *group) {
            push_row(&mut text, key);
        }
    }
    let about = "How messages of some topics are delivered: a list, each entry headed `[[class]]`. \
                 The first whose filter matches a topic is the topic's, and what none matches is as \
                 one with the defaults. A list replaces the [standard one](market-messages.md) as \
                 a whole. It takes a restart.";
    let _ = write!(
        text,
        "\n### `[[class]]`\n\n{about}\n\n| key | default | allowed | |\n|---|---|---|---|\n"
    );
    for (name, default, allowed, doc) in class::FIELDS {
        let default = code(default);
        let _ = writeln!(text, "| `{name}` | {default} | {} | {doc} |", cell(allowed));
    }
    text
}

fn push_section(text: &mut String, group: &str, about: &str) {
    let _ = write!(
        text,
        "\n### `[{group}]`\n\n{about}\n\n| key | default | allowed | at SIGHUP | |\n|---|---|---|---|---|\n"
    );
}

fn push_row(text: &mut String, key: &Key) {
    let change = match key.change {
        Change::Live => "applied",
        Change::Restart => "kept",
    };
    let kinds = match key.kinds {
        [] => String::new(),
        kinds => format!(" Of {}.", kinds.join(", ")),
    };
    let _ = writeln!(
        text,
        "| `{}` | {} | {} | {change} | {}{kinds} |",
        key.field,
        code(key.default),
        cell(&key.allowed),
        key.doc,
    );
}

fn code(text: &str) -> String {
    match text {
        "" => "–".into(),
        text => format!("`{text}`"),
    }
}

/// What a table reads as its own is escaped.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('[', "\\[")
}
