//! What must hold of market messages whatever the bytes are.

use std::cmp::Ordering;

use ringcast_codec::market::{
    Channel, Decimal, Link, Message, SYMBOL_BYTES_MAX, Symbol, TOPIC_BYTES_MAX, Topic,
    as_conflated, as_snapshot,
};

/// What decodes encodes to its exact size, means the same again, and can be marked.
pub fn market_message(input: &[u8]) {
    let _ = as_conflated(input);
    let _ = as_snapshot(input);
    let Ok(message) = Message::decode(input) else {
        return;
    };
    let bytes = encoded(&message);
    let again = Message::decode(&bytes).expect("what was encoded decodes");
    assert_eq!(again, message);
    assert_eq!(encoded(&again), bytes, "values are equal by text too");
    for (parts, link) in [
        (as_conflated(&bytes), Link::Conflated),
        (as_snapshot(&bytes), Link::Snapshot),
    ] {
        let marked = parts.expect("what was encoded can be marked").concat();
        assert_eq!(
            marked,
            encoded(&Message {
                link,
                ..message.clone()
            })
        );
    }
}

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut out = vec![0; message.encoded_len()];
    assert_eq!(message.encode(&mut out), out.len());
    out
}

/// A symbol is normalised once and for all, and its topics come back.
pub fn symbol(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Some(topic) = Topic::parse(text) {
        let mut out = [0; TOPIC_BYTES_MAX];
        let written = topic.encode(&mut out);
        assert_eq!(&out[..written], input);
    }
    let Ok(symbol) = Symbol::normalise(text) else {
        return;
    };
    assert!((1..=SYMBOL_BYTES_MAX).contains(&symbol.as_str().len()));
    assert!(
        !symbol
            .as_str()
            .contains(['/', '+', '#', '$', '"', '\\', '\0'])
    );
    assert_eq!(Symbol::parse(symbol.as_str()), Ok(symbol));
    for channel in Channel::ALL {
        let topic = Topic { symbol, channel };
        let mut out = [0; TOPIC_BYTES_MAX];
        let written = topic.encode(&mut out);
        assert_eq!(written, topic.encoded_len());
        assert_eq!(
            Topic::parse(std::str::from_utf8(&out[..written]).unwrap()),
            Some(topic)
        );
    }
}

/// Two decimals, separated by a space, compare as their exact values do.
pub fn decimals(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (one, other) = text.split_once(' ').unwrap_or((text, "0"));
    let (Ok(one), Ok(other)) = (Decimal::parse(one), Decimal::parse(other)) else {
        return;
    };
    assert_eq!(one.is_zero(), one.mantissa() == 0);
    assert_eq!(one.cmp(&other), other.cmp(&one).reverse());
    assert_eq!(one == other, one.cmp(&other) == Ordering::Equal);
    let scale = one.scale().max(other.scale());
    let at_scale = |decimal: Decimal<'_>| {
        decimal
            .mantissa()
            .checked_mul(10_i128.checked_pow(scale - decimal.scale())?)
    };
    if let (Some(left), Some(right)) = (at_scale(one), at_scale(other)) {
        assert_eq!(one.cmp(&other), left.cmp(&right), "{one:?} {other:?}");
    }
}
