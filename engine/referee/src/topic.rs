//! Topic names and topic filters, section 4.7, the slow and plain way.

/// A filter without `$share/name/`, and the name if there was one.
pub fn split_shared(filter: &str) -> (Option<&str>, &str) {
    match filter
        .strip_prefix("$share/")
        .and_then(|rest| rest.split_once('/'))
    {
        Some((name, inner)) => (Some(name), inner),
        None => (None, filter),
    }
}

/// Whether a filter matches a topic; a shared filter by what follows the name
/// [MQTT-3.3.2-3], [MQTT-4.7.2-1].
pub fn matches(filter: &str, topic: &str) -> bool {
    let (_, filter) = split_shared(filter);
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

/// Whether a filter is one: `#` last and alone, `+` alone in its level, and a share
/// name without wildcards [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.8.2-1], [MQTT-4.8.2-2].
pub fn is_filter(filter: &str) -> bool {
    let (name, inner) = split_shared(filter);
    if name.is_some_and(|name| name.is_empty() || name.contains(['+', '#']))
        || (name.is_none() && filter.starts_with("$share/"))
        || inner.is_empty()
    {
        return false;
    }
    let levels: Vec<_> = inner.split('/').collect();
    levels.iter().enumerate().all(|(place, level)| {
        !level.contains(['+', '#']) || *level == "+" || (*level == "#" && place + 1 == levels.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/w",
                true,
            ),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("#", "$SYS/a", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/monitor/Clients", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("$share/g/#", "$SYS/a", false),
            ("$share/g/a/+", "a/b", true),
            ("a", "a/b", false),
            ("a/b", "a", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn what_is_no_filter() {
        for filter in [
            "",
            "a#",
            "a/#/b",
            "a+",
            "$share/g",
            "$share//a",
            "$share/+/a",
            "$share/g/",
        ] {
            assert!(!is_filter(filter), "{filter}");
        }
        for filter in [
            "#",
            "+",
            "a/+/#",
            "/",
            "$share/g/#",
            "$share/g//",
            "$shared",
        ] {
            assert!(is_filter(filter), "{filter}");
        }
    }
}
