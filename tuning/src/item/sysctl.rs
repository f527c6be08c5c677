//! The two shapes of most items: a sysctl that must be so much at least, and one that
//! must be just so.

use super::{Look, Situation, Step};

/// Where a sysctl lies: dots are slashes.
pub(super) fn path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

/// A sysctl of one or more numbers, each of which has a least value.
pub(super) fn at_least(situation: &Situation<'_>, name: &str, least: &[u64]) -> Look {
    let path = path(name);
    let text = match situation.host.value(&path) {
        Ok(text) => text,
        Err(refusal) => return Look::refused(&refusal),
    };
    let current: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
    let Ok(current) = current else {
        return Look::Unseen(format!("{path} holds '{text}', which is no number"));
    };
    if current.len() != least.len() {
        return Look::Unseen(format!(
            "{path} holds {} numbers, not {}",
            current.len(),
            least.len()
        ));
    }
    let wanted: Vec<_> = current
        .iter()
        .zip(least)
        .map(|(now, least)| *now.max(least))
        .collect();
    let spell = |numbers: &[u64], gap: &str| {
        numbers
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(gap)
    };
    Look::of(
        spell(&current, " "),
        format!("≥ {}", spell(least, " ")),
        wanted == current,
    )
    .with([Step::write(path, spell(&wanted, "\t"))])
}

/// A sysctl with one value.
pub(super) fn exactly(situation: &Situation<'_>, name: &str, wanted: &str) -> Look {
    file_exactly(situation, &path(name), wanted)
}

/// Any file with one value.
pub(super) fn file_exactly(situation: &Situation<'_>, path: &str, wanted: &str) -> Look {
    match situation.host.value(path) {
        Ok(current) => {
            Look::of(&current, wanted, current == wanted).with([Step::write(path, wanted)])
        }
        Err(refusal) => Look::refused(&refusal),
    }
}

/// A file that offers words and has one of them in brackets: any of `wanted` will do,
/// the first is chosen.
pub(super) fn choice(situation: &Situation<'_>, path: &str, wanted: &[&str]) -> Look {
    let text = match situation.host.value(path) {
        Ok(text) => text,
        Err(refusal) => return Look::refused(&refusal),
    };
    // One that offers nothing else has no brackets.
    let single = (!text.contains(' ')).then_some(text.as_str());
    let Some(current) = chosen(&text).or(single) else {
        return Look::Unseen(format!("{path} holds '{text}', with nothing chosen"));
    };
    let is_well = wanted.contains(&current);
    let keep = if is_well { current } else { wanted[0] };
    Look::of(current, wanted.join(" or "), is_well).with([Step::write(path, keep)])
}

/// The word in brackets.
pub(crate) fn chosen(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0)
}
