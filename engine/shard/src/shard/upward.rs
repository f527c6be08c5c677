//! What a shard itself sends up, beside what its clients publish: wills, changes of shared
//! subscriptions, and messages for another member of one.
//!
//! It waits here until the uplink has room, and goes before what clients publish then.

use super::{Io, Shard};
use crate::control::Redirect;
use crate::deliveries::DeliveryId;
use crate::sessions::LastWill;
use ringcast_codec::mqtt::TopicFilter;
use ringcast_ring::{ClaimError, Kind, Message, Publisher};
use ringcast_wire::Wire;
use smallvec::SmallVec;

/// One of them.
pub(super) enum Upward {
    Will {
        will: LastWill,
        client_id: SmallVec<[u8; 24]>,
    },
    /// Encoded.
    Membership(Vec<u8>),
    Redirect(DeliveryId),
}

/// So many may wait before who asks for more of them has to wait.
pub(super) const UPWARD_MAX: usize = 4_096;

impl<Pass> Shard<Pass> {
    /// Sends up what there is room for.
    pub(super) fn send_up<W: Wire>(&mut self, io: &mut Io<'_, W>) {
        if self.upward.is_empty() {
            return;
        }
        let mut body = std::mem::take(&mut self.frame);
        while let Some(upward) = self.upward.pop_front() {
            let kind = self.encode_upward(&upward, &mut body);
            let claimed = kind.map(|kind| io.uplink.claim(body.len(), kind));
            match claimed {
                Some(Ok(room)) => {
                    room.copy_from_slice(&body);
                    self.uplinked += 1;
                }
                Some(Err(ClaimError::Full)) => {
                    self.upward.push_front(upward);
                    break;
                }
                Some(Err(ClaimError::TooLarge)) | None => self.counters.untaken += 1,
            }
            self.upward_done += 1;
            if let Upward::Redirect(delivery) = upward {
                self.release(delivery);
            }
        }
        self.frame = body;
    }

    /// Writes one as a record's body; `None` if nobody is left who could get it.
    fn encode_upward(&mut self, upward: &Upward, body: &mut Vec<u8>) -> Option<Kind> {
        match upward {
            Upward::Will { will, client_id } => {
                let message = self.will(will, client_id);
                body.clear();
                body.resize(message.encoded_len(), 0);
                message.encode(body);
                Some(Kind::MESSAGE)
            }
            Upward::Membership(encoded) => {
                body.clone_from(encoded);
                Some(Kind::MEMBERSHIP)
            }
            Upward::Redirect(delivery) => {
                let how = self.deliveries.how(*delivery);
                let (name, filter) = how.group.and_then(|group| self.shares.text(group))?;
                let message = self.deliveries.message(*delivery);
                let about = self.store.about(message);
                let parts = self.store.read(message, &mut self.message);
                let redirect = Redirect {
                    home: self.settings.home,
                    hops: how.hops + 1,
                    share: (name, TopicFilter::new(filter).ok()?),
                    message: Message {
                        sequence: about.sequence,
                        expires_micros: about.expires_micros,
                        qos: about.qos,
                        topic: parts.topic,
                        properties: parts.properties,
                        payload: parts.payload,
                        ..Message::default()
                    },
                };
                redirect.encode(body);
                Some(Kind::REDIRECT)
            }
        }
    }

    fn will<'a>(&self, will: &'a LastWill, client_id: &'a [u8]) -> Message<'a> {
        let wall_micros = self.now.wall_micros();
        let lives = will.lives_seconds.map(u64::from);
        Message {
            source_micros: wall_micros,
            expires_micros: lives.map_or(0, |s| wall_micros + s * 1_000_000),
            publisher: Publisher {
                // Its publisher has no connection any more.
                session: u32::MAX,
                generation: 0,
                home: self.settings.home,
                packet_id: 0,
            },
            qos: will.qos,
            retain: will.retain,
            topic: will.topic.as_bytes(),
            client_id,
            properties: &will.properties,
            payload: &will.payload,
            ..Message::default()
        }
    }
}
