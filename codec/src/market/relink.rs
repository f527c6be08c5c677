//! An encoded message, marked for a client that did not get the one before.
//!
//! The bytes of a message are shared by all who get it, so a mark is not written
//! into them: the message is given back as three slices to be sent one after
//! another.
//!
//! ```text
//! {"ch":"bbo","s":"BTCUSDT","seq":7  ,"prev":6  ,"ts":…
//! └────────────── head ───────────┘  replaced   └ tail
//! ```

/// The message with `"conflated":true` in place of its link, or none if the
/// input was not written by [`Message::encode`](super::Message::encode).
#[must_use]
pub fn as_conflated(message: &[u8]) -> Option<[&[u8]; 3]> {
    relink(message, b",\"conflated\":true")
}

/// The message with `"snapshot":true` in place of its link, or none if the
/// input was not written by [`Message::encode`](super::Message::encode).
#[must_use]
pub fn as_snapshot(message: &[u8]) -> Option<[&[u8]; 3]> {
    relink(message, b",\"snapshot\":true")
}

/// Walks over the fields that come before the link. Neither of the strings among
/// them can hold an escape.
fn relink<'a>(message: &'a [u8], mark: &'a [u8]) -> Option<[&'a [u8]; 3]> {
    let rest = string(message.strip_prefix(b"{\"ch\":\"")?)?;
    let rest = string(rest.strip_prefix(b",\"s\":\"")?)?;
    let link = digits(rest.strip_prefix(b",\"seq\":")?);
    let tail = if let Some(rest) = link.strip_prefix(b",\"prev\":") {
        digits(rest)
    } else {
        let marked = link.strip_prefix(b",\"conflated\":true");
        marked.or_else(|| link.strip_prefix(b",\"snapshot\":true"))?
    };
    let head = &message[..message.len() - link.len()];
    tail.starts_with(b",\"ts\":").then_some([head, mark, tail])
}

/// What follows the string's closing quote.
fn string(text: &[u8]) -> Option<&[u8]> {
    let quote = text.iter().position(|&byte| byte == b'"')?;
    Some(&text[quote + 1..])
}

/// What follows the digits.
fn digits(text: &[u8]) -> &[u8] {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    &text[count..]
}
