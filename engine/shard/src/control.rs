//! Records that shards send each other through the ring, so that all see them at the same
//! place among the messages.
//!
//! ```text
//!   membership   home:u16 session:u32 epoch:u32 change:u8 qos:u8 │ name │ filter
//!   redirect     home:u16 hops:u8                                │ name │ filter │ message
//! ```
//!
//! Integers are little-endian; name and filter have a length of two bytes before them.

use crate::shares::{Change, Standing, Who};
use ringcast_codec::mqtt::TopicFilter;
use ringcast_ring::Message;

/// A session joins a group, changes its standing or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership<'a> {
    pub(crate) who: Who,
    pub(crate) change: Change,
    pub(crate) share: (&'a str, TopicFilter<'a>),
}

/// A message is for the next member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Redirect<'a> {
    /// The shard that sent it back.
    pub(crate) home: u16,
    /// How many members were tried.
    pub(crate) hops: u8,
    pub(crate) share: (&'a str, TopicFilter<'a>),
    pub(crate) message: Message<'a>,
}

/// What `change` says of who leaves; for others their standing.
const LEAVE: u8 = u8::MAX;

impl<'a> Membership<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (change, qos) = match self.change {
            Change::Join { qos, standing } => (standing as u8, qos),
            Change::Leave => (LEAVE, 0),
        };
        out.clear();
        out.extend(self.who.home.to_le_bytes());
        out.extend(self.who.session.to_le_bytes());
        out.extend(self.who.epoch.to_le_bytes());
        out.extend([change, qos]);
        put_share(self.share, out);
    }

    /// `None` if no shard wrote it.
    pub(crate) fn decode(body: &'a [u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(12)?;
        let u32_at = |at: usize| Some(u32::from_le_bytes(*head[at..].first_chunk()?));
        let who = Who {
            home: u16::from_le_bytes(*head.first_chunk()?),
            session: u32_at(2)?,
            epoch: u32_at(6)?,
        };
        let change = match head[10] {
            LEAVE => Change::Leave,
            standing => Change::Join {
                qos: head[11],
                standing: Standing::from_u8(standing)?,
            },
        };
        let (share, rest) = take_share(rest)?;
        rest.is_empty().then_some(Self { who, change, share })
    }
}

impl<'a> Redirect<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend(self.home.to_le_bytes());
        out.push(self.hops);
        put_share(self.share, out);
        let begin = out.len();
        out.resize(begin + self.message.encoded_len(), 0);
        self.message.encode(&mut out[begin..]);
    }

    /// `None` if no shard wrote it.
    pub(crate) fn decode(body: &'a [u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(3)?;
        let (share, rest) = take_share(rest)?;
        Some(Self {
            home: u16::from_le_bytes(*head.first_chunk()?),
            hops: head[2],
            share,
            message: Message::decode(rest)?,
        })
    }
}

fn put_share((name, filter): (&str, TopicFilter<'_>), out: &mut Vec<u8>) {
    for text in [name, filter.as_str()] {
        let bytes = u16::try_from(text.len()).expect("a filter has at most 65535 bytes");
        out.extend(bytes.to_le_bytes());
        out.extend(text.as_bytes());
    }
}

fn take_share(rest: &[u8]) -> Option<((&str, TopicFilter<'_>), &[u8])> {
    let (name, rest) = take_text(rest)?;
    let (filter, rest) = take_text(rest)?;
    Some(((name, TopicFilter::new(filter).ok()?), rest))
}

fn take_text(rest: &[u8]) -> Option<(&str, &[u8])> {
    let (bytes, rest) = rest.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u16::from_le_bytes(*bytes).into())?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::{Membership, Redirect};
    use crate::shares::{Change, Standing, Who};
    use ringcast_codec::mqtt::TopicFilter;
    use ringcast_ring::Message;

    fn share() -> (&'static str, TopicFilter<'static>) {
        ("group", TopicFilter::new("a/+/#").expect("is one"))
    }

    #[test]
    fn what_is_written_is_read() {
        let join = Change::Join {
            qos: 2,
            standing: Standing::Away,
        };
        let mut body = Vec::new();
        for change in [join, Change::Leave] {
            let who = Who {
                home: 3,
                session: 70_000,
                epoch: 5,
            };
            let share = share();
            let membership = Membership { who, change, share };
            membership.encode(&mut body);
            assert_eq!(Membership::decode(&body), Some(membership));
            for cut in 0..body.len() {
                assert_eq!(Membership::decode(&body[..cut]), None);
            }
        }
        let redirect = Redirect {
            home: 1,
            hops: 9,
            share: share(),
            message: Message {
                topic: b"a/b",
                payload: b"text",
                qos: 1,
                ..Message::default()
            },
        };
        redirect.encode(&mut body);
        assert_eq!(Redirect::decode(&body), Some(redirect));
        for cut in 0..body.len() {
            assert_ne!(Redirect::decode(&body[..cut]), Some(redirect));
        }
    }
}
