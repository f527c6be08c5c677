//! The known name that a mistyped one is nearest to.

/// The one of `known` that takes the fewest edits to get from `name`; the first of
/// several.
///
/// # Panics
/// If nothing is known.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known
        .min_by_key(|known| strsim::damerau_levenshtein(name, known))
        .expect("something is known")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_few_edits() {
        let known = || ["limits.connections", "limits.topics", "log.level"].into_iter();
        assert_eq!(nearest("limits.conections", known()), "limits.connections");
        assert_eq!(nearest("limit.topic", known()), "limits.topics");
        assert_eq!(nearest("log.levle", known()), "log.level");
    }
}
