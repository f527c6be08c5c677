//! The ring of a feed handler in another process, as one more source.
//!
//! ```text
//!   producer ── connects, gives its ring ──► greeter (a thread) ──► turn: check, sequence
//! ```
//!
//! A producer is believed nothing: each record is copied out, and what is in the ring of
//! this engine afterwards is a message that any client may be given. What is not is counted
//! and left out. When the producer is gone, what it had published is still taken, then the
//! next one may come; one that comes before waits.

mod greeter;
mod topics;

use crate::error::FeedError;
use crate::feed::{LOOK_AGAIN_NANOS, Phase, Visit};
use crate::refusal::{Refusal, Told};
use crate::sequencer::{Draft, Stop, Taken};
use crate::settings::ShmSettings;
use greeter::{Event, Greeter};
use ringcast_codec::mqtt::{Properties, Property, PropertyOwner, QoS, TopicName};
use ringcast_ring::{ClaimError, Kind, Message, Tap, TapError};
use topics::Topics;

/// What a record's buffer may keep after a large record.
const BODY_BYTES_KEPT: usize = 1 << 20;

/// What another process publishes.
#[derive(Debug)]
pub struct Shm {
    greeter: Greeter,
    producer: Option<Producer>,
    /// Why nothing more is taken from the producer that is connected.
    failed: Option<String>,
    topics: Topics,
    /// The record that was read last.
    body: Vec<u8>,
    /// It has found no room yet.
    is_pending: bool,
    looked_nanos: u64,
}

/// A producer whose ring is open.
#[derive(Debug)]
struct Producer {
    tap: Box<Tap>,
    /// Its socket is closed: what it had published is all there is.
    is_gone: bool,
    told: Told,
    lap_is_told: bool,
    epoch_is_told: bool,
}

impl Shm {
    pub(crate) fn listen(settings: &ShmSettings) -> Result<Self, FeedError> {
        Ok(Self {
            greeter: Greeter::listen(&settings.socket)?,
            producer: None,
            failed: None,
            topics: Topics::new(),
            body: Vec::new(),
            is_pending: false,
            looked_nanos: 0,
        })
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> Taken {
        self.looked_nanos = visit.now.monotonic_nanos;
        self.hear_greeter(visit);
        let mut taken = Taken::default();
        taken.stop = loop {
            if let Some(stop) = visit.stop(&taken) {
                break stop;
            }
            if !self.is_pending && !self.read(visit, &mut taken) {
                break Stop::Dry;
            }
            if !self.is_pending {
                continue;
            }
            let bytes = self.body.len() as u64;
            match self.offer(visit) {
                Ok(()) => taken.messages += 1,
                Err(ClaimError::Full) => break Stop::Full,
                Err(ClaimError::TooLarge) => self.refuse(Refusal::TooLarge, visit, &mut taken),
            }
            self.is_pending = false;
            taken.bytes += bytes;
        };
        if let Some(producer) = &self.producer {
            producer.tap.release();
        }
        if !self.is_pending {
            self.body.shrink_to(BODY_BYTES_KEPT);
        }
        taken
    }

    /// A tap rings no bell, and neither does the greeter.
    pub(crate) fn next_due(&self) -> u64 {
        self.looked_nanos.saturating_add(LOOK_AGAIN_NANOS)
    }

    pub(crate) fn phase(&self) -> Phase<'_> {
        match (&self.failed, &self.producer) {
            (Some(reason), _) => Phase::Failed { reason },
            (None, Some(_)) => Phase::Running,
            (None, None) => Phase::Waiting,
        }
    }

    /// Who came, and who went. While a producer is there, only its going is heard of, so that
    /// nothing of it is overlooked for the next one.
    fn hear_greeter(&mut self, visit: &mut Visit<'_>) {
        while self
            .producer
            .as_ref()
            .is_none_or(|producer| !producer.is_gone)
        {
            match self.greeter.next() {
                None => return,
                Some(Event::Came(tap)) => {
                    visit.counters.feed_producers += 1;
                    self.failed = None;
                    self.producer = Some(Producer {
                        tap,
                        is_gone: false,
                        told: Told::default(),
                        lap_is_told: false,
                        epoch_is_told: false,
                    });
                }
                Some(Event::Gone) => {
                    if let Some(producer) = &mut self.producer {
                        producer.is_gone = true;
                    }
                }
                Some(Event::Trouble(report)) => visit.reports.push(report),
            }
        }
    }

    /// Reads the next record; what is good becomes pending. `false` if there is none now.
    fn read(&mut self, visit: &mut Visit<'_>, taken: &mut Taken) -> bool {
        let Some(producer) = &mut self.producer else {
            return false;
        };
        match producer.tap.read(&mut self.body) {
            Ok(Some((_, kind))) => match check(kind, &self.body) {
                Ok(_) => self.is_pending = true,
                Err(refusal) => {
                    taken.bytes += self.body.len() as u64;
                    self.refuse(refusal, visit, taken);
                }
            },
            Ok(None) => {
                if producer.is_gone {
                    visit.reports.push(
                        "the producer of the shm feed is gone: waiting for the next".to_owned(),
                    );
                    self.leave();
                }
                return false;
            }
            // After one of these the visit is over, for a producer can make any number.
            Err(told @ TapError::Lapped { from, to }) => {
                visit.counters.feed_laps += 1;
                visit.counters.feed_lapped_bytes += to.0 - from.0;
                if !std::mem::replace(&mut producer.lap_is_told, true) {
                    visit.reports.push(format!("the shm feed was {told}"));
                }
                return false;
            }
            Err(told @ TapError::NewEpoch(_)) => {
                if !std::mem::replace(&mut producer.epoch_is_told, true) {
                    visit.reports.push(format!("the shm feed: {told}"));
                }
                return false;
            }
            Err(TapError::Corrupt(corrupt)) => {
                let reason = format!("the ring of the shm feed: {corrupt}");
                visit.reports.push(reason.clone());
                self.failed = Some(reason);
                self.leave();
                return false;
            }
        }
        true
    }

