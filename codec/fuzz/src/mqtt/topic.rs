//! Topic names, filters and shared subscriptions against a second reading of
//! section 4.7 and 4.8.2, made to be compared with the text and not to be fast.

use ringcast_codec::mqtt::{Fault, Share, TopicFilter, TopicName};

/// A filter, a line break, a topic name.
pub fn topic(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let filter_bytes = parts.next().unwrap_or_default();
    let name_bytes = parts.next().unwrap_or(filter_bytes);
    let name = TopicName::from_bytes(name_bytes);
    assert_eq!(name.err(), name_fault(name_bytes), "{name_bytes:?}");
    let Ok(filter_text) = std::str::from_utf8(filter_bytes) else {
        return;
    };
    let filter = TopicFilter::new(filter_text);
    assert_eq!(filter.err(), filter_fault(filter_text), "{filter_text:?}");
    let Ok(filter) = filter else { return };
    assert_eq!(filter.as_str(), filter_text);
    assert!(filter.levels().eq(levels(filter_text)));
    assert_eq!(
        filter.has_wildcards(),
        levels(filter_text)
            .iter()
            .any(|level| ["+", "#"].contains(level))
    );
    check_share(filter);
    let Ok(name) = name else { return };
    assert_eq!(name.as_str().as_bytes(), name_bytes);
    assert_eq!(TopicName::new(name.as_str()), Ok(name));
    check_match(filter, name);
    if let Ok(Some(share)) = filter.share() {
        check_match(share.filter, name);
    }
    // A topic is a filter that matches itself.
    let itself = TopicFilter::new(name.as_str()).expect("a name has no wildcards");
    assert!(itself.matches(name));
}

fn check_match(filter: TopicFilter<'_>, name: TopicName<'_>) {
    let first = filter.as_str().chars().next();
    let hidden = name.as_str().starts_with('$') && matches!(first, Some('+' | '#'));
    let expected = !hidden && matches(&levels(filter.as_str()), &levels(name.as_str()));
    assert_eq!(filter.matches(name), expected, "{filter:?} on {name:?}");
}

fn check_share(filter: TopicFilter<'_>) {
    let expected = match levels(filter.as_str()).as_slice() {
        ["$share"] | ["$share", "", ..] => Err(Fault::SharedFilter),
        ["$share", name, ..] if name.contains('+') || name.contains('#') => {
            Err(Fault::SharedFilter)
        }
        ["$share", _] | ["$share", _, ""] => Err(Fault::SharedFilter),
        ["$share", name, rest @ ..] => Ok(Some((*name, rest.join("/")))),
        _ => Ok(None),
    };
    let found = filter.share().map(|share| {
        share.map(|Share { name, filter }| {
            // What is inside is a filter by itself.
            assert_eq!(TopicFilter::new(filter.as_str()), Ok(filter));
            (name, filter.as_str().to_owned())
        })
    });
    assert_eq!(found, expected, "{filter:?}");
}

fn levels(text: &str) -> Vec<&str> {
    let mut levels = Vec::new();
    let mut begin = 0;
    for (at, character) in text.char_indices() {
        if character == '/' {
            levels.push(&text[begin..at]);
            begin = at + 1;
        }
    }
    levels.push(&text[begin..]);
    levels
}

fn matches(filter: &[&str], name: &[&str]) -> bool {
    match (filter, name) {
        // The parent level is included: `sport/#` matches `sport`.
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, name @ ..]) => matches(filter, name),
        ([same, filter @ ..], [level, name @ ..]) if same == level => matches(filter, name),
        _ => false,
    }
}

fn text_fault(text: &str) -> Option<Fault> {
    if text.len() > 65_535 {
        return Some(Fault::FieldTooLong);
    }
    text.chars()
        .any(|character| character == '\0')
        .then_some(Fault::TextNul)
}

fn filter_fault(text: &str) -> Option<Fault> {
    if let Some(fault) = text_fault(text) {
        return Some(fault);
    }
    if text.is_empty() {
        return Some(Fault::FilterEmpty);
    }
    // `+` has a level of its own; `#` too, and nothing behind it.
    let characters: Vec<char> = text.chars().collect();
    for (at, character) in characters.iter().enumerate() {
        let begins = at == 0 || characters[at - 1] == '/';
        let next = characters.get(at + 1);
        let stands_right = match character {
            '+' => begins && matches!(next, None | Some('/')),
            '#' => begins && next.is_none(),
            _ => true,
        };
        if !stands_right {
            return Some(Fault::FilterWildcard);
        }
    }
    None
}

fn name_fault(bytes: &[u8]) -> Option<Fault> {
    if bytes.is_empty() {
        return Some(Fault::TopicEmpty);
    }
    if bytes.len() > 65_535 {
        return Some(Fault::FieldTooLong);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Some(Fault::TextEncoding);
    };
    text_fault(text).or_else(|| text.contains(['+', '#']).then_some(Fault::TopicWildcard))
}
