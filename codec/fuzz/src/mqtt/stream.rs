//! What must hold of any decoder of packets, over any stream of bytes.

use ringcast_codec::Progress;
use std::fmt::Debug;

/// A kind of item that a stream is made of, and what must hold of each by itself.
pub(super) trait Protocol {
    type Item<'a>: Debug + PartialEq;
    type Fault: Debug + PartialEq;

    fn decode<'a>(&self, input: &'a [u8]) -> Result<Progress<Self::Item<'a>>, Self::Fault>;

    /// The item's bytes, as the encoder makes them.
    fn encode(&self, item: &Self::Item<'_>) -> Vec<u8>;

    /// The bytes that it was decoded from, without the liberties they take.
    fn canonical(&self, input: &[u8], item: &Self::Item<'_>) -> Vec<u8>;

    /// Equality of items that borrow from different buffers.
    fn is_same(one: &Self::Item<'_>, other: &Self::Item<'_>) -> bool;

    /// Whatever else must hold of an item.
    fn check(&self, item: &Self::Item<'_>);

    /// Whatever else must hold of a fault.
    fn check_fault(&self, fault: &Self::Fault);
}

/// How a stream ends.
#[derive(Debug, PartialEq, Eq)]
enum End<F> {
    Partial { needed: usize },
    Fault(F),
}

/// The items of a stream with the bytes that each took, and how it ends.
type Events<'a, P> = (
    Vec<(<P as Protocol>::Item<'a>, usize)>,
    End<<P as Protocol>::Fault>,
);

/// Checks all of it.
pub(super) fn check<P: Protocol>(protocol: &P, input: &[u8]) {
    let whole = events(protocol, input);
    let mut at = 0;
    for (item, consumed) in &whole.0 {
        check_prefixes(protocol, &input[at..], *consumed);
        check_item(protocol, item, &input[at..at + consumed]);
        at += consumed;
    }
    match &whole.1 {
        End::Partial { .. } => check_prefixes(protocol, &input[at..], usize::MAX),
        End::Fault(fault) => {
            protocol.check_fault(fault);
            check_prefixes(protocol, &input[at..], input.len() - at);
        }
    }
    for chunk_bytes in [1, 2, 3, 7, 64] {
        // Feeding a long stream by single bytes takes quadratic time.
        if input.len() <= 2048 * chunk_bytes {
            check_split(protocol, input, |_| chunk_bytes, &whole);
        }
    }
    // Cuts that the content itself decides.
    let uneven = |at: usize| usize::from(input[at]) % 61 + 1;
    check_split(protocol, input, uneven, &whole);
}

fn events<'a, P: Protocol>(protocol: &P, input: &'a [u8]) -> Events<'a, P> {
    let mut items = Vec::new();
    let mut rest = input;
    loop {
        match protocol.decode(rest) {
            Ok(Progress::Done(item, consumed)) => {
                assert!(consumed > 0 && consumed <= rest.len());
                items.push((item, consumed));
                rest = &rest[consumed..];
            }
            Ok(Progress::Partial { needed }) => {
                assert!(needed > rest.len());
                return (items, End::Partial { needed });
            }
            Err(fault) => return (items, End::Fault(fault)),
        }
    }
}

/// Any prefix of an item that ends at `end` is partial, and truly needs what it
/// says; a fault may show before the end, and then never goes away.
fn check_prefixes<P: Protocol>(protocol: &P, input: &[u8], end: usize) {
    let whole = protocol.decode(input);
    let mut len = 0;
    while len < input.len().min(end) {
        match protocol.decode(&input[..len]) {
            Ok(Progress::Done(item, consumed)) => {
                panic!("{item:?} of {consumed} bytes in the first {len} of {end}")
            }
            Ok(Progress::Partial { needed }) => {
                assert!(needed > len);
                assert!(whole.is_err() || needed <= end, "{needed} of {end} bytes");
                if needed - 1 > len && needed - 1 <= input.len() {
                    match protocol.decode(&input[..needed - 1]) {
                        Ok(one_less) => assert_eq!(one_less, Progress::Partial { needed }),
                        Err(fault) => assert_eq!(whole, Err(fault)),
                    }
                }
                // Each step is one that the decoder itself asked for.
                len = needed;
            }
            Err(fault) => {
                assert_eq!(whole, Err(fault));
                return;
            }
        }
    }
}

fn check_item<P: Protocol>(protocol: &P, item: &P::Item<'_>, input: &[u8]) {
    let bytes = protocol.encode(item);
    assert_eq!(bytes, protocol.canonical(input, item), "{item:?}");
    let again = match protocol.decode(&bytes) {
        Ok(Progress::Done(again, consumed)) if consumed == bytes.len() => again,
        other => panic!("{item:?} was encoded, and is now {other:?}"),
    };
    assert!(P::is_same(&again, item), "{again:?} was {item:?}");
    assert_eq!(protocol.encode(&again), bytes);
    protocol.check(item);
}

/// A receiver that gets the stream in pieces sees the same events.
fn check_split<P: Protocol>(
    protocol: &P,
    input: &[u8],
    chunk_bytes: impl Fn(usize) -> usize,
    (items, end): &Events<'_, P>,
) {
    let mut expected = items.iter();
    // All that came so far, of which `at` bytes were decoded.
    let (mut came, mut at) = (0, 0);
    let mut last = None;
    while came < input.len() {
        came += chunk_bytes(came).min(input.len() - came);
        loop {
            // A copy of its own, so that reading past its end would show.
            let buffer = input[at..came].to_vec();
            match protocol.decode(&buffer) {
                Ok(Progress::Done(item, consumed)) => {
                    let (same, bytes) = expected.next().expect("no item more than whole");
                    assert_eq!(consumed, *bytes);
                    assert!(P::is_same(&item, same));
                    at += consumed;
                }
                Ok(Progress::Partial { needed }) => {
                    last = Some(End::Partial { needed });
                    break;
                }
                Err(fault) => {
                    assert_eq!(&End::Fault(fault), end);
                    assert!(expected.next().is_none());
                    return;
                }
            }
        }
    }
    assert!(expected.next().is_none());
    if let Some(last) = last {
        assert_eq!(&last, end);
    }
}