    /// Takes nothing more from the producer.
    fn leave(&mut self) {
        if let Some(producer) = self.producer.take() {
            self.greeter.give_back(producer.tap);
        }
    }

    fn offer(&mut self, visit: &mut Visit<'_>) -> Result<(), ClaimError> {
        let Ok((name, qos, message)) = check(Kind::MESSAGE, &self.body) else {
            unreachable!("was checked before it became pending");
        };
        let draft = Draft {
            topic: self.topics.of(name, visit.sequencer),
            qos,
            source_micros: message.source_micros,
            ingest_micros: visit.now.wall_micros,
            expires_micros: message.expires_micros,
            properties: message.properties,
        };
        let payload = message.payload;
        visit.sequencer.offer(&draft, payload.len(), |room| {
            room.copy_from_slice(payload);
        })?;
        visit.counters.feed_bytes += payload.len() as u64;
        Ok(())
    }

    #[cold]
    fn refuse(&mut self, refusal: Refusal, visit: &mut Visit<'_>, taken: &mut Taken) {
        taken.refused += 1;
        visit.counters.refused.add(refusal);
        let Some(producer) = &mut self.producer else {
            return;
        };
        if producer.told.is_new(refusal) {
            visit.reports.push(format!(
                "the shm feed: a record of {} bytes was left out: {}",
                self.body.len(),
                sentence(refusal),
            ));
        }
    }
}

fn sentence(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::RecordKind => "its kind is not that of a message",
        Refusal::Record => "it is no message",
        Refusal::Topic => {
            "nobody can publish to its topic: it is empty, or has a wildcard, or is no text"
        }
        Refusal::TopicReserved => "its topic begins with $, which is the engine's own",
        Refusal::Properties => {
            "its properties are not those of a PUBLISH: no topic alias, no subscription \
             identifier, and expiry only where the record has it"
        }
        Refusal::TooLarge => "a record of the engine's ring can not be so large",
        other => other.as_str(),
    }
}

/// What may go to clients of a record from outside.
fn check(kind: Kind, body: &[u8]) -> Result<(TopicName<'_>, QoS, Message<'_>), Refusal> {
    if kind != Kind::MESSAGE {
        return Err(Refusal::RecordKind);
    }
    let message = Message::decode(body).ok_or(Refusal::Record)?;
    let name = TopicName::from_bytes(message.topic).map_err(|_| Refusal::Topic)?;
    if message.topic.starts_with(b"$") {
        return Err(Refusal::TopicReserved);
    }
    let properties = Properties::new(message.properties, PropertyOwner::PublishFromClient)
        .map_err(|_| Refusal::Properties)?;
    // An alias belongs to one connection; expiry stands in the record, and would be said
    // twice.
    let concerns_one = properties.iter().any(|property| {
        matches!(
            property,
            Property::TopicAlias(_) | Property::MessageExpiryInterval(_)
        )
    });
    if concerns_one {
        return Err(Refusal::Properties);
    }
    let qos = match message.qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    Ok((name, qos, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(message: &Message<'_>) -> Option<Refusal> {
        let mut body = vec![0; message.encoded_len()];
        message.encode(&mut body);
        check(Kind::MESSAGE, &body).err()
    }

    #[test]
    fn only_what_clients_may_get_is_taken() {
        let good = Message {
            topic: b"market/A/trade",
            qos: 2,
            properties: b"\x01\x01\x26\0\x01k\0\x01v",
            payload: b"x",
            ..Message::default()
        };
        assert_eq!(refusal(&good), None);
        for topic in [&b""[..], b"a/+", b"#", b"a\0", b"\xFF"] {
            assert_eq!(refusal(&Message { topic, ..good }), Some(Refusal::Topic));
        }
        for topic in [&b"$SYS/x"[..], b"$", b"$share/a/b"] {
            let message = Message { topic, ..good };
            assert_eq!(refusal(&message), Some(Refusal::TopicReserved));
        }
        for properties in [
            &b"\x23\0\x01"[..],
            b"\x0B\x01",
            b"\x02\0\0\0\x01",
            b"\x01\x01\x01\x01",
            b"\x01",
            b"\x11\0\0\0\0",
            b"\x7F",
        ] {
            let message = Message { properties, ..good };
            assert_eq!(
                refusal(&message),
                Some(Refusal::Properties),
                "{properties:?}"
            );
        }
        assert_eq!(check(Kind(2), b"").err(), Some(Refusal::RecordKind));
        assert_eq!(check(Kind::MESSAGE, &[0; 71]).err(), Some(Refusal::Record));
    }
}
